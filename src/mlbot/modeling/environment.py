"""Where a training runs: the record of it, and the variables it gets."""

import hashlib
import importlib.metadata
import os
import platform
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

from mlbot.core.record import Digest
from mlbot.core.training import Environment

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
        packages=f"sha256:{hashlib.sha256(chr(10).join(names).encode()).hexdigest()}",
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
