"""The wheel holds all that mlbot needs and runs without the checkout; another test sees what the checkout does."""

import os
import subprocess
import sys
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
from tests.support import samples
from tests.support.once import once

from mlbot import __version__, entry
from mlbot.errors import Exit
from mlbot.report.markdown import markdown

ROOT = Path(__file__).parents[1]
PLACES = {"src/mlbot": "mlbot", "templates": "mlbot/templates", "examples/adult-income": "mlbot/examples/adult-income"}


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel, unpacked."""

    def make(folder: Path) -> None:
        command = [
            sys.executable,
            "-m",
            "build",
            "--wheel",
            "--no-isolation",
            "--outdir",
            str(folder / "dist"),
            str(ROOT),
        ]
        subprocess.run(command, check=True, capture_output=True)
        (wheel,) = (folder / "dist").glob("mlbot*.whl")
        zipfile.ZipFile(wheel).extractall(folder / "site")

    return once(tmp_path_factory, "wheel", make) / "site"


def run(site: Path, *arguments: str, stdin: str = "") -> str:
    """What the unpacked wheel's Python says, far from the checkout."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, *arguments],
        input=stdin,
        env=environment | {"PYTHONPATH": str(site)},
        cwd=site.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def committed(folder: str) -> set[str]:
    """The files of a folder that git knows."""
    listed = subprocess.run(["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True, check=True)
    return {line.removeprefix(f"{folder}/") for line in listed.stdout.splitlines() if (ROOT / line).exists()}


def test_it_has_every_file_and_no_other(site: Path) -> None:
    found = {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}
    wanted = {f"{place}/{name}" for folder, place in PLACES.items() for name in committed(folder)}
    assert {name for name in found if ".dist-info/" not in name} == wanted
    assert "mlbot/py.typed" in found


def test_its_metadata_name_the_command_and_what_it_needs(site: Path) -> None:
    (folder,) = site.glob("*.dist-info")
    about = PathDistribution(folder)
    assert (about.version, about.metadata["License-Expression"]) == (__version__, "Apache-2.0")
    assert [(each.name, each.value) for each in about.entry_points] == [("mlbot", "mlbot.entry:main")]
    needed = {line for line in about.requires or () if "extra ==" not in line}
    assert {line.split(">")[0] for line in needed} >= {"click", "jinja2", "pydantic", "pygithub", "pyyaml", "requests"}


def test_it_is_the_wheel_that_runs(site: Path) -> None:
    code = "from mlbot.lib.templates import examples, templates; print(templates(), examples())"
    assert run(site, "-c", code).split() == [str(site / "mlbot" / name) for name in ("templates", "examples")]
    assert run(site, "-m", "mlbot", "--version") == f"mlbot {__version__}\n"


def test_it_writes_the_checkouts_comment_and_schema(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = samples.failing()
    code = (
        "import sys\nfrom mlbot.report.report import Report\nfrom mlbot.report.markdown import markdown\n"
        "print(markdown(Report.model_validate_json(sys.stdin.read()), marker='<!-- m -->'), end='')"
    )
    assert run(site, "-c", code, stdin=report.model_dump_json()) == markdown(report, marker="<!-- m -->")
    assert entry.invoke(["config", "schema"]) == Exit.OK
    assert run(site, "-m", "mlbot", "config", "schema") == capsys.readouterr().out
