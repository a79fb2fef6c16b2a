"""`mlbot plan` on real repositories."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import notebooks as cells
from tests.support.git_samples import Sandbox

from mlbot.console import Console
from mlbot.errors import UsageError
from mlbot.git.merge import commits_of, three_commits
from mlbot.git.repository import Branch, Repository
from mlbot.plan.plan import Plan, StaleCode, plan_models
from mlbot.plan.run_plan import (
    PlanOptions,
    matrix_lines,
    plan_text,
    plan_working_tree,
    print_plan,
    read_configs,
    read_sides,
)

MODEL = """\
  {name}:
    task: binary
    train:
      run: python {name}.py
      depends: [{name}.py, common/]
      params: params.yaml
      seeds: 2
    data: {{train: data/train.csv, holdout: data/holdout.csv, target: y}}
    metrics: [roc_auc]
    gates:
      roc_auc: {{min: 0.9, max_regression: 0.005}}
"""
FILES = {
    "one.py": "1",
    "two.py": "1",
    "common/lib.py": "1",
    "params.yaml": "depth: 3\n",
    "data/train.csv": "x,y\n",
    "data/holdout.csv": "x,y\n",
    "README.md": "Hello",
}


def config(*names: str) -> dict[str, str]:
    return {"mlbot.yaml": "version: 1\nmodels:\n" + "".join(MODEL.format(name=name) for name in names)}


@pytest.fixture
def project(sandbox: Sandbox) -> Sandbox:
    """Two models on main, and a branch that left it."""
    sandbox.commit({**FILES, **config("one", "two")})
    sandbox.git("checkout", "--quiet", "-b", "work")
    return sandbox


def plan_of(sandbox: Sandbox, *only: str, base: str | None = None) -> Plan:
    return plan_working_tree(Repository.discover(sandbox.path), PlanOptions(base=base, models=only))


def stale(plan: Plan) -> dict[str, list[str]]:
    return {model.name: [reason.text for reason in model.reasons] for model in plan.stale}


def test_nothing_to_do(project: Sandbox) -> None:
    plan = plan_of(project)
    assert stale(plan) == {}
    assert plan.unchanged == ("one", "two")
    assert all(model.key == model.base_key for model in plan.models)


def test_changes_of_every_kind(project: Sandbox) -> None:
    project.commit({"one.py": "2"})
    project.write({"common/new file.py": "untracked", "README.md": "other"})
    (project.path / "two.py").chmod(0o755)
    assert stale(plan_of(project)) == {
        "one": ["common/new file.py was added, one.py changed"],
        "two": ["common/new file.py was added, two.py changed its mode"],
    }


def test_a_committed_change_and_an_uncommitted_one_have_the_same_key(project: Sandbox) -> None:
    project.write({"one.py": "2"})
    uncommitted = plan_of(project)
    project.commit()
    committed = plan_of(project)
    assert [model.key for model in uncommitted.models] == [model.key for model in committed.models]
    assert uncommitted.commits.head != committed.commits.head


def test_new_and_deleted_models_and_changed_rules(project: Sandbox) -> None:
    text = config("one", "three")["mlbot.yaml"].replace("min: 0.9", "min: 0.8", 1)
    project.commit({"mlbot.yaml": text, "three.py": "1", "data/holdout.csv": "x,y\n1,1\n"})
    plan = plan_of(project)
    assert stale(plan) == {"three": ["the model is new"]}
    assert plan.deleted == ("two",)
    assert plan.policy_changes == (
        "lowers the limit of roc_auc min from 0.9 to 0.8 (model one)",
        "changes data/holdout.csv",
    )


def test_from_a_folder_inside_and_from_a_linked_worktree(project: Sandbox, tmp_path: Path) -> None:
    project.commit({"one.py": "2"})
    project.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
    for folder in (project.path / "common", tmp_path / "linked" / "data"):
        plan = plan_working_tree(Repository.discover(folder), PlanOptions())
        assert stale(plan) == {"one": ["one.py changed"]}


def test_equal_configs_are_parsed_once(project: Sandbox) -> None:
    repository = Repository.discover(project.path)
    configs = read_configs(repository, three_commits(repository))
    assert configs.head is configs.base is configs.policy


def test_no_config_at_head(project: Sandbox) -> None:
    (project.path / "mlbot.yaml").unlink()
    with pytest.raises(UsageError, match="mlbot init"):
        plan_of(project)


@pytest.mark.parametrize("mode", ["120000", "160000"])
def test_what_a_link_says_and_what_a_submodule_names_is_no_config(project: Sandbox, mode: str) -> None:
    """Their object reads like one here, and a checkout has no such file."""
    text = project.git("rev-parse", "HEAD:mlbot.yaml")
    head = with_entry(project, f"{mode},{text},mlbot.yaml")
    repository = Repository.discover(project.path)
    commits = commits_of(repository, head, Branch(name="main", sha=head))
    assert commits.policy is None
    with pytest.raises(UsageError, match="mlbot init"):
        read_configs(repository, commits)


def test_a_config_that_is_a_link_is_the_file_that_it_leads_to(project: Sandbox) -> None:
    text = project.git("rev-parse", "HEAD:mlbot.yaml")
    project.write({"name": "real.yaml"})
    name = project.git("hash-object", "-w", "name")
    head = with_entry(project, f"120000,{name},mlbot.yaml", f"100644,{text},real.yaml", f"120000,{name},a/mlbot.yaml")
    commits = commits_of(Repository.discover(project.path), head, Branch(name="main", sha=head))
    assert {each.name for each in read_configs(Repository.discover(project.path), commits).head.models} == {
        "one",
        "two",
    }


def with_entry(sandbox: Sandbox, *entries: str) -> str:
    """A commit that has these besides what HEAD has: mode, object and path of each."""
    for each in entries:
        sandbox.git("update-index", "--add", "--cacheinfo", each)
    return sandbox.git("commit-tree", sandbox.git("write-tree"), "-p", "HEAD", "-m", "Other entries")


def test_before_the_first_commit(sandbox: Sandbox) -> None:
    sandbox.write({**FILES, **config("one")})
    plan = plan_of(sandbox)
    assert plan.models[0].reasons[0].code is StaleCode.NO_BASELINE
    assert (plan.commits.base, plan.commits.policy) == (None, None)


def test_a_broken_config_at_base_does_not_stop_the_commit_that_fixes_it(sandbox: Sandbox) -> None:
    broken = sandbox.commit({**FILES, "mlbot.yaml": "version: [\n"})
    fixed = sandbox.commit(config("one"))
    repository = Repository.discover(sandbox.path)
    commits = three_commits(repository, fixed).model_copy(update={"base": broken})
    assert read_configs(repository, commits).base is None


def test_a_broken_config_at_head_or_policy_is_an_error(sandbox: Sandbox) -> None:
    broken = sandbox.commit({**FILES, "mlbot.yaml": "version: [\n"})
    with pytest.raises(UsageError, match=r"mlbot\.yaml"):
        plan_of(sandbox)
    sandbox.commit(config("one"))
    with pytest.raises(UsageError, match=rf"mlbot\.yaml of {broken}"):
        plan_of(sandbox, base=broken)


def test_a_pattern_that_matches_nothing_is_named(project: Sandbox) -> None:
    project.commit({"mlbot.yaml": config("one")["mlbot.yaml"].replace("common/", "comon/")})
    with pytest.raises(UsageError, match="comon/"):
        plan_of(project)


def test_untracked_data_counts_by_content_only_where_it_may_be_looked_at(sandbox: Sandbox) -> None:
    sandbox.commit({**FILES, **config("one"), ".gitignore": "data/train.csv\n"})
    keys = []
    for text in ("1", "2"):
        sandbox.write({"data/train.csv": text})
        keys.append(plan_of(sandbox).models[0].key)
    git_only = plan_working_tree(Repository.discover(sandbox.path), PlanOptions(git_only=True))
    keys.append(git_only.models[0].key)
    (sandbox.path / "data" / "train.csv").unlink()
    keys.append(plan_of(sandbox).models[0].key)
    assert len(set(keys)) == 3
    assert keys[2] == keys[3]


def test_planning_needs_no_checkout(project: Sandbox, tmp_path: Path) -> None:
    project.commit({"one.py": "2"})
    commits = three_commits(Repository.discover(project.path))
    subprocess.run(["git", "clone", "--quiet", str(project.path), str(tmp_path / "judge")], check=True)
    judge = Sandbox(tmp_path / "judge")
    judge.git("checkout", "--quiet", str(commits.policy))
    repository = Repository.discover(judge.path)
    configs = read_configs(repository, commits)
    sides = read_sides(repository, commits, configs, outside=False)
    assert plan_models(commits, sides.head, sides.base, sides.policy) == plan_of(project)


def printed(sandbox: Sandbox, *, as_json: bool = False) -> str:
    console = Console(out=io.StringIO(), err=io.StringIO())
    print_plan(sandbox.path, PlanOptions(), console, as_json=as_json)
    assert isinstance(console.out, io.StringIO)
    return console.out.getvalue()


def test_the_table(project: Sandbox) -> None:
    project.commit({"one.py": "2", **config("one")})
    assert printed(project).splitlines() == [
        "model  state  seeds  why",
        "one    stale  2      one.py changed",
        "",
        "1 of 1 models stale, 2 trainings to do.",
        "two is no longer there; its deletion needs a waiver.",
    ]


def test_the_table_says_what_changes_of_the_rules(project: Sandbox) -> None:
    project.commit({"data/holdout.csv": "x,y\n1,1\n"})
    assert plan_text(plan_of(project)).endswith("The working tree changes data/holdout.csv; judged by main's.")


def test_json_and_matrix(project: Sandbox) -> None:
    project.commit({"one.py": "2"})
    assert Plan.model_validate_json(printed(project, as_json=True)) == plan_of(project)
    matrix, *others = matrix_lines(plan_of(project), {}).splitlines()
    assert others == ["jobs=1", "here=", "onto="]
    (job,) = json.loads(matrix.removeprefix("matrix="))["include"]
    assert json.loads(job["trainings"]) == {"one": [0, 1]}
    matrix, *others = matrix_lines(plan_of(project), {"one": 20.0}).splitlines()
    assert others == ["jobs=0", f"here={json.dumps(job)}", "onto="]
    project.commit({"one.py": "1"})
    assert matrix_lines(plan_of(project), {}) == 'matrix={"include": []}\njobs=0\nhere=\nonto='


HEAVY = ("numpy", "polars", "sklearn", "onnx", "onnxruntime", "jinja2", "github", "scipy", "altair")


def test_planning_loads_nothing_heavy_and_starts_few_gits(project: Sandbox, tmp_path: Path) -> None:
    project.commit({"one.py": "2"})
    trace = tmp_path / "trace"
    code = (
        "import sys\nfrom mlbot.entry import invoke\n"
        f"assert invoke(['plan', '-C', {str(project.path)!r}]) == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "GIT_TRACE2_EVENT": str(trace)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    started = [line for line in trace.read_text().splitlines() if '"event":"start"' in line]
    assert len(started) <= 12


def notebook_of(*sources: str, run: int = 0, above: str = "#") -> str:
    outputs = f"{run} of {sources}\n" if run else ""
    return cells.notebook(cells.text(above), *(cells.code(each, run=run, output=outputs) for each in sources))


NOTEBOOK = """\
version: 1
models:
  one:
    task: binary
    train: {notebook: work/train.ipynb, depends: [common/, work/other.ipynb]}
    data: {train: data/train.csv, holdout: data/holdout.csv, target: y}
    metrics: [roc_auc]
    gates: {roc_auc: {min: 0.9}}
