"""`mlbot plan --run`: decide what to do about a training run, and which baselines have to be trained first."""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from mlbot.config.schema import Waivers
from mlbot.console import Console
from mlbot.errors import Exit, MlbotError
from mlbot.gates.outcome import Reason
from mlbot.judging.run_assignment import Assignment, assign, evidence_of
from mlbot.judging.run_ci import Hosted
from mlbot.judging.run_compose import Found, Provenance, report_of
from mlbot.judging.run_judge import Case, Entry, Live, judge
from mlbot.judging.run_model_files import Fetched, Intake, is_kept, judged_files, live_file
from mlbot.judging.run_policy import Rules
from mlbot.judging.run_trial import judged_trial
from mlbot.judging.waiver_requests import Resolved, ended, fresh, is_open, resolve
from mlbot.ledger.entries import WaiverEntry
from mlbot.lib.extras import require
from mlbot.lib.scalar import Params
from mlbot.plan.plan import MATRIX_LIMIT, PlannedModel
from mlbot.protocol.answer import WaiverRequest, recorded
from mlbot.protocol.artifacts import Side, accepted_file
from mlbot.protocol.decision import Decision, Judge, PullRequestSubject, Wait
from mlbot.report.notices import in_production
from mlbot.report.report import Notice, Report
from mlbot.report.terminal import terminal
from mlbot.training.trial import trial_key
from mlbot.verdict.decide import Evidence, decide
from mlbot.verdict.evidence import Problem
from mlbot.verdict.verdict import Verdict
from mlbot.verdict.waiver import may_waive

# Where the models of a training run are judged one after another: which files, against which others.


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where one model after another is judged.

    Attributes:
        hosted: the job.
        assignment: what is judged.
        candidates: the training run's artifacts.
        baselines: this run's own, trained from base.
        rules: of each model.
        console: told of each step.
    """

    hosted: Hosted
    assignment: Assignment
    candidates: Intake
    baselines: Intake
    rules: Rules
    console: Console

    def judge(self, planned: PlannedModel) -> Found:
        """Fetch a model's files and judge them."""
        rule = self.rules.of(planned.name)
        candidate = self._candidate(planned)
        baseline = self._baseline(planned, candidate)
        case = Case(
            model=rule.model,
            rules=rule.folder,
            candidate=tuple(Entry(seed=each.seed, file=rule.problem or each.file) for each in candidate.entries),
            baseline=baseline if isinstance(baseline, Problem) else baseline.entries,
            key=trial_key(planned.key, self._overrides),
            base_key=planned.key if self._overrides else planned.base_key,
            past=tuple(entry for entry in self.assignment.entries if entry.model == planned.name),
            provisional=rule.provisional,
            live=self._live(planned),
        )
        provenance = Provenance(
            candidate=candidate.trainings,
            baseline=() if isinstance(baseline, Problem) else baseline.trainings,
            failures=candidate.failures,
            stale_reasons=tuple(reason.text for reason in planned.reasons),
            head=self.assignment.configs.head.model(planned.name),
        )
        return Found(case=case, judged=judge(case, say=self.console.say), provenance=provenance)

    def _live(self, planned: PlannedModel) -> Live | None:
        """What is in production; a trial is only compared with what is committed."""
        assignment, policy = self.assignment, self.assignment.configs.policy
        if policy is None or assignment.decision.trial:
            return None
        entry = in_production(policy.environments, assignment.deployments, planned.name)
        if entry is None:
            return None
        baseline = assignment.judged.get((planned.name, planned.base_key or ""))
        if baseline is not None and baseline.digest == entry.digest:
            return Live(entry=entry, file=None)
        file = live_file(self.hosted, entry, assignment.entries, self.baselines.folder, self.console)
        return Live(entry=entry, file=file)

    @property
    def _overrides(self) -> Params:
        """What a trial changes of the committed parameters; empty where it is none."""
        decision = self.assignment.decision
        request = decision.reruns.trial(decision.attempt)
        return request.params if request else {}

    def _candidate(self, planned: PlannedModel) -> Fetched:
        """The files of the attempt, or of the last one before it that was asked for this model too."""
        decision = self.assignment.decision
        attempt = decision.attempt if decision.trial else decision.reruns.trained(planned.name, decision.attempt)
        return self.candidates.trained(planned, planned.seeds, Side.CANDIDATE, attempt)

    def _committed(self, planned: PlannedModel) -> Fetched | Problem:
        """What a trial of a stale model is compared with: head's own parameters, trained in the same sandbox."""
        decision = self.assignment.decision
        attempt = decision.reruns.trained(planned.name, decision.attempt)
        return _or_problem(
            self.candidates.trained(planned, planned.seeds, Side.CANDIDATE, attempt),
            "The committed parameters have no model to compare with.",
        )

    def _baseline(self, planned: PlannedModel, candidate: Fetched) -> Fetched | Problem:
        """The guarded branch's judged files; else what this run trained from base; never anything of the other run.

        A trial is no verdict, so there the other run's files do: its question is what the parameters are worth.
        """
        if self._overrides and not planned.requested:
            return self._committed(planned)
        if planned.base_key is None:
            why = "; ".join(reason.text for reason in planned.reasons)
            return Problem(reason=Reason.NO_BASELINE, detail=f"There is nothing to compare with: {why}.")
        if planned.base_key == planned.key and not planned.requested:
            return candidate
        if planned in self.assignment.baselines:
            return self._trained_baseline(planned)
        entry = self.assignment.judged[planned.name, planned.base_key]
        files = judged_files(self.hosted, entry, self.baselines.folder, self.console)
        return files if isinstance(files, Problem) else Fetched(entries=files)

    def _trained_baseline(self, planned: PlannedModel) -> Fetched | Problem:
        base = self.assignment.sides.base
        model = base.config.model(planned.name) if base else None
        seeds = model.train.seeds if model else planned.seeds
        found = self.baselines.trained(planned, seeds, Side.BASELINE, self.baselines.attempt)
        return _or_problem(found, "The baseline was not trained.")


