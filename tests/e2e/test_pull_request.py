"""Odd pull requests end to end, on a model that trains in no time; test_example.py has the ordinary ones."""

from textwrap import dedent
from typing import Any

import pytest
from tests.e2e import user
from tests.e2e.harness import Harness
from tests.fake_github.server import FakeGitHub
from tests.support import tiny

pytestmark = [pytest.mark.story, pytest.mark.timeout(600)]


def test_a_change_of_its_own_workflow_gates_and_holdout_is_judged_by_policy(
    github: FakeGitHub, actions: Harness
) -> None:
    models = user.repository(github)
    loose = user.CONFIG.replace("roc_auc: {min: 0.75, max_regression: 0.02}", "roc_auc: {min: 0.5}")
    own = user.TRAIN + "  extra:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo hello\n"
    pull = github.user("alice").pull_request(
        "sly",
        {
            "mlbot.yaml": loose,
            ".github/workflows/mlbot.yml": own,
            "data/holdout.csv": tiny.rows(100, 9),
            **tiny.params(mode="lost", claim=0.9999),
        },
    )
    actions.run_until_idle()
    assert user.verdict(models, user.head(pull)) == "failure"
    (comment,) = user.comments(models, pull)
    assert "Policy differs" in comment
    assert "0.9999" in comment


METRIC = dedent("""
    def profit(y_true, y_pred):
        return float(((y_pred > 0.5) == y_true).mean())
""")
FLATTERED = METRIC.replace("return float", "print('the pull request is here')\n    return 1.0 + 0 * float")


def test_a_change_of_metric_code_is_judged_by_policys(github: FakeGitHub, actions: Harness) -> None:
    own = "metrics: [{function: lib.profits:profit, direction: higher}, roc_auc, log_loss, accuracy]"
    config = user.CONFIG.replace("metrics: [roc_auc, log_loss, accuracy]", own)
    config = config.replace("    gates:\n", "    gates:\n      profit: {min: 0.75}\n")
    files: dict[str, Any] = {"mlbot.yaml": config, "lib/__init__.py": "", "lib/profits.py": METRIC}
    models = user.repository(github, **files)
    pull = github.user("alice").pull_request("flattered", {"lib/profits.py": FLATTERED, **tiny.params(mode="lost")})
    actions.run_until_idle()
    state, said = user.statuses(models, user.head(pull))[-1]
    assert state == "failure"
    assert said.startswith("Do not merge: profit is 0.")
    (comment,) = user.comments(models, pull)
    assert "The change changes lib/profits.py. It was judged by main's own rules." in comment
    assert (
        "the pull request is here" not in actions.last("mlbot-judge.yml", event="workflow_run").job("judge/judge").log
    )


def test_a_training_that_crashed_says_so_in_the_comment(github: FakeGitHub, actions: Harness) -> None:
    models = user.repository(github)
    pull = github.user("alice").pull_request("no-gpu", tiny.params(mode="crash"))
    actions.run_until_idle()
    state, said = user.statuses(models, user.head(pull))[-1]
    assert (state, said) == ("error", "Could not be judged: The training with seed 0 ended with exit code 1.")
    (comment,) = user.comments(models, pull)
    assert "the data loader found no GPU" in comment
    assert not github.requests.refused()


def test_a_head_config_that_cannot_be_read_is_an_error_not_silence(github: FakeGitHub, actions: Harness) -> None:
    models = user.repository(github)
    pull = github.user("alice").pull_request("broken", {"mlbot.yaml": "version: 1\nmodels: [\n"})
    actions.run_until_idle()
    state, said = user.statuses(models, user.head(pull))[-1]
    assert state == "error"
    assert "mlbot.yaml" in said


def test_a_draft_waits_and_an_edited_title_changes_nothing(github: FakeGitHub, actions: Harness) -> None:
    models, alice = user.repository(github), github.user("alice")
    alice.push("idea", tiny.params(offset=6000))
    pull = alice.open_pull_request("idea", draft=True)
    actions.run_until_idle()
    state, said = user.statuses(models, user.head(pull))[-1]
    assert state == "pending"
    assert "draft" in said.lower()
    assert user.comments(models, pull) == []

    alice.mark_ready(pull)
    actions.run_until_idle()
    assert user.statuses(models, user.head(pull))[-1][0] == "success"
    before = user.comments(models, pull)

    alice.edit_pull_request(pull, title="A better idea")
    actions.run_until_idle()
    assert actions.last("mlbot.yml").outcomes()["train / Plan"] == "skipped"
    assert user.statuses(models, user.head(pull))[-1][0] == "success"
    assert len(user.comments(models, pull)) == len(before) == 1


def test_a_change_is_judged_as_main_would_hold_it(github: FakeGitHub, actions: Harness) -> None:
    """Main loses nothing by where the author branched off: it moves on before the change is trained."""
    models = user.repository(github)
    pull = github.user("alice").pull_request("work", tiny.params(offset=1000))
    later = github.world.queue[:]
    github.world.queue.clear()
    tip = github.user("boss").push("main", {"notes.md": "Words", "train.py": f"{tiny.TRAIN}# better\n"})
    github.world.queue += later
    actions.run_until_idle()
    assert user.verdict(models, user.head(pull)) == "success"
    (comment,) = user.comments(models, pull)
    assert f"merged onto `main`@[`{tip[:7]}`]" in comment
    assert f"compared with the model of `main`@[`{tip[:7]}`]" in comment
    train = actions.last("mlbot.yml", event="pull_request")
    assert "the change merged into" in train.job("train/train", pack="tiny").log


def test_a_tag_that_is_called_main_brings_nothing_into_the_ledger(github: FakeGitHub, actions: Harness) -> None:
    """Somebody without rights on main pushes a commit of their own, and a tag by that name."""
    models = user.repository(github)
    alice = github.user("alice")
    evil = alice.push("evil", tiny.params(mode="lost"))
    alice.tag("main", evil)
    actions.run_until_idle()
    assert models.git.commit_of("mlbot-ledger") is None
    assert user.statuses(models, evil) == []


def test_what_the_ledger_knows_to_be_quick_is_trained_where_it_is_planned(github: FakeGitHub, actions: Harness) -> None:
    """A pull request beside a known baseline costs four jobs."""
    models, alice, boss = user.repository(github), github.user("alice"), github.user("boss")
    first = alice.pull_request("first", tiny.params(offset=1000))
    actions.run_until_idle()
    boss.merge(first, "squash")
    actions.run_until_idle()
    before = len(actions.runs)
    pull = alice.pull_request("second", tiny.params(offset=2000))
    actions.run_until_idle()
    jobs = [job for run in actions.runs[before:] for job, outcome in run.outcomes().items() if outcome != "skipped"]
    assert sorted(jobs) == [
        "judge / Judge",
        "judge / Publish",
        "judge / Say that the training has started",
        "train / Plan",
    ]
    assert user.verdict(models, user.head(pull)) == "success"
