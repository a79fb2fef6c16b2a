"""The ledger and the charts: branches that are only ever added to, written by many at once without a checkout.

Each write is a commit on the tip that was fetched and a plain push, which the remote takes only as a fast-forward: of
two writers one is refused, fetches what the other wrote and tries again. Nothing is ever forced, so nothing is lost.

A branch may have had another name. What is there is read together with what is here, a write takes it over as a second
parent, and the old name is deleted once the new one has all of it.
"""

import os
import random
import re
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from pathlib import Path
from subprocess import CompletedProcess

from mlbot.errors import NotEvaluatedError, UsageError
from mlbot.git.command import MOST_ENTRIES, WHO, git, list_names, list_tree, make_bare, read_objects, signed, try_git
from mlbot.git.remote import Remote, conflict_with, failure, is_denied, list_refs
from mlbot.ledger.entries import BRANCH, FORMER_BRANCH, Entry, Kind, Ledger, files_of, folders_of, read_files
from mlbot.lib.constants import CHARTS
from mlbot.lib.record import Digest, Name, Sha

COPY = "refs/mlbot/copies/ledger"
"""The ledger's second ref, which no page of GitHub's shows; in a clone with a remote the newest ledger that it knew."""

_HERE = "refs/mlbot/tip"
_FORMER = "refs/mlbot/former"
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


def loss_in(repository: Path, tips: Sequence[str], copy: str | None) -> Loss | None:
    """What a branch's tips (under its name, and the one before) lost of its copy; None: nothing."""
    if copy is None or copy in tips:
        return None
    if not tips:
        return Loss.GONE
    return _kind(repository, tips[0], copy) if lacks(repository, tips, copy) else None


def lacks(repository: Path, tips: Sequence[str], copy: str) -> bool:
    """Whether commits together lack files that another has, or have others in their place; history does not count."""
    if len(tips) > 1:
        there, wanted = files_of_tips(repository, tips), list_files(repository, copy)
        return any(there.get(path) != oid for path, oid in wanted.items())
    deleted = ["diff-tree", "-r", "--no-renames", "--diff-filter=DMT", "--name-only", copy, *tips]
    return bool(git(deleted, repository))


def has_more(repository: Path, other: str, tip: str) -> bool:
    """Whether a commit has files that another lacks; of one with other bytes the other's counts, as in a write."""
    added = ["diff-tree", "-r", "--no-renames", "--diff-filter=A", "--name-only", tip, other]
    return bool(git(added, repository))


def _kind(repository: Path, tip: str, copy: str) -> Loss:
    """How a branch came to lack what its copy has: their histories tell."""
    if is_ancestor(repository, copy, tip):
        return Loss.EDITED
    return Loss.SET_BACK if is_ancestor(repository, tip, copy) else Loss.REPLACED


def is_ancestor(repository: Path, older: str, newer: str) -> bool:
    """Whether a commit is in the history of another, or the same."""
    return try_git(["merge-base", "--is-ancestor", older, newer], repository).returncode == 0


def refs_in(repository: Path, *names: str, extra: Mapping[str, str] | None = None) -> dict[str, Sha]:
    """The commits of those refs that are there; none where there is no repository."""
    done = try_git(["for-each-ref", "--format=%(refname) %(objectname)", *names], repository, extra=extra)
    lines = (line.partition(" ") for line in done.stdout.decode().splitlines())
    return {ref: sha for ref, _, sha in lines if ref in names}


@dataclass(frozen=True, kw_only=True, slots=True)
class Tips:
    """Where a branch is, under its name and the one before, and its copy; whether the files came with them."""

    own: Sha | None = None
    former: Sha | None = None
    copy: Sha | None = None
    whole: bool = False

    @property
    def all(self) -> tuple[Sha, ...]:
        """The tips that hold what the branch has; of a file that is in both the first one's counts."""
        return tuple(dict.fromkeys(each for each in (self.own, self.former) if each))


