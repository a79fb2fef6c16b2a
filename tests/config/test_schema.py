"""mlbot.yaml read into records: every kind of problem with its line and words, and nothing else for hostile data."""

import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import config_texts as texts
from tests.support.config_refusals import INVALID
from tests.support.config_texts import Case, changed, parse, problems
from tests.support.tiers import examples

from mlbot.config.errors import ConfigError, Document, Plain, is_delivered_name
from mlbot.config.gates import Slice
from mlbot.config.schema import Config, EnvironmentConfig, OnInconclusive, Smoke, Waivers, json_schema, parse_config
from mlbot.config.train import SeedRange
from mlbot.config.yaml import load
from mlbot.errors import Exit, UsageError
from mlbot.gates.metric import CATALOGUE, Bound, Direction, Gate, Task
from mlbot.lib.version import Version
from mlbot.protocol.artifacts import PackArtifact
from mlbot.registry.tags import RegistryTag, parse_tag, stage_tag, version_tag
from mlbot.storage.objects import relative
from mlbot.storage.oci import Place

DATA = Path(__file__).parent / "data"
SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_a_metric_has_one_name_however_it_is_written() -> None:
    text = changed(Case(texts.METRICS, "metrics: [auc, neg_log_loss]")).replace("roc_auc:", "ap@s:")
    (model,) = parse(text).models
    assert [metric.name for metric in model.metrics] == ["roc_auc", "log_loss", "average_precision"]
    assert [gate.name for gate in model.gates] == ["average_precision@s.min"]


def test_a_metric_with_a_setting_has_its_own_name_or_one_that_is_given() -> None:
    listed = "metrics: [{metric: precision, zero_division: 0}, {metric: f1, name: f1_agreed, zero_division: 1}]"
    (model,) = parse(
        changed(Case(texts.METRICS, listed)).replace("roc_auc:", "precision: {max: 1}\n      f1_agreed:")
    ).models
    first, second = model.metrics
    assert (first.name, first.formula, first.settings.zero_division) == ("precision", "precision", 0)
    assert (second.name, second.formula, second.settings.zero_division) == ("f1_agreed", "f1", 1)
    assert [gate.metric for gate in model.gates] == ["precision", "f1_agreed"]


