"""`mlbot.yaml` as records: the whole file and its models. Of each section: its form, its meaning, what holds.

A field's docstring is what editors and docs/configuration.md say of it, in Markdown; after "Left out:" what holds
without it, where the default does not say so.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from mlbot.config import kinds
from mlbot.config.actions import SECRET, Actions, SealedAccess
from mlbot.config.cost import Cost
from mlbot.config.data import Data
from mlbot.config.errors import (
    DELIVERED_FORM,
    DELIVERED_WORDS,
    ConfigError,
    Document,
    Plain,
    Problem,
    Refused,
    quote,
    refused,
    show_value,
)
from mlbot.config.gates import GATES, METRICS, GateRule, Slice, with_named_metrics, wrong_gates
from mlbot.config.guard import clashes
from mlbot.config.kinds import (
    Context,
    Kind,
    Schema,
    Section,
    choice,
    inside,
    kind,
    list_of,
    named,
    read_number,
    whole,
)
from mlbot.config.monitor import Monitor, wrong_monitors
from mlbot.config.predict import ANY_SIZE, ONNX_SIZE, Evaluate, Limits, Predict, wrong_predictor
from mlbot.config.train import NOT_TRAINED, Brought, Train
from mlbot.gates.metric import (
    Gate,
    Metric,
    Task,
)
from mlbot.lib.artifact import ANY_FILE, MODEL_FILE
from mlbot.lib.record import Name

_SHOWN = 8


# What else people call a task, and what to write.
_CALLED = {
    "classification": "binary, or multiclass where there are more than two classes",
    "classifier": "binary, or multiclass where there are more than two classes",
    "binaryclassification": "binary",
    "multiclassclassification": "multiclass",
    "multilabelclassification": "multilabel",
    "multioutputclassification": "multilabel, for labels of 0 or 1",
    "multioutputregression": "multioutput",
    "learningtorank": "ranking",
    "ltr": "ranking",
    "recommendation": "ranking",
    "retrieval": "ranking",
    "search": "ranking",
    "timeseries": "forecast",
    "timeseriesforecasting": "forecast",
    "forecasting": "forecast",
    "multitarget": "multioutput",
    "multitargetregression": "multioutput",
    "anomalydetection": "binary, with a holdout that says which rows are anomalies",
}
_TASKS = choice(tuple(Task))


def _task(value: Plain, context: Context) -> Any:
    called = "".join(filter(str.isalnum, value.lower())) if isinstance(value, str) else ""
    if called not in _CALLED and called in [*Task] and called != value:
        raise refused(value, called)
    if called in _CALLED:
        raise refused(value, _CALLED[called])
    return _TASKS.read(value, context)


_TASK = Kind(_task, _TASKS.schema)


class Model(Section):
    """One model."""

    name_form: ClassVar[str] = DELIVERED_FORM
    name_words: ClassVar[str] = DELIVERED_WORDS
    constraints: ClassVar[Schema] = {
        "oneOf": [{"required": ["train"]}, {"required": ["artifact"]}],
        "if": {"properties": {"task": {"const": "scores"}}},
        "then": {"required": ["evaluate"]},
        "else": {"required": ["data"], "properties": {"data": {"required": ["holdout", "target"]}}},
    }

    name: Name
    task: Annotated[Task, _TASK]
    """What the model predicts: `binary`, `multiclass`, `regression`, `multilabel` (several labels a row), `multioutput`
    (several numbers a row), `ranking` (the order of the rows of a query) or `forecast` (series over time); or `scores`,
    where an evaluator gives them."""
    was: Annotated[str | None, kinds.text("the name that the model had before")] = None
    """The name that it had before, where a change renames it: it is compared with that one, by that one's gates. Left
    out: its content tells, if it is the same."""
    train: Annotated[Train, inside(Train)] = NOT_TRAINED
    """How it is trained. Left out: `artifact` is given."""
    artifact: Annotated[Brought | None, inside(Brought)] = None
    """A model that was made elsewhere: a file or folder in git, Git LFS or DVC, or a URL that names the very bytes.
    Left out: `train` is given."""
    predict: Annotated[Predict | None, inside(Predict)] = None
    """How it is asked for predictions, where it is no ONNX file. Left out: it is one, and mlbot asks it itself."""
    evaluate: Annotated[Evaluate | None, inside(Evaluate)] = None
    """What gives it scores, for the task `scores`. Left out: it is judged by metrics on the holdout."""
    limits: Annotated[Limits, inside(Limits)] = Limits()
    """What it may be and use while it is judged. Left out: see each."""
    data: Annotated[Data, inside(Data)] = Data()
    """What it learns from and is judged on. Left out: must be there, but for `scores`."""
    slices: Annotated[tuple[Slice, ...], named(Slice, "a mapping from the name of each slice")] = ()
    """Subsets of the holdout that are measured on their own, by name. Left out: none."""
    metrics: Annotated[tuple[Metric, ...], METRICS] = ()
    """What is measured; metrics that gates name are added. Left out: what the gates name."""
    gates: Annotated[tuple[Gate, ...], GATES]
    """What has to hold, by metric or metric@slice; at least one: a model without gates could not fail."""
    anchor: Annotated[bool, kinds.FLAG] = True
    """Whether each `max_regression` also holds against an earlier model, the anchor, with one and a half margins, so
    that small losses do not add up."""
    monitor: Annotated[Monitor | None, inside(Monitor)] = None
    """Where the requests of production are logged, for `mlbot monitor`. Left out: nothing is watched."""

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """Gates name what is measured; a model is trained or brought; what judges it fits its task."""
        given = context.given
        if ("train" in given) == ("artifact" in given):
            found = "both train and artifact" if "train" in given else "no train"
            yield Problem(found, "write `train:`, or `artifact:` for a model that was made elsewhere")
        yield from _wrong_evaluator(given, context.made.get("task"))
        yield from wrong_gates(context)
        yield from wrong_predictor(context)

    @classmethod
    def completed(cls, context: Context) -> dict[str, Any]:
        """With the catalogue's metrics that gates name, and with the gates on its data among the others."""
        made = super().completed(context)
        gates = (*made["gates"], *(made["data"].gates if "data" in made else ()))
        return made | {"metrics": with_named_metrics(context), "gates": gates}

    @property
    def is_onnx(self) -> bool:
        """Whether mlbot asks it itself, so that it is an ONNX file (or a folder with one and its data)."""
        return self.predict is None and self.evaluate is None

    @property
    def file_name(self) -> str:
        """What its file or folder is called where it is put."""
        return MODEL_FILE if self.is_onnx else ANY_FILE

    @property
    def given_name(self) -> str:
        """What a command finds it as: of git by its own name, for tools go by its ending; all else by one name."""
        if self.artifact is None or self.artifact.is_remote:
            return ANY_FILE
        return self.artifact.url.rstrip("/").rpartition("/")[2] or ANY_FILE

    @property
    def most_bytes(self) -> int:
        """The largest that its file, or the files of its folder together, may be."""
        return self.limits.size_bytes or (ONNX_SIZE if self.is_onnx else ANY_SIZE)


