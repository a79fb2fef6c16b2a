"""`mlbot.yaml` as records."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mlbot.core.gate import Gate
from mlbot.core.metric import Metric, Task
from mlbot.core.record import Name, Record

Path = Annotated[str, Field(min_length=1)]
"""A path inside the repository, with forward slashes, or (for data) any fsspec URL."""


class Tunable(Record):
    """A parameter that a trial may change, with the values it may take."""

    name: str
    """As the parameters are named: nested ones with dots."""
    type: Literal["int", "float", "bool", "str"] | None = None
    """None: one of `choices`."""
    min: int | float | None = None
    max: int | float | None = None
    """Both are there for numbers, and for nothing else."""
    choices: tuple[bool | int | float | str, ...] = ()


class Train(Record):
    """How a model is trained."""

    run: str | None = None
    """A shell command that writes the ONNX file named by $MLBOT_MODEL."""
    entrypoint: str | None = None
    """`module:function`, taking (params, seed) and returning a fitted scikit-learn estimator."""
    depends: tuple[Path, ...] | None = None
    """Files, folders and globs whose change makes the model stale; None: the whole repository."""
    params: Path | None = None
    """A YAML or JSON file of parameters."""
    tunable: tuple[Tunable, ...] = ()
    """The parameters that `/retrain` may change for a trial."""
    seeds: Annotated[int, Field(ge=1, le=32)] = 3
    timeout_s: Annotated[float, Field(gt=0)] = 1800.0
    runs_on: tuple[str, ...] = ("ubuntu-latest",)
    lock: Path | None = None
    """The environment lock file; None: the first known one in the repository's root."""

    @model_validator(mode="after")
    def _one_way_to_train(self) -> Self:
        if (self.run is None) == (self.entrypoint is None):
            raise ValueError("give either `run` or `entrypoint`, not both")
        return self


class Data(Record):
    """What a model learns from and is judged on."""

    train: Path | None = None
    holdout: Path
    target: str
    positive: str | None = None
    """The label that counts as positive (binary); labels are compared as text."""
    drop: tuple[str, ...] = ()
    features: tuple[str, ...] | None = None
    """The columns in order; None: every column but target, group and dropped ones, in the file's order."""
    classes: tuple[str, ...] | None = None
    """The order of the model's probability columns; None: the model's labels, else the sorted labels."""
    group: str | None = None
    """A column whose rows belong together (user, patient, day): switches to the cluster bootstrap."""


class Slice(Record):
    """A named subset of the holdout."""

    name: Name
    where: str
    """An SQL condition over the holdout's columns."""
    min_rows: Annotated[int, Field(ge=1)] = 500
    """Below this many rows it is shown and never blocks."""


class Model(Record):
    """One model of the repository."""

    name: Name
    task: Task
    train: Train
    data: Data
    slices: tuple[Slice, ...] = ()
    metrics: tuple[Metric, ...]
    gates: tuple[Gate, ...]


class OnInconclusive(Record):
    """What an inconclusive verdict does."""

    pull_request: Literal["warn", "block"] = "warn"
    promotion: Literal["warn", "block"] = "block"


class Waivers(Record):
    """Who may let a gate pass by their word, besides those who maintain the repository."""

    by: tuple[str, ...] = ()
    """Logins on GitHub."""
    author: bool = False
    """Whether somebody who may do so may do it on their own pull request."""


class Smoke(Record):
    """The smoke test of a deployment."""

    requests: Annotated[int, Field(ge=1)] = 50
    p95_ms: Annotated[float, Field(gt=0)] | None = None
    command: str | None = None
    """A shell command that looks at the endpoint; any exit code but 0 fails the test."""


class EnvironmentConfig(Record):
    """Where a model can be deployed."""

    name: Name
    target: str
    """A folder of the repository, an fsspec URL, `oci://…`, or `command:` and a shell command."""
    after: Name | None = None
    approvals: Annotated[int, Field(ge=0)] = 0
    runs_on: tuple[str, ...] = ("ubuntu-latest",)
    smoke: Smoke | None = None


class Config(Record):
    """All of `mlbot.yaml`, defaults filled in."""

    version: Literal[1] = 1
    models: tuple[Model, ...]
    guard: tuple[str, ...] = ()
    """Branches whose pull requests are gated; empty: the default branch."""
    inconclusive: OnInconclusive = OnInconclusive()
    waivers: Waivers = Waivers()
    store: str | None = None
    environments: tuple[EnvironmentConfig, ...] = ()

    def model(self, name: str) -> Model | None:
        """The model of that name, if there is one."""
        return next((m for m in self.models if m.name == name), None)
