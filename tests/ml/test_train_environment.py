"""What a training is told of its surroundings, and what it is not."""

import os
import sys
from pathlib import Path

import pytest

from mlbot.ml.train import current_environment, training_environment

TOKEN = "ghs_" + "0123456789abcdefghijklmnopqrstuvwxyz"


def _given(**user: str) -> dict[str, str]:
    return training_environment({"PATH": "/usr/bin", **user}, seed=1, own={})


@pytest.mark.parametrize(
    "name",
    [
        "GITHUB_TOKEN",
        "GH_TOKEN",
        "GH_ENTERPRISE_TOKEN",
        "ACTIONS_RUNTIME_TOKEN",
        "ACTIONS_RUNTIME_URL",
        "ACTIONS_CACHE_URL",
        "ACTIONS_RESULTS_URL",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_URL",
        "INPUT_TOKEN",
        "INPUT_MY-TOKEN",
        "MLBOT_TOKEN",
        "MLBOT_HOLDOUT_PASSWORD",
        "GIT_CONFIG_VALUE_0",
        "GIT_DIR",
        "GITHUB_ENV",
        "GITHUB_PATH",
        "GITHUB_OUTPUT",
        "GITHUB_STATE",
        "GITHUB_STEP_SUMMARY",
    ],
)
def test_what_only_mlbot_needs_is_left_out(name: str) -> None:
    assert name not in _given(**{name: "some value of it"})


@pytest.mark.parametrize(
    "token", [TOKEN, TOKEN.replace("ghs", "ghp"), "github_pat_" + "1" * 40, f"https://x:{TOKEN}@github.com"]
)
def test_a_github_token_is_left_out_under_any_name(token: str) -> None:
    assert "SOMETHING" not in _given(SOMETHING=token)


def test_the_same_token_under_a_second_name_is_left_out() -> None:
    assert "MY_TOKEN" not in _given(GITHUB_TOKEN="an-old-token-of-a-server", MY_TOKEN="an-old-token-of-a-server")


@pytest.mark.parametrize("name", ["HOME", "CI", "GITHUB_SHA", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "OMP_NUM_THREADS"])
def test_what_a_training_may_need_stays(name: str) -> None:
    assert _given(**{name: "value"})[name] == "value"


def test_python_is_found_after_the_users_own() -> None:
    assert _given()["PATH"] == os.pathsep.join(("/usr/bin", str(Path(sys.executable).parent)))
    assert "PATH" in training_environment({}, seed=0, own={})


def test_seed_and_defaults() -> None:
    given = training_environment({"OMP_WAIT_POLICY": "ACTIVE"}, seed=2**32 + 5, own={"MLBOT_MODEL": "m"})
    assert (given["MLBOT_SEED"], given["PYTHONHASHSEED"]) == (str(2**32 + 5), "5")
    assert (given["OMP_WAIT_POLICY"], given["MLBOT_MODEL"]) == ("ACTIVE", "m")
    assert _given()["OMP_WAIT_POLICY"] == "PASSIVE"


def test_the_record_is_stable_and_names_the_lock() -> None:
    lock = "sha256:" + "1" * 64
    record = current_environment(lock)
    assert record == current_environment(lock)
    assert record.lock == lock
    assert record.python == ".".join(map(str, sys.version_info[:3]))
    assert os.uname().release not in record.platform


def test_another_package_is_another_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = current_environment(None)
    (tmp_path / "extra-1.0.dist-info").mkdir()
    (tmp_path / "extra-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert current_environment(None).packages != before.packages
