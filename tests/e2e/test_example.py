"""The example on real data, set up by `mlbot init`, as a user would have it on GitHub: every kind of pull request.

Two stories, each of one repository: a verdict costs ten seconds here, and what one chapter leaves on the guarded branch
spares the next the training of its baseline.
"""

from typing import Final

import pytest
from tests.e2e import user
from tests.e2e.harness import Harness
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Issue, MergeMethod, Repository
from tests.support import git_samples, machine

from mlbot import entry
from mlbot.errors import Exit
from mlbot.lib.constants import JUDGE_PATH, TRAIN_PATH
from mlbot.lib.templates import examples

pytestmark = [pytest.mark.story, pytest.mark.timeout(900)]

CONFIG: Final = "mlbot.yaml"
CODE: Final = "income/train.py"
# Two seeds cannot tell what a seed alone flips.
QUICKER: Final = {"seeds: 3  ": "seeds: 2  ", "average_precision, ": "", "negative_flips: {max_excess: 0.01}  # ": "# "}
"""A third of the jobs less; and that metric's interval is bootstrapped, which takes longer than all the others'."""


def params(iterations: int) -> dict[str, str]:
    """The recipe: fewer trees than the example's, in bigger steps. More of them is better."""
    values = {"learning_rate": 0.3, "max_iter": iterations, "max_features": 0.5, "random_state": 0}
    return {"params.yaml": "".join(f"{name}: {value}\n" for name, value in values.items())}


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Every file of the example's repository after `mlbot init`."""
    source = examples() / "adult-income"
    texts = {
        str(path.relative_to(source)): path.read_text(encoding="utf-8")
        for path in source.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    for ours, theirs in QUICKER.items():
        assert ours in texts[CONFIG]
        texts[CONFIG] = texts[CONFIG].replace(ours, theirs)
    texts |= params(12)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in machine.ADA.items():
            patch.setenv(name, value)
        sandbox = git_samples.make(tmp_path_factory.mktemp("example") / "adult-income")
        sandbox.commit(texts)
        assert entry.invoke(["init", "--yes", "--quiet", "-C", str(sandbox.path)]) == Exit.OK
    assert (sandbox.path / CONFIG).read_text() == texts[CONFIG]
    return {name: (sandbox.path / name).read_text() for name in (*texts, TRAIN_PATH, JUDGE_PATH)}


class Story:
    """What happens to one repository, and what a person sees after each of it."""

    def __init__(self, github: FakeGitHub, actions: Harness, files: dict[str, str]) -> None:
        self.actions = actions
        self.models: Repository = github.repository("acme/models", files, roles={"alice": "write", "boss": "admin"})
        self.alice, self.boss, self.mallory = github.user("alice"), github.user("boss"), github.user("mallory")

    def verdict(self, pull: Issue) -> tuple[str, str, str]:
        """How head's status ended, its description, and the pull request's one comment."""
        self.actions.run_until_idle()
        (comment,) = user.comments(self.models, pull)
        statuses = user.statuses(self.models, user.head(pull))
        assert [state for state, _ in statuses].count("pending") == 1
        return *statuses[-1], comment

    def merge(self, pull: Issue, method: MergeMethod) -> str:
        """Merge it; the state that the guarded branch's new tip got. The comment stays as it was."""
        before = user.comments(self.models, pull)
        self.boss.merge(pull, method)
        self.actions.run_until_idle()
        assert user.comments(self.models, pull) == before
        return user.verdict(self.models, self.models.git.commit_of("main") or "")

    def baselines_trained(self) -> bool:
        """Whether the last judge had to train one."""
        outcomes = self.actions.last("mlbot-judge.yml", event="workflow_run").outcomes()
        return "success" in {outcome for job, outcome in outcomes.items() if "baseline" in job}


def test_from_the_first_pull_request_to_a_squash_merge(
    github: FakeGitHub, actions: Harness, example: dict[str, str]
) -> None:
    story = Story(github, actions, {name: text for name, text in example.items() if name != CONFIG})

    first = story.alice.pull_request("first", {CONFIG: example[CONFIG]})
    state, said, comment = story.verdict(first)
    assert (state, "provisionally" in said) == ("success", True)
    assert "**Provisional.**" in comment
    assert "pip install -r requirements.txt" in " ".join(actions.installed)
    assert story.merge(first, "merge") == "success"
    assert len(user.ledger(story.models, "verdict")) == 1

    work = story.alice.pull_request("work", params(20))
    state, said, comment = story.verdict(work)
    assert (state, said) == ("success", "Ready to merge: all 9 gates pass, and roc_auc rose by 0.0046.")
    assert "**Ready to merge:**" in comment
    assert "<picture>" in comment
    assert not story.baselines_trained()
    improved = user.head(work)

    story.alice.push("work", {CODE: example[CODE].replace('"capital_gain", ', "")})
    state, said, comment = story.verdict(work)
    assert state == "failure"
    assert said.startswith("Do not merge: roc_auc fell by 0.0")
    assert "**Do not merge:** roc\\_auc fell by 0.0" in comment

    story.alice.force_push("work", params(21))
    state, _, comment = story.verdict(work)
    assert state == "success"
    assert "**Ready to merge:**" in comment
    assert user.verdict(story.models, improved) == "success"  # what was said of an earlier head stays said

    weekend = {f"data/{name}.csv": with_weekend(example[f"data/{name}.csv"]) for name in ("train", "holdout")}
    weekend[CODE] = example[CODE].replace('"hours_per_week"]', '"hours_per_week", "weekend"]')
    state, said, comment = story.verdict(story.alice.pull_request("weekend", weekend))
    assert state == "error"
    assert said.startswith(
        "Could not be judged: The ONNX model has inputs that are no feature of the holdout: 'weekend'."
    )
    assert "Land the new columns of the holdout first" in comment

    assert story.merge(work, "squash") == "success"
    assert len(user.ledger(story.models, "verdict")) == 2
    assert not github.requests.refused()


def with_weekend(table: str) -> str:
    """A CSV table with a further column at its end."""
    header, *rows = table.splitlines()
    return "\n".join([f"{header},weekend", *(f"{row},{number % 2}" for number, row in enumerate(rows)), ""])


@pytest.mark.nightly
def test_from_a_fork_through_the_merge_queue(github: FakeGitHub, actions: Harness, example: dict[str, str]) -> None:
    story = Story(github, actions, example)

    fork = story.mallory.fork()
    fork.push("gift", params(20))
    state, _, comment = story.verdict(fork.open_pull_request("gift"))
    assert state == "success"
    assert "**Ready to merge:**" in comment
    assert story.baselines_trained()

    added = story.alice.pull_request("more", {CONFIG: with_second_model(example[CONFIG])})
    state, said, comment = story.verdict(added)
    assert (state, "provisionally" in said) == ("success", True)
    assert "**Provisional.**" in comment
    assert "because nothing they depend on changed: `adult-income`" in comment

    group = story.boss.queue(added)
    actions.run_until_idle()
    assert user.verdict(story.models, story.models.git.commit_of(group) or "") == "success"
    story.boss.leave_queue(added, group)
    actions.run_until_idle()
    assert user.verdict(story.models, story.models.git.commit_of("main") or "") == "success"
    assert user.comments(story.models, added) == [comment]
    assert len(user.ledger(story.models, "verdict")) == 2  # both models, for nobody had judged the first one on main

    state, said, comment = story.verdict(story.alice.pull_request("less", {CONFIG: example[CONFIG]}))
    assert (state, said) == ("failure", "Do not merge: the change removes this model, and with it its gates.")
    assert "**`second`**" in comment

    state, said, comment = story.verdict(story.alice.pull_request("words", {"README.md": "Words."}))
    assert (state, said) == ("success", "Nothing to judge: No model is affected by this change.")
    assert "**Nothing to judge:**" in comment
    assert set(actions.last("mlbot.yml").outcomes().values()) == {"success", "skipped"}  # planned, and trained nothing

    story.alice.push("side", {"NOTES.md": "A branch that nobody guards."})
    aside = story.alice.pull_request("aside", {"README.md": "Words."}, base="side")
    actions.run_until_idle()
    assert user.comments(story.models, aside) == []
    ((state, said),) = user.statuses(story.models, user.head(aside))
    assert (state, said.partition(":")[0]) == ("success", "Nothing is guarded here")
    assert not github.requests.refused()


def with_second_model(config: str) -> str:
    """The config with its model twice, the second with one seed."""
    models, rest = config.split("\nguard:")
    second = models.split("models:\n")[1].replace("  adult-income:", "  second:").replace("seeds: 2", "seeds: 1")
    return f"{models}\n{second}\nguard:{rest}"


@pytest.mark.nightly
def test_trials_beside_a_verdict(github: FakeGitHub, actions: Harness, example: dict[str, str]) -> None:
    """Other parameters are tried by a comment, and nothing of what stands already moves."""
    story = Story(github, actions, example)
    pull = story.alice.pull_request("work", params(8))
    _, _, verdict = story.verdict(pull)
    standing = user.statuses(story.models, user.head(pull))

    story.alice.comment(pull, "/retrain adult-income learning_rate=2")
    actions.run_until_idle()
    assert "it takes a number from 0.01 to 0.5" in user.comments(story.models, pull)[-1]

    shown = ""
    for number, (command, came_to) in enumerate((("max_iter=40", "better"), ("learning_rate=0.02", "worse")), 1):
        story.alice.comment(pull, f"/retrain adult-income {command}")
        actions.run_until_idle()
        (shown,) = [each for each in user.comments(story.models, pull) if "mlbot:trial " in each]
        assert user.statuses(story.models, user.head(pull)) == standing
        assert user.comments(story.models, pull)[0] == verdict
        headline = shown.splitlines()[1]
        assert headline.startswith(f"> **Trial {number} of adult-income: roc\\_auc")
        assert came_to in headline
    assert "-learning_rate: 0.3\n+learning_rate: 0.02\n" in shown
    assert "**2 trials**" in shown
    assert not github.requests.refused()
