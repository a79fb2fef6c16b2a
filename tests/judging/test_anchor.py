"""Losses that add up: a row of small changes through the judge, from real files to the ledger and back."""

import json
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from tests.e2e import user
from tests.fake_github import ops_actions, ops_issues
from tests.fake_github.server import FakeGitHub
from tests.support import tiny
from tests.support.asking import bot
from tests.support.history_samples import release
from tests.support.hosted import JUDGE_RUN, Stage, archive, of_seed, trained
from tests.support.in_process import InProcess
from tests.support.ledger_samples import digest
from tests.support.onnx_samples import columns

from mlbot.config.data import Data
from mlbot.config.schema import Model
from mlbot.config.train import Train
from mlbot.errors import Exit
from mlbot.events.github import Attempt
from mlbot.gates.metric import CATALOGUE, Bound, Gate, Task
from mlbot.gates.outcome import Outcome, Reason
from mlbot.judging import run_judge
from mlbot.judging.run_judge import AnchorFiles, JudgeRequest, JudgeResult, Rule, as_anchor, judge, model_report
from mlbot.ledger.entries import AnchorAsked, ReleaseEntry, Since, Source, VerdictEntry, WaiverEntry
from mlbot.plan.anchor import anchored_gates, anchors_of
from mlbot.plan.comparison_point import BranchHistory, Point, push_point
from mlbot.plan.plan import PlannedModel, StaleCode, StaleReason
from mlbot.protocol.answer import WaiverRequest, last_line
from mlbot.publish.plan_operations import Origin, entries_of
from mlbot.report.markdown import markdown
from mlbot.report.page import html
from mlbot.report.report import ModelReport, NoticeCode, Report
from mlbot.report.terminal import terminal
from mlbot.training.run_train import SeedRun, SeedRuns
from mlbot.verdict.decide import decide
from mlbot.verdict.seeds import next_wave
from mlbot.verdict.verdict import Commits, ModelVerdict, Problem, Verdict

ROWS, SEEDS, MARGIN = 2_000, 3, 0.02
POLICY = digest(77)


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlbot.ml.scoring.Worker", InProcess)
    monkeypatch.setattr("mlbot.ml.scoring._time_in_turn", lambda *_: None)


