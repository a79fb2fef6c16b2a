"""Files and folders are read without being led astray, and written whole or not at all."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlbot.errors import NotEvaluatedError
from mlbot.lib.artifact import LISTING, MOST_DEPTH, MOST_FILES, Listing, Member, Unfit, UnfitError
from mlbot.lib.record import digest
from mlbot.storage.artifact import copy, lay_out, listing_of, measured, pack, take_artifact, unpack, verify
from mlbot.storage.digest import chunks_of


def folder(path: Path) -> Path:
    """A folder with a file, a nested one and a program."""
    (path / "nested").mkdir(parents=True)
    (path / "weights").write_bytes(b"w" * 10)
    (path / "nested" / ".hidden").write_bytes(b"")
    (path / "run").write_bytes(b"#!")
    (path / "run").chmod(0o750)
    return path


def test_a_file_has_its_plain_digest(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"model")
    found = take_artifact(tmp_path / "file", tmp_path / "out" / "file", 5)
    assert (found.digest, found.size_bytes) == (digest(b"model"), 5)
    assert (tmp_path / "out" / "file").read_bytes() == b"model"
    assert listing_of(tmp_path / "file") is None


def test_a_folder_is_taken_with_its_modes(tmp_path: Path) -> None:
    found = take_artifact(folder(tmp_path / "model"), tmp_path / "out", 12)
    listing = listing_of(tmp_path / "out")
    assert listing is not None
    assert (found.digest, found.size_bytes) == (listing.digest, 12)
    modes = [(each.path, each.executable) for each in listing.members]
    assert modes == [("nested/.hidden", False), ("run", True), ("weights", False)]
    assert listing == listing_of(tmp_path / "model")
    assert [(tmp_path / "out" / path).stat().st_mode & 0o777 for path in ("", "run", "weights")] == [
        0o755,
        0o555,
        0o444,
    ]


def test_the_digest_is_of_content_not_of_the_disk(tmp_path: Path) -> None:
    one, other = measured(folder(tmp_path / "one")), folder(tmp_path / "other")
    os.utime(other / "weights", (0, 0))
    (other / "weights").chmod(0o600)
    assert measured(other) == one
    (other / "run").chmod(0o644)
    assert measured(other) != one


def _deep(path: Path) -> None:
    path.joinpath(*"x" * MOST_DEPTH).mkdir(parents=True)
    path.joinpath(*"x" * MOST_DEPTH, "file").write_text("x")


def _many(path: Path) -> None:
    path.mkdir()
    for number in range(MOST_FILES + 1):
        (path / str(number)).touch()


def _socket(path: Path) -> None:
    path.mkdir()
    there = os.getcwd()  # noqa: PTH109 - the name of a socket has to be short
    os.chdir(path)
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("s")
    os.chdir(there)


def _inside(name: str | bytes, make: Callable[[Path], object]) -> Callable[[Path], None]:
    def made(path: Path) -> None:
        folder(path)
        make(path / os.fsdecode(name))

    return made


CASES: dict[str, tuple[Callable[[Path], object], Unfit]] = {
    "nothing": (lambda _: None, Unfit.MISSING),
    "a link": (lambda path: path.symlink_to("/etc/passwd"), Unfit.LINK),
    "a link to a folder": (lambda path: path.symlink_to("/etc"), Unfit.LINK),
    "an empty file": (Path.touch, Unfit.EMPTY),
    "an empty folder": (Path.mkdir, Unfit.EMPTY),
    "a pipe": (os.mkfifo, Unfit.SPECIAL),
    "a large file": (lambda path: path.write_bytes(b"x" * 101), Unfit.TOO_LARGE),
    "a listing": (lambda path: path.write_bytes(LISTING + b"[]"), Unfit.LISTING),
    "a link inside": (_inside("link", lambda path: path.symlink_to("weights")), Unfit.LINK),
    "a link to a folder inside": (_inside("link", lambda path: path.symlink_to("nested")), Unfit.LINK),
    "a pipe inside": (_inside("pipe", os.mkfifo), Unfit.SPECIAL),
    "a socket inside": (_socket, Unfit.UNREADABLE),
    "an empty folder inside": (_inside("empty", Path.mkdir), Unfit.EMPTY_FOLDER),
    "a listing inside": (_inside("file", lambda path: path.write_bytes(LISTING)), Unfit.LISTING),
    "too much together": (_inside("file", lambda path: path.write_bytes(b"x" * 90)), Unfit.TOO_LARGE),
    "no UTF-8": (_inside(b"\xff", Path.touch), Unfit.NAME),
    "a control character": (_inside("a\x1bb", Path.touch), Unfit.NAME),
    "a backslash": (_inside("a\\b", Path.touch), Unfit.NAME),
    "names alike": (_inside("WEIGHTS", Path.touch), Unfit.TWINS),
    "folders alike": (_inside("Nested", Path.mkdir), Unfit.EMPTY_FOLDER),
    "too deep": (_deep, Unfit.TOO_DEEP),
    "too many": (_many, Unfit.TOO_MANY),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_no_artifact(tmp_path: Path, name: str) -> None:
    make, why = CASES[name]
    make(tmp_path / "it")
    with pytest.raises(UnfitError) as error:
        take_artifact(tmp_path / "it", tmp_path / "out", 100)
    assert error.value.why is why
    assert [each.name for each in tmp_path.iterdir() if each.name != "it"] == []


def test_two_spellings_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "it").mkdir()
    for name in ("e\N{COMBINING ACUTE ACCENT}", "\N{LATIN SMALL LETTER E WITH ACUTE}"):
        (tmp_path / "it" / name).touch()
    with pytest.raises(UnfitError) as error:
        take_artifact(tmp_path / "it", tmp_path / "out", 100)
    assert error.value.why is Unfit.TWINS


def test_a_name_is_taken_in_its_composed_form(tmp_path: Path) -> None:
    (tmp_path / "it").mkdir()
    (tmp_path / "it" / "e\N{COMBINING ACUTE ACCENT}").write_text("x")
    found = take_artifact(tmp_path / "it", tmp_path / "out", 100)
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["\N{LATIN SMALL LETTER E WITH ACUTE}"]
    assert measured(tmp_path / "out") == found


def test_what_changes_meanwhile_leads_nowhere(tmp_path: Path) -> None:
    """A folder that is exchanged for a link again and again: what is taken is inside, or nothing is."""
    it, secret = folder(tmp_path / "it"), tmp_path / "secret"
    secret.mkdir()
    (secret / ".hidden").write_text("secret")
    stop = threading.Event()

    def exchange() -> None:
        while not stop.is_set():
            (it / "nested").rename(it / "aside")
            (it / "nested").symlink_to(secret)
            (it / "nested").unlink()
            (it / "aside").rename(it / "nested")

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        for number in range(60):
            try:
                take_artifact(it, tmp_path / f"out-{number}", 100)
            except (UnfitError, OSError):
                continue
            for file in (tmp_path / f"out-{number}").rglob(".hidden"):
                assert file.read_text() == ""
    finally:
        stop.set()
        thread.join()


def test_a_folder_is_laid_out_whole_or_not_at_all(tmp_path: Path) -> None:
    source = folder(tmp_path / "source")
    listing = listing_of(source)
    assert listing is not None
    copy(source, tmp_path / "copied", listing.digest)
    assert verify(tmp_path / "copied", listing.digest).size_bytes == 12
    with pytest.raises(NotEvaluatedError, match="run: there are more than 2 bytes"):
        lay_out(listing, tmp_path / "other", lambda each: [b"bad"] if each.path == "run" else [b""], where="x")
    assert {each.name for each in tmp_path.iterdir()} == {"source", "copied"}


def test_equal_files_are_asked_for_once(tmp_path: Path) -> None:
    (tmp_path / "it").mkdir()
    for name in "abc":
        (tmp_path / "it" / name).write_text("same")
    listing, asked = listing_of(tmp_path / "it"), list[str]()
    assert isinstance(listing, Listing)

    def content(each: Member) -> Iterator[bytes]:
        asked.append(each.path)
        return chunks_of(tmp_path / "it" / each.path)

    lay_out(listing, tmp_path / "out", content, where="x")
    assert (asked, listing_of(tmp_path / "out")) == (["a"], listing)


def test_other_bytes_are_refused(tmp_path: Path) -> None:
    it = folder(tmp_path / "it")
    found = measured(it)
    (it / "weights").write_bytes(b"v" * 10)
    for act in (lambda: verify(it, found.digest), lambda: copy(it, tmp_path / "out", found.digest)):
        with pytest.raises(NotEvaluatedError, match="changed or damaged"):
            act()
    with pytest.raises(NotEvaluatedError, match="there is no such file"):
        verify(tmp_path / "nothing", found.digest)


def test_a_folder_travels_as_one_file(tmp_path: Path) -> None:
    it = folder(tmp_path / "it")
    (it / "nested" / "again").write_bytes(b"w" * 10)
    found = measured(it)
    pack(it, tmp_path / "packed", found.digest)
    assert unpack(tmp_path / "packed", tmp_path / "out", 22) == found
    assert listing_of(tmp_path / "out") == listing_of(it)
    assert (tmp_path / "packed").read_bytes().count(b"w" * 10) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: raw[:-1], "does not hold what its listing names"),
        (lambda raw: raw + b"x", "does not hold what its listing names"),
        (lambda raw: raw.replace(b"wwww", b"vvvv"), "changed or damaged"),
        (lambda raw: raw.replace(b'"weights"', b'"../ights"'), "no path inside"),
        (lambda raw: raw.replace(b"mlbot-tree-v1", b"mlbot-tree-v2"), "cannot be read"),
        (lambda raw: raw.replace(b"]\n", b"] "), "cannot be read"),
        (lambda _: b"", "cannot be read"),
    ],
)
def test_what_travelled_is_not_believed(tmp_path: Path, change: Callable[[bytes], bytes], words: str) -> None:
    it = folder(tmp_path / "it")
    pack(it, tmp_path / "packed", measured(it).digest)
    (tmp_path / "packed").write_bytes(change((tmp_path / "packed").read_bytes()))
    with pytest.raises((UnfitError, NotEvaluatedError), match=words):
        unpack(tmp_path / "packed", tmp_path / "out", 100)
    assert {each.name for each in tmp_path.iterdir()} == {"it", "packed"}


def test_what_travelled_may_be_too_large(tmp_path: Path) -> None:
    it = folder(tmp_path / "it")
    pack(it, tmp_path / "packed", measured(it).digest)
    with pytest.raises(UnfitError, match="at most 11"):
        unpack(tmp_path / "packed", tmp_path / "out", 11)
