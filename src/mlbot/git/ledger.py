"""The ledger and the charts: branches that are only ever added to, written by many at once without a checkout.

Each write is a commit on the tip that was fetched and a plain push, which the remote takes only as a fast-forward: of
two writers one is refused, fetches what the other wrote and tries again. Nothing is ever forced, so nothing is lost.
"""

import random
import re
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from subprocess import CompletedProcess

from mlbot.errors import NotEvaluatedError, UsageError
from mlbot.git.command import MOST_ENTRIES, git, list_tree, read_objects, try_git
from mlbot.git.remote import Remote, failure, is_denied, is_overtaken
from mlbot.ledger.entries import BRANCH, Entry, Kind, Ledger, files_of, folders_of, read_files
from mlbot.lib.record import Digest, Name, Sha

_WHO = b"mlbot <mlbot@users.noreply.github.com>"
COPY = "refs/mlbot/copies/ledger"
"""The ledger's second ref, which no page of GitHub's shows; in a clone with a remote the newest ledger that it knew."""

_HERE = "refs/mlbot/tip"
_COPIED = "refs/mlbot/copied"
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

_LOOKS = 3  # a write moves both refs at once, but who reads may see the one before the other
_FAULTS = 5  # how often a remote may fail for other reasons than another writer
_SHORTEST_S = 0.25
_LONGEST_S = 8.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What a write came to: the tip that holds all that was to be written, and the paths that were not there before."""

    sha: Sha
    added: tuple[str, ...]


class Loss(StrEnum):
    """How a branch came to lack what its copy has. A closed list."""

    GONE = "gone"
    SET_BACK = "set-back"  # it is at an older commit
    REPLACED = "replaced"  # it has another history
    EDITED = "edited"  # a later commit of it deleted or changed entries

    def of(self, branch: str) -> str:
        """The sentence on a branch, without its full stop."""
        match self:
            case Loss.GONE:
                return f"the branch {branch} is gone, and the ledger with it"
            case Loss.SET_BACK:
                return f"the branch {branch} was set back to an older commit: the ledger lacks what was written since"
            case Loss.REPLACED:
                return f"the branch {branch} was replaced by another one: the ledger lacks what was written before"
            case Loss.EDITED:
                return f"entries of the branch {branch} were deleted or changed"


class LedgerLostError(NotEvaluatedError):
    """The ledger lacks what was written to it, so nothing can be decided by it."""

    def __init__(self, loss: Loss, branch: str) -> None:
        on_purpose = f"If that was on purpose, delete its copy too: git push origin :{COPY}"
        what = f"{loss.of(branch)}; put it back: mlbot registry restore"
        super().__init__(what, hint=f"Any clone can do it. {on_purpose}")


def loss_in(repository: Path, tip: str | None, copy: str | None) -> Loss | None:
    """What a branch's tip lost of its copy; None: nothing. Both are revisions of a repository."""
    if copy is None or copy == tip:
        return None
    if tip is None:
        return Loss.GONE
    return _kind(repository, tip, copy) if lacks(repository, tip, copy) else None


def lacks(repository: Path, tip: str, copy: str) -> bool:
    """Whether a commit lacks files that another has, or has others in their place; its history does not count."""
    deleted = ["diff-tree", "-r", "--no-renames", "--diff-filter=DMT", "--name-only", copy, tip]
    return bool(git(deleted, repository))


def _kind(repository: Path, tip: str, copy: str) -> Loss:
    """How a branch came to lack what its copy has: their histories tell."""
    if is_ancestor(repository, copy, tip):
        return Loss.EDITED
    return Loss.SET_BACK if is_ancestor(repository, tip, copy) else Loss.REPLACED


def is_ancestor(repository: Path, older: str, newer: str) -> bool:
    """Whether a commit is in the history of another, or the same."""
    return try_git(["merge-base", "--is-ancestor", older, newer], repository).returncode == 0


