"""What each job of a workflow gets from the section `actions`: runners, containers, environments, logins, secrets.

One table says what kind of job each of mlbot's is; the rules are by kind.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mlbot.config.actions import (
    SEALED_KEY,
    SPEAKER,
    Actions,
    DeployAccess,
    EvaluateAccess,
    JudgeAccess,
    Login,
    MonitorAccess,
    SealedAccess,
    StoreAccess,
    Token,
)
from mlbot.errors import NotEvaluatedError
from mlbot.lib.templates import sentence
from mlbot.setup.expressions import bare, names_status

if TYPE_CHECKING:
    from ruamel.yaml.comments import CommentedMap

Access = JudgeAccess | EvaluateAccess | SealedAccess | StoreAccess | MonitorAccess | DeployAccess

APP_ACTION = "actions/create-github-app-token@bcd2ba49218906704ab6c1aa796996da409d3eb1"
APP_VERSION = "v3.2.0"
_TOKEN = "github.token"  # noqa: S105 - the name of the job's own
_APP_TOKEN = "steps.app.outputs.token"  # noqa: S105 - the name of the App's
_DEFAULT_RUNNER = "ubuntu-latest"
_OF_THE_JOB = {"packages", "id-token"}
"""Rights that stay the job's own token's: registries and clouds know no App."""
_SPEAKER = "MLBOT_CI_SPEAKER"
"""The variable that says whose comments and statuses are the bot's, where that is not GitHub Actions."""


class Kind(StrEnum):
    """What kind of job it is. A closed list."""

    TRAIN = "train"  # runs what a commit says: a token that reads, and nothing else
    READ = "read"  # reads and hands on
    JUDGE = "judge"
    EVALUATE = "evaluate"  # runs policy's evaluator, which asks a service with a secret
    LOOK = "look"  # a release that will look at sealed rows: writes on GitHub, reads the store
    SEALED = "sealed"  # a release's look at sealed rows: writes nothing, and alone can read them
    STORE = "store"
    MONITOR = "monitor"  # reads what production logs, or runs policy's command that refreshes data: writes nothing
    SPEAK = "speak"  # writes on GitHub
    RECORD = "record"  # releases: writes on GitHub, reads holdout and store
    DEPLOY = "deploy"
    PAGES = "pages"  # brings the dashboard to GitHub Pages: the environment is GitHub's own
    ASK = "ask"  # starts workflows, with the job's own token


