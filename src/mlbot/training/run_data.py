"""Declared training data on disk: what a worktree needs from the user's tree, and what is not there."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mlbot.config.schema import Model
from mlbot.errors import NotEvaluatedError
from mlbot.gates.outcome import Reason
from mlbot.git.repository import Repository
from mlbot.lib.constants import CONFIG_FILE
from mlbot.lib.record import Sha
from mlbot.lib.tree import is_url, shown
from mlbot.plan.content_key import dvc_files
from mlbot.verdict.evidence import Problem

_LFS = b"version https://git-lfs.github.com/spec/"
"""How a Git LFS pointer begins (the git-lfs project's docs/spec.md)."""

_POINTER_BYTES = 1024
"""A pointer is smaller than this, says the same specification."""


def data_links(repository: Repository, sha: Sha, head: Sha, models: Iterable[Model]) -> Mapping[str, Path]:
    """The training data that a commit's worktree lacks and the user's tree has, as `Repository.worktree` takes it.

    Data of DVC is lent only to a commit with the same `.dvc` file as the working tree's: for another one the user's
    file would be the wrong version.

    Args:
        repository: the repository.
        sha: the commit to train.
        head: the snapshot of the working tree.
        models: the models to train.
    """
    paths = {model.data.train for model in models if model.data.train and not is_url(model.data.train)}
    trees = repository.tree(sha), repository.tree(head)
    then, now = ({path: _dvc_entry(tree.entries, path) for path in paths} for tree in trees)
    return {
        path: repository.root / path
        for path in sorted(paths)
        if not trees[0].match(path) and then[path] == now[path] and (repository.root / path).exists()
    }


def require_data(folder: Path, model: Model) -> None:
    """Make sure that a checkout has the model's training data itself, not what stands for it.

    Args:
        folder: the checkout that the training is to run in.
        model: the model.

    Raises:
        NotEvaluatedError: if the data is not there, or is a pointer of Git LFS; with the command that fetches it.
    """
    path = model.data.train
    if path is None or is_url(path):
        return
    where = f"{CONFIG_FILE}: models.{model.name}.data.train"
    if not (folder / path).exists():
        pointer = next((name for name in dvc_files(path) if (folder / name).is_file()), None)
        if pointer is None:
            raise NotEvaluatedError(
                f"there is no {shown(path)}", where=where, hint="Put the data there, or fix the path."
            )
        raise NotEvaluatedError(
            f"{shown(path)} is kept by DVC and is not here in the version of this commit",
            where=where,
            hint=f"Fetch it: dvc pull {pointer} (to train an older commit, as the first step of `train.run`).",
        )
    for file in _files(folder / path):
        if is_lfs_pointer(file):
            name = shown(str(file.relative_to(folder)))
            raise NotEvaluatedError(
                f"{name} is a pointer of Git LFS, not the data",
                where=where,
                hint=f'Fetch it: git lfs install && git lfs pull --include="{name}" '
                "(in GitHub Actions: actions/checkout with lfs: true).",
            )


def _dvc_entry(entries: Mapping[str, tuple[str, str]], path: str) -> tuple[str, str] | None:
    return next((entries[name] for name in dvc_files(path) if name in entries), None)


def _files(path: Path) -> Iterator[Path]:
    return (file for file in sorted(path.rglob("*")) if file.is_file()) if path.is_dir() else iter((path,))


def is_lfs_pointer(file: Path) -> bool:
    """Whether a file stands for one that Git LFS has not fetched."""
    if file.stat().st_size >= _POINTER_BYTES:
        return False
    with file.open("rb") as opened:
        return opened.read(len(_LFS)) == _LFS


def unfetched(source: Path | str) -> Problem | None:
    """Why a holdout that Git LFS has not fetched cannot be read: as a table it would only look damaged."""
    if not isinstance(source, Path) or not source.is_file() or not is_lfs_pointer(source):
        return None
    detail = (
        f"The holdout {source.name} is a pointer of Git LFS, not the data. Fetch it: git lfs pull (in GitHub Actions: "
        "the input lfs of judge.yml)."
    )
    return Problem(reason=Reason.HOLDOUT_UNREADABLE, detail=detail)
