"""The script that makes the documentation's pictures, but for the browser and the training."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support import samples

import pictures
import pictures_browser
import pictures_png

SCRIPT = Path(pictures.__file__)
LOOK = pictures_browser.Stylesheet(
    css=dict.fromkeys(pictures_browser.THEMES, ""), icons=dict.fromkeys(pictures.ALERTS.values(), "<svg ></svg>")
)
COLOURS = np.array([[255, 255, 255], [31, 35, 40], [207, 34, 46], [9, 105, 218]], np.uint8)


def picture(blank: int = 6) -> NDArray[np.uint8]:
    """Forty rows of four colours, then blank ones."""
    places = np.random.default_rng(3).integers(0, len(COLOURS), (40, 7))
    return np.concatenate([COLOURS[places], np.full((blank, 7, 3), 255, np.uint8)])


def screenshot(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG file whose rows take turns in the five filters."""
    height, width, _ = pixels.shape
    padded = np.pad(pixels.astype(int), ((1, 0), (1, 0), (0, 0)))
    lines = bytearray()
    for number in range(height):
        now, left = padded[number + 1, 1:], padded[number + 1, :-1]
        up, corner = padded[number, 1:], padded[number, :-1]
        nearest = np.abs(np.stack([left, up, corner]) - (left + up - corner)).argmin(axis=0)
        guesses = (0 * now, left, up, (left + up) // 2, np.choose(nearest, [left, up, corner]))
        lines += bytes([number % 5]) + (now - guesses[number % 5]).astype(np.uint8).tobytes()
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0),
        b"IDAT": zlib.compress(lines),
        b"IEND": b"",
    }
    chunks = (struct.pack(">I", len(data)) + kind + data + b"\0\0\0\0" for kind, data in parts.items())
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def shown(png: bytes) -> NDArray[np.uint8]:
    """The pixels of a file with a palette and unfiltered rows."""
    place, parts = 8, dict[bytes, bytes]()
    while place < len(png):
        size, kind = struct.unpack(">I4s", png[place : place + 8])
        parts[kind] = data = png[place + 8 : place + 8 + size]
        assert struct.unpack(">I", png[place + 8 + size : place + 12 + size]) == (zlib.crc32(kind + data),)
        place += size + 12
    width, height = struct.unpack(">II", parts[b"IHDR"][:8])
    rows = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not rows[:, 0].any()
    palette = np.frombuffer(parts[b"PLTE"], np.uint8).reshape(-1, 3)
    return palette[rows[:, 1:]]


def test_a_picture_loses_its_blank_end_and_nothing_else() -> None:
    pixels = picture()
    found = pictures_png.shrunk(screenshot(pixels), margin=2)
    assert pictures_png.height(found) == 42
    assert (shown(found) == pixels[:42]).all()


def test_many_colours_become_the_nearest_of_few() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, axis=2)
    found = shown(pictures_png.shrunk(screenshot(np.concatenate([ramp, ramp[-1:]])), margin=1))
    assert np.unique(found).size == 64
    assert np.abs(found[:256].astype(int) - ramp[: len(found)]).max() <= 4


def test_a_page_that_is_cut_off_is_no_picture() -> None:
    with pytest.raises(ValueError, match="higher than the window"):
        pictures_png.shrunk(screenshot(picture(blank=0)), margin=0)


@pytest.mark.parametrize(("name", "alert"), [("failing", "caution"), ("passing", "tip"), ("refused", "important")])
def test_a_comment_looks_like_githubs(name: str, alert: str) -> None:
    page = pictures.comment(samples.SAMPLES[name](), LOOK, "dark")
    assert page.count(f'<div class="markdown-alert markdown-alert-{alert}">') == 1
    assert "[!" not in page
    assert "charts.invalid" not in page
    assert page.count("data:image/svg+xml;base64,") == 2 * page.count("<picture>")


def test_what_is_missing_is_said_in_a_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--out", tmp_path / "images"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Install Chromium (on Debian: apt install chromium), which draws the pictures.\n"
    assert not (tmp_path / "images").exists()
