"""Any command that reads a stranger's artifact: with no network, no labels and no way out, on whatever the machine has.

`run_isolated` runs it in the strongest jail that this machine is proved to hold (`isolation_of`): the ladder is in
`Rung`. What was in force comes back with the output, for reports to say.
"""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import Field

from mlbot.gates.outcome import Reason
from mlbot.lib.record import Record
from mlbot.ml import jail
from mlbot.ml.train import clean
from mlbot.verdict.verdict import Problem

_BOOT = "import sys; sys.path.append(sys.argv[1]); from mlbot.ml.jail import main; main()"
_SLACK_S = 20.0  # for starting and ending a jail; then it is hopeless
_LAST_S = 5.0
_MOST_LINES = 200


class Rung(StrEnum):
    """The ways to hold a command, strongest first."""

    BUBBLEWRAP_ROOT = "bubblewrap-root"  # by root, as another user
    BUBBLEWRAP = "bubblewrap"  # by a user namespace
    DOCKER = "docker"
    LANDLOCK = "landlock"  # with a system-call filter; on a kernel that scopes signals
    NONE = "none"  # nothing: on a laptop alone


class Isolation(Record):
    """What holds a command, as a probe in it saw. Each is True when it was in force."""

    rung: Rung
    no_network: bool  # not even the machine's own
    host_hidden: bool  # no file of the machine but the system's and those that are mounted
    host_read_only: bool  # nothing of the machine can be written
    other_user: bool  # than the judge's
    processes_hidden: bool  # none of the machine can be seen or get a signal
    system_calls: bool  # a filter refuses what leads out of a jail
    refused: dict[str, str] = Field(default_factory=dict)  # the stronger rungs, and why each is not used


