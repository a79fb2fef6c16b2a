"""Reading a folder's mlbot.yaml, and checking what it names against what there is: files, and the holdouts' columns."""

import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from mlbot.config import slice_sql
from mlbot.config.csv_form import header_of, read_head
from mlbot.config.data import Data
from mlbot.config.errors import ConfigError, Document, KeyPath, Plain, Problem, Refused, nearest, quote
from mlbot.config.gates import Slice
from mlbot.config.kinds import Context, Section, settings_of
from mlbot.config.params import load_params
from mlbot.config.schema import Config, Model, json_schema, parse_config
from mlbot.config.train import Train
from mlbot.config.yaml import MAX_BYTES, load
from mlbot.console import Console
from mlbot.errors import UsageError, ended
from mlbot.gates.metric import Bound, Direction, Gate, Metric, Task, bounds_of, catalogued
from mlbot.lib.constants import CONFIG_FILE, LFS_POINTER
from mlbot.lib.tree import TOP, is_glob, is_url

_SHOWN = 12


def read(text: bytes | str, source: str = CONFIG_FILE) -> Config:
    """The config in a text, wherever that comes from: a folder, or a commit."""
    return parse_config(load(text, source))


def load_config(root: Path) -> Config:
    """The config of a folder, without a look at the files that it names."""
    return parse_config(document_of(root))


def check(root: Path) -> Config:
    """The config of a folder, checked against the files that it names and the columns of the holdouts."""
    folder = Folder.of(root)
    folder.check()
    return folder.config


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """A folder with an mlbot.yaml, which is read and parsed once."""

    root: Path
    document: Document
    config: Config
    known: Sequence[str] = ()
    """Every config of the repository, as it is named from here."""

    @classmethod
    def of(cls, root: Path, known: Sequence[str] = ()) -> Self:
        """Read the config of a folder, with a look at the files that it names only where it cannot be accepted."""
        document = document_of(root, known)
        try:
            return cls(root=root, document=document, config=parse_config(document), known=known)
        except ConfigError as error:
            rest = cls(root=root, document=document, config=_readable(document), known=known).findings()
            raise ConfigError((*error.problems, *rest), source=document.source) from None

    def findings(self, models: Collection[str] | None = None) -> tuple[Problem, ...]:
        """Everything that the config names and is not there, of some models; None: of all."""
        root, meant = self.root, _meant(self.config, models)
        headers, unclear = _headers(root, meant)
        params = {model.name: names for model in meant if (names := _params(root, model)) is not None}
        found = check_files(
            self.config,
            self.document,
            exists=lambda path: _exists(root, path),
            headers=headers,
            params=params,
            models=models,
        )
        seen = (each.under("models", model.name) for model in meant for each in _trained_on(root, self.config, model))
        return found + tuple(map(self.document.located, (*unclear, *seen, *self._named_elsewhere())))

    def _named_elsewhere(self) -> Iterator[Problem]:
        """The models that the config of another folder names too; only that of the root may show what others are."""
        if not any(path.startswith("../") for path in self.known):
            return
        texts = {path: _bounded(self.root / path) for path in self.known[:MOST_CONFIGS] if path != CONFIG_FILE}
        for name, path in named_twice(self.config, texts):
            hint = f"write another name: {ONE_NAME}"
            yield Problem(f"a model that {quote(path)} names too", hint, ("models", name))

    def check(self, models: Collection[str] | None = None) -> None:
        """Raise with everything that the config names and is not there."""
        self.refuse(self.findings(models))

    def refuse(self, problems: Sequence[Problem]) -> None:
        """Raise with problems, where there are some."""
        if problems:
            raise ConfigError(problems, source=self.document.source)

    def shared(self, other: Config, names: Iterable[str]) -> list[str]:
        """Those of the models that another config has just so: what a merge brings is not in this folder."""
        return [name for name in names if self.config.model(name) == other.model(name)]


def _readable(document: Document) -> Config:
    """What is right in a config that cannot be accepted, so that a name in it hides no file that is not there."""
    data: Any = document.data
    models = data.get("models") if isinstance(data, dict) else None
    given = models.items() if isinstance(models, dict) else ()
    around = Context()
    made = tuple(_readable_model(name, each, around) for name, each in given if isinstance(each, dict))
    return Config.model_construct(models=made)


