"""Where a model comes from: the sections `train` and `artifact`."""

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from mlbot.config import kinds
from mlbot.config.errors import (
    INVISIBLE,
    Plain,
    Problem,
    refused,
    show_value,
)
from mlbot.config.kinds import (
    Context,
    Kind,
    Schema,
    Section,
    choice,
    form,
    inside,
    kind,
    list_of,
    named,
    read_number,
    whole,
)

MAX_CHOICE = 200
"""Characters of a text that a parameter may be."""


def _bound(value: Plain, context: Context) -> float | None:
    match context.made.get("type"):
        case "float":
            return read_number(value, "a number")
        case "int":
            if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
                return value
            raise refused(value, "a whole number, for the type is int")
        case "bool" | "str" as given:
            raise refused(value, f"no bounds; a {given} has none")
    return None


def _choice(value: Plain) -> bool | int | float | str:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        read_number(value, "a number, a word, true or false")
        return value
    shown = isinstance(value, str) and not INVISIBLE.search(value) and not {"\n", "\t"} & set(value)
    if isinstance(value, str) and shown and 0 < len(value.strip()) == len(value) <= MAX_CHOICE:
        return value
    raise refused(value, f"a number, true, false, or a word of at most {MAX_CHOICE} characters")


_BOUND = Kind(_bound, lambda: {"type": "number"})
_CHOICES = list_of(
    "choices, or {type: float, min: 0, max: 1}",
    kind(_choice, type=["string", "number", "boolean"], maxLength=MAX_CHOICE),
    most=64,
)._replace(bare=True)


class Tunable(Section):
    """A parameter that a trial may change: a type with its bounds, or a list of choices."""

    short: ClassVar[str] = "choices"
    constraints: ClassVar[Schema] = {"required": ["type"]}
    # what a command can write before its `=`
    name_form: ClassVar[str] = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"
    name_words: ClassVar[str] = "letters, digits, `_`, `-` and `.` (between levels), of at most 100"

    name: str
    type: Annotated[Literal["int", "float", "bool", "str"] | None, choice(("int", "float", "bool", "str"))] = None
    """What its values are: `int`, `float`, `bool` or `str`. Left out: must be there."""
    min: Annotated[int | float | None, _BOUND] = None
    """The least that a number may be. Left out: must be there for numbers."""
    max: Annotated[int | float | None, _BOUND] = None
    """The most that a number may be. Left out: must be there for numbers."""
    choices: Annotated[tuple[bool | int | float | str, ...], _CHOICES] = ()

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """A type, and both bounds of a number: without them a trial could ask for a training of days."""
        given, made = context.given, context.made
        if "choices" in made or given.keys() == {"choices"}:
            return
        if "type" not in given:
            yield Problem("no type", "write `type:`")
        missing = [key for key in ("min", "max") if key not in given]
        if missing and made.get("type") in {"int", "float"}:
            yield Problem(
                f"no {' and '.join(missing)}", f"write both bounds: {{type: {made['type']}, min: 1, max: 10}}"
            )
        low, high = made.get("min"), made.get("max")
        if low is not None and high is not None and low > high:
            yield Problem(show_value(given["max"]), f"write at least {low}, the min", ("max",))


_FILES = list_of("files, folders and globs; leave it out for all", kinds.SHARED)
_PARAMETERS = "a mapping from the name of each parameter, such as `depth: {type: int, min: 1, max: 20}`"


_LOOKS = (2, 3, 5)  # that were simulated: docs/statistics.md
MOST_SEEDS = 32


def _look(*allowed: int) -> Kind:
    either = " or ".join(map(str, allowed))

    def read(value: Plain) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and value in allowed:
            return value
        raise refused(value, f"{either}: a verdict is looked at after {_LOOKS_SHOWN} seeds")

    return kind(read, type="integer", enum=list(allowed))


_LOOKS_SHOWN = f"{', '.join(map(str, _LOOKS[:-1]))} and {_LOOKS[-1]}"