@pytest.mark.parametrize(
    ("listed", "name"),
    [
        ("{metric: log_loss, clip: 0.001}", "log_loss_clipped"),
        ("{metric: logloss, clip: 0.05, name: bounded}", "bounded"),
        ("{metric: log_loss}", "log_loss"),
    ],
)
def test_a_clipped_loss_has_another_name_than_the_loss(listed: str, name: str) -> None:
    (model,) = parse(
        changed(Case(texts.METRICS, f"metrics: [{listed}]")).replace("roc_auc:", f"{name}: {{max: 1}}\n      accuracy:")
    ).models
    (metric,) = [each for each in model.metrics if each.formula == "log_loss"]
    assert metric.name == name
    assert {gate.name for gate in model.gates} >= {f"{name}.max"}


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ("{metric: log_loss, clip: 0.001, name: log_loss}", "leave `name` out"),
        ("{metric: log_loss, clip: 0}", "a number from 1e-12 to 0.1"),
        ("{metric: log_loss, clip: 0.6}", "a number from 1e-12 to 0.1"),
        ("{metric: brier_score_loss, clip: 0.1}", "`clip` for brier_score_loss"),
        ("{metric: log_loss, k: 2}", "`clip`, which it takes"),
    ],
)
def test_what_is_wrong_with_a_clip_is_said(listed: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(changed(Case(texts.METRICS, f"metrics: [{listed}]")))
    assert said in str(caught.value)


GAP = "gap: {metric: ap, slices: [s, t], max: 0.05, max_regression: 0.02}\nroc_auc:"


def test_a_gap_is_a_metric_between_slices() -> None:
    text = changed(Case(texts.GATE, GAP)).replace("s: x = 1", "s: x = 1\n      t: x = 2")
    (model,) = parse(
        text.replace("gap:", "gap@ap: {metric: ap, slices: [t, s], max: 1, blocking: false}\n      gap:")
    ).models
    assert [gate.name for gate in model.gates][:3] == [
        "gap@ap.max",
        "gap@average_precision.max",
        "gap@average_precision.max_regression",
    ]
    gap = {metric.name: metric for metric in model.metrics}["gap@average_precision"]
    assert (gap.formula, gap.slices, gap.direction) == ("average_precision", ("s", "t"), Direction.LOWER)


def test_beside_a_gap_the_metric_is_measured_that_it_is_between_by_the_name_it_has() -> None:
    gap = "gap: {metric: careful, slices: [s, t], max: 0.05}\nroc_auc:"
    text = changed(Case(texts.GATE, gap)).replace("s: x = 1", "s: x = 1\n      t: x = 2")
    listed = "metrics: [{metric: precision, name: careful, zero_division: 0}, roc_auc]"
    (model,) = parse(text.replace(texts.METRICS, listed)).models
    assert [metric.name for metric in model.metrics] == ["careful", "roc_auc", "gap@careful"]


@pytest.mark.parametrize(
    ("gap", "words"),
    [
        ("{metric: ap, slices: [s], max: 1}", ".slices: found one slice → write two or more"),
        ("{metric: ap, slices: [s, u], max: 1}", '.slices[1]: found the unknown slice "u" → write s'),
        ("{metric: mae, slices: [s, t], max: 1}", '.metric: found "mae", which is not for binary models'),
        ("{metric: ap, slices: [s, t]}", ": found no bound → write `max` or `max_regression`"),
        ("{metric: ap, slices: [s, t], min: 1}", '.min: found the unknown key "min"'),
        ("{metric: ap, slices: [s, t], max: -1}", ".max: found -1 → write a number, 0 or more"),
        ("0.05", ": found 0.05 → write a mapping with"),
    ],
)
def test_a_gap_has_two_slices_and_a_bound(gap: str, words: str) -> None:
    text = changed(Case(texts.GATE, f"gap: {gap}\nroc_auc:")).replace("s: x = 1", "s: x = 1\n      t: x = 2")
    assert any(f"models.m.gates.gap{words}" in each for each in problems(text)), problems(text)


@pytest.mark.parametrize(
    "gate",
    [
        "max_error: {max: 5, confident: true}",
        "gap: {metric: max_error, slices: [s, t], max: 5, confident: true}",
        "gap: {metric: max_error, slices: [s, t], max_regression: 0}",
    ],
)
def test_nothing_asks_for_the_interval_of_the_largest_error_which_has_none(gate: str) -> None:
    text = changed(Case(texts.GATE, f"{gate}\nr2:")).replace("binary", "regression")
    found = problems(text.replace("s: x = 1", "s: x = 1\n      t: x = 2"))
    assert "for max_error → write `max` alone: it has no interval" in " ".join(found)


def test_the_largest_error_takes_a_maximum_alone() -> None:
    text = changed(Case(texts.GATE, "max_error: {max_regression: 1}\nr2:")).replace("binary", "regression")
    assert "found `max_regression` for max_error → write `max`, the only bound it takes" in " ".join(problems(text))


def test_two_gaps_of_one_name_are_refused() -> None:
    text = changed(Case(texts.GATE, GAP)).replace("s: x = 1", "s: x = 1\n      t: x = 2")
    other = "gap@average_precision: {metric: ap, slices: [t, s], max: 1}\n      gap:"
    assert any("give each gap a name" in each for each in problems(text.replace("gap:", other)))


def test_a_metric_of_ones_own_may_have_a_short_name() -> None:
    own = "metrics: [{function: 'lib:mcc', name: mcc, direction: lower}]"
    (model,) = parse(changed(Case(texts.METRICS, own)).replace("roc_auc:", "mcc:")).models
    assert [(metric.name, metric.function) for metric in model.metrics] == [("mcc", "lib:mcc")]
    assert model.gates[0].subject == "mcc"


def test_reads_the_example_of_the_design() -> None:
    config = parse(texts.DESIGN)
    model = config.models[0]
    assert (model.name, model.task) == ("adult-income", Task.BINARY)
    assert (model.train.run, model.train.entrypoint) == ("python train.py", None)
    assert model.train.depends == ("train.py", "income/", "data/train.csv")
    assert model.train.seeds == SeedRange(start=3, most=3)
    assert (model.train.timeout_s, model.train.runs_on) == (1800.0, ("ubuntu-latest",))
    assert (model.data.positive, model.data.drop, model.data.features) == (">50K", ("fnlwgt",), None)
    assert model.slices == (Slice(name="women", where="sex = 'Female'"), Slice(name="under-25", where="age < 25"))
    assert [metric.name for metric in model.metrics] == ["roc_auc", "log_loss", "f1", "accuracy", "recall"]
    assert model.gates == (
        Gate(metric="roc_auc", bound=Bound.MIN, limit=0.9),
        Gate(metric="roc_auc", bound=Bound.MAX_REGRESSION, limit=0.005),
        Gate(metric="log_loss", bound=Bound.MAX, limit=0.35),
        Gate(metric="recall", slice="women", bound=Bound.MIN, limit=0.5),
        Gate(metric="negative_flips", bound=Bound.MAX_EXCESS, limit=0.01),
        Gate(metric="latency_p50_ms", bound=Bound.MAX_RATIO, limit=1.2),
        Gate(metric="size_mb", bound=Bound.MAX, limit=50.0),
    )
    assert (config.guard, config.store) == (("main",), "oci://ghcr.io/OWNER/REPO/models")
    assert config.environments == (
        EnvironmentConfig(name="staging", target="file:///srv/models/staging", smoke=Smoke(requests=50, p95_ms=50.0)),
        EnvironmentConfig(name="production", target="file:///srv/models/production", after="staging", approvals=1),
    )


@pytest.mark.parametrize("case", texts.VALID, ids=lambda case: case.new)
def test_accepts(case: Case) -> None:
    config = parse(changed(case))
    assert Config.model_validate_json(config.model_dump_json()) == config
    VALIDATOR.validate(load(changed(case), "x").data)


@pytest.mark.parametrize("case", INVALID, ids=lambda case: case.new)
def test_refuses_with_line_and_words_and_so_does_the_schema_where_it_can(case: Case) -> None:
    found = problems(changed(case))
    assert found
    assert found[0].startswith(case.message), found
    assert VALIDATOR.is_valid(load(changed(case), "x").data) is not case.schema


def test_names_every_problem_of_a_file_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse((DATA / "many-problems.yaml").read_text())
    assert f"{caught.value}\n" == (DATA / "many-problems.txt").read_text()
    assert caught.value.exit_code is Exit.USAGE
    assert isinstance(caught.value, UsageError)


def with_(old: str, new: str) -> Any:
    return parse(changed(Case(old, new))).models[0]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("90", 90.0), ("0.5", 0.5), ("90s", 90.0), ("1.5h", 5400.0), ("2m", 120.0), ("120h", 432000.0)],
)
def test_durations(value: str, seconds: float) -> None:
    assert with_(texts.RUN, f"run: make\ntimeout: {value}").train.timeout_s == seconds


