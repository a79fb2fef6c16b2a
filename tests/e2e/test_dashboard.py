"""The dashboard on GitHub Pages, as `mlbot init --dashboard` writes its workflow: after a verdict, under act."""

import pytest
from tests.e2e import user
from tests.e2e.harness import Harness
from tests.fake_github.server import FakeGitHub
from tests.support import tiny

from mlbot.lib.constants import DASHBOARD_PATH
from mlbot.setup import scaffold

pytestmark = [pytest.mark.story, pytest.mark.timeout(600)]


def test_a_verdict_is_on_the_site_that_nobody_but_its_own_job_may_publish(github: FakeGitHub, actions: Harness) -> None:
    user.repository(github, without=(), **{DASHBOARD_PATH: scaffold.dashboard_workflow()})
    github.user("boss").push("main", tiny.params(offset=1))
    actions.run_until_idle()
    run = actions.last("mlbot-dashboard.yml", "workflow_run")
    assert run.outcomes() == {"Build": "success", "Deploy": "success"}
    site = actions.folder / "commands" / "pages"
    assert "tiny" in (site / "index.html").read_text()
    assert sorted(each.name for each in site.rglob("*") if each.name.startswith(".")) == []
    written = {each.path for each in github.requests.writes(by="mlbot-dashboard.yml/build")}
    assert {path for path in written if not path.endswith("/git-upload-pack")} == set(), "it reads alone"
    assert not github.requests.refused()
