"""A client of the Open Inference Protocol over HTTP, for servers that nobody vouches for.

Whatever a server does is a result: a question has one bound on its whole time, an answer one on its length, redirects
are not followed, and what is no answer of the protocol is a `Fault`. The token goes to the endpoint's own address
alone.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from mlbot.config.schema import Endpoint
from mlbot.lib.escape import clean
from mlbot.lib.record import Name
from mlbot.lib.untrusted_json import HostileJsonError, load
from mlbot.lib.version import Served
from mlbot.protocol.inference import (
    MOST_BYTES,
    MOST_DEPTH,
    Answer,
    EndpointFault,
    Fault,
    ModelMetadata,
    Readiness,
    ServerMetadata,
    answer_of,
)
from mlbot.storage.target_files import number_of

if TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session

LONGEST_S = 30.0
"""The longest that one request may take, whatever the endpoint's timeout is."""

_CHUNK = 65_536
_SHOWN = 200

_R = TypeVar("_R", bound=BaseModel)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Received:
    """A whole answer with a status that says that all is well."""

    body: bytes
    seconds: float


class _Bearer:
    """Sets the header, or none: left alone, requests would look for a password in the machine's .netrc."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: "PreparedRequest") -> "PreparedRequest":
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


@dataclass(kw_only=True, slots=True)
class InferenceServer:
    """One model of one server. No method raises for what the server does."""

    url: str
    model: str
    version: str = ""
    token: str = field(default="", repr=False)
    missing_token: str = ""  # the variable that should have one
    longest_s: float = LONGEST_S
    _session: "Session | None" = field(default=None, repr=False)

    @classmethod
    def of(cls, endpoint: Endpoint, model: Name, served: Served, environment: Mapping[str, str] = os.environ) -> Self:
        """The server of an environment's endpoint, for a model and the version that it serves."""
        token = environment.get(endpoint.token, "").strip() if endpoint.token else ""
        return cls(
            url=endpoint.url.rstrip("/"),
            model=endpoint.model.replace("{model}", model),
            version=_version(endpoint.version or "", served),
            token=token,
            missing_token=endpoint.token if endpoint.token and not _is_token(token) else "",
            longest_s=min(LONGEST_S, endpoint.timeout_s),
        )

    def model_ready(self) -> Fault | None:
        """None where the model is ready, as the status says; a body, which hardly any server has, may take it back."""
        received = self._ask("GET", f"{self._path}/ready")
        if isinstance(received, Fault):
            return received
        found = self._read(received, Readiness)
        return None if isinstance(found, Fault) or found.ready else Fault(code=EndpointFault.NOT_READY)

    def server(self) -> ServerMetadata | Fault:
        """What the server says of itself."""
        return self._read(self._ask("GET", "/v2"), ServerMetadata)

    def metadata(self) -> ModelMetadata | Fault:
        """What the server says of the model."""
        found = self._read(self._ask("GET", self._path), ModelMetadata)
        if not isinstance(found, Fault) and found.name != self.model:
            return Fault(code=EndpointFault.OTHER_MODEL, detail=clean(found.name, _SHOWN))
        return found

    def infer(self, body: bytes, identity: str) -> tuple[Answer, float] | Fault:
        """The answer to an inference request, and the milliseconds that it took; `identity` is the request's `id`."""
        received = self._ask("POST", f"{self._path}/infer", body)
        if isinstance(received, Fault):
            return received
        value = _json(received.body)
        found = value if isinstance(value, Fault) else answer_of(value)
        if isinstance(found, Fault):
            return found
        if found.model not in {None, self.model} or found.id not in {None, "", identity}:
            return Fault(code=EndpointFault.OTHER_MODEL, detail=clean(found.model or "", _SHOWN))
        # Without a version asked for, servers count by themselves.
        if self.version and found.version not in {"", self.version}:
            return Fault(code=EndpointFault.OTHER_VERSION, detail=clean(found.version, _SHOWN))
        return found, received.seconds * 1000

    def load(self) -> Fault | None:
        """Have the server load the model, or load it anew (the model repository extension)."""
        return self._fault(self._ask("POST", f"/v2/repository/models/{quote(self.model, safe='')}/load", b"{}"))

    def unload(self) -> Fault | None:
        """Have the server give the model up."""
        return self._fault(self._ask("POST", f"/v2/repository/models/{quote(self.model, safe='')}/unload", b"{}"))

    @property
    def _path(self) -> str:
        version = f"/versions/{quote(self.version, safe='')}" if self.version else ""
        return f"/v2/models/{quote(self.model, safe='')}{version}"

    @staticmethod
    def _fault(received: _Received | Fault) -> Fault | None:
        return received if isinstance(received, Fault) else None

    @staticmethod
    def _read(received: _Received | Fault, kind: type[_R]) -> _R | Fault:
        value = received if isinstance(received, Fault) else _json(received.body)
        if isinstance(value, Fault):
            return value
        try:
            return kind.model_validate(value)
        except ValidationError:
            return Fault(code=EndpointFault.NO_MODEL)

    def _ask(self, method: str, path: str, body: bytes | None = None) -> _Received | Fault:
        """Send a request in a thread of its own: no timeout of a socket ends headers that drip in letter by letter."""
        if self.missing_token:
            return Fault(code=EndpointFault.NO_TOKEN, detail=self.missing_token)
        replies: SimpleQueue[_Received | Fault] = SimpleQueue()
        asked = (replies, self._opened(), method, f"{self.url}{path}", body, self.token, self.longest_s)
        Thread(target=_send, args=asked, daemon=True, name="mlbot-endpoint").start()
        try:
            return replies.get(timeout=self.longest_s)
        except Empty:
            self._session = None  # whatever still comes through it, comes too late
            return _slow(self.longest_s)

    def _opened(self) -> "Session":
        if self._session is None:
            import requests

            self._session = requests.Session()
        return self._session


