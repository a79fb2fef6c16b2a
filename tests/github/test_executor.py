"""Operations done, in their order, and what stays when one cannot be done."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.github.setting import Setting
from tests.support.ledger_samples import entry

from mlbot.errors import NotEvaluatedError
from mlbot.events.github import State
from mlbot.github.executor import Executor, dry_run
from mlbot.github.job import Runner
from mlbot.github.transport import UnavailableError
from mlbot.ledger.entries import Entry
from mlbot.protocol.operations import Annotate, AppendLedger, Level, Operation, PushCharts, Say, WriteSummary

SHA = "e" * 40


class Stage:
    """An executor with what it writes to."""

    def __init__(self, setting: Setting, tmp_path: Path, permissions: Mapping[str, str] | None = None) -> None:
        self.log = io.StringIO()
        self.summary = tmp_path / "summary"
        self.entries: list[Entry] = []
        self.charts: dict[str, bytes] = {}
        self.broken: Exception | None = None
        runner = Runner(summary=self.summary, stream=self.log)
        self.executor = Executor(github=setting.client(permissions), runner=runner, append=self.append, push=self.push)

    def append(self, entries: Sequence[Entry]) -> None:
        if self.broken:
            raise self.broken
        self.entries += entries

    def push(self, files: Mapping[str, bytes]) -> str:
        self.charts |= files
        return SHA


def all_of(setting: Setting) -> tuple[Operation, ...]:
    return (
        WriteSummary(text="# The report"),
        Annotate(level=Level.ERROR, title="t", message="m"),
        AppendLedger(entries=(entry(),)),
        setting.comment(),
        setting.status(State.FAILURE, said="Worse."),
        Say(sentence="All said."),
    )


def test_everything_is_done(setting: Setting, tmp_path: Path) -> None:
    stage = Stage(setting, tmp_path)
    published = stage.executor.apply(all_of(setting))
    published.raise_failures()
    assert published.done == [("ledger", "appended"), ("comment", "created"), ("status", "set")]
    assert stage.summary.read_text() == "# The report\n"
    assert stage.entries == [entry()]
    assert setting.bodies() == [setting.comment().body]
    assert setting.statuses() == [("failure", "Worse.")]
    assert stage.log.getvalue() == "::error title=t::m\nAll said.\n"


def test_the_comment_is_there_before_the_status(setting: Setting, tmp_path: Path) -> None:
    Stage(setting, tmp_path).executor.apply(all_of(setting))
    written = [each.path.rpartition("/")[2] for each in setting.fake.requests.writes(by="job")]
    assert written == ["comments", setting.pull.head_sha]


def test_doing_it_again_changes_nothing(setting: Setting, tmp_path: Path) -> None:
    stage = Stage(setting, tmp_path)
    stage.executor.apply(all_of(setting))
    before = len(setting.fake.requests.writes())
    published = stage.executor.apply(all_of(setting))
    assert published.done == [("ledger", "appended"), ("comment", "unchanged"), ("status", "unchanged")]
    assert len(setting.fake.requests.writes()) == before


def test_pictures_give_the_commit_that_holds_them(setting: Setting, tmp_path: Path) -> None:
    stage = Stage(setting, tmp_path)
    assert stage.executor.apply([PushCharts(files={"a.svg": "<svg>é</svg>"})]).charts == SHA
    assert stage.charts == {"a.svg": "<svg>é</svg>".encode()}


def test_a_token_that_may_not_write_leaves_the_summary_and_one_sentence(setting: Setting, tmp_path: Path) -> None:
    stage = Stage(setting, tmp_path, {"contents": "read", "pull_requests": "read", "statuses": "read"})
    published = stage.executor.apply(all_of(setting)[:-1])
    published.raise_failures()
    assert len(published.refused) == 2
    assert stage.summary.read_text() == "# The report\n"
    (line,) = stage.log.getvalue().splitlines()[1:]
    assert line.startswith("The report is in the job summary only, for the token may not do this (POST /repos/")


@pytest.mark.parametrize("status", [404, 422, 500])
def test_a_comment_that_cannot_be_written_leaves_the_status(setting: Setting, tmp_path: Path, status: int) -> None:
    setting.fake.faults.add(f"POST /repos/acme/income/issues/{setting.issue.number}", status, times=99)
    stage = Stage(setting, tmp_path)
    published = stage.executor.apply(all_of(setting))
    assert setting.bodies() == []
    assert setting.statuses() == [("failure", "Worse.")]
    assert f"Could not write the comment on #{setting.issue.number}" in stage.log.getvalue()
    with pytest.raises(NotEvaluatedError):
        published.raise_failures()


def test_a_ledger_that_cannot_be_written_is_a_failure(setting: Setting, tmp_path: Path) -> None:
    stage = Stage(setting, tmp_path)
    stage.broken = NotEvaluatedError("writing the branch mlbot/ledger failed")
    published = stage.executor.apply(all_of(setting))
    with pytest.raises(NotEvaluatedError, match="mlbot/ledger"):
        published.raise_failures()
    assert [what for what, _ in published.done] == ["comment", "status"]


FAULTS: list[tuple[Any, dict[str, Any]]] = [
    (500, {}),
    (502, {"after": True}),
    (503, {"nth": 2}),
    (403, {"retry_after": 2}),
    (429, {"retry_after": 2}),
    ("cut", {}),
    ("truncated", {}),
]


@pytest.mark.parametrize(("answer", "options"), FAULTS)
@pytest.mark.parametrize("call", ["GET /repos/acme/income/pulls", "GET /repos/acme/income/issues", "POST ", "GET "])
def test_one_fault_anywhere_changes_nothing_in_the_end(
    setting: Setting, tmp_path: Path, call: str, answer: Any, options: dict[str, Any]
) -> None:
    setting.fake.faults.add(call, answer, **options)
    stage = Stage(setting, tmp_path)
    stage.executor.apply(all_of(setting)).raise_failures()
    assert setting.bodies() == [setting.comment().body]
    assert setting.statuses()[0] == ("failure", "Worse.")
    assert len(set(setting.statuses())) == 1


@pytest.mark.parametrize("answer", [401, 404, 422, 500, "cut"])
def test_a_github_that_answers_nothing_right_gets_nothing_written(
    setting: Setting, tmp_path: Path, answer: Any
) -> None:
    setting.fake.faults.add("GET /repos", answer, times=999)
    stage = Stage(setting, tmp_path)
    published = stage.executor.apply(all_of(setting))
    assert published.done == [("ledger", "appended")]
    assert setting.fake.requests.writes(by="job") == []


def test_a_rate_limit_without_end_is_a_failure(setting: Setting, tmp_path: Path) -> None:
    setting.fake.faults.add("POST ", 403, times=999, retry_after=600)
    published = Stage(setting, tmp_path).executor.apply([setting.status()])
    with pytest.raises(NotEvaluatedError, match="rate limit"):
        published.raise_failures()
    assert setting.waits == [600.0]


def test_a_head_that_moved_while_publishing_is_left_alone(setting: Setting, tmp_path: Path) -> None:
    operations = all_of(setting)
    setting.ada.force_push("deeper", {"a": "9"})
    published = Stage(setting, tmp_path).executor.apply(operations)
    assert published.done[1:] == [("comment", "not-current"), ("status", "not-current")]
    assert setting.fake.requests.writes(by="job") == []


def test_a_dry_run_touches_nothing(setting: Setting) -> None:
    lines: list[str] = []
    dry_run(all_of(setting), lines.append)
    assert len(lines) == 6
    assert lines[-2] == f"would set the status mlbot of {setting.pull.head_sha[:10]} to failure: Worse."
    assert len(setting.fake.requests) == 0


def test_unavailable_is_said_with_what_was_tried() -> None:
    error = UnavailableError("GitHub could not be reached", where="GET /x", hint="Run the job again.")
    assert str(error) == "GET /x: GitHub could not be reached\n  Run the job again."
