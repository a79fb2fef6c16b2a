"""YAML as plain data with positions: what scalars mean, what is refused, and how fast."""

import json
import time

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.tiers import examples

from mlbot.config import yaml as yamlfile
from mlbot.config.errors import ConfigError, Plain, Position
from mlbot.config.params import load_params
from mlbot.config.yaml import MAX_BYTES, load, plain_top

LOADERS = [yaml.SafeLoader, *([yaml.CSafeLoader] if hasattr(yaml, "CSafeLoader") else [])]


@pytest.fixture(params=LOADERS, ids=lambda loader: str(loader.__name__))
def either_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML with and without libyaml have to agree, errors included."""
    monkeypatch.setattr(yamlfile, "_Composer", type("_Composer", (yamlfile._Limits, request.param), {}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("'true'", "true"),
        ("null", None),
        ("~", None),
        ("", None),
        ("''", ""),
        ("0", 0),
        ("-12", -12),
        ("+12", 12),
        ("010", "010"),
        ("0o17", 15),
        ("0xfF", 255),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"),
        ("1e-3", 0.001),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("00.5", 0.5),
        ("-.inf", float("-inf")),
        ("1" * 65, "1" * 65),
        ("1.2.3", "1.2.3"),
        ('">50K"', ">50K"),
        ("=", "="),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(text: str, expected: Plain, either_parser: None) -> None:
    del either_parser
    data = load(f"a: {text}", "x.yaml").data
    assert isinstance(data, dict)
    assert data["a"] == expected
    assert type(data["a"]) is type(expected)


def test_keys_stay_text(either_parser: None) -> None:
    del either_parser
    assert load("on: 1\n1: 2\ntrue: 3\nnull: 4\n1.0: 5\n? x\n: 6", "x.yaml").data == {
        "on": 1,
        "1": 2,
        "true": 3,
        "null": 4,
        "1.0": 5,
        "x": 6,
    }


def test_knows_where_everything_stands(either_parser: None) -> None:
    del either_parser
    document = load("# first\nmodels:\n  income:\n    drop: [a,\n      b]\n  'x y': {k: 1}\n", "x.yaml")
    assert document.key(("models", "income")) == Position(3, 3)
    assert document.values.get(("models", "income")) == Position(4, 5)
    assert document.values.get(("models", "income", "drop")) == Position(4, 11)
    assert document.values.get(("models", "income", "drop", 1)) == Position(5, 7)
    assert document.key(("models", "income", "drop", 1)) == Position(5, 7)
    assert document.key(("models", "x y", "k")) == Position(6, 11)
    assert document.values.get(()) == Position(2, 1)
    assert document.values.get(("models", "none", 3)) is None
    assert document.values.get(("models", 0)) is None
    assert document.values.get(("models", "income", "drop", 2)) is None
    assert document.nearest(("models", "income", "target", "x")) == Position(3, 3)


def test_aliases_and_merges_keep_their_places(either_parser: None) -> None:
    del either_parser
    text = "a: &d {x: 1, y: 2}\nb:\n  <<: *d\n  y: 3\nc: *d\nd:\n  <<: [{x: 5}, *d]\n'<<': 1\n"
    document = load(text, "x.yaml")
    assert document.data == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
        "c": {"x": 1, "y": 2},
        "d": {"x": 5, "y": 2},
        "<<": 1,
    }
    assert document.key(("b", "x")) == Position(1, 8)
    assert document.key(("b", "y")) == Position(4, 3)
    assert document.key(("c",)) == Position(5, 1)
    assert document.values.get(("c", "x")) == Position(1, 11)


LAUGHS = "a0: &a0 [x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 9)
)
DEEP = "a0: &a0 [x]\n" + "".join(f"a{level}: &a{level} [*a{level - 1}]\n" for level in range(1, 90))

CHAIN = "a0: &a0 {x: 1}\n" + "".join(f"a{level}: &a{level} {{<<: *a{level - 1}}}\n" for level in range(1, 90))
EMPTY = "a0: &a0 {}\n" + "".join(
    f"a{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * 300)}]}}\n" for level in range(1, 5)
)

REFUSED = {
    "a: 1\nb: 2\na: 3": ':3: a: found the key "a" a second time; the first is in line 1 → keep one of them',
    "a: {b: 1, b: 2}": ':1: a.b: found the key "b" a second time; the first is in line 1 → keep one of them',
    "a:\n\tb: 1": ":2: found a tab → indent with spaces",
    "a: %x": ":1: found text that starts with % → put the text in quotes",
    "a: @x": ":1: found text that starts with @ → put the text in quotes",
    "a: b: c": ":1: found a `:` that cannot stand here → put text that contains `: ` in quotes, or fix the indentation",
    "a: >50K": ":1: found text that starts with > or | → put the text in quotes",
    "a: 'x": ":1: found a quote or bracket that is never closed → close it",
    "a: [1,\n": ":1: found a quote or bracket that is never closed → close it",
    "a: 1\nb: 'x\nc: 1\n": ":2: found a quote or bracket that is never closed → close it",
    "a: {": ":1: found a quote or bracket that is never closed → close it",
    "a: 1\nb\nc: 1": ":2: found a line without `: ` → write `key: value`, and check the quotes above",
    "a: 1\nb": ":2: found a line without `: ` → write `key: value`, and check the quotes above",
    'a: "\\q"': ":1: found a backslash escape that YAML does not know → put the text in single quotes",
    "a:\n  - x\n b: 1": ":3: found a mistake in the YAML → check the indentation, quotes and brackets here and in the "
    "line above",
    "a: 1\n---\nb: 2": ":2: found a second document → keep one document: delete the `---` and what follows",
    "a: !!python/object/apply:os.system [x]": ':1: a: found the tag "tag:yaml.org,2002:python/object/apply:os.system" '
    "→ write plain YAML without tags",
    "!!str a: 1": ':1: found the tag "tag:yaml.org,2002:str" → write plain YAML without tags',
    "? [a]\n: 1": ":1: found a key that is no plain text → write a name as the key",
    "? {a: 1}\n: 1": ":1: found a key that is no plain text → write a name as the key",
    "a: *x": ':1: found the alias "*x" → define its anchor before it',
    "a: &x [*x]": ":1: a[0]: found an alias inside of its own anchor → define its anchor outside of it",
    "a: &x {<<: *x}": ':1: a."<<": found an alias inside of its own anchor → define its anchor outside of it',
    "<<: 1": ':1: "<<": found `<<` without a mapping → give it the alias of a mapping: `<<: *defaults`',
    "<<: [{}, 1]": ':1: "<<": found `<<` without a mapping → give it the alias of a mapping: `<<: *defaults`',
    "a: x\x00y": ":1: found the control character U+0000 → delete it, or write it as an escape in quotes",
    "a: 1\nb: \x1b[31m": ":2: found the control character U+001B → delete it, or write it as an escape in quotes",
    "a: \ud800": ":1: found the control character U+D800 → delete it, or write it as an escape in quotes",
    "[" * 100_000: ":1: " + "[0]" * 64 + ": found more than 64 levels → make it flatter",
    "{a: " * 65 + "1" + "}" * 65: ":1: " + ".".join("a" * 64) + ": found more than 64 levels → make it flatter",
    "a: {<<: &x {<<: [*x]}}": ':1: a."<<": found an alias inside of its own anchor → define its anchor outside of it',
    "a: &x 1\nb: &x 2": ":2: found an anchor's name a second time → give each anchor a name of its own",
    "<<: {? [a]\n: 1}": ":1: found a key that is no plain text → write a name as the key",
    CHAIN: ":64: a63" + '."<<"' + ": found more than 64 levels → make it flatter",
    EMPTY: ":4: a3" + '."<<"' + ": found more than 200,000 values → make the file smaller, or use fewer aliases",
    LAUGHS: ":7: a6[0][4][1][8][6][8]: found more than 200,000 values → make the file smaller, or use fewer aliases",
    DEEP: ":64: a63" + "[0]" * 63 + ": found more than 64 levels → make it flatter",
    "x" * (MAX_BYTES + 1): ": found a file of 2,097,153 bytes → keep it below 2,097,152 bytes",
}


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_refuses(text: str, either_parser: None) -> None:
    del either_parser
    with pytest.raises(ConfigError) as caught:
        load(text, "x.yaml")
    line, count = str(caught.value).splitlines()
    assert line == "x.yaml" + REFUSED[text]
    assert count == "1 problem in x.yaml"


def test_names_every_duplicate() -> None:
    with pytest.raises(ConfigError) as caught:
        load("a: 1\na: 2\nb:\n  c: 1\n  c: 2\n  c: 3\n", "x.yaml")
    assert [problem.position for problem in caught.value.problems] == [(2, 1), (5, 3), (6, 3)]


def test_reads_bytes_of_utf_8_with_or_without_a_mark() -> None:
    assert load("a: ä".encode(), "x.yaml").data == {"a": "ä"}
    assert load("\ufeffa: ä".encode(), "x.yaml").data == {"a": "ä"}
    assert load("\ufeffa: ä", "x.yaml").data == {"a": "ä"}


def test_refuses_other_encodings_with_the_line() -> None:
    with pytest.raises(ConfigError, match=r"x\.yaml:2: found bytes that are no UTF-8 → save the file as UTF-8"):
        load("a: 1\nb: ä".encode("latin-1"), "x.yaml")


def test_an_empty_file_is_nothing() -> None:
    assert load("", "x.yaml").data is None
    assert load("# only a comment\n", "x.yaml").data is None
    assert load("", "x.yaml").nearest(("a",)) is None


def test_a_file_of_500_models_loads_quickly() -> None:
    model = "  m{}:\n" + "".join(f"    key{line}: {{name: value, list: [1, 2.5, true]}}\n" for line in range(16))
    text = "models:\n" + "".join(model.replace("{}", str(number), 1) for number in range(500))
    start = time.process_time()
    document = load(text, "x.yaml")
    assert time.process_time() - start < 2.0  # seconds of CPU; 0.3 on the machine this was written on
    assert document.key(("models", "m499", "key15")) == Position(8501, 5)


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
)
KEYS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)
DATA = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))


@given(DATA)
def test_reads_back_what_pyyaml_writes(data: Plain) -> None:
    """YAML 1.1's writer quotes whatever YAML 1.1 could misread, which YAML 1.2 reads the same."""
    assert load(yaml.safe_dump(data, allow_unicode=True), "x.yaml").data == data


