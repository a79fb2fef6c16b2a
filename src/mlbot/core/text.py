"""The bytes of a file that a person wrote, as text that is fit to be parsed."""

import re

from mlbot.core.config_error import ConfigError, ConfigProblem, show_path
from mlbot.core.document import KeyPath, Position

MAX_BYTES = 2 * 1024 * 1024
MAX_DEPTH = 64
"""Levels of mappings and lists inside each other."""

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def decode(text: bytes | str, source: str) -> str:
    """A file's content as text: UTF-8, not too long, without control characters.

    Raises:
        ConfigError: It is not.
    """
    if len(text) > MAX_BYTES:
        raise refusal(f"a file of {len(text):,} bytes", f"keep it below {MAX_BYTES:,} bytes", source)
    decoded = _utf8(text, source) if isinstance(text, bytes) else text.removeprefix("\ufeff")
    if bad := _UNPRINTABLE.search(decoded):
        found, mend = f"the control character U+{ord(bad[0]):04X}", "delete it, or write it as an escape in quotes"
        raise refusal(found, mend, source, _place_of(decoded, bad.start()))
    return decoded


def _utf8(text: bytes, source: str) -> str:
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = Position(text.count(b"\n", 0, error.start) + 1, 1)
        raise refusal("bytes that are no UTF-8", "save the file as UTF-8", source, place) from error


def _place_of(text: str, index: int) -> Position:
    return Position(text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))


def refusal(found: str, mend: str, source: str, place: Position | None = None, path: KeyPath = ()) -> ConfigError:
    """One problem that ends the reading."""
    line, column = place or (None, None)
    return ConfigError(
        [ConfigProblem(line=line, column=column, path=show_path(path), found=found, mend=mend)], source=source
    )
