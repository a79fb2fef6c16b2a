"""One repository: what its commits hold and how they hang together."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mlbot.errors import UsageError
from mlbot.git import snapshot
from mlbot.git.command import each_object, git, list_tree, read_objects, try_git, words
from mlbot.git.leases import SCRATCH, exclusive, heal, lease, remove_tree, scratch
from mlbot.lib.constants import CONFIG_FILE
from mlbot.lib.record import Digest, Sha
from mlbot.lib.tree import SUBMODULE, SYMLINK, Tree, normalise, shown

# Checkouts of commits in folders of their own, for training: never beside the user's files, never left behind.

_ATTEMPTS = 5
_PAUSE_S = 0.1


@contextmanager
def worktree(repository: "Repository", sha: Sha, links: Mapping[str, Path]) -> Iterator[Path]:
    """Check a commit out, detached, and take it away at the end: after an exception, Ctrl-C and SIGTERM too.

    Git's filters run as the user has set them up, Git LFS among them; hooks do not. The whole commit is there also
    where the user's checkout is sparse, and a submodule's files if the user's checkout has their commit. `links` are
    data that git does not track, by path: a symbolic link to the user's own file is made there, unless the commit has
    something at that path; one that leads out of the worktree is a `UsageError`.
    """
    with lease(_folder(repository), partial(_remove, repository)) as path:
        _add(repository, sha, path)
        git(["-c", "core.sparseCheckout=false", "reset", "--hard", "--quiet", sha], path)
        _fill_submodules(repository, sha, path, _notes(repository, path) / "submodule-index")
        project = path / repository.folder
        project.mkdir(parents=True, exist_ok=True)
        for name, target in links.items():
            _link(project, name, target)
        yield project


def clean_up(repository: "Repository") -> tuple[Path, ...]:
    """Remove the worktrees of killed runs."""
    return heal(_folder(repository), partial(_remove, repository))


def _folder(repository: "Repository") -> Path:
    return repository.state_dir / "worktrees"


def _add(repository: "Repository", sha: Sha, path: Path) -> None:
    """Register a worktree without files.

    One at a time: git reads all other worktrees while it adds one and stumbles over those that are half made. Somebody
    else's git may still be at it, so a failure is tried again.
    """
    arguments = ["worktree", "add", "--detach", "--no-checkout", "--force", str(path), sha]
    for attempt in range(1, _ATTEMPTS + 1):
        with exclusive(path.parent):
            done = try_git(arguments, repository.root)
        if done.returncode == 0:
            return
        _remove(repository, path)
        if attempt == _ATTEMPTS:
            raise UsageError(f"git worktree add failed: {words(done)}", where=str(repository.root))
        time.sleep(_PAUSE_S * attempt)


def _remove(repository: "Repository", path: Path) -> None:
    """Remove a worktree and git's notes on it, in whatever state it is.

    Not `git worktree prune`: it would also forget worktrees of the user whose disk is not mounted right now.
    """
    remove_tree(path)
    remove_tree(_notes(repository, path))


def _notes(repository: "Repository", path: Path) -> Path:
    """Where git keeps a worktree's HEAD and index: under the name of its folder, which is unique."""
    return repository.common_dir / "worktrees" / path.name


def _fill_submodules(repository: "Repository", sha: Sha, path: Path, index: Path) -> None:
    """Check submodules out from the user's own copies of them; one that is not there stays an empty folder."""
    entries = repository.whole_tree(sha).entries
    for name, commit in ((name, oid) for name, (mode, oid) in entries.items() if mode == SUBMODULE):
        own = repository.root / name
        if not (own / ".git").exists() or not _is_inside(path, path / name):
            continue
        submodule = type(repository).discover(own)
        if submodule.find(commit) is not None:
            extra = {"GIT_WORK_TREE": str(path / name), "GIT_INDEX_FILE": str(index)}
            git(["read-tree", "--reset", "-u", commit], own, extra=extra)
            index.unlink()
            _fill_submodules(submodule, commit, path / name, index)


def _link(worktree_: Path, name: str, target: Path) -> None:
    link = worktree_ / normalise(name)
    if os.path.lexists(link):
        return
    if not _is_inside(worktree_, link.parent):
        raise UsageError(f"the data {name!r} leads out of the checkout through a symbolic link")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target.absolute())


def _is_inside(worktree_: Path, path: Path) -> bool:
    return path.resolve().is_relative_to(worktree_.resolve())


_NAMES = ("main", "master")


def _places(names: Iterable[str], remote: str) -> list[str]:
    """The refs that a branch of one of these names may have."""
    return [f"refs/{kind}/{name}" for name in names for kind in ("heads", f"remotes/{remote}")]


