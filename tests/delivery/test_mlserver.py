"""A real MLServer as an environment's endpoint: smoke test, control samples, shadow replay; wrong, slow and absent."""

import csv
import io
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from tests.support import tiny
from tests.support.pythons import NotInstalledError, locked
from tests.support.releases import ENVIRONMENTS, World

from mlbot.config.schema import Endpoint
from mlbot.delivery.deployment import PromotionFacts
from mlbot.delivery.run_endpoint import EndpointTest
from mlbot.delivery.run_promote import PromotionRequest, RollbackRequest, promote, rollback
from mlbot.delivery.run_release import read_golden
from mlbot.ledger.entries import DeploymentEntry
from mlbot.lib.version import served_of
from mlbot.protocol.golden import Replay
from mlbot.protocol.inference import ControlSamples, EndpointFault, Fault
from mlbot.storage.inference import InferenceServer

pytestmark = [pytest.mark.nightly, pytest.mark.usefixtures("git_settings")]
_LONGEST_S = 90.0
RUNTIME = dedent("""
    import re
    import time
    from pathlib import Path

    import numpy as np
    import onnxruntime
    from mlserver import MLModel
    from mlserver.types import InferenceResponse, MetadataTensor, ResponseOutput

    TYPES = {"tensor(float)": "FP32", "tensor(int64)": "INT64", "tensor(string)": "BYTES"}
    DTYPES = {"FP32": np.float32, "INT64": np.int64, "BYTES": np.object_}


    class OnnxModel(MLModel):
        async def load(self):
            folder = Path(self.settings.parameters.uri)
            number = re.search(r"versions: \\[([0-9]+)\\]", (folder / "config.pbtxt").read_text())[1]
            content = (folder / number / "model.onnx").read_bytes()
            self.session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
            self.inputs = [
                MetadataTensor(name=each.name, datatype=TYPES[each.type], shape=[-1, *each.shape[1:]])
                for each in self.session.get_inputs()
            ]
            return True

        async def predict(self, payload):
            extra = self.settings.parameters.extra or {}
            time.sleep(extra.get("seconds", 0))
            feed = {
                each.name: np.array(each.data.root, DTYPES[each.datatype]).reshape(each.shape)
                for each in payload.inputs
            }
            names = [each.name for each in self.session.get_outputs()]
            outputs = [
                ResponseOutput(
                    name=name,
                    shape=list(values.shape),
                    datatype="FP32" if values.dtype.kind == "f" else "INT64",
                    data=(values + extra.get("beside", 0)).ravel().tolist(),
                )
                for name, values in zip(names, self.session.run(None, feed))
            ]
            return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)
""")
"""A runtime that runs an ONNX file by onnxruntime and follows `config.pbtxt`, as Triton does."""


