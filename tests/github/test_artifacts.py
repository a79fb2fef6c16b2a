"""Archives from strangers: what is unpacked, and what never is."""

import io
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.tiers import examples

from mlbot.github.artifacts import ArchiveRefusedError, Contents, Refusal, packed, unpack, unpack_each

MODEL, LINEAGE = b"\x08\x08onnx" * 50, b'{"model": "m"}'
LIMITS = Contents(files={"model.onnx": 1000, "training.json": 100}, archive_bytes=5000)
GOOD = {"model.onnx": MODEL, "training.json": LINEAGE}


def info(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.external_attr = mode << 16
    made.compress_type = zipfile.ZIP_DEFLATED
    return made


def archive(*members: tuple[zipfile.ZipInfo | str, bytes], comment: bytes = b"") -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        warnings.simplefilter("ignore")  # duplicate names are what is made here
        for member, content in members:
            opened.writestr(member, content)
        opened.comment = comment
    return file.getvalue()


def good(**others: bytes) -> bytes:
    return archive(*(GOOD | others).items())


def unpacked(raw: bytes, folder: Path, contents: Contents = LIMITS) -> dict[str, bytes]:
    path = folder / "a.zip"
    path.write_bytes(raw)
    target = folder / "out"
    target.mkdir(exist_ok=True)
    return {name: file.read_bytes() for name, file in unpack(path, target, contents).items()}


def test_what_a_training_uploads(tmp_path: Path) -> None:
    assert unpacked(good(), tmp_path) == GOOD
    assert stat.S_IMODE((tmp_path / "out" / "model.onnx").stat().st_mode) == 0o600


def test_stored_and_in_any_order(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as opened:
        opened.writestr("training.json", LINEAGE)
        opened.writestr("model.onnx", MODEL)
    assert unpacked(file.getvalue(), tmp_path) == GOOD


class Unseekable(io.BytesIO):
    """What upload-artifact writes to: sizes follow the data."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise OSError

    def seek(self, *_: int) -> int:
        raise OSError


def test_streamed_with_sizes_behind_the_data(tmp_path: Path) -> None:
    file = Unseekable()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in GOOD.items():
            opened.writestr(name, content)
    assert unpacked(file.getvalue(), tmp_path) == GOOD


PACK = packed({"a": 2, "b": 1}, {"a": 500, "b": 500})


def test_the_limits_of_a_job_of_trainings() -> None:
    assert {f"{each}/model.onnx" for each in ("a/0", "a/1", "b/0")} < set(PACK.files)
    assert PACK.files["a/1/model.onnx"] == 500
    assert 3 * 500 < PACK.archive_bytes < 60_000_000


def each_of(raw: bytes, tmp_path: Path) -> dict[str, bytes | Refusal]:
    (tmp_path / "archive.zip").write_bytes(raw)
    (tmp_path / "out").mkdir()
    found = unpack_each(tmp_path / "archive.zip", tmp_path / "out", PACK)
    return {name: each.read_bytes() if isinstance(each, Path) else each.refusal for name, each in found.items()}


def test_of_a_jobs_archive_what_is_wanted_is_taken_and_what_is_bad_is_refused_alone(tmp_path: Path) -> None:
    raw = archive(
        ("a/0/model.onnx", MODEL),
        ("a/1/model.onnx", b"x" * 501),
        (info("b/0/model.onnx", LINK), b"/etc/passwd"),
        ("a/2/model.onnx", MODEL),  # a seed that nobody asks for
        ("../a/0/model.onnx", b"evil"),
        ("a/0/../1/training.json", b"evil"),
        ("b/0/failure.json", b"{}"),
    )
    assert each_of(raw, tmp_path) == {
        "a/0/model.onnx": MODEL,
        "a/1/model.onnx": Refusal.TOO_LARGE,
        "b/0/model.onnx": Refusal.NOT_A_FILE,
        "b/0/failure.json": b"{}",
    }
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert written == ["archive.zip", "out/a/0/model.onnx", "out/b/0/failure.json"]


def test_a_file_that_is_longer_than_it_says_is_refused_alone(tmp_path: Path) -> None:
    raw = archive(("a/0/model.onnx", MODEL), ("a/1/model.onnx", MODEL))
    short = patched(raw, CENTRAL, 24, (1).to_bytes(4, "little"))
    found = each_of(short, tmp_path)
    assert found["a/0/model.onnx"] is Refusal.DAMAGED
    assert found["a/1/model.onnx"] == MODEL


@pytest.mark.parametrize(
    ("raw", "refusal"),
    [
        (archive(("a/0/model.onnx", MODEL), ("a/0/model.onnx", MODEL)), Refusal.DUPLICATE),
        (b"PK", Refusal.NOT_AN_ARCHIVE),
        (archive(*((f"{number}" * 50, b"") for number in range(9_999))), Refusal.WRONG_FILES),
    ],
)
def test_a_jobs_archive_that_is_refused_whole(raw: bytes, refusal: Refusal, tmp_path: Path) -> None:
    with pytest.raises(ArchiveRefusedError) as caught:
        each_of(raw, tmp_path)
    assert caught.value.refusal is refusal


def patched(raw: bytes, start: bytes, offset: int, value: bytes, which: int = 0) -> bytes:
    """The archive with some bytes of its n-th record of a kind changed."""
    at = -1
    for _ in range(which + 1):
        at = raw.index(start, at + 1)
    return raw[: at + offset] + value + raw[at + offset + len(value) :]


CENTRAL, LOCAL, END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"
LINK = stat.S_IFLNK | 0o777
REST = ("training.json", LINEAGE)
CASES: list[tuple[str, Callable[[], bytes], Refusal]] = [
    ("no archive at all", lambda: b"PK", Refusal.NOT_AN_ARCHIVE),
    ("nothing", lambda: b"", Refusal.NOT_AN_ARCHIVE),
    ("a pickle", lambda: b"\x80\x04" + b"x" * 100, Refusal.NOT_AN_ARCHIVE),
    ("bytes behind the end", lambda: good() + b"x", Refusal.NOT_AN_ARCHIVE),
    ("a comment", lambda: archive(*GOOD.items(), comment=b"PK"), Refusal.NOT_AN_ARCHIVE),
    ("a zip64 locator", lambda: good()[:-22] + b"PK\x06\x07" + bytes(16) + good()[-22:], Refusal.NOT_AN_ARCHIVE),
    ("two disks", lambda: patched(good(), END, 4, b"\x01\x00"), Refusal.NOT_AN_ARCHIVE),
    ("a missing file", lambda: archive(("model.onnx", MODEL)), Refusal.WRONG_FILES),
    ("one more file", lambda: good(evil=b"x"), Refusal.WRONG_FILES),
    ("an empty archive", archive, Refusal.WRONG_FILES),
    ("another name", lambda: archive(("model.pkl", MODEL), REST), Refusal.WRONG_FILES),
    ("a folder before the name", lambda: archive(("x/model.onnx", MODEL), REST), Refusal.WRONG_FILES),
    ("a path that leads out", lambda: archive(("../model.onnx", MODEL), REST), Refusal.WRONG_FILES),
    ("an absolute path", lambda: archive(("/model.onnx", MODEL), REST), Refusal.WRONG_FILES),
    ("a backslash", lambda: archive(("..\\model.onnx", MODEL), REST), Refusal.WRONG_FILES),
    ("other case", lambda: archive(("Model.onnx", MODEL), REST), Refusal.WRONG_FILES),
    (
        "a name that a NUL cuts",
        lambda: good().replace(b"model.onnx", b"model.onn\0"),
        Refusal.WRONG_FILES,
    ),
    ("a name twice", lambda: archive(("model.onnx", MODEL), ("model.onnx", b"other")), Refusal.DUPLICATE),
    ("a symbolic link", lambda: archive((info("model.onnx", LINK), b"/etc/passwd"), REST), Refusal.NOT_A_FILE),
    ("a fifo", lambda: archive((info("model.onnx", stat.S_IFIFO | 0o644), b""), REST), Refusal.NOT_A_FILE),
    ("a device", lambda: archive((info("model.onnx", stat.S_IFCHR | 0o644), b""), REST), Refusal.NOT_A_FILE),
    ("a folder by mode", lambda: archive((info("model.onnx", stat.S_IFDIR | 0o755), b""), REST), Refusal.NOT_A_FILE),
    ("encrypted", lambda: patched(good(), CENTRAL, 8, b"\x01\x00"), Refusal.ENCRYPTED),
    ("an unknown method", lambda: patched(good(), CENTRAL, 10, b"\x0e\x00"), Refusal.UNKNOWN_METHOD),
    ("too large a file", lambda: archive(("model.onnx", b"x" * 1001), REST), Refusal.TOO_LARGE),
    ("too large an archive", lambda: good(**{"model.onnx": bytes(range(256)) * 40}) + b"x" * 5000, Refusal.TOO_LARGE),
    ("a bomb that says so", lambda: archive(("model.onnx", b"0" * 10_000_000), REST)[-5000:], Refusal.TOO_LARGE),
    ("a wrong checksum", lambda: patched(good(), CENTRAL, 16, b"\0\0\0\0"), Refusal.DAMAGED),
    ("a local name that differs", lambda: patched(good(), LOCAL, 30, b"MODEL"), Refusal.DAMAGED),
    ("cut in the middle", lambda: good()[:40] + good()[60:], Refusal.DAMAGED),
    ("no data where it should be", lambda: patched(good(), CENTRAL, 42, b"\xff\xff\x00\x00"), Refusal.DAMAGED),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "refusal"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_refused_leaves_nothing(raw: Callable[[], bytes], refusal: Refusal, tmp_path: Path) -> None:
    contents = LIMITS if refusal is not Refusal.TOO_LARGE else Contents(files=LIMITS.files, archive_bytes=4000)
    with pytest.raises(ArchiveRefusedError) as caught:
        unpacked(raw(), tmp_path, contents)
    assert caught.value.refusal is refusal
    assert list((tmp_path / "out").iterdir()) == []


def test_a_bomb_that_lies_about_its_size(tmp_path: Path) -> None:
    raw = archive(("model.onnx", b"0" * 100_000), REST)
    small = struct.pack("<L", 900)
    lying = patched(patched(raw, CENTRAL, 24, small), LOCAL, 22, small)
    with pytest.raises(ArchiveRefusedError) as caught:
        unpacked(lying, tmp_path)
    assert caught.value.refusal is Refusal.DAMAGED
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_that_is_there_already_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.onnx").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        unpacked(good(), tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_directory_of_many_entries_is_not_read(tmp_path: Path) -> None:
    raw = archive(*((f"{number}", b"") for number in range(3000)))
    with pytest.raises(ArchiveRefusedError, match="exactly 2 files"):
        unpacked(raw, tmp_path, Contents(files=LIMITS.files, archive_bytes=10**9))


def test_a_strangers_name_is_not_repeated(tmp_path: Path) -> None:
    raw = archive(("::error::<script>", b""), REST)
    with pytest.raises(ArchiveRefusedError) as caught:
        unpacked(raw, tmp_path)
    assert "script" not in str(caught.value)


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(200))
def test_any_change_to_a_good_archive_is_seen_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    raw = bytearray(good())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    target = tmp_path / "out"
    try:
        assert unpacked(bytes(raw), tmp_path) == GOOD
    except ArchiveRefusedError:
        assert list(target.iterdir()) == []
    finally:
        for file in target.iterdir():
            file.unlink()


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_refused(tmp_path: Path, raw: bytes) -> None:
    with pytest.raises(ArchiveRefusedError):
        unpacked(raw + good()[-22:], tmp_path)


BESIDE = Contents(files={"model.onnx": 1000}, archive_bytes=5000, beside=True)


def test_of_the_judges_own_archive_one_file_may_be_taken(tmp_path: Path) -> None:
    assert unpacked(good(other=b"x"), tmp_path, BESIDE) == {"model.onnx": MODEL}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.onnx"]


@pytest.mark.parametrize(
    ("raw", "refusal"),
    [
        (archive(("other", b"x")), Refusal.WRONG_FILES),
        (archive(("model.onnx", MODEL), ("model.onnx", b"other")), Refusal.DUPLICATE),
        (archive((info("model.onnx", LINK), b"/etc/passwd"), REST), Refusal.NOT_A_FILE),
    ],
)
def test_the_file_that_is_taken_is_looked_at_all_the_same(raw: bytes, refusal: Refusal, tmp_path: Path) -> None:
    with pytest.raises(ArchiveRefusedError) as caught:
        unpacked(raw, tmp_path, BESIDE)
    assert caught.value.refusal is refusal
