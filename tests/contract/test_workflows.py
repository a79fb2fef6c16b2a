"""The workflows and actions hold their contracts: with the command line, with each other, and with SECURITY's rules."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from mlbot.cli.ci import ci
from mlbot.commands.parser import COMMANDS
from mlbot.protocol.artifacts import AcceptedArtifact, PackArtifact, ReportArtifact, Side
from mlbot.setup import scaffold

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONS = sorted((ROOT / "actions").glob("*/action.yml"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
RIGHTS: dict[str, dict[str, dict[str, str]]] = {
    "train.yml": {"plan": {"contents": "read", "pull-requests": "read"}, "train": {"contents": "read"}},
    "judge.yml": {
        "pending": {"statuses": "write"},
        "judge": {"actions": "read", "contents": "read", "packages": "read", "pull-requests": "read"},
        "baseline": {"contents": "read"},
        "evaluate": {"actions": "read", "contents": "read", "packages": "read", "pull-requests": "read"},
        "again": {"actions": "read", "contents": "read", "packages": "read", "pull-requests": "read"},
        "store": {"actions": "read", "contents": "read", "packages": "write"},
        "publish": {"actions": "read", "contents": "write", "pull-requests": "write", "statuses": "write"},
        "again-request": {"actions": "write", "contents": "read", "pull-requests": "read", "statuses": "write"},
    },
    "command.yml": {
        "command": {
            "actions": "write",
            "contents": "read",
            "issues": "write",
            "pull-requests": "write",
            "statuses": "write",
        }
    },
    "monitor.yml": {
        "look": {"contents": "read", "packages": "read", "pull-requests": "read"},
        "refresh": {"contents": "read"},
        "alarm": {"actions": "read", "contents": "write", "issues": "write", "pull-requests": "write"},
    },
    "tag.yml": {"tag": {"actions": "write"}},
    "release.yml": {
        "ask": {"actions": "read", "contents": "read", "issues": "read", "pull-requests": "read"},
        "look": {
            "actions": "read",
            "contents": "write",
            "issues": "write",
            "packages": "read",
            "pull-requests": "write",
            "statuses": "read",
        },
        "score": {"contents": "read", "packages": "read"},
        "record": {
            "actions": "write",
            "contents": "write",
            "issues": "write",
            "packages": "write",
            "pull-requests": "write",
            "statuses": "read",
        },
        "deploy": {
            "contents": "write",
            "deployments": "write",
            "issues": "write",
            "packages": "write",
            "pull-requests": "write",
        },
    },
}


def load(path: Path) -> dict[str, Any]:
    """YAML as GitHub reads it: `on` is a word."""
    document: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)  # noqa: S506 - makes strings only
    return document


def steps(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for job in document.get("jobs", {}).values():
        yield from job.get("steps", [])
    yield from document.get("runs", {}).get("steps", [])


EVERY = [*WORKFLOWS, *ACTIONS]
NAMES = [str(path.relative_to(ROOT)) for path in EVERY]


def test_the_readme_names_them_all_and_no_others() -> None:
    (said,) = re.findall(r"the reusable workflows (.*?) call\s+the actions (.*?)\.", README, re.DOTALL)
    workflows, actions = (set(re.findall(r"`([^`]+)`", each)) for each in said)
    reusable = {path.name for path in WORKFLOWS if "workflow_call" in load(path)["on"]}
    assert (workflows, actions) == (reusable, {path.parent.name for path in ACTIONS})


@pytest.mark.parametrize("path", EVERY, ids=NAMES)
def test_no_expression_stands_in_a_script(path: Path) -> None:
    for step in steps(load(path)):
        assert "${{" not in step.get("run", ""), f"pass it by env: {step['run']}"


@pytest.mark.parametrize("path", EVERY, ids=NAMES)
def test_others_actions_are_pinned_by_commit(path: Path) -> None:
    for line in re.findall(r"^\s+(?:- )?uses: (.+)", path.read_text(encoding="utf-8"), re.MULTILINE):
        assert re.fullmatch(r"\$/actions/[a-z]+|[\w.-]+/[\w./-]+@[0-9a-f]{40} # v[\d.]+", line), line


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_job_has_a_time_limit_and_says_its_rights(path: Path) -> None:
    document = load(path)
    assert document["permissions"] in ("{}", {})
    for name, job in document["jobs"].items():
        assert "timeout-minutes" in job, f"{name} has no time limit"
        if path.name in RIGHTS:
            assert job["permissions"] == RIGHTS[path.name][name]
            # A cache that a training may write, or a job with a write token read, is a way from the one to the other.
            assert job["cache-mode"] == ("read" if path.name == "judge.yml" and name in {"judge", "again"} else "none")


@pytest.mark.parametrize("path", EVERY, ids=NAMES)
def test_no_checkout_keeps_its_token(path: Path) -> None:
    for step in steps(load(path)):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] == "false"


@pytest.mark.parametrize("path", EVERY, ids=NAMES)
def test_a_variable_is_an_option_of_the_verb_that_reads_it(path: Path) -> None:
    shared = {_variable("MLBOT_CI", option) for option in _options(ci)}
    for step in steps(load(path)):
        verbs = re.findall(r'"\$MLBOT" ci ("\$VERB"|[a-z]+)', step.get("run", ""))
        if verbs == ['"$VERB"']:
            verbs = re.findall(r"`(\w+)`", load(path)["inputs"]["verb"]["description"])
        own = {
            _variable(f"MLBOT_CI_{verb.upper()}", option) for verb in verbs for option in _options(ci.commands[verb])
        }
        given = {name for name in step.get("env", {}) if name.startswith("MLBOT_")}
        assert given <= shared | own, f"`mlbot ci` {verbs} does not read {given - shared - own}"


def _options(command: click.Command) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts if option.startswith("--")}


def _variable(prefix: str, option: str) -> str:
    return f"{prefix}_{option.removeprefix('--').replace('-', '_').upper()}"


@pytest.mark.parametrize("path", EVERY, ids=NAMES)
def test_an_option_in_a_script_exists(path: Path) -> None:
    for step in steps(load(path)):
        for verb, rest in re.findall(r'"\$MLBOT" ci ([a-z]+)([^\n>|]*)', step.get("run", "")):
            assert set(re.findall(r"--[a-z-]+", rest)) <= _options(ci.commands[verb])


@pytest.mark.parametrize("path", EVERY, ids=NAMES)
def test_mlbot_is_called_by_the_path_that_the_set_up_gives(path: Path) -> None:
    """Never by name, which a file of the checkout or a folder on the PATH could take; and the hidden group alone."""
    document = load(path)
    for step in steps(document):
        script, given = step.get("run", ""), step.get("env", {}).get("MLBOT")
        assert not re.findall(r"(?:^|[\s|&;(])mlbot +[a-z]", script), script
        assert script.count('"$MLBOT"') == script.count('"$MLBOT" ci '), script
        if "$MLBOT" in script:
            assert given in ("${{ steps.mlbot.outputs.mlbot }}", "${{ inputs.mlbot }}")
        if "mlbot" in step.get("with", {}):
            assert step["with"]["mlbot"] == "${{ steps.mlbot.outputs.mlbot }}"
    for job in document.get("jobs", {}).values():
        setups = [step for step in job.get("steps", []) if step.get("uses") == "$/actions/setup"]
        assert [step.get("id") for step in setups] in ([], ["mlbot"], ["mlbot", None])  # the second adds packages


SCRIPTS = [*EVERY, *sorted((ROOT / "actions").glob("*/*.sh"))]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_python_that_a_workflow_starts_is_isolated(path: Path) -> None:
    if path.name in {"ci.yml", "nightly.yml"}:
        return  # of mlbot's own changes, with a token that can read
    text = re.sub(r"#.*", "", path.read_text(encoding="utf-8"))
    calls = re.findall(r"""(?:python3?|"\$python")(?: +|$)(\S*)""", text.replace("command -v python3)", ""))
    assert all(first == "-I" for first in calls if first.startswith("-")), calls


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_mlbots_environment_is_on_no_path(path: Path) -> None:
    """A training's own Python and pip come first there; mlbot's are for mlbot."""
    assert "GITHUB_PATH" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", ACTIONS, ids=lambda path: path.parent.name)
def test_an_actions_inputs_are_described_and_used(path: Path) -> None:
    text, document = path.read_text(encoding="utf-8"), load(path)
    for name, given in document.get("inputs", {}).items():
        assert given["description"]
        assert f"inputs.{name} }}}}" in text, f"nothing reads the input {name}"
    for name in re.findall(r"inputs\.([\w-]+)", text):
        assert name in document["inputs"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_gives_its_own_actions_inputs_that_they_have(path: Path) -> None:
    document = load(path)
    for step in steps(document):
        action = re.fullmatch(r"\$/actions/(\w+)", step.get("uses", ""))
        if action:
            inputs = load(ROOT / "actions" / action[1] / "action.yml").get("inputs", {})
            assert set(step.get("with", {})) <= set(inputs)
            needed = {name for name, given in inputs.items() if given.get("required") == "true"}
            assert needed <= set(step.get("with", {}))
    declared = document["on"].get("workflow_call", {}).get("inputs", {}) if isinstance(document["on"], dict) else {}
    for name, given in declared.items():
        assert given["description"]
        assert f"inputs.{name}" in path.read_text(encoding="utf-8")


def test_artifacts_are_named_as_the_judge_looks_for_them() -> None:
    train = (ROOT / "actions/train/action.yml").read_text(encoding="utf-8")
    judge = (ROOT / "actions/judge/action.yml").read_text(encoding="utf-8")
    given = {"inputs.side": "baseline", "inputs.pack": "M+2", "github.run_attempt": "9"}
    assert _named(train, given) == [PackArtifact(side=Side.BASELINE, pack="M+2", attempt=9).name]
    assert _named(judge, given) == [ReportArtifact(attempt=9).name, AcceptedArtifact(attempt=9).name]


def judge_job(name: str) -> dict[str, Any]:
    job: dict[str, Any] = load(ROOT / ".github/workflows/judge.yml")["jobs"][name]
    return job


def step(job: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [each for each in job["steps"] if each["name"] == name]
    return dict(found)


def one_line(text: str) -> str:
    return " ".join(text.split())


JUDGED = {
    "report": "${{ steps.judge.outputs.report || 'none' }}",
    "digest": "${{ steps.judge.outputs.digest || 'none' }}",
    "problem": "${{ steps.judge.outputs.problem || 'none' }}",
    "again": "${{ steps.judge.outputs.again || 'none' }}",
    "attempt": "${{ github.run_attempt }}",
}


def test_no_output_of_a_judge_is_ever_empty() -> None:
    """GitHub sends no output that is empty, and then keeps what the job put out in the attempt before."""
    assert judge_job("again")["outputs"] == JUDGED
    assert judge_job("judge")["outputs"] == {
        **JUDGED,
        "problem": "${{ steps.plan.outputs.problem || steps.judge.outputs.problem || 'none' }}",
        "decision": "${{ steps.plan.outputs.decision || 'none' }}",
        "matrix": "${{ steps.plan.outputs.matrix || 'none' }}",
        "jobs": "${{ steps.plan.outputs.jobs || '0' }}",
        "store": "${{ steps.plan.outputs.store || 'none' }}",
        "evaluate": "${{ steps.plan.outputs.evaluate || 'none' }}",
    }
    assert judge_job("evaluate")["outputs"] == {
        "results": "${{ steps.evaluate.outputs.results || 'none' }}",
        "digest": "${{ steps.evaluate.outputs.digest || 'none' }}",
    }
    for name in ("judge", "again"):
        assert step(judge_job(name), "Judge")["id"] == "judge"
    action = load(ROOT / "actions/judge/action.yml")
    assert set(action["outputs"]) == set(JUDGED) - {"attempt"}
    for name, output in action["outputs"].items():
        (source,) = re.findall(r"steps\.(\w+)\.outputs", output["value"])
        assert source in {each.get("id") for each in action["runs"]["steps"]}, name


def newest(output: str, otherwise: str) -> str:
    """What a job takes of the two that judge: of the one that judged with the baseline, where that was trained."""
    return (
        f"${{{{ needs.again.result == 'success' && needs.again.outputs.{output} "
        f"|| needs.judge.result == 'success' && needs.judge.outputs.{output} || {otherwise} }}}}"
    )


def test_the_report_is_taken_by_its_id_and_only_where_a_judge_succeeded() -> None:
    """A name in a run's artifacts is whoever's took it first: a job that trains runs others' code."""
    for job in load(ROOT / ".github/workflows/judge.yml")["jobs"].values():
        for each in job["steps"]:
            if each.get("uses", "").startswith("actions/download-artifact@"):
                evaluations = each["name"] == "Take the evaluations"
                ids = "${{ needs.evaluate.outputs.results }}" if evaluations else newest("report", "''")
                assert one_line(each["with"]["artifact-ids"]) == ids
                assert {"name", "pattern"} & set(each["with"]) == set()
                # When the publisher runs again alone, the report is of the attempt before.
                assert each["with"]["github-token"] == "${{ github.token }}"
                assert each["with"]["run-id"] == "${{ github.run_id }}"
    for name, verb in (("publish", "Publish"), ("store", "Store")):
        given = step(judge_job(name), verb)["with"]
        assert one_line(given["digest"]) == newest("digest", "''")
        assert one_line(given["judge-attempt"]).endswith("|| needs.judge.outputs.attempt || github.run_attempt }}")
    for each in load(ROOT / "actions/judge/action.yml")["runs"]["steps"]:
        assert "always()" not in each.get("if", ""), "what a judge left that failed is handed to nobody"