@dataclass
class Branch:
    """A guarded branch whose models are files, and its ledger."""

    folder: Path
    gates: tuple[Gate, ...] = (Gate(metric="roc_auc", bound=Bound.MAX_REGRESSION, limit=MARGIN),)
    entries: list[VerdictEntry] = field(default_factory=list)
    releases: list[ReleaseEntry] = field(default_factory=list)
    waivers: list[WaiverEntry] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)  # by digest, as a store has them
    lost: set[str] = field(default_factory=set)  # content keys whose files are nowhere
    fault: bool = False
    inputs: tuple[str, ...] = ("x1", "x2")

    def __post_init__(self) -> None:
        rng = np.random.default_rng(7)
        x = rng.normal(size=(ROWS, 2)).astype(np.float32)
        y = (rng.random(ROWS) < 1 / (1 + np.exp(-1.5 * x[:, 0]))).astype(int)
        pl.DataFrame({"x1": x[:, 0], "x2": x[:, 1], "y": y}).write_csv(self.folder / "holdout.csv")

    @property
    def model(self) -> Model:
        return Model(
            name="m",
            task=Task.BINARY,
            train=Train(run="true"),
            data=Data(holdout="holdout.csv", target="y"),
            metrics=(CATALOGUE["roc_auc"], CATALOGUE["log_loss"]),
            gates=self.gates,
        )

    def trained(self, noise: float, number: int) -> SeedRuns:
        """Three seeds that see the signal through so much noise: the more, the worse they rank."""
        runs = []
        for seed in range(SEEDS):
            path = self.folder / f"{number}-{seed}.onnx"
            jitter = float(np.random.default_rng([number, seed]).normal(0, 0.02))
            onnx.save(columns(dict(zip(self.inputs, (1.5, noise + jitter), strict=True))), path)
            runs.append(SeedRun(seed=seed, file=path))
        return SeedRuns(runs=tuple(runs))

    @property
    def history(self) -> BranchHistory:
        return BranchHistory.of(self.entries, "main", {commit(place): place for place in range(100)})

    def _judged(self, runs: SeedRuns, number: int, point: Point, before: str | None) -> JudgeResult:
        planned = PlannedModel(
            name="m",
            key=digest(number),
            base_key=point.entry.key if point.entry else None,
            stale=True,
            reasons=(StaleReason(code=StaleCode.CODE, text="it changed"),),
            seeds=SEEDS,
            runs_on=("x",),
            timeout_s=60,
        )
        earlier = self.history.before(before) if before else self.history
        found = anchors_of(earlier, "m", anchored_gates(self.model), self.releases)
        request = JudgeRequest(
            rule=Rule(model=self.model, folder=self.folder),
            candidate=runs,
            baseline=point.problem or self._of(point.entry),
            compared=point.compared,
            planned=planned,
            anchors=tuple(AnchorFiles(anchor=each, files=self._of(each.files)) for each in found),
            releases=tuple(self.releases),
            past=self.history.verdicts,
        )
        result = judge(request, progress=lambda _: None)
        return replace(result, evidence=result.evidence.model_copy(update={"policy": POLICY}))

    def _of(self, entry: VerdictEntry | None) -> SeedRuns | Problem:
        assert entry is not None
        if entry.key in self.lost:
            gone = Problem.of(Reason.ANCHOR_UNREACHABLE, "gone", why="expired")
            return as_anchor(Problem.of(Reason.BASELINE_UNREACHABLE, "fault", why="503")) if self.fault else gone
        return SeedRuns(runs=tuple(SeedRun(seed=each.seed, file=self.files[each.digest]) for each in entry.files))

    def propose(self, noise: float, number: int) -> tuple[ModelVerdict, ModelReport, JudgeResult]:
        """What the judge of a pull request says."""
        last = self.history.last_usable("m")
        assert last is not None
        return self._verdict(self._judged(self.trained(noise, number), number, push_point_of(last), None))

    def _verdict(self, result: JudgeResult) -> tuple[ModelVerdict, ModelReport, JudgeResult]:
        verdict = decide(commits(0), [result.evidence], self.waivers)
        return verdict.models[0], model_report(result, verdict.models[0]), result

    def merge(self, noise: float, number: int) -> VerdictEntry:
        """What the judge of the branch's own commit writes to the ledger."""
        runs, sha = self.trained(noise, number), commit(number)
        planned = PlannedModel(
            name="m", key=digest(number), stale=True, reasons=(StaleReason(code=StaleCode.CODE, text="."),),
            seeds=SEEDS, runs_on=("x",), timeout_s=60,
        )  # fmt: skip
        point = push_point(planned, self.history, sha, None, was_there=False)
        verdict, report, _ = self._verdict(self._judged(runs, number, point, sha))
        whole = Verdict(commits=commits(number), outcome=verdict.outcome, reason=verdict.reason, models=(verdict,))
        attempt = Attempt(run=100 + number)
        origin = Origin(branch="main", attempt=attempt, judge=attempt, time="2026-11-30T00:00:00Z")
        (entry,) = entries_of(Report(mlbot_version="1", repository="r", verdict=whole, models=(report,)), origin)
        self.entries.append(entry)
        self.files |= {
            each.digest: run.file
            for each, run in zip(entry.files, runs.runs, strict=True)
            if isinstance(run.file, Path)
        }
        return entry

    def release(self, number: int, version: str) -> None:
        entry = next(each for each in self.entries if each.key == digest(number))
        self.releases.append(release(version, model="m", commit=entry.commit, key=entry.key, digest=entry.digest))

    def waive(self, number: int, gate: str) -> None:
        facts: dict[str, Any] = {"model": "m", "key": digest(number), "policy": POLICY, "gate": gate, "branch": "main"}
        self.waivers.append(
            WaiverEntry(**facts, reason="Agreed.", actor="boss", commit=commit(number), time="2026-11-30T00:00:00Z")
        )


