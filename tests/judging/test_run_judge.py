"""A change beside what is in production: the very bytes, from where they are, scored on today's holdout."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import fsspec
import numpy as np
import polars as pl
import pytest
from sklearn.metrics import confusion_matrix, recall_score
from tests.e2e import user
from tests.fake_github.server import FakeGitHub
from tests.support import tiny
from tests.support.git_samples import Sandbox
from tests.support.history_samples import deployment
from tests.support.hosted import Stage
from tests.support.onnx_samples import with_own_rule

from mlbot import entry
from mlbot.config.data import Data
from mlbot.config.schema import Config, Model
from mlbot.config.train import Train
from mlbot.errors import Exit
from mlbot.gates.metric import CATALOGUE, Bound, Gate, Task
from mlbot.gates.outcome import Reason
from mlbot.git.ledger import LedgerBranch
from mlbot.git.remote import Remote
from mlbot.git.repository import Repository
from mlbot.judging.run_judge import Against, JudgeRequest, Rule, Rules, judge, judge_against
from mlbot.lib.record import digest
from mlbot.plan.run_plan import Configs, Planning
from mlbot.report.report import Side
from mlbot.storage.store import open_store
from mlbot.training.run_train import SeedRun, SeedRuns, unfetched
from mlbot.verdict.verdict import Commits

pytestmark = pytest.mark.usefixtures("git_settings")

ENVIRONMENTS = """
store: "{store}"
environments:
  staging: {{target: "file:///srv/staging"}}
  production: {{target: "file:///srv/production", after: staging}}
"""


@pytest.fixture
def stage(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The guarded branch has environments; the pull request left it before that."""
    stage = Stage.opened(github, tmp_path, monkeypatch, tiny.params(offset=1000))
    config = user.CONFIG + ENVIRONMENTS.format(store=(tmp_path / "store").as_uri())
    github.user("alice").push("main", {"mlbot.yaml": config})
    subprocess.run(["git", "pull", "--quiet"], cwd=tmp_path / "checkout", check=True)
    github.world.queue.clear()
    return stage


def live(stage: Stage, file: Path, *, stored: bool = True) -> None:
    """Put a file into production, and into the store."""
    put(file, stage.folder / "store" if stored else None, stage.github.user("boss").clone_url())


def put(file: Path, store: Path | None, repository: str) -> None:
    is_file = digest(file.read_bytes())
    if store:
        open_store(store.as_uri(), store).put(is_file, file)
    deployed = deployment(model="tiny", environment="production", version="1.0.0", digest=is_file)
    LedgerBranch.at(Remote(url=repository)).append([deployed], 1_800_000_000)


def test_production_is_shown_beside_the_candidate_and_gates_nothing(stage: Stage, good: Path, bad: Path) -> None:
    live(stage, good / "0" / "model.onnx")
    stage.judge_main(bad)
    stage.settle(bad)
    (model,) = stage.report["models"]
    assert (model["production"]["version"], model["production"]["problem"]) == ("v1.0.0", None)
    found = {(each["metric"], each["slice"]): each for each in model["production"]["comparisons"]}
    assert list(found) == [("roc_auc", None), ("log_loss", None), ("accuracy", None), ("accuracy", "rare")]
    ranking = found["roc_auc", None]
    assert ranking["low"] < ranking["change"] < ranking["high"] < -0.02
    assert ranking["method"] == "paired"
    (comment,) = stage.comments
    assert "production runs `v1.0.0`" in comment
    assert "Beside v1.0.0 in production: 3 of 4 clearly worse" in comment
    assert "**Worse than production.** Since v1.0.0, which is in production, roc\\_auc fell by 0." in comment


def test_a_better_candidate_is_said_to_be(stage: Stage, good: Path, bad: Path) -> None:
    live(stage, bad / "0" / "model.onnx")
    stage.judge_main(good)
    stage.settle(good)
    assert stage.status[0] == "success"
    assert "Beside v1.0.0 in production: 3 of 4 clearly better" in stage.comments[0]
    assert "Worse than production" not in stage.comments[0]


def test_a_file_that_is_gone_is_reported_and_changes_nothing(stage: Stage, good: Path, bad: Path) -> None:
    live(stage, bad / "0" / "model.onnx", stored=False)
    stage.judge_main(good)
    stage.settle(good)
    assert stage.status[0] == "success"
    why = "Not compared with `v1.0.0` in `production`: The file is not available: nothing is stored as"
    assert why in stage.comments[0]


def test_bytes_that_are_no_model_are_not_scored(stage: Stage, good: Path, tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"\x80\x04N.")
    live(stage, tmp_path / "no.onnx")
    stage.judge_main(good)
    stage.settle(good)
    assert stage.status[0] == "success"
    assert "Not compared with `v1.0.0` in `production`" in stage.comments[0]


