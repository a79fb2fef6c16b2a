"""The ledger branch, with real git and many real writers."""

import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Repository
from tests.support.git_samples import Sandbox, make
from tests.support.history_samples import lock
from tests.support.ledger_samples import digest, entry
from tests.support.tiers import NIGHTLY

from mlbot.errors import NotEvaluatedError, RefusedError, UsageError
from mlbot.git.ledger import LedgerBranch, OrphanBranch, push_charts, read_local
from mlbot.git.remote import Remote, failure, is_denied
from mlbot.ledger.entries import BRANCH, path_of
from mlbot.ledger.queries import verdicts
from mlbot.lib.constants import CHARTS

NOW = 1_763_654_400
WRITERS = 50 if NIGHTLY else 12


@pytest.fixture
def bare(tmp_path: Path, git_settings: None) -> Path:
    del git_settings
    path = tmp_path / "remote.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(path)], check=True)
    return path


def ledger(bare: Path) -> LedgerBranch:
    return LedgerBranch.at(Remote(url=str(bare)))


def log(bare: Path, branch: str = BRANCH) -> list[str]:
    done = subprocess.run(
        ["git", "rev-list", f"refs/heads/{branch}"], cwd=bare, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_there_is_nothing_before_the_first_entry(bare: Path) -> None:
    assert ledger(bare).read().entries == ()


def test_what_was_appended_is_read(bare: Path) -> None:
    one, two = entry(run=1), entry(run=2, model="churn", key=digest(9))
    ledger(bare).append([one], NOW)
    ledger(bare).append([two], NOW)
    assert ledger(bare).read().entries == (one, two)
    assert ledger(bare).read(subject="churn").entries == (two,)
    assert ledger(bare).read("verdict", "churn", digest(9)).entries == (two,)
    assert ledger(bare).read("verdict", "churn", digest(10)).entries == ()


def test_the_branch_grows_by_one_commit_a_write_and_has_no_other_history(bare: Path) -> None:
    ledger(bare).append([entry(run=1), entry(run=1, model="churn")], NOW)
    ledger(bare).append([entry(run=2)], NOW)
    assert len(log(bare)) == 2


def test_a_retry_adds_nothing_even_a_minute_later(bare: Path) -> None:
    first = ledger(bare).append([entry()], NOW)
    again = ledger(bare).append([entry().model_copy(update={"time": "2030-01-01T00:00:00Z"})], NOW + 60)
    assert (again.sha, again.added) == (first.sha, ())
    assert ledger(bare).read().entries == (entry(),)


def test_an_entry_is_never_changed(bare: Path) -> None:
    path = path_of(entry())
    branch = OrphanBranch(remote=Remote(url=str(bare)), name=BRANCH)
    branch.append({path: b"the first word"}, "one", NOW)
    branch.append({path: b"the last word", "v1/other": b"x"}, "two", NOW)
    assert branch.read() == {path: b"the first word", "v1/other": b"x"}


def test_many_writers_at_once_lose_nothing(bare: Path) -> None:
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda run: ledger(bare).append([entry(run=run)], NOW), range(1, WRITERS + 1)))
    found = ledger(bare).read()
    assert [each.attempt.run for each in verdicts(found.entries)] == list(range(1, WRITERS + 1))
    assert found.problems == ()
    assert len(log(bare)) == WRITERS


def hook(bare: Path, name: str, *lines: str) -> None:
    path = bare / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)


def test_a_rule_of_the_repository_is_final(bare: Path) -> None:
    hook(bare, "pre-receive", "exit 1")
    waited: list[float] = []
    branch = OrphanBranch(remote=Remote(url=str(bare)), name=BRANCH, sleep=waited.append)
    with pytest.raises(RefusedError, match="a rule of the repository forbids writing"):
        branch.append({"a": b"b"}, "one", NOW)
    assert waited == []


def overtaken(bare: Path, times: int) -> None:
    """Let the next pushes find that somebody else landed a commit in the same moment."""
    OrphanBranch(remote=Remote(url=str(bare)), name=BRANCH).append({"0": b""}, "first", NOW)
    tips = log(bare)
    for number in range(times):
        command = ["git", "commit-tree", "-p", tips[-1], "-m", f"theirs {number}", f"{tips[-1]}^{{tree}}"]
        tips.append(subprocess.run(command, cwd=bare, capture_output=True, text=True, check=True).stdout.strip())
    (bare / "tips").write_text("\n".join((*tips[1:], "")))
    hook(
        bare,
        "pre-receive",
        "next=$(head -n 1 tips)",
        "sed -i 1d tips",
        "unset GIT_QUARANTINE_PATH",
        f'if [ -n "$next" ]; then git update-ref refs/heads/{BRANCH} "$next"; fi',
    )


