"""Does a verdict come out as often as `mlbot power` says? The judge itself, on models that are drawn anew each time.

    python -m benchmarks.power [--verdicts 300]

Labels, models and their noise are drawn for each verdict; then `measure` and `decide` judge them, with as many looks
and gates as there are. The margin is the least that `mlbot power` calls judgeable for the cell, so a drop of three of
it should fail in 95 %; how often no change passes, and how often a drop of one margin fails or passes, is beside it.
"""

import argparse
from collections.abc import Iterator

from tests.support.drawn_verdicts import CELLS, World

from mlbot.gates.outcome import JUDGEABLE, Outcome
from mlbot.stats.power import chances

HEAD = (
    *("metric", "rows", "seeds", "gates", "margin"),
    *("3 margins fail: said / found", "no change passes: said / found", "at one margin: fail / pass"),
)


def lines(world: World, verdicts: int) -> Iterator[str]:
    """A cell's line of the table: said and found, in percent."""
    cell, seeding = world.cell, world.cell.seeding
    said = [chances(world.spread, seeding, world.margin, drop * world.margin) for drop in (0, 1, JUDGEABLE)]
    found = [world.outcomes(skill, verdicts) for skill in world.skills]
    shares = [{outcome: 100 * count / verdicts for outcome, count in each.items()} for each in found]
    three = f"{100 * said[2].fails:.0f} / {shares[2].get(Outcome.FAIL, 0.0):.0f}"
    none = f"{100 * said[0].passes:.0f} / {shares[0].get(Outcome.PASS, 0.0):.0f}"
    at = f"{shares[1].get(Outcome.FAIL, 0.0):.1f} / {shares[1].get(Outcome.PASS, 0.0):.1f}"
    seeds = ", ".join(map(str, cell.design.looks)) + (" + history" if cell.history else "")
    yield f"| {cell.metric} | {cell.rows:,} | {seeds} | {cell.gates} | {world.margin:.4f} | {three} | {none} | {at} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.power", description=__doc__)
    parser.add_argument("--verdicts", type=int, default=300, help="of each cell and drop")
    verdicts = parser.parse_args().verdicts
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    for cell in CELLS:
        for line in lines(World.of(cell), verdicts):
            print(line, flush=True)


if __name__ == "__main__":
    main()
