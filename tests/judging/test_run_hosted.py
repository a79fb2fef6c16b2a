"""Waivers on the trusted side: read from the bot's answers, bound, published, remembered, and ended."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import user
from tests.fake_github import ops_issues
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Comment
from tests.fake_github.tokens import Token
from tests.support import tiny
from tests.support.hosted import WRITES, Stage, trained

from mlbot.errors import Exit
from mlbot.protocol.answer import WaiverRequest, last_line

pytestmark = pytest.mark.usefixtures("git_settings")

WHY = "Agreed with the data owners"


@pytest.fixture
def stage(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A pull request whose model lost a feature."""
    return Stage.opened(github, tmp_path, monkeypatch, tiny.params(mode="lost"))


def command(stage: Stage, gate: str = "log_loss", actor: str = "boss", model: str = "tiny") -> Comment:
    """What a person writes."""
    return stage.github.user(actor).comment(stage.pull, f'/waive {model}:{gate} reason="{WHY}"')


def answer(stage: Stage, said: Comment, gate: str = "log_loss", **changes: Any) -> Comment:
    """What the bot records."""
    fields: dict[str, Any] = {
        "comment": said.id,
        "actor": said.user.login,
        "number": stage.pull.number,
        "sha": user.head(stage.pull),
        "model": "tiny",
        "gate": gate,
        "reason": WHY,
    }
    request = WaiverRequest(**(fields | changes))
    bot = Token(value="", user=stage.github.world.bot, kind="workflow")
    body = f"So be it.\n\n{last_line(said.id, [request])}"
    return ops_issues.comment(stage.github.world, stage.models, bot, stage.pull, body)


def entries(stage: Stage) -> list[dict[str, Any]]:
    """The waivers in the ledger, oldest first."""
    git = stage.models.git
    if git.commit_of("mlbot/ledger") is None:
        return []
    paths = [path for path in user.ledger(stage.models) if path.startswith("v1/waiver/")]
    found: list[dict[str, Any]] = [json.loads(git.git("show", f"mlbot/ledger:{path}")) for path in paths]
    return sorted(found, key=lambda entry: (entry["comment"], entry["gate"]))


def again(stage: Stage) -> tuple[str, str]:
    """Judge and publish once more; the status."""
    assert stage.judge() == Exit.OK
    assert stage.publish() == Exit.OK
    return stage.status


def the_comment(stage: Stage) -> str:
    """The bot's report."""
    (found,) = [body for body in stage.comments if "mlbot:report" in body]
    return found


def test_gates_are_waived_one_after_the_other_and_the_verdict_says_so(stage: Stage, bad: Path) -> None:
    stage.settle(bad)
    assert stage.status[0] == "failure"
    answer(stage, command(stage, "log_loss"))
    assert again(stage)[0] == "failure"
    assert "✍️&nbsp;waived" in the_comment(stage)
    assert [entry["gate"] for entry in entries(stage)] == ["log_loss.max"]

    said = command(stage, "roc_auc")
    answer(stage, said, "roc_auc")
    state, text = again(stage)
    assert state == "success"
    assert text == f"Passes with 3 waived gates (roc_auc of tiny, log_loss of tiny, by boss): {WHY}."
    comment = the_comment(stage)
    assert comment.startswith("> [!WARNING]\n> **Passes with 3 waived gates")
    assert f"[comment]({stage.github.url}/acme/models/pull/{stage.pull.number}#issuecomment-{said.id})" in comment
    remembered = entries(stage)
    assert [entry["gate"] for entry in remembered] == ["log_loss.max", "roc_auc.max_regression", "roc_auc.min"]
    assert {(entry["actor"], entry["reason"], entry["commit"]) for entry in remembered} == {
        ("boss", WHY, user.head(stage.pull))
    }
    assert {entry["time"] for entry in remembered[1:]} == {said.created_at}
    verdict = stage.report["verdict"]
    assert (verdict["outcome"], verdict["reason"]) == ("pass", "waived")


def test_delivered_again_nothing_happens_twice(stage: Stage, bad: Path) -> None:
    stage.settle(bad)
    answer(stage, command(stage, "log_loss"))
    again(stage)
    tip, comments, head = stage.models.git.commit_of("mlbot/ledger"), len(stage.comments), user.head(stage.pull)
    statuses = len(user.statuses(stage.models, head))
    again(stage)
    assert stage.publish() == Exit.OK
    assert stage.models.git.commit_of("mlbot/ledger") == tip
    assert (len(stage.comments), len(user.statuses(stage.models, head))) == (comments, statuses)


