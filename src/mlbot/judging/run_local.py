"""`mlbot run` and `mlbot judge`: what a pull request would do, on this machine."""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbot import __version__
from mlbot.config.run_check import Folder, check, idle_lines, one_model
from mlbot.console import Console
from mlbot.data.findings import DataReport
from mlbot.errors import Exit, UsageError, require
from mlbot.gates.outcome import Outcome, Reason
from mlbot.git.command import git
from mlbot.git.ledger import local_paths, read_local
from mlbot.git.merge import first_parents, three_commits
from mlbot.git.remote import remote_url
from mlbot.git.repository import Repository
from mlbot.github.job import locate
from mlbot.judging.run_changes import data_changes
from mlbot.judging.run_data import check_data
from mlbot.judging.run_files import live_locally, stored_locally
from mlbot.judging.run_judge import (
    NOT_HERE,
    Against,
    AnchorFiles,
    JudgeRequest,
    JudgeResult,
    Rule,
    Rules,
    against,
    as_anchor,
    ask,
    evidence_of,
    is_lost,
    judge,
    judge_against,
    model_report,
    opened,
    report_of,
    rules_of,
    with_files,
)
from mlbot.judging.waivers import ended
from mlbot.ledger.entries import ReleaseEntry, WaiverEntry, folders_of
from mlbot.lib.record import Digest
from mlbot.lib.templates import sentence
from mlbot.lib.tree import is_url
from mlbot.plan.anchor import Anchor, anchored_gates, anchors_of
from mlbot.plan.comparison_point import (
    BranchHistory,
    Point,
    comparison_points,
    first_seeds,
    never_judged,
    push_point,
    without_restored,
)
from mlbot.plan.plan import PlannedModel
from mlbot.plan.run_plan import Planning
from mlbot.report.data import data_lines
from mlbot.report.notices import look_folders, notice, with_looks
from mlbot.report.report import Notice, NoticeCode, Report
from mlbot.storage.results import ResultStore
from mlbot.training.run_bring import UnreachableError
from mlbot.training.run_predict import RuleSource
from mlbot.training.run_train import SeedRun, SeedRuns, Trainer
from mlbot.verdict.decide import Evidence, decide
from mlbot.verdict.seeds import Wave, next_wave
from mlbot.verdict.verdict import Commits, Problem, Verdict

if TYPE_CHECKING:
    from mlbot.ml.holdout import HoldoutData

