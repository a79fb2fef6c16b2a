"""Which lines of a comment are its author's own words, as GitHub shows them."""

import re

MAX_COMMENT = 65_536
"""Characters of GitHub's longest comment. What is longer is no comment, and not given to the parser, which is C."""
_FIRST_MARK = 0xF0000
# Null, surrogates and private characters: Markdown gives none of them a meaning, and UTF-8 has no surrogates.
_NOT_TEXT = re.compile("[\0\ud800-\udfff\ue000-\uf8ff\U000f0000-\U0010ffff]")
_OWN_LINE = re.compile("^/", re.MULTILINE)
_PIECE = re.compile("<(?P<end>/?)(?P<tag>[a-z]*)[^>]*>|[\U000f0000-\U000ffffd]")
_NOT_OWN = frozenset({"blockquote", "code", "pre"})


def author_lines(body: str) -> list[tuple[int, str]]:
    """The lines that start with `/` and are neither quoted, code nor HTML, with their numbers from 1.

    Args:
        body: Markdown, with any of the three line ends of CommonMark.
    """
    lines = body.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    numbers = [number for number, line in enumerate(lines, 1) if line.startswith("/")]
    if not numbers or len(body) > MAX_COMMENT:
        return []
    from cmarkgfm.cmark import markdown_to_html

    marks = iter(range(_FIRST_MARK, _FIRST_MARK + len(numbers)))
    marked = _OWN_LINE.sub(lambda _: f"{chr(next(marks))}/", _NOT_TEXT.sub("\ufffd", "\n".join(lines)))
    shown: list[int] = []
    hidden = 0
    for piece in _PIECE.finditer(markdown_to_html(marked)):
        if piece["tag"] in _NOT_OWN:
            hidden += -1 if piece["end"] else 1
        elif piece["tag"] is None and not hidden:
            shown.append(numbers[ord(piece[0]) - _FIRST_MARK])
    return [(number, lines[number - 1]) for number in shown]
