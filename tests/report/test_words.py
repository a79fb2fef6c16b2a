"""What the report says of each gate: sentence by sentence."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import meta
from tests.support import report_parts as parts
from tests.support import samples

import statistics_table
from mlbot.gates.metric import Bound, Direction, Gate
from mlbot.gates.outcome import ALPHA, Outcome, Reason
from mlbot.lib.templates import environment, templates
from mlbot.report import words
from mlbot.report.report import ModelReport
from mlbot.verdict.settling import Cure
from mlbot.verdict.verdict import Comparison, GateResult, Method, Noise, Problem

SOURCE = Path(__file__).parents[2] / "src" / "mlbot"


@pytest.mark.parametrize(("figure", "shown"), [(50.0, "50"), (0.0, "0"), (1.0, "1"), (58.6, "58.6"), (None, "–")])
def test_a_count_of_rows_has_no_decimals_that_say_nothing(figure: float | None, shown: str) -> None:
    assert words.value("data.overlap", figure) == shown


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_a_plain_sentence(reason: Reason) -> None:
    problem = Problem.of(reason)
    assert problem.detail[0].isupper()
    assert problem.detail.endswith(".")
    assert reason not in problem.detail
    assert not problem.hint or problem.hint.endswith(".")


def test_every_reason_of_the_words_is_one() -> None:
    written = yaml.safe_load((templates() / "words" / "reasons.yaml").read_text())
    assert list(written) == [reason.value for reason in Reason]


MAKERS = {
    "_refused": Reason.MODEL_REFUSED,
    "_inputs": Reason.MODEL_INPUTS,
    "_outputs": Reason.MODEL_OUTPUTS,
    "_unfit": Reason.MODEL_INPUTS,
    "_schema": Reason.HOLDOUT_SCHEMA,
}
"""Functions that make problems of one reason: the first argument is the cause."""

ADDED = {"_unfit": {"column", "takes"}}
"""Values that such a function adds itself."""


def problems_made() -> list[tuple[str, str, str, set[str] | None]]:
    """Place, reason, cause and names of the values of every problem that the source makes with a literal cause."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and node.args):
                continue
            name, *arguments = ast.unparse(node.func), *node.args
            reason: Reason | None = MAKERS.get(name)
            if name in {"Problem.of", "Refused"} and len(arguments) == 2:
                first = arguments.pop(0)
                reason = Reason[first.attr] if isinstance(first, ast.Attribute) and first.attr.isupper() else None
            if reason is not None and isinstance(arguments[0], ast.Constant):
                names = {keyword.arg for keyword in node.keywords}
                given = None if None in names else {*map(str, names), *ADDED.get(name, set())}
                found.append((path.name, reason.value, str(arguments[0].value), given))
    return found


def test_every_cause_has_its_words_and_gives_what_they_name() -> None:
    written = yaml.safe_load((templates() / "words" / "reasons.yaml").read_text())
    made = problems_made()
    assert len(made) > 90
    for place, reason, cause, given in made:
        words_of = written[reason].get("causes", {}).get(cause)
        assert words_of, f"{place}: {reason}/{cause} has no words"
        names = meta.find_undeclared_variables(environment().parse(" ".join(words_of.values())))
        assert given is None or names == given, f"{place}: {reason}/{cause}"


def test_a_hint_is_of_its_own_cause() -> None:
    expired = Problem.of(Reason.MODEL_MISSING, "artifact-expired", seed=1, artifact="the artifact a has expired")
    assert "MLBOT_ARTIFACT" not in expired.hint
    assert "$MLBOT_ARTIFACT" in Problem.of(Reason.MODEL_MISSING, "left-none", seed=1).hint
    assert "new columns" in Problem.of(Reason.HOLDOUT_SCHEMA, "to-land", why="").hint
    gaps = Problem.of(Reason.HOLDOUT_SCHEMA, "labels-missing", target="y", rows=3, written="", first="1, 2, 3")
    assert "new columns" not in gaps.hint
    assert "operators" not in Problem.of(Reason.MODEL_REFUSED, "too-large", size="3 GB", limit="256 MB").hint


