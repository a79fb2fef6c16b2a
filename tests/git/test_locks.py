"""The environments' locks, with real git: one wins, everybody can read who it is."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlbot.errors import NotEvaluatedError, RefusedError
from mlbot.git.locks import LockRef
from mlbot.git.remote import Remote

NOW = 1_763_654_400


@pytest.fixture
def bare(tmp_path: Path, git_settings: None) -> Path:
    del git_settings
    path = tmp_path / "remote.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(path)], check=True)
    return path


def lock(bare: Path, environment: str = "staging") -> LockRef:
    return LockRef(remote=Remote(url=str(bare)), environment=environment)


def refs(bare: Path) -> list[str]:
    out = subprocess.run(["git", "for-each-ref", "--format=%(refname)"], cwd=bare, capture_output=True, check=True)
    return out.stdout.decode().split()


def test_a_free_lock_is_nobodys(bare: Path) -> None:
    assert lock(bare).read() is None


def test_what_was_taken_is_read_and_dropped(bare: Path) -> None:
    held = lock(bare).take('{"id":"m/staging/1"}', NOW)
    assert held is not None
    assert lock(bare).read() == held
    assert held.text == '{"id":"m/staging/1"}'
    assert lock(bare).is_still(held)
    assert refs(bare) == ["refs/mlbot/lock/staging"]
    assert lock(bare).drop(held)
    assert lock(bare).read() is None
    assert not lock(bare).is_still(held)
    assert not lock(bare).drop(held)


def test_each_environment_has_its_own(bare: Path) -> None:
    assert lock(bare, "staging").take("one", NOW)
    assert lock(bare, "production").take("one", NOW)


def test_a_held_lock_is_not_taken_even_with_the_same_words_in_the_same_second(bare: Path) -> None:
    first = lock(bare).take("the same", NOW)
    assert first is not None
    assert lock(bare).take("the same", NOW) is None
    assert lock(bare).read() == first


def test_of_many_at_once_one_wins(bare: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: lock(bare).take("mine", NOW), range(16)))
    (winner,) = [held for held in found if held]
    assert lock(bare).read() == winner


def test_a_lock_is_taken_over_only_as_it_was_read(bare: Path) -> None:
    dead = lock(bare).take("dead", NOW)
    assert dead is not None
    rescuer = lock(bare).take("rescue", NOW + 60, over=dead)
    assert rescuer is not None
    assert lock(bare).take("late", NOW + 60, over=dead) is None
    assert not lock(bare).drop(dead)
    assert lock(bare).read() == rescuer


def test_a_rule_of_the_repository_is_said(bare: Path) -> None:
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(RefusedError, match="a rule of the repository forbids writing"):
        lock(bare).take("mine", NOW)


def test_a_remote_that_is_not_there_is_said(tmp_path: Path, git_settings: None) -> None:
    del git_settings
    with pytest.raises(NotEvaluatedError, match="refs/mlbot/lock/staging failed"):
        lock(tmp_path / "nowhere").read()