@pytest.mark.parametrize(
    ("value", "start", "most"),
    [("1", 1, 1), ("4", 4, 4), ("{}", 2, 5), ("{start: 2, most: 5}", 2, 5), ("{most: 3}", 2, 3), ("{start: 3}", 3, 5)],
)
def test_seeds_are_a_number_or_a_range(value: str, start: int, most: int) -> None:
    assert with_(texts.RUN, f"run: make\nseeds: {value}").train.seeds == SeedRange(start=start, most=most)


@pytest.mark.parametrize(
    ("value", "label"), [("1", "1"), ("true", "true"), ("yes", "yes"), ("1.5", "1.5"), ('"01"', "01"), ("01", "01")]
)
def test_labels_are_text(value: str, label: str) -> None:
    assert with_(texts.TARGET, f"target: y\npositive: {value}").data.positive == label


@pytest.mark.parametrize(
    ("task", "setting", "said"),
    [
        (
            "multiclass",
            "threshold: 0.4",
            "found 0.4 → write no `threshold`; only binary and multilabel models have one",
        ),
        (
            "regression",
            "threshold: 0.4",
            "found 0.4 → write no `threshold`; only binary and multilabel models have one",
        ),
        ("regression", "label: model", 'found "model" → write no `label`; a regression has none'),
        ("multiclass", "label: model", None),
    ],
)
def test_labels_are_decided_where_a_task_has_some(task: str, setting: str, said: str | None) -> None:
    text = texts.SMALL.replace("task: binary", f"task: {task}").replace("target: y", f"target: y\n      {setting}")
    found = [problem for problem in problems(text) if ".data." in problem]
    assert [said in problem for problem in found if said] == [True] * bool(said)
    assert bool(found) is (said is not None)


def test_paths_are_normalised() -> None:
    model = with_(texts.RUN, "run: make\ndepends: [./train.py, src//lib/, a/./b]")
    assert model.train.depends == ("train.py", "src/lib/", "a/b")


@pytest.mark.parametrize(
    ("metrics", "gates", "name", "direction"),
    [
        ("lib:my_score", "", "my_score", Direction.HIGHER),
        ("lib:my_loss", "", "my_loss", Direction.LOWER),
        ("lib:my_error", "", "my_error", Direction.LOWER),
        ("lib:my_cost", "", "my_cost", Direction.LOWER),
        ("{function: lib:f, name: my_loss}", "", "my_loss", Direction.LOWER),
        ("{function: lib:my_loss, name: f}", "", "f", Direction.LOWER),
        ("{function: lib:my_loss, direction: higher}", "", "my_loss", Direction.HIGHER),
        ("lib:profit", "profit: {min: 3}", "profit", Direction.HIGHER),
        ("lib:profit", "profit@s: {max: -3}", "profit", Direction.LOWER),
        ("lib:profit", "profit: {min: 3, max_regression: 100}", "profit", Direction.HIGHER),
    ],
)
def test_directions_of_own_metrics(metrics: str, gates: str, name: str, direction: Direction) -> None:
    text = changed(Case(texts.METRICS, f"metrics: [{metrics}]")).replace("    gates:\n", f"    gates:\n      {gates}\n")
    metric = parse(text).models[0].metrics[0]
    assert (metric.name, metric.direction, metric.tasks) == (name, direction, frozenset({Task.BINARY}))
    assert metric.function is not None
    assert metric.function in metrics


@pytest.mark.parametrize(
    "gates", ["profit: {min: 1, max: 2}", "profit: {max_regression: 1}", "profit@s: {max: 1}\n      profit: {min: 1}"]
)
def test_gates_that_leave_the_direction_open(gates: str) -> None:
    text = changed(Case(texts.METRICS, "metrics: [lib:profit]")).replace("    gates:\n", f"    gates:\n      {gates}\n")
    assert ["profit" in problem and "without a direction" in problem for problem in problems(text)] == [True]


def test_a_gate_adds_its_metric_of_the_catalogue() -> None:
    model = with_(texts.GATE, "f1: {min: 0}\nlog_loss@s: {max: 1}\nroc_auc:")
    assert model.metrics == (CATALOGUE["roc_auc"], CATALOGUE["f1"], CATALOGUE["log_loss"])


