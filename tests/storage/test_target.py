"""Every target stages without serving, switches in one step, gives back what it serves, and refuses other bytes."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support.places import hashed, made, made_folder, version

from mlbot.config.schema import EnvironmentConfig
from mlbot.errors import MissingDriverError, NotEvaluatedError, RefusedError
from mlbot.lib.version import Served
from mlbot.storage.artifact import listing_of
from mlbot.storage.target import Target, open_target

KINDS = ("folder", "object store", "registry", "command")
MODEL = "Adult-income"
DEPLOY = """
set -eu
cd "$MLBOT_ENVIRONMENT.d" 2>/dev/null || { mkdir "$MLBOT_ENVIRONMENT.d"; cd "$MLBOT_ENVIRONMENT.d"; }
case "$MLBOT_ACTION" in
  stage) rm -rf "$MLBOT_VERSION.onnx"; cp -R "$MLBOT_MODEL_FILE" "$MLBOT_VERSION.onnx" ;;
  switch)
    echo "$MLBOT_VERSION $MLBOT_DIGEST" > "$MLBOT_MODEL.new"
    mv "$MLBOT_MODEL.new" "$MLBOT_MODEL" ;;
  live) cat "$MLBOT_MODEL" 2>/dev/null || true ;;
  withdraw) rm -f "$MLBOT_MODEL" ;;
  fetch) read -r version _ < "$MLBOT_MODEL"; cp -R "$version.onnx" "$MLBOT_MODEL_FILE" ;;
