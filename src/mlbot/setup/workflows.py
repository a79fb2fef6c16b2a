"""The workflow files of a repository: which form they have, what they say, and what became of those that are there."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mlbot import __version__
from mlbot.config.actions import Actions, is_hosted
from mlbot.config.folder import ROOT, ConfigFolder
from mlbot.config.schema import Config
from mlbot.errors import driver_of
from mlbot.gates.metric import Task
from mlbot.lib.constants import ACTIONS_REPOSITORY
from mlbot.lib.record import Digest, Record, digest
from mlbot.lib.templates import sentence, workflows
from mlbot.setup import scaffold
from mlbot.setup.inline import inline
from mlbot.setup.wiring import Wiring

GITHUB = "github.com"
_STAMP = re.compile(r"# mlbot (\S+) (callers|inline) (sha256:[0-9a-f]{64})")


class Form(StrEnum):
    """What a workflow file holds. A closed list."""

    CALLERS = "callers"  # calls of mlbot's workflows
    INLINE = "inline"  # the jobs themselves


class Choice(Record):
    """The form of a repository's workflows, and why in one sentence."""

    form: Form
    why: str


def choose(config: Config | None, *, host: str = GITHUB, owner: str = "") -> Choice:
    """The form that a config asks for or needs, in a repository of this host and owner."""
    actions = config.actions if config else Actions()
    if actions.form is not None:
        return Choice(form=Form(actions.form), why=_why("asked", form=actions.form))
    return needed(config, host=host, owner=owner) or Choice(form=Form.CALLERS, why=_why("callers"))


def needed(config: Config | None, *, host: str = GITHUB, owner: str = "") -> Choice | None:
    """The form `inline` with the first reason why called workflows would not do; None where they do."""
    if config and (found := config.wired.needing()):
        return Choice(form=Form.INLINE, why=_why("setting", setting=found[0]))
    if host != GITHUB:
        return Choice(form=Form.INLINE, why=_why("host", host=host))
    # A called workflow runs on runners of its own owner too.
    if config is None or owner.casefold() == ACTIONS_REPOSITORY.partition("/")[0].casefold():
        return None
    for where, labels in (
        *((f"models.{model.name}", model.train.runs_on) for model in config.models),
        *((f"environments.{each.name}", each.runs_on) for each in config.environments),
    ):
        if not is_hosted(labels):
            return Choice(form=Form.INLINE, why=_why("runner", labels=", ".join(labels), where=where))
    return None


