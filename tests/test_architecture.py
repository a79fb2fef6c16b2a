"""The rule of the rooms: imports point down, only `run_*.py` reaches an edge, light paths import nothing heavy."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "mlbot"
ORDER = [
    *["lib", "gates", "events", "stats", "config", "data", "ledger", "verdict", "protocol", "plan", "training"],
    *["registry", "commands", "report", "judging", "delivery", "publish", "monitoring", "setup", "cli"],
]
"""The rooms, bottom up: each imports from those before it."""
EDGES = {"git", "github", "ml", "storage"}
"""What does I/O. An edge may import the pure files of rooms; rooms import it from `run_*.py` alone."""
SHARED = {"errors", "console"}
"""Files beside the rooms that every room may import; the streams of `console` are not for pure files."""
OWNERS = {
    "numpy": {"stats", "ml", "judging", "data", "monitoring"},
    "scipy": {"stats", "data", "monitoring"},
    "polars": {"ml", "data", "judging"},
    "sklearn": {"ml"},
    "skl2onnx": {"ml"},
    "onnx": {"ml"},
    "onnxruntime": {"ml"},
    "altair": {"ml"},
    "vl_convert": {"ml"},
    "fsspec": {"ml", "storage"},
    "jinja2": {"lib"},
    "yaml": {"config", "lib"},
    "ruamel": {"setup"},
    "cmarkgfm": {"commands"},
    "rich": {"lib", "console"},
    "github": {"github"},
    "requests": {"github", "storage"},
    "urllib3": {"github", "storage"},
    "click": {"cli", "entry"},
}
"""Who may import a package: nobody else has to know it."""
TEMPLATES = "lib/templates.py"
"""The one pure file that reads a folder: mlbot's own templates and examples."""
IMPURE = {"os", "sys", "subprocess", "socket", "random", "time", "tempfile", "shutil", "pathlib", "secrets"}
PURE_PACKAGES = {"pydantic", "pydantic_core", "annotated_types", "ruamel"}

Files = Mapping[str, str]
"""Source by path below the package."""


def files() -> Files:
    return {str(path.relative_to(SOURCE)): path.read_text(encoding="utf-8") for path in sorted(SOURCE.rglob("*.py"))}


def room(path: str) -> str:
    return path.split("/", maxsplit=1)[0].removesuffix(".py")


def is_pure(path: str) -> bool:
    name = path.rsplit("/", maxsplit=1)[-1]
    return room(path) in ORDER and room(path) != "cli" and not name.startswith("run_")


def imports(source: str, all_files: Files) -> Iterator[str]:
    """Whole names of what a file imports: the module where it is one of mlbot's, else what is named."""
    for module, name in statements(source):
        yield f"{module}.{name}" if name and path_of(f"{module}.{name}") in all_files else module


@cache
def statements(source: str) -> tuple[tuple[str, str], ...]:
    """Module and name of every import of a file, wherever it is."""
    found: list[tuple[str, str]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(str(node.module), alias.name) for alias in node.names]
    return tuple(found)


def path_of(module: str) -> str:
    return "/".join(module.split(".")[1:]) + ".py"


def violations(all_files: Files) -> list[str]:
    """Every import that breaks the rule, as `file -> module: why`."""
    found = []
    for path, source in all_files.items():
        for module in imports(source, all_files):
            why = _own(path, module) if module.partition(".")[0] == "mlbot" else _foreign(path, module)
            if why:
                found.append(f"{path} -> {module}: {why}")
    return found + [f"circle: {' '.join(circle)}" for circle in circles(all_files)]


def _own(path: str, module: str) -> str | None:
    own, other, runs = room(path), module.partition(".")[2].partition(".")[0], "/run_" in path_of(module)
    if own in {"entry", "__main__"} and other not in {"", "__version__", "errors", "cli", "entry"}:
        return "only the command line"
    if is_pure(path) and (other in EDGES or other == "console" or runs):
        return "a pure file"
    if own in EDGES and own != other and (other in EDGES or runs):
        return "an edge imports no other edge and no `run_*.py`"
    if own in ORDER and other in ORDER and ORDER.index(other) > ORDER.index(own):
        return "rooms import downwards"
    return None


