"""`mlbot waive`: a person's word on a laptop, as `/waive` is in a comment."""

import io
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from tests.fake_github.server import FakeGitHub
from tests.support import tiny
from tests.support.git_samples import Sandbox

from mlbot.console import Console
from mlbot.errors import Exit, RefusedError, UsageError
from mlbot.gates.outcome import Reason
from mlbot.judging.run_local import RunOptions, run_models
from mlbot.publish.run_waive import WaiveOptions, waive


@pytest.fixture
def lost(tmp_path: Path, trained_baseline: Path, monkeypatch: pytest.MonkeyPatch, git_settings: None) -> Sandbox:
    """A change that loses a feature, by the person who is at the keyboard."""
    del git_settings
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    sandbox = Sandbox(shutil.copytree(trained_baseline, tmp_path / "repository", symlinks=True))
    sandbox.git("config", "user.name", "Lea")
    sandbox.git("config", "user.email", "lea@example.com")
    sandbox.commit(tiny.params(mode="lost"))
    sandbox.git("commit", "--quiet", "--amend", "--no-edit", "--author", "Lea <lea@example.com>")
    return sandbox


def say(
    where: Sandbox,
    subject: str,
    reason: str = "Agreed with the owners.",
    *,
    as_json: bool = False,
    known: Mapping[str, str] = MappingProxyType({}),
) -> str:
    out = io.StringIO()
    options = WaiveOptions(subject=subject, reason=reason)
    environment = {"GIT_COMMITTER_NAME": "Lea", **known}
    assert (
        waive(where.path, options, Console(out=out, err=io.StringIO()), as_json=as_json, environment=environment)
        is Exit.OK
    )
    return out.getvalue()


def test_a_gate_passes_by_somebody_elses_word_for_this_content_alone(lost: Sandbox) -> None:
    with pytest.raises(RefusedError, match="This is a change of your own") as caught:
        say(lost, "tiny:roc_auc")
    assert "waivers: {author: true}" in caught.value.hint
    lost.git("commit", "--quiet", "--amend", "--no-edit", "--author", "Bob <bob@example.com>")
    with pytest.raises(RefusedError, match=r"it has roc_auc\.min, roc_auc\.max_regression"):
        say(lost, "tiny:roc_auk")
    (entry,) = json.loads(say(lost, "tiny:roc_auc.max_regression", as_json=True))
    assert (entry["actor"], entry["reason"], entry["branch"]) == ("Lea", "Agreed with the owners.", "main")
    quiet = Console(out=io.StringIO(), err=io.StringIO())
    verdict = run_models(lost.path, RunOptions(), quiet).verdict
    assert verdict.models[0].waivers[0].gate == "roc_auc.max_regression"
    assert verdict.models[0].reason in {Reason.WAIVED, Reason.BELOW_MINIMUM}
    with pytest.raises(RefusedError, match="the gate is waived already"):
        say(lost, "tiny:roc_auc.max_regression")


def test_a_login_that_github_knows_has_to_be_one_who_may(lost: Sandbox, github: FakeGitHub) -> None:
    """As `/waive` asks: a maintainer, or somebody whom the guarded branch's config lists."""
    github.repository("acme/models", {"a.txt": "1"}, roles={"alice": "write", "boss": "maintain"})
    lost.git("commit", "--quiet", "--amend", "--no-edit", "--author", "Bob <bob@example.com>")

    def known(login: str) -> dict[str, str]:
        where = {"GITHUB_REPOSITORY": "acme/models", "GITHUB_API_URL": github.api_url}
        return where | {"GITHUB_TOKEN": github.token(login)}

    with pytest.raises(RefusedError, match="alice has the role write on GitHub") as caught:
        say(lost, "tiny:roc_auc.max_regression", known=known("alice"))
    assert "listed" in caught.value.hint
    assert "may pass" in say(lost, "tiny:roc_auc.max_regression", known=known("boss"))


@pytest.mark.parametrize(
    ("author", "message"),
    [
        ("Lea Smith <LEA@example.com>", "x"),
        ("lea <other@example.com>", "x"),
        ("Bob <bob@example.com>", "x\n\nCo-authored-by: L. Smith <lea@example.com>"),
    ],
)
def test_a_change_is_ones_own_under_any_name(lost: Sandbox, author: str, message: str) -> None:
    lost.git("commit", "--quiet", "--amend", "-m", message, "--author", author)
    with pytest.raises(RefusedError, match="This is a change of your own"):
        say(lost, "tiny:roc_auc")


def test_a_model_that_is_gone_may_be_answered_for_here_too(lost: Sandbox) -> None:
    text = (lost.path / "mlbot.yaml").read_text()
    lost.git("reset", "--quiet", "--hard", "main")
    other = text.replace("  tiny:", "  other:").replace("python train.py", "python ./train.py")
    lost.commit({"mlbot.yaml": other})
    lost.git("commit", "--quiet", "--amend", "--no-edit", "--author", "Bob <bob@example.com>")
    with pytest.raises(RefusedError, match="what can be waived is deleted"):
        say(lost, "tiny:roc_auc")
    (entry,) = json.loads(say(lost, " tiny : deleted ", as_json=True))
    assert (entry["model"], entry["gate"]) == ("tiny", "deleted")


@pytest.mark.parametrize(("subject", "reason", "said"), [("tiny", "x", "tiny:GATE"), ("tiny:roc_auc", " ", "--reason")])
def test_what_is_missing_is_asked_for_before_anything_is_done(
    lost: Sandbox, subject: str, reason: str, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        say(lost, subject, reason)
    assert said in caught.value.hint