@given(DATA)
def test_reads_json_as_yaml(data: Plain) -> None:
    text = json.dumps({"a": data}, ensure_ascii=False).replace("\x7f", "")
    assert load(text, "x.yaml").data == json.loads(text)


SCRAPS = st.lists(st.sampled_from([*"{}[]:,-?&*!|>'\"%@#\n\t ", "a", "<<", "1", "---", "*a", "&a", "!!x"])).map("".join)


@given(st.one_of(SCRAPS, st.text(), st.binary()))
@settings(max_examples=examples(200))
@example("&a : *a")
@example("- &a\n- *a")
@example("%TAG ! x\n---\na")
@example("%YAML 9.9\n---\na")
def test_any_text_is_read_or_refused(text: str | bytes) -> None:
    for loader in LOADERS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(yamlfile, "_Composer", type("_Composer", (yamlfile._Limits, loader), {}))
            try:
                load(text, "x.yaml")
                load_params(text, "x.yaml")
                load_params(text, "x.json")
            except ConfigError as error:
                assert str(error).endswith("in x.yaml") or str(error).endswith("in x.json")  # noqa: PT017


PLAIN = """\
version: 1
guard: [main, "release"]
models: {a: {guard: [no, 1]}}
store: ""
"""


@pytest.mark.parametrize(
    ("text", "guard"),
    [
        (PLAIN, ["main", "release"]),
        (PLAIN.replace('[main, "release"]', "\n- main\n- release"), ["main", "release"]),
        (PLAIN.replace('guard: [main, "release"]\n', ""), None),
        ("models: {a: {b: [guard]}}\nguard: [main]", ["main"]),
        ("guard: [main]\nguard: [dev]", None),
        ("x: &x dev\nguard: [main, *x]", None),
        ("x: &x {guard: [main]}\n<<: *x", None),
        ("<<: {guard: [main]}\nversion: 1", None),
        ("? [a]\n: b\nguard: [main]", None),
        ("guard: !!str main", []),
        ("- guard\n- [main]", None),
        ("guard", None),
        ("guard: [main\n", None),
        ("", None),
        ("[" * 100_000, None),
    ],
)
def test_the_top_of_a_file_without_the_rest(text: str, guard: list[str] | None) -> None:
    assert plain_top(text.encode()).get("guard") == guard


@given(st.binary(max_size=60) | st.text(alphabet="guard: [a]-\n&*!{}'\"#|", max_size=60).map(str.encode))
def test_any_bytes_have_a_top_or_none(raw: bytes) -> None:
    assert all(isinstance(word, str) for words in plain_top(raw).values() for word in words)
