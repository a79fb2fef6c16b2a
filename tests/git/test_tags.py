"""Tags with real git: read at once, made once, pushed and never moved."""

import subprocess
from pathlib import Path

import pytest
from tests.fake_github.server import FakeGitHub
from tests.support.git_samples import Sandbox, make

from mlbot.errors import NotEvaluatedError, RefusedError, UsageError
from mlbot.git.remote import Remote
from mlbot.git.tags import create_tag, push_tag, read_tags

NOW = 1_763_654_400
TAG = "churn@v1.0.0"


@pytest.fixture
def here(tmp_path: Path, git_settings: None) -> Sandbox:
    del git_settings
    sandbox = make(tmp_path / "here")
    sandbox.commit({"a": "1"})
    return sandbox


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    path = tmp_path / "origin.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(path)], check=True)
    return path


def head(sandbox: Sandbox) -> str:
    return sandbox.git("rev-parse", "HEAD").strip()


def test_there_are_none(here: Sandbox) -> None:
    assert read_tags(here.path) == ()


def test_every_kind_of_tag_is_read(here: Sandbox) -> None:
    commit = head(here)
    made = create_tag(here.path, TAG, commit, "Release\n\nof everything\n", NOW)
    here.git("tag", "churn@v1.1.0")
    here.git("tag", "--annotate", "--message=nested", "churn@v1.2.0", TAG)
    here.git("tag", "--annotate", "--message=a tree", "churn@v1.3.0", "HEAD^{tree}")
    found = {tag.name: tag for tag in read_tags(here.path)}
    assert list(found) == [TAG, "churn@v1.1.0", "churn@v1.2.0", "churn@v1.3.0"]
    assert (found[TAG].object_sha, found[TAG].commit_sha, found[TAG].annotated) == (made, commit, True)
    assert found[TAG].message == "Release\n\nof everything\n"
    lightweight = found["churn@v1.1.0"]
    assert (lightweight.annotated, lightweight.commit_sha, lightweight.message) == (False, commit, None)
    assert found["churn@v1.3.0"].commit_sha is None
    assert found["churn@v1.2.0"].commit_sha in {None, commit}, "git 2.45 peels a tag of a tag to the end"


@pytest.mark.parametrize(
    "message", [b"\xff\xfe no UTF-8\n", b"", b"\n\n\n", b"refs/tags/x\n%00%(objectname)\n", b"z" * 100_000, b"a\0b\n"]
)
def test_no_message_confuses_the_reading_of_others(here: Sandbox, message: bytes) -> None:
    commit = head(here)
    facts = f"object {commit}\ntype commit\ntag a@v1.0.0\ntagger A <a@b> {NOW} +0000\n\n".encode() + message
    hashed = subprocess.run(
        ["git", "hash-object", "-t", "tag", "-w", "--stdin", "--literally"],
        cwd=here.path,
        input=facts,
        capture_output=True,
        check=True,
    )
    here.git("update-ref", "refs/tags/a@v1.0.0", hashed.stdout.decode().strip())
    create_tag(here.path, TAG, commit, "the other\n", NOW)
    first, second = read_tags(here.path)
    assert (first.name, first.commit_sha) == ("a@v1.0.0", commit)
    assert len(first.message or "") <= 65_536
    assert (second.name, second.message) == (TAG, "the other\n")


def test_the_same_tag_again_makes_nothing(here: Sandbox) -> None:
    first = create_tag(here.path, TAG, head(here), "one\n", NOW)
    assert create_tag(here.path, TAG, head(here), "two\n", NOW + 60) == first
    (tag,) = read_tags(here.path)
    assert tag.message == "one\n"


def test_a_tag_is_never_moved(here: Sandbox) -> None:
    first = create_tag(here.path, TAG, head(here), "one\n", NOW)
    here.commit({"a": "2"})
    with pytest.raises(RefusedError, match=r"there is a tag churn@v1\.0\.0 here already, and it is at commit"):
        create_tag(here.path, TAG, head(here), "two\n", NOW)
    assert here.git("rev-parse", TAG).strip() == first


def test_a_lightweight_tag_is_in_the_way(here: Sandbox) -> None:
    here.git("tag", TAG)
    with pytest.raises(RefusedError, match="lightweight"):
        create_tag(here.path, TAG, head(here), "one\n", NOW)