def test_nothing_goes_by_the_outputs_of_a_judge_that_failed() -> None:
    """They may be those of the attempt before. The publisher runs then all the same, and says so."""
    for name in ("again", "store"):
        assert "!cancelled()" in judge_job(name)["if"]
        assert "needs.judge.result == 'success'" in judge_job(name)["if"]
    assert "!cancelled()" not in judge_job("baseline")["if"], "without it a job waits for the success of what it needs"
    condition = one_line(judge_job("publish")["if"])
    assert "(needs.judge.result != 'success' || (needs.judge.outputs.decision != 'ignore'" in condition


def test_no_job_with_rights_has_a_concurrency_group() -> None:
    """Whoever can start a workflow can take a group's name, and so cancel or hold what another job waits for."""
    for path in WORKFLOWS:
        document = load(path)
        grouped = [name for name, job in document["jobs"].items() if "concurrency" in job]
        if path.name in RIGHTS and path.name != "train.yml":
            assert grouped == []
            assert "concurrency" not in document


def test_a_publisher_that_fails_says_so() -> None:
    last = judge_job("publish")["steps"][-1]
    assert last["if"] == "${{ failure() && steps.publish.outcome == 'failure' }}"
    assert last["with"]["verb"] == "failed"
    assert step(judge_job("publish"), "Publish")["id"] == "publish"


