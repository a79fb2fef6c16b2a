"""Parameters flattened to names with dots, from YAML and JSON."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.config.errors import ConfigError
from mlbot.config.params import load_params
from mlbot.config.yaml import MAX_BYTES

YAML = "# a comment\nlr: 1e-3\ntree: {depth: 3, name: on}\nlayers:\n  - 64\n  - 32\nnone:\nempty: {}\nflag: true\n"


def test_flattens_yaml() -> None:
    params = load_params(YAML.encode(), "params.yaml")
    assert list(params.items()) == [
        ("lr", 0.001),
        ("tree.depth", 3),
        ("tree.name", "on"),
        ("layers.0", 64),
        ("layers.1", 32),
        ("none", None),
        ("flag", True),
    ]


def test_reads_json_with_tabs() -> None:
    assert load_params('{\n\t"lr": 0.1,\n\t"tree": {"depth": 3}\n}', "params.json") == {"lr": 0.1, "tree.depth": 3}


@pytest.mark.parametrize("text", ["", "# nothing", "{}"])
def test_an_empty_file_has_none(text: str) -> None:
    assert load_params(text, "params.yaml") == {}


YAML_REFUSED = {
    "[1]": "p: found no mapping → write each as `name: value`",
    "b: .nan": "p:1: b: found a number that is not finite → write a finite number, or null for none",
    "a.b: 1\na: {b: 2}": 'p:2: a.b: found "a.b" a second time → give each parameter one name',
    "a: 1\na: 2": 'p:2: a: found the key "a" a second time; the first is in line 1 → keep one of them',
}


@pytest.mark.parametrize("text", YAML_REFUSED)
def test_refuses_yaml(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_params(text, "p")
    assert str(caught.value).startswith(YAML_REFUSED[text])


def test_names_every_number_that_is_not_finite() -> None:
    with pytest.raises(ConfigError) as caught:
        load_params("a: 1\nb: .nan\nc: -.inf\nd: 1e999", "p")
    assert [problem.text("p").split(": found")[0] for problem in caught.value.problems] == [
        "p:2: b",
        "p:3: c",
        "p:4: d",
    ]


JSON_REFUSED = {
    "": "p.json:1: found text that is no JSON (Expecting value) → fix the JSON",
    '{"a": 1\nx}': "p.json:2: found text that is no JSON (",
    '{"a": 1} x': "p.json:1: found text that is no JSON (Extra data) → fix the JSON",
    '{"a": 1, "a": 2}': 'p.json: found the key "a" a second time → keep one of them',
    '{"a": NaN}': "p.json: found NaN → write a finite number, or null for none",
    '{"a": -Infinity}': "p.json: found -Infinity → write a finite number, or null for none",
    '{"a": 1e999}': "p.json: a: found a number that is not finite → write a finite number, or null for none",
    '{"a": '
    + "9" * 5000
    + "}": "p.json: found JSON that is too deep, or a number of too many digits → make it smaller",
    "[" * 100_000: "p.json: found JSON that is too deep, or a number of too many digits → make it smaller",
    '{"a": ' * 65 + "1" + "}" * 65: "p.json: found more than 64 levels → make it flatter",
    '{"a": "\\ud800"}': "p.json: a: found half of a surrogate pair → write the character itself",
    '{"\\ud800": 1}': 'p.json: "\\ud800": found half of a surrogate pair → write the character itself',
    "[1]": "p.json: found no mapping → write each as `name: value`",
    " " * (MAX_BYTES + 1): "p.json: found a file of 2,097,153 bytes → keep it below 2,097,152 bytes",
}


@pytest.mark.parametrize("text", JSON_REFUSED, ids=range(len(JSON_REFUSED)))
def test_refuses_json(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_params(text, "p.json")
    assert str(caught.value).startswith(JSON_REFUSED[text])


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="."), max_size=5), SCALARS))
def test_flat_json_comes_back_as_it_is(params: dict[str, bool | int | float | str | None]) -> None:
    text = json.dumps(params)
    expected = {name: value for name, value in params.items() if not isinstance(value, float) or math.isfinite(value)}
    assert load_params(text, "p.json") == expected
