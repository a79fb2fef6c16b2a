"""How a model is asked, where it is no ONNX file that mlbot asks itself: the section `predict`."""

import math
import re
from collections.abc import Iterator
from typing import Annotated, Literal

from mlbot.config import kinds
from mlbot.config.errors import Plain, Problem, refused
from mlbot.config.kinds import Context, Section, choice, inside, kind, list_of, read_number

_FILES = list_of("files, folders and globs", kinds.PATH)


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
    command, its `timeout`."""


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
