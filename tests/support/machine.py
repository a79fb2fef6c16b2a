"""The machine as every test finds it: nobody's home, no name for git, no locale, UTC."""

import atexit
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

GIT: Final = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_COUNT": "4",
    "GIT_CONFIG_KEY_0": "init.defaultBranch",
    "GIT_CONFIG_VALUE_0": "main",
    "GIT_CONFIG_KEY_1": "protocol.file.allow",  # submodules from a folder are refused by default
    "GIT_CONFIG_VALUE_1": "always",
    "GIT_CONFIG_KEY_2": "gc.auto",  # nothing is tidied up behind a test's back
    "GIT_CONFIG_VALUE_2": "0",
    "GIT_CONFIG_KEY_3": "init.templateDir",  # what every new repository gets: examples of hooks
    "GIT_CONFIG_VALUE_3": "",
}
"""Git without anybody's settings, and without a name for a commit's author."""
ADA: Final = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}
"""A user whom git knows."""
_FOREIGN: Final = ("GIT_", "GITHUB_", "ACTIONS_", "RUNNER_", "LC_", "MLBOT_", "NO_COLOR", "FORCE_COLOR", "XDG_")
_OURS: Final = ("MLBOT_TEST", "GIT_SSL_")
"""What chooses the tests, and what a proxy of the machine needs."""


def forget() -> None:
    """Take the machine's own settings from this process, so from its children too."""
    packages = _packages(Path.home())
    for name in list(os.environ):
        if name in {"LANG", "LANGUAGE", "no_proxy"} or (name.startswith(_FOREIGN) and not name.startswith(_OURS)):
            del os.environ[name]
    # As the judge's own processes have it: of small matrices several threads of BLAS mostly wait for each other, and
    # there is a worker a processor. Numpy reads it on import.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    folder = Path(tempfile.mkdtemp(prefix="mlbot-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "home").mkdir()
    # Without this, git makes a name up from the login and the host's name where they have one.
    (folder / "gitconfig").write_text("[user]\n\tuseConfigOnly = true\n")
    os.environ |= GIT | packages | {"GIT_CONFIG_GLOBAL": str(folder / "gitconfig"), "HOME": str(folder / "home")}
    os.environ |= {"TZ": "UTC", "NO_PROXY": "127.0.0.1,localhost"}
    # As in an activated environment: trainings run in the Python of the tests.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    time.tzset()


def _packages(home: Path) -> dict[str, str]:
    """Where pip looks for packages and keeps them: what the few tests that install something need of the machine."""
    known = {"PIP_CACHE_DIR": home / ".cache" / "pip", "PIP_CONFIG_FILE": home / ".config" / "pip" / "pip.conf"}
    return {
        name: os.environ.get(name, str(path)) for name, path in known.items() if name in os.environ or path.exists()
    }