@dataclass(frozen=True, kw_only=True)
class OrphanBranch:
    """A branch without a common history with any other. `chance` (0 to 1) parts writers who collided."""

    remote: Remote
    name: str
    former: str | None = None  # the name that it had before
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
        if here and (tips := self._whole_tips(here)):
            return _read_blobs(here, files_of_tips(here, tips, *folders))
        found = self._read(folders, partial=True) if few else None
        return self._read(folders, partial=False) or {} if found is None else found

    def paths(self, *folders: str) -> tuple[str, ...]:
        """The paths of the files in folders, none of which is read. Errors: as `read`."""
        here = self.remote.folder
        if here and (tips := self._whole_tips(here)):
            return _names(here, tips, folders)
        with _repository(self.remote.url) as scratch:
            return _names(scratch, self._fetch(scratch, partial=True).all, folders)

    @property
    def _ref(self) -> str:
        return f"refs/heads/{self.name}"

    @property
    def _former_ref(self) -> str:
        return f"refs/heads/{self.former}" if self.former else ""

    def _whole_tips(self, folder: Path) -> tuple[Sha, ...]:
        """The tips in the repository at a folder, not one around it; none where they lack what the copy has."""
        no_further = {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
        names = [each for each in (self._ref, self._former_ref, self.copy) if each]
        there = refs_in(folder, *names, extra=no_further)
        tips = Tips(own=there.get(self._ref), former=there.get(self._former_ref))
        return () if loss_in(folder, tips.all, there.get(self.copy or "")) else tips.all

    def _read(self, folders: Sequence[str], *, partial: bool) -> dict[str, bytes] | None:
        """The files in folders; None from a server that gives no single files."""
        with _repository(self.remote.url) as here:
            tips = self._fetch(here, partial=partial)
            wanted = files_of_tips(here, tips.all, *folders)
            known = _KNOWN.setdefault(self.remote.url, {})
            absent = {path: oid for path, oid in wanted.items() if oid not in known}
            if not tips.whole and not self._fetch_blobs(here, absent.values()):
                return None
            read = {path: known[oid] for path, oid in wanted.items() if path not in absent}
            read |= (new := _read_blobs(here, absent))
            known.update({absent[path]: content for path, content in new.items()})
            return {path: read[path] for path in wanted if path in read}

    def append(self, files: Mapping[str, bytes], message: str, when: int) -> Written:
        """Add files. A path that is there already is left as it is, so a retry changes nothing. `when` is in Unix time.

        Raises:
            RefusedError: if the token or a rule of the repository forbids it, or git cannot hold such a branch here.
            LedgerLostError: if it lacks what its copy has.
            NotEvaluatedError: if others were always faster, or the remote does not answer.
        """
        if not files:
            raise ValueError("nothing to append")
        with _repository(self.remote.url) as here:
            faults = 0
            for attempt in range(self.attempts):
                tips = self._fetch(here, partial=True)
                tip = _tip_of(here, tips, when)
                missing = _missing(here, tip, files)
                if tip and not missing and tip == tips.own:
                    self._retire(here, tips.former)
                    return Written(sha=tip, added=())
                sha = _commit(here, tip, {path: files[path] for path in missing}, message, when) if missing else tip
                refused = self._push(here, sha or "", tips.copy)
                if refused is None:
                    self._retire(here, tips.former)
                    return Written(sha=sha or "", added=tuple(missing))
                faults += not self._is_overtaken(here, refused, tips)
                if faults == _FAULTS:
                    raise failure(refused, "writing", self.name)
                self._wait(attempt)
        raise NotEvaluatedError(
            f"{self.attempts} attempts to add to the branch {self.name} were overtaken by other writers",
            hint="Run the job again.",
        )

    def _is_overtaken(self, here: Path, refused: CompletedProcess[bytes], tips: Tips) -> bool:
        """Whether somebody else wrote meanwhile: the remote's refs say so, whatever git's words are.

        Raises `RefusedError` where the refusal is for good.
        """
        if is_denied(refused):
            raise failure(refused, "writing", self.name)
        names = [each for each in (self._ref, self.copy) if each]
        try:
            now = list_refs(self.remote, here, *names)
            conflict = conflict_with(self.remote, here, *names)
        except NotEvaluatedError:
            return False
        if conflict is not None:
            raise conflict
        return (now.get(self._ref), now.get(self.copy or "")) != (tips.own, tips.copy)

    def _retire(self, here: Path, former: Sha | None) -> None:
        """Delete the old name, where it still is at what the new one has all of.

        Where a rule forbids it, it stays and does no harm.
        """
        if former is not None:
            lease = f"--force-with-lease={self._former_ref}:{former}"
            self.remote.run(["push", "--quiet", "--porcelain", lease, self.remote.url, f":{self._former_ref}"], here)

    def _wait(self, attempt: int) -> None:
        self.sleep(self.chance() * min(_LONGEST_S, _SHORTEST_S * 2.0 ** min(attempt, 16)))

    def _fetch(self, here: Path, *, partial: bool) -> Tips:
        """Fetch the remote's tips and their copy.

        `partial` asks for the names of its files alone, which not every server can do.
        """
        look = 0
        while True:
            tips = self._tips(here, partial=partial)
            loss = self._loss(here, tips)
            if loss is None:
                return tips
            look += 1
            if look == _LOOKS:
                raise LedgerLostError(loss, self.name)
            self._wait(look)

    def _tips(self, here: Path, *, partial: bool) -> Tips:
        """As `_fetch`, whatever the branch lacks."""
        less = "--filter=blob:none" if partial else "--no-filter"
        # Patterns, for each may match nothing.
        pairs = ((self._ref, _HERE), (self._former_ref, _FORMER), (self.copy, _COPIED))
        specs = [f"+{ref}*:{name}*" for ref, name in pairs if ref]
        for attempt in range(_FAULTS):
            done = self.remote.run([*_FETCH, "--depth=1", less, _REMOTE, *specs], here)
            if done.returncode == 0:
                found = _fetched(here)
                return Tips(
                    own=found.get(f"branch '{self.name}'"),
                    former=found.get(f"branch '{self.former}'"),
                    copy=found.get(f"'{self.copy}'"),
                    whole=not partial or b"filtering not recognized" in done.stderr,
                )
            if is_denied(done):
                raise failure(done, "reading", self.name)
            if self._is_absent(here, [ref for ref, _ in pairs if ref]):  # git fails where no pattern matches anything
                return Tips(whole=True)
            if attempt == _FAULTS - 1:
                raise failure(done, "reading", self.name)
            self._wait(attempt + 1)
        raise AssertionError("the loop returns or raises")

    def _is_absent(self, here: Path, refs: Sequence[str]) -> bool:
        try:
            return not list_refs(self.remote, here, *refs)
        except NotEvaluatedError:
            return False

    def _loss(self, here: Path, tips: Tips) -> Loss | None:
        """What the branch lost of its copy, all of which were fetched."""
        copy = tips.copy
        if copy is None or copy in tips.all or not tips.all:
            return Loss.GONE if copy and not tips.all else None
        if not lacks(here, tips.all, copy):
            return None
        with _repository(self.remote.url) as histories:
            name = self._ref if tips.own else self._former_ref
            specs = [f"+{name}:{_HERE}", f"+{self.copy}:{_COPIED}"]
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


_KNOWN: dict[str, dict[str, bytes]] = {}
"""The files that this process has read of each remote, by their object ids: what one says never changes, and a release
or a deployment reads the same ones a dozen times."""


def _tip_of(here: Path, tips: Tips, when: int) -> Sha | None:
    """The commit that a write goes on from: the only tip, or one that takes over what came late to the old name."""
    if tips.own is None or tips.former is None or not has_more(here, tips.former, tips.own):
        return tips.own or tips.former
    return joined(here, tips.all, files_of_tips(here, tips.all), "Take over what came under the old name", when)


def joined(repository: Path, heads: Sequence[Sha], files: Mapping[str, str], message: str, when: int) -> Sha:
    """A commit that follows several, with files by their object ids, none of which has to be here."""
    with tempfile.TemporaryDirectory(prefix="mlbot-ledger-") as folder:
        index = {"GIT_INDEX_FILE": os.fspath(Path(folder) / "index")}
        lines = "".join(f"100644 {oid}\t{path}\0" for path, oid in files.items())
        stdin = lines.encode("utf-8", "surrogateescape")
        git(["update-index", "-z", "--add", "--index-info"], repository, stdin=stdin, extra=index)
        tree = git(["write-tree", "--missing-ok"], repository, extra=index).decode().strip()
    parents = [word for head in heads for word in ("-p", head)]
    return git(["commit-tree", tree, *parents, "-m", message], repository, extra=signed(when)).decode().strip()


def files_of_tips(repository: Path, tips: Sequence[str], *folders: str) -> dict[str, str]:
    """The object ids of the regular files in folders (none: all) of commits together; the first one's count."""
    found: dict[str, str] = {}
    for tip in reversed(tips):
        found |= list_files(repository, tip, *folders)
    return found


def _names(repository: Path, tips: Sequence[str], folders: Sequence[str]) -> tuple[str, ...]:
    found = [list_names(tip, repository, *folders, most=_MOST_ENTRIES) for tip in tips]
    return tuple(found[0] if len(found) == 1 else dict.fromkeys(chain.from_iterable(found)))


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

    It is declared to be a partial clone, so that git takes it as whole without the files that were not asked for.
    """
    if any(char in url for char in "\n\0"):
        raise UsageError(f"{url!r} is no address")
    quoted = url.replace("\\", "\\\\").replace('"', '\\"')
    with tempfile.TemporaryDirectory(prefix="mlbot-branch-", ignore_cleanup_errors=True) as folder:
        here = Path(folder)
        make_bare(here, _CONFIG.format(url=quoted))
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
        f"mark :1\ncommitter {WHO} {when} +0000\n".encode(),
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

FORMER_CHARTS = "mlbot/charts"


@dataclass(frozen=True, kw_only=True)
class LedgerBranch:
    """The ledger in a repository elsewhere."""

    branch: OrphanBranch

    @classmethod
    def at(cls, remote: Remote) -> "LedgerBranch":
        """The ledger of a repository."""
        return cls(branch=OrphanBranch(remote=remote, name=BRANCH, former=FORMER_BRANCH, copy=COPY))

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
    tips, loss = _local(repository, remote)
    files: dict[str, bytes] = {}
    for ref in (*reversed(tips), *([COPY] if loss else [])):
        files |= files_at(repository, ref, *folders)
    ledger = read_files(files)
    return ledger.model_copy(update={"problems": (_problem(loss), *ledger.problems)}) if loss else ledger


def local_paths(repository: Path, folders: Sequence[str]) -> tuple[str, ...]:
    """The paths of the files in parts of the ledger as this clone last fetched it, or knew it before a loss."""
    tips, loss = _local(repository, "origin") if folders else ((), None)
    return _names(repository, (*tips, *([COPY] if loss else [])), folders)


def has_ledger(repository: Path) -> bool:
    """Whether a clone has a ledger, or had one once."""
    return bool(refs_in(repository, *_tracked("origin"), COPY))


def local_loss(repository: Path) -> Loss | None:
    """What the ledger lacks of what this clone knew, as it was last fetched."""
    return _local(repository, "origin")[1]


def _tracked(remote: str) -> tuple[str, ...]:
    """The refs that have a remote's ledger in a clone, or a repository's own."""
    names = (BRANCH, FORMER_BRANCH)
    return tuple(f"{place}/{name}" for place in (f"refs/remotes/{remote}", "refs/heads") for name in names)


def _local(repository: Path, remote: str) -> tuple[tuple[str, ...], Loss | None]:
    """The refs that have the ledger here, the one that counts first, and what it lacks of what was known."""
    there = refs_in(repository, *_tracked(remote), COPY)
    tips: tuple[str, ...] = ()
    for place in (f"refs/remotes/{remote}", "refs/heads"):
        tips = tips or tuple(ref for name in (BRANCH, FORMER_BRANCH) if (ref := f"{place}/{name}") in there)
    return tips, loss_in(repository, [there[ref] for ref in tips], there.get(COPY))


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
    tracked = [f"refs/remotes/{name}/{branch}" for branch in (BRANCH, FORMER_BRANCH)]
    places = dict(zip((f"refs/heads/{BRANCH}", f"refs/heads/{FORMER_BRANCH}", COPY), (*tracked, THEIRS), strict=True))
    here = _keep(repository, tracked, refs_in(repository, *places.values(), COPY))
    for look in range(_LOOKS):
        there = list_refs(remote, repository, *places)
        for place in (place for ref, place in places.items() if ref not in there and place in here):
            git(["update-ref", "-d", place], repository)  # what is gone there is gone here; what was known is kept
        specs = [f"+{ref}:{place}" for ref, place in places.items() if ref in there]
        fetch = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", remote.url, *specs]
        done = remote.run(fetch, repository) if specs else None
        if not done or done.returncode == 0:
            break
        if look == _LOOKS - 1 or is_denied(done) or b"couldn't find remote ref" not in done.stderr:
            raise failure(done, "reading", BRANCH)  # else it was deleted between the two
    known = _keep(repository, [THEIRS], refs_in(repository, *places.values(), COPY))
    known = _keep(repository, tracked, known)
    return loss_in(repository, [known[ref] for ref in tracked if ref in known], known.get(COPY))


def _keep(repository: Path, refs: Sequence[str], there: dict[str, Sha]) -> dict[str, Sha]:
    """Let the clone's copy of the ledger be at what refs have together, where that is all that the copy has.

    `there` are the clone's refs as they are; they are so afterwards.
    """
    tips = [there[ref] for ref in refs if ref in there]
    if not tips or tips == [there.get(COPY)] or loss_in(repository, tips, there.get(COPY)) is not None:
        return there
    tip = _tip_of(repository, Tips(own=tips[0], former=tips[1] if tips[1:] else None), 0) or tips[0]
    git(["update-ref", COPY, tip], repository)
    return there | {COPY: tip}


def _message(entries: Sequence[Entry]) -> str:
    kinds = sorted({entry.kind for entry in entries})
    subjects = sorted({entry.subject for entry in entries})
    more = f" and {len(subjects) - 3} more" if len(subjects) > 3 else ""
    return f"{', '.join(kinds).capitalize()} on {', '.join(subjects[:3])}{more}"


def push_charts(remote: Remote, files: Mapping[str, bytes], when: int) -> Sha:
    """Add pictures by path; the commit that holds them all. Errors: as `OrphanBranch.append`."""
    branch = OrphanBranch(remote=remote, name=CHARTS, former=FORMER_CHARTS)
    return branch.append(files, f"{len(files)} charts", when).sha
