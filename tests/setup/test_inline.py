"""Calls replaced by the jobs that are called: each trap of it, on files as small as it takes."""

import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

from mlbot.config.actions import Actions
from mlbot.config.kinds import Context
from mlbot.config.yaml import load
from mlbot.errors import MissingExtraError, NotEvaluatedError
from mlbot.lib.templates import sentence
from mlbot.setup.inline import inline
from mlbot.setup.wiring import KINDS, Kind, Pin, Wiring

ROOT = Path(__file__).parents[2]
PIN = Pin(ref="0123456789abcdef0123456789abcdef01234567", version="v1.4.2")
SHA = "f" * 40
IMAGE = f"ghcr.io/acme/train@sha256:{'a' * 64}"
FULL = f"""
runs-on: [self-hosted, linux]
container: {{image: "{IMAGE}", options: --gpus all}}
token: {{client-id: APP_ID, private-key: APP_KEY, app: "acme[bot]"}}
judge:
  login: {{uses: aws-actions/login@{SHA}, with: {{role: arn}}}}
  secrets: [DVC_KEY]
  prepare: |-
    dvc pull data/holdout.csv
    echo "it's there"
evaluate: {{secrets: [PROVIDER_KEY]}}
store: {{secrets: [STORE_KEY]}}
sealed: {{secrets: [VAULT_KEY]}}
monitor: {{secrets: [LOG_KEY]}}
deploy: {{secrets: [KUBE_TOKEN]}}
"""


def actions(text: str) -> Actions:
    return Actions.read(load(text, "x").data, Context())


PLAIN = Wiring(actions=Actions(), pin=PIN)
WIRED = Wiring(actions=actions(FULL), pin=PIN)

CALLER = """\
# What it is for.
name: caller

on:
  push:
    branches: [main] # the guarded one

permissions: {}

jobs:
  call:
    permissions:
      contents: read  # to check out
    uses: mlbot-ci/mlbot/.github/workflows/train.yml@v1
    with:
      install: "pip install 'a b' # it's"
"""
TRAIN = """\
name: called

on:
  workflow_call:
    inputs:
      install: {type: string, default: ""}
      lfs: {type: boolean, default: false}
      python-version: {type: string, default: "3.12"}
    secrets:
      token: {required: false}

permissions: {}

jobs:
  plan:
    name: Plan
    # Why it is so.
    if: github.event.action != 'closed'
    runs-on: ubuntu-latest
    timeout-minutes: 5
    permissions:
      contents: read # to read
    steps:
      - name: Check out
        uses: actions/checkout@1111111111111111111111111111111111111111 # v7
        with:
          lfs: ${{ inputs.lfs }}
          python: ${{ inputs.python-version }}

  train:
    needs: plan
    runs-on: ${{ matrix.runs-on }}
    permissions:
      contents: read
    steps:
      - name: Install
        if: inputs.install != ''
        env:
          INSTALL: ${{ inputs.install }}
        run: |
          bash -c "$INSTALL"
      - name: Fetch
        if: inputs.lfs
        run: git lfs pull
      - id: mlbot
        uses: $/actions/setup
      # The last word.
      - uses: mlbot-ci/mlbot/actions/train@v1
"""


def made(caller: str = CALLER, wiring: Wiring = PLAIN, **sources: str) -> str:
    return inline(caller, {"train": TRAIN, **sources}, wiring)


def jobs(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text)["jobs"]
    return found


