"""`mlbot power`: what can be judged, before anything is trained."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from mlbot.cli.options import common, example, json_option, option
from mlbot.console import Console
from mlbot.errors import Exit

_SHARE = click.FloatRange(0, 0.5)


@click.command(
    epilog=example(
        "mlbot power",
        "mlbot power --model adult-income --disagreement 0.03",
        "mlbot power --aa --model adult-income seeds",
    )
)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@option("-m", "--model", "models", multiple=True, metavar="MODEL", help="Only this model; repeatable.")
@option("--disagreement", type=_SHARE, default=0.06, help="The share of rows that two seeds' files decide differently.")
@option("--change", type=_SHARE, default=0.01, help="The share of rows that a change moves besides.")
@option("--rows", type=click.IntRange(2), metavar="N", help="Ask about a holdout of so many rows; or items.")
@option("--aa", is_flag=True, help="Say how often gates flip on identical code, by FILES of one recipe.")
@option("--verdicts", type=click.IntRange(1, 100_000), default=300, help="With --aa: how many verdicts to make.")
@option("--minutes", type=click.FloatRange(0), default=2.0, help="With --aa: the longest that it may take.")
@json_option
@common
def power(  # noqa: PLR0913  # an option each
    directory: Path,
    *,
    quiet: bool,
    as_json: bool,
    files: tuple[Path, ...],
    models: tuple[str, ...],
    aa: bool,
    verdicts: int,
    minutes: float,
    **assumed: Any,
) -> Exit:
    """Say which margins the holdout, the seeds and the history can judge, before anything is trained.

    For each margin: from where on a true drop of three margins fails 19 times in 20, how often it does and how often a
    change without effect passes, and the rows or seeds that would do. Exits with 3 where a margin that counts cannot be
    judged.
    """
    _refuse_other_way(aa=aa)
    console = Console.of_process(quiet=quiet)
    if aa:
        from mlbot.judging.run_flips import FlipOptions, say_flips

        if len(models) > 1:
            raise click.UsageError("--aa takes one --model.")
        model = next(iter(models), None)
        options = FlipOptions(files=files, model=model, verdicts=verdicts, minutes=minutes)
        return say_flips(directory, options, console, as_json=as_json)
    if files:
        raise click.UsageError("Files are for --aa.")
    from mlbot.judging.power import PowerOptions
    from mlbot.judging.run_power import say_power

    return say_power(directory, PowerOptions(models=models, **assumed), console, as_json=as_json)


def _refuse_other_way(*, aa: bool) -> None:
    """Refuse an option that would be without effect."""
    context = click.get_current_context()
    for name in ("disagreement", "change", "rows") if aa else ("verdicts", "minutes"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name} is {'not ' if aa else ''}for --aa.")


VERBS = (power,)
