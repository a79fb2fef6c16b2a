"""Golden requests asked of an endpoint: equal, different, not had; and a deployment that waits for its server."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support import tiny
from tests.support.inference_server import Served as Model
from tests.support.inference_server import Server, answers_as, hostile, small_server
from tests.support.releases import ENVIRONMENTS, World

from mlbot.config.schema import Endpoint
from mlbot.delivery.run_endpoint import Clock, EndpointTest, live_samples, withdrawn
from mlbot.delivery.run_promote import PromotionRequest, promote
from mlbot.delivery.run_release import read_golden
from mlbot.gates.metric import Task
from mlbot.ledger.entries import DeploymentEntry
from mlbot.lib.version import Served
from mlbot.protocol.golden import Golden, GoldenColumn, SmokeReason
from mlbot.protocol.inference import EndpointFault, Fault

LIVE = Served(version="1.2.0", digest="sha256:" + "a" * 64)
COLUMNS = (
    GoldenColumn(name="age", kind="integer", values=(20, 41, 63)),
    GoldenColumn(name="income", kind="float", values=(0.5, 2.25, -1.0)),
    GoldenColumn(name="member", kind="boolean", values=(True, False, True)),
    GoldenColumn(name="town", kind="text", values=("Bonn", "", 'ä"\u2028')),
)
INPUTS = [
    {"name": "age", "datatype": "INT64", "shape": [-1, 1]},
    {"name": "income", "datatype": "FP32", "shape": [-1, 1]},
    {"name": "member", "datatype": "BOOL", "shape": [-1, 1]},
    {"name": "town", "datatype": "BYTES", "shape": [-1, 1]},
]


def golden(**changed: Any) -> Golden:
    fields: dict[str, Any] = {
        "model": "churn",
        "digest": LIVE.digest,
        "task": Task.BINARY,
        "order": ("no", "yes"),
        "classes": ("no", "yes"),
        "source": "holdout",
        "columns": COLUMNS,
        "predictions": ((0.25,), (0.5,), (0.875,)),
        "platform": "elsewhere",
    }
    return Golden(**fields | changed)


@pytest.fixture
def server() -> Iterator[Server]:
    with small_server() as made:
        made.models["churn"] = Model(answer=answers_as(golden()), inputs=INPUTS)
        yield made


def endpoint(url: str, **settings: Any) -> Endpoint:
    return Endpoint(url=url, **settings)


def control_samples(where: Endpoint, asked: Golden, *, requests: int = 0) -> Any:
    return EndpointTest(endpoint=where, model="churn", served=LIVE, golden=asked).samples(asked, requests)


def output(name: str, data: list[Any], datatype: str = "FP32", shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape or [1, len(data)], "data": data}


def samples(server: Server, asked: Golden, *outputs: dict[str, Any]) -> Any:
    """The control samples of one golden request, to which a server answers with some outputs."""
    if outputs:
        server.models["churn"].answer = lambda _request: list(outputs)
    return control_samples(endpoint(server.url), asked)


def test_every_golden_request_is_answered_as_judged(server: Server) -> None:
    found = samples(server, golden())
    assert (found.requests, found.equal, found.different, found.missing, found.inexpressible) == (3, 3, 0, 0, 0)
    assert found.as_judged
    assert (found.server, found.version, found.fault) == ("small 1.2.3", "1", None)
    assert 0 < found.p50_ms <= found.p95_ms
    assert found.max_difference < 1e-12


def test_a_difference_beyond_the_tolerance_is_counted(server: Server) -> None:
    server.models["churn"].answer = answers_as(golden(), beside=9e-6)
    assert samples(server, golden()).as_judged
    server.models["churn"].answer = answers_as(golden(), beside=2e-5)
    found = samples(server, golden())
    assert (found.equal, found.different, found.missing) == (0, 3, 0)
    assert found.max_difference == pytest.approx(2e-5)


def test_a_request_asked_twice_has_to_be_answered_alike(server: Server) -> None:
    times: list[int] = []

    def answer(request: dict[str, Any]) -> list[dict[str, Any]]:
        times.append(1)
        return answers_as(golden(), beside=0.1 if len(times) == 5 else 0.0)(request)

    server.models["churn"].answer = answer
    found = control_samples(endpoint(server.url), golden(), requests=7)
    assert (len(times), found.equal, found.different) == (7, 2, 1)


@pytest.mark.parametrize(
    "inputs",
    [
        INPUTS,
        [],
        INPUTS[:2],
        [each | {"shape": [-1]} for each in INPUTS],
        [{"name": "age", "datatype": "FP64", "shape": [-1, 1]}, {"name": "member", "datatype": "FP32", "shape": []}],
    ],
)
def test_inputs_are_as_the_server_describes_them(server: Server, inputs: list[dict[str, Any]]) -> None:
    server.models["churn"].inputs = inputs
    assert samples(server, golden()).as_judged


def test_a_matrix_is_asked_in_one_tensor(server: Server) -> None:
    asked: list[Any] = []
    numbers = golden(columns=COLUMNS[:3])

    def answer(request: dict[str, Any]) -> list[dict[str, Any]]:
        asked.append(request["inputs"])
        return answers_as(numbers)(request)

    server.models["churn"] = Model(answer=answer, inputs=[{"name": "X", "datatype": "FP32", "shape": [-1, 3]}])
    assert samples(server, numbers).as_judged
    assert asked[0] == [{"name": "X", "shape": [1, 3], "datatype": "FP32", "data": [20.0, 0.5, 1.0]}]


def test_what_json_has_no_word_for_is_not_asked(server: Server) -> None:
    gaps = GoldenColumn(name="income", kind="float", values=(None, "Infinity", 1e300))
    found = samples(server, golden(columns=(COLUMNS[0], gaps, *COLUMNS[2:])))
    assert (found.asked, found.inexpressible, found.as_judged) == (0, 3, False)
    assert found.fault.code is EndpointFault.INEXPRESSIBLE
    one = GoldenColumn(name="income", kind="float", values=(0.5, None, -1.0))
    found = samples(server, golden(columns=(COLUMNS[0], one, *COLUMNS[2:])))
    assert (found.asked, found.equal, found.inexpressible, found.as_judged) == (2, 2, 1, True)


@pytest.mark.parametrize(
    ("column", "datatype"),
    [("age", "BYTES"), ("age", "BOOL"), ("income", "INT64"), ("income", "XP32"), ("town", "FP32"), ("town", "INT8")],
)
def test_types_that_the_values_are_not_of_are_other_inputs(server: Server, column: str, datatype: str) -> None:
    server.models["churn"].inputs = [
        each | ({"datatype": datatype} if each["name"] == column else {}) for each in INPUTS
    ]
    found = samples(server, golden())
    assert (found.inexpressible, found.fault.code) == (0, EndpointFault.OTHER_INPUTS)
    assert found.missing >= 2  # a float may be a whole number


def test_a_text_may_be_called_like_a_number(server: Server) -> None:
    texts = GoldenColumn(name="town", kind="text", values=("Infinity", "-Infinity", "NaN"))
    assert samples(server, golden(columns=(*COLUMNS[:3], texts))).as_judged


def test_a_model_with_other_inputs_is_not_asked(server: Server) -> None:
    server.models["churn"].inputs = [*INPUTS, {"name": "height", "datatype": "FP32", "shape": [-1, 1]}]
    found = samples(server, golden())
    assert (found.missing, found.fault.code) == (3, EndpointFault.OTHER_INPUTS)
    assert not any(method == "POST" for method, _ in server.asked)


ONE: dict[str, Any] = {"columns": (COLUMNS[0].model_copy(update={"values": (20,)}),)}
HALF = {**ONE, "predictions": ((0.25,),)}
MANY = {"task": Task.MULTICLASS, "order": ("a", "b", "c"), "classes": ("a", "b", "c", "d")}
MANY_ROW = {**ONE, **MANY, "predictions": ((0.25, 0.25, 0.5, 0.0),)}
NUMBER = {**ONE, "task": Task.REGRESSION, "order": (), "classes": (), "predictions": ((100.0,),)}
LABELS = {**ONE, "task": Task.MULTILABEL, "order": ("x", "y"), "classes": ("x", "y"), "predictions": ((0.1, 0.9),)}
LABEL = output("label", [1], "INT64", [1])


@pytest.mark.parametrize(
    ("asked", "outputs"),
    [
        (HALF, [LABEL, output("probabilities", [0.75, 0.25])]),
        (
            HALF,
            [output("output_label", ["no"], "BYTES", [1]), output("output_probability", [[0.75, 0.25]], shape=[1, 2])],
        ),
        (HALF, [output("predict", [1.0], "FP64"), output("predict_proba", [0.75, 0.25], "FP64")]),
        (HALF, [output("p", [0.25])]),
        (HALF, [output("p", [0.25], shape=[1])]),
        ({**HALF, "labels": ("yes", "no")}, [output("probabilities", [0.25, 0.75])]),
        (MANY_ROW, [LABEL, output("probabilities", [0.25, 0.25, 0.5])]),
        ({**MANY_ROW, "labels": ("c", "b", "a")}, [output("probabilities", [1.0, 0.5, 0.5])]),
        (NUMBER, [output("variable", [100.0009])]),
        (NUMBER, [output("variable", [100], "INT64")]),
        (LABELS, [output("probabilities", [0.1, 0.9])]),
    ],
)
def test_predictions_are_found_among_the_outputs(server: Server, asked: dict[str, Any], outputs: list[Any]) -> None:
    server.models["churn"].inputs = INPUTS[:1]
    assert samples(server, golden(**asked), *outputs).as_judged


@pytest.mark.parametrize(
    ("asked", "outputs", "code"),
    [
        (HALF, [], EndpointFault.OTHER_OUTPUTS),
        (HALF, [LABEL], EndpointFault.OTHER_OUTPUTS),
        (HALF, [output("a", [0.25]), output("b", [0.25])], EndpointFault.OTHER_OUTPUTS),
        (HALF, [output("p", [0.5, 0.25, 0.25])], EndpointFault.OTHER_SHAPE),
        (HALF, [output("p", [])], EndpointFault.OTHER_SHAPE),
        (HALF, [output("p", [0.25, 0.25], shape=[2, 1])], EndpointFault.OTHER_SHAPE),
        (HALF, [output("p", [0.25], shape=[1, 1, 1])], EndpointFault.OTHER_SHAPE),
        (HALF, [output("p", [0.25], shape=[-1, -1])], EndpointFault.OTHER_SHAPE),
        (HALF, [output("p", [0.25, 0.25], shape=[1, 1])], EndpointFault.OTHER_SHAPE),
        (HALF, [output("p", ["0.25"])], EndpointFault.OTHER_SHAPE),
        (HALF, [output("p", [True])], EndpointFault.OTHER_SHAPE),
        (HALF, [output("p", [None])], EndpointFault.OTHER_SHAPE),
        (HALF, [output("p", [{"x": 1}])], EndpointFault.OTHER_SHAPE),
        (MANY_ROW, [output("probabilities", [0.0, 0.0, 0.0])], EndpointFault.OTHER_SHAPE),
        (MANY_ROW, [output("probabilities", [0.5, 0.5])], EndpointFault.OTHER_SHAPE),
        (LABELS, [output("probabilities", [0.1, 0.8, 0.1])], EndpointFault.OTHER_SHAPE),
    ],
)
def test_an_odd_answer_is_none(server: Server, asked: dict[str, Any], outputs: list[Any], code: EndpointFault) -> None:
    server.models["churn"].inputs = INPUTS[:1]
    server.models["churn"].answer = lambda _request: outputs
    found = samples(server, golden(**asked))
    assert (found.missing, found.fault.code) == (1, code)


def test_nobody_is_asked_for_ever() -> None:
    def silent(handler: Any) -> None:
        del handler
        time.sleep(5)

    with hostile(silent) as url:
        begun = time.monotonic()
        found = control_samples(endpoint(url, timeout_s=0.2), golden())
    assert time.monotonic() - begun < 2
    assert found.why == "it did not answer within 0.2 s"
    assert (found.equal, found.missing, found.fault and found.fault.code) == (0, 3, EndpointFault.SLOW)


class Hands:
    """A clock that goes on only when somebody waits."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.then: dict[int, Callable[[], None]] = {}

    def pause(self, seconds: float) -> None:
        self.seconds += seconds
        self.then.pop(round(self.seconds), lambda: None)()

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.seconds, pause=self.pause)