esac
"""


def url_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    if kind == "registry":
        return str(request.getfixturevalue("registry"))
    if kind == "command":
        (folder / "deploy.sh").write_text(DEPLOY)
        return "command:sh deploy.sh"
    return "served" if kind == "folder" else f"memory://{folder.name}{time.time()}/served"


@pytest.fixture(params=KINDS)
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> EnvironmentConfig:
    return EnvironmentConfig(name="staging", target=url_of(request.param, request, tmp_path))


@pytest.fixture
def target(environment: EnvironmentConfig, tmp_path: Path) -> Target:
    return open_target(environment, tmp_path)


def deploy(target: Target, text: str, folder: Path, content: bytes) -> Served:
    digest, file = made(folder / text, content)
    target.stage(MODEL, version(text), digest, file)
    target.switch(MODEL, version(text))
    return Served(version=text, digest=digest)


def test_a_version_is_served_from_its_switch_on(target: Target, tmp_path: Path) -> None:
    digest, file = made(tmp_path, b"one" * 1000)
    assert target.live(MODEL) is None
    with pytest.raises(NotEvaluatedError, match="nothing of Adult-income is served"):
        target.fetch(MODEL, tmp_path / "got")
    target.stage(MODEL, version("1.0.0"), digest, file)
    assert target.live(MODEL) is None
    target.switch(MODEL, version("1.0.0"))
    assert target.live(MODEL) == Served(version="1.0.0", digest=digest)
    assert target.fetch(MODEL, tmp_path / "got") == target.live(MODEL)
    assert (tmp_path / "got").read_bytes() == file.read_bytes()


def test_forth_and_back_again(target: Target, environment: EnvironmentConfig, tmp_path: Path) -> None:
    first = deploy(target, "1.0.0", tmp_path, b"one")
    second = deploy(target, "1.1.0", tmp_path, b"two")
    assert target.live(MODEL) == second
    assert deploy(open_target(environment, tmp_path), "1.0.0", tmp_path, b"one") == first
    assert target.fetch(MODEL, tmp_path / "got") == first
    assert (tmp_path / "got").read_bytes() == b"one"


def test_a_folder_is_served_and_read_back(target: Target, environment: EnvironmentConfig, tmp_path: Path) -> None:
    digest, folder = made_folder(tmp_path / "made")
    for _ in range(2):
        target.stage(MODEL, version("1.0.0"), digest, folder)
        target.switch(MODEL, version("1.0.0"))
    served = Served(version="1.0.0", digest=digest)
    again = open_target(environment, tmp_path)
    assert again.live(MODEL) == served
    assert again.fetch(MODEL, tmp_path / "got") == served
    assert listing_of(tmp_path / "got") == listing_of(folder)
    assert deploy(target, "1.1.0", tmp_path, b"a file") == target.fetch(MODEL, tmp_path / "got")
    target.stage(MODEL, version("1.0.0"), digest, folder)
    target.switch(MODEL, version("1.0.0"))
    assert target.fetch(MODEL, tmp_path / "got") == served
    if not environment.target.startswith("command:"):
        other = made_folder(tmp_path / "other", b"other")
        with pytest.raises(RefusedError, match="is there with other bytes"):
            target.stage(MODEL, version("1.0.0"), *other)


def test_a_folder_that_is_staged_is_hashed_once(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, folder = made_folder(tmp_path / "made")
    files = hashed(monkeypatch)
    target.stage(MODEL, version("1.0.0"), digest, folder)
    assert sorted(files) == [".empty", "a/again", "a/weights", "run"]


def test_every_step_can_be_repeated(target: Target, environment: EnvironmentConfig, tmp_path: Path) -> None:
    served = {deploy(open_target(environment, tmp_path), "2.0.0", tmp_path, b"two") for _ in range(2)}
    served |= {deploy(target, "2.0.0", tmp_path, b"two") for _ in range(2)}
    assert {target.live(MODEL)} == served


def test_a_first_version_is_taken_away_again_and_comes_back(
    target: Target, environment: EnvironmentConfig, tmp_path: Path
) -> None:
    assert target.withdraw(MODEL), "there is nothing to take away"
    served = deploy(target, "1.0.0", tmp_path, b"one")
    for _ in range(2):
        gone = target.withdraw(MODEL)
        assert gone is (not environment.target.startswith("oci://"))
        assert target.live(MODEL) == (None if gone else served)
    assert deploy(target, "1.0.0", tmp_path, b"one") == served
    assert target.live(MODEL) == served


def test_models_do_not_meet(target: Target, tmp_path: Path) -> None:
    served = deploy(target, "1.0.0", tmp_path, b"one")
    assert target.live("other") is None
    assert target.live(MODEL) == served


def test_bytes_that_are_not_the_versions_are_not_staged(target: Target, tmp_path: Path) -> None:
    digest, _ = made(tmp_path / "a", b"a")
    _, other = made(tmp_path / "b", b"b")
    with pytest.raises(NotEvaluatedError, match="has the digest"):
        target.stage(MODEL, version("1.0.0"), digest, other)
    with pytest.raises(NotEvaluatedError, match="is not staged"):
        target.switch(MODEL, version("1.0.0"))
    assert target.live(MODEL) is None


@pytest.mark.parametrize("kind", ["folder", "object store", "registry"])
def test_a_version_never_changes(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    environment = EnvironmentConfig(name="staging", target=url_of(kind, request, tmp_path))
    target = open_target(environment, tmp_path)
    served = deploy(target, "1.0.0", tmp_path, b"one")
    digest, file = made(tmp_path, b"two")
    with pytest.raises(RefusedError, match=r"Adult-income@v1\.0\.0 is there with other bytes"):
        target.stage(MODEL, version("1.0.0"), digest, file)
    assert target.fetch(MODEL, tmp_path / "got") == served


def test_two_environments_in_one_registry(registry: str, tmp_path: Path) -> None:
    staging, production = (
        open_target(EnvironmentConfig(name=name, target=registry), tmp_path) for name in ("staging", "production")
    )
    first = deploy(staging, "1.0.0", tmp_path, b"one")
    assert production.live(MODEL) is None
    deploy(production, "1.0.0", tmp_path, b"one")
    second = deploy(staging, "1.1.0", tmp_path, b"two")
    assert (staging.live(MODEL), production.live(MODEL)) == (second, first)


def test_two_models_whose_names_differ_by_case_alone(registry: str, tmp_path: Path) -> None:
    target = open_target(EnvironmentConfig(name="staging", target=registry), tmp_path)
    deploy(target, "1.0.0", tmp_path, b"one")
    with pytest.raises(RefusedError, match="is not of adult-income"):
        target.live("adult-income")


def test_an_object_store_says_which_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    assert open_target(EnvironmentConfig(name="a", target="served"), tmp_path).live("m") is None
    with pytest.raises(MissingDriverError, match="needs the optional part 's3'"):
        open_target(EnvironmentConfig(name="a", target="s3://bucket/models"), tmp_path)


# kill -9 between any two changes of a deployment leaves the old version served or the new one, never between.

SCRIPT = Path(__file__).with_name("killing.py")


def kills(url: str, folder: Path, *more: str) -> list[dict[str, str | int]]:
    made(folder, b"old" * 1000, "old.onnx")
    arguments = [sys.executable, str(SCRIPT), url, str(folder), *more]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("kind", "fewest", "more"),
    [("folder", 20, ()), ("registry", 15, ()), ("folder", 30, ("tree",)), ("registry", 20, ("tree",))],
)
def test_killed_at_every_change(
    kind: str, fewest: int, more: tuple[str, ...], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = "served" if kind == "folder" else str(request.getfixturevalue("registry"))
    rounds = kills(url, tmp_path, *more)
    assert len(rounds) >= fewest
    assert all(each["code"] == -9 for each in rounds)
    assert all(each["between"] in {"1.0.0", each["new"]} for each in rounds)
    assert all(each["after"] == each["new"] for each in rounds)
    switched = [each["between"] == each["new"] for each in rounds]
    assert switched == sorted(switched), "it moves once, at one change"
    assert True in switched
    assert False in switched
