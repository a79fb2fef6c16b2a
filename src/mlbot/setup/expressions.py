"""GitHub's expressions as text: inputs put in, conditions that are known decided, two conditions joined.

Nothing is evaluated but what is known while a file is written; what stays is what its author wrote.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from mlbot.errors import NotEvaluatedError

Value = str | bool | int | float
"""What an input is: plain, or a text with expressions of the caller's in it."""

_TOKEN = re.compile(
    r"'(?:[^']|'')*'"  # a text; a quote in it is doubled
    r"|\.?[A-Za-z_][\w-]*(?:\.[\w*-]+)*"  # a path; after a bracket it begins with a dot
    r"|[0-9+-][\w.+-]*|==|!=|<=|>=|&&|\|\||\s+|.",
    re.DOTALL,
)
_COMPARING = frozenset({"==", "!=", "<", ">", "<=", ">="})
_STATUS = frozenset({"always", "cancelled", "failure", "success"})
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")


class Part(NamedTuple):
    """A piece of a text: an expression without its braces, or what is around."""

    text: str
    is_expression: bool


def parts(text: str) -> list[Part]:
    """The pieces of a text; two braces inside of an expression's quotes do not end it."""
    found: list[Part] = []
    at = 0
    while (start := text.find("${{", at)) >= 0:
        end = _end(text, start + 3)
        found += [Part(text[at:start], False), Part(text[start + 3 : end].strip(), True)]
        at = end + 2
    return [part for part in (*found, Part(text[at:], is_expression=False)) if part.is_expression or part.text]


def _end(text: str, start: int) -> int:
    for token in _TOKEN.finditer(text, start):
        if token[0] == "'":
            break
        if text.startswith("}}", token.start()):
            return token.start()
    raise NotEvaluatedError(f"an expression without its end: {text[start - 3 : start + 60]!r}")


def _tokens(expression: str) -> list[str]:
    return _TOKEN.findall(expression)


def bare(condition: str) -> str:
    """A condition without the braces that may be around the whole of it."""
    found = parts(condition)
    return found[0].text if len(found) == 1 and found[0].is_expression else condition.strip()


def literal(value: str) -> str:
    """A text as an expression has it."""
    return "'" + value.replace("'", "''") + "'"


def operand(value: Value) -> str:
    """A value as part of an expression."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return str(value)
    found = parts(value)
    if not any(part.is_expression for part in found):
        return literal(value)
    if len(found) == 1:
        inside = found[0].text
        return f"({inside})" if any(not re.fullmatch(r"[\w.'*-].*", token) for token in _tokens(inside)) else inside
    expressions = [part.text for part in found if part.is_expression]
    numbers = iter(range(len(expressions)))
    pattern = "".join(
        f"{{{next(numbers)}}}" if part.is_expression else part.text.replace("{", "{{").replace("}", "}}")
        for part in found
    )
    return f"format({', '.join([literal(pattern), *expressions])})"


class Given(NamedTuple):
    """What a call gives: inputs, and the secrets that the called workflow declares."""

    inputs: Mapping[str, Value]
    secrets: Mapping[str, Value | None]
    """What the caller gives for each; None where it gives none."""

    def filled(self, text: str) -> Value:
        """A text with the inputs put in; what is nothing but an input keeps the input's type."""
        found = parts(text)
        if len(found) == 1 and found[0].is_expression and (name := self._input(found[0].text)) is not None:
            return self.inputs[name]
        return "".join(self._filled(part) if part.is_expression else part.text for part in found)

    def _filled(self, part: Part) -> str:
        name = self._input(part.text)
        if name is None:
            return f"${{{{ {self.expression(part.text)} }}}}"
        value = self.inputs[name]
        if isinstance(value, str) and not any(each.is_expression for each in parts(value)) and set(value) & {"$", "{"}:
            return f"${{{{ {literal(value)} }}}}"  # beside the text around it, it could begin an expression
        return str(value).lower() if isinstance(value, bool) else str(value)

    def _input(self, expression: str) -> str | None:
        """The input that an expression is, and nothing else."""
        context, _, name = expression.partition(".")
        if context.lower() != "inputs" or not re.fullmatch(r"[A-Za-z_][\w-]*", name):
            return None
        return self._known(name, expression)

    def _known(self, name: str, expression: str) -> str:
        found = next((each for each in self.inputs if each.lower() == name.lower()), None)
        if found is None:
            raise NotEvaluatedError(f"the input {name!r} is not declared, and read in {expression!r}")
        return found

    def condition(self, text: str) -> str:
        """A condition, without braces, that is `true` or `false` where the inputs decide it."""
        return simplified(self.expression(bare(text)))

    def expression(self, expression: str) -> str:
        """An expression with the inputs and secrets put in; comparisons that the inputs decide are decided first."""
        tokens = self._secrets(self._decided(_tokens(expression)))
        return "".join(self._operand(token, expression) for token in tokens).strip()

    def _operand(self, token: str, expression: str) -> str:
        context, _, name = token.partition(".")
        if context.lower() != "inputs":
            return token
        if not re.fullmatch(r"[A-Za-z_][\w-]*", name):
            raise NotEvaluatedError(f"inputs are read otherwise than by their names in {expression!r}")
        return operand(self.inputs[self._known(name, expression)])

    def _decided(self, tokens: list[str]) -> list[str]:
        """Tokens with each comparison of an input's known value and a literal as what it comes to."""
        made = list(tokens)
        solid = [place for place, token in enumerate(tokens) if not token.isspace()]
        for at in range(len(solid) - 2):
            left, sign, right = (tokens[place] for place in solid[at : at + 3])
            around = {tokens[solid[at - 1]] if at else "", tokens[solid[at + 3]] if at + 3 < len(solid) else ""}
            if sign not in {"==", "!="} or around & {*_COMPARING, "!", "[", "."}:
                continue
            one, other = self._constant(left), self._constant(right)
            if one is None or other is None or type(one) is not type(other):
                continue
            is_equal = one.lower() == other.lower() if isinstance(one, str) and isinstance(other, str) else one == other
            made[solid[at]] = str(is_equal is (sign == "==")).lower()
            made[solid[at] + 1 : solid[at + 2] + 1] = [""] * (solid[at + 2] - solid[at])
        return [token for token in made if token]

    def _constant(self, word: str) -> Value | None:
        """What a word is known to be: a literal, or an input without an expression of the caller's."""
        if word.startswith("'"):
            return word[1:-1].replace("''", "'")
        if word in {"true", "false"}:
            return word == "true"
        if _NUMBER.fullmatch(word):
            return float(word)
        name = self._input(word)
        value = None if name is None else self.inputs[name]
        if isinstance(value, str) and "${{" in value:
            return None
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value

    def _secrets(self, tokens: list[str]) -> Iterator[str]:
        """Tokens with the caller's expression for each declared secret; `secrets.x || y` is `y` without one."""
        rest, before = list(tokens), ""
        while rest:
            token = rest.pop(0)
            context, _, name = token.partition(".")
            known = {each.lower(): value for each, value in self.secrets.items()}
            if context.lower() == "secrets" and name.lower() in known:
                value = known[name.lower()]
                after = [each for each in rest if not each.isspace()][:1]
                if value is None and after == ["||"] and before in {"", "(", "||", ","}:
                    del rest[: rest.index("||") + 1]
                    rest = _stripped(rest)
                    continue
                token = "''" if value is None else operand(value)
            yield token
            before = before if token.isspace() else token


