"""The ledger and the charts on their orphan branches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlbot.core.ledger import BRANCH, Entry, Ledger, files_of, folder_of, read_files
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
        models = sorted({entry.model for entry in entries})
        more = f" and {len(models) - 3} more" if len(models) > 3 else ""
        return self.branch.append(files_of(entries), f"Verdict on {', '.join(models[:3])}{more}", when)

    def read(self, model: Name | None = None, key: Digest | None = None) -> Ledger:
        """All entries, those of a model, or those that may be of one content key of it."""
        return read_files(self.branch.read(folder_of(subject=model, key=key)))


def read_local(repository: Path, model: Name | None = None, remote: str = "origin") -> Ledger:
    """The ledger as this clone last fetched it; empty where it never did."""
    for ref in (f"refs/remotes/{remote}/{BRANCH}", f"refs/heads/{BRANCH}"):
        if try_git(["rev-parse", "--verify", "--quiet", ref], repository).returncode == 0:
            return read_files(orphan.read_files(repository, ref, folder_of(subject=model)))
    return Ledger()


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
