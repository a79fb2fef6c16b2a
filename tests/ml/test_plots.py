"""Charts: valid, drawn in both themes, and saying what the report says."""

import json
from typing import Any

import pytest
import vl_convert
from altair.vegalite.v6.schema import core
from tests.support import report_parts as parts
from tests.support import samples

from mlbot.ml import plots
from mlbot.ml.plots import NAMES, config
from mlbot.report.page import html
from mlbot.report.report import Curves, ModelReport, Side, Spec
from mlbot.verdict.verdict import ItemChanges, Items, ItemSide

CLASSIFICATION = ["slices", "seeds", "roc", "precision_recall", "calibration", "confusion"]


def model(name: str = "failing") -> ModelReport:
    return samples.SAMPLES[name]().models[0]


def values(spec: Spec) -> list[dict[str, Any]]:
    """All data of a spec."""
    return [row for rows in spec["datasets"].values() for row in rows]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("failing", CLASSIFICATION),
        ("regression", ["slices", "seeds", "residuals", "residual_histogram"]),
        ("no_baseline", [name for name in CLASSIFICATION if name != "slices"]),
        ("crashed", ["seeds"]),
    ],
)
def test_a_chart_for_all_that_has_data(name: str, expected: list[str]) -> None:
    assert list(plots.chart_specs(model(name))) == expected


def test_the_items_of_an_evaluation_are_drawn_by_how_far_their_score_changed() -> None:
    metric = model().comparisons[0].metric  # of which more is better
    bars = ((-1.0, -0.9, 7), (-0.1, 0.0, 2), (0.4, 0.5, 1))
    changes = (ItemChanges(metric=metric, worse=9, better=1, equal=90, histogram=bars),)
    items = Items(count=100, repeats=1, candidate=ItemSide(), baseline=ItemSide(), changes=changes)
    evaluated = model().model_copy(update={"items": items, "slices": (), "curves": {}})
    spec = plots.chart_specs(evaluated)["items"]
    shown = {(row["items"], row["reading"]) for row in values(spec) if "items" in row}
    assert shown == {(7, "worse"), (2, "worse"), (1, "better")}
    core.Root.validate(json.loads(json.dumps(spec)))
    assert plots.svg(spec, "dark").startswith("<svg")
    picture = plots.picture_spec(evaluated)
    assert picture is not None
    assert "Items by change of" in json.dumps(picture)
    none = items.model_copy(update={"changes": (changes[0].model_copy(update={"histogram": ()}),)})
    assert "items" not in plots.chart_specs(evaluated.model_copy(update={"items": none}))


@pytest.mark.parametrize("name", ["failing", "regression"])
def test_every_specification_is_valid(name: str) -> None:
    for spec in [*plots.chart_specs(model(name)).values(), plots.picture_spec(model(name))]:
        core.Root.validate(json.loads(json.dumps(spec)))


@pytest.mark.parametrize(("name", "theme"), [("failing", "light"), ("regression", "dark"), ("wide", "light")])
def test_every_chart_can_be_drawn(name: str, theme: str) -> None:
    for spec in plots.chart_specs(model(name)).values():
        drawn = plots.svg(spec, theme)
        assert drawn.startswith("<svg")
        assert "NaN" not in drawn
        assert "undefined" not in drawn


