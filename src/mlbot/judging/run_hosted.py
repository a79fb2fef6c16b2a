"""The jobs that plan and judge a training run on GitHub: `mlbot ci matrix`, `plan` and `judge`."""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from mlbot.commands.params_patch import edited, unified
from mlbot.commands.retrain import MOST_ATTEMPTS
from mlbot.config.cost import Cost
from mlbot.config.params import load_params
from mlbot.config.schema import Config, Model, Waivers
from mlbot.config.yaml import decode, load
from mlbot.errors import Exit, MlbotError, NotEvaluatedError, UsageError, installed, require
from mlbot.events.github import Attempt
from mlbot.gates.outcome import Outcome, Reason, worst
from mlbot.git.ledger import LedgerBranch
from mlbot.git.merge import commits_of, first_parents
from mlbot.git.remote import failure
from mlbot.git.repository import Branch, Repository
from mlbot.github.comments import with_edits
from mlbot.judging.admission import is_outdated
from mlbot.judging.run_changes import data_changes
from mlbot.judging.run_ci import CIRun
from mlbot.judging.run_evaluations import Evaluations, HandedOver
from mlbot.judging.run_files import Intake, are_gone, earlier_seeds, is_stored, judged_files, live_file, sizes_of
from mlbot.judging.run_judge import (
    Against,
    AnchorFiles,
    JudgeRequest,
    JudgeResult,
    Live,
    Rules,
    against,
    as_anchor,
    evidence_of,
    judge_against,
    report_of,
    rules_of,
    with_files,
)
from mlbot.judging.trial import Change, TrialResult, trial_result
from mlbot.judging.waivers import Resolved, ended, fresh, is_open, resolve
from mlbot.ledger.entries import (
    DeploymentEntry,
    EarlierSeed,
    Entry,
    Kind,
    ReleaseEntry,
    RequestEntry,
    SeedCount,
    SeedsAsked,
    VerdictEntry,
    WaiverEntry,
    folders_of,
    time_of,
)
from mlbot.ledger.queries import durations, verdicts
from mlbot.lib.artifact import UnfitError
from mlbot.lib.constants import CONFIG_FILE
from mlbot.lib.escape import one_line
from mlbot.lib.record import Digest, FileDigest, Name, Params, Sha, digest
from mlbot.lib.templates import sentence
from mlbot.plan.anchor import Anchor, anchored_gates, anchors_of
from mlbot.plan.comparison_point import (
    BranchHistory,
    Point,
    comparison_points,
    first_seeds,
    names_of,
    push_point,
    without_restored,
)
from mlbot.plan.packs import HOSTED, Wanted, packs, without_quick
from mlbot.plan.plan import Plan, PlannedModel
from mlbot.plan.run_plan import Planning, PlanOptions, known_durations, matrix_lines, plan_working_tree
from mlbot.protocol.answer import RetrainRequest, WaiverRequest, recorded
from mlbot.protocol.artifacts import Side, accepted_file, accepted_folder, accepted_lineage
from mlbot.protocol.decision import (
    Decision,
    FinishWithoutJudging,
    Handover,
    Ignore,
    Judge,
    JudgedSubject,
    MergeGroupSubject,
    PullRequestSubject,
    PushSubject,
    Wait,
)
from mlbot.report.notices import in_production, look_folders, with_looks
from mlbot.report.report import AttemptCost, ModelReport, Report, document_of
from mlbot.report.terminal import terminal
from mlbot.storage.artifact import measured, pack
from mlbot.training.run_bring import Bringing
from mlbot.training.run_train import SeedRun, SeedRuns
from mlbot.training.trial import trial_key
from mlbot.verdict.decide import Evidence, decide, may_waive
from mlbot.verdict.seeds import Seeds, Wave, next_wave, without_anchors
from mlbot.verdict.verdict import Commits, Problem, Verdict


def print_matrix(run: CIRun, base: str | None) -> None:
    """Print the trainings of the commit that is checked out, as GitHub's `GITHUB_OUTPUT` takes them.

    In a re-run, what `/retrain` asked of it is planned; beside it all that is stale, for GitHub hides what the earlier
    attempts left. A push is compared with the ledger.
    """
    request = run.request()
    wave = run.wave() if request is None else None
    if request is not None:
        run.console.say(_sentence(request))
    pushed, trial = run.job.event_name == "push", request is not None and request.trial
    models, onto = (request.models, request.tip) if request else ((), None)
    if wave is not None:
        onto = wave.tip if wave.attempt == run.job.run else None
    options = PlanOptions(
        base=base,
        onto=onto,
        models=models if trial else (),
        asked=models,
        git_only=True,
        trial=trial,
        unjudged=pushed,
    )
    plan = plan_working_tree(run.repository, options)
    if wave is not None and not pushed:
        plan = _with_wave(plan, wave)
    for each in filter(None, (wave.of(model.name, model.key) for model in plan.stale) if wave else ()):
        if each.missing:
            run.console.say(sentence("seeds", "more", wave=wave_of(each)))
    own = run.config.actions.runs_on if run.config else HOSTED
    known = known_durations(run.repository, plan)
    again = run.job.run.number > 1 and not trial
    run.console.result(matrix_lines(plan, without_quick(known) if again else known, request, own, wave))


def _with_wave(plan: Plan, wave: RequestEntry) -> Plan:
    """The plan in which a model of the very content that a judge asked seeds for is stale, whoever asked before."""
    return plan.asked_for([each.name for each in plan.models if wave.of(each.name, each.key)])