def test_a_whole_file() -> None:
    assert made() == dedent(f"""\
        # What it is for.
        name: caller

        on: # zizmor: ignore[concurrency-limits] {sentence("workflows", "ignored")}
          push:
            branches: [main] # the guarded one

        permissions: {{}}

        jobs:
          plan:
            name: Plan
            # Why it is so.
            if: github.event.action != 'closed'
            runs-on: ubuntu-latest
            cache-mode: none
            timeout-minutes: 5
            permissions:
              contents: read # to read
            steps:
              - name: Check out
                uses: actions/checkout@1111111111111111111111111111111111111111 # v7
                with:
                  lfs: false
                  python: "3.12"

          train:
            needs: plan
            runs-on: ${{{{ matrix.runs-on }}}}
            cache-mode: none
            permissions:
              contents: read
            steps:
              - name: Install
                env:
                  INSTALL: "pip install 'a b' # it's"
                run: |
                  bash -c "$INSTALL"
              - id: mlbot
                uses: mlbot-ci/mlbot/actions/setup@{PIN.ref} # v1.4.2
              # The last word.
              - uses: mlbot-ci/mlbot/actions/train@{PIN.ref} # v1.4.2
        """)


@pytest.mark.parametrize(
    "install",
    [
        "",
        "a: b",
        "echo '''",
        'echo "$X" # no comment',
        "one\ntwo\n",
        "echo ${x} }}",
        "%s {0} {{y}}",
        "- a",
        "é ✓",
        " x ",
    ],
)
def test_any_command_arrives_as_it_was_given(install: str) -> None:
    """Folding after substitution cut quoted commands apart, and quotes of one kind were read as the others."""
    caller = CALLER.replace(
        "\"pip install 'a b' # it's\"", yaml.safe_dump(install, width=9999).strip().removesuffix("\n...")
    )
    assert jobs(caller)["call"]["with"]["install"] == install
    steps = jobs(made(caller))["train"]["steps"]
    found = [step["env"]["INSTALL"] for step in steps if "env" in step]
    assert found == ([install] if install else [])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("      install:", "      instal:", "gives the input 'instal', which is not declared"),
        ("    with:\n", "    secrets:\n      other: ${{ secrets.X }}\n    with:\n", "gives the secret 'other'"),
        ("contents: read  # to check out", "actions: write", "'plan' asks for `contents: read`, which its caller"),
        ("    permissions:\n      contents: read  # to check out\n", "", "'plan' asks for `contents: read`"),
        ("train.yml@v1", "train.yml@v1\n    needs: other", "has needs, which the jobs in it could not have"),
        (
            "mlbot-ci/mlbot/.github/workflows/train.yml@v1",
            "acme/x/.github/workflows/y.yml@v1",
            "which is none of mlbot's",
        ),
    ],
)
def test_a_call_that_github_would_refuse_or_that_means_something_else(old: str, new: str, said: str) -> None:
    with pytest.raises(NotEvaluatedError, match=said):
        made(CALLER.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("permissions: {}\n", "permissions: {}\nenv: {A: 1}\n", "has env at its top"),
        ("  plan:\n", "  other:\n", "nothing says what the job 'other' may reach"),
        ("    runs-on: ubuntu-latest\n", "    uses: a/b/.github/workflows/c.yml@v1\n", "calls a workflow itself"),
        (
            "run: git lfs pull",
            "run: git lfs pull\n        env: {A: '${{ secrets.token }}', B: '${{ secrets.B }}'}",
            None,
        ),
        ("bash -c", "bash -c ${{ secrets.B }}", "trains, and is given a secret"),
        ("inputs.lfs }}", "inputs['lfs'] }}", "otherwise than by their names"),
    ],
)
def test_what_a_called_workflow_may_not_have(old: str, new: str, said: str | None) -> None:
    source = TRAIN.replace(old, new)
    if said is None:
        assert "secrets" not in made(train=source), "the step is dropped, since lfs is false"
        return
    with pytest.raises(NotEvaluatedError, match=said):
        made(train=source)


def test_two_jobs_of_one_name_are_refused() -> None:
    caller = CALLER + CALLER[CALLER.index("  call:") :].replace("call:", "again:")
    with pytest.raises(NotEvaluatedError, match="two jobs are called 'plan'"):
        made(caller)


GROUP = """\
# A newer head ends the older training.
concurrency:
  group: x-${{ inputs.python-version }}-${{ github.run_id }}
  cancel-in-progress: true

jobs:"""


