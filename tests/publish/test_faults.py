"""A fault at every request of the judge and the publisher: no success comes of one, nor silence; said again, it ends.

The requests of a run without faults are recorded; then the run is played again for each of them, with each fault there
once or for ever. By day a sample of the grid, at night all of it.
"""

import copy
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from tests.e2e import user
from tests.fake_github import ops_actions
from tests.fake_github.faults import Answer
from tests.fake_github.server import FakeGitHub
from tests.support import hosted, tiers, tiny
from tests.support.hosted import JUDGE_RUN, Stage, trained

from mlbot.errors import Exit
from mlbot.git.repository import Repository
from mlbot.github.transport import Limits, Patience, Transport
from mlbot.judging import run_judge
from mlbot.judging.run_judge import JudgeRequest, JudgeResult
from mlbot.judging.run_judge import judge as judge_for_real
from mlbot.lib.record import digest
from mlbot.plan.run_plan import Planning
from mlbot.verdict.verdict import Commits

pytestmark = [pytest.mark.usefixtures("git_settings"), pytest.mark.timeout(3000)]

FOR_EVER: Final = 10**6
DAILY: Final = 5
PATIENCE_S: Final = 1  # of the client with a connection, so that a hang is over soon; no less will do
FAULTS: Final[Mapping[str, tuple[Answer, dict[str, Any]]]] = {
    "503": (503, {}),
    "500": (500, {}),
    "403": (403, {}),
    "429": (429, {"retry_after": 60}),
    "hang": ("hang", {"seconds": 2 * PATIENCE_S}),
    "cut": ("cut", {}),
    "half": ("truncated", {}),
}
GATES: Final = "      roc_auc: {max_regression: 0.02}\n"
"""Nothing but the comparison decides: a baseline that goes missing would let the change through."""


@dataclass
class Clock:
    """Time that passes only while somebody sleeps."""

    now: float = 1_800_000_000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        self.now += seconds
        self.slept.append(seconds)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """No test here waits, and no model is scored twice."""
    clock = Clock()
    defaults: Any = Transport.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "sleep", clock.sleep)
    monkeypatch.setitem(defaults, "clock", lambda: clock.now)
    monkeypatch.setitem(defaults, "patience", Patience(attempts=3))
    monkeypatch.setitem(Limits.__init__.__kwdefaults__, "silence_s", PATIENCE_S)  # type: ignore[arg-type] # as above
    monkeypatch.setattr("mlbot.github.api._TIMEOUT_S", PATIENCE_S)
    monkeypatch.setattr("mlbot.git.remote._PATIENCE", {"GIT_HTTP_LOW_SPEED_LIMIT": "1", "GIT_HTTP_LOW_SPEED_TIME": "1"})
    monkeypatch.setattr(run_judge, "judge", judged_once({}))
    return clock


def judged_once(known: dict[str, JudgeResult]) -> Any:
    """The judge of one model, which remembers what it found of the same files."""

    def judge(request: JudgeRequest, **more: Any) -> JudgeResult:
        key = digest(repr([_named(side) for side in (request.candidate, request.baseline)]))
        if key not in known:
            known[key] = judge_for_real(request, **more)
        result = copy.copy(known[key])
        object.__setattr__(result, "request", request)
        return result

    return judge


def _named(side: Any) -> Any:
    runs = getattr(side, "runs", None)
    if runs is None:
        return repr(side)
    return [digest(run.file.read_bytes()) if isinstance(run.file, Path) else repr(run.file) for run in runs]


@dataclass
class Scene:
    """A run that was trained, to be judged and published again and again from the same beginning."""

    stage: Stage
    truth: str
    refs: dict[str, str]

    @classmethod
    def of(cls, stage: Stage, truth: str) -> "Scene":
        """The beginning: the status is pending."""
        scene = cls(stage=stage, truth=truth, refs=stage.models.git.refs())
        scene.begin()
        return scene

    def begin(self) -> None:
        """As if nothing had happened."""
        models = self.stage.models
        self.calm()
        models.statuses.clear()
        models.comments.clear()
        for ref in models.git.refs().keys() - self.refs.keys():
            models.git.git("update-ref", "-d", ref)
        shutil.rmtree(self.stage.folder / "judged", ignore_errors=True)
        run = self.stage.run.latest
        run.status, run.conclusion = "in_progress", None
        self.stage.pending()
        run.status, run.conclusion = "completed", "success"
        assert self.status[0] == "pending"

    @property
    def status(self) -> tuple[str, str]:
        """The newest status of the commit."""
        return user.statuses(self.stage.models, self.stage.run.head_sha)[-1]

    def calm(self) -> None:
        """GitHub is well again, and the hour is a new one: a whole grid is more than a workflow may ask in one."""
        github = self.stage.github
        github.faults.ordered.clear()
        github.limits.used.clear()
        github.limits.writes.clear()

    def requests(self, verb: str) -> list[str]:
        """What a verb asks when nothing is wrong, as `METHOD /path`; the judge's job is over before the publisher's."""
        self.begin()
        if verb == "publish":
            assert self.stage.judge() == Exit.OK
        before = len(self.stage.github.requests)
        run = {"plan": self.stage.plan, "judge": self.stage.judge, "publish": self.stage.publish}[verb]
        assert run() == Exit.OK
        return [one.line for one in list(self.stage.github.requests)[before:]]

    def order(self, lines: list[str], place: int, fault: str, *, once: bool) -> None:
        """A fault at one request; for ever: at all requests from there on that its line is a part of."""
        answer, more = FAULTS[fault]
        if once:
            self.stage.github.faults.add("", answer, nth=place + 1, **more)
            return
        nth = sum(lines[place] in line for line in lines[: place + 1])
        self.stage.github.faults.add(lines[place], answer, nth=nth, times=FOR_EVER, **more)

    def again(self) -> None:
        """The failed jobs run again, and nothing is wrong: it ends in the right verdict."""
        self.calm()
        assert self.stage.judge() == Exit.OK
        assert self.stage.publish() == Exit.OK
        assert self.status[0] == self.truth


