"""What the scoring child gives up before it reads a stranger's bytes, and what the parent hides from it.

Two steps, because some things have to be given up while the process is young and others only once every library is
loaded: `isolate` before the imports (a network namespace and the capabilities belong to one thread), `lock_down`
after them (nothing can be opened any more). Where the platform does not know a measure or forbids it, it is left out,
and the record that comes back says so.
"""

import ctypes
import errno
import os
import platform
import resource
import signal
import stat
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

# A system-call filter for the scoring child: compute, talk over the open pipes, end. Nothing else.

_SET_MODE_FILTER = 1
_ALL_THREADS = 1  # SECCOMP_FILTER_FLAG_TSYNC: libraries have started threads of their own
_ALLOW = 0x7FFF0000
_DENY = 0x00050000 | errno.EPERM
_NOT_THERE = 0x00050000 | errno.ENOSYS
_CLONE_THREAD = 0x00010000
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06

_NUMBER, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in the kernel's `struct seccomp_data`

_X86_64 = (
    # read write close fstat lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn poll
    *(0, 1, 3, 5, 8, 9, 10, 11, 12, 13, 14, 15, 7),
    # readv writev select sched_yield mremap mincore madvise nanosleep getpid exit uname gettimeofday getrusage
    *(19, 20, 23, 24, 25, 27, 28, 35, 39, 60, 63, 96, 98),
    # sysinfo getuid getgid geteuid getegid getppid sigaltstack sched_getparam sched_getscheduler gettid futex
    *(99, 102, 104, 107, 108, 110, 131, 143, 145, 186, 202),
    # sched_setaffinity sched_getaffinity set_tid_address restart_syscall clock_gettime clock_getres clock_nanosleep
    *(203, 204, 218, 219, 228, 229, 230),
    # exit_group get_mempolicy newfstatat pselect6 ppoll set_robust_list getcpu getrandom membarrier rseq
    *(231, 239, 262, 270, 271, 273, 309, 318, 324, 334),
)

_AARCH64 = (
    # close lseek read write readv writev pselect6 ppoll newfstatat fstat exit exit_group set_tid_address futex
    *(57, 62, 63, 64, 65, 66, 72, 73, 79, 80, 93, 94, 96, 98),
    # set_robust_list nanosleep clock_gettime clock_getres clock_nanosleep sched_getscheduler sched_getparam
    *(99, 101, 113, 114, 115, 120, 121),
    # sched_setaffinity sched_getaffinity sched_yield restart_syscall sigaltstack rt_sigaction rt_sigprocmask
    *(122, 123, 124, 128, 132, 134, 135),
    # rt_sigreturn uname getrusage getcpu gettimeofday getpid getppid getuid geteuid getgid getegid gettid sysinfo
    *(139, 160, 165, 168, 169, 172, 173, 174, 175, 176, 177, 178, 179),
    # brk munmap mremap mmap mprotect mincore madvise get_mempolicy getrandom membarrier rseq
    *(214, 215, 216, 222, 226, 232, 233, 236, 278, 283, 293),
)


class _Program(ctypes.Structure):
    """`struct sock_fprog`: how many instructions, and where they stand."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


class _Machine(NamedTuple):
    """What differs between processors: the kernel's name for it and the numbers of its system calls."""

    audit: int
    seccomp: int
    clone: int
    allowed: tuple[int, ...]


_CLONE3 = 435  # the same number everywhere

_MACHINES: Mapping[str, _Machine] = MappingProxyType(
    {"x86_64": _Machine(0xC000003E, 317, 56, _X86_64), "aarch64": _Machine(0xC00000B7, 277, 220, _AARCH64)}
)


def install(*, waits: bool = False) -> bool:
    """Put the filter over every thread of this process, for good; whether it is in force.

    `waits`: its threads may wait at descriptors. `no_new_privs` has to be set already. On another system or processor
    nothing happens.
    """
    machine = _MACHINES.get(platform.machine()) if sys.platform == "linux" else None
    if machine is None:
        return False
    code = _program(machine, _WAITS[platform.machine()] if waits else ())
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (ctypes.c_long(machine.seccomp), _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(program))
    return int(libc.syscall(*arguments)) == 0


_WAITS: Mapping[str, tuple[int, ...]] = MappingProxyType({"x86_64": (232, 233, 281), "aarch64": (21, 22)})
"""epoll_wait, epoll_ctl, epoll_pwait."""


