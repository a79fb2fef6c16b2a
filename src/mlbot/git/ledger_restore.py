"""Putting back a ledger that was deleted, set back or replaced: the union of what the remote has and what is known.

Entries are files named by their content, so a union is well defined and contradicts nothing. The branch only moves
forward, in one step that fails where somebody else wrote meanwhile.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlbot.errors import NotEvaluatedError, UsageError
from mlbot.git.command import git, read_objects, try_git
from mlbot.git.ledger import COPY, THEIRS, fetch_ledger, files_at, joined, lacks, list_files, refs_in
from mlbot.git.remote import Remote, conflict_with, failure, is_denied
from mlbot.ledger.entries import BRANCH, FORMER_BRANCH, folders_of, read_files
from mlbot.lib.record import Record, Sha

_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Restoration(Record):
    """What came back, or would."""

    before: Sha | None  # where the branch was; None where it was gone
    after: Sha  # the same where nothing was missing
    sources: tuple[str, ...]  # what had more than the branch: refs, and what was named
    files: tuple[str, ...]  # the entries that come back

    @property
    def changed(self) -> bool:
        """Whether there was anything to put back."""
        return self.after != self.before


@dataclass(frozen=True, kw_only=True, slots=True)
class Clone:
    """A clone that a ledger is put back from; `origin` is False where the remote is the clone itself."""

    root: Path
    remote: Remote
    origin: bool

    @property
    def tracked(self) -> str:
        """Where the clone has the remote's branch."""
        return f"refs/remotes/origin/{BRANCH}" if self.origin else f"refs/heads/{BRANCH}"

    def restore(self, revs: Sequence[str], when: int, *, dry_run: bool) -> Restoration:
        """Put back what the clone's own refs, the remote's copy and the revisions named have. `when` is in Unix time.

        Raises:
            UsageError: no ledger is known here, or a revision names none.
            RefusedError: the token or a rule of the repository forbids it.
            NotEvaluatedError: the remote does not answer, or somebody else wrote meanwhile.
        """
        if self.origin:
            fetch_ledger(self.root, self.remote)
        named = {rev: self._named(rev) for rev in revs}
        own = (f"refs/heads/{BRANCH}", f"refs/heads/{FORMER_BRANCH}")
        there = refs_in(self.root, self.tracked, f"refs/remotes/origin/{FORMER_BRANCH}", COPY, THEIRS, *own)
        before = there.pop(self.tracked, None)
        sources = {name: sha for name, sha in {**there, **named}.items() if _is_more(self.root, sha, before)}
        if before is None and not sources:
            raise UsageError(
                "no copy of the ledger is known here",
                hint=f"Run it in a clone that knows one, or name a commit that {BRANCH} was at (GitHub's activity page "
                "lists them): mlbot registry restore COMMIT",
            )
        made = self._made(before, sources, when)
        if made.changed and not dry_run:
            self._push(made, there.get(THEIRS if self.origin else COPY))
        if self.origin and not dry_run:
            git(["update-ref", COPY, made.after], self.root)
            fetch_ledger(self.root, self.remote)
        return made

    def _named(self, rev: str) -> Sha:
        """A revision of a ledger, fetched where the clone has it not."""
        done = try_git(["rev-parse", "--verify", "--quiet", "--end-of-options", f"{rev}^{{commit}}"], self.root)
        if done.returncode != 0 and self.origin and _SHA.fullmatch(rev):
            fetch = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", self.remote.url, rev]
            self.remote.run(fetch, self.root)
            done = try_git(["rev-parse", "--verify", "--quiet", f"{rev}^{{commit}}"], self.root)
        if done.returncode != 0:
            raise UsageError(f"neither this clone nor its remote has a commit {rev!r}")
        sha = done.stdout.decode().strip()
        if not read_files(files_at(self.root, sha, *folders_of())).entries:
            raise UsageError(f"{rev} is no ledger: it has no entry", hint=f"Name a commit of the branch {BRANCH}.")
        return sha

    def _made(self, before: Sha | None, sources: dict[str, Sha], when: int) -> Restoration:
        """The commit that the branch is to be at: the newest there is, or one that joins several."""
        known = [*([before] if before else []), *sources.values()]
        union = _union([list_files(self.root, each, *folders_of()) for each in known], self.root)
        there = list_files(self.root, before, *folders_of()) if before else {}
        heads = _independent(self.root, known)
        whole = len(heads) == 1 and union == list_files(self.root, heads[0], *folders_of())
        after = heads[0] if whole else joined(self.root, heads, union, "Put back what was lost", when)
        return Restoration(
            before=before,
            after=after,
            sources=tuple(sources),
            files=tuple(sorted(path for path, oid in union.items() if there.get(path) != oid)),
        )

    def _push(self, made: Restoration, copy: Sha | None) -> None:
        """Move the branch forward, or make it; and the copy, if it is still where it was."""
        lease = f"--force-with-lease={COPY}:{copy or ''}"
        specs = [f"{made.after}:refs/heads/{BRANCH}", f"{made.after}:{COPY}"]
        push = ["push", "--quiet", "--porcelain", "--atomic", lease, self.remote.url, *specs]
        done = self.remote.run(push, self.root)
        if done.returncode != 0 and is_denied(done):
            raise failure(done, "writing", BRANCH)
        if done.returncode != 0 and (conflict := conflict_with(self.remote, self.root, f"refs/heads/{BRANCH}", COPY)):
            raise conflict
        if done.returncode != 0:
            raise NotEvaluatedError(f"the branch {BRANCH} was written to meanwhile, or cannot be", hint="Run it again.")


def _union(trees: Sequence[dict[str, str]], repository: Path) -> dict[str, str]:
    """The files of all: of those that differ the first that is an entry, for somebody may have written over one."""
    found: dict[str, str] = {}
    for path in dict.fromkeys(path for tree in trees for path in tree):
        oids = list(dict.fromkeys(tree[path] for tree in trees if path in tree))
        raw = read_objects(oids, repository) if len(oids) > 1 else {}
        found[path] = next((oid for oid in oids if oid in raw and read_files({path: raw[oid]}).entries), oids[0])
    return found


def _is_more(repository: Path, source: Sha, before: Sha | None) -> bool:
    return before is None or (source != before and lacks(repository, [before], source))


def _independent(repository: Path, commits: Iterable[Sha]) -> list[Sha]:
    """The commits that are in no other's history, in the order given."""
    known = list(dict.fromkeys(commits))
    if len(known) < 2:
        return known
    heads = git(["merge-base", "--independent", *known], repository).decode().split()
    return [each for each in known if each in heads]