_LONGEST_LINK = 4096  # bytes, as Linux has it
UNSHALLOW = "Fetch the whole history: git fetch --unshallow (in GitHub Actions: actions/checkout with fetch-depth: 0)."


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A branch by its name, and the ref that stands for it here."""

    name: str
    sha: Sha


@dataclass(frozen=True)
class Repository:
    """A git repository with a working tree at `root`; in a linked worktree `git_dir` is not the `common_dir`.

    `folder` is where its mlbot.yaml is, as a path from the root; a repository may have several.
    """

    root: Path
    git_dir: Path
    common_dir: Path
    shallow: bool = False
    folder: str = ""
    _trees: dict[Sha, Tree] = field(default_factory=dict, repr=False, compare=False)
    _seen: dict[Sha, Tree] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def discover(cls, path: Path, folder: str | None = None) -> "Repository":
        """The repository that a path is in, seen from the nearest mlbot.yaml: the path's own, or one above it.

        `folder` names another, from the repository's root, whether or not it has an mlbot.yaml.
        """
        asked = ("--is-bare-repository", "--is-inside-work-tree", "--is-shallow-repository")
        done = try_git(["rev-parse", *asked, "--git-dir", "--git-common-dir", "--show-toplevel"], path)
        lines = done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n")
        if done.returncode != 0 or len(lines) != len(asked) + 3 or lines[1] != "true":
            raise _not_usable(path, lines, words(done))
        git_dir, common_dir, root = (path.absolute().joinpath(line).resolve() for line in lines[3:])
        if folder is None:
            inner = config_folder(path, root).relative_to(root).as_posix()
            folder = "" if inner == "." else inner
        return cls(root=root, git_dir=git_dir, common_dir=common_dir, shallow=lines[2] == "true", folder=folder)

    @property
    def project(self) -> Path:
        """The folder of mlbot.yaml; what that names is named from there."""
        return self.root / self.folder

    @property
    def state_dir(self) -> Path:
        """Where all that mlbot stores on this machine is: inside git's folder, so it is never committed."""
        return self.common_dir / "mlbot"

    def resolve(self, rev: str) -> Sha:
        """The commit that a revision names; raises `UsageError` if there is none."""
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
        """The branch that pull requests go into: the remote's HEAD, else main, master or init.defaultBranch."""
        usual = (f"refs/{kind}/{name}" for name in _NAMES for kind in ("heads", "remotes/*"))
        refs = self._refs("refs/remotes/*/HEAD", *usual)
        remote, name = _remote_head(refs)
        if name and name not in _NAMES:
            refs |= self._refs(*_places([name], remote))
        found = self._branch([name, *_NAMES] if name else _NAMES, remote, refs)
        found = found or self.branch(*self._configured(), remote=remote)
        if found is None:
            raise UsageError("cannot tell which branch to compare with", hint="Name it: --base BRANCH")
        return found

    def branch(self, *names: str, remote: str = "origin") -> Branch | None:
        """The first branch of these names that there is, here or as the remote had it when it was last fetched.

        Its commit is the local branch's; but the remote's when there is no local one, when the local one is merely
        behind, and when HEAD is at it: what it has more than the remote is then what a pull request would bring.
        """
        return self._branch(names, remote, self._refs(*_places(names, remote))) if names else None

    def _branch(self, names: Sequence[str], remote: str, refs: Mapping[str, str]) -> Branch | None:
        for name in names:
            local, tracked = refs.get(f"refs/heads/{name}"), refs.get(f"refs/remotes/{remote}/{name}")
            if local and tracked and local != tracked:
                return Branch(name=name, sha=self._tip(local, tracked))
            if local or tracked:
                return Branch(name=name, sha=local or tracked or "")
        return None

    def merge_base(self, one: Sha, other: Sha) -> Sha | None:
        """The best common ancestor; None for unrelated histories, `UsageError` where a shallow clone lacks it."""
        if one == other:
            return one
        done = try_git(["merge-base", one, other], self.root)
        if done.returncode not in {0, 1}:
            raise UsageError(f"git merge-base failed: {words(done)}", where=str(self.root))
        if not done.stdout and self.shallow:
            raise UsageError(
                f"this clone is shallow and does not hold the commit where {one[:10]} and {other[:10]} parted",
                hint=UNSHALLOW,
            )
        return done.stdout.decode().strip() or None

    def count_between(self, older: Sha, newer: Sha) -> int:
        """How many commits `newer` has that `older` has not."""
        if older == newer:
            return 0
        return int(git(["rev-list", "--count", f"{older}..{newer}"], self.root))

    def tree(self, sha: Sha) -> Tree:
        """Every file of a commit, seen from the folder of mlbot.yaml."""
        if sha not in self._seen:
            self._seen[sha] = self.whole_tree(sha).seen_from(self.folder)
        return self._seen[sha]

    def whole_tree(self, sha: Sha) -> Tree:
        """Every file of a commit with its mode and object id. Asked once of git for each commit."""
        if sha not in self._trees:
            entries = {path: (mode, oid) for mode, oid, path in list_tree(sha, self.root)}
            links = {path: oid for path, (mode, oid) in entries.items() if mode == SYMLINK}
            texts = read_objects(links.values(), self.root, largest=_LONGEST_LINK)
            targets = {path: texts[oid].decode("utf-8", "surrogateescape") for path, oid in links.items()}
            self._trees[sha] = Tree(entries, targets)
        return self._trees[sha]

    def read(self, sha: Sha, path: str) -> bytes:
        """A file of a commit; raises `UsageError` if the commit has no such file."""
        return self.read_many(sha, [path])[path]

    def read_many(self, sha: Sha, paths: Iterable[str]) -> Mapping[str, bytes]:
        """Several files of a commit by their paths, in one git process; symbolic links are followed."""
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
        """The contents of objects by their ids, in one git process."""
        return read_objects(oids, self.root)

    def each_blob(self, oids: Iterable[str], *, largest: int) -> Iterator[tuple[str, bytes]]:
        """The contents of objects one after the other, without those that are larger."""
        found = each_object(oids, self.root, largest=largest)
        return ((oid, content) for oid, _, content in found if content is not None)

    @property
    def is_clean(self) -> bool:
        """Whether HEAD has all that the working tree has, ignored files and what mlbot wrote aside."""
        out = git(["status", "--porcelain", "--untracked-files=all", "-z"], self.root).decode(
            "utf-8", "surrogateescape"
        )
        made = snapshot.outputs(self.root, self.state_dir)
        changes = (line[3:] for line in out.split("\0") if line)
        return all(any(path == each or path.startswith(f"{each}/") for each in made) for path in changes)

    def leave_out(self, paths: Iterable[Path]) -> None:
        """Take files and folders that mlbot writes for no part of the working tree, from now on."""
        snapshot.leave_out(self.root, self.state_dir, paths)

    def snapshot(self) -> snapshot.Snapshot:
        """The working tree as a commit; see `mlbot.git.snapshot`."""
        return snapshot.take(self.root, self.git_dir, self.state_dir)

    def worktree(self, sha: Sha, *, links: Mapping[str, Path] | None = None) -> AbstractContextManager[Path]:
        """A checkout of a commit in a folder of its own, gone at the end; see `mlbot.git.repository`."""
        return worktree(self, sha, links or {})

    def scratch(self) -> AbstractContextManager[Path]:
        """An empty folder for temporary files, gone at the end."""
        return scratch(self.state_dir)

    def content_digests(self, paths: Iterable[str]) -> Mapping[str, Digest]:
        """sha256 of the content of files that git does not track; see `mlbot.git.snapshot`."""
        return snapshot.digests(self.project, self.state_dir, paths)

    def watched_digests(self) -> AbstractContextManager[None]:
        """Hold this while trainings run; see `mlbot.git.snapshot.watched`."""
        return snapshot.watched(self.state_dir)

    def clean_up(self) -> tuple[Path, ...]:
        """Remove what killed runs left behind, and say what; living runs lose nothing. For the start of each run."""
        return (*clean_up(self), *heal(self.state_dir / SCRATCH, remove_tree))

    def _unknown(self, rev: str) -> UsageError:
        if self.find("HEAD") is None:
            return UsageError("the repository has no commit yet", where=str(self.root), hint="Commit something first.")
        hint = UNSHALLOW if self.shallow else "Fetch it, or correct its name; `git branch --all` lists the branches."
        return UsageError(f"git knows no commit {rev!r}", where=str(self.root), hint=hint)

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


