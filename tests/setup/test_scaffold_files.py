"""The files that `mlbot init` writes."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlbot.config.folder import ConfigFolder
from mlbot.config.schema import parse_config
from mlbot.config.yaml import load
from mlbot.delivery.request import FIELDS
from mlbot.gates.metric import Task
from mlbot.lib.constants import ACTIONS_REF, ACTIONS_REPOSITORY, TRAIN_PATH
from mlbot.setup import scaffold
from mlbot.setup.detect import Table
from mlbot.setup.scaffold import METRICS, Choices, Draft, Facts, Gap, propose

INSTALL = "pip install -r requirements.txt"
ODD = [
    "yes",
    "on",
    "1",
    "1e3",
    "null",
    "~",
    ">50K",
    "a: b",
    "a #b",
    "- a",
    "2024-01-01",
    "12:30",
    "{x}",
    "o'no",
    '"',
    " a",
]


def draft(**changes: object) -> Draft:
    rows = (("1", "a", "no"), ("2", "b", "yes"))
    tables = tuple(Table(path=f"data/{name}.csv", columns=("id", "a", "y"), rows=rows) for name in ("train", "test"))
    files = frozenset({"train.py", "requirements.txt", *(table.path for table in tables)})
    facts = Facts(name="churn", branch="main", files=files, texts={"train.py": "MLBOT_MODEL"}, tables=tables)
    return propose(facts, Choices()).model_copy(update=changes)


@pytest.mark.parametrize("task", METRICS)
def test_the_config_is_valid_for_every_task(task: Task) -> None:
    made = draft(task=task, metrics=METRICS[task], positive="yes" if task is Task.BINARY else None)
    config = parse_config(load(scaffold.config(made), "mlbot.yaml"))
    (model,) = config.models
    assert model.task is task
    assert [gate.metric for gate in model.gates] == [METRICS[task][0], "size_mb"]


@pytest.mark.parametrize("task", METRICS)
def test_the_config_is_still_valid_when_every_comment_that_is_a_setting_is_taken_up(task: Task) -> None:
    made = draft(task=task, metrics=METRICS[task], positive=None)
    lines = []
    for line in scaffold.config(made).splitlines():
        setting = line.lstrip().startswith("# ") and ":" in line and not line.lstrip("# ").split(":")[0].count(" ")
        gate = line.strip().startswith(f"{METRICS[task][0]}:")
        if not gate:  # the one that is given is replaced by the one in the comment
            lines.append(line.replace("# ", "", 1) if setting and "http" not in line else line)
    (model,) = parse_config(load("\n".join(lines), "mlbot.yaml")).models
    assert {gate.metric for gate in model.gates} >= {METRICS[task][0], "latency_p50_ms", "size_mb"}
    assert len(model.slices) == 1
    assert model.data.drop == ("id",)


@pytest.mark.parametrize("text", ODD)
def test_odd_names_come_back_as_they_were(text: str) -> None:
    made = draft(target=text, positive=text, holdout=f"{text.strip()}.csv", install=text)
    data = load(scaffold.config(made), "x").data
    assert isinstance(data, dict)
    assert data["models"]["churn"]["data"]["target"] == text  # type: ignore[index,call-overload] # plain data
    workflow = scaffold.train_workflow(guard=(text,), install=text)
    assert yaml.safe_load(workflow)["jobs"]["train"]["with"]["install"] == text


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1), min_size=1))
def test_any_text_is_the_same_to_both_readers(texts: list[str]) -> None:
    """GitHub reads YAML 1.1 in places, mlbot 1.2."""
    line = f"key: {scaffold.flow(texts)}"
    printable = [text for text in texts if text.isprintable() and "\ufeff" not in text]
    if printable == texts:
        assert yaml.safe_load(line) == {"key": texts}
        assert load(line, "x").data == {"key": texts}


def test_the_workflows_call_the_published_ones_with_no_more_rights_than_needed() -> None:
    train = yaml.safe_load(scaffold.train_workflow(guard=("trunk",), install=INSTALL))
    judge = yaml.safe_load(scaffold.judge_workflow(install=INSTALL))
    assert (train["name"], judge["name"]) == ("mlbot", "mlbot-judge")
    assert train["permissions"] == judge["permissions"] == {}
    on = train[True]  # YAML 1.1 takes the key `on` for true
    assert on["push"] == {"branches": ["trunk"]}
    assert "merge_group" in on
    assert judge[True]["workflow_run"] == {"workflows": ["mlbot"], "types": ["requested", "completed"]}
    assert train["jobs"]["train"]["uses"] == f"{ACTIONS_REPOSITORY}/.github/workflows/train.yml@{ACTIONS_REF}"
    assert train["jobs"]["train"]["permissions"] == {"contents": "read", "pull-requests": "read"}
    rights = {
        "actions": "write",
        "contents": "write",
        "packages": "write",
        "pull-requests": "write",
        "statuses": "write",
    }
    assert judge["jobs"]["judge"]["permissions"] == rights
    given = {"run-id": "${{ inputs.run-id }}", "run-attempt": "${{ inputs.run-attempt }}", "install": INSTALL}
    assert judge["jobs"]["judge"]["with"] == given
    assert judge["jobs"]["judge"]["if"] == "github.event_name != 'issue_comment'"
    assert judge[True]["issue_comment"] == {"types": ["created"]}
    command = judge["jobs"]["command"]
    assert command["if"] == "github.event_name == 'issue_comment'"
    assert command["uses"] == f"{ACTIONS_REPOSITORY}/.github/workflows/command.yml@{ACTIONS_REF}"
    answers = dict.fromkeys(("actions", "issues", "pull-requests", "statuses"), "write")
    assert command["permissions"] == {**answers, "contents": "read"}


def test_the_release_workflow_listens_to_tags_of_versions_and_to_people() -> None:
    workflow = yaml.safe_load(scaffold.release_workflow())
    assert workflow["permissions"] == {}
    assert set(workflow[True]) == {"push", "release", "workflow_dispatch"}
    assert workflow[True]["push"] == {"tags": ["**@v*", "!**!"]}
    inputs = workflow[True]["workflow_dispatch"]["inputs"]
    assert {"do", "comment", "tag"} | {name for names in FIELDS.values() for name in names} == set(inputs)
    assert {given["type"] for given in inputs.values()} == {"string"}
    assert all("required" not in given for given in inputs.values())
    assert workflow["jobs"]["tag"]["if"].startswith("github.event_name == 'push' || (github.event_name == 'release' &&")
    assert workflow["jobs"]["tag"]["permissions"] == {"actions": "write"}
    assert workflow["jobs"]["release"]["if"] == "github.event_name == 'workflow_dispatch'"


def test_the_watch_sees_every_run_and_holds_no_more_than_the_right_to_set_a_status() -> None:
    workflow = yaml.safe_load(scaffold.watch_workflow(guard=("main", "release/*")))
    assert workflow[True] == {"workflow_run": {"workflows": ["**"], "types": ["requested"]}}
    job = workflow["jobs"]["watch"]
    assert (workflow["permissions"], job["permissions"]) == ({}, {"statuses": "write"})
    assert f"path != '{TRAIN_PATH}' ||" in job["if"]
    (step,) = job["steps"]
    assert step["uses"] == f"{ACTIONS_REPOSITORY}/actions/pending@{ACTIONS_REF}"
    assert step["with"]["contexts"] == "mlbot mlbot/main mlbot/release"
    inputs = yaml.safe_load((ROOT / "actions/pending/action.yml").read_text())["inputs"]
    assert set(step["with"]) <= set(inputs)


def test_the_dashboard_is_built_without_the_right_to_publish_it() -> None:
    workflow = yaml.safe_load(scaffold.dashboard_workflow(folder=ConfigFolder.of("services/churn")))
    assert workflow["name"] == "mlbot-dashboard"
    after = ["mlbot-judge services/churn", "mlbot-release services/churn", "mlbot-monitor services/churn"]
    assert workflow[True]["workflow_run"] == {"workflows": after, "types": ["completed"]}
    assert {"schedule", "workflow_dispatch"} < set(workflow[True])
    rights = {name: job["permissions"] for name, job in workflow["jobs"].items()}
    assert rights == {"build": {"contents": "read"}, "deploy": {"id-token": "write", "pages": "write"}}
    assert workflow["permissions"] == {}
    (step,) = workflow["jobs"]["deploy"]["steps"]
    assert re.fullmatch(r"actions/deploy-pages@[0-9a-f]{40}", step["uses"])
    checkout = workflow["jobs"]["build"]["steps"][0]
    assert checkout["with"] == {"persist-credentials": False}


ROOT = Path(__file__).parents[2]


def test_the_summary() -> None:
    gaps = [Gap(what="there is no holdout", hint="Make one.\nOr name it.")]
    done = [("mlbot.yaml", "made"), ("a.yml", "left as it is")]
    said = scaffold.summary(done=done, gaps=gaps, branch="trunk", required={"trunk": "mlbot"}, form="Small.")
    assert said.startswith("mlbot.yaml  made\na.yml       left as it is\n")
    assert "- There is no holdout.\n    Make one.\n    Or name it.\n" in said
    assert "git add mlbot.yaml\n" in said
    order = [
        said.index(words) for words in ("bring them to trunk", "Require the status `mlbot` for trunk", "first pull")
    ]
    assert order == sorted(order)
    nothing = scaffold.summary(done=[], gaps=[], branch="main", required={"main": "mlbot"}, form="")
    assert nothing == "Nothing to do: everything is there already.\n"
