"""Looks at a holdout: what counts as one, by the names of the ledger's files alone."""

import subprocess
from pathlib import Path

import pytest
from tests.support.history_samples import look
from tests.support.ledger_samples import digest

from mlbot.errors import NotEvaluatedError
from mlbot.git.ledger import LedgerBranch, fetch_ledger, local_paths
from mlbot.git.remote import Remote
from mlbot.ledger.entries import BRANCH, LookEntry, files_of, path_of, read_files
from mlbot.ledger.queries import Looks, count_looks, look_folder

NOW = 1_763_654_400
ROWS = digest(5)


def counted(*entries: LookEntry, artifact: int = 1, pull_request: tuple[int, int] | None = (12, 77)) -> tuple[int, int]:
    """Looks at all, and in the pull request, with the one that is reported now."""
    found = count_looks([path_of(each) for each in entries], ROWS, [digest(artifact)], pull_request)
    return found.every, found.pull_request or 0


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param([], (1, 1), id="the first"),
        pytest.param([look(1)], (1, 1), id="the same artifact: a re-run, a rebase, a squash"),
        pytest.param([look(1, attempt={"run": 8, "number": 3})], (1, 1), id="another attempt, an equal artifact"),
        pytest.param([look(2)], (2, 2), id="another artifact"),
        pytest.param([look(2, trial=True, actor="bob")], (2, 2), id="a trial that somebody else asked for"),
        pytest.param([look(2, head_repository=79)], (2, 2), id="the pull request's head in another fork"),
        pytest.param([look(2, 13, head_repository=79)], (2, 1), id="another pull request, from a second fork"),
        pytest.param([look(1, 13)], (1, 1), id="the same artifact in another pull request"),
        pytest.param([look(2), look(2, 13)], (2, 2), id="one artifact in two pull requests"),
        pytest.param([look(2, None)], (2, 1), id="a push"),
        pytest.param([look(2, None, repository=None)], (2, 1), id="a laptop"),
        pytest.param([look(2, repository=78)], (2, 1), id="a pull request of this number of another repository"),
        pytest.param([look(2, model="churn")], (2, 2), id="another name for the model"),
        pytest.param([look(2, content=digest(6))], (1, 1), id="other rows"),
        pytest.param([look(2, branch="release/1")], (2, 2), id="another guarded branch"),
    ],
)
def test_what_counts(before: list[LookEntry], expected: tuple[int, int]) -> None:
    assert counted(*before) == expected


def test_a_report_of_no_pull_request_counts_for_none() -> None:
    assert count_looks([path_of(look(2))], ROWS, [digest(1)]) == Looks(
        content=ROWS, every=2, pull_requests=1, of_pull_requests=1
    )
    found = count_looks([path_of(look(2))], ROWS, [], (12, 77))
    assert found == Looks(content=ROWS, every=1, pull_request=1, pull_requests=1, of_pull_requests=1)


def test_an_author_of_ten_pull_requests_has_ten_looks() -> None:
    paths = [path_of(each) for each in (*(look(at, at) for at in range(2, 11)), look(99, None))]
    found = count_looks(paths, ROWS, [digest(1)], (12, 77))
    assert (found.every, found.pull_request, found.pull_requests, found.of_pull_requests) == (11, 1, 10, 10)


FOLDER = look_folder(ROWS)


@pytest.mark.parametrize(
    "path",
    [
        f"{FOLDER}12.77/readme.md",
        f"{FOLDER}12.77/{'0' * 16}.json/more.json",
        f"{FOLDER}12.77/{'0' * 17}.json",
        f"{FOLDER}12.77/{'A' * 16}.json",
        f"{FOLDER}012.77/{'0' * 16}.json",
        f"{FOLDER}-1.77/{'0' * 16}.json",
        f"{FOLDER}{'9' * 99}.77/{'0' * 16}.json",
        f"{FOLDER}../12.77/{'0' * 16}.json",
        f"{FOLDER}{'0' * 16}.json",
        f"{FOLDER}12.77/{chr(0x660) * 16}.json",
        f"v1/look/{'0' * 32}/12.77/{'0' * 16}.json",
        f"v2/{FOLDER}12.77/{'0' * 16}.json",
    ],
)
def test_what_is_no_look_does_not_count(path: str) -> None:
    assert count_looks([path], ROWS, [digest(1)], (12, 77)).every == 1


def test_a_look_is_where_it_belongs_or_it_is_a_problem() -> None:
    """A forged file costs itself: a count has its name, and no other entry is lost for it."""
    right, (wrong, raw) = look(1), next(iter(files_of([look(2)]).items()))
    files = files_of([right]) | {wrong.replace("12.77", "13.77"): raw, f"{FOLDER}12.77/{'1' * 16}.json": b"{}"}
    ledger = read_files(files)

    assert ledger.entries == (right,)
    assert len(ledger.problems) == 2


@pytest.fixture
def bare(tmp_path: Path, git_settings: None) -> Path:
    del git_settings
    path = tmp_path / "remote.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(path)], check=True)
    return path


def test_the_first_report_of_an_artifact_stays_and_a_second_one_adds_nothing(bare: Path) -> None:
    ledger = LedgerBranch.at(Remote(url=str(bare)))
    first = ledger.append([look(1)], NOW)
    again = ledger.append([look(1, actor="bob", commit="9" * 40, report=digest(8))], NOW + 60)

    assert (again.sha, again.added) == (first.sha, ())
    assert ledger.read("look").entries == (look(1),)
    assert ledger.branch.paths(FOLDER) == (path_of(look(1)),)
    assert ledger.branch.paths(look_folder(digest(6))) == ()


@pytest.mark.parametrize("loss", ["rewound", "deleted"])
def test_a_ledger_that_lost_looks_is_not_counted_as_if_there_were_none(bare: Path, tmp_path: Path, loss: str) -> None:
    """The ledger's second ref has what the branch lacks; a clone that knew it counts on."""
    ledger, clone = LedgerBranch.at(Remote(url=str(bare))), tmp_path / "clone"
    for artifact in range(3):
        ledger.append([look(artifact)], NOW)
    subprocess.run(["git", "clone", "--quiet", str(bare), str(clone)], check=True)
    fetch_ledger(clone, Remote(url=str(bare)))
    branch = f"refs/heads/{BRANCH}"
    change = ["update-ref", branch, f"{branch}~2"] if loss == "rewound" else ["update-ref", "-d", branch]
    subprocess.run(["git", *change], cwd=bare, check=True)

    with pytest.raises(NotEvaluatedError, match="registry restore"):
        ledger.branch.paths(FOLDER)
    fetch_ledger(clone, Remote(url=str(bare)))
    assert len(local_paths(clone, [FOLDER])) == 3


def test_a_clone_without_a_ledger_knows_of_no_look(bare: Path) -> None:
    assert local_paths(bare, [FOLDER]) == ()
    assert local_paths(bare, []) == ()
