"""A command of a comment: its class says how it is written, who may give it and where, and what is done about it.

To add one: a class in a file of this room, its template in `templates/commands/`, and its place in `COMMANDS`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import StringConstraints

from mlbot.commands.facts import Decision, Facts
from mlbot.config.schema import Config
from mlbot.events.github import Role
from mlbot.lib.record import Record
from mlbot.lib.version import PRE

MAX_REASON = 500  # characters of a reason
MAX_VALUE = 200  # characters of a parameter's value
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
_NUMBERS = rf"(?:0|[1-9][0-9]{{0,8}})(?:\.(?:0|[1-9][0-9]{{0,8}})){{2}}(?:-{PRE})?"
_GATE = r"[A-Za-z0-9][A-Za-z0-9._-]{0,78}(?:@[A-Za-z0-9][A-Za-z0-9._-]{0,78})?"
_HEXADECIMAL = re.compile(r"[0-9a-fA-F]{7,}+")
WHOLE_SHA = (40, 64)  # how many digits a commit's name has
ReasonText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_REASON)]
"""Why, in a person's words: one line, nothing invisible in it; escaped where it is shown."""
Param = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]
Value = Annotated[str, StringConstraints(max_length=MAX_VALUE)]
VersionText = Annotated[str, StringConstraints(max_length=60, pattern=rf"^{_NUMBERS}$")]  # `1.2.0`, without the `v`
GateName = Annotated[str, StringConstraints(pattern=rf"^{_GATE}$")]
"""`subject` or `subject.bound` (`roc_auc`, `recall@women.min`), or `deleted` for a model that is gone."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """How an argument is written."""

    usage: str  # its word in the usage
    help: str  # what it means to who writes it, in Markdown
    write: Callable[[Any], str]  # the argument of a command; empty where there is none
    # What a word in its place is read by, with a group for each field; None where a key tells what it is.
    pattern: re.Pattern[str] | None = None
    fields: frozenset[str]  # of the command that it fills
    key: str | None = None  # what is before its `=`, of a text in a person's words
    least: int = 1  # characters of such a text


def _word(usage: str, pattern: str, write: Callable[[Any], str], help_: str) -> Form:
    """An argument that is read in its place."""
    compiled = re.compile(pattern)
    return Form(usage=usage, help=help_, write=write, pattern=compiled, fields=frozenset(compiled.groupindex))


MODEL = _word("MODEL", rf"(?P<model>{_NAME})", lambda it: it.model, "a model's name in `mlbot.yaml`")
ENVIRONMENT = _word(
    "ENVIRONMENT", rf"(?P<environment>{_NAME})", lambda it: it.environment, "an environment's name in `mlbot.yaml`"
)
VERSION = _word(
    "VERSION", rf"[vV]?(?P<to>{_NUMBERS})", lambda it: it.to and f"v{it.to}", "a version of the model, such as `v1.2.0`"
)
STEP = _word(
    "patch|minor|major|vX.Y.Z",
    rf"(?P<bump>(?i:patch|minor|major))|[vV]?(?P<version>{_NUMBERS})",
    lambda it: it.bump or (it.version and f"v{it.version}"),
    "what to count up from the latest version (left out: `patch`), or the version itself",
)
VERSIONED = _word(
    "MODEL@VERSION",
    rf"(?P<model>{_NAME})@[vV]?(?P<version>{_NUMBERS})",
    lambda it: f"{it.model}@v{it.version}",
    "a model and its version, such as `adult-income@v1.2.0`",
)
GATE = _word(
    "MODEL:GATE",
    rf"(?P<model>{_NAME}):(?P<gate>{_GATE})",
    lambda it: f"{it.model}:{it.gate}",
    "a model and a gate: `adult-income:roc_auc` for every bound on that metric, "
    "`adult-income:recall@women.min` for one; `adult-income:deleted` where the model is to be gone",
)
MODELS = Form(
    usage="MODEL…",
    help="a model's name in `mlbot.yaml`",
    # A model whose name looks like a commit's is written in quotation marks.
    write=lambda it: " ".join(quoted(name) if is_sha_like(name) else name for name in it.models),
    pattern=re.compile(_NAME),
    fields=frozenset({"models"}),
)
SHA = Form(
    usage="SHA",
    help="all 40 digits of the pull request's head commit; a branch of the same repository may leave it out",
    write=lambda it: it.sha,
    fields=frozenset({"sha"}),
)
PARAMETERS = Form(
    usage="PARAMETER=VALUE…",
    help="a parameter that the guarded branch's `mlbot.yaml` lists under `train.tunable`, and its value",
    write=lambda it: " ".join(f"{key}={quoted(value)}" for key, value in it.params.items()),
    fields=frozenset({"params"}),
)
REASON = Form(
    usage='reason="…"',
    help=f"why, in quotes, at most {MAX_REASON} characters; it is shown and recorded",
    write=lambda it: it.reason and f"reason={quoted(it.reason)}",
    fields=frozenset({"reason"}),
    key="reason",
)
WAIVE_SEALED = Form(
    usage='waive-sealed="…"',
    help="why it is released without an answer of sealed rows, in quotes; for maintainers, shown and recorded",
    least=10,
    write=lambda it: it.waive_sealed and f"waive-sealed={quoted(it.waive_sealed)}",
    fields=frozenset({"waive_sealed"}),
    key="waive-sealed",
)


class Command(Record):
    """What somebody asks for in one line of a comment."""

    kind: str
    name: ClassVar[str]  # what is written behind the slash
    template: ClassVar[str]  # the file with its words
    aliases: ClassVar[tuple[str, ...]] = ()
    arguments: ClassVar[tuple[Form, ...]] = ()
    role: ClassVar[Role]  # the least role; `none` for anyone
    others: ClassVar[bool] = False
    """Whether the config may name others who may give it, whatever their role; `decide` looks for them."""
    in_issues: ClassVar[bool] = False  # whether it may be given in an issue, not only on a pull request
    alone: ClassVar[bool] = False  # whether it is refused behind a command of the same comment that changed what runs
    delivers: ClassVar[bool] = False  # whether it is of use only where there is an environment to release to
    example: ClassVar[str]

    def decide(self, facts: Facts) -> Decision:
        """What is done about it, for somebody who may give it here."""
        raise NotImplementedError

    @classmethod
    def requires(cls, form: Form) -> bool:
        """Whether an argument may not be left out."""
        return any(cls.model_fields[field].is_required() for field in form.fields)

    @classmethod
    def usage(cls) -> str:
        """How it is written: `/waive MODEL:GATE reason="…"`, with brackets around what may be left out."""
        words = (form.usage if cls.requires(form) else f"[{form.usage}]" for form in cls.arguments)
        return " ".join((f"/{cls.name}", *words))

    @classmethod
    def who(cls, config: Config | None) -> tuple[str, ...]:
        """The least role, and who else may by the config; empty for anyone."""
        del config
        return () if cls.role == "none" else (cls.role,)

    @property
    def text(self) -> str:
        """The command as a person would write it; `parse_comment` reads it into the same record."""
        return " ".join(filter(None, (f"/{self.name}", *(form.write(self) for form in self.arguments))))


def is_sha_like(text: str) -> bool:
    """Whether a commit is meant. A model whose name looks like one is written in quotation marks."""
    if not _HEXADECIMAL.fullmatch(text):
        return False
    return len(text) in WHOLE_SHA or any(letter.isdigit() for letter in text)


def quoted(text: str) -> str:
    """A text in quotation marks, so that it is read as one word again."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
