"""Tables with every figure written."""

from tests.support import report_parts as parts
from tests.support import samples

from mlbot.gates.metric import Bound, Gate
from mlbot.gates.outcome import Outcome, Reason
from mlbot.report import tables, words
from mlbot.report.report import Notice, NoticeCode
from mlbot.report.words import Reading
from mlbot.verdict.verdict import Comparison, Evaluation, GateResult, Method, Problem


def test_warnings_come_first_and_chatter_is_set_aside() -> None:
    notices = [Notice(code=code, text="", warning=warning) for code in NoticeCode for warning in (False, True)]
    loud, quiet = tables.loud(notices), tables.quiet(notices)
    assert len(loud) + len(quiet) == len(notices)
    assert [notice.warning for notice in loud] == sorted((notice.warning for notice in loud), reverse=True)
    assert not any(notice.warning for notice in quiet)
    assert NoticeCode.POLICY_DIFFERS not in {notice.code for notice in quiet}


def test_failing_gates_come_first_and_then_the_configs_order() -> None:
    rows = tables.gate_rows(samples.failing().models[0])
    assert [(row.outcome, row.limit) for row in rows[:3]] == [
        (Outcome.FAIL, "drop ≤ 0.005"),
        (Outcome.PASS, "≥ 0.9"),
        (Outcome.PASS, "≤ 0.35"),
    ]


def test_a_margin_shows_means_over_seeds_and_a_minimum_the_file_that_ships() -> None:
    margin, minimum, *_ = tables.gate_rows(samples.failing().models[0])
    assert (margin.baseline, margin.candidate, margin.change) == ("0.9262", "0.9056", "−0.0206")
    assert margin.interval == "[−0.0224, −0.0188]"
    assert (minimum.baseline, minimum.candidate, minimum.change) == ("0.9258", "0.9052", "−0.0206")
    assert minimum.interval == ""


def test_operational_gates_have_units() -> None:
    report = samples.passing().models[0]
    rows = {row.metric: row for row in tables.gate_rows(report)}
    assert (rows["size_mb"].baseline, rows["size_mb"].candidate) == ("1.80 MB", "1.91 MB")


def test_a_latency_that_only_warns_is_beside_the_baselines() -> None:
    report = samples.passing().models[0]
    gate = Gate(metric="latency_p95_ms", bound=Bound.MAX, limit=20.0)
    shown = GateResult(gate=gate, outcome=Outcome.PASS, reason=Reason.WITHIN_LIMIT, value=0.612, counts=False)
    verdict = report.verdict.model_copy(update={"gates": (shown,)})
    (row,) = tables.gate_rows(report.model_copy(update={"verdict": verdict}))
    assert (row.candidate, row.change, row.counts) == ("0.612 ms", "+0.025 ms", False)


def test_flips_are_beside_those_of_a_seed_alone() -> None:
    report = samples.passing().models[0]
    (row,) = (each for each in tables.gate_rows(report) if each.metric == "negative_flips")
    assert (row.baseline, row.candidate, row.change, row.interval) == ("1.2 %", "1.4 %", "+0.17 %", "[−0.08, +0.42]")
    gate = Gate(metric="negative_flips", bound=Bound.MAX, limit=0.03)
    shown = GateResult(gate=gate, outcome=Outcome.PASS, reason=Reason.WITHIN_LIMIT, value=0.013, counts=False)
    verdict = report.verdict.model_copy(update={"gates": (shown,)})
    (row,) = tables.gate_rows(report.model_copy(update={"verdict": verdict}))
    assert (row.baseline, row.candidate, row.change, row.counts) == ("1.2 %", "1.3 %", "", False)


def test_latency_in_turn_has_both_medians_and_their_ratio() -> None:
    (row,) = (each for each in tables.gate_rows(samples.passing().models[0]) if each.metric == "latency_p50_ms")
    assert (row.baseline, row.candidate, row.change, row.interval) == (
        "0.413 ms",
        "0.413 ms",
        "1.013 times",
        "[0.998, 1.026]",
    )


def test_a_gate_on_a_small_slice_is_shown_only_and_comes_behind_what_counts() -> None:
    gates = (
        Gate(metric="f1", slice="doctorate", bound=Bound.MIN, limit=0.7),
        Gate(metric="roc_auc", bound=Bound.MIN, limit=0.99),
        Gate(metric="accuracy", bound=Bound.MIN, limit=0.1),
    )
    rows = tables.gate_rows(parts.judged(parts.adult(0.0, gates=gates)).models[0])
    assert [(row.subject, row.counts) for row in rows] == [
        ("roc_auc", True),
        ("accuracy", True),
        ("f1 on doctorate", False),
    ]


def test_readings() -> None:
    problem = Problem.of(Reason.METRIC_UNDEFINED, detail="Only one class is in these rows.")
    nothing = {"candidate": None, "baseline": None, "change": None, "low": None, "high": None, "q_value": None}
    comparisons: tuple[Comparison, ...] = (
        parts.comparison("roc_auc", -0.02),
        parts.comparison("log_loss", 0.02),
        parts.comparison("f1", -0.0001),
        parts.comparison("accuracy", 0.0, method=Method.IDENTICAL),
        parts.comparison("recall", 0.0, problem=problem, **nothing),
    )
    rows = tables.metric_rows(parts.judged(parts.adult(0.0, comparisons=comparisons, gates=parts.GATES[:1])).models[0])
    assert [row.reading for row in rows] == ["worse", "better", "no clear change", "identical", problem.detail]
    assert [row.clear for row in rows] == [True, True, False, False, False]
    assert (rows[-1].candidate, rows[-1].change, rows[-1].interval) == ("–", "–", "")


def test_without_a_baseline_the_scores_stand_alone() -> None:
    rows = tables.metric_rows(samples.no_baseline().models[0])
    assert (rows[0].baseline, rows[0].candidate, rows[0].interval) == ("–", "0.9258", "[0.9231, 0.9285]")
    assert rows[0].reading == "not compared"


def test_slices_show_gated_metrics_first_and_name_the_rest() -> None:
    table = tables.slice_table(samples.failing().models[0], columns=2)
    assert [column.metric for column in table.columns] == ["roc_auc", "log_loss"]
    assert table.left_out == ("f1", "accuracy", "average_precision", "brier_score_loss")
    assert [(row.name, row.small) for row in table.rows][2:] == [("self-employed", False), ("doctorate", True)]
    assert table.rows[0].cells[0] == tables.SliceCell(value="0.8425", change="−0.0237", clear=True)


def test_seeds_and_methods() -> None:
    model = samples.failing().models[0]
    assert tables.seeds(model) == "3 seeds each side"
    assert tables.seeds(model.model_copy(update={"candidate": model.candidate[:1]})) == (
        "1 candidate seed, 3 baseline seeds"
    )
    assert tables.seeds(samples.no_baseline().models[0]) == "3 seeds"
    assert tables.methods(model) == "recipe test (rows and seeds vary)"
    assert tables.methods(samples.no_baseline().models[0]) == ""


def test_every_method_has_words() -> None:
    for method in Method:
        comparisons = (parts.comparison("roc_auc", 0.0, method=method),)
        model = samples.passing().models[0].model_copy(update={"comparisons": comparisons})
        assert tables.methods(model)


def test_the_file() -> None:
    rows = {row.what: (row.baseline, row.candidate) for row in tables.file_rows(samples.failing().models[0])}
    assert rows["Size"] == ("1.80 MB", "1.91 MB")
    assert rows["Rows a second, in one batch"] == ("61,200", "61,200")
    assert rows["Largest difference from the fitted estimator"] == ("0.00021", "0.00021")
    assert tables.file_rows(samples.crashed().models[0]) == ()


def test_a_file_that_was_refused_has_no_properties() -> None:
    problem = Problem.of(Reason.MODEL_INPUTS, detail="It takes fnlwgt.")
    refused = (Evaluation(digest=None, seed=0, problem=problem),)
    assert tables.file_rows(samples.failing().models[0].model_copy(update={"candidate": refused})) == ()


def test_history_ends_in_the_candidate() -> None:
    (row,) = tables.history_rows(samples.failing().models[0])
    assert (row.first, row.last, row.candidate, len(row.bars)) == ("0.9221", "0.9052", True, 8)
    (alone,) = tables.history_rows(samples.crashed().models[0])
    assert (alone.last, alone.candidate) == ("0.9262", False)
    assert tables.history_rows(samples.provisional().models[0]) == ()


def test_parameters_are_written_as_in_yaml() -> None:
    assert [tables.parameter(value) for value in (None, True, 0.1, 12, "adam")] == ["null", "true", "0.1", "12", "adam"]


def test_what_could_be_detected_is_said_of_margins_that_count_only() -> None:
    gates = (
        Gate(metric="roc_auc", bound=Bound.MIN, limit=0.99),
        Gate(metric="roc_auc", bound=Bound.MAX_REGRESSION, limit=0.005),
        Gate(metric="f1", slice="doctorate", bound=Bound.MAX_REGRESSION, limit=0.001),
    )
    undecided = parts.comparison("roc_auc", -0.004)
    model = parts.judged(parts.adult(-0.004, gates=gates, comparisons=(undecided,))).models[0]
    assert ["19 in 20" in " ".join(row.sentences) for row in tables.gate_rows(model)] == [False, True, False]
    # Beside another margin Holm asks for more, and with a borrowed variance the share is not known.
    older = [each.model_copy(update={"level": None}) for each in model.verdict.gates]
    before = model.model_copy(update={"verdict": model.verdict.model_copy(update={"gates": tuple(older)})})
    assert "19 in 20" in str(tables.gate_rows(before, 1))
    assert "19 in 20" not in str(tables.gate_rows(before, 2))
    unknown = [each.model_copy(update={"mde": None}) for each in model.verdict.gates]
    without = model.model_copy(update={"verdict": model.verdict.model_copy(update={"gates": tuple(unknown)})})
    assert "19 in 20" not in str(tables.gate_rows(without))
    borrowed = model.model_copy(update={"comparisons": (undecided.model_copy(update={"method": Method.BORROWED}),)})
    assert "19 in 20" not in str(tables.gate_rows(borrowed))


def test_what_is_said_of_several_gates_is_said_once() -> None:
    gates = tuple(Gate(metric=name, bound=Bound.MAX_REGRESSION, limit=0.005) for name in parts.VALUES)
    alone = [parts.comparison(name, -0.004, method=Method.SEED_VARIANCE_UNKNOWN) for name in parts.VALUES]
    report = parts.judged(parts.adult(-0.004, gates=gates, comparisons=tuple(alone)))
    (note,) = tables.gate_notes(report, report.models[0])
    assert note.subjects == ()
    mixed = parts.judged(parts.adult(-0.004, gates=(*gates, parts.GATES[6]), comparisons=tuple(alone)))
    (named,) = tables.gate_notes(mixed, mixed.models[0])
    assert (named.subjects, named.sentences) == (tuple(parts.VALUES), note.sentences)


def test_two_gates_of_one_metric_are_told_apart_wherever_they_are_named() -> None:
    rows = tables.gate_rows(samples.failing().models[0])
    assert [row.subject for row in rows[:3]] == ["roc_auc (drop)", "roc_auc (minimum)", "log_loss"]
    (note,) = tables.gate_notes(samples.inconclusive(), samples.inconclusive().models[0])
    assert note.subjects == ("roc_auc (drop)",)
    rise = (Gate(metric="log_loss", bound=bound, limit=0.35) for bound in (Bound.MAX, Bound.MAX_REGRESSION))
    both = tables.gate_rows(parts.judged(parts.adult(0.0, gates=tuple(rise))).models[0])
    assert [row.subject for row in both] == ["log_loss (maximum)", "log_loss (rise)"]


def test_a_metric_of_the_positive_rows_names_their_class() -> None:
    rows = {row.subject: row.positive for row in tables.gate_rows(samples.failing().models[0])}
    assert {subject for subject, positive in rows.items() if positive} == {"f1 on women"}
    assert rows["f1 on women"] == ">50K"


def test_a_metric_of_the_positive_rows_names_their_class_by_another_name_too() -> None:
    model = samples.failing().models[0]
    metrics = [info.model_copy(update={"of": "recall"} if info.name == "roc_auc" else {}) for info in model.metrics]
    rows = tables.gate_rows(model.model_copy(update={"metrics": tuple(metrics)}))
    assert {row.metric for row in rows if row.positive} == {"f1", "roc_auc"}


def test_a_change_is_called_better_or_worse_only_where_that_is_known() -> None:
    cases = {
        Reading.WORSE: parts.comparison("roc_auc", -0.02),
        Reading.BETTER: parts.comparison("log_loss", 0.02),
        Reading.MAYBE_WORSE: parts.comparison("roc_auc", -0.0024),  # its interval excludes zero, q is 0.62
        Reading.MAYBE_BETTER: parts.comparison("roc_auc", 0.0024),
        Reading.UNCLEAR: parts.comparison("roc_auc", -0.001),
        Reading.IDENTICAL: parts.comparison("roc_auc", 0.0, method=Method.IDENTICAL),
        Reading.ONE_SEED: parts.comparison("roc_auc", -0.02, method=Method.SEED_VARIANCE_UNKNOWN),
    }
    assert {expected: words.reading(each) for expected, each in cases.items()} == {each: each for each in cases}
    row = tables.compared_row(cases[Reading.ONE_SEED])
    assert (row.reading, row.clear) == ("unknown: one seed", False)


def test_files_that_were_not_scored_have_no_slices() -> None:
    refused = parts.evaluation(0, scores=())
    model = samples.crashed().models[0].model_copy(update={"candidate": (refused,)})
    assert tables.slice_table(model).rows == ()


def test_how_labels_were_decided_is_named_where_the_config_says_it() -> None:
    model = samples.failing().models[0]
    assert model.holdout is not None
    ways: list[tuple[dict[str, object], str]] = [
        ({}, ""),
        ({"positive": "yes", "threshold": 0.4}, "yes from a probability of 0.4 on"),
        ({"label": "model"}, "labels as the file gives them"),
        ({"label": "model", "weight": "w"}, "labels as the file gives them, rows weighted by w"),
    ]
    for changes, said in ways:
        holdout = model.holdout.model_copy(update=changes)
        assert tables.decided(model.model_copy(update={"holdout": holdout})) == said