@dataclass
class MLServer:
    """A server that loads the newest file of a folder when it is asked to."""

    endpoint: Endpoint
    process: "subprocess.Popen[bytes]"
    settings: Path
    served: Path

    def behave(self, **extra: Any) -> None:
        """Write the model's settings, which are read when it is loaded again."""
        parameters = {"uri": str(self.served), "extra": extra}
        model = {"name": "tiny", "implementation": "runtime.OnnxModel", "parameters": parameters}
        self.settings.write_text(json.dumps(model), encoding="utf-8")

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture
def server(world: World, tmp_path: Path) -> Iterator[MLServer]:
    """MLServer beside the world's staging, where it is the endpoint; it serves nothing yet."""
    try:
        programs = locked("mlserver")
    except NotInstalledError as error:
        pytest.skip(str(error))
    folder = tmp_path / "serving" / "tiny"
    folder.mkdir(parents=True)
    ports = dict(zip(("http_port", "grpc_port", "metrics_port"), free_ports(3), strict=True))
    settings: dict[str, Any] = {"host": "127.0.0.1", "parallel_workers": 0, "load_models_at_startup": False, **ports}
    (folder.parent / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    url = f"http://127.0.0.1:{ports['http_port']}"
    (folder / "runtime.py").write_text(RUNTIME, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(folder), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    with (tmp_path / "mlserver.log").open("wb") as log:
        command = [str(programs / "mlserver"), "start", str(folder.parent)]
        process = subprocess.Popen(command, cwd=folder.parent, env=environment, stdout=log, stderr=log)
    made = MLServer(
        endpoint=Endpoint(url=url, load=True, timeout_s=10.0),
        process=process,
        settings=folder / "model-settings.json",
        served=world.deploy / "staging" / "tiny",
    )
    made.behave()
    configure(world, url)
    try:
        wait(made, tmp_path / "mlserver.log")
        yield made
    finally:
        made.stop()


def configure(world: World, url: str, more: str = "timeout: 3s") -> None:
    """Give staging the endpoint, and recorded requests."""
    endpoint = f"endpoint: {{url: '{url}', load: true, {more}}}"
    shadow = "shadow: {requests: 'deploy/{model}.jsonl', max_changed: 0.5}"
    environments = ENVIRONMENTS.replace("deploy/staging,", f"deploy/staging, {endpoint}, {shadow},")
    world.commit({"mlbot.yaml": tiny.CONFIG + environments})
    (world.deploy / "tiny.jsonl").write_text("".join(bodies(200)), encoding="utf-8")


def bodies(count: int) -> Iterator[str]:
    """Requests as the server was asked them: bodies of the protocol."""
    for row in csv.DictReader(io.StringIO(tiny.rows(count, 7))):
        inputs = [
            {"name": name, "shape": [1, 1], "datatype": "FP32", "data": [float(row[name])]}
            for name in ("x1", "x2", "x3")
        ]
        yield json.dumps({"inputs": inputs}) + "\n"


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait(server: MLServer, log: Path) -> None:
    end = time.monotonic() + _LONGEST_S
    client = InferenceServer(url=server.endpoint.url, model="tiny")
    while isinstance(fault := client.server(), Fault):
        assert server.process.poll() is None, log.read_text()
        assert time.monotonic() < end, f"{fault}: {log.read_text()}"
        time.sleep(0.2)


def ask(world: World, version: str) -> tuple[DeploymentEntry, Replay | None]:
    """How a promotion into staging ended, and what recorded requests showed before it."""
    result = promote(world.context(), PromotionRequest(model="tiny", version=version, environment="staging"))
    assert isinstance(result.facts, PromotionFacts)
    assert result.deployment is not None, result.decision
    return result.deployment, result.facts.shadow.found if result.facts.shadow else None


def samples(world: World, server: MLServer, at: int) -> ControlSamples:
    """Control samples of the released version at a place."""
    release = world.releases[at]
    golden = read_golden(world.context(), release)
    assert golden is not None
    test = EndpointTest(endpoint=server.endpoint, model="tiny", served=served_of(release), golden=golden)
    return test.samples(golden)


def test_a_version_is_loaded_tested_watched_and_replaced(world: World, server: MLServer) -> None:
    first, replayed = ask(world, "1.0.0")
    assert (first.state, replayed) == ("succeeded", None)
    assert "The endpoint answers 50 golden requests as judged" in first.detail
    found = samples(world, server, 0)
    assert (found.as_judged, found.equal, found.missing) == (True, 50, 0)
    assert found.server.startswith("mlserver 1.7")
    assert found.max_difference is not None
    assert found.max_difference < 1e-6
    other = samples(world, server, 1)
    assert (other.different, other.missing) == (50, 0)

    second, replayed = ask(world, "1.0.1")
    assert second.state == "succeeded"
    assert replayed is not None
    assert (replayed.requests, replayed.unfit) == (200, 0)
    assert 0 < replayed.changed < 60
    assert samples(world, server, 1).as_judged

    back = rollback(world.context(), RollbackRequest(model="tiny", environment="staging", reason="worse")).deployment
    assert back is not None
    assert (back.state, back.version) == ("succeeded", "1.0.0")
    assert samples(world, server, 0).as_judged


def test_a_server_that_answers_wrong_or_slowly_or_not_at_all(world: World, server: MLServer) -> None:
    assert ask(world, "1.0.0")[0].state == "succeeded"
    server.behave(beside=0.25)
    wrong, _ = ask(world, "1.0.1")
    assert (wrong.state, world.served("staging")) == ("rolled-back", "1.0.0")
    assert "(endpoint-differs). The endpoint answers 50 of 50 golden requests otherwise than judged" in wrong.detail
    assert "The endpoint does not answer as v1.0.0 was judged" in wrong.detail

    server.behave(seconds=0.05)
    configure(world, server.endpoint.url, "timeout: 10s, p95_ms: 20")
    slow, _ = ask(world, "1.0.1")
    assert (slow.state, world.served("staging")) == ("rolled-back", "1.0.0")
    assert "(endpoint-slow). 95 % of the golden requests take the endpoint up to" in slow.detail

    server.behave()
    configure(world, server.endpoint.url)
    server.stop()
    absent, _ = ask(world, "1.0.1")
    assert (absent.state, world.served("staging")) == ("rolled-back", "1.0.0")
    assert "(endpoint-absent). The endpoint does not load the model: it cannot be reached" in absent.detail
    gone = samples(world, server, 0)
    assert (gone.equal, gone.missing) == (0, 50)
    assert gone.fault is not None
    assert gone.fault.code is EndpointFault.UNREACHABLE


def test_a_first_version_that_fails_is_given_up_by_the_server_too(world: World, server: MLServer) -> None:
    server.behave(beside=0.25)
    failed, _ = ask(world, "1.0.0")
    assert (failed.state, world.served("staging")) == ("failed", None)
    assert failed.detail.endswith("so nothing is served now. The endpoint was asked to give the model up.")
    assert InferenceServer(url=server.endpoint.url, model="tiny").model_ready() is not None