def test_a_model_has_to_measure_something() -> None:
    text = changed(Case(texts.METRICS, "#")).replace("roc_auc:\n        min: 0.9", "size_mb: {max: 3}")
    assert problems(text) == ["3: models.m: found no metrics → write `metrics:` with at least one, such as roc_auc"]


def test_a_model_has_to_have_a_gate() -> None:
    text = texts.SMALL[: texts.SMALL.index("      roc_auc:")]
    assert problems(text.replace("gates:", "gates: {}")) == [
        "13: models.m.gates: found no gates → write at least one, such as `roc_auc: {max_regression: 0.005}`"
    ]
    assert problems(text) == [
        "13: models.m.gates: found nothing → write a mapping from metric or metric@slice to its bounds"
    ]
    assert problems(text.replace("    gates:", "")) == ["3: models.m: found no gates → write `gates:`"]


def test_a_broken_metric_or_slice_is_said_once() -> None:
    text = texts.SMALL.replace("[roc_auc]", "[roc_acu]").replace("roc_auc:", "roc_acu@s:").replace("x = 1", "x == 1")
    assert [problem.split(" found")[0] for problem in problems(text)] == [
        "11: models.m.slices.s:",
        "12: models.m.metrics[0]:",
    ]


def test_who_may_waive() -> None:
    assert parse(texts.SMALL).waivers == Waivers(by=(), author=False)
    text = "waivers: {by: [lea, Boss-2], author: true}\n" + texts.SMALL
    assert parse(text).waivers == Waivers(by=("lea", "Boss-2"), author=True)


def test_inconclusive_has_defaults_of_its_own() -> None:
    text = "inconclusive: {pull_request: block}\n" + texts.SMALL
    assert parse(text).inconclusive == OnInconclusive(pull_request="block", promotion="block")


def test_regression_models_have_no_classes() -> None:
    text = texts.SMALL.replace("binary", "regression").replace("roc_auc", "r2")
    assert parse(text).models[0].task is Task.REGRESSION
    assert problems(text.replace("target: y", "target: y\n      classes: [a, b]")) == [
        "10: models.m.data.classes: found a list → write no `classes`; a regression has none"
    ]
    (problem,) = problems(text.replace("gates:\n", "gates:\n      negative_flips: {max: 0.1}\n"))
    assert problem == (
        '14: models.m.gates.negative_flips: found "negative_flips" → write a gate on a metric; '
        "rows of a regression are neither right nor wrong"
    )


