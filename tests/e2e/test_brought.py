"""A model that was made elsewhere, a folder in git: a pull request that replaces its files is judged like any other."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.e2e import user
from tests.e2e.harness import Harness
from tests.fake_github.server import FakeGitHub

pytestmark = [pytest.mark.story, pytest.mark.timeout(600)]

CONFIG = re.sub(r"    train:\n(      .*\n)+", "    artifact: models/tiny/\n", user.CONFIG, count=1)


def folder(place: Path, weights: list[float]) -> dict[str, bytes]:
    """An ONNX file and its weights beside it, as files of the repository."""
    columns = ["x1", "x2", "x3"]
    nodes = [
        helper.make_node("Concat", columns, ["x"], axis=1),
        helper.make_node("MatMul", ["x", "w"], ["linear"]),
        helper.make_node("Sigmoid", ["linear"], ["p"]),
        helper.make_node("Sub", ["one", "p"], ["q"]),
        helper.make_node("Concat", ["q", "p"], ["probabilities"], axis=1),
    ]
    constants = {"w": np.asarray(weights, np.float32)[:, None], "one": np.ones(1, np.float32)}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(column, TensorProto.FLOAT, [None, 1]) for column in columns],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    place.mkdir()
    onnx.save(model, place / "model.onnx", save_as_external_data=True, location="model.onnx.data", size_threshold=0)
    return {f"models/tiny/{each.name}": each.read_bytes() for each in place.iterdir()}


def test_a_pull_request_that_replaces_the_folder_is_judged(
    github: FakeGitHub, actions: Harness, tmp_path: Path
) -> None:
    first = folder(tmp_path / "first", [1.5, 0.8, 0.5])
    assert sorted(first) == ["models/tiny/model.onnx", "models/tiny/model.onnx.data"]
    there = {path: text for path, text in user.files().items() if path not in {"train.py", "params.yaml"}}
    models = github.repository(
        "acme/models", {**there, "mlbot.yaml": CONFIG, **first}, roles={"alice": "write", "boss": "admin"}
    )
    alice = github.user("alice")
    good = alice.pull_request("good", dict(folder(tmp_path / "good", [1.45, 0.8, 0.5])))
    bad = alice.pull_request("bad", dict(folder(tmp_path / "bad", [0.0, 0.8, 0.5])))
    actions.run_until_idle()
    assert user.verdict(models, user.head(good)) == "success"
    assert user.verdict(models, user.head(bad)) == "failure"
    (comment,) = user.comments(models, good)
    assert "The candidate is not trained here: `artifact` names `models/tiny/`" in comment
    assert "Judged again because: models/tiny/model.onnx.data changed" in comment
    assert "model.onnx.data" in user.comments(models, bad)[0]
