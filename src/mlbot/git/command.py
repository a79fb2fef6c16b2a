"""Running git so that nothing but its arguments decides what it does."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mlbot.errors import NotEvaluatedError, UsageError

_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=",  # empty, not "false": before git 2.36 the value was the name of a program
    "core.safecrlf=false",
    "core.splitIndex=false",
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",  # a process after each fetch, to find that there is nothing to do
    "i18n.commitEncoding=UTF-8",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "advice.addEmbeddedRepo=false",
    "advice.graftFileDeprecated=false",
)

_PASSED = ("GIT_CONFIG_", "GIT_SSH", "GIT_SSL_", "GIT_LFS_", "GIT_TRACE", "GIT_ASKPASS", "GIT_CEILING_DIRECTORIES")
"""What may stay of the GIT_* variables: who the user is, never which repository, index or object folder to use."""

_DROPPED = "GIT_CONFIG_PARAMETERS"
"""The `-c` options of a git command that started mlbot, from an alias or a hook: they were meant for that command."""


_EMAIL = "mlbot@users.noreply.github.com"
WHO = f"mlbot <{_EMAIL}>"
"""Who mlbot's own commits and tags are by."""


def signed(when: int) -> dict[str, str]:
    """The variables that make a commit mlbot's own, `when` in Unix time."""
    facts = {"NAME": "mlbot", "EMAIL": _EMAIL, "DATE": f"@{when} +0000"}
    return {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in facts.items()}


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without the variables that would lead git elsewhere."""
    passed = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or (name.startswith(_PASSED) and name != _DROPPED)
    }
    fixed = {
        "LC_ALL": "C",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_GRAFT_FILE": os.devnull,
        "GIT_LITERAL_PATHSPECS": "1",
    }
    return passed | fixed | dict(extra or {})


def try_git(
    arguments: Sequence[str], cwd: Path, *, stdin: bytes = b"", extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a git command to its end, whatever it ends in; raises `UsageError` only when there is no git."""
    try:
        return subprocess.run(
            _command(arguments), cwd=cwd, env=environment(extra), input=stdin, capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise _missing(cwd) from error


def _command(arguments: Sequence[str]) -> list[str]:
    return ["git", *(word for setting in _SETTINGS for word in ("-c", setting)), *arguments]


def _missing(cwd: Path) -> UsageError:
    if not cwd.is_dir():
        return UsageError(f"there is no folder {cwd}")
    return UsageError("git is not installed", hint="Install git 2.25 or newer.")


@contextmanager
def streamed(arguments: Sequence[str], cwd: Path, stdin: bytes = b"") -> Iterator[IO[bytes]]:
    """What a git command writes to stdout, to be read while it runs; an exception of the reader's ends it.

    Raises `UsageError` with git's own words if it fails. For output whose size a stranger decides.
    """
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as errors:
        given.write(stdin)
        given.seek(0)
        try:
            process = subprocess.Popen(
                _command(arguments), cwd=cwd, env=environment(), stdin=given, stdout=subprocess.PIPE, stderr=errors
            )
        except FileNotFoundError as error:
            raise _missing(cwd) from error
        with process:
            try:
                if process.stdout is not None:
                    yield process.stdout
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            errors.seek(0)
            done = subprocess.CompletedProcess(process.args, process.returncode, b"", errors.read(_MOST_WORDS))
            raise UsageError(f"git {arguments[0]} failed: {words(done)}", where=str(cwd))


def git(arguments: Sequence[str], cwd: Path, *, stdin: bytes = b"", extra: Mapping[str, str] | None = None) -> bytes:
    """What a git command wrote to stdout; raises `UsageError` with git's own words if it fails."""
    done = try_git(arguments, cwd, stdin=stdin, extra=extra)
    if done.returncode != 0:
        raise UsageError(f"git {arguments[0]} failed: {words(done)}", where=str(cwd))
    return done.stdout


def make_bare(folder: Path, config: str = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n") -> None:
    """Make of a folder what `git init --bare` would make of it, without a process and what the user's template has."""
    for name in ("objects", "refs"):
        (folder / name).mkdir()
    (folder / "HEAD").write_text("ref: refs/heads/main\n", encoding="utf-8")
    (folder / "config").write_text(config, encoding="utf-8", errors="surrogateescape")


def words(done: subprocess.CompletedProcess[bytes]) -> str:
    """What git said about its failure."""
    text = done.stderr.decode("utf-8", "replace").strip()
    return text or f"it ended with exit code {done.returncode} and said nothing"


MOST_ENTRIES = 300_000
_BYTES_OF_ENTRY = 224  # as many as a list may have of them on average
_MOST_WORDS = 10_000
_LONGEST_PATH = 4096  # bytes, as Linux has it
_DEEPEST = 256
_LARGEST = 128 << 20  # a holdout in git among them; GitHub takes no file of more than 100 MB
_CHUNK = 1 << 16


def list_tree(rev: str, cwd: Path, *paths: str, most: int | None = None) -> Iterator[tuple[str, str, str]]:
    """Mode, object id and path of each file of a commit or tree (of those in `paths`), in git's order.

    Raises `NotEvaluatedError` beyond `most` files and folders (None: `MOST_ENTRIES`), before any of it is parsed: a few
    objects that contain each other name more files than a memory holds.
    """
    # -t: folders count too, for one that holds nothing but folders is walked without an entry being written.
    listed = _counted(["ls-tree", "-r", "-t", "-z", "--full-tree", rev, "--", *paths], rev, cwd, most or MOST_ENTRIES)
    start = 0
    while (end := listed.find(b"\0", start)) >= 0:
        mode, kind, rest = listed[start:end].split(b" ", 2)
        oid, _, path = rest.partition(b"\t")
        if len(path) > _LONGEST_PATH or path.count(b"/") > _DEEPEST:
            raise _too_big(rev, f"has a path of more than {_LONGEST_PATH:,} bytes or {_DEEPEST} folders")
        if kind != b"tree":
            # Interned, for there are four modes and hundreds of thousands of files.
            yield sys.intern(mode.decode()), oid.decode(), path.decode("utf-8", "surrogateescape")
        start = end + 1


def list_names(rev: str, cwd: Path, *paths: str, most: int | None = None) -> list[str]:
    """The paths of the files of a commit in `paths`, without what they are; bounds as `list_tree`."""
    listed = _counted(
        ["ls-tree", "-r", "-z", "--name-only", "--full-tree", rev, "--", *paths], rev, cwd, most or MOST_ENTRIES
    )
    return listed.decode("utf-8", "surrogateescape").split("\0")[:-1]


def _counted(arguments: Sequence[str], rev: str, cwd: Path, most: int) -> bytearray:
    listed, entries = bytearray(), 0
    with streamed(arguments, cwd) as out:
        while chunk := out.read(_CHUNK):
            listed += chunk
            entries += chunk.count(b"\0")
            if entries > most:
                raise _too_big(rev, f"holds more than {most:,} files and folders")
            if len(listed) > most * _BYTES_OF_ENTRY:
                raise _too_big(rev, f"has more than {most * _BYTES_OF_ENTRY >> 20} MiB of paths")
    return listed


def _too_big(rev: str, what: str) -> NotEvaluatedError:
    return NotEvaluatedError(
        f"it is too big: it {what}",
        where=f"commit {rev[:10]}",
        hint="Take generated and downloaded files out of git; data can be outside of it, behind a URL.",
    )


def read_objects(oids: Iterable[str], cwd: Path, *, largest: int = _LARGEST) -> Mapping[str, bytes]:
    """The contents of objects by their ids, in one git process.

    Raises `UsageError` when the repository lacks one, and `NotEvaluatedError` when one is larger than `largest` bytes.
    """
    read = dict[str, bytes]()
    for oid, size, content in each_object(oids, cwd, largest=largest):
        if content is None:
            raise NotEvaluatedError(
                f"the file is too big: it has {size:,} bytes, and mlbot reads at most {largest:,} of such a file",
                where=f"git object {oid[:10]}",
                hint="Take it out of git; data can be outside of it, behind a URL.",
            )
        read[oid] = content
    return read


def each_object(oids: Iterable[str], cwd: Path, *, largest: int) -> Iterator[tuple[str, int, bytes | None]]:
    """Objects one after the other, with their sizes and contents; no content of one that is larger."""
    wanted = list(dict.fromkeys(oids))
    if not wanted:
        return
    with streamed(["cat-file", "--batch"], cwd, "".join(f"{oid}\n" for oid in wanted).encode()) as out:
        yield from _objects(out, largest)


def _objects(out: IO[bytes], largest: int) -> Iterator[tuple[str, int, bytes | None]]:
    """What `cat-file --batch` writes: a line `<oid> <type> <size>`, the bytes, a newline; and so on."""
    while line := out.readline():
        header = line.decode().split()
        if len(header) != 3:
            raise UsageError(
                f"the object {header[0]} is not in the repository", hint="Fetch it: git fetch, or repair: git fsck."
            )
        size = int(header[2])
        yield header[0], size, out.read(size) if size <= largest else None
        left = 1 if size <= largest else size + 1
        while left > 0 and (skipped := out.read(min(left, _CHUNK))):
            left -= len(skipped)
