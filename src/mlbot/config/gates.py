"""What is measured and what has to hold: the sections `slices`, `metrics` and `gates`."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from operator import attrgetter
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from mlbot.config import kinds
from mlbot.config.errors import (
    NAME_FORM,
    Plain,
    Problem,
    Refused,
    quote,
    refused,
    show_value,
)
from mlbot.config.kinds import (
    Context,
    Kind,
    Schema,
    Section,
    choice,
    collect,
    kind,
    list_of,
    named,
    read_number,
    read_text,
    whole,
    wrong_name,
)
from mlbot.config.slice_sql import ConditionError, check
from mlbot.gates.metric import (
    ALIASES,
    CATALOGUE,
    OPERATIONAL,
    Bound,
    Direction,
    Gain,
    Gate,
    Metric,
    Settings,
    Task,
    at_places,
    bounds_of,
    bounds_taken,
    catalogued,
    taken_by,
)
from mlbot.lib.record import Name


def _where(value: Plain) -> str:
    written = read_text(value, 'an SQL condition such as "age < 25"', limit=100_000, lines=True)
    try:
        check(written)
    except ConditionError as error:
        raise Refused(Problem(error.what, error.hint, detail=error.caret)) from None
    return written


_GIVEN = tuple(bound for bound in Bound if bound is not Bound.ANCHOR)  # the anchor follows from `max_regression`

# `roc_auc@women.min` names one gate of the slice `women`, and must not name all gates of another.
MEASURED_FORM = rf"(?!.*\.(?:{'|'.join(Bound)})$){NAME_FORM}"
MEASURED_WORDS = f"{Section.name_words}, not ending in {', '.join(f'`.{bound}`' for bound in Bound)}"


class Slice(Section):
    """A named subset of the holdout: a condition, or a mapping."""

    short: ClassVar[str] = "where"
    name_form: ClassVar[str] = MEASURED_FORM
    name_words: ClassVar[str] = MEASURED_WORDS

    name: Name
    where: Annotated[str, kind(_where, **kinds.SCRIPT.schema())]
    """An SQL condition over the holdout's columns: `sex = 'Female' AND age < 25`."""
    min_rows: Annotated[int, whole(1)] = 500
    """Below this many rows only what is clear of the noise counts; what is undecided there is shown."""


_OTHER_TASK: Mapping[str, tuple[str, ...]] = {
    "roc_auc": ("roc_auc_ovr", "roc_auc_macro"),
    "roc_auc_ovr": ("roc_auc_macro", "roc_auc"),
    "roc_auc_macro": ("roc_auc_ovr", "roc_auc"),
} | {name: (f"{name}_macro",) for name in ("f1", "precision", "recall", "jaccard", "average_precision")}
"""What a metric of two classes is called where there are more, or several labels; the first that fits."""
# scikit-learn: https://scikit-learn.org/stable/modules/model_evaluation.html (functions ending with …)
_CONVENTION = {
    "_score": Direction.HIGHER,
    "_loss": Direction.LOWER,
    "_error": Direction.LOWER,
    "_cost": Direction.LOWER,
}


def _own_name(value: Plain, context: Context) -> str:
    name = read_text(value, "a metric's name")
    if (name in CATALOGUE and name != catalogued(str(context.given.get("metric")))) or name in OPERATIONAL:
        found = f"{quote(name)} for a metric of yours"
        raise refused(value, "another name with `name:`; that one has a meaning", found=found)
    if wrong := wrong_name(OwnMetric, name):
        raise Refused(wrong)
    return name


_OWN_NAME = Kind(_own_name, lambda: {"type": "string", "pattern": f"^{MEASURED_FORM}$"})


