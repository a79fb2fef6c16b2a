"""What a hostile artifact tries, and what came of it in each jail that this machine has.

`python -m tests.support.attacks` prints the table of docs/security.md for this machine.
"""

import contextlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from mlbot.ml import isolation
from mlbot.ml.isolation import Call, Isolation, Limits, Ran, Rung, run_isolated, with_python

PYTHON = Path("/usr/bin/python3") if Path("/usr/bin/python3").exists() else Path(sys.executable)
LIMITS = Limits(wall_s=15, memory_bytes=128 << 20, disk_bytes=8 << 20, output_bytes=1 << 20, processes=24)
OTHER = 12345
"""A user without rights, for the jails of users where the tests run as root."""

PREDICT = """
import os, pickle
with open(os.environ["MLBOT_ARTIFACT"], "rb") as stream:
    pickle.load(stream)
"""

_HEAD = """
import ctypes, json, mmap, os, resource, signal, socket, stat, subprocess, sys, threading, time
with open(os.environ["MLBOT_FEATURES"]) as stream:
    host = json.load(stream)
out = os.environ["MLBOT_PREDICTIONS"]
libc = ctypes.CDLL(None, use_errno=True)

def call(*arguments):
    # A call with wrong arguments that the kernel looks at was not refused.
    result = libc.syscall(*(ctypes.c_long(each) for each in arguments))
    if result < 0 and ctypes.get_errno() in (1, 3, 13, 38):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

"""