@pytest.mark.parametrize(("name", "commit"), [("a..b@v1.0.0", None), (TAG, "f" * 40)])
def test_what_git_does_not_take_is_said(here: Sandbox, name: str, commit: str | None) -> None:
    with pytest.raises(UsageError, match="git"):
        create_tag(here.path, name, commit or head(here), "one\n", NOW)
    assert read_tags(here.path) == ()


def test_a_tag_is_pushed_once(here: Sandbox, origin: Path) -> None:
    made = create_tag(here.path, TAG, head(here), "one\n", NOW)
    create_tag(here.path, "churn@v0.9.0", head(here), "not this one\n", NOW)
    here.git("config", "push.followTags", "true")
    remote = Remote(url=str(origin))
    assert push_tag(here.path, remote, TAG) is True
    assert push_tag(here.path, remote, TAG) is False
    (tag,) = read_tags(origin)
    assert (tag.name, tag.object_sha) == (TAG, made)


def test_somebody_elses_tag_at_the_same_commit_will_do(here: Sandbox, origin: Path) -> None:
    create_tag(here.path, TAG, head(here), "theirs\n", NOW)
    remote = Remote(url=str(origin))
    push_tag(here.path, remote, TAG)
    here.git("tag", "--delete", TAG)
    create_tag(here.path, TAG, head(here), "mine\n", NOW)
    assert push_tag(here.path, remote, TAG) is False
    assert read_tags(origin)[0].message == "theirs\n"


@pytest.mark.parametrize(("lightweight", "said"), [(False, "at commit"), (True, "lightweight")])
def test_somebody_elses_other_tag_is_left_as_it_is(
    here: Sandbox, origin: Path, said: str, *, lightweight: bool
) -> None:
    here.git("push", "--quiet", str(origin), "HEAD:refs/heads/main")
    here.git("tag", TAG, *([] if lightweight else ["--annotate", "--message=theirs"]))
    here.git("push", "--quiet", str(origin), TAG)
    there = read_tags(origin)
    here.git("tag", "--delete", TAG)
    here.commit({"a": "2"})
    create_tag(here.path, TAG, head(here), "mine\n", NOW)
    with pytest.raises(RefusedError, match=f"in the remote repository already, and it is {said}"):
        push_tag(here.path, Remote(url=str(origin)), TAG)
    assert read_tags(origin) == there


def test_a_rule_that_forbids_tags_is_said(here: Sandbox, origin: Path) -> None:
    hook = origin / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    create_tag(here.path, TAG, head(here), "one\n", NOW)
    with pytest.raises(RefusedError, match=r"forbids writing the tag churn@v1\.0\.0"):
        push_tag(here.path, Remote(url=str(origin)), TAG)


def test_a_remote_that_is_not_there_is_said(here: Sandbox, tmp_path: Path) -> None:
    create_tag(here.path, TAG, head(here), "one\n", NOW)
    with pytest.raises(NotEvaluatedError, match="reading the tag"):
        push_tag(here.path, Remote(url=str(tmp_path / "nowhere")), TAG)


def test_a_tag_that_github_refuses_to_a_jobs_token_is_named(tmp_path: Path, git_settings: None) -> None:
    """The workflow files of its commit are on no branch any more."""
    del git_settings
    workflow = ".github/workflows/work.yml"
    with FakeGitHub(tmp_path / "github") as github:
        repository = github.repository("acme/models", {workflow: "on: push\njobs: {}\n"})
        ada = github.user("ada", repository)
        repository.roles["ada"] = "write"
        subprocess.run(["git", "clone", "--quiet", str(repository.git.path), str(tmp_path / "clone")], check=True)
        clone = Sandbox(tmp_path / "clone")
        old = clone.git("rev-parse", "HEAD")
        ada.push("main", {workflow: "on: push\njobs: {}\n# changed\n"})
        create_tag(clone.path, TAG, old, "Release", NOW)
        token = github.job_token(repository, {"contents": "write"})
        remote = Remote(url=f"{github.url}/acme/models.git", token=token)
        with pytest.raises(RefusedError, match="no branch has the workflow files of its commit") as caught:
            push_tag(clone.path, remote, TAG)
        assert f"Push {TAG} yourself" in caught.value.hint
