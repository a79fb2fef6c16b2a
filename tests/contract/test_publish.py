"""The workflow that publishes mlbot: what starts it, and who holds which right. And the files that GitHub reads."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / ".github/workflows/publish.yml").read_text(encoding="utf-8")
WORKFLOW: dict[str, Any] = yaml.load(TEXT, yaml.BaseLoader)  # noqa: S506 - makes strings only
JOBS: dict[str, dict[str, Any]] = WORKFLOW["jobs"]


def test_only_a_tag_of_a_version_starts_it() -> None:
    """Not a call: the index takes no trusted publishing from a reusable workflow."""
    assert WORKFLOW["on"] == {"push": {"tags": ["v[0-9]+.[0-9]+.[0-9]+", "v[0-9]+.[0-9]+.[0-9]+rc[0-9]+"]}}
    assert WORKFLOW["concurrency"] == {"group": "publish", "queue": "max", "cancel-in-progress": "false"}


def test_each_job_has_the_rights_that_it_needs_and_reads_no_cache() -> None:
    assert {name: job["permissions"] for name, job in JOBS.items()} == {
        "build": {"contents": "read"},
        "attest": {"attestations": "write", "id-token": "write"},
        "pypi": {"id-token": "write"},
        "release": {},
    }
    assert {job["cache-mode"] for job in JOBS.values()} == {"none"}
    assert {name: job.get("needs") for name, job in JOBS.items()} == {
        "build": None, "attest": "build", "pypi": ["build", "attest"], "release": ["build", "pypi"],
    }  # fmt: skip


def test_no_job_that_holds_a_right_to_publish_runs_a_file_of_the_repository() -> None:
    for name in ("attest", "pypi", "release"):
        used = [step.get("uses", "").partition("@")[0] for step in JOBS[name]["steps"]]
        assert "actions/checkout" not in used
        assert used[0] == "actions/download-artifact"
    assert [step for name in ("attest", "pypi") for step in JOBS[name]["steps"] if "run" in step] == []


def test_reviewers_say_when_and_the_apps_key_is_in_an_environment() -> None:
    assert JOBS["pypi"]["environment"] == "pypi"
    assert JOBS["release"]["environment"] == {"name": "release", "deployment": "false"}
    assert {name for name, job in JOBS.items() if "secrets." in str(job)} == {"release"}
    assert TEXT.count("secrets.") == 1


def test_the_files_are_there_before_the_release_is_published_and_the_tag_moves_last() -> None:
    release, move = (step["run"] for step in JOBS["release"]["steps"] if "run" in step)
    positions = [release.index(word) for word in ("--draft --verify-tag", "gh release upload", "--draft=false")]
    assert positions == sorted(positions)
    assert "$COMMIT" in move
    assert "github.sha" not in TEXT, "of an annotated tag it can be the tag's object"


SCHEMAS = {
    "vendor.dependabot": ["dependabot.yml"],
    "vendor.github-issue-config": ["ISSUE_TEMPLATE/config.yml"],
    "vendor.github-issue-forms": ["ISSUE_TEMPLATE/bug.yml", "ISSUE_TEMPLATE/feature.yml"],
}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_what_github_reads_fits_its_schema(schema: str) -> None:
    tool = Path(sys.executable).parent / "check-jsonschema"
    files = [str(ROOT / ".github" / name) for name in SCHEMAS[schema]]
    done = subprocess.run([str(tool), "--builtin-schema", schema, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_form_is_left_out_and_the_bug_asks_for_the_doctor() -> None:
    there = {f"ISSUE_TEMPLATE/{path.name}" for path in (ROOT / ".github/ISSUE_TEMPLATE").iterdir()}
    assert there == {name for names in SCHEMAS.values() for name in names if "/" in name}
    assert "mlbot doctor" in (ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text(encoding="utf-8")
