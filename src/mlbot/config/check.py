"""What a config names against what there is: files, and the columns of the holdouts."""

from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType

from mlbot.config.document import Document, KeyPath
from mlbot.config.errors import ConfigProblem, problem_at, quote
from mlbot.config.reader import nearest
from mlbot.config.schema import Config, Model
from mlbot.config.slice_sql import check

_SHOWN = 12

_Missing = tuple[KeyPath, str]


def check_files(
    config: Config,
    document: Document,
    *,
    exists: Callable[[str], bool],
    headers: Mapping[str, Collection[str]],
    params: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> tuple[ConfigProblem, ...]:
    """Everything that the config names and is not there.

    Args:
        config: What `parse_config` made of the document.
        document: Where it was written, for the lines.
        exists: Whether a path, folder or glob from the repository's root names something.
        headers: The holdout's columns by model; a model without is not checked.
        params: The names of the committed parameters by model, likewise.
    """
    paths = (missing for model in config.models for missing in _paths(model))
    return (
        *(
            problem_at(
                document,
                path,
                f"{quote(name)}, which is not there",
                "write a path that exists, from the repository's root",
            )
            for path, name in paths
            if not exists(name)
        ),
        *(
            problem
            for model in config.models
            if model.name in headers
            for problem in _columns(model, document, headers[model.name])
        ),
        *(
            problem
            for model in config.models
            if model.name in params
            for problem in _tunables(model, document, params[model.name])
        ),
    )


def _paths(model: Model) -> Iterator[_Missing]:
    """Every path of the repository that a model names; URLs are for whoever reads them."""
    at: KeyPath = ("models", model.name)
    train, data = model.train, model.data
    single = {("train", "params"): train.params, ("train", "lock"): train.lock}
    single |= {("data", "train"): data.train, ("data", "holdout"): data.holdout}
    yield from (((*at, *keys), path) for keys, path in single.items() if path is not None and "://" not in path)
    yield from (((*at, "train", "depends", index), path) for index, path in enumerate(train.depends or ()))


def _tunables(model: Model, document: Document, names: Collection[str]) -> Iterator[ConfigProblem]:
    """A trial of a parameter that the file lacks would mostly change nothing: the training reads another name."""
    for each in model.train.tunable:
        if each.name not in names:
            found = f"{quote(each.name)}, which is no parameter in {model.train.params}"
            path = ("models", model.name, "train", "tunable", each.name)
            yield problem_at(document, path, found, f"write {_instead(each.name, names, '')}")


def _columns(model: Model, document: Document, header: Collection[str]) -> Iterator[ConfigProblem]:
    for path, column, hint in _named_columns(model, document, header):
        if column not in header:
            found = f"{quote(column)}, which is no column of {model.data.holdout}"
            yield problem_at(document, path, found, f"write {_instead(column, header, hint)}")


def _instead(column: str, header: Collection[str], hint: str) -> str:
    listed = ", ".join(list(header)[:_SHOWN]) + (", …" if len(header) > _SHOWN else "")
    return hint or nearest(column, header) or f"one of {listed}"


def _named_columns(model: Model, document: Document, header: Collection[str]) -> Iterator[tuple[KeyPath, str, str]]:
    """Every column that a model names, with its place and, where one is better than a guess, what to write."""
    at: KeyPath = ("models", model.name, "data")
    data = model.data
    yield (*at, "target"), data.target, ""
    if data.group is not None:
        yield (*at, "group"), data.group, ""
    for key, columns in (("drop", data.drop), ("features", data.features or ())):
        yield from (((*at, key, index), column, "") for index, column in enumerate(columns))
    for part in model.slices:
        at = ("models", model.name, "slices", part.name)
        where = (*at, "where") if document.value((*at, "where")) else at
        yield from ((where, column, _hint(column, part.where, header)) for column in sorted(check(part.where)))


def _hint(column: str, condition: str, header: Collection[str]) -> str:
    """The two slips of SQL's quotes: a text in double ones, and a column such as `hours-per-week` in none."""
    if f'"{column}"' in condition and nearest(column, header) is None:
        return f"'{column}' in single quotes, if it is text"
    whole = next((name for name in header if "-" in name and name in condition and column in name.split("-")), None)
    return f'"{whole}" in double quotes' if whole else ""