BATTERY = (
    _HEAD
    + """
def connect(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as one:
        one.settimeout(0.5)
        one.connect(address)

def pair():
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.connect(host["datagram"])

def wrote(path, mode="ab"):
    with open(path, mode) as stream:
        stream.write(b"hostile")

def memory(pid):
    with open(f"/proc/{pid}/mem", "rb") as stream:
        stream.seek(0x400000)

def attach(pid):
    if libc.ptrace(16, pid, 0, 0):
        raise OSError(ctypes.get_errno(), "ptrace")

def read_memory(pid):
    size = ctypes.c_size_t(8)
    place = (ctypes.c_void_p * 2)(ctypes.cast(ctypes.create_string_buffer(8), ctypes.c_void_p), 8)
    if libc.process_vm_readv(pid, place, 1, place, 1, 0) < 0 and ctypes.get_errno() != 14:
        raise OSError(ctypes.get_errno(), "process_vm_readv")

def environ():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as stream:
                found += [pid] if host["secret"].encode() in stream.read() else []
        except OSError:
            pass
    if not found:
        raise PermissionError("no process shows it")

def own_environment():
    if host["secret"] not in str(dict(os.environ)):
        raise PermissionError("not there")

def hold(descriptor, size):
    os.ftruncate(descriptor, size)

def terminal():
    with open("/dev/tty", "w"):
        pass

def standard_input():
    if not os.read(0, 1):
        raise PermissionError("empty")

def standard_streams():
    if not any(map(os.isatty, range(3))):
        raise PermissionError("no terminal")

def become_root():
    os.setuid(0)
    if os.geteuid() or open(host["labels"]).read() is None:
        raise PermissionError("root of nothing")
    raise PermissionError("labels are out of reach")

def new_privileges():
    if libc.prctl(39, 0, 0, 0, 0) == 1:
        raise PermissionError("none by any program")

def limit_of(pid):
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (64, 64))

def changed(path):
    before = os.stat(path).st_mode
    os.chmod(path, 0o777)
    if os.stat(path).st_mode == before:
        raise PermissionError("unchanged")

def big_file(size):
    path = os.path.join(os.path.dirname(out), "big")
    try:
        with open(path, "wb") as stream:
            for _ in range(size >> 20):
                stream.write(bytes(1 << 20))
    finally:
        os.unlink(path)

def sparse_file():
    path = os.path.join(os.path.dirname(out), "sparse")
    with open(path, "wb") as stream:
        try:
            stream.truncate(100 << 30)
        finally:
            os.unlink(path)

def other_numbers():
    pid = os.fork()  # which may be killed for it
    if pid == 0:
        os._exit(libc.syscall(ctypes.c_long(0x40000000 | 39)) < 0)
    if os.waitpid(pid, 0)[1]:
        raise PermissionError("no answer")

def number(x86, arm):
    return x86 if os.uname().machine == "x86_64" else arm

ATTACKS = {
    "network": {
        "tcp to the machine": lambda: connect(socket.AF_INET, ("127.0.0.1", host["port"])),
        "tcp outside": lambda: connect(socket.AF_INET, ("192.0.2.1", 80)),
        "udp": lambda: connect(socket.AF_INET, ("192.0.2.1", 53), socket.SOCK_DGRAM),
        "name": lambda: socket.getaddrinfo("example.invalid", 80),
        "unix socket": lambda: connect(socket.AF_UNIX, host["socket"]),
        "abstract socket": lambda: connect(socket.AF_UNIX, "\\0" + host["abstract"]),
        "pair of datagrams": pair,
        "vsock": lambda: socket.socket(40, socket.SOCK_STREAM).close(),
        "packets": lambda: socket.socket(17, socket.SOCK_RAW).close(),
        "io_uring": lambda: call(425, 1, ctypes.addressof(ctypes.create_string_buffer(120))),
    },
    "files and secrets": {
        "labels": lambda: open(host["labels"]).read(),
        "folder of labels": lambda: os.listdir(os.path.dirname(host["labels"])),
        "public file": lambda: open(host["public"]).read(),
        "shadow": lambda: open("/etc/shadow").read(),
        "environment of processes": environ,
        "own environment": own_environment,
        "link to labels": lambda: (os.link(host["labels"], os.path.join(os.path.dirname(out), "link"))),
        "handle": lambda: call(number(304, 265), -100, 0, 0),
    },
    "the judge's memory": {
        **{f"mem of {name}": (lambda pid=pid: memory(pid)) for name, pid in host["pids"].items()},
        **{f"ptrace of {name}": (lambda pid=pid: attach(pid)) for name, pid in host["pids"].items()},
        **{f"read of {name}": (lambda pid=pid: read_memory(pid)) for name, pid in host["pids"].items()},
        "descriptor": lambda: call(438, call(434, host["pids"]["judge"], 0), 0, 0),
    },
    "signals": {
        **{f"signal {name}": (lambda pid=pid: os.kill(pid, 0)) for name, pid in host["pids"].items()},
        "by descriptor": lambda: call(424, call(434, host["pids"]["judge"], 0), 0, 0, 0),
        "all": lambda: (os.kill(-1, signal.SIGURG), os.kill(host["pids"]["judge"], 0)),
        "group": lambda: os.killpg(os.getpgid(host["pids"]["judge"]), 0),
        "limits of the judge": lambda: limit_of(host["pids"]["judge"]),
        "priority of the judge": lambda: os.setpriority(os.PRIO_PROCESS, host["pids"]["judge"], 19),
        "processors of the judge": lambda: os.sched_setaffinity(host["pids"]["judge"], {0}),
    },
    "writing outside": {
        "open folder": lambda: wrote(os.path.join(host["folder"], "hostile")),
        "open file": lambda: wrote(host["public"]),
        "mode of a file": lambda: changed(host["public"]),
        "artifact": lambda: wrote(os.environ["MLBOT_ARTIFACT"]),
        "code": lambda: wrote(os.path.join(os.getcwd(), "predict.py")),
        "interpreter": lambda: wrote(os.path.join(os.path.dirname(os.__file__), "hostile.py")),
        "etc": lambda: wrote("/etc/hostile"),
        "root": lambda: wrote("/hostile"),
        "dev": lambda: wrote("/dev/hostile"),
    },
    "privileges": {
        "user namespace": lambda: call(number(272, 97), 0x10000000),
        "namespace by clone": lambda: call(number(56, 220), 0x10000000 | 17, 0, 0, 0, 0),
        "mount": lambda: call(number(165, 40), 0, 0, 0, 0, 0),
        "new mount": lambda: call(430, 0, 0),
        "chroot": lambda: os.chroot("/"),
        "root": become_root,
        "programs of root": new_privileges,
        "keyring": lambda: call(number(248, 217), 0, 0, 0, 0, 0),
        "bpf": lambda: call(number(321, 280), 0, 0, 0),
        "perf": lambda: call(number(298, 241), 0, 0, -1, -1, 0),
        "userfaultfd": lambda: call(number(323, 282), 1),
        "x32": other_numbers,
    },
    "terminal and devices": {
        "terminal": terminal,
        "stdin": standard_input,
        "streams": standard_streams,
        "kmsg": lambda: os.close(os.open("/dev/kmsg", os.O_RDONLY)),
        "mem": lambda: os.close(os.open("/dev/mem", os.O_RDONLY)),
        "device": lambda: os.mknod(os.path.join(os.path.dirname(out), "null"), 0o666 | stat.S_IFCHR, os.makedev(1, 3)),
    },
    "memory that nobody maps": {
        "memfd": lambda: hold(os.memfd_create("x"), 1 << 20),
        "shm": lambda: call(number(31, 195), call(number(29, 194), 0, 1 << 20, 0o1600), 0, 0),
        "msg": lambda: call(number(71, 187), call(number(68, 186), 0, 0o1600), 0, 0),
        "sem": lambda: call(number(66, 191), call(number(64, 190), 0, 1, 0o1600), 0, 0, 0),
        "heap": lambda: bytearray(1 << 30),
    },
    "large files": {"128 MB": lambda: big_file(128 << 20), "100 GB of nothing": sparse_file},
}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
results = {}
for kind, each in ATTACKS.items():
    for name, attack in each.items():
        try:
            attack()
        except BaseException as error:
            results[f"{kind}: {name}"] = type(error).__name__
        else:
            results[f"{kind}: {name}"] = "done"
with open(out, "w") as stream:
    json.dump(results, stream)
"""
)

