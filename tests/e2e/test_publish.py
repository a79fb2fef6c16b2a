"""mlbot's own release: a tag is checked, built, attested, put on the index, released, and `v1` moved."""

import re
import subprocess
from pathlib import Path

import pytest
from tests.e2e.harness import Harness
from tests.fake_github.runs import Run
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Environment, Repository

pytestmark = [pytest.mark.story, pytest.mark.usefixtures("git_settings")]

ROOT = Path(__file__).parents[2]
PARTS = ("src", "templates", "examples", ".github", "tools", "pyproject.toml", "README.md", "LICENSE", "SECURITY.md")
# Without what only the network gives: twine, and what the wheel runs with. `make dist` itself is run at night.
MAKEFILE = "dist:\n\tpython3 -m build --no-isolation --outdir dist .\n\tpython3 -I tools/dist_check.py dist\n"


def project(version: str) -> dict[str, str]:
    """The files of this checkout that a release is made of, at a version."""
    listed = subprocess.run(["git", "ls-files", "-z", *PARTS], cwd=ROOT, capture_output=True, text=True, check=True)
    files = {
        path: (ROOT / path).read_text(encoding="utf-8") for path in listed.stdout.split("\0") if (ROOT / path).is_file()
    }
    del files[".github/workflows/ci.yml"]  # a push would start it
    init = files["src/mlbot/__init__.py"]
    files["src/mlbot/__init__.py"] = re.sub(r'(?<=__version__ = ").*(?=")', version, init)
    return files | {
        "Makefile": MAKEFILE,
        "CHANGELOG.md": f"## [{version}] - 2026-11-30\n\n- What is new in {version}.\n",
    }


def environment(github: FakeGitHub, name: str) -> Environment:
    return Environment(id=github.world.next_id("environment"), name=name, created_at=github.world.now())


@pytest.fixture
def mlbot(github: FakeGitHub) -> Repository:
    """mlbot's own repository, with its two environments."""
    repository = github.repository("mlbot-ci/mlbot", project("1.0.0rc1"), roles={"alice": "write", "boss": "admin"})
    repository.variables["RELEASE_APP_CLIENT_ID"] = "Iv1.release"
    repository.environments |= {name: environment(github, name) for name in ("pypi", "release")}
    repository.environments["pypi"].reviewers.append(github.user("boss").user)
    repository.environments["release"].secrets["RELEASE_APP_KEY"] = "a-private-key-of-the-app"
    return repository


JOBS = ("Check and build", "Attest where they were built", "Put them on the package index", "Release")


def publish(github: FakeGitHub, actions: Harness, tag: str) -> Run:
    """Push an annotated tag, as `alice`; `boss` answers where the environment `pypi` asks."""
    github.user("alice").tag(tag, message=f"mlbot {tag}")
    there = actions.published
    run = actions.step()
    assert actions.published == there, "nothing is published before a reviewer of `pypi` says so"
    github.user("boss").review_deployment(run, "pypi")
    actions.run_until_idle()
    return run


def names(version: str) -> list[str]:
    return [f"mlbot_ci-{version}-py3-none-any.whl", f"mlbot_ci-{version}.tar.gz"]


def test_a_tag_is_published_and_the_moving_tag_follows_releases_alone(
    github: FakeGitHub, actions: Harness, mlbot: Repository
) -> None:
    candidate = publish(github, actions, "v1.0.0rc1")
    assert candidate.outcomes() == dict.fromkeys(JOBS, "success")
    (first,) = mlbot.releases.values()
    assert (first.tag, first.draft, first.prerelease) == ("v1.0.0rc1", False, True)
    assert (first.name, first.body) == ("mlbot 1.0.0rc1", "- What is new in 1.0.0rc1.\n")
    assert sorted(asset.name for asset in first.assets) == actions.published == names("1.0.0rc1")
    assert len(mlbot.attestations) == 2
    assert mlbot.git.find("refs/tags/v1") is None

    commit = github.user("alice").push("main", project("1.0.0"))
    final = publish(github, actions, "v1.0.0")
    assert final.outcomes() == dict.fromkeys(JOBS, "success")
    assert mlbot.git.find("refs/tags/v1") == commit, "the commit, not the object of the annotated tag"
    assert [(one.tag, one.prerelease) for one in mlbot.releases.values()] == [("v1.0.0rc1", True), ("v1.0.0", False)]
    assert actions.published == names("1.0.0rc1") + names("1.0.0")

    github.user("boss").rerun(final)
    actions.run_until_idle()
    assert final.outcomes() == dict.fromkeys(JOBS, "success"), "every step may be done again"
    assert len(mlbot.releases) == 2
    assert actions.published == names("1.0.0rc1") + names("1.0.0")


def test_a_tag_that_is_not_on_main_publishes_nothing(github: FakeGitHub, actions: Harness, mlbot: Repository) -> None:
    github.user("alice").push("side", {"README.md": "# Another mlbot\n"})
    github.user("alice").tag("v1.0.0rc1", "side", message="mlbot 1.0.0rc1")
    github.user("boss").review_deployment(actions.step(), "pypi")
    actions.run_until_idle()
    run = actions.last("publish.yml")
    assert run.outcomes() == {JOBS[0]: "failure"} | dict.fromkeys(JOBS[1:], "skipped")
    assert "The commit of v1.0.0rc1 is not on origin/main: merge it first" in run.job("build").log
    assert (actions.published, mlbot.releases, mlbot.attestations) == ([], {}, {})