def _wrong_evaluator(given: Mapping[str, Plain], task: Task | None) -> Iterator[Problem]:
    if task is Task.SCORES:
        if "evaluate" not in given:
            yield Problem("no evaluate", "write `evaluate:`, what gives the scores")
        if "metrics" in given:
            yield Problem("metrics for scores", "write them as `evaluate.scores`, by name", ("metrics",))
    elif task is not None:
        if "evaluate" in given:
            yield Problem(f"an evaluator for a {task} model", "write `task: scores`, or remove it", ("evaluate",))
        if "data" not in given:
            yield Problem("no data", "write `data:`")


_WHAT_TO_DO = choice(("warn", "block"))


class OnInconclusive(Section):
    """What a verdict does that the data cannot settle."""

    pull_request: Annotated[Literal["warn", "block"], _WHAT_TO_DO] = "warn"
    """On a pull request: `warn` or `block`."""
    promotion: Annotated[Literal["warn", "block"], _WHAT_TO_DO] = "block"
    """Before an environment: `warn` or `block`."""


class Waivers(Section):
    """Who may let a gate pass by their word with `/waive`, besides those who maintain the repository."""

    by: Annotated[tuple[str, ...], list_of("logins", kinds.LOGIN)] = ()
    """Logins of people who may do so without maintaining the repository. Left out: nobody."""
    author: Annotated[bool, kinds.FLAG] = False
    """Whether they and maintainers may do so on a pull request of their own."""


def _milliseconds(value: Plain) -> float:
    return read_number(value, "milliseconds, more than 0", low=math.ulp(0.0))


class Smoke(Section):
    """The smoke test after a deployment."""

    requests: Annotated[int, whole(1)] = 50
    """How many predictions are asked for."""
    p95_ms: Annotated[float | None, kind(_milliseconds, type="number", exclusiveMinimum=0)] = None
    """The most milliseconds that 95 % of them may take. Left out: no limit."""
    command: Annotated[str | None, kinds.SCRIPT] = None
    """A shell command that looks at the endpoint; any exit code but 0 fails the test. Left out: none."""


