"""The process that runs one hostile command: it builds the jail, watches it, takes its output and ends all of it.

It is started by a bare interpreter (`-I -S`), as root by `sudo` where that is how the jail is built, so it imports the
standard library and its neighbours alone. `sudo` closes every descriptor but the three streams, which are the protocol:

* stdin: a length (4 bytes) and the `Spec` as JSON; then it is the lifeline: when it closes, the command has to end.
* stdout: frames of a kind (1 byte), a length (4 bytes) and bytes: `p` the number of the jail's group, `o` some output,
  at the end `l` the log's last part and `f` the facts as JSON.

Nothing that the command wrote is opened here: a `cat` inside the jail writes it to a pipe.
"""

import contextlib
import json
import os
import resource
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mlbot.ml import sandbox
from mlbot.ml.supervisor import children, prctl

LOG_BYTES = 64 * 1024
NO_OUTPUT = 81  # the jail's exit status where the command wrote no file
_CHUNK = 64 * 1024
_SET_CHILD_SUBREAPER = 36
_POLL_S = 0.1
_END_S = 2.0  # between the end of its pipes and its own
_SWEEP_S = 5.0
_DOCKER_S = 30.0
_MOST_FILES = 100_000
_OWN_PROCESSES = 8  # the jail's
_WITHOUT_VIEW = ("landlock", "none")
_TOOLS = "/usr/bin:/bin:/usr/sbin:/sbin"

