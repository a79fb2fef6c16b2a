"""The one table of the commands: the parser, the help and docs/commands.md are made from it."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from mlbot.events.github import Role
from mlbot.lib.record import Record

MAX_COMMANDS = 10
"""So many commands of one comment are answered."""

MAX_LINE = 4_096
"""Characters of a line that is read as a command."""

MAX_REASON = 500
"""Characters of a reason."""

MAX_VALUE = 200
"""Characters of a parameter's value."""


class Form(StrEnum):
    """What an argument looks like; the value is how the usage writes it."""

    MODEL = "MODEL"
    SHA = "SHA"
    PARAMETER = "PARAMETER=VALUE"
    GATE = "MODEL:GATE"
    REASON = 'reason="…"'
    VERSIONED = "MODEL@VERSION"
    VERSION = "VERSION"
    STEP = "patch|minor|major|vX.Y.Z"
    ENVIRONMENT = "ENVIRONMENT"


FORMS: Mapping[Form, str] = MappingProxyType(
    {
        Form.MODEL: "a model's name in `mlbot.yaml`",
        Form.SHA: "all 40 digits of the pull request's head commit; a branch of the same repository may leave it out",
        Form.PARAMETER: "a parameter that the guarded branch's `mlbot.yaml` lists under `train.tunable`, and its value",
        Form.GATE: (
            "a model and a gate: `adult-income:roc_auc` for every bound on that metric, "
            "`adult-income:recall@women.min` for one; `adult-income:deleted` where the model is to be gone"
        ),
        Form.REASON: f"why, in quotes, at most {MAX_REASON} characters; it is shown and kept",
        Form.VERSIONED: "a model and its version, such as `adult-income@v1.2.0`",
        Form.VERSION: "a version of the model, such as `v1.2.0`",
        Form.STEP: "what to count up from the latest version (left out: `patch`), or the version itself",
        Form.ENVIRONMENT: "an environment's name in `mlbot.yaml`",
    }
)
"""What each form means to who writes it, in Markdown."""


class Where(StrEnum):
    """Where a command may be said."""

    PULL_REQUEST = "pull request"
    """An open one."""
    ISSUE = "issue"
    """The thread that a version has, or any other."""


class Argument(Record):
    """One argument of a command."""

    form: Form
    required: bool = False
    many: bool = False

    @property
    def usage(self) -> str:
        """How the usage writes it: brackets for what may be left out, an ellipsis for what may come again."""
        word = f"{self.form}{'…' if self.many else ''}"
        return word if self.required else f"[{word}]"


class CommandSpec(Record):
    """A row of the table."""

    kind: str
    """Of the record that it is read into."""
    name: str
    """What is said behind the slash."""
    aliases: tuple[str, ...] = ()
    arguments: tuple[Argument, ...] = ()
    where: tuple[Where, ...]
    who: Role
    """The least role; `none` for anyone."""
    summary: str
    """One line, in Markdown."""
    detail: str
    """What else there is to know, in Markdown."""
    example: str

    @property
    def usage(self) -> str:
        """How it is written: `/waive MODEL:GATE reason="…"`."""
        return " ".join((f"/{self.name}", *(argument.usage for argument in self.arguments)))

    @property
    def releases(self) -> bool:
        """Whether it is of use only where there is an environment to release to."""
        return self.kind in _OF_RELEASES


_OF_RELEASES = frozenset({"release", "promote", "approve", "rollback", "lock", "unlock"})

_PULL_REQUEST = (Where.PULL_REQUEST,)

_ANYWHERE = (Where.PULL_REQUEST, Where.ISSUE)

_REASON = Argument(form=Form.REASON, required=True)

_ENVIRONMENT = Argument(form=Form.ENVIRONMENT, required=True)

_VERSIONED = Argument(form=Form.VERSIONED, required=True)

