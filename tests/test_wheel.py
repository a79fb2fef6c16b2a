"""The wheel holds all that mlbot needs and runs without the checkout; another test sees what the checkout does."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
from tests.support import samples
from tests.support.once import once

import dist_check
from mlbot import __version__, entry
from mlbot.errors import Exit
from mlbot.report.markdown import markdown

ROOT = Path(__file__).parents[1]


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
        zipfile.ZipFile(wheel).extractall(folder / "site")  # noqa: S202 - built a moment ago

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


def test_it_has_every_file_and_no_other(site: Path) -> None:
    (wheel,) = (site.parent / "dist").glob("*.whl")
    wanted = dist_check.of_wheel(ROOT)
    assert list(dist_check.wheel_faults(wheel, wanted)) == []
    assert {"mlbot/py.typed", "mlbot/templates/comment.md.j2", "mlbot/workflows/judge.yml"} <= wanted
    assert "mlbot/workflows/publish.yml" not in wanted


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_make_dist_builds_checks_and_plays_the_demo_with_the_wheel_alone(tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(tmp_path / "clone")], check=True)
    done = subprocess.run(["make", "dist"], cwd=tmp_path / "clone", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"mlbot {__version__}\n" in done.stdout
    assert re.search(r"roll back +done", done.stdout)


def test_what_a_wheel_or_an_sdist_lacks_or_should_not_have_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as wheel:
        for name in ("mlbot/a.py", "mlbot/commit", "x.dist-info/METADATA", "tests/test_a.py", "mlbot/.env"):
            wheel.writestr(name, "")
    assert list(dist_check.wheel_faults(tmp_path / "x.whl", {"mlbot/a.py", "mlbot/templates/b.j2"})) == [
        "x.whl lacks mlbot/templates/b.j2",
        "x.whl has mlbot/.env, which belongs to no wheel",
        "x.whl has tests/test_a.py, which belongs to no wheel",
    ]
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as sdist:
        for name in ("PKG-INFO", "pyproject.toml", "src/mlbot/a.py", "src/mlbot/commit", "src/mlbot/secret.txt"):
            sdist.addfile(tarfile.TarInfo(f"x-1/{name}"))
    files = {"pyproject.toml", "src/mlbot/a.py", "tests/test_a.py", ".gitignore"}
    assert list(dist_check.sdist_faults(tmp_path / "x.tar.gz", files)) == [
        "x.tar.gz lacks tests/test_a.py",
        "x.tar.gz has src/mlbot/secret.txt, which git does not know",
    ]
    (tmp_path / "notes.txt").touch()
    (fault,) = dist_check.faults(tmp_path, ROOT)
    assert fault.endswith("holds ['notes.txt', 'x.tar.gz', 'x.whl'], not one wheel and one sdist")


def test_its_metadata_name_the_command_and_what_it_needs(site: Path) -> None:
    (folder,) = site.glob("*.dist-info")
    about = PathDistribution(folder)
    assert (about.version, about.metadata["License-Expression"]) == (__version__, "Apache-2.0")
    assert [(each.name, each.value) for each in about.entry_points] == [("mlbot", "mlbot.entry:main")]
    needed = {line for line in about.requires or () if "extra ==" not in line}
    assert {line.split(">")[0] for line in needed} >= {"click", "jinja2", "pydantic", "pygithub", "pyyaml", "requests"}


def test_it_is_the_wheel_that_runs(site: Path) -> None:
    code = "from mlbot.lib.templates import *; print(templates(), examples(), workflows(), commit())"
    inside = [str(site / "mlbot" / name) for name in ("templates", "examples", "workflows")]
    assert run(site, "-c", code).split() == [*inside, "None"]
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
