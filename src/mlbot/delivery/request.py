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
from mlbot.events.github import Comment, CommentFacts, Id, Login, Role, is_enough
from mlbot.lib.record import Record
from mlbot.registry.tag import RegistryTag, parse_tag

# A request to the release workflow: what is known of it, and the request that is in order or is not.

ReleaseCommand = Annotated[Release | Promote | Approve | Rollback | Lock | Unlock, Field(discriminator="kind")]
"""What is asked of the release workflow."""

_DEPLOYS = frozenset({"promote", "rollback"})


class AskReason(StrEnum):
    """Why nothing is done about a request. A closed list."""

    NOTHING_ASKED = "nothing-asked"
    CONTRADICTION = "contradiction"
    NOT_DEFAULT_BRANCH = "not-default-branch"
    COMMENT_GONE = "comment-gone"
    BOT = "bot"
    """A bot wrote the comment, or a machine asked for what only a person may."""
    EDITED = "edited"
    SEVERAL = "several"
    MISUNDERSTOOD = "misunderstood"
    NOT_PERMITTED = "not-permitted"
    NO_VERSION_TAG = "no-version-tag"
    FOREIGN_TAG = "foreign-tag"
    """It is of no model of mlbot.yaml: another tool's."""
    PUSHER_UNKNOWN = "pusher-unknown"
    CONFIG = "config"
    UNKNOWN_ENVIRONMENT = "unknown-environment"


class AskFacts(Record):
    """All that is known of a dispatch."""

    inputs: dict[str, str]
    """Empty ones left out."""
    on_default: bool
    """Whether it was started on the default branch."""
    sender: Login | None
    """Who started it, as GitHub says."""
    comment: CommentFacts | None = None
    """The comment that `inputs` names."""
    pusher: Login | None = None
    """Who pushed the tag that `inputs` names, as GitHub says."""
    role: Role = "none"
    """Of `asker`."""
    config: Config | None = None
    """The default branch's."""
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


class Asked(Record):
    """A request that is in order. What it leads to is decided where the ledger is."""

    kind: Literal["asked"] = "asked"
    command: ReleaseCommand
    actor: Login | None = None
    """Who asks; None for whoever released the version."""
    tag: str | None = None
    """The pushed tag."""
    comment: Id | None = None
    number: Id | None = None
    """Of the thread that the comment is in."""
    text: str
    """As it was said, or as one would say it."""

    @property
    def deploys(self) -> bool:
        """Whether it changes what an environment serves."""
        return self.command.kind in _DEPLOYS

    @property
    def environment(self) -> str:
        """Where; empty where it is about none."""
        return getattr(self.command, "environment", "")


class NotAsked(Record):
    """A request that nothing is done about."""

    kind: Literal["not-asked"] = "not-asked"
    reason: AskReason
    sentence: str
    hint: str = ""
    usage: str = ""
    text: str = ""
    comment: Id | None = None
    number: Id | None = None
    alone: bool = True
    """Whether the comment says nothing else, so that its answer may be written anew."""

    @property
    def silent(self) -> bool:
        """Whether nobody is told: there is nobody, or it was never meant for mlbot."""
        return self.reason in {AskReason.COMMENT_GONE, AskReason.FOREIGN_TAG}


Ask = Annotated[Asked | NotAsked, Field(discriminator="kind")]

ASK: TypeAdapter[Asked | NotAsked] = TypeAdapter(Ask)

_COMMAND: TypeAdapter[Release | Promote | Approve | Rollback | Lock | Unlock] = TypeAdapter(ReleaseCommand)

_COMMANDS = (Release, Promote, Approve, Rollback, Lock, Unlock)

_KINDS = ("release", "promote", "approve", "rollback", "lock", "unlock")

FIELDS: Mapping[str, tuple[str, ...]] = {
    "release": ("model", "version", "bump"),
    "promote": ("model", "version", "environment", "reason"),
    "approve": ("model", "version", "environment"),
    "rollback": ("model", "environment", "to", "reason"),
    "lock": ("environment", "reason"),
    "unlock": ("environment",),
}
"""What each command takes of the dispatch's inputs."""


