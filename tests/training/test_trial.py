"""The content key of a trial, and what a command line changes of the parameters."""

import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import ledger_samples, tiny
from tests.support.git_samples import Sandbox

from mlbot import entry
from mlbot.console import Console
from mlbot.errors import Exit, MlbotError
from mlbot.git.ledger import LedgerBranch
from mlbot.git.remote import Remote
from mlbot.git.repository import Repository
from mlbot.lib.record import Params
from mlbot.plan.run_plan import PlanOptions, plan_working_tree
from mlbot.training.run_train import TrainOptions, train_and_report
from mlbot.training.trial import read_overrides, trial_key

KEY, OTHER = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
COMMITTED: Params = {"lr": 0.1, "depth": 3, "tree.kind": "gbdt", "early": False, "none": None}
VALUES = st.one_of(st.booleans(), st.integers(-9, 9), st.floats(-9, 9), st.text(max_size=5))
OVERRIDES = st.dictionaries(st.text("abc.", min_size=1, max_size=3), VALUES, min_size=1, max_size=4)


@given(OVERRIDES)
def test_a_trial_never_has_the_committed_key(overrides: Params) -> None:
    assert trial_key(KEY, overrides) not in {KEY, trial_key(OTHER, overrides)}
    assert trial_key(KEY, dict(reversed(overrides.items()))) == trial_key(KEY, overrides)


def text_of(overrides: Params) -> list[tuple[str, str, str]]:
    return sorted((name, type(value).__name__, repr(value)) for name, value in overrides.items())


@given(OVERRIDES, OVERRIDES)
def test_two_trials_share_a_key_only_when_they_are_the_same(one: Params, two: Params) -> None:
    assert (trial_key(KEY, one) == trial_key(KEY, two)) is (text_of(one) == text_of(two))


def test_without_overrides_it_is_the_commits_key() -> None:
    assert trial_key(KEY, {}) == KEY


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("lr=1", 1.0),
        ("lr=1e-3", 0.001),
        ("depth=5", 5),
        ("depth=2.5", 2.5),
        ("tree.kind=1", "1"),
        ("tree.kind=a=b", "a=b"),
        ("early=true", True),
        ("none=3", 3),
    ],
)
def test_a_value_means_what_it_means_in_the_file(written: str, value: object) -> None:
    (found,) = read_overrides([written], None, COMMITTED).values()
    assert (found, type(found)) == (value, type(value))


def test_json_is_taken_as_it_is() -> None:
    assert read_overrides(["depth=4"], '{"lr": 0.2, "tree.kind": "dart"}', COMMITTED) == {
        "lr": 0.2,
        "tree.kind": "dart",
        "depth": 4,
    }


@pytest.mark.parametrize(
    ("written", "as_json", "said"),
    [
        (["depth"], None, "is no name=value"),
        (["dept=3"], None, "Did you mean depth?"),
        (["lr=.nan"], None, "is no finite number"),
        (["zzz=3"], None, "lr, depth, tree.kind, early or none"),
        ([], '{"lr": NaN}', "--overrides"),
        ([], '{"lr": [1]}', "--overrides"),
        ([], "[1]", "--overrides"),
        ([], "{", "--overrides"),
    ],
)
def test_what_cannot_be_read_is_refused(written: list[str], as_json: str | None, said: str) -> None:
    with pytest.raises(MlbotError) as caught:
        read_overrides(written, as_json, COMMITTED)
    assert said in f"{caught.value.what} {caught.value.hint}"


pytestmark = pytest.mark.usefixtures("git_settings")