def remote_ref(here: Path, remote: Remote, name: str) -> Sha | None:
    """Where a ref of another repository is; None where there is none. Errors: as `OrphanBranch.read`."""
    done = remote.run(["ls-remote", remote.url, name], here)
    if done.returncode != 0:
        raise failure(done, "reading", name, "ref")
    lines = (line.partition("\t") for line in done.stdout.decode("utf-8", "replace").splitlines())
    return next((sha for sha, _, ref in lines if ref == name), None)


def refs_in(repository: Path, *names: str, extra: Mapping[str, str] | None = None) -> dict[str, Sha]:
    """The commits of those refs that are there; none where there is no repository."""
    done = try_git(["for-each-ref", "--format=%(refname) %(objectname)", *names], repository, extra=extra)
    lines = (line.partition(" ") for line in done.stdout.decode().splitlines())
    return {ref: sha for ref, _, sha in lines if ref in names}


@dataclass(frozen=True, kw_only=True)
class OrphanBranch:
    """A branch without a common history with any other. `chance` (0 to 1) parts writers who collided."""

    remote: Remote
    name: str
    copy: str | None = None  # the ref that each write sets as well, and that the branch may never be behind
    attempts: int = 80
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = field(default_factory=lambda: random.SystemRandom().random)

    def read(self, *folders: str, few: bool = False) -> dict[str, bytes]:
        """The files in folders (each ends in `/`; none: all) of the branch; none when there is no such branch.

        `few` says that they hold a small part of the branch, so that it pays to ask for their files alone.

        Raises:
            RefusedError: if the token may not read it.
            LedgerLostError: if it lacks what its copy has.
            NotEvaluatedError: if the remote does not answer.
        """
        here = self.remote.folder
        if here and self._is_whole(here):
            return files_at(here, self._ref, *folders)
        found = self._read(folders, partial=True) if few else None
        return self._read(folders, partial=False) or {} if found is None else found

    @property
    def _ref(self) -> str:
        return f"refs/heads/{self.name}"

    def _is_whole(self, folder: Path) -> bool:
        """Whether the repository at a folder, not one around it, has the branch with all that its copy has."""
        no_further = {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
        there = refs_in(folder, self._ref, *([self.copy] if self.copy else []), extra=no_further)
        tip, copy = there.get(self._ref), there.get(self.copy or "")
        return tip is not None and loss_in(folder, tip, copy) is None

    def _read(self, folders: Sequence[str], *, partial: bool) -> dict[str, bytes] | None:
        """The files in folders; None from a server that gives no single files."""
        with _repository(self.remote.url) as here:
            tip, _, whole = self._fetch(here, partial=partial)
            if tip is None:
                return {}
            wanted = list_files(here, tip, *folders)
            return _read_blobs(here, wanted) if whole or self._fetch_blobs(here, wanted.values()) else None

    def append(self, files: Mapping[str, bytes], message: str, when: int) -> Written:
        """Add files. A path that is there already is left as it is, so a retry changes nothing. `when` is in Unix time.

        Raises:
            RefusedError: if the token or a rule of the repository forbids it.
            LedgerLostError: if it lacks what its copy has.
            NotEvaluatedError: if others were always faster, or the remote does not answer.
        """
        if not files:
            raise ValueError("nothing to append")
        with _repository(self.remote.url) as here:
            faults = 0
            for attempt in range(self.attempts):
                tip, copy, _ = self._fetch(here, partial=True)
                missing = _missing(here, tip, files)
                if tip and not missing:
                    return Written(sha=tip, added=())
                sha = _commit(here, tip, {path: files[path] for path in missing}, message, when)
                refused = self._push(here, sha, copy)
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

    def _fetch(self, here: Path, *, partial: bool) -> tuple[Sha | None, Sha | None, bool]:
        """Fetch the remote's tip (None: no such branch) and its copy; and whether their files came with them.

        `partial` asks for the names of its files alone, which not every server can do.
        """
        look = 0
        while True:
            tip, copy, whole = self._tips(here, partial=partial)
            loss = self._loss(here, tip, copy)
            if loss is None:
                return tip, copy, whole
            look += 1
            if look == _LOOKS:
                raise LedgerLostError(loss, self.name)
            self._wait(look)

    def _tips(self, here: Path, *, partial: bool) -> tuple[Sha | None, Sha | None, bool]:
        """As `_fetch`, whatever the branch lacks."""
        less = "--filter=blob:none" if partial else "--no-filter"
        # Of the copy a pattern, for it may match nothing.
        specs = [f"+{self._ref}:{_HERE}", *([f"+{self.copy}*:{_COPIED}*"] if self.copy else [])]
        for attempt in range(_FAULTS):
            done = self.remote.run([*_FETCH, "--depth=1", less, _REMOTE, *specs], here)
            if done.returncode == 0:
                found = _fetched(here)
                whole = not partial or b"filtering not recognized" in done.stderr
                return found.get(f"branch '{self.name}'"), found.get(f"'{self.copy}'"), whole
            if b"couldn't find remote ref" in done.stderr:
                return None, remote_ref(here, self.remote, self.copy) if self.copy else None, True
            if is_denied(done) or attempt == _FAULTS - 1:
                raise failure(done, "reading", self.name)
            self._wait(attempt + 1)
        raise AssertionError("the loop returns or raises")

    def _loss(self, here: Path, tip: Sha | None, copy: Sha | None) -> Loss | None:
        """What the branch lost of its copy, both of which were fetched."""
        if copy is None or tip is None or copy == tip:
            return Loss.GONE if copy and tip is None else None
        if not lacks(here, tip, copy):
            return None
        with _repository(self.remote.url) as histories:
            specs = [f"+{self._ref}:{_HERE}", f"+{self.copy}:{_COPIED}"]
            done = self.remote.run([*_FETCH, "--filter=tree:0", _REMOTE, *specs], histories)
            if done.returncode != 0:
                raise failure(done, "reading", self.name)
            return _kind(histories, _HERE, _COPIED)

    def _fetch_blobs(self, here: Path, oids: Collection[str]) -> bool:
        """Fetch files by their ids in one go: git by itself would ask for each when it is read.

        False from a server that gives no single objects.
        """
        if not oids:
            return True
        fetch = ["-c", "fetch.negotiationAlgorithm=noop", *_FETCH, "--no-write-fetch-head", "--filter=blob:none"]
        wanted = "".join(f"{oid}\n" for oid in set(oids)).encode()
        return self.remote.run([*fetch, "--stdin", _REMOTE], here, wanted).returncode == 0

    def _push(self, here: Path, sha: Sha, copy: Sha | None) -> CompletedProcess[bytes] | None:
        """Push; what git said where the remote did not take it. The copy moves only from where it was seen."""
        specs, options = [f"{sha}:{self._ref}"], ["--quiet", "--porcelain"]
        if self.copy:
            specs.append(f"{sha}:{self.copy}")
            options += ["--atomic", f"--force-with-lease={self.copy}:{copy or ''}"]
        done = self.remote.run(["push", *options, self.remote.url, *specs], here)
        return done if done.returncode != 0 else None


def files_at(repository: Path, rev: str, *folders: str) -> dict[str, bytes]:
    """The regular files in folders (none: all) of a commit, in two git processes however many there are."""
    return _read_blobs(repository, list_files(repository, rev, *folders))


def list_files(repository: Path, rev: str, *folders: str) -> dict[str, str]:
    """The object ids of the regular files in folders (none: all) of a commit, by path."""
    found = list_tree(rev, repository, *folders, most=_MOST_ENTRIES)
    return {path: oid for mode, oid, path in found if mode == "100644"}


_MOST_ENTRIES = 10 * MOST_ENTRIES  # a ledger is as old as its repository, and only those who may push write to it


def _read_blobs(repository: Path, oids: Mapping[str, str]) -> dict[str, bytes]:
    found = read_objects(oids.values(), repository)
    return {path: found[oid] for path, oid in oids.items()}


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


def _fetched(here: Path) -> dict[str, Sha]:
    """The commits of the last fetch by what git calls them: `branch 'main'`, `'refs/mlbot/copies/ledger'`."""
    lines = (here / "FETCH_HEAD").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    rows = [line.split("\t", 2) for line in lines]
    return {what.partition(" of ")[0]: sha for sha, _, what in rows}


def _missing(here: Path, tip: Sha | None, files: Mapping[str, bytes]) -> list[str]:
    if tip is None:
        return list(files)
    out = git(["ls-tree", "-r", "-z", "--name-only", "--full-tree", tip, "--", *files], here)
    there = set(out.decode("utf-8", "surrogateescape").split("\0"))
    return [path for path in files if path not in there]


def _commit(here: Path, tip: Sha | None, files: Mapping[str, bytes], message: str, when: int) -> Sha:
    """A commit with more files on the tip, in one git process: it reads and writes no tree but those that change."""
    text = message.encode()
    start = [
        f"feature done\nreset {_NEW}\n\ncommit {_NEW}\n".encode(),  # reset: what a refused attempt left is no parent
        b"mark :1\ncommitter %s %d +0000\n" % (_WHO, when),
        b"data %d\n%s\n" % (len(text), text),
        f"from {tip}\n".encode() if tip else b"",
    ]
    body = [b'M 100644 inline "%s"\ndata %d\n%s\n' % (_quoted(path), len(raw), raw) for path, raw in files.items()]
    end = b"get-mark :1\ndone\n"
    out = git(["fast-import", "--quiet", "--force", "--date-format=raw"], here, stdin=b"".join([*start, *body, end]))
    return out.decode().strip()


def _quoted(path: str) -> bytes:
    return path.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")


_CLOBBERED = re.compile(r"^ ! \[rejected\] +(\S+) +-> +\S+ +\(would clobber existing tag\)", re.MULTILINE)

CHARTS = "mlbot/charts"  # the orphan branch of pictures, named by their digests


@dataclass(frozen=True, kw_only=True)
class LedgerBranch:
    """The ledger in a repository elsewhere."""

    branch: OrphanBranch

    @classmethod
    def at(cls, remote: Remote) -> "LedgerBranch":
        """The ledger of a repository."""
        return cls(branch=OrphanBranch(remote=remote, name=BRANCH, copy=COPY))

    def append(self, entries: Sequence[Entry], when: int) -> Written:
        """Add entries; those that are there already stay as they are. Errors: as `OrphanBranch.append`."""
        return self.branch.append(files_of(entries), _message(entries), when)

    def read(self, kind: Kind | None = None, subject: Name | None = None, key: Digest | None = None) -> Ledger:
        """The entries of a kind, of one subject (a model, or for locks an environment), or of one content key of it.

        A key narrows verdicts and waivers of a subject to one part of them, which others may be in as well. Errors: as
        `OrphanBranch.read`.
        """
        return self.read_folders(folders_of(kind, subject, key), few=subject is not None or kind == "lock")

    def read_folders(self, folders: Sequence[str], *, few: bool) -> Ledger:
        """Parts of the ledger (`folders_of` names them) in one go. `few` and errors: as `OrphanBranch.read`."""
        return read_files(self.branch.read(*folders, few=few))


def read_local(
    repository: Path, kind: Kind | None = None, subject: Name | None = None, remote: str = "origin"
) -> Ledger:
    """The ledger as this clone last fetched it; empty where it never did."""
    return read_folders(repository, folders_of(kind, subject), remote)


def read_folders(repository: Path, folders: Sequence[str], remote: str = "origin") -> Ledger:
    """Parts of the ledger as this clone last fetched it (`mlbot.ledger.entries.folders_of`).

    Where it lacks what this clone knew, both are read, and the loss is the first of its problems: entries are files
    named by their content, so that no two contradict each other.
    """
    found, loss = _local(repository, remote)
    files: dict[str, bytes] = {}
    for ref in (found, COPY if loss else None):
        files |= files_at(repository, ref, *folders) if ref else {}
    ledger = read_files(files)
    return ledger.model_copy(update={"problems": (_problem(loss), *ledger.problems)}) if loss else ledger


def has_ledger(repository: Path) -> bool:
    """Whether a clone has a ledger, or had one once."""
    return bool(refs_in(repository, f"refs/remotes/origin/{BRANCH}", f"refs/heads/{BRANCH}", COPY))


def local_loss(repository: Path) -> Loss | None:
    """What the ledger lacks of what this clone knew, as it was last fetched."""
    return _local(repository, "origin")[1]


def _local(repository: Path, remote: str) -> tuple[str | None, Loss | None]:
    """The ref that has the ledger here, and what it lacks of what was known."""
    tracked = (f"refs/remotes/{remote}/{BRANCH}", f"refs/heads/{BRANCH}")
    there = refs_in(repository, *tracked, COPY)
    found = next((ref for ref in tracked if ref in there), None)
    return found, loss_in(repository, there.get(found or ""), there.get(COPY))


def _problem(loss: Loss) -> str:
    what = loss.of(BRANCH)
    return f"{what[:1].upper()}{what[1:]}. Shown is what this clone knew. Put it back: mlbot registry restore"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """What was odd about a fetch: tags that the remote has elsewhere; what its ledger lost."""

    moved: tuple[str, ...] = ()
    loss: Loss | None = None


def fetch_history(repository: Path, remote: Remote, name: str = "origin") -> Fetched:
    """Let a clone know the remote's ledger and its tags as they are now. A tag that differs here is left as it is.

    Errors: as `OrphanBranch.read`, but for a ledger that lost something: that is answered.
    """
    loss = fetch_ledger(repository, remote, name)
    fetch = ["fetch", "--no-tags", "--no-write-fetch-head", remote.url]  # not quietly: it names the tags that differ
    done = remote.run([*fetch, "refs/tags/*:refs/tags/*"], repository)
    moved = tuple(dict.fromkeys(_CLOBBERED.findall(done.stderr.decode("utf-8", "replace"))))
    if done.returncode != 0 and not moved:
        raise failure(done, "reading", "refs/tags/*", "tags")
    return Fetched(moved=moved, loss=loss)


THEIRS = "refs/mlbot/remote-ledger"  # in a clone: the remote's own copy, as last fetched


def fetch_ledger(repository: Path, remote: Remote, name: str = "origin") -> Loss | None:
    """Let a clone know the remote's ledger as it is now, and keep what it knew before: what the remote's lost of that.

    Errors: as `fetch_history`.
    """
    tracked = f"refs/remotes/{name}/{BRANCH}"
    _keep(repository, tracked)
    git(["update-ref", "-d", THEIRS], repository)
    fetch = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", remote.url]
    done = remote.run([*fetch, f"+refs/heads/{BRANCH}:{tracked}", f"+{COPY}*:{THEIRS}*"], repository)
    if done.returncode != 0 and b"couldn't find remote ref" in done.stderr:
        git(["update-ref", "-d", tracked], repository)
        if remote_ref(repository, remote, COPY) is None:
            return loss_in(repository, None, refs_in(repository, COPY).get(COPY))
        done = remote.run([*fetch, f"+{COPY}:{THEIRS}"], repository)
    if done.returncode != 0:
        raise failure(done, "reading", BRANCH)
    _keep(repository, THEIRS)
    _keep(repository, tracked)
    known = refs_in(repository, tracked, COPY)
    return loss_in(repository, known.get(tracked), known.get(COPY))


def _keep(repository: Path, ref: str) -> None:
    """Let the clone's copy of the ledger be at a ref, where that has all that the copy has."""
    there = refs_in(repository, ref, COPY)
    if ref in there and loss_in(repository, there[ref], there.get(COPY)) is None:
        git(["update-ref", COPY, there[ref]], repository)


def _message(entries: Sequence[Entry]) -> str:
    kinds = sorted({entry.kind for entry in entries})
    subjects = sorted({entry.subject for entry in entries})
    more = f" and {len(subjects) - 3} more" if len(subjects) > 3 else ""
    return f"{', '.join(kinds).capitalize()} on {', '.join(subjects[:3])}{more}"


def push_charts(remote: Remote, files: Mapping[str, bytes], when: int) -> Sha:
    """Add pictures by path; the commit that holds them all. Errors: as `OrphanBranch.append`."""
    return OrphanBranch(remote=remote, name=CHARTS).append(files, f"{len(files)} charts", when).sha