def wave_of(asked: SeedsAsked) -> Wave:
    """What the ledger says of more seeds."""
    return Wave(model=asked.model, had=asked.had, wanted=asked.wanted, undecided=asked.undecided)


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
    releases: tuple[ReleaseEntry, ...]
    points: Mapping[str, Point]
    """What each stale model is compared with; a trial's is not in it, whose baseline is the committed parameters."""
    anchors: Mapping[str, tuple[Anchor, ...]]  # the earlier models that its gates ask too
    rules: Mapping[str, Digest]  # what each model is judged by, as the guarded branch has it now
    past: tuple[VerdictEntry, ...]  # of these verdicts those on commits that were the branch's tip
    judged: Mapping[str, VerdictEntry]
    """The verdicts on what was judged already by other rules, so that its files are there, by model."""

    @property
    def plan(self) -> Plan:
        """What is stale."""
        return self.planning.plan

    @property
    def trial(self) -> RetrainRequest | None:
        """The request of a trial."""
        return self.decision.reruns.trial(self.decision.attempt)

    def at_base(self, planned: PlannedModel) -> PlannedModel:
        """A model by the name that it has at the commit that it is compared with, where a training of that is named."""
        own = planned.base_key and planned.name in self.planning.renamed
        return planned.model_copy(update={"name": self.planning.names[planned.name]}) if own else planned

    def asked(self, planned: PlannedModel) -> SeedsAsked | None:
        """The seeds that a judge asked this attempt for, of this very content."""
        return self.decision.wave.of(planned.name, planned.key) if self.decision.wave else None

    def wanted(self, planned: PlannedModel) -> SeedCount:
        """How many seeds each side should have."""
        asked = self.asked(planned)
        return asked.wanted if asked else first_seeds(planned, self.points.get(planned.name), self.past)

    def lacking(self, planned: PlannedModel, judged: VerdictEntry) -> tuple[int, ...]:
        """The baseline's seeds that the verdict on it has no files of."""
        known = {each.seed for each in judged.files}
        return tuple(seed for seed in range(self.wanted(planned).baseline) if seed not in known)

    def apart(self, planned: PlannedModel) -> tuple[Anchor, ...]:
        """The anchors that are not the baseline."""
        point = self.points.get(planned.name)
        own = point.entry.key if point and point.entry and not point.train else None
        return tuple(each for each in self.anchors.get(planned.name, ()) if each.entry.key != own)

    def waves(self, planned: PlannedModel) -> tuple[Wave, ...]:
        """Why there are as many, one after the other."""
        found = (each.of(planned.name, planned.key) for each in self.decision.waves)
        return tuple(wave_of(each) for each in found if each is not None and each.wanted != each.had)


def assign(run: CIRun, decision: Judge) -> Assignment:
    """Fetch the commits of a decision, plan them, and say what each stale model is compared with."""
    tip = _fetch(run, decision)
    chain = first_parents(run.repository, tip)
    if isinstance(decision.subject, PushSubject):
        return _of_push(run, decision, decision.subject, chain)
    planning = Planning.of(run.repository, _commits(run, decision, tip, chain), outside=False)
    plan = _asked(planning.plan, decision)
    entries = _known(run, plan.stale, planning)
    history = _history(run, decision.subject.branch, entries, chain, planning.names)
    rules = rules_of(planning.sides.policy)
    compared = [each for each in plan.stale if not _is_trial(decision, each)]
    points = comparison_points(compared, history, planning.commits.base, rules)
    planning = planning.with_plan(without_restored(plan.with_history(history.verdicts, trial=decision.trial), points))
    return _assignment(decision, planning, entries, history, rules, points)


def _of_push(run: CIRun, decision: Judge, subject: PushSubject, chain: Mapping[Sha, int]) -> Assignment:
    """The branch's own commit: what has no verdict by today's rules is judged, and compared with what was before it."""
    sha, branch = subject.sha, subject.branch
    commits = _of_branch(run.repository, subject, run.repository.resolve(_POLICY))
    before = _tip_before(run, subject)
    commits = commits.model_copy(update={"base": before or commits.base})
    planning = Planning.of(run.repository, commits, outside=False)
    entries = _known(run, planning.plan.models, planning)
    history = _history(run, branch, entries, chain, planning.names)
    rules = rules_of(planning.sides.policy)
    base = before or history.before(sha).last_judged
    if base not in {None, commits.base}:
        planning = Planning.of(run.repository, commits.model_copy(update={"base": base}), outside=False)
    plan = planning.plan.unjudged(history.latest, rules).with_history(history.verdicts)
    there = planning.sides.base.models if base and planning.sides.base else {}
    points = {each.name: push_point(each, history, sha, base, was_there=each.name in there) for each in plan.stale}
    return _assignment(decision, planning.with_plan(plan), entries, history, rules, points)


def _history(
    run: CIRun, branch: str, entries: Sequence[Entry], chain: Mapping[Sha, int], names: Mapping[Name, Name]
) -> BranchHistory:
    """What the ledger knows of a branch; where it was rewritten, with the commits that GitHub says were its tip."""
    history = BranchHistory.of(entries, branch, chain, names=names)
    if not history.lacking:
        return history
    former = [sha for each in reversed(run.pushes(branch)) for sha in (each.before, each.after)]
    return BranchHistory.of(entries, branch, chain, former, names)


_GONE = (b"not our ref", b"unadvertised object")
"""What git says of a commit that the remote has no more, or gives to nobody: that is no fault of the network."""


