"""`mlbot judge --run`: judge what a training run on GitHub left behind. Reads everything, writes only into a folder."""

import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from mlbot import render
from mlbot.activities.assignment import Assignment, assign
from mlbot.activities.bench import Bench
from mlbot.activities.evidence import evidence_of
from mlbot.activities.extras import require
from mlbot.activities.hosted import Hosted
from mlbot.activities.intake import Intake
from mlbot.activities.model_report import Found, report_of
from mlbot.activities.rules import Rules
from mlbot.activities.trials import judged_trial
from mlbot.activities.waiving import granted
from mlbot.console import Console
from mlbot.core.artifact import accepted_file
from mlbot.core.decision import Decision, Judge, PullRequestSubject
from mlbot.core.judging import decide
from mlbot.core.report import Report
from mlbot.errors import Exit, MlbotError

DECISION_FILE, REPORT_FILE, TRIAL_FILE = "decision.json", "report.json", "trial.json"
ERROR_FILE = "error.txt"
RECORDS, CHARTS, ACCEPTED = "report", "charts", "accepted"
THEMES = ("light", "dark")
DECISION: TypeAdapter[Decision] = TypeAdapter(Decision)


def judge_run(hosted: Hosted, out: Path, console: Console) -> Exit:
    """Judge an attempt of a run, and leave what `mlbot publish` needs in a folder.

    `report/` gets the decision, the report and the pictures, or a sentence on why there is no report; `accepted/` the
    model files that were scored, each under its digest.

    Returns:
        OK when there is a report, whatever its verdict: that is for the status to say.

    Raises:
        MlbotError: the run cannot be read, or it cannot be judged.
    """
    require("ml", needed_for="Judging a model")
    records = out / RECORDS
    records.mkdir(parents=True, exist_ok=True)
    _, decision = hosted.decide()
    (records / DECISION_FILE).write_bytes(DECISION.dump_json(decision))
    if not isinstance(decision, Judge):
        console.say(f"There is nothing to judge: {decision.kind}.")
        return Exit.OK
    try:
        report = _judged(hosted, decision, out, console)
    except MlbotError as error:
        sentence = str(error).splitlines()[0]
        (records / ERROR_FILE).write_text(f"{sentence}\n", encoding="utf-8")
        raise
    _draw(report, records / CHARTS)
    (records / REPORT_FILE).write_text(report.model_dump_json(), encoding="utf-8")
    console.result(render.terminal(report, console.color, console.width))
    return Exit.OK


def _judged(hosted: Hosted, decision: Judge, out: Path, console: Console) -> Report:
    started = time.monotonic()
    assignment = assign(hosted, decision)
    with tempfile.TemporaryDirectory(prefix="mlbot-judge-") as scratch, ExitStack() as checkouts:
        bench = Bench(
            hosted=hosted,
            assignment=assignment,
            candidates=Intake(hosted=hosted, attempt=decision.attempt, folder=Path(scratch)),
            baselines=Intake(hosted=hosted, attempt=hosted.job.run, folder=Path(scratch)),
            rules=Rules(
                repository=hosted.repository,
                commits=assignment.commits,
                configs=assignment.configs,
                checkouts=checkouts,
                trusts_head=False,
            ),
            console=console,
        )
        found = [bench.judge(planned) for planned in assignment.stale]
        evidence = evidence_of(assignment.plan, assignment.configs, assignment.sides, found)
        given = granted(hosted, assignment, evidence)
        report = report_of(
            hosted.job.repository,
            assignment.plan,
            assignment.configs,
            found,
            decide(assignment.commits, evidence, given.waivers),
            notices=given.notices,
            duration_s=time.monotonic() - started,
            **_context(hosted, assignment),
        )
        _keep(found, report, out / ACCEPTED)
        if decision.trial:
            result = judged_trial(hosted, assignment, report)
            (out / RECORDS / TRIAL_FILE).write_text(result.model_dump_json(), encoding="utf-8")
    return report


def _context(hosted: Hosted, assignment: Assignment) -> dict[str, Any]:
    """What the report says of the pull request it is about."""
    subject, policy = assignment.decision.subject, assignment.configs.policy or assignment.configs.head
    told: dict[str, Any] = {
        "repository_url": f"{hosted.job.server_url}/{hosted.job.repository}",
        "inconclusive_blocks": policy.inconclusive.pull_request == "block",
        "run_url": hosted.job.run_url,
        "head_ref": subject.branch,
        "trial": assignment.decision.trial,
    }
    if isinstance(subject, PullRequestSubject):
        told |= {"pull_request": subject.number, "fork": subject.fork, "head_ref": subject.head_ref}
    return told


def _keep(found: Sequence[Found], report: Report, folder: Path) -> None:
    """Put the files that were scored into a folder, each under its digest."""
    folder.mkdir(parents=True, exist_ok=True)
    for each, model in zip(found, report.models, strict=False):
        for entry, evaluation in zip(each.case.candidate, model.candidate, strict=False):
            if isinstance(entry.file, Path) and evaluation.digest and not evaluation.problem:
                shutil.copyfile(entry.file, folder / accepted_file(evaluation.digest))


def _draw(report: Report, folder: Path) -> None:
    """Draw the comment's pictures, light and dark, here where the packages for it are."""
    from mlbot.modeling.plots import picture_spec, svg

    folder.mkdir(parents=True, exist_ok=True)
    for model in report.models:
        spec = picture_spec(model)
        if spec is not None:
            for theme in THEMES:
                (folder / f"{model.model}.{theme}.svg").write_text(svg(spec, theme), encoding="utf-8")