KINDS: Mapping[str, Mapping[str, Kind]] = {
    "train": {"plan": Kind.TRAIN, "train": Kind.TRAIN},
    "judge": {
        "pending": Kind.SPEAK,
        "judge": Kind.JUDGE,
        "baseline": Kind.TRAIN,
        "evaluate": Kind.EVALUATE,
        "again": Kind.JUDGE,
        "store": Kind.STORE,
        "publish": Kind.SPEAK,
        "again-request": Kind.ASK,
    },
    "command": {"command": Kind.SPEAK},
    "tag": {"tag": Kind.ASK},
    "release": {
        "ask": Kind.READ,
        "look": Kind.LOOK,
        "score": Kind.SEALED,
        "record": Kind.RECORD,
        "deploy": Kind.DEPLOY,
    },
    "monitor": {"look": Kind.MONITOR, "refresh": Kind.MONITOR, "alarm": Kind.SPEAK},
    "": {"watch": Kind.SPEAK, "build": Kind.READ, "deploy": Kind.PAGES},
}
"""What kind of job each is, by its workflow; under "" those of no called one. Nothing else knows jobs by name."""
_WORK = {
    Kind.JUDGE: "judge",
    Kind.EVALUATE: "evaluate",
    Kind.LOOK: "sealed",
    Kind.SEALED: "sealed",
    Kind.STORE: "publish",
    Kind.MONITOR: "monitor",
    Kind.RECORD: "deploy",
    Kind.DEPLOY: "deploy",
}
"""The action that does the work of a job, and alone sees its secrets."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pin:
    """How mlbot's own workflows and actions are called: by a release's commit with its version, or by a tag."""

    ref: str
    version: str = ""

    @property
    def written(self) -> str:
        """As it is written behind an `@`, with the version in a comment."""
        return f"{self.ref} # {self.version}" if self.version else self.ref


@dataclass(frozen=True, kw_only=True, slots=True)
class Wiring:
    """What is put into jobs."""

    actions: Actions
    pin: Pin


def wire(workflow: str, name: str, job: "CommentedMap", wiring: Wiring) -> "CommentedMap":
    """The job with what its kind gets. It is changed in place.

    Raises:
        NotEvaluatedError: nothing says what kind of job it is, or it trains and reads a secret.
    """
    kind, actions = KINDS.get(workflow, {}).get(name), wiring.actions
    if kind is None:
        raise NotEvaluatedError(f"nothing says what the job {name!r} may reach")
    if job["runs-on"] == _DEFAULT_RUNNER:
        job["runs-on"] = _labels(actions.runs_on)
    if kind is Kind.TRAIN:
        _sandbox(name, job, actions)
    accesses = [access for access in _accesses(kind, actions) if access]
    speaks = actions.token is not None and kind in _SPEAKING
    if environment := _own_environment(kind, actions, needed=speaks or bool(accesses)):
        _environment(job, environment)
    if accesses:
        _reach(job, kind, accesses)
    if speaks:
        _speak(job, actions)
    # Also who only reads has to know the App's records; a training and a tag's workflow file run what others wrote.
    if actions.token and actions.token.app and workflow not in {"train", "tag"} and kind is not Kind.TRAIN:
        job.insert([*job].index("steps"), "env", _block({_SPEAKER: actions.token.app}))
    return job


_SPEAKING = {Kind.SPEAK, Kind.LOOK, Kind.RECORD, Kind.DEPLOY}


def _accesses(kind: Kind, actions: Actions) -> "tuple[Access | None, ...]":
    """What a job may reach: a release reads the holdout and the store, a deployment the store.

    Who writes its look at sealed rows reads the store, and who scores it these and the store.
    """
    sealed = (actions.sealed, actions.store) if actions.sealed else ()
    reached: Mapping[Kind, tuple[Access | None, ...]] = {
        Kind.JUDGE: (actions.judge,),
        Kind.EVALUATE: (actions.evaluate,),
        Kind.LOOK: (actions.store,) if actions.sealed else (),
        Kind.SEALED: sealed,
        Kind.STORE: (actions.store,),
        Kind.MONITOR: (actions.monitor,),
        Kind.RECORD: (actions.judge, actions.store),
        Kind.DEPLOY: (actions.store, actions.deploy),
    }
    return reached.get(kind, ())


def _own_environment(kind: Kind, actions: Actions, *, needed: bool) -> str | None:
    """The environment whose secrets a job gets; a deployment has its own already."""
    if not needed or kind is Kind.DEPLOY:
        return None
    own: Mapping[Kind, JudgeAccess | EvaluateAccess | SealedAccess | StoreAccess | MonitorAccess | None] = {
        Kind.JUDGE: actions.judge,
        Kind.EVALUATE: actions.evaluate,
        Kind.SEALED: actions.sealed,
        Kind.STORE: actions.store,
        Kind.MONITOR: actions.monitor,
    }
    if kind not in own:
        return SPEAKER
    access = own[kind]
    return access.environment if access else None


def _labels(runs_on: tuple[str, ...]) -> Any:
    from ruamel.yaml.comments import CommentedSeq

    if len(runs_on) == 1:
        return runs_on[0]
    made = CommentedSeq(runs_on)
    made.fa.set_flow_style()
    return made


def _after_runner(job: "CommentedMap", key: str, value: Any) -> None:
    job.insert([*job].index("runs-on") + 1, key, value)


def _flow(**values: Any) -> "CommentedMap":
    from ruamel.yaml.comments import CommentedMap

    made = CommentedMap(values)
    made.fa.set_flow_style()
    return made


def _block(values: Mapping[str, Any], comments: Mapping[str, str] | None = None) -> "CommentedMap":
    from ruamel.yaml.comments import CommentedMap

    made = CommentedMap(values)
    for key, words in (comments or {}).items():
        made.yaml_add_eol_comment(words, key, column=0)
    return made


def _sandbox(name: str, job: "CommentedMap", actions: Actions) -> None:
    """A job that runs what a commit says: no cache, no secret, and the image if there is one."""
    if "cache-mode" in job:
        job["cache-mode"] = "none"
    else:
        _after_runner(job, "cache-mode", "none")
    if "environment" in job or any("secrets." in text for text in _texts(job)):
        raise NotEvaluatedError(f"the job {name!r} trains, and is given a secret")
    if actions.container:
        options = {"options": actions.container.options} if actions.container.options else {}
        _after_runner(job, "container", _block({"image": actions.container.image, **options}))


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for each in node.values() if isinstance(node, dict) else node:
            yield from _texts(each)


def _environment(job: "CommentedMap", name: str) -> None:
    """The job's environment, whose secrets and branches count; it makes no deployment of its own."""
    _after_runner(job, "environment", _flow(name=name, deployment=False))


# --- what a job may reach beyond the repository