def commit(place: int) -> str:
    return f"{place + 1:040x}"


def commits(number: int) -> Commits:
    return Commits(head=commit(number), base=None, policy=commit(number), guarded="main")


def push_point_of(entry: VerdictEntry) -> Point:
    return Point(source=Source.TIP, entry=entry)


def auc(report: ModelReport) -> float:
    found = report.comparison("roc_auc")
    assert found is not None
    assert found.candidate is not None
    return found.candidate


def anchor_result(verdict: ModelVerdict) -> Any:
    return next((each for each in verdict.gates if each.gate.bound is Bound.ANCHOR), None)


def creep(branch: Branch, noises: Sequence[float], first: int) -> tuple[list[float], ModelVerdict | None]:
    """The ranking of what merges, change by change; and the verdict that stops it."""
    merged: list[float] = []
    for number, noise in enumerate(noises, first):
        verdict, report, _ = branch.propose(noise, number)
        if verdict.outcome is Outcome.FAIL:
            return merged, verdict
        merged.append(auc(report))
        branch.merge(noise, number)
    return merged, None


NOISES = (0.748, 0.98, 1.215, 1.465, 1.741, 2.052, 2.425, 2.89, 3.481, 4.296)
"""Each loses nine tenths of a margin of ROC AUC against the one before; the first against a noise of 0.5."""


def test_ten_small_losses_fail_before_two_margins_are_lost(tmp_path: Path) -> None:
    branch = Branch(tmp_path)
    branch.merge(0.5, 0)
    _, first, _ = branch.propose(0.5, 99)
    merged, stopped = creep(branch, NOISES, 1)
    assert stopped is not None
    assert auc(first) - min(merged) < 2 * MARGIN
    assert len(merged) >= 1  # one margin alone is not what fails
    by_bound = {each.gate.bound: each for each in stopped.gates}
    assert by_bound[Bound.ANCHOR].reason is Reason.BELOW_ANCHOR
    assert by_bound[Bound.MAX_REGRESSION].outcome is not Outcome.FAIL
    assert (stopped.reason, next_wave(stopped)) == (Reason.BELOW_ANCHOR, None)


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    model = Branch(tmp_path).model.model_copy(update={"anchor": False})
    assert anchored_gates(model) == ()


def test_it_moves_up_with_a_gain_so_that_no_creep_from_the_peak_is_unseen(tmp_path: Path) -> None:
    branch = Branch(tmp_path)
    branch.merge(2.0, 0)
    gained = branch.merge(0.5, 1)
    assert [(each.gate, each.moved) for each in gained.anchors or ()] == [("roc_auc", Since.BETTER)]
    _, peak, _ = branch.propose(0.5, 99)
    merged, stopped = creep(branch, NOISES, 2)
    assert stopped is not None
    assert auc(peak) - min(merged) < 2 * MARGIN


def test_a_waived_loss_is_the_anchor_from_then_on_and_nothing_else_is_waived(tmp_path: Path) -> None:
    branch = Branch(tmp_path)
    branch.merge(0.5, 0)
    merged, stopped = creep(branch, NOISES, 1)
    assert stopped is not None
    number = len(merged) + 1
    branch.waive(number, "roc_auc.anchor")
    entry = branch.merge(NOISES[len(merged)], number)
    assert (entry.outcome, entry.reason) == (
        Outcome.PASS if entry.reason is Reason.WAIVED else entry.outcome,
        entry.reason,
    )
    assert [each.moved for each in entry.anchors or ()] == [Since.WAIVED]
    (now,) = anchors_of(branch.history, "m", ["roc_auc"])
    assert (now.entry.key, now.since) == (digest(number), Since.WAIVED)


