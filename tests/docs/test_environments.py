"""The page on environments says what is true: its files, its script and its words."""

import re
from pathlib import Path

import jsonschema
import pytest
from tests.support.config_texts import parse
from tests.support.places import made, version

from mlbot.config.schema import EnvironmentConfig, json_schema
from mlbot.config.yaml import load
from mlbot.lib.constants import CONFIG_FILE
from mlbot.lib.version import Served
from mlbot.protocol.golden import TOLERANCE, SmokeReason
from mlbot.storage.target import open_target
from mlbot.storage.target_command import TIMEOUT_S
from mlbot.storage.target_files import MOST_VERSIONS

PAGE = (Path(__file__).parents[2] / "docs" / "environments.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_its_config_is_valid() -> None:
    first, endpoint = blocks("yaml")
    for block in (first, first.partition("environments:")[0] + endpoint):
        assert parse(block).environments[-1].name == "production"
        jsonschema.Draft202012Validator(json_schema()).validate(load(block, CONFIG_FILE).data)


def test_the_files_it_shows_are_those_that_are_written(tmp_path: Path) -> None:
    layout, config = blocks("text")
    target = open_target(EnvironmentConfig(name="staging", target="served"), tmp_path)
    digest, file = made(tmp_path, b"the model")
    target.stage("churn", version("1.2.0"), digest, file)
    target.switch("churn", version("1.2.0"))
    root = tmp_path / "served"
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()) == sorted(
        layout.splitlines()
    )
    assert (root / "churn" / "config.pbtxt").read_text() == config


def test_its_script_deploys(tmp_path: Path) -> None:
    (script,) = blocks("sh")
    (tmp_path / "deploy.sh").write_text(script)
    (tmp_path / "deploy.sh").chmod(0o755)
    environment = EnvironmentConfig(name="staging", target="command:./deploy.sh")
    target = open_target(environment, tmp_path)
    assert target.live("churn") is None
    for text in ("1.0.0", "1.1.0", "1.1.0", "1.0.0"):
        digest, file = made(tmp_path / "made", text.encode())
        target.stage("churn", version(text), digest, file)
        target.switch("churn", version(text))
        assert target.live("churn") == Served(version=text, digest=digest)
        assert target.fetch("churn", tmp_path / "got") == target.live("churn")


@pytest.mark.parametrize("reason", SmokeReason)
def test_every_reason_is_explained(reason: SmokeReason) -> None:
    assert f"| `{reason}` |" in PAGE


def test_its_numbers() -> None:
    assert f"{TOLERANCE:.5f}" in PAGE
    assert TIMEOUT_S == 15 * 60
    assert "the two before it" in PAGE
    assert MOST_VERSIONS == 3
