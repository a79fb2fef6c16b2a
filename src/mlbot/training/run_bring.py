"""Bring a model that was made elsewhere, and check that it is what its pin says."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from mlbot.config.schema import Model
from mlbot.config.train import Brought
from mlbot.config.yaml import load
from mlbot.errors import NotEvaluatedError
from mlbot.git.command import streamed
from mlbot.git.repository import Repository
from mlbot.ledger.entries import Environment, Origin
from mlbot.lib.artifact import Listing, Member, Unfit, UnfitError, checked_path
from mlbot.lib.constants import CONFIG_FILE, LFS_POINTER
from mlbot.lib.record import Digest, FileDigest, digest
from mlbot.lib.tree import SUBMODULE, SYMLINK, Entry, normalise, shown
from mlbot.plan.content_key import Side
from mlbot.storage.artifact import take_artifact
from mlbot.storage.digest import CHUNK, chunks_of, digest_of
from mlbot.storage.objects import fetch_url
from mlbot.storage.oci import fetch_pinned


class UnreachableError(NotEvaluatedError):
    """A model that cannot be had, or is not what its pin says: a fault, never a verdict."""


NOWHERE = Environment(lock=None, python="none", platform="none", packages=digest(""))
"""Where a model is trained that is not."""
_POINTER_BYTES = 1024
_EXECUTABLE = "100755"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bringing:
    """A model to bring, as one commit has it."""

    model: Model
    artifact: Brought
    side: Side
    repository: Repository
    key: str = "artifact"  # what of the model's section names it
    most: int | None = None  # the largest that it may be; None: as the model's limits have it

    def bring(self, output: Path) -> tuple[FileDigest, Origin]:
        """Put the file or folder at `output`: its digest, and what it is bound to.

        Raises:
            UnfitError: It is no artifact.
            UnreachableError: It cannot be had, or is not what its pin says.
        """
        most = self.most or self.model.most_bytes
        with tempfile.TemporaryDirectory(prefix="mlbot-bring-", dir=output.parent) as temporary:
            place = Path(temporary) / "artifact"
            try:
                pin = self._fetch(place, most)
            except UnreachableError:
                raise
            except NotEvaluatedError as error:
                raise UnreachableError(error.what, where=error.where or self._where, hint=error.hint) from error
            found = take_artifact(place, output, most)
        wanted = self.artifact.digest
        if wanted is not None and wanted != found.digest:
            hint = "Write the digest of the bytes that are meant; a folder has that of mlbot's listing of it."
            raise UnreachableError(f"its digest is {found.digest}, not {wanted}", where=self._where, hint=hint)
        return found, Origin(url=self.artifact.url, pin=pin or found.digest)

    def pinned(self) -> Digest | None:
        """The digest that the config, git, or Git LFS' pointers in it name; None where only a place elsewhere knows.

        Raises `UnfitError` where git has no artifact there.
        """
        if self.artifact.digest is not None or self.artifact.is_remote:
            return self.artifact.digest
        found = self.side.tree.match(self.artifact.url)
        if not found:
            return None
        members = [self._member(path, inside) for path, inside in self._places(found).items()]
        return Listing.of(members).digest if members[0].path else members[0].digest

    def _places(self, found: Iterable[str]) -> dict[str, str]:
        """Where in the artifact each file of git is: a path below it, or none for one that is all of it."""
        name = self.side.tree.named(self.artifact.url)
        for path in found:
            # What a link leads to may be anywhere in the repository, and is no path below the artifact.
            if path != name and not path.startswith(f"{name}/"):
                raise UnfitError(Unfit.LINK, f"{shown(self.artifact.url)} is, or holds, a symbolic link")
        return {path: path[len(name) + 1 :] and checked_path(path[len(name) + 1 :]) for path in sorted(found)}

    def _member(self, path: str, inside: str) -> Member:
        mode, oid = self._entry(path)
        with streamed(["cat-file", "blob", oid], self.repository.root) as content:
            head = content.read(_POINTER_BYTES)
            if head.startswith(LFS_POINTER):
                digits, size = _pointer(head)
            else:
                found, size = hashlib.sha256(head), len(head)
                while chunk := content.read(CHUNK):
                    found.update(chunk)
                    size += len(chunk)
                digits = found.hexdigest()
        return Member(path=inside, digest=f"sha256:{digits}", size_bytes=size, executable=mode == _EXECUTABLE)

    def _entry(self, path: str) -> Entry:
        mode, oid = self.side.tree.entries[path]
        if mode in {SYMLINK, SUBMODULE}:
            what = "a symbolic link" if mode == SYMLINK else "a submodule"
            raise UnfitError(Unfit.LINK, f"{shown(path)} is {what}")
        return mode, oid

    @property
    def _where(self) -> str:
        return f"{CONFIG_FILE}: models.{self.model.name}.{self.key}"

    def _fetch(self, place: Path, most: int) -> str | None:
        """Put what the artifact names into a place of ours; what it is bound to."""
        url = self.artifact.url
        if url.lower().startswith("oci://"):
            return fetch_pinned(url, place, most)
        if self.artifact.is_remote:
            return fetch_url(url, place, most)
        found = self.side.tree.match(url)
        if found:
            return self._from_git(found, place)
        return self._from_dvc(url, self.side.dvc_file(url), place)

    def _from_git(self, found: Iterable[str], place: Path) -> str:
        """The very bytes of the commit, whatever git's filters would make of them in a checkout."""
        for path, inside in self._places(found).items():
            mode, oid = self._entry(path)
            target = place / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            self._write(oid, path, target)
            target.chmod(0o755 if mode == _EXECUTABLE else 0o644)
        return f"git {self.side.tree.digest(frozenset(found))}"

    def _write(self, oid: str, path: str, target: Path) -> None:
        with streamed(["cat-file", "blob", oid], self.repository.root) as content:
            head = content.read(_POINTER_BYTES)
            if not head.startswith(LFS_POINTER):
                with target.open("wb") as stream:
                    stream.write(head)
                    shutil.copyfileobj(content, stream, CHUNK)
                return
        oid_of, size = _pointer(head)
        for place in self._lfs_places(oid_of, path):
            if place.is_file() and place.stat().st_size == size and digest_of(place) == f"sha256:{oid_of}":
                with target.open("wb") as stream:
                    stream.writelines(chunks_of(place))
                return
        raise UnreachableError(
            f"{shown(path)} is a pointer of Git LFS, and its file is not here",
            where=self._where,
            hint=f'Fetch it: git lfs install && git lfs pull --include="{shown(path)}" '
            "(in GitHub Actions: actions/checkout with lfs: true).",
        )

    def _lfs_places(self, oid: str, path: str) -> Iterator[Path]:
        yield self.repository.common_dir / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
        yield self.repository.project / path

    def _from_dvc(self, url: str, pointers: Iterable[str], place: Path) -> str:
        """What `dvc pull` has brought, if it is what the `.dvc` file of this very commit says."""
        pointer = next(iter(pointers))
        (oid,) = [self.side.tree.entries[pointer][1]]
        wanted = _md5(self.repository.blobs([oid])[oid], pointer)
        tracked = self.repository.project / pointer.removesuffix(".dvc")
        hint = f"Fetch it: dvc pull {pointer} (in GitHub Actions: a step before mlbot's)."
        # Of another commit's file DVC has what it ever fetched.
        cached = self.repository.project / ".dvc" / "cache" / "files" / "md5" / wanted[:2] / wanted[2:]
        if tracked.name == normalise(url).rpartition("/")[2] and cached.is_file() and _file_md5(cached) == wanted:
            shutil.copyfile(cached, place)
            return f"dvc md5 {wanted}"
        if not tracked.exists():
            raise UnreachableError(f"{shown(url)} is stored by DVC and is not here", where=self._where, hint=hint)
        found = _md5_of(tracked)
        if found != wanted:
            what = f"{shown(url)} is not what {shown(pointer)} says: its md5 is {found}, not {wanted}"
            raise UnreachableError(what, where=self._where, hint=hint)
        source = self.repository.project / normalise(url)
        if source.is_dir():
            shutil.copytree(source, place, symlinks=True)
        else:
            shutil.copyfile(source, place, follow_symlinks=True)  # DVC may link to its cache
        return f"dvc md5 {wanted}"