def _or_problem(found: Fetched, why: str) -> Fetched | Problem:
    """A side's files; where one is missing there is nothing to compare with."""
    wrong = next((entry.file for entry in found.entries if isinstance(entry.file, Problem)), None)
    return found if wrong is None else Problem(reason=Reason.NO_BASELINE, detail=f"{why} {wrong.detail}")


# What people answered for, as the judge learns of it: from the ledger, and from the bot's answers.


@dataclass(frozen=True, kw_only=True, slots=True)
class Granted:
    """What people answered for.

    Attributes:
        waivers: those that may hold for this verdict.
        notices: on what was asked for in vain, and on what ended.
    """

    waivers: tuple[WaiverEntry, ...] = ()
    notices: tuple[Notice, ...] = ()


def granted(hosted: Hosted, assignment: Assignment, evidence: Sequence[Evidence]) -> Granted:
    """The waivers for a verdict on GitHub; none for a trial, whose parameters are not the content they were given for.

    The bot's answers are read only where a gate is open, or where a person or a command started this judge; and the
    role only of who asked for what the ledger does not have yet. So most verdicts cost no request more.

    Raises:
        MlbotError: the comments or a role cannot be read.
    """
    if assignment.decision.trial:
        return Granted()
    known, subject = assignment.waivers, assignment.decision.subject
    verdict = decide(assignment.commits, evidence, known)
    if not isinstance(subject, PullRequestSubject):
        return Granted(waivers=known, notices=ended(known, verdict, evidence, None))
    asked = Resolved()
    if is_open(verdict) or hosted.event_run() is None:
        asked = _asked(hosted, assignment, subject, verdict, evidence)
        verdict = decide(assignment.commits, evidence, (*known, *asked.waivers))
    over = ended(known, verdict, evidence, subject.number)
    return Granted(waivers=(*known, *asked.waivers), notices=(*over, *asked.notices))


