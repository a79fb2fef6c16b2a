"""The ledger and the charts on their orphan branches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlbot.core.ledger import BRANCH, Entry, Kind, Ledger, files_of, folders_of, read_files
from mlbot.core.record import Digest, Name, Sha
from mlbot.git import orphan
from mlbot.git.command import try_git
from mlbot.git.orphan import OrphanBranch, Written
from mlbot.git.remote import Remote

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
        return read_files(self.branch.read(*folders_of(kind, subject, key)))


def read_local(
    repository: Path, kind: Kind | None = None, subject: Name | None = None, remote: str = "origin"
) -> Ledger:
    """The ledger as this clone last fetched it; empty where it never did."""
    for ref in (f"refs/remotes/{remote}/{BRANCH}", f"refs/heads/{BRANCH}"):
        if try_git(["rev-parse", "--verify", "--quiet", ref], repository).returncode == 0:
            return read_files(orphan.read_files(repository, ref, *folders_of(kind, subject)))
    return Ledger()


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