def decide_ask(facts: AskFacts) -> Asked | NotAsked:
    """What is asked for, and by whom; or why that is not followed: the first check that does not hold decides."""
    if not facts.on_default:
        return _no(
            AskReason.NOT_DEFAULT_BRANCH,
            "The release workflow runs on the default branch only.",
            "Start it there: Actions > the workflow > Run workflow, with the default branch chosen.",
        )
    ways = [name for name in ("comment", "tag", "do") if name in facts.inputs]
    if len(ways) > 1:
        return _no(AskReason.CONTRADICTION, f"The inputs {' and '.join(ways)} contradict each other.", "Give one.")
    if not ways:
        return _no(
            AskReason.NOTHING_ASKED, "Nothing was asked for.", f"Give the input `do`: one of {', '.join(_KINDS)}."
        )
    found = {"comment": _of_comment, "tag": _of_tag, "do": _of_inputs}[ways[0]](facts)
    return found if isinstance(found, NotAsked) else _permitted(facts, found) or _known(facts, found) or found


def runs_on(ask: Asked, config: Config | None) -> tuple[str, ...]:
    """The runner of a deployment."""
    found = _environment(config, ask.environment)
    return found.runs_on if found else ("ubuntu-latest",)


def asks_for(comment: Comment, approved: Approve) -> bool:
    """Whether a comment asks, as somebody wrote it, for just the promotion that somebody else approves."""
    said = parse_comment(comment.body)
    if comment.edited or comment.author is None or comment.author.endswith("[bot]") or len(said) != 1:
        return False
    command = said[0].command
    wanted = (approved.model, approved.version, approved.environment)
    return isinstance(command, Promote) and (command.model, command.version, command.environment) == wanted


def _of_comment(facts: AskFacts) -> Asked | NotAsked:
    comment = facts.comment
    if comment is None:
        return _no(AskReason.COMMENT_GONE, "The comment is gone.")
    said = parse_comment(comment.body)
    mine = next(((each.command, each.text) for each in said if isinstance(each.command, _COMMANDS)), None)
    if mine is None:
        return _no(AskReason.NOTHING_ASKED, "The comment asks for no release and no deployment.")
    command, text = mine
    about: dict[str, Any] = {"comment": comment.id, "number": comment.number, "text": text}
    refused = _unheard(comment, alone=len(said) == 1)
    if refused is not None:
        return _no(*refused, **about, alone=len(said) == 1)
    return Asked(command=command, actor=comment.author, **about)


def _unheard(comment: CommentFacts, *, alone: bool) -> tuple[AskReason, str, str] | None:
    """Why a comment is not followed, whatever it says."""
    if not comment.person or comment.author is None:
        return AskReason.BOT, "A bot wrote it, and only people may ask.", ""
    if comment.edited:
        return AskReason.EDITED, "The comment was edited after it was written.", "Write a new one."
    if not alone:
        why = "The comment says more than this, and what was done would be told in one answer with the rest."
        return AskReason.SEVERAL, why, "Say it in a comment of its own."
    return None


def _of_tag(facts: AskFacts) -> Asked | NotAsked:
    name = facts.inputs["tag"]
    model = name.rpartition("@v")[0]
    if facts.by_machine and facts.config and not facts.config.model(model):
        return _no(AskReason.FOREIGN_TAG, f"The tag {name[:100]} is of no model of mlbot.yaml.")
    says = parse_tag(name)
    if not isinstance(says, RegistryTag) or says.kind != "version" or says.numbers is None or says.cancels:
        why = says if isinstance(says, str) else "it is of another kind"
        return _no(AskReason.NO_VERSION_TAG, f"The tag {name[:100]} gives no version: {why}.", "Tag it model@v1.2.0.")
    command = _validated({"kind": "release", "model": says.model, "version": ".".join(map(str, says.numbers))})
    if isinstance(command, NotAsked):
        return command
    if facts.asker is None:
        return _no(
            AskReason.PUSHER_UNKNOWN,
            f"GitHub does not say who pushed the tag {name[:100]}: it has no run that its push started.",
            "Start the workflow by hand, with the tag's name in the input `tag`.",
        )
    return Asked(command=command, actor=facts.asker, tag=name, text=command.text)