def test_multiclass_models_have_several_classes() -> None:
    text = texts.SMALL.replace("binary", "multiclass").replace("[roc_auc]", "[accuracy]").replace("roc_auc", "f1_macro")
    assert parse(text).models[0].task is Task.MULTICLASS
    assert problems(text.replace("target: y", "target: y\n      classes: [a]")) == [
        "10: models.m.data.classes: found one class → write all labels, two or more"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "mlbot.yaml: found an empty file → write `version: 1` and `models:`; `mlbot init` makes a first one"),
        (
            "[]",
            "mlbot.yaml:1: found a list → write a mapping with version, models, guard, inconclusive,",
        ),
        ("version: 1", "mlbot.yaml:1: found no models → write `models:`"),
        ("models: {}", "mlbot.yaml:1: models: found no models → write at least one model"),
        ("models: [a]", "mlbot.yaml:1: models: found a list → write a mapping from the name of each model"),
    ],
)
def test_files_with_hardly_anything_in_them(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert str(caught.value).startswith(expected)


def test_without_places_problems_have_no_lines() -> None:
    data: Plain = {"models": {"m": 5}}
    with pytest.raises(ConfigError) as caught:
        parse_config(Document(source="x", data=data))
    assert str(caught.value) == (
        "x: models.m: found 5 → "
        "write a mapping with task, was, train, artifact, predict, evaluate, limits, data, slices, metrics, gates, "
        "anchor or monitor\n"
        "1 problem in x"
    )


def test_what_is_found_is_shown_on_one_line_and_cut() -> None:
    text = texts.SMALL.replace("task: binary", 'task: "' + "x" * 500 + '\\n::error::\\u202e"')
    (problem,) = problems(text)
    known = "binary, multiclass, regression, multilabel, multioutput, ranking, forecast or scores"
    assert problem == f'4: models.m.task: found "{"x" * 47}…" → write {known}'
    (problem,) = problems(texts.SMALL.replace("task: binary", 'task: "a\\n::error::\\u202e\\e[31m"'))
    assert '"a\\n::error::\\u202e\\u001b[31m"' in problem


def test_the_schema_is_one_that_json_can_hold() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    VALIDATOR.validate(load(texts.DESIGN, "x").data)


_CONDITIONS = {"if", "then", "else"}  # what they name is described elsewhere


def settings_of(part: Any) -> list[tuple[str, Any]]:
    if not isinstance(part, dict):
        return [pair for inside in part for pair in settings_of(inside)] if isinstance(part, list) else []
    own = [pair for pair in part.get("properties", {}).items() if "$ref" not in pair[1]]
    return own + [pair for key, inside in part.items() if key not in _CONDITIONS for pair in settings_of(inside)]


def test_describes_every_setting() -> None:
    assert len(settings_of(SCHEMA)) > 40
    for name, part in settings_of(SCHEMA):
        assert part["description"].endswith("."), name


def test_its_defaults_are_valid_and_change_nothing() -> None:
    defaults = {name: part["default"] for name, part in settings_of(SCHEMA) if "default" in part}
    assert defaults == {
        "version": 1,
        "start": 2,
        "days": 3,
        "then": "none",
        "most": 10_000,  # of the last section that has it, as the next
        "timeout": "2m",
        "runs-on": "ubuntu-latest",
        "isolation": "full",
        "direction": "higher",
        "format": "rows",
        "repeats": 1,
        "network": False,
        "min_rows": 500,
        "anchor": True,
        "confident": False,
        "blocking": True,
        "pull_request": "warn",
        "promotion": "block",
        "approvals": 0,
        "author": False,
        "requests": 50,
        "model": "{model}",
        "load": False,
        "max_changed": 0.02,
        "environment": "mlbot-monitor",
        "lfs": False,
        "retention-days": 5,
        "currency": "USD",
    }
    text = "inconclusive: {pull_request: warn, promotion: block}\nwaivers: {author: false}\n" + texts.SMALL
    text = "actions: {lfs: false, retention-days: 5, runs-on: ubuntu-latest}\n" + text
    text = "version: 1\n" + text
    explicit = (
        text.replace("run: make", "run: make\n      timeout: 30m\n      runs-on: ubuntu-latest")
        .replace("s: x = 1", "s: {where: x = 1, min_rows: 500}")
        .replace("min: 0.9", "min: 0.9\n        confident: false\n        blocking: true")
    )
    assert texts.parse(explicit) == texts.parse(texts.SMALL)


WORDS = st.sampled_from(
    ["", "a", "/a", "..", "a/..", "30m", "0s", "s3://a", "x = 1", "a:b_loss", "roc_auc", "main", "a b"]
)
LEAVES = st.one_of(WORDS, st.none(), st.booleans(), st.integers(-1, 40), st.floats(-1, 2), st.lists(WORDS, max_size=3))


@given(st.sampled_from([line.strip() for line in texts.SMALL.splitlines() if ": " in line]), LEAVES)
@settings(max_examples=examples(200))
def test_refuses_nothing_that_the_parser_accepts(line: str, value: object) -> None:
    text = changed(Case(line, f"{line.partition(':')[0]}: {json.dumps(value)}"))
    if not problems(text):
        VALIDATOR.validate(load(text, "x").data)


TRAIN, DATA_KEYS = (
    ("depends", "params", "seeds", "timeout", "runs-on", "lock"),
    ("positive", "threshold", "label", "drop", "features", "classes", "group"),
)


@given(st.sampled_from([*TRAIN, *DATA_KEYS]), LEAVES)
@settings(max_examples=examples(200))
def test_refuses_no_optional_setting_that_the_parser_accepts(key: str, value: object) -> None:
    line = texts.RUN if key in TRAIN else texts.TARGET
    text = changed(Case(line, f"{line}\n{key}: {json.dumps(value)}"))
    if not problems(text):
        VALIDATOR.validate(load(text, "x").data)


# --- names that would meet somewhere, or be refused there


def named_(models: Iterable[str], environments: Mapping[str, str] | None = None) -> Config:
    """A config with these models, and with environments by their targets."""
    model = parse(texts.SMALL).models[0].name
    document = load(texts.SMALL.strip(), "mlbot.yaml")
    assert isinstance(document.data, dict)
    assert isinstance(document.data["models"], dict)
    given = document.data["models"][model]
    data: dict[str, Plain] = {"models": dict.fromkeys(models, given)}
    if environments:
        data["environments"] = {name: {"target": target} for name, target in environments.items()}
    return parse_config(Document(source="mlbot.yaml", data=data))


def refusal(models: Iterable[str], environments: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        named_(models, environments)
    assert caught.value.exit_code is Exit.USAGE
    return [f"{each.path}: {each.found} → {each.hint}" for each in caught.value.problems]


NO_NAMES = (
    *("a..b", "x_", "x-", "x.", "a.-b", "a-.b", "a___b", "a._b", "x.lock", "_x", ".x", "-x", "a b", "a/b", "é"),
    *("x" * 64, "x\n", "", "a@v1", "a#b", "a=b", "x~1", "a:b"),
)
NAMES = ("x", "A9", "a.b", "a_b", "a__b", "a-b", "a--b", "income-v2.1", "x" * 63, "a.lock.b")


@pytest.mark.parametrize("name", NO_NAMES)
@pytest.mark.parametrize("what", ["models", "environments"])
def test_a_name_that_a_registry_or_git_would_refuse_is_refused_here(name: str, what: str) -> None:
    models, environments = (["m"], {name: "models"}) if what == "environments" else ([name], None)
    (problem,) = refusal(models, environments)
    assert f"found the name {json.dumps(name[:47], ensure_ascii=False)[:-1]}" in f"found {problem.partition(': ')[2]}"
    assert "write a name of letters and digits, with" in problem


@pytest.mark.parametrize("name", NAMES)
def test_other_names_are_taken(name: str) -> None:
    assert named_([name], {name: "models"}).models[0].name == name


def test_the_line_of_a_wrong_name_is_said() -> None:
    (problem,) = problems(texts.SMALL.replace("  m:", "  a..b:"))
    assert problem.startswith('3: models.a..b: found the name "a..b" → write a name of ')


def taken_everywhere(name: str, folder: Path) -> None:
    """Everything that takes a name later."""
    assert Place.of("oci://ghcr.io/o/r").inside(name).repository == f"o/r/{name.lower()}"
    assert relative(name) == name
    for ref in (f"refs/mlbot/lock/{name}", f"refs/tags/{version_tag(name, Version.of((1, 2, 3)))}"):
        subprocess.run(["git", "check-ref-format", ref], check=True, cwd=folder)
    tag = stage_tag(name, name, 4)
    subprocess.run(["git", "check-ref-format", f"refs/tags/{tag}"], check=True, cwd=folder)
    found = parse_tag(tag)
    assert isinstance(found, RegistryTag)
    assert (found.model, found.stage, found.counter) == (name, name, 4)
    assert PackArtifact(pack=name, attempt=1).name == f"mlbot-candidate-{name}-a1"


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(alphabet="aZ9._-", min_size=1, max_size=8) | st.from_regex(r"\A[a-c]\.(lock|git)\Z"))
def test_what_is_taken_here_is_taken_everywhere(tmp_path: Path, name: str) -> None:
    if is_delivered_name(name):
        taken_everywhere(name, tmp_path)
    else:
        refusal([name])


@pytest.mark.parametrize(("one", "other"), [("Income", "income"), ("a.B", "A.b"), ("x", "X")])
def test_names_that_differ_only_in_case_are_refused(one: str, other: str) -> None:
    beside = f'"{other}" beside "{one}" → write names that differ by more than case; registries know none'
    assert refusal([one, "m", other]) == [f"models.{other}: {beside}"]
    assert refusal(["m"], {one: "a", "m": "b", other: "c"}) == [f"environments.{other}: {beside}"]


def test_a_models_name_may_be_an_environments() -> None:
    named_(["Production"], {"production": "models"})


def test_an_environment_is_not_named_as_a_version() -> None:
    assert "that is no version" in refusal(["m"], {"v1.2.3": "models"})[0]
    named_(["v1.2.3"], {"v1.2": "models"})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("models", "models"),
        ("models", "./models/"),
        ("models", "Models"),
        ("file:///srv/models", "FILE:///srv//models/"),
        ("s3://b/models", "s3://b/models/"),
        ("models", "models/m"),
        ("models/m", "models"),
        ("models", "models/M/deeper"),
    ],
)
def test_environments_do_not_share_a_place(one: str, other: str) -> None:
    (problem,) = refusal(["m"], {"staging": one, "production": other})
    assert problem.startswith("environments.production.target: ")
    assert problem.endswith('where "staging" has its models too → write a place for each environment')


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("models/staging", "models/production"),
        ("models", "models/production"),
        ("models", "models/mm"),
        ("command:./deploy.sh", "command:./deploy.sh"),
        ("oci://ghcr.io/o/r", "oci://ghcr.io/o/r"),
        ("s3://a/models", "s3://b/models"),
        ("s3://a/models", "s3://a/Models"),
        ("models", "s3://models"),
    ],
)
def test_places_of_their_own_are_taken(one: str, other: str) -> None:
    named_(["m"], {"staging": one, "production": other})