def _tip_before(run: CIRun, subject: PushSubject) -> Sha | None:
    """The branch's tip before a push, as GitHub says; None where the branch was made by it, or it is lost."""
    moves = (each.before for each in run.pushes(subject.branch) if each.after == subject.sha)
    before = next((each for each in moves if each.strip("0")), None)
    if before is None or run.repository.find(before) is not None:
        return before
    fetch = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", run.remote.url, before]  # it was rewritten
    done = run.remote.run(fetch, run.repository.root)
    if done.returncode and not any(each in done.stderr for each in _GONE):
        raise failure(done, "reading", before, kind="commit")
    return run.repository.find(before)


def _assignment(
    decision: Judge,
    planning: Planning,
    entries: Sequence[Entry],
    history: BranchHistory,
    rules: Mapping[str, Digest],
    points: Mapping[str, Point],
) -> Assignment:
    return Assignment(
        decision=decision,
        planning=planning,
        anchors={each.name: _anchors(decision, planning, entries, history, each) for each in planning.plan.stale},
        entries=tuple(verdicts(entries)),
        waivers=tuple(each for each in entries if isinstance(each, WaiverEntry)),
        deployments=tuple(each for each in entries if isinstance(each, DeploymentEntry)),
        releases=tuple(each for each in entries if isinstance(each, ReleaseEntry)),
        points=points,
        rules=rules,
        past=history.verdicts,
        judged={each.name: history.latest[each.name, each.key] for each in planning.plan.stale if each.judged_before},
    )


def _anchors(
    decision: Judge, planning: Planning, entries: Sequence[Entry], history: BranchHistory, planned: PlannedModel
) -> tuple[Anchor, ...]:
    """The anchors of a model's gates; a trial has none, whose question is what its parameters are worth."""
    if _is_trial(decision, planned):
        return ()
    policy = planning.configs.policy
    model = (policy.model(planned.name) if policy else None) or planning.configs.head.model(planned.name)
    subject, asked = decision.subject, anchored_gates(model) if model else ()
    released = [each for each in entries if isinstance(each, ReleaseEntry)]
    earlier = history.before(subject.sha) if isinstance(subject, PushSubject) else history
    return anchors_of(earlier, planned.name, asked, released)


def _is_trial(decision: Judge, model: PlannedModel) -> bool:
    return decision.trial and not model.requested


def _asked(plan: Plan, decision: Judge) -> Plan:
    request = decision.reruns.request(decision.attempt)
    if request is None:
        return _with_wave(plan, decision.wave) if decision.wave else plan
    return plan.trial_of(request.models[0]) if request.trial and request.models else plan.asked_for(request.models)


def _known(run: CIRun, models: Sequence[PlannedModel], of: Planning) -> tuple[Entry, ...]:
    """What the ledger has on models that may be judged, by each name that they had, and every waiver.

    A waiver of another model tells that a request was met already, so none is left out; there are few.
    """
    kinds: tuple[Kind, ...] = ("verdict", "deployment", "release")
    called = dict.fromkeys(name for each in models for name in names_of(each.name, of.names))
    own = (folder for name in called for kind in kinds for folder in folders_of(kind, name))
    folders = [*own, *folders_of("waiver")]
    return LedgerBranch.at(run.remote).read_folders(folders, few=len(models) < len(of.plan.models)).entries


def _fetch(run: CIRun, decision: Judge) -> Sha:
    """Fetch the subject, and the guarded branch by its full name, as a tag may be called like it; the branch's tip."""
    repository, subject = run.repository, decision.subject
    refspecs = [f"+{subject.sha}:{_HEAD}", f"+refs/heads/{subject.branch}:{_POLICY}"]
    done = run.remote.run(
        ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", run.remote.url, *refspecs], repository.root
    )
    if done.returncode != 0:
        raise failure(done, "reading", subject.branch)
    return repository.resolve(_POLICY)


def _of_branch(repository: Repository, subject: PushSubject, tip: Sha) -> Commits:
    """The commits of a push: nothing is merged."""
    policy = tip if repository.tree(tip).file(CONFIG_FILE) else None
    base = repository.find(f"{subject.sha}^1")
    return Commits(head=subject.sha, base=base, policy=policy, guarded=subject.branch)


def _commits(run: CIRun, decision: Judge, tip: Sha, chain: Mapping[Sha, int]) -> Commits:
    """The commits of a pull request or a merge group, merged into the branch's tip or into the one that is pinned."""
    repository, subject = run.repository, decision.subject
    pinned = _pinned(decision)
    onto = pinned if pinned in chain else None
    commits = commits_of(repository, subject.sha, Branch(name=subject.branch, sha=tip), onto=onto)
    if isinstance(subject, MergeGroupSubject) and commits.merged is not None:
        raise NotEvaluatedError(
            f"{subject.branch} has moved on since the merge queue made this group", hint="The queue makes another."
        )
    return commits


def _pinned(decision: Judge) -> Sha | None:
    """The tip that the bot recorded for this very pull request and head; another one's may be of another branch."""
    request, subject = decision.reruns.request(decision.attempt), decision.subject
    if request is None:
        return decision.pinned
    if not isinstance(subject, PullRequestSubject):
        return None
    return request.tip if (request.number, request.sha) == (subject.number, subject.sha) else None


