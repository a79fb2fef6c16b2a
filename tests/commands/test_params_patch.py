"""The change that commits a trial: comments stay, and what was meant is what the new text says."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlbot.commands.params_patch import edited, unified
from mlbot.config.params import load_params
from mlbot.config.yaml import load
from mlbot.lib.record import Params

TEXT = """\
# What is committed.
learning_rate: 0.1  # a comment
"depth": 3
tree: {kind: gbdt, leaves: 31}   # flow
layers:
  - 64
  - 32 # the last
name: 'it''s'
flag: true
tag: "two"
empty:
"""


def edit(changes: Params, text: str = TEXT, path: str = "params.yaml") -> str | None:
    is_json = path.endswith(".json")
    return edited(text, load(text.replace("\t", " "), path), changes, is_json=is_json)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"learning_rate": 0.2}, "learning_rate: 0.2  # a comment"),
        ({"learning_rate": 1e-05}, "learning_rate: 0.00001  # a comment"),
        ({"learning_rate": 1e-20}, "learning_rate: 1.0e-20  # a comment"),
        ({"learning_rate": 1e22}, "learning_rate: 1.0e+22  # a comment"),
        ({"learning_rate": 1.0}, "learning_rate: 1.0  # a comment"),
        ({"depth": 12}, '"depth": 12'),
        ({"tree.kind": "dart"}, "tree: {kind: dart, leaves: 31}   # flow"),
        ({"tree.kind": "a, b", "tree.leaves": 7}, 'tree: {kind: "a, b", leaves: 7}   # flow'),
        ({"layers.1": 8}, "  - 8 # the last"),
        ({"name": "plain"}, "name: 'plain'"),
        ({"name": "it's"}, 'name: "it\'s"'),
        ({"flag": False}, "flag: false"),
        ({"flag": "no"}, 'flag: "no"'),
        ({"tag": "three"}, 'tag: "three"'),
        ({"new_one": 3}, "new_one: 3"),
    ],
)
def test_one_line_changes_and_the_rest_stays(changes: Params, line: str) -> None:
    after = edit(changes)
    assert after is not None
    assert line in after.split("\n")
    same = [each for each in after.split("\n") if each in TEXT.split("\n")]
    assert len(same) >= len(TEXT.split("\n")) - 1
    assert load_params(after, "p.yaml") == {**load_params(TEXT, "p.yaml"), **changes}


@pytest.mark.parametrize("text", ["a: &x 3\nb: *x\n", "a: |\n  text\n", "a: >-\n  x\n", 'a: "two\n  lines"\n', "a:\n"])
def test_what_is_not_plain_to_see_is_left_alone(text: str) -> None:
    assert edit({"a": 5}, text) is None


def test_a_nested_name_that_is_not_there_has_no_change() -> None:
    assert edit({"tree.depth": 5}) is None
    assert edit({"new": 1}, '{"a": 1}', "p.json") is None


def test_json_stays_json() -> None:
    text = '{\n\t"lr": 0.1,\n\t"tree": {"kind": "gbdt", "on": true}\n}\n'
    after = edit({"lr": 1e-07, "tree.kind": 'a "b"', "tree.on": False}, text, "p.json")
    assert after == '{\n\t"lr": 1e-07,\n\t"tree": {"kind": "a \\"b\\"", "on": false}\n}\n'
    assert json.loads(after)["tree"] == {"kind": 'a "b"', "on": False}


def test_a_file_without_an_end_of_line_and_one_of_windows() -> None:
    assert edit({"a": 2}, "a: 1") == "a: 2"
    assert edit({"b": 2}, "a: 1") == "a: 1\nb: 2\n"
    assert edit({"a": 2}, "a: 1\r\nb: 3\r\n") == "a: 2\r\nb: 3\r\n"


VALUES = st.one_of(
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["Cc", "Cf"]), min_size=1),
)


@given(
    st.dictionaries(st.sampled_from(["learning_rate", "depth", "tree.kind", "layers.0", "name", "tag", "x"]), VALUES)
)
def test_the_new_text_says_what_was_meant(changes: Params) -> None:
    after = edit(changes)
    assert after is not None
    expected = {**load_params(TEXT, "p.yaml"), **changes}
    found = load_params(after, "p.yaml")
    assert found == expected
    assert {name: type(value) for name, value in found.items()} == {n: type(v) for n, v in expected.items()}
    assert after.count("#") >= TEXT.count("#")


@given(st.dictionaries(st.sampled_from(["learning_rate", "flag", "x"]), VALUES, min_size=1))
def test_a_reader_of_old_yaml_understands_the_same(changes: Params) -> None:
    """Users' code mostly reads its parameters with PyYAML, which speaks YAML 1.1."""
    after = edit(changes)
    assert after is not None
    found = yaml.safe_load(after)
    assert {name: found[name] for name in changes} == changes


@pytest.mark.parametrize("text", [TEXT, TEXT.rstrip("\n"), "learning_rate: 0.1"])
def test_git_applies_the_change(text: str, tmp_path: Path) -> None:
    after = edit({"learning_rate": 0.25}, text)
    assert after is not None
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    change = unified(text, after, "params.yaml") + "\n"
    subprocess.run(["git", "apply", "--unsafe-paths", "-"], cwd=tmp_path, input=change, text=True, check=True)
    assert (tmp_path / "params.yaml").read_text(encoding="utf-8") == after


@pytest.mark.parametrize(
    "text", ["a: 1 # \u202e\n", f"a: 1 # {'x' * 500}\n", "".join(f"k{n}: 1 # xx\n" for n in range(900))]
)
def test_a_change_that_cannot_be_seen_whole_is_not_shown(text: str) -> None:
    after = text.replace(": 1", ": 2")
    assert unified(text, after, "p.yaml") == ""
