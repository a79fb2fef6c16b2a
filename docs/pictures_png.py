"""PNG files made small: blank rows at the end cut off, few colours, packed well. The standard library and numpy do."""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")
_TRUECOLOUR, _INDEXED = 2, 3
_MOST_COLOURS = 64
"""Grey steps of text and the few colours of a report need no more."""

_PACKING = 9


def shrunk(png: bytes, margin: int) -> bytes:
    """A screenshot without its blank end, in 64 colours.

    Args:
        png: Truecolour, 8 bits a channel, not interlaced, as Chromium writes them.
        margin: Rows to leave below the last one that is not blank.

    Returns:
        A PNG file with a palette; it carries nothing but pixels, so equal pictures are equal bytes.

    Raises:
        ValueError: The file is of another kind, or has no blank end, so that something was cut off.
    """
    return _indexed(_trimmed(_pixels(png), margin))


def height(png: bytes) -> int:
    """Rows of a picture."""
    _, rows, *_ = _HEADER.unpack(next(_chunks(png))[1])
    return int(rows)


def _pixels(png: bytes) -> Bytes:
    """Rows by columns by red, green and blue."""
    chunks = list(_chunks(png))
    width, height, depth, colour, _, _, interlaced = _HEADER.unpack(chunks[0][1])
    if (depth, colour, interlaced) != (8, _TRUECOLOUR, 0):
        raise ValueError("the screenshot is no plain truecolour PNG")
    packed = b"".join(data for kind, data in chunks if kind == b"IDAT")
    lines = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 3 * width + 1)
    rows = np.zeros((height, width, 3), np.uint8)
    above = np.zeros((width, 3), np.uint8)
    for number, line in enumerate(lines):
        above = rows[number] = _unfiltered(int(line[0]), line[1:].reshape(width, 3), above)
    return rows


def _unfiltered(kind: int, line: Bytes, above: Bytes) -> Bytes:
    """A row as it was before its filter (PNG specification, section 9)."""
    match kind:
        case 0:
            return line
        case 1:
            return np.add.accumulate(line, axis=0, dtype=np.uint8)
        case 2:
            return line + above
        case _:
            return _unfiltered_slowly(kind, line.tolist(), above.tolist())


def _unfiltered_slowly(kind: int, line: list[list[int]], above: list[list[int]]) -> Bytes:
    """Average and Paeth, in which each pixel needs the one before it."""
    left, corner = [0, 0, 0], [0, 0, 0]
    for now, up in zip(line, above, strict=True):
        for k in range(3):
            guess = (left[k] + up[k]) // 2 if kind == 3 else _paeth(left[k], up[k], corner[k])
            now[k] = (now[k] + guess) & 255
        left, corner = now, up
    return np.array(line, np.uint8)


def _paeth(left: int, up: int, corner: int) -> int:
    estimate = left + up - corner
    to_left, to_up, to_corner = abs(estimate - left), abs(estimate - up), abs(estimate - corner)
    if to_left <= to_up and to_left <= to_corner:
        return left
    return up if to_up <= to_corner else corner


def _trimmed(pixels: Bytes, margin: int) -> Bytes:
    blank = (pixels == pixels[-1, 0]).all(axis=(1, 2))
    if not blank[-1]:
        raise ValueError("the page is higher than the window, so that its end is cut off")
    return pixels[: int(np.flatnonzero(~blank)[-1]) + 1 + margin]


def _indexed(pixels: Bytes) -> bytes:
    height, width, _ = pixels.shape
    codes = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    found, place, counts = np.unique(codes, return_inverse=True, return_counts=True)
    colours = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1).astype(np.float64)
    chosen, nearest = _palette(colours, counts)
    rows = nearest[place.reshape(height, width)].astype(np.uint8)
    lines = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1)
    header = _HEADER.pack(width, height, 8, _INDEXED, 0, 0, 0)
    palette = colours[chosen].astype(np.uint8).tobytes()
    packed = zlib.compress(lines.tobytes(), _PACKING)
    written = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", packed), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in written)


def _palette(colours: NDArray[np.float64], counts: NDArray[np.int64]) -> tuple[list[int], NDArray[np.int64]]:
    """The colours to keep, and for each colour the place of the kept one that stands for it.

    Each step keeps the colour that is seen worst so far: many pixels of it, far from all that are kept.
    """
    chosen = [int(counts.argmax())]
    distance = _distance(colours, chosen[0])
    nearest = np.zeros(len(colours), np.int64)
    while len(chosen) < _MOST_COLOURS and distance.any():
        worst = int((distance * counts).argmax())
        other = _distance(colours, worst)
        nearest[other < distance] = len(chosen)
        distance = np.minimum(distance, other)
        chosen.append(worst)
    return chosen, nearest


def _distance(colours: NDArray[np.float64], place: int) -> NDArray[np.float64]:
    squared: NDArray[np.float64] = ((colours - colours[place]) ** 2).sum(axis=1)
    return squared


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(_SIGNATURE)
    while place < len(png):
        (size,) = struct.unpack(">I", png[place : place + 4])
        yield png[place + 4 : place + 8], png[place + 8 : place + 8 + size]
        place += size + 12


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
