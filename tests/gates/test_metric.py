"""Which gates are asked where."""

from mlbot.gates.metric import CATALOGUE, Bound, Direction, Gate, Metric, asked_of_sealed


def test_a_release_is_asked_the_blocking_gates_of_all_rows_that_have_an_interval() -> None:
    accuracy, error, largest = (CATALOGUE[name] for name in ("accuracy", "mean_absolute_error", "max_error"))
    gap = Metric(name="gap", direction=Direction.LOWER, tasks=accuracy.tasks, of="accuracy", slices=("a", "b"))
    asked = [
        (Gate(metric="accuracy", bound=Bound.MIN, limit=0.8), accuracy),
        (Gate(metric="mean_absolute_error", bound=Bound.MAX_REGRESSION, limit=0.1), error),
    ]
    others = [
        (Gate(metric="accuracy", bound=Bound.MIN, limit=0.9, blocking=False), accuracy),
        (Gate(metric="accuracy", slice="a", bound=Bound.MIN, limit=0.9), accuracy),
        (Gate(metric="gap", bound=Bound.MAX, limit=0.9), gap),
        (Gate(metric="max_error", bound=Bound.MAX, limit=9), largest),
        (Gate(metric="negative_flips", bound=Bound.MAX_EXCESS, limit=9), accuracy),
        (Gate(metric="latency_p50_ms", bound=Bound.MAX, limit=9), accuracy),
    ]
    assert asked_of_sealed(asked + others, baseline=True) == asked
    assert asked_of_sealed(asked + others, baseline=False) == asked[:1]
