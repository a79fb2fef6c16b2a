"""What a reader is told besides the gates, and what not."""

from typing import Any

import pytest

from mlbot.config.data import Data
from mlbot.config.schema import Config, Model
from mlbot.config.train import Train
from mlbot.gates.metric import CATALOGUE, Bound, Direction, Gate, Task
from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import Environment, SeedCount
from mlbot.ledger.queries import look_folder
from mlbot.plan.plan import Plan
from mlbot.protocol.artifacts import Parity, Training
from mlbot.report.notices import (
    changed_files,
    look_folders,
    model_notices,
    param_changes,
    renamed_notices,
    run_notices,
    with_looks,
)
from mlbot.report.report import AnotherLook, MetricInfo, ModelReport, NoticeCode, Report, SliceInfo
from mlbot.verdict.decide import Evidence
from mlbot.verdict.seeds import Seeds
from mlbot.verdict.verdict import (
    Commits,
    Comparison,
    Evaluation,
    GateResult,
    Holdout,
    Method,
    ModelVerdict,
    OwnLabels,
    Problem,
    Rounding,
    Score,
    Verdict,
)

DIGEST = "sha256:" + "0" * 64
COMMITS = Commits(head="a" * 40, base="b" * 40, policy="c" * 40, guarded="main")
GATE = Gate(metric="roc_auc", bound=Bound.MIN, limit=0.9)
SCORE = Score(metric="roc_auc", rows=1000, value=0.92, low=0.91, high=0.93)


def training(**changes: Any) -> Training:
    fields: dict[str, Any] = {
        "model": "m",
        "key": DIGEST,
        "seed": 0,
        "digest": DIGEST,
        "size_bytes": 1,
        "commit": "a" * 40,
        "environment": Environment(python="3.11.7", platform="linux", packages=DIGEST),
        "duration_s": 1.0,
        "peak_memory_bytes": 1,
    }
    return Training(**(fields | changes))


def evidence(**changes: Any) -> Evidence:
    evaluation = Evaluation(digest=DIGEST, seed=0, scores=(SCORE,))
    fields: dict[str, Any] = {"model": "m", "gates": (GATE,), "candidate": (evaluation,)}
    return Evidence(**(fields | changes))


def report(**changes: Any) -> ModelReport:
    verdict = ModelVerdict(model="m", outcome=Outcome.PASS, reason=Reason.ALL_GATES_PASS)
    fields: dict[str, Any] = {"model": "m", "task": Task.BINARY, "verdict": verdict}
    return ModelReport(**(fields | changes))


def head(*gates: Gate) -> Model:
    return Model(
        name="m",
        task=Task.BINARY,
        train=Train(run="true"),
        data=Data(holdout="h.csv", target="y"),
        metrics=(CATALOGUE["roc_auc"],),
        gates=gates,
    )


def comparison(method: Method) -> Comparison:
    return Comparison(metric="roc_auc", direction=Direction.HIGHER, rows=1000, method=method)


def codes(shown: ModelReport, found: Evidence, model: Model | None = None) -> list[NoticeCode]:
    return [notice.code for notice in model_notices(shown, found, model)]


def test_nothing_to_say_is_nothing_said() -> None:
    assert codes(report(), evidence()) == []
    assert run_notices(Plan(commits=COMMITS, models=())) == ()


@pytest.mark.parametrize(
    ("shown", "found", "expected"),
    [
        (report(), evidence(provisional=True), NoticeCode.PROVISIONAL),
        (
            report(),
            evidence(baseline_problem=Problem.of(Reason.NO_BASELINE, detail="The model is new.")),
            NoticeCode.NO_BASELINE,
        ),
        (report(), evidence(comparisons=(comparison(Method.PAIRED),)), NoticeCode.SEED_NO_EFFECT),
        (
            report(),
            evidence(comparisons=(comparison(Method.SEED_VARIANCE_UNKNOWN),)),
            NoticeCode.SEED_VARIANCE_UNKNOWN,
        ),
        (
            report(holdout=Holdout(source="h.csv", digest=DIGEST, rows=9, task=Task.BINARY)),
            evidence(),
            NoticeCode.HOLDOUT_IN_REPOSITORY,
        ),
        (
            report(
                candidate_training=(
                    training(parity=Parity(rows=100, max_difference=0.4, mean_difference=0.1, label_disagreements=2)),
                )
            ),
            evidence(),
            NoticeCode.PARITY,
        ),
    ],
)
def test_one_thing_to_know_is_one_notice(shown: ModelReport, found: Evidence, expected: NoticeCode) -> None:
    assert codes(shown, found) == [expected]