_PAUSE_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to wait for a run that is not over."""

    checks: int = 900
    pause: Callable[[float], None] = time.sleep


def plan_run(run: CIRun, patience: Patience | None = None) -> None:
    """Print what GitHub's `GITHUB_OUTPUT` takes.

    `decision`; `matrix` and `jobs` of the baselines to train; `evaluate`, whether an evaluator with secrets is to run;
    `store`, whether accepted files are stored.
    """
    decisions = _decide(run, patience or Patience())
    kinds = ["finish" if isinstance(each, Ignore) and each.leaves_pending else each.kind for each in decisions]
    run.console.say(f"Run {run.attempt}: {', '.join(kinds)}")
    needed = [_needed(run, each) for each in decisions if isinstance(each, Judge)]
    jobs = _baseline_jobs(chain.from_iterable(each.baselines for each in needed))
    lines = {
        "decision": next(kind for kind in ("judge", "finish", "wait", "ignore") if kind in kinds),
        "matrix": json.dumps({"include": jobs}),
        "jobs": len(jobs),
        "evaluate": str(any(each.evaluates for each in needed)).lower(),
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


@dataclass(frozen=True, kw_only=True)
class _Needed:
    """What a decision needs before it can be judged."""

    baselines: Sequence[Wanted] = ()
    evaluates: bool = False


def _needed(run: CIRun, decision: Judge) -> _Needed:
    """What one decision has to be compared with and nobody has, with the commit to train it from; and how long it took.

    Without a candidate there is nothing to compare, so nothing is trained for it.
    """
    try:
        assignment = assign(run, decision)
        stale = assignment.plan.stale
        wanted = [(each, missing) for each in stale for missing in _to_train(assignment, run, each)]
        asked = {each.name: each for each, _ in wanted}
        there = _trained_models(run, decision, [*asked.values()], sizes_of(assignment.planning))
    except UsageError as error:
        run.console.say(f"No baseline is trained: {error.what}")  # the judge meets it too, and reports it
        return _Needed()
    except MlbotError as error:
        # A fault that may be over when the judge runs: it would miss the baselines that nobody trained.
        run.console.result(f"problem={_problem(error)}")
        raise
    known = durations(assignment.entries)
    baselines = [
        Wanted(
            model=_as_committed(assignment, each),
            commit=missing.commit,
            seeds=missing.seeds,
            label=missing.label,
            known_s=known.get(each.name),
        )
        for each, missing in wanted
        if each.name in there or each.judged_before or assignment.asked(each)
    ]
    return _Needed(baselines=baselines, evaluates=any(_evaluates_apart(assignment, each) for each in stale))


def _evaluates_apart(assignment: Assignment, planned: PlannedModel) -> bool:
    """Whether the guarded branch's evaluator of a model has secrets, so that a job of its own runs it."""
    policy = assignment.planning.configs.policy
    model = policy.model(planned.name) if policy else None
    return model is not None and model.evaluate is not None and bool(model.evaluate.secrets)


def _trained_models(
    run: CIRun, decision: Judge, models: Sequence[PlannedModel], limits: Mapping[Name, int]
) -> frozenset[Name]:
    """The models of which the training left any file."""
    if not models:
        return frozenset()
    wanted = {each.name: each.seeds for each in models}
    with tempfile.TemporaryDirectory(prefix="mlbot-plan-") as scratch:
        intake = Intake(run=run, attempt=decision.attempt, folder=Path(scratch), wanted=wanted, limits=limits)
        return frozenset(each.name for each in models if intake.has_any(each))


def _baseline_jobs(found: Iterable[Wanted]) -> list[dict[str, Any]]:
    """The jobs for what is wanted; of a model that several pull requests want, the first one's baseline is trained."""
    first: dict[tuple[Name, str], Wanted] = {}
    for wanted in found:
        first.setdefault((wanted.model.name, wanted.label), wanted)
    return [pack.job for pack in packs(first.values())]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Missing:
    """What nobody has the files of: a commit of the guarded branch, and the seeds to train from it."""

    commit: Sha
    seeds: tuple[int, ...]
    label: str = ""


def _to_train(assignment: Assignment, run: CIRun, planned: PlannedModel) -> Iterator[_Missing]:
    """The commits of the guarded branch whose model has to be trained: the baseline, and anchors that have expired."""
    point, seeds = assignment.points.get(planned.name), tuple(range(assignment.wanted(planned).baseline))
    if point is not None and point.train:
        yield _Missing(commit=point.train, seeds=seeds)
    elif point is not None and point.entry is not None:
        missing = seeds if are_gone(run, point.entry) else assignment.lacking(planned, point.entry)
        if missing:
            yield _Missing(commit=point.entry.commit, seeds=missing)
    for each in assignment.apart(planned):
        if are_gone(run, each.files):
            files, commit = each.files.files, each.entry.commit
            yield _Missing(commit=commit, seeds=tuple(file.seed for file in files), label=f"+anchor-{commit[:7]}")


def _as_committed(assignment: Assignment, planned: PlannedModel) -> PlannedModel:
    """A model with the name that it has on the guarded branch, and the runner that this asks for."""
    base = assignment.planning.sides.base
    model = base.config.model(planned.name) if base else None
    if model is None:
        return planned
    return assignment.at_base(planned).model_copy(update={"runs_on": model.train.runs_on})


DECISION_FILE, REPORT_FILE, TRIAL_FILE = "decision.json", "report.json", "trial.json"

RECORDS, CHARTS, ACCEPTED, OTHERS = "report", "charts", "accepted", "others"

THEMES = ("light", "dark")

_PROBLEM_CHARACTERS = 500


