"""The grammar of registry tags, which is GTO's, and the note in the tags that mlbot makes.

| tag | says |
|---|---|
| `model@v1.2.0` | this commit is version 1.2.0 of the model |
| `model@v1.2.0!` | that version is withdrawn |
| `model#production#4` | the version at this commit is in production; of several the highest counter holds |
| `model#production!#5` | none is in production any more |
| `model@deprecated` | the model is not to be used any more |
| `folder=model@v1.2.0` | any of these for the model of a folder of a monorepo |

Source: iterative/gto 1.10, `gto/constants.py` and `gto/tag.py`. Two differences: names as mlbot.yaml allows them are
taken too (GTO passes over those with a dot, or with a `-` or `_` at the end), and pre-release versions are not.
"""

import re
from typing import Literal, NamedTuple

from pydantic import ValidationError

from mlbot.events.github import Attempt
from mlbot.ledger.entries import Actor, DeploymentEntry, ReleaseEntry
from mlbot.lib.canonical import canonical
from mlbot.lib.record import Digest, Name, Sha
from mlbot.lib.version import MOST_CHARACTERS, MOST_DIGITS, NUMBER, Served, Version

TagKind = Literal["version", "stage", "deprecation"]

_NAME = "[A-Za-z0-9](?:[A-Za-z0-9/_-]*[A-Za-z0-9])?"

_MODEL = f"(?:{_NAME}|[A-Za-z0-9][A-Za-z0-9._-]{{0,62}})"

_TAG = re.compile(
    rf"(?P<folder>[A-Za-z0-9._/-]+=)?(?P<model>{_MODEL})"
    rf"(?:(?:\#(?P<stage>{_MODEL})|@v(?P<version>{NUMBER}\.{NUMBER}\.{NUMBER})(?P<more>[-+][0-9A-Za-z.+-]+)?)"
    r"(?P<cancel>!)?|@(?P<deprecated>deprecated))(?:\#(?P<counter>[0-9]+))?"
)

_LONGEST_NOTE = 8192


class RegistryTag(NamedTuple):
    """What a tag's name says.

    Attributes:
        kind: which of the forms it has.
        model: the model's name; of a monorepo's folder `folder:model`, as GTO shows it.
        numbers: the version's.
        stage: the environment.
        cancels: whether it takes back what the tag without its `!` said.
        counter: 0 for a tag that has none.
    """

    kind: TagKind
    model: str
    numbers: tuple[int, int, int] | None = None
    stage: str | None = None
    cancels: bool = False
    counter: int = 0


class TagNote(Served):
    """What mlbot writes into its own tags beside a sentence for people."""

    schema_version: Literal["mlbot/tag@1"] = "mlbot/tag@1"
    commit: Sha
    key: Digest | None = None
    """The content key."""
    attempt: Attempt | None = None
    """The training that made the file."""
    judge: Attempt | None = None
    """The run that judged it."""
    actor: Actor
    run: Attempt | None = None
    """The run that made the tag; None on a laptop."""

    @classmethod
    def of(cls, release: ReleaseEntry, by: ReleaseEntry | DeploymentEntry) -> "TagNote":
        """The note on a version, in the tag that a release or a deployment makes."""
        shared = {name: getattr(release, name) for name in ("version", "commit", "digest", "key", "attempt", "judge")}
        return cls(**shared, actor=by.actor, run=by.run)


def parse_tag(name: str) -> RegistryTag | str | None:
    """What a tag's name says; why it says nothing that counts; None for a tag that is none of the registry's.

    Tags without `@` and `#` belong to other tools.
    """
    if "@" not in name and "#" not in name:
        return None
    found = _TAG.fullmatch(name) if len(name) <= MOST_CHARACTERS else None
    if found is None:
        return "its name is not of the form model@v1.2.0, model#environment#1 or model@deprecated"
    folder, model, stage, version, more, cancel, _, counter = found.groups()
    numbers = version.split(".") if version else []
    if len(counter or "") > MOST_DIGITS or (numbers and max(map(len, numbers)) > MOST_DIGITS):
        return "a number in its name has too many digits"
    if more:
        return "pre-releases and build numbers are not versions here"
    if counter and counter.startswith("0"):
        return "its counter has a zero in front, which would make two tags of one"
    return RegistryTag(
        kind="version" if version else "stage" if stage else "deprecation",
        model=folder.replace("=", ":") + model if folder else model,
        numbers=(int(numbers[0]), int(numbers[1]), int(numbers[2])) if numbers else None,
        stage=stage,
        cancels=cancel is not None,
        counter=int(counter or 0),
    )


def version_tag(model: Name, version: Version, folder: str | None = None) -> str:
    """`model@v1.2.0`, or for a folder of a monorepo `folder=model@v1.2.0`."""
    return f"{_full(model, folder)}@{version}"


def stage_tag(model: Name, environment: Name, counter: int, folder: str | None = None) -> str:
    """`model#production#4`: the version at the tagged commit is in that environment."""
    return f"{_full(model, folder)}#{environment}#{counter}"


def tag_message(sentence: str, note: TagNote) -> str:
    """The message of a tag of mlbot's own: a sentence, then the note in its only JSON form."""
    return f"{sentence}\n\n{_canonical(note)}\n"


def agrees(message: str | None, commit: Sha, numbers: tuple[int, int, int] | None) -> bool:
    """Whether a note in this message can name no other commit and version: told at a glance, without reading it.

    Quotes within a value are escaped, so what is looked for can only be a field; and a note in the canonical form has
    each field once.
    """
    last = (message or "").rstrip().rpartition("\n")[2]
    if not last.startswith("{"):
        return True
    version = f'"version":"{numbers[0]}.{numbers[1]}.{numbers[2]}"' if numbers else ""
    return f'"commit":"{commit}"' in last and version in last


def read_note(message: str | None) -> TagNote | None:
    """The note in a tag's message; None where there is none in the canonical form: people may write what they like.

    Equal text cannot hold a key twice or a number that is none, so whoever reads the note sees the same.
    """
    last = (message or "").rstrip().rpartition("\n")[2]
    if not last.startswith("{") or len(last) > _LONGEST_NOTE:
        return None
    try:
        note = TagNote.model_validate_json(last, strict=True)
    except ValidationError:
        return None
    return note if _canonical(note) == last else None


def _canonical(note: TagNote) -> str:
    return canonical(note.model_dump(mode="json"))


def _full(model: Name, folder: str | None) -> str:
    return f"{folder}={model}" if folder else model
