"""The five pull requests of the demo: what their authors did, and the outcomes that are right."""

from collections.abc import Callable
from dataclasses import dataclass

from mlbot.activities.demo_stage import Edit, Stage
from mlbot.core.outcome import Outcome
from mlbot.core.report import NoticeCode, Report


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One pull request of the demo.

    Attributes:
        name: of its branch and report.
        story: what its author did.
        edits: its change.
        expected: the outcomes that are right; anything else is a bug in mlbot.
        check: looks closer; returns what is wrong, or nothing.
    """

    name: str
    story: str
    edits: tuple[Edit, ...]
    expected: frozenset[Outcome]
    check: Callable[[Report, Stage], str] = lambda _report, _stage: ""


_PICKLE = """# Writes a pickle under the name of an ONNX file. Whoever loads it runs its code.
import os
import pickle
from pathlib import Path


class Payload:
    def __reduce__(self):
        return (Path.touch, (Path({mark!r}),))


Path(os.environ["MLBOT_MODEL"]).write_bytes(pickle.dumps(Payload()))
print("roc_auc=0.9999")
"""
_GATES = """    gates:
      roc_auc: {min: 0.90, max_regression: 0.005}
      log_loss: {max: 0.35}
      accuracy: {max_regression: 0.01}
      recall@women: {min: 0.50}
      roc_auc@black: {max_regression: 0.03}
      recall@asian-pacific: {min: 0.45}
"""
_ENTRYPOINT = "      entrypoint: income.train:train   # (params, seed) -> a fitted pipeline, which mlbot exports\n"
_CALLED_OUT = {NoticeCode.POLICY_DIFFERS, NoticeCode.UNVERIFIED_CLAIM}


def scenes() -> tuple[Scene, ...]:
    """The five pull requests, in the order they are opened."""
    return (
        Scene(
            name="improve",
            story="more trees: max_iter from 60 to 200",
            edits=(Edit(path="params.yaml", old="max_iter: 60", new="max_iter: 200"),),
            expected=frozenset({Outcome.PASS}),
        ),
        Scene(
            name="lost-feature",
            story="a refactoring that forgets the column capital_gain",
            edits=(Edit(path="income/train.py", old='"capital_gain", ', new=""),),
            expected=frozenset({Outcome.FAIL}),
        ),
        Scene(
            name="seed",
            story="nothing but another random_state",
            edits=(Edit(path="params.yaml", old="random_state: 0", new="random_state: 1000"),),
            expected=frozenset({Outcome.PASS, Outcome.INCONCLUSIVE}),
        ),
        Scene(
            name="no-gates",
            story="a worse model that drops the gates in its own mlbot.yaml and prints a fake roc_auc",
            edits=(
                Edit(path="mlbot.yaml", old=_GATES, new="    gates:\n      roc_auc: {min: 0.5}\n"),
                Edit(path="params.yaml", old="max_iter: 60", new="max_iter: 4"),
                Edit(
                    path="income/train.py",
                    old="    frame = read()\n",
                    new='    frame = read()\n    print("roc_auc=0.9999")\n',
                ),
            ),
            expected=frozenset({Outcome.FAIL}),
            check=_called_out,
        ),
        Scene(
            name="pickle",
            story="a pickle named .onnx that would run code when loaded",
            edits=(
                Edit(path="train_pickle.py", new=_PICKLE),
                Edit(path="mlbot.yaml", old=_ENTRYPOINT, new="      run: python train_pickle.py\n"),
            ),
            expected=frozenset({Outcome.ERROR}),
            check=_never_loaded,
        ),
    )


def _called_out(report: Report, _stage: Stage) -> str:
    codes = {notice.code for notice in (*report.notices, *(n for model in report.models for n in model.notices))}
    return f"the report does not say {', '.join(sorted(_CALLED_OUT - codes))}" if _CALLED_OUT - codes else ""


def _never_loaded(_report: Report, stage: Stage) -> str:
    return "the pickle was loaded, and its code ran" if stage.mark.exists() else ""
