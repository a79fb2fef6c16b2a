"""Data that git does not hold: lent to worktrees, and missed by name with what fetches it."""

from pathlib import Path

import pytest
from tests.support.config_samples import model
from tests.support.git_samples import Sandbox

from mlbot.config.schema import Model
from mlbot.errors import NotEvaluatedError
from mlbot.git.repository import Repository
from mlbot.training.run_train import data_links, require_data

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
MODEL = model()


def links(sandbox: Sandbox, rev: str = "HEAD", model_: Model = MODEL) -> dict[str, Path]:
    repository = Repository.discover(sandbox.path)
    head = repository.snapshot().sha
    return dict(data_links(repository, head if rev == "snapshot" else repository.resolve(rev), head, [model_]))


def test_data_in_git_needs_no_link(sandbox: Sandbox) -> None:
    sandbox.commit({"data/train.csv": "x"})
    assert links(sandbox) == {}


def test_ignored_data_is_lent(sandbox: Sandbox) -> None:
    sandbox.commit({"data/train.csv": "x", ".gitignore": "data/\n"})
    assert links(sandbox) == {"data/train.csv": sandbox.path / "data" / "train.csv"}


def test_what_is_nowhere_or_an_url_is_not_lent(sandbox: Sandbox) -> None:
    sandbox.commit({"a": "x"})
    assert links(sandbox) == {}
    assert links(sandbox, model_=model(data={"train": "s3://bucket/train.csv"})) == {}
    assert links(sandbox, model_=model(data={"train": None})) == {}


def test_data_of_dvc_is_lent_only_in_its_own_version(sandbox: Sandbox) -> None:
    sandbox.commit({".gitignore": "/data/train.csv\n", "data/train.csv.dvc": "md5: 1"})
    sandbox.commit({"data/train.csv.dvc": "md5: 2"})
    sandbox.write({"data/train.csv": "version 2"})
    assert list(links(sandbox)) == ["data/train.csv"]
    assert links(sandbox, "HEAD~1") == {}
    sandbox.write({"data/train.csv.dvc": "md5: 3"})
    assert links(sandbox) == {}
    assert list(links(sandbox, "snapshot")) == ["data/train.csv"]


def test_a_folder_of_dvc(sandbox: Sandbox) -> None:
    sandbox.commit({".gitignore": "/data/\n", "data.dvc": "md5: 1"})
    sandbox.write({"data/train.csv": "x"})
    assert list(links(sandbox)) == ["data/train.csv"]


def put(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "there is no data/train.csv"),
        ({"data/train.csv.dvc": "md5: 1"}, r"dvc pull data/train\.csv\.dvc"),
        ({"data.dvc": "md5: 1"}, r"dvc pull data\.dvc"),
        ({"data/train.csv": POINTER}, r'git lfs pull --include="data/train\.csv"'),
        ({"data/train.csv/part1": "x,y\n", "data/train.csv/part2": POINTER}, r"data/train\.csv/part2 is a pointer"),
    ],
)
def test_missing_data_is_named_with_what_fetches_it(tmp_path: Path, files: dict[str, str], says: str) -> None:
    with pytest.raises(NotEvaluatedError, match=says):
        require_data(put(tmp_path, files), MODEL)


@pytest.mark.parametrize(
    "files",
    [
        {"data/train.csv": "x,y\n"},
        {"data/train.csv": ""},
        {"data/train.csv": POINTER + "x" * 1024},
        {"data/train.csv/part1": "x,y\n"},
    ],
)
def test_data_that_is_there(tmp_path: Path, files: dict[str, str]) -> None:
    require_data(put(tmp_path, files), MODEL)


def test_an_url_is_not_looked_for(tmp_path: Path) -> None:
    require_data(tmp_path, model(data={"train": "s3://bucket/train.csv"}))
    require_data(tmp_path, model(data={"train": None}))
