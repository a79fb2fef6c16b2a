"""The ledger and the charts on their orphan branches."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlbot.git import orphan
from mlbot.git.command import git
from mlbot.git.orphan import OrphanBranch, Written
from mlbot.git.remote import Remote, failure
from mlbot.ledger.entries import BRANCH, Entry, Kind, Ledger, files_of, folders_of, read_files
from mlbot.lib.record import Digest, Name, Sha

_CLOBBERED = re.compile(r"^ ! \[rejected\] +(\S+) +-> +\S+ +\(would clobber existing tag\)", re.MULTILINE)

CHARTS = "mlbot/charts"
"""The orphan branch of pictures, named by their digests."""


@dataclass(frozen=True, kw_only=True)
class LedgerBranch:
    """The ledger in a repository elsewhere."""

    branch: OrphanBranch

    @classmethod
    def at(cls, remote: Remote) -> "LedgerBranch":
        """The ledger of a repository."""
        return cls(branch=OrphanBranch(remote=remote, name=BRANCH))

    def append(self, entries: Sequence[Entry], when: int) -> Written:
        """Add entries; those that are there already stay as they are. Errors: as `OrphanBranch.append`."""
        return self.branch.append(files_of(entries), _message(entries), when)

    def read(self, kind: Kind | None = None, subject: Name | None = None, key: Digest | None = None) -> Ledger:
        """The entries of a kind, of one subject, or those that may be of one content key of it.

        Args:
            kind: None: all kinds.
            subject: the model, or for locks the environment; None: all.
            key: narrows verdicts and waivers of a subject to one part of them, which others may be in as well.

        Raises:
            RefusedError: if the token may not read it.
            NotEvaluatedError: if the remote does not answer.
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
    """Parts of the ledger as this clone last fetched it (`mlbot.ledger.entries.folders_of`)."""
    refs = (f"refs/remotes/{remote}/{BRANCH}", f"refs/heads/{BRANCH}")
    there = git(["for-each-ref", "--format=%(refname)", *refs], repository).decode().split()
    found = next((ref for ref in refs if ref in there), None)
    return read_files(orphan.read_files(repository, found, *folders)) if found else Ledger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """What was odd about a fetch.

    Attributes:
        moved: tags that the remote has at another object than this clone.
        rewritten: whether the ledger lacks what this clone knew of it: it is only ever added to, so somebody forced it.
    """

    moved: tuple[str, ...] = ()
    rewritten: bool = False


def fetch_history(repository: Path, remote: Remote, name: str = "origin") -> Fetched:
    """Let a clone know the remote's ledger and its tags as they are now. A tag that differs here is left as it is.

    Args:
        repository: the clone.
        remote: where they are.
        name: what the clone calls it.

    Raises:
        RefusedError: if the token may not read it.
        NotEvaluatedError: if the remote does not answer.
    """
    fetch = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", remote.url]
    spec = f"refs/heads/{BRANCH}:refs/remotes/{name}/{BRANCH}"
    done = remote.run([*fetch, spec], repository)
    rewritten = done.returncode != 0 and b"couldn't find remote ref" not in done.stderr
    if rewritten and (done := remote.run([*fetch, f"+{spec}"], repository)).returncode != 0:
        raise failure(done, "reading", BRANCH)
    done = remote.run([*fetch[:1], *fetch[2:], "refs/tags/*:refs/tags/*"], repository)
    moved = tuple(dict.fromkeys(_CLOBBERED.findall(done.stderr.decode("utf-8", "replace"))))
    if done.returncode != 0 and not moved:
        raise failure(done, "reading", "refs/tags/*", "tags")
    return Fetched(moved=moved, rewritten=rewritten)


def _message(entries: Sequence[Entry]) -> str:
    """The subject of the commit, for people who read the branch's log."""
    kinds = sorted({entry.kind for entry in entries})
    subjects = sorted({entry.subject for entry in entries})
    more = f" and {len(subjects) - 3} more" if len(subjects) > 3 else ""
    return f"{', '.join(kinds).capitalize()} on {', '.join(subjects[:3])}{more}"


@dataclass(frozen=True, kw_only=True)
class ChartsBranch:
    """Pictures that comments show."""

    branch: OrphanBranch

    @classmethod
    def at(cls, remote: Remote) -> "ChartsBranch":
        """The charts of a repository."""
        return cls(branch=OrphanBranch(remote=remote, name=CHARTS))

    def push(self, files: Mapping[str, bytes], when: int) -> Sha:
        """Add pictures by path; the commit that holds them all. Errors: as `OrphanBranch.append`."""
        return self.branch.append(files, f"{len(files)} charts", when).sha