def _program(machine: _Machine, also: tuple[int, ...] = ()) -> bytes:
    """The filter in the kernel's packet-filter code: allow-list, threads but no processes, everything else refused.

    `clone3` hides its flags behind a pointer, which a filter cannot follow: the filter calls it missing, and the C
    library falls back to `clone`.
    """
    numbers = (*machine.allowed, *also)
    allowed = tuple(_instruction(_EQUAL, number, len(numbers) - i, 0) for i, number in enumerate(numbers))
    steps = (
        _instruction(_LOAD, _MACHINE),
        _instruction(_EQUAL, machine.audit, 1, 0),
        _instruction(_RETURN, _DENY),
        _instruction(_LOAD, _NUMBER),
        _instruction(_EQUAL, machine.clone, 0, 3),
        _instruction(_LOAD, _FIRST_ARGUMENT),
        _instruction(_ANY_BIT, _CLONE_THREAD, len(allowed) + 4, 0),
        _instruction(_RETURN, _DENY),
        _instruction(_EQUAL, _CLONE3, 0, 1),
        _instruction(_RETURN, _NOT_THERE),
        *allowed,
        _instruction(_RETURN, _DENY),
        _instruction(_RETURN, _ALLOW),
    )
    return b"".join(steps)


# A filter for any command: programs and files as ever, but nothing by which a process leaves its jail or its limits.

_KILL = 0x80000000  # SECCOMP_RET_KILL_PROCESS
_X32 = 0x40000000
_NEW_NAMESPACES = 0x7E020000  # every CLONE_NEW* that clone knows
_SECOND_ARGUMENT = 24
_AND = 0x54

_LEAVING: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "x86_64": (
            # ptrace process_vm_readv/writev pidfd_send_signal/open/getfd unshare setns kcmp process_madvise
            *(101, 310, 311, 424, 434, 438, 272, 308, 312, 440),
            # mount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr
            *(165, 166, 155, 161, 428, 429, 430, 431, 432, 433, 442),
            # io_uring bpf perf_event_open userfaultfd add_key request_key keyctl open_by_handle_at
            *(425, 426, 427, 321, 298, 323, 248, 249, 250, 304),
            # memfd_create memfd_secret, all of shm, msg and sem, mq_open/unlink: memory that no process need map
            *(319, 447, 29, 30, 31, 68, 69, 70, 71, 64, 65, 66, 220, 240, 241),
            # init_module delete_module finit_module kexec_load kexec_file_load reboot swapon swapoff acct quotactl
            *(175, 176, 313, 246, 320, 169, 167, 168, 163, 179),
            # iopl ioperm modify_ldt syslog settimeofday clock_settime adjtimex clock_adjtime sethostname setdomainname
            *(172, 173, 154, 103, 164, 227, 159, 305, 170, 171),
        ),
        "aarch64": (
            *(117, 270, 271, 424, 434, 438, 97, 268, 272, 440),
            *(40, 39, 41, 51, 428, 429, 430, 431, 432, 433, 442),
            *(425, 426, 427, 280, 241, 282, 217, 218, 219, 265),
            *(279, 447, 194, 196, 195, 186, 189, 188, 187, 190, 193, 191, 192, 180, 181),
            *(105, 106, 273, 104, 294, 142, 224, 225, 89, 60),
            *(116, 170, 112, 171, 266, 161, 162),
        ),
    }
)
_SOCKETS: Mapping[str, tuple[int, int]] = MappingProxyType({"x86_64": (41, 53), "aarch64": (198, 199)})
"""socket and socketpair."""

# Where the machine's files and processes are in sight, some calls ask for no more than to be of the same user.

_TOUCHING: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "x86_64": (
            # setsid setpgid, by which a process leaves its group; sched_setparam/scheduler/attr setpriority ioprio_set
            *(112, 109, 142, 144, 314, 141, 251),
            # migrate_pages move_pages inotify_add_watch fanotify_init
            *(256, 279, 254, 300),
        ),
        "aarch64": (157, 154, 118, 119, 274, 140, 30, 238, 239, 27, 262),
    }
)
_ON_ANOTHER: Mapping[str, tuple[int, ...]] = MappingProxyType({"x86_64": (302, 203), "aarch64": (261, 122)})
"""prlimit64 and sched_setaffinity: of a process of its own, which is 0, and no other."""
_CHANGING: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        # chmod fchmod fchmodat fchmodat2, chown and utime in all forms, setxattr and removexattr
        "x86_64": (90, 91, 268, 452, 92, 93, 94, 260, 132, 235, 261, 280, 188, 189, 190, 197, 198, 199, 463, 466),
        "aarch64": (52, 53, 452, 54, 55, 88, 5, 6, 7, 14, 15, 16, 463, 466),
    }
)
"""What Landlock leaves to a file's owner. They do nothing and say nothing, for copying a file calls them."""
_DONE = 0x00050000
_STREAM = 1


