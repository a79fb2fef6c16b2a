"""`mlbot ci command` from a comment's event to its first reaction: API requests, and seconds of the process.

Against `python -c pass`, and against `cml --version` where CML is on the PATH: what it needs to start at all. GitHub
is a fake on this machine, so that the network counts for nothing. Run it with `python -m benchmarks.command`; it fails
when a promise is broken.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Repository

MOST_REQUESTS = 2
MOST_SECONDS = 0.7
_UNTIL_THE_REACTION = """
import os, sys
from mlbot.commands import run_command as command
command._answer = lambda desk: sys.exit(0)
from mlbot.entry import invoke
sys.exit(invoke(["ci", "--quiet", "command"]))
"""
_RIGHTS = {"actions": "write", "contents": "read", "issues": "write", "pull_requests": "write", "statuses": "write"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder, FakeGitHub(Path(folder) / "github") as github:
        environment = _event(github, Path(folder))
        github.requests.all.clear()
        reaction = _seconds([sys.executable, "-c", _UNTIL_THE_REACTION], environment, runs)
        requests = [each.line for each in github.requests][: len(github.requests) // runs]
        whole = _seconds([sys.executable, "-m", "mlbot", "ci", "--quiet", "command"], environment, 1)
        answered = [each.line for each in github.requests][len(requests) * runs :]
    bare = _seconds([sys.executable, "-c", "pass"], dict(os.environ), runs)
    print(f"median of {runs} processes, seconds of the processor (user and system)")
    print(f"  to the first reaction   {reaction:6.3f} s   {len(requests)} of {MOST_REQUESTS} requests: {requests}")
    print(f"  /mlbot help, answered   {whole:6.3f} s   {len(answered)} requests")
    print(f"  python -c pass          {bare:6.3f} s")
    if cml := shutil.which("cml"):
        print(f"  cml --version           {_seconds([cml, '--version'], dict(os.environ), runs):6.3f} s")
    else:
        print("  cml --version           not measured: CML is not on the PATH")
    return int(len(requests) > MOST_REQUESTS or reaction > MOST_SECONDS)


def _event(github: FakeGitHub, folder: Path) -> dict[str, str]:
    """The environment of a job that a comment started."""
    models = github.repository("acme/models", {"mlbot.yaml": "version: 1\n", "a": "1"}, roles={"alice": "write"})
    alice = github.user("alice")
    comment = alice.comment(alice.pull_request("change", {"a": "2"}), "/mlbot help")
    payload = next(each.payload for each in github.world.deliveries if each.event == "issue_comment")
    assert payload["comment"]["id"] == comment.id
    (folder / "event.json").write_text(json.dumps(payload))
    return {**os.environ, **_job(github, models, folder / "event.json")}


def _job(github: FakeGitHub, models: Repository, event: Path) -> dict[str, str]:
    return {
        "GITHUB_REPOSITORY": models.full_name,
        "GITHUB_RUN_ID": "7",
        "GITHUB_EVENT_NAME": "issue_comment",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_API_URL": github.api_url,
        "GITHUB_SERVER_URL": github.url,
        "GITHUB_TOKEN": github.job_token(models, _RIGHTS),
    }


def _seconds(command: Sequence[str], environment: Mapping[str, str], runs: int) -> float:
    """The median seconds that the processor spent on a process: what else the machine does counts little."""
    took = []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(took)


if __name__ == "__main__":
    sys.exit(main())