_LOOPBACK = re.compile(r"http://(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?(?:/|$)", re.IGNORECASE)
_IN_AN_ADDRESS = (r"[/?#\s]", "a name without `/`, `?`, `#` and spaces")
_A_MODEL = kinds.text("the model's name on the server", _IN_AN_ADDRESS, kinds.braces("model"))
_A_VERSION = kinds.text("a version on the server", _IN_AN_ADDRESS, kinds.braces("version", "number"))


class Endpoint(Section):
    """A server that speaks the Open Inference Protocol (KServe, Triton, MLServer), for what lies in the target."""

    url: Annotated[str, kinds.SERVER]
    """Where it is, such as `https://models.example.org`: what comes before `/v2`."""
    model: Annotated[str, _A_MODEL] = "{model}"
    """The model's name on the server; `{model}` in it is its name here."""
    version: Annotated[str | None, _A_VERSION] = None
    """The version on the server to ask: `{version}` in it is the deployed one (`1.2.0`), `{number}` its folder in a
    target of files (`1002000`). Left out: the server chooses."""
    load: Annotated[bool, kinds.FLAG] = False
    """Whether the server is asked to load the model after each switch (the model repository extension of Triton and
    MLServer). Left out: it follows its files by itself."""
    token: Annotated[str | None, SECRET] = None
    """The environment variable with the token that the server asks for (`Authorization: Bearer …`); on GitHub a secret
    of `actions.deploy.secrets`. Left out: none."""
    timeout_s: Annotated[float, kinds.TIMEOUT._replace(default="2m")] = 120.0
    """The longest that it may take after a switch until it is ready and answers as judged, and that all golden requests
    together may take. One request may take 30 seconds, or this where it is less."""
    p95_ms: Annotated[float | None, kind(_milliseconds, type="number", exclusiveMinimum=0)] = None
    """The most milliseconds that 95 % of the golden requests may take there, with the network. Left out: no limit."""

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """A token goes by HTTPS."""
        url: str = context.made.get("url", "")
        clear = url.lower().startswith("http://") and not _LOOPBACK.match(url)
        if context.made.get("token") and clear:
            yield Problem(show_value(url), "write https://, or no token: by this URL it travels in clear", ("url",))


def _changed(value: Plain) -> float:
    return read_number(value, "a share from 0 to 1, such as 0.02", low=0.0, high=1.0)


def _log(value: Plain, context: Context) -> str:
    place: str = kinds.PATH_OR_URL.read(value, context)
    kinds.text("a path or URL", kinds.braces("model", "date", "year", "month", "day")).read(place, context)
    return place


_LOG = Kind(_log, kinds.PATH_OR_URL.schema)


class Shadow(Section):
    """Recorded requests that are answered by the live version and by the new one, before it is promoted."""

    requests: Annotated[str, _LOG]
    """Where they are: a file, a folder or a glob of JSON lines or Parquet, as a path in the repository or a URL. In it
    `{model}` is the model's name and `{date}` (2026-11-30; or `{year}`, `{month}`, `{day}`) yesterday, in UTC. A line
    is a body of the Open Inference Protocol, or an object with a value a column."""
    max_changed: Annotated[float, kind(_changed, type="number", minimum=0, maximum=1)._replace(default=0.02)] = 0.02
    """The share of requests whose answer may be another one."""
    most: Annotated[int, whole(1, 100_000)] = 10_000
    """How many requests are answered at most: the last ones of the file."""


class EnvironmentConfig(Section):
    """Where a model can be deployed."""

    # A registry has a tag for each version, and one for each environment.
    name_form: ClassVar[str] = rf"(?!v[0-9]+\.[0-9]+\.[0-9]+$){DELIVERED_FORM}"
    name_words: ClassVar[str] = f"{DELIVERED_WORDS}, that is no version"

    name: Name
    target: Annotated[str, kinds.TARGET]
    """Where the model goes: a folder, any fsspec URL, `oci://`, or `command:` and a shell command."""
    after: Annotated[str | None, kinds.text("the name of the environment that comes before")] = None
    """The environment where the same digest has to be live and healthy first. Left out: none."""
    approvals: Annotated[int, whole(0, 6)] = 0
    """How many people have to approve, 0 to 6."""
    runs_on: Annotated[tuple[str, ...], kinds.RUNS_ON] = ("ubuntu-latest",)
    """The runner's label, or a list of labels."""
    smoke: Annotated[Smoke | None, inside(Smoke)] = None
    """The smoke test after a deployment. Left out: 50 requests, no limit."""
    endpoint: Annotated[Endpoint | None, inside(Endpoint)] = None
    """The server that serves what lies in the target: the smoke test asks it, too. Left out: none is asked."""
    shadow: Annotated[Shadow | None, inside(Shadow)] = None
    """Recorded requests that the new version has to answer as the live one does. Left out: none are asked."""


