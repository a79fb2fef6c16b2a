"""The registry's tags: all read by one `git for-each-ref`, each made and pushed once and never moved."""

from collections.abc import Iterator
from pathlib import Path

from mlbot.errors import RefusedError, UsageError
from mlbot.git.command import WHO, git, try_git, words
from mlbot.git.remote import Remote, failure
from mlbot.lib.record import Sha
from mlbot.lib.tree import TagRef

_FIELDS = ("refname:strip=2", "objectname", "objecttype", "*objectname", "*objecttype", "contents")
_FORMAT = "%00".join(f"%({field})" for field in _FIELDS) + "%00"
_LONGEST_MESSAGE = 65_536


def read_tags(repository: Path) -> tuple[TagRef, ...]:
    """Every tag of a repository, in the order of their names; bytes that are no UTF-8 are replaced."""
    out = git(["for-each-ref", f"--format={_FORMAT}", "refs/tags/"], repository)
    return tuple(_tags(out.decode("utf-8", "replace").split("\0")))


def _tags(fields: list[str]) -> Iterator[TagRef]:
    """Tags from their fields; no message can hold the zero byte that parts them."""
    width = len(_FIELDS)
    for start in range(0, len(fields) - width, width):
        name, sha, kind, peeled, peeled_kind, message = fields[start : start + width]
        annotated = kind == "tag"
        at, at_kind = (peeled, peeled_kind) if annotated else (sha, kind)
        yield TagRef(
            name=name.removeprefix("\n"),
            object_sha=sha,
            commit_sha=at if at_kind == "commit" else None,
            annotated=annotated,
            message=message[:_LONGEST_MESSAGE] if annotated else None,
        )


def create_tag(repository: Path, name: str, commit: Sha, message: str, when: int) -> Sha:
    """Make an annotated tag, `when` in Unix time; the same again makes nothing. The tag object, perhaps an older one.

    Raises:
        RefusedError: if there is a tag of that name at another commit, or a lightweight one.
        UsageError: if git takes neither the name nor the commit.
    """
    facts = f"object {commit}\ntype commit\ntag {name}\ntagger {WHO} {when} +0000\n\n{message}"
    made = git(["mktag"], repository, stdin=facts.encode()).decode().strip()
    done = try_git(["update-ref", f"refs/tags/{name}", made, "0" * len(made)], repository)
    if done.returncode == 0:
        return made
    there = _found(git(["for-each-ref", "--format=%(objectname) %(*objectname)", f"refs/tags/{name}"], repository))
    if there is None:
        raise UsageError(f"git cannot make the tag {name!r}: {words(done)}", where=str(repository))
    return _same(name, commit, there, "here")


def push_tag(repository: Path, remote: Remote, name: str) -> bool:
    """Push a tag that no other may have the name of; False where the remote has it at the same commit already.

    Raises `RefusedError` if it has it elsewhere, or the token or a rule forbids it; else as `failure` says.
    """
    ref = f"refs/tags/{name}"
    done = remote.run(["push", "--porcelain", "--no-follow-tags", remote.url, f"{ref}:{ref}"], repository)
    if done.returncode == 0:
        return done.stdout.startswith(b"*\t") or b"\n*\t" in done.stdout
    there = remote_tag(repository, remote, name)
    if there is None:
        raise failure(done, "writing", name, "tag")
    commit = git(["rev-parse", "--verify", f"{ref}^{{commit}}"], repository).decode().strip()
    _same(name, commit, there, "in the remote repository")
    return False


def remote_tag(repository: Path, remote: Remote, name: str) -> tuple[Sha, str] | None:
    """A tag of another repository: its object and the commit it is peeled to, empty for a lightweight tag."""
    done = remote.run(["ls-remote", "--tags", remote.url, f"refs/tags/{name}", f"refs/tags/{name}^{{}}"], repository)
    if done.returncode != 0:
        raise failure(done, "reading", name, "tag")
    lines = (line.partition("\t") for line in done.stdout.decode("utf-8", "replace").splitlines())
    rows = {ref: sha for sha, _, ref in lines}
    sha = rows.get(f"refs/tags/{name}")
    return (sha, rows.get(f"refs/tags/{name}^{{}}", "")) if sha else None


def _found(out: bytes) -> tuple[Sha, str] | None:
    sha, _, commit = out.decode().strip().partition(" ")
    return (sha, commit) if sha else None


def _same(name: str, commit: Sha, there: tuple[Sha, str], where: str) -> Sha:
    """The tag object that is there, if it is at the same commit."""
    sha, peeled = there
    if peeled == commit:
        return sha
    found = f"at commit {peeled[:10]}, not {commit[:10]}" if peeled else "lightweight, or points to no commit"
    raise RefusedError(
        f"there is a tag {name} {where} already, and it is {found}", hint="A version never moves: release another one."
    )
