"""Imports point one way, and heavy packages stay out of the light paths."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "mlbot"
FILES = sorted(SOURCE.rglob("*.py"))
SHARED = {"errors"}
EDGES = {
    "stats",
    "modeling",
    "github",
    "git",
    "stores",
    "targets",
    "transfer",
    "render",
    "resources",
    "yamlfile",
    "console",
}
MAY_IMPORT = {
    "core": set[str](),
    **{edge: {"core"} for edge in EDGES},
    "activities": {"core"} | EDGES,
    "cli": {"activities", "cli_options", "cli_command", "cli_registry", "cli_release", "cli_setup", "console"},
    "cli_registry": {"activities", "cli_options", "console"},
    "cli_release": {"activities", "cli_options", "console", "core"},
    "cli_setup": {"activities", "cli_options", "console"},
    "cli_command": {"activities", "cli_options", "console", "core"},
    "cli_options": {"core"},
    "entry": {"cli"},
    "__main__": {"entry"},
}
MAY_IMPORT["render"] = {"core", "resources"}
MAY_IMPORT["stores"] = MAY_IMPORT["targets"] = {"core", "transfer"}
OWNERS = {
    "numpy": {"stats", "modeling", "activities"},
    "scipy": {"stats"},
    "polars": {"modeling"},
    "sklearn": {"modeling"},
    "skl2onnx": {"modeling"},
    "onnx": {"modeling"},
    "onnxruntime": {"modeling"},
    "altair": {"modeling"},
    "vl_convert": {"modeling"},
    "fsspec": {"modeling", "transfer"},
    "jinja2": {"render"},
    "yaml": {"yamlfile"},
    "github": {"github"},
    "requests": {"github", "transfer"},
    "urllib3": {"github", "transfer"},
    "click": {"cli", "cli_command", "cli_options", "cli_registry", "cli_release", "cli_setup", "entry"},
}
PURE = {"pydantic", "mlbot"} | set(sys.stdlib_module_names)
IMPURE_STDLIB = {
    "os",
    "sys",
    "subprocess",
    "socket",
    "random",
    "time",
    "tempfile",
    "shutil",
    "pathlib",
    "secrets",
    "io",
}


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module or ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_one_way(path: Path) -> None:
    own = room(path)
    for name in imports(path):
        first, *rest = name.split(".")
        if first != "mlbot":
            assert first not in OWNERS or own in OWNERS[first], f"{own} may not import {first}"
        elif rest and rest[0] not in SHARED:
            assert rest[0] == own or rest[0] in MAY_IMPORT[own], f"{own} may not import mlbot.{rest[0]}"


@pytest.mark.parametrize("path", sorted((SOURCE / "core").rglob("*.py")), ids=lambda path: path.name)
def test_the_core_is_pure(path: Path) -> None:
    for name in imports(path):
        first = name.split(".")[0]
        assert first in PURE, f"the core may not import {first}"
        assert first not in IMPURE_STDLIB, f"the core may not import {first}"


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
