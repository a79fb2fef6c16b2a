"""Both forms of the files fit GitHub's schema, zizmor finds nothing, and each job has the rights that it had."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.contract.test_workflows import ON_DEFAULT_BRANCH, RIGHTS, ROOT, SCHEDULED
from tests.setup.test_inline import FULL, actions

from mlbot.config.actions import Actions
from mlbot.lib.constants import JUDGE_PATH, MONITOR_PATH, RELEASE_PATH, TRAIN_PATH
from mlbot.setup import scaffold
from mlbot.setup.expressions import _split, bare
from mlbot.setup.wiring import KINDS, Kind
from mlbot.setup.workflows import Form, Order, files

OF = {
    TRAIN_PATH: ("train",),
    JUDGE_PATH: ("judge", "command"),
    RELEASE_PATH: ("tag", "release"),
    MONITOR_PATH: ("monitor",),
}
SETTINGS = {"callers": Actions(), "plain": Actions(form="inline"), "full": actions(FULL)}
IGNORED = {"callers": 5, "plain": 8, "full": 8}
"""Dangerous triggers, and from the watch on no group: each with its reason in the line."""


def every(name: str) -> dict[str, str]:
    form = Form.CALLERS if name == "callers" else Form.INLINE
    settings: dict[str, Any] = {"guard": ("main", "release/*"), "install": "pip install 'a b' # it's"}
    return files(
        Order(form=form, actions=SETTINGS[name], release=True, monitor=True, watch=True, dashboard=True, **settings)
    )


@pytest.fixture(autouse=True)
def _of_a_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaffold, "built_of", lambda: "0123456789abcdef0123456789abcdef01234567")


@pytest.fixture(params=SETTINGS)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    for path, text in every(request.param).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return request.param, tmp_path / ".github" / "workflows"


def test_they_fit_githubs_schema(written: tuple[str, Path]) -> None:
    tool = Path(sys.executable).with_name("check-jsonschema")
    command: list[str | Path] = [tool, "--builtin-schema", "vendor.github-workflows", *sorted(written[1].iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_zizmor_finds_nothing_beyond_the_ignores_with_their_reasons(written: tuple[str, Path]) -> None:
    name, folder = written
    tool = Path(sys.executable).with_name("zizmor")
    command: list[str | Path] = [tool, "--offline", "--pedantic", "--no-progress", "--color=never"]
    command += ["--config", ROOT / ".github" / "zizmor.yml", folder]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    texts = [line for path in folder.iterdir() for line in path.read_text().splitlines() if "zizmor:" in line]
    assert len(texts) == IGNORED[name]
    assert all(re.search(r"zizmor: ignore\[[a-z-]+\] \w+", line) for line in texts)


def jobs(name: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Every job of the inline form with the workflow that it is of."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for path, text in every(name).items():
        for key, job in yaml.safe_load(text)["jobs"].items():
            workflow = next((each for each in OF.get(path, ()) if key in KINDS[each]), "")
            found[f"{workflow}/{key}"] = (workflow, job)
    return found


def test_each_job_has_the_rights_that_it_had_when_it_was_called() -> None:
    plain = {key: job["permissions"] for key, (workflow, job) in jobs("plain").items() if workflow}
    assert plain == {f"{file[:-4]}/{name}": rights for file, each in RIGHTS.items() for name, rights in each.items()}


def test_with_an_app_a_jobs_own_token_checks_out_and_the_apps_has_the_rest() -> None:
    for key, (workflow, job) in jobs("full").items():
        kind, had = (
            KINDS[workflow][key.partition("/")[2]],
            dict(RIGHTS.get(f"{workflow}.yml", {})).get(key[len(workflow) + 1 :]),
        )
        if had is None:
            continue
        app = next((step["with"] for step in job["steps"] if step.get("id") == "app"), None)
        assert (app is not None) is (kind in {Kind.SPEAK, Kind.LOOK, Kind.RECORD, Kind.DEPLOY}), key
        own = {scope: level for scope, level in job["permissions"].items() if scope != "id-token"}
        if app is None:
            assert own == had, key
        else:
            assert set(own) <= {"contents", "packages"}, key
            assert own.get("contents", "read") == "read", key
        if app is not None:
            given = {name[len("permission-") :]: level for name, level in app.items() if name.startswith("permission-")}
            assert given == {scope: level for scope, level in had.items() if scope != "packages"}, key


def test_secrets_are_in_the_jobs_that_need_them_and_in_no_other() -> None:
    allowed = {
        Kind.JUDGE: {"DVC_KEY"},
        Kind.EVALUATE: {"PROVIDER_KEY"},
        Kind.SEALED: {"MLBOT_SEALED_KEY", "VAULT_KEY", "STORE_KEY"},
        Kind.STORE: {"STORE_KEY"},
        Kind.MONITOR: {"LOG_KEY"},
        Kind.SPEAK: {"APP_KEY"},
        Kind.LOOK: {"STORE_KEY", "APP_KEY"},
        Kind.RECORD: {"DVC_KEY", "STORE_KEY", "APP_KEY"},
        Kind.DEPLOY: {"STORE_KEY", "KUBE_TOKEN", "APP_KEY"},
        Kind.PAGES: set(),  # the environment is GitHub's own
    }
    for key, (workflow, job) in jobs("full").items():
        kind = KINDS[workflow][key.partition("/")[2]]
        assert set(re.findall(r"secrets\.(\w+)", str(job))) == allowed.get(kind, set()), key
        assert ("environment" in job) is (kind in allowed), key
        for step in job["steps"]:
            is_mlbots = "mlbot" in step.get("with", {}) or "MLBOT" in step.get("env", {}) or step.get("id") == "app"
            if not is_mlbots and step.get("name") != "Fetch what the holdout needs":
                assert "secrets." not in str(step), f"{key}: {step}"


def test_trusted_jobs_run_on_the_default_branch_alone() -> None:
    trusted = {Kind.JUDGE, Kind.SEALED, Kind.STORE, Kind.MONITOR, Kind.SPEAK, Kind.LOOK, Kind.RECORD, Kind.DEPLOY}
    for key, (workflow, job) in jobs("full").items():
        if workflow and KINDS[workflow][key.partition("/")[2]] in trusted:
            condition = " ".join(bare(job["if"]).split())
            if workflow == "monitor":
                first, *_ = _split(condition, "&&")
                assert SCHEDULED[1:-1] in first, key
                assert first.count("||") == 1, key
                continue
            parts = [" ".join(part.split()).strip("()") for part in factors(condition)]
            assert any(part.startswith(ON_DEFAULT_BRANCH.rstrip(")")) for part in parts), f"{key}: {parts}"


def factors(condition: str) -> list[str]:
    """What has to hold, whatever else does."""
    found = _split(condition, "&&")
    if len(_split(condition, "||")) > 1:
        return []
    return [
        inside
        for each in found
        for inside in (factors(each[1:-1]) if each.startswith("(") and len(found) > 1 else [each])
    ]