ONE_HINT: tuple[set[str], ...] = (
    {"model-missing/no-file", "model-missing/left-none"},
    {"model-missing/older-mlbot"},
    {"model-refused/no-regular-file", "model-refused/cannot-open"},
    {"model-outputs/shape", "model-outputs/labels-only", "model-outputs/no-numbers"},
    {"no-usable-baseline/cannot-score"},
    {"training-failed/exit-code", "training-failed/not-started"},
    {"baseline-unreachable/fault"},
    {"anchor-unreachable/fault"},
    {"holdout-schema/to-land"},
    {"no-interval/rows"},
    {"evaluator-failed/command"},
    {"case-changed/input", "case-changed/group"},
)
"""Causes for which one hint is right: what is to be done is the same. No other two have one."""


def test_no_hint_is_of_another_cause() -> None:
    """Of one reason no two causes have one hint, nor has one of several that of the reason, but for those listed."""
    written = yaml.safe_load((templates() / "words" / "reasons.yaml").read_text())
    for reason, words_of in written.items():
        by_hint: dict[str, set[str]] = {}
        for cause, texts in words_of.get("causes", {}).items():
            by_hint.setdefault(texts.get("hint", cause), set()).add(f"{reason}/{cause}")
        for hint, causes in by_hint.items():
            of_all = hint == words_of.get("hint") and len(words_of["causes"]) > 1
            if len(causes) > 1 or of_all:
                assert any(causes <= allowed for allowed in ONE_HINT), f"{hint}: {causes}"


CAUSES = (
    ("model-missing", ("artifact-expired", "Re-run all jobs"), ("left-none", "$MLBOT_ARTIFACT")),
    ("model-missing", ("older-mlbot", "Re-run all jobs"), ("not-in-store", "Name a store")),
    ("model-refused", ("too-large", "smaller"), ("operator", "operators of")),
    ("model-refused", ("other-format", "Pickle and joblib"), ("external-data", "save_as_external_data")),
    ("model-refused", ("not-decoded", "cut off"), ("too-new", "older opset")),
    ("model-refused", ("depends-on-batch", "model.eval()"), ("depends-on-order", "running sum")),
    ("model-inputs", ("no-feature", "named as its column"), ("fixed-rows", "dynamic_axes")),
    ("model-inputs", ("column-type", "Train with the type"), ("text-in-matrix", "one input a column")),
    ("model-inputs", ("cannot-miss", "fill the gaps"), ("out-of-range", "wider integer")),
    ("model-outputs", ("labels-only", "gives probabilities"), ("no-tensor", "zipmap")),
    ("model-outputs", ("other-classes", "as the data writes them"), ("several", "Keep one")),
    ("feature-order", ("other-columns", "`data.features`"), ("no-list", "as JSON")),
    ("scoring-failed", ("crashed", "that crashes"), ("cannot-run", "rows of the holdout")),
    ("scoring-failed", ("no-answer", "Re-run the job"), ("ended", "that fails")),
    ("not-probabilities", ("outside", "sigmoid or softmax"), ("sum", "not with a sigmoid")),
    ("holdout-schema", ("to-land", "new columns"), ("lacks-columns", "separator")),
    ("holdout-schema", ("labels-missing", "without a label"), ("not-binary", "`task: multiclass`")),
    ("holdout-schema", ("no-positive", "`data.positive`"), ("slice-column", "slice's condition")),
    ("holdout-unreadable", ("no-table", "path is right"), ("lfs-pointer", "git lfs pull")),
    ("holdout-unreadable", ("dvc-pointer", "dvc pull"), ("not-in-commit", "Commit the file")),
    ("no-baseline", ("candidate-failed", "candidate first"), ("not-given", "--baseline")),
    ("baseline-unreachable", ("fault", "workflow again."), ("not-trained", "fix the training")),
    ("metric-undefined", ("not-computed", "under `metrics`"), ("not-measured", "log of the job")),
)