def _of_inputs(facts: AskFacts) -> Asked | NotAsked:
    do = facts.inputs["do"]
    if do not in _KINDS:
        return _no(
            AskReason.MISUNDERSTOOD, f"There is nothing called {do[:40]!r} to do.", f"One of {', '.join(_KINDS)}."
        )
    if facts.by_machine and do != "promote":
        return _no(
            AskReason.BOT,
            f"A workflow asked for `{do}`, and only a person may.",
            f"Say /{do} in a comment, or start the workflow by hand.",
        )
    needless = sorted(facts.inputs.keys() - {"do", *FIELDS[do]})
    if needless:
        hint = f"Leave out {', '.join(needless)}."
        return _no(AskReason.CONTRADICTION, f"`{do}` takes no {' and no '.join(needless)}.", hint)
    given = {name: facts.inputs[name] for name in FIELDS[do] if name in facts.inputs}
    given |= {name: given[name].removeprefix("v") for name in ("version", "to") if name in given}
    command = _validated({"kind": do, **given})
    if isinstance(command, NotAsked):
        return command
    return Asked(command=command, actor=facts.asker, text=command.text)


def _validated(
    fields: Mapping[str, object],
) -> Release | Promote | Approve | Rollback | Lock | Unlock | NotAsked:
    try:
        return _COMMAND.validate_python(fields)
    except ValidationError as error:
        kind = str(fields["kind"])
        places = sorted({str(each["loc"][-1]) for each in error.errors()} - {kind})
        sentence = f"`{kind}` needs another {' and '.join(places)} than what was given."
        usage = next(each.usage() for each in _COMMANDS if each.name == kind)
        return _no(AskReason.MISUNDERSTOOD, sentence, "It is said:", usage=usage)


def _permitted(facts: AskFacts, asked: Asked) -> NotAsked | None:
    """Whether the asker has the role. Whoever could push a tag may have it looked at."""
    if asked.actor is None or (asked.tag and facts.by_machine):
        return None
    if is_enough(facts.role, asked.command.role):
        return None
    return _no(
        AskReason.NOT_PERMITTED,
        f"/{asked.command.kind} needs the role {asked.command.role}, and {asked.actor} has {facts.role}.",
        "Ask somebody who has it to say it.",
        comment=asked.comment,
        number=asked.number,
        text=asked.text,
    )


def _known(facts: AskFacts, asked: Asked) -> NotAsked | None:
    """Whether there is a config, and in it the environment, whose runner is to be asked for."""
    about = {"comment": asked.comment, "number": asked.number, "text": asked.text}
    if facts.config is None:
        problem = f": {facts.config_problem}" if facts.config_problem else ", or it is not there"
        return _no(
            AskReason.CONFIG, f"mlbot.yaml of the default branch cannot be read{problem}.", "Fix it there.", **about
        )
    name = asked.environment
    if not name or _environment(facts.config, name):
        return None
    there = [each.name for each in facts.config.environments]
    close = nearest(name, there)
    return _no(
        AskReason.UNKNOWN_ENVIRONMENT,
        f"mlbot.yaml has no environment {name}.",
        f"Did you mean {close}?" if close else f"The environments are: {', '.join(there) or 'none'}.",
        **about,
    )


def _environment(config: Config | None, name: str) -> EnvironmentConfig | None:
    return next((each for each in config.environments if each.name == name), None) if config else None


def _no(reason: AskReason, sentence: str, hint: str = "", **more: Any) -> NotAsked:
    return NotAsked.model_validate({"reason": reason, "sentence": sentence, "hint": hint, **more})
