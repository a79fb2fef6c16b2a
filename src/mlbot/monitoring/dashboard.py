"""What the ledger says over time of all models and of each: pure folds over its entries, for pages and as JSON.

Every text in it comes from the ledger, which whoever may push could have written: templates escape it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from mlbot.config.cost import Cost, Estimate
from mlbot.events.github import Attempt, Id, RunnerTime, added
from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import (
    CostEntry,
    Date,
    DayEntry,
    DeploymentEntry,
    Entry,
    GateAsked,
    Ledger,
    LiveValue,
    LookEntry,
    ReleaseEntry,
    SealedEntry,
    SealedState,
    Time,
    VerdictEntry,
    WaiverEntry,
)
from mlbot.ledger.queries import believable, deployments, not_passed, sealed_looks
from mlbot.lib.record import Count, Digest, Name, Record, Sha
from mlbot.monitoring.health import Health
from mlbot.registry import views
from mlbot.registry.tags import Registry

MOST_REFUSED = 10
"""As `mlbot.stats.sealed` has it, which needs numpy; a test holds the two together."""


class Judged(Record):
    """A verdict on the guarded branch."""

    time: Time
    branch: str
    commit: Sha
    outcome: Outcome
    reason: Reason
    provisional: bool
    attempt: Attempt
    judge: Attempt
    digest: Digest | None
    holdout: Digest | None


class Measured(Record):
    """What a metric came to in a verdict."""

    verdict: Count  # its place in `ModelHistory.verdicts`
    value: float  # of the file that ships
    low: float | None = None
    high: float | None = None
    interval: Literal["rows", "seeds"] | None = None
    """Of what: the two-sided 90 % interval over rows, or the lowest and highest of the verdict's seeds."""


class Limit(Record):
    """A gate's limit from a verdict on, until there is another one of the bound."""

    verdict: Count  # the first that was judged by it: its place in `ModelHistory.verdicts`
    bound: str
    limit: float | None  # None: the gate is no more


class MetricHistory(Record):
    """A metric on a guarded branch, verdict by verdict, oldest first."""

    metric: str
    slice: str | None = None
    branch: str
    limits: tuple[Limit, ...] = ()  # oldest first
    measured: tuple[Measured, ...]

    @property
    def asked(self) -> tuple[Limit, ...]:
        """The limits as the newest verdict has them."""
        newest = {each.bound: each for each in self.limits}
        return tuple(each for each in newest.values() if each.limit is not None)

    @property
    def subject(self) -> str:
        """As gates name it."""
        return f"{self.metric}@{self.slice}" if self.slice else self.metric


class HoldoutLooks(Record):
    """How often the figures of some artifact on these rows were reported."""

    rows: str  # the beginning of their digest
    artifacts: Count
    pull_requests: Count
    most: Count  # of one pull request
    newest: Time


class SealedLook(Record):
    """A release's look at sealed rows."""

    time: Time
    version: str
    state: SealedState
    replayed: bool
    actor: str
    run: Attempt | None = None


class SealedLooks(Record):
    """The looks at sealed rows: each that does not pass makes the next one harder, until the rows are spent."""

    looks: tuple[SealedLook, ...] = ()  # oldest first
    not_passed: Count = 0
    left: Count


class Waiver(Record):
    """A gate that somebody answered for."""

    time: Time
    gate: str
    actor: str
    reason: str
    commit: Sha
    pull_request: Id | None = None
    open: bool  # whether it is of the content and the rules of the newest verdict on the branch


class Stay(Record):
    """A version in an environment, until the next one came."""

    version: str
    since: Time
    until: Time | None = None  # None: it is live


class Place(Record):
    """An environment over time, oldest first."""

    environment: str
    stays: tuple[Stay, ...]


class Day(Record):
    """A day of production."""

    date: Date
    version: str
    requests: Count | None = None  # None: only its labels are known
    errors: Count | None = None
    labelled: Count | None = None
    live: tuple[LiveValue, ...] = ()


class Watched(Record):
    """A model in production, day by day."""

    environment: str
    health: Health | None = None  # as of the newest day; None where numpy is not installed
    days: tuple[Day, ...]  # oldest first


class Attempted(Record):
    """What one attempt took of runners, with what that comes to."""

    time: Time
    attempt: Attempt
    judge: Attempt
    models: tuple[Name, ...]
    pull_request: Id | None = None
    trial: bool = False
    training: tuple[RunnerTime, ...]
    judging: tuple[RunnerTime, ...]
    estimate: Estimate


class Month(Record):
    """What the attempts of a month took of runners."""

    month: str
    attempts: Count
    estimate: Estimate


