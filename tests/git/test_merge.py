"""Merges as GitHub makes them, whatever the checkout, its settings and its history are like."""

import os
import random
import subprocess
from pathlib import Path

import pytest
from tests.support.git_samples import Sandbox, make
from tests.support.machine import ADA

from mlbot.errors import NotEvaluatedError, UsageError
from mlbot.git.merge import ConflictError, first_parents, merge, three_commits
from mlbot.git.repository import Repository

CONFIG = {"mlbot.yaml": "version: 1\n"}


def repository(sandbox: Sandbox) -> Repository:
    return Repository.discover(sandbox.path)


def parted(sandbox: Sandbox, ours: dict[str, str], theirs: dict[str, str]) -> tuple[str, str]:
    """A tip and a head that left the same commit."""
    fork = sandbox.git("rev-parse", "HEAD")
    tip = sandbox.commit(ours)
    sandbox.git("checkout", "--quiet", "-B", "work", fork)
    head = sandbox.commit(theirs)
    return tip, head


def files(sandbox: Sandbox, commit: str) -> dict[str, str]:
    names = sandbox.git("ls-tree", "-r", "--name-only", commit).split()
    return {name: sandbox.git("show", f"{commit}:{name}") for name in names}


def test_a_merge_has_what_both_sides_changed(sandbox: Sandbox) -> None:
    sandbox.commit({"a": "1\n2\n3\n4\n5\n", "b": "1"})
    tip, head = parted(sandbox, {"a": "0\n2\n3\n4\n5\n"}, {"a": "1\n2\n3\n4\n6\n", "c": "2"})
    found = merge(repository(sandbox), tip, head)
    assert files(sandbox, found.commit) == {"a": "0\n2\n3\n4\n6", "b": "1", "c": "2"}
    assert sandbox.git("rev-list", "--parents", "-1", found.commit).split()[1:] == [tip, head]
    assert str(found.git) in sandbox.git("version")
    assert merge(repository(sandbox), tip, head) == found
    assert sandbox.git("status", "--porcelain") == ""


def test_what_needs_no_merge(sandbox: Sandbox) -> None:
    first = sandbox.commit({"a": "1"})
    second = sandbox.commit({"a": "2"})
    assert merge(repository(sandbox), first, second).commit == second
    assert merge(repository(sandbox), second, first).commit == second
    assert merge(repository(sandbox), second, second).commit == second


def test_a_conflict_names_its_files(sandbox: Sandbox) -> None:
    sandbox.commit({"a": "1"})
    tip, head = parted(sandbox, {"a": "2", "b": "1"}, {"a": "3", "b": "2"})
    with pytest.raises(ConflictError, match="in a, b") as raised:
        merge(repository(sandbox), tip, head)
    assert raised.value.hint


def test_many_conflicts_are_counted(sandbox: Sandbox) -> None:
    sandbox.commit({"a": "1"})
    tip, head = parted(sandbox, {f"f{n}": "2" for n in range(9)}, {f"f{n}": "3" for n in range(9)})
    with pytest.raises(ConflictError, match="f0, f1, f2, f3, f4 and 4 more"):
        merge(repository(sandbox), tip, head)