def test_a_spec_is_plain_deterministic_json() -> None:
    first, second = (json.dumps(plots.chart_specs(model()), allow_nan=False) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", ["failing", "regression"])
def test_every_chart_is_described_and_leaves_colours_to_the_theme(name: str) -> None:
    for spec in plots.chart_specs(model(name)).values():
        assert len(spec["description"]) > 20
        assert "config" not in spec
        assert spec["width"] == 340


def test_colours_differ_by_theme_and_the_shapes_do_not() -> None:
    spec = plots.chart_specs(model())["roc"]
    light, dark = (plots.svg(spec, theme) for theme in NAMES)
    assert light != dark
    for theme in NAMES:
        for colour in config(theme)["range"]["category"]:
            light, dark = light.replace(colour, ""), dark.replace(colour, "")
    assert light.count("<path") == dark.count("<path")


def test_slices_carry_interval_margin_and_reading() -> None:
    spec = plots.chart_specs(model())["slices"]
    rows = [row for row in values(spec) if row.get("metric") == "roc_auc" and "slice" in row]
    assert [row["slice"] for row in rows] == ["all rows", "women", "under-25", "self-employed", "doctorate"]
    assert [row["reading"] for row in rows] == ["worse"] * 4 + ["perhaps worse"]
    assert (rows[0]["change"], rows[0]["low"], rows[0]["high"]) == (-0.0206, -0.022418, -0.018782)
    assert {"metric": "roc_auc", "x": -0.005} in values(spec)
    own = {row["of"]: row["x"] for row in values(spec) if row.get("metric") == "roc_auc" and "of" in row}
    margins = {each.slice: each.margin for each in model().comparisons if each.metric == "roc_auc" and each.margin}
    assert own == {name: -margin for name, margin in margins.items() if name}


def test_a_change_whose_interval_excludes_zero_is_not_called_unclear() -> None:
    for row in values(plots.chart_specs(model())["slices"]):
        if "reading" in row and row["reading"] != "too few rows":
            assert (row["low"] <= 0 <= row["high"]) is (row["reading"] == "no clear change"), row


def test_people_can_choose_the_metric_and_start_with_the_one_that_has_a_margin() -> None:
    for name in ("slices", "seeds"):
        (param,) = (each for each in plots.chart_specs(model())[name]["params"] if each["name"] == "metric")
        assert param["value"] == "roc_auc"
        assert param["bind"]["options"] == list(parts.VALUES)


def test_a_click_on_the_legend_leaves_one_side() -> None:
    for name in ("roc", "precision_recall", "calibration"):
        (param,) = plots.chart_specs(model())[name]["params"]
        assert param["bind"] == "legend"


def test_baseline_and_candidate_are_in_one_chart() -> None:
    for name in ("roc", "precision_recall", "calibration", "seeds"):
        sides = {row["side"] for row in values(plots.chart_specs(model())[name]) if "side" in row}
        assert sides == {"baseline", "candidate"}


def test_confusion_is_that_of_the_candidate_in_the_holdouts_words() -> None:
    rows = [row for row in values(plots.chart_specs(model())["confusion"]) if "true" in row]
    assert [(row["true"], row["predicted"]) for row in rows[:2]] == [("<=50K", "<=50K"), ("<=50K", ">50K")]
    assert tuple(row["rows"] for row in rows) == sum(model().curves[Side.CANDIDATE].confusion, ())


def test_too_many_classes_are_not_drawn() -> None:
    wide = Curves(confusion=tuple(tuple(1 for _ in range(21)) for _ in range(21)))
    many = model().model_copy(update={"curves": {Side.CANDIDATE: wide}})
    assert "confusion" not in plots.chart_specs(many)


def test_the_picture_is_still_and_says_itself_what_it_shows() -> None:
    spec = plots.picture_spec(model())
    assert spec is not None
    assert "params" not in json.dumps(spec)
    assert [view["title"] for view in spec["hconcat"]] == ["Change of roc_auc by slice", "ROC curve"]
    assert "Change of roc_auc by slice" in plots.svg(spec, "dark")


def test_the_picture_shows_the_slices_that_got_worse() -> None:
    spec = plots.picture_spec(model("wide"))
    assert spec is not None
    names = {row["slice"] for row in values(spec) if "slice" in row}
    assert len(names) == 9
    assert "all rows" in names
    assert "region-00" not in names  # 120 rows are too few


def test_without_slices_the_picture_has_two_curves() -> None:
    whole = model()
    spec = plots.picture_spec(
        whole.model_copy(update={"comparisons": tuple(each for each in whole.comparisons if each.slice is None)})
    )
    assert spec is not None
    assert [view["title"] for view in spec["hconcat"]] == ["ROC curve", "Calibration"]


def test_nothing_to_draw_is_no_picture() -> None:
    empty = model("crashed").model_copy(update={"baseline": (), "curves": {}})
    assert plots.picture_spec(empty) is None
    assert plots.chart_specs(empty) == {}
    assert plots.charts(samples.failing().model_copy(update={"models": (empty,)})) is None


def test_the_page_carries_what_it_needs() -> None:
    report = samples.failing()
    made = plots.charts(report)
    assert made is not None
    page = html(report, made)
    assert "window.vegaEmbed=" in made.script
    assert page.count("data-chart=") == len(CLASSIFICATION)
    assert len(page) < 1_300_000


def test_hostile_names_are_data() -> None:
    hostile = "</text><script>alert(1)</script>"
    classes = model().model_copy(
        update={"holdout": parts.holdout(classes=(hostile, "'); alert(2); ('"), positive=hostile)}
    )
    for name, spec in plots.chart_specs(classes).items():
        assert "<script" not in plots.svg(spec, "light"), name


def test_specs_are_of_the_version_that_is_bundled() -> None:
    newest = vl_convert.get_vegalite_versions()[-1]
    schema = plots.chart_specs(model())["roc"]["$schema"]
    assert schema.split("/v")[-1].split(".")[:2] == newest.split(".")[:2]
