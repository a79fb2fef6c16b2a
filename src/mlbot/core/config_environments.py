"""The environments of mlbot.yaml."""

from collections.abc import Mapping

from mlbot.core import config_values as values
from mlbot.core.config import EnvironmentConfig, Smoke
from mlbot.core.config_error import quote
from mlbot.core.config_reader import Reader, is_name

ENVIRONMENT_KEYS = ("target", "after", "approvals", "runs-on", "smoke")
SMOKE_KEYS = ("requests", "p95_ms")

_DEFAULTS = EnvironmentConfig.model_fields
_SMOKE_DEFAULTS = Smoke.model_fields


def read_environments(reader: Reader) -> tuple[EnvironmentConfig, ...]:
    """The environments in the file's order; each `after` names another, and none waits for itself."""
    named = reader.named("environment")
    read = tuple(made for name, inside in named.items() if (made := _environment(inside, name, named)) is not None)
    after = {one.name: one.after for one in read if one.after is not None}
    waiting: set[str] = set()
    for name in after:
        cycle = _cycle(name, after)
        if cycle and name not in waiting:
            waiting.update(cycle)
            order = " after ".join(quote(step) for step in (*cycle, name))
            named[name].refuse("an order without a circle", found=f"{order}")
    return read


def _cycle(name: str, after: Mapping[str, str]) -> list[str]:
    """The environments that wait for each other in a circle through this one; none: an empty list."""
    steps = [name]
    while (following := after.get(steps[-1])) is not None and following not in steps:
        steps.append(following)
    return steps if following == name else []


def _environment(reader: Reader, name: str, named: Mapping[str, Reader]) -> EnvironmentConfig | None:
    fields = reader.fields(ENVIRONMENT_KEYS, required=("target",))
    target = values.place(fields["target"]) if "target" in fields else None
    after = _after(fields["after"], named) if "after" in fields else None
    approvals = fields["approvals"].whole(0, 6) if "approvals" in fields else _DEFAULTS["approvals"].default
    runs_on = values.runs_on(fields["runs-on"]) if "runs-on" in fields else _DEFAULTS["runs_on"].default
    smoke = _smoke(fields["smoke"]) if "smoke" in fields else None
    if target is None or approvals is None or not is_name(name):
        return None
    return EnvironmentConfig(name=name, target=target, after=after, approvals=approvals, runs_on=runs_on, smoke=smoke)


def _after(reader: Reader, named: Mapping[str, Reader]) -> str | None:
    name = reader.text("the name of the environment that comes before")
    if name is None or (name in named and is_name(name)):
        return name
    if name not in named:
        reader.refuse(reader.guess(name, named, f"one of {', '.join(map(_short, named))}"))
    return None


def _short(name: str) -> str:
    return name if is_name(name) else quote(name)


def _smoke(reader: Reader) -> Smoke | None:
    fields = reader.fields(SMOKE_KEYS)
    requests = fields["requests"].whole(1) if "requests" in fields else _SMOKE_DEFAULTS["requests"].default
    latency = (
        fields["p95_ms"].number("milliseconds, more than 0", lambda value: value > 0) if "p95_ms" in fields else None
    )
    return None if requests is None else Smoke(requests=requests, p95_ms=latency)
