"""The jobs that plan and judge a training run on GitHub: `mlbot ci matrix`, `plan` and `judge`."""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from mlbot.commands.params_patch import edited, unified
from mlbot.config.params import load_params
from mlbot.config.schema import Model, Waivers
from mlbot.config.yaml import decode, load
from mlbot.errors import Exit, MlbotError, NotEvaluatedError, UsageError, require
from mlbot.gates.outcome import Reason
from mlbot.git.ledger import LedgerBranch
from mlbot.git.remote import failure
from mlbot.git.repository import Repository
from mlbot.github.comments import with_edits
from mlbot.judging.run_ci import CIRun
from mlbot.judging.run_files import Intake, is_stored, judged_files, live_file
from mlbot.judging.run_judge import JudgeRequest, JudgeResult, Live, Rules, evidence_of, judge, report_of
from mlbot.judging.trial import Change, TrialResult, trial_result
from mlbot.judging.waivers import Resolved, ended, fresh, is_open, resolve
from mlbot.ledger.entries import DeploymentEntry, Entry, VerdictEntry, WaiverEntry, folders_of
from mlbot.ledger.queries import judged_models, latest_by_key, verdicts
from mlbot.lib.constants import CONFIG_FILE
from mlbot.lib.escape import one_line
from mlbot.lib.record import Digest, Params, Sha, digest
from mlbot.plan.plan import MATRIX_LIMIT, Plan, PlannedModel
from mlbot.plan.run_plan import Planning, PlanOptions, matrix_lines, plan_working_tree
from mlbot.protocol.answer import RetrainRequest, WaiverRequest, recorded
from mlbot.protocol.artifacts import Side, accepted_file
from mlbot.protocol.decision import (
    Decision,
    FinishWithoutJudging,
    Handover,
    Judge,
    JudgedSubject,
    PullRequestSubject,
    PushSubject,
    Wait,
)
from mlbot.report.notices import in_production
from mlbot.report.report import Report
from mlbot.report.terminal import terminal
from mlbot.training.run_train import SeedRuns, no_baseline
from mlbot.verdict.decide import Evidence, decide, may_waive
from mlbot.verdict.verdict import Commits, Problem, Verdict


def print_matrix(run: CIRun, base: str | None) -> None:
    """Print the trainings of the commit that is checked out, as GitHub's `GITHUB_OUTPUT` takes them.

    In a re-run, what `/retrain` asked of it is planned. A push is compared with the ledger.
    """
    request = run.request()
    if request is not None:
        run.console.say(_sentence(request))
    models, pushed = request.models if request else (), run.job.event_name == "push"
    options = PlanOptions(base=base, models=models, git_only=True, unjudged=pushed)
    run.console.result(matrix_lines(plan_working_tree(run.repository, options), request))


def _sentence(request: RetrainRequest) -> str:
    models = ", ".join(request.models) or "what is stale"
    if not request.trial:
        return f"{request.actor} asked to train {models} again."
    params = ", ".join(f"{name}={value}" for name, value in sorted(request.params.items()))
    return f"{request.actor} asked for a trial of {models} with {params}."


_HEAD, _POLICY = "refs/mlbot/head", "refs/mlbot/policy"


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What is to be judged, recomputed from git's objects: head is fetched, and never checked out."""

    decision: Judge
    planning: Planning  # every model of head, with why it is stale or asked for; of a trial, its model alone
    entries: tuple[VerdictEntry, ...]  # the ledger's verdicts on the stale models; after a push on all of head's
    waivers: tuple[WaiverEntry, ...]
    deployments: tuple[DeploymentEntry, ...]
    judged: Mapping[tuple[str, str], VerdictEntry]
    """The guarded branch's verdicts whose files may serve as a baseline, by model and content key."""
    baselines: tuple[PlannedModel, ...]
    """The stale models whose baseline is not among them, so that it has to be trained."""

    @property
    def plan(self) -> Plan:
        """What is stale."""
        return self.planning.plan

    @property
    def trial(self) -> RetrainRequest | None:
        """The request of a trial."""
        return self.decision.reruns.trial(self.decision.attempt)