COMMANDS: tuple[CommandSpec, ...] = (
    CommandSpec(
        kind="retrain",
        name="retrain",
        arguments=(
            Argument(form=Form.MODEL, many=True),
            Argument(form=Form.PARAMETER, many=True),
            Argument(form=Form.SHA),
        ),
        where=_PULL_REQUEST,
        who="write",
        summary="Trains again, in the sandbox of the pull request.",
        detail=(
            "Without parameters it trains what is stale with the committed parameters, and the models that are named; "
            "the verdict follows. With parameters (and exactly one model) it is a *trial*: the result is shown beside "
            "the committed model's and never sets the status."
        ),
        example="/retrain adult-income learning_rate=0.05",
    ),
    CommandSpec(
        kind="judge",
        name="judge",
        arguments=(Argument(form=Form.SHA),),
        where=_PULL_REQUEST,
        who="write",
        summary="Judges again what is already trained.",
        detail="For example after the gates or the holdout changed on the guarded branch. Nothing is trained.",
        example="/judge",
    ),
    CommandSpec(
        kind="waive",
        name="waive",
        arguments=(Argument(form=Form.GATE, required=True), _REASON),
        where=_PULL_REQUEST,
        who="maintain",
        summary="Lets one gate that failed or could not tell pass.",
        detail=(
            "It holds for this content key and these rules: a change of either ends it, and a merge that changes "
            "neither takes it along. The reason stands in the comment, the status and the ledger. The config may name "
            "others who may say it."
        ),
        example='/waive adult-income:recall@women reason="The slice was relabelled; agreed with the data owners."',
    ),
    CommandSpec(
        kind="status",
        name="mlbot status",
        where=_PULL_REQUEST,
        who="none",
        summary="Says what runs, what is stale, and why the gate stands as it does.",
        detail="It changes nothing.",
        example="/mlbot status",
    ),
    CommandSpec(
        kind="help",
        name="mlbot help",
        aliases=("help",),
        where=_ANYWHERE,
        who="none",
        summary="Lists the commands that this repository has.",
        detail="Its models, its environments and the parameters that a trial may change are named too.",
        example="/mlbot help",
    ),
    CommandSpec(
        kind="cancel",
        name="mlbot cancel",
        where=_PULL_REQUEST,
        who="write",
        summary="Cancels the training runs of this pull request.",
        detail="`/retrain` starts one again.",
        example="/mlbot cancel",
    ),
    CommandSpec(
        kind="release",
        name="release",
        arguments=(Argument(form=Form.MODEL, required=True), Argument(form=Form.STEP)),
        where=_ANYWHERE,
        who="write",
        summary="Gives a version to the model that the guarded branch was judged with.",
        detail="The first one is v1.0.0. The bot opens the version's issue, where the rest of its life is told.",
        example="/release adult-income minor",
    ),
    CommandSpec(
        kind="promote",
        name="promote",
        arguments=(_VERSIONED, _ENVIRONMENT, Argument(form=Form.REASON)),
        where=_ANYWHERE,
        who="write",
        summary="Moves a version into an environment.",
        detail="In the order of the environments, and with the approvals that `mlbot.yaml` asks for.",
        example="/promote adult-income@v1.2.0 staging",
    ),
    CommandSpec(
        kind="approve",
        name="approve",
        arguments=(_VERSIONED, _ENVIRONMENT),
        where=_ANYWHERE,
        who="write",
        summary="Approves a promotion that somebody else asked for.",
        detail="It holds for that version's digest in that environment.",
        example="/approve adult-income@v1.2.0 production",
    ),
    CommandSpec(
        kind="rollback",
        name="rollback",
        arguments=(
            Argument(form=Form.MODEL, required=True),
            _ENVIRONMENT,
            Argument(form=Form.VERSION),
            _REASON,
        ),
        where=_ANYWHERE,
        who="write",
        summary="Goes back to the last good version, or to the one that is named.",
        detail="Exempt from gates and order, never from integrity: the old file is verified and loaded first.",
        example='/rollback adult-income production reason="Latency doubled since noon."',
    ),
    CommandSpec(
        kind="lock",
        name="lock",
        arguments=(_ENVIRONMENT, _REASON),
        where=_ANYWHERE,
        who="write",
        summary="Keeps every promotion out of an environment.",
        detail="Until `/unlock`.",
        example='/lock production reason="Freeze until the audit is over."',
    ),
    CommandSpec(
        kind="unlock",
        name="unlock",
        arguments=(_ENVIRONMENT,),
        where=_ANYWHERE,
        who="write",
        summary="Lets promotions into a locked environment again.",
        detail="Anybody who may lock it may unlock it.",
        example="/unlock production",
    ),
)

_BY_NAME = MappingProxyType({name: spec for spec in COMMANDS for name in (spec.name, *spec.aliases)})

_BY_KIND = MappingProxyType({spec.kind: spec for spec in COMMANDS})


def named(name: str) -> CommandSpec | None:
    """The command that is said so, without its slash and in lower case; None for none."""
    return _BY_NAME.get(name)


def spec_of(kind: str) -> CommandSpec:
    """The row of a command's record, by its `kind`."""
    return _BY_KIND[kind]
