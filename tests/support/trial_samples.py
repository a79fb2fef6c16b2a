"""Trials as they are told of, for tests."""

from typing import Any

from tests.support import report_parts as parts
from tests.support import samples

from mlbot.events.github import Attempt
from mlbot.judging.trial import Change, TrialResult, trial_result
from mlbot.lib.record import Params
from mlbot.protocol.answer import RetrainRequest
from mlbot.report.report import Report

COMMITTED: Params = {"learning_rate": 0.1, "max_iter": 60, "booster": "gbdt"}
DIFF = """\
--- a/params.yaml
+++ b/params.yaml
@@ -1,3 +1,3 @@
 # The committed parameters.
-learning_rate: 0.1  # slow is fine
+learning_rate: 0.2  # slow is fine
 max_iter: 60"""
PAGE = "https://github.com/acme/income/pull/42"


def request(number: int = 2, **params: Any) -> RetrainRequest:
    """What alice asked for."""
    return RetrainRequest(
        comment=1000 + number,
        actor="alice",
        number=42,
        sha=parts.HEAD,
        attempt=Attempt(run=7, number=number),
        models=("adult-income",),
        params=params or {"learning_rate": 0.2},
    )


def result(number: int = 1, report: Report | None = None, problem: str = "", **params: Any) -> TrialResult:
    """The pull request's trial of that number."""
    change = Change(committed=COMMITTED, file="params.yaml", diff="" if params else DIFF)
    url = f"https://github.com/acme/income/actions/runs/7/attempts/{number + 1}"
    shown = None if problem else report or samples.trial()
    return trial_result(request(number + 1, **params), number, url, change, shown, problem)


def better() -> tuple[TrialResult, ...]:
    """The first trial, which is better."""
    return (result(),)


def several() -> tuple[TrialResult, ...]:
    """The fourth, after one that is worse, one that came to nothing and one that changed several parameters."""
    worse = parts.judged(parts.adult(-0.0206), report={"trial": True})
    return (
        result(4, booster="a `dart` | @alice"),
        result(3, learning_rate=0.3, max_iter=120),
        result(2, problem="The training ran into its time limit."),
        result(1, worse, learning_rate=0.5),
    )


def nothing() -> tuple[TrialResult, ...]:
    """One whose training was cancelled."""
    return (result(problem="The training was cancelled."),)


def uncompared() -> tuple[TrialResult, ...]:
    """One that there is nothing to compare with."""
    return (result(report=samples.no_baseline().model_copy(update={"trial": True})),)


def failing() -> tuple[TrialResult, ...]:
    """One that would fail an absolute gate."""
    return (result(report=parts.judged(parts.adult(-0.05), report={"trial": True})),)


def crashed() -> tuple[TrialResult, ...]:
    """One whose training failed."""
    return (result(report=samples.crashed()),)


SAMPLES = {each.__name__: each for each in (better, several, nothing, uncompared, failing, crashed)}
