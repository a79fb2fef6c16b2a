"""Control samples: what the live endpoint answers to golden requests now is part of how a model does."""

from collections.abc import Iterator

import pytest
from tests.support import tiny
from tests.support.inference_server import Served, Server, answers_as, small_server
from tests.support.releases import ENVIRONMENTS, World

from mlbot.delivery.run_promote import PromotionRequest, promote
from mlbot.delivery.run_release import read_golden
from mlbot.lib.terminal import Pen
from mlbot.monitoring.health import Code, Health, State
from mlbot.monitoring.run_monitor import MonitorOptions, watch
from mlbot.monitoring.words import health_text
from mlbot.protocol.inference import ControlSamples, EndpointFault, Fault

pytestmark = pytest.mark.usefixtures("git_settings")
WELL = Health(
    model="tiny", environment="staging", version="1.0.0", day="2026-11-29", state=State.WELL, requests=10, alarm_days=0
)


@pytest.fixture
def server(world: World) -> Iterator[Server]:
    """The endpoint of staging, where v1.0.0 is live and watched."""
    with small_server() as made:
        golden = read_golden(world.context(), world.releases[0])
        assert golden is not None
        inputs = [{"name": name, "datatype": "FP32", "shape": [-1, 1]} for name in ("x1", "x2", "x3")]
        made.models["tiny"] = Served(answer=answers_as(golden), inputs=inputs)
        environments = ENVIRONMENTS.replace("deploy/staging,", f"deploy/staging, endpoint: {{url: '{made.url}'}},")
        monitor = "    monitor: {requests: 'logs/{date}.jsonl', environment: staging}\n    data:\n"
        world.commit({"mlbot.yaml": tiny.CONFIG.replace("    data:\n", monitor, 1) + environments})
        request = PromotionRequest(model="tiny", version="1.0.0", environment="staging")
        assert promote(world.context(), request).decision.go
        yield made


def test_a_live_endpoint_that_answers_otherwise_alarms(world: World, server: Server) -> None:
    (well,) = watch(world.context(), MonitorOptions()).models
    assert well.findings == ()
    server.models["tiny"].answer = lambda _request: []
    (health,) = watch(world.context(), MonitorOptions()).models
    assert (health.state, [each.code for each in health.findings]) == (State.ALARM, [Code.ABSENT])
    words = " ".join(health_text([health], Pen(color=False, width=300)).split())
    assert "golden requests that the endpoint does not answer: its answer has no output" in words
    (before,) = watch(world.context(), MonitorOptions(date=well.day)).models
    assert before.findings == ()  # nobody can ask what was live on a day that is over


@pytest.mark.parametrize(
    ("found", "shares"),
    [
        (ControlSamples(requests=50, equal=50), {}),
        (ControlSamples(requests=50, equal=40, inexpressible=10), {}),
        (ControlSamples(requests=50, inexpressible=50, fault=Fault(code=EndpointFault.INEXPRESSIBLE)), {}),
        (ControlSamples(requests=50, equal=20, different=20, inexpressible=10), {Code.CONTROL: 0.5}),
        (ControlSamples(requests=50, missing=50, fault=Fault(code=EndpointFault.DENIED)), {Code.ABSENT: 1.0}),
        (ControlSamples(requests=50, equal=30, different=10, missing=10), {Code.CONTROL: 0.2, Code.ABSENT: 0.2}),
    ],
)
def test_every_golden_request_has_to_be_answered_as_judged(found: ControlSamples, shares: dict[Code, float]) -> None:
    health = WELL.controlled(found, "2026-11-30")
    assert {each.code: each.now for each in health.findings} == shares
    assert health.state is (State.ALARM if shares else State.WELL)
    assert health.alarm_days == 0