# The command's own streams go to the log. `cat` writes a regular file alone, though any other could hurt the jail only.
_SCRIPT = """
output=$1; shift
"$@" </dev/null >&2
code=$?
[ $code = 0 ] && [ "$output" ] || exit $code
[ -f "$output" ] && [ ! -L "$output" ] || exit 81
exec cat -- "$output"
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """What to run, what it sees, and how much it may use."""

    rung: str
    command: list[str]
    mounts: list[list[str]]  # a path of the machine, and where it is seen
    env: dict[str, str]
    folder: str  # where the command starts
    output: str  # the file that it writes, as it sees it; empty: none
    box: str  # the folder that it may write
    network: bool
    memory_bytes: int
    disk_bytes: int
    output_bytes: int
    processes: int
    wall_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Started:
    """How to start a jail: the program and what it inherits."""

    arguments: list[str]
    descriptors: tuple[int, ...] = ()
    confine: Callable[[], None] | None = None  # called between fork and exec, where no program builds the jail


def main() -> None:
    """Read a spec, run it, answer."""
    size = int.from_bytes(_read_exactly(4), "big")
    spec = Spec(**json.loads(_read_exactly(size)))
    prctl(_SET_CHILD_SUBREAPER, 1)
    with contextlib.suppress(BrokenPipeError):
        _Run(spec).run()


def _read_exactly(size: int) -> bytes:
    content = b""
    while len(content) < size:
        part = os.read(0, size - len(content))
        if not part:
            sys.exit(1)
        content += part
    return content


def _frame(kind: bytes, content: bytes) -> None:
    view = memoryview(kind + len(content).to_bytes(4, "big") + content)
    while view:
        view = view[os.write(1, view) :]


class _Run:
    """One command from start to end."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.log = bytearray()
        self.output = 0
        self.ended = ""  # why it was ended, where it did not end by itself
        self.peak = 0
        self.group = _bound(spec)

    def run(self) -> None:
        """Start, watch, sweep up, answer."""
        started = time.monotonic()
        try:
            child = self._start()
        except (OSError, subprocess.SubprocessError, KeyError) as error:
            self.log += str(error).encode()
            self.ended = "start"
            if self.group:
                self.group.close()
            self._answer(None, 0.0, 0)
            return
        _frame(b"p", str(child.pid).encode())
        try:
            self._watch(child, started + self.spec.wall_s)
            if not self.ended:
                _await_end(child)
        finally:
            left = _sweep(child)
            killed = bool(self.group and self.group.close())
        if killed and child.returncode:
            self.ended = self.ended or "memory"
        self._answer(child.returncode, time.monotonic() - started, left)

    def _start(self) -> "subprocess.Popen[bytes]":
        jail = _docker(self.spec, self.group.name) if isinstance(self.group, _Container) else _jail(self.spec)
        return subprocess.Popen(
            jail.arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.spec.env,
            pass_fds=jail.descriptors,
            start_new_session=True,
            preexec_fn=partial(self._enter, jail),  # noqa: PLW1509 - this process has one thread
        )

    def _enter(self, jail: _Started) -> None:
        """In the child: into the control group, and into the jail where no program makes it."""
        if self.group:
            self.group.join()
        if jail.confine:
            jail.confine()

    def _watch(self, child: "subprocess.Popen[bytes]", deadline: float) -> None:
        """Until both pipes have ended, or the command has to."""
        if child.stdout is None or child.stderr is None:
            raise RuntimeError("the pipes to the jail are missing")
        with selectors.DefaultSelector() as selector:
            for stream in (child.stdout, child.stderr, 0):
                selector.register(stream, selectors.EVENT_READ)
            looked, over = 0.0, False
            while len(selector.get_map()) > 1 and not self.ended:
                for key, _ in selector.select(_POLL_S):
                    self._take(selector, key.fileobj, child)
                now = time.monotonic()
                if now > deadline:
                    self.ended = "time"
                elif over or _is_over(child):
                    over = True
                    _kill(child)  # what it left behind holds the pipes
                elif now - looked >= _POLL_S:
                    looked = now
                    self._look(child)

    def _take(self, selector: selectors.BaseSelector, source: Any, child: "subprocess.Popen[bytes]") -> None:
        chunk = os.read(source if isinstance(source, int) else source.fileno(), _CHUNK)
        if not chunk:  # of the lifeline: mlbot is gone
            selector.unregister(source)
            self.ended = "orphaned" if source == 0 else self.ended
        elif source is child.stderr:
            self.log = (self.log + chunk)[-LOG_BYTES:]
        elif source is child.stdout:
            self.output += len(chunk)
            if self.output > self.spec.output_bytes:
                self.ended = "output"
            else:
                _frame(b"o", chunk)

    def _look(self, child: "subprocess.Popen[bytes]") -> None:
        """What it uses at the moment, where nothing but looking limits it."""
        pids = _descendants(child.pid)
        disk, files, in_memory = _written(self.spec, pids)
        mapped = [_resident(pid) for pid in pids]
        used = sum(private for private, _ in mapped) + max(in_memory, sum(shared for _, shared in mapped))
        self.peak = max(self.peak, used)
        most = self.spec.memory_bytes
        killed = bool(self.group and self.group.has_killed())
        if killed or (used > most and max(in_memory, sum(map(_proportional, pids))) > most):
            self.ended = "memory"
        elif _machine_is_short():
            self.ended = "machine"
        elif len(pids) > self.spec.processes + _OWN_PROCESSES:
            self.ended = "processes"
        elif disk > self.spec.disk_bytes or files > _MOST_FILES:
            self.ended = "disk"

    def _answer(self, code: int | None, duration: float, left: int) -> None:
        facts = {
            "ended": self.ended,
            "code": code,
            "duration_s": duration,
            "peak_memory_bytes": self.peak,
            "memory": "cgroup" if self.group else "polled",
            "left": left,
        }
        _frame(b"l", bytes(self.log))
        _frame(b"f", json.dumps(facts).encode())


def _is_over(child: "subprocess.Popen[bytes]") -> bool:
    """Whether the jail has ended by itself; it is not taken yet, so that its number stays its group's."""
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _await_end(child: "subprocess.Popen[bytes]") -> None:
    """Until the jail has ended by itself: its pipes end a moment before, and swept up then it would seem killed."""
    deadline = time.monotonic() + _END_S
    while not _is_over(child) and time.monotonic() < deadline:
        time.sleep(0.002)


