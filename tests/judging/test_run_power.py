"""`mlbot power`: what can be judged before anything is trained."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from tests.support import tiny
from tests.support.drawn_verdicts import CELLS, Cell, World
from tests.support.ledger_samples import digest, entry
from tests.support.onnx_samples import columns

from mlbot.cli.main import cli
from mlbot.config.run_check import load_config
from mlbot.console import Console
from mlbot.errors import Exit, NotEvaluatedError, UsageError
from mlbot.gates.outcome import ALPHA, Outcome
from mlbot.judging.power import ModelPower, Power, PowerOptions, flipping_text, power_text, spread_of_flips
from mlbot.judging.run_data import report_data
from mlbot.judging.run_flips import FlipOptions, _drawn_again, _files, _Flips, say_flips
from mlbot.judging.run_judge import Rule, opened
from mlbot.judging.run_measure import negative_flips
from mlbot.judging.run_power import PLAN, Planning, say_power
from mlbot.ledger.entries import SeedValues, VerdictEntry
from mlbot.lib.terminal import Pen
from mlbot.ml.holdout import HoldoutData
from mlbot.stats.intervals import clopper_pearson
from mlbot.stats.power import Seeding, chances
from mlbot.verdict.verdict import Comparison

QUIET = Console(out=io.StringIO(), err=io.StringIO(), quiet=True)


def folder(
    path: Path, change: Callable[[str], str] = lambda text: text, *, holdout: str = tiny.files()["data/holdout.csv"]
) -> Path:
    """A folder with a config, its data and no repository, no ledger and no model."""
    for name, text in (tiny.files() | {"data/holdout.csv": holdout}).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(change(text) if name == "mlbot.yaml" else text, encoding="utf-8")
    (path / ".git").mkdir(exist_ok=True)  # the end of the search for a config; git knows no repository here
    return path


def asked(root: Path, *, as_json: bool = True, **options: Any) -> tuple[Any, Exit]:
    out = io.StringIO()
    code = say_power(root, PowerOptions(**options), Console(out=out, err=io.StringIO()), as_json=as_json)
    return (json.loads(out.getvalue()) if as_json else out.getvalue()), code


def planning(root: Path, *past: VerdictEntry, **options: Any) -> Planning:
    model = load_config(root).models[0]
    holdout = opened(Rule(model=model, folder=root))
    assert isinstance(holdout, HoldoutData)
    known = tuple(
        each.model_copy(update={"model": "tiny", "holdout": holdout.record.digest}) if each.holdout else each
        for each in past
    )
    return Planning(root=root, model=model, holdout=holdout, past=known, options=PowerOptions(**options))


def verdicts(*spreads: float, deterministic: bool | None = None) -> list[VerdictEntry]:
    """Past recipes with five seeds each, whose AUC has such a standard deviation."""
    made = []
    for number, spread in enumerate(spreads):
        unit = (-1.26491, -0.63246, 0.0, 0.63246, 1.26491)
        values = tuple(0.8 + spread * each for each in unit)
        made.append(
            entry(
                run=number + 1,
                values=values,
                key=digest(number),
                deterministic=deterministic,
                duration_s=90.0,
            ).model_copy(update={"values": (SeedValues(metric="roc_auc", values=values),)})
        )
    return made


def gate(found: ModelPower, name: str) -> Any:
    return next(each for each in found.gates if each.gate.name == name)


def test_without_model_ledger_and_repository_it_answers(tmp_path: Path) -> None:
    found, code = asked(folder(tmp_path))
    assert code is Exit.OK
    assert found["schema_version"] == "mlbot/power@1"
    [model] = found["models"]
    assert (model["rows"], model["looks"], model["family"], model["history"]) == (4000, [3], 1, 0)
    assert model["assumed"] == {
        "disagreement": 0.06,
        "change": 0.01,
        "by": "roc_auc",
        "value": 0.75,
        "seeds": "assumed",
        "freedom": 0,
    }
    margin, limit = model["gates"][1], model["gates"][0]
    assert margin["judgeable"] is True
    assert 0 < margin["noticed_from"] < 0.02
    assert margin["noticed"] > 0.95
    assert limit["value"] == pytest.approx(0.75, abs=0.01)
    assert 0.005 < limit["half_width"] < 0.02
    assert model["sealed"]["level"] == 0.025
    needed = model["sealed"]["gates"][0]
    assert needed["neutral"] > needed["gaining"] >= needed["sure"] > 0


def test_a_margin_that_cannot_be_judged_is_inconclusive(tmp_path: Path) -> None:
    root = folder(tmp_path, lambda text: text.replace("max_regression: 0.02", "max_regression: 0.002"))
    found, code = asked(root)
    margin = found["models"][0]["gates"][1]
    assert code is Exit.INCONCLUSIVE
    assert margin["judgeable"] is False
    assert margin["rows_needed"] > 20_000
    text, _ = asked(root, as_json=False)
    assert f"{margin['rows_needed']:,} rows" in text
    assert "two files of one recipe differ on 6 % of the rows (--disagreement)" in " ".join(text.split())
    shown = folder(
        tmp_path, lambda text: text.replace("max_regression: 0.02", "max_regression: 0.002, blocking: false")
    )
    assert asked(shown)[1] is Exit.OK


def test_three_rows_judge_nothing(tmp_path: Path) -> None:
    root = folder(tmp_path, holdout="x1,x2,x3,segment,y\n1,2,3,rare,1\n2,3,4,north,0\n3,4,5,rare,1\n")
    found, code = asked(root)
    margin = found["models"][0]["gates"][1]
    assert code is Exit.INCONCLUSIVE
    assert (margin["judgeable"], margin["noticed_from"]) == (False, None)
    assert margin["why"]
    assert asked(root, as_json=False)[1] is Exit.INCONCLUSIVE


def test_what_is_assumed_can_be_said(tmp_path: Path) -> None:
    root = folder(tmp_path)
    asks: tuple[dict[str, Any], ...] = ({}, {"disagreement": 0.02}, {"change": 0.1})
    usual, quiet, changing = (asked(root, **each)[0]["models"][0]["gates"][1]["noticed_from"] for each in asks)
    assert quiet < usual < changing


def test_the_ledger_takes_the_place_of_what_is_assumed(tmp_path: Path) -> None:
    root = folder(tmp_path)
    narrow, wide = (planning(root, *verdicts(*[spread] * 4)).found(QUIET) for spread in (0.002, 0.01))
    for found in (narrow, wide):
        assert found.looks == (2, 3, 5)
        assert found.history == 12  # the model that the next change is compared with is none of it
        assert found.assumed is not None
        assert (str(found.assumed.seeds), found.assumed.freedom, found.assumed.by) == ("ledger", 16, "roc_auc")
        assert found.assumed.value == pytest.approx(0.8, abs=0.02)
        assert found.cost is not None
        assert (found.cost.first_s, found.cost.most_s) == (180.0, 450.0)
    assert gate(wide, "roc_auc.max_regression").standard_error == pytest.approx(0.01 * (2 / 5) ** 0.5, rel=0.05)
    assert gate(narrow, "roc_auc.max_regression").noticed_from < gate(wide, "roc_auc.max_regression").noticed_from
    text = power_text(Power(models=(wide,)), Pen(False, 100))
    assert "past trainings (16 degrees of freedom)" in " ".join(text.split())


def test_a_little_history_is_weighed_with_what_is_assumed(tmp_path: Path) -> None:
    root = folder(tmp_path)
    few, none = (planning(root, *verdicts(*spreads)).found(QUIET) for spreads in ([0.01], []))
    assert few.assumed is not None
    assert (few.looks, str(few.assumed.seeds)) == ((3,), "both")
    name = "roc_auc.max_regression"
    assert gate(none, name).standard_error < gate(few, name).standard_error < 0.01 * (2 / 3) ** 0.5


def test_a_recipe_whose_seed_has_no_effect_is_two_files(tmp_path: Path) -> None:
    found = planning(folder(tmp_path), *verdicts(0.0, deterministic=True)).found(QUIET)
    assert found.deterministic
    assert gate(found, "roc_auc.max_regression").seeds_needed is None
    text = power_text(Power(models=(found,)), Pen(False, 100))
    assert "one file a side" in text
    assert "A verdict takes one training" in text


def test_one_seed_without_a_history_decides_nothing(tmp_path: Path) -> None:
    root = folder(tmp_path, lambda text: text.replace("timeout: 60s", "timeout: 60s\n      seeds: 1"))
    margin = gate(planning(root).found(QUIET), "roc_auc.max_regression")
    assert "seeds: 3" in margin.why
    assert margin.judgeable is False
    assert gate(planning(root, *verdicts(*[0.004] * 4)).found(QUIET), "roc_auc.max_regression").judgeable is True


def test_a_gate_on_a_slice_has_its_rows(tmp_path: Path) -> None:
    root = folder(
        tmp_path, lambda text: text.replace("accuracy@rare: {min: 0.75}", "accuracy@rare: {max_regression: 0.05}")
    )
    whole, rare = (gate(planning(root).found(QUIET), f"{name}.max_regression") for name in ("roc_auc", "accuracy@rare"))
    assert (whole.rows, rare.rows) == (4000, 20)
    assert rare.judgeable is False
    assert rare.passed == 0.0  # of so few rows too few carry any change
    assert not rare.counts  # below its min_rows
    assert asked(root)[1] is Exit.OK


def test_sealed_rows_are_asked_at_the_level_of_the_looks_that_remain(tmp_path: Path) -> None:
    root = folder(tmp_path, lambda text: text.replace("target: y", "sealed: s3://b/rows.csv\n      target: y"))
    fresh = planning(root)
    looked, spent = (replace(fresh, refused=refused) for refused in (2, 10))
    first, third, last = (each.found(QUIET).sealed for each in (fresh, looked, spent))
    assert first is not None
    assert third is not None
    assert last is not None
    assert (first.configured, first.level, first.left) == (True, 0.025, 10)
    assert third.left == 8
    assert third.level == pytest.approx(0.05 / 12)
    assert third.gates[0].neutral > first.gates[0].neutral
    assert (last.level, last.left, last.gates) == (None, 0, ())
    assert "are spent" in power_text(Power(models=(spent.found(QUIET),)), Pen(False, 100))


def test_a_margin_far_from_judgeable_is_named_where_the_data_are_checked(tmp_path: Path) -> None:
    def said(margin: str) -> str:
        root = folder(tmp_path, lambda text: text.replace("max_regression: 0.02", f"max_regression: {margin}"))
        out = io.StringIO()
        report_data(root, Console(out=out, err=io.StringIO()), as_json=False)
        return out.getvalue()

    assert "of roc_auc a drop of three margins would mostly go unnoticed" in said("0.001")
    assert "unnoticed" not in said("0.02")


def test_gates_that_rows_do_not_decide_say_so(tmp_path: Path) -> None:
    lines = ["log_loss: {max: 0.6}", "size_mb: {max: 5}", "latency_p50_ms: {max_ratio: 1.5}"]
    lines += ["negative_flips: {max_excess: 0.02}"]
    root = folder(tmp_path, lambda text: text.replace(lines[0], f"\n{6 * ' '}".join(lines)))
    found = planning(root).found(QUIET)
    assert gate(found, "size_mb.max").why == "it needs no rows."
    assert "measured on the day" in gate(found, "latency_p50_ms.max_ratio").why
    assert gate(found, "negative_flips.max_excess").judgeable is True
    assert found.family == 2


def test_no_change_passes_the_gate_on_flips_as_often_as_is_answered(tmp_path: Path) -> None:
    """One verdict's figures were taken for everybody's, and what seeds are worth was left out: of 61 it said 88 %."""
    limit, part = 0.012, planning(folder(tmp_path)).part(None)

    def drawn(*seeds: int) -> list[Comparison]:
        found = (negative_flips(part.rows_of(3, seed=at), 3, examples=False, matters=(True, True)) for at in seeds)
        return [each.excess for each in found if each.excess is not None]

    spread, neutral = spread_of_flips(drawn(*range(60)), len(part.rows.labels))
    alone = Seeding(looks=((3, ALPHA),), matters=False)
    passed = sum((each.high or 0.0) < limit for each in drawn(*range(100, 200)))
    interval = clopper_pearson(passed, 100, 0.99)
    assert interval.low < chances(spread, alone, limit, neutral).passes < interval.high
    worth = replace(spread, between=part.between)
    assert chances(worth, alone, limit, neutral).passes < chances(spread, alone, limit, neutral).passes


def test_a_holdout_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    root = folder(tmp_path, holdout="x1,x2,x3,segment,y\n1,2,3,a,\n")
    found, code = asked(root)
    assert "'y'" in found["models"][0]["why"]
    assert code is Exit.NOT_EVALUATED
    with pytest.raises(UsageError, match="no model 'other'"):
        asked(root, models=("other",))


def test_a_metric_of_ones_own_that_cannot_be_loaded_is_an_error(tmp_path: Path) -> None:
    own = "metrics: [{name: profit, function: absent:profit, direction: higher}, "
    gates = "gates:\n      profit: {max_regression: 0.02}"
    root = folder(tmp_path, lambda text: text.replace("metrics: [", own).replace("gates:", gates))
    found, code = asked(root)
    assert "no module 'absent'" in found["models"][0]["why"]
    assert code is Exit.NOT_EVALUATED
    for seed in range(4):
        (tmp_path / f"{seed}.onnx").write_bytes(b"")
    with pytest.raises(NotEvaluatedError, match="no module 'absent'"):
        say_flips(root, FlipOptions(files=tuple(root / f"{seed}.onnx" for seed in range(4))), QUIET, as_json=False)
    report_data(root, QUIET, as_json=False)


def flips(root: Path, **options: Any) -> _Flips:
    """Of ten models that stand in for files."""
    found = planning(root)
    rows = found.part(None).rows_of(5)
    return _Flips.of(replace(found, options=PLAN), found.metric_plan, rows, FlipOptions(**options))


def test_identical_code_flips_no_gate_often(tmp_path: Path) -> None:
    found = flips(folder(tmp_path), verdicts=40, minutes=10).found(QUIET)
    assert (found.files, found.seeds, found.splits, found.verdicts) == (10, 3, 4200, 40)
    by = {
        each.gate.name if each.gate else "": {share.outcome: share for share in each.outcomes} for each in found.gates
    }
    margin = by["roc_auc.max_regression"]
    assert margin[Outcome.FAIL].share == 0.0
    assert margin[Outcome.FAIL].high == pytest.approx(0.0722, abs=0.0001)  # 1 - .05^(1/40)
    assert margin[Outcome.PASS].share > 0.5
    assert sum(share.share for share in by[""].values()) == pytest.approx(1.0)
    text = flipping_text(found, Pen(False, 120))
    assert "40 verdicts on identical code, 3 seeds a side drawn from 10 files" in " ".join(text.split())
    assert "all gates" in text


def test_a_verdict_on_identical_code_is_the_same_again(tmp_path: Path) -> None:
    made = flips(folder(tmp_path))
    assert made.verdict(3) == made.verdict(3)
    assert made.verdict(3) != made.verdict(4)


def test_time_is_bounded(tmp_path: Path) -> None:
    err = io.StringIO()
    found = flips(folder(tmp_path), verdicts=1000, minutes=0.0).found(Console(out=io.StringIO(), err=err))
    assert found.verdicts == 1
    assert "1 of 1000 verdicts" in err.getvalue()


def test_groups_are_drawn_whole(tmp_path: Path) -> None:
    rows = flips(folder(tmp_path)).rows
    grouped = replace(rows, groups=np.arange(len(rows.labels), dtype=np.int32) // 7)
    drawn = _drawn_again(grouped, [0, 1], np.random.default_rng(0))
    assert drawn.groups is not None
    assert int(drawn.groups.max()) == int(grouped.groups.max())  # type: ignore[union-attr]
    assert set(np.bincount(drawn.groups)) <= set(np.bincount(grouped.groups))  # type: ignore[arg-type]
    assert len(drawn.predictions) == 2


def test_files_are_found_in_the_folder_that_a_training_has_written(tmp_path: Path) -> None:
    model = load_config(folder(tmp_path)).models[0]
    for seed in range(4):
        place = tmp_path / "seeds" / "tiny" / str(seed)
        place.mkdir(parents=True)
        (place / "model.onnx").write_bytes(b"")
        (place / "training.json").write_text("{}")
    assert [each.parent.name for each in _files([tmp_path / "seeds"], model)] == ["0", "1", "2", "3"]
    with pytest.raises(UsageError, match="take 4 files of one recipe, and there are 1"):
        say_flips(tmp_path, FlipOptions(files=(tmp_path / "seeds/tiny/0",)), QUIET, as_json=False)


ITEMS = """
version: 1
models:
  prompts:
    task: scores
    artifact: prompts/
    evaluate:
      run: "true"
      scores: {exact: {range: [0, 1]}, words: {direction: lower}}
    gates:
      exact: {min: 0.7, max_regression: 0.1}
      words: {max_regression: 5}
