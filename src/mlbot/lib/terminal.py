"""Text for a terminal: colours, wrapping, and tables of any script."""

import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

INDENT = "  "

_DIM = "2"

GAP = 2


@dataclass(frozen=True, slots=True)
class Cell:
    """Text of a table with how it is painted, empty for plainly."""

    text: str
    style: str = ""
    right: bool = False


@dataclass(frozen=True, slots=True)
class Pen:
    """What knows whether there is colour and how wide the terminal is."""

    color: bool
    width: int

    def paint(self, text: str, style: str) -> str:
        """The text in a style of ANSI (`1;31`)."""
        return f"\x1b[{style}m{text}\x1b[0m" if self.color and style and text else text

    def wrap(self, text: str, first: str = INDENT, rest: str | None = None) -> str:
        """One paragraph, wrapped to the width."""
        after = first if rest is None else rest
        return textwrap.fill(
            text,
            self.width,
            initial_indent=first,
            subsequent_indent=after,
            break_long_words=True,
            break_on_hyphens=False,
        )

    def table(self, head: Sequence[str], rows: Sequence[Sequence[Cell]], expendable: Sequence[int] = ()) -> str:
        """Columns as wide as their widest cell; `expendable` ones go, one after another, while it is too wide."""
        shown = list(range(len(head)))
        widths = [max(cells(each) for each in (title, *(row[i].text for row in rows))) for i, title in enumerate(head)]
        for column in expendable:
            if len(INDENT) + sum(widths[i] + GAP for i in shown) - GAP <= self.width:
                break
            shown.remove(column)
        titles = [Cell(head[i], _DIM, rows[0][i].right) for i in shown]
        lines = [titles, *([row[i] for i in shown] for row in rows)]
        return "\n".join(self._line(line, [widths[i] for i in shown]) for line in lines)

    def _line(self, row: Sequence[Cell], widths: Sequence[int]) -> str:
        padded = []
        for cell, width in zip(row, widths, strict=True):
            space = " " * (width - cells(cell.text))
            text = self.paint(cell.text, cell.style)
            padded.append(space + text if cell.right else text + space)
        return (INDENT + (" " * GAP).join(padded)).rstrip()


def cells(text: str) -> int:
    """How many columns of a terminal a text takes: East Asian characters two, combining marks none."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