def _pointer(content: bytes) -> tuple[str, int]:
    """The sha256 and the size that a Git LFS pointer names."""
    lines = dict(line.partition(" ")[::2] for line in content.decode("utf-8", "replace").splitlines())
    oid, size = lines.get("oid", "").removeprefix("sha256:"), lines.get("size", "")
    if len(oid) != 64 or set(oid) - set("0123456789abcdef") or not (size.isascii() and size.isdigit()):
        raise UnfitError(Unfit.UNREADABLE, "it is a pointer of Git LFS that cannot be read")
    return oid, int(size)


def _md5(content: bytes, pointer: str) -> str:
    """The md5 that a `.dvc` file names for its one output."""
    data: Any = load(content, pointer).data
    outs = data.get("outs") if isinstance(data, dict) else None
    out = outs[0] if isinstance(outs, list) and len(outs) == 1 and isinstance(outs[0], dict) else {}
    found = out.get("md5")
    if not isinstance(found, str):
        raise UnreachableError("it names no md5 of one output", where=pointer, hint="Add it again: dvc add.")
    return found


def _md5_of(path: Path) -> str:
    """A file's or folder's md5 as DVC has it."""
    if not path.is_dir():
        return _file_md5(path)
    files = (each for each in path.rglob("*") if each.is_file())
    rows = [{"md5": _file_md5(each), "relpath": each.relative_to(path).as_posix()} for each in files]
    listed = json.dumps(sorted(rows, key=itemgetter("relpath")), sort_keys=True)
    return f"{hashlib.md5(listed.encode(), usedforsecurity=False).hexdigest()}.dir"


def _file_md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
