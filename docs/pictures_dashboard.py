"""The ledger behind the dashboard's pictures: a year of two models, made up, with what each section shows."""

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from html import escape

from mlbot.config.cost import Cost
from mlbot.events.github import Attempt, RunnerTime
from mlbot.gates.metric import Bound
from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import (
    CostEntry,
    DayEntry,
    DeploymentEntry,
    Entry,
    GateAsked,
    Ledger,
    LookEntry,
    ReleaseEntry,
    SealedEntry,
    SeedValues,
    VerdictEntry,
    WaiverEntry,
)
from mlbot.monitoring.dashboard import dashboard
from mlbot.monitoring.pages import pages
from mlbot.registry.tags import Registry

_START = datetime(2026, 1, 5, 9, tzinfo=UTC)
_MODELS = ("churn", "price")
_PRICES = Cost(prices={"ubuntu-latest": 0.006, "gpu": 0.07}, watts={"default": 60.0, "gpu": 400.0}, utilisation=0.6)


def site() -> dict[str, str]:
    """The pages."""
    ledger = Ledger(entries=tuple(entry for model in _MODELS for entry in _entries(model)))
    made = dashboard(Registry.of(()), ledger, "acme/models", "https://github.com/acme/models", _PRICES)
    # There are no tags behind it, which is no part of what is shown.
    return pages(
        made.model_copy(update={"models": tuple(each.model_copy(update={"notes": ()}) for each in made.models)})
    )


def head(page: str, sections: int) -> str:
    """A page down to a section, for a picture: without the policy that admits its own style alone."""
    hidden = f"section:nth-of-type(n + {sections + 1}), footer {{ display: none !important; }}"
    free = re.sub(r"<meta http-equiv[^>]*>", "", page)
    return free.replace("</style>", f"{hidden}</style>", 1)


def phone(page: str, width: int, height: int) -> str:
    """A page as wide as a phone, which is less than Chromium's narrowest window."""
    frame = f'<iframe srcdoc="{escape(page)}" style="border: 0; width: {width}px; height: {height}px"></iframe>'
    return f'<!doctype html><meta name="color-scheme" content="light dark"><body style="margin: 0">{frame}</body>'


def _entries(model: str) -> Iterator[Entry]:
    for week in range(48):
        yield _verdict(model, week)
        yield _cost(model, week)
        yield from (_look(model, week, number) for number in range(1 + week % 3))
    for number, week in enumerate((6, 17, 29, 41)):
        yield _release(model, number, week)
        yield _deployment(model, number, week, "staging", 1)
        yield _deployment(model, number, week, "production", 3)
    if model == "churn":
        yield _waiver(model, 20)
        yield _waiver(model, 47)
        yield from _sealed(model)
        yield from (_day(model, number) for number in range(40))


