"""The JSON Schema of mlbot.yaml, for editors: completion, descriptions, and most mistakes while one types.

It says what can be said of a setting alone. What holds between settings (a gate's metric fits the task, `after` names
an environment) is for `parse_config`; nothing that `parse_config` accepts is refused here, and a test compares the two.
"""

from mlbot.core import schema_forms as forms
from mlbot.core.config import EnvironmentConfig, OnInconclusive, Slice, Smoke, Train, Waivers
from mlbot.core.config_model import MAX_SEEDS
from mlbot.core.config_reader import MAX_SCRIPT
from mlbot.core.config_tunable import MAX_CHOICE, MAX_CHOICES, MAX_TUNABLE, TYPES
from mlbot.core.gate import Gate
from mlbot.core.metric import CATALOGUE, OPERATIONAL, Direction, Task
from mlbot.core.schema_forms import Schema


def schema() -> Schema:
    """The JSON Schema (draft 2020-12) of the file as a person writes it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mlbot.yaml",
        "description": "How this repository's models are trained, judged and deployed.",
        **forms.mapping(
            {
                "version": forms.said("The version of this file's format.", {"const": 1}, 1),
                "models": forms.named("The models by name: letters, digits, `.`, `_`, `-`.", "model", least=1),
                "guard": forms.said(
                    "Branches whose pull requests are gated. Left out: the default branch.", forms.texts(forms.branch())
                ),
                "inconclusive": _inconclusive(),
                "waivers": _waivers(),
                "store": forms.said(
                    "Where judged models are kept: a folder, any fsspec URL, or oci://.", forms.place()
                ),
                "environments": forms.named("Where models can be deployed, by name.", "environment"),
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
    return forms.mapping(
        {
            "task": forms.said("What the model predicts.", {"enum": list(Task)}),
            "train": {"$ref": "#/$defs/train"},
            "data": {"$ref": "#/$defs/data"},
            "slices": forms.named("Subsets of the holdout that are measured on their own, by name.", "slice"),
            "metrics": forms.said(
                "What is measured. Metrics that gates name are added.",
                {"type": "array", "items": {"$ref": "#/$defs/metric"}, "minItems": 1},
            ),
            "gates": _gates(),
        },
        required=["task", "train", "data", "gates"],
        description="One model.",
    )


def _train() -> Schema:
    default = forms.defaults(Train)
    return {
        **forms.mapping(
            {
                "run": forms.said(
                    "A shell command that writes the ONNX file named by $MLBOT_MODEL; it reads $MLBOT_PARAMS (JSON) "
                    "and $MLBOT_SEED.",
                    forms.text(MAX_SCRIPT),
                ),
                "entrypoint": forms.said(
                    "`module:function`, taking (params, seed) and returning a fitted scikit-learn estimator.",
                    forms.function(),
                ),
                "depends": forms.said(
                    "Files, folders and globs whose change makes the model stale. Left out: the whole repository.",
                    forms.texts(forms.path()),
                ),
                "params": forms.said("A YAML or JSON file of parameters.", forms.path()),
                "tunable": _tunable(),
                "seeds": forms.said(
                    "Trainings with different seeds. The first one's model ships; the others measure the noise.",
                    {"type": "integer", "minimum": 1, "maximum": MAX_SEEDS},
                    default["seeds"],
                ),
                "timeout": forms.said(
                    "The longest a training may take: 90s, 30m, 2h, or seconds.", forms.duration(), "30m"
                ),
                "runs-on": forms.said("Runner labels: one, or a list.", forms.runs_on(), "ubuntu-latest"),
                "lock": forms.said(
                    "The environment lock file. Left out: the first known one in the root.", forms.path()
                ),
            },
            description="How the model is trained: by `run` or by `entrypoint`.",
        ),
        "oneOf": [{"required": ["run"]}, {"required": ["entrypoint"]}],
    }


def _tunable() -> Schema:
    number = {"type": "number"}
    bounds = forms.mapping(
        {
            "type": forms.said("What its values are.", {"enum": list(TYPES)}),
            "min": forms.said("The least a number may be.", number),
            "max": forms.said("The most a number may be.", number),
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
    return forms.mapping(
        {
            "train": forms.said("The training data: CSV or Parquet, a path or an fsspec URL.", forms.path_or_url()),
            "holdout": forms.said(
                "The labelled rows that the model is judged on; training never sees them.", forms.path_or_url()
            ),
            "target": forms.said("The column to predict.", forms.line()),
            "positive": forms.said(
                "The label that counts as positive (binary only). Left out: the greater of the two labels.",
                forms.label(),
            ),
            "drop": forms.said("Columns that are no features.", forms.texts(forms.line())),
            "features": forms.said(
                "The features in order. Left out: all but target, group and dropped ones.", forms.texts(forms.line())
            ),
            "classes": forms.said(
                "The labels in the order of the model's probability columns. Left out: the model's own, else sorted.",
                forms.texts(forms.label()),
            ),
            "group": forms.said("A column whose rows belong together: user, patient, day.", forms.line()),
        },
        required=["holdout", "target"],
        description="What the model learns from and is judged on.",
    )


def _slice() -> Schema:
    where = forms.said(
        "An SQL condition over the holdout's columns: sex = 'Female' AND age < 25.", forms.text(MAX_SCRIPT)
    )
    rows = forms.said(
        "Below this many rows the slice is shown and never blocks.",
        {"type": "integer", "minimum": 1},
        forms.defaults(Slice)["min_rows"],
    )
    return {"anyOf": [where, forms.mapping({"where": where, "min_rows": rows}, required=["where"])]}


def _metric() -> Schema:
    own = forms.mapping(
        {
            "function": forms.said("The metric's `module:function`, read from the guarded branch.", forms.function()),
            "name": forms.said(
                "What gates call it. Left out: the function's name.", {"type": "string", "pattern": forms.NAME}
            ),
            "direction": forms.said("Which way is better.", {"enum": list(Direction)}),
        },
        required=["function"],
        description="A metric of your own.",
    )
    known = forms.said("A metric by scikit-learn's name.", {"enum": list(CATALOGUE)})
    return {"anyOf": [known, forms.said("A metric of your own: `module:function`.", forms.function()), own]}


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
    default = forms.defaults(Gate)
    bounds = {
        "min": forms.said("Fails below this value.", {"type": "number"}),
        "max": forms.said("Fails above this value.", {"type": "number"}),
        "max_regression": forms.said(
            "How much worse than the baseline it may be, in the metric's own units, whatever its direction.",
            {"type": "number", "minimum": 0},
        ),
    }
    more = {
        "confident": forms.said(
            "Whether min and max judge the confidence bound instead of the measured value.",
            {"type": "boolean"},
            default["confident"],
        ),
        "blocking": forms.said("Whether a failure fails the check.", {"type": "boolean"}, default["blocking"]),
    }
    return {**forms.mapping({**bounds, **more}), "anyOf": [{"required": [bound]} for bound in bounds]}


def _inconclusive() -> Schema:
    default = forms.defaults(OnInconclusive)
    told = {"pull_request": "On a pull request.", "promotion": "Before an environment."}
    return forms.mapping(
        {key: forms.said(text, {"enum": ["warn", "block"]}, default[key]) for key, text in told.items()},
        description="What an inconclusive verdict does.",
    )


def _waivers() -> Schema:
    default = forms.defaults(Waivers)
    return forms.mapping(
        {
            "by": forms.said(
                "Logins of people who may waive a gate without maintaining the repository.", forms.texts(forms.login())
            ),
            "author": forms.said(
                "Whether they and maintainers may do so on a pull request of their own.",
                {"type": "boolean"},
                default["author"],
            ),
        },
        description="Who may let a gate pass by their word, besides maintainers.",
    )


def _environment() -> Schema:
    default, smoke = forms.defaults(EnvironmentConfig), forms.defaults(Smoke)
    return forms.mapping(
        {
            "target": forms.said(
                "Where the model goes: a folder, any fsspec URL, oci://, or command: and a shell command.",
                forms.target(),
            ),
            "after": forms.said(
                "The environment where a version has to be live and healthy first.", {"type": "string"}
            ),
            "approvals": forms.said(
                "How many people have to approve.",
                {"type": "integer", "minimum": 0, "maximum": 6},
                default["approvals"],
            ),
            "runs-on": forms.said("Runner labels: one, or a list.", forms.runs_on(), "ubuntu-latest"),
            "smoke": forms.mapping(
                {
                    "requests": forms.said(
                        "How many predictions are asked for.", {"type": "integer", "minimum": 1}, smoke["requests"]
                    ),
                    "p95_ms": forms.said(
                        "The most that 95 % of them may take, in milliseconds.",
                        {"type": "number", "exclusiveMinimum": 0},
                    ),
                    "command": forms.said(
                        "A shell command that looks at the endpoint; any exit code but 0 fails.", forms.text(MAX_SCRIPT)
                    ),
                },
                description="The smoke test after a deployment.",
            ),
        },
        required=["target"],
        description="One environment.",
    )
