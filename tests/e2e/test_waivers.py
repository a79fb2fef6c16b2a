"""Waivers end to end: said in a comment, honoured, ended by what they are bound to, and taken along onto main."""

import json
from typing import Any

import pytest
from tests.e2e import user
from tests.e2e.harness import Harness
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Issue, Repository
from tests.support import tiny

pytestmark = [pytest.mark.story, pytest.mark.timeout(600)]

WHY = "Agreed with the data owners"
WAIVE = f'/waive tiny:roc_auc reason="{WHY}"\n/waive tiny:log_loss reason="{WHY}"'
LOOSER = user.CONFIG.replace("max: 0.6}", "max: 0.62}")


def report(models: Repository, pull: Issue) -> str:
    """The bot's verdict on a pull request."""
    (found,) = [body for body in user.comments(models, pull) if "<!-- mlbot:report " in body]
    return found


def entries(models: Repository, kind: str) -> list[dict[str, Any]]:
    """The ledger's entries of a kind."""
    paths = [path for path in user.ledger(models) if path.startswith(f"v1/{kind}/")]
    return [json.loads(models.git.git("show", f"mlbot-ledger:{path}")) for path in paths]


def waived(github: FakeGitHub, actions: Harness) -> tuple[Repository, Issue]:
    """A pull request that loses a feature, and passes because the boss says so."""
    models = user.repository(github)
    pull = github.user("alice").pull_request("work", tiny.params(mode="lost"))
    actions.run_until_idle()
    assert user.verdict(models, user.head(pull)) == "failure"
    github.user("boss").comment(pull, WAIVE)
    actions.run_until_idle()
    state, said = user.statuses(models, user.head(pull))[-1]
    assert (state, said) == (
        "success",
        f"Passes with 3 waived gates (roc_auc of tiny, log_loss of tiny, by boss): {WHY}.",
    )
    return models, pull


def test_a_waiver_holds_for_this_model_and_ends_with_it(github: FakeGitHub, actions: Harness) -> None:
    models, pull = waived(github, actions)
    alice = github.user("alice")
    text = report(models, pull)
    assert text.startswith("> [!WARNING]")
    assert text.count("✍️&nbsp;waived") == 3
    assert f"“{WHY}” ([comment](" in text
    bounds = {"roc_auc.min", "roc_auc.max_regression", "log_loss.max"}
    assert {entry["gate"] for entry in entries(models, "waiver")} == bounds

    alice.push("work", {"README.md": "Words, which no model depends on."})
    actions.run_until_idle()
    assert user.statuses(models, user.head(pull))[-1][1].startswith("Passes with 3 waived gates")
    assert len(entries(models, "waiver")) == 3

    boss = github.user("boss")
    queued = boss.queue(pull)
    actions.run_until_idle()
    assert user.statuses(models, models.git.commit_of(queued) or "")[-1][1].startswith("Passes with 3 waived gates")
    boss.leave_queue(pull, queued, merged=False)

    alice.push("work", tiny.params(mode="lost", offset=7))
    actions.run_until_idle()
    assert user.verdict(models, user.head(pull)) == "failure"
    text = report(models, pull)
    assert "**Waiver ended.** The waiver of log\\_loss.max of tiny that boss gave has ended" in text
    assert "because what the model is trained from changed" in text
    assert not github.requests.refused()


def test_a_waiver_ends_with_the_rules_and_follows_the_model_onto_main(github: FakeGitHub, actions: Harness) -> None:
    models, pull = waived(github, actions)
    boss = github.user("boss")

    boss.push("main", {"mlbot.yaml": LOOSER})
    boss.comment(pull, "/judge")
    actions.run_until_idle()
    assert user.statuses(models, user.head(pull))[-1][0] == "failure"
    assert "because the rules it is judged by changed" in report(models, pull)

    boss.push("main", {"mlbot.yaml": user.CONFIG})
    boss.comment(pull, "/judge")
    actions.run_until_idle()
    assert user.statuses(models, user.head(pull))[-1][0] == "success"

    boss.merge(pull, "squash")
    actions.run_until_idle()
    merged = models.git.commit_of("main") or ""
    state, said = user.statuses(models, merged)[-1]
    assert (state, said[:26]) == ("success", "Passes with 3 waived gates")
    (verdict,) = [entry for entry in entries(models, "verdict") if entry["commit"] == merged]
    assert (verdict["outcome"], verdict["reason"]) == ("pass", "waived")
    assert len(entries(models, "waiver")) == 3


def test_a_model_is_removed_by_a_maintainers_word(github: FakeGitHub, actions: Harness) -> None:
    other = user.CONFIG.split("models:\n")[1].replace("  tiny:", "  other:")
    models = user.repository(github, without=(), **{"mlbot.yaml": user.CONFIG + other})
    alice, boss = github.user("alice"), github.user("boss")
    pull = alice.pull_request("less", {"mlbot.yaml": user.CONFIG})
    actions.run_until_idle()
    assert user.verdict(models, user.head(pull)) == "failure"

    alice.comment(pull, '/waive other:deleted reason="I may not say so"')
    actions.run_until_idle()
    assert user.statuses(models, user.head(pull))[-1][0] == "failure"

    boss.comment(pull, '/waive other:deleted reason="Nobody asks it any more"')
    actions.run_until_idle()
    state, said = user.statuses(models, user.head(pull))[-1]
    assert (state, said) == (
        "success",
        "Passes with 1 waived removal (removal of other, by boss): Nobody asks it any more.",
    )

    boss.merge(pull, "squash")
    actions.run_until_idle()
    assert user.statuses(models, models.git.commit_of("main") or "")[-1][0] == "success"
