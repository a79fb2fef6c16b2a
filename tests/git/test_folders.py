"""A repository with several mlbot.yaml: each is read from its own folder, and names what is in it."""

from pathlib import Path

import pytest
from tests.support.git_samples import Sandbox, make

from mlbot.config.errors import Problem
from mlbot.config.run_check import Folder
from mlbot.errors import UsageError
from mlbot.git.merge import three_commits
from mlbot.git.repository import Repository, config_folder, configs_of
from mlbot.lib.tree import Tree
from mlbot.plan.run_plan import Planning

CONFIG = """\
version: 1
models:
  {name}:
    task: binary
    train: {{run: make, depends: {depends}}}
    data: {{train: train.csv, holdout: holdout.csv, target: y}}
    gates: {{accuracy: {{min: 0.5}}}}
"""


@pytest.fixture
def mono(tmp_path: Path, git_settings: None) -> Sandbox:
    """Two services, one of which uses what is beside it."""
    del git_settings
    sandbox = make(tmp_path / "mono")
    files = {"shared/util.py": "1\n", "requirements.txt": "numpy\n"}
    for name, depends in (("a", '[train.py, ":/shared/"]'), ("b", "[train.py]")):
        files |= {
            f"services/{name}/mlbot.yaml": CONFIG.format(name=name, depends=depends),
            f"services/{name}/train.py": "2\n",
            f"services/{name}/train.csv": "x,y\n1,1\n",
            f"services/{name}/holdout.csv": "x,y\n2,0\n",
        }
    sandbox.commit(files)
    sandbox.git("checkout", "--quiet", "-b", "change")
    return sandbox


def stale(mono: Sandbox, folder: str) -> list[str]:
    repository = Repository.discover(mono.path / folder)
    return [each.name for each in Planning.of(repository, three_commits(repository, "main")).plan.stale]


def test_a_folder_is_read_from_the_nearest_config(mono: Sandbox) -> None:
    (mono.path / "services/a/deep/er").mkdir(parents=True)
    assert Repository.discover(mono.path / "services/a/deep/er").folder == "services/a"
    assert Repository.discover(mono.path / "services").folder == ""
    assert config_folder(mono.path / "services/a/deep") == (mono.path / "services/a").resolve()
    assert config_folder(mono.path / "shared") == mono.path.resolve()


def test_paths_are_relative_to_the_config_and_may_lead_beside_it(mono: Sandbox) -> None:
    assert (stale(mono, "services/a"), stale(mono, "services/b")) == ([], [])
    mono.commit({"shared/util.py": "3\n"})
    assert (stale(mono, "services/a"), stale(mono, "services/b")) == (["a"], [])
    mono.commit({"services/b/train.csv": "x,y\n3,1\n"})
    assert (stale(mono, "services/a"), stale(mono, "services/b")) == (["a"], ["b"])


def test_the_lock_of_a_folder_above_counts(mono: Sandbox) -> None:
    mono.commit({"requirements.txt": "numpy==2\n"})
    assert (stale(mono, "services/a"), stale(mono, "services/b")) == (["a"], ["b"])


def test_a_checkout_is_the_folder_with_what_is_beside_it(mono: Sandbox) -> None:
    repository = Repository.discover(mono.path / "services/a")
    with repository.worktree(repository.resolve("HEAD")) as folder:
        assert (folder / "train.py").read_text() == "2\n"
        assert (folder / "../../shared/util.py").read_text() == "1\n"
        assert folder.name == "a"


def test_two_configs_do_not_name_one_model(mono: Sandbox) -> None:
    mono.commit({"services/b/mlbot.yaml": CONFIG.format(name="a", depends="[train.py]")})
    with pytest.raises(UsageError, match=r"mlbot.yaml and \.\./a/mlbot.yaml both name the model a"):
        stale(mono, "services/b")


def test_no_config_hides_behind_many_others(mono: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are not read could name the same model, so too many are refused."""
    mono.commit({f"services/!{number}/mlbot.yaml": "" for number in range(5)})
    monkeypatch.setattr("mlbot.plan.run_plan.MOST_CONFIGS", 5)
    with pytest.raises(UsageError, match=r"there are 6 other mlbot.yaml in the repository"):
        stale(mono, "services/b")


def findings(mono: Sandbox, folder: str) -> tuple[Problem, ...]:
    return Folder.of(mono.path / folder, configs_of(mono.path / folder)).findings()


def test_a_check_refuses_what_a_run_would(mono: Sandbox) -> None:
    mono.write({"services/b/mlbot.yaml": CONFIG.format(name="a", depends="[train.py]")})
    for folder, other in (("a", "b"), ("b", "a")):
        (problem,) = findings(mono, f"services/{folder}")
        assert problem.at == ("models", "a")
        assert problem.found == f'a model that "../{other}/mlbot.yaml" names too'
        assert problem.position == (3, 3)
    mono.git("rm", "--quiet", "-r", "-f", "services/b")
    mono.write({".gitignore": "out/\n", "out/mlbot.yaml": CONFIG.format(name="a", depends="[train.py]")})
    assert not findings(mono, "services/a")


def test_another_config_is_not_read_further_than_its_names(mono: Sandbox) -> None:
    mono.write(
        {"services/b/mlbot.yaml": "models: [a]\n", "services/c/mlbot.yaml": "a: {\n", "mlbot.yaml": "models: {a: 1}"}
    )
    assert [each.found for each in findings(mono, "services/a")] == ['a model that "../../mlbot.yaml" names too']


def test_a_root_shows_examples_without_being_one_of_them(mono: Sandbox) -> None:
    mono.write(
        {path: CONFIG.format(name="a", depends="[train.py]") for path in ("mlbot.yaml", "examples/x/mlbot.yaml")}
    )
    mono.write({"train.py": "", "train.csv": "x,y\n1,0\n", "holdout.csv": "x,y\n1,0\n"})
    assert not findings(mono, ".")


@pytest.mark.parametrize("git", [True, False])
def test_a_folder_without_a_config_names_those_below(mono: Sandbox, *, git: bool) -> None:
    if not git:
        (mono.path / ".git").rename(mono.path / "not-git")
    with pytest.raises(UsageError) as caught:
        findings(mono, ".")
    assert caught.value.hint == "Name one: --config services/a/mlbot.yaml or --config services/b/mlbot.yaml"
    with pytest.raises(UsageError) as none:
        findings(mono, "shared")
    assert none.value.hint == "Make one: mlbot init"


def test_a_root_without_a_config_names_one(mono: Sandbox) -> None:
    with pytest.raises(UsageError, match=r"--config services/a/mlbot\.yaml") as caught:
        stale(mono, ".")
    assert "root" in caught.value.what


def test_a_tree_seen_from_its_root_leads_nowhere_else() -> None:
    tree = Tree({"a/x": ("100644", "1"), "b/y": ("100644", "2")})
    assert tree.seen_from("a").match(":/b") == {"../b/y"}
    assert tree.seen_from("a").match(":/") == set(tree.seen_from("a").entries)
    assert tree.match(":/b") == {"b/y"}
    assert tree.seen_from("a").match("x") == {"x"}
    for pattern in ("../b", "x/../../b"):
        with pytest.raises(UsageError):
            tree.match(pattern)
    with pytest.raises(UsageError):
        tree.seen_from("a").match(":/b/../../c")
