"""`mlbot plan --run`: decide what to do about a training run, and which baselines have to be trained first."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from mlbot.activities.assignment import Assignment, assign
from mlbot.activities.hosted import Hosted
from mlbot.activities.stored_files import is_kept
from mlbot.console import Console
from mlbot.core.decision import Decision, Judge, Wait
from mlbot.core.plan import MATRIX_LIMIT
from mlbot.errors import MlbotError

_PAUSE_S = 20.0
Pause = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to wait for a run that is not over.

    Attributes:
        checks: how often to look.
        pause: waits so many seconds.
    """

    checks: int = 900
    pause: Pause = time.sleep


def plan_run(hosted: Hosted, console: Console, patience: Patience | None = None) -> None:
    """Print what GitHub's `GITHUB_OUTPUT` takes.

    `decision`; `base`, `matrix` and `jobs` of the baselines to train; `store`, whether accepted files are stored.

    Raises:
        MlbotError: the run cannot be read.
    """
    decision = _decide(hosted, console, patience or Patience())
    console.say(f"Run {hosted.asked}: {decision.kind}")
    base, matrix = "", '{"include": []}'
    jobs = 0
    if isinstance(decision, Judge):
        try:
            assignment = assign(hosted, decision)
        except MlbotError as error:
            console.say(f"No baseline is trained: {error.what}")  # the judge meets it too, and reports it
        else:
            base, included = assignment.commits.base or "", _matrix(assignment, console)
            matrix, jobs = json.dumps({"include": included}), len(included)
    store = str(is_kept(hosted, decision, console)).lower()
    console.result(f"decision={decision.kind}\nbase={base}\nmatrix={matrix}\njobs={jobs}\nstore={store}")


def _decide(hosted: Hosted, console: Console, patience: Patience) -> Decision:
    """The decision, once the run is over: its event can come before its end."""
    _, decision = hosted.decide()
    for _ in range(patience.checks):
        if not isinstance(decision, Wait):
            break
        console.say("The training is not over yet; looking again soon.")
        patience.pause(_PAUSE_S)
        _, decision = hosted.decide()
    return decision


def _matrix(assignment: Assignment, console: Console) -> list[dict[str, object]]:
    """One job for each baseline and seed, with the seeds and runners that base's own config asks for."""
    base = assignment.sides.base
    if base is None:
        return []
    models = [model for planned in assignment.baselines if (model := base.config.model(planned.name)) is not None]
    plan = assignment.plan.model_copy(
        update={
            "models": tuple(
                planned.model_copy(update={"seeds": model.train.seeds, "runs_on": model.train.runs_on})
                for planned, model in zip(assignment.baselines, models, strict=True)
            )
        }
    )
    jobs = plan.jobs()
    if len(jobs) > MATRIX_LIMIT:
        console.say(f"{len(jobs)} baselines are more than a matrix holds; only the first {MATRIX_LIMIT} are trained.")
    return jobs[:MATRIX_LIMIT]