def compared(
    github: FakeGitHub, folder: Path, monkeypatch: pytest.MonkeyPatch, candidate: Path, baseline: Path
) -> Stage:
    """A pull request whose model is compared with the one that the judge's run trained from main."""
    head, _, rest = user.CONFIG.partition("    gates:\n")
    after = rest[rest.index("\nslices") :] if "\nslices" in rest else ""
    monkeypatch.setattr(user, "CONFIG", f"{head}    gates:\n{GATES}{after}")
    stage = Stage.opened(github, folder, monkeypatch, tiny.params(offset=1000))
    judge = copy.copy(stage.run)
    judge.id = JUDGE_RUN
    github.world.runs[JUDGE_RUN] = judge
    key = base_key(stage)
    for seed in (0, 1):
        stage.upload(seed, trained(candidate, seed))
        files = trained(baseline, seed)
        record = json.loads(files["training.json"]) | {"key": key}
        uploaded = files | {"training.json": json.dumps(record).encode()}
        stage.upload(seed, uploaded, side="baseline", run=judge)
    stage.finish()
    return stage


def base_key(stage: Stage) -> str:
    """The content key of main's model, as the judge finds it."""
    folder, head = stage.folder / "checkout", user.head(stage.pull)
    subprocess.run(["git", "-C", str(folder), "fetch", "--quiet", "origin", head], check=True)
    repository = Repository.discover(folder)
    base = repository.resolve("HEAD")
    commits = Commits(head=repository.resolve(head), base=base, policy=base, guarded="main")
    (model,) = Planning.of(repository, commits, outside=False).plan.models
    assert model.base_key
    return model.base_key


@pytest.fixture
def worse(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path, bad: Path) -> Scene:
    """A change that makes the model clearly worse than main's, and passes every other gate."""
    return Scene.of(compared(github, tmp_path, monkeypatch, bad, good), "failure")


@pytest.fixture
def same(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path) -> Scene:
    """A change that is as good as main."""
    return Scene.of(compared(github, tmp_path, monkeypatch, good, good), "success")


@pytest.fixture
def pushed(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path) -> Scene:
    """A push to main, whose verdict goes into the ledger."""
    models = user.repository(github)
    github.user("boss").push("main", tiny.params(offset=1000))
    run = next(run for run in github.world.runs.values() if run.workflow.path == ".github/workflows/mlbot.yml")
    github.world.queue.clear()
    ops_actions.begin(github.world, run)
    subprocess.run(["git", "clone", "--quiet", str(models.git.path), str(tmp_path / "checkout")], check=True)
    nobody: Any = None
    stage = Stage(github, models, nobody, run, tmp_path, monkeypatch)
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    return Scene.of(stage, "success")


