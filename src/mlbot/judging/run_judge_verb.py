"""`mlbot judge`: judge ONNX files by the gates and the holdout of a folder's own mlbot.yaml."""

from dataclasses import dataclass
from pathlib import Path

from mlbot import __version__
from mlbot.config.run_check import check
from mlbot.config.schema import Config, Model
from mlbot.console import Console
from mlbot.errors import Exit, UsageError
from mlbot.gates.outcome import Reason
from mlbot.git.repository import Repository
from mlbot.judging.run_compose import Provenance, model_report
from mlbot.judging.run_judge import Case, Entry, judge
from mlbot.judging.run_output import Outputs, hand_out
from mlbot.lib.extras import require
from mlbot.report.report import Report
from mlbot.verdict.decide import decide
from mlbot.verdict.evidence import Problem
from mlbot.verdict.verdict import Commits


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeOptions:
    """What the command line says.

    Attributes:
        candidate: the files to judge, one a seed; the first is the one that would ship.
        baseline: the files to compare with, one a seed.
        model: the model of the config that they are of; None: the only one.
    """

    candidate: tuple[Path, ...]
    baseline: tuple[Path, ...] = ()
    model: str | None = None


def judge_and_report(directory: Path, options: JudgeOptions, outputs: Outputs, console: Console) -> Exit:
    """Judge files and hand the report out.

    Raises:
        UsageError: the config is wrong or does not say which model is meant, or a file is not there.
    """
    require("ml", needed_for="Judging a model")
    outputs.check()
    _check_files((*options.candidate, *options.baseline))
    repository = Repository.discover(directory)
    config = check(repository.root)
    case = Case(
        model=_named(config, options.model),
        rules=repository.root,
        candidate=_entries(options.candidate),
        baseline=_entries(options.baseline) if options.baseline else _NO_BASELINE,
    )
    judged = judge(case, say=console.say)
    head = repository.snapshot()
    commits = Commits(
        head=head.sha,
        base=None,
        policy=head.sha,
        guarded=repository.current_branch() or "HEAD",
        uncommitted=head.uncommitted,
    )
    verdict = decide(commits, [judged.evidence])
    report = Report(
        mlbot_version=__version__,
        repository=repository.root.name,
        verdict=verdict,
        models=(model_report(case, judged, verdict.models[0], Provenance()),),
    )
    return hand_out(report, outputs, console)


def _check_files(files: tuple[Path, ...]) -> None:
    for file in files:
        if not file.is_file():
            raise UsageError("there is no such file", where=str(file), hint="Name an ONNX file that is there.")


_NO_BASELINE = Problem(reason=Reason.NO_BASELINE, detail="No file was given to compare with: name one with --baseline.")


def _entries(files: tuple[Path, ...]) -> tuple[Entry, ...]:
    return tuple(Entry(seed=seed, file=file.absolute()) for seed, file in enumerate(files))


def _named(config: Config, name: str | None) -> Model:
    names = ", ".join(model.name for model in config.models)
    if name is None and len(config.models) == 1:
        return config.models[0]
    model = config.model(name) if name else None
    if model is None:
        what = f"mlbot.yaml has no model {name!r}." if name else "mlbot.yaml has several models."
        raise UsageError(what, hint=f"Name one with --model: {names}.")
    return model
