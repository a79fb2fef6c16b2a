"""Facts about a pull request's thread, and every command that they refuse."""

import html
import re
from enum import StrEnum
from typing import Any

from tests.support import forge_samples as samples

from mlbot.commands import retrain, waive
from mlbot.commands.dispatch import Reply, answer, refusals, refused_for_edits, replies
from mlbot.commands.facts import Decision, Facts, Reason
from mlbot.commands.parser import parse_comment
from mlbot.config.errors import Position, Problem
from mlbot.config.schema import Config, parse_config
from mlbot.config.yaml import load
from mlbot.events.event import CommentEvent
from mlbot.events.github import Conclusion, Edits, PullRequest, Run
from mlbot.protocol.answer import last_line

CONFIG = """
version: 1
models:
  income:
    task: binary
    train: {run: make, params: params.yaml, tunable: {depth: {type: int, min: 1, max: 9}, rate: [0.1, 0.2]}}
    data: {holdout: h.csv, target: y}
    metrics: [roc_auc, f1]
    gates: {roc_auc: {min: 0.9, max_regression: 0.01}, f1: {min: 0.5}}
  churn:
    task: binary
    train: {run: make}
    data: {holdout: h.csv, target: y}
    metrics: [f1]
    gates: {f1: {min: 0.5}}
"""
RUN = "https://github.com/acme/income/actions/runs/99"
NOON = "2026-11-20T12:00:00Z"
HEAD, OTHER = samples.HEAD, samples.OLD


def parsed(text: str) -> Config:
    return parse_config(load(text, "mlbot.yaml"))


def run(**changes: Any) -> Run:
    return samples.run(**({"attempt": 1, "created": "2026-11-20T11:00:00Z"} | changes))


def pull(**changes: Any) -> PullRequest:
    """From a branch of the same repository, if nothing else is said."""
    return samples.pull(**({"author": "alice", "head_repository_id": samples.OURS} | changes))


def event(**changes: Any) -> CommentEvent:
    fields: dict[str, Any] = {
        "repository_id": samples.OURS,
        "repository": "acme/income",
        "comment": 500,
        "body": "said",
        "author": "alice",
        "author_is_bot": False,
        "number": 42,
        "is_pull_request": True,
        "open": True,
        "default_branch": "main",
        "created": NOON,
    }
    return CommentEvent(**(fields | changes))


def facts(**changes: Any) -> Facts:
    fields: dict[str, Any] = {
        "event": event(),
        "role": "write",
        "policy": samples.POLICY,
        "judge_workflow": "mlbot-judge.yml",
        "release_workflow": "mlbot-release.yml",
        "pull": pull(),
        "runs": (run(head_repository_id=samples.OURS),),
        "config": parsed(CONFIG),
    }
    return Facts(**(fields | changes))


def fork(**changes: Any) -> Facts:
    return facts(**({"pull": pull(head_repository_id=samples.FORK), "runs": (run(),)} | changes))


def answers(body: str, known: Facts, *, edits: Edits = Edits.NONE, earlier: int = 0) -> tuple[Reply, ...]:
    lines = parse_comment(body)
    refused = refused_for_edits(refusals(lines, known.event, known.role, earlier=earlier), edits)
    return replies(lines, refused, known)


def decided(body: str, known: Facts, **more: Any) -> Decision:
    (only,) = answers(body, known, **more)
    return only.decision


def written(*found: Reply, working: bool = False) -> str:
    return answer(found, marker=last_line(500), run_url=RUN, working=working)


def text_of(body: str, known: Facts) -> str:
    """The answer as a person reads it."""
    return plain(written(*answers(body, known)))


def plain(page: str) -> str:
    """Without what Markdown needs around text, and without the invisible breaks in what would be a link."""
    return html.unescape(re.sub(r"</?code>|[`\\\u2060\u200b]", "", page))


def ours(**changes: Any) -> tuple[Run, ...]:
    return (run(head_repository_id=samples.OURS, **changes),)