def smoke(server: Server, hands: Hands, *, known: bool = True, **settings: Any) -> Any:
    asked = golden() if known else None
    test = EndpointTest(
        endpoint=endpoint(server.url, **settings), model="churn", served=LIVE, golden=asked, clock=hands.clock
    )
    return test.smoke()


def test_a_server_that_follows_its_files_has_time(server: Server) -> None:
    hands, new = Hands(), server.models["churn"]
    server.models["churn"] = Model(answer=answers_as(golden(), beside=0.1), inputs=INPUTS)
    hands.then[3] = server.models.clear
    hands.then[5] = lambda: server.models.update(churn=new)
    found = smoke(server, hands)
    assert (found.passed, found.reason, hands.seconds) == (True, SmokeReason.ENDPOINT_AGREES, 5.0)
    assert "3 golden requests as judged" in found.detail


def test_a_server_that_stays_wrong_fails_in_time(server: Server) -> None:
    hands = Hands()
    server.models["churn"].answer = answers_as(golden(), beside=0.1)
    found = smoke(server, hands, timeout_s=10.0)
    assert (found.passed, found.reason, hands.seconds) == (False, SmokeReason.ENDPOINT_DIFFERS, 10.0)
    assert "3 of 3 golden requests otherwise than judged, by up to 0.1; allowed is 1e-05" in found.detail


