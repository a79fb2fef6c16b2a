"""The two streams: stdout carries the result, stderr the progress."""

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TextIO

_REDRAW_S = 0.1


def wants_color(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether to colour what goes to `stream`: NO_COLOR, then FORCE_COLOR, then a terminal that is not CI.

    CI is asked by its variable because some runners give every step a terminal.
    """
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return stream.isatty() and not environment.get("CI") and environment.get("TERM") != "dumb"


@dataclass(kw_only=True)
class Console:
    """Where results and progress go."""

    quiet: bool = False  # say nothing but results and errors
    color: bool = False  # whether stdout takes ANSI colours
    live: bool = False  # whether stderr is a person's terminal, where a passing line may be drawn over
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    _drawn: bool = False
    _drawn_at: float = 0.0

    @classmethod
    def of_process(cls, *, quiet: bool) -> "Console":
        """The console of this process."""
        return cls(quiet=quiet, color=wants_color(sys.stdout, os.environ), live=wants_color(sys.stderr, os.environ))

    @property
    def width(self) -> int:
        """Columns of the result: those of a terminal, else enough for a table."""
        return _columns(1, 100) if self.out is sys.stdout else 100

    def result(self, text: str) -> None:
        """Write a part of the result to stdout."""
        self._wipe()
        self.out.write(text if text.endswith("\n") else text + "\n")
        self.out.flush()

    def say(self, text: str) -> None:
        """Tell of a step, on a line of its own that stays."""
        if not self.quiet:
            self.error(text)

    def passing(self, text: str) -> None:
        """Show what goes on right now: in a terminal on one line that is drawn over, elsewhere not at all."""
        now = time.monotonic()
        if self.quiet or not self.live or now - self._drawn_at < _REDRAW_S:
            return
        self._drawn, self._drawn_at = True, now
        self.err.write(f"\r\x1b[K\x1b[2m{text[: _columns(2, 80) - 1]}\x1b[0m")
        self.err.flush()

    def error(self, text: str) -> None:
        """Write to stderr whatever `quiet` says."""
        self._wipe()
        self.err.write(text + "\n")
        self.err.flush()

    def _wipe(self) -> None:
        if self._drawn:
            self.err.write("\r\x1b[K")
            self._drawn = False


def _columns(descriptor: int, otherwise: int) -> int:
    try:
        return os.get_terminal_size(descriptor).columns or otherwise
    except OSError:
        return otherwise
