"""Looks at sealed rows: their levels, and what is shown of one file beside another."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from mlbot.gates.metric import CATALOGUE, Bound, Gate, Task
from mlbot.gates.outcome import ALPHA
from mlbot.stats.estimation import estimate
from mlbot.stats.sealed import MOST_REFUSED, Question, is_shown, level_after
from mlbot.stats.types import Undefined, UndefinedMetricError

Array = npt.NDArray[Any]
ROWS = 4_000
LABELS = np.arange(ROWS) % 2


def right_but(*wrong: int) -> Array:
    """The answers of a model that is wrong on some rows."""
    answers = np.where(LABELS == 1, 0.75, 0.25)
    answers[list(wrong)] = 1 - answers[list(wrong)]
    return answers


def question(
    bound: Bound, limit: float, *models: Array, metric: str = "accuracy", labels: Array = LABELS, **rows: Any
) -> Question:
    """What is asked of the models' answers."""
    try:
        found: Any = estimate(metric, Task.BINARY, labels, models, **rows)
    except UndefinedMetricError as error:
        found = error
    return Question(gate=Gate(metric=metric, bound=bound, limit=limit), metric=CATALOGUE[metric], found=found)


def shows(*questions: Question, refused: int = 0, **options: bool) -> bool:
    """Whether the look passes."""
    return is_shown(questions, refused=refused, **options)


OURS, THEIRS = right_but(*range(400)), right_but(*range(200, 600))


def test_levels_sum_to_less_than_the_error_however_many_looks_fail() -> None:
    levels = [level_after(refused) for refused in range(MOST_REFUSED)]
    assert levels == pytest.approx([ALPHA / (j * (j + 1)) for j in range(1, MOST_REFUSED + 1)])
    assert sum(level or 0 for level in levels) < ALPHA
    assert level_after(MOST_REFUSED) is level_after(MOST_REFUSED + 1) is None
    with pytest.raises(ValueError, match="-1 looks"):
        level_after(-1)


@pytest.mark.parametrize("refused", range(MOST_REFUSED))
def test_where_many_rows_differ_the_bound_is_that_of_a_paired_t_test_at_the_level_of_the_look(refused: int) -> None:
    difference = np.square(OURS - LABELS) - np.square(THEIRS - LABELS)
    error = difference.std(ddof=1) / np.sqrt(ROWS)
    bound = difference.mean() + stats.t.ppf(1 - level(refused), ROWS - 1) * error
    for times, shown in ((1.02, True), (0.999, False)):
        asked = question(Bound.MAX_REGRESSION, bound * times, OURS, THEIRS, metric="brier_score_loss")
        assert shows(asked, refused=refused) is shown


def tango(won: int, lost: int, rows: int, margin: float) -> float:
    """The score statistic of T. Tango, Statistics in Medicine 17 (1998) 891-908, of a loss of a margin."""
    a, b, c = 2 * rows, -lost - won + (2 * rows - lost + won) * margin, -won * margin * (1 - margin)
    likely = (math.sqrt(b * b - 4 * a * c) - b) / (2 * a)  # the share of rows that are won where a margin is lost
    return (rows * margin - (lost - won)) / math.sqrt(rows * (2 * likely + margin * (1 - margin)))


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (3, 5), (12, 20), (100, 110), (200, 200), (12, 0)])
@pytest.mark.parametrize("refused", [0, 4, 9])
def test_a_share_of_right_answers_is_asked_by_the_score_as_well(won: int, lost: int, refused: int) -> None:
    ours, theirs = right_but(*range(lost)), right_but(*range(lost, lost + won))
    least = next(
        rows
        for rows in range(40, 400)
        if shows(question(Bound.MAX_REGRESSION, rows / ROWS, ours, theirs), refused=refused)
    )
    wanted = stats.norm.isf(level(refused))
    assert tango(won, lost, ROWS, least / ROWS) > 0.98 * wanted
    if least > 40:  # ten rows and more have to make a margin, whatever the score says; four times as many were tried
        assert tango(won, lost, ROWS, (least - 2) / ROWS) < 1.03 * wanted


def test_few_rows_that_cost_much_may_hide_where_no_range_bounds_them() -> None:
    """One row that costs 6.9 nats is as much as 0.7 margins, though the sample happens to have but two of them."""
    rng = np.random.default_rng(0)
    ours = np.clip(rng.normal(0.9, 0.02, 1_000), 0.001, 0.999)
    theirs = np.clip(ours + rng.normal(0, 0.01, 1_000), 0.001, 0.999)
    ours[:2] = theirs[:2] = 0.001
    rows: dict[str, Any] = {"metric": "log_loss", "labels": np.ones(1_000, int)}
    assert not shows(question(Bound.MAX_REGRESSION, 0.01, ours, theirs, **rows))
    assert shows(question(Bound.MAX_REGRESSION, 0.1, ours, theirs, **rows))
    ours[:2] = theirs[:2] = 0.5  # no row costs more than others
    assert shows(question(Bound.MAX_REGRESSION, 0.01, ours, theirs, **rows))


