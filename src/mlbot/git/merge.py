"""The commits that a change is judged by: what a branch would hold after the merge, as GitHub computes it.

Git runs in a private bare repository on the same objects. A checkout's attributes, hooks, grafts and settings could
change a merge: the same two commits conflict with one branch checked out and merge cleanly with the other, where
`.gitattributes` names a driver. GitHub honours no merge attribute at all.
"""

import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mlbot.errors import NotEvaluatedError, UsageError
from mlbot.git.command import environment, git, try_git, words
from mlbot.git.remote import Remote, failure
from mlbot.git.repository import UNSHALLOW, Branch, Repository
from mlbot.git.snapshot import IDENTITY
from mlbot.lib.constants import CONFIG_FILE
from mlbot.lib.record import Sha
from mlbot.lib.tree import shown
from mlbot.verdict.verdict import Commits

_SETTINGS = (
    "merge.renames=true",
    "merge.renameLimit=7000",
    "merge.directoryRenames=conflict",
    "merge.renormalize=false",
    "merge.default=text",
    "diff.renames=true",
    "diff.renameLimit=7000",
    "diff.algorithm=histogram",
    "core.attributesFile=/dev/null",
    "core.useReplaceRefs=false",
)
"""Whatever the machine's git is told elsewhere: a merge has one result."""

_COPIED = r"^(remote\..*\.(url|promisor|partialclonefilter)|extensions\.partialclone|credential\..*|http\..*)$"
"""What a partial clone needs to fetch the blobs of a merge that it does not have."""

