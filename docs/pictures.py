"""Make the pictures of the documentation anew: `python docs/pictures.py`.

Trains and judges real models in a temporary folder, renders the comments as GitHub does, and takes the pictures with
headless Chromium. It needs what `make test` installs, Chromium, and npm for GitHub's stylesheet. It takes some minutes.
"""

import argparse
import base64
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cmarkgfm
from cmarkgfm.cmark import Options

import pictures_dashboard as dashboard
import pictures_scenes as scenes
from mlbot.console import Console
from mlbot.ml.plots import charts, picture_spec, svg
from mlbot.report.markdown import markdown
from mlbot.report.page import html
from mlbot.report.report import Picture, Report
from pictures_browser import THEMES, Browser, MissingToolError, Stylesheet, Theme, chromium, stylesheet

_COMMENT_WIDTH = 880
_PAGE_WIDTH = 1120
_PHONE = (390, 1180)
ALERTS = {"TIP": "light-bulb", "CAUTION": "stop", "WARNING": "alert", "IMPORTANT": "report", "NOTE": "info"}
"""GitHub's icon of each alert."""

_ALERT = re.compile(r"<blockquote>\s*<p>\[!([A-Z]+)\]\s*(.*?)</blockquote>", re.DOTALL)
_FRAME = """<!doctype html>
<meta charset="utf-8">
<style>
{css}
html {{ color-scheme: {theme}; }}
body {{ margin: 0; padding: 12px; background: {ground}; font-family: "Segoe UI", "Noto Sans", Helvetica, sans-serif; }}
.comment {{ border: 1px solid {line}; border-radius: 6px; overflow: hidden; }}
.by {{ padding: 8px 16px; border-bottom: 1px solid {line}; background: {raised}; color: {muted}; font-size: 14px; }}
.by b {{ color: {text}; font-weight: 600; }}
.by span {{ border: 1px solid {line}; border-radius: 2em; padding: 0 7px; font-size: 12px; margin: 0 2px; }}
.markdown-body {{ padding: 16px; font-size: 14px; }}
</style>
<body><div class="comment">
<div class="by"><b>github-actions</b> <span>bot</span> commented · edited</div>
<div class="markdown-body">{body}</div>
</div></body>
"""
_COLOURS: dict[Theme, dict[str, str]] = {
    "light": {"ground": "#ffffff", "raised": "#f6f8fa", "line": "#d1d9e0", "text": "#1f2328", "muted": "#59636e"},
    "dark": {"ground": "#0d1117", "raised": "#151b23", "line": "#3d444d", "text": "#f0f6fc", "muted": "#9198a1"},
}


def main() -> int:
    """Make all pictures; 1 where a tool is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images", help="the folder to write into")
    parser.add_argument(
        "--only", nargs="+", default=(), help="pictures by name, such as fail, dashboard or example-text-topics"
    )
    given = parser.parse_args()
    # What a config calls `python` is the one that runs this script.
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    try:
        _make(given.out, given.only)
    except MissingToolError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _make(out: Path, only: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="mlbot-pictures-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        browser = Browser(path=chromium(), folder=folder)
        look = stylesheet(folder, tuple(ALERTS.values()))
        out.mkdir(parents=True, exist_ok=True)
        if not only or "dashboard" in only:
            draw_dashboard(browser, out)
        for picture, report in scenes.play(folder, Console(), only):
            draw(picture, report, browser, look, out)


def draw(name: str, report: Report, browser: Browser, look: Stylesheet, out: Path) -> None:
    """Make the pictures of one report: its comment in both themes, of an example its head; of the failure two more."""
    is_example = name.startswith("example-")
    for theme in THEMES:
        page = comment(report, look, theme)
        file = f"{name}-{theme}.png" if is_example else f"comment-{name}-{theme}.png"
        browser.picture(_head(page) if is_example else page, theme, _COMMENT_WIDTH, out / file)
    if name == "fail":
        browser.picture(_head(comment(report, look, "light")), "light", _COMMENT_WIDTH, out / "report.png")
        browser.picture(html(report, charts(report)), "light", _PAGE_WIDTH, out / "page.png")


def draw_dashboard(browser: Browser, out: Path) -> None:
    """Make the pictures of the dashboard: the index, a model in both themes, and as a phone shows it."""
    pages = dashboard.site()
    index, model = dashboard.head(pages["index.html"], 1), dashboard.head(pages["models/churn.html"], 2)
    browser.picture(index, "light", _PAGE_WIDTH, out / "dashboard-index.png")
    for theme in THEMES:
        browser.picture(model, theme, _PAGE_WIDTH, out / f"dashboard-{theme}.png")
    narrow = dashboard.head(pages["models/churn.html"], 1)
    browser.picture(dashboard.phone(narrow, *_PHONE), "dark", _PHONE[0], out / "dashboard-phone.png")


def comment(report: Report, look: Stylesheet, theme: Theme) -> str:
    """A report's comment as a page that looks like GitHub's."""
    drawn = {model.model: spec for model in report.models if (spec := picture_spec(model)) is not None}
    pictures = {model: Picture(light=_place(model, "light"), dark=_place(model, "dark"), alt="") for model in drawn}
    body = _as_github(markdown(report, pictures=pictures), look)
    for model, spec in drawn.items():
        for each in THEMES:
            body = body.replace(_place(model, each), _data(svg(spec, each)))
    return _FRAME.format(css=look.css[theme], theme=theme, body=body, **_COLOURS[theme])


def _head(page: str) -> str:
    """The comment down to the first folded part."""
    return page.replace("</style>", ".markdown-body details, details ~ * { display: none !important; }\n</style>", 1)


def _place(model: str, theme: Theme) -> str:
    """Where a chart would be; a comment takes only web addresses, so the chart itself replaces it later."""
    return f"https://charts.invalid/{model}.{theme}.svg"


def _data(picture: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.encode()).decode()}"


def _as_github(markdown: str, look: Stylesheet) -> str:
    """Markdown as GitHub renders it, alerts included, which GitHub's Markdown library leaves to GitHub."""
    page = str(cmarkgfm.github_flavored_markdown_to_html(markdown, options=Options.CMARK_OPT_UNSAFE))

    def alert(found: re.Match[str]) -> str:
        name, text = found.groups()
        icon = look.icons[ALERTS[name]].replace("<svg ", '<svg class="octicon mr-2" ', 1)
        title = f'<p class="markdown-alert-title">{icon}{name.title()}</p>'
        return f'<div class="markdown-alert markdown-alert-{name.lower()}">{title}<p>{text}</div>'

    return _ALERT.sub(alert, page)


if __name__ == "__main__":
    sys.exit(main())