"""


def test_an_evaluators_items_are_those_that_are_said(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "one.txt").write_text("Answer.")
    (tmp_path / ".git").mkdir()
    (tmp_path / "mlbot.yaml").write_text(ITEMS)
    unknown, code = asked(tmp_path)
    assert "--rows" in unknown["models"][0]["why"]
    assert code is Exit.OK
    found, _ = asked(tmp_path, rows=200)
    exact, words = found["models"][0]["gates"]
    assert (found["models"][0]["rows"], found["models"][0]["deterministic"]) == (200, True)
    assert 0.02 < exact["noticed_from"] < 0.1
    assert "range" in words["why"]
    few = asked(tmp_path, rows=4)[0]["models"][0]["gates"][0]
    assert (few["noticed_from"], few["judgeable"]) == (None, False)  # it would be beyond the range
    more, _ = asked(tmp_path, rows=2000)
    assert more["models"][0]["gates"][0]["noticed_from"] < exact["noticed_from"]


def test_a_holdout_of_another_size(tmp_path: Path) -> None:
    root = folder(tmp_path)
    fewer, own, more = (asked(root, rows=rows)[0]["models"][0] for rows in (1000, None, 16_000))
    assert (fewer["rows"], own["rows"], more["rows"]) == (1000, 4000, 16_000)
    assert fewer["gates"][0]["half_width"] == pytest.approx(2 * own["gates"][0]["half_width"])
    assert more["gates"][1]["noticed_from"] < own["gates"][1]["noticed_from"] < fewer["gates"][1]["noticed_from"]
    for each in (fewer, more):  # what a release needs does not hang on what there is
        assert each["sealed"]["gates"][0]["neutral"] == pytest.approx(own["sealed"]["gates"][0]["neutral"], rel=0.1)


def test_groups_widen_what_can_be_judged(tmp_path: Path) -> None:
    lines = tiny.files()["data/holdout.csv"].splitlines()
    grouped = "\n".join([f"{lines[0]},who", *(f"{line},{at // 20}" for at, line in enumerate(lines[1:]))])
    own = asked(folder(tmp_path))[0]["models"][0]
    root = folder(tmp_path, lambda text: text.replace("target: y", "group: who\n      target: y"), holdout=grouped)
    found = asked(root)[0]["models"][0]
    assert (found["groups"], own["groups"], own["design_effect"]) == (200, None, None)
    assert found["design_effect"] > 1.5
    assert found["gates"][0]["half_width"] > 1.2 * own["gates"][0]["half_width"]


OF_DATA = "target: y\n      gates: {overlap: {max: 0}, trigger: {max: 0, blocking: false}}"


def test_flips_of_files_that_are_scored(tmp_path: Path) -> None:
    root, seeds = folder(tmp_path, lambda text: text.replace("target: y", OF_DATA)), tmp_path / "seeds"
    seeds.mkdir()
    for seed in range(4):
        onnx.save(columns({"x1": 1.5, "x2": 0.8 + 0.02 * seed, "x3": 0.5}), seeds / f"{seed}.onnx")
    arguments = ["power", "--aa", "--verdicts", "5", "--minutes", "5", "--json", "-C", str(root), str(seeds)]
    run = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert run.return_value is Exit.OK, run.output
    found = json.loads(run.stdout)
    assert (found["schema_version"], found["files"], found["seeds"], found["splits"]) == ("mlbot/power-aa@1", 4, 2, 6)
    assert (found["rows"], found["verdicts"]) == (4000, 5)
    assert found["gates"][-1]["gate"] is None
    assert not [each for each in found["gates"][:-1] if each["gate"]["metric"].startswith("data.")]
    refused = CliRunner().invoke(cli, ["power", "-C", str(root), str(seeds)])
    assert "Files are for --aa" in refused.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--verdicts", "30"), "--verdicts is for --aa."),
        (("--minutes", "1"), "--minutes is for --aa."),
        (("--aa", "--rows", "300", "seeds"), "--rows is not for --aa."),
        (("--aa", "--disagreement", "0.1", "seeds"), "--disagreement is not for --aa."),
        (("--aa", "--change", "0.1", "seeds"), "--change is not for --aa."),
    ],
)
def test_an_option_without_effect_is_refused(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    run = CliRunner().invoke(cli, ["power", "-C", str(folder(tmp_path)), *options])
    assert (run.exit_code, words in run.output) == (2, True)


def test_a_gate_on_the_data_of_a_change_is_no_question_of_the_holdout(tmp_path: Path) -> None:
    found, code = asked(folder(tmp_path, lambda text: text.replace("target: y", OF_DATA)))
    (model,) = found["models"]
    gates = {each["gate"]["metric"]: each for each in model["gates"]}
    assert code is Exit.OK
    assert "not the holdout" in gates["data.overlap"]["why"]
    assert gates["data.overlap"]["judgeable"] is None
    assert "data.overlap" not in {each["gate"]["metric"] for each in model["sealed"]["gates"]}


def test_a_slice_without_rows_is_said_so(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    found, _ = asked(folder(tmp_path, lambda text: text.replace("segment = 'rare'", "segment = 'none'")))
    gates = {each["gate"]["slice"]: each for each in found["models"][0]["gates"]}
    assert "has no rows" in gates["rare"]["why"]
    assert not recwarn.list


@pytest.mark.nightly
@pytest.mark.parametrize("cell", CELLS[1::3], ids=str)
def test_the_judge_decides_as_often_as_was_said(cell: Cell) -> None:
    world, verdicts = World.of(cell), 120
    said = [chances(world.spread, cell.seeding, world.margin, drop * world.margin) for drop in (0, 3)]
    none, _, three = (world.outcomes(skill, verdicts) for skill in world.skills)
    # A twentieth of the draws, and a little for what the normal law and the whole rows of a drop leave out.
    assert three[Outcome.FAIL] / verdicts > said[1].fails - 0.09
    assert none[Outcome.PASS] / verdicts == pytest.approx(said[0].passes, abs=0.14)
    assert none[Outcome.FAIL] / verdicts <= 0.05