@pytest.mark.parametrize(("reason", "one", "other"), CAUSES)
def test_two_causes_of_one_reason_have_each_their_own_hint(
    reason: str, one: tuple[str, str], other: tuple[str, str]
) -> None:
    written = yaml.safe_load((templates() / "words" / "reasons.yaml").read_text())[reason]["causes"]
    texts = " ".join(text for cause, _ in (one, other) for text in written[cause].values())
    values: dict[str, Any] = dict.fromkeys(meta.find_undeclared_variables(environment().parse(texts)), "x")
    values |= {"rows": 3, "attempt": 1, "width": 2, "task": "binary"}
    hints = [Problem.of(Reason(reason), cause, **values).hint for cause, _ in (one, other)]
    for hint, wanted, not_wanted in zip(hints, (one[1], other[1]), (other[1], one[1]), strict=True):
        assert wanted in hint
        assert not_wanted not in hint


@pytest.mark.parametrize(
    ("gate", "direction", "text"),
    [
        (Gate(metric="roc_auc", bound=Bound.MIN, limit=0.9), Direction.HIGHER, "≥ 0.9"),
        (Gate(metric="log_loss", bound=Bound.MAX, limit=0.35), Direction.LOWER, "≤ 0.35"),
        (Gate(metric="roc_auc", bound=Bound.MAX_REGRESSION, limit=0.005), Direction.HIGHER, "drop ≤ 0.005"),
        (Gate(metric="log_loss", bound=Bound.MAX_REGRESSION, limit=0.01), Direction.LOWER, "rise ≤ 0.01"),
        (Gate(metric="roc_auc", bound=Bound.MIN, limit=0.9, confident=True), None, "≥ 0.9, confidently"),
        (Gate(metric="negative_flips", bound=Bound.MAX, limit=0.03), None, "≤ 3 %"),
        (Gate(metric="negative_flips", bound=Bound.MAX_EXCESS, limit=0.01), None, "excess ≤ 1 %"),
        (Gate(metric="latency_p95_ms", bound=Bound.MAX, limit=20.0), None, "≤ 20 ms"),
        (Gate(metric="latency_p50_ms", bound=Bound.MAX_RATIO, limit=1.2), None, "≤ 1.2 times"),
        (Gate(metric="size_mb", bound=Bound.MAX, limit=50.0), None, "≤ 50 MB"),
    ],
)
def test_limits(gate: Gate, direction: Direction | None, text: str) -> None:
    assert words.limit(gate, direction) == text


def test_arrows() -> None:
    assert [words.arrow(each) for each in (Direction.HIGHER, Direction.LOWER, None)] == ["↑", "↓", ""]


def model(*comparisons: Comparison, **changes: Any) -> ModelReport:
    _, rest = parts.adult(0.0)
    verdict = samples.passing().verdict.models[0]
    return ModelReport(model="m", verdict=verdict, **(rest | {"comparisons": comparisons} | changes))


MARGIN = Gate(metric="roc_auc", bound=Bound.MAX_REGRESSION, limit=0.005)


def result(reason: Reason, outcome: Outcome, gate: Gate = MARGIN, **changes: Any) -> GateResult:
    return GateResult(gate=gate, outcome=outcome, reason=reason, **changes)


@pytest.mark.parametrize(
    ("reason", "outcome", "text"),
    [
        (Reason.REGRESSION, Outcome.FAIL, "roc_auc fell by 0.0206, more than the 0.005 allowed"),
        (Reason.WITHIN_MARGIN, Outcome.PASS, "roc_auc fell by 0.0206, within the 0.005 allowed"),
        (
            Reason.MARGIN_INSIDE_INTERVAL,
            Outcome.INCONCLUSIVE,
            "roc_auc fell by 0.0206 [−0.0224, −0.0188]: that may be more than the 0.005 allowed, or less",
        ),
        (
            Reason.SEED_VARIANCE_UNKNOWN,
            Outcome.INCONCLUSIVE,
            "roc_auc fell by 0.0206 [−0.0224, −0.0188], and with one seed that may be luck",
        ),
        (
            Reason.DROPPED_BY_HOLM,
            Outcome.INCONCLUSIVE,
            "roc_auc fell by 0.0206 [−0.0224, −0.0188], but among so many gates that may be chance",
        ),
        (Reason.IDENTICAL, Outcome.PASS, "roc_auc did not change: both models predict the same"),
        (Reason.NO_BASELINE, Outcome.INCONCLUSIVE, "roc_auc: there is no baseline to compare with"),
        (Reason.METRIC_UNDEFINED, Outcome.ERROR, "roc_auc could not be evaluated"),
    ],
)
def test_findings_of_a_margin(reason: Reason, outcome: Outcome, text: str) -> None:
    assert words.finding(result(reason, outcome), model(parts.comparison("roc_auc", -0.0206))) == text


