"""A model that was made elsewhere: a pull request that replaces its files, or moves what points to it, is judged."""

import os
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.e2e import user
from tests.e2e.harness import Harness
from tests.e2e.test_release import RELEASE, entries
from tests.e2e.test_release import repository as with_environments
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Repository

from mlbot.ledger.queries import deployments, live, releases
from mlbot.lib.record import Digest, digest
from mlbot.storage import oci
from mlbot.storage.artifact import listing_of, measured
from mlbot.storage.store import open_store
from mlbot.storage.target import open_target

pytestmark = [pytest.mark.story, pytest.mark.timeout(600)]

TRAIN = re.compile(r"    train:\n(      .*\n)+")
CONFIG = TRAIN.sub("    artifact: models/tiny/\n", user.CONFIG, count=1)
LARGE = 50_000_000


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


def pushed(registry: str, place: Path, weights: list[float]) -> tuple[str, Digest]:
    """A large folder in a registry: what names its manifest, and the folder's own digest."""
    folder(place, weights)
    (place / "assets").mkdir()
    (place / "assets" / "vocabulary.bin").write_bytes(os.urandom(LARGE))
    found = measured(place)
    open_store(registry, place).put(found.digest, place)
    manifest = oci.Registry(oci.Place.of(registry), None).manifest(found.digest.replace(":", "-"))
    assert manifest is not None
    return f"{registry}@{digest(manifest)}", found.digest


def served(models: Repository, environment: str, place: Path) -> tuple[str, Digest] | None:
    """Version and digest of the folder that an environment serves: the ledger's word, and the very files."""
    found = live(entries(models), environment, "tiny")
    if found is None:
        return None
    config = next(each for each in user.config_of(models).environments if each.name == environment)
    read = place / f"read-{environment}-{found.sequence}"
    says = open_target(config, place).fetch("tiny", read)
    assert (says.version, says.digest) == (found.version, found.digest)
    listing = listing_of(read)
    assert listing
    assert sorted(each.path for each in listing.members) == ["assets/vocabulary.bin", "model.onnx", "model.onnx.data"]
    assert listing.digest == found.digest
    return found.version, found.digest


def test_a_moved_pointer_is_judged_and_its_folder_released_and_rolled_back(
    github: FakeGitHub, actions: Harness, registry: str, tmp_path: Path
) -> None:
    actions.deadline = 300.0
    github.limits.writes_a_minute = 1000
    weights = {"first": [1.5, 0.8, 0.5], "second": [1.45, 0.8, 0.5], "third": [1.4, 0.8, 0.5], "bad": [0.0, 0.8, 0.5]}
    pins, digests = {}, {}
    for name, values in weights.items():
        pins[name], digests[name] = pushed(registry, tmp_path / name, values)
    models = with_environments(github, tmp_path, approvals=0)
    boss, alice = github.user("boss"), github.user("alice")
    text = models.git.git("show", "main:mlbot.yaml")

    def pointing(name: str) -> dict[str, str | None]:
        moved = TRAIN.sub(f"    artifact: {pins[name]}\n", text + "\n", count=1)
        return {"mlbot.yaml": moved, "train.py": None, "params.yaml": None}

    def ask(**inputs: str) -> None:
        boss.dispatch(RELEASE, model="tiny", **inputs)
        actions.run_until_idle()

    boss.push("main", pointing("first"))
    good = alice.pull_request("good", {"mlbot.yaml": pointing("second")["mlbot.yaml"]})
    bad = alice.pull_request("bad", {"mlbot.yaml": pointing("bad")["mlbot.yaml"]})
    actions.run_until_idle()
    assert user.verdict(models, user.head(good)) == "success"
    assert user.verdict(models, user.head(bad)) == "failure"
    (comment,) = user.comments(models, good)
    assert pins["second"].rpartition("@")[2].removeprefix("sha256:")[:12] in comment

    boss.merge(good, "squash")
    actions.run_until_idle()
    ask(do="release")
    ask(do="promote", version="v1.0.0", environment="production")
    (release,) = releases(entries(models))
    assert release.digest == digests["second"]
    assert served(models, "production", tmp_path) == ("1.0.0", digests["second"])

    boss.push("main", {"mlbot.yaml": pointing("third")["mlbot.yaml"]})
    actions.run_until_idle()
    ask(do="release", bump="minor")
    ask(do="promote", version="v1.1.0", environment="production")
    assert served(models, "production", tmp_path) == ("1.1.0", digests["third"])
    ask(do="rollback", environment="production", reason="It is slow")
    assert served(models, "production", tmp_path) == ("1.0.0", digests["second"])
    assert served(models, "staging", tmp_path) == ("1.1.0", digests["third"])
    tested = deployments(entries(models), "tiny")
    assert [each.action for each in tested].count("promotion") == 4
    assert all("golden requests are answered as judged" in each.detail for each in tested)
    assert not github.requests.refused()
