"""The JSON Schema of mlbot.yaml, for editors: completion, descriptions, and most mistakes while one types.

It says what can be said of a setting alone. What holds between settings (a gate's metric fits the task, `after` names
an environment) is for `parse_config`; nothing that `parse_config` accepts is refused here, and a test compares the two.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from mlbot.config.reader import MAX_SCRIPT, MAX_TEXT
from mlbot.config.schema import (
    LONGEST_S,
    MAX_CHOICE,
    MAX_CHOICES,
    MAX_SEEDS,
    MAX_TUNABLE,
    TYPES,
    EnvironmentConfig,
    OnInconclusive,
    Slice,
    Smoke,
    Train,
    Waivers,
)
from mlbot.gates.gate import Gate
from mlbot.gates.metric import CATALOGUE, OPERATIONAL, Direction, Task

# Pieces that the JSON Schema of mlbot.yaml is made of.

Schema = dict[str, Any]
"""A JSON Schema, draft 2020-12."""

NAME = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"

_FUNCTION = "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$"

_LOGIN = "^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$"

_DURATION = "^(?=.*[1-9])[0-9]{1,9}(\\.[0-9]{1,9})?[smh]?$"

_INSIDE = "^(?![/~]|[A-Za-z]:)(?!(.*/)?\\.\\.(/|$))[^\\\\]+$"

_URL = "^[A-Za-z][A-Za-z0-9+.-]*://\\S+$"


def mapping(properties: Mapping[str, Schema], required: list[str] | None = None, description: str = "") -> Schema:
    """A mapping with these settings and no others."""
    made: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    if required:
        made["required"] = required
    return {"description": description, **made} if description else made


def named(description: str, definition: str, least: int = 0) -> Schema:
    """A mapping from names to one definition each."""
    made: Schema = {
        "type": "object",
        "description": description,
        "propertyNames": {"pattern": NAME},
        "additionalProperties": {"$ref": f"#/$defs/{definition}"},
    }
    return {**made, "minProperties": least} if least else made


def said(description: str, made: Schema, default: object = None) -> Schema:
    """A schema with what an editor shows beside it."""
    return {"description": description, **made, **({} if default is None else {"default": default})}


def defaults(record: type[BaseModel]) -> dict[str, Any]:
    """The defaults of a record's settings."""
    return {name: field.default for name, field in record.model_fields.items()}


def text(limit: int = MAX_TEXT) -> Schema:
    """A text with something in it."""
    return {"type": "string", "pattern": "\\S", "maxLength": limit}


def line() -> Schema:
    """A text on one line."""
    return {"type": "string", "pattern": "^[^\\t\\n]*[^\\t\\n ][^\\t\\n]*$", "maxLength": MAX_TEXT}


def label() -> Schema:
    """A label, quoted or not."""
    return {"anyOf": [line(), {"type": ["number", "boolean"]}]}


def texts(item: Schema) -> Schema:
    """A list without repetition."""
    return {"type": "array", "items": item, "minItems": 1, "uniqueItems": True}


def path() -> Schema:
    """A path inside the repository."""
    return {"type": "string", "allOf": [{"pattern": _INSIDE}, {"not": {"pattern": "://"}}], "maxLength": MAX_TEXT}


def path_or_url() -> Schema:
    """A path inside the repository, or an fsspec URL."""
    return {"anyOf": [path(), {"type": "string", "pattern": _URL, "maxLength": MAX_TEXT}]}


def place() -> Schema:
    """Where models are kept or deployed."""
    return path_or_url()


def target() -> Schema:
    """Where models are deployed, by mlbot or by a command."""
    command = {"type": "string", "pattern": "^command:[ ]*[^\\s]", "maxLength": MAX_TEXT}
    return {"anyOf": [*place()["anyOf"], command]}


def branch() -> Schema:
    """A branch's name."""
    return {"type": "string", "pattern": "^[^\\s~^:?*\\[\\\\]+$", "maxLength": MAX_TEXT}


def login() -> Schema:
    """A person's name on GitHub."""
    return {"type": "string", "pattern": _LOGIN}


def function() -> Schema:
    """`module:function`."""
    return {"type": "string", "pattern": _FUNCTION, "maxLength": MAX_TEXT}


def duration() -> Schema:
    """`30m`, or seconds."""
    return {
        "anyOf": [
            {"type": "string", "pattern": _DURATION},
            {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_S},
        ]
    }


