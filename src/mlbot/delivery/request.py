"""Who asks the release workflow for what: a comment, a pushed tag, a person or mlbot itself.

Inputs of a dispatch are anybody's who can start a workflow, a tagged commit's own workflow file among them. So of a
comment only its number is believed, of a tag only its name; who wrote or pushed it GitHub says. A machine may ask for a
tag, for a comment, and for a promotion in the name of whoever released the version: for nothing else.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from mlbot.commands.forward import Approve, Lock, Promote, Release, Rollback, Unlock
from mlbot.commands.parser import parse_comment
from mlbot.config.errors import nearest
from mlbot.config.schema import Config, EnvironmentConfig
from mlbot.events.github import Comment, CommentFacts, Edits, Id, Login, Role, is_enough
from mlbot.lib.record import Record, first_refusal
from mlbot.registry.tags import RegistryTag, parse_tag
from mlbot.verdict.decide import may_waive

ReleaseCommand = Annotated[Release | Promote | Approve | Rollback | Lock | Unlock, Field(discriminator="kind")]
"""What is asked of the release workflow."""


class RequestReason(StrEnum):
    """Why nothing is done about a request. A closed list."""

    NOTHING_ASKED = "nothing-asked"
    NO_COMMAND = "no-command"  # the comment has no command of releases and deployments
    CONTRADICTION = "contradiction"
    NEEDLESS_INPUT = "needless-input"
    NOT_DEFAULT_BRANCH = "not-default-branch"
    COMMENT_GONE = "comment-gone"
    BOT = "bot"  # a bot wrote the comment
    MACHINE = "machine"  # a workflow asked for what only a person may
    EDITED = "edited"
    EDITS_UNKNOWN = "edits-unknown"  # GitHub does not say whether the comment was edited
    SEVERAL = "several"
    UNKNOWN_COMMAND = "unknown-command"
    MISUNDERSTOOD = "misunderstood"
    NOT_PERMITTED = "not-permitted"
    NO_VERSION_TAG = "no-version-tag"
    FOREIGN_TAG = "foreign-tag"  # it is of no model of mlbot.yaml: another tool's
    PUSHER_UNKNOWN = "pusher-unknown"
    CONFIG = "config"
    UNKNOWN_ENVIRONMENT = "unknown-environment"


class RequestFacts(Record):
    """All that is known of a dispatch."""

    inputs: dict[str, str]  # empty ones left out
    on_default: bool  # whether it was started on the default branch
    sender: Login | None  # who started it, as GitHub says
    comment: CommentFacts | None = None  # the comment that `inputs` names
    pusher: Login | None = None  # who pushed the tag that `inputs` names, as GitHub says
    role: Role = "none"  # of `asker`
    config: Config | None = None  # the default branch's
    config_problem: str = ""

    @property
    def by_machine(self) -> bool:
        """Whether an app started it: the command job, a pushed tag, this workflow itself, or any other workflow."""
        return self.sender is None or self.sender.endswith("[bot]")

    @property
    def asker(self) -> Login | None:
        """Who asks; None for nobody that GitHub names."""
        if "comment" in self.inputs:
            return self.comment.author if self.comment else None
        if self.by_machine:
            return self.pusher if "tag" in self.inputs else None
        return self.sender


class _Request(Record):
    """Where a request was made."""

    text: str = ""  # as it was written, or as one would write it
    comment: Id | None = None
    number: Id | None = None  # of the issue or pull request that the comment is in


class DeliveryRequest(_Request):
    """A request that is in order. What it leads to is decided where the ledger is."""

    kind: Literal["request"] = "request"
    command: ReleaseCommand
    actor: Login | None = None  # who asks; None for whoever released the version
    tag: str | None = None  # the pushed tag

    @property
    def deploys(self) -> bool:
        """Whether it changes what an environment serves."""
        return isinstance(self.command, Promote | Rollback)

    @property
    def environment(self) -> str:
        """Where; empty where it is about none."""
        return getattr(self.command, "environment", "")


class RejectedRequest(_Request):
    """A request that nothing is done about; its words are in `release/request.j2`."""

    kind: Literal["rejected"] = "rejected"
    reason: RequestReason
    values: dict[str, str] = Field(default_factory=dict)  # what the words are about
    usage: str = ""  # how the command is written, where it was not understood
    alone: bool = True  # whether the comment says nothing else, so that its answer may be written anew

    @property
    def silent(self) -> bool:
        """Whether nobody is answered: there is nobody, or it was never meant for mlbot."""
        return self.reason in {RequestReason.COMMENT_GONE, RequestReason.FOREIGN_TAG}


REQUEST: TypeAdapter[DeliveryRequest | RejectedRequest] = TypeAdapter(
    Annotated[DeliveryRequest | RejectedRequest, Field(discriminator="kind")]
)

_COMMAND: TypeAdapter[Release | Promote | Approve | Rollback | Lock | Unlock] = TypeAdapter(ReleaseCommand)

_COMMANDS = {each.name: each for each in (Release, Promote, Approve, Rollback, Lock, Unlock)}

FIELDS: Mapping[str, tuple[str, ...]] = {
    "release": ("model", "version", "bump"),
    "promote": ("model", "version", "environment", "reason"),
    "approve": ("model", "version", "environment"),
    "rollback": ("model", "environment", "to", "reason"),
    "lock": ("environment", "reason"),
    "unlock": ("environment",),
}
"""What each command takes of the dispatch's inputs."""