def test_the_candidate_itself_is_not_compared_with_itself(stage: Stage, good: Path) -> None:
    live(stage, good / "0" / "model.onnx")
    stage.judge_main(good)
    stage.settle(good)
    assert stage.report["models"][0]["production"]["comparisons"] == []
    assert "production runs `v1.0.0`, the candidate itself" in stage.comments[0]


def test_on_a_laptop_it_is_the_clones_own_ledger_and_store(
    tmp_path: Path, bad: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    sandbox = tiny.repository(tmp_path / "repository")
    sandbox.git("checkout", "--quiet", "main")
    sandbox.commit({"mlbot.yaml": user.CONFIG + ENVIRONMENTS.format(store=(tmp_path / "store").as_uri())})
    put(bad / "0" / "model.onnx", tmp_path / "store", str(sandbox.path))
    sandbox.git("checkout", "--quiet", "-B", "change")
    sandbox.commit(tiny.params(offset=2000))
    output = tmp_path / "report.md"
    assert entry.invoke(["run", "-q", "-C", str(sandbox.path), "--markdown", str(output)]) == Exit.OK
    assert "Beside v1.0.0 in production: 3 of 4 clearly better" in output.read_text()


@pytest.fixture
def checkouts() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def strangers_rules(sandbox: Sandbox, head: str, checkouts: ExitStack) -> Rules:
    """Of a pull request whose mlbot.yaml is `head`, into a branch that has the tiny model."""
    base = sandbox.commit(tiny.files())
    commits = Commits(head=sandbox.commit({"mlbot.yaml": head}), base=base, policy=base, guarded="main")
    planning = Planning.of(Repository.discover(sandbox.path), commits, outside=False)
    return Rules(planning=planning, checkouts=checkouts, trusts_head=False)


def test_a_known_model_is_judged_by_the_guarded_branchs_gates(sandbox: Sandbox, checkouts: ExitStack) -> None:
    rule = strangers_rules(sandbox, tiny.CONFIG.replace("min: 0.75", "min: 0.5"), checkouts).of("tiny")
    assert (rule.provisional, rule.problem) == (False, None)
    assert [gate.limit for gate in rule.model.gates if gate.name == "roc_auc.min"] == [0.75]


# Other content than `tiny` has, which would be that model with a new name.
STRANGE = tiny.CONFIG.replace("  tiny:", "  strange:").replace("python train.py", "python -u train.py")


@pytest.mark.parametrize(
    ("old", "new", "reason", "cause"),
    [
        (
            "metrics: [",
            'metrics: [{function: "metrics:profit", direction: higher}, ',
            Reason.METRIC_FAILED,
            "not-landed",
        ),
        (
            "holdout: data/holdout.csv",
            "holdout: https://example.org/holdout.csv",
            Reason.HOLDOUT_UNREADABLE,
            "new-url",
        ),
        ("holdout: data/holdout.csv", "holdout: data/none.csv", Reason.HOLDOUT_UNREADABLE, "not-in-commit"),
    ],
)
def test_of_a_new_model_no_code_runs_and_nothing_is_fetched(
    old: str, new: str, reason: Reason, cause: str, sandbox: Sandbox, checkouts: ExitStack
) -> None:
    config = STRANGE.replace(old, new, 1)
    rule = strangers_rules(sandbox, config, checkouts).of("strange")
    assert rule.provisional
    assert rule.problem is not None
    assert (rule.problem.reason, rule.problem.cause) == (reason, cause)
    assert list(rule.folder.iterdir()) == []


def test_of_a_new_model_the_holdout_alone_is_taken_from_head(sandbox: Sandbox, checkouts: ExitStack) -> None:
    rule = strangers_rules(sandbox, STRANGE, checkouts).of("strange")
    assert (rule.provisional, rule.problem) == (True, None)
    assert [each.relative_to(rule.folder) for each in rule.folder.rglob("*.*")] == [Path("data/holdout.csv")]


def test_a_holdout_that_the_job_has_fetched_is_read_in_the_version_of_the_guarded_branch(
    sandbox: Sandbox, checkouts: ExitStack
) -> None:
    """As `dvc pull` leaves it: git has a pointer, the folder the data."""
    without = {path: text for path, text in tiny.files().items() if path != "data/holdout.csv"}
    ignored = {".gitignore": "/data/holdout.csv\n"}
    old = sandbox.commit({**without, **ignored, "data/holdout.csv.dvc": "outs: [{md5: 1, path: holdout.csv}]\n"})
    sandbox.commit({"data/holdout.csv.dvc": "outs: [{md5: 2, path: holdout.csv}]\n"})
    new = sandbox.git("rev-parse", "HEAD")
    sandbox.write({"data/holdout.csv": "x1,y\n1,0\n"})
    repository = Repository.discover(sandbox.path)
    for policy, fetched in ((new, True), (old, False)):
        planning = Planning.of(repository, Commits(head=new, base=old, policy=policy, guarded="main"), outside=False)
        rule = Rules(planning=planning, checkouts=checkouts, trusts_head=False).of("tiny")
        holdout = rule.folder / "data" / "holdout.csv"
        assert holdout.exists() is fetched
        problem = unfetched(holdout)
        assert (problem.cause if problem else None) == (None if fetched else "dvc-pointer")


# --- the labels that are judged


def test_recall_flips_and_the_confusion_are_of_the_labels_that_the_config_decides(tmp_path: Path) -> None:
    """P(positive) and, inside the file, a threshold of 0.2; the baseline has the same probabilities and 0.6."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=800).astype(np.float32)
    y = (rng.random(800) < 1 / (1 + np.exp(-a.astype(np.float64)))).astype(int)
    weights = rng.gamma(2.0, 1.0, 800)
    pl.DataFrame({"a": a, "y": y, "w": weights}).write_parquet(tmp_path / "holdout.parquet")
    files = [tmp_path / name for name in ("candidate.onnx", "baseline.onnx")]
    for file, threshold in zip(files, (0.2, 0.6), strict=True):
        file.write_bytes(with_own_rule({"a": 1.0}, threshold).SerializeToString())
    p = 1 / (1 + np.exp(-a))
    ways: list[tuple[dict[str, object], tuple[float, float]]] = [
        ({}, (0.5, 0.5)),
        ({"threshold": 0.4}, (0.4, 0.4)),
        ({"label": "model"}, (0.2, 0.6)),
        ({"label": "model", "weight": "w"}, (0.2, 0.6)),
    ]
    for setting, limits in ways:
        counted = weights if "weight" in setting else np.ones(800)
        result = judge(labels_request(tmp_path, files, {"features": ("a",), **setting}), progress=lambda _: None)
        (candidate,), (baseline,) = result.evidence.candidate, result.baseline
        decided = [p >= np.float32(limit) for limit in limits]
        for evaluation, labels in zip((candidate, baseline), decided, strict=True):
            score = evaluation.score("recall")
            assert score is not None
            assert score.value == pytest.approx(recall_score(y, labels, sample_weight=counted), abs=1e-12)
        assert result.evidence.flips is not None
        assert result.evidence.flips.count == int(((decided[1] == y) & (decided[0] != y)).sum())
        cells = confusion_matrix(y, decided[0], sample_weight=counted) / counted.mean()
        assert np.array(result.curves[Side.CANDIDATE].confusion) == pytest.approx(cells, rel=1e-5)
        differ = int((decided[0] != (p >= np.float32(0.2))).sum()) if "label" not in setting else None
        own = candidate.own_labels
        assert own is not None
        assert own.threshold == 0.2
        assert differ in {own.differ, None}


def labels_request(folder: Path, files: list[Path], setting: dict[str, object]) -> JudgeRequest:
    model = Model(
        name="m",
        task=Task.BINARY,
        train=Train(run="true"),
        data=Data.model_validate({"holdout": "holdout.parquet", "target": "y", **setting}),
        metrics=(CATALOGUE["recall"],),
        gates=(Gate(metric="recall", bound=Bound.MIN, limit=0.1),),
    )
    sides = [SeedRuns(runs=(SeedRun(seed=0, file=file),)) for file in files]
    return JudgeRequest(rule=Rule(model=model, folder=folder), candidate=sides[0], baseline=sides[1])


def test_a_holdout_behind_a_url_is_fetched_once_for_all_baselines_and_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"a": rng.normal(size=100).astype(np.float32), "y": [0, 1] * 50})
    fetched: list[str] = []
    for name in "ab":
        frame.write_parquet(tmp_path / name)
        with fsspec.open(f"memory://once/{name}.parquet", "wb") as stream:
            stream.write((tmp_path / name).read_bytes())
    opened = fsspec.open

    def counted(url: str, *given: Any, **more: Any) -> Any:
        fetched.append(url)
        return opened(url, *given, **more)

    monkeypatch.setattr(fsspec, "open", counted)
    file = tmp_path / "m.onnx"
    file.write_bytes(with_own_rule({"a": 1.0}, 0.5).SerializeToString())
    copies: dict[str, Any] = {}

    def judged(name: str, copies: dict[str, Any] | None) -> None:
        request = labels_request(tmp_path, [file, file], {"holdout": f"memory://once/{name}.parquet"})
        request = replace(request, rule=replace(request.rule, copies=copies))
        result = judge_against(request, [Against(files=request.others)] * 2, progress=lambda _: None)
        assert result.evidence.problem is None
        assert result.holdout is not None
        assert result.holdout.hidden
        assert result.request.holdout is None

    for name in "aab":
        judged(name, copies)
    assert fetched == ["memory://once/a.parquet", "memory://once/b.parquet"]
    assert list(copies) == ["memory://once/b.parquet"]
    judged("b", None)
    assert fetched[2:] == ["memory://once/b.parquet"]


@pytest.mark.parametrize(
    ("sketch", "recorded", "hidden", "made"),
    [
        (None, True, False, True),
        (None, False, False, False),  # a pull request's
        (False, True, False, False),
        (None, True, True, False),
        (True, True, True, True),
    ],
)
def test_a_verdict_of_the_guarded_branch_has_a_sketch_of_rows_and_answers(
    tmp_path: Path, *, sketch: bool | None, recorded: bool, hidden: bool, made: bool
) -> None:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"a": rng.normal(size=200).astype(np.float32), "y": [0, 1] * 100})
    frame.write_parquet(tmp_path / "holdout.parquet")
    with fsspec.open("memory://sketched/h.parquet", "wb") as stream:
        stream.write((tmp_path / "holdout.parquet").read_bytes())
    files = [tmp_path / name for name in ("candidate.onnx", "baseline.onnx")]
    for file, threshold in zip(files, (0.2, 0.6), strict=True):
        file.write_bytes(with_own_rule({"a": 1.0}, threshold).SerializeToString())
    setting: dict[str, object] = {"sketch": sketch}
    request = labels_request(tmp_path, files, setting | ({"holdout": "memory://sketched/h.parquet"} if hidden else {}))
    result = judge(replace(request, recorded=recorded), progress=lambda _: None)
    assert (result.reference is not None) is made
    if result.reference is not None:
        assert result.reference.counts.targets[0].counts == (100, 100, 0)
        label, probability = result.reference.counts.answers
        positive = 1 / (1 + np.exp(-frame["a"].to_numpy()))
        assert [each.name for each in result.reference.answers] == ["label", "probability"]
        edges = result.reference.answers[1].edges
        assert probability.counts == tuple(np.histogram(positive, [-np.inf, *edges, np.inf])[0])
        assert sorted(label.counts[:2]) == sorted(((positive >= 0.5).sum(), (positive < 0.5).sum()))


def test_a_sketch_that_cannot_be_made_costs_itself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr("mlbot.ml.sketches.sketch_of_holdout", broken)
    pl.DataFrame({"a": np.linspace(-2, 2, 200, dtype=np.float32), "y": [0, 1] * 100}).write_parquet(
        tmp_path / "holdout.parquet"
    )
    file = tmp_path / "m.onnx"
    file.write_bytes(with_own_rule({"a": 1.0}, 0.5).SerializeToString())
    result = judge(replace(labels_request(tmp_path, [file, file], {}), recorded=True), progress=lambda _: None)
    assert (result.reference, result.evidence.problem) == (None, None)


@pytest.mark.parametrize("laptop", [False, True])
def test_nothing_of_a_holdout_is_held_where_the_next_training_could_find_it(*, laptop: bool) -> None:
    config = Config(models=(labels_request(Path(), [Path(), Path()], {}).model,))
    commits = SimpleNamespace(policy="1" * 40, candidate="2" * 40)
    configs = SimpleNamespace(policy=config, head=config)
    facts = {"configs": configs, "commits": commits, "plan": SimpleNamespace(stale=())}
    planning = cast("Planning", SimpleNamespace(**facts, sides=SimpleNamespace(policy=None)))
    rules = Rules(planning=planning, checkouts=ExitStack(), trusts_head=laptop, folders={"1" * 40: Path()})
    assert (rules.of("m").copies is rules.copies) is not laptop
    assert (rules.of("m").copies is None) is laptop


def test_the_margins_of_all_models_are_one_family() -> None:
    """Policy's margins where it has the model, and head's of a new one; nothing of models that are not stale."""

    def model(name: str, margins: int) -> Model:
        bounds = [Bound.MIN, *[Bound.MAX_REGRESSION] * margins]
        gates = tuple(Gate(metric="recall", bound=bound, limit=0.1, slice=str(n)) for n, bound in enumerate(bounds))
        data = Data(holdout="h.csv", target="y")
        return Model(name=name, task=Task.BINARY, train=Train(run="true"), data=data, metrics=(), gates=gates)

    configs = Configs(
        head=Config(models=(model("a", 7), model("b", 2), model("c", 5))),
        base=None,
        policy=Config(models=(model("a", 1), model("c", 5))),
    )
    stale = tuple(SimpleNamespace(name=name) for name in "ab")
    planning = cast("Planning", SimpleNamespace(configs=configs, plan=SimpleNamespace(stale=stale)))
    assert Rules(planning=planning, checkouts=ExitStack(), trusts_head=False).margins() == 3
