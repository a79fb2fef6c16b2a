"""Asking an environment's endpoint: control samples, the last part of the smoke test, and the way back.

    live_samples(context, model, environment)    # what the live endpoint answers to golden requests now

Nothing here raises for what a server does. Where `endpoint.load` says so, the server is asked to load the model after
each switch; else it follows its files by itself, so that for a while it may still serve the version before.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice

from mlbot.config.schema import Endpoint
from mlbot.delivery.deployment import serves
from mlbot.delivery.run_release import read_golden
from mlbot.ledger.queries import release_of
from mlbot.lib.escape import clean
from mlbot.lib.record import Name
from mlbot.lib.templates import sentence
from mlbot.lib.version import Served
from mlbot.protocol.golden import Golden, GoldenColumn, SmokeReason, SmokeResult
from mlbot.protocol.inference import (
    ControlSamples,
    EndpointFault,
    Fault,
    InexpressibleError,
    OtherInputsError,
    Reply,
    TensorForm,
    predictions_of,
    request_body,
    samples_of,
)
from mlbot.registry.run_repository import RepositoryContext
from mlbot.storage.inference import InferenceServer

_PAUSE_S = 1.0
_SHOWN = 100
_LOOKS = 3
_PASSING = {EndpointFault.UNREACHABLE, EndpointFault.SLOW, EndpointFault.STATUS, EndpointFault.NOT_READY}
"""Faults that may be the network's or a moment's: a live endpoint is asked again before anybody is alarmed."""
_MOST_FAULTS = 3
"""After so many questions in a row that were not answered, nobody is asked any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """What time it is, and how to wait."""

    now: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep


def live_samples(
    context: RepositoryContext, model: Name, environment: Name, *, environ: Mapping[str, str] = os.environ
) -> ControlSamples | None:
    """What an environment's endpoint answers now to the golden requests of the version that the ledger says is live.

    None where there is no endpoint, nothing is live, or the version has no golden requests. Raises `NotEvaluatedError`
    where the store or the remote does not answer; never for what the server does.
    """
    settings = context.environment(environment)
    if settings is None or settings.endpoint is None:
        return None
    entries = context.of_model(model)
    served = serves(entries, environment, model)
    release = release_of(entries, model, served.version) if served else None
    golden = read_golden(context, release) if release else None
    if served is None or golden is None:
        return None
    return EndpointTest(
        endpoint=settings.endpoint, model=model, served=served, golden=golden, environment=environ
    ).settled(golden)


