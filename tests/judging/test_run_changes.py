"""Which data a change has otherwise, where both versions come from, and what a gate makes of it."""

import hashlib
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.judging.test_run_data_checks import people
from tests.support import history_samples
from tests.support.git_samples import Sandbox, make

from mlbot.config.data import Data
from mlbot.data.change import Change, Versions
from mlbot.data.findings import DataReport, Part, Why
from mlbot.gates.metric import Bound, DataCheck, Gate, Task
from mlbot.gates.outcome import Outcome, Reason
from mlbot.git.merge import three_commits
from mlbot.git.repository import Repository
from mlbot.judging.run_changes import data_changes
from mlbot.judging.run_data_checks import _read_back, check_apart
from mlbot.judging.run_judge import Rules
from mlbot.ledger.entries import profile_path
from mlbot.plan.run_plan import Planning
from mlbot.verdict.decide import Evidence, decide
from mlbot.verdict.verdict import Commits, Evaluation

CONFIG = """\
version: 1
models:
  m:
    task: binary
    train: {run: "true", depends: [train.csv]}
    data: {train: train.csv, holdout: holdout.csv, target: label, id: id, gates: {overlap: {max: 0}}}
    gates: {accuracy: {min: 0.5}}
"""
KILLED = Why(cause="killed")
TRAIN, HOLDOUT = people(200).write_csv(), people(100, 1, 1000).write_csv()
MORE = TRAIN + "".join(HOLDOUT.splitlines(keepends=True)[1:6])


@pytest.fixture
def repository(tmp_path: Path) -> Sandbox:
    made = make(tmp_path / "repository")
    made.commit({"mlbot.yaml": CONFIG, "train.csv": TRAIN, "holdout.csv": HOLDOUT})
    made.git("checkout", "--quiet", "-b", "change")
    return made


def changes(
    repository: Sandbox, *, trusts_head: bool = True, profiled: Collection[str] | None = None
) -> tuple[DataReport, ...]:
    git = Repository.discover(repository.path)
    planning = Planning.of(git, three_commits(git, "main"), outside=trusts_head)
    with ExitStack() as checkouts:
        rules = Rules(planning=planning, checkouts=checkouts, trusts_head=trusts_head)
        return data_changes(planning, rules, progress=lambda _: None, profiled=profiled)


@pytest.mark.parametrize("trusts_head", [True, False])
def test_the_guarded_branchs_file_is_compared_with_the_merged_trees(repository: Sandbox, *, trusts_head: bool) -> None:
    repository.commit({"train.csv": MORE})
    (report,) = changes(repository, trusts_head=trusts_head)
    (diff,) = report.diffs
    assert (diff.file, diff.before, diff.after, diff.added) == ("train.csv", 200, 205, 5)
    assert [(each.check, each.rows) for each in report.findings] == [(DataCheck.OVERLAP, (201, 202, 203, 204, 205))]


def test_data_that_are_as_they_were_are_not_compared(repository: Sandbox) -> None:
    repository.commit({"other.txt": "x"})
    assert changes(repository) == ()


def test_a_changed_holdout_is_compared_too(repository: Sandbox) -> None:
    repository.commit({"holdout.csv": HOLDOUT + "".join(TRAIN.splitlines(keepends=True)[1:4])})
    (report,) = changes(repository)
    assert [(each.part, each.added) for each in report.diffs] == [("holdout", 3)]
    assert [(each.cause, each.rows) for each in report.findings] == [("holdout", (101, 102, 103))]


def test_a_new_file_is_what_a_new_name_brings(repository: Sandbox) -> None:
    repository.git("mv", "train.csv", "people.csv")
    repository.commit({"mlbot.yaml": CONFIG.replace("train.csv", "people.csv"), "people.csv": MORE})
    (report,) = changes(repository)
    assert [(each.file, each.added, each.removed) for each in report.diffs] == [("people.csv", 5, 0)]


