"""Where the files that are no Python lie: templates and examples, in a wheel or in a checkout."""

from pathlib import Path

from mlbot.errors import NotEvaluatedError


def templates() -> Path:
    """The folder of all templates.

    Raises:
        NotEvaluatedError: The installation lacks it.
    """
    return _folder("templates")


def examples() -> Path:
    """The folder of the example repositories.

    Raises:
        NotEvaluatedError: The installation lacks it.
    """
    return _folder("examples")


def _folder(name: str, package: Path = Path(__file__).parent) -> Path:
    """`mlbot/<name>` in a wheel; beside `src/` in an editable checkout."""
    candidates = [package / name]
    if package.parent.name == "src":
        candidates.append(package.parents[1] / name)
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise NotEvaluatedError(
        f"The folder '{name}' of mlbot is missing.",
        where=str(package),
        hint="The installation is damaged; install it again: pip install --force-reinstall mlbot",
    )