EXITS = {
    Outcome.PASS: Exit.OK,
    Outcome.FAIL: Exit.FAILED,
    Outcome.INCONCLUSIVE: Exit.INCONCLUSIVE,
    Outcome.ERROR: Exit.NOT_EVALUATED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Outputs:
    """Where a report goes besides the terminal."""

    as_json: bool = False
    html: Path | None = None
    markdown: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """What is written besides the terminal."""
        return tuple(path for path in (self.html, self.markdown) if path is not None)

    def check(self) -> None:
        """Find out before hours of training, not after, that a file cannot be written."""
        if self.html is not None:
            require("charts", needed_for="The page, which has charts,")
        for path in self.files:
            if not path.absolute().parent.is_dir():
                raise UsageError("There is no such folder.", where=str(path.parent), hint=f"mkdir -p {path.parent}")


def hand_out(report: Report, outputs: Outputs, console: Console) -> Exit:
    """Print and write a report; the exit code that its verdict stands for."""
    from mlbot.report.markdown import markdown
    from mlbot.report.report import json_text
    from mlbot.report.terminal import terminal

    if outputs.html:
        write_page(report, outputs.html)
        console.say(f"The report as a page: {outputs.html}")
    if outputs.markdown:
        outputs.markdown.write_text(markdown(report), encoding="utf-8")
        console.say(f"The report as a comment: {outputs.markdown}")
    console.result(json_text(report) if outputs.as_json else terminal(report, console.color, console.width))
    return EXITS[report.verdict.outcome]


def write_page(report: Report, path: Path) -> None:
    """Write the self-contained web page."""
    from mlbot.ml.plots import charts
    from mlbot.report.page import html

    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    path.write_text(html(report, charts(report), made), encoding="utf-8")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """What the command line says."""

    base: str | None = None  # the guarded branch, or any revision to take for its tip; None: the default branch
    models: tuple[str, ...] = ()
    jobs: int = 1


def run_and_report(directory: Path, options: RunOptions, outputs: Outputs, console: Console) -> Exit:
    """Train, judge and hand the report out; the exit code that its verdict stands for."""
    outputs.check()
    Repository.discover(directory).leave_out(outputs.files)
    return hand_out(run_models(directory, options, console), outputs, console)


def run_models(directory: Path, options: RunOptions, console: Console) -> Report:
    """Train and judge what is stale in a folder's repository."""
    require("judge", needed_for="Judging a model")
    repository = Repository.discover(directory)
    commits = three_commits(repository, options.base)
    return judge_commits(Work(repository=repository, commits=commits, options=options), console)


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What to judge."""

    repository: Repository
    commits: Commits
    options: RunOptions
    pushed: bool = False  # whether head is a commit of the guarded branch itself, so that what is unjudged is judged
    then: Callable[[Report, Sequence[JudgeResult]], None] = lambda _report, _results: None
    """Is given the report and the models while their files are held."""
    recorded: bool = False  # whether the verdict goes into the ledger, so that it is a look at the holdout
    known: Callable[[Sequence[Evidence]], None] = lambda _evidence: None
    """Is given what was found about each model of the verdict."""


def judge_commits(work: Work, console: Console) -> Report:
    """Train and judge what a commit makes stale, on this machine."""
    started, repository, models = time.monotonic(), work.repository, work.options.models
    for path in repository.clean_up():
        console.say(f"Removed what a killed run left behind: {path}")
    pointed = _pointed(work, Planning.of(repository, work.commits, models))
    planning = pointed.planning
    with ResultStore(repository.state_dir / "results") as store, ExitStack() as checkouts:
        trainer = Trainer(planning=planning, store=store, progress=console.say, jobs=work.options.jobs)
        rules = Rules(planning=planning, checkouts=checkouts, trusts_head=True)
        holdouts = _before_training(planning, rules, console)
        profiled = local_paths(repository.root, folders_of("profile")) if work.pushed else None
        data = data_changes(planning, rules, progress=console.say, profiled=profiled)
        for line in data_lines(data):  # before hours of training, not after
            console.say(line)
        if models:
            gone = tuple(name for name in planning.plan.deleted if name in models)
            planning = planning.with_plan(planning.plan.model_copy(update={"deleted": gone}))
        waivers = [each for each in read_local(repository.root, "waiver").entries if isinstance(each, WaiverEntry)]
        judging = _Judging(holdouts=holdouts, data=data, pointed=pointed, trainer=trainer, rules=rules, console=console)
        results, evidence, verdict = judging.until_decided(planning, waivers)
        report = report_of(
            planning,
            results,
            verdict,
            notices=(*ended(waivers, verdict, evidence, None), *_unjudged(pointed)),
            duration_s=time.monotonic() - started,
            data=data,
            **_whereabouts(repository, work.commits),
        )
        paths = local_paths(repository.root, look_folders(report))
        report = with_looks(report, paths, config=planning.configs.policy, counts=work.recorded)
        work.known(evidence)
        work.then(report, results)
    return report


def _unjudged(pointed: "_Pointed") -> Iterator[Notice]:
    """That nothing changed says nothing of a model that nobody has judged."""
    plan = pointed.planning.plan
    if names := never_judged(plan, pointed.history):
        yield notice(NoticeCode.NEVER_JUDGED, warning=True, models=names, branch=plan.commits.guarded)


def _whereabouts(repository: Repository, commits: Commits) -> dict[str, Any]:
    """What a report says of where it was made; with a link where others can see the commit."""
    pushed = not commits.uncommitted and git(["branch", "--remotes", "--contains", commits.head], repository.root)
    place = locate({}, remote_url(repository)) if pushed else None
    return {
        "repository": repository.root.name,
        "repository_url": f"{place.server_url}/{place.repository}" if place else None,
        "head_ref": repository.current_branch(),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pointed:
    """What is judged, what each model is compared with, and what the ledger of this clone knows of it."""

    planning: Planning
    points: Mapping[str, Point]
    history: BranchHistory
    releases: tuple[ReleaseEntry, ...]
    rules: Mapping[str, Digest]
    pushed: bool  # whether the verdict is one of the guarded branch's own commit, for the ledger


def _pointed(work: Work, planning: Planning) -> _Pointed:
    commits, plan, models = work.commits, planning.plan, work.options.models
    tip = commits.policy or commits.base
    chain = first_parents(work.repository, tip) if tip else {}
    known = read_local(work.repository.root, "verdict").entries
    history = BranchHistory.of(known, commits.guarded, chain, names=planning.names)
    rules = rules_of(planning.sides.policy)
    plan = plan.with_history(history.verdicts)
    if work.pushed:
        plan = plan if models else plan.unjudged(history.latest, rules)
        # Nobody says here which commits were the branch's tip, but those that were judged.
        last = history.before(commits.head).last_judged
        there = planning.sides.base.models if planning.sides.base else {}
        base = last if last == commits.base else None
        points = {
            each.name: push_point(each, history, commits.head, base, was_there=each.name in there)
            for each in plan.stale
        }
    else:
        points = comparison_points(plan.stale, history, commits.base, rules)
        plan = without_restored(plan, points)
    released = read_local(work.repository.root, "release").entries
    return _Pointed(
        planning=planning.with_plan(plan),
        points=points,
        history=history,
        releases=tuple(each for each in released if isinstance(each, ReleaseEntry)),
        rules=rules,
        pushed=work.pushed,
    )


def _before_training(planning: Planning, rules: Rules, console: Console) -> "dict[str, HoldoutData | Problem | None]":
    """The holdouts that judge the stale models, or why one cannot; None: it is read again when it judges.

    Raises with all that is wrong in the user's files, and says which gates can decide nothing. Data that head and the
    guarded branch share are read once.
    """
    head, folder = planning.configs.head, Folder.of(planning.repository.project)
    stale = [planned.name for planned in planning.plan.stale]
    own = [model.name for model in head.models if _has_own_data(planning, model.name)]
    names = folder.shared(head, (*stale, *own))
    folder.check(names)
    asked = {name: rules.of(name) for name in stale}
    judges = {name: opened(rule) for name, rule in asked.items() if rule.model.evaluate is None}
    shared = {name: holdout for name, holdout in judges.items() if name not in own}
    checked = check_data(folder, (), names, shared)
    folder.refuse(checked.problems)
    for line in (*idle_lines(head, stale), *checked.idle):
        console.say(line)
    # What only the judge can read is not held where a training could find it: it is read again for the judge.
    readable = {name: None if _is_hidden(holdout) else holdout for name, holdout in judges.items()}
    return {name: readable.get(name) for name in stale}


def _is_hidden(holdout: "HoldoutData | Problem") -> bool:
    return not isinstance(holdout, Problem) and holdout.record.hidden


def _has_own_data(planning: Planning, name: str) -> bool:
    """Whether a change has a holdout of its own, or reads it in its own way, beside the guarded branch's."""
    head, policy = planning.sides.head, planning.sides.policy
    ours = head.config.model(name)
    theirs = policy.config.model(name) if policy else None
    if ours is None or theirs is None or policy is None or ours.evaluate is not None:
        return False
    path = ours.data.holdout
    return (ours.data, ours.task, ours.slices) != (theirs.data, theirs.task, theirs.slices) or (
        not is_url(path) and head.tree.digest(head.tree.match(path)) != policy.tree.digest(policy.tree.match(path))
    )


_FIRST_ROWS = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class _Judging:
    """Trains and judges the stale models of a commit; more seeds of those that are not decided, as they ask for them.

    What is trained is in the store, so that a run that was stopped trains no seed twice.
    """

    holdouts: "Mapping[str, HoldoutData | Problem | None]"
    pointed: _Pointed
    trainer: Trainer
    rules: Rules
    console: Console
    data: tuple[DataReport, ...] = ()

    def until_decided(
        self, planning: Planning, waivers: Sequence[WaiverEntry]
    ) -> tuple[list[JudgeResult], tuple[Evidence, ...], Verdict]:
        """What was found in the end, and the verdict on it."""
        results = [self._judge(each) for each in planning.plan.stale]
        while True:
            evidence = evidence_of(planning, results, self.data)
            verdict = decide(planning.commits, evidence, waivers)
            waves = [next_wave(each) for each in verdict.models]
            if not any(waves):
                return results, evidence, verdict
            known = zip(planning.plan.stale, results, waves, strict=False)  # a model that is to be gone has no result
            results = [self._again(each, before, wave) if wave else before for each, before, wave in known]

    def _judge(self, planned: PlannedModel) -> JudgeResult:
        """A model with as many seeds as are trained at first."""
        for reason in planned.reasons:
            self.console.say(f"{planned.name} is stale: {reason.text}")
        root, holdout = self.trainer.planning.repository.project, self.holdouts[planned.name]
        candidate = SeedRuns(runs=()) if isinstance(holdout, Problem) else self._candidate(planned, holdout)
        folder = Path(self.rules.checkouts.enter_context(tempfile.TemporaryDirectory(prefix="mlbot-live-")))
        fewer = len(candidate.runs) < planned.seeds or candidate.problem
        seeds = first_seeds(planned, self.pointed.points[planned.name], self.pointed.history.verdicts)
        not_trained = Against(files=Problem.of(Reason.NO_BASELINE, "candidate-failed"))
        baselines = (not_trained,) if fewer else self._baselines(planned, seeds.baseline)
        request = JudgeRequest(
            rule=self.rules.of(planned.name),
            holdout=holdout,
            candidate=candidate,
            baseline=baselines[0].files,
            rules=self.pointed.rules.get(planned.name),
            planned=planned,
            past=tuple(each for each in self.pointed.history.verdicts if each.model == planned.name),
            live=live_locally(self.trainer.planning.configs.policy, root, planned.name, folder),
            anchors=() if fewer else self._anchors(planned, baselines, folder),
            releases=tuple(each for each in self.pointed.releases if each.model == planned.name),
            head=self.trainer.planning.configs.head.model(planned.name),
            recorded=self.pointed.pushed,
        )
        return judge_against(request, baselines, progress=self.console.say)

    def _again(self, planned: PlannedModel, before: JudgeResult, wave: Wave) -> JudgeResult:
        """The same model with more seeds."""
        request = before.request
        self.console.say(sentence("seeds", "more", wave=wave))
        seeds = range(wave.had.candidate, wave.wanted.candidate)
        more = self.trainer.candidate(planned, seeds) if seeds else ()
        candidate = SeedRuns(runs=(*request.candidate.runs, *map(SeedRun.of, more)))
        baselines = self._baselines(planned, wave.wanted.baseline)
        request = replace(request, candidate=candidate, waves=(*request.waves, wave))
        return judge_against(request, baselines, progress=self.console.say)

    def _candidate(self, planned: PlannedModel, holdout: "HoldoutData | None") -> SeedRuns:
        """The candidate's trainings; only the first one where its model cannot be judged on the first rows."""
        seeds, trainer = tuple(range(planned.seeds)), self.trainer
        if trainer.jobs > 1 or len(seeds) == 1 or holdout is None:
            return SeedRuns(runs=self._runs(planned))
        first = SeedRuns(runs=self._runs(planned, seeds[:1]))
        file = first.runs[0].file
        rule, few = self.rules.of(planned.name), holdout.first(_FIRST_ROWS)
        tried = ask(rule, [file], few, progress=self.console.say)[0] if isinstance(file, Path) else None
        if isinstance(tried, Problem):
            self.console.say(sentence("data", "probe", model=planned.name, why=tried.detail))
        if isinstance(tried, Problem) or first.problem:
            return first
        return SeedRuns(runs=(*first.runs, *self._runs(planned, seeds[1:])))

    def _anchors(self, planned: PlannedModel, baselines: Iterable[Against], folder: Path) -> tuple[AnchorFiles, ...]:
        """The anchors with the files that are trained already or stored; only for the ledger they are trained."""
        asked = anchored_gates(self.rules.of(planned.name).model)
        pointed, head = self.pointed, self.trainer.planning.commits.head
        earlier = pointed.history.before(head) if pointed.pushed else pointed.history
        found = anchors_of(earlier, planned.name, asked, pointed.releases)
        return with_files(found, baselines, partial(self._anchor, planned, folder))

    def _anchor(self, planned: PlannedModel, folder: Path, anchor: Anchor, number: int) -> SeedRuns | Problem:
        trainer, seeds = self.trainer, [each.seed for each in anchor.files.files]
        known = trainer.trained(planned.name, anchor.entry.commit, seeds)
        if known is not None:
            return known
        root = trainer.planning.repository.project
        stored = stored_locally(trainer.planning.configs.policy, root, anchor.files, folder / str(number))
        if isinstance(stored, SeedRuns):
            return stored
        if not self.pointed.pushed:
            return Problem.of(Reason.ANCHOR_UNREACHABLE, NOT_HERE, why=stored.inner)
        if not is_lost(stored):
            return stored
        trained = trainer.baseline(planned, anchor.entry.commit, len(seeds))
        return as_anchor(trained) if isinstance(trained, Problem) else trained

    def _runs(self, planned: PlannedModel, seeds: Sequence[int] = ()) -> tuple[SeedRun, ...]:
        """What the candidate's seeds left; a model that cannot be had is a fault of this model alone."""
        try:
            return tuple(map(SeedRun.of, self.trainer.candidate(planned, seeds)))
        except UnreachableError as error:
            why = Problem.of(Reason.MODEL_MISSING, "not-had", why=error.what, hint=error.hint or "")
            return (SeedRun(seed=0, file=why),)

    def _baselines(self, planned: PlannedModel, seeds: int) -> tuple[Against, ...]:
        """The models of the guarded branch to compare with, trained from the commits that have them."""
        point, trainer = self.pointed.points[planned.name], self.trainer
        if point.problem is not None:
            return (Against(files=point.problem, compared=point.compared),)
        base = trainer.planning.commits.base
        if point.entry is not None and point.train is None:
            same = base is not None and planned.base_key == point.entry.key
            commit = base if base is not None and same else point.entry.commit
            return (Against(files=trainer.baseline(planned, commit, seeds), compared=point.compared),)
        tip = trainer.baseline(planned, point.train or "", seeds)
        last = trainer.baseline(planned, point.entry.commit, seeds) if point.entry else None
        return tuple(against(point, tip, last))


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeOptions:
    """What the command line says."""

    candidate: tuple[Path, ...]  # the files to judge, one a seed; the first is the one that would ship
    baseline: tuple[Path, ...] = ()
    model: str | None = None


def judge_and_report(directory: Path, options: JudgeOptions, outputs: Outputs, console: Console) -> Exit:
    """Judge files and hand the report out."""
    require("judge", needed_for="Judging a model")
    outputs.check()
    for file in (*options.candidate, *options.baseline):
        if not file.exists():
            raise UsageError("there is no such file", where=str(file), hint="Name a model that is there.")
    repository = Repository.discover(directory)
    repository.leave_out(outputs.files)
    config = check(repository.project)
    head = repository.snapshot()
    source = RuleSource(repository=repository, commit=head.sha, config=config, is_judge=False)
    request = JudgeRequest(
        rule=Rule(model=one_model(config, options.model), folder=repository.project, source=source),
        candidate=_runs(options.candidate),
        baseline=_runs(options.baseline) if options.baseline else Problem.of(Reason.NO_BASELINE, "not-given"),
    )
    result = judge(request, progress=console.say)
    commits = Commits(
        head=head.sha,
        base=None,
        policy=head.sha,
        guarded=repository.current_branch() or "HEAD",
        uncommitted=head.uncommitted,
    )
    verdict = decide(commits, [result.evidence])
    report = Report(
        mlbot_version=__version__,
        **_whereabouts(repository, commits),
        verdict=verdict,
        models=(model_report(result, verdict.models[0]),),
    )
    return hand_out(report, outputs, console)


def _runs(files: tuple[Path, ...]) -> SeedRuns:
    return SeedRuns(runs=tuple(SeedRun(seed=seed, file=file.absolute()) for seed, file in enumerate(files)))