def test_a_pointer_of_lfs_is_followed_where_its_file_is_here(repository: Sandbox) -> None:
    raw = MORE.encode()
    name = hashlib.sha256(raw).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{name}\nsize {len(raw)}\n"
    repository.commit({"train.csv": pointer})
    (report,) = changes(repository, trusts_head=False)
    assert report.problem
    assert report.problem.cause == "not-here"
    place = repository.path / ".git" / "lfs" / "objects" / name[:2] / name[2:4] / name
    place.parent.mkdir(parents=True)
    place.write_bytes(raw)
    (report,) = changes(repository, trusts_head=False)
    assert report.diffs[0].added == 5


def test_no_url_of_a_change_is_opened(repository: Sandbox) -> None:
    config = CONFIG.replace("train: train.csv,", "train: 'https://example.com/x.csv',").replace(
        ", gates: {overlap: {max: 0}}}", "}"
    )
    repository.commit({"mlbot.yaml": config})
    (report,) = changes(repository, trusts_head=False)
    assert report.problem
    assert report.problem.cause in {"url", "outside"}


def paths(reports: Collection[DataReport]) -> set[str]:
    """Where the ledger has the profiles of reports."""
    return {profile_path(each.digest, report.model, each.part) for report in reports for each in report.profiles}


def test_data_without_a_profile_get_one_once(repository: Sandbox) -> None:
    repository.commit({"mlbot.yaml": CONFIG.replace('"true"', '"true; true"')})
    assert changes(repository) == ()
    (report,) = changes(repository, profiled=())
    assert (report.diffs, report.problem, report.says_something, report.trains_otherwise) == ((), None, False, False)
    train, holdout = report.profiles
    assert (train.part, train.path, holdout.part, holdout.path) == ("train", "train.csv", "holdout", "holdout.csv")
    assert (train.sketch.rows, holdout.sketch.rows) == (200, 100)
    assert train.content == f"sha256:{hashlib.sha256(TRAIN.encode()).hexdigest()}"
    assert "id" in {each.name for each in train.columns}
    assert "id" not in {each.name for each in train.sketch.features}
    assert [each.name for each in train.sketch.targets] == ["label"]
    assert changes(repository, profiled=paths([report])) == ()
    repository.commit({"train.csv": MORE})
    (again,) = changes(repository, profiled=paths([report]))
    assert [(each.part, each.sketch.rows) for each in again.profiles] == [("train", 205)]
    assert again.diffs[0].added == 5


@pytest.mark.parametrize(
    ("setting", "parts"),
    [("sketch: false", []), ("sketch: true", ["train", "holdout"]), ("drop: [town]", ["train", "holdout"])],
)
def test_profiles_are_made_where_the_config_lets_them(repository: Sandbox, setting: str, parts: list[str]) -> None:
    config = CONFIG.replace("id: id,", f"id: id, {setting},").replace('"true"', '"true; true"')
    repository.commit({"mlbot.yaml": config, "train.csv": MORE})
    repository.git("push", "--quiet", ".", "HEAD:main")
    repository.commit({"mlbot.yaml": config.replace('"true; true"', '"true"')})
    found = changes(repository, profiled=())
    assert [each.part for report in found for each in report.profiles] == parts


def test_what_breaks_a_profile_costs_that_alone() -> None:
    change = Change(model="m", task=Task.BINARY, data=Data(holdout="holdout.csv", target="label"))
    report, profile = DataReport(model="m"), history_samples.profile().profile
    lines = [each.model_dump_json().encode() + b"\n" for each in (report, profile)]
    assert _read_back(change, b"".join(lines), KILLED).profiles == (profile,)
    for broken in (b"", b"{", b"{}\n", lines[1][:-1], b"\xff\n", b"null\n"):
        assert _read_back(change, lines[0] + broken, KILLED) == report
    for broken in (b"", b"{", lines[0][:-1], b"\n", b"{}\n", b"null\n"):
        assert _read_back(change, broken, KILLED).problem == KILLED