def _version(value: Plain) -> int:
    if value == 1 and isinstance(value, int) and not isinstance(value, bool):
        return value
    raise refused(value, "1, the only version there is")


class Config(Section):
    """How this repository's models are trained, judged and deployed."""

    version: Annotated[Literal[1], kind(_version, const=1)] = 1
    """The version of this file's format."""
    models: Annotated[
        tuple[Model, ...],
        named(Model, "a mapping from the name of each model", none=("no models", "at least one model")),
    ]
    """The models by name; at least one. Names have letters and digits, with `.`, `_`, `__` or dashes between them, at
    most 63, and differ by more than case."""
    guard: Annotated[tuple[str, ...], list_of("branch names and patterns", kinds.GUARDED)] = ()
    """Branches whose pull requests are gated, by name or by a pattern such as `release/*`. Left out: the default
    branch."""
    inconclusive: Annotated[OnInconclusive, inside(OnInconclusive)] = OnInconclusive()
    """What a verdict does that the data cannot settle. Left out: `warn` on a pull request, `block` before an
    environment."""
    waivers: Annotated[Waivers, inside(Waivers)] = Waivers()
    """Who may let a gate pass by their word with `/waive`, besides those who maintain the repository.
    Left out: maintainers only, and nobody on their own pull request."""
    store: Annotated[str | None, kinds.PLACE] = None
    """Where judged models are stored: a folder, any fsspec URL, or `oci://`. Left out: nowhere but in the runs'
    artifacts."""
    environments: Annotated[
        tuple[EnvironmentConfig, ...], named(EnvironmentConfig, "a mapping from the name of each environment")
    ] = ()
    """Where models can be deployed, by name; names are like those of models. Left out: none."""
    cost: Annotated[Cost, inside(Cost)] = Cost()
    """What the runners cost, for the report and the dashboard. Left out: minutes alone are shown."""
    actions: Annotated[Actions, inside(Actions)] = Actions()
    """How the workflows are written: their form, their runners, and what each job may reach.
    Left out: small files that call mlbot's workflows, on GitHub's runners, without a secret."""

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """Entries of `guard` have a status, names a place of their own, environments an order without a circle."""
        written = context.given.get("guard")
        guard = written if isinstance(written, list) else []
        for place, write in clashes(guard):
            yield Problem(show_value(guard[place]), f"write {write}", ("guard", place))
        yield from _names_alike(context)
        yield from _secrets_without_a_job(context)
        yield from _sealed_by_callers(context)
        yield from _shared_places(context)
        yield from wrong_monitors(context)
        environments = context.inside("environments")
        named = ((name, value.get("after")) for name, value in environments.items() if isinstance(value, dict))
        after = {name: first for name, first in named if isinstance(first, str)}
        for name, first in after.items():
            if first.strip() and first not in environments:
                hint = f"write {context.guess(first, environments)}"
                yield Problem(quote(first), hint, ("environments", name, "after"))
        for circle in _circles(after):
            found = " after ".join(quote(step) for step in (*circle[:_SHOWN], circle[0]))
            yield Problem(found, "write an order without a circle", ("environments", circle[0]))

    def model(self, name: str) -> Model | None:
        """The model of that name, if there is one."""
        return next((m for m in self.models if m.name == name), None)

    def sealed_elsewhere(self, model: Model) -> frozenset[str]:
        """The models whose sealed rows have another address than this one's."""
        return frozenset(each.name for each in self.models if each.data.sealed != model.data.sealed)

    @property
    def wired(self) -> Actions:
        """How the workflows are written: sealed rows have an environment of their own, said or not."""
        if self.actions.sealed is not None or not any(model.data.sealed for model in self.models):
            return self.actions
        return self.actions.model_copy(update={"sealed": SealedAccess()})


