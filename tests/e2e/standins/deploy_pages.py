"""actions/deploy-pages: the site of this very run, as files in the folder `pages`."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

from tests.e2e.standins.common import ask, fail, given, output, service, settings


def main() -> None:
    """Deploy."""
    runtime = settings()["runtime"]
    found = [one for one in json.loads(ask("GET", service(), runtime)) if one["name"] == given("artifact_name")]
    if len(found) != 1:
        fail(f"{len(found)} artifacts of the name {given('artifact_name')}")
    data = ask("GET", f"{service(found[0]['name'])}?id={found[0]['id']}", runtime)
    site = io.BytesIO(zipfile.ZipFile(io.BytesIO(data)).read("artifact.tar"))
    with tarfile.open(fileobj=site) as archive:
        archive.extractall(Path(settings()["commands"], "pages"), filter="data")
    output(page_url="https://acme.github.io/models/")
