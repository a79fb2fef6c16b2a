"""What a trial may change: by name, type and bounds, and never what is not finite."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import config_texts as texts
from tests.support.config_texts import Case, changed, parse

from mlbot.commands.trial_params import allowed, checked
from mlbot.config.schema import Model

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
    ("name", "text", "sentence"),
    [
        ("learning_rate", "2", 'learning_rate cannot be "2": it takes a number from 0.001 to 1.'),
        ("learning_rate", "nan", 'learning_rate cannot be "nan": it takes a number from 0.001 to 1.'),
        ("learning_rate", ".nan", 'learning_rate cannot be ".nan": it takes a number from 0.001 to 1.'),
        ("learning_rate", "-.inf", 'learning_rate cannot be "-.inf": it takes a number from 0.001 to 1.'),
        ("learning_rate", "true", 'learning_rate cannot be "true": it takes a number from 0.001 to 1.'),
        ("learning_rate", "", 'learning_rate cannot be "": it takes a number from 0.001 to 1.'),
        ("depth", "2.0", 'depth cannot be "2.0": it takes a whole number from 1 to 20.'),
        ("depth", "0", 'depth cannot be "0": it takes a whole number from 1 to 20.'),
        ("depth", "null", 'depth cannot be "null": it takes a whole number from 1 to 20.'),
        ("early", "yes", 'early cannot be "yes": it takes true or false.'),
        ("tag", "a\nb", 'tag cannot be "a\\nb": it takes a text of at most 200 characters.'),
        ("tag", "a\u202eb", 'tag cannot be "a\\u202eb": it takes a text of at most 200 characters.'),
        ("tree.leaves", "32", 'tree.leaves cannot be "32": it takes 15, 31 or 63.'),
        ("loss", "False", 'loss cannot be "False": it takes log_loss, 1, 0.5 or true.'),
        ("dept", "3", '"dept" is no parameter that a trial of m may change. Did you mean depth?'),
        ("Learning-Rate", "0.1", '"Learning-Rate" is no parameter that a trial of m may change. Did you mean'),
        ("zzz", "3", '"zzz" is no parameter that a trial of m may change. It may change learning_rate, depth, early'),
    ],
)
def test_what_is_not_allowed_is_told_with_what_is(name: str, text: str, sentence: str) -> None:
    problems = checked(MODEL, {name: text})
    assert isinstance(problems, tuple)
    assert [problem[: len(sentence)] for problem in problems] == [sentence]


def test_all_problems_are_told_at_once() -> None:
    problems = checked(MODEL, {"depth": "99", "nope": "1", "early": "true"})
    assert isinstance(problems, tuple)
    assert len(problems) == 2


def test_a_model_without_a_list_says_so() -> None:
    problems = checked(parse(texts.SMALL).models[0], {"depth": "3"})
    assert problems == (
        '"depth" is no parameter that a trial of m may change: its config lists none under train.tunable.',
    )


@given(st.dictionaries(st.sampled_from(["learning_rate", "depth", "early", "tree.leaves", "x"]), st.text(), min_size=1))
def test_whatever_is_written_it_is_allowed_or_refused(given: dict[str, str]) -> None:
    found = checked(MODEL, given)
    if isinstance(found, tuple):
        assert found
        assert all(sentence.endswith((".", "?")) and "\n" not in sentence for sentence in found)
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


def test_the_values_in_words() -> None:
    assert [allowed(each) for each in MODEL.train.tunable][:3] == [
        "a number from 0.001 to 1",
        "a whole number from 1 to 20",
        "true or false",
    ]