def _reach(job: "CommentedMap", kind: Kind, accesses: "list[Access]") -> None:
    """Logins before the first step that runs mlbot, secrets in the steps that do, and before the work what it needs."""
    steps = job["steps"]
    names = dict.fromkeys(name for access in accesses for name in access.secrets)
    names = {SEALED_KEY: None, **names} if kind is Kind.SEALED else names
    variables = {name: f"${{{{ secrets.{name} }}}}" for name in names}
    working = [step for step in steps if _runs_mlbot(step)]
    for step in working if variables else ():
        _add_variables(step, variables)
    work = next(step for step in steps if _does(step, _WORK[kind]))
    for access in accesses:
        if isinstance(access, JudgeAccess) and access.prepare:
            condition = {"if": work["if"]} if "if" in work else {}
            steps.insert(steps.index(work), _prepare(access.prepare, variables, condition))
    logins = dict.fromkeys(access.login for access in accesses if access.login)
    first = steps.index(working[0])
    steps[first:first] = [_login(login) for login in logins]
    if logins:
        _may_log_in(job)


def _does(step: Mapping[str, Any], action: str) -> bool:
    return str(step.get("uses", "")).partition("@")[0].endswith(f"/actions/{action}")


def _runs_mlbot(step: Mapping[str, Any]) -> bool:
    """Whether a step is one of mlbot's own, and no set-up."""
    return "mlbot" in step.get("with", {}) or "MLBOT" in step.get("env", {})


def _login(login: Login) -> "CommentedMap":
    step = {"name": sentence("workflows", "steps/login"), "uses": login.uses}
    return _block(step | ({"with": _block(dict(login.inputs))} if login.inputs else {}))


def _prepare(command: str, variables: Mapping[str, str], condition: Mapping[str, Any]) -> "CommentedMap":
    """The command by a variable: nothing of it is part of a script."""
    given = {**variables, "PREPARE": _lines(command)}
    step = {"name": sentence("workflows", "steps/prepare"), **condition, "shell": "bash"}
    return _block({**step, "env": _block(given), "run": 'bash -euo pipefail -c "$PREPARE"'})


def _lines(text: str) -> str:
    from ruamel.yaml.scalarstring import LiteralScalarString

    return LiteralScalarString(text) if "\n" in text else text


def _add_variables(step: "CommentedMap", variables: Mapping[str, str]) -> None:
    if "env" in step:
        step["env"].update(variables)
        return
    step.insert([*step].index("uses"), "env", _block(variables))


def _may_log_in(job: "CommentedMap") -> None:
    rights = job["permissions"]
    place = next((place for place, scope in enumerate(rights) if scope > "id-token"), len(rights))
    rights.insert(place, "id-token", "write", comment=sentence("workflows", "rights/id-token"))


# --- an App that speaks


def _speak(job: "CommentedMap", actions: Actions) -> None:
    """The App's token for everything that is said with the job's own; its rights are what the job asks for."""
    assert actions.token  # noqa: S101 - nobody speaks without
    rights, steps = dict(job["permissions"]), job["steps"]
    step = _app_step(actions.token, {scope: level for scope, level in rights.items() if scope not in _OF_THE_JOB})
    _keep_own_rights(job, rights)
    at = next(place for place, each in enumerate(steps) if any(_TOKEN in text for text in _texts(each)))
    if names_status(condition := bare(str(steps[at].get("if", "")))):
        step.insert(2, "if", f"${{{{ {condition} }}}}")  # what is said after a failure needs the token too
    for each in steps[at:]:
        _replace(each)
    steps.insert(at, step)


def _app_step(token: Token, rights: Mapping[str, str]) -> "CommentedMap":
    given = {
        "client-id": f"${{{{ vars.{token.client_id} }}}}",
        "private-key": f"${{{{ secrets.{token.private_key} }}}}",
    }
    given |= {f"permission-{scope}": level for scope, level in rights.items()}
    step = {"name": sentence("workflows", "steps/app"), "id": "app", "uses": APP_ACTION, "with": _block(given)}
    return _block(step, {"uses": APP_VERSION})


def _keep_own_rights(job: "CommentedMap", rights: Mapping[str, str]) -> None:
    """What a checkout needs, and packages; a comment on a right says what it is for."""
    checks_out = any(str(step.get("uses", "")).startswith("actions/checkout@") for step in job["steps"])
    of_job = {"contents": "read"} if checks_out else {}
    of_job |= {scope: level for scope, level in rights.items() if scope in _OF_THE_JOB}
    words = {scope: sentence("workflows", f"rights/{scope}") for scope in of_job}
    made = _block(dict(sorted(of_job.items())), words)
    if not made:
        made.fa.set_flow_style()
    job["permissions"] = made


def _replace(node: Any) -> None:
    """Put the App's token instead of the job's own into each expression."""
    pairs: Iterable[tuple[Any, Any]] = (
        list(node.items()) if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    )
    for key, value in pairs:
        if isinstance(value, str) and _TOKEN in value:
            node[key] = value.replace(_TOKEN, _APP_TOKEN)
        else:
            _replace(value)
