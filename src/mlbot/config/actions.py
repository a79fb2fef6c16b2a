"""The section `actions` of mlbot.yaml: where the bot's own jobs run, who they speak as, and what they may reach.

It is written into workflow files, so a value has one form: no expression of GitHub's, nothing that a shell would read.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from mlbot.config import kinds
from mlbot.config.errors import Plain, Problem, Refused, quote, refused, show_value
from mlbot.config.kinds import Context, Kind, Section, choice, collect, form, inside, kind, list_of, text, whole

SPEAKER = "mlbot"
"""The environment that has the App's key, and what a release needs."""

_MOST_SECRETS = 32
_MOST_INPUTS = 64
_SHA = "[0-9a-f]{40}"
_PART = r"(?!\.{1,2}(?:/|@|$))[A-Za-z0-9._-]{1,100}"
_STANDARD = re.compile(
    r"ubuntu-(?:latest|[0-9]{2}\.[0-9]{2})(?:-arm)?|macos-(?:latest|[0-9]{2})|windows-(?:latest|[0-9]{4})"
)
"""GitHub's own runners that every account has; called workflows of another owner reach these and no others."""
_APPLE = re.compile(r"macos(?:-|$)", re.IGNORECASE)
_FROM = re.compile(r"\$\{\{ *(secrets|vars)\.([A-Za-z_][A-Za-z0-9_]*) *\}\}")

# A secret becomes a variable of that name in its job: none that says how programs start, or what the job is.
_TAKEN = (
    r"(?:PATH|HOME|ENV|BASH_ENV|IFS|SHELL|CI|NODE_OPTIONS|MLBOT)$|LD_|DYLD_|PYTHON|GITHUB_|ACTIONS_|RUNNER_|INPUT_"
    r"|MLBOT_CI_"
)
_ANY_CASE = "".join(f"[{c}{c.lower()}]" if c.isalpha() else c for c in "GITHUB_")
_NAME = "[A-Za-z_][A-Za-z0-9_]{0,99}"
SECRET = text(
    "a secret's name",
    (f"^(?!{_NAME}$)", "a secret's name: letters, digits and `_`, not starting with a digit, of at most 100"),
    (f"^(?:{_TAKEN}|{_ANY_CASE})", "another name; that one means something to GitHub, to mlbot or to programs"),
)
_VARIABLE = form("a variable's name", rf"(?!{_ANY_CASE}){_NAME}", "the name of a variable of the repository's")
_SECRETS = list_of("secrets' names", SECRET, name=str.casefold, most=_MOST_SECRETS)
_ENVIRONMENT = form(
    "the name of an environment of the repository's",
    "[A-Za-z0-9][A-Za-z0-9._-]{0,99}",
    "an environment's name: letters, digits, `.`, `_` and `-`, of at most 100",
)
_USES = form(
    "an action, such as owner/name@SHA",
    rf"{_PART}(?:/{_PART}){{1,9}}@{_SHA}",
    "owner/name@ and the 40 digits of its commit; a tag can change under the same name",
)
_IMAGE = form(
    "an image, such as ghcr.io/owner/name@sha256:…",
    r"[a-z0-9](?:[a-z0-9._/:-]{0,300}[a-z0-9])?@sha256:[0-9a-f]{64}",
    "an image by its digest, such as ghcr.io/owner/name@sha256:…; a tag can change under the same name",
)
_OPTIONS = form(
    "options of `docker create`",
    r"(?!.*(?:--network|--net|--entrypoint|--privileged)(?:[ =]|$))[A-Za-z0-9 ._=:/,@+-]+",
    "options of `docker create` such as `--gpus all`, without quotes, --privileged, --network and --entrypoint",
)
_APP = form(
    "an App's login", r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,98}[A-Za-z0-9])?\[bot\]", "its login, such as acme-ml[bot]"
)
_INPUT = "[A-Za-z_][A-Za-z0-9_-]{0,99}"


def _given(key: str | int, value: Plain) -> tuple[str, str]:
    if not re.fullmatch(_INPUT, str(key)):
        raise Refused(Problem(f"the name {quote(str(key))}", "write an input's name: letters, digits, `_` and `-`"))
    if isinstance(value, bool | int):
        return str(key), str(value).lower()
    written = kinds.read_text(value, "a text, a number, true or false", limit=10_000, lines=True)
    if "${{" in written and not _FROM.fullmatch(written):
        raise refused(value, "no expression, but for ${{ secrets.NAME }} or ${{ vars.NAME }} as the whole value")
    return str(key), written


