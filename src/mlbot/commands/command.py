"""What people say to the bot in a comment: records, and the reader of a comment's text.

Pure and without knowledge of any repository: whether a model, a parameter or an environment exists is decided where
the config is. A comment is anybody's text: reading it never raises, and takes time linear in its length.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, TypeAdapter

from mlbot.commands import parser
from mlbot.commands.markdown import spoken_lines
from mlbot.commands.parser import Fault, MisreadError, find, split
from mlbot.commands.table import MAX_COMMANDS, MAX_LINE, MAX_REASON, MAX_VALUE, spec_of
from mlbot.config.errors import INVISIBLE
from mlbot.lib.record import Name, Record, Sha

Reason = Annotated[str, StringConstraints(min_length=1, max_length=MAX_REASON)]
"""Why, in a person's words: one line, nothing invisible in it; escaped where it is shown."""

Param = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]

Value = Annotated[str, StringConstraints(max_length=MAX_VALUE)]

VersionText = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,8})(\.(0|[1-9][0-9]{0,8})){2}$")]
"""`1.2.0`, without the `v`."""

GateName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,78}(@[A-Za-z0-9][A-Za-z0-9._-]{0,78})?$"),
]
"""`subject` or `subject.bound` (`roc_auc`, `recall@women.min`), or `deleted` for a model that is gone."""


class Retrain(Record):
    """Train again; with parameters, as a trial of one model."""

    kind: Literal["retrain"] = "retrain"
    models: tuple[Name, ...] = ()
    params: dict[Param, Value] = Field(default_factory=dict)
    """As they were written; types and bounds are the policy config's. Exactly one model is named when there are any."""
    sha: Sha | None = None


class JudgeAgain(Record):
    """Judge again what is trained."""

    kind: Literal["judge"] = "judge"
    sha: Sha | None = None


class Waive(Record):
    """Let one gate pass."""

    kind: Literal["waive"] = "waive"
    model: Name
    gate: GateName
    reason: Reason


class Status(Record):
    """Say what runs and why the gate stands as it does."""

    kind: Literal["status"] = "status"


class Help(Record):
    """List the commands."""

    kind: Literal["help"] = "help"


class Cancel(Record):
    """Cancel the training runs."""

    kind: Literal["cancel"] = "cancel"


class Release(Record):
    """Give a version to a judged model; at most one of `version` and `bump`."""

    kind: Literal["release"] = "release"
    model: Name
    version: VersionText | None = None
    bump: Literal["patch", "minor", "major"] | None = None


class Promote(Record):
    """Move a version into an environment."""

    kind: Literal["promote"] = "promote"
    model: Name
    version: VersionText
    environment: Name
    reason: Annotated[str, StringConstraints(max_length=MAX_REASON)] = ""


class Approve(Record):
    """Approve a promotion."""

    kind: Literal["approve"] = "approve"
    model: Name
    version: VersionText
    environment: Name


class Rollback(Record):
    """Go back to a version; None: the last good one."""

    kind: Literal["rollback"] = "rollback"
    model: Name
    environment: Name
    to: VersionText | None = None
    reason: Reason


class Lock(Record):
    """Keep promotions out of an environment."""

    kind: Literal["lock"] = "lock"
    environment: Name
    reason: Reason


class Unlock(Record):
    """Let promotions into an environment again."""

    kind: Literal["unlock"] = "unlock"
    environment: Name


Command = Annotated[
    Retrain | JudgeAgain | Waive | Status | Help | Cancel | Release | Promote | Approve | Rollback | Lock | Unlock,
    Field(discriminator="kind"),
]

_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)

_SHOWN = 200
"""Characters of a line that is too long."""


class CommandError(Record):
    """A line that was meant as a command and is none."""

    kind: Literal["error"] = "error"
    fault: Fault
    sentence: str
    """What is wrong and how to fix it, plain text with words of the comment in it: escape it where it is shown."""
    usage: str = ""
    """How the command is written, when it is known which was meant."""


class Said(Record):
    """One line of a comment that is answered."""

    line: Annotated[int, Field(gt=0)]
    """From 1."""
    text: str
    """The line as it was written, without the space around it; shortened when it is too long."""
    command: Command | CommandError


def parse_comment(body: str) -> tuple[Said, ...]:
    """What a comment says to the bot, in order; empty when it says nothing.

    Args:
        body: The comment's Markdown, as GitHub gives it.

    Returns:
        At most `MAX_COMMANDS` lines and one error more when there would be others. Nothing in `body` raises.
    """
    return tuple(_said(body))


def _said(body: str) -> Iterator[Said]:
    count = 0
    for number, line in spoken_lines(body):
        found = _read(line)
        if found is None:
            continue
        count += 1
        text = line.strip() if len(line) <= MAX_LINE else f"{line[:_SHOWN]}…"
        if count > MAX_COMMANDS:
            sentence = f"One comment may have {MAX_COMMANDS} commands; this one and what follows it are left out."
            found = CommandError(fault=Fault.TOO_MANY, sentence=sentence)
        yield Said(line=number, text=text, command=found)
        if count > MAX_COMMANDS:
            return


def _read(line: str) -> Command | CommandError | None:
    """What a line says; None when it is not for mlbot."""
    usage = ""
    try:
        found = find(line[: MAX_LINE + 1])
        if found is None:
            return None
        spec, rest = found
        usage = spec.usage
        _check(line)
        return _COMMAND.validate_python({"kind": spec.kind, **parser.read(spec, split(rest))})
    except MisreadError as error:
        return CommandError(fault=error.fault, sentence=error.sentence, usage=error.usage or usage)


def _check(line: str) -> None:
    if len(line) > MAX_LINE:
        raise MisreadError(Fault.TOO_LONG, f"The line has more than {MAX_LINE:,} characters.")
    if hidden := INVISIBLE.search(line):
        sentence = f"The line has a character that cannot be seen, U+{ord(hidden[0]):04X}; type it again without."
        raise MisreadError(Fault.INVISIBLE, sentence)


def command_text(command: Command) -> str:
    """A command as a person would write it; `parse_comment` reads it into the same record."""
    spec = spec_of(command.kind)
    return " ".join((f"/{spec.name}", *parser.written(spec, command.model_dump())))
