"""actions/download-artifact: from this run by the runner's service, from another with a token."""

import fnmatch
import io
import json
import os
import zipfile

from tests.e2e.standins.common import api, ask, ask_json, fail, flag, given, output, service, settings, workspace


def main() -> None:
    """Download."""
    token, here = given("github-token"), not given("github-token")
    repository = given("repository") or os.environ["GITHUB_REPOSITORY"]
    run = given("run-id") or os.environ["GITHUB_RUN_ID"]
    if here:
        found = json.loads(ask("GET", service(), settings()["runtime"]))
    else:
        found = ask_json("GET", api(f"/repos/{repository}/actions/runs/{run}/artifacts?per_page=100"), token)[
            "artifacts"
        ]
    wanted = choose(found)
    target = workspace(given("path"))
    alone = bool(given("name")) or flag("merge-multiple") or (bool(given("artifact-ids")) and len(wanted) == 1)
    for one in wanted:
        url = f"{service(one['name'])}?id={one['id']}" if here else one["archive_download_url"]
        data = ask("GET", url, settings()["runtime"] if here else token)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            archive.extractall(target if alone else target / one["name"])
    output(download_path=target)


def choose(found: list[dict[str, str]]) -> list[dict[str, str]]:
    """By name, ids or pattern; the newest of each name."""
    newest: dict[str, dict[str, str]] = {}
    for one in found:
        newest.setdefault(one["name"], one)
    ids = [word.strip() for word in given("artifact-ids").split(",") if word.strip()]
    if ids:
        chosen = [one for one in found if str(one["id"]) in ids]
        if not chosen:
            fail(f"Unable to download artifact(s): Artifact not found for ids: {', '.join(ids)}")
        return chosen
    if given("name"):
        if given("name") not in newest:
            fail(f"Unable to download artifact(s): Artifact not found for name: {given('name')}")
        return [newest[given("name")]]
    return [one for name, one in newest.items() if fnmatch.fnmatch(name, given("pattern") or "*")]
