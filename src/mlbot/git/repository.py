"""One repository: what its commits hold and how they hang together."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from mlbot.core.record import Digest, Sha
from mlbot.core.tree import SYMLINK, Tree, shown
from mlbot.errors import UsageError
from mlbot.git import contents, snapshot, worktrees
from mlbot.git.command import git, try_git, words
from mlbot.git.leases import SCRATCH, heal, remove_tree, scratch

_NAMES = ("main", "master")
_UNSHALLOW = "Fetch the whole history: git fetch --unshallow (in GitHub Actions: actions/checkout with fetch-depth: 0)."


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A branch by its name, and the ref that stands for it here."""

    name: str
    sha: Sha


@dataclass(frozen=True)
class Repository:
    """A git repository with a working tree.

    Attributes:
        root: the top of the working tree.
        git_dir: where this working tree's index and HEAD are.
        common_dir: where the repository's objects and refs are; differs from `git_dir` in a linked worktree.
        shallow: whether a part of the history is missing.
    """

    root: Path
    git_dir: Path
    common_dir: Path
    shallow: bool = False
    _trees: dict[Sha, Tree] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def discover(cls, path: Path) -> "Repository":
        """The repository that a folder is in.

        Raises:
            UsageError: if it is in none, or in a bare one.
        """
        asked = ("--is-bare-repository", "--is-inside-work-tree", "--is-shallow-repository")
        done = try_git(["rev-parse", *asked, "--git-dir", "--git-common-dir", "--show-toplevel"], path)
        lines = done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n")
        if done.returncode != 0 or len(lines) != len(asked) + 3 or lines[1] != "true":
            raise _not_usable(path, lines, words(done))
        git_dir, common_dir, root = (path.absolute().joinpath(line).resolve() for line in lines[3:])
        return cls(root=root, git_dir=git_dir, common_dir=common_dir, shallow=lines[2] == "true")

    @property
    def state_dir(self) -> Path:
        """Where everything that mlbot keeps on this machine is: inside git's folder, so it is never committed."""
        return self.common_dir / "mlbot"

    def resolve(self, rev: str) -> Sha:
        """The commit that a revision names.

        Raises:
            UsageError: if there is none.
        """
        found = self.find(rev)
        if found is None:
            raise self._unknown(rev)
        return found

    def find(self, rev: str) -> Sha | None:
        """The commit that a revision names, if there is one."""
        if rev.startswith("-") or not rev:
            return None
        done = try_git(["rev-parse", "--verify", "--quiet", f"{rev}^{{commit}}"], self.root)
        return done.stdout.decode().strip() if done.returncode == 0 else None

    def current_branch(self) -> str | None:
        """The name of the branch that is checked out, be there a commit on it or not; None when detached."""
        done = try_git(["symbolic-ref", "--quiet", "--short", "HEAD"], self.root)
        return done.stdout.decode("utf-8", "surrogateescape").strip() or None

    def default_branch(self) -> Branch:
        """The branch that pull requests go into: the remote's HEAD, else main, master or init.defaultBranch.

        Raises:
            UsageError: if there is none.
        """
        refs = self._refs("refs/remotes/*/HEAD")
        remote, name = _remote_head(refs)
        found = (self.branch(name, remote=remote) if name else None) or self.branch(*_NAMES, remote=remote)
        found = found or self.branch(*self._configured(), remote=remote)
        if found is None:
            raise UsageError("cannot tell which branch to compare with", mend="Name it: --base BRANCH")
        return found

    def branch(self, *names: str, remote: str = "origin") -> Branch | None:
        """The first branch of these names that there is, here or as the remote had it when it was last fetched.

        Its commit is the local branch's; but the remote's when there is no local one, when the local one is merely
        behind, and when HEAD is at it: what it has more than the remote is then what a pull request would bring.
        """
        if not names:
            return None
        refs = self._refs(*(f"refs/{kind}/{name}" for name in names for kind in ("heads", f"remotes/{remote}")))
        for name in names:
            local, tracked = refs.get(f"refs/heads/{name}"), refs.get(f"refs/remotes/{remote}/{name}")
            if local and tracked and local != tracked:
                return Branch(name=name, sha=self._tip(local, tracked))
            if local or tracked:
                return Branch(name=name, sha=local or tracked or "")
        return None

    def merge_base(self, one: Sha, other: Sha) -> Sha | None:
        """The best common ancestor; None for unrelated histories.

        Raises:
            UsageError: if there is none in what a shallow clone holds.
        """
        if one == other:
            return one
        done = try_git(["merge-base", one, other], self.root)
        if done.returncode not in {0, 1}:
            raise UsageError(f"git merge-base failed: {words(done)}", where=str(self.root))
        if not done.stdout and self.shallow:
            raise UsageError(
                f"this clone is shallow and does not hold the commit where {one[:10]} and {other[:10]} parted",
                mend=_UNSHALLOW,
            )
        return done.stdout.decode().strip() or None

    def count_between(self, older: Sha, newer: Sha) -> int:
        """How many commits `newer` has that `older` has not."""
        if older == newer:
            return 0
        return int(git(["rev-list", "--count", f"{older}..{newer}"], self.root))

    def tree(self, sha: Sha) -> Tree:
        """Every file of a commit with its mode and object id. Asked once of git for each commit."""
        if sha not in self._trees:
            entries = dict(_entries(git(["ls-tree", "-r", "-z", "--full-tree", sha], self.root)))
            links = {path: oid for path, (mode, oid) in entries.items() if mode == SYMLINK}
            texts = self.blobs(links.values()) if links else {}
            said = {path: texts[oid].decode("utf-8", "surrogateescape") for path, oid in links.items()}
            self._trees[sha] = Tree(entries, said)
        return self._trees[sha]

    def read(self, sha: Sha, path: str) -> bytes:
        """A file of a commit.

        Raises:
            UsageError: if the commit has no such file.
        """
        return self.read_many(sha, [path])[path]

    def read_many(self, sha: Sha, paths: Iterable[str]) -> Mapping[str, bytes]:
        """Several files of a commit by their paths, in one git process; symbolic links are followed.

        Raises:
            UsageError: if the commit lacks one.
        """
        tree = self.tree(sha)
        oids = {}
        for path in paths:
            file = tree.file(path)
            if file is None:
                raise UsageError(f"there is no file {shown(path)} in commit {sha[:10]}")
            oids[path] = tree.entries[file][1]
        found = self.blobs(oids.values())
        return {path: found[oid] for path, oid in oids.items()}

    def blobs(self, oids: Iterable[str]) -> Mapping[str, bytes]:
        """The contents of objects by their ids, in one git process.

        Raises:
            UsageError: if the repository lacks one.
        """
        wanted = list(dict.fromkeys(oids))
        out = git(["cat-file", "--batch"], self.root, stdin="".join(f"{oid}\n" for oid in wanted).encode())
        return dict(_contents(out))

    @property
    def is_clean(self) -> bool:
        """Whether HEAD has all that the working tree has, ignored files aside."""
        return not git(["status", "--porcelain", "-z"], self.root)

    def snapshot(self) -> snapshot.Snapshot:
        """The working tree as a commit; see `mlbot.git.snapshot`."""
        return snapshot.take(self.root, self.git_dir, self.state_dir)

    def worktree(self, sha: Sha, *, links: Mapping[str, Path] | None = None) -> AbstractContextManager[Path]:
        """A checkout of a commit in a folder of its own, gone at the end; see `mlbot.git.worktrees`."""
        return worktrees.worktree(self, sha, links or {})

    def scratch(self) -> AbstractContextManager[Path]:
        """An empty folder for temporary files, gone at the end."""
        return scratch(self.state_dir)

    def content_digests(self, paths: Iterable[str]) -> Mapping[str, Digest]:
        """sha256 of the content of files that git does not track; see `mlbot.git.contents`."""
        return contents.digests(self.root, self.state_dir, paths)

    def clean_up(self) -> tuple[Path, ...]:
        """Remove what killed runs left behind, and say what; living runs lose nothing. For the start of each run."""
        return (*worktrees.clean_up(self), *heal(self.state_dir / SCRATCH, remove_tree))

    def _unknown(self, rev: str) -> UsageError:
        if self.find("HEAD") is None:
            return UsageError("the repository has no commit yet", where=str(self.root), mend="Commit something first.")
        mend = _UNSHALLOW if self.shallow else "Fetch it, or correct its name; `git branch --all` lists the branches."
        return UsageError(f"git knows no commit {rev!r}", where=str(self.root), mend=mend)

    def _refs(self, *patterns: str) -> dict[str, str]:
        """The object ids of refs by name; what a symbolic ref points to is under its name and `@`."""
        out = git(["for-each-ref", "--format=%(refname)%00%(objectname)%00%(symref)", *patterns], self.root)
        rows = [line.split("\0") for line in out.decode("utf-8", "surrogateescape").splitlines()]
        return {name: oid for name, oid, _ in rows} | {f"{name}@": target for name, _, target in rows if target}

    def _configured(self) -> tuple[str, ...]:
        done = try_git(["config", "--get", "init.defaultBranch"], self.root)
        return tuple(done.stdout.decode("utf-8", "surrogateescape").split())

    def _tip(self, local: Sha, tracked: Sha) -> Sha:
        behind = try_git(["merge-base", "--is-ancestor", local, tracked], self.root).returncode == 0
        return tracked if behind or self.find("HEAD") == local else local


