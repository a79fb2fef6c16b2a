"""Text from outside comes out as text."""

import json
from html.parser import HTMLParser
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.hostile_samples import LINKS, NASTY, TEXTS, as_github, skeleton

from mlbot.lib import escape

PLACES = {
    "paragraph": "before {} after",
    "start of a line": "{}",
    "list": "- {}\n- {}",
    "quote": "> {}",
    "bold": "**{}:** x",
    "cell": "| a | b |\n|---|---|\n| {} | {} |",
    "sub": "<sub>{}</sub>",
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@given(text=TEXTS)
def test_no_text_changes_the_markdown_around_it(place: str, text: str) -> None:
    harmless, _ = skeleton(as_github(place.replace("{}", escape.md("harmless"))))
    tags, texts = skeleton(as_github(place.replace("{}", escape.md(f"x{text}"))))
    assert tags == harmless
    assert not LINKS.search(texts)


@pytest.mark.parametrize("text", NASTY)
def test_no_text_starts_a_block(text: str) -> None:
    tags, _ = skeleton(as_github(f"{escape.md(text)}\n"))
    assert tags in (["p", "/p"], [("p", ()), "/p"], [])


@given(TEXTS)
def test_what_is_shown_is_what_was_written(text: str) -> None:
    _, texts = skeleton(as_github(f"x{escape.md(text)}"))
    assert texts.strip().replace("\u200b", "").split() == f"x{escape.clean(text)}".split()


@given(TEXTS)
def test_code_is_one_code_element(text: str) -> None:
    for place in ("a {} b", "| a |\n|---|\n| {} |"):
        harmless, _ = skeleton(as_github(place.replace("{}", escape.code("harmless"))))
        tags, _ = skeleton(as_github(place.replace("{}", escape.code(text))))
        assert tags == harmless


@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_no_line_closes_a_fence(lines: list[str]) -> None:
    tags, texts = skeleton(as_github(f"before\n\n{escape.fence(tuple(lines))}\n\nafter"))
    harmless, _ = skeleton(as_github(f"before\n\n{escape.fence(('harmless',))}\n\nafter"))
    assert tags == harmless
    assert texts.split() == ["before", "after"]


def test_a_fence_keeps_the_end_of_a_long_log() -> None:
    shown = escape.fence(tuple(f"line {n}" for n in range(500)), most=3)
    assert shown == "```text\nline 497\nline 498\nline 499\n```"


@given(TEXTS)
def test_html_is_text_in_elements_and_attributes(text: str) -> None:
    seen: list[tuple[str, dict[str, str | None]]] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.append((tag, dict(attrs)))

    parser = Parser()
    parser.feed(f'<p title="{escape.html(text)}">{escape.html(text)}</p>')
    parser.close()
    assert seen == [("p", {"title": escape.clean(text)})]


@given(st.recursive(TEXTS | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=8))
def test_json_in_a_script_element_ends_nothing(value: object) -> None:
    text = escape.script(value)
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028\u2029")


def test_json_refuses_what_is_no_json() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        escape.script(float("nan"))


@given(st.text())
def test_clean_text_is_one_visible_line(text: str) -> None:
    line = escape.clean(text, 50)
    assert len(line) <= 50
    assert line == " ".join(line.split())
    assert line.isprintable()


def test_of_megabytes_only_the_start_is_looked_at() -> None:
    """A cell of a stranger's table, which a report shows in many places."""

    class Text(str):  # noqa: SLOT000 - a string that remembers
        def __getitem__(self, at: Any) -> str:
            seen.append(at.stop)
            return str.__getitem__(self, at)

        def __str__(self) -> Self:
            return self

    seen: list[int] = []
    assert escape.clean(Text("x" * 1_000_000), 50) == "x" * 49 + "…"
    assert max(seen) <= 1000
    assert escape.clean(" " * 10_000 + "x", 50) == "…"  # no text passes for shorter than it is


@pytest.mark.parametrize("char", ["\u202e", "\u2066", "\u200b", "\ufeff", "\x1b", "\u3164", "\ue000"])
def test_what_cannot_be_seen_is_shown_to_be_there(char: str) -> None:
    assert escape.clean(f"a{char}b") == "a\ufffdb"


def test_indentation_of_a_log_is_kept() -> None:
    assert escape.clean_keeping_indent("    raise  ValueError") == "    raise ValueError"


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("https://github.com/acme/income/actions/runs/7412", True),
        ("javascript:alert(1)", False),
        ("https://x.example/) [evil](https://evil.example", False),
        ('https://x.example/"onclick="x', False),
        ("data:text/html,x", False),
    ],
)
def test_links_are_web_addresses(address: str, safe: bool) -> None:  # noqa: FBT001 - a case of the table
    assert escape.url(address) == (address if safe else "#")


def test_what_is_between_backticks_is_code_in_html() -> None:
    assert escape.html_prose("Write `run: python train.py`, or `a<b`.") == (
        "Write <code>run: python train.py</code>, or <code>a&lt;b</code>."
    )


@pytest.mark.parametrize(
    "key", ["label: model", "threshold: 0.5", "data.positive", "{metric: log_loss, clip: 0.001}", "gates: {min: 0.5}"]
)
def test_a_key_of_the_config_is_code_in_a_sentence(key: str) -> None:
    shown = escape.prose(f"Write `{key}` there.")
    assert shown in {f"Write `{key}` there.", f"Write <code>{escape.md(key)}</code> there."}


@pytest.mark.parametrize(
    "text", ["churn", "a\N{EN DASH}b", "a\u202eb", "\u3164", "a\tb", "x" * 601, "a\u200bb", "\x00", "é"]
)
def test_what_is_said_to_be_clean_is_left_as_it_is(text: str) -> None:
    """Pages put it in without another look."""
    if escape.is_clean(text):
        assert escape.clean(text) == text
    assert escape.is_clean(text) is (text in {"churn", "a\N{EN DASH}b", "é"})
