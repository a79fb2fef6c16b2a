"""`notebook:` trainings in their real kernel, in an environment that has nbclient."""

import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.support.notebooks import code, notebook, runs_notebooks, text
from tests.support.training_samples import Witness, model, request

from mlbot.ml.train import Stopped, current_environment, train
from mlbot.protocol.artifacts import Training, TrainingFailure
from mlbot.training.run_environment import paths

WRITES = "import os\nopen(os.environ['MLBOT_MODEL'], 'w').write(f'model {os.environ[\"MLBOT_SEED\"]}')"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "checkout"
    (path / "notebooks").mkdir(parents=True)
    return path


def _train(folder: Path, *cells: dict[str, Any], own: Path | None = None, **changes: Any) -> Training | TrainingFailure:
    path = folder / "notebooks" / "train.ipynb"
    path.write_text(notebook(*cells))
    before = path.read_bytes()
    of = model(notebook="notebooks/train.ipynb", timeout_s=changes.pop("timeout_s", 60.0))
    own = own or runs_notebooks()
    changes.setdefault("progress", lambda _: None)
    progress, stop = changes.pop("progress"), changes.pop("stop", None)
    result = train(request(folder, of=of, own=paths(own), **changes), progress=progress, stop=stop)
    assert path.read_bytes() == before
    return result


def test_it_is_executed_from_top_to_bottom_in_its_own_folder(folder: Path, tmp_path: Path) -> None:
    (folder / "notebooks" / "helper.py").write_text("def double(x):\n    return 2 * x\n")
    result = _train(
        folder,
        text("# Train"),
        code("import json, os\nfrom helper import double\nparams = json.load(open(os.environ['MLBOT_PARAMS']))"),
        code("%time depth = double(params['model']['depth'])\n!echo from the shell"),
        code("print('roc_auc = 0.91')\ndepth"),
        code("1 / 0", "raises-exception"),
        code("raise ValueError('never')", "skip-execution"),
        code(WRITES),
        seed=3,
        params={"model.depth": 21},
        log=tmp_path / "log.txt",
    )
    assert isinstance(result, Training), result
    assert (tmp_path / "out" / "model.onnx").read_text() == "model 3"
    assert result.claims == {"roc_auc": 0.91}
    log = (tmp_path / "log.txt").read_text()
    assert "from the shell\n" in log
    assert "42\n" in log
    assert sorted(each.name for each in (folder / "notebooks").glob("*.*")) == ["helper.py", "train.ipynb"]


@pytest.mark.parametrize(
    ("cell", "words", "tail"),
    [
        ("x = [1]\nx[3]", "cell 3 of notebooks/train.ipynb raised IndexError: list index out of range", "  | x[3]"),
        ("raise ValueError", "cell 3 of notebooks/train.ipynb raised ValueError", "  | raise ValueError"),
        ("x = (", "cell 3 of notebooks/train.ipynb raised SyntaxError: ", "  | x = ("),
        ("input('?')", "cell 3 of notebooks/train.ipynb raised StdinNotImplementedError: raw_input was called", ""),
        ("import os; os._exit(0)", "cell 3 of notebooks/train.ipynb ended its kernel", "  | import os; os._exit(0)"),
        ("\n".join(["pass"] * 30 + ["1 / 0"]), "raised ZeroDivisionError", "  | ... (25 more lines)"),
        (
            "raise ValueError('\\x1b[31m##[add-path]/tmp\\u202e' + 9 * 1000 * 'a ')",
            "cell 3 of notebooks/train.ipynb raised ValueError: ## [add-path]/tmpa a a",
            "ValueError: ## [add-path]/tmpa a a a",
        ),
        ("%no_such_magic", "raised UsageError", "  | %no_such_magic"),
    ],
)
def test_a_failing_cell_is_named_with_its_beginning_and_the_exception(
    folder: Path, cell: str, words: str, tail: str
) -> None:
    result = _train(folder, text("# Train"), code("print('before')"), code(cell), code(WRITES))
    assert isinstance(result, TrainingFailure)
    assert words in result.message
    assert len(result.message) < 500
    assert any(line.startswith(tail) for line in result.log_tail) or not tail, result.log_tail
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{}", "notebooks/train.ipynb could not be executed: "),
        (notebook(code("x <- 1"), kernel={"name": "no-such-kernel", "language": "R"}), "no-such-kernel"),
    ],
)
def test_what_cannot_be_executed_says_why(folder: Path, written: str, words: str) -> None:
    (folder / "bad.ipynb").write_text(written)
    (folder / "notebooks" / "train.ipynb").write_text(written)
    of = model(notebook="notebooks/train.ipynb")
    result = train(request(folder, of=of, own=paths(runs_notebooks())), progress=lambda _: None)
    assert isinstance(result, TrainingFailure)
    assert words in result.message


