"""An environment behind a command of the user's.

`target: "command:./deploy.sh"` runs it with `MLBOT_ACTION`:

* `stage`: bring the file or folder `$MLBOT_MODEL_FILE` there; what is served stays as it is. May do nothing.
* `switch`: serve it, in one step; `$MLBOT_MODEL_FILE` is the same.
* `live`: print what is served, `<version> <digest>`; print nothing when nothing is.
* `withdraw`: serve nothing of the model any more: its first deployment failed. May do nothing.
* `fetch`: write what is served to `$MLBOT_MODEL_FILE`, a file or a folder.

and `MLBOT_MODEL`, `MLBOT_ENVIRONMENT`, `MLBOT_VERSION` and `MLBOT_DIGEST` (these two with `stage` and `switch` only).
Any exit code but 0 is a failure. Each has to be repeatable.
"""

import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mlbot.config.schema import EnvironmentConfig
from mlbot.errors import NotEvaluatedError
from mlbot.lib.record import Digest, Name
from mlbot.lib.version import Served, Version
from mlbot.protocol.golden import SmokeReason, SmokeResult
from mlbot.storage.artifact import remove, verify

# A command of the user's, run by a shell in the repository's root: how it deploys, or looks at an endpoint.

TIMEOUT_S = 900.0
_MOST_OUTPUT = 65_536
_POLL_S = 0.1

_OURS = re.compile(
    r"(GITHUB|GH|GITHUB_ENTERPRISE|GH_ENTERPRISE)_TOKEN"
    r"|ACTIONS_\w*(TOKEN|URL)"
    r"|GITHUB_(ENV|PATH|OUTPUT|STATE|STEP_SUMMARY)"
    r"|INPUT_.*"
    r"|MLBOT_.*"
    r"|GIT_.*"
)

_GITHUB_TOKEN = re.compile(r"\b(gh[opsur]_[A-Za-z0-9_]{16,}|github_pat_[A-Za-z0-9_]{16,})")


class OverdueError(NotEvaluatedError):
    """A command took too long, and was ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """How a command ended; its errors went where mlbot's go."""

    exit_code: int
    output: str


def run_command(
    command: str,
    folder: Path,
    own: Mapping[str, str],
    *,
    timeout_s: float = TIMEOUT_S,
    environment: Mapping[str, str] = os.environ,
) -> Done:
    """Run a shell command, with the variables of `own` added, to its end.

    Raises:
        OverdueError: It took too long.
        NotEvaluatedError: It cannot be started, or prints too much.
    """
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=folder,
            env=child_environment(environment) | dict(own),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise NotEvaluatedError(f"it cannot be started: {error}", where=command) from error
    with process:
        try:
            raw = _output(process, time.monotonic() + timeout_s)
        except TimeoutError:
            raise OverdueError(f"it took longer than {timeout_s:g} s and was ended", where=command) from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if len(raw) > _MOST_OUTPUT:
        raise NotEvaluatedError(f"it printed more than {_MOST_OUTPUT:,} bytes", where=command)
    return Done(exit_code=process.returncode, output=raw.decode("utf-8", "replace"))


def _output(process: "subprocess.Popen[bytes]", deadline: float) -> bytes:
    """What it prints until it ends, or prints too much; not until all that it started ends, too."""
    pipe = process.stdout
    if pipe is None:
        raise ValueError("the process has no pipe")
    raw = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while len(raw) <= _MOST_OUTPUT:
            ended = process.poll() is not None
            if selector.select(0 if ended else _POLL_S):
                chunk = os.read(pipe.fileno(), _MOST_OUTPUT)
                raw += chunk
                if not chunk:
                    _wait(process, deadline)
                    break
            elif ended:
                break
            if time.monotonic() > deadline:
                raise TimeoutError
    return bytes(raw)