def authorize_request(facts: RequestFacts) -> DeliveryRequest | RejectedRequest:
    """What is asked for, and by whom; or why that is not followed: the first check that does not hold decides."""
    ways = [name for name in ("comment", "tag", "do") if name in facts.inputs]
    refusal = first_refusal(
        (
            (RequestReason.NOT_DEFAULT_BRANCH, not facts.on_default),
            (RequestReason.CONTRADICTION, len(ways) > 1),
            (RequestReason.NOTHING_ASKED, not ways),
        )
    )
    if refusal:
        return _rejected(refusal, inputs=" and ".join(ways), commands=", ".join(_COMMANDS))
    found = {"comment": _of_comment, "tag": _of_tag, "do": _of_inputs}[ways[0]](facts)
    return found if isinstance(found, RejectedRequest) else _refused(facts, found) or found


def runs_on(request: DeliveryRequest, config: Config | None) -> tuple[str, ...]:
    """The runner of a deployment."""
    found = _environment(config, request.environment)
    return found.runs_on if found else ("ubuntu-latest",)


def asks_sealed(request: DeliveryRequest, config: Config | None) -> bool:
    """Whether sealed rows are to be asked: not where somebody answers for the release in their place."""
    command = request.command
    model = config.model(command.model) if config and isinstance(command, Release) else None
    return model is not None and model.data.sealed is not None and not _waives(command)


def asks_for(comment: Comment, approved: Approve) -> bool:
    """Whether a comment asks for just the promotion that somebody else approves."""
    lines = parse_comment(comment.body)
    if comment.author is None or comment.author.endswith("[bot]") or len(lines) != 1:
        return False
    command = lines[0].command
    wanted = (approved.model, approved.version, approved.environment)
    return isinstance(command, Promote) and (command.model, command.version, command.environment) == wanted


def _of_comment(facts: RequestFacts) -> DeliveryRequest | RejectedRequest:
    comment = facts.comment
    if comment is None:
        return _rejected(RequestReason.COMMENT_GONE)
    lines = parse_comment(comment.body)
    mine = next(
        ((each.command, each.text) for each in lines if isinstance(each.command, tuple(_COMMANDS.values()))), None
    )
    if mine is None:
        return _rejected(RequestReason.NO_COMMAND)
    command, text = mine
    about: dict[str, Any] = {"comment": comment.id, "number": comment.number, "text": text}
    refusal = first_refusal(
        (
            (RequestReason.BOT, not comment.person or comment.author is None),
            (RequestReason.EDITED, comment.edits is Edits.SOME),
            (RequestReason.EDITS_UNKNOWN, comment.edits is not Edits.NONE),
            (RequestReason.SEVERAL, len(lines) > 1),
        )
    )
    if refusal:
        return RejectedRequest(reason=refusal, alone=len(lines) == 1, **about)
    return DeliveryRequest.model_validate({"command": command, "actor": comment.author, **about})