class SeedRange(Section):
    """How many seeds a side: a number, or from `start` on until the verdict is decided, and `most` at the end."""

    start: Annotated[int, _look(*_LOOKS[:-1])] = _LOOKS[0]
    """How many seeds a side are trained at first: 2 or 3."""
    most: Annotated[int, _look(*_LOOKS[1:])] = _LOOKS[-1]
    """How many there are at most: 3 or 5. What is undecided then stays so."""

    def with_at_least(self, other: "SeedRange") -> "SeedRange":
        """As many as both ask for."""
        return SeedRange(start=max(self.start, other.start), most=max(self.most, other.most))

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """There is something to decide between the first look and the last."""
        start, most = context.made.get("start", _LOOKS[0]), context.made.get("most", _LOOKS[-1])
        if start >= most:
            found = f"start {start} and most {most}"
            yield Problem(found, f"write a `start` below `most`, or `seeds: {most}` for that many whatever comes")


def _seeds(value: Plain, context: Context) -> SeedRange:
    if isinstance(value, dict):
        return SeedRange.read(value, context)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_SEEDS:
        return SeedRange(start=value, most=value)
    raise refused(value, f"a whole number from 1 to {MOST_SEEDS}, or {{start: 2, most: 5}}")


_NUMBER_OR_RANGE = Kind(_seeds, lambda: {"anyOf": [whole(1, MOST_SEEDS).schema(), SeedRange.json_schema()]})


class TrainEnvironment(Section):
    """An environment that mlbot makes for the training alone."""

    python: Annotated[str | None, kinds.PYTHON] = None
    """Its Python, in quotes: `"3.10"` or `"3.10.4"`; one that is on the machine. Left out: the first on the PATH."""
    install: Annotated[str, kinds.SCRIPT]
    """A shell command that installs what the training needs; `python` and `pip` are those of the environment."""


class Train(Section):
    """How the model is trained: by `run`, by `entrypoint` or by `notebook`."""

    constraints: ClassVar[Schema] = {"oneOf": [{"required": [way]} for way in ("run", "entrypoint", "notebook")]}

    run: Annotated[str | None, kinds.SCRIPT] = None
    """A shell command, in any language. It writes the file or folder named by `$MLBOT_ARTIFACT` (an ONNX file, where
    there is no `predict`; `$MLBOT_MODEL` is the same path) and reads `$MLBOT_PARAMS` (the path of a JSON file) and
    `$MLBOT_SEED`. Left out: `entrypoint` or `notebook` is given."""
    entrypoint: Annotated[str | None, kinds.FUNCTION] = None
    """`module:function`, taking `(params, seed)` and returning a fitted scikit-learn estimator, which mlbot exports; or
    `(estimator, rows)` with some rows of what it was fitted on, where `data.train` is not what it was fitted on.
    Left out: `run` or `notebook` is given."""
    notebook: Annotated[str | None, kinds.NOTEBOOK] = None
    """A Jupyter notebook, which is executed from top to bottom in its own folder, as `run` would be: it writes
    `$MLBOT_ARTIFACT` and reads `$MLBOT_PARAMS` and `$MLBOT_SEED`. Its outputs count for nothing and are not written.
    Left out: `run` or `entrypoint` is given."""
    depends: Annotated[tuple[str, ...] | None, _FILES] = None
    """Files, folders and globs that the training sees and whose change makes the model stale; `**` is any number of
    folders, and `:/` at the beginning for the repository's root. Left out: the whole repository."""
    params: Annotated[str | None, kinds.PATH] = None
    """A YAML or JSON file of parameters. Nested ones get names with dots (`tree.depth`, `layers.0`).
    Left out: no parameters."""
    tunable: Annotated[tuple[Tunable, ...], named(Tunable, _PARAMETERS, none=("a mapping", _PARAMETERS), most=64)] = ()
    """The parameters that `/retrain` may change for a trial, by name. Left out: no trials."""
    seeds: Annotated[SeedRange | None, _NUMBER_OR_RANGE] = None
    """How many times to train, each with another seed, 1 to 32; or `{start: 2, most: 5}`: more than 2 where they do not
    decide, and at most 5. The first one's model ships; the others measure the noise. With 1 a drop hardly ever
    blocks: nobody knows what another seed would have given.
    Left out: 3, and once the ledger has a history of seeds (8 degrees of freedom) `{start: 2, most: 5}`."""
    timeout_s: Annotated[float, kinds.TIMEOUT] = 1800.0
    """The longest that one training may take: `90s`, `30m`, `2h`, or a number of seconds; at most 120h."""
    runs_on: Annotated[tuple[str, ...], kinds.RUNS_ON] = ("ubuntu-latest",)
    """The runner's label, or a list of labels."""
    environment: Annotated[TrainEnvironment | None, inside(TrainEnvironment)] = None
    """An environment of its own: `{python: "3.10", install: pip install -r requirements.txt}`.
    Left out: the first `python` on the PATH, with what is installed there."""
    lock: Annotated[str | None, kinds.SHARED] = None
    """The environment lock file; its change makes the model stale.
    Left out: the first known one in the root (`uv.lock`, `requirements.txt`, …)."""

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """One way to train; parameters that a trial may change are in a file."""
        given = context.given
        ways = [way for way in ("run", "entrypoint", "notebook") if way in given]
        if len(ways) != 1:
            found = f"both {ways[0]} and {ways[1]}" if ways else "none of run, entrypoint and notebook"
            one = "`run: python train.py`, `entrypoint: module:function` or `notebook: train.ipynb`"
            yield Problem(found, f"write one of them: {one}")
        if "tunable" in given and "params" not in given:
            yield Problem("no params", "write `params:` too: the file that has these parameters", ("tunable",))


