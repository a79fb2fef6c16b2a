"""pypa/gh-action-pypi-publish: the names of the files that would be on the index, one a line in `published.txt`."""

from pathlib import Path

from tests.e2e.standins.common import fail, given, settings, workspace


def main() -> None:
    """Act."""
    noted = Path(settings()["commands"], "published.txt")
    there = noted.read_text().splitlines() if noted.exists() else []
    names = sorted(path.name for path in workspace(given("packages-dir")).iterdir())
    again = [name for name in names if name in there]
    if again and given("skip-existing") != "true":
        fail(f"File already exists: {again}")
    noted.write_text("".join(f"{name}\n" for name in [*there, *(name for name in names if name not in again)]))