def _why(code: str, **facts: object) -> str:
    return sentence("workflows", f"form/{code}", **facts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What workflow files are to be written for."""

    form: Form
    guard: Sequence[str]
    install: str
    actions: Actions
    python: str | None = None
    drivers: tuple[str, ...] = ()
    fetchers: tuple[str, ...] = ()
    sealed: tuple[str, ...] = ()  # drivers of sealed rows, which releases need besides
    logs: tuple[str, ...] = ()  # drivers of what is logged in production
    folder: ConfigFolder = ROOT
    release: bool = False
    monitor: bool = False
    watch: bool = False
    dashboard: bool = False


def files(order: Order) -> dict[str, str]:
    """The text of each workflow file by its path.

    Raises:
        MissingExtraError: the form needs a package that is not installed.
    """
    install, python, actions, drivers = order.install, order.python, order.actions, order.drivers
    guard, folder = order.guard, order.folder
    callers = {
        folder.train: scaffold.train_workflow(
            guard=guard, install=install, python=python, actions=actions, drivers=order.fetchers, folder=folder
        ),
        folder.judge: scaffold.judge_workflow(
            install=install, guard=guard, python=python, actions=actions, drivers=drivers, folder=folder
        ),
    }
    if order.release:
        callers[folder.release] = scaffold.release_workflow(
            actions=actions, drivers=tuple(sorted({*drivers, *order.sealed})), folder=folder
        )
    if order.monitor:
        callers[folder.monitor] = scaffold.monitor_workflow(
            install=install, python=python, actions=actions, drivers=order.logs, folder=folder
        )
    if order.watch:
        callers[folder.watch] = scaffold.watch_workflow(guard=guard, folder=folder)
    if order.dashboard:
        callers[folder.dashboard] = scaffold.dashboard_workflow(folder=folder)
    if order.form is Form.CALLERS:
        return {path: stamped(text, order.form) for path, text in callers.items()}
    called, wiring = sources(), Wiring(actions=order.actions, pin=scaffold.pin())
    return {path: stamped(inline(text, called, wiring), order.form) for path, text in callers.items()}


def drivers(config: Config | None, *, sealed: bool = False) -> tuple[str, ...]:
    """The sets of packages that a config's holdouts, store, targets and own metrics need, beside what every job has.

    `sealed`: its sealed rows too, which releases alone read.
    """
    if config is None:
        return ()
    places = [*(model.data.holdout for model in config.models), config.store, *(e.target for e in config.environments)]
    places += [model.data.sealed for model in config.models if sealed]
    places += [model.data.train for model in config.models if model.task is Task.FORECAST]  # its scale
    reached = {driver for place in places if place and (driver := driver_of(place))}
    own = {"metrics"} if any(metric.function for model in config.models for metric in model.metrics) else set()
    return tuple(sorted(own | reached | {*fetchers(config)}))


def log_drivers(config: Config | None) -> tuple[str, ...]:
    """The sets of packages that read what production logs, and compute live metrics of one's own."""
    models = [model for model in (config.models if config else ()) if model.monitor]
    places = [place for model in models if model.monitor for place in (model.monitor.requests, model.monitor.labels)]
    reached = {driver for place in places if place and (driver := driver_of(place))}
    own = {"metrics"} if any(metric.function for model in models for metric in model.metrics) else set()
    return tuple(sorted(own | reached))


def fetchers(config: Config | None) -> tuple[str, ...]:
    """The sets of packages that fetch the models which were made elsewhere."""
    models = config.models if config else ()
    urls = (model.artifact.url for model in models if model.artifact and model.artifact.is_remote)
    return tuple(sorted({driver_of(url) or "deploy" for url in urls}))


def sources() -> dict[str, str]:
    """The workflows that can be called, by name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in workflows().glob("*.yml")}


# --- the first line: who wrote a file, and whether somebody has changed it since


class Stamp(Record):
    """What the first line of a file says."""

    version: str
    form: Form
    digest: Digest


def stamped(text: str, form: Form) -> str:
    """A file's text with a first line that says which mlbot wrote it, in which form, and what it wrote."""
    body = f"# {sentence('workflows', 'stamp')}\n{text}"
    return f"# mlbot {__version__} {form} {_digest(body)}\n{body}"


def stamp_of(text: str) -> Stamp | None:
    """What the first line says; None where mlbot has not written it."""
    found = _STAMP.fullmatch(text.partition("\n")[0].rstrip("\r"))
    return Stamp(version=found[1], form=Form(found[2]), digest=found[3]) if found else None


_PIN = re.compile(r"^( *(?:- )?uses: [^\s@]+)@\S+(?: +# *\S+)?[ \t]*$", re.MULTILINE)


def _digest(body: str) -> Digest:
    return digest(_without_pins(body))


def _without_pins(body: str) -> str:
    """A file without the versions that it calls, which Dependabot moves; a checkout ends lines as its system does."""
    return _PIN.sub(r"\1", body.replace("\r\n", "\n"))


def _body(text: str) -> str:
    return text.replace("\r\n", "\n").partition("\n")[2]


class State(StrEnum):
    """How a file is, beside what would be written. A closed list."""

    ABSENT = "absent"
    CURRENT = "current"
    VERSION = "version"  # another mlbot wrote it
    FORM = "form"  # in another form
    SETTINGS = "settings"  # from other settings
    EDITED = "edited"  # somebody changed it, or wrote it

    @property
    def is_mlbots(self) -> bool:
        """Whether it may be written anew without asking: nobody's work is lost."""
        return self is not State.EDITED


def state_of(found: str | None, wanted: str) -> State:
    """How a file is; a difference in its first line alone, or of versions that Dependabot has moved, is none."""
    if found is None:
        return State.ABSENT
    if _body(found) == _body(wanted):
        return State.CURRENT
    stamp, new = stamp_of(found), stamp_of(wanted)
    if stamp is None or new is None or stamp.digest != _digest(found.partition("\n")[2]):
        return State.EDITED
    if stamp.form is not new.form:
        return State.FORM
    if stamp.version != new.version:
        return State.VERSION
    return State.CURRENT if _without_pins(_body(found)) == _without_pins(_body(wanted)) else State.SETTINGS