def test_a_file_that_cannot_be_profiled_is_left_out(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.parquet"
    good.write_text(TRAIN)
    bad.write_bytes(b"PAR1" + bytes(100))
    digest = history_samples.profile().profile.digest
    given: tuple[tuple[Part, Path], ...] = (("train", good), ("holdout", bad))
    files = {
        part: Versions(part=part, name=file.name, before=None, after=str(file), changed=False, profiled=digest)
        for part, file in given
    }
    data = Data(holdout="holdout.csv", target="label")
    tried: tuple[tuple[Part | None, Part | None], ...] = (("train", None), ("train", "holdout"))
    for train, holdout in tried:
        change = Change(
            model="m",
            task=Task.BINARY,
            data=data,
            train=files[train] if train else None,
            holdout=files[holdout] if holdout else None,
        )
        found = check_apart(change)
        assert found.problem is None
        assert [each.part for each in found.profiles] == (["train"] if (train, holdout) == ("train", None) else [])


def judged(report: DataReport | None, check: DataCheck = DataCheck.OVERLAP) -> tuple[Outcome, Reason]:
    gate = Gate(metric=check.metric, bound=Bound.MAX, limit=0.0)
    file = Evaluation(digest=None, seed=0)
    evidence = Evidence(model="m", gates=(gate,), candidate=(file,), data=report)
    (model,) = decide(Commits(head="0" * 40, base=None, policy=None, guarded="main"), [evidence]).models
    return model.gates[0].outcome, model.gates[0].reason


def test_a_gate_on_what_is_found(repository: Sandbox) -> None:
    repository.commit({"train.csv": MORE})
    (report,) = changes(repository)
    assert judged(report) == (Outcome.FAIL, Reason.ABOVE_MAXIMUM)
    assert judged(report, DataCheck.TRIGGER) == (Outcome.PASS, Reason.WITHIN_LIMIT)
    assert judged(report, DataCheck.UNITS) == (Outcome.INCONCLUSIVE, Reason.TOO_FEW_ADDED)
    assert judged(None) == (Outcome.PASS, Reason.WITHIN_LIMIT)  # the data are as they were
    gone = report.model_copy(update={"figures": ()})
    assert judged(gone) == (Outcome.ERROR, Reason.DATA_NOT_CHECKED)


def test_a_gate_on_data_that_git_does_not_have_never_passes(repository: Sandbox) -> None:
    repository.commit(
        {".gitignore": "data.csv\n", "mlbot.yaml": CONFIG.replace("train: train.csv,", "train: data.csv,")}
    )
    (report,) = changes(repository)
    assert judged(report) == (Outcome.ERROR, Reason.DATA_NOT_CHECKED)


@pytest.mark.parametrize("trusts_head", [True, False])
def test_a_folder_of_parquet_in_git_is_compared(repository: Sandbox, *, trusts_head: bool) -> None:
    parts = repository.path / "parts"
    repository.git("checkout", "--quiet", "main")
    parts.mkdir()
    people(100).write_parquet(parts / "one.parquet")
    people(100, 3, 100).write_parquet(parts / "two.parquet")
    repository.commit({"mlbot.yaml": CONFIG.replace("train.csv", "parts")})
    repository.git("checkout", "--quiet", "-B", "change")
    people(100, 1, 1000)[:5].write_parquet(parts / "new.parquet")
    repository.commit()
    (report,) = changes(repository, trusts_head=trusts_head)
    (diff,) = report.diffs
    assert (diff.before, diff.after, diff.added) == (200, 205, 5)
    assert diff.files
    assert diff.files.names == ("new.parquet",)
    assert [each.cause for each in report.notes] == ["folder-rows"]
    assert [each.check for each in report.to_look_at] == [DataCheck.OVERLAP]
    # One that is as it was is what the holdout is compared with.
    repository.git("checkout", "--quiet", "-B", "other", "main")
    repository.commit({"holdout.csv": HOLDOUT + "".join(people(100)[:3].write_csv().splitlines(keepends=True)[1:])})
    (report,) = changes(repository, trusts_head=trusts_head)
    assert [(each.cause, each.rows) for each in report.findings] == [("holdout", (101, 102, 103))]