def evaluate_run(run: CIRun, out: Path) -> Exit:
    """Run the evaluators with secrets on what is to be judged, and leave their results in a folder.

    Prints what GitHub's `GITHUB_OUTPUT` takes: the digest of what is handed over.
    """
    require("judge", needed_for="Evaluating a model")
    written = Evaluations(folder=out)
    for decision in run.decide():
        try:
            _evaluate(run, decision, written)
        except MlbotError as error:  # of this subject alone; the judge meets it too, and reports it
            run.console.say(_problem(error))
    run.console.result(f"digest={written.finish()}")
    return Exit.OK


def _evaluate(run: CIRun, decision: Decision, written: Evaluations) -> None:
    """Evaluate what is judged: as the judge does, the first of the head's runs that has the files."""
    attempts = (decision, *map(decision.by, decision.others)) if isinstance(decision, Judge) else ()
    any(_evaluated(run, each, written) for each in attempts)


def _evaluated(run: CIRun, decision: Judge, written: Evaluations) -> bool:
    """Evaluate what an attempt left; whether it left all that an evaluator with secrets is to judge."""
    assignment = assign(run, decision)
    apart = [each for each in assignment.plan.stale if _evaluates_apart(assignment, each)]
    with _model_judge(run, assignment, None) as models:
        found = [models.evaluate(planned, written) for planned in apart]
    return all(found)


@contextmanager
def _model_judge(run: CIRun, assignment: Assignment, evaluated: HandedOver | None) -> Iterator["ModelJudge"]:
    """What judges the models of an assignment, with a place for the files that it fetches."""
    with tempfile.TemporaryDirectory(prefix="mlbot-judge-") as scratch, ExitStack() as checkouts:
        folder, attempt, limits = Path(scratch), assignment.decision.attempt, sizes_of(assignment.planning)
        yield ModelJudge(
            run=run,
            assignment=assignment,
            candidates=Intake(run=run, attempt=attempt, folder=folder, wanted=_seeds(assignment), limits=limits),
            baselines=Intake(
                run=run,
                attempt=run.job.run,
                folder=folder,
                side=Side.BASELINE,
                wanted=_seeds(assignment, baseline=True),
                limits=limits,
            ),
            rules=Rules(planning=assignment.planning, checkouts=checkouts, trusts_head=False, handed_over=evaluated),
        )


def judge_run(run: CIRun, out: Path, evaluated: HandedOver | None = None) -> Exit:
    """Judge an attempt of a run, and leave what `mlbot ci publish` needs in a folder.

    `report/` gets the decisions, the report and the pictures, and the same in a folder inside it for each further pull
    request with this head; `accepted/` the model files that were scored, each under its digest. Prints what GitHub's
    `GITHUB_OUTPUT` takes: the digest of what is handed over, whether it trains again, whether seeds are lacking so that
    the accepted ones are needed, and whether the accepted files are kept; or the problem. OK when there is a report,
    whatever its verdict: that is for the status to say.
    """
    try:
        require("judge", needed_for="Judging a model")
        judged = _judged(run, out, evaluated or HandedOver(folder=out))
    except MlbotError as error:
        run.console.result(f"problem={_problem(error)}")
        raise
    run.console.result(f"digest={_hand_over(run, judged, out / RECORDS)}")
    lacking = any(each.request is not None for each in judged)
    run.console.result(f"again={str(lacking or any(each.outdated for each in judged)).lower()}")
    run.console.result(f"lacking={str(lacking).lower()}")
    run.console.result(f"keep={str(any(_is_push(each.decision) for each in judged)).lower()}")
    return Exit.OK


def _is_push(decision: Decision) -> bool:
    """Whether later changes are compared with what was judged, so that its files are kept."""
    return isinstance(decision, Judge) and isinstance(decision.subject, PushSubject)


def _problem(error: MlbotError) -> str:
    return one_line(str(error).splitlines()[0], _PROBLEM_CHARACTERS)


def _judged(run: CIRun, out: Path, evaluated: HandedOver) -> list[JudgedSubject]:
    """What came of each subject; raises the first problem where there is nothing else."""
    (out / RECORDS).mkdir(parents=True, exist_ok=True)
    judged, failed = list[JudgedSubject](), list[MlbotError]()
    for decision in run.decide():
        folder = subject_folder(len(judged))
        (out / RECORDS / folder).mkdir(parents=True, exist_ok=True)
        try:
            judged.append(_judge_subject(run, decision, out, folder, evaluated))
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


def _judge_subject(run: CIRun, decision: Decision, out: Path, folder: str, evaluated: HandedOver) -> JudgedSubject:
    """Judge by the first of the head's runs that has the files for the merge of this pull request."""
    if not isinstance(decision, Judge):
        run.console.say(f"There is nothing to judge: {decision.kind}.")
        return JudgedSubject(decision=decision, folder=folder)
    records = out / RECORDS / folder
    report, request = _judge(run, decision, records, out / ACCEPTED, evaluated)
    for attempt in decision.others if _lacks_files(report) else ():
        other = decision.by(attempt)
        found, _ = _judge(run, other, records, out / ACCEPTED, evaluated)
        if not _lacks_files(found):
            decision, report, request = other, found, None
            break
    if _lacks_files(report) and decision.coming:
        run.console.say("The training of this pull request itself is under way; its end starts a judge.")
        return JudgedSubject(decision=decision.awaited(), folder=folder)
    _draw(report, records / CHARTS)
    (records / REPORT_FILE).write_text(report.model_dump_json(), encoding="utf-8")
    run.console.say(terminal(report, run.console.color, run.console.width))
    outdated = is_outdated(decision, report)
    return JudgedSubject(
        decision=decision, folder=folder, outdated=outdated, request=None if outdated or folder else request
    )