def test_a_workflows_own_concurrency_is_that_of_the_file_where_it_is_the_only_one() -> None:
    source = TRAIN.replace("jobs:", GROUP, 1)
    text = made(train=source)
    assert "permissions: {}\n\n# A newer head ends the older training.\nconcurrency:\n  group: x-3.12-${{ gith" in text
    assert "zizmor" not in text
    other = CALLER + "\n  watch:\n    runs-on: ubuntu-latest\n    permissions: {}\n    steps: []\n"
    for caller in (other, CALLER.replace("jobs:", "concurrency: x\njobs:")):
        with pytest.raises(NotEvaluatedError, match="cannot be that of the whole file"):
            made(caller, train=source)


def test_the_conditions_of_call_and_job_are_joined_and_long_ones_are_folded_between_their_parts() -> None:
    caller = CALLER.replace(
        "  call:\n", "  call:\n    if: github.event_name == 'push' || github.event_name == 'pull_request'\n"
    )
    text = made(caller)
    assert (
        "    if: >-\n"
        "      ${{ (github.event_name == 'push'\n"
        "      || github.event_name == 'pull_request')\n"
        "      && (github.event.action != 'closed') }}\n"
    ) in text
    assert jobs(text)["train"]["if"] == "github.event_name == 'push' || github.event_name == 'pull_request'"


def test_a_job_that_never_runs_is_kept_for_those_that_need_it() -> None:
    text = made(train=TRAIN.replace("github.event.action != 'closed'", "inputs.install == ''"))
    assert jobs(text)["plan"]["if"] is False


def test_nothing_is_an_anchor_and_no_line_is_folded_in_an_expression() -> None:
    long = "${{ " + " && ".join(f"github.event.a{n} == 'some text'" for n in range(30)) + " }}"
    text = made(
        train=TRAIN.replace("      - id: mlbot", f'      - env: {{LONG: "{long}"}}\n        run: x\n      - id: mlbot')
    )
    assert "&id" not in text
    assert "*id" not in text
    assert long in text


def test_a_file_without_calls_is_pinned_and_wired_too() -> None:
    caller = """\
on: push
jobs:
  watch:
    runs-on: ubuntu-latest
    permissions:
      statuses: write # to say so
    steps:
      - uses: mlbot-ci/mlbot/actions/pending@v1 # v1
        with:
          token: ${{ github.token }}
"""
    text = inline(caller, {}, WIRED)
    assert f"uses: mlbot-ci/mlbot/actions/pending@{PIN.ref} # v1.4.2\n" in text
    job = jobs(text)["watch"]
    assert (job["runs-on"], job["permissions"]) == (["self-hosted", "linux"], {})
    assert job["environment"] == {"name": "mlbot", "deployment": False}
    app, pending = job["steps"]
    assert app["with"] == {
        "client-id": "${{ vars.APP_ID }}",
        "private-key": "${{ secrets.APP_KEY }}",
        "permission-statuses": "write",
    }
    assert pending["with"]["token"] == "${{ steps.app.outputs.token }}"


# --- the wiring


JOB = """\
on: {workflow_call: {}}
jobs:
  NAME:
    name: It
    runs-on: ubuntu-latest
    timeout-minutes: 5
    cache-mode: read
    permissions:
      actions: read # to read
      contents: write # to write
      packages: write # to store
    steps:
      - uses: actions/checkout@1111111111111111111111111111111111111111 # v7
      - name: Take
        run: take
      - name: Decide
        env: {MLBOT: it}
        run: '"$MLBOT" ci plan'
      - name: Work
        if: ${{ !cancelled() }}
        uses: $/actions/ACTION
        with:
          mlbot: it
          token: ${{ github.token }}
          other: ${{ x || github.token }}
"""