def assign(run: CIRun, decision: Judge) -> Assignment:
    """Fetch the commits of a decision and plan them."""
    planning = Planning.of(run.repository, _commits(run, decision), outside=False)
    if isinstance(decision.subject, PushSubject):
        entries = _known(run, planning.plan.models, planning.plan)
        plan = planning.plan.unjudged(latest_by_key(entries, decision.subject.branch))
    else:
        plan = _asked(planning.plan, decision)
        entries = _known(run, plan.stale, planning.plan)
    judged = judged_models(entries, decision.subject.branch)
    return Assignment(
        decision=decision,
        planning=planning.with_plan(plan),
        entries=tuple(verdicts(entries)),
        waivers=tuple(each for each in entries if isinstance(each, WaiverEntry)),
        deployments=tuple(each for each in entries if isinstance(each, DeploymentEntry)),
        judged=judged,
        baselines=tuple(
            model
            for model in plan.stale
            if _needs_guarded(model, trial=decision.trial) and (model.name, model.base_key) not in judged
        ),
    )


def _needs_guarded(model: PlannedModel, *, trial: bool) -> bool:
    if model.base_key is None or (trial and not model.requested):
        return False
    return model.base_key != model.key or model.requested


def _asked(plan: Plan, decision: Judge) -> Plan:
    request = decision.reruns.request(decision.attempt)
    if request is None:
        return plan
    return plan.trial_of(request.models[0]) if request.trial and request.models else plan.asked_for(request.models)


def _known(run: CIRun, models: Sequence[PlannedModel], of: Plan) -> tuple[Entry, ...]:
    """What the ledger has on models that may be judged, and every waiver.

    A waiver of another model tells that a request was met already, so none is left out; there are few.
    """
    own = ((*folders_of("verdict", each.name), *folders_of("deployment", each.name)) for each in models)
    folders = [*chain.from_iterable(own), *folders_of("waiver")]
    return LedgerBranch.at(run.remote).read_folders(folders, few=len(models) < len(of.models)).entries


def _commits(run: CIRun, decision: Judge) -> Commits:
    repository, subject = run.repository, decision.subject
    refspecs = [f"+{subject.sha}:{_HEAD}", f"+refs/heads/{subject.branch}:{_POLICY}"]
    done = run.remote.run(
        ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", run.remote.url, *refspecs], repository.root
    )
    if done.returncode != 0:
        raise failure(done, "reading", subject.branch)
    tip = repository.resolve(_POLICY)
    base = _base(repository, decision, tip)
    return Commits(
        head=subject.sha,
        base=base,
        policy=tip if CONFIG_FILE in repository.tree(tip).entries else None,
        guarded=subject.branch,
        behind=repository.count_between(base, tip) if base and not isinstance(subject, PushSubject) else 0,
    )


def _base(repository: Repository, decision: Judge, tip: Sha) -> Sha | None:
    """Where head left the guarded branch; of a commit that is on it already, its first parent."""
    if isinstance(decision.subject, PushSubject):
        return repository.find(f"{decision.subject.sha}^1")
    return repository.merge_base(decision.subject.sha, tip)