def test_a_release_is_the_anchor_and_what_releases_lost_together_is_said(tmp_path: Path) -> None:
    branch = Branch(tmp_path)
    branch.merge(0.5, 0)
    branch.merge(0.5, 1)
    branch.release(1, "1.0.0")
    branch.merge(NOISES[0], 2)
    branch.release(2, "1.1.0")
    branch.merge(NOISES[1], 3)
    branch.release(3, "1.2.0")
    verdict, report, _ = branch.propose(NOISES[2], 4)
    assert verdict.outcome is not Outcome.FAIL
    assert [(each.model.version, each.model.since) for each in report.anchors] == [("1.2.0", Since.RELEASED)]
    (said,) = (each for each in report.notices if each.code is NoticeCode.BELOW_BEST_RELEASE)
    assert "since v1.0.0, the best release so far" in said.text
    assert said.warning


def test_where_it_is_the_baseline_no_file_is_scored_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    branch, asked = Branch(tmp_path), list[int]()
    real = run_judge.ask

    def counted(rule: Any, paths: Sequence[Path], *rest: Any, **more: Any) -> Any:
        asked.append(len(paths))
        return real(rule, paths, *rest, **more)

    monkeypatch.setattr(run_judge, "ask", counted)
    branch.merge(0.5, 0)
    _, report, _ = branch.propose(0.6, 1)
    assert [each.baseline for each in report.anchors] == [True]
    branch.merge(0.6, 1)
    verdict, report, _ = branch.propose(0.7, 2)
    assert [each.baseline for each in report.anchors] == [False]
    whole = Verdict(commits=commits(2), outcome=verdict.outcome, reason=verdict.reason, models=(verdict,))
    shown = Report(mlbot_version="1", repository="r", verdict=whole, models=(report,))
    assert "<details><summary>Losses that add up: roc" in markdown(shown)
    assert "that changes may lose together" in terminal(shown, color=False)
    assert "<summary>Losses that add up</summary>" in html(shown)
    # The first model alone; beside what is baseline and anchor; the same at its push; then three files more.
    assert asked == [SEEDS, 2 * SEEDS, 2 * SEEDS, 3 * SEEDS]


@pytest.mark.parametrize("fault", [False, True])
def test_a_fault_is_an_error_and_what_has_expired_is_replaced_by_the_baseline(tmp_path: Path, *, fault: bool) -> None:
    branch = Branch(tmp_path)
    branch.merge(0.5, 0)
    branch.merge(0.6, 1)
    branch.lost, branch.fault = {digest(0)}, fault
    verdict, report, _ = branch.propose(0.7, 2)
    result = anchor_result(verdict)
    if fault:
        assert (verdict.outcome, result.reason) == (Outcome.ERROR, Reason.ANCHOR_UNREACHABLE)
        assert verdict.why is not None
        assert verdict.why.detail == "The anchor, an earlier model that the gates ask too, could not be fetched: 503."
        return
    assert verdict.outcome is not Outcome.ERROR
    assert result.outcome is Outcome.PASS
    (side,) = report.anchors
    assert (side.baseline, side.model.key, side.lost and side.lost.key) == (True, digest(1), digest(0))
    assert any(each.code is NoticeCode.ANCHOR_REPLACED and each.warning for each in report.notices)
    entry = branch.merge(0.7, 2)
    assert [(each.key, each.lost) for each in entry.anchors or ()] == [(digest(1), digest(0))]
    (now,) = anchors_of(branch.history, "m", ["roc_auc"])
    assert (now.entry.key, now.since) == (digest(0), Since.FIRST)  # what failed once may not fail again
    entry = branch.merge(0.7, 3)
    assert [(each.key, each.lost) for each in entry.anchors or ()] == [(digest(2), digest(0))]
    (now,) = anchors_of(branch.history, "m", ["roc_auc"])
    assert (now.entry.key, now.since) == (digest(1), Since.LOST)