def _named(text: str, given: dict[str, str]) -> list[str]:
    names = re.findall(r"name: (mlbot-\S*\$\{\{.*)", text)
    return [re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda found: given[found[1]], name) for name in names]


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        *((spec.example, True) for spec in COMMANDS),
        *((f"Hello\r\n/{name.upper()}\r\n", True) for spec in COMMANDS for name in (spec.name, *spec.aliases)),
        ("/mlbot retrain", True),
        ("/retrainer", False),
        ("/status", False),
        ("/path/to/file", False),
        ("say /retrain", False),
        ("> /retrain", False),
        ("```\n/retrain\n```", False),
        ("```\ncode\n```\n/judge", True),
    ],
)
def test_the_reaction_comes_where_a_command_of_the_table_is_said(tmp_path: Path, body: str, *, seen: bool) -> None:
    """The step itself, with a `curl` that only notes that it was called."""
    step = load(ROOT / ".github/workflows/command.yml")["jobs"]["command"]["steps"][0]
    noted = tmp_path / "noted"
    curl = tmp_path / "curl"
    curl.write_text(f'#!/bin/sh\necho "$@" >> "{noted}"\ncat >> "{noted}"\n')
    curl.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "BODY": body, "TOKEN": "t0ken", "REACTIONS": "https://x/y"}
    subprocess.run(["bash", "-euo", "pipefail", "-c", step["run"]], env=environment, check=True)
    assert noted.exists() is seen
    if seen:
        called, said = noted.read_text().splitlines()
        assert "t0ken" not in called
        assert said == "Authorization: Bearer t0ken"


