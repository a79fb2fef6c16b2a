"""Templates and examples are found in a checkout and in a wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mlbot import resources
from mlbot.errors import Exit, NotEvaluatedError

ROOT = Path(__file__).parents[1]


def test_found() -> None:
    assert (resources.templates() / "comment.md.j2").is_file()
    assert (resources.examples() / "adult-income").is_dir()


def test_a_damaged_installation_says_how_to_hint_it(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "mlbot"
    package.mkdir(parents=True)
    (tmp_path / "templates").mkdir()  # somebody else's folder, two levels above: not ours to take
    with pytest.raises(NotEvaluatedError, match="pip install") as raised:
        resources._folder("templates", package)
    assert raised.value.exit_code is Exit.NOT_EVALUATED


def test_a_wheel_is_preferred_to_what_lies_beside_it(tmp_path: Path) -> None:
    package = tmp_path / "src" / "mlbot"
    (package / "templates").mkdir(parents=True)
    (tmp_path / "templates").mkdir()
    assert resources._folder("templates", package) == package / "templates"


@pytest.mark.slow
def test_found_in_a_wheel(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    code = (
        f"import sys; sys.path.insert(0, {str(installed)!r})\n"
        "from mlbot import resources\n"
        "assert (resources.templates() / 'comment.md.j2').is_file()\n"
        "print(resources.templates())\nprint(resources.examples())"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split() == [str(installed / "mlbot" / name) for name in ("templates", "examples")]