HIDDEN = Holdout(source="s3://b/h.csv", digest=DIGEST, rows=1000, task=Task.BINARY, hidden=True, positive="yes")


@pytest.mark.parametrize(
    ("own", "holdout", "said"),
    [
        (
            OwnLabels(rows=1000, differ=120, threshold=0.2),
            HIDDEN,
            [
                "120 of 1,000 rows",
                "is the most probable class",
                "write `label: model` under `data`, or `threshold: 0.2`",
            ],
        ),
        (
            OwnLabels(rows=1000, differ=3),
            HIDDEN.model_copy(update={"threshold": 0.4}),
            ["3 of 1,000 rows", "is a threshold of 0.4", "write `label: model` under `data`."],
        ),
        (OwnLabels(rows=1000, differ=0, threshold=0.5), HIDDEN, []),
        (OwnLabels(rows=1000, differ=120), HIDDEN.model_copy(update={"label": "model"}), []),
        (None, HIDDEN, []),
    ],
)
def test_labels_of_the_files_own_that_were_not_judged_are_counted(
    own: OwnLabels | None, holdout: Holdout, said: list[str]
) -> None:
    shipped = Evaluation(digest=DIGEST, seed=0, own_labels=own)
    found = model_notices(report(holdout=holdout, candidate=(shipped,)), evidence(), None)
    assert len(found) == bool(said)
    assert all(part in notice.text for notice in found for part in said)
    assert all(notice.warning is (own is not None and own.differ > 10) for notice in found)


def test_answers_as_coarse_as_their_errors_are_named() -> None:
    shipped = Evaluation(digest=DIGEST, seed=0, rounding=Rounding(step=64, near=1.2e9, error=80))
    (found,) = model_notices(report(candidate=(shipped,)), evidence(), None)
    assert (found.code, found.warning) == (NoticeCode.ROUNDING, True)
    assert "near 1.2e+09 are 64 apart; the median error is 80." in found.text


def test_few_rows_of_a_class_are_counted_where_gates_rest_on_them() -> None:
    facts: dict[str, Any] = {"source": "h", "digest": DIGEST, "task": Task.BINARY, "hidden": True}
    facts |= {"classes": ("no", "yes"), "positive": "yes", "rows": 2000, "slices": {"old": 40, "women": 900}}
    few = Holdout(**facts, positives=20, slice_positives={"old": 39, "women": 9})
    gate = GateResult(gate=GATE.model_copy(update={"slice": "old"}), outcome=Outcome.PASS, reason=Reason.WITHIN_LIMIT)
    shown = report(holdout=few).model_copy(update={"verdict": report().verdict.model_copy(update={"gates": (gate,)})})
    (found,) = model_notices(shown, evidence(), None)
    assert (found.code, found.warning) == (NoticeCode.FEW_OF_A_CLASS, True)
    assert found.text.startswith(
        "20 of 2,000 holdout rows are yes, 1 of 40 rows on old is no, 39 of 40 rows on old are yes: figures that rest"
    )
    enough = Holdout(**facts, positives=100, slice_positives={"old": 39, "women": 9})
    assert codes(report(holdout=enough), evidence()) == []
    assert codes(report(holdout=Holdout(**facts)), evidence()) == []  # an older report


def test_features_of_long_integers_are_named_with_what_to_write() -> None:
    (found,) = model_notices(report(holdout=HIDDEN.model_copy(update={"inexact": ("id", "parent")})), evidence(), None)
    assert found.code is NoticeCode.INEXACT
    assert found.text.startswith("id, parent have integers beyond 2^53")
    assert "`data.types: {id: text}`" in found.text


def test_a_hidden_holdout_needs_no_advice() -> None:
    hidden = Holdout(source="s3://b/h.csv", digest=DIGEST, rows=9, task=Task.BINARY, hidden=True)
    assert codes(report(holdout=hidden), evidence()) == []


@pytest.mark.parametrize(("claimed", "warning"), [(0.9999, True), (0.925, False)])
def test_a_claim_is_called_out_beside_what_was_measured(claimed: float, *, warning: bool) -> None:
    (notice,) = model_notices(report(candidate_training=(training(claims={"roc_auc": claimed}),)), evidence(), None)
    assert notice.code is NoticeCode.UNVERIFIED_CLAIM
    assert notice.warning is warning
    assert f"{claimed:.4f} (unverified); the judge measured 0.9200" in notice.text


def test_a_claim_about_what_nobody_measured() -> None:
    (notice,) = model_notices(report(candidate_training=(training(claims={"f1": 1.0}),)), evidence(), None)
    assert notice.warning
    assert "could not measure it" in notice.text


@pytest.mark.parametrize(
    "problem", [None, Problem.of(Reason.NO_BASELINE, "candidate-failed"), Problem.of(Reason.NEW_MODEL)]
)
def test_what_a_gate_says_is_no_notice(problem: Problem | None) -> None:
    """Nor is what other parts of the report show: small slices, changed data, a margin that noise crosses."""
    gate = Gate(metric="roc_auc", bound=Bound.MAX_REGRESSION, limit=0.0001)
    reason = problem.reason if problem else Reason.SEED_VARIANCE_UNKNOWN
    result = GateResult(gate=gate, outcome=Outcome.INCONCLUSIVE, reason=reason, problem=problem, judgeable=False)
    verdict = ModelVerdict(model="m", outcome=Outcome.INCONCLUSIVE, reason=reason, gates=(result,))
    few = SliceInfo(name="few", where="a = 1", rows=9, min_rows=500)
    shown = report(verdict=verdict, slices=(few,), data_changes=("data/train.csv",))
    alone = () if problem else (comparison(Method.SEED_VARIANCE_UNKNOWN),)
    found = evidence(comparisons=alone, baseline_problem=problem)
    assert codes(shown, found) == []


def test_new_bounds_are_previewed_and_only_those_with_figures() -> None:
    looser = Gate(metric="roc_auc", bound=Bound.MIN, limit=0.95)
    unmeasured = Gate(metric="f1", bound=Bound.MIN, limit=0.95)
    (notice,) = model_notices(report(), evidence(), head(looser, unmeasured))
    assert notice.code is NoticeCode.GATE_PREVIEW
    assert "roc_auc min 0.95: fail" in notice.text
    assert "f1" not in notice.text
    assert codes(report(), evidence(), head(GATE)) == []


def test_the_run_says_what_it_includes_and_by_whose_rules() -> None:
    commits = COMMITS.model_copy(update={"uncommitted": tuple(f"f{i}.py" for i in range(8)), "behind": 1})
    plan = Plan(commits=commits, models=(), policy_changes=("removes the gate roc_auc min 0.9",))
    uncommitted, behind, policy = run_notices(plan)
    assert "f0.py, f1.py, f2.py, f3.py, f4.py and 3 more" in uncommitted.text
    assert "main has 1 newer commit than the one that the change was merged onto" in behind.text
    assert policy.code is NoticeCode.POLICY_DIFFERS
    assert policy.warning
    assert "removes the gate roc_auc min 0.9" in policy.text


def test_changes_of_parameters_and_data() -> None:
    changes = param_changes({"a": 1, "gone": "x"}, {"a": 2, "new": None})
    assert [(c.name, c.before, c.after) for c in changes] == [("a", 1, 2), ("gone", "x", None)]
    assert changed_files({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == ("b", "c")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_equal_seeds_never_lead_in_a_circle(count: int) -> None:
    """One seed a side was advised, and then three, again and again."""
    seeds = Seeds(count=SeedCount(candidate=count, baseline=count), candidate_deterministic=True)
    (shown,) = model_notices(report(), evidence(comparisons=(comparison(Method.PAIRED),), seeds=seeds), None)
    assert "`seeds:" not in shown.text
    (lone,) = model_notices(
        report(), evidence(comparisons=(comparison(Method.SEED_VARIANCE_UNKNOWN),), seeds=seeds), None
    )
    assert "One seed of the baseline" in lone.text
    assert "`seeds: 2`" in lone.text


def test_a_log_loss_that_certain_errors_make_names_the_setting_and_a_clipped_one_is_named() -> None:
    sure = Evaluation(digest=DIGEST, seed=0, wrongly_certain=3)
    shown = report(candidate=(sure,), metrics=(MetricInfo(name="ll", direction=Direction.LOWER, clip=0.001),))
    clipped, certain = model_notices(shown, evidence(), None)
    assert "ll is the log loss of probabilities clipped to 0.001 and 0.999" in clipped.text
    assert "On 3 rows the model gives the right class a probability of 0" in certain.text
    assert "{metric: log_loss, clip: 0.001}" in certain.text
    _, certain = model_notices(shown.model_copy(update={"task": Task.MULTILABEL}), evidence(), None)
    assert "gives what is right of a label a probability of 0." in certain.text
    assert "takes such an answer for 36, among those to all labels, so a few" in certain.text


KNOWN_ROWS = Holdout(source="h.csv", digest=DIGEST, content=DIGEST, rows=1000, task=Task.BINARY)


def looked_at(outcome: Outcome, **changes: Any) -> Report:
    """A report on a model whose figures on some rows are shown."""
    shown = report(candidate=evidence().candidate, holdout=KNOWN_ROWS, **changes)
    verdict = shown.verdict.model_copy(update={"outcome": outcome})
    whole = Verdict(commits=COMMITS, outcome=outcome, reason=verdict.reason, models=(verdict,))
    models = (shown.model_copy(update={"verdict": verdict}),)
    return Report(mlbot_version="1", repository="acme/income", verdict=whole, models=models)


def looks_of(count: int) -> list[str]:
    return [f"{look_folder(DIGEST)}12.77/{number:016x}.json" for number in range(1, count + 1)]


@pytest.mark.parametrize(
    ("outcome", "before", "worth"),
    [
        (Outcome.PASS, 0, AnotherLook.NOT_NEEDED),
        (Outcome.INCONCLUSIVE, 3, AnotherLook.MORE_DATA),
        (Outcome.FAIL, 8, AnotherLook.INFORMED),
        (Outcome.FAIL, 9, AnotherLook.STOP),
        (Outcome.PASS, 9, AnotherLook.STOP),
    ],
)
def test_what_another_look_is_worth(outcome: Outcome, before: int, worth: AnotherLook) -> None:
    found = with_looks(looked_at(outcome), looks_of(before), (12, 77)).models[0]
    assert found.another_look is worth
    assert found.looks is not None
    assert (found.looks.every, found.looks.pull_request) == (before + 1, before + 1)
    many = [each for each in found.notices if each.code is NoticeCode.MANY_LOOKS]
    assert bool(many) == (worth is AnotherLook.STOP)


@pytest.mark.parametrize("sealed", [None, "s3://data/sealed.parquet"])
def test_many_looks_say_what_decides_a_release_and_nothing_of_a_correction(sealed: str | None) -> None:
    data = Data(holdout="h.csv", sealed=sealed, target="y")
    config = Config(models=(head().model_copy(update={"data": data}),))
    (said,) = with_looks(looked_at(Outcome.PASS), looks_of(9), (12, 77), config=config).models[0].notices
    assert said.warning
    assert ("only the sealed rows" in said.text, "no sealed rows" in said.text) == (sealed is not None, sealed is None)
    assert "optimistic" in said.text or "better than the truth" in said.text
    assert not any(word in said.text for word in ("adjusted", "corrected", "widened"))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"name": "churn-2"}, True),
        ({"name": "churn-2", "task": Task.REGRESSION}, False),
        ({"name": "churn-2", "data": Data(holdout="other.csv", target="y")}, False),
        ({}, False),
    ],
)
def test_a_model_under_another_name_is_said_to_be_compared_with_nothing(
    changes: dict[str, object], *, named: bool
) -> None:
    old = head().model_copy(update={"name": "churn"})
    new = old.model_copy(update=changes)
    found = list(renamed_notices(Config(models=(old,)), Config(models=(new,))))
    assert [each.code for each in found] == [NoticeCode.RENAMED] * named
    assert all("churn-2 (churn): this is a new name" in each.text for each in found)
    assert not list(renamed_notices(Config(models=(old,)), Config(models=(old, new.model_copy(update={"name": "b"})))))
    assert not list(renamed_notices(None, Config(models=(new,))))


def test_looks_over_many_pull_requests_are_said_without_stopping_anyone() -> None:
    pushed = [f"{look_folder(DIGEST)}0.77/{number:016x}.json" for number in range(50, 60)]  # of no pull request
    paths = [*(f"{look_folder(DIGEST)}{number}.77/{number:016x}.json" for number in range(1, 12)), *pushed]
    found = with_looks(looked_at(Outcome.FAIL), paths, (12, 77)).models[0]
    (said,) = [each for each in found.notices if each.code is NoticeCode.MANY_LOOKS]
    assert "12 models have been measured on these same rows, in 12 pull requests, 1 of them in this one" in said.text
    assert (said.warning, found.another_look) == (False, AnotherLook.INFORMED)
    alone = with_looks(looked_at(Outcome.FAIL), [*paths[:8], *pushed], (12, 77)).models[0]
    assert not [each for each in alone.notices if each.code is NoticeCode.MANY_LOOKS]


def seed(number: int, file: int, value: float | None = 0.8) -> Evaluation:
    scores = () if value is None else (SCORE.model_copy(update={"value": value}),)
    return Evaluation(digest=f"sha256:{file:064x}", seed=number, scores=scores)


@pytest.mark.parametrize(
    ("seeds", "same"),
    [
        ([(0, 1), (1, 1)], True),  # the seed decides nothing
        ([(0, 1), (1, 2)], False),  # the file that ships is known, and another's figures are shown
        ([(0, 1), (1, 3)], False),
        ([(0, 1, None), (1, 3)], False),  # nothing ships, and figures are shown all the same
        ([(0, 4, None), (1, 1)], True),
    ],
)
def test_a_look_is_at_every_file_whose_figures_are_shown(seeds: list[tuple[Any, ...]], *, same: bool) -> None:
    known = report(candidate=(seed(0, 1),), holdout=KNOWN_ROWS).shown
    shown = report(candidate=tuple(seed(*each) for each in seeds), holdout=KNOWN_ROWS).shown
    assert known is not None
    assert shown is not None
    assert (shown == known) is same


def test_files_of_which_nothing_is_shown_are_no_look() -> None:
    assert report(candidate=(seed(0, 1, None), seed(1, 2, None)), holdout=KNOWN_ROWS).shown is None


def test_a_report_that_nobody_keeps_is_no_look_and_one_without_figures_has_none() -> None:
    mute = with_looks(looked_at(Outcome.PASS), looks_of(2), counts=False).models[0].looks
    assert mute is not None
    assert (mute.every, mute.pull_request) == (2, None)
    nothing = looked_at(Outcome.ERROR)
    nothing = nothing.model_copy(update={"models": (report(candidate=(), holdout=KNOWN_ROWS),)})
    assert with_looks(nothing, looks_of(2)).models[0].looks is None
    assert look_folders(nothing) == ()
