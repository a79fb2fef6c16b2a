"""Templates and examples are found in a checkout and in a wheel."""

from pathlib import Path

import pytest

from mlbot.errors import Exit, NotEvaluatedError
from mlbot.lib import templates


def test_found() -> None:
    assert (templates.templates() / "comment.md.j2").is_file()
    assert (templates.examples() / "adult-income").is_dir()
    assert (templates.workflows() / "judge.yml").is_file()


def test_a_wheel_says_of_which_commit_it_was_built_and_a_checkout_does_not(tmp_path: Path) -> None:
    assert templates.commit() is None
    (tmp_path / "commit").write_text("c0ffee\n")
    assert templates.commit(tmp_path) == "c0ffee"


def test_a_damaged_installation_says_how_to_fix_it(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "mlbot"
    package.mkdir(parents=True)
    (tmp_path / "templates").mkdir()  # somebody else's folder, two levels above: not ours to take
    with pytest.raises(NotEvaluatedError, match="pip install") as raised:
        templates._folder("templates", package)
    assert raised.value.exit_code is Exit.NOT_EVALUATED


def test_a_wheel_is_preferred_to_what_lies_beside_it(tmp_path: Path) -> None:
    package = tmp_path / "src" / "mlbot"
    (package / "templates").mkdir(parents=True)
    (tmp_path / "templates").mkdir()
    assert templates._folder("templates", package) == package / "templates"
