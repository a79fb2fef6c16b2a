"""Runs mlbot, and kills the process before its n-th effect on the world: a push, or a file put in place.

python dying.py N promote tiny@v1.0.1 staging
"""

import os
import signal
import subprocess
import sys
from typing import Any
from unittest import mock

from tests.support import sealed

from mlbot import entry
from mlbot.storage import objects


def main() -> int:
    """Count the effects, and die before the chosen one."""
    if sealed.PLACE in os.environ:
        sealed.mount()
    left = int(sys.argv[1])

    def effect() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    run, place = subprocess.run, objects.LocalObjects._place

    def counted_run(arguments: list[str], **options: Any) -> Any:
        if "push" in arguments:
            effect()
        return run(arguments, **options)

    def counted_place(self: objects.LocalObjects, *rest: Any) -> None:
        effect()
        place(self, *rest)

    with (
        mock.patch.object(subprocess, "run", counted_run),
        mock.patch.object(objects.LocalObjects, "_place", counted_place),
    ):
        return entry.invoke(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
