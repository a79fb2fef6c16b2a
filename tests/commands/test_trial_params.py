"""What a trial may change: by name, type and bounds, and never what is not finite."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import config_texts as texts
from tests.support.config_texts import Case, changed, parse

from mlbot.commands.trial_params import ParamProblem, checked
from mlbot.config.schema import Model
from mlbot.lib.templates import phrase

TUNABLE = """run: make
params: p.yaml
tunable:
  learning_rate: {type: float, min: 0.001, max: 1}
  depth: {type: int, min: 1, max: 20}
  early: {type: bool}
  tag: {type: str}
  tree.leaves: [15, 31, 63]
  loss: [log_loss, "1", 0.5, true]"""
MODEL: Model = parse(changed(Case(texts.RUN, TUNABLE))).models[0]


def words(problem: ParamProblem) -> str:
    return phrase("commands/tunable.md.j2", "takes", tunable=problem.tunable).replace("\\", "")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("learning_rate", "0.2", 0.2),
        ("learning_rate", "1", 1.0),
        ("learning_rate", "1e-3", 0.001),
        ("depth", "20", 20),
        ("early", "true", True),
        ("early", "False", False),
        ("tag", "with space", "with space"),
        ("tag", "3", "3"),
        ("tree.leaves", "31", 31),
        ("tree.leaves", "31.0", 31),
        ("loss", "log_loss", "log_loss"),
        ("loss", "1", "1"),
        ("loss", "0.50", 0.5),
        ("loss", "true", True),
    ],
)
def test_a_value_that_is_allowed_has_its_type(name: str, text: str, value: object) -> None:
    given = checked(MODEL, {name: text})
    assert given == {name: value}
    assert isinstance(given, dict)
    assert type(given[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "takes"),
    [
        ("learning_rate", "2", "a number from 0.001 to 1"),
        ("learning_rate", "nan", "a number from 0.001 to 1"),
        ("learning_rate", ".nan", "a number from 0.001 to 1"),
        ("learning_rate", "-.inf", "a number from 0.001 to 1"),
        ("learning_rate", "true", "a number from 0.001 to 1"),
        ("learning_rate", "", "a number from 0.001 to 1"),
        ("depth", "2.0", "a whole number from 1 to 20"),
        ("depth", "0", "a whole number from 1 to 20"),
        ("depth", "null", "a whole number from 1 to 20"),
        ("early", "yes", "true or false"),
        ("tag", "a\nb", "a text of at most 200 characters"),
        ("tag", "a\u202eb", "a text of at most 200 characters"),
        ("tree.leaves", "32", "15, 31 or 63"),
        ("loss", "False", "log_loss, 1, 0.5 or true"),
    ],
)
def test_what_is_not_allowed_is_refused_with_what_is(name: str, text: str, takes: str) -> None:
    problems = checked(MODEL, {name: text})
    assert isinstance(problems, tuple)
    ((problem),) = problems
    assert (problem.name, problem.value) == (name, text)
    assert words(problem) == takes


@pytest.mark.parametrize(("name", "near"), [("dept", "depth"), ("Learning-Rate", "learning_rate"), ("zzz", None)])
def test_what_may_not_be_changed_is_refused_with_what_was_meant(name: str, near: str | None) -> None:
    assert checked(MODEL, {name: "3"}) == (ParamProblem(name=name, value="3", near=near),)


def test_all_problems_are_told_at_once() -> None:
    problems = checked(MODEL, {"depth": "99", "nope": "1", "early": "true"})
    assert isinstance(problems, tuple)
    assert len(problems) == 2


@given(st.dictionaries(st.sampled_from(["learning_rate", "depth", "early", "tree.leaves", "x"]), st.text(), min_size=1))
def test_whatever_is_written_it_is_allowed_or_refused(given: dict[str, str]) -> None:
    found = checked(MODEL, given)
    if isinstance(found, tuple):
        assert found
        return
    assert found.keys() == given.keys()
    for name, value in found.items():
        assert value is not None
        assert not isinstance(value, float) or math.isfinite(value)
        bounds = next(each for each in MODEL.train.tunable if each.name == name)
        assert not bounds.choices or value in bounds.choices


@given(st.floats(0.001, 1))
def test_every_number_within_the_bounds_is_taken_as_it_is(value: float) -> None:
    assert checked(MODEL, {"learning_rate": repr(value)}) == {"learning_rate": value}