"""


@pytest.fixture
def notebooks(sandbox: Sandbox) -> Sandbox:
    """A model that a notebook trains, and a branch that left main."""
    own = {"work/train.ipynb": notebook_of("x = 1", "y = 2", "x + y"), "work/other.ipynb": notebook_of("z = 1")}
    sandbox.commit({**FILES, **own, "mlbot.yaml": NOTEBOOK})
    sandbox.git("checkout", "--quiet", "-b", "work")
    return sandbox


def test_running_a_notebook_or_writing_text_in_it_makes_nothing_stale(notebooks: Sandbox) -> None:
    again = notebook_of("x = 1", "y = 2", "x + y", run=3, above="# A better title")
    notebooks.write({"work/train.ipynb": again, "work/other.ipynb": notebook_of("z = 1", run=1)})
    plan = plan_of(notebooks)
    assert stale(plan) == {}
    assert plan.models[0].key == plan.models[0].base_key


def test_what_changed_of_a_notebook_is_said_by_its_cells(notebooks: Sandbox) -> None:
    changed = notebook_of("x = 1", "y = 3", "x + y", run=2)
    notebooks.write({"work/train.ipynb": changed, "work/other.ipynb": notebook_of("z = 1", run=1)})
    assert stale(plan_of(notebooks)) == {"one": ["work/train.ipynb changed in cell 3"]}
    notebooks.write({"work/train.ipynb": "{", "common/lib.py": "2"})
    assert stale(plan_of(notebooks)) == {"one": ["common/lib.py changed, work/train.ipynb changed"]}


def test_of_a_file_that_is_no_notebook_every_byte_counts(notebooks: Sandbox) -> None:
    notebooks.commit({"work/train.ipynb": "{", "work/other.ipynb": "{"})
    first = plan_of(notebooks).models[0].key
    notebooks.commit({"work/train.ipynb": "{ "})
    assert plan_of(notebooks).models[0].key != first


def test_what_else_a_training_reads_is_a_notebook_with_all_its_bytes(notebooks: Sandbox) -> None:
    text = NOTEBOOK.replace("notebook: work/train.ipynb", "run: papermill work/train.ipynb out.ipynb")
    notebooks.git("checkout", "--quiet", "main")
    notebooks.commit({"mlbot.yaml": text})
    notebooks.git("checkout", "--quiet", "-b", "papermill")
    notebooks.write({"work/other.ipynb": notebook_of("z = 1", run=1)})
    assert stale(plan_of(notebooks)) == {"one": ["work/other.ipynb changed"]}
    notebooks.write({"mlbot.yaml": NOTEBOOK})
    assert stale(plan_of(notebooks)) == {
        "one": ["work/train.ipynb was added to `depends`", "train.run, train.notebook changed in mlbot.yaml"]
    }


def test_a_notebook_that_is_not_there_is_named(notebooks: Sandbox) -> None:
    notebooks.write({"mlbot.yaml": NOTEBOOK.replace("train.ipynb", "gone.ipynb")})
    with pytest.raises(UsageError, match=r"train\.notebook names 'work/gone\.ipynb', which matches no file"):
        plan_of(notebooks)