def _asked(
    hosted: Hosted,
    assignment: Assignment,
    subject: PullRequestSubject,
    verdict: Verdict,
    evidence: Sequence[Evidence],
) -> Resolved:
    """New waivers, and notices on what was asked for in vain."""
    comments = hosted.github.comments(subject.number)
    records = fresh(recorded(comments, hosted.bot), assignment.waivers)
    asked = [each for each in records if each.number == subject.number]
    if not asked:
        return Resolved()
    policy = assignment.configs.policy
    speakers = _speakers(hosted, policy.waivers if policy else Waivers(), asked, subject)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return resolve(asked, comments, verdict, evidence, speakers, now)


def _speakers(
    hosted: Hosted, rules: Waivers, asked: Iterable[WaiverRequest], subject: PullRequestSubject
) -> frozenset[str]:
    """Who of those that asked about this head has the right to, as the API and the guarded branch's config say now.

    The command's job asked too, but whoever may write to the repository may edit the record that it left.
    """
    actors = dict.fromkeys(each.actor for each in asked if each.sha == subject.sha)
    return frozenset(each for each in actors if may_waive(rules, each, hosted.github.role(each), subject.author))


# `mlbot judge --run`: judge what a training run on GitHub left behind. Reads everything, writes only into a folder.

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
    console.result(terminal(report, console.color, console.width))
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
    from mlbot.ml.plots import picture_spec, svg

    folder.mkdir(parents=True, exist_ok=True)
    for model in report.models:
        spec = picture_spec(model)
        if spec is not None:
            for theme in THEMES:
                (folder / f"{model.model}.{theme}.svg").write_text(svg(spec, theme), encoding="utf-8")


_PAUSE_S = 20.0

Pause = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to wait for a run that is not over.

    Attributes:
        checks: how often to look.
        pause: waits so many seconds.
    """

    checks: int = 900
    pause: Pause = time.sleep


def plan_run(hosted: Hosted, console: Console, patience: Patience | None = None) -> None:
    """Print what GitHub's `GITHUB_OUTPUT` takes.

    `decision`; `base`, `matrix` and `jobs` of the baselines to train; `store`, whether accepted files are stored.

    Raises:
        MlbotError: the run cannot be read.
    """
    decision = _decide(hosted, console, patience or Patience())
    console.say(f"Run {hosted.asked}: {decision.kind}")
    base, matrix = "", '{"include": []}'
    jobs = 0
    if isinstance(decision, Judge):
        try:
            assignment = assign(hosted, decision)
        except MlbotError as error:
            console.say(f"No baseline is trained: {error.what}")  # the judge meets it too, and reports it
        else:
            base, included = assignment.commits.base or "", _matrix(assignment, console)
            matrix, jobs = json.dumps({"include": included}), len(included)
    store = str(is_kept(hosted, decision, console)).lower()
    console.result(f"decision={decision.kind}\nbase={base}\nmatrix={matrix}\njobs={jobs}\nstore={store}")


def _decide(hosted: Hosted, console: Console, patience: Patience) -> Decision:
    """The decision, once the run is over: its event can come before its end."""
    _, decision = hosted.decide()
    for _ in range(patience.checks):
        if not isinstance(decision, Wait):
            break
        console.say("The training is not over yet; looking again soon.")
        patience.pause(_PAUSE_S)
        _, decision = hosted.decide()
    return decision


def _matrix(assignment: Assignment, console: Console) -> list[dict[str, object]]:
    """One job for each baseline and seed, with the seeds and runners that base's own config asks for."""
    base = assignment.sides.base
    if base is None:
        return []
    models = [model for planned in assignment.baselines if (model := base.config.model(planned.name)) is not None]
    plan = assignment.plan.model_copy(
        update={
            "models": tuple(
                planned.model_copy(update={"seeds": model.train.seeds, "runs_on": model.train.runs_on})
                for planned, model in zip(assignment.baselines, models, strict=True)
            )
        }
    )
    jobs = plan.jobs()
    if len(jobs) > MATRIX_LIMIT:
        console.say(f"{len(jobs)} baselines are more than a matrix holds; only the first {MATRIX_LIMIT} are trained.")
    return jobs[:MATRIX_LIMIT]