def test_a_server_without_the_model_fails_in_time(server: Server) -> None:
    hands = Hands()
    server.models.clear()
    found = smoke(server, hands, timeout_s=10.0)
    assert (found.reason, hands.seconds) == (SmokeReason.ENDPOINT_ABSENT, 10.0)
    assert "not ready within 10 s: it has no such model or version (404)" in found.detail


def test_what_passes_in_a_moment_is_no_alarm(server: Server) -> None:
    hands, there = Hands(), server.models.pop("churn")
    where = endpoint(server.url, timeout_s=30.0)
    test = EndpointTest(endpoint=where, model="churn", served=LIVE, golden=golden(), clock=hands.clock)
    assert (test.settled(golden()).fault, hands.seconds) == (Fault(code=EndpointFault.NOT_THERE, detail="404"), 0.0)
    server.models["churn"], server.status = there, 503
    hands.then[10] = lambda: setattr(server, "status", 200)
    assert test.settled(golden()).as_judged
    server.status = 503
    found = test.settled(golden())
    assert (found.missing, found.why, hands.seconds) == (3, "it answers 503", 30.0)


def test_an_endpoint_that_does_not_answer_in_time_is_slow_and_not_absent(server: Server) -> None:
    gate, hands = threading.Event(), Hands()

    def late(_request: dict[str, Any]) -> list[dict[str, Any]]:
        gate.wait(5)
        return []

    server.models["churn"].answer = late
    found = smoke(server, hands, timeout_s=0.2)
    gate.set()
    assert found.reason is SmokeReason.ENDPOINT_SLOW
    assert found.detail == ("The endpoint gives no answer to 3 of 3 golden requests: it did not answer within 0.2 s.")