@pytest.mark.parametrize("where", ["a..b", "a_", "a//b", "a___b", "-a", "a/", ".a", "x" * 201, "a/" * 110 + "a"])
def test_a_repository_that_no_registry_has_is_refused(where: str) -> None:
    url = f"oci://ghcr.io/{where}"
    if where == "a/":
        named_(["m"], {"staging": url})
        return
    (problem,) = refusal(["m"], {"staging": url})
    assert problem.startswith("environments.staging.target: ")
    with pytest.raises(UsageError):
        Place.of(url)


def test_a_model_whose_repository_would_have_too_long_a_name_is_refused() -> None:
    url = f"oci://ghcr.io/{'x' * 190}"
    named_(["m"], {"staging": url})
    (problem,) = refusal(["m" * 60], {"staging": url})
    assert "with the model's name it may have 255 characters" in problem


def test_a_gate_on_a_check_that_there_is_not_names_those_that_there_are() -> None:
    (problem,) = problems(texts.SMALL.replace("target:", "train: a.csv\n      gates: {bogus: {max: 1}}\n      target:"))
    assert 'found the name "bogus" → write a name of a check: schema, units' in problem


@pytest.mark.parametrize("bound", list(Bound))
def test_a_slice_or_metric_is_not_named_as_a_gate_of_another(bound: Bound) -> None:
    (problem,) = problems(texts.SMALL.replace("      s: x = 1", f"      s.{bound}: x = 1"))
    assert f'found the name "s.{bound}" → write a name of letters, digits' in problem
    own = f"metrics: [roc_auc, {{function: a:b, name: x.{bound}, direction: higher}}]"
    (problem,) = problems(texts.SMALL.replace("metrics: [roc_auc]", own))
    assert f'found the name "x.{bound}"' in problem
    parse(texts.SMALL.replace("      s: x = 1", f"      s.{bound}.x: x = 1"))