def _lacks_files(report: Report) -> bool:
    """Whether a model was not trained for this merge: none was left where the judge's plan has it stale."""
    return any(model.verdict.reason in {Reason.MODEL_MISSING, Reason.OUTDATED} for model in report.models)


def _judge(
    run: CIRun, decision: Judge, records: Path, accepted: Path, evaluated: HandedOver
) -> tuple[Report, RequestEntry | None]:
    """The report; and a request of the seeds that the verdict lacks, where they can be had."""
    started = time.monotonic()
    assignment = assign(run, decision)
    planning = assignment.planning
    _check_isolation(planning.configs.policy)
    with _model_judge(run, assignment, evaluated) as models:
        profiled = LedgerBranch.at(run.remote).branch.paths(*folders_of("profile")) if _is_push(decision) else None
        say = run.console.say
        data = () if decision.trial else data_changes(planning, models.rules, progress=say, profiled=profiled)
        results = [models.judge(planned) for planned in assignment.plan.stale]
        evidence = evidence_of(planning, results, data)
        given = granted(run, assignment, evidence)
        report = report_of(
            planning,
            results,
            decide(planning.commits, evidence, given.waivers),
            notices=given.notices,
            duration_s=time.monotonic() - started,
            data=data,
            **_context(run, assignment),
        )
        report = _looked(run, assignment, report).model_copy(update={"cost": _cost(run, assignment)})
        _copy_accepted(results, report, accepted)
        if decision.trial:
            result = judged_trial(run, assignment, report)
            (records / TRIAL_FILE).write_text(result.model_dump_json(), encoding="utf-8")
        request = _request(run, assignment, report, accepted)
    return report, request


def _check_isolation(policy: Config | None) -> None:
    """Where nothing but limits would hold a stranger's model, the guarded branch has to say that this will do."""
    if sys.platform != "linux" and (policy is None or policy.actions.isolation == "full"):
        raise NotEvaluatedError(sentence("workflows", "no-sandbox/what"), hint=sentence("workflows", "no-sandbox/hint"))


def _cost(run: CIRun, assignment: Assignment) -> AttemptCost | None:
    """What training and judging took of runners; None where GitHub does not say."""
    training, judging = run.runner_times(assignment.decision.attempt), run.runner_times(run.job.run)
    policy = assignment.planning.configs.policy
    rules = policy.cost if policy else Cost()
    if not (training or judging):
        return None
    return AttemptCost(
        training=training,
        judging=judging,
        estimate=rules.estimate((*training, *judging)),
        currency=rules.currency,
        utilisation=rules.utilisation,
        intensity=rules.intensity,
    )


def _looked(run: CIRun, assignment: Assignment, report: Report) -> Report:
    """The report with the looks at its holdouts so far, of which the ledger's names alone are read."""
    folders, subject = look_folders(report), assignment.decision.subject
    if not folders:
        return report
    paths = LedgerBranch.at(run.remote).branch.paths(*folders)
    pull = (subject.number, run.policy.repository_id) if isinstance(subject, PullRequestSubject) else None
    return with_looks(report, paths, pull, config=assignment.planning.configs.policy)


MOST_WAVES = 2
"""How often a judge asks for more seeds in a row."""


def _request(run: CIRun, assignment: Assignment, report: Report, accepted: Path) -> RequestEntry | None:
    """What the verdict lacks, for one more attempt of this very training; None where it lacks nothing."""
    decision, following = assignment.decision, assignment.decision.attempt.number + 1
    waves = {each.model: each for each in map(next_wave, report.verdict.models) if each is not None}
    outcome = worst(map(without_anchors, report.verdict.models))
    open_ = outcome not in {Outcome.FAIL, Outcome.ERROR}  # more seeds would change nothing of that
    if not waves or not open_ or decision.trial or decision.instead_of is not None:
        return None
    tried = [each for each in decision.waves if any(each.of(of.name, of.key) for of in assignment.plan.stale)]
    if len(tried) >= MOST_WAVES or following > MOST_ATTEMPTS:
        return None
    pull = isinstance(decision.subject, PullRequestSubject)
    return RequestEntry(
        attempt=Attempt(run=decision.attempt.run, number=following),
        commit=decision.subject.sha,
        branch=decision.subject.branch,
        pull_request=decision.number,
        tip=assignment.planning.commits.base if pull else None,
        judge=run.job.run,
        models=tuple(
            _seeds_asked(model, key, seeds, waves.get(model.model), accepted)
            for model in report.models
            if (key := model.verdict.key) is not None and (seeds := model.verdict.seeds) is not None
        ),
        time=time_of(datetime.now(UTC)),
    )


def _seeds_asked(model: ModelReport, key: Digest, seeds: Seeds, wave: Wave | None, accepted: Path) -> SeedsAsked:
    """What is asked of a model, with what it has by now; of one that is decided nothing, for it is judged again too."""
    return SeedsAsked(
        model=model.model,
        key=key,
        had=seeds.count,
        wanted=wave.wanted if wave else seeds.count,
        undecided=wave.undecided if wave else (),
        earlier=tuple(_earlier(model, accepted)),
    )


