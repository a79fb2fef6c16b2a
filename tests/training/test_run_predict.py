"""Models of any kind, asked by the guarded branch's command in this machine's strongest jail; no package is needed."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score
from tests.support import git_samples
from tests.support.git_samples import Sandbox
from tests.support.tiers import NIGHTLY

from mlbot.config.run_check import Folder, read
from mlbot.config.schema import Smoke
from mlbot.gates.outcome import Outcome, Reason
from mlbot.git.repository import Repository
from mlbot.judging.run_judge import JudgeRequest, JudgeResult, Rule, judge
from mlbot.ml import predictor
from mlbot.ml.golden import make_golden, smoke
from mlbot.ml.holdout import HoldoutData, open_holdout
from mlbot.ml.isolation import Isolation, Rung, isolation_of
from mlbot.ml.predictor import Artifact
from mlbot.ml.scoring import Scored
from mlbot.protocol.golden import Golden, SmokeReason, canonical
from mlbot.training import run_predict
from mlbot.training.run_predict import Asking, RuleSource
from mlbot.training.run_train import SeedRun, SeedRuns
from mlbot.verdict.decide import decide, policy_digest
from mlbot.verdict.verdict import Asked, Commits, Problem

CONFIG = """
version: 1
models:
  m:
    task: binary
    train: {run: make}
    predict: {run: python3 predict.py, format: csv}
    data: {holdout: data/holdout.csv, target: y, positive: "yes"}
    metrics: [roc_auc, accuracy]
    gates:
      roc_auc: {min: 0.6, max_regression: 0.02}
"""
PREDICT = """
import csv, json, math, os

with open(os.environ["MLBOT_ARTIFACT"]) as stream:
    weights = json.load(stream)
with open(os.environ["MLBOT_FEATURES"]) as rows, open(os.environ["MLBOT_PREDICTIONS"], "w") as answers:
    out = csv.writer(answers)
    out.writerow(["row_id", "p:yes"])
    for row in csv.DictReader(rows):
        number = sum(weight * float(row[name]) for name, weight in weights.items())
        out.writerow([row["row_id"], 1 / (1 + math.exp(-number))])
"""
RNG = np.random.default_rng(3)
X = RNG.normal(size=(200, 2))
Y = np.where(X @ [1.0, 0.5] + RNG.normal(size=200) > 0, "yes", "no")
GOOD, WORSE = {"a": 2.0, "b": 1.0}, {"a": 0.4, "b": 2.0}


@pytest.fixture
def repository(tmp_path: Path) -> Sandbox:
    made = git_samples.make(tmp_path / "repository")
    rows = pl.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": Y})
    made.commit({"mlbot.yaml": CONFIG, "predict.py": PREDICT, "data/holdout.csv": rows.write_csv(), "secret.txt": "x"})
    return made


@pytest.fixture
def asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that another test asked about the same rows is not asked again; at night it is."""
    ask = predictor.predict_many

    def many(artifacts: Sequence[Artifact], *rest: Any, shipped: Sequence[int], **more: Any) -> list[Scored | Problem]:
        found = []
        for at, artifact in enumerate(artifacts):
            key = artifact.path.read_text(), at in shipped
            if NIGHTLY or key not in ANSWERS:
                (ANSWERS[key],) = ask([artifact], *rest, shipped=[0] if at in shipped else [], **more)
            found.append(ANSWERS[key])
        return found

    monkeypatch.setattr(predictor, "predict_many", many)


ANSWERS: dict[tuple[str, bool], Scored | Problem] = {}


@pytest.fixture
def jail() -> None:
    """A jail that a judge takes: root has none where neither bubblewrap is nor another user gets to the interpreter."""
    found = isolation_of(judge=True)
    if isinstance(found, Problem):
        pytest.skip(found.detail)


def rule_of(sandbox: Sandbox, *, is_judge: bool = False) -> Rule:
    repository, config = Repository.discover(sandbox.path), Folder.of(sandbox.path).config
    commit = sandbox.git("rev-parse", "HEAD")
    source = RuleSource(repository=repository, commit=commit, config=config, is_judge=is_judge)
    return Rule(model=config.models[0], folder=sandbox.path, source=source)


