"""The child process of an `entrypoint:` training: calls the user's function and exports what it returns.

Started as `python -P -m mlbot.ml.train_entrypoint SPEC`, with the checkout as working folder.
"""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlbot.errors import MlbotError, UsageError
from mlbot.ml.export import Exported, ExportError, export

_SAMPLE_ROWS = 2_000
_NOTABLE_LABELS = 0.01


def main(spec_path: str) -> None:
    """Train, export, and leave the ONNX file and the parity report where the spec says.

    The user's function takes (params: dict, seed: int) and returns the fitted estimator, or (estimator, rows) where
    rows is what it was fitted on; without rows the training data of the config tells the columns' types.
    """
    spec: dict[str, Any] = json.loads(Path(spec_path).read_text(encoding="utf-8"))
    function = find(spec["entrypoint"], str(Path.cwd()))
    result = function(json.loads(Path(spec["params"]).read_text(encoding="utf-8")), spec["seed"])
    estimator, rows = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
    features = spec["features"]
    if rows is None:
        rows, features = _training_rows(spec, estimator)
    _write(spec, export(estimator, rows, features=features))


def find(entrypoint: str, folder: str) -> Callable[[dict[str, Any], int], Any]:
    """Import `module:function` with the folder, then its `src/`, first on the path."""
    # Before what is installed: that may be the package itself, of another commit.
    sys.path[:0] = [folder, str(Path(folder, "src"))]
    module_name, _, name = entrypoint.partition(":")
    function = getattr(importlib.import_module(module_name), name, None)
    if not callable(function):
        raise UsageError(
            f"Module '{module_name}' has no function '{name}'.",
            hint="`train.entrypoint` in mlbot.yaml is `module:function`; the function takes (params, seed).",
        )
    found: Callable[[dict[str, Any], int], Any] = function
    return found


def _training_rows(spec: dict[str, Any], estimator: Any) -> tuple[Any, list[str] | None]:
    """Rows of the config's training data in the form the estimator was fitted on, and the columns of an array."""
    if spec["data"] is None:
        raise ExportError(
            "The columns' types are unknown: the config names no training data.",
            hint="Set `data.train` in mlbot.yaml, or return (estimator, the rows it was fitted on).",
        )
    from mlbot.config.schema import ColumnKind, Csv
    from mlbot.ml import frames

    types = {name: ColumnKind(kind) for name, kind in spec["types"].items()}
    table = frames.sample(spec["data"], rows=_SAMPLE_ROWS, types=types, csv=Csv.model_validate(spec["csv"]))
    if hasattr(estimator, "feature_names_in_"):
        return table, None
    left_out = {spec["target"], spec["group"], *spec["drop"]}
    features = spec["features"] or [name for name in table.columns if name not in left_out]
    return table.select(features).to_numpy(), features


def _write(spec: dict[str, Any], exported: Exported) -> None:
    Path(spec["model"]).write_bytes(exported.model)
    parity = exported.parity
    if parity is None:
        return
    Path(spec["parity"]).write_text(parity.model_dump_json(), encoding="utf-8")
    if parity.label_disagreements > parity.rows * _NOTABLE_LABELS:
        print(  # noqa: T201 - the training's log
            f"The ONNX file gives another label than the estimator for {parity.label_disagreements} of {parity.rows} "
            "rows. Forests fitted on missing numbers do (impute them first), and splits finer than float32."
        )


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except MlbotError as error:
        sys.exit(f"mlbot: {error}")