_DETACH = """
if os.fork() == 0:
    try:
        os.setsid()
    except OSError:
        pass
    if os.fork() == 0:
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        while True:
            time.sleep(1)
    os._exit(0)
"""

ONE_BY_ONE = {
    "fork bomb": "while True:\n    try:\n        os.fork()\n    except OSError:\n        time.sleep(0.05)\n",
    "memory shared by processes": "m = mmap.mmap(-1, 512 << 20)\nfor i in range(0, len(m), 4096):\n    m[i] = 1\n",
    "memory of many processes": (
        "for _ in range(6):\n    if os.fork() == 0:\n        b = bytearray(60 << 20)\n"
        "        for i in range(0, len(b), 4096):\n            b[i] = 1\n        time.sleep(60)\n"
        "os.wait()\nraise SystemExit('one was ended')\n"
    ),
    "many small files": (
        "for i in range(200_000):\n    with open(f'{os.path.dirname(out)}/{i}', 'w') as s:\n        s.write('x')\n"
        "raise SystemExit('all written')\n"
    ),
    "flood of output": "with open(out, 'wb') as s:\n    s.write(bytes(3 << 20))\n",
    "flood of the log": "while True:\n    os.write(2, b'\\x1b]0;hostile\\x07##[error]flood\\n' * 4000)\n",
    "endless, signals ignored": "for n in (1, 2, 15):\n    signal.signal(n, signal.SIG_IGN)\nwhile True:\n    pass\n",
    "background process": _DETACH + "open(out, 'w').write('done')\n",
    "link as output": "os.symlink(host['labels'], out)\n",
    "hard link as output": "os.link(host['public'], out)\n",
    "pipe as output": "os.mkfifo(out)\n",
    "folder as output": "os.mkdir(out)\n",
    "device as output": "os.symlink('/dev/zero', out)\n",
}
"""Each ends the call, or is what it leaves: the rest of a program whose head is `_HEAD`."""

