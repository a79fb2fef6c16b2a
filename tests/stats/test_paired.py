"""Two frozen models: published examples, scipy, statsmodels."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.weightstats import DescrStatsW
from tests.support.stats_samples import CASES, reference, sample

from mlbot.gates.metric import CATALOGUE, Task
from mlbot.stats.estimation import estimate_custom
from mlbot.stats.metrics import decide
from mlbot.stats.paired import PairedMethod, agresti_min, mcnemar_mid_p, paired_difference, paired_test

Array = npt.NDArray[Any]
counts = st.integers(0, 60)


def test_mcnemar_mid_p_of_the_published_examples() -> None:
    """Fagerland, Lydersen, Laake (2013), tables 1 and 2: airway hyper-responsiveness and complete response."""
    assert mcnemar_mid_p(1, 7) == pytest.approx(0.0391, abs=5e-5)
    assert mcnemar_mid_p(6, 16) == pytest.approx(0.034690, abs=5e-7)


@given(counts, counts)
def test_mcnemar_mid_p_is_the_exact_one_less_the_point(first: int, second: int) -> None:
    if first == second:
        assert mcnemar_mid_p(first, second) == 1
        return
    exact = mcnemar([[0, first], [second, 0]], exact=True).pvalue
    point = stats.binom.pmf(first, first + second, 0.5)
    assert mcnemar_mid_p(first, second) == pytest.approx(exact - point, rel=1e-10)
    assert mcnemar_mid_p(second, first) == mcnemar_mid_p(first, second)


def test_mcnemar_on_very_many_rows() -> None:
    expected = stats.binomtest(50_000, 101_000).pvalue - stats.binom.pmf(50_000, 101_000, 0.5)
    assert mcnemar_mid_p(50_000, 51_000) == pytest.approx(expected, rel=1e-8)


def test_agresti_min_of_the_published_example() -> None:
    """Fagerland, Lydersen, Laake: "Statistical Analysis of Contingency Tables" (2017), chapter 8: 59, 6, 16, 80."""
    interval = agresti_min(6, 16, 161, level=0.95)
    assert (interval.low, interval.high) == pytest.approx((-0.1182, -0.0045), abs=5e-5)


@given(counts, counts, st.integers(1, 100))
def test_agresti_min_is_wald_after_half_a_row_in_each_cell(first: int, second: int, concordant: int) -> None:
    cells = np.array([first, second, concordant, 0]) + 0.5
    padded = DescrStatsW(np.array([1, -1, 0, 0]), weights=cells)
    half = stats.norm.ppf(0.95) * np.sqrt(padded.var / cells.sum())
    interval = agresti_min(first, second, first + second + concordant)
    assert interval.low == pytest.approx(max(-1, padded.mean - half), abs=1e-10)
    assert interval.high == pytest.approx(min(1, padded.mean + half), abs=1e-10)


def test_accuracy_of_two_artefacts() -> None:
    y, (new, old) = sample(Task.BINARY, 300, models=2)
    lost = int(((decide(old) == y) & (decide(new) != y)).sum())
    won = int(((decide(old) != y) & (decide(new) == y)).sum())
    test = paired_test("accuracy", Task.BINARY, y, (new, old), margin=0.02)
    interval = agresti_min(lost, won, 300)
    assert test.method is PairedMethod.AGRESTI_MIN
    assert (test.low, test.high, test.mcnemar) == (interval.low, interval.high, mcnemar_mid_p(lost, won))
    assert test.drop == pytest.approx((lost - won) / 300)
    # At the interval's own ends p says what the interval says.
    assert paired_test("accuracy", Task.BINARY, y, (new, old), margin=test.low).p == pytest.approx(0.05)
    assert paired_test("accuracy", Task.BINARY, y, (new, old), margin=test.high).p == pytest.approx(0.95)


def test_a_mean_loss_is_the_paired_t_test() -> None:
    y, (new, old) = sample(Task.REGRESSION, 80, models=2)
    test = paired_test("mean_squared_error", Task.REGRESSION, y, (new, old), margin=0.1)
    losses = (y - new) ** 2, (y - old) ** 2
    interval = stats.ttest_rel(*losses).confidence_interval(0.9)
    assert test.method is PairedMethod.PAIRED_T
    assert (test.low, test.high) == pytest.approx((interval.low, interval.high), rel=1e-10)
    shifted = stats.ttest_rel(losses[0] - 0.1, losses[1], alternative="greater")
    assert test.p == pytest.approx(shifted.pvalue, rel=1e-10)


@pytest.mark.parametrize(("metric", "task"), CASES)
def test_every_metric_compares_two_artefacts(metric: str, task: Task) -> None:
    y, (new, old) = sample(task, 120, models=2)
    test = paired_test(metric, task, y, (new, old))
    change = reference(metric, task, y, new) - reference(metric, task, y, old)
    assert test.drop == pytest.approx(CATALOGUE[metric].direction.worse * change, abs=1e-12)
    assert test.low < test.drop < test.high or metric == "accuracy"
    back = paired_test(metric, task, y, (old, new))
    # A bootstrap draws the same rows again, so even it is exactly symmetric.
    assert (back.drop, back.low, back.high) == pytest.approx((-test.drop, -test.high, -test.low), abs=1e-12)


def test_groups_widen_what_copies_narrowed() -> None:
    y, (new, old) = sample(Task.BINARY, 200, models=2)
    copied = [np.repeat(part, 5) for part in (y, new, old)]
    naive = paired_test("accuracy", Task.BINARY, copied[0], (copied[1], copied[2]))
    grouped = paired_test(
        "accuracy", Task.BINARY, copied[0], (copied[1], copied[2]), groups=np.repeat(np.arange(200), 5)
    )
    assert grouped.method is PairedMethod.BOOTSTRAP
    assert grouped.high - grouped.low > 1.8 * (naive.high - naive.low)


def test_identical_artefacts_do_not_differ() -> None:
    y, (p,) = sample(Task.BINARY, 60)
    test = paired_test("roc_auc", Task.BINARY, y, (p, p.copy()))
    assert (test.method, test.low, test.high, test.p) == (PairedMethod.IDENTICAL, 0, 0, 1)


def test_a_custom_metric_compares_two_artefacts() -> None:
    y, (new, old) = sample(Task.BINARY, 100, models=2)

    def cost(y: Array, prediction: Array, sample_weight: Array | None = None) -> float:
        return float(np.average((prediction > 0.3) != y, weights=sample_weight))

    pair = estimate_custom(cost, Task.BINARY, y, [new, old])
    test = paired_difference(pair, sign=1)
    assert test.method is PairedMethod.BOOTSTRAP
    assert test.drop == pytest.approx(cost(y, new) - cost(y, old))
    assert test.low < test.drop < test.high
