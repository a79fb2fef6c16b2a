"""The stand-ins for actions of others behave as those do."""

import hashlib
import io
import zipfile

import pytest
from tests.e2e import toy
from tests.e2e.harness import Harness
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Environment

pytestmark = pytest.mark.story

ATTEST = "actions/attest@1e69f48acb82d1966a394da916b4c1698aa569d6"
APP = "actions/create-github-app-token@bcd2ba49218906704ab6c1aa796996da409d3eb1"
UV = "astral-sh/setup-uv@20cfd1bf945f4377ade1205e4dbc17946fc9a30d"
CACHE = "actions/cache@27d5ce7f107fe9357f9df03efb73ab90386fccae"


def job(steps: str, permissions: str = "{contents: read}") -> str:
    return f"on: push\njobs:\n  work:\n    runs-on: ubuntu-latest\n    permissions: {permissions}\n    steps:\n{steps}"


def run(github: FakeGitHub, actions: Harness, text: str, files: dict[str, str] | None = None) -> str:
    github.repository("acme/models", {"a.txt": "a\n"})
    github.user("alice").push("main", {".github/workflows/w.yml": text, **(files or {})})
    actions.run_until_idle()
    work = actions.last("w.yml").job("work")
    assert work.conclusion == "success", work.log
    return work.log


def names(github: FakeGitHub) -> dict[str, list[str]]:
    return {
        one.name: sorted(zipfile.ZipFile(io.BytesIO(one.archive)).namelist())
        for one in github.world.repository("acme/models").artifacts.values()
    }


def test_upload_keeps_the_least_common_folder(github: FakeGitHub, actions: Harness) -> None:
    steps = f"""
      - run: mkdir -p out/deep/.hidden && touch out/a.txt out/deep/b.txt out/deep/.hidden/c out/deep/d.log other.txt
      - uses: {toy.UPLOAD}
        with: {{name: folder, path: out}}
      - uses: {toy.UPLOAD}
        with: {{name: one, path: out/deep/b.txt}}
      - uses: {toy.UPLOAD}
        with: {{name: stars, path: "out/**/*.txt"}}
      - uses: {toy.UPLOAD}
        with:
          name: several
          path: |
            out/deep
            other.txt
            !out/**/*.log
      - uses: {toy.UPLOAD}
        with: {{name: hidden, path: out, include-hidden-files: true}}
      - uses: {toy.UPLOAD}
        with: {{name: none, path: absent, if-no-files-found: ignore}}
      - uses: {toy.UPLOAD}
        id: twice
        continue-on-error: true
        with: {{name: one, path: other.txt}}
      - run: test '${{{{ steps.twice.outcome }}}}' = failure
      - uses: {toy.UPLOAD}
        with: {{name: one, path: other.txt, overwrite: true}}
      - run: mkdir "$RUNNER_TEMP/out" && touch "$RUNNER_TEMP/out/model"
      - uses: {toy.UPLOAD}
        with: {{name: outside, path: "${{{{ runner.temp }}}}/out"}}
"""
    run(github, actions, job(steps))
    assert names(github) == {
        "folder": ["a.txt", "deep/b.txt", "deep/d.log"],
        "stars": ["a.txt", "deep/b.txt"],
        "several": ["other.txt", "out/deep/b.txt"],
        "hidden": ["a.txt", "deep/.hidden/c", "deep/b.txt", "deep/d.log"],
        "one": ["other.txt"],
        "outside": ["model"],
    }


def test_download_from_this_run_and_from_another(github: FakeGitHub, actions: Harness) -> None:
    steps = f"""
      - run: mkdir x y && echo 1 > x/f && echo 2 > y/g
      - uses: {toy.UPLOAD}
        with: {{name: m-x, path: x}}
      - uses: {toy.UPLOAD}
        with: {{name: m-y, path: y}}
      - uses: {toy.DOWNLOAD}
        with: {{name: m-x, path: single}}
      - uses: {toy.DOWNLOAD}
        with: {{pattern: m-*, path: many}}
      - uses: {toy.DOWNLOAD}
        with: {{pattern: m-*, path: merged, merge-multiple: true}}
      - uses: {toy.DOWNLOAD}
        with: {{name: m-y, path: other, run-id: "${{{{ github.run_id }}}}", github-token: "${{{{ github.token }}}}"}}
      - run: cat single/f many/m-x/f many/m-y/g merged/f merged/g other/g
"""
    log = run(github, actions, job(steps, "{actions: read}"))
    assert log.splitlines()[-6:] == ["1", "1", "2", "1", "2", "2"]