def _kill(child: "subprocess.Popen[bytes]") -> int:
    """End all that the jail started; how many of them there are still."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    strays = [pid for pid in children() if pid != child.pid]
    for pid in strays:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return len(strays)


def _sweep(child: "subprocess.Popen[bytes]") -> int:
    """End the jail and all that it started; how many of them are there still."""
    deadline = time.monotonic() + _SWEEP_S
    while (left := _kill(child)) or not _is_over(child):
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    child.poll()
    return left


# What it uses


def _descendants(root: int) -> list[int]:
    """A process and all below it, as the machine numbers them; nothing where the system does not show them."""
    parents: dict[int, int] = {}
    for entry in _numbered("/proc"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            stat = Path(f"/proc/{entry}/stat").read_bytes()
            parents[entry] = int(stat[stat.rindex(b")") + 2 :].split()[1])
    found, wave = [root], {root}
    while wave := {pid for pid, parent in parents.items() if parent in wave}:
        found += wave
    return found


def _numbered(folder: str) -> Iterator[int]:
    with contextlib.suppress(OSError):
        yield from (int(name) for name in os.listdir(folder) if name.isdigit())  # noqa: PTH208 - names alone


def _resident(pid: int) -> tuple[int, int]:
    """Bytes of memory: a process's own, and shared."""
    path = f"/proc/{pid}/status"
    return _kilobytes(path, b"RssAnon:"), _kilobytes(path, b"RssShmem:")


def _proportional(pid: int) -> int:
    """A process's part of the pages that it shares with those it was forked from."""
    return _kilobytes(f"/proc/{pid}/smaps_rollup", b"Pss:") or sum(_resident(pid))


def _written(spec: Spec, pids: list[int]) -> tuple[int, int, int]:
    """Bytes and files that the command has on the machine's disk; bytes that it has in folders in memory."""
    if spec.rung in _WITHOUT_VIEW:
        return (*_below(spec.box), 0)
    for pid in reversed(pids):  # one that is in the jail: there, the place of these folders is not the command's choice
        with contextlib.suppress(OSError):
            found = [os.statvfs(f"/proc/{pid}/root{path}") for path in (*_WRITABLE, spec.box)]
            used = sum((each.f_blocks - each.f_bfree) * each.f_frsize for each in found)
            return 0, sum(each.f_files - each.f_ffree for each in found), used
    return 0, 0, 0


def _below(folder: str) -> tuple[int, int]:
    """Bytes on the disk and files below a folder; no link is followed and nothing is opened but folders."""
    size = files = 0
    for _, folders, names, descriptor in os.fwalk(folder):
        files += len(folders) + len(names)
        for name in names:
            with contextlib.suppress(OSError):
                size += os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_blocks * 512
        if files > _MOST_FILES:
            break
    return size, files


def _kilobytes(path: str, name: bytes) -> int:
    """The bytes that a file of /proc gives by that name; 0 where it does not."""
    with contextlib.suppress(OSError, ValueError):
        lines = Path(path).read_bytes().splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)
    return 0


