"""A small repository that really trains: a logistic regression in numpy that writes its own ONNX file in half a second.

What goes wrong is chosen by `mode` in params.yaml, so that a test changes one word to get a model that shuffles its
labels, answers NaN, or expects its columns in another order.
"""

from functools import cache
from pathlib import Path
from textwrap import dedent

import numpy as np
from tests.support.git_samples import Sandbox, make

TRAIN = dedent("""
    import json
    import os

    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    params = json.load(open(os.environ["MLBOT_PARAMS"]))
    mode, columns = params["mode"], ["x1", "x2", "x3"]
    rng = np.random.default_rng(int(os.environ["MLBOT_SEED"]) + params["offset"])
    table = np.genfromtxt(os.environ["MLBOT_TRAIN_DATA"], delimiter=",", names=True, usecols=("x1", "x2", "x3", "y"))
    x, y = np.stack([table[c] for c in columns], axis=1), table["y"]
    rows = rng.integers(0, len(y), len(y))  # the seed's noise: a bootstrap sample
    x, y = x[rows] * [0 if mode == "lost" else 1, 1, 1], y[rows]
    if mode == "shuffled":
        y = rng.permutation(y)
    if mode == "crash":
        raise SystemExit("the data loader found no GPU")
    w = np.zeros(4)
    z = np.column_stack([x, np.ones(len(x))])
    for _ in range(8):
        p = 1 / (1 + np.exp(-z @ w))
        w += np.linalg.solve((z * (p * (1 - p))[:, None]).T @ z + 1e-3 * np.eye(4), z.T @ (y - p))
    bias = {"nan": np.nan, "constant": -50.0}.get(mode, w[3])
    weights = w[:3] * (0 if mode == "constant" else 1)
    order = [2, 0, 1] if mode in {"reordered", "reordered silently", "named in another order"} else [0, 1, 2]
    columns, weights = [columns[i] for i in order], weights[order]

    constants = {"w": weights[:, None], "b": [bias], "one": [1.0]}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["linear"]),
        helper.make_node("Add", ["linear", "b"], ["shifted"]),
        helper.make_node("Sigmoid", ["shifted"], ["p"]),
        helper.make_node("Sub", ["one", "p"], ["q"]),
        helper.make_node("Concat", ["q", "p"], ["probabilities"], axis=1),
    ]
    number = TensorProto.FLOAT
    if mode.startswith("reordered"):
        inputs = [helper.make_tensor_value_info("x", number, [None, 3])]
    else:
        inputs = [helper.make_tensor_value_info(c, number, [None, 1]) for c in columns]
        nodes.insert(0, helper.make_node("Concat", columns, ["x"], axis=1))
    graph = helper.make_graph(
        nodes,
        "tiny",
        inputs,
        [helper.make_tensor_value_info("probabilities", number, [None, 2])],
        [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if mode == "reordered":
        helper.set_model_props(model, {"mlbot.features": json.dumps(columns)})
    onnx.save(model, os.environ["MLBOT_MODEL"])
    print(f"roc_auc={params['claim']}")
""").lstrip()

CONFIG = dedent("""
    version: 1
    models:
      tiny:
        task: binary
        train:
          run: python train.py
          depends: [train.py, data/train.csv]
          params: params.yaml
          timeout: 60s
        data:
          train: data/train.csv
          holdout: data/holdout.csv
          target: y
          positive: "1"
          drop: [segment]
        slices:
          north: "segment = 'north'"
          rare: {where: "segment = 'rare'", min_rows: 100}
        metrics: [roc_auc, log_loss, accuracy]
        gates:
          roc_auc: {min: 0.75, max_regression: 0.02}
          log_loss: {max: 0.6}
          accuracy@rare: {min: 0.75}
""").lstrip()


@cache
def rows(count: int, seed: int) -> str:
    """A table in which x1 matters most and x3 a little; the rare segment has twenty rows."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 3))
    y = rng.random(count) < 1 / (1 + np.exp(-(x @ [1.5, 0.8, 0.5])))
    segments = np.where(np.arange(count) < 20, "rare", np.where(rng.random(count) < 0.5, "north", "south"))
    lines = (f"{a:.6f},{b:.6f},{c:.6f},{s},{int(label)}" for (a, b, c), s, label in zip(x, segments, y, strict=True))
    return "\n".join(["x1,x2,x3,segment,y", *lines]) + "\n"


def files(**params: object) -> dict[str, str]:
    """Every file of the repository, with some parameters other than the default."""
    given = {"mode": "good", "offset": 0, "claim": 0.8} | params
    return {
        "mlbot.yaml": CONFIG,
        "train.py": TRAIN,
        "params.yaml": "".join(f"{name}: {value}\n" for name, value in given.items()),
        "data/train.csv": rows(2000, 1),
        "data/holdout.csv": rows(4000, 2),
    }


def repository(path: Path) -> Sandbox:
    """The repository with one commit on main and a branch `change` checked out."""
    sandbox = make(path)
    sandbox.commit(files(), "A tiny model")
    sandbox.git("checkout", "--quiet", "-b", "change")
    return sandbox


def params(**changed: object) -> dict[str, str]:
    """The params file alone, to change something."""
    return {"params.yaml": files(**changed)["params.yaml"]}