def _with(value: Plain) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not 0 < len(value) <= _MOST_INPUTS:
        raise refused(value, "a mapping from the action's inputs to their values")
    return collect(value.items(), _given)


_WITH = Kind(
    lambda value, _: _with(value),
    lambda: {
        "type": "object",
        "minProperties": 1,
        "maxProperties": _MOST_INPUTS,
        "propertyNames": {"pattern": f"^{_INPUT}$"},
        "additionalProperties": {"type": ["string", "integer", "boolean"]},
    },
    key="with",
)


def _lfs(value: Plain) -> bool | Literal["judge"]:
    if value == "judge":
        return "judge"
    if isinstance(value, bool):
        return value
    raise refused(value, "true, false or judge")


_LFS = kind(_lfs, enum=[True, False, "judge"])


def _command(value: Plain) -> str:
    written: str = kinds.SCRIPT.read(value, Context())
    if "${{" in written:
        raise refused(value, "a command without an expression: list secrets under `secrets:`, they are variables of it")
    return written


_COMMAND = kind(_command, **kinds.SCRIPT.schema() | {"not": {"pattern": r"\$\{\{"}})


class Login(Section):
    """An action that logs the job in before it works, such as one that takes a role by OIDC."""

    uses: Annotated[str, _USES]
    """The action by the full SHA of its commit, such as `aws-actions/configure-aws-credentials@SHA`."""
    inputs: Annotated[tuple[tuple[str, str], ...], _WITH] = ()
    """Its inputs. No expressions, but for `${{ secrets.NAME }}` of the job's secrets and `${{ vars.NAME }}`.
    Left out: none."""

    def secrets(self) -> Iterator[str]:
        """The secrets that its inputs name."""
        for _, value in self.inputs:
            found = _FROM.fullmatch(value)
            if found and found[1] == "secrets":
                yield found[2]


class _Access(Section):
    """What jobs may reach beside the repository. What a job can read is seen in one place, so a login's secrets too."""

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """A login takes the secrets that its job lists."""
        login, listed = context.made.get("login"), {name.casefold() for name in context.made.get("secrets", ())}
        for name in login.secrets() if login else ():
            if name.casefold() not in listed:
                yield Problem(f"the secret {name}", f"write it under `secrets:` too: [{name}]", ("login", "with"))


class Container(Section):
    """The image that trainings run in; nothing else does."""

    image: Annotated[str, _IMAGE]
    """The image by its digest, `ghcr.io/owner/name@sha256:…`, that every runner may pull. It needs bash, git and
    Python 3.11."""
    options: Annotated[str | None, _OPTIONS] = None
    """Options of `docker create`, such as `--gpus all`. Left out: none."""


class Token(Section):
    """A GitHub App that speaks instead of the workflows' own token, in every job that writes."""

    client_id: Annotated[str, _VARIABLE._replace(key="client-id")]
    """The name of the variable with the App's client id."""
    private_key: Annotated[str, SECRET._replace(key="private-key")]
    """The name of the secret with its private key; it belongs in the environment `mlbot`, in those of deployments, and
    nowhere else."""
    app: Annotated[str | None, _APP] = None
    """The App's login, such as `acme-ml[bot]`: whose answers and records count. Left out: nobody but the App itself
    knows them again, so no trial can be asked for."""


class JudgeAccess(_Access):
    """What the jobs that judge may reach: a holdout that nobody else can read."""

    environment: Annotated[str, _ENVIRONMENT] = "mlbot-judge"
    """The environment whose secrets they get. It runs models of strangers, so it has nobody else's secrets."""
    login: Annotated[Login | None, inside(Login)] = None
    """An action that logs in first; the job may then ask for an OIDC token. Left out: none."""
    secrets: Annotated[tuple[str, ...], _SECRETS] = ()
    """Secrets, as variables of the same names. Left out: none."""
    prepare: Annotated[str | None, _COMMAND] = None
    """A shell command that fetches what the holdout needs, such as `dvc pull data/holdout.csv`; with the login and the
    secrets. Left out: nothing to fetch."""


class EvaluateAccess(_Access):
    """What the job that runs evaluators with secrets may reach: the services that they ask."""

    environment: Annotated[str, _ENVIRONMENT] = "mlbot-evaluate"
    """The environment whose secrets it gets. It runs evaluators on artifacts of strangers, so it has nobody else's
    secrets."""
    login: Annotated[Login | None, inside(Login)] = None
    """An action that logs in first; the job may then ask for an OIDC token. Left out: none."""
    secrets: Annotated[tuple[str, ...], _SECRETS] = ()
    """Secrets, as variables of the same names: those that models name under `evaluate.secrets`. Left out: none."""