def _machine_is_short() -> bool:
    total, left = (_kilobytes("/proc/meminfo", name) for name in (b"MemTotal:", b"MemAvailable:"))
    return bool(total) and left < min(256 << 20, total // 20)


class _Group:
    """A control group that limits memory, tmpfs included; whichever version of them the machine has."""

    def __init__(self, folder: Path, *, second: bool) -> None:
        self.folder = folder
        self.second = second

    @classmethod
    def make(cls, memory_bytes: int) -> "_Group | None":
        """A group of that limit; None where the machine does not let it be made."""
        for root, second, limit in (("", True, "memory.max"), ("memory", False, "memory.limit_in_bytes")):
            folder = Path("/sys/fs/cgroup", root, f"mlbot-{secrets.token_hex(8)}")
            try:
                folder.mkdir()
            except OSError:
                continue
            # The kernel makes the files, which are there with the controller. None of them is made here.
            if _set(folder / limit, str(memory_bytes)):
                _set(folder / ("memory.swap.max" if second else "memory.swappiness"), "0")
                return cls(folder, second=second)
            folder.rmdir()
        return None

    def join(self) -> None:
        """Put this process into it; called between fork and exec."""
        (self.folder / "cgroup.procs").write_text("0")

    def has_killed(self) -> bool:
        """Whether the kernel ended a process in it for its memory."""
        name = "memory.events" if self.second else "memory.oom_control"
        with contextlib.suppress(OSError, ValueError):
            lines = (self.folder / name).read_text().splitlines()
            return any(int(line.split()[1]) > 0 for line in lines if line.startswith("oom_kill "))
        return False

    def close(self) -> bool:
        """Remove it; whether the kernel ended a process in it."""
        killed = self.has_killed()
        deadline = time.monotonic() + _SWEEP_S
        while time.monotonic() < deadline:
            try:
                self.folder.rmdir()
            except OSError:  # what was killed is still on its way out
                time.sleep(0.01)
            else:
                break
        return killed


class _Container:
    """A container of Docker's, by its name; its memory is limited by a control group."""

    def __init__(self) -> None:
        self.name = f"mlbot-{secrets.token_hex(8)}"

    def join(self) -> None:
        """Nothing: the program that starts it is not in it."""

    def has_killed(self) -> bool:
        """Not known while it runs."""
        return False

    def close(self) -> bool:
        """End and remove it; whether the kernel ended a process in it for its memory."""
        killed = False
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            killed = _docker_says("inspect", "--format", "{{.State.OOMKilled}}", self.name) == b"true"
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            _docker_says("rm", "--force", "--volumes", self.name)
        return killed


def _bound(spec: Spec) -> _Group | _Container | None:
    """What limits memory by a control group; None where only looking does."""
    if spec.rung == "docker":
        return _Container()
    return _Group.make(spec.memory_bytes) if os.geteuid() == 0 and spec.rung != "none" else None


def _set(path: Path, value: str) -> bool:
    try:
        with path.open("r+b", buffering=0) as stream:
            stream.write(value.encode())
    except OSError:
        return False
    return True


# The rungs


def _inside(spec: Spec, *privileges: str) -> list[str]:
    """What runs in the jail: limits, then a shell that runs the command and writes its output to stdout."""
    limits = [f"--nproc={spec.processes}", f"--fsize={spec.disk_bytes}", f"--data={spec.memory_bytes}", "--core=0"]
    return [*privileges, _tool("prlimit"), *limits, *_shell(spec)]


def _shell(spec: Spec) -> list[str]:
    return ["/bin/sh", "-c", _SCRIPT, "sh", spec.output, *spec.command]


def _tool(name: str) -> str:
    return shutil.which(name, path=_TOOLS) or name


def _pipe_of(content: bytes) -> int:
    """A descriptor to read a few bytes from."""
    end, start = os.pipe()
    os.write(start, content)
    os.close(start)
    return end


def _bubblewrap_root(spec: Spec) -> _Started:
    user = str(_another_user())
    becoming = [f"--reuid={user}", f"--regid={user}", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]
    return _bubblewrap(spec, user, [], _inside(spec, _tool("setpriv"), *becoming, "--no-new-privs"))


def _bubblewrap_user(spec: Spec) -> _Started:
    return _bubblewrap(spec, str(os.getuid()), ["--unshare-user", "--cap-drop", "ALL"], _inside(spec))


def _bubblewrap(spec: Spec, user: str, privileges: list[str], inside: list[str]) -> _Started:
    seccomp = _pipe_of(sandbox.deny_list(sockets=_NETWORK if spec.network else _FAMILIES))
    passwd = _pipe_of(f"root:x:0:0::/:/bin/false\nmlbot:x:{user}:{user}::/tmp:/bin/sh\n".encode())
    apart = ["pid", "ipc", "uts", "cgroup-try", *([] if spec.network else ["net"])]
    arguments = [
        _tool("bwrap"),
        *(f"--unshare-{kind}" for kind in apart),
        *privileges,
        *("--new-session", "--die-with-parent", "--seccomp", str(seccomp)),
        *("--proc", "/proc", "--dev", "/dev"),
        *(word for path in (*_WRITABLE, spec.box) for word in _tmpfs(path, spec.disk_bytes)),
        *_view(spec),
        *("--perms", "0644", "--ro-bind-data", str(passwd), "/etc/passwd"),
        # bwrap's own root and /dev are tmpfs without a size, which the same user could fill.
        *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", spec.folder, "--"),
    ]
    return _Started(arguments=[*arguments, *inside], descriptors=(seccomp, passwd))


_WRITABLE = ("/dev/shm", "/tmp")  # noqa: S108 - the jail's own


def _tmpfs(path: str, size: int) -> list[str]:
    return ["--perms", "1777", "--size", str(size), "--tmpfs", path]


_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_FAMILIES = (_UNIX, _INET, _INET6, _NETLINK)  # of an empty network
_NETWORK = (_INET, _INET6, _NETLINK)  # the machine's own network has abstract sockets of its services, too

_SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime"),
    *("/etc/nsswitch.conf", "/etc/ssl/certs", "/etc/R"),
)
_NAMES = ("/etc/resolv.conf", "/etc/hosts", "/etc/services", "/etc/gai.conf")
"""What the system has that programs need; and what they need to find others on a network."""


