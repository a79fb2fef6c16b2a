"""Pull requests end to end: the real workflows, run by act, against the fake GitHub."""

import pytest
from tests import tiny
from tests.e2e import user
from tests.e2e.harness import Harness
from tests.fake_github.server import FakeGitHub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_the_life_of_a_pull_request(github: FakeGitHub, actions: Harness) -> None:
    """Improves, regresses, is force-pushed back, is merged; and the next one finds its baseline in the ledger."""
    models, alice = user.repository(github), github.user("alice")
    pull = alice.pull_request("work", tiny.params(offset=1000))
    actions.run_until_idle()
    first = user.head(pull)
    assert user.verdict(models, first) == "success"
    assert "Ready to merge" in user.comments(models, pull)[0]

    alice.push("work", tiny.params(mode="lost"))
    actions.run_until_idle()
    assert user.verdict(models, user.head(pull)) == "failure"
    assert "Do not merge" in user.comments(models, pull)[0]

    alice.force_push("work", tiny.params(offset=2000))
    actions.run_until_idle()
    assert user.verdict(models, user.head(pull)) == "success"
    assert user.verdict(models, first) == "success"
    (comment,) = user.comments(models, pull)
    assert "Ready to merge" in comment

    github.user("boss").merge(pull, "squash")
    actions.run_until_idle()
    merged = models.git.commit_of("main") or ""
    assert user.verdict(models, merged) == "success"
    assert len(user.ledger(models)) == 1

    later = alice.pull_request("later", tiny.params(offset=3000))
    actions.run_until_idle()
    judge = actions.last("mlbot-judge.yml", event="workflow_run")
    assert {outcome for job, outcome in judge.outcomes().items() if "baseline" in job} == {"skipped"}
    assert user.verdict(models, user.head(later)) == "success"
    assert not github.requests.refused()


def test_a_change_that_improves_says_by_how_much(github: FakeGitHub, actions: Harness) -> None:
    models = user.repository(github, without=(), **tiny.params(mode="lost"))
    pull = github.user("alice").pull_request("better", tiny.params(mode="good"))
    actions.run_until_idle()
    assert user.verdict(models, user.head(pull)) == "success"
    (comment,) = user.comments(models, pull)
    assert "Ready to merge" in comment
    assert "rose by 0." in comment


def test_a_fork_is_trained_without_rights_and_judged(github: FakeGitHub, actions: Harness) -> None:
    models = user.repository(github)
    mallory = github.user("mallory").fork()
    mallory.push("gift", tiny.params(offset=4000))
    pull = mallory.open_pull_request("gift")
    actions.run_until_idle()
    assert user.verdict(models, user.head(pull)) == "success"
    assert len(user.comments(models, pull)) == 1
    assert not github.requests.refused()


def test_nothing_stale_trains_nothing_and_passes(github: FakeGitHub, actions: Harness) -> None:
    models = user.repository(github)
    pull = github.user("alice").pull_request("words", {"README.md": "Words."})
    actions.run_until_idle()
    assert actions.last("mlbot.yml").outcomes()["train / Plan"] == "success"
    assert models.artifacts == {} or all("candidate" not in one.name for one in models.artifacts.values())
    assert user.verdict(models, user.head(pull)) == "success"
    assert len(user.comments(models, pull)) == 1


def test_another_branch_gets_neither_comment_nor_status(github: FakeGitHub, actions: Harness) -> None:
    models, alice = user.repository(github), github.user("alice")
    alice.push("side", {"README.md": "A branch that nobody guards."})
    pull = alice.pull_request("work", tiny.params(mode="lost"), base="side")
    actions.run_until_idle()
    assert (user.comments(models, pull), user.statuses(models, user.head(pull))) == ([], [])


def test_the_merge_queue_gets_a_status_only(github: FakeGitHub, actions: Harness) -> None:
    models = user.repository(github)
    pull = github.user("alice").pull_request("work", tiny.params(offset=5000))
    actions.run_until_idle()
    before = user.comments(models, pull)
    ref = github.user("boss").queue(pull)
    actions.run_until_idle()
    assert user.verdict(models, models.git.commit_of(ref) or "") == "success"
    assert user.comments(models, pull) == before


def test_a_first_model_is_provisional_and_a_second_one_is_new(github: FakeGitHub, actions: Harness) -> None:
    models, alice = user.repository(github, without=("mlbot.yaml",)), github.user("alice")
    pull = alice.pull_request("first", {"mlbot.yaml": user.CONFIG})
    actions.run_until_idle()
    (comment,) = user.comments(models, pull)
    assert "no baseline" in comment.lower()
    state, said = user.statuses(models, user.head(pull))[-1]
    assert state == "success"
    assert "inconclusive" in said


def test_a_model_is_added_merged_and_deleted_again(github: FakeGitHub, actions: Harness) -> None:
    models, alice = user.repository(github), github.user("alice")
    two = user.CONFIG + user.CONFIG.split("models:\n")[1].replace("  tiny:", "  other:")
    added = alice.pull_request("more", {"mlbot.yaml": two})
    actions.run_until_idle()
    (comment,) = user.comments(models, added)
    assert "Provisional" in comment
    assert user.statuses(models, user.head(added))[-1][0] == "success"

    github.user("boss").merge(added, "merge")
    actions.run_until_idle()
    assert user.verdict(models, models.git.commit_of("main") or "") == "success"
    assert len(user.ledger(models)) == 2

    deleted = alice.pull_request("less", {"mlbot.yaml": user.CONFIG})
    actions.run_until_idle()
    assert user.verdict(models, user.head(deleted)) == "failure"
    assert "other" in user.comments(models, deleted)[0]


def test_a_new_holdout_column_is_named_with_the_order_that_mends_it(github: FakeGitHub, actions: Harness) -> None:
    models = user.repository(github)
    wider = "\n".join(
        f"{line},{'x4' if number == 0 else 1}" for number, line in enumerate(tiny.rows(4000, 2).splitlines())
    )
    train = tiny.TRAIN.replace(
        'columns = params["mode"], ["x1", "x2", "x3"]', 'columns = params["mode"], ["x1", "x2", "x3"]'
    )
    train = train.replace(
        "inputs = [helper.make_tensor_value_info(c, number, [None, 1]) for c in columns]",
        "inputs = [helper.make_tensor_value_info(c, number, [None, 1]) for c in [*columns, 'x4']]",
    )
    pull = github.user("alice").pull_request("wider", {"data/holdout.csv": wider + "\n", "train.py": train})
    actions.run_until_idle()
    assert user.verdict(models, user.head(pull)) == "error"
    assert "x4" in user.comments(models, pull)[0]


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