def test_checkout_by_branch_tag_sha_and_depth(github: FakeGitHub, actions: Harness) -> None:
    steps = f"""
      - uses: {toy.CHECKOUT}
        with: {{persist-credentials: false}}
      - run: git branch --show-current; git rev-list --count HEAD
      - uses: {toy.CHECKOUT}
        with: {{persist-credentials: false, ref: v1, path: tagged, fetch-depth: 0}}
      - uses: {toy.CHECKOUT}
        id: side
        with: {{persist-credentials: false, ref: side, path: side, fetch-depth: 0}}
      - run: cat tagged/a.txt side/a.txt; git -C side rev-list --count HEAD; git -C side branch --remotes
      - uses: {toy.CHECKOUT}
        with: {{persist-credentials: false, ref: "${{{{ steps.side.outputs.commit }}}}", path: sha}}
      - run: cat sha/a.txt; git -C sha status | head -1 | cut -d' ' -f1-3
      - uses: {toy.CHECKOUT}
        id: absent
        continue-on-error: true
        with: {{persist-credentials: false, ref: nowhere, path: absent}}
      - run: test '${{{{ steps.absent.outcome }}}}' = failure
"""
    github.repository("acme/models", {"a.txt": "a\n"})
    alice = github.user("alice")
    alice.push("side", {"a.txt": "side\n"})
    alice.tag("v1", "main", message="One")
    alice.push("main", {"a.txt": "main\n"})
    alice.push("main", {".github/workflows/w.yml": job(steps)})
    actions.run_until_idle()
    work = actions.last("w.yml").job("work")
    assert work.conclusion == "success", work.log
    lines = [line.strip() for line in work.log.splitlines()]
    assert lines == ["main", "1", "a", "side", "2", "origin/main", "origin/side", "side", "HEAD detached at"]


def test_python_and_uv_are_there_and_install_nothing(github: FakeGitHub, actions: Harness) -> None:
    steps = f"""
      - uses: {toy.PYTHON}
        id: python
        with: {{python-version: "3.11"}}
      - uses: {UV}
      - uses: {CACHE}
        with: {{path: x, key: y}}
      - shell: bash
        run: |
          pip install --quiet mlbot-ci
          python -m pip install other
          uv pip install third
          python -c "import mlbot"
          python -m venv --clear venv
          venv/bin/pip install fourth
          venv/bin/python -c "import mlbot, numpy"
          venv/bin/mlbot --version
          uv run mlbot --version
"""
    log = run(github, actions, job(steps, "{}"))
    assert actions.installed == [
        "pip install --quiet mlbot-ci", "pip install other", "uv pip install third", "pip install fourth",
        "uv run mlbot --version",
    ]  # fmt: skip
    assert log.count("mlbot") == 2


def test_a_runners_own_python_installs_nothing_either(github: FakeGitHub, actions: Harness) -> None:
    steps = """
      - run: |
          ! command -v mlbot
          python3 -m venv "$RUNNER_TEMP/own"
          "$RUNNER_TEMP/own/bin/pip" install --require-hashes --requirement absent.txt
          "$RUNNER_TEMP/own/bin/mlbot" --version
          pip3 install anything
"""
    run(github, actions, job(steps, "{}"))
    assert actions.installed == ["pip install --require-hashes --requirement absent.txt", "pip install anything"]


def test_an_attestation_is_kept(github: FakeGitHub, actions: Harness) -> None:
    steps = f"""
      - run: printf onnx > model.onnx
      - uses: {ATTEST}
        with: {{subject-path: model.onnx, predicate-type: "https://example.com/model", predicate: "{{}}"}}
"""
    run(github, actions, job(steps, "{attestations: write, id-token: write}"))
    (digest,) = github.world.repository("acme/models").attestations
    assert digest == f"sha256:{hashlib.sha256(b'onnx').hexdigest()}"


def test_an_apps_token_is_another_hand(github: FakeGitHub, actions: Harness) -> None:
    steps = f"""
      - uses: {APP}
        id: app
        with: {{client-id: "1", private-key: "${{{{ secrets.KEY }}}}"}}
      - env: {{TOKEN: "${{{{ steps.app.outputs.token }}}}"}}
        run: >-
          curl -sSf -o made.json -X POST -H "Authorization: Bearer $TOKEN"
          "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/statuses/$GITHUB_SHA" -d '{{"state": "success", "context": "app"}}'
"""
    repository = github.repository("acme/models")
    repository.secrets["KEY"] = "-----BEGIN KEY-----"
    github.user("alice").push("main", {".github/workflows/w.yml": job(steps, "{}")})
    actions.run_until_idle()
    assert [one.creator.login for one in repository.statuses] == ["mlbot-app[bot]"]
    assert not github.world.deliveries[-2].by_token  # what an app does wakes workflows


def test_a_run_is_cancelled_while_it_runs(github: FakeGitHub, actions: Harness) -> None:
    steps = """
      - env: {TOKEN: "${{ github.token }}"}
        run: |
          curl -sSf -X POST -H "Authorization: Bearer $TOKEN" \\
            "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID/cancel"
          sleep 60
"""
    github.repository("acme/models")
    github.user("alice").push("main", {".github/workflows/w.yml": job(steps, "{actions: write}")})
    actions.run_until_idle()
    assert actions.last("w.yml").conclusion == "cancelled"
    assert github.world.deliveries[-1].payload["workflow_run"]["conclusion"] == "cancelled"


def test_reviewers_are_waited_for(github: FakeGitHub, actions: Harness) -> None:
    text = job("      - run: echo deployed\n", "{}").replace("runs-on", "environment: production\n    runs-on")
    repository = github.repository("acme/models")
    boss = github.user("boss")
    made = Environment(id=1, name="production", created_at=github.world.now(), reviewers=[boss.user])
    repository.environments["production"] = made
    github.user("alice").push("main", {".github/workflows/w.yml": text})
    actions.run_until_idle()
    run = actions.last("w.yml")
    assert (run.status, run.waiting_for) == ("waiting", ["production"])
    boss.review_deployment(run, "production")
    actions.run_until_idle()
    assert run.job("work").log == "deployed\n"