class OwnMetric(Section):
    """A metric of your own, by its function or as a mapping; read from the guarded branch."""

    short: ClassVar[str] = "function"
    name_form: ClassVar[str] = MEASURED_FORM
    name_words: ClassVar[str] = MEASURED_WORDS

    function: Annotated[str, kinds.FUNCTION]
    """The metric's `module:function`."""
    name: Annotated[str, _OWN_NAME] = ""
    """What gates and reports call it. Left out: the function's name."""
    direction: Annotated[Direction | None, choice(tuple(Direction))] = None
    """Which way is better: `higher` or `lower`.
    Left out: scikit-learn's convention: `…_score` is better higher, `…_loss`, `…_error` and `…_cost` lower; else a gate
    on it tells, `min` for higher, `max` for lower."""

    @classmethod
    def completed(cls, context: Context) -> dict[str, Any]:
        """With the function's name as its own, and the direction that a convention gives it."""
        function = context.made["function"]
        name = context.made.get("name") or _own_name(function.partition(":")[2], context)
        endings = ((text, ending) for text in (name, function) for ending in _CONVENTION)
        known = next((_CONVENTION[ending] for text, ending in endings if text.endswith(ending)), None)
        return {"name": name, "direction": known, **context.made}


def _catalogues_name(value: Plain, context: Context) -> str:
    name = read_text(value, "a metric's name")
    if context.around and (wrong := _misfit(name, context.around)):
        raise Refused(wrong)
    return catalogued(name)


def _check_taken(setting: str, metric: str | None, value: Plain) -> None:
    taken = taken_by(metric or "")
    if metric is not None and setting not in taken:
        listed = " or ".join(f"`{each}`" for each in taken)
        raise refused(value, f"{listed}, which it takes" if taken else "none", found=f"`{setting}` for {metric}")


def _setting(name: str, what: str, low: float, high: float, *, of: type[int] | type[float] = float) -> Kind:
    def read(value: Plain, context: Context) -> float:
        metric = context.made.get("metric")
        _check_taken(name, metric, value)
        if of is int and not isinstance(value, int):
            raise refused(value, what)
        return of(read_number(value, what, low, high))

    return Kind(read, lambda: {"type": "integer" if of is int else "number", "minimum": low, "maximum": high})


def _agreed(value: Plain, context: Context) -> float:
    agreed: float = _ZERO_DIVISION.read(whole(0, 1).read(value, context), context)
    return agreed


_ZERO_DIVISION = _setting("zero_division", "0 or 1", 0.0, 1.0)


_GAINS = choice(tuple(Gain))


def _gain(value: Plain, context: Context) -> Any:
    _check_taken("gain", context.made.get("metric"), value)
    return _GAINS.read(value, context)


def _set_name(metric: str, settings: Mapping[str, Any]) -> str:
    """What a metric is called by its settings, where these make it another figure with a history of its own."""
    name, k = catalogued(metric), settings.get("k")
    if name in CATALOGUE and Task.RANKING in CATALOGUE[name].tasks:
        name = at_places(name, k) if isinstance(k, int) else name
        name = f"{name}_exponential" if settings.get("gain") == Gain.EXPONENTIAL else name
    return name if settings.get("clip") is None else f"{name}_clipped"