def test_a_rise_of_what_should_be_low() -> None:
    gate = Gate(metric="log_loss", bound=Bound.MAX_REGRESSION, limit=0.01)
    found = words.finding(result(Reason.REGRESSION, Outcome.FAIL, gate), model(parts.comparison("log_loss", -0.0206)))
    assert found == "log_loss rose by 0.0206, more than the 0.01 allowed"


@pytest.mark.parametrize(
    ("gate", "reason", "outcome", "value", "text"),
    [
        (
            parts.GATES[0],
            Reason.BELOW_MINIMUM,
            Outcome.FAIL,
            0.8931,
            "roc_auc is 0.8931, below the minimum of 0.9",
        ),
        (
            Gate(metric="latency_p95_ms", bound=Bound.MAX, limit=20.0),
            Reason.ABOVE_MAXIMUM,
            Outcome.FAIL,
            31.2,
            "latency_p95_ms is 31.2 ms, above the maximum of 20 ms",
        ),
        (
            parts.GATES[6],
            Reason.WITHIN_LIMIT,
            Outcome.PASS,
            1.9,
            "size_mb is 1.90 MB, within the maximum of 50 MB",
        ),
        (
            parts.GATES[0],
            Reason.LIMIT_INSIDE_INTERVAL,
            Outcome.INCONCLUSIVE,
            0.9258,
            "roc_auc is 0.9258 (between 0.9231 and 0.9285), so it may break the minimum of 0.9, or keep it",
        ),
        (
            parts.GATES[4],
            Reason.WITHIN_MARGIN,
            Outcome.PASS,
            0.0017,
            (
                "negative_flips is 1.4 %, 0.17 points more than the 1.2 % that another seed of the baseline flips, "
                "within the 1 % allowed"
            ),
        ),
        (
            parts.GATES[4],
            Reason.MARGIN_INSIDE_INTERVAL,
            Outcome.INCONCLUSIVE,
            0.0017,
            (
                "negative_flips is 1.4 %, 0.17 points more [−0.08, +0.42] than the 1.2 % that another seed of the "
                "baseline flips: that may be more than the 1 % allowed, or less"
            ),
        ),
        (
            parts.GATES[4],
            Reason.TOO_FEW_SEEDS,
            Outcome.INCONCLUSIVE,
            0.0,
            "negative_flips: the seeds are too few to tell what a seed alone flips",
        ),
        (
            parts.GATES[5],
            Reason.ABOVE_MAXIMUM,
            Outcome.FAIL,
            1.3,
            "latency_p50_ms is 1.013 times the baseline's [0.998, 1.026], more than the 1.2 allowed",
        ),
        (
            parts.GATES[5],
            Reason.TOO_FEW_ROUNDS,
            Outcome.INCONCLUSIVE,
            1.3,
            "latency_p50_ms is about 1.013 times the baseline's, measured too seldom to judge",
        ),
        (
            parts.GATES[5],
            Reason.NEW_MODEL,
            Outcome.INCONCLUSIVE,
            1.3,
            "latency_p50_ms: shown only",
        ),
        (
            Gate(metric="latency_p50_ms", bound=Bound.MAX, limit=0.41),
            Reason.LIMIT_INSIDE_INTERVAL,
            Outcome.INCONCLUSIVE,
            0.413,
            (
                "latency_p50_ms is 0.413 ms (between 0.402 ms and 0.421 ms), so it may break the maximum of 0.41 ms, "
                "or keep it"
            ),
        ),
        (
            parts.GATES[3],
            Reason.SLICE_TOO_SMALL,
            Outcome.INCONCLUSIVE,
            0.4,
            "f1 on women: the slice has few rows and its interval does not decide, so it is shown and does not block",
        ),
    ],
)
def test_findings_of_a_bound(gate: Gate, reason: Reason, outcome: Outcome, value: float, text: str) -> None:
    assert words.finding(result(reason, outcome, gate, value=value), model()) == text


def test_a_movement_of_nothing() -> None:
    assert words.movement(parts.comparison("roc_auc", 0.0)) == "did not move"
    assert words.movement(None) == "moved"
    problem = Problem.of(Reason.METRIC_UNDEFINED, detail="One class only.")
    undefined = parts.comparison("roc_auc", 0.0, change=None, low=None, high=None, problem=problem)
    assert words.movement(undefined) == "moved"


def test_what_would_settle_an_open_margin() -> None:
    undecided = result(Reason.MARGIN_INSIDE_INTERVAL, Outcome.INCONCLUSIVE)
    said = words.settle(undecided, model(parts.comparison("roc_auc", -0.0044)))
    # half width 0.001818, gap to the margin 0.0006: the interval has to shrink 3.03-fold, so 9.2 times the rows
    assert said.startswith("About 9 times the holdout rows would settle it")
    assert "train.seeds" in said


def test_a_change_at_the_margin_is_not_sent_for_more_data() -> None:
    undecided = result(Reason.MARGIN_INSIDE_INTERVAL, Outcome.INCONCLUSIVE)
    assert "judgement" in words.settle(undecided, model(parts.comparison("roc_auc", -0.005)))
    assert "judgement" in words.settle(undecided, model(parts.comparison("roc_auc", -0.0049)))


def test_a_margin_below_what_can_be_judged_names_the_least_that_can() -> None:
    undecided = result(Reason.MARGIN_INSIDE_INTERVAL, Outcome.INCONCLUSIVE, judgeable=False)
    said = words.settle(undecided, model(parts.comparison("roc_auc", -0.001)))
    assert "about 0.0018" in said  # twice the standard error of 0.0009


def test_other_inconclusive_gates_say_what_their_reason_says() -> None:
    for reason in (Reason.SEED_VARIANCE_UNKNOWN, Reason.DROPPED_BY_HOLM, Reason.NO_BASELINE):
        said = words.settle(result(reason, Outcome.INCONCLUSIVE), model(parts.comparison("roc_auc", -0.004)))
        assert said == Problem.of(reason).hint


def test_a_first_model_with_a_gate_that_counts_is_not_asked_for_one() -> None:
    new, first = result(Reason.NEW_MODEL, Outcome.INCONCLUSIVE), model()
    assert words.settle(new, first) == ""
    alone = first.verdict.model_copy(update={"reason": Reason.NEW_MODEL})
    assert words.settle(new, first.model_copy(update={"verdict": alone})) == Problem.of(Reason.NEW_MODEL).hint


@pytest.mark.parametrize("outcome", [Outcome.PASS, Outcome.FAIL])
def test_a_settled_gate_needs_no_advice(outcome: Outcome) -> None:
    assert words.settle(result(Reason.REGRESSION, outcome), model(parts.comparison("roc_auc", -0.02))) == ""


def test_detectable_effects() -> None:
    assert (
        words.detectable(parts.comparison("roc_auc", 0.0))
        == "How sharp this gate is: of changes as noisy as this one with a true drop of 0.0086, 19 in 20 fail here."
    )
    assert "rise" in words.detectable(parts.comparison("log_loss", 0.0, mde=0.02))
    assert words.detectable(parts.comparison("f1", 0.0)) == words.detectable(None) == ""


def test_the_share_in_the_sentence_is_that_of_the_rule_and_of_its_documentation() -> None:
    said = words.detectable(parts.comparison("roc_auc", 0.0))
    (caught, of) = map(int, re.findall(r"(\d+) in (\d+) fail", said)[0])
    assert caught / of == pytest.approx(1 - ALPHA)
    page = (SOURCE.parents[1] / "docs" / "statistics.md").read_text(encoding="utf-8")
    assert f"would fail {caught * 100 // of} times in 100" in " ".join(page.split())
    found = statistics_table.Results.read().share_called_judgeable("fail")
    assert found.percent + found.error >= 100 * caught / of


