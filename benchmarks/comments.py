"""Reading the longest comments that GitHub allows, of the worst shapes.

Run it with `python -m benchmarks.comments`. Fails when twice the length takes much more than twice the time.
"""

import argparse
import sys
import time
from collections.abc import Callable

from mlbot.commands.parser import parse_comment

LONGEST = 65_536
ALLOWED = 3.0
"""Times as long for twice the length; 2 is linear, 4 quadratic."""

SHAPES: dict[str, str] = {
    "ordinary prose": "The holdout moved last week, see `data/` and **the notes**.\n\n",
    "one command a line": "/retrain income lr=0.05\n",
    "somebody else's command a line": "/a\n",
    "a typo a line": "/retran\n",
    "quotation marks that never close": '/retrain "x” ',
    "backticks": "`",
    "open code spans": "/x `\n",
    "quotations": "> ",
    "list items in list items": "- ",
    "list items": "- a\n",
    "fences": "```\n",
    "HTML that never ends": "<!-- ",
    "tags that never end": "<a b='",
    "backslashes": "\\",
    "empty lines": "\n",
    "tabs": "\t",
}


def nested(length: int) -> str:
    """A list of the greatest depth, and empty lines that all of its items go on in."""
    return f"{'- ' * 100}a{chr(10) * length}"[:length]


def runs(length: int) -> str:
    """Runs of backticks that all differ in length, so that none closes another."""
    return "".join(f"{'`' * size} " for size in range(1, int((2 * length) ** 0.5)))[:length]


def repeated(piece: str) -> Callable[[int], str]:
    return lambda length: (piece * (length // len(piece) + 1))[:length]


def least(call: Callable[[], object], times: int) -> float:
    """Seconds of this process, the best of several: what else the machine does counts little."""
    took: list[float] = []
    for _ in range(times):
        start = time.process_time()
        call()
        took.append(time.process_time() - start)
    return min(took)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=7)
    times = parser.parse_args().times
    shapes: dict[str, Callable[[int], str]] = {"nested lists": nested, "backticks of every length": runs}
    for name, piece in SHAPES.items():
        shapes[name] = repeated(piece)
    print(f"{LONGEST:,} characters, best of {times}; twice: against half the length\n")
    print(f"{'':34}{'read':>10}{'twice':>8}")
    worst = max((_row(name, shape, times) for name, shape in shapes.items()), default=0.0)
    print(f"\ntwice the length takes at most {worst:.1f} times as long (2 is linear; {ALLOWED} allowed)")
    return int(worst > ALLOWED)


def _row(name: str, shape: Callable[[int], str], times: int) -> float:
    # Without a line that starts with a slash the parser is not asked at all.
    body, half = (f"/help\n\n{shape(length - 7)}" for length in (LONGEST, LONGEST // 2))
    whole, part = least(lambda: parse_comment(body), times), least(lambda: parse_comment(half), times)
    growth = whole / part
    print(f"{name:34}{whole * 1000:7.1f} ms{growth:8.1f}")
    return growth if whole > 0.003 else 0.0  # less than three milliseconds is the clock's noise


if __name__ == "__main__":
    sys.exit(main())
