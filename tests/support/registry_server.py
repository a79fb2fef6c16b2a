"""Debian's `docker-registry` as a real OCI registry on a free port of the loopback interface.

The command on PATH is used, else that of Debian's package, fetched once into `.venvs/`. Where neither can be had (no
apt, no network) the tests that need it are skipped, and say why.
"""

import fcntl
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

PACKAGE = "docker-registry"
CACHE = Path(__file__).parents[2] / ".venvs" / PACKAGE
_FETCH_S = 120
_START_S = 30
_FORGOTTEN_S = 3600.0
_LISTENING = re.compile(r"listening on (127\.0\.0\.1:\d+)")
_UNTIL_LET_GO = '"$0" serve "$1" & server=$!; read -r _; kill "$server"; wait'
"""Ends the server when the other end of standard input closes: whatever way the tests end."""

USER, PASSWORD = "ada", "opensesame"
_HTPASSWD = "ada:$2b$05$BvOMDVdLcbFGGMSfEfUPS.5GEpTaPbNHlMpcID/t0BPqbhNBJMJQK"


class NoServerError(Exception):
    """There is no such command on this machine, and it cannot be fetched."""


def find_server() -> Path:
    """The command.

    Raises:
        NoServerError: It cannot be had.
    """
    found = shutil.which(PACKAGE)
    if found:
        return Path(found)
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one worker fetches, the others wait for it
        return _fetched()


def _fetched() -> Path:
    command, failure = CACHE / "root" / "usr" / "bin" / PACKAGE, CACHE / "failure"
    if command.is_file():
        return command
    if failure.is_file() and time.time() - failure.stat().st_mtime < _FORGOTTEN_S:
        raise NoServerError(failure.read_text())
    try:
        _fetch()
    except (OSError, subprocess.SubprocessError) as error:
        why = f"{PACKAGE} is not installed, and apt-get cannot fetch it ({type(error).__name__})"
        failure.write_text(why)
        raise NoServerError(why) from error
    return command


def _fetch() -> None:
    """Download Debian's package and unpack it; as any user, and without touching the machine's own state."""
    for attempt in ("with the machine's lists", "with lists of our own"):
        own = CACHE / "apt"
        options = ["-o", "APT::Sandbox::User=", "-o", f"Dir::Cache={own}/cache"]
        (own / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        if attempt != "with the machine's lists":
            (own / "lists" / "partial").mkdir(parents=True, exist_ok=True)
            options += ["-o", f"Dir::State::lists={own}/lists"]
            _run(["apt-get", *options, "update"])
        with suppress(subprocess.CalledProcessError):
            _run(["apt-get", *options, "download", PACKAGE])
            break
    package = next(CACHE.glob("*.deb"), None)
    if package is None:
        raise FileNotFoundError(PACKAGE)
    unpacked = CACHE / "unpacking"
    shutil.rmtree(unpacked, ignore_errors=True)
    _run(["dpkg-deb", "-x", str(package), str(unpacked)])
    unpacked.rename(CACHE / "root")


def _run(command: list[str]) -> None:
    subprocess.run(command, cwd=CACHE, check=True, capture_output=True, timeout=_FETCH_S)


@contextmanager
def serving(folder: Path, *, password: bool = False) -> Iterator[str]:
    """Run a registry.

    Args:
        folder: Where it keeps what it is given.
        password: Whether it asks for `USER` and `PASSWORD`.

    Yields:
        Its host and port.

    Raises:
        NoServerError: There is none to run.
    """
    command = find_server()
    (folder / "htpasswd").write_text(f"{_HTPASSWD}\n")
    auth = f"auth:\n  htpasswd: {{realm: tests, path: '{folder}/htpasswd'}}\n" if password else ""
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\nlog: {level: info, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: '{folder}/data'}}}}\n{auth}http: {{addr: '127.0.0.1:0'}}\n"
    )
    arguments = ["/bin/sh", "-c", _UNTIL_LET_GO, str(command), str(config)]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        listener = _Listener(process.stderr)
        try:
            yield listener.address()
        finally:
            process.stdin.close()
            listener.thread.join()


class _Listener:
    """Reads the server's log to its end, so that it never waits for a reader."""

    def __init__(self, log: IO[str]) -> None:
        self._log = log
        self._known = threading.Event()
        self._address = ""
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def address(self) -> str:
        if not self._known.wait(_START_S) or not self._address:
            raise NoServerError(f"{PACKAGE} does not start")
        return self._address

    def _read(self) -> None:
        for line in self._log:
            found = _LISTENING.search(line)
            if found:
                self._address = found[1]
                self._known.set()
        self._known.set()