def test_advice_never_begins_with_a_wider_margin() -> None:
    undecided = result(Reason.MARGIN_INSIDE_INTERVAL, Outcome.INCONCLUSIVE, judgeable=False)
    said = words.settle(undecided, model(parts.comparison("roc_auc", -0.001)))
    assert said.index("seeds (`train.seeds`)") < said.index("wider margin")


def test_an_artefact_test_is_said_to_be_one() -> None:
    assert words.movement(parts.comparison("roc_auc", 0.01, method=Method.PAIRED)) == "rose by 0.01"


@pytest.mark.parametrize(
    ("of", "seeds", "cure", "expected"),
    [
        ((1e-9, 0.0, 1e-6), 3, Cure.SEEDS, "About 28 seeds a side (`train.seeds`) would settle it if the change stays"),
        ((1e-9, 0.0, 1e-6), 5, Cure.NEITHER, "No sensible number of rows or seeds would settle it"),
        (
            (1e-6, 0.0, 1e-9),
            3,
            Cure.ROWS,
            "About 9 times the holdout rows would settle it if the change stays the same. More seeds",
        ),
        (
            (5e-7, 0.0, 5e-7),
            3,
            Cure.BOTH,
            "About 28 seeds a side (`train.seeds`) and 9 times the holdout rows together",
        ),
        (
            (0.0, 1e-6, 0.0),
            3,
            Cure.EITHER,
            "About 28 seeds a side (`train.seeds`), or 9 times the holdout rows, would settle it",
        ),
    ],
)
def test_the_advice_names_what_is_the_noise(
    of: tuple[float, float, float], seeds: int, cure: Cure, expected: str
) -> None:
    undecided = result(Reason.MARGIN_INSIDE_INTERVAL, Outcome.INCONCLUSIVE)
    noise = dict(zip(("shared", "particular", "between"), of, strict=True))
    found = parts.comparison("roc_auc", -0.0044, noise=Noise(**noise), seeds=seeds)
    assert words.settle(undecided, model(found)).startswith(expected)
    (open_,) = words.open_gates(with_gates(model(found), undecided))
    assert (open_.gate, open_.cure, open_.text[:9]) == ("roc_auc", cure, expected[:9])
    assert (open_.seeds == 28) == ("28 seeds" in expected)
    assert (open_.rows is not None) == ("holdout rows" in expected)


def test_only_what_the_data_left_open_is_an_open_gate() -> None:
    close = result(Reason.MARGIN_INSIDE_INTERVAL, Outcome.INCONCLUSIVE)
    decided = (result(Reason.ALL_GATES_PASS, Outcome.PASS), result(Reason.REGRESSION, Outcome.FAIL))
    shown = close.model_copy(update={"counts": False})
    asked = with_gates(
        model(parts.comparison("roc_auc", -0.005, noise=Noise(shared=1e-6, particular=0.0, between=0.0))),
        *decided,
        shown,
        close,
    )
    (open_,) = words.open_gates(asked)
    assert (open_.cure, open_.rows, open_.seeds) == (Cure.NEITHER, None, None)
    (unknown,) = words.open_gates(with_gates(model(), result(Reason.SEED_VARIANCE_UNKNOWN, Outcome.INCONCLUSIVE)))
    assert (unknown.cure, unknown.rows, unknown.seeds) == (None, None, None)


def with_gates(of: ModelReport, *gates: GateResult) -> ModelReport:
    return of.model_copy(update={"verdict": of.verdict.model_copy(update={"gates": gates})})


def test_the_advice_where_holm_drops_a_fail_names_the_noise_too_and_what_it_would_come_to() -> None:
    dropped = result(Reason.DROPPED_BY_HOLM, Outcome.INCONCLUSIVE, family=20, seeds=3, level=0.05)
    noise = Noise(shared=1e-6, particular=0.0, between=1e-9)
    found = parts.comparison("roc_auc", -0.02, noise=noise, seeds=3, p_value=0.03)
    said = words.settle(dropped, model(found))
    assert said.startswith("About 2.2 times the holdout rows would settle it, as a fail, if the change stays the same.")