ISSUE = facts(event=event(is_pull_request=False), pull=None, runs=())
WRONG = Problem("3 | x", "write 1, the only version there is", ("version",), position=Position(3, 1))
BROKEN = Decision(reason=Reason.CONFIG_BROKEN, values={"problem": WRONG, "place": WRONG.place("mlbot.yaml"), "more": 2})
BOUND = facts(pull=pull(base_ref="side"))
REFUSED: list[tuple[str, Facts, StrEnum, str]] = [
    ("/retrain", facts(role="read"), Reason.NOT_PERMITTED, "needs the role write, and alice has read"),
    ("/retrain", facts(role="triage"), Reason.NOT_PERMITTED, "triage"),
    ("/retrain", facts(role="none"), Reason.NO_COLLABORATOR, "no collaborator"),
    ("/judge", facts(role="none"), Reason.NO_COLLABORATOR, "no collaborator"),
    ("/mlbot cancel", facts(role="read"), Reason.NOT_PERMITTED, "write"),
    ("/retrain", ISSUE, Reason.NO_PULL_REQUEST, "an issue"),
    ("/mlbot status", ISSUE, Reason.NO_PULL_REQUEST, "an issue"),
    ("/retrain", facts(pull=pull(open=False)), Reason.CLOSED, "closed"),
    ("/judge", facts(pull=pull(open=False)), Reason.CLOSED, "closed"),
    ("/retrain", facts(pull=pull(head_repository_id=None)), Reason.FORK_GONE, "gone"),
    ("/retrain", BOUND, Reason.NOT_GUARDED, "side"),
    ("/retrain", fork(), retrain.Refusal.SHA_NEEDED, "all its digits"),
    ("/judge", fork(), retrain.Refusal.SHA_NEEDED, "all its digits"),
    (f"/retrain {OTHER}", fork(), retrain.Refusal.OTHER_SHA, "is not the head"),
    (f"/retrain {OTHER}", facts(), retrain.Refusal.OTHER_SHA, "is not the head"),
    ("/retrain abcdef0", fork(), Reason.MISUNDERSTOOD, "40 digits"),
    ("/retrain deeper", facts(), retrain.Refusal.BRANCH, "a branch"),
    ("/retrain main", fork(), retrain.Refusal.BRANCH, "a branch"),
    ("/retrain", facts(runs=ours(created="2026-11-20T12:00:01Z")), Reason.HEAD_MOVED, "after you wrote this"),
    ("/judge", facts(runs=ours(created="2026-11-20T12:00:01Z")), Reason.HEAD_MOVED, "after you wrote this"),
    (
        "/retrain",
        facts(config=None, config_refusal=Decision(reason=Reason.NO_CONFIG)),
        Reason.NO_CONFIG,
        "no mlbot.yaml",
    ),
    ("/retrain", facts(config=None, config_refusal=BROKEN), Reason.CONFIG_BROKEN, "mlbot.yaml:3"),
    ("/retrain incom", facts(), Reason.UNKNOWN_MODEL, "incom is no model"),
    ("/retrain income dept=3", facts(), retrain.Refusal.PARAMETERS, "dept"),
    ("/retrain income depth=10", facts(), retrain.Refusal.PARAMETERS, "from 1 to 9"),
    ("/retrain income depth=deep", facts(), retrain.Refusal.PARAMETERS, "from 1 to 9"),
    ("/retrain income depth=2.5", facts(), retrain.Refusal.PARAMETERS, "from 1 to 9"),
    ("/retrain income depth=nan", facts(), retrain.Refusal.PARAMETERS, "from 1 to 9"),
    ("/retrain income rate=0.3", facts(), retrain.Refusal.PARAMETERS, "0.1 or 0.2"),
    ("/retrain churn depth=3", facts(), retrain.Refusal.PARAMETERS, "none under train.tunable"),
    ("/retrain new depth=3", facts(head_models={"new": ()}), retrain.Refusal.NEW_MODEL, "does not know new"),
    ("/retrain depth=3", facts(), retrain.Refusal.TRIAL_OF_ONE, "of one model"),
    ("/retrain income churn depth=3", facts(), retrain.Refusal.TRIAL_OF_ONE, "of one model"),
    ("/retrain", facts(runs=()), retrain.Refusal.NO_RUN, "No training"),
    ("/retrain", facts(runs=ours(path="x.yml")), retrain.Refusal.NO_RUN, "No training"),
    ("/retrain", facts(runs=ours(head_branch="other")), retrain.Refusal.NO_RUN, "No training"),
    ("/retrain", facts(runs=ours(repository_id=9)), retrain.Refusal.NO_RUN, "No training"),
    ("/retrain", facts(runs=(run(),)), retrain.Refusal.NO_RUN, "No training"),
    ("/retrain", facts(runs=ours(conclusion=Conclusion.ACTION_REQUIRED)), Reason.NEEDS_APPROVAL, "approves"),
    ("/retrain", facts(runs=ours(completed=False, conclusion=None)), retrain.Refusal.IN_PROGRESS, "under way"),
    ("/retrain", facts(runs=ours(created="2026-10-21T11:59:59Z")), retrain.Refusal.TOO_OLD, "30 days"),
    ("/retrain", facts(runs=ours(attempt=50)), retrain.Refusal.TOO_MANY_ATTEMPTS, "50 attempts"),
    ("/judge", facts(runs=()), Reason.NOT_TRAINED, "Nothing"),
    ("/judge", facts(runs=ours(conclusion=Conclusion.SKIPPED)), Reason.NOT_TRAINED, "Nothing"),
    ("/judge", facts(runs=ours(completed=False, conclusion=None)), retrain.Refusal.IN_PROGRESS, "under way"),
    ("/judge", facts(runs=ours(conclusion=Conclusion.ACTION_REQUIRED)), Reason.NEEDS_APPROVAL, "approves"),
    ("/mlbot cancel", facts(), retrain.Refusal.NOTHING_RUNS, "No training"),
    ('/waive income:f1 reason="x"', facts(), Reason.NOT_PERMITTED, "needs the role maintain"),
    ('/waive income:f1 reason="x"', facts(role="maintain"), waive.Refusal.OWN_PULL_REQUEST, "own pull request"),
    ('/waive income:f2 reason="x"', facts(role="maintain", pull=pull(author="bob")), waive.Refusal.UNKNOWN_GATE, "f2"),
    ('/waive incomes:f1 reason="x"', facts(role="admin", pull=pull(author="bob")), Reason.UNKNOWN_MODEL, "incomes"),
    ("/waive income:f1", facts(role="maintain"), Reason.MISUNDERSTOOD, "reason"),
    ("/retrian", facts(), Reason.MISUNDERSTOOD, "/retrain"),
    ("/promote income@v1.0.0 staging", facts(role="read"), Reason.NOT_PERMITTED, "/promote"),
]