def _python(folder: Path, script: str) -> Path:
    """The folder of a Python that says what a script says."""
    folder.mkdir()
    (folder / "python").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "python").chmod(0o755)
    return folder


def test_a_python_without_the_packages_is_refused_with_the_line_that_installs_them(
    folder: Path, tmp_path: Path
) -> None:
    own = _python(tmp_path / "bin", f'exec {runs_notebooks()}/python -I -S "$@"')
    result = _train(folder, code(WRITES), own=own)
    assert isinstance(result, TrainingFailure)
    assert result.message.endswith("has no nbclient and no ipykernel, which a notebook is run by. Add it to what "
                                   "installs the training's packages: pip install nbclient ipykernel")  # fmt: skip


def test_an_old_python_is_refused(folder: Path, tmp_path: Path) -> None:
    own = _python(tmp_path / "bin", "exit 1")
    old = current_environment(None).model_copy(update={"python": "3.8.2"})
    result = _train(folder, code(WRITES), own=own, environment=old)
    assert isinstance(result, TrainingFailure)
    assert result.message == "the training's Python is 3.8.2, and a notebook needs 3.9 or newer"


@pytest.fixture
def witness(folder: Path) -> Iterable[Witness]:
    found = Witness.at(folder / "pipe")
    yield found
    found.close()


BUSY = "import os, subprocess\npipe = os.open('../pipe', os.O_WRONLY)\nos.write(pipe, b'here')\n"


def test_an_endless_cell_is_ended_at_the_timeout_with_all_that_it_started(folder: Path, witness: Witness) -> None:
    daemon = "subprocess.Popen('sleep 600', shell=True, pass_fds=[pipe], start_new_session=True)\n"
    result = _train(folder, code(BUSY + daemon + "while True: pass"), timeout_s=8.0)
    assert isinstance(result, TrainingFailure)
    assert result.timed_out
    witness.wait_for("here")
    witness.wait_for_the_end()


def test_a_stop_ends_the_kernel(folder: Path, witness: Witness) -> None:
    runs_notebooks()  # skips before a thread waits for a kernel that never comes
    stop = threading.Event()

    def wait() -> None:
        witness.wait_for("here")
        stop.set()

    thread = threading.Thread(target=wait)
    thread.start()
    with pytest.raises(Stopped):
        _train(folder, code(BUSY + "import time; time.sleep(600)"), stop=stop)
    thread.join()
    witness.wait_for_the_end()


def test_huge_outputs_are_bounded(folder: Path, tmp_path: Path) -> None:
    shown: list[str] = []
    flood = "for _ in range(400):\n    print('x' * 200_000)\n"
    plot = "from IPython.display import display, HTML\nfor _ in range(50): display(HTML('x' * 1_000_000))\n"
    started = time.monotonic()
    result = _train(folder, code(flood), code(plot), code("'y' * 50_000_000"), code(WRITES),
                    log=tmp_path / "log.txt", progress=shown.append)  # fmt: skip
    assert isinstance(result, Training), result
    assert (tmp_path / "log.txt").stat().st_size < 70 * 1024**2
    assert result.peak_memory_bytes < 1 << 30
    assert len(shown) < 100 + time.monotonic() - started
