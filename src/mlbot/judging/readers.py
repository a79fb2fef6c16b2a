"""The results of evaluators, by what wrote them."""

from mlbot.config.predict import Evaluate
from mlbot.gates.outcome import Reason
from mlbot.judging.rows import MOST_BYTES, Rows, read_rows
from mlbot.verdict.verdict import Problem


def read_results(raw: bytes, evaluate: Evaluate) -> Rows | Problem:
    """The rows in what an evaluator left."""
    if len(raw) > MOST_BYTES:
        return Problem.of(Reason.RESULTS_UNREADABLE, "large", most=MOST_BYTES // 1_000_000)
    del evaluate
    return read_rows(raw)