def _stripped(tokens: list[str]) -> list[str]:
    return tokens[1:] if tokens and tokens[0].isspace() else tokens


def names_status(expression: str) -> bool:
    """Whether an expression has a status function: without one, GitHub adds `success() &&`."""
    solid = [token for token in _tokens(expression) if not token.isspace()]
    return any(name.lower() in _STATUS and after == "(" for name, after in itertools.pairwise(solid))


def _split(expression: str, sign: str) -> list[str]:
    """The operands of an operator outside of brackets."""
    found, depth = [""], 0
    for token in _tokens(expression):
        depth += (token in {"(", "["}) - (token in {")", "]"})
        if depth == 0 and token == sign:
            found.append("")
        else:
            found[-1] += token
    return [each.strip() for each in found]


def simplified(condition: str) -> str:
    """A condition without what is `true` in it; only for conditions, where nothing but the truth of a value counts."""
    terms = [_factors(term) for term in _split(condition, "||")]
    left = [term for term in terms if term != "false"]
    if "true" in left and not names_status(condition):
        return "true"
    if len(left) == len(terms) and [*left] == _split(condition, "||"):
        return condition
    return " || ".join(left) or "false"


def _factors(term: str) -> str:
    factors = [_inside(factor) for factor in _split(term, "&&")]
    left = [factor for factor in factors if factor != "true"]
    if "false" in left:
        return "false"
    return term if left == _split(term, "&&") else " && ".join(left) or "true"


def _inside(factor: str) -> str:
    """A factor; one in brackets that comes to something simpler is that."""
    if not _is_bracketed(factor):
        return factor
    within = simplified(factor[1:-1].strip())
    return within if within in {"true", "false"} else factor


def _is_bracketed(factor: str) -> bool:
    depth, tokens = 0, _tokens(factor)
    for place, token in enumerate(tokens):
        depth += token.count("(") - token.count(")") if len(token) == 1 else 0
        if depth == 0:
            return bool(place) and place == len(tokens) - 1
    return False


def joined(call: str | None, job: str | None) -> str | None:
    """The condition of a job that stood in a called workflow: that of the call and its own."""
    if call is None or job is None:
        return call if job is None else job
    outer, inner = bare(call), bare(job)
    if set(_plain(_split(outer, "&&"))) <= set(_plain(_split(inner, "&&"))) and len(_split(inner, "||")) == 1:
        return job
    # A status function of the call's takes `success() &&` away from the job, whose own it was.
    own = ["success()"] if names_status(outer) and not names_status(inner) else []
    return f"${{{{ {' && '.join([f'({outer})', *own, f'({inner})'])} }}}}"


def _plain(factors: Iterable[str]) -> Sequence[str]:
    return [" ".join(factor.split()) for factor in factors]