def _earlier(model: ModelReport, accepted: Path) -> Iterator[EarlierSeed]:
    """Each seed's file and lineage; its lineage is written beside the file that the judge has accepted."""
    lineage = {each.seed: each for each in model.candidate_training}
    for each in model.candidate:
        if each.digest is None or each.problem is not None or each.seed not in lineage:
            continue
        raw = document_of(lineage[each.seed])
        name = digest(raw)
        (accepted / accepted_lineage(name)).write_bytes(raw)
        yield EarlierSeed(
            seed=each.seed,
            file=FileDigest(digest=each.digest, size_bytes=each.size_bytes),
            lineage=FileDigest(digest=name, size_bytes=len(raw)),
        )


def _seeds(assignment: Assignment, *, baseline: bool = False) -> dict[Name, int]:
    """How many seeds of each model may be looked for."""
    stale = assignment.plan.stale
    if baseline:
        return {assignment.at_base(each).name: max(_seeds_of_branch(assignment, each)) for each in stale}
    return {each.name: assignment.wanted(each).candidate for each in stale}


def _seeds_of_branch(assignment: Assignment, planned: PlannedModel) -> Iterator[int]:
    """How many seeds the baseline has, and each anchor."""
    yield assignment.wanted(planned).baseline
    yield from (file.seed + 1 for each in assignment.apart(planned) for file in each.files.files)


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
                if each.file.is_dir():
                    pack(each.file, folder / accepted_folder(evaluation.digest), evaluation.digest)
                else:
                    shutil.copyfile(each.file, folder / accepted_file(evaluation.digest))


def _draw(report: Report, folder: Path) -> None:
    """Draw the comment's pictures, light and dark, where the packages for it are."""
    if not installed("charts"):
        return
    from mlbot.ml.plots import picture_spec, svg

    folder.mkdir(parents=True, exist_ok=True)
    for model in report.models:
        spec = picture_spec(model)
        if spec is not None:
            for theme in THEMES:
                (folder / f"{model.model}.{theme}.svg").write_text(svg(spec, theme), encoding="utf-8")


def _as_pinned(run: SeedRun, wanted: Digest | None) -> SeedRun:
    if wanted is None or not isinstance(run.file, Path):
        return run
    found = measured(run.file).digest
    if found == wanted:
        return run
    return SeedRun(seed=run.seed, file=Problem.of(Reason.MODEL_REFUSED, "not-pinned", digest=found))


