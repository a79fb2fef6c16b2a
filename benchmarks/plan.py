"""`mlbot plan` over 500 models against `dvc status` over 500 stages: the same files, nothing to do, whole processes.

In two layouts: one `params.yaml` for all stages, as DVC has it by default, and a params file for each. DVC parses a
params file once for each stage that reads it, so the first takes it much longer.

Run it with `python -m benchmarks.plan`. DVC is installed into `.venvs/dvc` the first time.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHARED_FILES = 20
LAYOUTS = {"one params.yaml": "params.yaml", "a params file a model": "models/{name}/params.yaml"}
_MLBOT_MODEL = """\
  {name}:
    task: binary
    train:
      run: python models/{name}/train.py
      depends: [models/{name}/train.py, common/]
      params: {params}
      seeds: 1
    data:
      train: data/{name}.csv
      holdout: data/holdout.csv
      target: y
    metrics: [roc_auc]
    gates:
      roc_auc: {{max_regression: 0.01}}
"""
_DVC_STAGE = """\
  {name}:
    cmd: python models/{name}/train.py
    deps: [models/{name}/train.py, common/, data/{name}.csv]
    params:
      - {params}: [{name}]
    outs:
      - out/{name}.onnx: {{cache: false}}
"""
_NOTHING_TO_DO = {"mlbot": "0 of ", "dvc": "up to date"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=500)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print(f"{options.models} models, nothing to do, median of {options.runs} alternating whole processes")
    for layout, params in LAYOUTS.items():
        mlbot_s, dvc_s = _compare(options.models, options.runs, params)
        print(f"{layout:<24} mlbot plan {mlbot_s:6.3f} s   dvc status {dvc_s:7.3f} s   ratio {dvc_s / mlbot_s:6.1f}")


def _compare(models: int, runs: int, params: str) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        commands = {
            "mlbot": _mlbot_repository(folder / "mlbot", models, params),
            "dvc": _dvc_repository(folder / "dvc", models, params),
        }
        medians = measure(commands, runs, _NOTHING_TO_DO)
    return medians["mlbot"], medians["dvc"]


def measure(
    commands: Mapping[str, tuple[Sequence[str], Path]], runs: int, expected: Mapping[str, str] | None = None
) -> dict[str, float]:
    """Median seconds of each command, run in turn `runs` times after one that is not counted.

    Args:
        commands: what to run and where, by name.
        runs: how often each is counted.
        expected: what its output must contain: a command that fails fast must not look quick.
    """
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(runs + 1):
        for name, (command, folder) in commands.items():
            started = time.perf_counter()
            done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False)
            seconds = time.perf_counter() - started
            if done.returncode != 0 or (expected or {}).get(name, "") not in done.stdout:
                raise SystemExit(f"{name} did not do its work:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
            if turn:
                times[name].append(seconds)
    return {name: statistics.median(each) for name, each in times.items()}


def _mlbot_repository(folder: Path, models: int, params: str) -> tuple[Sequence[str], Path]:
    stages = "".join(_MLBOT_MODEL.format(name=name, params=params.format(name=name)) for name in _names(models))
    _write(folder, models, params, {"mlbot.yaml": f"version: 1\nmodels:\n{stages}"})
    _init(folder)
    _commit(folder)
    return [sys.executable, "-m", "mlbot", "plan"], folder


def _dvc_repository(folder: Path, models: int, params: str) -> tuple[Sequence[str], Path]:
    dvc = str(_dvc())
    stages = "".join(_DVC_STAGE.format(name=name, params=params.format(name=name)) for name in _names(models))
    outs = {f"out/{name}.onnx": f"{name}\n" for name in _names(models)}
    _write(folder, models, params, {"dvc.yaml": f"stages:\n{stages}", **outs})
    _init(folder)
    _run(folder, dvc, "init", "--quiet")
    _run(folder, dvc, "config", "core.analytics", "false")
    print(f"writing dvc.lock of {models} stages (a few minutes)", file=sys.stderr)
    _run(folder, dvc, "commit", "--force", "--quiet")
    _commit(folder)
    return [dvc, "status"], folder


def _names(models: int) -> Iterator[str]:
    return (f"m{number:03}" for number in range(models))


def _write(folder: Path, models: int, params: str, more: Mapping[str, str]) -> None:
    files = {f"common/part{number}.py": f"VALUE = {number}\n" for number in range(SHARED_FILES)}
    files["data/holdout.csv"] = "x,y\n1,0\n"
    for name in _names(models):
        files[f"models/{name}/train.py"] = f"print({name!r})\n"
        file = params.format(name=name)
        files[file] = files.get(file, "") + f"{name}: 0.1\n"
        files[f"data/{name}.csv"] = f"x,y\n{name},1\n"
    for path, text in {**files, **more}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def _init(folder: Path) -> None:
    _run(folder, "git", "init", "--quiet", "--initial-branch=main")


def _commit(folder: Path) -> None:
    _run(folder, "git", "add", "--all")
    _run(folder, "git", "-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "--quiet", "-m", "All")


def _dvc() -> Path:
    environment = ROOT / ".venvs" / "dvc"
    if not (environment / "bin" / "dvc").exists():
        print(f"installing DVC into {environment}", file=sys.stderr)
        _run(ROOT, sys.executable, "-m", "venv", str(environment))
        _run(ROOT, str(environment / "bin" / "pip"), "install", "--quiet", "dvc")
    return environment / "bin" / "dvc"


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, env=_environment(), check=True, stdout=subprocess.DEVNULL)


def _environment() -> dict[str, str]:
    return {**os.environ, "DVC_NO_ANALYTICS": "1"}


if __name__ == "__main__":
    main()
