"""Git's objects in this process: read through one `git cat-file` that stays, written as git writes them.

A process a question is four milliseconds, and a test asks a hundred.
"""

import hashlib
import os
import subprocess
import threading
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

ENVIRONMENT: Final = {
    "PATH": os.defpath,
    "HOME": os.devnull,
    "LANG": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
}
_FILE: Final = "100644"
_FOLDER: Final = "40000"
_FORBIDDEN: Final = frozenset({"", ".", "..", ".git"})

Content = str | bytes | None
"""A file's new content; None deletes it."""


class GitError(Exception):
    """Git refused."""


class Found(NamedTuple):
    """An object of the repository."""

    sha: str
    kind: str
    data: bytes


class Entry(NamedTuple):
    """A line of a tree."""

    mode: str
    sha: str


class Objects:
    """The objects of a bare repository."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader: subprocess.Popen[bytes] | None = None
        self._guard = threading.Lock()

    def close(self) -> None:
        """End the process that reads."""
        with self._guard:
            if self._reader is not None:
                self._reader.communicate()
                self._reader = None

    def read(self, revision: str) -> Found | None:
        """What a revision names, tags not peeled."""
        if "\n" in revision:
            return None
        with self._guard:
            reader = self._running()
            assert reader.stdin
            assert reader.stdout
            reader.stdin.write(revision.encode() + b"\n")
            reader.stdin.flush()
            header = reader.stdout.readline().decode("utf-8", "replace")
            if header.endswith((" missing\n", " ambiguous\n")):
                return None
            sha, kind, size = header.split()
            return Found(sha, kind, reader.stdout.read(int(size) + 1)[:-1])

    def _running(self) -> subprocess.Popen[bytes]:
        if self._reader is None:
            command = ["git", "--git-dir", str(self._path), "cat-file", "--batch"]
            where = ENVIRONMENT | {"PATH": os.environ.get("PATH", os.defpath)}
            self._reader = subprocess.Popen(
                command, env=where, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        return self._reader

    def write(self, kind: str, data: bytes) -> str:
        """Keep an object; its SHA."""
        whole = f"{kind} {len(data)}\0".encode() + data
        sha = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
        file = self._path / "objects" / sha[:2] / sha[2:]
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            new = file.with_name(f"tmp_obj_{os.urandom(6).hex()}")
            new.write_bytes(zlib.compress(whole, 1))
            new.rename(file)
        return sha

    def entries(self, tree: str) -> dict[str, Entry]:
        """The lines of a tree, by name; none if it is no tree."""
        found = self.read(tree)
        return dict(_lines(found.data)) if found and found.kind == "tree" else {}

    def changed(self, tree: str | None, files: Mapping[str, Content]) -> str | None:
        """A tree with some files changed; None where no file is left.

        Raises:
            GitError: git takes no such path.
        """
        entries = self.entries(tree) if tree else {}
        folders: dict[str, dict[str, Content]] = {}
        for path, content in files.items():
            name, slash, rest = path.partition("/")
            if name in _FORBIDDEN:
                raise GitError(f"invalid path {path!r}")
            if slash:
                folders.setdefault(name, {})[rest] = content
            elif content is None:
                entries.pop(name, None)
            else:
                data = content.encode() if isinstance(content, str) else content
                entries[name] = Entry(_FILE, self.write("blob", data))
        for name, inside in folders.items():
            mode, old = entries.pop(name, Entry("", ""))
            if below := self.changed(old if mode == _FOLDER else None, inside):
                entries[name] = Entry(_FOLDER, below)
        return self.write("tree", _tree(entries)) if entries else None


def _lines(data: bytes) -> Iterator[tuple[str, Entry]]:
    while data:
        head, _, rest = data.partition(b"\0")
        mode, _, name = head.decode().partition(" ")
        yield name, Entry(mode, rest[:20].hex())
        data = rest[20:]


def _tree(entries: Mapping[str, Entry]) -> bytes:
    in_order = sorted(entries.items(), key=lambda one: f"{one[0]}{'/' * (one[1].mode == _FOLDER)}".encode())
    return b"".join(f"{entry.mode} {name}\0".encode() + bytes.fromhex(entry.sha) for name, entry in in_order)