def level(refused: int) -> float:
    """Of a look after so many that did not pass."""
    return ALPHA / ((refused + 1) * (refused + 2))


def test_spent_rows_show_nothing() -> None:
    easy = question(Bound.MAX_REGRESSION, 0.9, OURS, THEIRS)
    assert shows(easy, refused=MOST_REFUSED - 1)
    assert not shows(easy, refused=MOST_REFUSED)


def test_every_gate_has_to_be_kept_and_nothing_asked_is_no_pass() -> None:
    easy = question(Bound.MAX_REGRESSION, 0.9, OURS, THEIRS)
    assert shows(easy, easy)
    assert not shows(easy, question(Bound.MAX_REGRESSION, 0.001, OURS, THEIRS))
    assert not shows()


def test_one_file_twice_needs_no_rows_but_two_files_that_agree_do() -> None:
    few = slice(0, 50)
    alike = question(Bound.MAX_REGRESSION, 0.01, OURS[few], OURS[few], labels=LABELS[few])
    assert shows(alike, identical=True)
    assert not shows(alike)
    assert shows(question(Bound.MAX_REGRESSION, 0.01, OURS, OURS))  # here ten rows make the margin
    assert not shows(question(Bound.MIN, 0.999, OURS), identical=True)


def test_a_pass_on_twelve_effective_rows_is_no_pass() -> None:
    ours, theirs = right_but(), right_but(*range(12))
    assert shows(question(Bound.MAX_REGRESSION, 0.01, ours, theirs))  # 40 rows that may turn make the margin
    assert not shows(question(Bound.MAX_REGRESSION, 0.002, ours, theirs))
    ones, wrong = np.ones(ROWS, int), np.where(np.arange(ROWS) < 12, 0.01, 0.99)
    for bound, limit, models in ((Bound.MAX_REGRESSION, 0.1, (np.full(ROWS, 0.98), wrong)), (Bound.MAX, 0.5, (wrong,))):
        assert not shows(question(bound, limit, *models, metric="log_loss", labels=ones))


@pytest.mark.parametrize(
    ("bound", "limit", "metric", "shown"),
    [
        (Bound.MIN, 0.889, "accuracy", True),  # it is 0.9, and Clopper and Pearson's bound at .025 is 0.8903
        (Bound.MIN, 0.891, "accuracy", False),
        (Bound.MIN, 0.9, "accuracy", False),
        (Bound.MIN, 0.85, "roc_auc", True),
        (Bound.MIN, 0.9, "roc_auc", False),
        (Bound.MIN, 0.85, "f1", True),
        (Bound.MIN, 0.895, "f1", False),
        (Bound.MAX, 0.42, "log_loss", True),
        (Bound.MAX, 0.4, "log_loss", False),
    ],
)
def test_an_absolute_gate_needs_its_one_sided_bound_on_the_right_side(
    bound: Bound, limit: float, metric: str, *, shown: bool
) -> None:
    assert shows(question(bound, limit, OURS, metric=metric)) is shown


def test_an_absolute_bound_is_at_the_level_of_the_look() -> None:
    exact = stats.binomtest(ROWS - 400, ROWS).proportion_ci(1 - 2 * ALPHA / 110, method="exact").low
    assert shows(question(Bound.MIN, exact - 1e-6, OURS), refused=9)
    assert not shows(question(Bound.MIN, exact + 1e-6, OURS), refused=9)


def test_weights_and_groups_count_as_elsewhere() -> None:
    margin = 0.014
    assert shows(question(Bound.MAX_REGRESSION, margin, OURS, THEIRS))
    weights = np.where(np.arange(ROWS) < 200, 4.0, 1.0)  # the rows that the candidate alone has wrong
    assert not shows(question(Bound.MAX_REGRESSION, margin, OURS, THEIRS, weights=weights))
    groups = np.arange(ROWS) // 50
    assert not shows(question(Bound.MAX_REGRESSION, margin, OURS, THEIRS, groups=groups))
    assert not shows(question(Bound.MIN, 0.889, OURS, groups=groups))


@pytest.mark.parametrize("rows", [0, 1, 2, 12])
def test_too_few_rows_show_nothing(rows: int) -> None:
    few = slice(0, rows)
    labels = LABELS[few]
    assert not shows(question(Bound.MAX_REGRESSION, 0.2, THEIRS[few], THEIRS[few], labels=labels))
    assert not shows(question(Bound.MIN, 0.8, THEIRS[few], labels=labels))


def test_what_has_no_value_or_interval_shows_nothing() -> None:
    unknown = UndefinedMetricError(Undefined.ONE_CLASS, "one class only")
    for bound in (Bound.MAX_REGRESSION, Bound.MIN, Bound.MAX):
        gate = Gate(metric="roc_auc", bound=bound, limit=0.9)
        asked = Question(gate=gate, metric=CATALOGUE["roc_auc"], found=unknown)
        assert not shows(asked)
        assert not shows(asked, identical=True)
    assert not shows(question(Bound.MAX_REGRESSION, 0.5, np.full(ROWS, np.nan), THEIRS))
    assert not shows(question(Bound.MAX_RATIO, 2.0, OURS, THEIRS))