def test_who_asks_for_a_tag_holds_nothing_else() -> None:
    """It runs from a workflow file of the tagged commit."""
    job = load(ROOT / ".github/workflows/tag.yml")["jobs"]["tag"]
    assert job["permissions"] == {"actions": "write"}
    assert [step.get("uses") for step in job["steps"]] == [None]


ON_DEFAULT_BRANCH = "github.ref == format('refs/heads/{0}', github.event.repository.default_branch)"
SCHEDULED = f"(github.event_name == 'schedule' || {ON_DEFAULT_BRANCH})"
"""A schedule runs on the default branch alone, and its event has no repository that would say which that is."""
SANDBOX = {"train.yml", "tag.yml"}
"""What runs from workflow files that others wrote: a read-only token, and the right to ask the default branch."""


@pytest.mark.parametrize(
    "path", [path for path in WORKFLOWS if path.name in RIGHTS.keys() - SANDBOX], ids=lambda path: path.name
)
def test_trusted_jobs_run_on_the_default_branch_alone(path: Path) -> None:
    """A dispatch on another branch would have that branch's files for the default branch's."""
    for name, job in load(path)["jobs"].items():
        condition = " ".join(job.get("if", "").removeprefix("${{").removesuffix("}}").split())
        first, _, rest = condition.partition(" && ")
        expected = SCHEDULED if path.name == "monitor.yml" else ON_DEFAULT_BRANCH
        assert first == expected, f"{name} runs on any branch"
        while "(" in rest:
            rest = re.sub(r"\([^()]*\)", "", rest)
        assert "||" not in rest, f"{name} runs on any branch where something else holds"