def _foreign(path: str, module: str) -> str | None:
    first = module.partition(".")[0]
    if (path, first) == (TEMPLATES, "pathlib"):
        return None
    if first in OWNERS:
        return None if room(path) in OWNERS[first] else f"only {', '.join(sorted(OWNERS[first]))}"
    if not is_pure(path):
        return None
    if first in IMPURE or (first not in PURE_PACKAGES and first not in sys.stdlib_module_names):
        return "a pure file"
    return None


def circles(all_files: Files) -> list[list[str]]:
    """The rooms that reach themselves by others."""
    arrows: dict[str, set[str]] = {}
    for path, source in all_files.items():
        for module in imports(source, all_files):
            if module.startswith("mlbot.") and (other := module.split(".")[1]) != room(path):
                arrows.setdefault(room(path), set()).add(other)
    return [[start] for start in sorted(arrows) if start in _reached(arrows, start)]


def _reached(arrows: Mapping[str, set[str]], start: str) -> set[str]:
    reached, left = set[str](), set(arrows[start])
    while left:
        one = left.pop()
        reached.add(one)
        left |= arrows.get(one, set()) - reached
    return reached


def test_the_rule_of_the_rooms() -> None:
    assert violations(files()) == []


def test_no_room_is_left_out_of_the_rule() -> None:
    known = {*ORDER, *EDGES, *SHARED, "entry", "__main__", "__init__"}
    assert {room(path) for path in files()} == known


@pytest.mark.parametrize(
    ("path", "line", "why"),
    [
        ("gates/metric.py", "from mlbot.config.schema import Config", "downwards"),
        ("config/schema.py", "from mlbot.report import report", "downwards"),
        ("delivery/release.py", "from mlbot.git.tags import read_tags", "a pure file"),
        ("plan/plan.py", "from mlbot.plan import run_plan", "a pure file"),
        ("plan/plan.py", "import subprocess", "a pure file"),
        ("verdict/decide.py", "import numpy as np", "only data, judging, ml, monitoring, stats"),
        ("git/tags.py", "from mlbot.github.api import GitHub", "no other edge"),
        ("storage/oci.py", "from mlbot.delivery.run_promote import promote", "no `run_*.py`"),
        ("entry.py", "from mlbot.judging.run_local import run", "only the command line"),
        ("git/tags.py", "def f():\n    from mlbot.delivery.release import ReleaseFacts", "circle"),
    ],
)
def test_a_planted_import_breaks_the_rule(path: str, line: str, why: str) -> None:
    planted = dict(files())
    planted[path] += f"\n{line}\n"
    assert any(why in each for each in violations(planted))


LIGHT = {"numpy", "scipy", "polars", "sklearn", "onnx", "onnxruntime", "github", "altair", "pydantic", "jinja2", "yaml"}


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["run", "--help"]])
def test_a_light_path_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom mlbot.entry import invoke\n"
        f"assert invoke({arguments!r}) == 0\n"
        f"print(sorted({LIGHT!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_no_sentence_is_read_before_somebody_needs_it() -> None:
    """The tables of sentences and the templates take a tenth of a second: a refused command has no use for them."""
    code = (
        "import pkgutil, mlbot\nfrom mlbot.lib import templates\n"
        "for each in pkgutil.walk_packages(mlbot.__path__, 'mlbot.'):\n"
        "    each.name.endswith('__main__') or __import__(each.name)\n"
        "print(templates.environment.cache_info().misses, templates._table.cache_info().misses)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "0"]


WORDS_OF_NO_NAME = {"mend", "told", "said", "unsaid", "stands", "desk", "home", "kept"}
"""Words that say too little in a name, by decision: glossary.md has those of the field."""


def names(tree: ast.AST) -> Iterator[str]:
    """The names that a file gives: of functions, classes, arguments and variables."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def test_names_are_words_of_the_field() -> None:
    given = {path: sorted(set(names(ast.parse(text)))) for path, text in files().items()}
    assert [f"{path}: {name}" for path, own in given.items() for name in own if words(name) & WORDS_OF_NO_NAME] == []