class Costs(Record):
    """What attempts took of runners, by the prices of mlbot.yaml. A run of several models is of each."""

    attempts: tuple[Attempted, ...]  # oldest first
    months: tuple[Month, ...]
    runners: tuple[RunnerTime, ...]  # all of them together, by their labels
    estimate: Estimate
    currency: str
    utilisation: float
    intensity: float | None = None


class ModelHistory(Record):
    """A model over time."""

    model: str
    latest: str | None = None  # its highest version
    environments: tuple[views.EnvironmentView, ...] = ()
    verdicts: tuple[Judged, ...] = ()  # oldest first
    metrics: tuple[MetricHistory, ...] = ()  # what is gated first
    versions: tuple[views.VersionView, ...] = ()
    places: tuple[Place, ...] = ()
    events: tuple[views.RegistryEvent, ...] = ()
    looks: tuple[HoldoutLooks, ...] = ()
    sealed: SealedLooks | None = None
    waivers: tuple[Waiver, ...] = ()
    watched: tuple[Watched, ...] = ()
    cost: Costs | None = None
    notes: tuple[str, ...] = ()

    @property
    def newest(self) -> Judged | None:
        """The newest verdict."""
        return self.verdicts[-1] if self.verdicts else None

    @property
    def open_waivers(self) -> int:
        """How many waivers the newest verdict's content rests on."""
        return sum(each.open for each in self.waivers)


class Dashboard(Record):
    """All that the pages show."""

    schema_version: Literal["mlbot/dashboard@1"] = "mlbot/dashboard@1"
    repository: str
    repository_url: str | None = None  # None where origin is no repository on a server
    newest: Time | None = None  # the newest entry's
    entries: Count
    environments: tuple[str, ...] = ()
    models: tuple[ModelHistory, ...] = ()
    locks: tuple[views.LockView, ...] = ()
    cost: Costs | None = None
    problems: tuple[str, ...] = ()


def dashboard(
    registry: Registry, ledger: Ledger, repository: str, url: str | None = None, cost: Cost | None = None
) -> Dashboard:
    """The ledger and the tags as they are shown; `cost` has what runners cost."""
    found = views.view(registry, ledger.entries, ledger.problems, whole=False)
    by_model = _by_model(ledger.entries)
    rows = _looks_of_rows(ledger.entries)
    sealed = _sealed(sealed_looks(ledger.entries))
    costs = _costs(ledger.entries, cost or Cost())
    known = {each.model: each for each in found.models}
    names = sorted({*known, *by_model, *rows, *(name for name in costs if name)})
    return Dashboard(
        repository=repository,
        repository_url=url,
        newest=_newest(ledger.entries),
        entries=len(ledger.entries),
        environments=found.environments,
        models=tuple(
            _model(registry, found, known.get(name) or views.ModelView(model=name, versions=0), by_model.get(name, []))
            .model_copy(update={"looks": rows.get(name, ()), "sealed": sealed.get(name), "cost": costs.get(name)})
            for name in names
        ),
        locks=found.locks,
        cost=costs.get(None),
        problems=found.problems,
    )  # fmt: skip


def _newest(entries: Iterable[Entry]) -> Time | None:
    return max((each.time for each in entries), default=None)


