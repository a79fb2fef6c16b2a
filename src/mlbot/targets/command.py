"""An environment behind a command of the user's.

`target: "command:./deploy.sh"` runs it with `MLBOT_ACTION`:

* `stage`: bring the file `$MLBOT_MODEL_FILE` there; what is served stays as it is. May do nothing.
* `switch`: serve it, in one step; `$MLBOT_MODEL_FILE` is the same file.
* `live`: print what is served, `<version> <digest>`; print nothing when nothing is.
* `withdraw`: serve nothing of the model any more: its first deployment failed. May do nothing.
* `fetch`: write the bytes that are served to `$MLBOT_MODEL_FILE`.

and `MLBOT_MODEL`, `MLBOT_ENVIRONMENT`, `MLBOT_VERSION` and `MLBOT_DIGEST` (these two with `stage` and `switch` only).
Any exit code but 0 is a failure. Each has to be repeatable.
"""

import re
from pathlib import Path
from typing import Self

from mlbot.core.config import EnvironmentConfig
from mlbot.core.record import Digest, Name
from mlbot.core.registry import Version
from mlbot.errors import NotEvaluatedError
from mlbot.targets.base import Served
from mlbot.targets.process import TIMEOUT_S, run_command
from mlbot.transfer.digest import verify

SCHEME = "command:"
_LIVE = re.compile(r"v?(?P<version>[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}) (?P<digest>sha256:[0-9a-f]{64})")


class CommandTarget:
    """What the command says and does.

    Args:
        command: For the shell.
        environment: The environment's name.
        folder: Where the command runs.
        timeout_s: How long one call may take.
    """

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
        """The command."""
        return f"{SCHEME}{self._command}"

    def live(self, model: Name) -> Served | None:
        """See `Target`."""
        said = self._run("live", model).strip()
        if not said:
            return None
        found = _LIVE.fullmatch(said)
        if found is None:
            raise NotEvaluatedError(
                "with MLBOT_ACTION=live it prints something else than a version and a digest",
                where=self.url,
                mend="Print one line such as `1.2.0 sha256:…`, or nothing.",
            )
        return Served(version=found["version"], digest=found["digest"])

    def stage(self, model: Name, version: Version, digest: Digest, file: Path) -> None:
        """See `Target`."""
        text = version.text
        verify(file, digest)
        self._run("stage", model, file=file, MLBOT_VERSION=text, MLBOT_DIGEST=digest)
        self._staged[model, text] = (digest, file)

    def switch(self, model: Name, version: Version) -> None:
        """See `Target`."""
        text = version.text
        if (model, text) not in self._staged:
            raise NotEvaluatedError(f"{model}@v{text} is not staged", where=self.url)
        digest, file = self._staged[model, text]
        verify(file, digest)
        self._run("switch", model, file=file, MLBOT_VERSION=text, MLBOT_DIGEST=digest)

    def withdraw(self, model: Name) -> bool:
        """See `Target`."""
        self._run("withdraw", model)
        return self.live(model) is None

    def fetch(self, model: Name, target: Path) -> Served:
        """See `Target`."""
        served = self.live(model)
        if served is None:
            raise NotEvaluatedError(f"nothing of {model} is served", where=self.url)
        target.unlink(missing_ok=True)
        self._run("fetch", model, file=target)
        if not target.is_file():
            raise NotEvaluatedError(
                "with MLBOT_ACTION=fetch it wrote no file",
                where=self.url,
                mend="Write the served bytes to $MLBOT_MODEL_FILE, so that they can be tested.",
            )
        try:
            verify(target, served.digest)
        except NotEvaluatedError:
            target.unlink()
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
                mend="Its own messages are above.",
            )
        return done.output