def test_reads_how_a_model_is_asked() -> None:
    predict = "predict: {run: python predict.py, depends: [predict.py], environment: {install: make}, format: csv}"
    model = texts.parse(texts.SMALL.replace("    data:", f"    {predict}\n    data:")).models[0]
    assert model.predict is not None
    assert (model.predict.run, model.predict.depends, model.predict.format) == (
        "python predict.py",
        ("predict.py",),
        "csv",
    )
    assert (model.predict.tolerance, model.predict.timeout_s) == (1e-4, 1800.0)


def test_a_predictor_has_no_gate_on_latency() -> None:
    text = texts.SMALL.replace("    data:", "    predict: {run: make}\n    data:")
    text = text.replace("    gates:\n", "    gates:\n      latency_p50_ms: {max_ratio: 1.2}\n")
    assert "a call of a predictor is mostly its start" in "\n".join(problems(text))


COMMIT, SHA256 = "0123456789" * 4, "0123456789abcdef" * 4


def brought(artifact: str) -> str:
    """The small config with a model that was made elsewhere."""
    return texts.SMALL.replace("    train:\n      run: make\n", f"    artifact: {artifact}\n")


@pytest.mark.parametrize(
    ("artifact", "url", "sha256"),
    [
        ("models/churn/", "models/churn/", None),
        ("./models/churn.onnx", "models/churn.onnx", None),
        (f"oci://ghcr.io/acme/churn@sha256:{SHA256}", f"oci://ghcr.io/acme/churn@sha256:{SHA256}", None),
        (f"hf://acme/churn@{COMMIT}", f"hf://acme/churn@{COMMIT}", None),
        (f"hf://acme/churn@{COMMIT}/onnx/model.onnx", f"hf://acme/churn@{COMMIT}/onnx/model.onnx", None),
        ("s3://bucket/churn.onnx?versionId=abc.DEF", "s3://bucket/churn.onnx?versionId=abc.DEF", None),
        (f"{{url: s3://bucket/churn, sha256: {SHA256}}}", "s3://bucket/churn", SHA256),
        (f"{{url: gs://bucket/churn, sha256: 'sha256:{SHA256}'}}", "gs://bucket/churn", f"sha256:{SHA256}"),
        (f"{{url: models/churn, sha256: {SHA256}}}", "models/churn", SHA256),
    ],
)
def test_reads_a_model_that_was_made_elsewhere(artifact: str, url: str, sha256: str | None) -> None:
    model = texts.parse(brought(artifact)).models[0]
    assert model.artifact is not None
    assert (model.artifact.url, model.artifact.sha256) == (url, sha256)
    assert model.artifact.digest == (sha256 and f"sha256:{SHA256}")
    assert model.artifact.is_remote is ("://" in url)
    assert (model.train.run, model.train.depends) == (None, ())
    assert model.train.seeds is not None
    assert model.train.seeds.most == 1


@pytest.mark.parametrize(
    ("artifact", "hint"),
    [
        ("oci://ghcr.io/acme/churn:latest", "not a tag"),
        ("oci://ghcr.io/acme/churn@sha256:123", "not a tag"),
        ("hf://acme/churn", "not a branch"),
        ("hf://acme/churn@main", "not a branch"),
        (f"hf://acme/churn@{COMMIT[:12]}", "not a branch"),
        ("s3://bucket/churn.onnx", "?versionId=… will do"),
        ("https://host/churn.onnx?versionId=abc", "?versionId=… will do"),
        ("s3://bucket/churn.onnx?versionId=null", "?versionId=… will do"),  # what a bucket without versions has
        ("https://user:pw@host/churn.onnx", "without a password"),
        ("{url: s3://bucket/churn, sha256: 123}", "64 hexadecimal digits"),
        ("../models/churn", "without `..`"),
        ("/models/churn", "relative to the repository's root"),
        ("5", "path inside the repository"),
    ],
)
def test_what_may_be_other_bytes_tomorrow_is_refused(artifact: str, hint: str) -> None:
    assert hint in "\n".join(problems(brought(artifact)))


def test_a_model_is_trained_or_brought() -> None:
    (problem,) = problems(brought("models/churn").replace("    artifact:", "    train: {run: make}\n    artifact:"))
    assert "found both train and artifact" in problem
    assert "found no train" in "\n".join(problems(texts.SMALL.replace("    train:\n      run: make\n", "")))


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("2GB", 2 * 10**9),
        ("256MiB", 256 << 20),
        ("1.5 GiB", 3 << 29),
        ("500kB", 500_000),
        ("1_000", None),
        ("1000", 1000),
        ("0", None),
        ("-1GB", None),
        ("2TB", None),
        ("9999GiB", None),
        ("true", None),
        ("[1]", None),
    ],
)
def test_reads_a_size(written: str, size: int | None) -> None:
    text = texts.SMALL.replace("    data:", f"    limits: {{size: {written}}}\n    data:")
    if size is None:
        assert "a size such as" in "\n".join(problems(text))
        return
    assert texts.parse(text).models[0].most_bytes == size


