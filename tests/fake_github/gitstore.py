"""One bare git repository on disk, and what GitHub does in it by itself: test merges, commits of its web editor."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final, TypeVar

from tests.fake_github.objects import ENVIRONMENT, Content, GitError, Objects

SETTINGS: Final = {
    "uploadpack.allowAnySHA1InWant": "true",
    "uploadpack.allowFilter": "true",
    "http.receivepack": "true",
    "core.logAllRefUpdates": "false",
    "gc.auto": "0",
}
ZERO: Final = "0" * 40
_PLAIN: Final = re.compile(r"refs/(heads|tags|pull/\d+)/[a-z0-9][a-z0-9-]*")
"""A reference whose name nobody need look at twice."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who wrote a commit, and when (seconds since the epoch)."""

    name: str
    email: str
    time: int

    def __str__(self) -> str:
        return f"{self.name} <{self.email}> {self.time} +0000"


@dataclass(frozen=True, kw_only=True, slots=True)
class FileChange:
    """One file that differs between two commits."""

    path: str
    status: str
    additions: int
    deletions: int
    blob: str
    previous: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitInfo:
    """A commit's header and message."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: tuple[str, str, str]
    committer: tuple[str, str, str]
    message: str


def _content(path: Path) -> bytes:
    """A file's bytes; none where there is none, or no more."""
    with suppress(FileNotFoundError):
        return path.read_bytes()
    return b""


