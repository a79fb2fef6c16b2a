"""What people answered for, as the judge learns of it: from the ledger, and from the bot's answers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mlbot.activities.assignment import Assignment
from mlbot.activities.hosted import Hosted
from mlbot.core.answer import WaiverRequest, recorded
from mlbot.core.config import Waivers
from mlbot.core.decision import PullRequestSubject
from mlbot.core.judging import Evidence, decide
from mlbot.core.ledger import WaiverEntry
from mlbot.core.report import Notice
from mlbot.core.verdict import Verdict
from mlbot.core.waiver import may_waive
from mlbot.core.waiving import Resolved, ended, fresh, is_open, resolve


@dataclass(frozen=True, kw_only=True, slots=True)
class Granted:
    """What people answered for.

    Attributes:
        waivers: those that may hold for this verdict.
        notices: on what was asked for in vain, and on what ended.
    """

    waivers: tuple[WaiverEntry, ...] = ()
    notices: tuple[Notice, ...] = ()


def granted(hosted: Hosted, assignment: Assignment, evidence: Sequence[Evidence]) -> Granted:
    """The waivers for a verdict on GitHub; none for a trial, whose parameters are not the content they were given for.

    The bot's answers are read only where a gate is open, or where a person or a command started this judge; and the
    role only of who asked for what the ledger does not have yet. So most verdicts cost no request more.

    Raises:
        MlbotError: the comments or a role cannot be read.
    """
    if assignment.decision.trial:
        return Granted()
    known, subject = assignment.waivers, assignment.decision.subject
    verdict = decide(assignment.commits, evidence, known)
    if not isinstance(subject, PullRequestSubject):
        return Granted(waivers=known, notices=ended(known, verdict, evidence, None))
    asked = Resolved()
    if is_open(verdict) or hosted.event_run() is None:
        asked = _asked(hosted, assignment, subject, verdict, evidence)
        verdict = decide(assignment.commits, evidence, (*known, *asked.waivers))
    over = ended(known, verdict, evidence, subject.number)
    return Granted(waivers=(*known, *asked.waivers), notices=(*over, *asked.notices))


def _asked(
    hosted: Hosted,
    assignment: Assignment,
    subject: PullRequestSubject,
    verdict: Verdict,
    evidence: Sequence[Evidence],
) -> Resolved:
    """New waivers, and notices on what was asked for in vain."""
    comments = hosted.github.comments(subject.number)
    records = fresh(recorded(comments, hosted.bot), assignment.waivers)
    asked = [each for each in records if each.number == subject.number]
    if not asked:
        return Resolved()
    policy = assignment.configs.policy
    speakers = _speakers(hosted, policy.waivers if policy else Waivers(), asked, subject)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return resolve(asked, comments, verdict, evidence, speakers, now)


def _speakers(
    hosted: Hosted, rules: Waivers, asked: Iterable[WaiverRequest], subject: PullRequestSubject
) -> frozenset[str]:
    """Who of those that asked about this head has the right to, as the API and the guarded branch's config say now.

    The command's job asked too, but whoever may write to the repository may edit the record that it left.
    """
    actors = dict.fromkeys(each.actor for each in asked if each.sha == subject.sha)
    return frozenset(each for each in actors if may_waive(rules, each, hosted.github.role(each), subject.author))
