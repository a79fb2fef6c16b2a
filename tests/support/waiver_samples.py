"""A model with gates of every kind, judged with waivers."""

from typing import Any

from tests.support import report_parts as parts

from mlbot.gates.metric import Bound, Direction, Gate
from mlbot.ledger.entries import WaiverEntry
from mlbot.verdict.decide import Evidence, decide
from mlbot.verdict.verdict import Comparison, Evaluation, Method, Score, Verdict

KEY, POLICY = parts.digest(1), parts.digest(3)
MIN = Gate(metric="roc_auc", bound=Bound.MIN, limit=0.95)
MAX = Gate(metric="log_loss", bound=Bound.MAX, limit=0.5)
MARGIN = Gate(metric="roc_auc", bound=Bound.MAX_REGRESSION, limit=0.005)


def evidence(*gates: Gate, **changes: Any) -> Evidence:
    """A model with roc_auc 0.92, a log loss of 0.3, and a drop of 0.02 that is clear."""
    scores = (
        Score(metric="roc_auc", rows=1000, value=0.92, low=0.91, high=0.93),
        Score(metric="log_loss", rows=1000, value=0.3, low=0.28, high=0.32),
    )
    drop = Comparison(
        metric="roc_auc",
        direction=Direction.HIGHER,
        rows=1000,
        candidate=0.92,
        baseline=0.94,
        change=-0.02,
        low=-0.025,
        high=-0.015,
        method=Method.RECIPE,
        p_value=0.001,
    )
    fields: dict[str, Any] = {
        "model": "adult-income",
        "gates": gates or (MIN, MAX),
        "candidate": (Evaluation(digest=parts.digest(7), seed=0, scores=scores),),
        "comparisons": (drop,),
        "key": KEY,
        "policy": POLICY,
    }
    return Evidence(**(fields | changes))


def judged(found: Evidence, *waivers: WaiverEntry) -> Verdict:
    return decide(parts.COMMITS, [found], waivers)
