"""Templates and sentences: where they are, and one strict Jinja environment with the filters that escape."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbot import DISTRIBUTION
from mlbot.errors import NotEvaluatedError
from mlbot.lib import escape, figures
from mlbot.lib.version import shorten, truncate_login

if TYPE_CHECKING:
    import jinja2

PACKAGE = Path(__file__).parents[1]


@cache
def environment() -> "jinja2.Environment":
    """The one environment; templates are mlbot's own files, never a user's."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates()),
        autoescape=False,  # noqa: S701 - Markdown and HTML differ: each value is escaped by the filter of its place
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
        auto_reload=False,
    )
    made.filters |= {
        "md": escape.md,
        "md_after": escape.md_after,
        "prose": escape.prose,
        "clean": escape.clean,
        "cell": escape.md,
        "num": escape.num,
        "code": escape.code,
        "diff": escape.diff,
        "fence": escape.fence,
        "inner": escape.inner,
        "html": escape.html,
        "html_after": escape.html_after,
        "html_prose": escape.html_prose,
        "lines": escape.html_lines,
        "script": escape.script,
        "url": escape.url,
        "short": figures.short,
        "digest": shorten,
        "person": truncate_login,
        "count": figures.count,
        "plural": figures.plural,
        "percent": figures.percent,
        "duration": figures.duration,
        "megabytes": figures.megabytes,
        "milliseconds": figures.milliseconds,
        "figure": figures.number,
        "brief": figures.brief,
        "limit": figures.limit,
        "sparkline": figures.sparkline,
    }
    return made


def fill(template: str, **values: Any) -> str:
    """A template with its values; a value that the template names and nobody gave is an error."""
    return environment().get_template(template).render(values)


def fill_page(template: str, **values: Any) -> str:
    """An HTML template with its values, each of which is escaped wherever it is put.

    For pages whose every text is a stranger's. Only what the filter `drawn` admits goes in as it is.
    """
    return _pages().get_template(template).render(values)


@cache
def _pages() -> "jinja2.Environment":
    made = environment().overlay(autoescape=True, finalize=_visible)
    made.filters = {**made.filters, "drawn": _drawn}
    return made


def _visible(value: Any) -> Any:
    """A text as one visible line; what is marked as safe, and is a type of its own, stays as it is."""
    return value if type(value) is not str or escape.is_clean(value) else escape.clean(value)


_PATH = re.compile(r"[MLHVhvz0-9. -]*")


def _drawn(path: str) -> Any:
    """The data of an SVG path, which may be longer than any text that is shown."""
    if not _PATH.fullmatch(path):
        raise ValueError("this is no path of a chart")
    return environment().filters["safe"](path)


def phrase(template: str, name: str, /, **values: object) -> str:
    """A macro of a template with its values: words that stand alone."""
    return str(getattr(environment().get_template(template).module, name)(**values)).strip()


def sentence(table: str, path: str, **values: Any) -> str:
    """A sentence of `templates/words/` by its keys with slashes between; plain text, to be escaped for its place.

    Raises `KeyError` where there is no such sentence, or it names a value that was not given.
    """
    import jinja2

    try:
        return _sentence(table, path).render(values) if values else _constant(table, path)
    except jinja2.UndefinedError as error:
        raise KeyError(f"{table}: {path}: {error}") from error


def has_sentence(table: str, path: str) -> bool:
    """Whether a table has a sentence at this path."""
    return path in _table(table)


@cache
def _sentence(table: str, path: str) -> "jinja2.Template":
    return environment().from_string(_table(table)[path])


@cache
def _constant(table: str, path: str) -> str:
    return _sentence(table, path).render()


@cache
def _table(name: str) -> Mapping[str, str]:
    import yaml

    text = (templates() / "words" / f"{name}.yaml").read_text(encoding="utf-8")
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # C is ten times as fast; PyYAML may be built without it
    return dict(_flat(yaml.load(text, loader), ""))  # noqa: S506 - our own file; these loaders make text


def _flat(value: Any, path: str) -> "list[tuple[str, str]]":
    if isinstance(value, str):
        return [(path, value)]
    return [pair for key, below in value.items() for pair in _flat(below, f"{path}/{key}" if path else key)]


def templates() -> Path:
    """The folder of all templates.

    Raises:
        NotEvaluatedError: The installation lacks it.
    """
    return _folder("templates")


def examples() -> Path:
    """The folder of the example repositories.

    Raises:
        NotEvaluatedError: The installation lacks it.
    """
    return _folder("examples")


def workflows() -> Path:
    """The folder of the reusable workflows.

    Raises:
        NotEvaluatedError: The installation lacks it.
    """
    return _folder("workflows", beside=".github/workflows")


def commit(package: Path = PACKAGE) -> str | None:
    """The commit of mlbot that a wheel was built of (`make dist` writes it); None in a checkout."""
    file = package / "commit"
    return file.read_text(encoding="utf-8").strip() if file.is_file() else None


def _folder(name: str, package: Path = PACKAGE, *, beside: str = "") -> Path:
    """`mlbot/<name>` in a wheel; in an editable checkout `beside`, or else the same name, next to `src/`."""
    candidates = [package / name]
    if package.parent.name == "src":
        candidates.append(package.parents[1] / (beside or name))
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise NotEvaluatedError(
        f"The folder '{name}' of mlbot is missing.",
        where=str(package),
        hint=f"The installation is damaged; install it again: pip install --force-reinstall {DISTRIBUTION}",
    )