def wired(workflow: str, name: str, action: str, wiring: Wiring = WIRED) -> dict[str, Any]:
    caller = CALLER.replace("train.yml", f"{workflow}.yml").partition("    with:")[0]
    caller = caller.replace("contents: read  # to check out", "{actions: read, contents: write, packages: write}")
    source = JOB.replace("NAME", name).replace("ACTION", action)
    job: dict[str, Any] = jobs(inline(caller, {workflow: source}, wiring))[name]
    return job


def names(job: dict[str, Any]) -> list[str]:
    return [step.get("name", "Check out") for step in job["steps"]]


def test_a_training_gets_the_image_and_nothing_else() -> None:
    for workflow, name in (("train", "train"), ("judge", "baseline")):
        job = wired(workflow, name, "train")
        assert job["container"] == {"image": IMAGE, "options": "--gpus all"}
        assert job["cache-mode"] == "none"
        assert "environment" not in job
        assert "secrets." not in str(job)
        assert names(job) == ["Check out", "Take", "Decide", "Work"]


def test_the_judge_logs_in_fetches_and_reads_its_secrets_in_an_environment_of_its_own() -> None:
    job = wired("judge", "judge", "judge")
    assert job["environment"] == {"name": "mlbot-judge", "deployment": False}
    assert "container" not in job
    assert job["permissions"] == {"actions": "read", "contents": "write", "id-token": "write", "packages": "write"}
    assert names(job) == ["Check out", "Take", "Log in", "Decide", "Fetch what the holdout needs", "Work"]
    login, decide, prepare, work = job["steps"][2:]
    assert (login["uses"], login["with"]) == (f"aws-actions/login@{SHA}", {"role": "arn"})
    key = {"DVC_KEY": "${{ secrets.DVC_KEY }}"}
    assert prepare["env"] == {**key, "PREPARE": 'dvc pull data/holdout.csv\necho "it\'s there"'}
    assert prepare["run"] == 'bash -euo pipefail -c "$PREPARE"'
    assert "token" not in str(prepare)
    assert (decide["env"], work["env"]) == ({"MLBOT": "it", **key}, key), "who decides may have to look into a store"
    assert prepare["if"] == work["if"]
    assert "APP_KEY" not in str(job)
    assert "STORE_KEY" not in str(job)


def test_the_evaluator_has_its_own_secrets_and_no_others() -> None:
    job = wired("judge", "evaluate", "evaluate")
    assert job["environment"]["name"] == "mlbot-evaluate"
    assert job["steps"][-1]["env"] == {"PROVIDER_KEY": "${{ secrets.PROVIDER_KEY }}"}
    assert "DVC_KEY" not in str(job)
    assert "STORE_KEY" not in str(job)
    assert "PROVIDER_KEY" not in str(wired("judge", "judge", "judge"))


def test_sealed_rows_are_for_one_job_that_writes_nothing() -> None:
    job = wired("release", "score", "sealed")
    assert job["environment"] == {"name": "mlbot-sealed", "deployment": False}
    given = {name: f"${{{{ secrets.{name} }}}}" for name in ("MLBOT_SEALED_KEY", "VAULT_KEY", "STORE_KEY")}
    assert job["steps"][-1]["env"] == given
    assert "APP_KEY" not in str(job)
    others = [("release", "look", "sealed"), ("release", "record", "deploy"), ("judge", "judge", "judge")]
    others += [("judge", "evaluate", "evaluate"), ("judge", "store", "publish"), ("release", "deploy", "deploy")]
    for each in others:
        assert not any(secret in str(wired(*each)) for secret in ("VAULT_KEY", "MLBOT_SEALED_KEY")), each


def test_who_writes_a_look_finds_the_model_in_the_store() -> None:
    job = wired("release", "look", "sealed")
    assert job["environment"] == {"name": "mlbot", "deployment": False}
    assert job["steps"][-1]["env"] == {"STORE_KEY": "${{ secrets.STORE_KEY }}"}
    assert "DVC_KEY" not in str(job)