def _time(week: float) -> str:
    return (_START + timedelta(days=7 * week)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _digest(*of: object) -> str:
    return f"sha256:{sha256(repr(of).encode()).hexdigest()}"


def _run(model: str, week: int) -> int:
    return 7_000 + 100 * week + 50 * _MODELS.index(model)


def _noise(*of: object) -> float:
    """From -1 to 1, always the same for the same."""
    return int(_digest(*of)[7:15], 16) / 2**31 - 1


def _verdict(model: str, week: int) -> VerdictEntry:
    fails = week in {13, 34}
    auc = 0.905 + 0.02 * (1 - math.exp(-week / 20)) + 0.002 * _noise(model, week) - 0.012 * fails
    loss = 0.42 - (auc - 0.9) * 2
    return VerdictEntry(
        schema_version="mlbot/ledger@2",
        model=model,
        key=_digest(model, "key", week),
        digest=_digest(model, "file", week),
        holdout=_digest(model, "holdout", week >= 30),
        commit=_digest(model, week)[7:47],
        branch="main",
        outcome=Outcome.FAIL if fails else Outcome.PASS,
        reason=Reason.REGRESSION if fails else Reason.ALL_GATES_PASS,
        attempt=Attempt(run=_run(model, week)),
        judge=Attempt(run=_run(model, week) + 1),
        values=(
            SeedValues(metric="roc_auc", values=(auc, auc + 0.001, auc - 0.001)),
            SeedValues(metric="log_loss", values=(loss, loss + 0.002, loss - 0.003)),
            SeedValues(metric="recall", slice="women", values=(auc - 0.2 + 0.01 * _noise(week),)),
        ),
        policy=_digest("rules"),
        gates=(
            _gate("roc_auc", Bound.MIN, 0.9, (auc - 0.006, auc + 0.006)),
            _gate("roc_auc", Bound.MAX_REGRESSION, 0.005, (auc - 0.006, auc + 0.006)),
            _gate("recall@women", Bound.MIN, 0.68, (auc - 0.23, auc - 0.17)),
        ),
        time=_time(week),
    )


def _gate(name: str, bound: Bound, limit: float, interval: tuple[float, float]) -> GateAsked:
    low, high = interval
    return GateAsked(gate=name, bound=bound, limit=limit, outcome=Outcome.PASS, low=low, high=high)


def _cost(model: str, week: int) -> CostEntry:
    seconds = 900 + int(600 * (1 + _noise(model, "cost", week)))
    return CostEntry(
        attempt=Attempt(run=_run(model, week)),
        judge=Attempt(run=_run(model, week) + 1),
        models=(model,),
        branch="main",
        pull_request=100 + week,
        training=(
            RunnerTime(labels=("self-hosted", "gpu"), jobs=3, seconds=seconds, minutes=-(-seconds // 60)),
            RunnerTime(labels=("ubuntu-latest",), jobs=1, seconds=40, minutes=1),
        ),
        judging=(RunnerTime(labels=("ubuntu-latest",), jobs=3, seconds=150, minutes=4),),
        time=_time(week),
    )


def _look(model: str, week: int, number: int) -> LookEntry:
    return LookEntry(
        content=_digest(model, "rows", week >= 30),
        artifact=_digest(model, "look", week, number),
        repository=77,
        pull_request=100 + week,
        actor="lea",
        model=model,
        commit=_digest(model, week)[7:47],
        branch="main",
        attempt=Attempt(run=_run(model, week)),
        report=_digest(model, "report", week),
        time=_time(week),
    )


def _release(model: str, number: int, week: int) -> ReleaseEntry:
    return ReleaseEntry(
        model=model,
        version=f"1.{number}.0",
        digest=_digest(model, "file", week),
        commit=_digest(model, week)[7:47],
        key=_digest(model, "key", week),
        attempt=Attempt(run=_run(model, week)),
        judge=Attempt(run=_run(model, week) + 1),
        seed=0,
        actor="ada",
        time=_time(week + 0.2),
    )


def _deployment(model: str, number: int, week: int, environment: str, days: int) -> DeploymentEntry:
    return DeploymentEntry(
        model=model,
        version=f"1.{number}.0",
        digest=_digest(model, "file", week),
        id=f"{model}/{environment}/{number + 1}",
        sequence=number + 1,
        environment=environment,
        action="promotion",
        state="succeeded",
        actor="ada",
        time=_time(week + 0.2 + days / 7),
    )


def _waiver(model: str, week: int) -> WaiverEntry:
    return WaiverEntry(
        model=model,
        key=_digest(model, "key", week),
        policy=_digest("rules"),
        gate="recall@women.min",
        reason="The holdout was relabelled; agreed with the data owners.",
        actor="grace",
        pull_request=100 + week,
        comment=9_000 + week,
        commit=_digest(model, week)[7:47],
        branch="main",
        time=_time(week),
    )


def _sealed(model: str) -> Iterator[SealedEntry]:
    for number, state in enumerate(("pass", "not-shown", "pass", "pass")):
        yield SealedEntry(
            model=model,
            id=f"{number + 1}.1",
            sequence=number + 1,
            state=state,  # type: ignore[arg-type] # one of them
            version=f"1.{number}.0",
            digest=_digest(model, "file", number),
            baseline=None,
            rules=_digest("rules"),
            policy=_digest(model, number)[7:47],
            content=_digest(model, "sealed"),
            key=_digest("key"),
            actor="ada",
            time=_time(6 + 11 * number),
        )


def _day(model: str, number: int) -> DayEntry:
    date = (_START + timedelta(days=7 * 42 + number)).date()
    requests = int(1_800 + 500 * math.sin(number / 7 * 2 * math.pi) + 150 * _noise(number))
    return DayEntry(
        model=model,
        environment="production",
        version="1.3.0",
        date=date.isoformat(),
        requests=requests,
        errors=number % 4,
        time=f"{date + timedelta(days=1)}T01:00:00Z",
    )