@dataclass(frozen=True, kw_only=True)
class ModelJudge:
    """Judges one model after another: which files, against which others."""

    run: CIRun
    assignment: Assignment
    candidates: Intake
    baselines: Intake
    rules: Rules

    def judge(self, planned: PlannedModel) -> JudgeResult:
        """Fetch a model's files and judge them; against two baselines the worse result counts."""
        request, baselines = self._request(planned)
        return judge_against(request, baselines, progress=self.run.console.say)

    def evaluate(self, planned: PlannedModel, written: Evaluations) -> bool:
        """Run the evaluator on each of a model's files, of every side; where no candidate is, on none, and False."""
        from mlbot.judging.run_evaluate import hand_over

        candidate = self._candidate(planned)
        if candidate.problem is not None:
            return False
        baselines = self._baselines(planned, candidate)
        anchors = [each.files for each in self._anchors(planned, baselines)]
        others = (each for each in (*(each.files for each in baselines), *anchors) if isinstance(each, SeedRuns))
        sides = [candidate, *others]
        files = [each.file for side in sides for each in side.runs if isinstance(each.file, Path)]
        hand_over(self.rules.of(planned.name), files, written, progress=self.run.console.say)
        return True

    def _request(self, planned: PlannedModel) -> tuple[JudgeRequest, tuple[Against, ...]]:
        candidate = self._candidate(planned)
        baselines = self._baselines(planned, candidate)
        request = JudgeRequest(
            rule=self.rules.of(planned.name),
            candidate=candidate,
            baseline=baselines[0].files,
            rules=self.assignment.rules.get(planned.name),
            planned=planned,
            overrides=self._overrides,
            past=tuple(entry for entry in self.assignment.past if entry.model == planned.name),
            waves=self.assignment.waves(planned),
            live=self._live(planned),
            anchors=self._anchors(planned, baselines),
            releases=tuple(each for each in self.assignment.releases if each.model == planned.name),
            head=self.assignment.planning.configs.head.model(planned.name),
            recorded=_is_push(self.assignment.decision),
        )
        return request, baselines

    def _candidate(self, planned: PlannedModel) -> SeedRuns:
        """What was trained; of content that was judged already, and is judged by other rules now, its stored files."""
        entry = self.assignment.judged.get(planned.name)
        if entry is None or self.assignment.asked(planned):
            return self._as_pinned(planned, self._trained(planned, trial=self.assignment.decision.trial))
        found = judged_files(self.run, entry, self.candidates.folder)
        if not isinstance(found, Problem):
            return found
        lost = Problem.of(Reason.MODEL_MISSING, "files-gone", why=found.inner)
        return SeedRuns(runs=tuple(SeedRun(seed=each.seed, file=lost) for each in entry.files))

    def _as_pinned(self, planned: PlannedModel, found: SeedRuns) -> SeedRuns:
        """The same; of a model that is brought nothing else than what git, as the judge has it, says that it is."""
        planning = self.assignment.planning
        model = planning.configs.head.model(planned.name)
        if model is None or model.artifact is None:
            return found
        side = planning.sides.head
        bringing = Bringing(model=model, artifact=model.artifact, side=side, repository=planning.repository)
        try:
            wanted = bringing.pinned()
        except UnfitError as error:
            lacking = Problem.of(Reason.MODEL_MISSING, "not-had", why=error.what, hint="")
            return SeedRuns(runs=tuple(SeedRun(seed=each.seed, file=lacking) for each in found.runs))
        return SeedRuns(runs=tuple(_as_pinned(each, wanted) for each in found.runs))

    def _live(self, planned: PlannedModel) -> Live | None:
        """What is in production; a trial is only compared with what is committed."""
        assignment, policy = self.assignment, self.assignment.planning.configs.policy
        if policy is None or assignment.decision.trial:
            return None
        entry = in_production(policy.environments, assignment.deployments, planned.name)
        if entry is None:
            return None
        point, rule = assignment.points.get(planned.name), self.rules.of(planned.name)
        own = point and point.entry and not point.train and point.entry.digest == entry.digest
        evaluate = rule.model.evaluate
        if own or (evaluate is not None and evaluate.secrets):  # the job that has them asked of both sides alone
            return Live(entry=entry, file=None)
        return Live(entry=entry, file=live_file(self.run, entry, assignment.entries, self.baselines.folder))

    @property
    def _overrides(self) -> Params:
        return self.assignment.trial.params if self.assignment.trial else {}

    def _trained(self, planned: PlannedModel, *, trial: bool) -> SeedRuns:
        """What was trained from the change as it is; of a trial with its parameters, and in its own attempt."""
        key = trial_key(planned.key, self._overrides) if trial else planned.key
        wave, asked = self.assignment.decision.wave, self.assignment.asked(planned)
        earlier = earlier_seeds(self.run, wave, asked, self.candidates.folder) if wave and asked else {}
        seeds = [seed for seed in range(self.assignment.wanted(planned).candidate) if seed not in earlier]
        found = self.candidates.seeds(planned, seeds, key, alone=trial)
        return SeedRuns(runs=(*earlier.values(), *found.runs))

    def _baselines(self, planned: PlannedModel, candidate: SeedRuns) -> tuple[Against, ...]:
        """The guarded branch's judged files; else what this run trained of it; never anything of the other run.

        A trial is no verdict, so there the other run's files do: its question is what the parameters are worth.
        """
        point = self.assignment.points.get(planned.name)
        if point is None:
            return (Against(files=self._committed(planned, candidate)),)
        if point.problem is not None:
            return (Against(files=point.problem, compared=point.compared),)
        entry = point.entry
        judged = judged_files(self.run, entry, self.baselines.folder) if entry else None
        if point.train is None:
            return (Against(files=self._or_trained(planned, entry, judged), compared=point.compared),)
        return tuple(against(point, self._trained_baseline(planned), judged))

    def _anchors(self, planned: PlannedModel, baselines: Sequence[Against]) -> tuple[AnchorFiles, ...]:
        """The anchors' judged files; where they have expired, what this run trained from their commits."""
        return with_files(self.assignment.anchors.get(planned.name, ()), baselines, partial(self._anchor, planned))

    def _anchor(self, planned: PlannedModel, anchor: Anchor, number: int) -> SeedRuns | Problem:
        folder = self.baselines.folder / "anchors" / planned.name / str(number)
        found = judged_files(self.run, anchor.files, folder)
        if isinstance(found, SeedRuns):
            return found
        if found.cause != "gone":
            return as_anchor(found)
        seeds = [each.seed for each in anchor.files.files]
        trained = _or_why(self.baselines.seeds(planned, seeds, anchor.entry.key))
        return as_anchor(trained) if isinstance(trained, Problem) else trained

    def _committed(self, planned: PlannedModel, candidate: SeedRuns) -> SeedRuns | Problem:
        """What a trial is compared with: the committed parameters."""
        if not self._overrides:
            return candidate
        found = self._trained(planned, trial=False)
        wrong = found.problem
        return found if wrong is None else Problem.of(Reason.NO_BASELINE, "committed-not-trained", why=wrong.detail)

    def _or_trained(
        self, planned: PlannedModel, entry: VerdictEntry | None, judged: SeedRuns | Problem | None
    ) -> SeedRuns | Problem:
        """Judged files, with the seeds beyond; where they are gone, what this run trained from the same commit."""
        if entry is not None and isinstance(judged, SeedRuns):
            missing = self.assignment.lacking(planned, entry)
            more = self._trained_baseline(planned, missing) if missing else SeedRuns(runs=())
            return more if isinstance(more, Problem) else SeedRuns(runs=(*judged.runs, *more.runs))
        trained = self._trained_baseline(planned)
        return judged if judged is not None and isinstance(trained, Problem) else trained

    def _trained_baseline(self, planned: PlannedModel, missing: Sequence[int] = ()) -> SeedRuns | Problem:
        seeds = missing or range(self.assignment.wanted(planned).baseline)
        point = self.assignment.points[planned.name]
        # Several pull requests with one head may ask for several baselines, and a run trains one of each model.
        key = planned.base_key if point.train or point.entry is None else point.entry.key
        return _or_why(self.baselines.seeds(self.assignment.at_base(planned), seeds, key))


def _or_why(trained: SeedRuns) -> SeedRuns | Problem:
    """What was trained of the guarded branch; or why it is not there, which a training has said or nobody knows."""
    wrong = trained.problem
    if wrong is None:
        return trained
    cause = "not-trained" if trained.failures else "fault"
    return Problem.of(Reason.BASELINE_UNREACHABLE, cause, why=wrong.detail)


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
    now = time_of(datetime.now(UTC))
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
