"""Train one model with one seed in a folder that holds its commit.

What a training is given, whatever its language (the contract with the user's code):

* working folder: the commit's checkout.
* `MLBOT_ARTIFACT`: path of the file or folder to write; what it is in exists, is empty, and lies outside the checkout.
* `MLBOT_MODEL`: the same path.
* `MLBOT_PARAMS`: path of a JSON file with the parameters, nested as in the user's file (`{"model": {"depth": 3}}`).
* `MLBOT_SEED`: the seed, a whole number from 0; Python's hashing gets it too.
* `MLBOT_TRAIN_DATA`: the training data's absolute path, or its URL, if the config names it. Never the holdout's.
* the user's environment without GitHub's tokens (`mlbot.ml.train`).

It prints what it likes; `metric=value` lines are kept as claims, which nothing trusts.
"""

import contextlib
import importlib.metadata
import json
import math
import os
import platform
import re
import selectors
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Self

from pydantic import ValidationError

from mlbot.config.csv_form import HEAD, form_of, unseen_form
from mlbot.config.data import Data
from mlbot.config.schema import Model
from mlbot.errors import MlbotError
from mlbot.ledger.entries import Environment
from mlbot.lib.artifact import Unfit, UnfitError
from mlbot.lib.record import Digest, FileDigest, Params, Sha, digest
from mlbot.ml import export, notebook, supervisor
from mlbot.ml.protocol import OPERATORS
from mlbot.protocol.artifacts import MESSAGE, Parity, Training, TrainingFailure

_TAIL_LINES = 20
_LINE_LENGTH = 500
_BUFFER = 64 * 1024
_BURST = 20
_LINES_PER_S = 1.0
_MOST_LOG_BYTES = 64 * 1024 * 1024
_BLANK = "\0 \t\r\v\f"
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]?|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[PX^_][^\x1b\n]*(?:\x1b\\)?|.?)")
_NUMBER = r"[-+]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][-+]?\d{1,4})?"


def clean(line: str) -> str:
    """One line for people: no escape sequences, control, format (bidi) or zero-width characters, not too long.

    `##[` is taken apart, since a GitHub runner obeys it in the middle of a line.
    """
    plain = _ESCAPE.sub("", line[: _LINE_LENGTH * 4]).replace("\t", " ")
    visible = "".join(letter for letter in plain if not unicodedata.category(letter).startswith("C"))
    return visible[:_LINE_LENGTH].rstrip().replace("##[", "## [")


def _claim_pattern(names: Iterable[str]) -> re.Pattern[str] | None:
    known = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    if not known:
        return None
    space = r"[ \t]{0,8}"
    return re.compile(rf"""(?<![\w@./-])({known})["']?{space}[=:]{space}["']?({_NUMBER})(?!\.?\w|%)""")


