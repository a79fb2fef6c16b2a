"""Reports in which every text that a stranger can choose is one text, and what a rendering's skeleton is."""

import re
from collections.abc import Mapping
from enum import StrEnum
from html.parser import HTMLParser
from typing import Any

import cmarkgfm
from cmarkgfm.cmark import Options
from hypothesis import strategies as st

from mlbot.report.report import Report

FREE = {
    "arguments",
    "bound_to",
    "classes",
    "data_changes",
    "detail",
    "guarded",
    "head_ref",
    "log_tail",
    "message",
    "metric",
    "mlbot_version",
    "name",
    "platform",
    "positive",
    "python",
    "repository",
    "slice",
    "source",
    "stale_reasons",
    "text",
    "unchanged",
    "uncommitted",
    "where",
}
"""Fields of the records whose text comes from outside."""

NASTY = (
    "</details>",
    "</summary></details></code></pre></td></table>",
    "<script>alert(1)</script>",
    "<!-- mlbot:report -->",
    "-->",
    "@octocat",
    "@acme/owners",
    "#123",
    "GH-42",
    "acme/income#7",
    "acme/income@4f1c2a9ddddddddddddddddddddddddddddddddd",
    "4f1c2a9ddddddddddddddddddddddddddddddddd",
    "deadbeef",
    "https://evil.example/x",
    "www.evil.example",
    "mailto:a@evil.example",
    "a@evil.example",
    "[x](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "[^1]",
    "[^1]: note",
    "`",
    "``` \n",
    "~~~\n",
    "|",
    "\\|",
    "\\",
    "a | b | c",
    "\n\n# heading\n\n",
    "\n- item\n",
    "1. item",
    "===",
    "---",
    "> quote",
    "> [!NOTE]\n> x",
    "**bold** __x__ ~~y~~",
    "$x^2$",
    "$$x$$",
    ":tada:",
    "- [ ] task",
    "&lt;b&gt; &amp; &#42;",
    "\t\ttab",
    "\u202egnp.exe",
    "\u200b\u2066\ufeff",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "\x00\r\x85\u2028\u2029",
    "{{ 7 * 7 }} {% raw %}",
    "<img src=x onerror=alert(1)>",
    "'\"><b>",
    "日本語のモデル",
)

LINKS = re.compile(r"@\w|#\d|\bgh-\d|https?://|www\.\w|\b[0-9a-f]{7,40}\b|:[a-z0-9_+-]+:", re.IGNORECASE)
"""What GitHub would make a link, a mention or a picture of."""

TEXTS = st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=12)), min_size=1, max_size=4).map("".join)


def poisoned(report: Report, text: str) -> Report:
    """The report with `text` in every field that a stranger can choose; keys of claims too."""
    return Report.model_validate_json(_poisoned(report, text).model_dump_json())


def _poisoned(report: Report, text: str) -> Report:
    return Report.model_construct(**_walk(report, text))


def _walk(record: Any, text: str) -> dict[str, Any]:
    return {name: _value(name, getattr(record, name), text) for name in type(record).model_fields}


def _value(name: str, value: Any, text: str) -> Any:
    match value:
        case str() if name in FREE and not isinstance(value, StrEnum):
            return text
        case tuple():
            return tuple(_value(name, each, text) for each in value)
        case Mapping() if name == "claims":
            return {text: 0.9411} if value else {}
        case _ if hasattr(type(value), "model_fields"):
            return type(value).model_construct(**_walk(value, text))
        case _:
            return value


class _Skeleton(HTMLParser):
    """Tags and attributes of a page without the texts, and the texts that stand outside of code."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[object] = []
        self.texts: list[str] = []
        self._code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        texts = {"title", "alt", "aria-label", "data-model"}
        self.tags.append((tag, tuple((name, "" if name in texts else value) for name, value in attrs)))
        self._code += tag in {"code", "pre", "script", "style"}

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")
        self._code -= tag in {"code", "pre", "script", "style"}

    def handle_comment(self, data: str) -> None:
        self.tags.append(f"<!--{data}-->")

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.texts.append(data)


def skeleton(page: str) -> tuple[list[object], str]:
    """The tags with their attributes, in order, and all text outside of code."""
    parser = _Skeleton()
    parser.feed(page)
    parser.close()
    return parser.tags, "\n".join(parser.texts)


def as_github(markdown: str) -> str:
    """Markdown as GitHub renders it: tables, autolinks, footnotes, and HTML let through."""
    options = Options.CMARK_OPT_UNSAFE | Options.CMARK_OPT_FOOTNOTES
    return str(cmarkgfm.github_flavored_markdown_to_html(markdown, options=options))
