"""What the scoring child gives up before it reads a stranger's bytes, and what the parent hides from it.

Two steps, because some things have to be given up while the process is young and others only once every library is
loaded: `isolate` before the imports (a network namespace and the capabilities belong to one thread), `lock_down`
after them (nothing can be opened any more). Where the platform does not know a measure or forbids it, it is left out,
and the record that comes back says so.
"""

import ctypes
import errno
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mlbot.modeling import seccomp

_SET_DEATH_SIGNAL, _GET_DUMPABLE, _SET_DUMPABLE, _NO_NEW_PRIVS = 1, 3, 4, 38
_NEW_USER_NAMESPACE, _NEW_NETWORK = 0x10000000, 0x40000000
_CAPABILITY_VERSION = 0x20080522
_NOBODY = 65534


@dataclass(frozen=True, kw_only=True, slots=True)
class Confinement:
    """How much the child may use.

    Attributes:
        memory_bytes: address space beyond what the loaded libraries take.
        cpu_s: processor seconds, all threads together.
        threads: threads of the model's runtime; with one, the child can start none.
        parent: process id of the parent, whose end ends the child.
    """

    memory_bytes: int
    cpu_s: float
    threads: int
    parent: int


def isolate() -> dict[str, bool]:
    """Give up privileges, the network and the capabilities. Call with one thread, before heavy imports.

    Returns:
        `no_new_privileges` and `no_network`: whether each is in force.
    """
    os.chdir("/")
    os.umask(0o077)
    no_new_privileges = _prctl(_NO_NEW_PRIVS, 1)
    no_network = _unshare(_NEW_NETWORK) or _unshare(_NEW_USER_NAMESPACE | _NEW_NETWORK)
    return {"no_new_privileges": no_new_privileges, "no_network": no_network}


def lock_down(limits: Confinement, keep: int) -> dict[str, bool]:
    """Give up everything but computing and the open pipes. Call after all imports, before the first hostile byte.

    Args:
        limits: How much may be used.
        keep: The highest file descriptor that stays open.

    Returns:
        Whether each is in force: `empty_environment`, `other_user`, `resource_limits`, `no_new_files`,
        `ends_with_parent`, `system_calls`.
    """
    os.environ.clear()
    os.closerange(keep + 1, 65536)
    other_user = _become_nobody()
    _drop_capabilities()
    _prctl(_SET_DUMPABLE, 0)
    ends_with_parent = _end_with(limits.parent)  # a change of user would undo it, so it comes after
    limited = _limit(limits)
    files = _no_files(keep)
    return {
        "empty_environment": not os.environ,
        "other_user": other_user,
        "resource_limits": limited,
        "no_new_files": files,
        "ends_with_parent": ends_with_parent,
        "system_calls": seccomp.install(),
    }


@contextmanager
def hidden_from_children() -> Iterator[bool]:
    """While it lasts, no process of the same user can read this one's memory, environment or open files.

    Yields:
        Whether it is in force.
    """
    before = _libc().prctl(_GET_DUMPABLE, 0, 0, 0, 0) if sys.platform == "linux" else -1
    hidden = before >= 0 and _prctl(_SET_DUMPABLE, 0)
    try:
        yield hidden
    finally:
        if hidden and before == 1:
            _prctl(_SET_DUMPABLE, before)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    zero = ctypes.c_ulong(0)
    return int(_libc().prctl(option, ctypes.c_ulong(value), zero, zero, zero)) == 0


def _unshare(flags: int) -> bool:
    return sys.platform == "linux" and int(_libc().unshare(flags)) == 0


def _become_nobody() -> bool:
    """Another user and group, where this process may: it owns nothing and can touch no process of the parent's."""
    if os.geteuid() != 0:
        return False
    try:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    except OSError:
        return False
    return os.getuid() == _NOBODY


def _drop_capabilities() -> None:
    """A user namespace hands out every capability inside it; none is wanted."""
    if sys.platform == "linux":
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
        _libc().capset(header, (ctypes.c_uint32 * 6)())


def _end_with(parent: int) -> bool:
    asked = _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the signal was asked for
        os._exit(1)
    return asked


def _limit(limits: Confinement) -> bool:
    seconds = max(1, round(limits.cpu_s))
    wanted = {
        resource.RLIMIT_CPU: (seconds, seconds + 1),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_CORE: (0, 0),
    }
    taken = _address_space()
    if taken:
        wanted[resource.RLIMIT_AS] = (taken + limits.memory_bytes,) * 2
    if limits.threads == 1:
        wanted[resource.RLIMIT_NPROC] = (0, 0)
    try:
        for kind, (soft, hard) in wanted.items():
            ceiling = resource.getrlimit(kind)[1]
            lowest = hard if ceiling == resource.RLIM_INFINITY else min(hard, ceiling)
            resource.setrlimit(kind, (min(soft, lowest), lowest))
    except (OSError, ValueError):
        return False
    return bool(taken)


def _address_space() -> int:
    """Bytes of address space in use; 0 where the system does not say."""
    with suppress(OSError, ValueError):
        return int(Path("/proc/self/statm").read_bytes().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _no_files(keep: int) -> bool:
    """No new file descriptor can be made: no file, no socket, no pipe."""
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (keep + 1, keep + 1))
        os.close(os.dup(0))
    except OSError as error:
        return error.errno == errno.EMFILE
    return False
