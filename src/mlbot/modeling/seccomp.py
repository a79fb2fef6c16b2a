"""A system-call filter for the scoring child: compute, talk over the open pipes, end. Nothing else.

Everything that is not on the list answers EPERM: opening a file, making a socket, starting a program, signalling or
tracing another process. See seccomp(2) and the kernel's `Documentation/userspace-api/seccomp_filter.rst`.
"""

import ctypes
import errno
import platform
import struct
import sys
from collections.abc import Mapping
from types import MappingProxyType

_SET_MODE_FILTER = 1
_ALL_THREADS = 1  # SECCOMP_FILTER_FLAG_TSYNC: libraries have started threads of their own
_ALLOW = 0x7FFF0000
_DENY = 0x00050000 | errno.EPERM
_NOT_THERE = 0x00050000 | errno.ENOSYS
_CLONE_THREAD = 0x00010000

_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16
"""Offsets in the kernel's `struct seccomp_data`."""

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


class _Machine:
    """What differs between processors: the kernel's name for it and the numbers of its system calls."""

    def __init__(self, audit: int, seccomp: int, clone: int, allowed: tuple[int, ...]) -> None:
        self.audit = audit
        self.seccomp = seccomp
        self.clone = clone
        self.allowed = allowed


_CLONE3 = 435  # the same number everywhere
_MACHINES: Mapping[str, _Machine] = MappingProxyType(
    {
        "x86_64": _Machine(0xC000003E, 317, 56, _X86_64),
        "aarch64": _Machine(0xC00000B7, 277, 220, _AARCH64),
    }
)


def install() -> bool:
    """Put the filter over every thread of this process, for good.

    `no_new_privs` has to be set already. On another system or processor nothing happens.

    Returns:
        Whether the filter is in force.
    """
    machine = _MACHINES.get(platform.machine()) if sys.platform == "linux" else None
    if machine is None:
        return False
    code = _program(machine)
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (ctypes.c_long(machine.seccomp), _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(program))
    return int(libc.syscall(*arguments)) == 0


def _program(machine: _Machine) -> bytes:
    """The filter in the kernel's packet-filter code: allow-list, threads but no processes, everything else refused.

    `clone3` hides its flags behind a pointer, which a filter cannot follow: it is said not to exist, and the C
    library falls back to `clone`.
    """
    allowed = tuple(
        _instruction(_EQUAL, number, len(machine.allowed) - i, 0) for i, number in enumerate(machine.allowed)
    )
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


def _instruction(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    """`struct sock_filter`: what to do, how many steps to skip when true and when not, and the operand."""
    return struct.pack("=HBBI", code, then, otherwise, value)