_PAUSE_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to wait for a run that is not over."""

    checks: int = 900
    pause: Callable[[float], None] = time.sleep


def plan_run(run: CIRun, patience: Patience | None = None) -> None:
    """Print what GitHub's `GITHUB_OUTPUT` takes.

    `decision`; `base`, `matrix` and `jobs` of the baselines to train; `store`, whether accepted files are stored.
    """
    decisions = _decide(run, patience or Patience())
    kinds = [each.kind for each in decisions]
    run.console.say(f"Run {run.attempt}: {', '.join(kinds)}")
    jobs = _unique(job for each in decisions if isinstance(each, Judge) for job in _baselines(run, each))
    lines = {
        "decision": next(kind for kind in ("judge", "finish", "wait", "ignore") if kind in kinds),
        "matrix": json.dumps({"include": jobs}),
        "jobs": len(jobs),
        "store": str(any(is_stored(run, each) for each in decisions)).lower(),
    }
    run.console.result("\n".join(f"{name}={value}" for name, value in lines.items()))


def _decide(run: CIRun, patience: Patience) -> tuple[Decision, ...]:
    """The decisions, once the run is over: its event can come before its end."""
    decisions = run.decide()
    for _ in range(patience.checks):
        if not any(isinstance(each, Wait) for each in decisions):
            break
        run.console.say("The training is not over yet; looking again soon.")
        patience.pause(_PAUSE_S)
        decisions = run.decide()
    return decisions


def _baselines(run: CIRun, decision: Judge) -> list[dict[str, object]]:
    """The jobs that train what one decision has to be compared with, each with the commit to train it from."""
    try:
        assignment = assign(run, decision)
    except UsageError as error:
        run.console.say(f"No baseline is trained: {error.what}")  # the judge meets it too, and reports it
        return []
    except MlbotError as error:
        # A fault that may be over when the judge runs: it would miss the baselines that nobody trained.
        run.console.result(f"problem={_problem(error)}")
        raise
    return [{**job, "base": assignment.planning.commits.base} for job in _baseline_jobs(assignment, run)]


def _unique(jobs: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    """The jobs without those whose artifact another one has: the first pull request's baseline is trained."""
    found = {(job["model"], job["seed"]): job for job in reversed(list(jobs))}
    return list(reversed(found.values()))[:MATRIX_LIMIT]


def _baseline_jobs(assignment: Assignment, run: CIRun) -> list[dict[str, object]]:
    """One job for each baseline and seed, with the seeds and runners that base's own config asks for."""
    base = assignment.planning.sides.base
    if base is None:
        return []
    models = [(each, base.config.model(each.name)) for each in assignment.baselines]
    planned = tuple(
        each.model_copy(update={"seeds": model.train.seeds, "runs_on": model.train.runs_on})
        for each, model in models
        if model is not None
    )
    jobs = assignment.plan.model_copy(update={"models": planned}).jobs()
    if len(jobs) > MATRIX_LIMIT:
        run.console.say(
            f"{len(jobs)} baselines are more than a matrix holds; only the first {MATRIX_LIMIT} are trained."
        )
    return jobs[:MATRIX_LIMIT]


DECISION_FILE, REPORT_FILE, TRIAL_FILE = "decision.json", "report.json", "trial.json"

RECORDS, CHARTS, ACCEPTED, OTHERS = "report", "charts", "accepted", "others"

THEMES = ("light", "dark")

_PROBLEM_CHARACTERS = 500


def judge_run(run: CIRun, out: Path) -> Exit:
    """Judge an attempt of a run, and leave what `mlbot ci publish` needs in a folder.

    `report/` gets the decisions, the report and the pictures, and the same in a folder inside it for each further pull
    request with this head; `accepted/` the model files that were scored, each under its digest. Prints what GitHub's
    `GITHUB_OUTPUT` takes: the digest of what is handed over, or the problem. OK when there is a report, whatever its
    verdict: that is for the status to say.
    """
    try:
        require("ml", needed_for="Judging a model")
        judged = _judged(run, out)
    except MlbotError as error:
        run.console.result(f"problem={_problem(error)}")
        raise
    run.console.result(f"digest={_hand_over(run, judged, out / RECORDS)}")
    return Exit.OK


def _problem(error: MlbotError) -> str:
    return one_line(str(error).splitlines()[0], _PROBLEM_CHARACTERS)


def _judged(run: CIRun, out: Path) -> list[JudgedSubject]:
    """What came of each subject; raises the first problem where there is nothing else."""
    (out / RECORDS).mkdir(parents=True, exist_ok=True)
    judged, failed = list[JudgedSubject](), list[MlbotError]()
    for decision in run.decide():
        folder = subject_folder(len(judged))
        (out / RECORDS / folder).mkdir(parents=True, exist_ok=True)
        try:
            judged.append(JudgedSubject(decision=_judge_subject(run, decision, out, folder), folder=folder))
        except MlbotError as error:
            failed.append(error)
            judged.append(JudgedSubject(decision=decision, folder=folder, problem=_problem(error)))
    if failed and len(failed) == len(judged):
        raise failed[0]
    return judged


def subject_folder(place: int) -> str:
    """Where the records of a subject lie: the first one's in the folder itself, the others' inside it."""
    return f"{OTHERS}/{place}/" if place else ""


