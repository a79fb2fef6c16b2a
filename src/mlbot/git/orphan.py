"""A branch that is only ever added to, written by many at once without a checkout.

Each write is a commit on the tip that was fetched and a plain push, which the remote takes only as a fast-forward: of
two writers one is refused, fetches what the other wrote and tries again. Nothing is ever forced, so nothing is lost.
"""

import random
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess

from mlbot.errors import NotEvaluatedError, UsageError
from mlbot.git.command import git, try_git
from mlbot.git.remote import Remote, failure, is_denied, is_overtaken
from mlbot.lib.record import Sha

_WHO = b"mlbot <mlbot@users.noreply.github.com>"

_HERE = "refs/mlbot/tip"

_NEW = "refs/mlbot/new"

_REMOTE = "origin"

_FETCH = ("-c", "maintenance.auto=false", "fetch", "--quiet", "--no-tags", "--recurse-submodules=no")

_CONFIG = """\
[core]
\trepositoryformatversion = 1
\tbare = true
[remote "origin"]
\turl = "{url}"
\tpromisor = true
\tpartialclonefilter = blob:none
"""

_FAULTS = 5
"""How often a remote may fail for other reasons than another writer."""

_SHORTEST_S = 0.25

_LONGEST_S = 8.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What a write came to.

    Attributes:
        sha: the branch's tip that holds all that was to be written.
        added: the paths that were not there before.
    """

    sha: Sha
    added: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class OrphanBranch:
    """A branch without a common history with any other.

    Attributes:
        remote: the repository it is in.
        name: its name.
        attempts: how often a write may be overtaken before it gives up.
        sleep: waits so many seconds.
        chance: a number from 0 to 1, so that writers who collided do not collide again.
    """

    remote: Remote
    name: str
    attempts: int = 80
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = field(default_factory=lambda: random.SystemRandom().random)

    def read(self, *folders: str, few: bool = False) -> dict[str, bytes]:
        """The files in folders (each ends in `/`; none: all) of the branch; none when there is no such branch.

        Args:
            folders: which.
            few: whether they hold a small part of the branch, so that it pays to ask for their files alone.

        Raises:
            RefusedError: if the token may not read it.
            NotEvaluatedError: if the remote does not answer.
        """
        here = self.remote.folder
        if here and self._is_in(here):
            return read_files(here, self._ref, *folders)
        found = self._read(folders, partial=True) if few else None
        return self._read(folders, partial=False) or {} if found is None else found

    @property
    def _ref(self) -> str:
        return f"refs/heads/{self.name}"

    def _is_in(self, folder: Path) -> bool:
        """Whether the repository at a folder, not one around it, has the branch."""
        no_further = {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
        return try_git(["rev-parse", "--verify", "--quiet", self._ref], folder, extra=no_further).returncode == 0

    def _read(self, folders: Sequence[str], *, partial: bool) -> dict[str, bytes] | None:
        """The files in folders; None from a server that gives no single files."""
        with _repository(self.remote.url) as here:
            tip, whole = self._fetch(here, partial=partial)
            if tip is None:
                return {}
            wanted = list_files(here, tip, *folders)
            return read_blobs(here, wanted) if whole or self._fetch_blobs(here, wanted.values()) else None

    def append(self, files: Mapping[str, bytes], message: str, when: int) -> Written:
        """Add files. A path that is there already is left as it is, so a retry changes nothing.

        Args:
            files: content by path.
            message: of the commit.
            when: seconds since 1970, the commit's time.

        Raises:
            ValueError: if there is nothing to add.
            RefusedError: if the token or a rule of the repository forbids it.
            NotEvaluatedError: if others were always faster, or the remote does not answer.
        """
        if not files:
            raise ValueError("nothing to append")
        with _repository(self.remote.url) as here:
            faults = 0
            for attempt in range(self.attempts):
                tip, _ = self._fetch(here, partial=True)
                missing = _missing(here, tip, files)
                if tip and not missing:
                    return Written(sha=tip, added=())
                sha = _commit(here, tip, {path: files[path] for path in missing}, message, when)
                refused = self._push(here, sha)
                if refused is None:
                    return Written(sha=sha, added=tuple(missing))
                faults += not is_overtaken(refused)
                if faults == _FAULTS or is_denied(refused):
                    raise failure(refused, "writing", self.name)
                self._wait(attempt)
        raise NotEvaluatedError(
            f"{self.attempts} attempts to add to the branch {self.name} were overtaken by other writers",
            hint="Run the job again.",
        )

    def _wait(self, attempt: int) -> None:
        self.sleep(self.chance() * min(_LONGEST_S, _SHORTEST_S * 2.0 ** min(attempt, 16)))

    def _fetch(self, here: Path, *, partial: bool) -> tuple[Sha | None, bool]:
        """Fetch the remote's tip.

        Args:
            here: where to.
            partial: with the names of its files alone, if the server can do that.

        Returns:
            The tip, None when there is no such branch; and whether its files came with it.
        """
        less = "--filter=blob:none" if partial else "--no-filter"
        spec = f"+{self._ref}:{_HERE}"
        for attempt in range(_FAULTS):
            done = self.remote.run([*_FETCH, "--depth=1", less, _REMOTE, spec], here)
            if done.returncode == 0:
                tip = (here / "FETCH_HEAD").read_text(encoding="utf-8").partition("\t")[0]
                return tip, not partial or b"filtering not recognized" in done.stderr
            if b"couldn't find remote ref" in done.stderr:
                return None, True
            if is_denied(done) or attempt == _FAULTS - 1:
                raise failure(done, "reading", self.name)
            self._wait(attempt + 1)
        raise AssertionError("the loop returns or raises")

    def _fetch_blobs(self, here: Path, oids: Collection[str]) -> bool:
        """Fetch files by their ids in one go: git by itself would ask for each when it is read.

        Returns:
            Whether they are there now; False from a server that gives no single objects.
        """
        if not oids:
            return True
        asked = ["-c", "fetch.negotiationAlgorithm=noop", *_FETCH, "--no-write-fetch-head", "--filter=blob:none"]
        return (
            self.remote.run(
                [*asked, "--stdin", _REMOTE], here, "".join(f"{oid}\n" for oid in set(oids)).encode()
            ).returncode
            == 0
        )

    def _push(self, here: Path, sha: Sha) -> CompletedProcess[bytes] | None:
        """Push; what git said where the remote did not take it."""
        arguments = ["push", "--quiet", "--porcelain", self.remote.url, f"{sha}:{self._ref}"]
        done = self.remote.run(arguments, here)
        return done if done.returncode != 0 else None


def read_files(repository: Path, rev: str, *folders: str) -> dict[str, bytes]:
    """The regular files in folders (none: all) of a commit, in two git processes however many there are."""
    return read_blobs(repository, list_files(repository, rev, *folders))


def list_files(repository: Path, rev: str, *folders: str) -> dict[str, str]:
    """The object ids of the regular files in folders (none: all) of a commit, by path."""
    out = git(["ls-tree", "-r", "-z", "--full-tree", rev, "--", *folders], repository)
    return {
        path.decode("utf-8", "surrogateescape"): facts[12:].decode()
        for line in out.split(b"\0")
        for facts, _, path in (line.partition(b"\t"),)
        if facts.startswith(b"100644 blob ")
    }


def read_blobs(repository: Path, oids: Mapping[str, str]) -> dict[str, bytes]:
    """The contents of files by their paths, given their object ids."""
    if not oids:
        return {}
    out = git(["cat-file", "--batch"], repository, stdin="".join(f"{oid}\n" for oid in oids.values()).encode())
    return dict(zip(oids, _contents(out), strict=True))


def _contents(out: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(out):
        end = out.index(b"\n", at)
        size = int(out[at:end].rpartition(b" ")[2])
        yield out[end + 1 : end + 1 + size]
        at = end + 2 + size


@contextmanager
def _repository(url: str) -> Iterator[Path]:
    """An empty repository of its own: a shallow fetch would make the user's one shallow.

    It is what `git init --bare` would make, and declared to be a partial clone, so that git takes it as whole without
    the files that were not asked for.
    """
    if any(char in url for char in "\n\0"):
        raise UsageError(f"{url!r} is no address")
    quoted = url.replace("\\", "\\\\").replace('"', '\\"')
    with tempfile.TemporaryDirectory(prefix="mlbot-branch-", ignore_cleanup_errors=True) as folder:
        here = Path(folder)
        for name in ("objects", "refs"):
            (here / name).mkdir()
        (here / "HEAD").write_text("ref: refs/heads/main\n", encoding="utf-8")
        (here / "config").write_text(_CONFIG.format(url=quoted), encoding="utf-8", errors="surrogateescape")
        yield here


def _missing(here: Path, tip: Sha | None, files: Mapping[str, bytes]) -> list[str]:
    if tip is None:
        return list(files)
    out = git(["ls-tree", "-r", "-z", "--name-only", "--full-tree", tip, "--", *files], here)
    there = set(out.decode("utf-8", "surrogateescape").split("\0"))
    return [path for path in files if path not in there]


def _commit(here: Path, tip: Sha | None, files: Mapping[str, bytes], message: str, when: int) -> Sha:
    """A commit with more files on the tip, in one git process: it reads and writes no tree but those that change."""
    said = message.encode()
    start = [
        f"feature done\nreset {_NEW}\n\ncommit {_NEW}\n".encode(),  # reset: what a refused attempt left is no parent
        b"mark :1\ncommitter %s %d +0000\n" % (_WHO, when),
        b"data %d\n%s\n" % (len(said), said),
        f"from {tip}\n".encode() if tip else b"",
    ]
    body = [b'M 100644 inline "%s"\ndata %d\n%s\n' % (_quoted(path), len(raw), raw) for path, raw in files.items()]
    end = b"get-mark :1\ndone\n"
    out = git(["fast-import", "--quiet", "--force", "--date-format=raw"], here, stdin=b"".join([*start, *body, end]))
    return out.decode().strip()


def _quoted(path: str) -> bytes:
    return path.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
