"""What a training prints: claims, a tail and progress, from hostile text of any length."""

import math
import string
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.ml.log import Log, claims, clean

NAMES = ("roc_auc", "f1", "f1_macro", "log_loss")
LIMIT = 500


def _log(path: Path | None = None, *, clock: list[float] | None = None) -> tuple[Log, list[str]]:
    said: list[str] = []
    times = clock if clock is not None else [0.0]
    return Log(path, said.append, name="m seed 0", metrics=NAMES, clock=lambda: times[-1]), said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("roc_auc=0.91", {"roc_auc": 0.91}),
        ("  roc_auc : 0.91.", {"roc_auc": 0.91}),
        ('{"roc_auc": 0.91, "f1": "0.5"}', {"roc_auc": 0.91, "f1": 0.5}),
        ("f1_macro=0.1 f1=.2", {"f1_macro": 0.1, "f1": 0.2}),
        ("log_loss: -1e-3", {"log_loss": -0.001}),
        ("roc_auc=0.5\nroc_auc=0.7", {"roc_auc": 0.7}),
        ("\x1b[1mroc_auc\x1b[0m: \x1b[32m0.9\x1b[0m", {"roc_auc": 0.9}),
        ("roc_auc=1", {"roc_auc": 1.0}),
    ],
)
def test_claims_are_found(text: str, expected: dict[str, float]) -> None:
    assert claims(text, NAMES) == expected


@pytest.mark.parametrize(
    "text",
    [
        "val_roc_auc=0.9",
        "roc_auc@women=0.9",
        "x.roc_auc=0.9",
        "roc_auc=nan",
        "roc_auc=inf",
        "roc_auc=1e999",
        "roc_auc=91%",
        "roc_auc=0.9x",
        "roc_auc=1.2.3",
        "roc_auc=\n0.9",
        "roc_auc 0.9",
        "roc_auc=" + "9" * 1000,
        "roc_aucs=0.9",
    ],
)
def test_what_is_no_claim_is_not_taken_for_one(text: str) -> None:
    assert claims(text, NAMES) == {}


def test_a_number_that_is_not_finite_does_not_replace_one() -> None:
    assert claims("roc_auc=0.9\nroc_auc=nan\nroc_auc=1e400", NAMES) == {"roc_auc": 0.9}


def test_no_names_no_claims() -> None:
    assert claims("roc_auc=0.9", ()) == {}


@given(st.text(), st.sets(st.text(min_size=1, max_size=10), max_size=4))
def test_claims_of_any_text_are_finite_numbers_of_the_names(text: str, names: set[str]) -> None:
    found = claims(text, names)
    assert found.keys() <= names
    assert all(math.isfinite(value) for value in found.values())


@given(
    st.sampled_from(NAMES),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["=", ": ", " = ", "\t:\t"]),
    st.text(alphabet=string.ascii_letters + " \n(,[", max_size=20).filter(lambda t: not t or not t[-1].isalnum()),
)
def test_whatever_python_prints_of_a_float_is_read_back(name: str, value: float, sign: str, before: str) -> None:
    assert claims(f"{before}{name}{sign}{value!r}\n", NAMES) == {name: value}


@given(st.text())
def test_a_clean_line_holds_nothing_that_a_terminal_obeys(line: str) -> None:
    got = clean(line)
    assert len(got) <= LIMIT + 100
    assert not any(unicodedata.category(letter).startswith("C") for letter in got)
    assert "##[" not in got


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://example.org\x1b\\link", "link"),
        ("a\u202eb\u200bc\x00", "abc"),
        ("a\tb  ", "a b"),
        ("##[error]x ##[set-env]", "## [error]x ## [set-env]"),
        ("x" * 1000, "x" * LIMIT),
        ("\x1b", ""),
    ],
)
def test_lines_are_cleaned(line: str, expected: str) -> None:
    assert clean(line) == expected


def test_lines_are_put_together_from_pieces_cut_anywhere() -> None:
    text = "\n".join(f"häppy {number}" for number in range(10)) + "\nroc_auc=0.75"
    raw = text.encode()
    for size in (1, 2, 3, 7, len(raw)):
        log, said = _log()
        for start in range(0, len(raw), size):
            log.write(raw[start : start + size])
        log.finish()
        assert log.tail == tuple(text.split("\n"))
        assert said == [f"m seed 0 | {line}" for line in text.split("\n")]
        assert log.claims == {"roc_auc": 0.75}


def test_only_the_last_twenty_lines_are_kept() -> None:
    log, _ = _log()
    log.write(b"".join(b"%d\n" % number for number in range(1000)))
    assert log.tail == tuple(str(number) for number in range(980, 1000))


def test_a_progress_bar_makes_lines() -> None:
    log, _ = _log()
    log.write(b"10 %\r20 %\r\n30 %")
    log.finish()
    assert log.tail == ("10 %", "20 %", "30 %")


def test_progress_is_rate_limited_and_says_what_it_leaves_out() -> None:
    clock = [0.0]
    log, said = _log(clock=clock)
    log.write(b"x\n" * 100)
    assert len(said) == 20
    clock.append(2.5)
    log.write(b"y\n" * 5)
    assert said[20:] == ["m seed 0 | (80 lines not shown)", "m seed 0 | y", "m seed 0 | y"]
    log.finish()
    assert said[-1] == "m seed 0 | (3 lines not shown)"


def test_binary_garbage_is_survived(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "log.txt"
    garbage = bytes(range(256)) * 1000
    log, said = _log(path)
    with log:
        log.write(garbage)
    assert path.read_bytes() == garbage
    assert all(unicodedata.category(letter)[0] != "C" for line in (*said, *log.tail) for letter in line)


@pytest.mark.parametrize("block", [b"a line of some length\n" * 2979, b"\0" * 65536, b"x" * 65536])
def test_a_flood_does_not_fill_the_disk(block: bytes, tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    said: list[str] = []
    with Log(path, said.append, name="m", metrics=NAMES, keep_bytes=200_000, clock=lambda: 0.0) as log:
        for _ in range(20):
            log.write(block)
    note = b"\n[mlbot: the log is longer; the rest was not kept]\n"
    assert path.read_bytes() == (block * 20)[:200_000] + note
    assert len(said) <= 21
    assert all(len(line) <= LIMIT for line in log.tail)