class SetMetric(Section):
    """A metric of the catalogue with a setting of its own."""

    metric: Annotated[str, Kind(_catalogues_name, lambda: {"enum": [*CATALOGUE, *ALIASES]})]
    """The metric's name in the table."""
    name: Annotated[str, _OWN_NAME] = ""
    """What gates and reports call it, so that there can be several. Left out: the metric's name; with `clip`
    `log_loss_clipped`, and with `k` of a ranking `ndcg_at_7`, for these are figures with a history of their own."""
    alpha: Annotated[float | None, _setting("alpha", "a number from 0 to 1", 0.0, 1.0)] = None
    """Of `mean_pinball_loss`: the quantile that the model predicts. Left out: 0.5."""
    k: Annotated[int | None, _setting("k", "a whole number from 1 to 1000", 1, 1000, of=int)] = None
    """Of `top_k_accuracy`: among how many of the most probable classes the right one has to be. Left out: 2. Of a
    ranking: how many of the first places count. Left out: all; 10 for those called `_at_k`."""
    zero_division: Annotated[float | None, Kind(_agreed, lambda: {"enum": [0, 1]})] = None
    """Of precision, recall, F1, Jaccard, MCC and kappa: the value where there is nothing to take a share of, 0 or 1,
    such as the precision of a model that predicts no row to be positive. Left out: such a figure is undefined; those
    called `_samples` are 0 on such a row, and those of a ranking on a query without a relevant row."""
    gain: Annotated[Gain | None, Kind(_gain, _GAINS.schema)] = None
    """Of `ndcg`: `linear`, a relevance is worth itself, or `exponential`, 2 to its power less 1, as in LightGBM.
    Left out: `linear`, as in scikit-learn."""
    clip: Annotated[float | None, _setting("clip", "a number from 1e-12 to 0.1", 1e-12, 0.1)] = None
    """Of `log_loss`: probabilities below it, and above one less it, are taken for these, so that a few rows of which a
    model is wrongly certain do not outweigh all others; those of several classes are then divided by their sum. With
    another `clip` write another `name`. Left out: 2.2e-16, as scikit-learn does."""

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """A clipped loss is not called what the other is: the ledger knows figures by their names."""
        if context.made.get("clip") is not None and context.made.get("name") == context.made.get("metric"):
            yield Problem("`log_loss` for a clipped one", "leave `name` out, or write another", ("name",))

    def made(self) -> Metric:
        """The catalogue's metric, so set."""
        known = CATALOGUE[self.metric]
        given = self.model_dump(include=set(Settings.model_fields))
        name, settings = self.name or _set_name(known.name, given), Settings(**given)
        if name in CATALOGUE and CATALOGUE[name].settings == settings:
            return CATALOGUE[name]
        other = name != known.name
        return known.model_copy(update={"name": name, "of": known.name if other else None, "settings": settings})


def _metric(item: Plain, context: Context) -> Metric:
    if isinstance(item, dict) and "metric" in item:
        return SetMetric.read(item, context).made()
    if isinstance(item, dict) or (isinstance(item, str) and ":" in item):
        return _own_metric(item, context)
    name = read_text(item, "a metric's name or module:function")
    if name in OPERATIONAL:
        raise refused(item, "it under `gates` only; it is always measured")
    if wrong := _misfit(name, context):
        raise Refused(wrong)
    return CATALOGUE[catalogued(name)]


def _own_metric(item: Plain, context: Context) -> Metric:
    own = OwnMetric.read(item, context)
    direction = own.direction or _direction(own.name, context)
    if direction is None:
        hint = f"{{function: {own.function}, direction: higher}} or lower: which way is better?"
        raise refused(item, hint, found=f"{quote(own.name)} without a direction")
    tasks = frozenset([context.made["task"]] if "task" in context.made else Task)
    return Metric(name=own.name, direction=direction, tasks=tasks, function=own.function)


def _direction(name: str, context: Context) -> Direction | None:
    """What the gates on a metric say of its direction: a `min` wants it high, a `max` low."""
    if "ways" not in context.found:
        context.found["ways"] = ways = dict[str, set[Direction]]()
        for subject, rule in context.inside("gates").items():
            bounds = rule.keys() if isinstance(rule, dict) else ()
            found = {way for way, bound in ((Direction.HIGHER, "min"), (Direction.LOWER, "max")) if bound in bounds}
            ways.setdefault(subject.partition("@")[0], set()).update(found)
    known = context.found["ways"].get(name, set())
    return next(iter(known)) if len(known) == 1 else None


_NEGATED = "neg_"  # scikit-learn's scorers with a turned sign


def _misfit(written: str, context: Context, others: Iterable[str] = ()) -> Problem | None:
    task, name = context.made.get("task"), catalogued(written)
    fitting = {known.name: known for known in CATALOGUE.values() if task is None or task in known.tasks}
    if name in fitting:
        return None
    names = list(dict.fromkeys((*fitting, *others)))
    if task is Task.RANKING and (places := _of_places(written)):
        return Problem(
            _unfit(written, task), f"write {places}; `@` names a slice" if "@" in written else f"write {places}"
        )
    whole = catalogued(written.lower().replace("-", "_"))
    plain = catalogued(whole.removesuffix("_samples"))
    simple = plain.removesuffix("_macro").removesuffix("_weighted").removesuffix("_ovr")
    meant = next((each for each in (whole, plain, *_OTHER_TASK.get(plain, ()), simple) if each in names), None)
    short = [alias for alias, known in ALIASES.items() if known in fitting and not alias.startswith(_NEGATED)]
    guess = meant or context.guess(written, (*names, "module:function"), short)
    return Problem(_unfit(written, task), f"write {guess}")


_PLACES = re.compile(r"([A-Za-z_]+?)(?:@|_at_|@_?k_?=?)([1-9][0-9]{0,2})")
_RANKINGS = {"hits": "hit_rate", "hit": "hit_rate", "p": "precision", "success": "hit_rate", "r": "recall"}


def _of_places(written: str) -> str | None:
    """What is meant by `ndcg@10` or `ndcg_at_7`."""
    found = _PLACES.fullmatch(written)
    if found is None:
        return None
    base, k = catalogued(found[1].lower()), found[2]
    base = _RANKINGS.get(base, base)
    name = at_places(base, int(k))
    formula = next((each for each in (base, f"{base}_at_k") if each in CATALOGUE and "k" in taken_by(each)), None)
    return name if name in CATALOGUE else f"{{metric: {formula}, k: {k}}}" if formula else None


def _unfit(name: str, task: Task | None) -> str:
    return (
        f"{quote(name)}, which is not for {task} models"
        if catalogued(name) in CATALOGUE
        else f"the unknown metric {quote(name)}"
    )


def _called(name: str, model: Context) -> str:
    """A metric's name in gates as reports have it: the catalogue's, unless one of the model's own is called so."""
    if "own" not in model.found:
        model.found["own"] = {name for name, is_own in _measured(model).items() if is_own}
    return name if name in model.found["own"] else catalogued(name)


def _bounds(metric: str, model: Context) -> tuple[float, float]:
    """The least and the greatest value that a metric can have: what the config says of a score's."""
    if (evaluate := model.made.get("evaluate")) is None:
        return bounds_of(metric)
    return next((each.range for each in evaluate.metrics if each.name == metric and each.range), (-math.inf, math.inf))


def _limit(bound: Bound) -> Kind:
    def read(value: Plain, context: Context) -> float:
        written = context.name.partition("@")[0]
        metric = _called(written, context.around or context)
        if bound is Bound.MIN and written.startswith(_NEGATED) and metric != written:
            write = f"`max` with a value of {metric}, as it is read: lower is better"
            raise refused(value, write, found=f"`min` for {written}")
        if bound not in bounds_taken(metric):
            raise refused(value, _instead_of(bound, metric), found=f"`{bound}` for {written}")
        low, high = _bounds(metric, context.around or context)
        match bound:
            case Bound.MAX_REGRESSION:
                low, high = 0.0, high - low
            case Bound.MAX_RATIO:
                low, high = 1.0, math.inf
        return read_number(value, _in_words(low, high), low, high)

    return Kind(read, lambda: {"type": "number", **_LEAST.get(bound, {})})


_LEAST: Mapping[Bound, Schema] = MappingProxyType(
    {Bound.MAX_REGRESSION: {"minimum": 0}, Bound.MAX_EXCESS: {"minimum": 0}, Bound.MAX_RATIO: {"minimum": 1}}
)


def _instead_of(bound: Bound, metric: str) -> str:
    """What to write where a metric does not take a bound; who wants a change bounded is shown how."""
    taken = bounds_taken(metric)
    match metric:
        case "negative_flips" if bound is not Bound.MIN:
            return "`max_excess: 0.01`: how many more rows may flip than another seed of the baseline flips"
        case "latency_p50_ms" if bound is not Bound.MIN:
            return "`max_ratio: 1.2`: how many times the baseline's it may be"
        case "latency_p95_ms" if bound.is_relative:
            return "`latency_p50_ms: {max_ratio: 1.2}`; one of p95 would be judged by chance"
        case _ if metric in OPERATIONAL or len(taken) == 1:
            listed = " or ".join(f"`{each}`" for each in taken)
            return f"{listed}, the {'bounds' if len(taken) > 1 else 'only bound'} it takes"
        case _:
            return "`max_regression`: how much worse than the baseline's it may be, in the metric's own units"


def _in_words(low: float, high: float) -> str:
    if low == -math.inf:
        return "a number" if high == math.inf else f"a number of at most {high:g}"
    return f"a number, {low:g} or more" if high == math.inf else f"a number from {low:g} to {high:g}"


class GateRule(Section):
    """The bounds on a metric, or on a metric of a slice: at least one, each a gate of its own."""

    constraints: ClassVar[Schema] = {"anyOf": [{"required": [bound]} for bound in _GIVEN]}
    name_form: ClassVar[str] = r"[\s\S]*"

    name: str
    min: Annotated[float | None, _limit(Bound.MIN)] = None
    """Fails when the metric is below. Left out: no such bound."""
    max: Annotated[float | None, _limit(Bound.MAX)] = None
    """Fails when the metric is above. Left out: no such bound."""
    max_regression: Annotated[float | None, _limit(Bound.MAX_REGRESSION)] = None
    """How much worse than the baseline the recipe may become, in the metric's own units whatever its direction; 0 is
    allowed. Left out: no such bound."""
    max_excess: Annotated[float | None, _limit(Bound.MAX_EXCESS)] = None
    """Of `negative_flips`: the share of rows that may flip beyond what another seed of the baseline flips. Left out: no
    such bound."""
    max_ratio: Annotated[float | None, _limit(Bound.MAX_RATIO)] = None
    """Of `latency_p50_ms`: how many times the baseline's it may be, both measured in turn on one machine. Left out: no
    such bound."""
    confident: Annotated[bool, kinds.FLAG] = False
    """Whether `min` and `max` judge the metric's confidence bound, so that luck does not pass.
    Left out: false: the measured value."""
    blocking: Annotated[bool, kinds.FLAG] = True
    """Whether its failure fails the check, or is only shown."""

    @classmethod
    def instead(cls, value: Plain, name: str) -> str:
        """A number is meant as a bound, but as which?"""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return super().instead(value, name)
        bounds = bounds_taken(name.partition("@")[0])
        return " or ".join(f"{{{bound}: {show_value(value)}}}" for bound in bounds)

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """At least one bound, in order; none is confident about a change."""
        given, low, high = context.given, context.made.get("min"), context.made.get("max")
        if low is not None and high is not None and low > high:
            yield Problem(f"min {low:g} above max {high:g}", "write a `min` of at most `max`")
        if given.keys() <= {"confident", "blocking"}:
            *others, last = bounds_taken(context.name.partition("@")[0])
            several = f"at least one of {', '.join(others)} and {last}" if others else f"`{last}`"
            yield Problem("no bound", f"write {several}")
        elif "confident" in given and not given.keys() & {"min", "max"}:
            relative = next((each for each in _GIVEN if each in given), Bound.MAX_REGRESSION)
            hint = f"write it beside `min` or `max`; {relative} is always judged by its interval"
            yield Problem(show_value(given["confident"]), hint, ("confident",))
        yield from _without_interval(_called(context.name.partition("@")[0], context.around or context), context)

    def gates(self, model: Context) -> Iterator[Gate]:
        """One gate a bound."""
        written, _, part = self.name.partition("@")
        metric = _called(written, model)
        for bound in _GIVEN:
            limit, sure = getattr(self, bound), self.confident and not bound.is_relative
            if limit is not None:
                subject: dict[str, Any] = {"metric": metric, "slice": part or None, "bound": bound, "limit": limit}
                yield Gate(**subject, confident=sure, blocking=self.blocking)


def _without_interval(metric: str, context: Context) -> Iterator[Problem]:
    """What asks for the interval of a metric that has none: it would never be decided."""
    if metric not in CATALOGUE or Bound.MAX_REGRESSION in bounds_taken(metric):
        return
    for key in ("max_regression", "confident"):
        if (asked := context.made.get(key)) is not None and asked is not False:
            yield Problem(f"`{key}` for {metric}", "write `max` alone: it has no interval", (key,))


_GAP = "gap"


def _margin(value: Plain, _context: Context) -> float:
    return read_number(value, "a number, 0 or more", 0.0)


class GapRule(Section):
    """The bounds on the gap between slices: the metric's greatest value less its least."""

    name_form: ClassVar[str] = rf"gap(@{MEASURED_FORM})?"
    name_words: ClassVar[str] = "`gap`, or `gap@` and a name of your own for each of several"
    constraints: ClassVar[Schema] = {"anyOf": [{"required": [bound]} for bound in ("max", "max_regression")]}

    name: str
    metric: Annotated[str, kinds.text("a metric's name")]
    """The metric, by its name in the table or your own one's."""
    slices: Annotated[tuple[str, ...], list_of("the names of two slices or more", kinds.text("a slice's name"))]
    """The slices that it is between: two or more of those under `slices`; they may overlap."""
    max: Annotated[float | None, Kind(_margin, lambda: {"type": "number", "minimum": 0})] = None
    """Fails when the shipped file's gap is wider. Left out: no such bound."""
    max_regression: Annotated[float | None, Kind(_margin, lambda: {"type": "number", "minimum": 0})] = None
    """How much wider than the baseline's the recipe's gap may become. Left out: no such bound."""
    confident: Annotated[bool, kinds.FLAG] = False
    """Whether `max` judges the gap's confidence bound, so that luck does not pass. Left out: false: the measured
    gap."""
    blocking: Annotated[bool, kinds.FLAG] = True
    """Whether its failure fails the check, or is only shown."""

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """Two slices that there are, a metric that fits, and a bound."""
        given, model = context.given, context.around or context
        known, between = model.inside("slices"), context.made.get("slices", ())
        for index, name in enumerate(between):
            if name not in known:
                hint = f"write {context.guess(name, known)}" if known else "write it under `slices:` first"
                yield Problem(f"the unknown slice {quote(name)}", hint, ("slices", index))
        if len(between) == 1:
            yield Problem("one slice", "write two or more, for the gap between them", ("slices",))
        metric, listed = context.made.get("metric"), _listed(model.given.get("metrics"))
        if metric is not None and _called(metric, model) not in listed and (wrong := _misfit(metric, model)):
            yield wrong.under("metric")
        if not given.keys() & {"max", "max_regression"}:
            yield Problem("no bound", "write `max` or `max_regression`")
        elif "confident" in given and "max" not in given:
            hint = "write it beside `max`; max_regression is always judged by its interval"
            yield Problem(show_value(given["confident"]), hint, ("confident",))
        if metric is not None:
            yield from _without_interval(_called(metric, model), context)

    def called(self, model: Context) -> str:
        """What gates and reports call it."""
        return self.name if self.name != _GAP else f"{_GAP}@{_called(self.metric, model)}"

    def gates(self, model: Context) -> Iterator[Gate]:
        """One gate a bound."""
        for bound in (Bound.MAX, Bound.MAX_REGRESSION):
            limit, sure = getattr(self, bound), self.confident and not bound.is_relative
            if limit is not None:
                name = self.called(model)
                yield Gate(metric=name, bound=bound, limit=limit, confident=sure, blocking=self.blocking)

    def of(self, model: Context) -> Metric:
        """The metric whose values it is between."""
        name = _called(self.metric, model)
        return next((each for each in model.made.get("metrics", ()) if each.name == name), None) or CATALOGUE[name]

    def made(self, model: Context) -> Metric:
        """The gap as a metric."""
        of = self.of(model)
        gap = {"name": self.called(model), "of": of.formula, "slices": self.slices, "direction": Direction.LOWER}
        return of.model_copy(update=gap)


def _is_gap(subject: str) -> bool:
    return subject.partition("@")[0] == _GAP


_RULES = named(
    GateRule,
    "a mapping from metric or metric@slice to its bounds",
    none=("no gates", "at least one, such as `roc_auc: {max_regression: 0.005}`"),
)


def _gate_schema(metric: str) -> Schema:
    return {"$ref": "#/$defs/gate", "propertyNames": {"enum": [*bounds_taken(metric), "confident", "blocking"]}}


def _read_gates(value: Plain, context: Context) -> tuple[Gate, ...]:
    plain = {name: each for name, each in value.items() if not _is_gap(name)} if isinstance(value, dict) else value
    rules = () if plain == {} != value else _RULES.read(plain, context)
    context.found["gaps"] = gaps = _gap_rules(context) if isinstance(value, dict) else ()
    made = {rule.name: tuple(rule.gates(context)) for rule in (*rules, *gaps)}
    order = value if isinstance(value, dict) else ()
    return tuple(gate for name in order for gate in made[str(name)])


def _gap_rules(context: Context) -> tuple[GapRule, ...]:
    given = {name: each for name, each in context.inside("gates").items() if _is_gap(name)}
    rules = collect(given.items(), lambda name, each: GapRule.read(each, context, str(name)))
    seen: dict[str, str] = {}
    for rule in rules:
        if (other := seen.setdefault(rule.called(context), rule.name)) != rule.name:
            raise Refused(Problem(f"{quote(rule.name)} beside {quote(other)}", "give each gap a name", (rule.name,)))
    return rules


GATES = Kind(
    _read_gates,
    lambda: {
        "type": "object",
        "minProperties": 1,
        "properties": {metric: _gate_schema(metric) for metric in (*sorted(CATALOGUE), *OPERATIONAL)},
        "patternProperties": {"^gap(@|$)": GapRule.json_schema()},
        "additionalProperties": _gate_schema("of the user's own"),
    },
)
METRICS = list_of(
    "metrics such as roc_auc or module:function",
    Kind(
        _metric, lambda: {"anyOf": [{"enum": [*CATALOGUE, *ALIASES]}, OwnMetric.json_schema(), SetMetric.json_schema()]}
    ),
    name=attrgetter("name"),
    again="each metric once; two functions of one name need `name:`",
)
_OTHERS = 50
"""Metrics of the model that are offered instead of an unknown one; not all of thousands."""


def wrong_gates(context: Context) -> Iterator[Problem]:
    """What a model's gates name that is not measured."""
    gates, listed = context.inside("gates"), _measured(context)
    for subject in gates:
        if _is_gap(subject):
            if context.made.get("task") is Task.SCORES:
                yield Problem("a gap between scores", "write a gate on each slice", ("gates", subject))
            continue
        yield from (problem.under("gates", subject) for problem in _wrong_subject(subject, listed, context))
    yield from _subjects_twice(gates, context)
    if not context.inside("data").get("train") and "mase" in {*map(_first, gates), *listed}:
        hint = "write `data: {train: …}`: MASE is scaled by the steps of the training data"
        yield Problem("mase without training data", hint, ("data",))
    given = context.given.keys() & {"metrics", "evaluate"}
    if gates and not given and gates.keys() <= OPERATIONAL.keys():
        yield Problem("no metrics", "write `metrics:` with at least one, such as roc_auc")