def runs_on() -> Schema:
    """Runner labels."""
    return {"anyOf": [line(), texts(line())]}


def schema() -> Schema:
    """The JSON Schema (draft 2020-12) of the file as a person writes it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mlbot.yaml",
        "description": "How this repository's models are trained, judged and deployed.",
        **mapping(
            {
                "version": said("The version of this file's format.", {"const": 1}, 1),
                "models": named("The models by name: letters, digits, `.`, `_`, `-`.", "model", least=1),
                "guard": said("Branches whose pull requests are gated. Left out: the default branch.", texts(branch())),
                "inconclusive": _inconclusive(),
                "waivers": _waivers(),
                "store": said("Where judged models are kept: a folder, any fsspec URL, or oci://.", place()),
                "environments": named("Where models can be deployed, by name.", "environment"),
            },
            required=["models"],
        ),
        "$defs": {
            "model": _model(),
            "train": _train(),
            "data": _data(),
            "slice": _slice(),
            "metric": _metric(),
            "gate": _gate(),
            "environment": _environment(),
        },
    }


def _model() -> Schema:
    return mapping(
        {
            "task": said("What the model predicts.", {"enum": list(Task)}),
            "train": {"$ref": "#/$defs/train"},
            "data": {"$ref": "#/$defs/data"},
            "slices": named("Subsets of the holdout that are measured on their own, by name.", "slice"),
            "metrics": said(
                "What is measured. Metrics that gates name are added.",
                {"type": "array", "items": {"$ref": "#/$defs/metric"}, "minItems": 1},
            ),
            "gates": _gates(),
        },
        required=["task", "train", "data", "gates"],
        description="One model.",
    )


def _train() -> Schema:
    default = defaults(Train)
    return {
        **mapping(
            {
                "run": said(
                    "A shell command that writes the ONNX file named by $MLBOT_MODEL; it reads $MLBOT_PARAMS (JSON) "
                    "and $MLBOT_SEED.",
                    text(MAX_SCRIPT),
                ),
                "entrypoint": said(
                    "`module:function`, taking (params, seed) and returning a fitted scikit-learn estimator.",
                    function(),
                ),
                "depends": said(
                    "Files, folders and globs whose change makes the model stale. Left out: the whole repository.",
                    texts(path()),
                ),
                "params": said("A YAML or JSON file of parameters.", path()),
                "tunable": _tunable(),
                "seeds": said(
                    "Trainings with different seeds. The first one's model ships; the others measure the noise.",
                    {"type": "integer", "minimum": 1, "maximum": MAX_SEEDS},
                    default["seeds"],
                ),
                "timeout": said("The longest a training may take: 90s, 30m, 2h, or seconds.", duration(), "30m"),
                "runs-on": said("Runner labels: one, or a list.", runs_on(), "ubuntu-latest"),
                "lock": said("The environment lock file. Left out: the first known one in the root.", path()),
            },
            description="How the model is trained: by `run` or by `entrypoint`.",
        ),
        "oneOf": [{"required": ["run"]}, {"required": ["entrypoint"]}],
    }


def _tunable() -> Schema:
    number = {"type": "number"}
    bounds = mapping(
        {
            "type": said("What its values are.", {"enum": list(TYPES)}),
            "min": said("The least a number may be.", number),
            "max": said("The most a number may be.", number),
        },
        required=["type"],
    )
    choice = {"type": ["string", "number", "boolean"], "maxLength": MAX_CHOICE}
    choices = {"type": "array", "items": choice, "minItems": 1, "maxItems": MAX_CHOICES}
    return {
        "type": "object",
        "description": "The parameters that /retrain may change for a trial, by name (nested ones with dots): their "
        "type with its bounds, or a list of choices.",
        "minProperties": 1,
        "maxProperties": MAX_TUNABLE,
        "additionalProperties": {"anyOf": [bounds, choices]},
    }


def _data() -> Schema:
    return mapping(
        {
            "train": said("The training data: CSV or Parquet, a path or an fsspec URL.", path_or_url()),
            "holdout": said("The labelled rows that the model is judged on; training never sees them.", path_or_url()),
            "target": said("The column to predict.", line()),
            "positive": said(
                "The label that counts as positive (binary only). Left out: the greater of the two labels.",
                label(),
            ),
            "drop": said("Columns that are no features.", texts(line())),
            "features": said("The features in order. Left out: all but target, group and dropped ones.", texts(line())),
            "classes": said(
                "The labels in the order of the model's probability columns. Left out: the model's own, else sorted.",
                texts(label()),
            ),
            "group": said("A column whose rows belong together: user, patient, day.", line()),
        },
        required=["holdout", "target"],
        description="What the model learns from and is judged on.",
    )


def _slice() -> Schema:
    where = said("An SQL condition over the holdout's columns: sex = 'Female' AND age < 25.", text(MAX_SCRIPT))
    rows = said(
        "Below this many rows the slice is shown and never blocks.",
        {"type": "integer", "minimum": 1},
        defaults(Slice)["min_rows"],
    )
    return {"anyOf": [where, mapping({"where": where, "min_rows": rows}, required=["where"])]}


def _metric() -> Schema:
    own = mapping(
        {
            "function": said("The metric's `module:function`, read from the guarded branch.", function()),
            "name": said("What gates call it. Left out: the function's name.", {"type": "string", "pattern": NAME}),
            "direction": said("Which way is better.", {"enum": list(Direction)}),
        },
        required=["function"],
        description="A metric of your own.",
    )
    known = said("A metric by scikit-learn's name.", {"enum": list(CATALOGUE)})
    return {"anyOf": [known, said("A metric of your own: `module:function`.", function()), own]}


def _gates() -> Schema:
    names = sorted(CATALOGUE) + list(OPERATIONAL)
    return {
        "type": "object",
        "description": "Rules by metric, or metric@slice. Beside metrics: " + ", ".join(OPERATIONAL) + ".",
        "minProperties": 1,
        "properties": {name: {"$ref": "#/$defs/gate"} for name in names},
        "additionalProperties": {"$ref": "#/$defs/gate"},
    }


def _gate() -> Schema:
    default = defaults(Gate)
    bounds = {
        "min": said("Fails below this value.", {"type": "number"}),
        "max": said("Fails above this value.", {"type": "number"}),
        "max_regression": said(
            "How much worse than the baseline it may be, in the metric's own units, whatever its direction.",
            {"type": "number", "minimum": 0},
        ),
    }
    more = {
        "confident": said(
            "Whether min and max judge the confidence bound instead of the measured value.",
            {"type": "boolean"},
            default["confident"],
        ),
        "blocking": said("Whether a failure fails the check.", {"type": "boolean"}, default["blocking"]),
    }
    return {**mapping({**bounds, **more}), "anyOf": [{"required": [bound]} for bound in bounds]}


def _inconclusive() -> Schema:
    default = defaults(OnInconclusive)
    told = {"pull_request": "On a pull request.", "promotion": "Before an environment."}
    return mapping(
        {key: said(text, {"enum": ["warn", "block"]}, default[key]) for key, text in told.items()},
        description="What an inconclusive verdict does.",
    )


def _waivers() -> Schema:
    default = defaults(Waivers)
    return mapping(
        {
            "by": said("Logins of people who may waive a gate without maintaining the repository.", texts(login())),
            "author": said(
                "Whether they and maintainers may do so on a pull request of their own.",
                {"type": "boolean"},
                default["author"],
            ),
        },
        description="Who may let a gate pass by their word, besides maintainers.",
    )


def _environment() -> Schema:
    default, smoke = defaults(EnvironmentConfig), defaults(Smoke)
    return mapping(
        {
            "target": said(
                "Where the model goes: a folder, any fsspec URL, oci://, or command: and a shell command.",
                target(),
            ),
            "after": said("The environment where a version has to be live and healthy first.", {"type": "string"}),
            "approvals": said(
                "How many people have to approve.",
                {"type": "integer", "minimum": 0, "maximum": 6},
                default["approvals"],
            ),
            "runs-on": said("Runner labels: one, or a list.", runs_on(), "ubuntu-latest"),
            "smoke": mapping(
                {
                    "requests": said(
                        "How many predictions are asked for.", {"type": "integer", "minimum": 1}, smoke["requests"]
                    ),
                    "p95_ms": said(
                        "The most that 95 % of them may take, in milliseconds.",
                        {"type": "number", "exclusiveMinimum": 0},
                    ),
                    "command": said(
                        "A shell command that looks at the endpoint; any exit code but 0 fails.", text(MAX_SCRIPT)
                    ),
                },
                description="The smoke test after a deployment.",
            ),
        },
        required=["target"],
        description="One environment.",
    )
