"""From a merge to production end to end: tags, comments, and people who start the workflow, under act."""

import csv
import io
import json
import subprocess
from hashlib import sha256
from pathlib import Path
from textwrap import dedent
from threading import Thread

import pytest
from tests.e2e import user
from tests.e2e.harness import Harness
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Environment, Issue, Repository
from tests.support import tiny

from mlbot.config.actions import Actions
from mlbot.ledger.entries import Entry, read_files
from mlbot.ledger.queries import deployments, live, releases
from mlbot.lib.constants import RELEASE_PATH
from mlbot.lib.record import Digest
from mlbot.setup.workflows import Form, Order, files
from mlbot.storage.digest import digest_of
from mlbot.storage.target import open_target

pytestmark = [pytest.mark.story, pytest.mark.timeout(600)]

RELEASE = "mlbot-release.yml"
ASK, RECORD = "Read what is asked", "Record"


def repository(github: FakeGitHub, folder: Path, *, approvals: int = 1, form: Form = Form.CALLERS) -> Repository:
    """A repository with a store, staging and production in a folder that outlives the jobs."""
    shadow = f'{{requests: "{(folder / "requests.jsonl").as_uri()}", max_changed: 0.5}}'
    production = f'target: "{(folder / "production").as_uri()}", after: staging, approvals: {approvals}'
    text = user.CONFIG + dedent(f"""
        store: {(folder / "store").as_uri()}
        environments:
          staging: {{target: "{(folder / "staging").as_uri()}", smoke: {{requests: 20}}}}
          production: {{{production}, shadow: {shadow}}}
    """)
    rows = csv.DictReader(io.StringIO(tiny.rows(100, 7)))
    asked = [{name: float(row[name]) for name in ("x1", "x2", "x3")} for row in rows]
    (folder / "requests.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in asked))
    order = Order(form=form, guard=("main",), install="", actions=Actions(), release=True)
    models = user.repository(github, without=(), **{"mlbot.yaml": text, **files(order)})
    models.roles["bob"] = "write"
    return models


def entries(models: Repository) -> tuple[Entry, ...]:
    """The whole ledger."""
    files = {path: models.git.git("show", f"mlbot-ledger:{path}").encode() + b"\n" for path in user.ledger(models)}
    return read_files(files).entries


def served(models: Repository, environment: str, folder: Path) -> tuple[str, Digest] | None:
    """Version and digest of what an environment serves: the ledger's word, the target's, and the bytes themselves."""
    found = live(entries(models), environment, "tiny")
    if found is None:
        return None
    config = next(each for each in user.config_of(models).environments if each.name == environment)
    target = open_target(config, folder)
    read = folder / f"read-{environment}-{found.sequence}.onnx"
    says = target.fetch("tiny", read)
    assert (says.version, says.digest) == (found.version, found.digest)
    assert digest_of(read) == found.digest
    return found.version, found.digest


def thread(models: Repository, version: str) -> Issue:
    """A version's issue."""
    marker = f"<!-- mlbot:version tiny@v{version} -->"
    (found,) = [each for each in models.issues.values() if marker in (each.body or "")]
    return found


def answers(models: Repository, issue: Issue) -> list[str]:
    """The bot's comments in a thread."""
    found = [each for each in models.comments.values() if each.number == issue.number]
    return [each.body for each in found if each.user.login == "github-actions[bot]"]


def test_from_a_merge_by_a_tag_and_an_approval_to_production_and_back(
    github: FakeGitHub, actions: Harness, tmp_path: Path
) -> None:
    github.limits.writes_a_minute = 1000  # days of work are played in two minutes
    models = repository(github, tmp_path)
    boss, alice, bob = github.user("boss"), github.user("alice"), github.user("bob")
    pull = alice.pull_request("better", tiny.params(offset=1))
    actions.run_until_idle()
    boss.merge(pull, "squash")
    actions.run_until_idle()

    push_a_tag(alice.clone_url(), tmp_path / "clone", "tiny@v1.0.0")
    actions.run_until_idle()
    (release,) = releases(entries(models))
    assert (release.actor, release.version) == ("alice", "1.0.0")
    assert served(models, "staging", tmp_path) == ("1.0.0", release.digest)
    assert served(models, "production", tmp_path) is None

    alice.comment(thread(models, "1.0.0"), "/promote tiny@v1.0.0 production")
    actions.run_until_idle()
    assert served(models, "production", tmp_path) is None
    bob.comment(thread(models, "1.0.0"), "/approve tiny@v1.0.0 production")
    actions.run_until_idle()
    assert served(models, "production", tmp_path) == ("1.0.0", release.digest)
    assert release.digest in [each.digest for each in entries(models) if each.kind == "verdict"]
    (page,) = models.releases.values()
    files = {each.name: each.data for each in page.assets}
    assert f"sha256:{sha256(files['model.onnx']).hexdigest()}" == release.digest
    assert release.digest.removeprefix("sha256:") in files["SHA256SUMS"].decode()
    tested = deployments(entries(models), "tiny")
    assert len(tested) == 2
    assert all("golden requests are answered as judged" in each.detail for each in tested)
    promoted, approved = answers(models, thread(models, "1.0.0"))
    assert "is live in production" in promoted
    assert "The promotion is started." in approved

    boss.push("main", tiny.params(offset=2))
    actions.run_until_idle()
    alice.comment(pull, "/release tiny minor")
    actions.run_until_idle()
    second = releases(entries(models))[-1]
    assert second.digest != release.digest
    assert served(models, "staging", tmp_path) == ("1.1.0", second.digest)
    bob.comment(thread(models, "1.1.0"), "/approve tiny@v1.1.0 production")
    actions.run_until_idle()
    assert served(models, "production", tmp_path) == ("1.1.0", second.digest)
    replayed = deployments(entries(models), "tiny", "production")[-1].detail
    assert "Of 100 recorded requests" in replayed
    assert "otherwise than by v1.0.0; allowed are 50 %" in replayed

    alice.comment(thread(models, "1.1.0"), '/rollback tiny production reason="It is slow"')
    actions.run_until_idle()
    assert served(models, "production", tmp_path) == ("1.0.0", release.digest)
    assert [(each.action, each.actor) for each in deployments(entries(models), "tiny", "production")] == [
        ("promotion", "alice"), ("promotion", "alice"), ("rollback", "alice"),
    ]  # fmt: skip
    assert {each.conclusion for each in actions.of(RELEASE)} == {"success"}
    # A person's git asks without its token first.
    assert [one for one in github.requests.refused() if one.token] == []


def push_a_tag(url: str, folder: Path, name: str) -> None:
    """What a person types."""
    who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    subprocess.run(["git", "clone", "--quiet", url, str(folder)], check=True, capture_output=True)
    for command in (["tag", "--annotate", "--message", "The first one", name], ["push", "--quiet", "origin", name]):
        subprocess.run(["git", *who, *command], cwd=folder, check=True, capture_output=True)


SLY = dedent("""
    name: mlbot-release
    on: {push: {tags: ["**"]}}
    permissions: {}
    jobs:
      everything:
        runs-on: ubuntu-latest
        permissions: {actions: write}
        steps:
          - shell: bash
            env:
              TOKEN: ${{ github.token }}
              URL: ${{ github.api_url }}/repos/${{ github.repository }}/actions/workflows/mlbot-release.yml/dispatches
            run: |
              for inputs in '"tag": "tiny@v6.6.6"' '"do": "release", "model": "tiny", "version": "6.6.6"' \\
                '"do": "approve", "model": "tiny", "version": "1.0.0", "environment": "staging"'; do
                curl --silent --fail --header "Authorization: Bearer $TOKEN" "$URL" \\
                  --data '{"ref": "main", "inputs": {'"$inputs"'}}'
              done
      straight-in:
        runs-on: ubuntu-latest
        permissions: {contents: write}
        environment: staging
        steps:
          - run: echo "here I am"
""")


@pytest.mark.nightly
def test_an_early_tag_githubs_own_reviewers_and_a_tag_that_verifies_nothing(
    github: FakeGitHub, actions: Harness, tmp_path: Path
) -> None:
    models = repository(github, tmp_path, approvals=0, form=Form.INLINE)
    boss, alice = github.user("boss"), github.user("alice")
    for number, (name, reviewers) in enumerate({"staging": [], "production": [boss.user]}.items(), 1):
        models.environments[name] = Environment(
            id=number, name=name, created_at=github.world.now(), reviewers=reviewers, branches=["main"]
        )
    queue = github.world.queue
    boss.push("main", tiny.params(offset=1))
    alice.tag("tiny@v1.0.0", message="Before anybody judged it")
    queue.insert(0, queue.pop())
    actions.step()
    queue.insert(0, queue.pop())
    early = queue[0]
    waits = Thread(target=actions.step)
    waits.start()
    while early in queue:
        waits.join(0.1)
    actions.run_until_idle()
    waits.join()
    actions.run_until_idle()
    (release,) = releases(entries(models))
    assert served(models, "staging", tmp_path) == ("1.0.0", release.digest)
    assert "was released by alice" in (thread(models, "1.0.0").body or "")

    run = boss.dispatch(RELEASE, do="promote", model="tiny", version="v1.0.0", environment="production")
    actions.run_until_idle()
    assert run is not None
    assert run.status == "waiting"
    assert served(models, "production", tmp_path) is None
    boss.review_deployment(run, "production")
    actions.run_until_idle()
    assert served(models, "production", tmp_path) == ("1.0.0", release.digest)

    alice.push("sly", {RELEASE_PATH: SLY, **tiny.params(offset=5, mode="lost")})
    before = entries(models)
    alice.tag("tiny@v6.6.6", "sly", message="Trust me")
    actions.run_until_idle()
    sly, *asked = actions.of(RELEASE)[-4:]
    assert sly.outcomes() == {"everything": "success", "straight-in": "failure"}
    assert "here I am" not in sly.job("straight-in").log
    assert [each.outcomes()[ASK] for each in asked] == ["success", "failure", "failure"]
    assert [each.outcomes()[RECORD] for each in asked] == ["failure", "skipped", "skipped"]
    assert "(not-merged)" in asked[0].job("record").log
    assert "is not on main" in (thread(models, "6.6.6").body or "")
    assert entries(models) == before
