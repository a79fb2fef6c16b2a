"""Draw mutants: one changed operator, constant, test or result in a decision, from a seed, as pinned snippets.

    python -m benchmarks.mutants_draw FILE ... [--seed 9] [--count 200] > drawn.json

What is drawn is a snippet of one function, as small as names it there, so that the same mutants can be put into the
code after it has moved. `mutants_drawn.json` is what was drawn once; drawing from other code gives other mutants.
"""

import argparse
import ast
import json
import random
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.mutants_source import Mutant, SourceFile, StaleError, functions_of, locate, mutated, read_source

ROOT = Path(__file__).parents[1]
_COMPARISONS: Mapping[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
_SENTENCE = re.compile(r"""["'][^"']*[a-z] [a-z]""")
"""Words for people; they change more often than what is decided."""
_SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list"}


@dataclass(frozen=True)
class Change:
    """One part of a function's text and what takes its place.

    Attributes:
        kind: the operator that made it.
        node: the smallest syntax that the snippet has to hold.
        old: its text.
        new: the text with the fault.
    """

    kind: str
    node: ast.AST
    old: str
    new: str


class _Function:
    """What can go wrong in one function."""

    def __init__(self, text: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._text = text
        self._node = node
        self._parents = {child: parent for parent in ast.walk(node) for child in ast.iter_child_nodes(parent)}

    def changes(self) -> Iterator[Change]:
        """Every change that is worth a test."""
        for statement in self._node.body:
            for node in ast.walk(statement):
                if not self._is_wording(node):
                    yield from self._of(node)

    def _of(self, node: ast.AST) -> Iterator[Change]:
        yield from self._operators(node)
        yield from self._values(node)
        yield from self._branches(node)
        if isinstance(node, ast.Return) and node.value is not None:
            yield from self._results(node.value)

    def _operators(self, node: ast.AST) -> Iterator[Change]:
        match node:
            case ast.Compare(left=left, ops=[operator], comparators=[right]) if type(operator) in _COMPARISONS:
                new = f"{self._source(left)} {_COMPARISONS[type(operator)]} {self._source(right)}"
                yield from self._change("comparison", node, new)
            case ast.BoolOp(op=operator, values=values):
                word, other = (" and ", " or ") if isinstance(operator, ast.And) else (" or ", " and ")
                parts = [self._bracketed(each) for each in values]
                yield from self._change("and-or", node, f"({other.join(parts)})")
                for place in range(len(parts)):
                    yield from self._change(
                        "dropped-condition", node, f"({word.join(parts[:place] + parts[place + 1 :])})"
                    )
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield from self._change("negation", node, self._bracketed(operand))

    def _values(self, node: ast.AST) -> Iterator[Change]:
        match node:
            case ast.Constant(value=bool() as value):
                yield from self._change("truth", node, str(not value))
            case ast.Constant(value=int() as value):
                yield from self._change("constant", node, str(value + 1))
            case ast.Call(func=ast.Name(id=name) as called) if name in _SWAPPED:
                if name != "sorted" or len(node.args) + len(node.keywords) == 1:
                    rest = self._source(node)[len(self._source(called)) :]
                    yield from self._change("function", node, _SWAPPED[name] + rest)

    def _branches(self, node: ast.AST) -> Iterator[Change]:
        match node:
            case ast.If(test=test):
                yield from self._change("branch", test, "False")
            case ast.IfExp(body=body, orelse=other):
                yield from self._change("side", node, f"({self._source(body)})")
                yield from self._change("side", node, f"({self._source(other)})")
            case ast.comprehension(ifs=[condition]):
                yield from self._change("filter", condition, "True")

    def _results(self, value: ast.expr) -> Iterator[Change]:
        if "bool" in self._annotation:
            yield from self._change("result", value, "True")
            yield from self._change("result", value, "False")
        elif "None" in self._annotation and not (isinstance(value, ast.Constant) and value.value is None):
            yield from self._change("result", value, "None")

    @property
    def _annotation(self) -> str:
        return ast.unparse(self._node.returns) if self._node.returns else ""

    def _change(self, kind: str, node: ast.AST, new: str) -> Iterator[Change]:
        old = self._source(node)
        if old and old != new:
            yield Change(kind, node, old, new)

    def _bracketed(self, node: ast.expr) -> str:
        source = self._source(node)
        return f"({source})" if isinstance(node, ast.BoolOp | ast.IfExp | ast.Lambda | ast.NamedExpr) else source

    def _source(self, node: ast.AST) -> str:
        return ast.get_source_segment(self._text, node) or ""

    def wider(self, change: Change) -> Iterator[Change]:
        """The change with more and more of the text around it, up to its statement."""
        yield change
        node, old, new = change.node, change.old, change.new
        while not isinstance(node, ast.stmt) and (outer := self._parents.get(node)) is not None:
            around = self._source(outer)
            if isinstance(outer, ast.expr | ast.Return | ast.Assign) and around.count(old) == 1:
                yield Change(change.kind, outer, around, around.replace(old, new))
                old, new = around, around.replace(old, new)
            node = outer

    def _is_wording(self, node: ast.AST) -> bool:
        """Whether only a sentence depends on it: within an f-string, or a choice between texts."""
        inner = node
        while inner is not self._node:
            if _chooses_text(inner) or isinstance(inner, ast.JoinedStr):
                return True
            if isinstance(inner, ast.keyword) and inner.arg in {"hint", "sentence", "detail", "usage"}:
                return True
            inner = self._parents[inner]
        return isinstance(node, ast.Constant) and isinstance(self._parents[node], ast.Expr)


def _chooses_text(node: ast.AST) -> bool:
    return isinstance(node, ast.IfExp) and (_is_text(node.body) or _is_text(node.orelse))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def candidates(file: SourceFile, source: Sequence[SourceFile]) -> Iterator[Mutant]:
    """Every mutant of a module that applies once."""
    for within, node in functions_of(ast.parse(file.text)):
        function = _Function(file.text, node)
        if node.returns is not None and ast.unparse(node.returns) in {"str", "Iterator[str]"}:
            continue  # makes a text
        for number, change in enumerate(function.changes()):
            for wide in function.wider(change):
                name = f"drawn/{file.path.stem}.{within}/{change.kind}-{number}"
                mutant = Mutant(name=name, old=wide.old, new=wide.new, within=within)
                if not _SENTENCE.search(wide.old) and _applies(mutant, file, source):
                    yield mutant
                    break


def _applies(mutant: Mutant, file: SourceFile, source: Sequence[SourceFile]) -> bool:
    try:
        place = locate(mutant, source)
        mutated(mutant, place)
    except StaleError:
        return False
    return place.file is file and any(
        first <= place.start and place.end <= last for first, last in file.functions[mutant.within]
    )


def draw(files: Sequence[SourceFile], source: Sequence[SourceFile], count: int, seed: int) -> list[Mutant]:
    """So many mutants, spread over the functions: each gives one before any gives a second."""
    chance = random.Random(seed)  # noqa: S311 - a draw that can be repeated, no secret
    left: dict[str, list[Mutant]] = defaultdict(list)
    for file in files:
        for mutant in candidates(file, source):
            left[f"{file.path}:{mutant.within}"].append(mutant)
    for each in left.values():
        chance.shuffle(each)
    found: list[Mutant] = []
    while len(found) < count and left:
        names = sorted(left)
        chance.shuffle(names)
        for name in names:
            found.append(left[name].pop())
            if not left[name]:
                del left[name]
    return sorted(found[:count], key=lambda each: each.name)


def main() -> None:
    """Print what was drawn as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mutants_draw", description=(__doc__ or "").split("\n", 1)[0]
    )
    parser.add_argument("files", nargs="+", help="of src/mlbot, without their `.py`: verdict/decide delivery/release …")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=9)
    options = parser.parse_args()
    source = read_source(ROOT / "src" / "mlbot")
    wanted = {Path(f"{each}.py") for each in options.files}
    drawn = draw([file for file in source if file.path in wanted], source, options.count, options.seed)
    rows = [{key: value for key, value in asdict(each).items() if value} for each in drawn]
    json.dump(rows, sys.stdout, indent=1, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