def test_it_outlives_the_comments_it_was_said_in(stage: Stage, bad: Path) -> None:
    """Once the ledger has it, neither the command nor the answer is needed."""
    stage.settle(bad)
    said = {gate: command(stage, gate) for gate in ("log_loss", "roc_auc")}
    answers = [answer(stage, each, gate) for gate, each in said.items()]
    assert again(stage)[0] == "success"
    boss = stage.github.user("boss")
    for each in said.values():
        boss.delete_comment(each)
    for each in answers:
        boss.delete_comment(each)
    assert again(stage)[0] == "success"


def test_changed_rules_on_the_guarded_branch_end_it(stage: Stage, bad: Path) -> None:
    stage.settle(bad)
    for gate in ("log_loss", "roc_auc"):
        answer(stage, command(stage, gate), gate)
    assert again(stage)[0] == "success"
    stage.github.user("boss").push("main", {"mlbot.yaml": user.CONFIG.replace("max: 0.6}", "max: 0.62}")})
    assert again(stage)[0] == "failure"
    comment = the_comment(stage)
    ended = "**Waiver ended.** The waiver of log\\_loss.max of tiny that boss gave has ended, because the rules it is"
    assert ended in comment
    assert "waived |" not in comment
    assert len(entries(stage)) == 3, "the ledger forgets nothing"


def test_what_others_say_about_themselves_is_not_heard(stage: Stage, bad: Path) -> None:
    """Records of another hand, of words that nobody said, of edited words, of people without the right."""
    stage.settle(bad)
    mallory, boss = stage.github.user("mallory"), stage.github.user("boss")
    said = command(stage, "log_loss", "mallory")
    forged = WaiverRequest(
        comment=said.id,
        actor="boss",
        number=stage.pull.number,
        sha=user.head(stage.pull),
        model="tiny",
        gate="log_loss",
        reason=WHY,
    )
    mallory.comment(stage.pull, last_line(said.id, [forged]))
    answer(stage, said, actor="boss")
    answer(stage, said)
    answer(stage, command(stage, "log_loss", "alice"))
    harmless = boss.comment(stage.pull, "Looks good.")
    harmless.created_at = harmless.updated_at = "2026-11-01T12:00:00Z"
    stage.github.user("alice").on(stage.models).edit_comment(harmless, f'/waive tiny:log_loss reason="{WHY}"')
    answer(stage, harmless)
    assert again(stage)[0] == "failure"
    assert entries(stage) == []
    comment = the_comment(stage)
    assert "waived |" not in comment
    assert comment.count("says something else") == 2
    assert "mallory has no right to it by now" in comment
    assert "alice has no right to it by now" in comment


@pytest.mark.parametrize("author", [False, True])
def test_the_config_may_name_who_else_and_whether_authors_count(stage: Stage, bad: Path, *, author: bool) -> None:
    stage.settle(bad)
    rules = f"waivers: {{by: [alice], author: {str(author).lower()}}}\n"
    stage.github.user("boss").push("main", {"mlbot.yaml": f"{user.CONFIG}{rules}"})
    answer(stage, command(stage, "log_loss", "alice"))
    again(stage)
    if not author:
        assert entries(stage) == []
        assert "alice has no right to it by now" in the_comment(stage)
        return
    assert [entry["actor"] for entry in entries(stage)] == ["alice"]


def test_what_could_not_be_evaluated_is_never_waived(stage: Stage, bad: Path) -> None:
    stage.upload(0, trained(bad, 0))
    stage.finish()
    for gate in ("log_loss", "roc_auc", "deleted"):
        answer(stage, command(stage, gate), gate)
    assert again(stage)[0] == "error"
    assert "what could not be evaluated is never waived" in the_comment(stage)
    assert entries(stage) == []


def test_a_waiver_for_nothing_is_said(stage: Stage, good: Path) -> None:
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    answer(stage, command(stage, "log_loss"))
    again(stage)
    assert "**Waiver not used.**" in the_comment(stage)
    assert "the gate passes without it" in the_comment(stage)


def test_it_costs_the_judge_two_requests_once_and_the_publisher_none(stage: Stage, bad: Path) -> None:
    stage.settle(bad)
    answer(stage, command(stage, "log_loss"))

    def spent(verb: str) -> int:
        before = len(stage.github.requests.of("/repos"))
        assert (stage.judge() if verb == "judge" else stage.publish()) == Exit.OK
        return len(stage.github.requests.of("/repos")) - before

    judged, published = spent("judge"), spent("publish")
    known = spent("judge")
    assert judged - known == 1, "the person's role, which the ledger need not be told again"
    assert published <= 10


def test_a_token_that_may_not_write_remembers_nothing(stage: Stage, bad: Path) -> None:
    stage.settle(bad)
    answer(stage, command(stage, "log_loss"))
    assert stage.judge() == Exit.OK
    assert stage.publish(rights={**WRITES, "contents": "read"}) == Exit.OK
    assert entries(stage) == []