@dataclass(frozen=True, kw_only=True)
class EndpointTest:
    """An endpoint, and the version that it should serve."""

    endpoint: Endpoint
    model: Name
    served: Served
    golden: Golden | None  # without them it is only asked whether it is ready
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    clock: Clock = Clock()

    def samples(self, golden: Golden, requests: int = 0) -> ControlSamples:
        """Control samples: each golden request once, or so many in turn."""
        server = self._server()
        described = server.metadata()
        if isinstance(described, Fault) and described.code is not EndpointFault.NOT_JSON:
            return samples_of(golden, [Reply(row=0, fault=described)])
        inputs = () if isinstance(described, Fault) else described.inputs or ()
        stated = server.server()
        rows = islice(cycle(range(golden.rows)), max(requests, golden.rows))
        replies = tuple(self._replies(server, golden, inputs, rows))
        name = "" if isinstance(stated, Fault) else clean(f"{stated.name} {stated.version}", _SHOWN)
        return samples_of(golden, replies, server=name)

    def settled(self, golden: Golden) -> ControlSamples:
        """Control samples of an endpoint that is asked again where what is missing may be there in a moment."""
        for _ in range(_LOOKS - 1):
            found = self.samples(golden)
            if found.fault is None or found.fault.code not in _PASSING or found.different:
                return found
            self.clock.pause(self.endpoint.timeout_s / _LOOKS)
        return self.samples(golden)

    def smoke(self, requests: int = 0) -> SmokeResult:
        """Whether the endpoint serves the version, after it was switched on.

        It is asked until it answers as judged, or its time is over: a server that follows its files serves the version
        before for a while, and that one is ready too.
        """
        server, end = self._server(), self.clock.now() + self.endpoint.timeout_s
        fault = server.load() if self.endpoint.load else None
        # A large model may be loaded for longer than an answer is waited for: whether it is there shows below.
        if fault is not None and fault.code is not EndpointFault.SLOW:
            words = sentence("endpoint", "smoke/not-loaded", fault=fault.sentence)
            return self._failed(SmokeReason.ENDPOINT_ABSENT, words)
        while True:
            fault = server.model_ready()
            found = self._not_ready(fault) if fault else self._tested(requests)
            hopeless = fault is not None and fault.code is EndpointFault.NO_TOKEN
            if found.passed or hopeless or self.clock.now() >= end:
                return found
            self.clock.pause(_PAUSE_S)

    def back(self) -> str:
        """Have the endpoint serve the version that was switched back, and say what came of it."""
        version, found = self.served.version, self.smoke()
        if found.passed:
            return sentence("endpoint", "back/good", version=version)
        return sentence("endpoint", "back/bad", version=version, why=found.detail)

    def _tested(self, requests: int) -> SmokeResult:
        if self.golden is None:
            return self._result(SmokeReason.ENDPOINT_AGREES, sentence("endpoint", "smoke/ready"), None, passed=True)
        return self._judged(self.samples(self.golden, requests))

    def _not_ready(self, fault: Fault) -> SmokeResult:
        seconds = self.endpoint.timeout_s
        words = sentence("endpoint", "smoke/not-ready", fault=fault.sentence, seconds=seconds)
        return self._failed(SmokeReason.ENDPOINT_ABSENT, words)

    def _replies(
        self, server: InferenceServer, golden: Golden, inputs: Sequence[TensorForm], rows: Iterable[int]
    ) -> Iterator[Reply]:
        columns, unanswered, end = _columns(golden), 0, self.clock.now() + self.endpoint.timeout_s
        for row in rows:
            if self.clock.now() > end:
                yield Reply(row=row, fault=Fault(code=EndpointFault.SLOW, detail=f"{self.endpoint.timeout_s:g}"))
                return
            reply = _reply(server, golden, _body(columns, inputs, row), row)
            unanswered = 0 if reply.fault is None or reply.fault.code is EndpointFault.INEXPRESSIBLE else unanswered + 1
            yield reply
            if unanswered >= _MOST_FAULTS:
                return

    def _judged(self, found: ControlSamples) -> SmokeResult:
        limit = self.endpoint.p95_ms
        if found.different:
            return self._failed(SmokeReason.ENDPOINT_DIFFERS, sentence("endpoint", "smoke/differs", it=found), found)
        if not found.as_judged:
            case = "absent" if found.asked else "inexpressible"
            words = sentence("endpoint", f"smoke/{case}", it=found, fault=found.why)
            slow = found.fault is not None and found.fault.code is EndpointFault.SLOW
            return self._failed(SmokeReason.ENDPOINT_SLOW if slow else SmokeReason.ENDPOINT_ABSENT, words, found)
        if limit is not None and (found.p95_ms or 0.0) > limit:
            words = sentence("endpoint", "smoke/slow", it=found, limit=limit)
            return self._failed(SmokeReason.ENDPOINT_SLOW, words, found)
        words = sentence("endpoint", "smoke/agrees", it=found)
        return self._result(SmokeReason.ENDPOINT_AGREES, words, found, passed=True)

    def _failed(self, reason: SmokeReason, detail: str, found: ControlSamples | None = None) -> SmokeResult:
        return self._result(reason, detail, found, passed=False)

    def _result(self, reason: SmokeReason, detail: str, found: ControlSamples | None, *, passed: bool) -> SmokeResult:
        return SmokeResult(
            passed=passed,
            reason=reason,
            detail=detail,
            rows=found.equal + found.different if found else 0,
            max_difference=found.max_difference if found else None,
            tolerance=found.tolerance if found else 0.0,
            p95_ms=found.p95_ms if found else None,
            limit_ms=self.endpoint.p95_ms,
        )

    def _server(self) -> InferenceServer:
        return InferenceServer.of(self.endpoint, self.model, self.served, self.environment)


def withdrawn(endpoint: Endpoint, model: Name, served: Served, environment: Mapping[str, str] = os.environ) -> str:
    """Have the endpoint give a model up whose first deployment failed; what came of it. Empty: it follows its files."""
    if not endpoint.load:
        return ""
    fault = InferenceServer.of(endpoint, model, served, environment).unload()
    return sentence("endpoint", "back/still", fault=fault.sentence) if fault else sentence("endpoint", "back/unloaded")


def _columns(golden: Golden) -> tuple[GoldenColumn, ...]:
    if golden.table is None:
        return golden.columns
    from mlbot.ml.golden import columns_of

    return columns_of(golden)


def _body(columns: Sequence[GoldenColumn], inputs: Sequence[TensorForm], row: int) -> bytes | Fault:
    try:
        return request_body(columns, inputs, row)
    except InexpressibleError:
        return Fault(code=EndpointFault.INEXPRESSIBLE)
    except OtherInputsError:
        return Fault(code=EndpointFault.OTHER_INPUTS)


def _reply(server: InferenceServer, golden: Golden, body: bytes | Fault, row: int) -> Reply:
    """What came of one golden request."""
    received = body if isinstance(body, Fault) else server.infer(body, str(row))
    if isinstance(received, Fault):
        return Reply(row=row, fault=received)
    answer, ms = received
    found = predictions_of(answer, golden)
    if isinstance(found, Fault):
        return Reply(row=row, fault=found)
    return Reply(row=row, predictions=found, version=clean(answer.version, _SHOWN), ms=ms)