def test_a_model_that_loads_for_longer_than_an_answer_takes_is_waited_for(server: Server) -> None:
    gate = threading.Event()
    server.loaded = lambda _what, _name: gate.wait(5)
    found = smoke(server, Hands(), load=True, timeout_s=0.2)
    gate.set()
    assert found.passed


def test_a_slow_endpoint_fails(server: Server) -> None:
    found = smoke(server, Hands(), timeout_s=1.0, p95_ms=1e-6)
    assert (found.reason, found.limit_ms) == (SmokeReason.ENDPOINT_SLOW, 1e-6)


def test_a_server_that_is_told_loads_before_it_is_asked(server: Server) -> None:
    new = server.models.pop("churn")
    server.loaded = lambda _what, name: server.models.update({name: new})
    assert smoke(server, Hands(), load=True).passed
    server.load_status = 400
    found = smoke(server, Hands(), load=True)
    assert (found.reason, found.detail) == (
        SmokeReason.ENDPOINT_ABSENT,
        "The endpoint does not load the model: it answers 400.",
    )


def test_without_golden_requests_it_has_to_be_ready(server: Server) -> None:
    assert smoke(server, Hands(), known=False).passed
    server.models.clear()
    assert not smoke(server, Hands(), known=False, timeout_s=2.0).passed


