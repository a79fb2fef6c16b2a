"""Asks every case with the prompt in $MLBOT_ARTIFACT, and writes each case's scores to $MLBOT_RESULTS.

It is the guarded branch's own, as are the cases: a pull request brings the prompt, and cannot choose how it is scored.
"""

import hashlib
import json
import os
import re
from pathlib import Path

from provider import complete

HERE = Path(__file__).parent


def words(text: str) -> list[str]:
    """The words of a text, without case and punctuation."""
    return re.findall(r"\w+", text.lower())


def main() -> None:
    """Write a line about the run, then one a case."""
    template = Path(os.environ["MLBOT_ARTIFACT"], "answer.txt").read_text(encoding="utf-8")
    cases = [json.loads(line) for line in (HERE / "cases.jsonl").read_text(encoding="utf-8").splitlines()]
    lines = [{"mlbot_rows": 1, "tool": "evaluate.py", "complete": True, "items": len(cases), "repeats": 1}]
    for case in cases:
        reply = complete(template.replace("{question}", case["question"]))
        wanted, said = words(case["answer"]), words(reply)
        scores = {"score.exact": said == wanted, "score.has_it": set(wanted) <= set(said), "score.words": len(said)}
        about = hashlib.sha256(json.dumps([case["question"], case["answer"]]).encode()).hexdigest()
        lines.append({"item": case["item"], "repeat": 1, "status": "ok", "input": f"sha256:{about}", **scores})
    Path(os.environ["MLBOT_RESULTS"]).write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