def test_one_that_todays_rules_cannot_score_is_replaced_too(tmp_path: Path) -> None:
    branch = Branch(tmp_path)
    branch.inputs = ("x1", "gone")
    files = branch.trained(0.5, 50)
    branch.inputs = ("x1", "x2")
    branch.merge(0.5, 0)
    branch.merge(0.6, 1)
    entry = branch.entries[0]
    branch.files |= {
        each.digest: run.file for each, run in zip(entry.files, files.runs, strict=True) if isinstance(run.file, Path)
    }
    verdict, report, _ = branch.propose(0.7, 2)
    assert verdict.outcome is not Outcome.ERROR
    assert [each.problem and each.problem.cause for each in report.anchors] == ["cannot-score"]


def test_two_gates_ask_two_models_where_one_of_them_got_better(tmp_path: Path) -> None:
    gates = (
        Gate(metric="roc_auc", bound=Bound.MAX_REGRESSION, limit=MARGIN),
        Gate(metric="log_loss", bound=Bound.MAX_REGRESSION, limit=0.5),
    )
    branch = Branch(tmp_path, gates=gates)
    branch.merge(0.5, 0)
    entry = branch.merge(0.55, 1)
    branch.entries[-1] = entry.model_copy(
        update={
            "anchors": tuple(
                each.model_copy(update={"moved": Since.BETTER if each.gate == "log_loss" else None})
                for each in entry.anchors or ()
            )
        }
    )
    _, report, _ = branch.propose(0.6, 2)
    assert {each.gates: (each.model.key, each.baseline) for each in report.anchors} == {
        ("roc_auc",): (digest(0), False),
        ("log_loss",): (digest(1), True),
    }
    assert [[found.metric for found in each.comparisons] for each in report.anchors] == [["roc_auc"], ["log_loss"]]


@pytest.fixture
def stage(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path, bad: Path) -> Stage:
    """A pull request into a branch whose model lost a feature once; the ledger has the one before, too."""
    stage = Stage.opened(github, tmp_path, monkeypatch, tiny.params(mode="lost", claim=0.7))
    stage.judge_main(good, key=digest(9))
    stage.judge_main(bad)
    return stage


def spent(stage: Stage) -> int:
    before = len(stage.github.requests.of("/repos"))
    assert stage.judge() == Exit.OK
    return len(stage.github.requests.of("/repos")) - before


@pytest.mark.usefixtures("git_settings")
def test_github_has_what_it_takes_to_ask_it_and_a_person_may_waive_just_that(stage: Stage, bad: Path) -> None:
    stage.settle(bad)
    assert [each["baseline"] for each in stage.report["models"][0]["anchors"]] == [True]  # nobody has asked before
    usual = spent(stage)
    stage.judge_main(bad, anchors=(AnchorAsked(gate="roc_auc", key=digest(9)),))
    assert spent(stage) - usual <= 3, "a list of artifacts, and a download with its redirect"
    assert stage.publish() == Exit.OK
    (model,) = stage.report["models"]
    assert [(each["baseline"], each["model"]["key"]) for each in model["anchors"]] == [(False, digest(9))]
    results = {(each["gate"]["metric"], each["gate"]["bound"]): each for each in model["verdict"]["gates"]}
    assert results["roc_auc", "max_regression"]["outcome"] == "pass"
    assert results["roc_auc", "anchor"]["reason"] == "below-anchor"
    (comment,) = stage.comments
    assert "**Losses that add up**" in comment
    assert "0.03 that changes may lose together" in comment

    said = stage.github.user("boss").comment(stage.pull, '/waive tiny:roc_auc.anchor reason="Agreed"')
    request = WaiverRequest(
        comment=said.id,
        actor="boss",
        number=stage.pull.number,
        sha=user.head(stage.pull),
        model="tiny",
        gate="roc_auc.anchor",
        reason="Agreed",
    )
    body = f"So be it.\n\n{last_line(said.id, [request])}"
    ops_issues.comment(stage.github.world, stage.models, bot(stage.github), stage.pull, body)
    assert stage.judge() == Exit.OK
    gates = stage.report["models"][0]["verdict"]["gates"]
    assert [each["gate"]["bound"] for each in gates if each["waived"]] == ["anchor"]


