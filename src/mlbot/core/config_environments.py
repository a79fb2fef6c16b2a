"""The environments of mlbot.yaml."""

from collections.abc import Mapping

from mlbot.core import config_values as values
from mlbot.core.config import EnvironmentConfig, Smoke
from mlbot.core.config_error import quote
from mlbot.core.config_reader import MAX_SCRIPT, Reader, is_name

ENVIRONMENT_KEYS = ("target", "after", "approvals", "runs-on", "smoke")
SMOKE_KEYS = ("requests", "p95_ms", "command")

_SHOWN = 8
_DEFAULTS = EnvironmentConfig.model_fields
_SMOKE_DEFAULTS = Smoke.model_fields


def read_environments(reader: Reader) -> tuple[EnvironmentConfig, ...]:
    """The environments in the file's order; each `after` names another, and none waits for itself."""
    named = reader.named("environment")
    read = tuple(made for name, inside in named.items() if (made := _environment(inside, name, named)) is not None)
    _check_order(named)
    return read


def _check_order(named: Mapping[str, Reader]) -> None:
    """Note each circle of environments that wait for each other, once."""
    after = {
        name: first
        for name, inside in named.items()
        if isinstance(inside.value, dict) and isinstance(first := inside.value.get("after"), str)
    }
    walks: dict[str, str] = {}
    for start in after:
        name = start
        while name in after and name not in walks:
            walks[name] = start
            name = after[name]
        if walks.get(name) == start:
            named[name].refuse("an order without a circle", found=_circle(name, after))


def _circle(name: str, after: Mapping[str, str]) -> str:
    steps = [name]
    while (following := after[steps[-1]]) != name:
        steps.append(following)
    return " after ".join(quote(step) for step in (*steps[:_SHOWN], name))


def _environment(reader: Reader, name: str, named: Mapping[str, Reader]) -> EnvironmentConfig | None:
    fields = reader.fields(ENVIRONMENT_KEYS, required=("target",))
    target = values.target(fields["target"]) if "target" in fields else None
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
        reader.refuse(reader.guess(name, named))
    return None


def _smoke(reader: Reader) -> Smoke | None:
    fields = reader.fields(SMOKE_KEYS)
    requests = fields["requests"].whole(1) if "requests" in fields else _SMOKE_DEFAULTS["requests"].default
    latency = (
        fields["p95_ms"].number("milliseconds, more than 0", lambda value: value > 0) if "p95_ms" in fields else None
    )
    command = fields["command"].text("a shell command", limit=MAX_SCRIPT, lines=True) if "command" in fields else None
    return None if requests is None else Smoke(requests=requests, p95_ms=latency, command=command)