def _wait(process: "subprocess.Popen[bytes]", deadline: float) -> None:
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without mlbot's and GitHub's tokens, by name and by form."""
    return {
        name: value
        for name, value in environment.items()
        if not _OURS.fullmatch(name) and not _GITHUB_TOKEN.search(value)
    }


# The last step of a smoke test: a command of the user's looks at the endpoint.


def smoke_command(
    command: str, model: Name, environment: Name, served: Served, folder: Path, *, timeout_s: float = TIMEOUT_S
) -> SmokeResult:
    """Run `smoke.command` of an environment after the golden requests were answered; passed with exit code 0."""
    own = {
        "MLBOT_ACTION": "smoke",
        "MLBOT_MODEL": model,
        "MLBOT_ENVIRONMENT": environment,
        "MLBOT_VERSION": served.version,
        "MLBOT_DIGEST": served.digest,
    }
    try:
        done = run_command(command, folder, own, timeout_s=timeout_s)
    except NotEvaluatedError as error:
        reason = SmokeReason.COMMAND_TIMEOUT if isinstance(error, OverdueError) else SmokeReason.COMMAND_FAILED
        what = f"The command of the smoke test failed: {error.what}."
        return SmokeResult(passed=False, reason=reason, detail=what)
    if done.exit_code == 0:
        what = "The command of the smoke test agrees."
        return SmokeResult(passed=True, reason=SmokeReason.COMMAND_AGREES, detail=what)
    what = f"The command of the smoke test ended with exit code {done.exit_code}."
    return SmokeResult(passed=False, reason=SmokeReason.COMMAND_FAILED, detail=what)


SCHEME = "command:"
_LIVE = re.compile(
    r"v?(?P<version>[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}(?:-[0-9A-Za-z.-]{1,30})?) (?P<digest>sha256:[0-9a-f]{64})"
)


class CommandTarget:
    """What the command says and does; one call may take `timeout_s`."""

    def __init__(self, command: str, environment: Name, folder: Path, *, timeout_s: float = TIMEOUT_S) -> None:
        self._command = command
        self._environment = environment
        self._folder = folder
        self._timeout_s = timeout_s
        self._staged: dict[tuple[Name, str], tuple[Digest, Path]] = {}

    @classmethod
    def of(cls, environment: EnvironmentConfig, folder: Path) -> Self:
        """The target of an environment whose `target` begins with `command:`."""
        return cls(environment.target.removeprefix(SCHEME).strip(), environment.name, folder)

    @property
    def url(self) -> str:
        return f"{SCHEME}{self._command}"

    def live(self, model: Name) -> Served | None:
        line = self._run("live", model).strip()
        if not line:
            return None
        found = _LIVE.fullmatch(line)
        if found is None:
            raise NotEvaluatedError(
                "with MLBOT_ACTION=live it prints something else than a version and a digest",
                where=self.url,
                hint="Print one line such as `1.2.0 sha256:…`, or nothing.",
            )
        return Served(version=found["version"], digest=found["digest"])

    def stage(self, model: Name, version: Version, digest: Digest, file: Path) -> None:
        text = version.text
        verify(file, digest)
        self._run("stage", model, file=file, MLBOT_VERSION=text, MLBOT_DIGEST=digest)
        self._staged[model, text] = (digest, file)

    def switch(self, model: Name, version: Version) -> None:
        text = version.text
        if (model, text) not in self._staged:
            raise NotEvaluatedError(f"{model}@v{text} is not staged", where=self.url)
        digest, file = self._staged[model, text]
        verify(file, digest)
        self._run("switch", model, file=file, MLBOT_VERSION=text, MLBOT_DIGEST=digest)

    def withdraw(self, model: Name) -> bool:
        self._run("withdraw", model)
        return self.live(model) is None

    def fetch(self, model: Name, target: Path) -> Served:
        served = self.live(model)
        if served is None:
            raise NotEvaluatedError(f"nothing of {model} is served", where=self.url)
        remove(target)
        self._run("fetch", model, file=target)
        if not target.exists():
            raise NotEvaluatedError(
                "with MLBOT_ACTION=fetch it wrote no file",
                where=self.url,
                hint="Write the served bytes to $MLBOT_MODEL_FILE, so that they can be tested.",
            )
        try:
            verify(target, served.digest)
        except NotEvaluatedError:
            remove(target)
            raise
        return served

    def _run(self, action: str, model: Name, *, file: Path | None = None, **facts: str) -> str:
        own = {"MLBOT_ACTION": action, "MLBOT_MODEL": model, "MLBOT_ENVIRONMENT": self._environment, **facts}
        if file is not None:
            own["MLBOT_MODEL_FILE"] = str(file.absolute())
        done = run_command(self._command, self._folder, own, timeout_s=self._timeout_s)
        if done.exit_code != 0:
            raise NotEvaluatedError(
                f"with MLBOT_ACTION={action} it ended with exit code {done.exit_code}",
                where=self.url,
                hint="Its own messages are above.",
            )
        return done.output
