"""How a model is asked, where it is no ONNX file that mlbot asks itself: the sections `predict` and `evaluate`."""

import math
import posixpath
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from mlbot.config import kinds
from mlbot.config.errors import Plain, Problem, quote, refused, show_value
from mlbot.config.gates import MEASURED_FORM, MEASURED_WORDS
from mlbot.config.kinds import Context, Kind, Section, choice, inside, kind, list_of, named, read_number, whole
from mlbot.gates.metric import OPERATIONAL, Direction, Metric, Task
from mlbot.lib.tree import Tree

_FILES = list_of("files, folders and globs", kinds.SHARED)


def _tolerance(value: Plain) -> float:
    return read_number(value, "a number, more than 0 and at most 0.1", math.ulp(0.0), 0.1)


class CommandEnvironment(Section):
    """An environment that mlbot makes for a command of the guarded branch, which itself runs without a network."""

    python: Annotated[str | None, kinds.PYTHON] = None
    """Its Python, in quotes: `"3.10"` or `"3.10.4"`; one that is on the machine. Left out: the first on the PATH."""
    install: Annotated[str, kinds.SCRIPT]
    """A shell command that installs what is needed; `python` and `pip` are those of the environment."""


class Predict(Section):
    """The guarded branch's own command that asks a model, whatever it was made with."""

    run: Annotated[str, kinds.SCRIPT]
    """A shell command, in any language. It reads the rows in `$MLBOT_FEATURES` and the model in `$MLBOT_ARTIFACT`, and
    writes `$MLBOT_PREDICTIONS`: `row_id` with `p:<label>` for each probability, or `y` for a number. It runs without a
    network, and sees no label and no file but those."""
    depends: Annotated[tuple[str, ...] | None, _FILES] = None
    """Files, folders and globs that the command sees, and whose change is one of the rules; `:/` at the beginning for
    the repository's root. Left out: the files that `run` names."""
    environment: Annotated[CommandEnvironment | None, inside(CommandEnvironment)] = None
    """An environment of its own: `{python: "3.12", install: pip install -r serve.txt}`.
    Left out: the first `python` on the PATH of the machine that judges, with what is installed there."""
    format: Annotated[Literal["parquet", "csv"], choice(("parquet", "csv"))] = "parquet"
    """What the rows and the predictions are written as: `parquet` or `csv`."""
    tolerance: Annotated[float, kind(_tolerance, type="number", exclusiveMinimum=0, maximum=0.1)] = 1e-4
    """How far two answers to one row may be apart, relative to the answer, however the row is asked for: more than 0,
    at most 0.1. Left out: 0.0001, which is what sums of float32 in another order need."""
    timeout_s: Annotated[float, kinds.TIMEOUT] = 1800.0
    """The longest that one call of it may take: `90s`, `30m`, `2h`, or a number of seconds."""

    def files(self, tree: Tree) -> frozenset[str]:
        """What the command sees of a commit, the data apart."""
        return _seen(self.run, self.depends, tree)

    def rule_files(self, tree: Tree) -> frozenset[str]:
        """The files whose change is one of the rules: what the command sees, and what decides its environment."""
        return self.files(tree) | _installed(self.environment, tree)


def _seen(script: str, depends: tuple[str, ...] | None, tree: Tree) -> frozenset[str]:
    return _named(script, tree) if depends is None else frozenset[str]().union(*map(tree.match, depends))


def _installed(environment: CommandEnvironment | None, tree: Tree) -> frozenset[str]:
    """The files that decide an environment."""
    install = environment.install if environment else ""
    project = frozenset(name for name in tree.entries if _LOCK.fullmatch(name)) if _PROJECT.search(install) else ()
    return _named(install, tree).union(project)


_WORDS = re.compile(r"[\s=;&|<>()'\"]+")
_LOCK = re.compile(
    r"[\w.-]+\.lock|[\w.-]*lock\.(yml|yaml|toml)|pyproject\.toml|setup\.(py|cfg)|renv\.lock|Pipfile\.lock"
)
_PROJECT = re.compile(r"(?:^|\s)\.{1,2}(?:[/\[]|\s|$)|\b(?:uv|pdm|pipenv) sync\b|\b(?:poetry|conda) install\b|\brenv\b")
"""A command that may install what the project's own files say, though it names none of them."""


def _named(script: str, tree: Tree) -> frozenset[str]:
    """The files of a tree that a shell command names."""
    words = (posixpath.normpath(word.removeprefix("-r")) for word in _WORDS.split(script) if word[:1] not in {"", "/"})
    return frozenset(word for word in words if word in tree.entries)


_UNITS = {"": 1, "B": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30}
_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?([KMG]?I?)B?", re.IGNORECASE)
MOST_SIZE = 1 << 40
ONNX_SIZE = 256 << 20
ANY_SIZE = 2 << 30