def _hand_over(run: CIRun, judged: Sequence[JudgedSubject], records: Path) -> Digest:
    """Write the record of all that is handed over; its digest."""
    files = {path.relative_to(records).as_posix(): digest(path.read_bytes()) for path in _files(records)}
    raw = Handover(judge=run.job.run, subjects=tuple(judged), files=files).model_dump_json().encode()
    (records / DECISION_FILE).write_bytes(raw)
    return digest(raw)


def _files(records: Path) -> list[Path]:
    return sorted(path for path in records.rglob("*") if path.is_file())


def _judge_subject(run: CIRun, decision: Decision, out: Path, folder: str) -> Decision:
    """Judge by the first of the head's runs that has the files for the merge of this pull request."""
    if not isinstance(decision, Judge):
        run.console.say(f"There is nothing to judge: {decision.kind}.")
        return decision
    records = out / RECORDS / folder
    report = _judge(run, decision, records, out / ACCEPTED)
    for attempt in decision.others if _lacks_files(report) else ():
        other = decision.by(attempt)
        found = _judge(run, other, records, out / ACCEPTED)
        if not _lacks_files(found):
            decision, report = other, found
            break
    if _lacks_files(report) and decision.coming:
        run.console.say("The training of this pull request itself is under way; its end starts a judge.")
        return decision.awaited()
    _draw(report, records / CHARTS)
    (records / REPORT_FILE).write_text(report.model_dump_json(), encoding="utf-8")
    run.console.say(terminal(report, run.console.color, run.console.width))
    return decision


def _lacks_files(report: Report) -> bool:
    """Whether a model was not trained for this merge: none was left where the judge's plan has it stale."""
    return any(model.verdict.reason is Reason.MODEL_MISSING for model in report.models)


def _judge(run: CIRun, decision: Judge, records: Path, accepted: Path) -> Report:
    started = time.monotonic()
    assignment = assign(run, decision)
    planning = assignment.planning
    with tempfile.TemporaryDirectory(prefix="mlbot-judge-") as scratch, ExitStack() as checkouts:
        models = ModelJudge(
            run=run,
            assignment=assignment,
            candidates=Intake(run=run, attempt=decision.attempt, folder=Path(scratch)),
            baselines=Intake(run=run, attempt=run.job.run, folder=Path(scratch)),
            rules=Rules(planning=planning, checkouts=checkouts, trusts_head=False),
        )
        results = [models.judge(planned) for planned in assignment.plan.stale]
        evidence = evidence_of(planning, results)
        given = granted(run, assignment, evidence)
        report = report_of(
            planning,
            results,
            decide(planning.commits, evidence, given.waivers),
            notices=given.notices,
            duration_s=time.monotonic() - started,
            **_context(run, assignment),
        )
        _copy_accepted(results, report, accepted)
        if decision.trial:
            result = judged_trial(run, assignment, report)
            (records / TRIAL_FILE).write_text(result.model_dump_json(), encoding="utf-8")
    return report


def _context(run: CIRun, assignment: Assignment) -> dict[str, Any]:
    subject, configs = assignment.decision.subject, assignment.planning.configs
    context: dict[str, Any] = {
        "repository": run.job.repository,
        "repository_url": run.url,
        "inconclusive_blocks": (configs.policy or configs.head).inconclusive.pull_request == "block",
        "run_url": run.job.run_url,
        "head_ref": subject.branch,
        "trial": assignment.decision.trial,
    }
    if isinstance(subject, PullRequestSubject):
        context |= {"pull_request": subject.number, "fork": subject.fork, "head_ref": subject.head_ref}
    return context


