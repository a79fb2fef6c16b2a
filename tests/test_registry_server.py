"""The tests' own registry ends with the tests, however they end."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import registry_server

CHILD = """
import sys, threading
from pathlib import Path
from tests.support import registry_server
with registry_server.serving(Path(sys.argv[1])) as host:
    print(host, flush=True)
    sys.stdin.read()
"""


def listener(host: str) -> int:
    """The process that listens on an address, by the kernel's table of sockets."""
    port = int(host.rpartition(":")[2])
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    (inode,) = (row[9] for row in rows if row[1] == f"0100007F:{port:04X}" and row[3] == "0A")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(each.readlink()) == f"socket:[{inode}]" for each in (process / "fd").iterdir()):
                return int(process.name)
        except OSError:
            continue
    raise AssertionError("nobody listens")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_server_does_not_outlive_tests_that_are_killed(tmp_path: Path) -> None:
    try:
        registry_server.find_server()
    except registry_server.NoServerError as error:
        pytest.skip(str(error))
    arguments = [sys.executable, "-c", CHILD, str(tmp_path)]
    root = Path(__file__).parents[1]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as child:
        assert child.stdout is not None
        server = os.pidfd_open(listener(child.stdout.readline().strip()))
        child.send_signal(signal.SIGKILL)
    ended, _, _ = select.select([server], [], [], 20)
    os.close(server)
    assert ended