def _readable_model(name: str, given: dict[str, Plain], around: Context) -> Model:
    train = Train.model_construct(**_right(Train, given.get("train"), around))
    data = Data.model_construct(**{"holdout": "", "target": ""} | _right(Data, given.get("data"), around))
    slices = given.get("slices")
    named = ((each, _right(Slice, part, around)) for each, part in (slices if isinstance(slices, dict) else {}).items())
    parts = tuple(Slice.model_construct(name=each, **made) for each, made in named if "where" in made)
    return Model.model_construct(name=name, task=Task.BINARY, train=train, data=data, slices=parts, gates=())


def _right(section: type[Section], value: Plain, around: Context) -> dict[str, Any]:
    """The settings of a section that are right on their own."""
    bare = not isinstance(value, dict)
    given = value if isinstance(value, dict) else {section.short: value}
    context = around.opened(given, None)
    for key, setting in settings_of(section, bare=bare and bool(section.short)).items():
        if key in given:
            with suppress(Refused):
                context.made[setting.field] = setting.kind.read(given[key], context)
    return context.made


MOST_CONFIGS = 200
ONE_NAME = "the ledger, versions and artifacts know a model by its name alone"


def named_twice(config: Config, others: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """The models of a config that another one of the repository names too, each with the path of that."""
    names = {model.name for model in config.models}
    for path, text in others.items():
        yield from ((name, path) for name in sorted(names & _model_names(text, path)))


def _model_names(text: bytes, source: str) -> set[object]:
    """What another config names its models; none where it cannot be read, which is for its own owners."""
    with suppress(UsageError):
        data = load(text, source).data
        models = data.get("models") if isinstance(data, dict) else None
        return set(models) if isinstance(models, dict) else set()
    return set()


def _meant(config: Config, models: Collection[str] | None) -> list[Model]:
    return [model for model in config.models if models is None or model.name in models]


def _headers(root: Path, models: Iterable[Model]) -> tuple[dict[str, tuple[str, ...]], list[Problem]]:
    """The columns of the models' holdouts, and why those of others are not clear."""
    headers: dict[str, tuple[str, ...]] = {}
    unclear: list[Problem] = []
    for model in models:
        try:
            header = _header(root, model)
        except Refused as error:
            unclear += error.problems
        else:
            headers |= {model.name: header} if header else {}
    return headers, unclear


def one_model(config: Config, name: str | None) -> Model:
    """The model of that name; None: the only one that there is.

    Raises:
        UsageError: there is none, or there are several.
    """
    names = ", ".join(model.name for model in config.models)
    if name is None and len(config.models) == 1:
        return config.models[0]
    model = None if name is None else config.model(name)
    if model is None:
        what = "mlbot.yaml has several models." if name is None else f"mlbot.yaml has no model {name!r}."
        raise UsageError(what, hint=f"Name one with --model: {names}.")
    return model


def report_check(root: Path, console: Console, *, as_json: bool, known: Sequence[str] = ()) -> None:
    """Check a folder's config and say what it holds; `known` are all configs of the repository."""
    folder = Folder.of(root, known)
    folder.check()
    shown = [_summary(folder.config), *_turned(folder), *warned(folder.config), *idle_lines(folder.config)]
    console.result(folder.config.model_dump_json(indent=2) if as_json else "\n".join(shown))


def schema_text() -> str:
    """The JSON Schema of mlbot.yaml."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _summary(config: Config) -> str:
    lines = [f"{CONFIG_FILE} is valid."]
    for model in config.models:
        counts = {"gate": len(model.gates), "metric": len(model.metrics), "slice": len(model.slices)}
        shown = (f"{count} {what}{'s' if count != 1 else ''}" for what, count in counts.items() if count)
        lines.append(f"  {model.name}: {', '.join((model.task, *shown))}")
    lines.extend(f"  {one.name}: deploys to {one.target}" for one in config.environments)
    return "\n".join(lines)


def warned(config: Config) -> Iterator[str]:
    """The gates that are shown and never block, and which would judge the same."""
    for model in config.models:
        taken = {(gate.metric, gate.bound) for gate in model.gates}
        for gate in model.gates:
            if (instead := gate.judged_by) and instead not in taken:
                metric, bound = instead
                write = f"{metric}: {{{bound}: {_USUAL[bound]}}}"
                yield f"  {model.name}: {gate.name} is shown and never blocks; write `{write}` to judge it"


_USUAL = MappingProxyType({Bound.MAX_EXCESS: "0.01", Bound.MAX_RATIO: "1.2"})


def idle_bounds(config: Config, models: Collection[str] | None = None) -> Iterator[Problem]:
    """The bounds that no model fails, or none that is worse; each may be meant so, and none is refused."""
    for model in _meant(config, models):
        metrics = {each.name: each for each in model.metrics}
        judged = [gate for gate in model.gates if gate.blocking and not gate.only_warns]
        bounded = {gate.subject for gate in judged if not _is_turned(gate, metrics.get(gate.metric))}
        for gate in judged:
            metric, at = metrics.get(gate.metric), ("models", model.name, "gates", gate.subject)
            bound = f"`{gate.bound}: {gate.limit:g}`"
            if _never_fails(gate, *_range(gate, metric)):
                yield Problem(f"No model fails {bound}.", "Write a bound that one can fail.", at, whole=True)
            elif metric and gate.subject not in bounded:
                found = f"{bound} bounds how good a model may be, for {metric.direction} is better."
                other = Bound.MAX if gate.bound is Bound.MIN else Bound.MIN
                yield Problem(found, f"How bad it may be: `{other}: {gate.limit:g}`.", at, whole=True)


def _range(gate: Gate, metric: Metric | None) -> tuple[float, float]:
    """The least and the greatest value that a gate can meet."""
    low, high = bounds_of(metric.formula if metric else gate.metric)
    return (0.0, high - low) if metric and metric.slices else (low, high)


def _never_fails(gate: Gate, low: float, high: float) -> bool:
    match gate.bound:
        case Bound.MIN:
            return gate.limit <= low
        case Bound.MAX:
            return gate.limit >= high
        case _:
            return gate.limit >= high - low


def _is_turned(gate: Gate, metric: Metric | None) -> bool:
    """Whether a bound is on the side where a model becomes better: what is too good to be true, or a slip."""
    if metric is None:
        return False
    return gate.bound is (Bound.MAX if metric.direction is Direction.HIGHER else Bound.MIN)


def idle_lines(config: Config, models: Collection[str] | None = None) -> Iterator[str]:
    """The idle bounds of some models, a line each."""
    for each in idle_bounds(config, models):
        yield f"  {each.at[1]}: {each.at[-1]}: {each.found} {each.hint}"


def _turned(folder: Folder) -> Iterator[str]:
    """What scikit-learn's scorers with a turned sign are read as, but for a metric of one's own that is called so."""
    data: Any = folder.document.data  # it was parsed
    for model in folder.config.models:
        given, own = data["models"][model.name], {metric.name for metric in model.metrics}
        items = (*(given.get("metrics") or ()), *given["gates"].values())
        listed = (each.get("metric", "") if isinstance(each, dict) else each for each in items)
        for name in dict.fromkeys((*listed, *(subject.partition("@")[0] for subject in given["gates"]))):
            if name.startswith("neg_") and catalogued(name) != name and name not in own:
                yield f"  {model.name}: {name} is read as {catalogued(name)}, which is better lower"


def document_of(root: Path, known: Sequence[str] = ()) -> Document:
    """The text of a folder's mlbot.yaml as plain data."""
    path = root / CONFIG_FILE
    if not path.is_file():
        other = next((name for name in ("mlbot.yml", ".mlbot.yaml", ".mlbot.yml") if (root / name).exists()), None)
        below = [] if other else configs_below(root, known)
        hint = f"Rename {other} to {CONFIG_FILE}." if other else "Make one: mlbot init"
        if below:
            hint = f"Name one: {one_of_options(below)}"
        raise UsageError(f"there is no {CONFIG_FILE}", where=str(root), hint=hint)
    try:
        text = _bounded(path)
    except OSError as error:
        raise UsageError(f"it cannot be read: {error.strerror}", where=str(path)) from error
    return load(text, CONFIG_FILE)


def configs_below(root: Path, known: Sequence[str]) -> list[str]:
    """The configs in a folder's folders: those of the repository, where some are known, else those two levels down."""
    there = (
        path.relative_to(root).as_posix() for depth in ("*", "*/*") for path in root.glob(f"{depth}/{CONFIG_FILE}")
    )
    return [path for path in known if not path.startswith("../")] or sorted(there)


def one_of_options(configs: Sequence[str]) -> str:
    """The options that name configs, the first few of many."""
    more = len(configs) - _SHOWN
    shown = " or ".join(f"--config {each}" for each in configs[:_SHOWN])
    return f"{shown} or one of {more} others" if more > 0 else shown


def _bounded(path: Path) -> bytes:
    """The bytes of a config, as many as it may have and one more."""
    with path.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


def _exists(root: Path, path: str) -> bool:
    """Whether a path, folder or glob names something; data behind a `.dvc` file counts."""
    root, path = _named_from(root, path)
    if is_glob(path):
        return any(root.glob(path.rstrip("/")))
    return (root / path).exists() or (root / f"{path.rstrip('/')}.dvc").exists()


def _named_from(root: Path, path: str) -> tuple[Path, str]:
    """The folder that a path is named from, and what it is there."""
    if not path.startswith(TOP):
        return root, path
    here = root.resolve()
    return next((each for each in (here, *here.parents) if (each / ".git").exists()), here), path.removeprefix(TOP)


def _trained_on(root: Path, config: Config, model: Model) -> Iterator[Problem]:
    """The rows that judge a model where its training is to read them, under whatever name.

    A folder or a glob of `depends` leaves them out. What is another model's holdout can be this one's training data.
    """
    train, held = _real(root, model.data.train), {_real(root, each.data.holdout): each for each in config.models}
    for index, path in enumerate(model.train.depends or ()):
        place = _real(root, path)
        judged = next((held[each] for each in (place, *place.parents) if each in held), None) if place else None
        if place and judged and train not in (place, *place.parents):
            whose = "the holdout" if judged.name == model.name else f"the holdout of {judged.name}"
            hint = "remove it: no training sees the rows that judge a model; let it read others"
            yield Problem(f"{quote(path)}, {whose}", hint, ("train", "depends", index))
    own = _real(root, model.data.holdout)
    if train and own and model.data.train != model.data.holdout and (train == own or train in own.parents):
        hint = "write another path: a model is judged on rows that it has not seen"
        yield Problem(f"{quote(model.data.holdout)}, which is in the training data", hint, ("data", "holdout"))


def _real(root: Path, path: str | None) -> Path | None:
    """Where a path leads, through links; None for a URL, a glob and nothing."""
    if not path or is_url(path) or is_glob(path):
        return None
    return Path(os.path.realpath(Path(*_named_from(root, path))))  # `resolve` raises where links lead in a circle


def _params(root: Path, model: Model) -> tuple[str, ...] | None:
    path = model.train.params
    if path is None or not model.train.tunable or not (root / path).is_file():
        return None
    return tuple(load_params((root / path).read_bytes(), path))


def _header(root: Path, model: Model) -> tuple[str, ...] | None:
    """The columns of the holdout in the folder; None where it is no CSV file, or stands for one."""
    path = root / model.data.holdout
    if is_url(model.data.holdout) or path.suffix.lower() != ".csv" or not path.is_file():
        return None
    with path.open("rb") as stream:
        head, whole = read_head(stream)
    if head.startswith(LFS_POINTER) or not head.strip():
        return None
    try:
        return header_of(head, model.data.csv, whole=whole, columns=[*model.data.targets])
    except UsageError as error:
        what = ended(f"The holdout {quote(model.data.holdout)} cannot be read: {error.what}")
        problem = Problem(what, error.hint, whole=True)
        raise Refused(problem.under("models", model.name, "data", "holdout")) from error


def check_files(
    config: Config,
    document: Document,
    *,
    exists: Callable[[str], bool],
    headers: Mapping[str, Collection[str]],
    params: Mapping[str, Collection[str]] = MappingProxyType({}),
    models: Collection[str] | None = None,
) -> tuple[Problem, ...]:
    """Everything that the config names and is not there.

    A model without headers, or without names of parameters, is not checked for them.
    """
    problems: list[Problem] = []
    for model in _meant(config, models):
        found = [*_absent(model, exists), *_absent_code(model, exists)]
        found += _tunables(model, params[model.name]) if model.name in params else []
        found += _columns(model, document, headers[model.name]) if model.name in headers else []
        problems += (problem.under("models", model.name) for problem in found)
    return tuple(map(document.located, problems))


def _absent(model: Model, exists: Callable[[str], bool]) -> Iterator[Problem]:
    """URLs are for whoever reads them."""
    train, data = model.train, model.data
    paths: dict[KeyPath, str | None] = {("train", "params"): train.params, ("train", "lock"): train.lock}
    paths[("train", "notebook")] = train.notebook
    paths |= {("train", "depends", index): path for index, path in enumerate(train.depends or ())}
    for key, command in (("predict", model.predict), ("evaluate", model.evaluate)):
        paths |= {(key, "depends", index): path for index, path in enumerate((command and command.depends) or ())}
    paths |= {("artifact",): model.artifact.url if model.artifact else None}
    paths |= {("data", "train"): data.train, ("data", "holdout"): data.holdout}
    for at, path in paths.items():
        # Data are in the folder of mlbot.yaml or below; only git's own files are named from the root.
        if path and "://" not in path and (not exists(path) or (at[0] == "data" and path.startswith(TOP))):
            hint, above = "write a path that exists, from the folder of mlbot.yaml", f"{TOP}{path.removeprefix(TOP)}"
            if {"depends", "lock"} & set(at):
                there = exists(above)
                hint = f"write {above}" if there else f"{hint}, or with `:/` before it from the repository's root"
            yield Problem(f"{quote(path)}, which is not there", hint, at)


_SCRIPT = re.compile(r"(?:\w+=[\w./-]* +)*(?:python3?|bash|sh|Rscript|julia) +(?!-)(?P<file>[\w./-]+\.\w+)(?: .*)?")
"""A command that does nothing but run a file."""


def _absent_code(model: Model, exists: Callable[[str], bool]) -> Iterator[Problem]:
    """The scripts that train or ask, or the module that trains, where each can only be a file of the repository."""
    train = model.train
    for key, command in (("train", train), ("predict", model.predict), ("evaluate", model.evaluate)):
        script = _SCRIPT.fullmatch(((command and command.run) or "").strip())
        if script and not script["file"].startswith("/") and not exists(script["file"].removeprefix("./")):
            hint = "write a command that runs what is there"
            yield Problem(f"{quote(script['file'])}, which is not there", hint, (key, "run"))
    module, _, _ = (train.entrypoint or "").partition(":")
    path, top = module.replace(".", "/"), module.partition(".")[0]
    known = [f"{root}{end}" for root in ("", "src/") for end in (f"{path}.py", f"{path}/__init__.py")]
    inside = any(exists(f"{root}{top}") for root in ("", "src/"))
    if module and "." in module and inside and not any(map(exists, known)):
        hint = f"write a module that is there, such as {path}.py"
        yield Problem(f"{quote(module)}, a module which is not there", hint, ("train", "entrypoint"))


def _tunables(model: Model, names: Collection[str]) -> Iterator[Problem]:
    """A trial of a parameter that the file lacks would mostly change nothing: the training reads another name."""
    for each in model.train.tunable:
        if each.name not in names:
            found = f"{quote(each.name)}, which is no parameter in {model.train.params}"
            yield Problem(found, f"write {_instead(each.name, names)}", ("train", "tunable", each.name))


def _columns(model: Model, document: Document, header: Collection[str]) -> Iterator[Problem]:
    for at, column, hint in _named_columns(model, document, header):
        if column and column not in header:
            found = f"{quote(column)}, which is no column of {model.data.holdout}"
            yield Problem(found, f"write {hint or _instead(column, header)}", at)


def _named_columns(model: Model, document: Document, header: Collection[str]) -> Iterator[tuple[KeyPath, str, str]]:
    data = model.data
    for index, column in enumerate(data.targets):
        yield ("data", "target") if column == data.target else ("data", "target", index), column, ""
    for key in ("group", "time", "series", "horizon"):
        if (named := getattr(data, key)) is not None:
            yield ("data", key), named, ""
    if data.weight is not None:
        yield ("data", "weight"), data.weight, ""
    for key, columns in (("drop", data.drop), ("features", data.features or ())):
        yield from ((("data", key, index), column, "") for index, column in enumerate(columns))
    yield from ((("data", "types", each.name), each.name, "") for each in data.types)
    for part in model.slices:
        at = ("slices", part.name)
        where = (*at, "where") if ("models", model.name, *at, "where") in document.values else at
        yield from (
            (where, column, _hint(column, part.where, header)) for column in sorted(slice_sql.check(part.where))
        )


def _instead(name: str, known: Collection[str]) -> str:
    listed = ", ".join(list(known)[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
    return nearest(name, known) or f"one of {listed}"


def _hint(column: str, condition: str, header: Collection[str]) -> str:
    """The two slips of SQL's quotes: a text in double ones, and a column such as `hours-per-week` in none."""
    if f'"{column}"' in condition and nearest(column, header) is None:
        return f"'{column}' in single quotes, if it is text"
    whole = next((name for name in header if "-" in name and name in condition and column in name.split("-")), None)
    return f'"{whole}" in double quotes' if whole else ""