def test_every_called_workflow_is_trusted_or_named_as_sandbox() -> None:
    called = {path.name for path in WORKFLOWS if "workflow_call" in load(path)["on"]}
    assert called == RIGHTS.keys()
    for path in WORKFLOWS:
        if path.name in SANDBOX:
            granted = [right for job in load(path)["jobs"].values() for right in job["permissions"].items()]
            assert {right for right in granted if right[1] == "write"} <= {("actions", "write")}


def test_a_closed_pull_request_and_an_edited_title_train_nothing_and_end_no_training() -> None:
    document = load(ROOT / ".github/workflows/train.yml")
    condition, group = document["jobs"]["plan"]["if"], document["concurrency"]["group"]
    for text in (condition, group):
        assert "github.event.action != 'closed' &&" in text
        assert "(github.event.action != 'edited' || github.event.changes.base)" in text
    types = yaml.safe_load(scaffold.train_workflow(guard=["main"], install="x"))[True]["pull_request"]["types"]
    assert set(types) == {"opened", "synchronize", "reopened", "edited", "ready_for_review", "closed"}


RELEASING = {
    "look": ("ask", "needs.ask.outputs.go == 'record' && needs.ask.outputs.sealed == 'true'"),
    "score": (["ask", "look"], "needs.look.outputs.look != 'none'"),
    "record": (["ask", "look", "score"], "needs.ask.outputs.go == 'record'"),
    "deploy": ("ask", "needs.ask.outputs.go == 'deploy'"),
}


@pytest.mark.parametrize("name", RELEASING)
def test_releases_run_on_the_default_branch_alone(name: str) -> None:
    job = load(ROOT / ".github/workflows/release.yml")["jobs"][name]
    needs, condition = RELEASING[name]
    assert job["needs"] == needs
    assert "github.ref == format('refs/heads/{0}'" in job["if"]
    assert condition in " ".join(job["if"].split())
    assert {"uses", "with"} <= job["steps"][0].keys()
    assert "ref" not in job["steps"][0]["with"]


def test_a_deployment_is_bound_to_its_environment() -> None:
    job = load(ROOT / ".github/workflows/release.yml")["jobs"]["deploy"]
    assert job["environment"] == {"name": "${{ needs.ask.outputs.environment }}", "deployment": "false"}


