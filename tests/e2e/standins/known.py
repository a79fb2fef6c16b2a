"""Stand-ins for the actions of others: composite actions that run a script of this folder."""

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LABEL: Final = "ubuntu-latest"
INSPECTION: Final = "Inspection by the harness"
ROOT: Final = Path(__file__).parents[3]
TOKENS: Final[Mapping[str, tuple[str, ...]]] = {
    "actions/checkout": ("token",),
    "actions/attest": ("github-token",),
}

GIVE_TOKENS: Final = {"actions/create-github-app-token"}


@dataclass(frozen=True, kw_only=True, slots=True)
class StandIn:
    """An action: its inputs with their defaults, its outputs, the script that acts it out."""

    name: str
    script: str
    inputs: Mapping[str, str]
    outputs: tuple[str, ...] = ()


RESTORED: Final = ("cache-hit", "cache-primary-key")
CACHE: Final = {"path": "", "key": "", "restore-keys": "", "fail-on-cache-miss": "", "lookup-only": ""}
ALL: Final = (
    StandIn(
        name="actions/checkout",
        script="checkout",
        inputs={
            "repository": "", "ref": "", "token": "", "path": "", "persist-credentials": "true", "clean": "true",
            "fetch-depth": "1", "fetch-tags": "false", "submodules": "false", "lfs": "false", "filter": "",
            "sparse-checkout": "", "sparse-checkout-cone-mode": "true", "set-safe-directory": "true",
            "show-progress": "true",
        },
        outputs=("ref", "commit"),
    ),
    StandIn(
        name="actions/upload-artifact",
        script="upload_artifact",
        inputs={
            "name": "artifact", "path": "", "if-no-files-found": "warn", "retention-days": "0",
            "compression-level": "6", "overwrite": "false", "include-hidden-files": "false",
        },
        outputs=("artifact-id", "artifact-url", "artifact-digest"),
    ),
    StandIn(
        name="actions/download-artifact",
        script="download_artifact",
        inputs={
            "name": "", "artifact-ids": "", "path": "", "pattern": "", "merge-multiple": "false", "github-token": "",
            "repository": "", "run-id": "", "skip-decompress": "false", "digest-mismatch": "error",
        },
        outputs=("download-path",),
    ),
    StandIn(
        name="actions/setup-python",
        script="setup_python",
        inputs={
            "python-version": "", "python-version-file": "", "cache": "", "cache-dependency-path": "",
            "architecture": "", "check-latest": "false", "token": "", "update-environment": "true",
            "allow-prereleases": "false", "freethreaded": "false", "pip-version": "", "pip-install": "",
        },
        outputs=("python-version", "python-path", "cache-hit"),
    ),
    StandIn(
        name="astral-sh/setup-uv",
        script="setup_python",
        inputs={
            "version": "", "python-version": "", "enable-cache": "", "cache-dependency-glob": "",
            "activate-environment": "false", "github-token": "", "working-directory": "", "ignore-empty-workdir": "",
            "ignore-nothing-to-cache": "", "save-cache": "", "prune-cache": "", "cache-suffix": "", "cache-python": "",
        },
        outputs=("uv-version", "uv-path", "cache-hit", "venv", "python-version"),
    ),
    StandIn(name="actions/cache", script="nothing", inputs=CACHE, outputs=("cache-hit",)),
    StandIn(name="actions/cache/restore", script="nothing", inputs=CACHE, outputs=RESTORED),
    StandIn(name="actions/cache/save", script="nothing", inputs={"path": "", "key": "", "upload-chunk-size": ""}),
    StandIn(
        name="actions/attest",
        script="attest",
        inputs={
            "subject-path": "", "subject-digest": "", "subject-name": "", "subject-checksums": "", "predicate-type": "",
            "predicate": "", "predicate-path": "", "sbom-path": "", "push-to-registry": "false",
            "create-storage-record": "true", "show-summary": "true", "github-token": "",
        },
        outputs=("bundle-path", "attestation-id", "attestation-url"),
    ),
    StandIn(
        name="actions/create-github-app-token",
        script="app_token",
        inputs={
            "app-id": "", "client-id": "", "private-key": "", "owner": "", "repositories": "", "skip-token-revoke": "",
            "github-api-url": "", "permission-contents": "", "permission-statuses": "", "permission-actions": "",
            "permission-pull-requests": "", "permission-issues": "", "permission-checks": "",
            "permission-deployments": "", "permission-workflows": "",
        },
        outputs=("token", "installation-id", "app-slug"),
    ),
    StandIn(
        name="actions/upload-pages-artifact",
        script="upload_pages",
        inputs={"name": "github-pages", "path": "_site/", "retention-days": "1", "include-hidden-files": "false"},
        outputs=("artifact-id",),
    ),
    StandIn(
        name="actions/deploy-pages",
        script="deploy_pages",
        inputs={
            "token": "", "timeout": "600000", "error_count": "10", "reporting_interval": "5000",
            "artifact_name": "github-pages", "preview": "false",
        },
        outputs=("page_url",),
    ),
    StandIn(
        name="pypa/gh-action-pypi-publish",
        script="pypi_publish",
        inputs={"packages-dir": "dist", "skip-existing": "false", "attestations": "true"},
    ),
)  # fmt: skip


def write(folder: Path, settings: Mapping[str, str]) -> None:
    """Write the stand-ins as actions; ``settings`` reach the scripts, not the environment of the job."""
    for one in ALL:
        place = folder / one.name
        place.mkdir(parents=True, exist_ok=True)
        inputs = {f"INPUT_{name.upper().replace('-', '_')}": f"${{{{ inputs.{name} }}}}" for name in one.inputs}
        command = _script(one.script, *(f"{key}={value}" for key, value in settings.items()))
        step = {"id": "main", "name": one.name, "shell": "bash", "env": inputs, "run": command}
        action = {
            "name": one.name,
            "description": f"A stand-in for {one.name}",
            "inputs": {name: {"description": name, "default": default} for name, default in one.inputs.items()},
            "outputs": {
                name: {"description": name, "value": f"${{{{ steps.main.outputs.{name} }}}}"} for name in one.outputs
            },
            "runs": {"using": "composite", "steps": [step]},
        }
        (place / "action.yml").write_text(json.dumps(action))


def gh() -> str:
    """GitHub's command line, as a script of the shell."""
    return f'#!/bin/bash\nexec {_script("gh")} "$@"\n'


def inspection(folder: Path) -> str:
    """The last step of each job: keep what it left in .git/config for the search for tokens."""
    return _script("inspect_workspace", str(folder / "inspection"))


def _script(name: str, *arguments: str) -> str:
    """A command that runs a script of this folder, apart from the job's own Python and its settings."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.e2e.standins.{name} import main; main()"
    return shlex.join([sys.executable, "-I", "-S", "-c", code, *arguments])