NOT_TRAINED = Train(depends=(), seeds=SeedRange(start=1, most=1))
"""How a model is trained that is brought: not at all, and there is one of it."""

_SHA256 = form("64 hexadecimal digits", "(sha256:)?[0-9a-f]{64}", "the sha256 of its bytes, 64 hexadecimal digits")
_OCI_PIN = re.compile(r"oci://[^@?#]+@sha256:[0-9a-f]{64}", re.IGNORECASE)
_HUB_PIN = re.compile(r"hf://[\w.-]+/[\w.-]+@[0-9a-f]{40}(/[^@?#]+)?")
_VERSION_PIN = re.compile(r"s3://[^?#]+\?versionId=(?!null$)[\w.~+/=-]+")
# Of a bucket without versions the one that there is, whatever was last written, is called null.


class Brought(Section):
    """A model that was made elsewhere: nothing is trained."""

    short: ClassVar[str] = "url"

    url: Annotated[str, kinds.PATH_OR_URL]
    """A file or folder in git (Git LFS and DVC too), or a URL that names the very bytes: `oci://…@sha256:…`,
    `s3://…?versionId=…`, `hf://owner/name@` with the 40 digits of a commit; any fsspec URL with `sha256`."""
    sha256: Annotated[str | None, _SHA256] = None
    """The sha256 of the file, or of the folder as mlbot lists it. Left out: the URL itself names the bytes."""

    @property
    def is_remote(self) -> bool:
        """Whether git does not have it, nor what stands for it."""
        return "://" in self.url

    @property
    def digest(self) -> str | None:
        """What its digest has to be, where the config says so."""
        return f"sha256:{self.sha256.removeprefix('sha256:')}" if self.sha256 else None

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """A URL names bytes that never change: else a model could be exchanged after its verdict."""
        url, at = context.made.get("url"), ("url",)
        if isinstance(url, str) and "://" not in url and set(url) & set("*?["):
            yield Problem(show_value(url), "write one file or folder, without a wildcard", at)
        if not isinstance(url, str) or "://" not in url:
            return
        scheme = url.partition("://")[0].lower()
        if scheme == "oci" and not _OCI_PIN.fullmatch(url):
            yield Problem(show_value(url), "write the digest of its manifest, not a tag: oci://…@sha256:…", at)
        elif scheme == "hf" and not _HUB_PIN.fullmatch(url):
            write = "write the 40 digits of a commit, not a branch: hf://owner/name@…, or hf://owner/name@…/file"
            yield Problem(show_value(url), write, at)
        elif scheme not in {"oci", "hf"} and "sha256" not in context.given and not _VERSION_PIN.fullmatch(url):
            write = "write `{url: …, sha256: …}`; on S3 ?versionId=… will do"
            yield Problem(f"{show_value(url)}, which may hold other bytes tomorrow", write, at)