def _of_tag(facts: RequestFacts) -> DeliveryRequest | RejectedRequest:
    name = facts.inputs["tag"]
    if facts.by_machine and facts.config and not facts.config.model(name.rpartition("@v")[0]):
        return _rejected(RequestReason.FOREIGN_TAG, tag=name)
    says = parse_tag(name)
    if not isinstance(says, RegistryTag) or says.kind != "version" or says.numbers is None or says.cancels:
        why = says if isinstance(says, str) else "it is of another kind"
        return _rejected(RequestReason.NO_VERSION_TAG, tag=name, why=why)
    command = _validated({"kind": "release", "model": says.model, "version": says.version})
    if isinstance(command, RejectedRequest):
        return command
    if facts.asker is None:
        return _rejected(RequestReason.PUSHER_UNKNOWN, tag=name)
    return DeliveryRequest(command=command, actor=facts.asker, tag=name, text=command.text)


def _of_inputs(facts: RequestFacts) -> DeliveryRequest | RejectedRequest:
    do = facts.inputs["do"]
    needless = sorted(facts.inputs.keys() - {"do", *FIELDS.get(do, ())})
    refusal = first_refusal(
        (
            (RequestReason.UNKNOWN_COMMAND, do not in _COMMANDS),
            (RequestReason.MACHINE, facts.by_machine and do != "promote"),
            (RequestReason.NEEDLESS_INPUT, bool(needless)),
        )
    )
    if refusal:
        about = {"inputs": ", ".join(needless), "commands": ", ".join(_COMMANDS), "near": nearest(do, _COMMANDS) or ""}
        return _rejected(refusal, do=do, **about)
    given = {name: facts.inputs[name] for name in FIELDS[do] if name in facts.inputs}
    given |= {name: given[name].removeprefix("v") for name in ("version", "to") if name in given}
    command = _validated({"kind": do, **given})
    if isinstance(command, RejectedRequest):
        return command
    return DeliveryRequest(command=command, actor=facts.asker, text=command.text)


def _validated(
    fields: Mapping[str, object],
) -> Release | Promote | Approve | Rollback | Lock | Unlock | RejectedRequest:
    try:
        return _COMMAND.validate_python(fields)
    except ValidationError as error:
        kind = str(fields["kind"])
        wrong = " and ".join(sorted({str(each["loc"][-1]) for each in error.errors()} - {kind}))
        usage = _COMMANDS[kind].usage()
        return RejectedRequest(reason=RequestReason.MISUNDERSTOOD, values={"do": kind, "inputs": wrong}, usage=usage)


def _refused(facts: RequestFacts, request: DeliveryRequest) -> RejectedRequest | None:
    """Why a request that is understood is not followed. Whoever could push a tag may have it looked at."""
    name, command = request.environment, request.command
    by_name = request.actor is not None and not (request.tag and facts.by_machine)
    refusal = first_refusal(
        (
            (RequestReason.NOT_PERMITTED, by_name and not is_enough(facts.role, command.role)),
            (RequestReason.CONFIG, facts.config is None),
            (RequestReason.NOT_PERMITTED, _waives(command) and not _may_waive(facts)),
            (RequestReason.UNKNOWN_ENVIRONMENT, bool(name) and _environment(facts.config, name) is None),
        )
    )
    if refusal is None:
        return None
    there = [each.name for each in facts.config.environments] if facts.config else []
    values = {
        "do": command.kind,
        "needs": "maintain" if _waives(command) else command.role,
        "actor": request.actor or "",
        "has": facts.role,
        "problem": facts.config_problem,
        "environment": name,
        "environments": ", ".join(there),
        "near": nearest(name, there) or "",
    }
    about = {"comment": request.comment, "number": request.number, "text": request.text}
    return RejectedRequest.model_validate({"reason": refusal, "values": values, **about})


def _waives(command: ReleaseCommand) -> bool:
    return isinstance(command, Release) and command.waive_sealed is not None


def _may_waive(facts: RequestFacts) -> bool:
    """Whether who asks may answer for a release in the place of sealed rows; a machine never does."""
    asker = facts.asker
    return facts.config is not None and asker is not None and may_waive(facts.config.waivers, asker, facts.role, None)


def _environment(config: Config | None, name: str) -> EnvironmentConfig | None:
    return next((each for each in config.environments if each.name == name), None) if config else None


def _rejected(reason: RequestReason, **values: str) -> RejectedRequest:
    return RejectedRequest(reason=reason, values=values)