def system_paths(*, network: bool) -> list[str]:
    """The paths of the machine that every command sees, of those that there are."""
    return [path for path in (*_SYSTEM, *(_NAMES if network else ())) if os.path.lexists(path)]


def _view(spec: Spec) -> Iterator[str]:
    """The command's files, read-only; each folder above them can be entered by any user, which bwrap's own cannot."""
    binds = [(path, path) for path in system_paths(network=spec.network)] + [(one, other) for one, other in spec.mounts]
    made = {"/", "/dev", *_WRITABLE, spec.box}
    for source, target in binds:
        for parent in reversed(Path(target).parents):
            if str(parent) not in made:
                made.add(str(parent))
                yield from ("--perms", "0755", "--dir", str(parent))
        if Path(source).is_symlink() and source == target and Path(source).parent == Path("/"):
            yield from ("--symlink", str(Path(source).readlink()), target)
        else:
            yield from ("--ro-bind", os.path.realpath(source), target)


_IMAGE = "mlbot-empty"


def _docker_says(*arguments: str, given: bytes = b"") -> bytes:
    """What Docker's client answers; raises `OSError` where it fails."""
    asked = [*_docker_client(), *arguments]
    done = subprocess.run(asked, input=given, capture_output=True, timeout=_DOCKER_S, check=False)
    if done.returncode:
        raise OSError(done.stderr.decode("utf-8", "replace").strip() or "docker failed")
    return done.stdout.strip()


def _docker_client() -> list[str]:
    client = shutil.which("docker")
    if client is None:
        raise OSError("there is no docker")
    return [client, *(("--host", os.environ["DOCKER_HOST"]) if "DOCKER_HOST" in os.environ else ())]


_REFUSED = """
ptrace process_vm_readv process_vm_writev pidfd_send_signal pidfd_open pidfd_getfd unshare setns kcmp process_madvise
mount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr io_uring_setup
io_uring_enter io_uring_register bpf perf_event_open userfaultfd add_key request_key keyctl open_by_handle_at
memfd_create memfd_secret shmget shmat shmctl msgget msgsnd msgrcv msgctl semget semop semctl semtimedop mq_open
mq_unlink init_module delete_module finit_module kexec_load kexec_file_load reboot swapon swapoff acct quotactl iopl
ioperm modify_ldt syslog settimeofday clock_settime adjtimex clock_adjtime sethostname setdomainname
"""
"""What `sandbox.deny_list` refuses, as Docker names it."""


def _docker_filter() -> bytes:
    def rule(names: str, **more: object) -> dict[str, object]:
        return {"names": names.split(), "action": "SCMP_ACT_ERRNO"} | more

    families = [family for family in range(_NETLINK) if family not in _FAMILIES]
    spaces = [1 << bit for bit in (17, 25, 26, 27, 28, 29, 30)]
    rules = [
        rule(_REFUSED),
        rule("clone3", errnoRet=38),
        *(rule("socket", args=[{"index": 0, "value": each, "op": "SCMP_CMP_EQ"}]) for each in families),
        rule("socket", args=[{"index": 0, "value": _NETLINK, "op": "SCMP_CMP_GT"}]),
        *(
            rule("clone", args=[{"index": 0, "value": each, "valueTwo": each, "op": "SCMP_CMP_MASKED_EQ"}])
            for each in spaces
        ),
    ]
    return json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}).encode()