ENTRYPOINT = """
from sklearn.linear_model import LogisticRegression

from mlbot.ml.frames import read


def train(params, seed):
    print(f"strength={params['model']['strength']}")
    table = read("data/train.csv")
    return LogisticRegression(C=params["model"]["strength"]).fit(table.select("x1", "x2", "x3").to_numpy(), table["y"])
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, git_settings: None) -> Sandbox:
    del git_settings
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return tiny.repository(tmp_path / "repository")


class Done(NamedTuple):
    """What a command line came to."""

    returncode: int
    stdout: str
    stderr: str


SEED = ("train", "--json", "--model", "tiny", "--seed", "0")


def train(where: Sandbox, *arguments: str, verb: tuple[str, ...] = SEED, **environment: str) -> Done:
    """In this process, as starting another takes longer than the training."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        patch.chdir(where.path)
        for name, value in environment.items():
            patch.setenv(name, value)
        code = entry.invoke([*verb, *arguments])
    return Done(code, out.getvalue(), err.getvalue())


def lineage(done: Done) -> dict[str, Any]:
    assert done.returncode == Exit.OK, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_commands_training_reads_them_and_its_lineage_says_so(repository: Sandbox) -> None:
    committed = lineage(train(repository))
    before = (repository.path / "params.yaml").read_text()
    tried = lineage(train(repository, "--param", "mode=lost", "--param", "claim=0.5"))
    assert tried["params"] == {**committed["params"], "mode": "lost", "claim": 0.5}
    assert tried["claims"] == {"roc_auc": 0.5}
    assert tried["digest"] != committed["digest"]
    assert tried["key"] != committed["key"]
    assert (repository.path / "params.yaml").read_text() == before

    overrides = {"MLBOT_CI_TRAIN_OVERRIDES": '{"claim": 0.5, "mode": "lost"}'}
    overrides |= {"MLBOT_CI_TRAIN_TRAININGS": '{"tiny": [0]}'}
    again = train(repository, verb=("ci", "train"), **overrides)
    assert json.loads((repository.path / "trained/tiny/0/training.json").read_text())["key"] == tried["key"]
    assert "trained before" in again.stderr
    assert "trained before" in train(repository).stderr


def test_that_the_committed_recipe_is_deterministic_says_nothing_of_other_parameters(
    repository: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    options = TrainOptions(models=("tiny",))
    (planned,) = plan_working_tree(Repository.discover(repository.path), PlanOptions(models=("tiny",))).stale
    main = repository.git("rev-parse", "main").strip()
    known = ledger_samples.entry(model="tiny", key=planned.key, commit=main, deterministic=True)
    LedgerBranch.at(Remote(url=str(repository.path))).append([known], 1_800_000_000)
    for params, seeds in (((), 1), (("claim=0.5",), 3)):
        train_and_report(repository.path, replace(options, params=params), Console.of_process(quiet=True))
        assert len(capsys.readouterr().out.splitlines()) == seeds


def test_a_functions_training_gets_them(repository: Sandbox) -> None:
    config = tiny.CONFIG.replace("run: python train.py", "entrypoint: income:train")
    config = config.replace("depends: [train.py", "depends: [income.py").replace(
        "drop: [segment]", "features: [x1, x2, x3]"
    )
    repository.commit(
        {"mlbot.yaml": config, "income.py": ENTRYPOINT, "params.yaml": "model: {strength: 1.0}  # mild\n"}
    )
    committed = lineage(train(repository))
    tried = lineage(train(repository, "--param", "model.strength=0.0001"))
    assert (committed["params"], tried["params"]) == ({"model.strength": 1.0}, {"model.strength": 0.0001})
    assert committed["digest"] != tried["digest"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--param", "mod=lost"], "Did you mean mode?"),
        (["--param", "offset"], "is no name=value"),
        (["--param", "offset=.inf"], "is no finite number"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_trained(
    repository: Sandbox, arguments: list[str], said: str
) -> None:
    done = train(repository, *arguments)
    assert done.returncode == Exit.USAGE
    assert said in done.stderr
    assert "training ..." not in done.stderr


def test_they_are_one_models(repository: Sandbox) -> None:
    done = train(repository, "--param", "offset=3", verb=("train",))
    assert done.returncode == Exit.USAGE
    assert "Name one with --model" in done.stderr