def _size(value: Plain) -> int:
    short = isinstance(value, str | float) or (isinstance(value, int) and value.bit_length() < 64)
    match = _SIZE.fullmatch(str(value).strip()) if short and not isinstance(value, bool) else None
    unit = _UNITS.get(match[2].upper()) if match else None
    size = int(float(match[1]) * unit) if match and unit else 0
    if 0 < size <= MOST_SIZE:
        return size
    raise refused(value, "a size such as 500MB, 2GB or 256MiB, of at most 1TiB")


_SIZES = kind(_size, anyOf=[{"type": "string", "pattern": "^ ?[0-9]"}, {"type": "number", "exclusiveMinimum": 0}])


class Limits(Section):
    """What a model may be and use while it is judged."""

    size_bytes: Annotated[int | None, _SIZES._replace(key="size")] = None
    """The largest that the file, or all files of the folder together, may be: `500MB`, `2GB`, `256MiB`.
    Left out: 256MiB for an ONNX file, 2GiB where there is `predict` or `evaluate`."""
    memory_bytes: Annotated[int | None, _SIZES._replace(key="memory")] = None
    """The most memory that it may use while it is asked. Left out: 2GiB for an ONNX file, 4GiB for a command."""
    score_time_s: Annotated[float | None, kinds.TIMEOUT._replace(key="score_time", default=None)] = None
    """The longest that asking one file or folder may take in all: `90s`, `30m`. Left out: 15m for an ONNX file; for a
    command, its `timeout` for each call."""


def wrong_predictor(context: Context) -> Iterator[Problem]:
    """What a model with a predictor cannot have: figures that only mlbot's own way of asking can measure."""
    if "predict" not in context.given:
        return
    for subject in context.inside("gates"):
        if subject.partition("@")[0].startswith("latency_"):
            yield Problem(
                f"{subject} beside predict",
                "write no gate on latency: a call of a predictor is mostly its start, and its code can cheat the clock",
                ("gates", subject),
            )


class ResultFormat(StrEnum):
    """What writes an evaluator's results."""

    ROWS = "rows"
    PROMPTFOO = "promptfoo"
    INSPECT = "inspect"
    LM_EVAL = "lm-eval"
    DEEPEVAL = "deepeval"


_MOST_SCORE = 1e29


def _range(value: Plain, _context: Context) -> tuple[float, float]:
    what = "the least and the greatest value, such as [0, 1]"
    if not isinstance(value, list) or len(value) != 2:
        raise refused(value, what)
    low, high = (read_number(each, what, -_MOST_SCORE, _MOST_SCORE) for each in value)
    if not low < high:
        raise refused(value, what)
    return low, high


_NUMBERS: dict[str, Any] = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
_A_NAME = kinds.text("a name")


class ScoreRule(Section):
    """A score that the evaluator gives each row: which way is better, or a mapping."""

    short: ClassVar[str] = "direction"
    name_form: ClassVar[str] = MEASURED_FORM
    name_words: ClassVar[str] = MEASURED_WORDS

    name: str
    direction: Annotated[Direction, choice(tuple(Direction))] = Direction.HIGHER
    """Which way is better: `higher` or `lower`."""
    range: Annotated[tuple[float, float] | None, Kind(_range, lambda: _NUMBERS)] = None
    """The least and the greatest value that it can have, `[0, 1]`. A score outside it is refused, and a row that could
    not be evaluated is taken for both ends. Left out: no bounds, and a single row without a score is an error."""
    source: Annotated[str | None, _A_NAME._replace(key="from")] = None
    """What the results call it, where that is something else: `from: Answer Relevancy`. Left out: the same."""

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """What is measured of every model keeps its name."""
        if context.name in OPERATIONAL:
            yield Problem(f"{quote(context.name)} for a score", "write another name; that one has a meaning")

    def made(self) -> Metric:
        """The score as a metric."""
        return Metric(name=self.name, direction=self.direction, tasks=frozenset({Task.SCORES}), range=self.range)


def _share(value: Plain) -> float:
    return read_number(value, "a share of the rows, 0 or more and less than 1", 0.0, math.nextafter(1.0, 0.0))


class Errors(Section):
    """How many rows may lack a score."""

    short: ClassVar[str] = "max"

    max: Annotated[float, kind(_share, type="number", minimum=0, exclusiveMaximum=1)] = 0.0
    """The share of rows of a side that may be errors; beyond it the outcome is `error`. Within it each is taken for the
    worst and for the best value of its score, and a gate passes or fails only where both do. Every score needs its
    `range` then."""


