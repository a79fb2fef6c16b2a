"""Deploys in children that are killed before their 1st, 2nd, 3rd … change of the world, until one gets through.

    python killing.py <target URL> <folder with old.onnx> [tree]   (then each new version is a folder)

What a child is about to do is seen by Python's audit hooks: each file that is opened for writing, renamed or removed,
each request that is sent. After every kill another process looks at what is served, and then deploys again.
Prints one JSON line a kill: what was about to happen, what is served, what is served after the repetition.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from mlbot.config.schema import EnvironmentConfig
from mlbot.lib.version import Served, Version
from mlbot.storage.artifact import measured
from mlbot.storage.target import open_target

MODEL = "m"
_DONE = "mlbot.tests.done"
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree", "http.client.send", _DONE}


def deploy(url: str, folder: Path, text: str, name: str) -> None:
    target = open_target(EnvironmentConfig(name="staging", target=url), folder)
    file = folder / name
    target.stage(MODEL, Version.parse(text), measured(file).digest, file)
    target.switch(MODEL, Version.parse(text))


def served(url: str, folder: Path) -> Served:
    """What is served, by its bytes."""
    target = open_target(EnvironmentConfig(name="staging", target=url), folder)
    found = target.fetch(MODEL, folder / "got.onnx")
    assert found == target.live(MODEL)
    return found


def child(url: str, folder: Path, version: str, kill_at: int) -> int:
    """Deploy in a child that dies before its change number `kill_at`; its exit code, negative when it was killed."""
    process = os.fork()
    if not process:
        try:
            _die_at(kill_at, folder / "about")
            deploy(url, folder, version, "new.onnx")
            sys.audit(_DONE)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _die_at(kill_at: int, note: Path) -> None:
    seen = 0
    descriptor = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        opens = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING
        if opens or event in _CHANGES:
            seen += 1
            if seen == kill_at:
                os.write(descriptor, event.encode())
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def write(path: Path, version: str, *, tree: bool) -> None:
    """The bytes of a new version."""
    if not tree:
        path.write_text(version)
        return
    (path / "a").mkdir(parents=True, exist_ok=True)
    (path / "a" / "weights").write_text(version)
    (path / "model.onnx").write_text(f"of {version}")


def main(url: str, folder: Path, *, tree: bool) -> None:
    for kill_at in range(1, 500):
        # Each round is a version of its own, for what was staged before would be found there.
        version = f"1.{kill_at}.0"
        write(folder / "new.onnx", version, tree=tree)
        deploy(url, folder, "1.0.0", "old.onnx")
        code = child(url, folder, version, kill_at)
        if code == 0:
            return
        between = served(url, folder).version
        deploy(url, folder, version, "new.onnx")
        told = {"code": code, "about": (folder / "about").read_text(), "new": version, "between": between}
        sys.stdout.write(json.dumps({**told, "after": served(url, folder).version}) + "\n")
    raise SystemExit("it never gets through")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), tree="tree" in sys.argv[3:])
