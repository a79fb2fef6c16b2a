"""Whose words a line is: the same as what GitHub's own Markdown shows, for any comment."""

import re
from html.parser import HTMLParser

import cmarkgfm
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.tiers import examples

from mlbot.commands.markdown import author_lines


class Shown(HTMLParser):
    """Collects the marked words that stand in no quotation and no code."""

    NOT_OWN = frozenset({"blockquote", "code", "pre"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not self.NOT_OWN & set(self.open):
            self.words.update(re.findall(r"/word\d+x", data))


def shown(body: str) -> set[str]:
    """The lines that are one marked word and that cmark-gfm shows as a person's own; raw HTML is left out by it."""
    words = Shown(str(cmarkgfm.github_flavored_markdown_to_html(body))).words
    return words & set(body.split("\n"))


def own(body: str) -> list[str]:
    return [line for _, line in author_lines(body)]


@pytest.mark.parametrize(
    "body",
    [
        "/retrain",
        "Flaky, I think.\n/retrain",
        "Flaky, I think.\n\n/retrain\n\nThanks!",
        "/retrain\n-- \nAda",
        "- one\n- two\n\n/retrain",
        "- one\n- two\n/retrain",
        "> quoted\n\n/retrain",
        "> ```\n> code\n> ```\n/retrain",
        "```\ncode\n```\n/retrain",
        "~~~ python\n```\n~~~\n/retrain",
        "```` md\n```\n````\n/retrain",
        "    code\n/retrain",
        "<!-- a note -->\n/retrain",
        "<details>\n\n/retrain\n\n</details>",
        "a `span` and\n/retrain `x`",
        "a ` alone\n/retrain",
        "a \\` b\n/retrain\n` c",
        "a <!-- never closed\n/retrain",
        "# heading\n/retrain",
        "***\n/retrain",
        "- ```\n/retrain",
    ],
)
def test_said(body: str) -> None:
    assert [line.split(" `")[0] for line in own(body)] == ["/retrain"]


@pytest.mark.parametrize(
    "body",
    [
        " /retrain",
        "    /retrain",
        "\t/retrain",
        "please /retrain",
        "`/retrain`",
        "> /retrain",
        ">/retrain",
        "> quoted\n/retrain",
        "> - quoted\n/retrain",
        "- > quoted\n/retrain",
        ">\n>\n> quoted\nand on\n/retrain",
        "- /retrain",
        "1. a\n\n   /retrain",
        "```\n/retrain\n```",
        "```\n/retrain",
        "   ~~~~\n~~~\n/retrain\n~~~~",
        "````\n```\n/retrain\n````",
        "``` a\n``` b\n/retrain",
        "<!--\n/retrain\n-->",
        "<!-- a\n\n/retrain\n-->",
        "<pre>\n\n/retrain\n</pre>",
        "<div>\n/retrain\n</div>",
        "a `span\n/retrain\nb`",
        "a ``span ` \n/retrain\nb``",
        "a <!-- note\n/retrain\n--> b",
        'a <a title="\n/retrain\n"> b',
        "<?\n/retrain\n?>",
        "<![CDATA[\n/retrain\n]]>",
        "<!X\n/retrain\n>",
        f"{'> ' * 40}a\n/retrain",
        '[a]: /url "\n/retrain\n"',
        "[a]:\n/retrain",
        "![\n/retrain\n](a)",
        "[a](\n/retrain)",
    ],
)
def test_not_said(body: str) -> None:
    assert own(body) == []


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_as_markdown_counts_them(end: str) -> None:
    body = end.join(["a\u2028b\x0bc", "", "/one", "```", "/two", "```", "/three"])
    assert author_lines(body) == [(3, "/one"), (7, "/three")]


def test_a_line_keeps_its_words() -> None:
    assert own("/retrain\tmodel  \u00a0x  ") == ["/retrain\tmodel  \u00a0x  "]


@pytest.mark.parametrize("mark", ["\U000f0000", "\U000f0001", "\ue000", "\U0010fffd", "\0", "\ud800"])
def test_characters_that_markdown_has_no_use_for_change_nothing(mark: str) -> None:
    """Lines are marked with private characters on their way through the parser: a comment's own do not count."""
    lines = ("? quoted ?", "", "`?`?", "/one ?", "```", "?", "/two", "```", "?/three", "<!--?", "/four", "-->")
    assert author_lines("\n".join(lines).replace("?", mark)) == [(4, f"/one {mark}")]


def test_as_many_lines_as_a_comment_can_have() -> None:
    found = author_lines("/\n" * 32_768)
    assert [number for number, _ in found] == list(range(1, 32_769))


PIECES = (
    *("", "   ", "a", "\t", "\tx", "# h", "---", "-----", "===", "***", "* * *", "_ _ _", "    code", "     deep"),
    *(
        "- b",
        "-",
        "*",
        "-   ",
        "- \t",
        "-\ta",
        "- - - q",
        "1. c",
        "2) d",
        "1.",
        "10. x",
        "123456789. y",
        "  - n",
        "+ >",
    ),
    *("> e", ">", "- > f", "> - g", "  >", "   > x", "    > y", ">x", "> ```", "> # h"),
    *("```", "~~~", "````", "  ```", "- ```", "  indented", "``` a`b", "~~~ a`b", "```` c"),
    *("`x", "y`", "``z", "\\`", "\\", "w``", "<!-- c", "d -->", "text <!-- in", "--> out", "<!-->", "<!--->"),
    *(
        "<details>",
        "</details>",
        "<b>",
        "</b>",
        "<pre>",
        "</pre>",
        "<script>",
        "</script> x",
        "<div/>",
        "<x-y>",
        " <p>",
    ),
    *("<a b='", "'>", 'a <i c="', '">', "<?", "?>", "<!X", "<![CDATA[", "]]>", "<br>", "<a b", "x>", "</a >"),
)
BESIDE = ("", " ", "  ", "   ", "    ", "> ", "- ", "1. ", "  > ")


def body_of(draws: bytes) -> str:
    """A comment of marked words and pieces of Markdown, one byte or two a line."""
    lines: list[str] = []
    for index, draw in enumerate(draws):
        if draw < 90:
            lines.append(f"/word{index}x")
        elif draw < 110:
            lines.append(f"{BESIDE[draw % len(BESIDE)]}/word{index}x")
        elif draw < 130 and lines and not lines[-1].startswith("/"):
            lines[-1] += BESIDE[draw % 5] + PIECES[(draw * 7 + index) % len(PIECES)]
        else:
            lines.append(PIECES[(draw + 31 * index) % len(PIECES)])
    return "\n".join(lines)


@settings(max_examples=examples(400))
@given(st.lists(st.binary(min_size=2, max_size=10), min_size=25, max_size=25))
@example([b""])
def test_what_github_shows_is_what_is_said(draws: list[bytes]) -> None:
    for body in map(body_of, draws):
        assert {line for line in own(body) if line.startswith("/word")} == shown(body), body


@settings(max_examples=examples(300))
@given(st.text(alphabet=st.sampled_from("/ab `~<>!-\\\n\t >'\"=?[]1.#*_&\r\u00a0"), max_size=60))
def test_any_mixture_is_read(body: str) -> None:
    lines = body.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in author_lines(body):
        assert lines[number - 1] == line
        assert line.startswith("/")
