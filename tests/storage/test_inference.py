"""The client of the Open Inference Protocol: what is asked is of the protocol, and no server makes it raise."""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

import pytest
from tests.support.inference_server import Served, Server, hostile, small_server

from mlbot.config.schema import Endpoint
from mlbot.lib.version import Served as Live
from mlbot.protocol.inference import (
    MOST_BYTES,
    MOST_TENSORS,
    Answer,
    EndpointFault,
    Fault,
    ModelMetadata,
    ServerMetadata,
)
from mlbot.storage.inference import InferenceServer

Behave = Callable[[BaseHTTPRequestHandler], None]
LIVE = Live(version="1.2.0", digest="sha256:" + "a" * 64)
BODY = b'{"id":"0","inputs":[{"data":[1.5],"datatype":"FP32","name":"x","shape":[1,1]}]}'
OUTPUT = {"name": "probabilities", "shape": [1, 2], "datatype": "FP32", "data": [0.25, 0.75]}


@pytest.fixture
def server() -> Iterator[Server]:
    with small_server() as made:
        form = {"name": "x", "datatype": "FP32", "shape": [-1, 1]}
        made.models["churn"] = Served(answer=lambda _request: [OUTPUT], inputs=[form])
        yield made


def client(url: str, **settings: object) -> InferenceServer:
    environment = settings.pop("environment", {})
    assert isinstance(environment, dict)
    endpoint = Endpoint(url=url, **settings)  # type: ignore[arg-type]  # each as the test gives it
    return InferenceServer.of(endpoint, "churn", LIVE, environment)


def test_each_question_of_the_protocol_is_answered(server: Server) -> None:
    one = client(server.url)
    assert one.model_ready() is None
    assert one.server() == ServerMetadata(name="small", version="1.2.3")
    about = one.metadata()
    assert isinstance(about, ModelMetadata)
    assert about.inputs is not None
    assert (about.inputs[0].datatype, about.inputs[0].shape) == ("FP32", (-1, 1))
    heard = one.infer(BODY, "0")
    assert not isinstance(heard, Fault)
    answer, ms = heard
    assert isinstance(answer, Answer)
    assert answer.outputs[0].data == [0.25, 0.75]
    assert ms > 0


def test_the_address_names_model_and_version(server: Server) -> None:
    client(server.url + "/", model="{model}", version="{number}").model_ready()
    client(server.url, model="acme-{model}", version="v{version}").model_ready()
    client(server.url, model="ümläut").model_ready()
    paths = [path for _, path in server.asked]
    assert paths[0] == "/v2/models/churn/versions/1002000/ready"
    assert paths[1] == "/v2/models/acme-churn/versions/v1.2.0/ready"
    assert paths[2] == "/v2/models/%C3%BCml%C3%A4ut/ready"


@pytest.mark.parametrize(
    ("asked", "answered", "code"),
    [
        ("{number}", "1002000", None),
        ("{number}", "", None),
        ("{number}", "1001000", EndpointFault.OTHER_VERSION),
        (None, "7", None),
    ],
)
def test_another_version_than_was_asked_for_does_not_count(
    server: Server, asked: str | None, answered: str, code: EndpointFault | None
) -> None:
    server.models["churn"].version = answered
    found = client(server.url, version=asked).infer(BODY, "0")
    assert (found.code if isinstance(found, Fault) else None) is code


def test_loading_is_the_repository_extension(server: Server) -> None:
    one = client(server.url)
    assert one.load() == Fault(code=EndpointFault.NOT_THERE, detail="404")
    done: list[tuple[str, str]] = []
    server.loaded = lambda what, name: done.append((what, name))
    assert (one.load(), one.unload()) == (None, None)
    assert done == [("load", "churn"), ("unload", "churn")]
    server.load_status = 400
    assert one.load() == Fault(code=EndpointFault.STATUS, detail="400")


def test_a_token_is_a_header_and_nothing_else(server: Server) -> None:
    one = client(server.url, token="ACME", environment={"ACME": " s3cret "})
    assert one.model_ready() is None
    assert server.headers[-1]["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in repr(one)
    client(server.url).model_ready()
    assert "Authorization" not in server.headers[-1]


@pytest.mark.parametrize("token", [None, "", "  ", "two words", "line\nbreak", "ümlaut"])
def test_without_its_token_nothing_is_asked(server: Server, token: str | None) -> None:
    environment = {} if token is None else {"ACME": token}
    one = client(server.url, token="ACME", environment=environment)
    assert one.model_ready() == Fault(code=EndpointFault.NO_TOKEN, detail="ACME")
    assert server.asked == []


def reply(body: bytes, status: int = 200, **headers: str) -> Behave:
    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def answer(**changed: object) -> bytes:
    return json.dumps({"model_name": "churn", "id": "0", "outputs": [OUTPUT]} | changed).encode()


def drip(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.02)


def drip_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        handler.wfile.write(b"x")
        time.sleep(0.02)


def silent(handler: BaseHTTPRequestHandler) -> None:
    del handler
    time.sleep(4.0)


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * (1 << 20))


def shorter_than_said(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"{}")
    handler.close_connection = True