def test_a_writer_that_was_overtaken_waits_and_tries_again(bare: Path) -> None:
    overtaken(bare, 3)
    waited: list[float] = []
    branch = OrphanBranch(remote=Remote(url=str(bare)), name=BRANCH, sleep=waited.append, chance=lambda: 0.5)
    branch.append({"1": b"mine"}, "second", NOW)
    assert branch.read() == {"0": b"", "1": b"mine"}
    assert len(log(bare)) == 5
    assert waited == [0.125, 0.25, 0.5]


def test_a_writer_that_is_always_overtaken_gives_up(bare: Path) -> None:
    overtaken(bare, 4)
    branch = OrphanBranch(remote=Remote(url=str(bare)), name=BRANCH, sleep=lambda _: None, attempts=4)
    with pytest.raises(NotEvaluatedError, match="4 attempts to add to the branch"):
        branch.append({"1": b"mine"}, "second", NOW)


def test_a_remote_that_is_not_there_is_said(tmp_path: Path, git_settings: None) -> None:
    del git_settings
    branch = OrphanBranch(remote=Remote(url=str(tmp_path / "nowhere")), name=BRANCH, sleep=lambda _: None)
    with pytest.raises(NotEvaluatedError, match="reading the branch mlbot-ledger failed"):
        branch.read()


def test_a_laptop_reads_what_it_last_fetched(bare: Path, sandbox: Sandbox) -> None:
    assert read_local(sandbox.path).entries == ()
    ledger(bare).append([entry()], NOW)
    sandbox.git("remote", "add", "origin", str(bare))
    sandbox.git("fetch", "--quiet", "origin")
    assert read_local(sandbox.path, "verdict", "adult-income").entries == (entry(),)
    assert read_local(sandbox.path, subject="churn").entries == ()


def test_writing_leaves_the_users_repository_alone(bare: Path, tmp_path: Path) -> None:
    user = make(tmp_path / "user")
    user.commit({"a": "b"})
    before = user.git("for-each-ref"), user.git("count-objects"), user.git("status", "--porcelain")
    ledger(bare).append([entry()], NOW)
    assert before == (user.git("for-each-ref"), user.git("count-objects"), user.git("status", "--porcelain"))
    assert user.git("rev-parse", "--is-shallow-repository") == "false"


def test_charts_are_found_under_the_commit(bare: Path) -> None:
    charts = Remote(url=str(bare))
    sha = push_charts(charts, {"a-light.svg": b"<svg/>", 'odd "name"\\.svg': b"<svg>2</svg>"}, NOW)
    assert push_charts(charts, {"a-light.svg": b"<svg/>"}, NOW) == sha
    assert log(bare, CHARTS) == [sha]
    show = ["git", "cat-file", "blob", f"{sha}:a-light.svg"]
    assert subprocess.run(show, cwd=bare, capture_output=True, check=True).stdout == b"<svg/>"


def test_a_token_is_in_the_environment_of_git_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "2")
    remote = Remote(url="https://github.example/o/r.git", token="ghs_secret")
    header = remote._header({"GIT_CONFIG_COUNT": "2"})
    assert header["GIT_CONFIG_COUNT"] == "3"
    assert header["GIT_CONFIG_KEY_2"] == "http.https://github.example/.extraheader"
    assert "ghs_secret" not in repr(remote)
    assert Remote(url="/a/path", token="ghs_secret")._header({}) == {}


@pytest.mark.parametrize(
    ("said", "denied"),
    [
        (b"fatal: unable to access 'https://x/': The requested URL returned error: 403", True),
        (b"remote: Permission to o/r.git denied to github-actions[bot].", True),
        (b"! [remote rejected] a -> b (pre-receive hook declined)", True),
        (b"remote: error: GH013: Repository rule violations found", True),
        (b"! [rejected] 403401a -> mlbot-ledger (fetch first)", False),
        (b"fatal: unable to access 'https://x/': The requested URL returned error: 502", False),
    ],
)
def test_what_is_worth_another_try(said: bytes, denied: bool) -> None:  # noqa: FBT001 - a table
    done = subprocess.CompletedProcess(["git"], 1, stdout=b"", stderr=said)
    assert is_denied(done) is denied
    assert isinstance(failure(done, "writing", BRANCH), RefusedError) is denied