def written(folder: Path, models: Sequence[object]) -> Iterator[SeedRun]:
    for seed, weights in enumerate(models):
        file = folder / f"{seed}-{len(list(folder.iterdir()))}.json"
        file.write_text(json.dumps(weights))
        yield SeedRun(seed=seed, file=file)


def judged(sandbox: Sandbox, ours: Sequence[object], theirs: Sequence[object], rule: Rule | None = None) -> JudgeResult:
    folder = sandbox.path.parent / "models"
    folder.mkdir(exist_ok=True)
    sides = [SeedRuns(runs=tuple(written(folder, side))) for side in (ours, theirs)]
    request = JudgeRequest(rule=rule or rule_of(sandbox), candidate=sides[0], baseline=sides[1])
    return judge(request, progress=lambda _: None)


def outcome(result: JudgeResult) -> Outcome:
    nowhere = Commits(head="0" * 40, base=None, policy=None, guarded="main")
    return decide(nowhere, [result.evidence]).outcome


def chances(weights: dict[str, float]) -> np.ndarray:
    found: np.ndarray = 1 / (1 + np.exp(-(X @ list(weights.values()))))
    return found


@pytest.mark.usefixtures("asked_once")
def test_figures_are_those_of_scikit_learn_and_a_good_change_passes(repository: Sandbox) -> None:
    result = judged(repository, [GOOD, GOOD], [GOOD, GOOD])
    assert outcome(result) is Outcome.PASS
    shipped = result.evidence.candidate[0]
    values = {score.metric: score.value for score in shipped.scores if score.slice is None}
    assert values["roc_auc"] == pytest.approx(roc_auc_score(Y, chances(GOOD)), abs=1e-12)
    assert values["accuracy"] == accuracy_score(Y, np.where(chances(GOOD) > 0.5, "yes", "no"))
    assert shipped.asked is not None
    assert (shipped.latency, shipped.asked.calls) == (None, 11)
    assert result.evidence.candidate[1].asked.calls == 3  # type: ignore[union-attr]


@pytest.mark.usefixtures("asked_once")
def test_a_worse_model_fails(repository: Sandbox) -> None:
    assert outcome(judged(repository, [WORSE, WORSE], [GOOD, GOOD])) is Outcome.FAIL


@pytest.mark.usefixtures("asked_once")
def test_a_model_that_cannot_be_asked_is_an_error_with_what_the_command_says(repository: Sandbox) -> None:
    result = judged(repository, [{"z": 1}], [GOOD])
    assert outcome(result) is Outcome.ERROR
    problem = result.evidence.candidate[0].problem
    assert problem is not None
    assert (problem.reason, problem.cause) == (Reason.SCORING_FAILED, "command-log")
    assert "KeyError: 'z'" in problem.detail


def holdout_of(rule: Rule) -> HoldoutData:
    found = open_holdout(rule.folder / "data/holdout.csv", rule.model.data, rule.model.task)
    assert isinstance(found, HoldoutData)
    return found


def asked(rule: Rule, *files: Path) -> tuple[Scored | Problem, ...]:
    assert rule.source is not None
    asking = Asking(model=rule.model, source=rule.source, folder=rule.folder, progress=lambda _: None)
    return asking.many(files, holdout_of(rule), [0])


@pytest.mark.usefixtures("jail")
@pytest.mark.parametrize(
    ("look", "seen"),
    [
        ("os.listdir(os.path.dirname(os.path.abspath(__file__)))", "['predict.py']"),
        ("os.path.exists('data/holdout.csv')", "False"),
        ("__import__('glob').glob(REPOSITORY + '/*')", "[]"),
        ("sorted(name for name in os.environ if 'MLBOT' in name)", "MLBOT_ARTIFACT', 'MLBOT_CODE', 'MLBOT_FEATURES'"),
        ("os.environ.get('HUSH')", "None"),
    ],
)
def test_sees_its_own_files_and_nothing_else(
    repository: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, look: str, seen: str
) -> None:
    monkeypatch.setenv("HUSH", "a secret")
    look = look.replace("REPOSITORY", repr(str(repository.path)))
    repository.commit({"predict.py": f"import os\nraise SystemExit('saw ' + str({look}))"})
    (tmp_path / "model").write_text("1")
    (found,) = asked(rule_of(repository), tmp_path / "model")
    assert isinstance(found, Problem)
    assert f"saw {seen}" in found.detail or seen in found.detail


