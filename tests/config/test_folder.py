"""What a folder with an mlbot.yaml names: nothing of two folders is called the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.config.actions import Actions
from mlbot.config.folder import ROOT, ConfigFolder, folder_in, is_judge, is_train
from mlbot.config.guard import contexts
from mlbot.errors import UsageError
from mlbot.setup.workflows import Form, Order, files

FOLDERS = ["a", "services/churn", "judge", "a.judge", "x/judge", "under_score/v1.2", "release-1"]


@pytest.mark.parametrize("path", FOLDERS)
def test_its_files_tell_it_from_every_other(path: str) -> None:
    own = ConfigFolder.of(path)
    assert own.config == f"{path}/mlbot.yaml"
    others = {each for other in ["", *FOLDERS] if other != path for each in ConfigFolder.of(other).workflows.values()}
    assert not others & set(own.workflows.values())
    assert is_train(own.train)
    assert not is_train(own.judge)
    assert is_judge(own.judge.rpartition("/")[2])
    assert not is_judge(own.watch.rpartition("/")[2])


def test_the_roots_names_are_as_they_were() -> None:
    assert ROOT.workflows == {
        "train": ".github/workflows/mlbot.yml",
        "judge": ".github/workflows/mlbot-judge.yml",
        "release": ".github/workflows/mlbot-release.yml",
        "monitor": ".github/workflows/mlbot-monitor.yml",
        "watch": ".github/workflows/mlbot-watch.yml",
    }
    assert ROOT.config == "mlbot.yaml"
    assert ROOT.name_of(ROOT.judge) == "mlbot-judge"


@pytest.mark.parametrize(
    "path", ["../up", "/top", "a//b", "a/", "a--b", ".git", "a b", "ä", "a/.", "x" * 101, "a*", "-a", "a\nb"]
)
def test_a_folder_that_nothing_can_be_named_after(path: str) -> None:
    with pytest.raises(UsageError, match="cannot be named after"):
        ConfigFolder.of(path)


segments = st.text(st.sampled_from("ab."), min_size=1, max_size=3).filter(lambda text: set(text) != {"."})
folders = st.lists(segments, max_size=3).map("/".join)
branches = st.lists(st.text(st.sampled_from("ab"), min_size=1, max_size=2), min_size=1, max_size=3).map("/".join)


@given(st.lists(st.tuples(folders, branches), min_size=2, max_size=2, unique=True))
def test_a_status_is_of_one_folder_and_one_entry(both: list[tuple[str, str]]) -> None:
    one, other = (contexts([branch, "other"], folder)[1] for folder, branch in both)
    assert one != other


@pytest.mark.parametrize("path", ["", *FOLDERS])
def test_a_workflow_file_says_its_folder(path: str) -> None:
    folder = ConfigFolder.of(path)
    # The files that hold the jobs are long, and made the same way for every folder.
    for form in Form if path in {"", "services/churn"} else (Form.CALLERS,):
        written = files(Order(form=form, guard=["main"], install="", actions=Actions(), folder=folder))
        assert {folder_in(text) for text in written.values()} == {path}
