"""Train one model with one seed in a folder that holds its commit.

What a training is given, whatever its language (the contract with the user's code):

* working folder: the commit's checkout.
* `MLBOT_MODEL`: path of the ONNX file to write; its folder exists, is empty, and lies outside the checkout.
* `MLBOT_PARAMS`: path of a JSON file with the parameters, nested as in the user's file (`{"model": {"depth": 3}}`).
* `MLBOT_SEED`: the seed, a whole number from 0; Python's hashing gets it too.
* `MLBOT_TRAIN_DATA`: the training data's absolute path, or its URL, if the config names it. Never the holdout's.
* the user's environment without GitHub's tokens (`mlbot.ml.train`).

It prints what it likes; `metric=value` lines are kept as claims, which nothing trusts.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import signal
import stat
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mlbot.config.schema import Model
from mlbot.ledger.entries import Environment
from mlbot.lib.canonical import digest
from mlbot.lib.record import Digest, Sha
from mlbot.lib.scalar import Params
from mlbot.ml.log import Log
from mlbot.ml.supervised import Command, Ended, supervise
from mlbot.protocol.artifacts import MESSAGE, Parity, Training, TrainingFailure

# Where a training runs: the record of it, and the variables it gets.

_HASH_SEEDS = 2**32

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


def current_environment(lock: Digest | None) -> Environment:
    """Where mlbot runs right now.

    For an `entrypoint` that is exactly where the training runs. A `run:` command may use another interpreter or
    another language altogether, so for it this is best effort: the lock file is what says more.

    Args:
        lock: Digest of the environment lock file, if the repository has one.
    """
    names = sorted(_installed())
    return Environment(
        lock=lock,
        python=platform.python_version(),
        platform=sysconfig.get_platform(),  # without the kernel's version, which changes with every runner image
        packages=digest(chr(10).join(names)),
    )


def _installed() -> Iterator[str]:
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            yield f"{re.sub(r'[-_.]+', '-', name).lower()}=={distribution.version}"


def training_environment(user: Mapping[str, str], *, seed: int, own: Mapping[str, str]) -> dict[str, str]:
    """The user's variables, minus secrets that a training does not need, plus mlbot's.

    Left out: GitHub's tokens by name and by form wherever they are, the tokens and addresses of the runner's services,
    the files by which a step talks to later steps, inputs of actions, and everything of mlbot and git. Other secrets
    stay, since training data may need them: keep those out of the workflow's training job instead.

    Args:
        user: The variables mlbot was started with.
        seed: Also given to Python's hashing.
        own: Variables to add, `MLBOT_MODEL` and the like.
    """
    secrets = {value for name, value in user.items() if _SECRET_NAME.fullmatch(name) and len(value) >= _SECRET_LENGTH}
    kept = {
        name: value
        for name, value in user.items()
        if not _SECRET_NAME.fullmatch(name)
        and not _HANDLE_NAME.fullmatch(name)
        and not _GITHUB_TOKEN.search(value)
        and not ("TOKEN" in name.upper() and value in secrets)
    }
    # Appended, so that the user's own `python` comes first and there always is one.
    path = os.pathsep.join(filter(None, (kept.get("PATH", os.defpath), str(Path(sys.executable).parent))))
    fixed = {"PATH": path, "PYTHONHASHSEED": str(seed % _HASH_SEEDS), "PYTHONUNBUFFERED": "1", "MLBOT_SEED": str(seed)}
    return _DEFAULTS | kept | fixed | dict(own)


# Take the file that a training left: what comes out is a regular file and its digest, or why there is none.

_CHUNK = 1024 * 1024


class NoModelError(Exception):
    """The training ended well, but what it left is no model file."""


def take_model(path: Path, output: Path, limit: int) -> tuple[Digest, int]:
    """Copy a model out, hashing the very bytes that are written. They appear at `output` whole or not at all.

    Args:
        path: Where the training was told to write; nothing of it is trusted.
        output: Where the file goes.
        limit: How many bytes it may have.

    Returns:
        The digest and the size in bytes.

    Raises:
        NoModelError: There is no regular file with something in it, or it is too large.
    """
    descriptor = _open(path)
    part = output.with_name(f"{output.name}.part")
    try:
        _check(os.fstat(descriptor), limit)
        output.parent.mkdir(parents=True, exist_ok=True)
        digest, size = _copy(descriptor, part, limit)
        part.replace(output)
    finally:
        os.close(descriptor)
        part.unlink(missing_ok=True)
    return digest, size


def _open(path: Path) -> int:
    try:
        # Non-blocking, because a pipe would be waited on for ever.
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NoModelError("the training ended well but wrote no file at $MLBOT_MODEL") from None
    except OSError as error:
        why = "a symbolic link, not a file" if path.is_symlink() else f"not readable ({error.strerror})"
        raise NoModelError(f"what the training left at $MLBOT_MODEL is {why}") from None


def _check(facts: os.stat_result, limit: int) -> None:
    if stat.S_ISDIR(facts.st_mode):
        raise NoModelError("what the training left at $MLBOT_MODEL is a folder, not a file")
    if not stat.S_ISREG(facts.st_mode):
        raise NoModelError("what the training left at $MLBOT_MODEL is a device or a pipe, not a file")
    if facts.st_size == 0:
        raise NoModelError("the file that the training wrote at $MLBOT_MODEL is empty")
    if facts.st_size > limit:
        raise NoModelError(f"the model is larger than allowed: {facts.st_size:,} bytes, at most {limit:,}")


def _copy(source: int, part: Path, limit: int) -> tuple[Digest, int]:
    digest, size = hashlib.sha256(), 0
    with part.open("wb") as target:
        while chunk := os.read(source, _CHUNK):
            size += len(chunk)
            if size > limit:  # it grew since it was looked at
                raise NoModelError(f"the model is larger than allowed: more than {limit:,} bytes")
            digest.update(chunk)
            target.write(chunk)
    return f"sha256:{digest.hexdigest()}", size


MAX_MODEL_BYTES = 2 * 1024**3 - 1
"""What protobuf, and so an ONNX file without external data, can hold."""

_PARITY_LIMIT = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRequest:
    """One training.

    Attributes:
        model: What the config says of it.
        seed: From 0.
        key: The content key of all that it depends on.
        commit: The commit that `folder` holds.
        folder: A checkout of the commit, with its data.
        output: Where the ONNX file is to be put; nothing is there unless the training succeeds.
        environment: Where it runs (`current_environment`).
        params: Its parameters, flat.
        data: The digest of each data file, for the record.
        log: Where to keep what it prints; None: nowhere.
        max_bytes: How large the file may be.
        grace_s: What it has between SIGTERM and SIGKILL.
    """

    model: Model
    seed: int
    key: Digest
    commit: Sha
    folder: Path
    output: Path
    environment: Environment
    params: Params = field(default_factory=dict)
    data: Mapping[str, Digest] = field(default_factory=dict)
    log: Path | None = None
    max_bytes: int = MAX_MODEL_BYTES
    grace_s: float = 5.0


def train(
    request: TrainRequest, *, say: Callable[[str], None], stop: threading.Event | None = None
) -> Training | TrainingFailure:
    """Run a training and take the file it wrote.

    Args:
        request: What to train.
        say: Is told lines of its output.
        stop: Ends it when set, for trainings that run beside the main thread.

    Returns:
        The lineage of the file now at `request.output`, or why there is none.

    Raises:
        Stopped: `stop` was set.
    """
    metrics = [metric.name for metric in request.model.metrics]
    name = f"{request.model.name} seed {request.seed}"
    with (
        tempfile.TemporaryDirectory(prefix="mlbot-train-", ignore_cleanup_errors=True) as temporary,
        Log(request.log, say, name=name, metrics=metrics) as log,
    ):
        scratch = Path(temporary).resolve()
        ended = supervise(_command(request, scratch), log.write, stop=stop)
        log.finish()
        problem = _problem(request, ended)
        if problem:
            return _failure(request, ended, problem, log)
        try:
            digest, size = take_model(_model_path(scratch), request.output, request.max_bytes)
        except NoModelError as error:
            return _failure(request, ended, str(error), log)
        return Training(
            model=request.model.name,
            key=request.key,
            seed=request.seed,
            digest=digest,
            size_bytes=size,
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


def _model_path(scratch: Path) -> Path:
    return scratch / "model" / "model.onnx"


def _command(request: TrainRequest, scratch: Path) -> Command:
    _model_path(scratch).parent.mkdir()
    params = scratch / "params.json"
    params.write_text(json.dumps(nested(request.params)), encoding="utf-8")
    own = {"MLBOT_MODEL": str(_model_path(scratch)), "MLBOT_PARAMS": str(params)}
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


def _arguments(request: TrainRequest, scratch: Path, own: Mapping[str, str]) -> list[str]:
    if request.model.train.run is not None:
        # -e: a failing line of several must not be forgotten because the last one is fine.
        return ["sh", "-e", "-c", request.model.train.run]
    data = request.model.data
    columns = {"target": data.target, "drop": data.drop, "group": data.group, "features": data.features}
    spec = {
        "entrypoint": request.model.train.entrypoint,
        "seed": request.seed,
        "params": own["MLBOT_PARAMS"],
        "model": own["MLBOT_MODEL"],
        "parity": str(scratch / "parity.json"),
        "data": own.get("MLBOT_TRAIN_DATA"),
        **columns,
    }
    path = scratch / "spec.json"
    path.write_text(json.dumps(spec), encoding="utf-8")
    # -P: a file of the checkout must not stand in for a module that mlbot itself imports.
    return [sys.executable, "-P", "-m", "mlbot.ml.train_entrypoint", str(path)]


def _problem(request: TrainRequest, ended: Ended) -> str:
    """What went wrong with the process; empty when nothing did."""
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