def deny_list(*, sockets: tuple[int, ...], in_sight: bool = False) -> bytes:
    """A filter that refuses what leads out of a jail, and sockets of other families than these.

    A pair of datagram sockets could be connected anew, to the machine's own. `in_sight`: the jail has no view of its
    own, so what other processes and files of the user allow is refused too.

    Raises:
        OSError: this processor's system calls are not known here.
    """
    name = platform.machine()
    machine = _MACHINES.get(name) if sys.platform == "linux" else None
    if machine is None:
        raise OSError(errno.ENOSYS, "no system-call filter for this machine")
    refused = (*_LEAVING[name], *(_TOUCHING[name] if in_sight else ()))
    changing, on_another = (_CHANGING[name], _ON_ANOTHER[name]) if in_sight else ((), ())
    one, pair = _SOCKETS[name]
    steps = (
        _instruction(_LOAD, _MACHINE),
        *_unless(machine.audit, _KILL),
        _instruction(_LOAD, _NUMBER),
        _instruction(_ANY_BIT, _X32 if name == "x86_64" else 0, 0, 1),
        _instruction(_RETURN, _DENY),
        *(step for number in refused for step in _answered(number, _DENY)),
        *(step for number in changing for step in _answered(number, _DONE)),
        *(step for number in on_another for step in _called(number, _FIRST_ARGUMENT, _instruction(_EQUAL, 0, 1, 0))),
        *_answered(_CLONE3, _NOT_THERE),
        *_called(machine.clone, _FIRST_ARGUMENT, _instruction(_ANY_BIT, _NEW_NAMESPACES, 0, 1)),
        *_called(pair, _SECOND_ARGUMENT, _instruction(_AND, 0xF), _instruction(_EQUAL, _STREAM, 1, 0)),
        *_called(one, _FIRST_ARGUMENT, *_among(sockets)),
        _instruction(_RETURN, _ALLOW),
    )
    return b"".join(steps)


def _answered(number: int, answer: int) -> tuple[bytes, ...]:
    return _instruction(_EQUAL, number, 0, 1), _instruction(_RETURN, answer)


def _unless(value: int, otherwise: int) -> tuple[bytes, ...]:
    return _instruction(_EQUAL, value, 1, 0), _instruction(_RETURN, otherwise)


def _called(number: int, argument: int, *test: bytes) -> tuple[bytes, ...]:
    """Steps that refuse a call where the test of its argument does not skip the step that refuses."""
    inner = (_instruction(_LOAD, argument), *test, _instruction(_RETURN, _DENY), _instruction(_LOAD, _NUMBER))
    return _instruction(_EQUAL, number, 0, len(inner)), *inner


def _among(values: tuple[int, ...]) -> tuple[bytes, ...]:
    return tuple(_instruction(_EQUAL, value, len(values) - i, 0) for i, value in enumerate(values))


def _instruction(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    """`struct sock_filter`: what to do, how many steps to skip when true and when not, and the operand."""
    return struct.pack("=HBBI", code, then, otherwise, value)


_SET_DEATH_SIGNAL, _GET_DUMPABLE, _SET_DUMPABLE, _SET_SECCOMP, _NO_NEW_PRIVS = 1, 3, 4, 22, 38
_NEW_USER_NAMESPACE, _NEW_NETWORK = 0x10000000, 0x40000000
_CAPABILITY_VERSION = 0x20080522
_NOBODY = 65534


@dataclass(frozen=True, kw_only=True, slots=True)
class Confinement:
    """How much the child may use."""

    memory_bytes: int  # address space beyond what the loaded libraries take
    cpu_s: float  # processor seconds, all threads together
    threads: int  # threads of the model's runtime; with one, the child can start none
    parent: int  # process id of the parent, whose end ends the child


def isolate() -> dict[str, bool]:
    """Give up privileges and the network; which is in force. Call with one thread, before heavy imports."""
    os.chdir("/")
    os.umask(0o077)
    no_new_privileges = _prctl(_NO_NEW_PRIVS, 1)
    no_network = _unshare(_NEW_NETWORK) or _unshare(_NEW_USER_NAMESPACE | _NEW_NETWORK)
    return {"no_new_privileges": no_new_privileges, "no_network": no_network}


def lock_down(limits: Confinement, keep: int, *, waits: bool = False) -> dict[str, bool]:
    """Give up everything but computing and the open pipes; which measure is in force.

    Call after all imports, before the first hostile byte. `keep` is the highest file descriptor that stays open.
    `waits`: the threads of a library that is loaded wait for each other at descriptors of its own, which stay too.
    """
    os.environ.clear()
    keep = _close_files(keep, _waiting() if waits else frozenset())
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
        "system_calls": install(waits=waits),
    }