SHORT = {"flood of the log", "endless, signals ignored", "fork bomb"}
"""What goes on until the deadline."""


class Hostile:
    """An object whose unpickling runs a program."""

    def __init__(self, program: str) -> None:
        self.program = program

    def __reduce__(self) -> tuple[object, tuple[str, dict[str, object]]]:
        return exec, (self.program, {"__name__": "hostile"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """What a machine has to lose."""

    folder: Path
    facts: dict[str, object] = field(default_factory=dict)

    def run(self, program: str, jail: Isolation, limits: Limits = LIMITS) -> Ran:
        """Load an artifact that runs a program."""
        files = {name: self.folder / "given" / name for name in ("artifact", "features", "code")}
        files["artifact"].write_bytes(pickle.dumps(Hostile(program)))
        return run_isolated(
            with_python(
                Call(
                    command=[str(PYTHON), "predict.py", self.folder.name],
                    read_only={f"MLBOT_{name.upper()}": path for name, path in files.items()},
                    folder="MLBOT_CODE",
                    output=("MLBOT_PREDICTIONS", "predictions.json"),
                ),
                PYTHON,
            ),
            limits=limits,
            isolation=jail,
        )


@contextlib.contextmanager
def host() -> Iterator[Host]:
    """A machine with labels, sockets that listen, an open folder, and a judge with a secret in its environment."""
    with tempfile.TemporaryDirectory() as temporary:  # not pytest's, which no other user may enter
        yield from _host(Path(temporary))


def _host(folder: Path) -> Iterator[Host]:
    for each in (folder, folder / "given", folder / "given" / "code", folder / "open"):
        each.mkdir(exist_ok=True)
        each.chmod(0o777 if each.name == "open" else 0o755)
    (folder / "given" / "code" / "predict.py").write_text(PREDICT)
    for name, mode in (("labels", 0o600), ("open/public", 0o666)):
        (folder / name).write_text("1\n0\n")
        (folder / name).chmod(mode)
        if os.geteuid() == 0:
            os.chown(folder / name, OTHER, OTHER)
    abstract, secret = f"mlbot-{os.getpid()}-{time.monotonic_ns()}", f"secret-{os.getpid()}-{time.monotonic_ns()}"
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        for address, kind in (
            (str(folder / "open" / "socket"), socket.SOCK_STREAM),
            (f"\0{abstract}", socket.SOCK_STREAM),
            (str(folder / "open" / "datagram"), socket.SOCK_DGRAM),
        ):
            one = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            one.bind(address)
            if not address.startswith("\0"):
                Path(address).chmod(0o666)
            if kind is socket.SOCK_STREAM:
                one.listen()
        judge = stack.enter_context(_judge(secret))
        facts = {
            "port": server.getsockname()[1],
            "socket": str(folder / "open" / "socket"),
            "datagram": str(folder / "open" / "datagram"),
            "abstract": abstract,
            "labels": str(folder / "labels"),
            "public": str(folder / "open" / "public"),
            "folder": str(folder / "open"),
            "secret": secret,
            "pids": {"judge": judge, "test": os.getpid()},
        }
        (folder / "given" / "features").write_text(json.dumps(facts))
        (folder / "given" / "features").chmod(0o644)
        (folder / "given" / "artifact").write_bytes(b"")
        (folder / "given" / "artifact").chmod(0o644)
        yield Host(folder=folder, facts=facts)


@contextlib.contextmanager
def _judge(secret: str) -> Iterator[int]:
    """A process of the user whose jail is tried, with a secret in its environment."""

    with subprocess.Popen(
        [str(PYTHON), "-I", "-c", "import sys; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        env={"TOKEN": secret},
        user=_other(),
        group=_other(),
    ) as process:
        yield process.pid
        process.kill()  # what was attached to it may have stopped it


def _other() -> int | None:
    return OTHER if os.geteuid() == 0 else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Jail:
    """A rung, and whether it is tried by a user without rights."""

    name: str
    rung: Rung
    as_other: bool = False

    @contextlib.contextmanager
    def entered(self) -> Iterator[Isolation | str]:
        """What holds commands while it is tried; or why it is not to be had here."""
        before = isolation._starter, isolation._box
        if self.as_other and os.geteuid() == 0:
            isolation._starter = _started_as_other
            isolation._box = _open_box
        try:
            if self.rung is Rung.NONE:
                yield isolation.UNHELD
                return
            if self not in _PROBED:
                _PROBED[self] = isolation._probe(self.rung, str(PYTHON), judge=True)
            yield _PROBED[self]
        finally:
            isolation._starter, isolation._box = before


_PROBED: dict[Jail, Isolation | str] = {}


def _started_as_other(rung: str) -> list[str]:  # noqa: ARG001 - every rung alike
    return ["setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups", str(PYTHON)]


_real_box: Callable[[Rung], contextlib.AbstractContextManager[str]] = isolation._box


@contextlib.contextmanager
def _open_box(rung: Rung) -> Iterator[str]:
    with _real_box(rung) as box:
        if rung in {Rung.LANDLOCK, Rung.NONE}:
            os.chown(box, OTHER, OTHER)
        yield box


JAILS = (
    Jail(name="bwrap as root", rung=Rung.BUBBLEWRAP_ROOT),
    Jail(name="bwrap as a user", rung=Rung.BUBBLEWRAP, as_other=True),
    Jail(name="Docker", rung=Rung.DOCKER),
    Jail(name="Landlock, another user", rung=Rung.LANDLOCK),
    Jail(name="Landlock, same user", rung=Rung.LANDLOCK, as_other=True),
)
NOTHING = Jail(name="nothing", rung=Rung.NONE, as_other=True)
"""Where the attacks have to work, for what never works shows nothing of a jail."""


def battery(machine: Host, jail: Isolation) -> dict[str, str]:
    """What came of each attack that a process survives, by its name: an error's class, or `done`."""
    ran = machine.run(BATTERY, jail)
    if ran.problem is not None:
        return {"battery": f"{ran.problem.detail} {ran.log[-3:]}"}
    found = json.loads(ran.output)
    if not isinstance(found, dict):
        raise TypeError(found)
    return found


def one(machine: Host, jail: Isolation, name: str) -> Ran:
    """The call of an attack that ends it."""
    limits = replace(LIMITS, wall_s=1.5) if name in SHORT else LIMITS
    return machine.run(_HEAD + ONE_BY_ONE[name], jail, limits)


def left_behind(machine: Host) -> list[str]:
    """The processes of calls that are there still."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().decode("utf-8", "replace").split("\0")
            found += [" ".join(words)] if {"predict.py", machine.folder.name} <= {*words} else []
    return found


def main() -> None:
    """Print what was seen."""
    with host() as machine:
        for jail in (*JAILS, NOTHING):
            with jail.entered() as found:
                report = found if isinstance(found, str) else found.model_dump_json()
                sys.stdout.write(f"{jail.name}: {report}\n")
                if not isinstance(found, str):
                    _report(machine, jail, found)


def _report(machine: Host, jail: Jail, found: Isolation) -> None:
    for name, result in battery(machine, found).items():
        sys.stdout.write(f"  {name}: {result}\n")
    for name in ONE_BY_ONE if jail is not NOTHING else ():
        ran = one(machine, found, name)
        what = ran.problem.detail if ran.problem else f"{len(ran.output)} bytes"
        sys.stdout.write(f"  {name}: {what} {ran.duration_s:.1f} s, {ran.memory}, {ran.log[-1:]}\n")
    sys.stdout.write(f"  left behind: {left_behind(machine)}\n")


if __name__ == "__main__":
    signal.signal(signal.SIGURG, signal.SIG_IGN)
    main()