UNHELD = Isolation(
    rung=Rung.NONE,
    no_network=False,
    host_hidden=False,
    host_read_only=False,
    other_user=False,
    processes_hidden=False,
    system_calls=False,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one call of a command may use."""

    wall_s: float = 900.0
    memory_bytes: int = 4 << 30  # of all its processes
    disk_bytes: int = 1 << 30  # of each of the folders that it may write, and of one file
    output_bytes: int = 256 << 20
    processes: int = 256  # and threads


@dataclass(frozen=True, kw_only=True, slots=True)
class Online:
    """The network and variables that a command is given on purpose: an evaluator's that asks a provider, no other's."""

    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """How a call ended. What it wrote is a stranger's bytes."""

    isolation: Isolation
    output: bytes = b""
    problem: Problem | None = None  # why there is no output that counts
    log: tuple[str, ...] = ()  # the last lines that it printed, cleaned
    duration_s: float = 0.0
    peak_memory_bytes: int = 0
    memory: Literal["cgroup", "polled"] = "polled"  # what limited its memory: the kernel, or looking


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A command, and all that it sees besides the system."""

    command: Sequence[str]
    read_only: Mapping[str, Path]
    """Files and folders, by the variable that says where the command sees each, such as `MLBOT_ARTIFACT`. Any user has
    to be able to read them: `staged`."""
    folder: str  # the variable of the one to start in; `NAME/below` for a folder in it
    output: tuple[str, str] | None = None  # the variable of the file to write, and the file's name
    env: Mapping[str, str] = field(default_factory=dict)  # all else that is in its environment
    same: Sequence[Path] = ()  # folders that are seen where they are: an environment and its interpreter


def run_isolated(call: Call, *, limits: Limits, isolation: Isolation, online: Online | None = None) -> Ran:
    """Run a command that sees nothing but the system and what it is given, and take the file that it writes."""
    with _box(isolation.rung) as box:
        moved = isolation.rung not in {Rung.LANDLOCK, Rung.NONE}
        seen = {
            name: f"/in/{name.lower()}/{path.name}" if moved else str(path) for name, path in call.read_only.items()
        }
        written = f"{box}/{call.output[1]}" if call.output else ""
        own = {**seen, **({call.output[0]: written} if call.output else {})}
        variable, _, below = call.folder.partition("/")
        given = dict(online.variables) if online else {}
        spec = jail.Spec(
            rung=isolation.rung,
            command=list(call.command),
            mounts=[[str(path), seen[name]] for name, path in call.read_only.items()] + _in_place(call.same),
            env=_DEFAULTS | {"HOME": box, "TMPDIR": box} | dict(call.env) | given | own,
            folder=str(Path(seen[variable], below)),
            output=written,
            box=box,
            network=online is not None,
            **asdict(limits),
        )
        held = isolation.model_copy(update={"no_network": False}) if online else isolation
        return _ran(spec, held, _call(spec), given.values())


def _in_place(paths: Sequence[Path]) -> list[list[str]]:
    return [[str(path)] * 2 for path in paths]


_DEFAULTS = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "OMP_WAIT_POLICY": "PASSIVE",
    "USER": "mlbot",
    "LOGNAME": "mlbot",
}


@contextmanager
def _box(rung: Rung) -> Iterator[str]:
    """The folder that the command may write: of the jail's own where it has a view of its own, else one on the disk."""
    if rung not in {Rung.LANDLOCK, Rung.NONE}:
        yield "/box"
        return
    path = tempfile.mkdtemp(prefix="mlbot-box-")
    try:
        yield path
    finally:  # by rm, which no depth of folders exhausts
        subprocess.run(["rm", "-rf", "--", path], timeout=60, check=False, stderr=subprocess.DEVNULL)


@contextmanager
def staged(**files: Path) -> Iterator[dict[str, Path]]:
    """Copies of files and folders that any user may read, whatever the umask is; gone at the end."""
    with tempfile.TemporaryDirectory(prefix="mlbot-stage-") as temporary:
        root = Path(temporary)
        root.chmod(0o755)
        copies = {}
        for name, path in files.items():
            place = root / name
            place.mkdir()
            copies[name] = place / path.name
            if path.is_dir():
                shutil.copytree(path, copies[name], symlinks=True)
            else:
                shutil.copy(path, copies[name])
            let_all_read(place)
        yield copies


def let_all_read(folder: Path) -> None:
    """Let any user read what is in a folder, and run what its owner may run."""
    for each in (folder, *folder.rglob("*")):
        if not each.is_symlink():
            each.chmod(0o755 if each.is_dir() or each.stat().st_mode & 0o100 else 0o644)


@dataclass(kw_only=True, slots=True)
class _Answer:
    """What came back of a jail."""

    output: bytearray = field(default_factory=bytearray)
    log: bytes = b""
    group: int = 0  # of the jail's processes
    facts: dict[str, Any] = field(default_factory=dict)


def _starter(rung: str) -> list[str]:
    """What starts the process that holds the command: an interpreter, as root where the jail needs that."""
    return [*(["sudo", "-n"] if rung == Rung.BUBBLEWRAP_ROOT and os.geteuid() else []), sys.executable]


_OF_STARTER = ("PATH", "DOCKER_HOST")


def _call(spec: jail.Spec) -> _Answer:
    """Start the process that holds the command, and take its frames; it has to end by itself, and is ended if not."""
    root = str(Path(jail.__file__).resolve().parents[2])
    process = subprocess.Popen(
        [*_starter(spec.rung), "-I", "-S", "-c", _BOOT, root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={"PATH": os.defpath} | {name: os.environ[name] for name in _OF_STARTER if name in os.environ},
        start_new_session=True,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the pipes to the jail's process are missing")
    answer = _Answer()
    try:
        text = json.dumps(asdict(spec)).encode()
        process.stdin.write(len(text).to_bytes(4, "big") + text)
        process.stdin.flush()
        _take(process.stdout, answer, time.monotonic() + spec.wall_s + _SLACK_S)
    except (BrokenPipeError, EOFError):
        pass
    finally:
        process.stdin.close()  # its lifeline: what it started ends with it, of root's too
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            with suppress(PermissionError):  # one of root's ends by its lifeline alone
                process.kill()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LAST_S)
            _end_group(answer.group)
        process.stdout.close()
    return answer


def _end_group(group: int) -> None:
    """End what nobody watches any more, and what it starts meanwhile."""
    deadline = time.monotonic() + _LAST_S
    with suppress(ProcessLookupError, PermissionError):
        while group > 1 and time.monotonic() < deadline:
            os.killpg(group, signal.SIGKILL)
            time.sleep(0.01)


def _take(stream: IO[bytes], answer: _Answer, deadline: float) -> None:
    while not answer.facts:
        head = _read(stream, 5, deadline)
        content = _read(stream, int.from_bytes(head[1:], "big"), deadline)
        match head[:1]:
            case b"o":
                answer.output += content
            case b"p":
                answer.group = int(content)
            case b"l":
                answer.log = content
            case b"f":
                answer.facts = json.loads(content)
            case _:
                raise EOFError


def _read(stream: IO[bytes], size: int, deadline: float) -> bytes:
    parts: list[bytes] = []
    while size:
        if not select.select([stream], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise EOFError
        part = os.read(stream.fileno(), size)
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _ran(spec: jail.Spec, isolation: Isolation, answer: _Answer, secrets: Collection[str]) -> Ran:
    facts = answer.facts
    problem = _problem(spec, facts)
    return Ran(
        isolation=isolation,
        output=b"" if problem else bytes(answer.output),
        problem=problem,
        log=_lines(answer.log, secrets),
        duration_s=facts.get("duration_s", 0.0),
        peak_memory_bytes=facts.get("peak_memory_bytes", 0),
        memory=facts.get("memory", "polled"),
    )


def _lines(log: bytes, secrets: Collection[str]) -> tuple[str, ...]:
    """The last lines of a log for people: escaped, and without the values that were given as secrets."""
    text = log.decode("utf-8", "replace")
    for value in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(value, "***")
    lines = [line for each in text.replace("\r", "\n").split("\n")[-_MOST_LINES:] if (line := clean(each))]
    return tuple(lines)


def _problem(spec: jail.Spec, facts: Mapping[str, Any]) -> Problem | None:
    """Why there is no output that counts; in our words, for the command chooses its own exit status."""
    ended, code = facts.get("ended"), facts.get("code")
    if facts.get("left"):
        ended = "left"  # something that cannot be ended
    if (ended, code) == ("", 0):
        return None
    if ended == "" and isinstance(code, int):
        cause = "command-no-output" if code == jail.NO_OUTPUT else "command"
        return Problem.of(Reason.SCORING_FAILED, cause, status=code)
    reason, cause = _ENDINGS.get(str(ended), (Reason.SCORING_FAILED, "command-not-held"))
    return Problem.of(
        reason,
        cause,
        seconds=f"{spec.wall_s:g}",
        memory=_size(spec.memory_bytes),
        output=_size(spec.output_bytes),
        disk=_size(spec.disk_bytes),
        processes=spec.processes,
    )


def _size(count: int) -> str:
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"


_ENDINGS = {
    "time": (Reason.SCORING_TIMEOUT, "command"),
    "memory": (Reason.SCORING_MEMORY, "command"),
    "machine": (Reason.SCORING_MEMORY, "machine"),
    "output": (Reason.SCORING_FAILED, "command-output"),
    "disk": (Reason.SCORING_FAILED, "command-disk"),
    "processes": (Reason.SCORING_FAILED, "command-processes"),
}


# Which rung

_PROBE = """
import ctypes, json, os, socket, sys
secret, parent, port, written = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]

def fails(action):
    try:
        action()
    except Exception:
        return True
    return False

def connect():
    socket.create_connection(("127.0.0.1", port), 1).close()

facts = {
    "no_network": fails(connect),
    "host_hidden": fails(lambda: open(secret).close()) and fails(lambda: os.listdir(os.path.dirname(secret))),
    "host_read_only": fails(lambda: open(secret + ".new", "w")) and fails(lambda: open("/usr/mlbot-probe", "w")),
    "processes_hidden": fails(lambda: os.kill(parent, 0)),
    "system_calls": ctypes.CDLL(None).prctl(21, 0, 0, 0, 0) == 2,
    "user": os.getuid(),
}
with open(written, "w") as stream:
    json.dump(facts, stream)
"""


def isolation_here(*, sudo: bool = False) -> Isolation:
    """What holds commands on this machine: the strongest rung that a probe in it proves.

    `sudo` is the judge's alone: on a laptop nothing becomes root by surprise.
    """
    return _probed(sys.executable, sudo)


def isolation_of(*, judge: bool) -> Isolation | Problem:
    """What holds commands on this machine; the judge is never content with nothing."""
    found = isolation_here(sudo=judge)
    if found.rung is Rung.NONE and judge:
        why = "; ".join(f"{rung}: {reason}" for rung, reason in found.refused.items())
        return Problem.of(Reason.PREDICTOR_NOT_ISOLATED, "judge", why=why)
    return found


@lru_cache
def _probed(python: str, judge: bool) -> Isolation:  # noqa: FBT001 - the cache wants it so
    refused: dict[str, str] = {}
    for rung in Rung:
        if rung is Rung.NONE:
            break
        found = _probe(rung, python, judge=judge)
        if isinstance(found, Isolation):
            return found.model_copy(update={"refused": refused})
        refused[rung] = found
    return UNHELD.model_copy(update={"refused": refused})


def with_python(call: Call, python: Path) -> Call:
    """The call where `python` is this one: its environment, first on the PATH and mounted where it is."""
    roots, (base, *beside) = interpreter_roots(python), _packages(python)
    own = {"PATH": f"{_prefixes(python)[0]}/bin:{_DEFAULTS['PATH']}", "PYTHONUSERBASE": base}
    return replace(call, env={**call.env, **own}, same=(*call.same, *roots, *map(Path, beside)))


def interpreter_roots(python: Path) -> tuple[Path, ...]:
    """The folders that an interpreter runs from and that are not the system's: its environment, what that is of."""
    every = dict.fromkeys(each for path in map(Path, _prefixes(python)) for each in (path, path.resolve()))
    return tuple(path for path in every if not path.is_relative_to("/usr") and path != Path("/"))


@lru_cache
def _prefixes(python: Path) -> tuple[str, ...]:
    """What it says of itself: its environment, and the installation that this is of."""
    asked = "import json, sys; print(json.dumps([sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix]))"
    done = subprocess.run([python, "-I", "-c", asked], cwd="/", capture_output=True, text=True, timeout=30, check=True)
    return tuple(json.loads(done.stdout))


@lru_cache
def _packages(python: Path) -> tuple[str, ...]:
    """The user's own base folder, and the folders of packages that lie outside of the environment.

    Of what a `.pth` file adds only such folders: a project that is installed from its checkout may have labels in it.
    """
    asked = "import json, site, sys; print(json.dumps([site.getuserbase(), *sys.path]))"
    done = subprocess.run([python, "-c", asked], cwd="/", capture_output=True, text=True, timeout=30, check=True)
    base, *paths = json.loads(done.stdout)
    roots = ("/usr", *_prefixes(python))
    found = [Path(path) for path in paths if Path(path).name in {"site-packages", "dist-packages"}]
    return (base, *(str(each) for each in found if each.is_dir() and not any(map(each.is_relative_to, roots))))


_PROBE_LIMITS = Limits(wall_s=20, memory_bytes=256 << 20, disk_bytes=1 << 20, output_bytes=4096, processes=16)


def _probe(rung: Rung, python: str, *, judge: bool) -> Isolation | str:
    """What a rung holds, as a process in it saw; or why the rung is not used."""
    if sys.platform != "linux":
        return "it is Linux's"
    if rung is Rung.BUBBLEWRAP_ROOT and os.geteuid() and not (judge and shutil.which("sudo")):
        return "mlbot does not run as root" + (", and there is no sudo" if judge else "")
    with (
        tempfile.TemporaryDirectory(prefix="mlbot-probe-") as temporary,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        secret = Path(temporary, "secret")
        secret.write_text("nobody's", encoding="utf-8")
        secret.chmod(0o644)
        Path(temporary).chmod(0o777)
        asked = ["-I", "-c", _PROBE, str(secret), str(os.getpid()), str(server.getsockname()[1])]
        with _box(rung) as box:
            spec = jail.Spec(
                rung=rung,
                command=[python, *asked, f"{box}/seen"],
                mounts=_in_place(interpreter_roots(Path(python))),
                env=_DEFAULTS,
                folder="/",
                output=f"{box}/seen",
                box=box,
                network=False,
                **asdict(_PROBE_LIMITS),
            )
            answer = _call(spec)
    if answer.facts.get("ended") or answer.facts.get("code") != 0:
        last = _lines(answer.log, ())[-1:] or ("the jail did not start",)
        return last[0]
    return _proved(rung, json.loads(answer.output))


def _proved(rung: Rung, facts: dict[str, Any]) -> Isolation | str:
    user = facts.pop("user")
    broken = [name for name, holds in facts.items() if not holds]
    if broken:
        return f"the probe got out: not {', '.join(broken)}"
    return Isolation(rung=rung, other_user=user != os.geteuid(), **facts)