def _secrets_without_a_job(context: Context) -> Iterator[Problem]:
    """Secrets of evaluators that their job is not given: what a job can read is seen in one place."""
    if "actions" in context.given and "actions" not in context.made:
        return
    access = context.made["actions"].evaluate if "actions" in context.made else None
    given = {name.casefold() for name in access.secrets} if access else set()
    for name, model in context.inside("models").items():
        evaluate = model.get("evaluate") if isinstance(model, dict) else None
        secrets = evaluate.get("secrets") if isinstance(evaluate, dict) else None
        for place, secret in enumerate(secrets if isinstance(secrets, list) else ()):
            if isinstance(secret, str) and secret.casefold() not in given:
                hint = f"write it under `actions:` too: `evaluate: {{secrets: [{secret}]}}`"
                yield Problem(f"the secret {secret}", hint, ("models", name, "evaluate", "secrets", place))


def _sealed_by_callers(context: Context) -> Iterator[Problem]:
    """Sealed rows without a job of the repository's own: a called workflow has no environment with their key."""
    if context.inside("actions").get("form") != "callers":
        return
    for name, model in context.inside("models").items():
        data = model.get("data") if isinstance(model, dict) else None
        if isinstance(data, dict) and data.get("sealed") is not None:
            hint = f"write inline: the sealed rows of {name} have a key, which called workflows cannot have"
            yield Problem("callers beside sealed rows", hint, ("actions", "form"))
            return


def _names_alike(context: Context) -> Iterator[Problem]:
    """Names that a registry, a disk or GitHub takes for one: they know no case."""
    for key in ("models", "environments"):
        seen: dict[str, str] = {}
        for name in context.inside(key):
            if (other := seen.setdefault(name.casefold(), name)) != name:
                found = f"{quote(name)} beside {quote(other)}"
                yield Problem(found, "write names that differ by more than case; registries know none", (key, name))


_MOST_REFERENCE = 255
"""Characters of a registry's host and repository together."""


def _shared_places(context: Context) -> Iterator[Problem]:
    """Environments whose models would lie on top of each other, and repositories whose names are too long."""
    models = [*context.inside("models")]
    longest = max(map(len, models), default=0)
    seen: dict[str, str] = {}
    for name, given in context.inside("environments").items():
        target = given.get("target") if isinstance(given, dict) else None
        place = _place(target) if isinstance(target, str) else ""
        at = ("environments", name, "target")
        if place.startswith("oci://"):
            if len(place.removeprefix("oci://")) + 1 + longest > _MOST_REFERENCE:
                hint = f"write a shorter one: with the model's name it may have {_MOST_REFERENCE} characters"
                yield Problem(show_value(target), hint, at)
        elif place:
            other = next((other for known, other in seen.items() if _overlaps(known, place, models)), None)
            if other is not None:
                found = f"{show_value(target)}, where {quote(other)} has its models too"
                yield Problem(found, "write a place for each environment", at)
            seen.setdefault(place, name)


def _place(target: str) -> str:
    """A target in the form in which equal places are equal; empty for a command."""
    if target.startswith("command:"):
        return ""
    scheme, found, rest = target.partition("://")
    path = "/".join(part for part in (rest if found else target).split("/") if part not in {"", "."})
    if not found or scheme.lower() in {"file", "local"}:
        path = path.casefold()  # a disk may know no case, an object store does
    return f"{scheme.lower()}://{path}" if found else path


def _overlaps(one: str, other: str, models: Iterable[str]) -> bool:
    """Whether two folders are one, or one is the folder that a model has in the other."""
    short, long = sorted((one, other), key=len)
    inside = (f"{short}/{model.casefold()}" for model in models)
    return short == long or any(f"{long}/".startswith(f"{each}/") for each in inside)


def _circles(after: Mapping[str, str]) -> Iterator[list[str]]:
    walks: dict[str, str] = {}
    for start in after:
        walk: list[str] = []
        name = start
        while name in after and name not in walks:
            walks[name] = start
            walk.append(name)
            name = after[name]
        if walks.get(name) == start:
            yield walk[walk.index(name) :]


def parse_config(document: Document) -> Config:
    """Read a whole mlbot.yaml.

    Raises `ConfigError` with everything that is wrong.
    """
    try:
        if document.data is None:
            write = "`version: 1` and `models:`; `mlbot init` makes a first one"
            raise refused(document.data, write, found="an empty file")
        return Config.read(document.data, Context())
    except Refused as error:
        raise ConfigError(map(document.located, error.problems), source=document.source) from None


def json_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of the file, for editors.

    It says what can be said of a setting alone; nothing that `parse_config` accepts is refused by it.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mlbot.yaml",
        **Config.json_schema(),
        "$defs": {"gate": GateRule.json_schema()},
    }