def test_nothing_is_no_write(bare: Path) -> None:
    with pytest.raises(ValueError, match="nothing to append"):
        ledger(bare).append([], NOW)


@dataclass(frozen=True, kw_only=True)
class Spied(Remote):
    """A remote that keeps what was asked of it."""

    asked: list[list[str]] = field(default_factory=list)

    def run(self, arguments: Sequence[str], cwd: Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        done = super().run(arguments, cwd, stdin)
        lines = [f"{len(stdin.splitlines())} lines"] if stdin else []
        self.asked.append([*arguments, *lines, str(done.returncode)])
        return done


@pytest.mark.parametrize(
    ("settings", "fetches"),
    [
        ({}, 1),
        ({"uploadpack.allowFilter": "true"}, 2),
        ({"uploadpack.allowFilter": "true", "protocol.version": "0"}, 3),
    ],
    ids=["no filters", "filters", "filters, but no single objects"],
)
def test_a_lookup_asks_for_no_more_than_the_server_can_leave_out(
    bare: Path, settings: dict[str, str], fetches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        subprocess.run(["git", "config", name, value], cwd=bare, check=True)
    monkeypatch.setenv("GIT_CONFIG_KEY_2", "protocol.version")
    monkeypatch.setenv("GIT_CONFIG_VALUE_2", settings.get("protocol.version", "2"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "3")
    entries = [
        entry(run=run, model=model, key=digest(run)) for run in range(1, 9) for model in ("adult-income", "churn")
    ]
    remote = Spied(url=bare.as_uri())
    branch = LedgerBranch.at(remote)
    branch.append([*entries, lock()], NOW)
    remote.asked.clear()
    found = branch.read("verdict", "churn")
    assert [each.subject for each in found.entries] == ["churn"] * 8
    assert len(remote.asked) == fetches
    assert branch.read("verdict", "churn", digest(3)).entries == (entry(run=3, model="churn", key=digest(3)),)
    assert branch.read("lock").entries == (lock(),)
    assert branch.read("deployment", "churn").entries == ()
    remote.asked.clear()
    assert len(branch.read().entries) == len(entries) + 1
    assert len(remote.asked) == 1, "everything is fetched at once"
    branch.append([entry(run=99)], NOW)
    assert len(branch.read(subject="adult-income").entries) == 9


def test_a_lookup_fetches_only_what_it_reads(bare: Path) -> None:
    subprocess.run(["git", "config", "uploadpack.allowFilter", "true"], cwd=bare, check=True)
    branch = OrphanBranch(remote=Remote(url=bare.as_uri()), name=BRANCH)
    branch.append({f"{folder}/{number}": b"%d" % number for folder in "ab" for number in range(50)}, "all", NOW)
    remote = Spied(url=bare.as_uri())
    assert len(OrphanBranch(remote=remote, name=BRANCH).read("a/", few=True)) == 50
    assert [words[-2] for words in remote.asked] == [f"+refs/heads/{BRANCH}*:refs/mlbot/tip*", "50 lines"]


def test_an_address_may_hold_anything_but_a_line_break(tmp_path: Path, git_settings: None) -> None:
    del git_settings
    odd = tmp_path / 'a "quoted" \\ # ; path'
    subprocess.run(["git", "init", "--quiet", "--bare", str(odd)], check=True)
    LedgerBranch.at(Remote(url=str(odd))).append([entry()], NOW)
    assert LedgerBranch.at(Remote(url=str(odd))).read().entries == (entry(),)
    with pytest.raises(UsageError, match="is no address"):
        LedgerBranch.at(Remote(url="a\nb")).read()


def test_a_folder_within_another_repository_is_none(bare: Path, sandbox: Sandbox) -> None:
    ledger(bare).append([entry()], NOW)
    sandbox.git("fetch", "--quiet", str(bare), f"refs/heads/{BRANCH}:refs/heads/{BRANCH}")
    assert LedgerBranch.at(Remote(url=str(sandbox.path))).read().entries == (entry(),)
    inside = sandbox.path / "inside"
    inside.mkdir()
    branch = OrphanBranch(remote=Remote(url=str(inside)), name=BRANCH, sleep=lambda _: None)
    with pytest.raises(NotEvaluatedError, match="reading the branch mlbot-ledger failed"):
        branch.read()


# The ledger branch through GitHub's own door: smart HTTP, a job's token, its permissions.


@pytest.fixture
def github(tmp_path: Path, git_settings: None) -> Iterator[FakeGitHub]:
    del git_settings
    with FakeGitHub(tmp_path / "github") as fake:
        yield fake
    fake.check()


@pytest.fixture
def repository(github: FakeGitHub) -> Repository:
    return github.repository("acme/income", private=True)


def remote(github: FakeGitHub, repository: Repository, level: str) -> Remote:
    token = github.job_token(repository, {"contents": level})
    return Remote(url=f"{github.url}/acme/income.git", token=token)


def test_a_job_that_may_write_appends_and_one_that_may_read_reads(github: FakeGitHub, repository: Repository) -> None:
    writer = LedgerBranch.at(remote(github, repository, "write"))
    first = writer.append([entry(run=1)], NOW)
    second = writer.append([entry(run=2)], NOW)
    assert repository.git.find("refs/heads/mlbot-ledger") == second.sha != first.sha
    assert LedgerBranch.at(remote(github, repository, "read")).read().entries == (entry(run=1), entry(run=2))


def test_a_job_that_may_not_write_is_told_what_it_lacks(github: FakeGitHub, repository: Repository) -> None:
    with pytest.raises(RefusedError, match="the token may not be used for writing the branch mlbot-ledger") as caught:
        LedgerBranch.at(remote(github, repository, "read")).append([entry()], NOW)
    assert "contents: write" in caught.value.hint
    assert "ghs_" not in str(caught.value)


def test_without_a_token_a_private_repository_stays_shut(github: FakeGitHub, repository: Repository) -> None:
    del repository
    with pytest.raises(RefusedError, match="for reading"):
        LedgerBranch.at(Remote(url=f"{github.url}/acme/income.git")).read()


def test_a_picture_is_where_its_address_says(github: FakeGitHub, repository: Repository) -> None:
    sha = push_charts(remote(github, repository, "write"), {"ab/x.svg": b"<svg/>"}, NOW)
    assert repository.git.git("cat-file", "blob", f"{sha}:ab/x.svg") == "<svg/>"


def test_a_passing_fault_is_tried_again(github: FakeGitHub, repository: Repository) -> None:
    fault = github.faults.add("git-upload-pack", 502)
    pushing = github.faults.add("git-receive-pack", 502)
    waits: list[float] = []
    to = remote(github, repository, "write")
    branch = OrphanBranch(remote=to, name=BRANCH, sleep=waits.append, chance=lambda: 1.0)
    branch.append({"v1/a": b"1"}, "one", NOW)
    assert (fault.met, pushing.met, len(waits)) == (1, 1, 1)
    assert branch.read() == {"v1/a": b"1"}


def test_a_server_that_is_down_ends_it(github: FakeGitHub, repository: Repository) -> None:
    github.faults.add("/info/refs", 503, times=99)
    to = remote(github, repository, "write")
    branch = OrphanBranch(remote=to, name=BRANCH, sleep=lambda _: None)
    with pytest.raises(NotEvaluatedError, match="reading the branch mlbot-ledger failed") as caught:
        branch.append({"v1/a": b"1"}, "one", NOW)
    assert "ghs_" not in str(caught.value)


def test_a_push_that_always_fails_ends_soon(github: FakeGitHub, repository: Repository) -> None:
    fault = github.faults.add("POST /acme/income.git/git-receive-pack", 500, times=99)
    to = remote(github, repository, "write")
    branch = OrphanBranch(remote=to, name=BRANCH, sleep=lambda _: None)
    with pytest.raises(NotEvaluatedError, match="writing the branch mlbot-ledger failed"):
        branch.append({"v1/a": b"1"}, "one", NOW)
    assert fault.met == 5


def test_a_push_that_arrived_although_it_failed_is_not_made_twice(github: FakeGitHub, repository: Repository) -> None:
    github.faults.add("POST /acme/income.git/git-receive-pack", 500, after=True)
    branch = OrphanBranch(remote=remote(github, repository, "write"), name=BRANCH, sleep=lambda _: None)
    branch.append({"v1/a": b"1"}, "one", NOW)
    assert branch.read() == {"v1/a": b"1"}
    assert repository.git.git("rev-list", "--count", "refs/heads/mlbot-ledger") == "1"
