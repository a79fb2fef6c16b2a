"""One bare git repository on disk, and what GitHub does in it by itself: test merges, commits of its web editor."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ENVIRONMENT: Final = {
    "PATH": os.defpath,
    "HOME": os.devnull,
    "LANG": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
}
SETTINGS: Final = {
    "uploadpack.allowAnySHA1InWant": "true",
    "uploadpack.allowFilter": "true",
    "http.receivepack": "true",
    "core.logAllRefUpdates": "false",
    "gc.auto": "0",
}
ZERO: Final = "0" * 40


class GitError(Exception):
    """Git refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who wrote a commit, and when (seconds since the epoch)."""

    name: str
    email: str
    time: int

    def environment(self) -> dict[str, str]:
        """The variables that make git use it for author and committer."""
        return {
            f"GIT_{role}_{key}": value
            for role in ("AUTHOR", "COMMITTER")
            for key, value in (("NAME", self.name), ("EMAIL", self.email), ("DATE", f"{self.time} +0000"))
        }


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


class GitStore:
    """A bare repository."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, source: Path | None = None) -> "GitStore":
        """An empty repository whose default branch is main, or a fork that borrows the objects of its source."""
        path.parent.mkdir(parents=True, exist_ok=True)
        clone, empty = ["clone", "--quiet", "--bare", "--shared"], ["init", "--quiet", "--bare", "-b", "main"]
        _run(["git", *([*clone, str(source)] if source else empty), str(path)])
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

    def find(self, revision: str) -> str | None:
        """The object that a revision names, tags not peeled."""
        try:
            return self.git("rev-parse", "--verify", "--quiet", "--end-of-options", revision) or None
        except GitError:
            return None

    def commit_of(self, revision: str) -> str | None:
        """The commit that a branch, tag or (short) SHA names; branches before tags, tags peeled."""
        for name in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            if found := self.find(f"{name}^{{commit}}"):
                return found
        return None

    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        """References under a prefix and the objects they name."""
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        pairs = (line.split(" ") for line in lines)
        return {name: sha for name, sha in pairs if name.startswith(prefix)}

    def set_ref(self, ref: str, sha: str, expected: str | None = None) -> None:
        """Move or create a reference; with ``expected`` only when it is there now (``ZERO``: not yet there)."""
        self.git("update-ref", ref, sha, *([expected] if expected is not None else []))

    def texts(self, commit: str, folder: str) -> dict[str, str]:
        """The files right inside a folder (with its slash), by path."""
        lines = [line.partition("\t") for line in self.git("ls-tree", commit, folder).splitlines()]
        blobs = {path: head.split()[2] for head, _, path in lines if head.split()[1] == "blob"}
        output, found = self.raw("cat-file", "--batch", data="\n".join(blobs.values()).encode()), {}
        for path in blobs:
            header, _, rest = output.partition(b"\n")
            size = int(header.split()[2])
            found[path], output = rest[:size].decode("utf-8", "replace"), rest[size + 1 :]
        return found

    def kind(self, sha: str) -> str | None:
        """blob, tree, commit or tag."""
        try:
            return self.git("cat-file", "-t", sha)
        except GitError:
            return None

    def commit(
        self, files: Mapping[str, str | bytes | None], message: str, parents: Sequence[str], who: Identity
    ) -> str:
        """A commit that changes files of its first parent (None deletes); its SHA. No reference moves."""
        index = {"GIT_INDEX_FILE": str(self.path / f"index-{os.urandom(6).hex()}")}
        try:
            if parents:
                self.git("read-tree", parents[0], environment=index)
            lines = [self._entry(path, content) for path, content in files.items()]
            self.git("update-index", "--index-info", data="".join(lines).encode(), environment=index)
            tree = self.git("write-tree", environment=index)
        finally:
            Path(index["GIT_INDEX_FILE"]).unlink(missing_ok=True)
        return self.commit_tree(tree, message, parents, who)

    def _entry(self, path: str, content: str | bytes | None) -> str:
        if content is None:
            return f"0 {ZERO}\t{path}\n"
        data = content.encode() if isinstance(content, str) else content
        return f"100644 {self.git('hash-object', '-w', '--stdin', data=data)}\t{path}\n"

    def commit_tree(self, tree: str, message: str, parents: Sequence[str], who: Identity) -> str:
        """A commit of a tree; its SHA."""
        arguments = [word for parent in parents for word in ("-p", parent)]
        return self.git("commit-tree", tree, *arguments, data=message.encode(), environment=who.environment())

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
            self.git("merge-base", "--is-ancestor", ancestor, commit)
        except GitError:
            return False
        return True

    def merge_base(self, left: str, right: str) -> str | None:
        """The best common ancestor."""
        try:
            return self.git("merge-base", left, right)
        except GitError:
            return None

    def log(self, *revisions: str, reverse: bool = False) -> list[str]:
        """SHAs of the commits in a range, newest first unless reversed."""
        order = ["--reverse"] if reverse else []
        return self.git("rev-list", *order, *revisions).split()

    def info(self, sha: str) -> CommitInfo:
        """A commit's header and message."""
        text = self.git("show", "-s", "--format=%H%n%T%n%P%n%an%n%ae%n%aI%n%cn%n%ce%n%cI%n%B", sha)
        sha, tree, parents, *people = text.split("\n")[:9]
        message = "\n".join(text.split("\n")[9:]).rstrip("\n")
        return CommitInfo(
            sha=sha,
            tree=tree,
            parents=tuple(parents.split()),
            author=(people[0], people[1], _utc(people[2])),
            committer=(people[3], people[4], _utc(people[5])),
            message=message,
        )

    def changes(self, base: str, head: str) -> list[FileChange]:
        """Files that differ from base to head."""
        numbers = self.git("diff-tree", "-r", "-M", "--numstat", "-z", base, head).split("\0")
        raw = self.git("diff-tree", "-r", "-M", "--raw", "--no-abbrev", "-z", base, head).split("\0")
        counts = _numstat(numbers)
        found, words = [], iter(raw)
        for header in words:
            if not header:
                continue
            letter, blob = header.split(" ")[4][0], header.split(" ")[3]
            first = next(words)
            path = next(words) if letter in "RC" else first
            status = {"A": "added", "D": "removed", "R": "renamed", "C": "copied"}.get(letter, "modified")
            added, deleted = counts[path]
            previous = first if letter in "RC" else None
            found.append(
                FileChange(path=path, status=status, additions=added, deletions=deleted, blob=blob, previous=previous)
            )
        return found


def _numstat(words: Sequence[str]) -> dict[str, tuple[int, int]]:
    counts, stream = {}, iter(words)
    for word in stream:
        if not word:
            continue
        added, deleted, path = word.split("\t")
        if not path:
            next(stream)
            path = next(stream)
        counts[path] = (0, 0) if added == "-" else (int(added), int(deleted))
    return counts


def _utc(iso: str) -> str:
    return iso.replace("+00:00", "Z")


def _run(command: Sequence[str], data: bytes | None = None, environment: Mapping[str, str] | None = None) -> bytes:
    where = {**ENVIRONMENT, "PATH": os.environ.get("PATH", os.defpath), **(environment or {})}
    done = subprocess.run(command, input=data or b"", capture_output=True, env=where, check=False)
    if done.returncode:
        raise GitError(f"{' '.join(command)}: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout
