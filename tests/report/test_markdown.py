"""The comment: whole for every kind of report, safe for every text, and never too long."""

from html import unescape

import pytest
from hypothesis import HealthCheck, example, given, settings
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from tests.support import report_parts as parts
from tests.support import samples
from tests.support.hostile_samples import LINKS, NASTY, TEXTS, as_github, poisoned, skeleton
from tests.support.tiers import examples

from mlbot.gates.metric import Bound, Gate
from mlbot.gates.outcome import Outcome
from mlbot.ledger.entries import Origin
from mlbot.protocol.marker import marker
from mlbot.report import tables
from mlbot.report.markdown import LIMIT, calibration, len16, markdown, training
from mlbot.report.report import Curves, Picture, Report, Side
from mlbot.report.words import headline, model_line

MARKER = marker(".github/workflows/mlbot.yml", "mlbot.yaml")


class MarkdownFile(SingleFileSnapshotExtension):
    file_extension = "md"
    _write_mode = WriteMode.TEXT


def comment(report: Report) -> str:
    pictures = {
        model.model: Picture(
            light=f"https://github.com/acme/income/blob/{parts.HEAD}/{model.model}-light.svg?raw=true",
            dark=f"https://github.com/acme/income/blob/{parts.HEAD}/{model.model}-dark.svg?raw=true",
            alt="Change of roc_auc by slice, and the ROC curve",
        )
        for model in report.models
        if model.curves
    }
    return markdown(report, marker=MARKER, pictures=pictures)


def test_whole(snapshot: SnapshotAssertion) -> None:
    assert comment(samples.failing()) == snapshot(extension_class=MarkdownFile)


@pytest.mark.parametrize("name", sorted(samples.SAMPLES.keys() - {"failing"}))
def test_sections(name: str, snapshot: SnapshotAssertion) -> None:
    shown = samples.differing(comment(samples.SAMPLES[name]()), comment(samples.failing()))
    assert shown == snapshot(extension_class=MarkdownFile)


def test_confusion_by_weights_names_their_column_and_shows_tenths() -> None:
    model = samples.failing().models[0]
    assert model.holdout is not None
    weighed = model.model_copy(
        update={
            "holdout": model.holdout.model_copy(update={"weight": "survey|weight"}),
            "curves": {
                Side.CANDIDATE: Curves(confusion=((1050.25, 3.0), (0.0, 7.5))),
                Side.BASELINE: Curves(confusion=((1050.25, 2.0), (0.0, 8.5))),
            },
        }
    )
    text = calibration(weighed)
    assert "1,050.2 | 3.0 (+1.0) |" in text
    assert "0.0 | 7.5 (\N{MINUS SIGN}1.0) |" in text
    assert "Holdout rows, counted by <code>survey&#124;weight</code>, of the file that ships" in text
    assert "counted by" not in calibration(model)


def test_the_order_is_verdict_facts_gates_reasons_details_footer_marker() -> None:
    text = markdown(samples.failing(), marker=MARKER)
    marks = (
        "> [!CAUTION]",
        "candidate [`4f1c2a9`]",
        "| Gate |",
        "**Negative flips:**",
        "All metrics",
        "Slices",
        "Calibration",
        "Model file",
        "What changed",
        "Training",
        "on `main`:",
        "mlbot 0.1.0",
        MARKER,
    )
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)
    assert text.rstrip().endswith(MARKER)


@pytest.mark.parametrize(
    ("name", "alert"),
    [
        ("passing", "TIP"),
        ("failing", "CAUTION"),
        ("inconclusive", "WARNING"),
        ("waived", "WARNING"),
        ("refused", "IMPORTANT"),
        ("trial", "NOTE"),
        ("nothing_stale", "NOTE"),
    ],
)
def test_the_alert_says_the_verdict(name: str, alert: str) -> None:
    assert markdown(samples.SAMPLES[name]()).startswith(f"> [!{alert}]\n")


def test_what_was_waived_never_looks_like_a_pass() -> None:
    """The row, the overview and the place of the model say so, with who, why and where."""
    text = markdown(samples.waived_beside_others())
    assert "✍️&nbsp;waived |" in text
    assert "| `adult-income` | ✍️&nbsp;waived | roc\\_auc was waived by boss; 6 other gates pass. |" in text
    assert "### ✍️ `adult-income`" in text
    assert text.index("### ✍️ `old`") < text.index("<code>churn</code>: all 7 gates pass")
    said = "Waived by boss on 2026-11-20: “The labels were cleaned; agreed with the data owners” "
    assert f"{said}([comment](https://github.com/acme/income/pull/42#issuecomment-9001))" in text
    assert "The model is removed. Waived by boss on 2026-11-20: “Nobody asks it.”" in text


def test_a_waiver_without_a_known_place_has_no_link() -> None:
    report = samples.waived().model_copy(update={"repository_url": None})
    assert "issuecomment" not in markdown(report)


def several() -> Report:
    """Failing and undecided gates of many kinds, some for one reason."""
    gates = (
        *(each.model_copy(update={"limit": 0.99}) if each.bound is Bound.MIN else each for each in parts.GATES),
        Gate(metric="f1", bound=Bound.MAX_REGRESSION, limit=0.03),
        Gate(metric="accuracy", bound=Bound.MAX_REGRESSION, limit=0.014),
        Gate(metric="accuracy", slice="doctorate", bound=Bound.MAX_REGRESSION, limit=0.01),
        Gate(metric="recall", bound=Bound.MAX_REGRESSION, limit=0.01),
        Gate(metric="precision", bound=Bound.MIN, limit=0.01),
    )
    return parts.judged(parts.adult(-0.0206, gates=gates))


@pytest.mark.parametrize("name", [*samples.SAMPLES, "several"])
def test_one_finding_is_said_once(name: str) -> None:
    report = several() if name == "several" else samples.SAMPLES[name]()
    text = unescape(markdown(report).replace("\\", "")).replace("\u200b", "").replace("`", "")
    rows = [row for model in report.models for row in tables.gate_rows(model, tables.tested_margins(report))]
    said = [sentence for row in rows for sentence in row.sentences]
    said += [each.text for each in (*report.notices, *(each for model in report.models for each in model.notices))]
    said += [headline(report).action, *(model_line(each) for each in report.models if len(report.models) == 1)]
    for each in filter(None, said):
        assert text.count(each.replace("`", "")) <= 1, each


def test_the_interval_is_explained_once() -> None:
    assert markdown(samples.failing()).count("90 % interval") == 1


def test_claims_are_called_unverified_wherever_they_stand() -> None:
    text = markdown(samples.failing())
    for line in text.splitlines():
        if "0.9411" in line:
            assert "nverified" in line


def test_of_many_gates_only_passing_ones_are_left_out() -> None:
    passing = (Gate(metric="accuracy", bound=Bound.MIN, limit=0.01 * n) for n in range(24))
    shown_only = Gate(metric="f1", slice="doctorate", bound=Bound.MIN, limit=0.7)
    text = markdown(parts.judged(parts.adult(0.0, gates=(shown_only, *passing))))
    assert text.count("&nbsp;pass |") == 19
    assert text.count("shown&nbsp;only |") == 1
    assert "\n5 more gates pass and are in the whole report.\n" in text


def test_tables_are_tables() -> None:
    page = as_github(markdown(samples.failing()))
    assert page.count("<table>") == 7
    assert "|" not in skeleton(page)[1]


@pytest.mark.parametrize("text", [" ".join(NASTY[start : start + 5]) for start in range(0, len(NASTY), 5)])
@pytest.mark.parametrize("name", ["failing", "many", "crashed", "wide", "policy_differs", "provisional"])
def test_no_text_of_a_stranger_changes_the_comment(name: str, text: str) -> None:
    report = samples.SAMPLES[name]()
    harmless, _ = skeleton(as_github(markdown(poisoned(report, "harmless"), marker=MARKER, limit=10**9)))
    tags, texts = skeleton(as_github(markdown(poisoned(report, text), marker=MARKER, limit=10**9)))
    assert tags == harmless
    assert not LINKS.search(texts)


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS.map(lambda text: text or " "))
@example(" ")
def test_no_mixture_of_texts_changes_the_comment(text: str) -> None:
    report = samples.failing()
    harmless, _ = skeleton(as_github(markdown(poisoned(report, "harmless"), marker=MARKER)))
    tags, texts = skeleton(as_github(markdown(poisoned(report, text), marker=MARKER)))
    assert tags == harmless
    assert not LINKS.search(texts)