SEALED_KEY = "MLBOT_SEALED_KEY"
"""The secret that digests of sealed rows are made with, so that the ledger tells nobody which rows there are."""


class SealedAccess(_Access):
    """What the job of a release that reads sealed rows may reach; no other job gets it."""

    environment: Annotated[str, _ENVIRONMENT] = "mlbot-sealed"
    """The environment whose secrets it gets, `MLBOT_SEALED_KEY` among them. No other job may have it."""
    login: Annotated[Login | None, inside(Login)] = None
    """An action that logs in first; the job may then ask for an OIDC token. Left out: none."""
    secrets: Annotated[tuple[str, ...], _SECRETS] = ()
    """Secrets, as variables of the same names. The store's are read too, so they belong there as well. Left out:
    `MLBOT_SEALED_KEY` alone, which the job always gets."""


class StoreAccess(_Access):
    """What the job that stores accepted models may reach."""

    environment: Annotated[str, _ENVIRONMENT] = "mlbot-store"
    """The environment whose secrets it gets."""
    login: Annotated[Login | None, inside(Login)] = None
    """An action that logs in first; the job may then ask for an OIDC token. Left out: none."""
    secrets: Annotated[tuple[str, ...], _SECRETS] = ()
    """Secrets, as variables of the same names. Releases and deployments read the store too, so they get them as well,
    from the environments `mlbot` and that of the deployment. Left out: none."""


class MonitorAccess(_Access):
    """What the jobs that watch production may reach: its logs, its endpoint, and what refreshes data."""

    environment: Annotated[str, _ENVIRONMENT] = "mlbot-monitor"
    """The environment whose secrets they get. They read what strangers sent to production, so it has nobody else's
    secrets."""
    login: Annotated[Login | None, inside(Login)] = None
    """An action that logs in first; the job may then ask for an OIDC token. Left out: none."""
    secrets: Annotated[tuple[str, ...], _SECRETS] = ()
    """Secrets, as variables of the same names. Left out: none."""


class DeployAccess(_Access):
    """What the job that deploys may reach; its environment is the deployment's own."""

    login: Annotated[Login | None, inside(Login)] = None
    """An action that logs in first; the job may then ask for an OIDC token. Left out: none."""
    secrets: Annotated[tuple[str, ...], _SECRETS] = ()
    """Secrets, as variables of the same names. Left out: none."""


# What called workflows of another owner cannot have: runners, containers, environments and secrets of the caller's.
_OWN = {
    "runs_on": "runs-on",
    "container": "container",
    "token": "token",
    "judge": "judge",
    "evaluate": "evaluate",
    "sealed": "sealed",
    "store": "store",
    "monitor": "monitor",
    "deploy": "deploy",
}