def places(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Each request with each fault; by day every fifth request, with one fault after the other."""
    if tiers.NIGHTLY:
        yield from ((place, fault) for place in range(len(lines)) for fault in FAULTS)
        return
    names = list(FAULTS)
    yield from ((place, names[(place // DAILY) % len(names)]) for place in range(0, len(lines), DAILY))


def judge_under_fault(scene: Scene, lines: list[str], place: int, fault: str, *, once: bool) -> str:
    """What is wrong with how it went, if anything."""
    scene.begin()
    scene.order(lines, place, fault, once=once)
    code = scene.stage.judge()
    scene.calm()
    published = scene.stage.publish()
    state, said = scene.status
    wrong = []
    if published != Exit.OK:
        wrong.append(f"the publisher ended in {published}")
    if code == Exit.OK and state != scene.truth:
        wrong.append(f"a judge that ended well came to {state}: {said}")
    if code != Exit.OK and (state != "error" or not said.startswith("Could not be judged: ")):
        wrong.append(f"a judge that failed came to {state}: {said}")
    if code != Exit.OK and "left no report" in said:
        wrong.append("the reason is not said")
    scene.again()
    return "; ".join(wrong)


def plan_under_fault(scene: Scene, lines: list[str], place: int, fault: str, *, once: bool) -> str:
    """The same for the planner: a baseline that nobody trains would be one that the judge does not find."""
    scene.begin()
    assert scene.stage.plan() == Exit.OK
    planned = dict(scene.stage.outputs)
    scene.order(lines, place, fault, once=once)
    code = scene.stage.plan()
    scene.calm()
    if code == Exit.OK:
        return "" if scene.stage.outputs == planned else f"it planned {scene.stage.outputs}"
    assert scene.stage.publish() == Exit.OK
    state, said = scene.status
    return "" if state == "error" and said.startswith("Could not be judged: ") else f"it came to {state}: {said}"


def publish_under_fault(scene: Scene, lines: list[str], place: int, fault: str, *, once: bool) -> str:
    """The same for the publisher, whose judge was fine."""
    scene.begin()
    assert scene.stage.judge() == Exit.OK
    scene.order(lines, place, fault, once=once)
    code = scene.stage.publish()
    state, said = scene.status
    wrong = []
    if code == Exit.OK and state != scene.truth:
        wrong.append(f"it ended well, and came to {state}: {said}")
    # The status is the last that is written, and the answer alone went missing: all of the verdict is there.
    arrived = fault in {"hang", "half"} and lines[place].startswith("POST ") and "/statuses/" in lines[place]
    if code != Exit.OK and arrived:
        wrong += [] if state == scene.truth else [f"it came to {state}: {said}"]
    elif code != Exit.OK and state == "success":
        wrong.append(f"it ended in {code}, and came to success: {said}")
    elif code != Exit.OK:
        scene.stage.mlbot("failed", rights=hosted.WRITES)  # the last step of the job, which may meet the same fault
        if scene.status[0] == "success":
            wrong.append("the last step came to success")
        scene.calm()
        assert scene.stage.mlbot("failed", rights=hosted.WRITES) == Exit.OK
        if scene.status[0] not in {"error", "failure"}:
            wrong.append(f"nothing is said: {scene.status}")
    scene.again()
    return "; ".join(wrong)


ONCE, FOR_GOOD = True, False
NIGHTLY: Final = pytest.mark.nightly


@pytest.mark.parametrize("once", [FOR_GOOD, pytest.param(ONCE, marks=NIGHTLY)], ids=["for ever", "once"])
def test_the_planner(worse: Scene, *, once: bool) -> None:
    lines = worse.requests("plan")
    assert '"pack": "tiny"' in worse.stage.outputs["matrix"], "there is a baseline to train"
    found = {
        f"{fault} at {place}, {lines[place]}": plan_under_fault(worse, lines, place, fault, once=once)
        for place, fault in places(lines)
    }
    assert {where: what for where, what in found.items() if what} == {}


@pytest.mark.parametrize(
    ("name", "once"),
    [
        pytest.param("worse", FOR_GOOD, id="worse, for ever"),
        pytest.param("worse", ONCE, id="worse, once", marks=NIGHTLY),
        pytest.param("same", FOR_GOOD, id="same, for ever", marks=NIGHTLY),
        pytest.param("same", ONCE, id="same, once", marks=NIGHTLY),
        pytest.param("pushed", FOR_GOOD, id="pushed, for ever", marks=NIGHTLY),
        pytest.param("pushed", ONCE, id="pushed, once", marks=NIGHTLY),
    ],
)
def test_the_judge(request: pytest.FixtureRequest, name: str, *, once: bool) -> None:
    scene: Scene = request.getfixturevalue(name)
    lines = scene.requests("judge")
    found = {
        f"{fault} at {place}, {lines[place]}": judge_under_fault(scene, lines, place, fault, once=once)
        for place, fault in places(lines)
    }
    assert {where: what for where, what in found.items() if what} == {}


@pytest.mark.parametrize(
    ("name", "once"),
    [
        pytest.param("pushed", FOR_GOOD, id="pushed, for ever", marks=NIGHTLY),
        pytest.param("same", ONCE, id="same, once"),
        pytest.param("same", FOR_GOOD, id="same, for ever", marks=NIGHTLY),
        pytest.param("worse", FOR_GOOD, id="worse, for ever", marks=NIGHTLY),
        pytest.param("worse", ONCE, id="worse, once", marks=NIGHTLY),
        pytest.param("pushed", ONCE, id="pushed, once", marks=NIGHTLY),
    ],
)
def test_the_publisher(request: pytest.FixtureRequest, name: str, *, once: bool) -> None:
    scene: Scene = request.getfixturevalue(name)
    lines = scene.requests("publish")
    found = {
        f"{fault} at {place}, {lines[place]}": publish_under_fault(scene, lines, place, fault, once=once)
        for place, fault in places(lines)
    }
    assert {where: what for where, what in found.items() if what} == {}
