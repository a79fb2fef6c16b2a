"""What can be wrong with releases and GitHub's environments."""

import pytest
from tests.support import tiny

from mlbot.config.schema import Config, EnvironmentConfig, parse_config
from mlbot.config.yaml import load
from mlbot.events.github import EnvironmentFacts
from mlbot.setup.findings import Code, Severity
from mlbot.setup.findings_github import diagnose_environments, diagnose_release


def config(*targets: str) -> Config:
    environments = tuple(EnvironmentConfig(name=f"e{place}", target=target) for place, target in enumerate(targets))
    return parse_config(load(tiny.CONFIG, "mlbot.yaml")).model_copy(update={"environments": environments})


@pytest.mark.parametrize(
    ("targets", "there", "codes"),
    [
        ((), False, []),
        (("file:///srv/m",), False, [Code.RELEASE_MISSING]),
        (("served/m",), False, [Code.RELEASE_MISSING]),
        (("file:///srv/m", "oci://ghcr.io/o/m", "command: ./deploy"), True, []),
        (("file:///srv/m", "served/m"), True, [Code.TARGET_IN_CHECKOUT]),
    ],
)
def test_the_workflow_and_its_targets(targets: tuple[str, ...], codes: list[Code], *, there: bool) -> None:
    assert [each.code for each in diagnose_release(config(*targets), there=there)] == codes
    assert list(diagnose_release(None, there=there)) == []


@pytest.mark.parametrize(
    ("facts", "severity", "said"),
    [
        (None, Severity.ADVICE, "GitHub has no such environment yet"),
        (EnvironmentFacts(), Severity.WARNING, "every branch and tag may deploy to it"),
        (EnvironmentFacts(reviewers=True), Severity.WARNING, "every branch and tag may deploy to it"),
        (EnvironmentFacts(branches=("main", "release/*")), Severity.WARNING, "it also admits release/*"),
        (EnvironmentFacts(branches=("main",)), None, ""),
        (EnvironmentFacts(branches=()), None, ""),
    ],
)
def test_which_branches_an_environment_admits(
    facts: EnvironmentFacts | None, severity: Severity | None, said: str
) -> None:
    found = list(diagnose_environments(config("file:///m"), {"e0": facts} if facts else {}, "main"))
    assert [(each.code, each.severity, said in each.what) for each in found] == (
        [(Code.ENVIRONMENT_OPEN, severity, True)] if severity else []
    )


def test_what_may_not_be_read_is_not_judged() -> None:
    assert list(diagnose_environments(config("file:///m"), None, "main")) == []
    assert list(diagnose_environments(None, {}, "main")) == []