def test_a_folder_is_a_model_and_what_is_no_model_is_refused(repository: Sandbox, tmp_path: Path) -> None:
    repository.commit({"predict.py": PREDICT.replace('"MLBOT_ARTIFACT"]', '"MLBOT_ARTIFACT"] + "/weights.json"')})
    folder, empty, link = tmp_path / "folder", tmp_path / "empty", tmp_path / "link"
    folder.mkdir()
    (folder / "weights.json").write_text(json.dumps(GOOD))
    empty.mkdir()
    link.symlink_to(folder)
    good, none, led = asked(rule_of(repository), folder, empty, link)
    assert isinstance(good, Scored)
    np.testing.assert_allclose(good.predictions, chances(GOOD), rtol=1e-12)
    assert isinstance(none, Problem)
    assert isinstance(led, Problem)
    assert (none.cause, led.cause) == ("unfit", "unfit")


def test_a_judge_asks_nothing_without_isolation_and_a_laptop_says_so(
    repository: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    facts: dict[str, Any] = dict.fromkeys(Isolation.model_fields.keys() - {"rung", "refused"}, False)
    nothing = Isolation(rung=Rung.NONE, **facts)
    monkeypatch.setattr("mlbot.ml.isolation._probed", lambda _python, _judge: nothing)
    (tmp_path / "model").write_text(json.dumps(GOOD))
    (refused,) = asked(rule_of(repository, is_judge=True), tmp_path / "model")
    assert isinstance(refused, Problem)
    assert refused.reason is Reason.PREDICTOR_NOT_ISOLATED
    said: list[str] = []
    rule = rule_of(repository)
    assert rule.source is not None
    asking = Asking(model=rule.model, source=rule.source, folder=rule.folder, progress=said.append)
    assert isinstance(asking.isolation(), Isolation)
    assert "NOTHING HOLDS" in said[0]


@pytest.mark.parametrize(("limit", "one", "in_all"), [("", 60, np.inf), ("20s", 20, 20), ("10m", 60, 600)])
def test_one_call_and_all_of_them_have_their_bounds_and_slow_ones_are_announced(
    repository: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str, one: float, in_all: float
) -> None:
    facts = Asked(isolation="none", environment="", calls=0, longest_s=0, peak_memory_bytes=0)

    def many(*asked: Any, before: Callable[[int, Asked], None], **_: object) -> list[object]:
        for calls, longest in ((0, 0.0), (1, 2.0), (2, 60.0)):
            before(0, facts.model_copy(update={"calls": calls, "longest_s": longest}))
        return [asked[2]]

    monkeypatch.setattr("mlbot.ml.predictor.predict_many", many)
    config = CONFIG.replace("format: csv", "format: csv, timeout: 60s")
    repository.commit({"mlbot.yaml": config + (f"    limits: {{score_time: {limit}}}\n" if limit else "")})
    (tmp_path / "model").write_text(json.dumps(GOOD))
    rule, said = rule_of(repository), list[str]()
    assert rule.source is not None
    asking = Asking(model=rule.model, source=rule.source, folder=rule.folder, progress=said.append)
    found: Any = asking.many([tmp_path / "model"], holdout_of(rule), [0])
    assert [(each.limits.wall_s, each.in_all_s) for each in found] == [(one, in_all)]
    assert said[1:] == ["m: asking 1 of 1 ...", "m: asking 1 of 1, call 3 ..."]


@pytest.mark.usefixtures("jail")
def test_nothing_is_installed_for_a_commit_that_is_not_landed(repository: Sandbox, tmp_path: Path) -> None:
    repository.commit({"mlbot.yaml": CONFIG.replace("format: csv", "format: csv, environment: {install: touch x}")})
    rule = rule_of(repository, is_judge=True)
    assert rule.source is not None
    (tmp_path / "model").write_text(json.dumps(GOOD))
    (found,) = asked(replace(rule, source=replace(rule.source, is_landed=False)), tmp_path / "model")
    assert isinstance(found, Problem)
    assert found.cause == "predictor-not-landed"


@pytest.mark.usefixtures("jail")
def test_a_strangers_command_is_asked_without_a_checkout(
    repository: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run_predict, "code_of", lambda *_: pytest.fail("it was checked out"))
    (repository.path / "predict.py").chmod(0o755)
    run = CONFIG.replace("run: python3 predict.py", "run: ./predict.py")
    repository.commit({"mlbot.yaml": run, "predict.py": f"#!/usr/bin/env python3\n{PREDICT}"})
    rule = rule_of(repository, is_judge=True)
    assert rule.source is not None
    (tmp_path / "model").write_text(json.dumps(GOOD))
    (found,) = asked(replace(rule, source=replace(rule.source, is_landed=False)), tmp_path / "model")
    assert isinstance(found, Scored), found


def test_golden_requests_are_asked_by_the_predictor(repository: Sandbox, tmp_path: Path) -> None:
    rule, file = rule_of(repository), tmp_path / "model"
    file.write_text(json.dumps(GOOD))

    def ask(path: Path, holdout: HoldoutData) -> Scored | Problem:
        assert rule.source is not None
        asking = Asking(model=rule.model, source=rule.source, folder=rule.folder, progress=lambda _: None)
        return asking.many([path], holdout, [])[0]

    golden = Golden.model_validate_json(canonical(make_golden(file, rule.model, rule.folder, 20, ask)))
    places = np.unique(np.linspace(0, 199, 20).round().astype(int))
    np.testing.assert_allclose(np.ravel(golden.predictions), chances(GOOD)[places], rtol=1e-12)
    assert golden.platform.startswith("Python ")
    assert "onnxruntime" not in golden.platform
    assert smoke(file, golden, Smoke(), ask=ask).reason is SmokeReason.AS_JUDGED
    assert smoke(file, golden, Smoke(p95_ms=5.0), ask=ask).reason is SmokeReason.NOT_MEASURED
    assert smoke(file, golden, Smoke()).reason is SmokeReason.NOT_LOADED
    other = golden.model_copy(update={"predictions": tuple((value * 0.99,) for (value,) in golden.predictions)})
    assert smoke(file, other, Smoke(), ask=ask).reason is SmokeReason.PREDICTIONS_DIFFER
    file.write_text(json.dumps(WORSE))
    assert smoke(file, golden, Smoke(), ask=ask).reason is SmokeReason.NOT_THE_BYTES


def test_the_predictor_is_one_of_the_rules(repository: Sandbox) -> None:
    """A change of the command, its file or its environment gives other verdicts; of another file the same."""

    def digest() -> str:
        config = read((repository.path / "mlbot.yaml").read_text())
        tree = Repository.discover(repository.path).tree(repository.git("rev-parse", "HEAD"))
        return policy_digest(config.models[0], config.inconclusive, tree, "sha256:" + "0" * 64)

    seen = [digest()]
    repository.commit({"secret.txt": "y"})
    assert digest() == seen[0]
    own = CONFIG.replace("format: csv", "format: csv, environment: {install: pip install -r serve.txt}")
    changes = [{"predict.py": "1"}, {"mlbot.yaml": own, "serve.txt": "a==1"}, {"serve.txt": "a==2"}]
    changes.append({"mlbot.yaml": own.replace("python3 predict.py", "python3 predict.py --fast")})
    changes.append({"mlbot.yaml": own.replace("format: csv", "tolerance: 0.01")})
    for change in changes:
        repository.commit(change)
        seen.append(digest())
    assert len(set(seen)) == len(seen)
