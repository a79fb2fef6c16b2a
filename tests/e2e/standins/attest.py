"""actions/attest: an unsigned statement over a subject, posted with the job's token."""

import base64
import hashlib
import json
import os
from pathlib import Path

from tests.e2e.standins.common import api, ask_json, given, matching, output


def main() -> None:
    """Act."""
    if given("subject-path"):
        files = [one for line in given("subject-path").splitlines() for one in matching(line.strip())]
        subjects = [
            {"name": one.name, "digest": {"sha256": hashlib.sha256(one.read_bytes()).hexdigest()}} for one in files
        ]
    else:
        subjects = [
            {"name": given("subject-name"), "digest": {"sha256": given("subject-digest").removeprefix("sha256:")}}
        ]
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": given("predicate-type"),
    }
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    bundle = {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": {"payload": payload}}
    path = Path(os.environ["RUNNER_TEMP"], "attestation.json")
    path.write_text(json.dumps(bundle))
    url = api(f"/repos/{os.environ['GITHUB_REPOSITORY']}/attestations")
    made = ask_json("POST", url, given("github-token"), {"bundle": bundle})
    output(bundle_path=path, attestation_id=made["id"])