def test_the_users_file_gives_each_called_workflow_the_rights_that_its_jobs_ask_for() -> None:
    given = yaml.safe_load(scaffold.release_workflow())["jobs"]
    for caller, called in (("tag", "tag.yml"), ("release", "release.yml")):
        levels = [rights for job in RIGHTS[called].values() for rights in job.items()]
        wanted = {scope: max(level for name, level in levels if name == scope) for scope, _ in levels}
        assert given[caller]["permissions"] == wanted


def test_who_reads_logs_and_who_refreshes_data_write_nothing() -> None:
    """Hostile logs, and a command that fetches data: what they leave is handed on by digest, and looked at again."""
    jobs = load(ROOT / ".github/workflows/monitor.yml")["jobs"]
    for name in ("look", "refresh"):
        assert set(jobs[name]["permissions"].values()) == {"read"}
    assert "token" not in jobs["refresh"]["steps"][-1]["with"]
    given = jobs["alarm"]["steps"][-1]["with"]
    assert given["digest"] == "${{ needs.look.outputs.digest }}"
    assert (
        given["refreshed-digest"]
        == "${{ needs.refresh.result == 'success' && needs.refresh.outputs.digest || 'none' }}"
    )
    for each in jobs["alarm"]["steps"]:
        if each.get("uses", "").startswith("actions/download-artifact@"):
            assert re.fullmatch(r"\$\{\{ needs\.\w+\.outputs\.\w+ \}\}", each["with"]["artifact-ids"])
            assert {"name", "pattern"} & set(each["with"]) == set()


def test_the_users_file_lets_the_monitor_do_what_its_jobs_do() -> None:
    given = yaml.safe_load(scaffold.monitor_workflow(install="x"))["jobs"]["monitor"]
    levels = [rights for job in RIGHTS["monitor.yml"].values() for rights in job.items()]
    assert given["permissions"] == {scope: max(level for name, level in levels if name == scope) for scope, _ in levels}


def test_zizmor_finds_nothing() -> None:
    """With the text format, whose exit code says what was found."""
    tool = Path(sys.executable).parent / "zizmor"
    command = [str(tool), "--offline", "--pedantic", "--no-progress", str(ROOT / ".github"), str(ROOT / "actions")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_ignores_of_zizmor_are_counted() -> None:
    ignores = [line for path in EVERY for line in path.read_text(encoding="utf-8").splitlines() if "zizmor:" in line]
    assert ignores == []


@pytest.mark.parametrize(
    ("schema", "paths"), [("vendor.github-workflows", WORKFLOWS), ("vendor.github-actions", ACTIONS)]
)
def test_the_files_fit_githubs_schemas(schema: str, paths: list[Path]) -> None:
    tool = Path(sys.executable).parent / "check-jsonschema"
    done = subprocess.run(
        [str(tool), "--builtin-schema", schema, *map(str, paths)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def _table(title: str) -> dict[str, tuple[str, str]]:
    """Default and description of each input in docs/workflows.md."""
    text = (ROOT / "docs" / "workflows.md").read_text(encoding="utf-8")
    section = re.split(r"^##+ ", text.partition(f"### `{title}`\n")[2], flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| `([\w-]+)` \| (.+?) \| (.+?) \|$", section, re.MULTILINE)
    return {name: (default.strip("`").strip('"'), description) for name, default, description in rows}


DOCUMENTED = [(path.name, load(path)["on"]["workflow_call"]["inputs"]) for path in WORKFLOWS if path.name in RIGHTS]
DOCUMENTED += [(path.parent.name, load(path).get("inputs", {})) for path in ACTIONS]


@pytest.mark.parametrize(("title", "inputs"), DOCUMENTED, ids=[title for title, _ in DOCUMENTED])
def test_the_documented_inputs_are_the_files(title: str, inputs: dict[str, dict[str, str]]) -> None:
    found = {
        name: ("required" if given.get("required") == "true" else given.get("default", ""), given["description"])
        for name, given in inputs.items()
    }
    assert _table(title) == found