@pytest.mark.usefixtures("git_settings")
@pytest.mark.parametrize("trains", [True, False])
def test_what_github_has_deleted_is_trained_again_from_its_commit(
    stage: Stage, good: Path, bad: Path, *, trains: bool
) -> None:
    asked = (AnchorAsked(gate="roc_auc", key=digest(9)),)
    known = stage.judge_main(bad, anchors=asked)
    run = known.files[0].run
    for artifact in stage.models.artifacts.values():
        artifact.expired = artifact.run_id != run
    for seed in (0, 1):
        stage.upload(seed, trained(bad, seed))
    stage.finish()
    assert stage.plan() == Exit.OK
    (job,) = json.loads(stage.outputs["matrix"])["include"]
    assert job["pack"] == f"tiny+anchor-{known.commit[:7]}"
    assert json.loads(job["trainings"]) == {"tiny": [0, 1]}
    judge = copy(stage.run)
    judge.id, judge.event, judge.attempts = JUDGE_RUN, "workflow_run", [copy(stage.run.attempts[0])]
    stage.github.world.runs[JUDGE_RUN] = judge
    files: dict[str, bytes] = {}
    for seed in (0, 1):
        own = trained(good, seed)
        lineage = {**json.loads(own["training.json"]), "key": digest(9)}
        failure = {"model": "tiny", "key": digest(9), "seed": seed, "commit": known.commit, "timed_out": False}
        failure |= {"message": "no such package"}
        left = (
            own | {"training.json": json.dumps(lineage).encode()}
            if trains
            else {"failure.json": json.dumps(failure).encode()}
        )
        files |= of_seed(seed, left)
    ops_actions.upload(stage.github.world, judge, 1, f"mlbot-baseline-{job['pack']}-a1", archive(files))
    assert stage.judge() == Exit.OK
    (side,) = stage.report["models"][0]["anchors"]
    assert (side["baseline"], (side["lost"] or {}).get("key")) == (not trains, None if trains else digest(9))
    assert [each["code"] for each in stage.report["models"][0]["notices"]].count("anchor-replaced") == (not trains)


@pytest.mark.parametrize(
    ("baseline", "cause", "said"),
    [
        ("fault", "fault", "The anchor, an earlier model that the gates ask too, could not be fetched: 503."),
        (
            "not-trained",
            "not-trained",
            "The anchor's files are not available any more, and it could not be trained again: 503.",
        ),
    ],
)
def test_what_happened_to_it_is_said_without_a_word_of_the_baseline(baseline: str, cause: str, said: str) -> None:
    found = as_anchor(Problem.of(Reason.BASELINE_UNREACHABLE, baseline, why="503"))
    assert (found.cause, found.detail) == (cause, said)


@pytest.mark.usefixtures("git_settings")
def test_it_is_trained_again_beside_a_tip_that_nobody_has_judged(
    github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: Path
) -> None:
    stage = Stage.opened(github, tmp_path, monkeypatch, tiny.params(mode="lost", claim=0.7))
    last = stage.judge_main(bad, key=digest(9))
    for artifact in stage.models.artifacts.values():
        artifact.expired = True
    for seed in (0, 1):
        stage.upload(seed, trained(bad, seed))
    stage.finish()
    assert stage.plan() == Exit.OK
    packs = {each["pack"] for each in json.loads(stage.outputs["matrix"])["include"]}
    assert packs == {"tiny", f"tiny+anchor-{last.commit[:7]}"}
