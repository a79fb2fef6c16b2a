"""What scores sealed rows is silent, and nothing else reads them."""

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from tests.support import tiny

from mlbot.config.schema import parse_config
from mlbot.config.yaml import load
from mlbot.delivery.sealed import asked_gates
from mlbot.gates.metric import Metric
from mlbot.judging import run_measure
from mlbot.judging.run_judge import Rule
from mlbot.judging.run_sealed import is_passed, open_rows, rule_on, silenced

SOURCE = Path(__file__).parents[2] / "src" / "mlbot"
CANARY = "canary-1147"
USE = re.compile(r"data\.sealed\b(?! is )")


def test_nothing_is_written_while_it_lasts(capfd: pytest.CaptureFixture[str]) -> None:
    sys.stdout.write("before\n")
    with silenced():
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            assert stream is not None
            stream.write(CANARY)
        for number in (1, 2):
            os.write(number, CANARY.encode())
        subprocess.run(["echo", CANARY], check=True)
        warnings.warn(CANARY, stacklevel=1)
    sys.stdout.write("after\n")
    out, err = capfd.readouterr()
    assert (out, err) == ("before\nafter\n", "")


def test_it_is_heard_again_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), silenced():
        raise KeyError
    sys.stdout.write("after\n")
    assert capfd.readouterr().out == "after\n"


def test_the_release_alone_reads_sealed_rows() -> None:
    """Others ask whether there are any; the set-up writes which packages reach them."""
    uses = {file.relative_to(SOURCE) for file in SOURCE.rglob("*.py") if USE.search(file.read_text())}
    assert {str(file) for file in uses if file.parts[0] not in {"config", "setup"}} == {"delivery/run_sealed.py"}


@pytest.mark.parametrize("broken", [(), (0,), (1,), (0, 1)])
@pytest.mark.parametrize("fails", [False, True])
def test_all_is_measured_whatever_comes_out(
    tmp_path: Path,
    trained_models: dict[int, bytes],
    monkeypatch: pytest.MonkeyPatch,
    broken: tuple[int, ...],
    *,
    fails: bool,
) -> None:
    """So that time does not tell whether a file could be scored, or a metric of it measured."""
    model = parse_config(load(tiny.CONFIG, "mlbot.yaml")).models[0]
    (tmp_path / "sealed.csv").write_text(tiny.rows(4000, 77))
    files = [tmp_path / f"{at}.onnx" for at in range(2)]
    for at, file in enumerate(files):
        file.write_bytes(b"no model" if at in broken else trained_models[1000 * (1 + at)])
    measured: list[tuple[str, int]] = []
    estimated = run_measure.estimated

    def counted(plan: Any, metric: Metric, rows: Any) -> Any:
        measured.append((metric.name, len(rows.predictions)))
        if fails:
            raise RuntimeError(CANARY)
        return estimated(plan, metric, rows)

    monkeypatch.setattr(run_measure, "estimated", counted)
    gates = asked_gates(model, baseline=True)
    rule = rule_on(Rule(model=model, folder=tmp_path), gates)
    rows = open_rows(rule, str(tmp_path / "sealed.csv"))
    assert is_passed(rule, files, rows, gates, 0) is not bool(broken or fails)
    assert measured == [(metric.name, 2 if gate.bound.is_relative else 1) for gate, metric in gates]
    assert len(measured) > 1
