"""The lockdown, tried from inside: a process that has locked itself down attacks everything it should not reach."""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlbot.ml.sandbox import hidden_from_children

LINUX = sys.platform == "linux"
ROOT = os.geteuid() == 0

PROBE = """
import ctypes, json, os, resource, signal, socket, subprocess, sys, threading
from mlbot.ml import sandbox

become, threads, secret = json.loads(sys.argv[1])
out = os.dup(1)
leaked = os.open(secret, os.O_RDONLY)
if become:
    os.setresgid(become, become, become)
    os.setresuid(become, become, become)
facts = sandbox.isolate()
limits = sandbox.Confinement(memory_bytes=256 << 20, cpu_s=20, threads=threads, parent=os.getppid())
facts |= sandbox.lock_down(limits, out)

def attempt(action):
    try:
        action()
    except BaseException as error:
        return type(error).__name__
    return "done"

def connect():
    with socket.socket() as s:
        s.settimeout(2)
        s.connect(("127.0.0.1", 9))

def overwrite_standard_error():
    os.close(2)
    os.open(secret, os.O_RDONLY)

def allocate():
    bytearray(1 << 30)

def thread():
    t = threading.Thread(target=lambda: None)
    t.start()
    t.join()

found = {
    "environment": dict(os.environ),
    "user": os.getuid(),
    "read": attempt(lambda: open(secret).read()),
    "write": attempt(lambda: open("/tmp/mlbot-probe", "w").write("x")),
    "list": attempt(lambda: os.listdir("/")),
    "leaked": attempt(lambda: os.read(leaked, 1)),
    "socket": attempt(connect),
    "unix": attempt(lambda: socket.socketpair()),
    "program": attempt(lambda: os.execv("/bin/true", ["true"])),
    "fork": attempt(os.fork),
    "spawn": attempt(lambda: os.posix_spawn("/bin/true", ["true"], {})),
    "kill": attempt(lambda: os.kill(os.getppid(), 0)),
    "chmod": attempt(lambda: os.chmod(secret, 0o777)),
    "rename": attempt(lambda: os.rename(secret, secret + "x")),
    "trace": ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0),
    "peek": ctypes.CDLL(None).process_vm_readv(os.getppid(), None, 0, None, 0, 0),
    "raise limit": attempt(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))),
    "memory": attempt(allocate),
    "thread": attempt(thread),
    "compute": sum(i * i for i in range(1000)),
    "reuse": attempt(overwrite_standard_error),
}
os.write(out, json.dumps([facts, found]).encode())
os._exit(0)
"""


def probe(secret: Path, *, become: int = 0, threads: int = 1) -> tuple[dict[str, bool], dict[str, Any]]:
    arguments = json.dumps([become, threads, str(secret)])
    with secret.open("rb") as leaked:
        done = subprocess.run(
            [sys.executable, "-I", "-c", PROBE, arguments],
            env={"TOKEN": "secret"},
            capture_output=True,
            check=False,
            pass_fds=[leaked.fileno()],
            timeout=60,
        )
    assert done.returncode == 0, done.stderr.decode()
    facts, found = json.loads(done.stdout)
    return facts, found


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text("label")
    path.chmod(0o644)
    return path


REFUSALS = ("read", "write", "list", "leaked", "socket", "unix", "program", "spawn", "fork", "chmod", "rename", "reuse")


def assert_locked_down(found: dict[str, Any]) -> None:
    assert found["environment"] == {}
    assert {name: found[name] for name in REFUSALS if found[name] == "done"} == {}
    assert found["kill"] != "done"
    assert found["trace"] == -1
    assert found["peek"] == -1
    assert found["raise limit"] != "done"
    assert found["memory"] == "MemoryError"
    assert found["compute"] == 332833500


@pytest.mark.skipif(not LINUX, reason="the measures are Linux's")
@pytest.mark.skipif(not ROOT, reason="only root can become another user")
def test_a_child_of_root_reaches_nothing_and_says_so(secret: Path) -> None:
    facts, found = probe(secret)
    assert all(facts.values()), facts
    assert found["user"] == 65534
    assert found["thread"] == "RuntimeError"
    assert_locked_down(found)


@pytest.mark.skipif(not LINUX, reason="the measures are Linux's")
def test_a_child_of_another_user_reaches_nothing_either(secret: Path) -> None:
    facts, found = probe(secret, become=12345 if ROOT else 0)
    measures = ("empty_environment", "no_new_privileges", "resource_limits", "no_new_files", "system_calls")
    assert {name: facts[name] for name in measures} == dict.fromkeys(measures, True)
    assert not facts["other_user"]
    assert_locked_down(found)


@pytest.mark.skipif(not LINUX, reason="the measures are Linux's")
def test_with_several_threads_threads_can_be_started_and_processes_cannot(secret: Path) -> None:
    _, found = probe(secret, threads=2)
    assert found["thread"] == "done"
    assert_locked_down(found)


@pytest.mark.skipif(not LINUX, reason="the measure is Linux's")
def test_the_parent_is_hidden_as_long_as_it_lasts_and_no_longer() -> None:
    before = hidden_flag()
    with hidden_from_children() as hidden:
        assert hidden
        assert hidden_flag() == 0
        with hidden_from_children() as again:
            assert again
        assert hidden_flag() == 0
    assert hidden_flag() == before


def hidden_flag() -> int:
    return int(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