def test_a_token_that_is_not_there_is_waited_for_by_nobody(server: Server) -> None:
    hands = Hands()
    found = smoke(server, hands, token="MLBOT_NO_SUCH_VARIABLE")
    assert (found.reason, hands.seconds) == (SmokeReason.ENDPOINT_ABSENT, 0.0)
    assert "the variable MLBOT_NO_SUCH_VARIABLE" in found.detail


def test_a_model_that_failed_first_is_given_up(server: Server) -> None:
    done: list[str] = []
    assert withdrawn(endpoint(server.url), "churn", LIVE) == ""
    assert "did not give the model up" in withdrawn(endpoint(server.url, load=True), "churn", LIVE)
    server.loaded = lambda what, _name: done.append(what)
    assert withdrawn(endpoint(server.url, load=True), "churn", LIVE) == "The endpoint was asked to give the model up."
    assert done == ["unload"]


# A deployment with an endpoint: `load` follows what the target serves.


@pytest.fixture
def loading(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that loads what staging serves, where it is the endpoint; it has nothing yet. Nobody waits for it."""
    defaults = EndpointTest.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "clock", Hands().clock)
    with small_server() as made:
        given = f"endpoint: {{url: '{made.url}', load: true, timeout: 3s}}"
        environments = ENVIRONMENTS.replace("deploy/staging,", f"deploy/staging, {given},")
        world.commit({"mlbot.yaml": tiny.CONFIG + environments})
        goldens = {each.version: read_golden(world.context(), each) for each in world.releases}
        inputs = [{"name": name, "datatype": "FP32", "shape": [-1, 1]} for name in ("x1", "x2", "x3")]

        def load(what: str, name: str) -> None:
            made.models.pop(name, None)
            known = goldens[world.served("staging") or ""] if what == "load" else None
            if known is not None:
                made.models[name] = Model(answer=answers_as(known), inputs=inputs)

        made.loaded = load
        yield made


def ask(world: World, version: str) -> DeploymentEntry:
    request = PromotionRequest(model="tiny", version=version, environment="staging")
    ended = promote(world.context(), request).deployment
    assert ended is not None
    return ended


@pytest.mark.usefixtures("git_settings")
def test_a_deployment_is_tested_at_its_endpoint_and_goes_back_there_too(world: World, loading: Server) -> None:
    first = ask(world, "1.0.0")
    assert first.state == "succeeded"
    assert "The endpoint answers 50 golden requests as judged, within" in first.detail
    found = live_samples(world.context(), "tiny", "staging")
    assert found is not None
    assert found.as_judged
    assert live_samples(world.context(), "tiny", "production") is None
    follow = loading.loaded
    assert follow is not None

    def forgetful(what: str, name: str) -> None:
        """Version 1.0.1 is never loaded: what was there goes on."""
        if world.served("staging") == "1.0.0":
            follow(what, name)

    loading.loaded = forgetful
    failed = ask(world, "1.0.1")
    assert (failed.state, world.served("staging")) == ("rolled-back", "1.0.0")
    assert "The smoke test failed (endpoint-differs). The endpoint answers 50 of 50 golden requests" in failed.detail
    assert failed.detail.endswith(
        "v1.0.0 is served again, and was verified. The endpoint answers as v1.0.0 was judged."
    )


@pytest.mark.usefixtures("git_settings")
def test_a_first_deployment_that_fails_at_its_endpoint_is_taken_away_there(world: World, loading: Server) -> None:
    follow = loading.loaded
    assert follow is not None
    loading.loaded = lambda _what, name: follow("unload", name)
    failed = ask(world, "1.0.0")
    assert (failed.state, world.served("staging")) == ("failed", None)
    assert "(endpoint-absent). The endpoint was not ready within 3.00 s: it has no such model" in failed.detail
    assert failed.detail.endswith("so nothing is served now. The endpoint was asked to give the model up.")