_OLDEST = (2, 38)  # the first git that merges without a working tree
_EMPTY = {
    "sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
"""The empty tree, which git knows without being told: no attributes are in it."""

_NAMED = 5
_SECONDS = 60
_KILOBYTES = 2 << 20
_LIMITED = 'ulimit -v "$0" 2>/dev/null; exec git "$@"'  # where a system has no such limit, time alone bounds git


class ConflictError(NotEvaluatedError):
    """Two commits that git cannot merge."""

    def __init__(self, paths: Sequence[str]) -> None:
        more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
        super().__init__(
            f"the change conflicts with the guarded branch in {', '.join(map(shown, paths[:_NAMED]))}{more}",
            hint="Merge the guarded branch into the change, or rebase the change onto it.",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Merge:
    """What a branch would hold after a merge. `commit` is the same wherever and whenever it is computed."""

    commit: Sha
    git: str | None = None  # the version that computed it; None where nothing had to be


def merge(repository: Repository, tip: Sha, head: Sha) -> Merge:
    """What a branch at `tip` would hold once `head` is merged into it.

    Raises `ConflictError`, and `NotEvaluatedError` where the two have no history in common or are too large to merge.
    """
    if tip == head:
        return Merge(commit=head)
    with _private(repository, tip) as private:
        if private.is_ancestor(tip, head):
            return Merge(commit=head)
        if private.is_ancestor(head, tip):
            return Merge(commit=tip)
        return Merge(commit=private.merged(tip, head), git=_version())


def first_parents(repository: Repository, tip: Sha) -> Mapping[Sha, int]:
    """The commits that were a branch's tip one after another, by its first parents: the place of each, the oldest 0.

    A commit that came in by a merge's second parent was never the branch's tip.
    """
    with _private(repository, tip) as private:
        return _places(private.output(["rev-list", "--first-parent", tip]))


def _places(listed: bytes) -> Mapping[Sha, int]:
    return {sha: place for place, sha in enumerate(reversed(listed.decode().split()))}


def branch_commits(remote: Remote, branch: str) -> Mapping[Sha, int]:
    """`first_parents` of a branch elsewhere. By its full name, as a tag may be called like it; no file is fetched."""
    with tempfile.TemporaryDirectory(prefix="mlbot-branch-") as folder:
        here = Path(folder)
        git(["init", "--quiet", "--bare", "--template="], here)
        fetch = ["fetch", "--quiet", "--no-tags", "--filter=tree:0", remote.url, f"+refs/heads/{branch}:refs/mlbot/tip"]
        done = remote.run(fetch, here)
        if done.returncode != 0:
            raise failure(done, "reading", branch)
        return _places(git(["rev-list", "--first-parent", "refs/mlbot/tip"], here))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Private:
    folder: Path
    repository: Repository

    def run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        extra = {
            **IDENTITY,
            "GIT_OBJECT_DIRECTORY": str(self.repository.common_dir / "objects"),
            "GIT_ATTR_NOSYSTEM": "1",
        }
        command = ["sh", "-c", _LIMITED, str(_KILOBYTES), *settings, f"--git-dir={self.folder}", *arguments]
        try:
            return subprocess.run(
                command, cwd=self.folder, env=environment(extra), capture_output=True, check=False, timeout=_SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise NotEvaluatedError(
                f"git needs more than {_SECONDS} seconds to compare the change with the guarded branch",
                hint="Make the change smaller, in several pull requests.",
            ) from error

    def output(self, arguments: Sequence[str]) -> bytes:
        done = self.run(arguments)
        if done.returncode != 0:
            raise self._failed(done, "git could not read the history")
        return done.stdout

    def is_ancestor(self, older: Sha, newer: Sha) -> bool:
        done = self.run(["merge-base", "--is-ancestor", older, newer])
        if done.returncode not in {0, 1}:
            raise self._failed(done, "git could not read the history")
        return done.returncode == 0

    def merged(self, tip: Sha, head: Sha) -> Sha:
        _require_new_git()
        with (self.folder / "config").open("a") as config:
            config.writelines(f"{line}\n" for line in _of_partial_clone(self.repository))
        done = self.run(["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", tip, head])
        tree, *paths = done.stdout.decode("utf-8", "surrogateescape").split("\0")
        if done.returncode == 1 and paths:
            raise ConflictError([path for path in paths if path])
        if done.returncode != 0:
            raise self._failed(done, "git could not merge the change into the guarded branch")
        message = f"Merge {head} into {tip}"
        return self.output(["commit-tree", tree, "-p", tip, "-p", head, "-m", message]).decode().strip()

    def _failed(self, done: subprocess.CompletedProcess[bytes], what: str) -> UsageError | NotEvaluatedError:
        if self.repository.shallow:
            return UsageError("this clone is shallow and does not hold the history that is needed", hint=UNSHALLOW)
        if b"unrelated histories" in done.stderr:
            return NotEvaluatedError(
                "the change has no history in common with the guarded branch",
                hint="Make the change on a branch of this repository.",
            )
        return NotEvaluatedError(f"{what}: {words(done)}")


@contextmanager
def _private(repository: Repository, sha: Sha) -> Iterator[_Private]:
    with repository.scratch() as folder:
        for name in ("refs", "objects"):
            (folder / name).mkdir()
        # A branch that is not there: some versions of git read attributes from HEAD in a bare repository.
        (folder / "HEAD").write_text("ref: refs/heads/mlbot-none\n")
        (folder / "config").write_text(_config(sha))
        yield _Private(folder=folder, repository=repository)


def _config(sha: Sha) -> str:
    form = "sha256" if len(sha) == len(_EMPTY["sha256"]) else "sha1"
    lines = ["[core]", "repositoryformatversion = 1", "bare = true", "[attr]", f"tree = {_EMPTY[form]}"]
    return "\n".join([*lines, *(["[extensions]", f"objectFormat = {form}"] if form != "sha1" else []), ""])


def _of_partial_clone(repository: Repository) -> list[str]:
    """The settings of the user's clone by which git fetches what a partial clone lacks; none of a whole one's."""
    out = try_git(["config", "-z", "--local", "--get-regexp", _COPIED], repository.root).stdout
    pairs = [line.split("\n", 1) for line in out.decode("utf-8", "surrogateescape").split("\0") if "\n" in line]
    if not any(name.endswith((".promisor", ".partialclone")) for name, _ in pairs):
        return []
    return [line for name, value in pairs for line in _setting(name, value)]


def _setting(name: str, value: str) -> tuple[str, str]:
    section, _, key = name.rpartition(".")
    first, _, rest = section.partition(".")
    heading = f'[{first} "{_quoted(rest)}"]' if rest else f"[{first}]"
    return heading, f'{key} = "{_quoted(value)}"'


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


@lru_cache(maxsize=1)
def _version() -> str:
    out = git(["version"], Path("/")).decode("utf-8", "replace")
    found = re.search(r"\d+(\.\d+)+", out)
    return found.group() if found else out.strip()


def _require_new_git() -> None:
    version = _version()
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if parts < _OLDEST:
        raise UsageError(
            f"git {version} cannot merge without a working tree",
            hint="Install git 2.38 or newer, or merge the guarded branch into the change yourself.",
        )


def three_commits(repository: Repository, base_rev: str | None = None, *, onto: Sha | None = None) -> Commits:
    """The commits of a change in the working tree, as a pull request of it would have them.

    Head is the working tree, uncommitted changes included. Base and policy are the tip of the guarded branch
    (`base_rev`, else the default branch); None before the first commit, and policy where the tip has no config.
    """
    snapshot = repository.snapshot()
    guarded = _guarded(repository, base_rev, unborn=snapshot.head is None)
    return commits_of(repository, snapshot.sha, guarded, onto=onto, uncommitted=snapshot.uncommitted)


def check_out(repository: Repository, onto: Sha) -> Sha:
    """Make the checkout what a branch would hold once HEAD is merged into it at `onto`; the commit."""
    head = repository.resolve("HEAD")
    found = merge(repository, onto, head).commit
    if found != head:
        git(["checkout", "--quiet", "--detach", found], repository.root)
    return found


def commits_of(
    repository: Repository, head: Sha, guarded: Branch, *, onto: Sha | None = None, uncommitted: tuple[str, ...] = ()
) -> Commits:
    """The commits of a change: what the branch would hold once it is merged into `onto`, or into the branch's tip."""
    tip = guarded.sha or None
    base = onto or tip
    merged = merge(repository, base, head) if base else None
    return Commits(
        head=head,
        merged=merged.commit if merged and merged.commit != head else None,
        base=base,
        policy=tip if tip and repository.tree(tip).file(CONFIG_FILE) else None,
        guarded=guarded.name,
        behind=repository.count_between(base, tip) if base and tip and base != tip else 0,
        uncommitted=uncommitted,
        git=merged.git if merged else None,
    )


def _guarded(repository: Repository, base_rev: str | None, *, unborn: bool) -> Branch:
    if base_rev is not None:
        guarded = base_rev.removeprefix("refs/heads/").removeprefix("origin/")
        return repository.branch(guarded) or Branch(name=guarded, sha=repository.resolve(base_rev))
    try:
        return repository.default_branch()
    except UsageError:
        name = repository.current_branch()
        if name is None or not unborn:
            raise
        return Branch(name=name, sha="")