class GitStore:
    """A bare repository."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.objects = Objects(path)
        self._answers: dict[tuple[str, ...], str] = {}
        self._remembered: dict[bytes, Any] = {}

    @classmethod
    def create(cls, path: Path, source: Path | None = None) -> "GitStore":
        """An empty repository whose default branch is main, or a fork that borrows the objects of its source."""
        path.parent.mkdir(parents=True, exist_ok=True)
        clone, empty = ["clone", "--quiet", "--bare", "--shared"], ["init", "--quiet", "--bare", "-b", "main"]
        _run(["git", *([*clone, str(source)] if source else empty), "--template=", str(path)])
        store = cls(path)
        with (path / "config").open("a") as config:
            for key, value in SETTINGS.items():
                section, name = key.split(".")
                config.write(f"[{section}]\n\t{name} = {value}\n")
        for ref in store.refs("refs/pull/"):
            store.git("update-ref", "-d", ref)
        return store

    def git(self, *arguments: str, data: bytes | None = None, environment: Mapping[str, str] | None = None) -> str:
        """Run git here; its output without the last newline."""
        return self.raw(*arguments, data=data, environment=environment).decode("utf-8", "replace").rstrip("\n")

    def raw(self, *arguments: str, data: bytes | None = None, environment: Mapping[str, str] | None = None) -> bytes:
        """Run git here; its output as it is."""
        return _run(["git", "--git-dir", str(self.path), *arguments], data, environment)

    def state(self) -> bytes:
        """All that says which references there are, as it is on the disk: times are too coarse to tell."""
        files = (self.path / "HEAD", *sorted(self._loose()))
        parts = [b"%s %s" % (os.fsencode(path), _content(path)) for path in files]
        return b"\n".join((*parts, _content(self.path / "packed-refs"), b""))

    def remembered(self, question: bytes, answer: Callable[[], T]) -> T:
        """The answer that was given to this question before, else the one that is given now."""
        if question not in self._remembered:
            self._remembered[question] = answer()
        found: T = self._remembered[question]
        return found

    def find(self, revision: str) -> str | None:
        """The object that a revision names, tags not peeled."""
        found = self.objects.read(revision)
        return found.sha if found else None

    def commit_of(self, revision: str) -> str | None:
        """The commit that a branch, tag or (short) SHA names; branches before tags, tags peeled."""
        for name in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            if found := self.find(f"{name}^{{commit}}"):
                return found
        return None

    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        """References under a prefix and the objects they name, in the order of their names.

        Read from git's files: a process would take longer than all else that a push or a question to the API does.
        """
        packed = (line.split(" ") for line in _content(self.path / "packed-refs").decode().splitlines())
        found = {words[1]: words[0] for words in packed if len(words) == 2}  # comments have more, peeled tags one
        for file in self._loose():
            if text := _content(file).decode().strip():
                found[str(file.relative_to(self.path))] = text
        return {name: found[name] for name in sorted(found) if name.startswith(prefix)}

    def _loose(self) -> Iterator[Path]:
        for folder, _, names in os.walk(self.path / "refs"):
            yield from (Path(folder, name) for name in names if not name.endswith(".lock"))

    def set_ref(self, ref: str, sha: str, expected: str | None = None) -> None:
        """Move or create a reference; with ``expected`` only when it is there now (``ZERO``: not yet there)."""
        plain = _PLAIN.fullmatch(ref) and not (self.path / "packed-refs").exists()
        if expected is None and plain and not (self.path / ref).is_dir() and self.kind(sha) == "commit":
            self._write(self.path / ref, f"{sha}\n")
        else:
            self.git("update-ref", ref, sha, *([expected] if expected is not None else []))

    def _write(self, ref: Path, content: str) -> None:
        ref.parent.mkdir(parents=True, exist_ok=True)
        new = ref.with_name(f"{ref.name}.lock")
        new.write_text(content)
        new.rename(ref)

    def texts(self, commit: str, folder: str) -> dict[str, str]:
        """The files right inside a folder (with its slash), by path."""
        entries = self.objects.entries(f"{commit}:{folder.rstrip('/')}")
        found = {f"{folder}{name}": self.objects.read(entry.sha) for name, entry in entries.items()}
        return {path: one.data.decode("utf-8", "replace") for path, one in found.items() if one and one.kind == "blob"}

    def kind(self, sha: str) -> str | None:
        """blob, tree, commit or tag."""
        found = self.objects.read(sha)
        return found.kind if found else None

    def commit(self, files: Mapping[str, Content], message: str, parents: Sequence[str], who: Identity) -> str:
        """A commit that changes files of its first parent (None deletes); its SHA. No reference moves."""
        before = f"{parents[0]}^{{tree}}" if parents else None
        tree = self.objects.changed(before, files) or self.objects.write("tree", b"")
        return self.commit_tree(tree, message, parents, who)

    def commit_tree(self, tree: str, message: str, parents: Sequence[str], who: Identity) -> str:
        """A commit of a tree; its SHA."""
        lines = [f"tree {tree}", *(f"parent {one}" for one in parents), f"author {who}", f"committer {who}", ""]
        return self.objects.write("commit", "\n".join([*lines, message]).encode())

    def replay(self, sha: str, onto: str, who: Identity) -> str | None:
        """A commit anew on top of another, with its author and message; ``onto`` where nothing is left of it.

        None where they conflict.
        """
        found = self.objects.read(sha)
        assert found
        header, _, message = found.data.decode("utf-8", "surrogateescape").partition("\n\n")
        author = next(line for line in header.split("\n") if line.startswith("author "))
        info = self.info(sha)
        # Git merges what differs from the base of both, and this makes the commit's parent that base.
        stand_in = self.commit_tree(self.info(onto).tree, "", info.parents[:1], who)
        try:
            tree = self.git("merge-tree", "--write-tree", "--allow-unrelated-histories", stand_in, sha).splitlines()[0]
        except GitError:
            return None
        if tree == self.info(onto).tree:
            return onto
        lines = [f"tree {tree}", f"parent {onto}", author, f"committer {who}", ""]
        return self.objects.write("commit", "\n".join([*lines, message]).encode("utf-8", "surrogateescape"))

    def merge(self, base: str, head: str, message: str, who: Identity) -> str | None:
        """A merge commit of head into base, or None where they conflict."""
        try:
            tree = self.git("merge-tree", "--write-tree", base, head)
        except GitError:
            return None
        return self.commit_tree(tree.splitlines()[0], message, [base, head], who)

    def contains(self, commit: str, ancestor: str) -> bool:
        """Whether ``ancestor`` is an ancestor of (or is) ``commit``."""
        try:
            self._of_commits("merge-base", "--is-ancestor", ancestor, commit)
        except GitError:
            return False
        return True

    def merge_base(self, left: str, right: str) -> str | None:
        """The best common ancestor."""
        try:
            return self._of_commits("merge-base", left, right)
        except GitError:
            return None

    def log(self, *revisions: str, reverse: bool = False) -> list[str]:
        """SHAs of the commits in a range, newest first unless reversed."""
        order = ["--reverse"] if reverse else []
        return self._of_commits("rev-list", *order, *revisions).split()

    def _of_commits(self, *arguments: str) -> str:
        """What git says of commits named by their SHAs, which it says for ever."""
        if arguments not in self._answers:
            self._answers[arguments] = self.git(*arguments)
        return self._answers[arguments]

    def info(self, sha: str) -> CommitInfo:
        """A commit's header and message.

        Raises:
            GitError: there is no such commit.
        """
        found = self.objects.read(f"{sha}^{{commit}}")
        if found is None:
            raise GitError(f"no commit {sha}")
        header, _, message = found.data.decode("utf-8", "replace").partition("\n\n")
        lines = [line.partition(" ")[::2] for line in header.split("\n")]
        facts = dict(lines)
        return CommitInfo(
            sha=found.sha,
            tree=facts["tree"],
            parents=tuple(value for name, value in lines if name == "parent"),
            author=_person(facts["author"]),
            committer=_person(facts["committer"]),
            message=message.rstrip("\n"),
        )

    def changes(self, base: str, head: str) -> list[FileChange]:
        """Files that differ from base to head."""
        asked = ("diff-tree", "-r", "-M", "--raw", "--numstat", "--no-abbrev", "-z", base, head)
        words = iter(self._of_commits(*asked).split("\0"))
        raw, counts = [], {}
        for word in words:  # first all files with what they are, then all with how many lines differ
            if word.startswith(":"):
                letter, blob = word.split(" ")[4][0], word.split(" ")[3]
                first = next(words)
                raw.append((letter, blob, first, next(words) if letter in "RC" else first))
            elif word:
                added, deleted, name = word.split("\t")
                path = name or [next(words), next(words)][1]
                counts[path] = (0, 0) if added == "-" else (int(added), int(deleted))
        return [
            FileChange(
                path=path,
                status={"A": "added", "D": "removed", "R": "renamed", "C": "copied"}.get(letter, "modified"),
                additions=counts[path][0],
                deletions=counts[path][1],
                blob=blob,
                previous=first if letter in "RC" else None,
            )
            for letter, blob, first, path in raw
        ]


def _person(line: str) -> tuple[str, str, str]:
    name, _, rest = line.partition(" <")
    email, _, when = rest.partition("> ")
    seconds, zone = when.split()
    offset = timedelta(hours=int(zone[:3]), minutes=int(zone[0] + zone[3:]))
    return name, email, datetime.fromtimestamp(int(seconds), timezone(offset)).isoformat().replace("+00:00", "Z")


def _run(command: Sequence[str], data: bytes | None = None, environment: Mapping[str, str] | None = None) -> bytes:
    where = {**ENVIRONMENT, "PATH": os.environ.get("PATH", os.defpath), **(environment or {})}
    done = subprocess.run(command, input=data or b"", capture_output=True, env=where, check=False)
    if done.returncode:
        raise GitError(f"{' '.join(command)}: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout
