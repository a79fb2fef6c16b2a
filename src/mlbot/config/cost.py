"""What runners cost: the section `cost`, and what times on runners come to by it."""

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from mlbot.config.errors import Plain, quote, refused
from mlbot.config.kinds import Context, Kind, Section, collect, form, kind, read_number
from mlbot.events.github import RunnerTime
from mlbot.lib.record import Record

DEFAULT = "default"
"""What stands for every label that is not named."""

_MOST_LABELS = 100


def _by_label(what: str) -> Kind:
    """A mapping from labels of runners to numbers."""

    def read(value: Plain, context: Context) -> dict[str, float]:
        del context
        if not isinstance(value, dict) or not value:
            raise refused(value, f"a mapping from labels of runners to {what}, such as {{ubuntu-latest: 0.006}}")
        if len(value) > _MOST_LABELS:
            raise refused(value, f"at most {_MOST_LABELS} labels", found=f"{len(value)} of them")
        seen: set[str] = set()

        def one(label: str | int, number: Plain) -> tuple[str, float]:
            name = str(label)
            if name.casefold() in seen or not name.strip():
                raise refused(number, "each label once", found=quote(name))
            seen.add(name.casefold())
            return name, read_number(number, f"{what}, 0 or more", 0.0, 1e9)

        return dict(collect(value.items(), one))

    def schema() -> dict[str, Any]:
        numbers = {"type": "number", "minimum": 0, "maximum": 1e9}
        return {"type": "object", "additionalProperties": numbers, "minProperties": 1, "maxProperties": _MOST_LABELS}

    return Kind(read, schema)


def _share(value: Plain) -> float:
    return read_number(value, "a share, more than 0 and at most 1", math.ulp(0.0), 1.0)


def _grams(value: Plain) -> float:
    return read_number(value, "grams of CO2 a kWh, 0 or more", 0.0, 1e6)


class Estimate(Record):
    """What times on runners come to."""

    minutes: float
    price: float | None = None  # None where no label has a price
    unpriced: tuple[str, ...] = ()  # labels without one, which the price lacks
    kwh: float | None = None  # None where no label has watts
    unmetered: tuple[str, ...] = ()
    grams: float | None = None


class Cost(Section):
    """What the runners cost, for the report and the dashboard. Nothing is gated by it."""

    currency: Annotated[str, form("a currency's code", "[A-Z]{3}", "three capital letters, such as USD")] = "USD"
    """Of the prices: three letters, such as `USD` or `EUR`."""
    prices: Annotated[dict[str, float], _by_label("prices a minute")] = {}  # noqa: RUF012 - records are frozen
    """The price of a minute by the runner's label, such as `{ubuntu-latest: 0.006, gpu: 0.07}`; `default` is that of
    every other label. Of a runner with several labels the highest counts. Left out: minutes alone are shown."""
    watts: Annotated[dict[str, float], _by_label("watts")] = {}  # noqa: RUF012
    """What a runner draws under full load, by its label, such as `{default: 60, gpu: 400}`. Left out: no energy is
    estimated."""
    utilisation: Annotated[float, kind(_share, type="number", exclusiveMinimum=0, maximum=1)] = 1.0
    """The share of these watts that is drawn on average, from 0 to 1; it may count a data centre's overhead in.
    Left out: 1."""
    intensity: Annotated[float | None, kind(_grams, type="number", minimum=0, maximum=1e6)] = None
    """Grams of CO2 that a kWh makes where the runners are. Left out: none are shown."""

    def estimate(self, times: Iterable[RunnerTime]) -> Estimate:
        """Price: minutes by price a minute. Energy in kWh: hours by watts by utilisation, a thousandth of it."""
        found = list(times)
        prices = [(each, of(self.prices, each.labels)) for each in found]
        watts = [(each, of(self.watts, each.labels)) for each in found]
        known = [each.seconds / 3600 * rate * self.utilisation / 1000 for each, rate in watts if rate is not None]
        kwh = math.fsum(known) if known else None
        priced = [each.minutes * rate for each, rate in prices if rate is not None]
        return Estimate(
            minutes=math.fsum(each.seconds for each in found) / 60,
            price=math.fsum(priced) if priced else None,
            unpriced=_lacking(prices) if priced else (),
            kwh=kwh,
            unmetered=_lacking(watts) if known else (),
            grams=None if kwh is None or self.intensity is None else kwh * self.intensity,
        )


def of(rates: Mapping[str, float], labels: Iterable[str]) -> float | None:
    """The highest rate of a runner's labels; that of all others where none is named."""
    folded = {name.casefold(): rate for name, rate in rates.items()}
    found = [folded[each.casefold()] for each in labels if each.casefold() in folded]
    return max(found) if found else folded.get(DEFAULT)


def _lacking(rated: Iterable[tuple[RunnerTime, float | None]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.name for each, rate in rated if rate is None))
