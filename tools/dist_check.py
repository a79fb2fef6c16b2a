"""Whether the built wheel and sdist hold what they must, and nothing else. It needs no package: `python3 -I`."""

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACES = {
    "src/mlbot/": "mlbot/",
    "templates/": "mlbot/templates/",
    "examples/": "mlbot/examples/",
}
WORKFLOWS = ".github/workflows/"
COMMIT = "mlbot/commit"  # what the wheel was built of; `make dist` writes it


def tracked(root: Path) -> set[str]:
    """The files of the checkout that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True)
    return {path for path in listed.stdout.split("\0") if path and (root / path).is_file()}


def of_wheel(root: Path) -> set[str]:
    """What a wheel of this checkout holds beside its metadata: package, words, example, called workflows."""
    return {place for path in tracked(root) if (place := _place(root, path))}


def _place(root: Path, path: str) -> str | None:
    for folder, place in PLACES.items():
        if path.startswith(folder):
            return place + path.removeprefix(folder)
    if path.startswith(WORKFLOWS) and "workflow_call:" in (root / path).read_text(encoding="utf-8"):
        return f"mlbot/workflows/{path.removeprefix(WORKFLOWS)}"
    return None


def wheel_faults(wheel: Path, wanted: set[str]) -> Iterator[str]:
    """Files that a wheel lacks, and files that do not belong into it."""
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if not name.split("/")[0].endswith(".dist-info")}
    yield from (f"{wheel.name} lacks {name}" for name in sorted(wanted - inside))
    yield from (f"{wheel.name} has {name}, which belongs to no wheel" for name in sorted(inside - wanted - {COMMIT}))


def sdist_faults(sdist: Path, files: set[str]) -> Iterator[str]:
    """Files that an sdist lacks to be built and tested, and files that git does not know."""
    with tarfile.open(sdist) as archive:
        inside = {member.name.partition("/")[2] for member in archive if member.isfile()} - {"PKG-INFO"}
    needed = {path for path in files if path.startswith((*PLACES, "tests/", "docs/")) or path == "pyproject.toml"}
    yield from (f"{sdist.name} lacks {name}" for name in sorted(needed - inside))
    strangers = inside - files - {f"src/{COMMIT}"}
    yield from (f"{sdist.name} has {name}, which git does not know" for name in sorted(strangers))


def faults(folder: Path, root: Path = ROOT) -> list[str]:
    """What is wrong with the one wheel and the one sdist of a folder."""
    wheels, sdists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if (len(wheels), len(sdists)) != (1, 1) or len(list(folder.iterdir())) != 2:
        return [f"{folder} holds {sorted(path.name for path in folder.iterdir())}, not one wheel and one sdist"]
    return [*wheel_faults(wheels[0], of_wheel(root)), *sdist_faults(sdists[0], tracked(root))]


def main(folder: str) -> int:
    """Say what is wrong, or that nothing is."""
    found = faults(Path(folder))
    print("\n".join(found) or f"{folder}: one wheel and one sdist, with every file and no other")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
