"""What a config names against what there is: files, and the columns of the holdouts."""

from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType

from mlbot.config.errors import Document, KeyPath, Problem, nearest, quote
from mlbot.config.schema import Config, Model
from mlbot.config.slice_sql import check

_SHOWN = 12


def check_files(
    config: Config,
    document: Document,
    *,
    exists: Callable[[str], bool],
    headers: Mapping[str, Collection[str]],
    params: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> tuple[Problem, ...]:
    """Everything that the config names and is not there.

    A model without headers, or without names of parameters, is not checked for them.
    """
    problems: list[Problem] = []
    for model in config.models:
        found = [*_absent(model, exists)]
        found += _tunables(model, params[model.name]) if model.name in params else []
        found += _columns(model, document, headers[model.name]) if model.name in headers else []
        problems += (problem.under("models", model.name) for problem in found)
    return tuple(map(document.located, problems))


def _absent(model: Model, exists: Callable[[str], bool]) -> Iterator[Problem]:
    """URLs are for whoever reads them."""
    train, data = model.train, model.data
    paths: dict[KeyPath, str | None] = {("train", "params"): train.params, ("train", "lock"): train.lock}
    paths |= {("train", "depends", index): path for index, path in enumerate(train.depends or ())}
    paths |= {("data", "train"): data.train, ("data", "holdout"): data.holdout}
    for at, path in paths.items():
        if path and "://" not in path and not exists(path):
            yield Problem(
                f"{quote(path)}, which is not there", "write a path that exists, from the repository's root", at
            )


def _tunables(model: Model, names: Collection[str]) -> Iterator[Problem]:
    """A trial of a parameter that the file lacks would mostly change nothing: the training reads another name."""
    for each in model.train.tunable:
        if each.name not in names:
            found = f"{quote(each.name)}, which is no parameter in {model.train.params}"
            yield Problem(found, f"write {_instead(each.name, names)}", ("train", "tunable", each.name))


def _columns(model: Model, document: Document, header: Collection[str]) -> Iterator[Problem]:
    for at, column, hint in _named_columns(model, document, header):
        if column not in header:
            found = f"{quote(column)}, which is no column of {model.data.holdout}"
            yield Problem(found, f"write {hint or _instead(column, header)}", at)


def _named_columns(model: Model, document: Document, header: Collection[str]) -> Iterator[tuple[KeyPath, str, str]]:
    data = model.data
    yield ("data", "target"), data.target, ""
    if data.group is not None:
        yield ("data", "group"), data.group, ""
    for key, columns in (("drop", data.drop), ("features", data.features or ())):
        yield from ((("data", key, index), column, "") for index, column in enumerate(columns))
    for part in model.slices:
        at = ("slices", part.name)
        where = (*at, "where") if ("models", model.name, *at, "where") in document.values else at
        yield from ((where, column, _hint(column, part.where, header)) for column in sorted(check(part.where)))


def _instead(name: str, known: Collection[str]) -> str:
    listed = ", ".join(list(known)[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
    return nearest(name, known) or f"one of {listed}"


def _hint(column: str, condition: str, header: Collection[str]) -> str:
    """The two slips of SQL's quotes: a text in double ones, and a column such as `hours-per-week` in none."""
    if f'"{column}"' in condition and nearest(column, header) is None:
        return f"'{column}' in single quotes, if it is text"
    whole = next((name for name in header if "-" in name and name in condition and column in name.split("-")), None)
    return f'"{whole}" in double quotes' if whole else ""
