"""A small HTTP server of the Open Inference Protocol, which holds its caller to the protocol; and hostile ones."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jsonschema

from mlbot.protocol.golden import Golden

TENSOR_DATA = {"type": "array", "items": {"type": ["number", "string", "boolean", "array"]}}
DATATYPES = ["BOOL", "BYTES", *[f"{kind}{size}" for kind in ("INT", "UINT") for size in (8, 16, 32, 64)]]
DATATYPES += ["FP16", "FP32", "FP64"]
REQUEST = {
    "type": "object",
    "required": ["inputs"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string"},
        "parameters": {"type": "object"},
        "inputs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "shape", "datatype", "data"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string"},
                    "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
                    "datatype": {"enum": DATATYPES},
                    "parameters": {"type": "object"},
                    "data": TENSOR_DATA,
                },
            },
        },
        "outputs": {"type": "array", "items": {"type": "object", "required": ["name"]}},
    },
}
"""What the protocol's specification says of an inference request (open_inference_rest.yaml), and its list of types."""

_VALIDATOR = jsonschema.Draft202012Validator(REQUEST)
_OF_TYPE: dict[str, tuple[type, ...]] = {"BYTES": (str,), "BOOL": (bool,), "FP": (int, float), "INT": (int,)}


def check(request: Any) -> None:
    """Hold a request to the protocol: its schema, as many elements as the shape says, each of its type."""
    _VALIDATOR.validate(request)
    for tensor in request["inputs"]:
        count = 1
        for each in tensor["shape"]:
            count *= each
        assert count == len(tensor["data"]), tensor
        kind = next(each for each in _OF_TYPE if tensor["datatype"].removeprefix("U").startswith(each))
        assert all(isinstance(value, _OF_TYPE[kind]) for value in tensor["data"]), tensor
        assert kind == "BOOL" or not any(isinstance(value, bool) for value in tensor["data"]), tensor


@dataclass
class Served:
    """A model in the server: how it is described, and what it answers to one row."""

    answer: Callable[[dict[str, Any]], list[dict[str, Any]]]
    inputs: list[dict[str, Any]] = field(default_factory=list)
    version: str = "1"


@dataclass
class Server:
    """What the server has, and what it was asked."""

    url: str
    models: dict[str, Served] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """What of the requests is not of the protocol."""
    loaded: Callable[[str, str], object] | None = None
    """Called with what is to be done to which model. None: the server has no such extension."""
    load_status: int = 200
    status: int = 200
    """What the question for a model that is there is answered with."""


class _Handler(BaseHTTPRequestHandler):
    state: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Silence."""

    def do_GET(self) -> None:
        self._note()
        match self.path.strip("/").split("/"):
            case ["v2"]:
                self._send(200, {"name": "small", "version": "1.2.3", "extensions": []})
            case ["v2", "models", name, *_] if name not in self.state.models:
                self._send(404, {"error": "no such model"})
            case ["v2", "models", name, *rest] if rest[-1:] == ["ready"]:
                self._send(200, {"name": name, "ready": True})
            case ["v2", "models", name, *_]:
                model = self.state.models[name]
                about = {"name": name, "versions": [model.version], "platform": "onnx_onnxv1"}
                self._send(self.state.status, about | {"inputs": model.inputs, "outputs": []})
            case _:
                self._send(404, {"error": "nothing there"})

    def do_POST(self) -> None:
        self._note()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        match self.path.strip("/").split("/"):
            case ["v2", "repository", "models", name, "load" | "unload" as what] if self.state.loaded:
                self.state.loaded(what, name)
                self._send(self.state.load_status, {})
            case ["v2", "models", name, *_] if name in self.state.models:
                self._infer(name, body)
            case _:
                self._send(404, {"error": "nothing there"})

    def _infer(self, name: str, body: bytes) -> None:
        request, model = json.loads(body), self.state.models[name]
        try:
            check(request)
        except (AssertionError, jsonschema.ValidationError) as error:
            self.state.broken.append(str(error))
            self._send(400, {"error": "no request of the protocol"})
            return
        answer = {"model_name": name, "model_version": model.version, "id": request["id"]}
        self._send(200, answer | {"outputs": model.answer(request)})

    def _note(self) -> None:
        self.state.asked.append((self.command, self.path))
        self.state.headers.append(dict(self.headers))

    def _send(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        with suppress(ConnectionError):  # who asked has given up
            self.end_headers()
            self.wfile.write(body)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port of this machine: the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def small_server() -> Iterator[Server]:
    """A server without models."""
    state = Server(url="")
    with serving(type("Handler", (_Handler,), {"state": state})) as url:
        state.url = url
        yield state
    assert state.broken == []


def answers_as(golden: Golden, **changed: Any) -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
    """The answers of a golden request's own row, as an exported scikit-learn classifier gives them."""

    def answer(request: dict[str, Any]) -> list[dict[str, Any]]:
        (value,) = golden.predictions[int(request["id"])]
        value += changed.get("beside", 0.0)
        probabilities = {"name": "probabilities", "shape": [1, 2], "datatype": "FP32", "data": [1 - value, value]}
        label = {"name": "label", "shape": [1], "datatype": "INT64", "data": [int(value > 0.5)]}
        return [label, probabilities | {key: each for key, each in changed.items() if key != "beside"}]

    return answer


@contextmanager
def hostile(behave: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A server that does to every request whatever a function does."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Silence."""

        def _behave(self) -> None:
            try:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))  # or the answer is lost with the connection
                behave(self)
            except OSError:
                self.close_connection = True

        do_GET = do_POST = _behave  # noqa: N815 - http.server's names

    with serving(Handler) as url:
        yield url