def _copy_accepted(results: Sequence[JudgeResult], report: Report, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for result, model in zip(results, report.models, strict=False):
        for each, evaluation in zip(result.request.candidate.runs, model.candidate, strict=False):
            if isinstance(each.file, Path) and evaluation.digest and not evaluation.problem:
                shutil.copyfile(each.file, folder / accepted_file(evaluation.digest))


def _draw(report: Report, folder: Path) -> None:
    """Draw the comment's pictures, light and dark, here where the packages for it are."""
    from mlbot.ml.plots import picture_spec, svg

    folder.mkdir(parents=True, exist_ok=True)
    for model in report.models:
        spec = picture_spec(model)
        if spec is not None:
            for theme in THEMES:
                (folder / f"{model.model}.{theme}.svg").write_text(svg(spec, theme), encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class ModelJudge:
    """Judges one model after another: which files, against which others."""

    run: CIRun
    assignment: Assignment
    candidates: Intake
    baselines: Intake
    rules: Rules

    def judge(self, planned: PlannedModel) -> JudgeResult:
        """Fetch a model's files and judge them."""
        candidate = self._trained(planned, trial=self.assignment.decision.trial)
        request = JudgeRequest(
            rule=self.rules.of(planned.name),
            candidate=candidate,
            baseline=self._baseline(planned, candidate),
            planned=planned,
            overrides=self._overrides,
            past=tuple(entry for entry in self.assignment.entries if entry.model == planned.name),
            live=self._live(planned),
            head=self.assignment.planning.configs.head.model(planned.name),
        )
        return judge(request, progress=self.run.console.say)

    def _live(self, planned: PlannedModel) -> Live | None:
        """What is in production; a trial is only compared with what is committed."""
        assignment, policy = self.assignment, self.assignment.planning.configs.policy
        if policy is None or assignment.decision.trial:
            return None
        entry = in_production(policy.environments, assignment.deployments, planned.name)
        if entry is None:
            return None
        baseline = assignment.judged.get((planned.name, planned.base_key or ""))
        if baseline is not None and baseline.digest == entry.digest:
            return Live(entry=entry, file=None)
        return Live(entry=entry, file=live_file(self.run, entry, assignment.entries, self.baselines.folder))

    @property
    def _overrides(self) -> Params:
        return self.assignment.trial.params if self.assignment.trial else {}

    def _trained(self, planned: PlannedModel, *, trial: bool) -> SeedRuns:
        """The files of the attempt, or of the last one before it that was asked for this model too."""
        decision = self.assignment.decision
        attempt = decision.attempt if trial else decision.reruns.trained(planned.name, decision.attempt)
        return self.candidates.trained(planned, planned.seeds, Side.CANDIDATE, attempt)

    def _baseline(self, planned: PlannedModel, candidate: SeedRuns) -> SeedRuns | Problem:
        """The guarded branch's judged files; else what this run trained from base; never anything of the other run.

        A trial is no verdict, so there the other run's files do: its question is what the parameters are worth.
        """
        if self._overrides and not planned.requested:
            committed = self._trained(planned, trial=False)
            return _or_problem(committed, "committed-not-trained")
        if planned.base_key is None:
            return no_baseline(planned)
        if planned.base_key == planned.key and not planned.requested:
            return candidate
        if planned in self.assignment.baselines:
            return self._trained_baseline(planned)
        entry = self.assignment.judged[planned.name, planned.base_key]
        return judged_files(self.run, entry, self.baselines.folder)

    def _trained_baseline(self, planned: PlannedModel) -> SeedRuns | Problem:
        base = self.assignment.planning.sides.base
        model = base.config.model(planned.name) if base else None
        seeds = model.train.seeds if model else planned.seeds
        found = self.baselines.newest(planned, seeds, Side.BASELINE)
        if any(each.record is not None and each.record.key != planned.base_key for each in found.runs):
            raise NotEvaluatedError(
                f"the baseline of {planned.name} was trained for another pull request with this head",
                hint="Close one of them, or wait until the guarded branch's own model is judged.",
            )
        return _or_problem(found, "not-trained")


def _or_problem(found: SeedRuns, cause: str) -> SeedRuns | Problem:
    """A side's files; where one is missing there is nothing to compare with."""
    wrong = found.problem
    return found if wrong is None else Problem.of(Reason.NO_BASELINE, cause, why=wrong.detail)


def granted(run: CIRun, assignment: Assignment, evidence: Sequence[Evidence]) -> Resolved:
    """The waivers for a verdict on GitHub; none for a trial, whose parameters are not the content they were given for.

    The bot's answers are read only where a gate is open, or where a person or a command started this judge; and the
    role only of who asked for what the ledger does not have yet. So most verdicts cost no request more.
    """
    if assignment.decision.trial:
        return Resolved()
    known, subject = assignment.waivers, assignment.decision.subject
    verdict = decide(assignment.planning.commits, evidence, known)
    if not isinstance(subject, PullRequestSubject):
        return Resolved(waivers=known, notices=ended(known, verdict, evidence, None))
    asked = Resolved()
    if is_open(verdict) or run.event_run is None:
        asked = _waived(run, assignment, subject, verdict, evidence)
        verdict = decide(assignment.planning.commits, evidence, (*known, *asked.waivers))
    over = ended(known, verdict, evidence, subject.number)
    return Resolved(waivers=(*known, *asked.waivers), notices=(*over, *asked.notices))


def _waived(
    run: CIRun, assignment: Assignment, subject: PullRequestSubject, verdict: Verdict, evidence: Sequence[Evidence]
) -> Resolved:
    comments = run.github.comments(subject.number)
    records = fresh(recorded(comments, run.options.bot), assignment.waivers)
    asked = [each for each in records if each.number == subject.number]
    if not asked:
        return Resolved()
    named = {each.comment for each in asked}
    comments = with_edits(run.github, [each for each in comments if each.id in named])
    policy = assignment.planning.configs.policy
    speakers = _speakers(run, policy.waivers if policy else Waivers(), asked, subject)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return resolve(asked, comments, verdict, evidence, speakers, now)


def _speakers(
    run: CIRun, rules: Waivers, asked: Iterable[WaiverRequest], subject: PullRequestSubject
) -> frozenset[str]:
    """Who of those that asked about this head has the right to, as the API and the guarded branch's config say now.

    The command's job asked too, but whoever may write to the repository may edit the record that it left.
    """
    actors = dict.fromkeys(each.actor for each in asked if each.sha == subject.sha)
    return frozenset(each for each in actors if may_waive(rules, each, run.github.role(each), subject.author))


def judged_trial(run: CIRun, assignment: Assignment, report: Report) -> TrialResult:
    """The result of a trial that was judged."""
    decision, request = assignment.decision, assignment.trial
    model = assignment.planning.configs.head.model(request.models[0]) if request else None
    change = Change()
    if model is not None and request is not None:
        change = change_of(run.repository, decision.subject.sha, model, request.params)
    return _trial_result(run, decision, change, report)


def failed_trial(run: CIRun, decision: Judge | FinishWithoutJudging, why: str) -> TrialResult:
    """The result of a trial that came to nothing."""
    return _trial_result(run, decision, Change(), None, why)


def _trial_result(
    run: CIRun, decision: Judge | FinishWithoutJudging, change: Change, report: Report | None, problem: str = ""
) -> TrialResult:
    request = decision.reruns.trial(decision.attempt)
    if request is None:
        raise LookupError(f"{decision.attempt} is no trial")
    number = decision.reruns.trials_until(decision.attempt)
    return trial_result(request, number, run.training_url(decision.attempt), change, report, problem)


def change_of(repository: Repository, commit: Sha, model: Model, overrides: Params) -> Change:
    """The change to the file of parameters that would commit a trial; without its text where that cannot be said."""
    path = model.train.params
    if path is None:
        return Change()
    try:
        raw = repository.read(commit, path)
        committed, text = load_params(raw, path), decode(raw, path)
    except MlbotError:
        return Change(file=path)
    after = _edited(text, path, overrides)
    if after is None or not _holds(after, path, {**committed, **overrides}):
        return Change(committed=committed, file=path)
    return Change(committed=committed, file=path, diff=unified(text, after, path))


def _edited(text: str, path: str, overrides: Params) -> str | None:
    """The new text; JSON is read as YAML for the places of its values, which it is but for tabs."""
    is_json = path.endswith(".json")
    try:
        document = load(text.replace("\t", " ") if is_json else text, path)
        return edited(text, document, overrides, is_json=is_json)
    except MlbotError:
        return None


def _holds(text: str, path: str, params: Mapping[str, object]) -> bool:
    """Whether a text holds just these parameters, types and all: 1, 1.0 and true are three things."""
    try:
        return json.dumps(load_params(text, path), sort_keys=True) == json.dumps(params, sort_keys=True)
    except MlbotError:
        return False
