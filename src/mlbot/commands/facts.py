"""The facts that a command is decided from, frozen once: nothing is read again between two commands of a comment."""

from collections.abc import Iterable

from pydantic import Field

from mlbot.commands.command import parse_comment
from mlbot.config.schema import Config
from mlbot.events.event import CommentEvent
from mlbot.events.github import Comment, Conclusion, PullRequest, Role, Run, seconds_between
from mlbot.gates.gate import Gate
from mlbot.lib.record import Count, Name, Record
from mlbot.protocol.answer import Recorded, RetrainRequest
from mlbot.protocol.attempts import Reruns
from mlbot.protocol.decision import Policy

WINDOW_S = 60.0
"""How far back commands are counted for the limit."""


class Facts(Record):
    """What is known when a comment is answered."""

    event: CommentEvent
    edited: bool = False
    """Whether the comment reads otherwise by now."""
    role: Role
    """The commenter's, by the API."""
    policy: Policy
    judge_workflow: str
    """The file's name."""
    release_workflow: str
    """Likewise."""
    pull: PullRequest | None = None
    """As it is now; None for an issue."""
    runs: tuple[Run, ...] = ()
    """Of the head, whatever started them, newest first."""
    config: Config | None = None
    """The guarded branch's; None where it has none, or one that cannot be read."""
    head_models: dict[Name, tuple[Gate, ...]] = Field(default_factory=dict)
    """The models with their gates that the head's own config adds, where a command names one; hostile, but typed."""
    config_problem: str = ""
    """Why it cannot be read."""
    records: tuple[Recorded, ...] = ()
    """Of the bot's answers in this thread, this comment's left out."""
    resumed: tuple[Recorded, ...] = ()
    """Of an earlier answer to this comment, whose writer did not live to the end."""
    begun: bool = False
    """Whether the re-run that the earlier answer announced has happened."""
    earlier: Count = 0
    """How many commands the commenter wrote here in the minute before."""

    @property
    def trainings(self) -> tuple[Run, ...]:
        """The runs that trained this pull request's head, newest first; those that skipped it come last.

        An edited title starts a run that trains nothing; a draft's only run did not train either, and a further
        attempt of its first one does.
        """
        pull = self.pull
        if pull is None or pull.head_repository_id is None:
            return ()
        wanted = (self.policy.repository_id, self.policy.train_path, "pull_request")
        source = (pull.head_sha, pull.head_ref, pull.head_repository_id)
        found = [
            run
            for run in self.runs
            if (run.repository_id, run.path, run.event) == wanted
            and (run.head_sha, run.head_branch, run.head_repository_id) == source
        ]
        skipped = [run for run in found if run.conclusion is Conclusion.SKIPPED]
        return (*(run for run in found if run not in skipped), *reversed(skipped))

    @property
    def gates(self) -> dict[Name, tuple[Gate, ...]]:
        """The gates of each model by name; the guarded branch's word counts where it has one."""
        return self.head_models | {model.name: model.gates for model in (self.config.models if self.config else ())}

    @property
    def reruns(self) -> Reruns:
        """What commands asked of the runs' attempts."""
        return Reruns.of_pull_request((*self.records, *self.resumed), self.event.number)

    @property
    def request(self) -> RetrainRequest | None:
        """What this very comment has asked for already, before the job was started anew."""
        return next((each for each in self.resumed if isinstance(each, RetrainRequest)), None)

    @property
    def kept(self) -> RetrainRequest | None:
        """The record that stays whatever is answered now: without it an attempt that has begun would be no trial."""
        return self.request if self.begun else None

    @property
    def head_moved(self) -> bool:
        """Whether the head was pushed after the comment was written: a push starts a run, and GitHub dates both."""
        asked = self.event.created
        return asked is not None and any(
            run.created is not None and seconds_between(asked, run.created) > 0 for run in self.trainings
        )


def commands_before(comments: Iterable[Comment], event: CommentEvent) -> int:
    """How many commands somebody wrote in this thread in the minute before a comment.

    Counted by GitHub's clock, so that a job that had to wait counts the same.
    """
    if event.created is None:
        return 0
    return sum(
        len(parse_comment(each.body))
        for each in comments
        if each.author == event.author
        and each.id < event.comment
        and each.created is not None
        and 0 <= seconds_between(each.created, event.created) < WINDOW_S
    )
