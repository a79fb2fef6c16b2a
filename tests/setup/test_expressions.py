"""Inputs in GitHub's expressions: what is known is decided, and what stays means what it meant."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.tiers import examples

from mlbot.errors import NotEvaluatedError
from mlbot.setup.expressions import Given, Value, joined, literal, names_status, operand, parts, simplified

GIVEN = Given(
    {
        "install": "pip install 'a b'\n  --no-deps",
        "empty": "",
        "lfs": False,
        "yes": True,
        "days": 5,
        "run": "${{ inputs.run-id }}",
        "either": "${{ a || b }}",
        "mixed": "x ${{ a }} {y}",
        "braces": "{{ github.token }}",
        "Case": "Main",
    },
    {"none": None, "given": "${{ secrets.MINE }}", "two": "${{ secrets.A || secrets.B }}"},
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # a text that is nothing but an input keeps its type
        ("${{ inputs.install }}", "pip install 'a b'\n  --no-deps"),
        ("${{inputs.lfs}}", False),
        ("${{ inputs.days }}", 5),
        ("${{ inputs.run }}", "${{ inputs.run-id }}"),
        ("${{ INPUTS.case }}", "Main"),
        # beside other text it becomes text, and never begins an expression
        ("keep ${{ inputs.days }} days", "keep 5 days"),
        ("a-${{ inputs.yes }}-${{ inputs.run }}", "a-true-${{ inputs.run-id }}"),
        ("$${{ inputs.braces }}", "$${{ '{{ github.token }}' }}"),
        # in an expression it becomes a literal, or the caller's own expression
        ("${{ f(inputs.install) }}", "${{ f('pip install ''a b''\n  --no-deps') }}"),
        ("${{ x || inputs.run }}", "${{ x || inputs.run-id }}"),
        ("${{ !inputs.either }}", "${{ !(a || b) }}"),
        ("${{ f(inputs.mixed, inputs.lfs, inputs.days) }}", "${{ f(format('x {0} {{y}}', a), false, 5) }}"),
        # what is in quotes, or of another context, is left
        ("${{ f('inputs.lfs', 'it''s inputs.days') }}", "${{ f('inputs.lfs', 'it''s inputs.days') }}"),
        ("${{ github.event.inputs.lfs }}", "${{ github.event.inputs.lfs }}"),
        ("${{ fromJSON(x).inputs.lfs }}", "${{ fromJSON(x).inputs.lfs }}"),
        ("${{ format('}}', inputs.days) }}}", "${{ format('}}', 5) }}}"),
        ("inputs.lfs", "inputs.lfs"),
        # secrets that the called workflow declares
        ("${{ secrets.none || github.token }}", "${{ github.token }}"),
        ("${{ secrets.given || github.token }}", "${{ secrets.MINE || github.token }}"),
        ("${{ secrets.two && x }}", "${{ (secrets.A || secrets.B) && x }}"),
        ("${{ a && secrets.none || b }}", "${{ a && '' || b }}"),
        ("${{ secrets.none }}", "${{ '' }}"),
        ("${{ secrets.OTHER }}", "${{ secrets.OTHER }}"),
    ],
)
def test_inputs_and_secrets_are_put_in(text: str, value: Value) -> None:
    assert GIVEN.filled(text) == value
    assert type(GIVEN.filled(text)) is type(value)


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ("inputs.install != ''", "true"),
        ("${{ inputs.empty != '' }}", "false"),
        ("'' == inputs.empty", "true"),
        ("inputs.lfs", "false"),
        ("inputs.lfs == true", "false"),
        ("inputs.days == 5", "true"),
        ("inputs.case == 'MAIN'", "true"),  # GitHub compares texts without their case
        ("inputs.install != '' && a", "a"),
        ("a && inputs.install != '' && b", "a && b"),
        ("a && inputs.empty != ''", "false"),
        ("inputs.yes || a", "true"),
        ("inputs.lfs || a", "a"),
        ("(inputs.empty == '') && a", "a"),
        ("a\n&& b", "a\n&& b"),
        # what is not known, or means something else, is not decided
        ("inputs.run == ''", "inputs.run-id == ''"),
        ("inputs.days == '5'", "5 == '5'"),
        ("!inputs.install == ''", "!'pip install ''a b''\n  --no-deps' == ''"),
        ("'inputs.empty' == x", "'inputs.empty' == x"),
        ("inputs.yes || always()", "true || always()"),  # without it GitHub would add `success() &&`
        ("always() && inputs.empty == ''", "always()"),
        ("f(inputs.empty == '')", "f(true)"),
    ],
)
def test_conditions_that_the_inputs_decide(condition: str, left: str) -> None:
    assert GIVEN.condition(condition) == left


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${{ inputs.other }}", "'other' is not declared"),
        ("${{ f(inputs.other) }}", "'other' is not declared"),
        ("${{ inputs['lfs'] }}", "otherwise than by their names"),
        ("${{ toJSON(inputs) }}", "otherwise than by their names"),
        ("${{ inputs.* }}", "otherwise than by their names"),
        ("${{ inputs.lfs", "an expression without its end"),
        ("${{ 'open }}", "an expression without its end"),
    ],
)
def test_what_cannot_be_put_in_is_refused(text: str, said: str) -> None:
    with pytest.raises(NotEvaluatedError, match=re.escape(said)):
        GIVEN.filled(text)


@pytest.mark.parametrize(
    ("call", "job", "both"),
    [
        (None, "a", "a"),
        ("a", None, "a"),
        (None, None, None),
        ("a || b", "c", "${{ (a || b) && (c) }}"),
        ("a", "${{ b || c }}", "${{ (a) && (b || c) }}"),
        # left alone where the job's own contains it
        ("a && b", "b\n&& c && a", "b\n&& c && a"),
        ("a", "a || b", "${{ (a) && (a || b) }}"),
        ("a", "'x && a'", "${{ (a) && ('x && a') }}"),
        # a status function keeps its meaning
        ("a", "always() && b", "${{ (a) && (always() && b) }}"),
        ("always() && a", "b", "${{ (always() && a) && success() && (b) }}"),
        ("always()", "!cancelled() && b", "${{ (always()) && (!cancelled() && b) }}"),
    ],
)
def test_the_conditions_of_call_and_job_are_joined(call: str | None, job: str | None, both: str | None) -> None:
    assert joined(call, job) == both


def test_a_status_function_is_a_call_and_no_text() -> None:
    assert names_status("a && Always ()")
    assert not names_status("needs.x.result == 'success()' && success")


PIECES = ["'", "''", "${{", "}}", "{", "}", "{0}", "$", "\n", " ", "a", "inputs.x", "&& ||", "é"]
ODD = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
"""Texts of the pieces that quoting and braces fall over."""


def evaluated(text: str, known: dict[str, str]) -> str:
    """A text as GitHub would put it together: literals, names, and `format` of them."""
    return "".join(_value(part.text, known) if part.is_expression else part.text for part in parts(text))


def _value(expression: str, known: dict[str, str]) -> str:
    if expression in known:
        return known[expression]
    if re.fullmatch(r"'(?:[^']|'')*'", expression):
        return expression[1:-1].replace("''", "'")
    found = re.fullmatch(r"format\(('(?:[^']|'')*'), (.*)\)", expression, re.DOTALL)
    assert found, expression
    words = [known[name] for name in found[2].split(", ")]
    pattern = found[1][1:-1].replace("''", "'")
    return re.sub(r"\{\{|\}\}|\{(\d+)\}", lambda one: words[int(one[1])] if one[1] else one[0][0], pattern)


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"])) | ODD, max_size=3), ODD, ODD)
@settings(max_examples=examples(300))
def test_a_literal_means_itself_wherever_it_is_put(words: list[str], before: str, after: str) -> None:
    value = "".join(words).replace("${{", "$ {{")
    before, after = (text.replace("$", "") for text in (before, after))
    call = Given({"x": value}, {})
    assert call.filled("${{ inputs.x }}") == value
    text = f"{before} ${{{{ inputs.x }}}}{after}"
    assert evaluated(str(call.filled(text)), {}) == f"{before} {value}{after}"
    inside = call.expression("f(inputs.x, inputs.x != '', 'inputs.x')")
    assert inside == f"f({literal(value)}, {str(value != '').lower()}, 'inputs.x')"


@given(st.lists(ODD.map(lambda text: text.replace("$", "")), min_size=2, max_size=4))
@settings(max_examples=examples(300))
def test_a_callers_expression_means_the_same_in_another(pieces: list[str]) -> None:
    value = "${{ e.f }}".join(pieces)
    known = {"e.f": "V'{0}"}
    assert _value(operand(value), known) == known["e.f"].join(pieces)


@given(st.recursive(st.sampled_from(["a", "b", "true", "false"]), lambda inner: st.builds(
    lambda one, sign, other: f"({one}) {sign} ({other})", inner, st.sampled_from(["&&", "||"]), inner
), max_leaves=6))  # fmt: skip
@settings(max_examples=examples(200))
def test_a_simpler_condition_is_as_true(condition: str) -> None:
    for a in (True, False):
        for b in (True, False):
            assert truth(simplified(condition), a=a, b=b) is truth(condition, a=a, b=b)


def truth(condition: str, *, a: bool, b: bool) -> bool:
    words = {"a": str(a), "b": str(b), "true": "True", "false": "False", "&&": "and", "||": "or"}
    python = re.sub(r"\w+|&&|\|\|", lambda word: words[word[0]], condition)
    return bool(eval(python, {"__builtins__": {}}))  # noqa: S307 - of the six words above