def _first(subject: str) -> str:
    return catalogued(subject.partition("@")[0])


def with_named_metrics(context: Context) -> tuple[Metric, ...]:
    """A model's metrics, and those of the catalogue that its gates name."""
    if (evaluate := context.made.get("evaluate")) is not None:
        return tuple(evaluate.metrics)
    metrics = {metric.name: metric for metric in context.made.get("metrics", ())}
    for gate in context.made["gates"]:
        if gate.metric in CATALOGUE:
            metrics.setdefault(gate.metric, CATALOGUE[gate.metric])
    for rule in context.found.get("gaps", ()):
        of, gap = rule.of(context), rule.made(context)
        metrics.setdefault(of.name, of)  # what it is between is shown too
        metrics[gap.name] = gap
    return tuple(metrics.values())


def _measured(context: Context) -> dict[str, bool]:
    """The names that the config gives what is measured, and whether each is one's own."""
    if context.made.get("task") is not Task.SCORES:
        return _listed(context.given.get("metrics"))
    evaluate = context.inside("evaluate")
    scores = evaluate.get("scores")
    return dict.fromkeys(map(str, scores), True) if isinstance(scores, dict) else {}


def _listed(metrics: Plain) -> dict[str, bool]:
    """The names that a list of metrics gives, and whether each is one's own; broken ones too, which are said once."""
    found: dict[str, bool] = {}
    for item in metrics if isinstance(metrics, list) else ():
        keys = item if isinstance(item, dict) else {}
        given = keys.get("name", keys.get("function", keys.get("metric"))) if isinstance(item, dict) else item
        if not isinstance(given, str):
            continue
        is_own = ":" in given or not {"function", "name", "clip"}.isdisjoint(keys)
        name = _set_name(given, keys) if "metric" in keys and "name" not in keys else given
        found[name.rpartition(":")[2] if is_own else catalogued(name)] = is_own
    return found


def _subjects_twice(gates: Iterable[str], context: Context) -> Iterator[Problem]:
    """Two names of one metric: which of two limits counts would be anybody's guess."""
    seen: dict[str, str] = {}
    for subject in gates:
        written, at, part = subject.partition("@")
        name = f"{_called(written, context)}{at}{part}"
        if (other := seen.setdefault(name, subject)) != subject:
            found = f"{quote(subject)} beside {quote(other)}, which is the same metric"
            yield Problem(found, f"write all bounds under `{name}`", ("gates", subject))


_OF = {Task.REGRESSION: "a regression", Task.MULTIOUTPUT: "a multioutput model", Task.RANKING: "a ranking"}
_OF |= {Task.FORECAST: "a forecast"}


def _wrong_subject(subject: str, listed: Mapping[str, bool], context: Context) -> Iterator[Problem]:
    metric, at, part = subject.partition("@")
    if metric in OPERATIONAL:
        if at:
            yield Problem(f"{quote(subject)}, which is measured on the whole file", "write it without a slice")
        elif metric != "size_mb" and context.made.get("task") is Task.SCORES:
            yield Problem(quote(subject), "write a gate on a score; of an evaluator only the size is measured besides")
        elif metric == "negative_flips" and (task := context.made.get("task")) and not task.is_classification:
            hint = f"write a gate on a metric; rows of {_OF[task]} are neither right nor wrong"
            yield Problem(quote(subject), hint)
        return
    own = islice((name for name, is_own in listed.items() if is_own), _OTHERS)
    wrong = None if _called(metric, context) in listed else _misfit(metric, context, (*OPERATIONAL, *own))
    if wrong:
        yield wrong
    slices = context.inside("slices")
    if at and part not in slices:
        places = _of_places(subject) if part.isdigit() else None
        hint = f"write {context.guess(part, slices)}" if slices else "write it under `slices:` first"
        hint = f"write {places}; `@` names a slice" if places else hint
        yield Problem(f"the unknown slice {quote(part)}", hint)