class Log:
    """Takes a training's output, hostile text of any length, in constant memory."""

    def __init__(
        self,
        path: Path | None,
        progress: Callable[[str], None],
        *,
        name: str,
        metrics: Iterable[str],
        most_bytes: int = _MOST_LOG_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.claims: dict[str, float] = {}
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._path = path
        self._file: IO[bytes] | None = None
        self._room = most_bytes
        self._progress = progress
        self._name = name
        self._pattern = _claim_pattern(metrics)
        self._clock = clock
        self._allowance = float(_BURST)
        self._refilled = clock()
        self._skipped = 0
        self._open_line = b""

    def __enter__(self) -> Self:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()
        if self._file is not None:
            self._file.close()

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines that are not empty, cleaned."""
        return tuple(self._tail)

    def write(self, chunk: bytes) -> None:
        """Take some more output, cut anywhere."""
        self._keep(chunk)
        whole = self._open_line + chunk.replace(b"\r", b"\n")
        end = whole.rfind(b"\n") + 1
        if not end and len(whole) > _BUFFER:
            end = len(whole)  # a line without an end is taken in pieces
        self._open_line = whole[end:]
        if end:
            self._lines(whole[:end])

    def finish(self) -> None:
        """Take the line that was left open, and report how much was left out."""
        rest, self._open_line = self._open_line, b""
        if rest:
            self._lines(rest)
        self._report_skipped()

    def _keep(self, chunk: bytes) -> None:
        if self._file is None or self._room <= 0:
            return
        self._file.write(chunk[: self._room])
        self._room -= len(chunk)
        if self._room <= 0:
            self._file.write(b"\n[mlbot: the log is longer; the rest was not kept]\n")

    def _lines(self, block: bytes) -> None:
        text = block.decode("utf-8", "replace")
        if self._pattern:
            found = ((match[1], float(match[2])) for match in self._pattern.finditer(_ESCAPE.sub("", text)))
            self.claims |= {name: value for name, value in found if math.isfinite(value)}
        lines = [line for line in text.split("\n") if line.strip(_BLANK)]
        self._tail.extend(filter(None, map(clean, lines[-_TAIL_LINES:])))
        allowed = self._take(len(lines))
        for line in lines[:allowed]:
            self._report_skipped()
            self._progress(f"{self._name} | {clean(line)}")
        self._skipped += len(lines) - allowed

    def _take(self, wanted: int) -> int:
        """How many lines may be shown now: a burst at first, then a few a second."""
        now = self._clock()
        self._allowance = min(float(_BURST), self._allowance + (now - self._refilled) * _LINES_PER_S)
        self._refilled = now
        granted = min(wanted, int(self._allowance))
        self._allowance -= granted
        return granted

    def _report_skipped(self) -> None:
        if self._skipped:
            lines = "line" if self._skipped == 1 else "lines"
            self._progress(f"{self._name} | ({self._skipped} {lines} not shown)")
        self._skipped = 0


_POLL_S = 0.2
_PIPE_CHUNK = 64 * 1024
_LAST_CHUNKS = 64  # more than a pipe holds
_SLACK_S = 30.0
_REPORT_LIMIT = 64 * 1024


class Stopped(Exception):  # noqa: N818 - it is no error, somebody asked for it
    """The training was ended because mlbot is being ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """What to run, where, and for how long."""

    arguments: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    timeout_s: float
    grace_s: float  # what it has between SIGTERM and SIGKILL
    scratch: Path  # a folder to remove should mlbot be killed


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a command ended."""

    exit_code: int | None  # negative for the signal that killed it; None when it is unknown
    timed_out: bool = False
    duration_s: float = 0.0  # from start to the leader's end
    peak_memory_bytes: int = 0  # the largest resident set of any one of its processes
    problem: str = ""  # why it could not be run or watched; empty when it could


def supervise(command: Command, on_output: Callable[[bytes], None], *, stop: threading.Event | None = None) -> Ended:
    """Run a command under a supervisor (`supervisor.py`) and pass its output on.

    Whatever raises here, Ctrl-C and `Stopped` included, ends the command and all it started before it goes on.
    """
    bare = [sys.executable, "-I", "-S", str(Path(supervisor.__file__).absolute())]
    limits = [repr(command.timeout_s), repr(command.grace_s), str(command.scratch)]
    process = subprocess.Popen(
        [*bare, *limits, *command.arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=command.folder,
        env=dict(command.environment),
        start_new_session=True,  # Ctrl-C reaches mlbot alone, which then ends the training in order
    )
    deadline = time.monotonic() + command.timeout_s + command.grace_s + _SLACK_S
    reports = bytearray()
    try:
        _follow(process, on_output, reports, deadline, stop)
    finally:
        _let_go(process, command.grace_s + _SLACK_S, reports)
    return _ended(bytes(reports), process.returncode)


def _follow(
    process: "subprocess.Popen[bytes]",
    on_output: Callable[[bytes], None],
    reports: bytearray,
    deadline: float,
    stop: threading.Event | None,
) -> None:
    """Until the supervisor has ended; not until all output has, which something it could not end may hold open."""
    if process.stdout is None or process.stderr is None:
        raise RuntimeError("the pipes to the supervisor are missing")
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ)
        listening = True
        while listening and time.monotonic() < deadline:
            if stop is not None and stop.is_set():
                raise Stopped
            ready = {key.fileobj for key, _ in selector.select(_POLL_S)}
            if process.stderr in ready and not _drain_once(process.stderr.fileno(), on_output):
                selector.unregister(process.stderr)
            if process.stdout in ready:
                listening = _drain_once(process.stdout.fileno(), reports.extend) and len(reports) < _REPORT_LIMIT
        for _ in range(_LAST_CHUNKS):
            if not _drain_once(process.stderr.fileno(), on_output, empty=False):
                break


def _drain_once(descriptor: int, take: Callable[[bytes], object], *, empty: bool = True) -> bool:
    """Read what is there; False at the end of the stream (`empty`: what to answer when there is nothing yet)."""
    try:
        chunk = os.read(descriptor, _PIPE_CHUNK)
    except BlockingIOError:
        return empty
    if chunk:
        take(chunk)
    return bool(chunk)


def _let_go(process: "subprocess.Popen[bytes]", patience_s: float, reports: bytearray) -> None:
    for stream in (process.stdin, process.stderr):
        if stream is not None:
            stream.close()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        if process.returncode not in (0, None):  # killed: the group it watched may still be there
            _kill_group(bytes(reports))
        if process.stdout is not None:
            process.stdout.close()


def _kill_group(reports: bytes) -> None:
    leader = _facts(reports).get("pid")
    if isinstance(leader, int) and leader > 1:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)


def _facts(reports: bytes) -> dict[str, Any]:
    """The supervisor's lines in one. The training runs as the same user and could have written here: trust nothing."""
    facts: dict[str, Any] = {}
    for line in reports.splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            found = json.loads(line)
            facts |= found if isinstance(found, dict) else {}
    return facts


def _ended(reports: bytes, status: int | None) -> Ended:
    facts = _facts(reports)
    try:
        return Ended(
            exit_code=None if facts["exit_code"] is None else int(facts["exit_code"]),
            timed_out=bool(facts["timed_out"]),
            duration_s=max(0.0, float(facts["duration_s"])),
            peak_memory_bytes=max(0, int(facts["peak_memory_bytes"])),
            problem=str(facts.get("problem", "")),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return Ended(exit_code=None, problem=f"the process that watches the training ended ({status}) without a word")


_HASH_SEEDS = 2**32
ENTRYPOINT_PYTHON = (3, 9)
"""The oldest Python that `export.py` runs on."""

_SECRET_NAME = re.compile(
    r"(GITHUB|GH|GITHUB_ENTERPRISE|GH_ENTERPRISE)_TOKEN"
    r"|ACTIONS_\w*(TOKEN|URL)"  # OIDC, artifacts and the cache
    r"|INPUT_.*"  # an action's inputs, tokens among them
    r"|MLBOT_.*"
    r"|GIT_.*"  # GIT_CONFIG_* can hold an authorization header, GIT_DIR leads back to the user's checkout
)

_HANDLE_NAME = re.compile(r"GITHUB_(ENV|PATH|OUTPUT|STATE|STEP_SUMMARY)")
_GITHUB_TOKEN = re.compile(r"\b(gh[opsur]_[A-Za-z0-9_]{16,}|github_pat_[A-Za-z0-9_]{16,})")
_SECRET_LENGTH = 8

# OpenMP's threads spin while they wait. On a busy 2-core machine the same gradient boosting took 4 to 20 s and more
# with that, and 2.5 to 7 s without. The user's own setting wins.
_DEFAULTS = {"OMP_WAIT_POLICY": "PASSIVE"}


_FACTS = """
import json, platform, sysconfig
from importlib.metadata import distributions
names = [[each.metadata["Name"], each.version] for each in distributions() if each.metadata["Name"]]
print(json.dumps([platform.python_version(), sysconfig.get_platform(), names]))
"""
_FACTS_TIMEOUT_S = 60


def training_python(path: str) -> str | None:
    """The Python that a training starts by `python`: the first one on its PATH. None: there is none."""
    return shutil.which("python", path=path) or shutil.which("python3", path=path)


def current_environment(lock: Digest | None, path: str | None = None) -> Environment:
    """Where a training with this PATH runs; `lock` is the digest of the environment lock file, if there is one.

    For an `entrypoint` that is exact. A `run:` command may use another interpreter or another language altogether, so
    for it this is best effort: the lock file is what says more.
    """
    python = training_python(os.environ.get("PATH", os.defpath) if path is None else path)
    version, system, names = _facts_of(python)
    return Environment(lock=lock, python=version, platform=system, packages=digest("\n".join(names)))


def _facts_of(python: str | None) -> tuple[str, str, tuple[str, ...]]:
    if python is not None and Path(python).parent != Path(sys.executable).parent:
        return _facts_asked(python)
    # The kernel's version is not in it, which changes with every runner image.
    every = ((each.metadata["Name"], each.version) for each in importlib.metadata.distributions())
    return platform.python_version(), sysconfig.get_platform(), _named(every)


@lru_cache
def _facts_asked(python: str) -> tuple[str, str, tuple[str, ...]]:
    """What another Python says of itself; it is the user's, so anything may come back."""
    try:
        # Not in the checkout, where a file could be taken for a module.
        asked = subprocess.run(
            [python, "-c", _FACTS], cwd="/", capture_output=True, text=True, timeout=_FACTS_TIMEOUT_S, check=True
        )
        version, system, names = json.loads(asked.stdout.splitlines()[-1])
        return clean(str(version)), clean(str(system)), _named((str(name), str(version)) for name, version in names)
    except (OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError, RecursionError):
        return "unknown", sysconfig.get_platform(), ()


def _named(packages: Iterable[tuple[str | None, str]]) -> tuple[str, ...]:
    every = ((re.sub(r"[-_.]+", "-", name).lower(), version) for name, version in packages if name)
    return tuple(sorted(f"{name}=={version}" for name, version in every))


def training_environment(user: Mapping[str, str], *, seed: int, own: Mapping[str, str]) -> dict[str, str]:
    """The user's variables, minus secrets that a training does not need, plus mlbot's `own`.

    Left out: GitHub's tokens by name and by form wherever they are, the tokens and addresses of the runner's services,
    the files by which a step talks to later steps, inputs of actions, and everything of mlbot and git. Other secrets
    stay, since training data may need them: keep those out of the workflow's training job instead.
    """
    secrets = {value for name, value in user.items() if _SECRET_NAME.fullmatch(name) and len(value) >= _SECRET_LENGTH}
    passed = {
        name: value
        for name, value in user.items()
        if not _SECRET_NAME.fullmatch(name)
        and not _HANDLE_NAME.fullmatch(name)
        and not _GITHUB_TOKEN.search(value)
        and not ("TOKEN" in name.upper() and value in secrets)
    }
    path = passed.get("PATH", os.defpath)  # the user's own: mlbot's Python is none to train with
    fixed = {"PATH": path, "PYTHONHASHSEED": str(seed % _HASH_SEEDS), "PYTHONUNBUFFERED": "1", "MLBOT_SEED": str(seed)}
    return _DEFAULTS | passed | fixed | dict(own)


Take = Callable[[Path, Path, int], FileDigest]
"""Copies what a training left out of its reach, at most so many bytes; raises `UnfitError`."""

_PARITY_LIMIT = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRequest:
    """One training."""

    model: Model
    seed: int
    key: Digest  # the content key of all that it depends on
    commit: Sha
    folder: Path  # a checkout of the commit, with its data
    output: Path  # where the file or folder is to be put; nothing is there unless the training succeeds
    environment: Environment  # where it runs (`current_environment`)
    params: Params = field(default_factory=dict)  # its parameters, flat
    data: Mapping[str, Digest] = field(default_factory=dict)  # the digest of each data file, for the record
    own: Mapping[str, str] = field(default_factory=dict)  # variables of its own environment, `PATH` among them
    log: Path | None = None  # where to save what it prints; None: nowhere
    max_bytes: int  # how large it may be
    take: Take
    grace_s: float = 5.0  # what it has between SIGTERM and SIGKILL


def train(
    request: TrainRequest, *, progress: Callable[[str], None], stop: threading.Event | None = None
) -> Training | TrainingFailure:
    """Run a training and take the file it wrote: its lineage, or why there is none.

    `stop`, for trainings that run beside the main thread, ends it with `Stopped`.
    """
    metrics = [metric.name for metric in request.model.metrics]
    name = f"{request.model.name} seed {request.seed}"
    with (
        tempfile.TemporaryDirectory(prefix="mlbot-train-", ignore_cleanup_errors=True) as temporary,
        Log(request.log, progress, name=name, metrics=metrics) as log,
    ):
        scratch = Path(temporary).resolve()
        if unfit := _unfit(request):
            return _failure(request, Ended(exit_code=None), unfit, log)
        ended = supervise(_command(request, scratch), log.write, stop=stop)
        log.finish()
        problem = _problem(request, ended)
        if problem:
            return _failure(request, ended, _explained(scratch) or problem, log)
        try:
            found = request.take(_model_path(request, scratch), request.output, request.max_bytes)
        except UnfitError as error:
            return _failure(request, ended, _no_model(request, error), log)
        return Training(
            model=request.model.name,
            key=request.key,
            seed=request.seed,
            digest=found.digest,
            size_bytes=found.size_bytes,
            commit=request.commit,
            data=dict(request.data),
            params=request.params,
            environment=request.environment,
            duration_s=ended.duration_s,
            peak_memory_bytes=ended.peak_memory_bytes,
            claims=log.claims,
            parity=_parity(scratch),
        )


def nested(params: Params) -> dict[str, Any]:
    """Parameters as the user's file has them: `{"a.b": 1}` becomes `{"a": {"b": 1}}`.

    A name that is both a value and a table stays flat, so that nothing is lost.
    """
    tree: dict[str, Any] = {}
    for name, value in params.items():
        *tables, last = name.split(".")
        clash = any(".".join(tables[: end + 1]) in params for end in range(len(tables)))
        here = tree
        for table in () if clash else tables:
            here = here.setdefault(table, {})
        here[name if clash else last] = value
    return tree


def _model_path(request: TrainRequest, scratch: Path) -> Path:
    return scratch / "model" / request.model.file_name


def _no_model(request: TrainRequest, error: UnfitError) -> str:
    variable = "$MLBOT_MODEL" if request.model.is_onnx else "$MLBOT_ARTIFACT"
    if error.why is Unfit.MISSING:
        return f"the training ended well but wrote no file at {variable}"
    return f"what the training left at {variable} is no model: {error.what}"


def _command(request: TrainRequest, scratch: Path) -> Command:
    artifact = str(_model_path(request, scratch))
    Path(artifact).parent.mkdir()
    params = scratch / "params.json"
    params.write_text(json.dumps(nested(request.params)), encoding="utf-8")
    own = {**request.own, "MLBOT_ARTIFACT": artifact, "MLBOT_MODEL": artifact, "MLBOT_PARAMS": str(params)}
    data = request.model.data.train
    if data is not None:
        own["MLBOT_TRAIN_DATA"] = data if "://" in data else str((request.folder / data).absolute())
    return Command(
        arguments=_arguments(request, scratch, own),
        folder=request.folder,
        environment=training_environment(os.environ, seed=request.seed, own=own),
        timeout_s=request.model.train.timeout_s,
        grace_s=request.grace_s,
        scratch=scratch,
    )


def _python(request: TrainRequest) -> str | None:
    return training_python(request.own.get("PATH") or os.environ.get("PATH", os.defpath))


def _unfit(request: TrainRequest) -> str:
    """Why the training's Python cannot run a file of mlbot's; empty when it can, and where none has to."""
    if request.model.train.run is not None:
        return ""
    if _python(request) is None:
        return "there is no Python on the PATH to train with: activate the training's environment, or put it there"
    numbers = re.match(r"(\d+)\.(\d+)", request.environment.python)
    if numbers and tuple(map(int, numbers.groups())) < ENTRYPOINT_PYTHON:
        way = "an entrypoint" if request.model.train.entrypoint else "a notebook"
        return f"the training's Python is {request.environment.python}, and {way} needs 3.9 or newer"
    return ""


def _arguments(request: TrainRequest, scratch: Path, own: Mapping[str, str]) -> list[str]:
    if request.model.train.run is not None:
        # -e: a failing line of several must not be forgotten because the last one is fine.
        return ["sh", "-e", "-c", request.model.train.run]
    if request.model.train.notebook is not None:
        executed = {"notebook": request.model.train.notebook, "ipython": str(scratch / "ipython")}
        return _own_file(request, scratch, notebook.__file__, executed | {"problem": str(scratch / "problem.txt")})
    data = request.model.data
    timing = [name for name in data.timing if name not in (data.features or ())]
    apart = (*data.drop, *([data.weight] if data.weight else []), *timing)
    target, *others = data.targets
    columns = {"target": target, "drop": (*apart, *others), "group": data.group, "features": data.features}
    spec = {
        "entrypoint": request.model.train.entrypoint,
        "seed": request.seed,
        "params": own["MLBOT_PARAMS"],
        "model": own["MLBOT_MODEL"],
        "parity": str(scratch / "parity.json"),
        "problem": str(scratch / "problem.txt"),
        "operators": OPERATORS,
        "data": own.get("MLBOT_TRAIN_DATA"),
        "types": data.reads(request.model.task),
        "form": _form(own.get("MLBOT_TRAIN_DATA"), data),
        **columns,
    }
    return _own_file(request, scratch, export.__file__, spec)


def _own_file(request: TrainRequest, scratch: Path, file: str, spec: Mapping[str, Any]) -> list[str]:
    """A file of mlbot's as the training's Python runs it, with what it is to do."""
    path = scratch / "spec.json"
    path.write_text(json.dumps(spec), encoding="utf-8")
    return [str(_python(request)), str(Path(file).absolute()), str(path)]


def _form(path: str | None, data: Data) -> dict[str, Any]:
    """How the training data's CSV is written, for the training's own Python to read it."""
    try:
        with open(path or os.devnull, "rb") as stream:  # noqa: PTH123 - an URL is no path either
            head = stream.read(HEAD)
            form = form_of(head, data.csv, whole=not stream.read(1))
    except (OSError, MlbotError):  # an URL; or what is unclear, as is said before anything is trained
        form = unseen_form(data.csv)
    own = form.missing or ()
    return {
        "separator": form.separator,
        "encoding": "utf-8-sig" if form.encoding == "utf-8" else form.encoding,
        "decimal": form.decimal,
        "quote": form.quote,
        "empty": own,  # in columns of text too
        "missing": sorted(form.gaps),  # without case, of numbers and booleans
    }


def _problem(request: TrainRequest, ended: Ended) -> str:
    if ended.timed_out:
        return (
            f"the training was ended after {request.model.train.timeout_s:g} s, its timeout (train.timeout raises it)"
        )
    if ended.problem:
        return f"the training could not be run: {ended.problem}"
    if ended.exit_code is None:
        return "the training ended in an unknown way"
    if ended.exit_code == 0:
        return ""
    number = -ended.exit_code if ended.exit_code < 0 else ended.exit_code - 128
    if number in set(signal.Signals):
        hint = " (often: the machine ran out of memory)" if number == signal.SIGKILL else ""
        return f"the training was killed by {signal.Signals(number).name}{hint}"
    return f"the training failed with exit code {ended.exit_code}"


def _explained(scratch: Path) -> str:
    """What the export says is wrong, if it does; as unverified as all that a training says."""
    try:
        with (scratch / "problem.txt").open("rb") as stream:
            return clean(stream.read(_PARITY_LIMIT).decode("utf-8", "replace"))
    except OSError:
        return ""


def _failure(request: TrainRequest, ended: Ended, message: str, log: Log) -> TrainingFailure:
    return TrainingFailure(
        model=request.model.name,
        key=request.key,
        seed=request.seed,
        commit=request.commit,
        timed_out=ended.timed_out,
        exit_code=ended.exit_code,
        message=message[:MESSAGE],
        log_tail=log.tail,
    )


def _parity(scratch: Path) -> Parity | None:
    """What the export measured, if it did. The training could have written it: unverified like all of the lineage."""
    try:
        with (scratch / "parity.json").open("rb") as stream:
            return Parity.model_validate_json(stream.read(_PARITY_LIMIT))
    except (OSError, ValidationError):
        return None