@contextmanager
def hidden_from_children() -> Iterator[bool]:
    """Hide this process's memory, environment and open files from others of the same user; whether it is in force."""
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
        become(_NOBODY)
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


def _waiting() -> frozenset[int]:
    """The open descriptors at which threads wait for each other: they lead to no file and nowhere else."""
    found = set()
    for each in Path("/proc/self/fd").iterdir() if sys.platform == "linux" else ():
        with suppress(OSError):
            if str(each.readlink()) in {"anon_inode:[eventpoll]", "anon_inode:[eventfd]"}:
                found.add(int(each.name))
    return frozenset(found)


def _close_files(keep: int, own: frozenset[int]) -> int:
    """Close all descriptors beyond `keep` but some, with no gap left where another could open; the highest one."""
    highest = max(keep, *own, keep)
    for descriptor in range(keep + 1, highest):
        if descriptor not in own:
            os.dup2(2, descriptor, inheritable=False)
    os.closerange(highest + 1, 65536)
    return highest


def _limit(limits: Confinement) -> bool:
    seconds = max(1, round(limits.cpu_s))
    wanted = {resource.RLIMIT_CPU: (seconds, seconds + 1), resource.RLIMIT_FSIZE: (0, 0), resource.RLIMIT_CORE: (0, 0)}
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


# Landlock: what a process and all that it starts may do with files, and that it reaches no process outside.

_CREATE_RULESET, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same numbers everywhere
_READ_FILE, _READ, _READ_FOLDER = 0b100, 0b101, 0b1101  # reading and running
_WRITE_FILE = 1 << 1 | 1 << 14  # writing and cutting
_WRITE = _WRITE_FILE | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 13
"""Making, moving and removing files and folders too; no links, pipes, sockets, devices."""
_ALL_FILES, _ALL_NETWORK, _ALL_SCOPES = (1 << 16) - 1, 3, 3
CUTS, SCOPES_SIGNALS = 3, 6
"""The versions of Landlock from which on files are not cut, and signals do not leave it."""


def landlock_version() -> int:
    """The kernel's version of Landlock; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(_libc().syscall(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint(1))))


def landlock(read: Iterable[str], write: Iterable[str], *, network: bool = False) -> None:
    """Leave this process the files and folders to read (and run), and those to write; no signal outwards.

    Raises:
        OSError: it is not in force.
    """
    version, libc = landlock_version(), _libc()
    handled = _ALL_FILES if version >= 5 else _ALL_FILES >> 1
    known = 24 if version >= SCOPES_SIGNALS else 16 if version >= 4 else 8
    fields = struct.pack("=QQQ", handled, 0 if network else _ALL_NETWORK, _ALL_SCOPES)[:known]
    ruleset = int(libc.syscall(ctypes.c_long(_CREATE_RULESET), fields, ctypes.c_size_t(len(fields)), ctypes.c_uint(0)))
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "Landlock is not to be had")
    for path, folder, file in (
        *((path, _READ_FOLDER, _READ) for path in read),
        *((path, _READ_FOLDER | _WRITE, _READ_FILE | _WRITE_FILE) for path in write),
    ):
        _allow(libc, ruleset, path, folder, file)
    if libc.syscall(ctypes.c_long(_RESTRICT), ctypes.c_int(ruleset), ctypes.c_uint(0)):
        raise OSError(ctypes.get_errno(), "Landlock is not in force")
    os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, folder: int, file: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    rule = struct.pack("=Qi", folder if stat.S_ISDIR(os.fstat(descriptor).st_mode) else file, descriptor)
    arguments = (ctypes.c_long(_ADD_RULE), ctypes.c_int(ruleset), ctypes.c_int(1), rule, ctypes.c_uint(0))
    failed = libc.syscall(*arguments)
    os.close(descriptor)
    if failed:
        raise OSError(ctypes.get_errno(), f"Landlock does not take {path}")


def become(user: int) -> None:
    """Another user, without groups and for good."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def give_up_privileges() -> None:
    """No capability, and none by any program that is run."""
    _drop_capabilities()
    if not _prctl(_NO_NEW_PRIVS, 1):
        raise OSError(errno.EPERM, "privileges cannot be given up")


def filter_calls(code: bytes) -> None:
    """Put a filter (`deny_list`) over this process and all that it starts.

    Raises:
        OSError: it is not in force.
    """
    program = _Program(len(code) // 8, code)
    if _libc().prctl(_SET_SECCOMP, ctypes.c_ulong(2), ctypes.byref(program), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise OSError(ctypes.get_errno(), "the system-call filter is not in force")
