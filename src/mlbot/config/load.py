"""`mlbot.yaml` as a person writes it, read into a `Config`: every problem at once, each with its line."""

from collections.abc import Mapping

from mlbot.config import schema
from mlbot.config.document import Document
from mlbot.config.errors import ConfigError
from mlbot.config.reader import Notes, Reader, is_name
from mlbot.config.schema import (
    Config,
    Model,
    OnInconclusive,
    Scope,
    Waivers,
    read_data,
    read_environments,
    read_gates,
    read_metrics,
    read_slices,
    read_train,
)
from mlbot.gates.metric import OPERATIONAL, Task

CONFIG_KEYS = ("version", "models", "guard", "inconclusive", "waivers", "store", "environments")

MODEL_KEYS = ("task", "train", "data", "slices", "metrics", "gates")

INCONCLUSIVE_KEYS = ("pull_request", "promotion")

WAIVERS_KEYS = ("by", "author")

_ON_INCONCLUSIVE = ("warn", "block")


def parse_config(document: Document) -> Config:
    """Read a whole mlbot.yaml.

    Args:
        document: Its plain data with the places of its keys and values; without places, problems have no lines.

    Raises:
        ConfigError: Something in it is wrong; says everything that is.
    """
    notes = Notes(document=document)
    config = _config(Reader(value=document.data, path=(), notes=notes))
    if notes.problems or config is None:
        raise ConfigError(notes.problems, source=document.source)
    return config


def _config(reader: Reader) -> Config | None:
    if reader.value is None:
        reader.refuse("`version: 1` and `models:`; `mlbot init` makes a first one", found="an empty file")
        return None
    fields = reader.fields(CONFIG_KEYS, required=("models",))
    if "version" in fields:
        _check_version(fields["version"])
    models = _models(fields["models"]) if "models" in fields else ()
    guard = fields["guard"].texts("branch names", schema.branch) if "guard" in fields else ()
    inconclusive = _inconclusive(fields["inconclusive"]) if "inconclusive" in fields else OnInconclusive()
    waivers = _waivers(fields["waivers"]) if "waivers" in fields else Waivers()
    store = schema.place(fields["store"]) if "store" in fields else None
    environments = read_environments(fields["environments"]) if "environments" in fields else ()
    if reader.notes.problems:
        return None
    return Config(
        models=models,
        guard=guard,
        inconclusive=inconclusive,
        waivers=waivers,
        store=store,
        environments=environments,
    )


def _check_version(reader: Reader) -> None:
    if reader.value != 1 or not isinstance(reader.value, int) or isinstance(reader.value, bool):
        reader.refuse("1, the only version there is")


def _models(reader: Reader) -> tuple[Model, ...]:
    named = reader.named("model")
    if reader.value == {}:
        reader.refuse("at least one model", found="no models")
    return tuple(model for name, inside in named.items() if (model := _model(inside, name)) is not None)


def _model(reader: Reader, name: str) -> Model | None:
    before = len(reader.notes.problems) if is_name(name) else -1
    fields = reader.fields(MODEL_KEYS, required=("task", "train", "data", "gates"))
    said = fields["task"].choice(tuple(Task)) if "task" in fields else None
    task = Task(said) if said else None
    train = read_train(fields["train"]) if "train" in fields else None
    data = read_data(fields["data"], task) if "data" in fields else None
    named = fields["slices"].named("slice") if "slices" in fields else {}
    slices = read_slices(named)
    rules = _rules(fields["gates"]) if "gates" in fields else {}
    metrics = read_metrics(fields.get("metrics"), task, rules)
    gates = read_gates(rules, Scope(task=task, metrics=metrics, slices=named.keys()))
    if rules and "metrics" not in fields and all(subject in OPERATIONAL for subject in rules):
        reader.refuse("`metrics:` with at least one, such as roc_auc", found="no metrics")
    if task is None or train is None or data is None or len(reader.notes.problems) > before:
        return None
    listed = tuple(metrics.known.values())
    return Model(name=name, task=task, train=train, data=data, slices=slices, metrics=listed, gates=gates)


def _rules(reader: Reader) -> Mapping[str, Reader]:
    """The gates by subject; a model without any could not fail, so there has to be one."""
    if not isinstance(reader.value, dict):
        reader.refuse("a mapping from metric or metric@slice to its bounds")
        return {}
    if not reader.value:
        reader.refuse("at least one, such as `roc_auc: {max_regression: 0.005}`", found="no gates")
    return {key: reader.child(key, value) for key, value in reader.value.items()}


def _inconclusive(reader: Reader) -> OnInconclusive:
    fields = reader.fields(INCONCLUSIVE_KEYS)
    said = {key: fields[key].choice(_ON_INCONCLUSIVE) for key in fields}
    return OnInconclusive.model_validate({key: word for key, word in said.items() if word})


def _waivers(reader: Reader) -> Waivers:
    fields = reader.fields(WAIVERS_KEYS)
    by = fields["by"].texts("logins", schema.login) if "by" in fields else ()
    author = fields["author"].flag() if "author" in fields else False
    return Waivers(by=by, author=author is True)
