"""A pickle that a command of the repository asks, and pull requests that change the command to cheat."""

from textwrap import dedent
from typing import Final

import pytest
from tests.e2e import user
from tests.e2e.harness import Harness
from tests.fake_github.server import FakeGitHub
from tests.support import tiny

from mlbot.ml.isolation import isolation_of
from mlbot.verdict.verdict import Problem

pytestmark = [
    pytest.mark.story,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        isinstance(isolation_of(judge=True), Problem), reason="no jail that a judge takes: see the doctor"
    ),
]

# One seed, and a command that imports nothing: it is called eleven times for each file.
CONFIG: Final = user.CONFIG.replace("seeds: 2", "seeds: 1").replace(
    "    data:\n", "    predict: {run: python predict.py, format: csv}\n    data:\n", 1
)
TRAIN: Final = tiny.TRAIN.replace(
    'onnx.save(model, os.environ["MLBOT_MODEL"])',
    'import pickle\npickle.dump([float(each) for each in [*weights, bias]], open(os.environ["MLBOT_ARTIFACT"], "wb"))',
)
AROUND: Final = dedent("""
    import csv
    import math
    import os
    import pickle

    {before}
    with open(os.environ["MLBOT_FEATURES"]) as rows, open(os.environ["MLBOT_PREDICTIONS"], "w", newline="") as answers:
        out = csv.writer(answers)
        out.writerow(["row_id", "p:1"])
        for row in csv.DictReader(rows):
            out.writerow([row["row_id"], {answer}])
""")
PREDICT: Final = AROUND.format(
    before='*weights, bias = pickle.load(open(os.environ["MLBOT_ARTIFACT"], "rb"))',
    answer='1 / (1 + math.exp(-bias - sum(w * float(row[x]) for w, x in zip(weights, ("x1", "x2", "x3")))))',
)
READS_LABELS: Final = AROUND.format(
    before='print("the pull request is here")\n'
    'truth = {each["x1"]: each["y"] for each in csv.DictReader(open("data/holdout.csv"))}',
    answer='truth[row["x1"]]',
)
CONSTANT: Final = AROUND.format(before='print("the pull request is here")', answer="0.9")


def test_a_pickle_is_judged_by_the_guarded_branchs_command(github: FakeGitHub, actions: Harness) -> None:
    assert TRAIN != tiny.TRAIN
    actions.deadline = 300.0
    files = {"mlbot.yaml": CONFIG, "train.py": TRAIN, "predict.py": PREDICT}
    models = user.repository(github, without=(), **files)
    alice, boss = github.user("alice"), github.user("boss")
    sha = boss.push("main", tiny.params(offset=1))
    actions.run_until_idle()
    assert user.verdict(models, sha) == "success"

    # One brings every label along, and main's command asks its worse model; the other's would ask nothing.
    for name, command, params, state in (
        ("reads-labels", READS_LABELS, tiny.params(mode="lost"), "failure"),
        ("constant", CONSTANT, tiny.params(offset=7000), "success"),
    ):
        pull = alice.pull_request(name, {"predict.py": command, **params})
        actions.run_until_idle()
        assert user.verdict(models, user.head(pull)) == state
        (comment,) = user.comments(models, pull)
        assert "The predictions are those of `predict.run` of the guarded branch" in comment
        assert "The change changes predict.py. It was judged by main's own rules." in comment
        judge = actions.last("mlbot-judge.yml", "workflow_run")
        assert "the pull request is here" not in "".join(job.log for job in judge.latest.jobs)

    # Once the command is main's own, it is what main is judged by.
    sha = boss.push("main", {"predict.py": CONSTANT})
    actions.run_until_idle()
    assert user.verdict(models, sha) == "failure"