def _by_model(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """The entries of each model; looks, which are of rows, are left out."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        model = None if isinstance(entry, LookEntry) else getattr(entry, "model", None)
        if isinstance(model, str):
            found.setdefault(model, []).append(entry)
    return found


def _model(
    registry: Registry, found: views.RegistryView, model: views.ModelView, entries: Sequence[Entry]
) -> ModelHistory:
    name = model.model
    acts = [each for each in entries if isinstance(each, ReleaseEntry | DeploymentEntry)]
    detail = views.detail(registry, acts, found, model) if acts or registry.of_model(name).versions else None
    judged = sorted((each for each in entries if isinstance(each, VerdictEntry)), key=lambda each: each.order)
    return ModelHistory(
        model=name,
        latest=model.latest,
        environments=model.environments,
        verdicts=tuple(map(_judged, judged)),
        metrics=_metrics(judged),
        versions=detail.versions if detail else (),
        places=tuple(_places(acts)),
        events=views.history(entries, name),
        waivers=tuple(_waivers(entries, judged)),
        watched=tuple(_watched(entries, name)),
        notes=detail.notes if detail else (),
    )


def _judged(entry: VerdictEntry) -> Judged:
    # Not checked again, here and of metrics: there may be many, and all of it is an entry's.
    return Judged.model_construct(**{name: getattr(entry, name) for name in Judged.model_fields})


# --- metrics

_Subject = tuple[str, str, str | None]  # branch, metric, slice
_Asked = tuple[_Subject, str]  # and the bound


def _metrics(judged: Sequence[VerdictEntry]) -> tuple[MetricHistory, ...]:
    """Each metric on each branch: the branch with most verdicts first, and of it what is gated, then the rest."""
    found: dict[_Subject, list[Measured]] = {}
    limits: dict[_Subject, list[Limit]] = {}
    asked: dict[str, dict[_Asked, float]] = {}  # by branch
    for place, entry in enumerate(judged):
        if entry.gates:  # there are none where nothing could be judged, and in what an earlier mlbot wrote
            now = {(_subject(entry.branch, each.gate), each.bound.value): each.limit for each in entry.gates}
            for (subject, bound), limit in _changed(asked.get(entry.branch, {}), now):
                limits.setdefault(subject, []).append(Limit(verdict=place, bound=bound, limit=limit))
            asked[entry.branch] = now
        for measured, metric, slice_ in _measured(place, entry):
            found.setdefault((entry.branch, metric, slice_), []).append(measured)
    most = Counter(each.branch for each in judged)
    order = sorted(found, key=lambda each: (-most[each[0]], each[0], each not in limits, each[2] is not None))
    return tuple(
        MetricHistory.model_construct(
            branch=key[0],
            metric=key[1],
            slice=key[2],
            limits=tuple(limits.get(key, ())),
            measured=tuple(found[key]),
        )
        for key in order
    )


def _subject(branch: str, gate: str) -> _Subject:
    metric, _, slice_ = gate.partition("@")
    return branch, metric, slice_ or None


def _changed(before: Mapping[_Asked, float], now: Mapping[_Asked, float]) -> Iterator[tuple[_Asked, float | None]]:
    """What is not as it was; None for what is no more."""
    for each in now if now.keys() == before.keys() else dict.fromkeys((*before, *now)):
        if now.get(each) != before.get(each):
            yield each, now.get(each)


def _measured(place: int, entry: VerdictEntry) -> Iterator[tuple[Measured, str, str | None]]:
    """The figures of the file that ships; its interval over rows where a gate's is recorded, else the seeds' range."""
    known = {each.gate: each for each in entry.gates or () if each.low is not None and each.high is not None}
    for each in entry.values:
        value = each.values[0] if each.values else None
        if value is None:
            continue
        gate = known.get(f"{each.metric}@{each.slice}" if each.slice else each.metric)
        low, high, interval = _interval(gate, [other for other in each.values if other is not None])
        found = Measured.model_construct(verdict=place, value=value, low=low, high=high, interval=interval)
        yield found, each.metric, each.slice


def _interval(
    gate: GateAsked | None, seeds: Sequence[float]
) -> tuple[float | None, float | None, Literal["rows", "seeds"] | None]:
    if gate is not None:
        return gate.low, gate.high, "rows"
    return (min(seeds), max(seeds), "seeds") if len(seeds) > 1 else (None, None, None)


# --- versions and environments


def _places(acts: Sequence[Entry]) -> Iterator[Place]:
    """What was live in each environment, one after the other."""
    rows: dict[Name, list[DeploymentEntry]] = {}
    for each in deployments(acts):
        if each.state == "succeeded":
            rows.setdefault(each.environment, []).append(each)
    for environment, row in rows.items():
        times = believable([each.time for each in row])
        ends: tuple[Time | None, ...] = (*times[1:], None)
        yield Place(
            environment=environment,
            stays=tuple(
                Stay(version=f"v{each.version}", since=since, until=until)
                for each, since, until in zip(row, times, ends, strict=True)
            ),
        )


def _waivers(entries: Iterable[Entry], judged: Sequence[VerdictEntry]) -> Iterator[Waiver]:
    """Every waiver, the newest first."""
    last = {each.branch: each for each in judged}
    bound = {(each.key, each.policy) for each in last.values()}
    found = (each for each in entries if isinstance(each, WaiverEntry))
    for each in sorted(found, key=lambda each: (each.time, each.order, each.gate), reverse=True):
        yield Waiver(
            time=each.time,
            gate=each.gate,
            actor=each.actor,
            reason=each.reason,
            commit=each.commit,
            pull_request=each.pull_request,
            open=(each.key, each.policy) in bound,
        )


# --- production


def _watched(entries: Sequence[Entry], model: Name) -> Iterator[Watched]:
    """The environments of a model that days are known of."""
    rows: dict[Name, dict[tuple[Date, str], list[DayEntry]]] = {}
    for each in entries:
        if isinstance(each, DayEntry):
            rows.setdefault(each.environment, {}).setdefault((each.date, each.version), []).append(each)
    for environment, row in sorted(rows.items()):
        days = tuple(_day(row[key]) for key in sorted(row))
        yield Watched(environment=environment, health=_health(entries, model, environment, days[-1].date), days=days)


def _day(entries: Sequence[DayEntry]) -> Day:
    """What was written of a day when it was over, and of its labels what was known last."""
    ordered = sorted(entries, key=lambda each: (each.order, each.model_dump_json(exclude={"time"})))
    first = next((each for each in ordered if each.requests is not None), ordered[0])
    last = next((each for each in reversed(ordered) if each.labelled), first)
    return Day(
        date=first.date,
        version=f"v{first.version}",
        requests=first.requests,
        errors=first.errors,
        labelled=last.labelled,
        live=last.live or first.live,
    )


def _health(entries: Sequence[Entry], model: Name, environment: Name, day: Date) -> Health | None:
    try:
        from mlbot.monitoring.fold import health_of
    except ImportError:  # it computes with numpy, which who only reads the ledger need not have
        return None
    return health_of(entries, model, environment, day)


# --- looks


def _looks_of_rows(entries: Iterable[Entry]) -> dict[str, tuple[HoldoutLooks, ...]]:
    """The looks at each holdout, by each model that was judged on it: rows have looks, whatever their model is."""
    rows: dict[Digest, list[LookEntry]] = {}
    for each in entries:
        if isinstance(each, LookEntry):
            rows.setdefault(each.content, []).append(each)
    found: dict[str, list[HoldoutLooks]] = {}
    for content, looks in rows.items():
        counted = _looks(content, looks)
        for model in {each.model for each in looks}:
            found.setdefault(model, []).append(counted)
    return {
        model: tuple(sorted(each, key=lambda one: (one.newest, one.rows), reverse=True))
        for model, each in found.items()
    }


def _looks(content: Digest, looks: Sequence[LookEntry]) -> HoldoutLooks:
    pulls = Counter((each.repository, each.pull_request) for each in looks if each.pull_request is not None)
    return HoldoutLooks(
        rows=content.removeprefix("sha256:")[:12],
        artifacts=len({each.artifact for each in looks}),
        pull_requests=len(pulls),
        most=max(pulls.values(), default=0),
        newest=max(each.time for each in looks),
    )


def _sealed(every: Sequence[SealedEntry]) -> dict[str, SealedLooks]:
    """The looks of each model that has some; what is left is of its newest rows, whatever their model is called."""
    by_model: dict[str, list[SealedEntry]] = {}
    for each in every:
        by_model.setdefault(each.model, []).append(each)
    found = {}
    for model, looks in by_model.items():
        refused = not_passed(every, model)
        shown = tuple(map(_sealed_look, looks))
        found[model] = SealedLooks(looks=shown, not_passed=refused, left=max(0, MOST_REFUSED - refused))
    return found


def _sealed_look(each: SealedEntry) -> SealedLook:
    return SealedLook(
        time=each.time,
        version=f"v{each.version}",
        state=each.state,
        replayed=each.replays is not None,
        actor=each.actor,
        run=each.run,
    )


# --- cost


def _costs(entries: Iterable[Entry], rules: Cost) -> dict[Name | None, Costs]:
    """What the attempts of each model took, and under None of all."""
    of: dict[Name | None, list[CostEntry]] = {}
    for each in entries:
        if isinstance(each, CostEntry):
            for name in (None, *each.models):
                of.setdefault(name, []).append(each)
    return {name: _cost(found, rules) for name, found in of.items()}


def _seconds(times: Iterable[RunnerTime]) -> int:
    return sum(each.seconds for each in times)


def _cost(entries: Sequence[CostEntry], rules: Cost) -> Costs:
    attempts, months = [], dict[str, list[RunnerTime]]()
    counted, seen = Counter[str](), set[tuple[str, Attempt]]()
    for each in sorted(entries, key=lambda each: (each.order, -_seconds(each.judging), each.pull_request or 0)):
        # Several pull requests may have one head, and a training may be judged again: each time counts once, and of
        # what the judge took the longest, which is that of the last of them.
        training = each.training if ("training", each.attempt) not in seen else ()
        judging = each.judging if ("judging", each.judge) not in seen else ()
        seen |= {("training", each.attempt), ("judging", each.judge)}
        if not (training or judging):
            continue
        months.setdefault(each.time[:7], []).extend((*training, *judging))
        counted[each.time[:7]] += 1
        facts = {name: getattr(each, name) for name in ("time", "attempt", "judge", "models", "pull_request", "trial")}
        estimate = rules.estimate((*training, *judging))
        attempts.append(Attempted(**facts, training=training, judging=judging, estimate=estimate))
    every = [time for found in months.values() for time in found]
    return Costs(
        attempts=tuple(attempts),
        months=tuple(
            Month(month=month, attempts=counted[month], estimate=rules.estimate(months[month]))
            for month in sorted(months)
        ),
        runners=added(every),
        estimate=rules.estimate(every),
        currency=rules.currency,
        utilisation=rules.utilisation,
        intensity=rules.intensity,
    )