class Actions(Section):
    """How the workflows are written: `mlbot init` writes them, `mlbot upgrade` writes them anew."""

    form: Annotated[Literal["callers", "inline"] | None, choice(("callers", "inline"))] = None
    """`callers` for small files that call mlbot's workflows, or `inline` for files that hold the jobs themselves.
    Left out: `inline` where a setting below, a runner of your own or the host needs it, else `callers`."""
    runs_on: Annotated[tuple[str, ...], kinds.RUNS_ON] = ("ubuntu-latest",)
    """The runner of the bot's own jobs, as a label or a list of labels. A training's is its model's, a deployment's its
    environment's."""
    isolation: Annotated[Literal["full", "reduced"], choice(("full", "reduced"))] = "full"
    """What holds a model's file while the judge scores it: `full` is Linux's sandbox, and nothing is judged without.
    `reduced` lets a judge on macOS do with limits of memory and time."""
    container: Annotated[Container | None, inside(Container)] = None
    """The image that trainings run in. Left out: none; they run on the machine."""
    token: Annotated[Token | None, inside(Token)] = None
    """A GitHub App that speaks in the jobs that write. Left out: the workflows' own token does."""
    judge: Annotated[JudgeAccess | None, inside(JudgeAccess)] = None
    """What the jobs that judge may reach. Left out: the repository."""
    evaluate: Annotated[EvaluateAccess | None, inside(EvaluateAccess)] = None
    """What the job that runs evaluators with secrets may reach. Left out: no evaluator has a secret."""
    sealed: Annotated[SealedAccess | None, inside(SealedAccess)] = None
    """What the job that reads sealed rows may reach. Left out: the environment `mlbot-sealed` with its key, where a
    model has sealed rows."""
    store: Annotated[StoreAccess | None, inside(StoreAccess)] = None
    """What the job that stores may reach. Left out: the repository and its packages."""
    monitor: Annotated[MonitorAccess | None, inside(MonitorAccess)] = None
    """What the jobs that watch production may reach. Left out: the repository, and what is public."""
    deploy: Annotated[DeployAccess | None, inside(DeployAccess)] = None
    """What the job that deploys may reach. Left out: what the deployment's environment lets by itself."""
    lfs: Annotated[bool | Literal["judge"], _LFS] = False
    """Whether checkouts fetch Git LFS files: `true`, or `judge` where only the holdout is there, which no job of a
    pull request needs."""
    retention_days: Annotated[int, whole(1, 90)._replace(key="retention-days")] = 5
    """How many days trained candidates are kept, 1 to 90."""

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """Callers have no settings of their own; what has secrets has an environment of its own."""
        found = [key for field, key in _OWN.items() if field in context.made]
        if context.made.get("form") == "callers" and found:
            hint = f"write inline, or leave {found[0]} out: called workflows cannot have it"
            yield Problem(f"callers beside {found[0]}", hint, ("form",))
        yield from _shared(context)
        yield from _speaking(context)
        apple = next((each for each in context.made.get("runs_on", ()) if _APPLE.match(each)), None)
        if apple and context.made.get("isolation") != "reduced":
            hint = "write a Linux runner's label, or `isolation: reduced`: macOS has no sandbox to score models in"
            yield Problem(quote(apple), hint, ("runs-on",))

    def needing(self) -> tuple[str, ...]:
        """The settings here that called workflows cannot have."""
        defaults = type(self)()
        return tuple(key for field, key in _OWN.items() if getattr(self, field) != getattr(defaults, field))

    def environments(self, deployments: Iterable[str] = ()) -> dict[str, tuple[str, ...]]:
        """The environments that these settings need, those of deployments among them, with the secrets of each."""
        names = tuple(deployments)
        parts = (self.judge, self.evaluate, self.store, self.monitor, self.deploy)
        judge, evaluate, store, monitor, deploy = (each.secrets if each else None for each in parts)
        sealed = (SEALED_KEY, *self.sealed.secrets, *(store or ())) if self.sealed else None
        key = (self.token.private_key,) if self.token else None
        found = {
            (self.judge or JudgeAccess()).environment: (judge,),
            (self.evaluate or EvaluateAccess()).environment: (evaluate,),
            (self.sealed or SealedAccess()).environment: (sealed,),
            (self.store or StoreAccess()).environment: (store,),
            (self.monitor or MonitorAccess()).environment: (monitor,),
            SPEAKER: (key, judge, store) if names else (key, store if self.sealed else None),
            **dict.fromkeys(names, (key, store, deploy)),
        }
        return {
            name: tuple(dict.fromkeys(secret for part in parts for secret in part or ()))
            for name, parts in found.items()
            if any(part is not None for part in parts)
        }


def _shared(context: Context) -> Iterator[Problem]:
    """Environments whose secrets a job of another kind would read."""
    deployments = context.around.inside("environments") if context.around else ()
    taken = {name.casefold(): "a deployment's" for name in deployments} | {SPEAKER: "the one with the App's key"}
    for part in ("judge", "evaluate", "sealed", "store", "monitor"):
        access = context.made.get(part)
        if access is None:
            continue
        if other := taken.get(access.environment.casefold()):
            hint = f"write another: {access.environment} is {other}, and secrets are kept apart"
            yield Problem(show_value(access.environment), hint, (part, "environment"))
        taken[access.environment.casefold()] = f"the one of {part}"


def _speaking(context: Context) -> Iterator[Problem]:
    """The App's key where a job would read it that has nothing to say: the judge runs models of strangers."""
    token: Token | None = context.made.get("token")
    if token is None:
        return
    for part in ("judge", "evaluate", "sealed", "store", "monitor", "deploy"):
        access = context.made.get(part)
        for place, name in enumerate(access.secrets if access else ()):
            if name.casefold() == token.private_key.casefold():
                hint = "leave it out: it is the App's key, which only the jobs that speak get"
                yield Problem(quote(name), hint, (part, "secrets", place))


def is_hosted(runs_on: tuple[str, ...]) -> bool:
    """Whether labels are of a runner that GitHub gives every account."""
    return len(runs_on) == 1 and _STANDARD.fullmatch(runs_on[0]) is not None