_SECRET = kinds.form("the name of a secret", "[A-Za-z_][A-Za-z0-9_]{0,99}", "a name such as OPENAI_API_KEY")
_FITS = {
    "item": {ResultFormat.PROMPTFOO, ResultFormat.LM_EVAL},
    "group": set(ResultFormat) - {ResultFormat.ROWS},
    "filter": {ResultFormat.LM_EVAL},
    "provider": {ResultFormat.PROMPTFOO},
    "prompt": {ResultFormat.PROMPTFOO},
}
"""The formats that a setting is for."""


class Evaluate(Section):
    """The evaluator: a command that gives every row scores, for the task `scores`."""

    run: Annotated[str, kinds.SCRIPT]
    """A shell command of the guarded branch. It reads the model from `$MLBOT_ARTIFACT`, a file or a folder, and writes
    its results to `$MLBOT_RESULTS`: a file for `rows` and `promptfoo`, a folder for the others."""
    format: Annotated[ResultFormat, choice(tuple(ResultFormat))] = ResultFormat.ROWS
    """What writes the results: `rows` (JSON lines or Parquet, see docs/evaluations.md), `promptfoo`, `inspect`,
    `lm-eval` or `deepeval`."""
    scores: Annotated[
        tuple[ScoreRule, ...],
        named(ScoreRule, "a mapping from the name of each score", none=("no scores", "at least one score"), most=64),
    ]
    """The scores that are judged, by name; others in the results are left out."""
    repeats: Annotated[int, whole(1, 1000)] = 1
    """How often each item is asked. The results have to have as many rows of every item."""
    errors: Annotated[Errors, inside(Errors)] = Errors()
    """How many rows may lack a score: `{max: 0.02}`. Left out: none."""
    item: Annotated[str | None, _A_NAME] = None
    """What tells an item from the others: a variable of promptfoo's test cases, a field of lm-eval's documents.
    Left out: promptfoo's `description`, lm-eval's `doc_hash`."""
    group: Annotated[str | None, _A_NAME] = None
    """The metadata (of lm-eval the document's field) whose items belong together: a conversation, a document, a user.
    Left out: items are independent; `rows` have a column `group`."""
    filter: Annotated[str | None, _A_NAME] = None
    """The filter of lm-eval that counts. Left out: there is one."""
    provider: Annotated[str | None, _A_NAME] = None
    """The provider of promptfoo, by its label or id, that counts. Left out: there is one."""
    prompt: Annotated[str | None, _A_NAME] = None
    """The prompt of promptfoo, by its label, that counts. Left out: there is one."""
    environment: Annotated[CommandEnvironment | None, inside(CommandEnvironment)] = None
    """An environment of its own: `{python: "3.12", install: pip install -r evals.txt}`.
    Left out: the first `python` on the PATH, with what is installed there."""
    depends: Annotated[tuple[str, ...] | None, _FILES] = None
    """Files, folders and globs that the evaluator sees, and whose change is one of the rules; `:/` at the beginning for
    the repository's root. Left out: the files that `run` names."""
    network: Annotated[bool, kinds.FLAG] = False
    """Whether it may reach the network, as one that asks a provider has to."""
    secrets: Annotated[tuple[str, ...], list_of("names of secrets", _SECRET)] = ()
    """Environment variables that it gets. They are given in a job where no code of a pull request runs, and the report
    names them. Left out: none."""
    timeout_s: Annotated[float, kinds.TIMEOUT] = 1800.0
    """The longest that one evaluation may take: `90s`, `30m`, `2h`, or a number of seconds; at most 120h."""

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """Settings fit the format; a secret is for a service."""
        written = context.made.get("format", ResultFormat.ROWS if "format" not in context.given else None)
        for key, formats in _FITS.items():
            if key in context.given and written is not None and written not in formats:
                yield Problem(show_value(context.given[key]), f"write no `{key}`; {written} has none", (key,))
        if context.made.get("secrets") and not context.made.get("network"):
            yield Problem("secrets without a network", "write `network: true` beside them", ("secrets",))
        errors, scores = (context.made.get(key) for key in ("errors", "scores"))
        unbounded = [each.name for each in scores or () if each.range is None]
        if errors and errors.max and unbounded:
            hint = f"write the `range` of {', '.join(unbounded)}: without one any error is the outcome"
            yield Problem("a share of errors", hint, ("errors",))

    def files(self, tree: Tree) -> frozenset[str]:
        """What the command sees of a commit."""
        return _seen(self.run, self.depends, tree)

    def rule_files(self, tree: Tree) -> frozenset[str]:
        """The files whose change is one of the rules: what the command sees, and what decides its environment."""
        return self.files(tree) | _installed(self.environment, tree)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The scores as metrics."""
        return tuple(each.made() for each in self.scores)