def test_the_store_has_its_own_secrets_and_no_others() -> None:
    job = wired("judge", "store", "publish")
    assert job["environment"]["name"] == "mlbot-store"
    assert job["steps"][-1]["env"] == {"STORE_KEY": "${{ secrets.STORE_KEY }}"}
    assert "id-token" not in job["permissions"]
    assert "DVC_KEY" not in str(job)
    assert "APP_KEY" not in str(job)


@pytest.mark.parametrize(
    ("workflow", "name", "action"), [("judge", "publish", "publish"), ("command", "command", "command")]
)
def test_who_writes_speaks_as_the_app(workflow: str, name: str, action: str) -> None:
    job = wired(workflow, name, action)
    assert job["environment"] == {"name": "mlbot", "deployment": False}
    assert job["permissions"] == {"contents": "read", "packages": "write"}
    assert names(job) == ["Check out", "Take", "Decide", "Speak as the App", "Work"]
    app, work = job["steps"][3:]
    rights = {key: level for key, level in app["with"].items() if key.startswith("permission-")}
    assert rights == {"permission-actions": "read", "permission-contents": "write"}
    assert app["if"] == "${{ !cancelled() }}", "what is said after a failure needs the token too"
    assert work["with"]["token"] == "${{ steps.app.outputs.token }}"
    assert work["with"]["other"] == "${{ x || steps.app.outputs.token }}"
    assert "STORE_KEY" not in str(job)
    plain = wired(workflow, name, action, PLAIN)
    assert "environment" not in plain
    assert plain["steps"][-1]["with"]["token"] == "${{ github.token }}"


def test_a_release_reads_holdout_and_store_and_speaks() -> None:
    job = wired("release", "record", "deploy")
    assert job["environment"]["name"] == "mlbot"
    assert names(job)[2:] == ["Log in", "Decide", "Fetch what the holdout needs", "Speak as the App", "Work"]
    assert set(job["steps"][-1]["env"]) == {"DVC_KEY", "STORE_KEY"}
    assert job["permissions"] == {"contents": "read", "id-token": "write", "packages": "write"}


def test_a_deployment_keeps_its_environment_and_speaks_as_the_app() -> None:
    job = wired("release", "deploy", "deploy")
    assert "environment" not in job
    assert set(job["steps"][-1]["env"]) == {"STORE_KEY", "KUBE_TOKEN"}
    assert job["steps"][-1]["with"]["token"] == "${{ steps.app.outputs.token }}"
    assert job["permissions"] == {"contents": "read", "packages": "write"}


def test_whoever_reads_what_the_app_wrote_knows_its_login() -> None:
    for workflow, name, action in (
        ("judge", "again", "judge"),
        ("judge", "publish", "publish"),
        ("release", "ask", "x"),
    ):
        assert wired(workflow, name, action)["env"] == {"MLBOT_CI_SPEAKER": "acme[bot]"}
    for workflow, name in (("train", "train"), ("judge", "baseline"), ("tag", "tag")):
        assert "env" not in wired(workflow, name, "train")


@pytest.mark.parametrize(("workflow", "name"), [("tag", "tag"), ("release", "ask"), ("judge", "again-request")])
def test_who_only_reads_or_asks_has_no_secret(workflow: str, name: str) -> None:
    job = wired(workflow, name, "publish")
    assert "secrets." not in str(job)
    assert "environment" not in job
    assert job["runs-on"] == ["self-hosted", "linux"]


def test_the_table_names_the_jobs_of_the_workflows_and_no_others() -> None:
    for name, kinds in KINDS.items():
        if name:
            found = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))["jobs"]
            assert set(found) == set(kinds), name
    assert {kind for kinds in KINDS.values() for kind in kinds.values()} == set(Kind)


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ruamel.yaml", None)
    with pytest.raises(MissingExtraError, match=r"'init'.*\n.*pip install 'mlbot-ci\[init\]'"):
        made()
