"""What people are told to install is `mlbot-ci`: the package of the command's name belongs to somebody else."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlbot import DISTRIBUTION
from mlbot.errors import MissingExtraError

ROOT = Path(__file__).parents[1]

COMMAND = re.compile(
    r"\b(?:(?P<runner>uvx|uv tool run|pipx run)"
    r"|pip[0-9.]* (?:install|download|wheel)|uv (?:add|tool (?:install|upgrade))|pipx (?:install|upgrade|inject)"
    r"|(?:poetry|pdm|rye|hatch|pixi) add|(?:conda|mamba|micromamba) install|pipenv install)"
    r"\s(?P<words>(?:[^\n`;|&\"']|[\"'](?!,))*)"
)
ARGUMENTS = re.compile(r"""["'](?:install|add)["'],(?:\s*["'][^"']*["'],)*\s*["']mlbot(?:[^\w"'-][^"']*)?["']""")
SOURCE = re.compile(r"--(?:from|spec|with)[ =]+(\S+)")
EXTRAS = re.compile(r"(?<![\w./-])mlbot\[[a-z{]")
REQUIREMENT = re.compile(r"(?<![\w./@-])mlbot\s*(?:\[[^\]]*\]\s*)?(?:===|==|~=|>=|<=|!=)\s*\d")
LISTED = re.compile(r"^\s*(?:-\s*)?mlbot\s*(?:#.*)?$", re.MULTILINE)
LOOKED_UP = re.compile(r"\b(?:version|distribution|metadata|requires|files)\(\s*[\"']mlbot[\"']")
LISTS = re.compile(r"(?:requirements|constraints|environment)[^/]*\.(?:txt|in|ya?ml)$")


def wrong(text: str, path: str = "") -> list[str]:
    """Whatever in a text would install the package named `mlbot`, or asks for its metadata."""
    text = text.replace("\\\n", " ")
    found = [match[0] for match in COMMAND.finditer(text) if "mlbot" in installed(match)]
    found += [match[0] for pattern in (ARGUMENTS, EXTRAS, REQUIREMENT, LOOKED_UP) for match in pattern.finditer(text)]
    return found + ([match[0] for match in LISTED.finditer(text)] if LISTS.search(path) else [])


def installed(command: re.Match[str]) -> list[str]:
    """The names of packages in a command, without extras and versions."""
    words = [word.strip("\"'(),") for word in command["words"].split()]
    if command["runner"]:
        words = SOURCE.findall(command["words"]) or [word for word in words if not word.startswith("-")][:1]
    return [re.split(r"[\[<>=!~@]", word.strip("\"'"), maxsplit=1)[0] for word in words]


def tracked() -> Iterator[tuple[str, str]]:
    """Every text file of the project, with its path."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for path in filter(None, listed.stdout.split("\0")):
        content = (ROOT / path).read_bytes() if (ROOT / path).is_file() else b"\0"
        if b"\0" not in content:
            yield path, content.decode("utf-8", "replace")


def test_no_text_of_the_project_installs_anything_else() -> None:
    texts = dict(tracked())
    assert {"README.md", "src/mlbot/errors.py", "templates/init/mlbot.yml.j2"} <= texts.keys()
    assert {path: found for path, text in texts.items() if (found := wrong(text, path))} == {}


@pytest.mark.parametrize(
    "line",
    [
        "pip install {}", "pip install '{}[ml]'", 'pip3 install -U "{}>=1.0"', "python -m pip install -r x.txt {}",
        "pip download {}==1.0.0", "uv add {}", "uv pip install {}", "uv tool install --with s3fs {}", "uvx {} demo",
        "uvx --from {} mlbot demo", "uv tool run --from={} mlbot", "pipx install {}", "pipx run {}", "poetry add {}",
        "pipx run --spec {} mlbot demo", "conda install {}", "pip install --quiet \\\n  {}", "Run `pip install {}`.",
        "needs = f\"'{}[{{extra}}]'\"", "{}[ml,deploy]", "{}==1.0.0rc1", 'dependencies = ["{}>=1"]', "{} ~= 1.0",
        'run("uv", "pip", "install", "-U", "{}")', "['uv', 'add', '{}>1']", 'importlib.metadata.version("{}")',
        "distribution('{}')",
    ],
)  # fmt: skip
def test_whatever_installs_is_seen(line: str) -> None:
    assert wrong(line.format("mlbot"))
    assert wrong(line.format(DISTRIBUTION)) == []


@pytest.mark.parametrize(("path", "seen"), [("requirements.txt", True), ("environment.yml", True), ("notes.md", False)])
def test_a_line_of_a_list_is_seen(path: str, *, seen: bool) -> None:
    assert bool(wrong("numpy\n  - mlbot  # the bot\n", path)) is seen


@pytest.mark.parametrize(
    "line",
    ["uv run mlbot demo", "mlbot demo", "pip install .", "mlbot init; pip install -r requirements.txt", "mlbot.yaml"],
)
def test_what_installs_nothing_of_that_name_is_let_be(line: str) -> None:
    assert wrong(line) == []


def test_the_package_has_the_name_that_the_hints_have() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == DISTRIBUTION == "mlbot-ci"
    assert list(project["scripts"]) == ["mlbot"]
    assert MissingExtraError("ml", needed_for="x").hint == "Install it: pip install 'mlbot-ci[ml]'"