def _version(written: str, served: Served) -> str:
    """The version to ask for: as mlbot.yaml has it, with the deployment's filled in."""
    number = str(number_of(served.version)) if "{number}" in written else ""
    return written.replace("{number}", number).replace("{version}", served.version)


def _is_token(text: str) -> bool:
    """Whether a text can be a header's."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def _json(body: bytes) -> Any | Fault:
    try:
        return load(body, "The answer", most_bytes=MOST_BYTES, most_depth=MOST_DEPTH)
    except HostileJsonError:
        return Fault(code=EndpointFault.NOT_JSON)


def _slow(longest: float) -> Fault:
    return Fault(code=EndpointFault.SLOW, detail=f"{longest:g}")


def _send(replies: SimpleQueue[_Received | Fault], *asked: Any) -> None:
    replies.put(_received(*asked))


def _received(
    session: "Session", method: str, address: str, body: bytes | None, token: str, longest: float
) -> _Received | Fault:
    from requests import Timeout
    from urllib3.exceptions import TimeoutError as Overdue

    begun = time.monotonic()
    try:
        with session.request(
            method,
            address,
            data=body,
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "Content-Type": "application/json"},
            auth=_Bearer(token),
            stream=True,
            allow_redirects=False,
            timeout=longest,
        ) as answer:
            fault = _wrong(answer)
            content = fault or _body(answer, begun + longest)
    except (Timeout, Overdue, TimeoutError):
        return _slow(longest)
    except Exception as error:  # noqa: BLE001 - a hostile answer meets the faults of several libraries
        return Fault(code=EndpointFault.UNREACHABLE, detail=type(error).__name__)
    if isinstance(content, Fault):
        return content
    seconds = time.monotonic() - begun
    return _slow(longest) if seconds > longest else _Received(body=content, seconds=seconds)


_STATUS = {401: EndpointFault.DENIED, 403: EndpointFault.DENIED, 404: EndpointFault.NOT_THERE}


def _wrong(answer: "Response") -> Fault | None:
    """What status and headers say against an answer."""
    status = answer.status_code
    if 300 <= status < 400:
        return Fault(code=EndpointFault.REDIRECTED, detail=str(status))
    if status != 200:
        return Fault(code=_STATUS.get(status, EndpointFault.STATUS), detail=str(status))
    if answer.headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
        return Fault(code=EndpointFault.COMPRESSED)
    return None


def _body(answer: "Response", deadline: float) -> bytes | Fault:
    """The whole body as it came, if it is short enough and comes in time."""
    raw: Any = answer.raw
    found = bytearray()
    while chunk := raw.read1(_CHUNK, decode_content=False):
        found += chunk
        if len(found) > MOST_BYTES:
            return Fault(code=EndpointFault.TOO_LONG, detail=f"{MOST_BYTES:,}")
        if time.monotonic() > deadline:
            raise TimeoutError
    return bytes(found)