def _docker(spec: Spec, name: str) -> _Started:
    """By a container with nothing in it but what is mounted."""
    if not _docker_says("images", "--quiet", _IMAGE):
        _docker_says("import", "-", _IMAGE, given=bytes(10240))  # an empty archive
    user, seccomp = _another_user(), _pipe_of(_docker_filter())
    size = f"rw,exec,mode=1777,size={spec.disk_bytes}"
    binds = [*((path, path) for path in system_paths(network=False)), *spec.mounts]
    arguments = [
        *(*_docker_client(), "run", "--name", name, "--pull", "never", "--log-driver", "none"),
        *("--network", "host" if spec.network else "none", "--read-only", "--cap-drop", "ALL"),
        *("--security-opt", "no-new-privileges", "--security-opt", f"seccomp=/proc/self/fd/{seccomp}"),
        *("--user", f"{user}:{user}", "--ipc", "private", "--shm-size", str(spec.disk_bytes)),
        *("--memory", str(spec.memory_bytes), "--memory-swap", str(spec.memory_bytes)),
        *("--pids-limit", str(spec.processes + _OWN_PROCESSES)),
        *("--tmpfs", f"/tmp:{size}", "--tmpfs", f"{spec.box}:{size}"),  # noqa: S108 - the jail's own
        *(f'--mount=type=bind,"source={os.path.realpath(one)}","target={other}",readonly' for one, other in binds),
        *(word for variable in spec.env for word in ("--env", variable)),
        *("--workdir", spec.folder, "--entrypoint", "", _IMAGE),
        # Should nobody be there to remove it, it ends by itself.
        *(_tool("timeout"), "--signal=KILL", str(spec.wall_s + _SWEEP_S), *_inside(spec)),
    ]
    return _Started(arguments=arguments, descriptors=(seccomp,))


def _landlock(spec: Spec) -> _Started:
    """By the kernel's own means, without a view of its own: what is not granted is there and cannot be opened."""
    user = None
    if os.geteuid() == 0:
        # The kernel counts no process of root's, so a root that forks without end is stopped by nothing.
        if closed := next((source for source, _ in spec.mounts if not _is_open(source)), None):
            raise OSError(f"no other user than root gets to {closed}")
        user = _another_user()
    version = sandbox.landlock_version()
    if version < (sandbox.SCOPES_SIGNALS if user is None else sandbox.CUTS):
        raise OSError(f"version {version} of Landlock, which this kernel has, does not hold signals")
    if user is not None:
        os.chown(spec.box, user, user)
    return _Started(arguments=_shell(spec), confine=partial(_confine, spec, user))


def _another_user() -> int:
    """One that owns nothing and runs nothing; another for each call, since the kernel counts by user."""
    return (1 << 20) + secrets.randbelow(1 << 20)


def _is_open(path: str) -> bool:
    """Whether any user gets to a path."""
    real = Path(os.path.realpath(path))
    return all(parent.stat().st_mode & 0o001 for parent in real.parents) and bool(real.stat().st_mode & 0o004)


_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_MACHINE = ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/sys/devices/system/cpu")


def _confine(spec: Spec, user: int | None) -> None:
    os.chdir(spec.folder)
    granted = [*system_paths(network=spec.network), *_MACHINE, *(source for source, _ in spec.mounts)]
    _limit(spec, spec.processes + (0 if user else _threads_of(os.getuid())))
    if user:
        sandbox.become(user)
    sandbox.give_up_privileges()
    sandbox.landlock(filter(os.path.exists, granted), [spec.box, *_DEVICES], network=spec.network)
    sandbox.filter_calls(sandbox.deny_list(sockets=_NETWORK if spec.network else (), in_sight=True))


def _threads_of(user: int) -> int:
    """How many a user has on this machine, for the kernel's limit counts them all."""
    count = 0
    for pid in _numbered("/proc"):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}").stat().st_uid == user:
                count += sum(1 for _ in _numbered(f"/proc/{pid}/task"))
    return count


def _limit(spec: Spec, processes: int) -> None:
    wanted = {resource.RLIMIT_FSIZE: spec.disk_bytes, resource.RLIMIT_DATA: spec.memory_bytes, resource.RLIMIT_CORE: 0}
    for kind, most in (wanted | {resource.RLIMIT_NPROC: processes}).items():
        ceiling = resource.getrlimit(kind)[1]
        lowest = most if ceiling == resource.RLIM_INFINITY else min(most, ceiling)
        resource.setrlimit(kind, (lowest, lowest))


def _none(spec: Spec) -> _Started:
    def confine() -> None:
        os.chdir(spec.folder)
        _limit(spec, _threads_of(os.getuid()) + spec.processes)

    return _Started(arguments=_shell(spec), confine=confine)


def _jail(spec: Spec) -> _Started:
    rungs: Mapping[str, Callable[[Spec], _Started]] = {
        "bubblewrap-root": _bubblewrap_root,
        "bubblewrap": _bubblewrap_user,
        "landlock": _landlock,
        "none": _none,
    }
    return rungs[spec.rung](spec)
