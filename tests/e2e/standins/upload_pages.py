"""actions/upload-pages-artifact: a folder's files, but for hidden ones, as one archive in an artifact."""

import io
import json
import tarfile
import zipfile

from tests.e2e.standins.common import ask, fail, flag, given, output, service, settings, workspace
from tests.e2e.standins.upload_artifact import below


def main() -> None:
    """Upload."""
    root = workspace(given("path"))
    files = below(root, root) if root.is_dir() else []
    if not files or flag("include-hidden-files"):
        fail(f"no files, or hidden ones asked for: {root}")
    site, data = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=site, mode="w") as archive:
        for file in files:
            archive.add(file, f"./{file.relative_to(root).as_posix()}")
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("artifact.tar", site.getvalue())
    url = service(given("name"))
    made = json.loads(ask("PUT", url, settings()["runtime"], data.getvalue(), "application/zip"))
    output(artifact_id=made["id"])