@pytest.mark.parametrize("attribute", ["merge=union", "merge=mine", "-merge", "merge=ours"])
@pytest.mark.parametrize("place", ["tip", "head", "checkout", "info"])
def test_no_attribute_changes_a_merge(sandbox: Sandbox, attribute: str, place: str, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    sandbox.commit({"a": "1\n"})
    line = {".gitattributes": f"a {attribute}\n"}
    tip, head = parted(
        sandbox, {"a": "2\n", **(line if place == "tip" else {})}, {"a": "3\n", **(line if place == "head" else {})}
    )
    sandbox.git("config", "merge.mine.driver", f"touch {mark}; true")
    sandbox.git("config", "merge.ours.driver", f"touch {mark}; true")
    sandbox.git("config", "merge.default", "union")
    if place == "checkout":
        sandbox.write(line)
    if place == "info":
        (sandbox.path / ".git/info").mkdir(exist_ok=True)
        (sandbox.path / ".git/info/attributes").write_text(line[".gitattributes"])
    with pytest.raises(ConflictError):
        merge(repository(sandbox), tip, head)
    assert not mark.exists()


def test_no_filter_runs(sandbox: Sandbox, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    sandbox.commit({"a": "1\n2\n3\n4\n", ".gitattributes": "* filter=mine text eol=lf\n"})
    tip, head = parted(sandbox, {"a": "0\n2\n3\n4\n"}, {"a": "1\n2\n3\n5\n"})
    sandbox.git("config", "filter.mine.clean", f"touch {mark}; cat")
    sandbox.git("config", "filter.mine.smudge", f"touch {mark}; cat")
    sandbox.git("config", "merge.renormalize", "true")
    found = merge(repository(sandbox), tip, head)
    assert files(sandbox, found.commit)["a"] == "0\n2\n3\n5"
    assert not mark.exists()


@pytest.mark.parametrize("setting", ["merge.renames=false", "diff.renames=false", "merge.directoryRenames=true"])
def test_a_machines_settings_change_nothing(sandbox: Sandbox, setting: str) -> None:
    text = "".join(f"{n}\n" for n in range(30))
    sandbox.commit({"old/a": text})
    sandbox.git("checkout", "--quiet", "-b", "work")
    sandbox.git("mv", "old", "new")
    head = sandbox.commit({})
    sandbox.git("checkout", "--quiet", "main")
    tip = sandbox.commit({"old/a": text + "more\n"})
    sandbox.git("config", *setting.split("="))
    assert files(sandbox, merge(repository(sandbox), tip, head).commit) == {"new/a": text + "more"}


def test_a_file_added_to_a_renamed_folder_is_a_conflict(sandbox: Sandbox) -> None:
    sandbox.commit({"old/a": "1\n", "old/b": "2\n"})
    sandbox.git("checkout", "--quiet", "-b", "work")
    sandbox.git("mv", "old", "new")
    head = sandbox.commit({})
    sandbox.git("checkout", "--quiet", "main")
    tip = sandbox.commit({"old/c": "3\n"})
    with pytest.raises(ConflictError):
        merge(repository(sandbox), tip, head)


def test_replaced_objects_and_grafts_are_not_believed(sandbox: Sandbox) -> None:
    first = sandbox.commit({"a": "1\n"})
    tip, head = parted(sandbox, {"b": "2\n"}, {"c": "3\n"})
    honest = merge(repository(sandbox), tip, head)
    sandbox.git("replace", tip, head)
    (sandbox.path / ".git/info").mkdir(exist_ok=True)
    (sandbox.path / ".git/info/grafts").write_text(f"{head}\n")
    assert merge(repository(sandbox), tip, head) == honest
    assert list(first_parents(repository(sandbox), head)) == [first, head]


def test_unrelated_histories_have_no_merge(sandbox: Sandbox) -> None:
    tip = sandbox.commit(CONFIG)
    sandbox.git("checkout", "--quiet", "--orphan", "alone")
    sandbox.commit({"a": "1"})
    with pytest.raises(NotEvaluatedError, match="no history in common"):
        three_commits(repository(sandbox))
    assert tip


@pytest.mark.parametrize("depth", [1, 2])
def test_a_shallow_clone_is_refused_and_never_an_unrelated_history(
    sandbox: Sandbox, tmp_path: Path, depth: int
) -> None:
    sandbox.commit({"a": "1"})
    tip, head = parted(sandbox, {"b": "1"}, {"c": "1"})
    sandbox.commit({"d": "1"})
    head = sandbox.commit({"e": "1"})
    sandbox.git("checkout", "--quiet", "main")
    sandbox.commit({"f": "1"})
    tip = sandbox.commit({"g": "1"})
    url = f"file://{sandbox.path}"
    subprocess.run(
        ["git", "clone", "--quiet", "--no-single-branch", f"--depth={depth}", url, tmp_path / "shallow"], check=True
    )
    with pytest.raises(UsageError, match="shallow"):
        merge(Repository.discover(tmp_path / "shallow"), tip, head)


def test_a_partial_clone_fetches_what_a_merge_reads(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.commit({"a": "1\n2\n3\n4\n", "large": "x" * 1000})
    tip, head = parted(sandbox, {"a": "0\n2\n3\n4\n"}, {"a": "1\n2\n3\n5\n", "other": "y" * 1000})
    sandbox.git("config", "uploadpack.allowFilter", "true")
    sandbox.git("config", "uploadpack.allowAnySHA1InWant", "true")
    url = f"file://{sandbox.path}"
    subprocess.run(
        ["git", "clone", "--quiet", "--no-checkout", "--filter=blob:none", url, tmp_path / "partial"], check=True
    )
    partial = Sandbox(tmp_path / "partial")
    found = merge(Repository.discover(partial.path), tip, head)
    assert found == merge(repository(sandbox), tip, head)
    missing = partial.git("rev-list", "--objects", "--all", "--missing=print").splitlines()
    oids = {sandbox.git("rev-parse", f"{head}:{name}") for name in ("large", "other")}
    assert {f"?{oid}" for oid in oids} <= set(missing)


def test_a_merge_in_another_hash(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    sandbox = Sandbox(tmp_path / "made")
    sandbox.git("init", "--quiet", "--object-format=sha256")
    sandbox.commit({"a": "1\n"})
    tip, head = parted(sandbox, {"b": "2"}, {"c": "3"})
    assert files(sandbox, merge(repository(sandbox), tip, head).commit) == {"a": "1", "b": "2", "c": "3"}


def test_a_merge_from_a_linked_worktree(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.commit({"a": "1\n"})
    tip, head = parted(sandbox, {"b": "2"}, {"c": "3"})
    sandbox.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
    assert merge(Repository.discover(tmp_path / "linked"), tip, head) == merge(repository(sandbox), tip, head)


def test_only_first_parents_were_a_branchs_tip(sandbox: Sandbox) -> None:
    first = sandbox.commit({"a": "1"})
    sandbox.git("checkout", "--quiet", "-b", "work")
    inside = sandbox.commit({"b": "1"})
    sandbox.git("checkout", "--quiet", "main")
    sandbox.git("merge", "--quiet", "--no-ff", "-m", "Merge", "work")
    tip = sandbox.git("rev-parse", "HEAD")
    assert dict(first_parents(repository(sandbox), tip)) == {first: 0, tip: 1}
    assert inside not in first_parents(repository(sandbox), tip)


@pytest.mark.parametrize("seed", range(12))
def test_random_histories_merge_as_git_itself_merges_them(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - histories, no secrets
    sandbox = make(tmp_path / "repository")
    names = [f"{folder}/{n}" for folder in ("x", "y") for n in range(4)]
    lines = [f"{n}\n" for n in range(20)]
    sandbox.commit({name: "".join(lines) for name in names})
    sandbox.git("branch", "work")
    for _ in range(6):
        sandbox.git("checkout", "--quiet", draw.choice(["main", "work"]))
        _change(sandbox, draw)
    tip, head = sandbox.git("rev-parse", "main"), sandbox.git("rev-parse", "work")
    sandbox.git("checkout", "--quiet", "main")
    sandbox.git("config", "merge.directoryRenames", "conflict")
    done = subprocess.run(
        ["git", "merge", "--quiet", "-m", "M", "work"],
        cwd=sandbox.path,
        env=ADA | os.environ,
        check=False,
        capture_output=True,
    )
    try:
        found = merge(repository(sandbox), tip, head).commit
    except ConflictError:
        assert done.returncode != 0
    else:
        assert done.returncode == 0
        assert sandbox.git("rev-parse", f"{found}^{{tree}}") == sandbox.git("rev-parse", "HEAD^{tree}")


def _change(sandbox: Sandbox, draw: random.Random) -> None:
    names = sandbox.git("ls-files").split()
    name = draw.choice(names)
    match draw.randrange(4):
        case 0:
            sandbox.git("mv", name, f"{name}r")
            sandbox.commit()
        case 1 if len(names) > 4:
            sandbox.git("rm", "--quiet", name)
            sandbox.commit()
        case 2:
            sandbox.commit({f"new{draw.randrange(99)}": "1\n"})
        case _:
            lines = (sandbox.path / name).read_text().splitlines(keepends=True)
            lines[draw.randrange(len(lines))] = f"{draw.random()}\r\n"
            sandbox.commit({name: "".join(lines)})


# The commits of a laptop's run.


def test_a_branch_with_changes(sandbox: Sandbox) -> None:
    fork = sandbox.commit(CONFIG)
    tip = sandbox.commit({"later": "1"})
    sandbox.git("checkout", "--quiet", "-b", "work", fork)
    sandbox.commit({"mine": "1"})
    sandbox.write({"unsaved": "1"})
    commits = three_commits(repository(sandbox))
    assert (commits.base, commits.policy, commits.guarded, commits.behind) == (tip, tip, "main", 0)
    assert commits.uncommitted == ("unsaved",)
    assert commits.head == repository(sandbox).snapshot().sha
    assert set(files(sandbox, commits.candidate)) == {"mlbot.yaml", "later", "mine", "unsaved"}


def test_a_branch_that_conflicts_says_so(sandbox: Sandbox) -> None:
    fork = sandbox.commit(CONFIG)
    sandbox.commit({"a": "1"})
    sandbox.git("checkout", "--quiet", "-b", "work", fork)
    sandbox.write({"a": "2"})
    with pytest.raises(ConflictError, match="in a"):
        three_commits(repository(sandbox))


def test_a_branch_that_is_behind_and_changes_nothing_is_the_guarded_branch(sandbox: Sandbox) -> None:
    fork = sandbox.commit(CONFIG)
    tip = sandbox.commit({"a": "1"})
    sandbox.git("checkout", "--quiet", "-b", "work", fork)
    commits = three_commits(repository(sandbox))
    assert (commits.head, commits.candidate, commits.base) == (fork, tip, tip)


@pytest.mark.parametrize("rev", ["develop", "origin/develop"])
def test_another_guarded_branch(sandbox: Sandbox, rev: str) -> None:
    tip = sandbox.commit(CONFIG)
    sandbox.git("update-ref", "refs/remotes/origin/develop", "HEAD")
    sandbox.commit({"a": "1"})
    commits = three_commits(repository(sandbox), rev)
    assert (commits.base, commits.policy, commits.guarded) == (tip, tip, "develop")


def test_any_revision_as_base(sandbox: Sandbox) -> None:
    first = sandbox.commit(CONFIG)
    sandbox.commit({"a": "1"})
    assert three_commits(repository(sandbox), "HEAD~1").base == first
    with pytest.raises(UsageError, match="nowhere"):
        three_commits(repository(sandbox), "nowhere")


def test_on_the_default_branch_itself(sandbox: Sandbox) -> None:
    tip = sandbox.commit(CONFIG)
    sandbox.write({"a": "1"})
    commits = three_commits(repository(sandbox))
    assert (commits.base, commits.policy, commits.uncommitted) == (tip, tip, ("a",))
    assert commits.head != tip


def test_on_the_default_branch_ahead_of_the_remote(sandbox: Sandbox) -> None:
    pushed = sandbox.commit(CONFIG)
    sandbox.git("update-ref", "refs/remotes/origin/main", "HEAD")
    head = sandbox.commit({"a": "1"})
    commits = three_commits(repository(sandbox))
    assert (commits.head, commits.base, commits.policy) == (head, pushed, pushed)


def test_a_guarded_branch_without_config_has_no_policy(sandbox: Sandbox) -> None:
    tip = sandbox.commit({"a": "1"})
    sandbox.write(CONFIG)
    commits = three_commits(repository(sandbox))
    assert (commits.base, commits.policy) == (tip, None)


def test_before_the_first_commit(sandbox: Sandbox) -> None:
    sandbox.write(CONFIG)
    commits = three_commits(repository(sandbox))
    assert (commits.base, commits.policy, commits.guarded, commits.behind) == (None, None, "main", 0)
    assert commits.uncommitted == ("mlbot.yaml",)


def test_a_detached_head(sandbox: Sandbox) -> None:
    tip = sandbox.commit(CONFIG)
    sandbox.git("checkout", "--quiet", "--detach")
    head = sandbox.commit({"a": "1"})
    commits = three_commits(repository(sandbox))
    assert (commits.head, commits.base, commits.guarded) == (head, tip, "main")


def test_no_telling_which_branch_is_guarded(sandbox: Sandbox) -> None:
    sandbox.commit(CONFIG)
    sandbox.git("branch", "-m", "main", "work")
    with pytest.raises(UsageError, match="--base BRANCH"):
        three_commits(repository(sandbox))