def test_limits_differ_by_who_asks() -> None:
    asked = texts.SMALL.replace("    data:", "    predict: {run: make}\n    data:")
    one, other = (texts.parse(text).models[0] for text in (texts.SMALL, asked))
    assert (one.most_bytes, one.file_name, one.is_onnx) == (256 << 20, "model.onnx", True)
    assert (other.most_bytes, other.file_name, other.is_onnx) == (2 << 30, "artifact", False)


@pytest.mark.parametrize(
    ("artifact", "name"),
    [
        ("prompts/system.txt", "system.txt"),
        ("prompts/", "prompts"),
        (f"oci://ghcr.io/a/b@sha256:{64 * '0'}", "artifact"),
    ],
)
def test_a_command_finds_what_is_in_git_by_its_name(artifact: str, name: str) -> None:
    brought = texts.SMALL.replace("train:\n      run: make", f'artifact: "{artifact}"\n    predict: {{run: make}}')
    assert texts.parse(brought).models[0].given_name == name


RANKING = texts.SMALL.replace("task: binary", "task: ranking").replace("target: y", "target: y\n      group: q")


@pytest.mark.parametrize(
    ("metrics", "gates", "said"),
    [
        ("[ndcg@10]", "ndcg: {min: 0.5}", 'found the unknown metric "ndcg@10" → write ndcg_at_10; `@` names a slice'),
        ("[ndcg]", "ndcg@10: {min: 0.5}", 'found the unknown slice "10" → write ndcg_at_10; `@` names a slice'),
        ("[ndcg]", "ndcg@7: {min: 0.5}", "→ write {metric: ndcg, k: 7}; `@` names a slice"),
        ("[ndcg, hits@3]", "ndcg: {min: 0.5}", "→ write hit_rate_at_3; `@` names a slice"),
        ("[precision_at_7]", "ndcg: {min: 0.5}", "→ write {metric: precision_at_k, k: 7}"),
        ("[roc_auc]", "ndcg: {min: 0.5}", "which is not for ranking models → write ndcg"),
        ("[{metric: mrr, gain: linear}]", "mrr: {min: 0}", "found `gain` for mrr → write `k` or `zero_division`"),
        (
            "[ndcg]",
            "negative_flips: {max: 1}",
            "write a gate on a metric; rows of a ranking are neither right nor wrong",
        ),
    ],
)
def test_the_first_places_of_a_ranking_are_no_slice(metrics: str, gates: str, said: str) -> None:
    text = RANKING.replace("metrics: [roc_auc]", f"metrics: {metrics}")
    found = problems(text[: text.index("    gates:")] + f"    gates:\n      {gates}\n")
    assert any(said in problem for problem in found), found


def test_a_ranking_has_queries_and_its_metrics_are_called_by_their_places() -> None:
    (problem,) = [each for each in problems(RANKING.replace("group: q", "drop: [z]")) if "group" in each]
    assert problem.endswith(
        "found no group for a ranking → write `group: <column>`, the column that says to which query a row belongs"
    )
    listed = (
        "[{metric: ndcg, k: 7}, {metric: ndcg, k: 10}, {metric: ndcg, k: 3, gain: exponential}, mean_average_precision]"
    )
    text = RANKING.replace("metrics: [roc_auc]", f"metrics: {listed}")
    model = parse(
        text[: text.index("    gates:")] + "    gates: {ndcg_at_7: {min: 0.1}, map_at_5: {min: 0.1}}\n"
    ).models[0]
    names = ["ndcg_at_7", "ndcg_at_10", "ndcg_at_3_exponential", "map", "map_at_5"]
    assert [metric.name for metric in model.metrics] == names
    assert {metric.formula for metric in model.metrics} == {"ndcg", "map"}
    assert [metric.settings.k for metric in model.metrics] == [7, 10, 3, None, 5]


@pytest.mark.parametrize(
    ("task", "setting", "said"),
    [
        ("forecast", "group: g", "found no time for a forecast → write `time: <column>`"),
        ("regression", "season: 12", "found `season` for regression → remove it; only a forecast has one"),
        ("forecast", "time: y", 'found "y", which is the target already → write another column'),
        ("forecast", "{time: t, quantiles: [0.1, 1]}", "found 1 → write a number, more than 0 and less than 1"),
        ("forecast", "time: t", "found mase without training data → write `data: {train: …}`"),
    ],
)
def test_only_a_forecast_has_times_and_it_has_some(task: str, setting: str, said: str) -> None:
    text = texts.SMALL.replace("task: binary", f"task: {task}").replace("metrics: [roc_auc]", "metrics: [mase]")
    lines = "\n      ".join(setting.strip("{}").split(", ", 1))
    found = problems(text.replace("target: y", f"target: y\n      {lines}").replace("roc_auc:", "mase:"))
    assert any(said in problem for problem in found), found
