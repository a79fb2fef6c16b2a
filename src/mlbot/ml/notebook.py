"""A training by `notebook`: executes the user's notebook, cell by cell, and says which one failed.

The training's own Python runs this file: `python notebook.py SPEC`. So it imports nothing of mlbot, and asks for
Python 3.9, nbclient and ipykernel. Outputs become lines of the log, and nothing is written to the notebook.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

NEEDED = "nbclient ipykernel"
_SHOWN_LINES = 6
_SHOWN = 200
_TRACE_LINES = 60
_LONGEST_RESULT = 4_000
_START_S = 180  # a cold machine imports for a while


def main(spec_path: str) -> None:
    """Execute the notebook that the spec names; what is wrong goes where it says, in one line."""
    spec: dict[str, Any] = json.loads(Path(spec_path).read_text(encoding="utf-8"))
    try:
        problem = _executed(spec)
    except Exception as error:  # noqa: BLE001 - whatever the packages of another environment raise
        problem = f"{spec['notebook']} could not be executed: {_first_line(error)}"
    if problem:
        Path(spec["problem"]).write_text(problem, encoding="utf-8")
        sys.exit(1)


def _executed(spec: dict[str, Any]) -> str:
    """Why the notebook was not executed to its end; empty when it was."""
    missing = [name for name in ("nbclient", "ipykernel") if importlib.util.find_spec(name) is None]
    if missing:
        return (
            f"the training's Python ({sys.executable}) has no {' and no '.join(missing)}, which a notebook is run by. "
            f"Add it to what installs the training's packages: pip install {NEEDED}"
        )
    nbclient, nbformat = importlib.import_module("nbclient"), importlib.import_module("nbformat")
    logging.disable(logging.WARNING)  # of this process; the notebook has its own
    path = Path(spec["notebook"])
    notebook = nbformat.read(path, as_version=4)
    client = _client(nbclient, notebook, folder=path.absolute().parent, name=spec["notebook"])
    try:
        client.execute(env={**os.environ, "IPYTHONDIR": spec["ipython"]})
    except nbclient.exceptions.CellExecutionError as error:
        what = f"{error.ename}: {error.evalue}" if error.evalue else error.ename
        return str(client.failed(what, f"raised {_first_line(what)}"))
    except nbclient.exceptions.DeadKernelError:
        why = "ended its kernel (often: the machine ran out of memory)"
        return str(client.failed(why, why))
    return ""


def _client(nbclient: Any, notebook: Any, *, folder: Path, name: str) -> Any:
    class Client(nbclient.NotebookClient):  # type: ignore[misc]
        """Writes to the log what cells write, and keeps none of it."""

        at = 0  # the number of the cell that runs

        async def async_execute_cell(self, cell: Any, cell_index: int, **more: Any) -> Any:
            self.at = cell_index + 1
            return await super().async_execute_cell(cell, cell_index, **more)

        def process_message(self, msg: Any, cell: Any, cell_index: int) -> None:
            if msg["msg_type"] == "status":
                super().process_message(msg, cell, cell_index)  # raises at the cell's end
            sys.stdout.write(_text(msg))
            sys.stdout.flush()

        def failed(self, what: str, happened: str) -> str:
            cell = self.nb.cells[self.at - 1]
            lines = [line[:_SHOWN] for line in cell.source.splitlines() if line.strip()]
            more = [f"  | ... ({len(lines) - _SHOWN_LINES} more lines)"] if len(lines) > _SHOWN_LINES else []
            shown = [f"  | {line}" for line in lines[:_SHOWN_LINES]] + more
            print(f"Cell {self.at} of {name} failed:", *shown, what[:_SHOWN], sep="\n")  # noqa: T201 - the log
            return f"cell {self.at} of {name} {happened}"

    resources = {"metadata": {"path": str(folder)}}
    client = Client(
        notebook,
        km=_kernel_manager(notebook),
        resources=resources,
        timeout=None,
        startup_timeout=_START_S,
        shutdown_kernel="immediate",
        store_widget_state=False,
        record_timing=False,
    )
    client.owns_km = True
    return client


def _kernel_manager(notebook: Any) -> Any:
    """Starts the kernel of this very Python: a kernel called python3 in the home folder may be another one's."""
    manager = importlib.import_module("jupyter_client.manager")
    specs = importlib.import_module("jupyter_client.kernelspec")
    wanted = notebook.metadata.get("kernelspec", {})
    if wanted.get("language", "python") != "python":
        return manager.AsyncKernelManager(kernel_name=wanted.get("name", ""))

    class Own(specs.KernelSpecManager):  # type: ignore[misc, name-defined]
        def get_kernel_spec(self, kernel_name: str) -> Any:
            del kernel_name
            start = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=40"]
            return specs.KernelSpec(argv=start, language="python", display_name="Python")

    return manager.AsyncKernelManager(kernel_name="python3", kernel_spec_manager=Own())


def _text(msg: Any) -> str:
    """What a message of the kernel writes to the log; nothing for most."""
    kind, content = msg["msg_type"], msg["content"]
    if kind == "stream":
        return str(content.get("text", ""))
    if kind in {"execute_result", "display_data"}:
        return str(content.get("data", {}).get("text/plain", ""))[:_LONGEST_RESULT] + "\n"
    if kind == "error":
        lines = [line for each in content.get("traceback", []) for line in each.splitlines()]
        return "\n".join(lines[-_TRACE_LINES:]) + "\n"
    return ""


def _first_line(what: object) -> str:
    return (str(what) or type(what).__name__).strip().splitlines()[0][:_SHOWN]


if __name__ == "__main__":
    # The folder of this file has modules of mlbot's, which are nothing for the training to import.
    sys.path[:] = [path for path in sys.path if Path(path).absolute() != Path(__file__).absolute().parent]
    main(sys.argv[1])