def no_http(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\x00\x01\x02 nothing of HTTP\n\n")
    handler.close_connection = True


def many_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n")
    handler.close_connection = True


HOSTILE: list[tuple[str, Behave, EndpointFault]] = [
    ("html", reply(b"<html>Sign in</html>"), EndpointFault.NOT_JSON),
    ("empty", reply(b""), EndpointFault.NOT_JSON),
    ("nan", reply(answer().replace(b"0.25", b"NaN")), EndpointFault.NOT_JSON),
    ("infinity", reply(answer().replace(b"0.25", b"-Infinity")), EndpointFault.NOT_JSON),
    ("beyond floats", reply(answer().replace(b"0.25", b"1e999")), EndpointFault.NOT_JSON),
    ("two keys", reply(answer().replace(b'"id"', b'"id": "0", "id"')), EndpointFault.NOT_JSON),
    ("deep", reply(b"[" * 100_000), EndpointFault.NOT_JSON),
    ("no text", reply(b"\xff\xfe{}"), EndpointFault.NOT_JSON),
    ("a list", reply(b"[]"), EndpointFault.NO_MODEL),
    ("no outputs", reply(b'{"model_name": "churn"}'), EndpointFault.NO_MODEL),
    ("outputs of text", reply(answer(outputs="none")), EndpointFault.NO_MODEL),
    ("shape of text", reply(answer(outputs=[OUTPUT | {"shape": ["1", 2]}])), EndpointFault.NO_MODEL),
    ("no data", reply(answer(outputs=[OUTPUT | {"data": None}])), EndpointFault.NO_MODEL),
    ("many outputs", reply(answer(outputs=[OUTPUT] * (MOST_TENSORS + 1))), EndpointFault.NO_MODEL),
    ("another model", reply(answer(model_name="other\u202e\x1b[2J")), EndpointFault.OTHER_MODEL),
    ("another request", reply(answer(id="1")), EndpointFault.OTHER_MODEL),
    ("gzip", reply(gzip.compress(b" " * 100_000_000), Content_Encoding="gzip"), EndpointFault.COMPRESSED),
    ("some encoding", reply(answer(), Content_Encoding="br"), EndpointFault.COMPRESSED),
    ("redirect", reply(b"", 302, Location="http://169.254.169.254/latest"), EndpointFault.REDIRECTED),
    ("redirect to itself", reply(b"", 307, Location="/v2/models/churn/infer"), EndpointFault.REDIRECTED),
    ("no right", reply(b"", 401), EndpointFault.DENIED),
    ("forbidden", reply(b"", 403), EndpointFault.DENIED),
    ("unknown", reply(b"", 404), EndpointFault.NOT_THERE),
    ("its fault", reply(b'{"error": "41,female,5000"}', 500), EndpointFault.STATUS),
    ("nothing to say", reply(b"", 204), EndpointFault.STATUS),
    ("long", reply(b" " * (MOST_BYTES + 1)), EndpointFault.TOO_LONG),
    ("endless", endless, EndpointFault.TOO_LONG),
    ("shorter than said", shorter_than_said, EndpointFault.UNREACHABLE),
    ("no http", no_http, EndpointFault.UNREACHABLE),
    ("many headers", many_headers, EndpointFault.UNREACHABLE),
]


@pytest.mark.parametrize(("behave", "code"), [each[1:] for each in HOSTILE], ids=[each[0] for each in HOSTILE])
def test_a_hostile_answer_is_a_result(behave: Behave, code: EndpointFault) -> None:
    with hostile(behave) as url:
        found = client(url).infer(BODY, "0")
    assert isinstance(found, Fault)
    assert found.code is code
    assert found.sentence
    assert "41" not in found.model_dump_json()
    assert found.detail.isprintable()
    assert "\u202e" not in found.detail


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", None),  # as Triton answers
        (b'{"ready": "False"}', EndpointFault.NOT_READY),
        (b"true", None),
        (b"OK", None),
        (b'{"name": "churn", "ready": true}', None),
        (b'{"name": "churn", "ready": false}', EndpointFault.NOT_READY),
    ],
)
def test_the_status_says_what_is_ready_unless_the_body_takes_it_back(body: bytes, code: EndpointFault | None) -> None:
    with hostile(reply(body)) as url:
        found = client(url).model_ready()
    assert (found and found.code) == code


@pytest.mark.parametrize("behave", [drip, drip_headers, silent])
def test_a_slow_server_is_given_up_in_time(behave: Behave) -> None:
    with hostile(behave) as url:
        one = client(url, timeout_s=0.3)
        begun = time.monotonic()
        found = one.infer(BODY, "0")
        assert time.monotonic() - begun < 3.0
        assert isinstance(found, Fault)
        assert found.code is EndpointFault.SLOW
        assert one.metadata() == Fault(code=EndpointFault.SLOW, detail="0.3")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "http://no-such-host.invalid", "http://[::1]:1", "http://a..b", "http://" + "a" * 300]
)
def test_nobody_there(url: str) -> None:
    found = client(url, timeout_s=5.0).model_ready()
    assert found is not None
    assert found.code is EndpointFault.UNREACHABLE