def _remote_head(refs: Mapping[str, str]) -> tuple[str, str | None]:
    """The remote that says which its default branch is, origin first, and that branch's name."""
    heads = {name.split("/")[2]: target for name, target in refs.items() if name.endswith("/HEAD@")}
    remote = "origin" if "origin" in heads or len(heads) != 1 else next(iter(heads))
    target = heads.get(remote)
    return remote, target.removeprefix(f"refs/remotes/{remote}/") if target else None


def _entries(out: bytes) -> Iterator[tuple[str, tuple[str, str]]]:
    for line in out.decode("utf-8", "surrogateescape").split("\0"):
        if line:
            facts, _, path = line.partition("\t")
            mode, _, oid = facts.split(" ")
            yield path, (mode, oid)


def _contents(out: bytes) -> Iterator[tuple[str, bytes]]:
    """What `cat-file --batch` wrote: a line `<oid> <type> <size>`, the bytes, a newline; and so on."""
    at = 0
    while at < len(out):
        end = out.index(b"\n", at)
        header = out[at:end].decode().split(" ")
        if len(header) != 3:
            raise UsageError(
                f"the object {header[0]} is not in the repository", mend="Fetch it: git fetch, or repair: git fsck."
            )
        size = int(header[2])
        yield header[0], out[end + 1 : end + 1 + size]
        at = end + 2 + size


def _not_usable(path: Path, lines: list[str], said: str) -> UsageError:
    if lines[0] == "true" or lines[1:2] == ["false"]:
        return UsageError("this is git's own folder, or a bare repository", where=str(path), mend="Work in a checkout.")
    if "not a git repository" in said:
        return UsageError("this is not in a git repository", where=str(path), mend="Make one: git init")
    return UsageError(f"git cannot use this repository: {said}", where=str(path))