@pytest.mark.parametrize("limit", [16_384, 9_000, LIMIT])
@pytest.mark.parametrize("name", ["wide", "many"])
def test_never_longer_than_the_limit(name: str, limit: int) -> None:
    for text in ("harmless", "|" * 1000, "😀" * 1000, "@a " * 500):
        comment = markdown(poisoned(samples.SAMPLES[name](), text), marker=MARKER, limit=limit)
        assert len16(comment) <= limit
        assert MARKER in comment


def test_what_is_left_out_is_said_and_what_stays_is_whole() -> None:
    report = samples.many()
    whole = markdown(report, limit=10**9)
    cut = markdown(report, limit=9_000)
    assert "<sub>Left out to stay below GitHub's 9,000 characters: " in cut
    assert "training of 2 models" in cut
    assert "models that pass" in cut
    kept = [block for block in cut.split("\n\n") if not block.startswith("<sub>Left out")]
    assert all(block.strip() in whole for block in kept)
    tags, _ = skeleton(as_github(cut))
    assert tags.count(("details", ())) == tags.count("/details")
    assert "Left out" not in whole


def test_the_verdict_outlasts_everything() -> None:
    comment = markdown(samples.many(), marker=MARKER, limit=1)
    assert comment.startswith("> [!CAUTION]\n> **Do not merge:**")
    assert "| Gate |" not in comment
    assert MARKER in comment


def test_a_thousand_models_fit() -> None:
    report = samples.passing()
    one, verdict = report.models[0], report.verdict.models[0]
    models = tuple(
        one.model_copy(update={"model": f"model-{n}", "verdict": verdict.model_copy(update={"model": f"model-{n}"})})
        for n in range(300)
    )
    comment = markdown(report.model_copy(update={"models": models}), marker=MARKER)
    assert len16(comment) <= LIMIT
    assert "200 more models passed." in comment


def test_markers_name_workflow_and_config_and_cannot_be_ended() -> None:
    assert MARKER == "<!-- mlbot:report workflow=.github/workflows/mlbot.yml config=mlbot.yaml -->"
    forged = marker("a --> <b>", "x\n-->")
    assert forged.index("-->") == len(forged) - 3
    assert marker("a", "b") != marker("a b=", "")


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_has_an_icon_and_an_alert(outcome: Outcome) -> None:
    report = samples.many()
    verdict = report.verdict.model_copy(update={"outcome": outcome})
    assert markdown(report.model_copy(update={"verdict": verdict})).startswith("> [!")


def test_what_was_made_elsewhere_is_named_and_has_no_training() -> None:
    report = samples.passing().models[0]
    origin = Origin(url="hf://acme/churn@" + "0" * 40, pin="commit <b>@octocat")
    brought = report.candidate_training[0].model_copy(update={"origin": origin})
    text = training(report.model_copy(update={"candidate_training": (brought,), "baseline_training": ()}))
    assert "<details>" not in text
    assert "The candidate is not trained here: `artifact` names `hf://acme/churn@" in text
    both = training(report.model_copy(update={"candidate_training": (brought,)}))
    assert "| baseline |" in both
    assert "| candidate |" not in both


@pytest.mark.parametrize(("path", "said"), [("data/train.csv", False), ("s3://acme/train.parquet", True)])
def test_data_behind_a_url_are_said_not_to_be_compared(path: str, *, said: bool) -> None:
    report = samples.passing()
    model = report.models[0].model_copy(update={"data_changes": (path,)})
    text = markdown(report.model_copy(update={"models": (model, *report.models[1:])}))
    assert f"Data files that differ: `{path}`." in text
    assert ("What is behind a URL was not compared by rows" in text) == said
