"""actions/upload-artifact: files under their least common folder, zipped."""

import glob
import io
import json
import os
import zipfile
from pathlib import Path

from tests.e2e.standins.common import ask, fail, flag, given, matching, output, say, service, settings, workspace


def main() -> None:
    """Upload."""
    roots, files = search(given("path").splitlines())
    if not files:
        nothing()
        return
    name, url = given("name"), service(given("name"))
    if any(letter in name for letter in '":<>|*?\r\n\\/'):
        fail(f"The artifact name is not valid: {name}")
    root = Path(os.path.commonpath(roots))
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.relative_to(root).as_posix())
    suffix = "?overwrite=true" if flag("overwrite") else ""
    made = json.loads(ask("PUT", url + suffix, settings()["runtime"], data.getvalue(), "application/zip"))
    where = f"{os.environ['GITHUB_SERVER_URL']}/{os.environ['GITHUB_REPOSITORY']}/actions/runs"
    address = f"{where}/{os.environ['GITHUB_RUN_ID']}/artifacts/{made['id']}"
    say(f"Artifact {name} with {len(files)} file(s): {made['id']}")
    output(artifact_id=made["id"], artifact_url=address, artifact_digest=made["digest"])


def nothing() -> None:
    """No file was found."""
    message = f"No files were found with the provided path: {given('path')}. No artifacts will be uploaded."
    if given("if-no-files-found") == "error":
        fail(message)
    say(message if given("if-no-files-found") == "ignore" else f"::warning::{message}")


def search(patterns: list[str]) -> tuple[list[Path], list[Path]]:
    """The folders that were searched and the files that were found; ``!`` takes files out."""
    found: dict[Path, None] = {}
    roots: list[Path] = []
    for line in filter(None, map(str.strip, patterns)):
        plain = line.removeprefix("!")
        paths, root = matching(plain, hidden=flag("include-hidden-files")), start(plain)
        files = [file for path in paths for file in below(path, root)]
        if line.startswith("!"):
            found = {file: None for file in found if file not in files}
            continue
        roots += [root] if files else []
        found |= dict.fromkeys(files)
    return roots, list(found)


def start(line: str) -> Path:
    """Where a pattern starts to search: its part before the first wildcard; a file's folder."""
    fixed = Path(*_fixed(workspace(line).parts))
    return fixed.parent if fixed.is_file() else fixed


def _fixed(parts: tuple[str, ...]) -> list[str]:
    kept: list[str] = []
    for part in parts:
        if glob.has_magic(part):
            break
        kept.append(part)
    return kept


def below(path: Path, root: Path) -> list[Path]:
    """A file, or the files of a folder; what is hidden below the folder of the search only where asked."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    if flag("include-hidden-files"):
        return files
    return [file for file in files if not any(part.startswith(".") for part in file.relative_to(root).parts)]