def config_folder(path: Path, root: Path | None = None) -> Path:
    """The nearest folder with an mlbot.yaml, from one upwards to the repository's root; that where none has one."""
    here = path.resolve()
    folders = (here, *here.parents)
    top = root or next((each for each in folders if (each / ".git").exists()), here)
    above = [each for each in folders if each.is_relative_to(top)]
    return next((each for each in above if (each / CONFIG_FILE).is_file()), top)


def configs_of(path: Path) -> list[str]:
    """Every mlbot.yaml that git has or would commit, as it is named from a folder; none outside of a repository."""
    patterns = (f":(top,glob)**/{CONFIG_FILE}", f":(top){CONFIG_FILE}")
    arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    out = ""
    with suppress(UsageError):  # a config can be checked where there is no git
        out = try_git(arguments, path, extra={"GIT_LITERAL_PATHSPECS": "0"}).stdout.decode("utf-8", "surrogateescape")
    return sorted({name for name in out.split("\0") if name and (path / name).is_file()})


def _remote_head(refs: Mapping[str, str]) -> tuple[str, str | None]:
    """The remote that says which its default branch is, origin first, and that branch's name."""
    heads = {name.split("/")[2]: target for name, target in refs.items() if name.endswith("/HEAD@")}
    remote = "origin" if "origin" in heads or len(heads) != 1 else next(iter(heads))
    target = heads.get(remote)
    return remote, target.removeprefix(f"refs/remotes/{remote}/") if target else None


def _not_usable(path: Path, lines: list[str], output: str) -> UsageError:
    if lines[0] == "true" or lines[1:2] == ["false"]:
        return UsageError("this is git's own folder, or a bare repository", where=str(path), hint="Work in a checkout.")
    if "not a git repository" in output:
        return UsageError("this is not in a git repository", where=str(path), hint="Make one: git init")
    return UsageError(f"git cannot use this repository: {output}", where=str(path))
