"""May this be said, by this person, here, about this commit? The first check that does not hold refuses."""

from collections.abc import Mapping
from types import MappingProxyType

from mlbot.commands.command import Command, JudgeAgain, Retrain, command_text
from mlbot.commands.facts import Facts
from mlbot.commands.reply import Decision, Reason, refuse
from mlbot.commands.table import Where, spec_of
from mlbot.config.reader import nearest
from mlbot.events.github import PullRequest, Role
from mlbot.lib import figures

LIMIT = 10
"""So many commands of one person in one thread are answered in a minute."""

RANKS: Mapping[Role, int] = MappingProxyType({"none": 0, "read": 1, "triage": 2, "write": 3, "maintain": 4, "admin": 5})


def too_often() -> Decision:
    """Said once: what is over the limit after that is left without an answer."""
    return refuse(
        Reason.TOO_OFTEN,
        f"More than {LIMIT} commands in a minute are not answered.",
        "Wait a minute and say it again.",
    )


def edited() -> Decision:
    """A comment that reads otherwise by now: nobody could see which of its words were followed."""
    return refuse(Reason.EDITED, "The comment was edited after it was written.", "Write a new one.")


def person(facts: Facts, command: Command) -> Decision | None:
    """Whether the commenter has the role that the table asks for."""
    needed, actor = spec_of(command.kind).who, facts.event.author
    if RANKS[facts.role] >= RANKS[needed]:
        return None
    name = f"/{spec_of(command.kind).name}"
    if facts.role == "none":
        return refuse(
            Reason.NO_COLLABORATOR,
            f"{actor} is no collaborator of this repository, and {name} needs the role {needed}.",
            "Ask somebody who has it to say it.",
        )
    return refuse(
        Reason.NOT_PERMITTED,
        f"{name} needs the role {needed}, and {actor} has {facts.role}.",
        "Ask somebody who has it to say it.",
    )


def place(facts: Facts, command: Command) -> Decision | None:
    """Whether it may be said in this thread."""
    if facts.pull is None and Where.ISSUE not in spec_of(command.kind).where:
        return refuse(
            Reason.NO_PULL_REQUEST, f"/{spec_of(command.kind).name} is about a pull request, and this is an issue."
        )
    return None


def pull_request(facts: Facts, pull: PullRequest) -> Decision | None:
    """Whether a pull request is one that is trained and judged."""
    if not pull.open:
        return refuse(Reason.CLOSED, "The pull request is closed.", "Reopen it first.")
    if pull.head_repository_id is None:
        return refuse(
            Reason.FORK_GONE,
            "The repository that the pull request came from is gone.",
            "Open a new pull request from a repository that is there.",
        )
    if not facts.policy.guards(pull.base_ref):
        return refuse(
            Reason.NOT_GUARDED,
            f"The pull request goes into {pull.base_ref}, which mlbot.yaml does not guard, so nothing is judged here.",
        )
    return None


def commit(facts: Facts, pull: PullRequest, command: Retrain | JudgeAgain) -> Decision | None:
    """Whether the command means the pull request's present head."""
    sha, again = command.sha, command_text(command.model_copy(update={"sha": pull.head_sha}))
    if sha is None and pull.fork:
        return refuse(
            Reason.SHA_NEEDED,
            "A fork's head can be replaced while you write, so name the commit that you looked at by all its digits.",
            "If it is the present head that you mean, say:",
            usage=again,
        )
    if sha is not None and sha != pull.head_sha:
        return refuse(
            Reason.OTHER_SHA,
            f"{figures.short(sha)} is not the head of this pull request, which is {figures.short(pull.head_sha)}.",
            "If it is the present head that you mean, say:",
            usage=again,
        )
    return moved(facts) if sha is None else None


def moved(facts: Facts) -> Decision | None:
    """Whether the head is the one that the commenter could see."""
    if not facts.head_moved:
        return None
    return refuse(
        Reason.HEAD_MOVED, "The head was pushed after you wrote this.", "Look at the new commits, and say it again."
    )


def unknown_model(facts: Facts, name: str) -> Decision:
    """A name that is no model's."""
    close = nearest(name, facts.gates)
    return refuse(
        Reason.UNKNOWN_MODEL,
        f"{name} is no model of mlbot.yaml.",
        f"Did you mean {close}?" if close else f"Its models: {', '.join(facts.gates)}.",
    )


def config(facts: Facts) -> Decision | None:
    """Whether there are rules to go by."""
    if facts.config is not None:
        return None
    if facts.config_problem:
        return refuse(
            Reason.CONFIG_BROKEN,
            f"The guarded branch's mlbot.yaml cannot be read: {facts.config_problem}",
            "Fix it on that branch: mlbot config check",
        )
    return refuse(Reason.NO_CONFIG, "The guarded branch has no mlbot.yaml.", "Merge one first: mlbot init")
