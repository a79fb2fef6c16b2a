"""The example on real data, set up by `mlbot init`, as a user would have it on GitHub."""

from pathlib import Path

import pytest
from tests.e2e import user
from tests.e2e.harness import Harness
from tests.fake_github.server import FakeGitHub
from tests.git_samples import make

from mlbot import entry, resources
from mlbot.core.published import JUDGE_PATH, TRAIN_PATH
from mlbot.errors import Exit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.usefixtures("git_settings")
def test_a_change_that_forgets_a_column(github: FakeGitHub, actions: Harness, tmp_path: Path) -> None:
    sandbox = make(tmp_path / "adult-income")
    example = resources.examples() / "adult-income"
    texts = {
        str(path.relative_to(example)): path.read_text(encoding="utf-8")
        for path in example.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    texts["mlbot.yaml"] = texts["mlbot.yaml"].replace("seeds: 3  ", "seeds: 2  ")
    sandbox.commit(texts)
    assert entry.invoke(["init", "--yes", "--quiet", "-C", str(sandbox.path)]) == Exit.OK
    assert (sandbox.path / "mlbot.yaml").read_text() == texts["mlbot.yaml"]
    for path in (TRAIN_PATH, JUDGE_PATH):
        texts[path] = (sandbox.path / path).read_text()
    models = github.repository("acme/models", texts, roles={"alice": "write"})

    forgetful = texts["income/train.py"].replace('"capital_gain", ', "")
    pull = github.user("alice").pull_request("refactor", {"income/train.py": forgetful})
    actions.run_until_idle()

    assert user.verdict(models, user.head(pull)) == "failure"
    (comment,) = user.comments(models, pull)
    assert "**Do not merge:** roc\\_auc fell by 0.0" in comment
    assert "<picture>" in comment
    assert "pip install -r requirements.txt" in " ".join(actions.installed)
    assert not github.requests.refused()
