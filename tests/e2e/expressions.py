"""Replacing names inside ``${{ }}``: what act gets wrong, it is told in writing."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

EXPRESSION: Final = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
TOKEN: Final = re.compile(r"(?<![\w.])(?:github\.token|secrets\.GITHUB_TOKEN)(?![\w-])")
PUT_OUT: Final = re.compile(r"(?<![\w.])needs\.([\w-]+)\.outputs\.([\w-]+)")
SECRET: Final = re.compile(r"(?<![\w.])secrets\.(\w+)")


def literal(value: object) -> str:
    """A string of the expression language."""
    return "'" + str(value).replace("'", "''") + "'"


def replaced(node: Any, change: Callable[[str], str], key: str = "") -> Any:
    """A copy of YAML with every expression changed; a bare ``if:`` is an expression too."""
    if isinstance(node, Mapping):
        return {name: replaced(value, change, str(name)) for name, value in node.items()}
    if isinstance(node, list):
        return [replaced(value, change) for value in node]
    if not isinstance(node, str):
        return node
    if key == "if" and "${{" not in node:
        return change(node)
    return EXPRESSION.sub(lambda found: "${{" + change(found[1]) + "}}", node)


def of_jobs_that_ran(text: str) -> str:
    """Outputs of a skipped job are empty; act hands on the text that they are written as."""
    return PUT_OUT.sub(r"(needs.\1.result != 'skipped' && needs.\1.outputs.\2 || '')", text)


def naming(names: Mapping[str, object]) -> Callable[[str], str]:
    """Replace contexts (``github.workflow``) by their values in an expression."""
    pattern = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, names))})(?![\w-])")
    return lambda text: pattern.sub(lambda found: literal(names[found[0]]), text)


def plain(value: Any, inputs: Mapping[str, Any]) -> Any:
    """The value of a text that is one expression of one input, or that holds none; None when it cannot be known."""
    if not isinstance(value, str) or "${{" not in value:
        return value
    found = re.fullmatch(r"\s*\$\{\{\s*(?:github\.event\.)?inputs\.([\w-]+)\s*\}\}\s*", value)
    return inputs.get(found[1]) if found else None


def put_out(value: Any, inputs: Mapping[str, Any]) -> Any:
    """The value of a text that is one output of an earlier job, where a dispatch has an input of the same name.

    The jobs of a run are exported before any of them ran, so what an earlier one puts out is not known yet.
    """
    found = re.fullmatch(r"\s*\$\{\{\s*needs\.[\w-]+\.outputs\.([\w-]+)\s*\}\}\s*", str(value))
    return inputs.get(found[1]) if found else None
