"""What the runner tells, and what it is told."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.errors import UsageError
from mlbot.events.event import NoEvent, NotAnEvent, PushEvent
from mlbot.events.github import Attempt
from mlbot.github.job import SUMMARY_LIMIT, Job, Runner, locate, safe_line
from mlbot.protocol.operations import Annotate, Level

VARIABLES = {
    "GITHUB_REPOSITORY": "acme/income",
    "GITHUB_RUN_ID": "99",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_EVENT_NAME": "push",
    "GITHUB_TOKEN": "ghs_x",
    "GITHUB_WORKFLOW_REF": "acme/income/.github/workflows/mlbot-judge.yml@refs/heads/main",
}


def test_a_job() -> None:
    job = Job.of(VARIABLES)
    assert (job.repository, job.run, job.event_name) == ("acme/income", Attempt(run=99, number=2), "push")
    assert job.workflow_path == ".github/workflows/mlbot-judge.yml"
    assert job.run_url == "https://github.com/acme/income/actions/runs/99"
    assert (job.api_url, job.clone_url) == ("https://api.github.com", "https://github.com/acme/income.git")
    assert job.required_token() == "ghs_x"
    assert "ghs_x" not in repr(job)


def test_an_enterprise_server_and_an_input() -> None:
    there = {"GITHUB_API_URL": "https://x/api/v3", "GITHUB_SERVER_URL": "https://x.ghe.com", "INPUT_TOKEN": "ghs_input"}
    job = Job.of({**VARIABLES, **there, "GITHUB_WORKFLOW_REF": ""})
    assert (job.api_url, job.run_url) == ("https://x/api/v3", "https://x.ghe.com/acme/income/actions/runs/99")
    assert (job.required_token(), job.workflow_path) == ("ghs_input", None)


@pytest.mark.parametrize(
    "changes",
    [
        {"GITHUB_REPOSITORY": ""},
        {"GITHUB_REPOSITORY": "a/b/c"},
        {"GITHUB_RUN_ID": ""},
        {"GITHUB_RUN_ID": "0"},
        {"GITHUB_RUN_ATTEMPT": "x"},
    ],
)
def test_what_is_no_job(changes: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="this is no job of GitHub Actions"):
        Job.of(VARIABLES | changes)


def test_no_token_says_how_to_give_one() -> None:
    with pytest.raises(UsageError, match="there is no token"):
        Job.of(VARIABLES | {"GITHUB_TOKEN": ""}).required_token()


def with_payload(tmp_path: Path, raw: bytes) -> Job:
    path = tmp_path / "event.json"
    path.write_bytes(raw)
    return Job.of(VARIABLES | {"GITHUB_EVENT_PATH": str(path)})


def test_the_event_is_read_from_its_file(tmp_path: Path) -> None:
    repository = {"id": 1, "full_name": "acme/income"}
    payload = {"ref": "refs/heads/main", "before": "b" * 40, "after": "a" * 40, "repository": repository}
    assert isinstance(with_payload(tmp_path, json.dumps(payload).encode()).event(), PushEvent)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"a": NaN}', b"[" * 1000, b"\xff"])
def test_a_payload_that_is_none(tmp_path: Path, raw: bytes) -> None:
    event = with_payload(tmp_path, raw).event()
    assert isinstance(event, NotAnEvent)
    assert event.reason is NoEvent.MALFORMED


@pytest.mark.parametrize("path", ["", "/nowhere/event.json"])
def test_no_payload_at_all(path: str) -> None:
    with pytest.raises(UsageError, match="GITHUB_EVENT_PATH names no file"):
        Job.of(VARIABLES | {"GITHUB_EVENT_PATH": path}).event()


def test_without_files_nothing_is_written() -> None:
    runner = Runner.of({}, io.StringIO())
    runner.add_summary("x")
    assert runner.summary is None


def test_a_summary_grows(tmp_path: Path) -> None:
    runner = Runner.of({"GITHUB_STEP_SUMMARY": str(tmp_path / "s"), "GITHUB_OUTPUT": str(tmp_path / "o")})
    runner.add_summary("# One")
    runner.add_summary("Two\n")
    assert (tmp_path / "s").read_text() == "# One\nTwo\n"


@pytest.mark.parametrize("letter", ["x", "é", "😀"])
def test_a_summary_never_goes_over_its_limit(tmp_path: Path, letter: str) -> None:
    path = tmp_path / "s"
    runner = Runner(summary=path)
    line = letter * 99 + "\n"
    runner.add_summary(line * (900_000 // len(line.encode())))
    runner.add_summary(line * 5000)
    raw = path.read_bytes()
    assert len(raw) <= SUMMARY_LIMIT
    said = raw.decode()
    assert said.endswith("_The rest is left out: a job summary holds 1 MiB._\n")
    assert {len(each) for each in said.split("\n\n_The rest")[0].splitlines()} == {99 + 0}
    runner.add_summary("more" * 100)
    assert path.stat().st_size <= SUMMARY_LIMIT


def annotation(level: Level = Level.ERROR, **changes: Any) -> Annotate:
    fields: dict[str, Any] = {"level": level, "title": "a title", "message": "a message"}
    return Annotate(**(fields | changes))


def said(*annotations: Annotate) -> list[str]:
    stream = io.StringIO()
    Runner(stream=stream).annotate(annotations)
    return stream.getvalue().splitlines()


def test_an_annotation_at_a_line() -> None:
    made = annotation(file="mlbot.yaml", line=30)
    assert said(made) == ["::error title=a title,file=mlbot.yaml,line=30::a message"]


def test_an_annotation_is_escaped() -> None:
    made = annotation(Level.WARNING, title="a: b, 5%", message="50%\r\n::error::forged")
    assert said(made) == ["::warning title=a%3A b%2C 5%25::50%25%0D%0A::error::forged"]


@pytest.mark.parametrize(("count", "more"), [(10, None), (11, 2), (25, 16)])
def test_of_too_many_annotations_the_last_tells_the_number(count: int, more: int | None) -> None:
    lines = said(*[annotation() for _ in range(count)], annotation(Level.WARNING))
    errors = [line for line in lines if line.startswith("::error")]
    assert len(errors) == 10
    assert len(lines) == 11
    assert (errors[-1] == f"::error title=and {more} more::{more} more are in the report.") is (more is not None)


COMMAND = re.compile(r"\s*(::|##\[)")
"""What the runner takes for a command, at the start of a line."""


@given(
    st.text()
    | st.sampled_from(["::error::x", "##[error]x", " \t::set-output name=a::b", "a\n::error::x", "\x1b[2J::x"])
)
def test_a_line_of_the_log_is_no_command(text: str) -> None:
    line = safe_line(text)
    assert "\n" not in line
    assert "\r" not in line
    assert not COMMAND.match(line)
    stream = io.StringIO()
    Runner(stream=stream).say(text)
    assert stream.getvalue() == f"{line}\n"


# Which repository and which token.

HTTPS = "https://github.com/acme/income.git"


def test_on_a_laptop_the_remote_names_the_repository() -> None:
    place = locate({"GITHUB_TOKEN": "t"}, HTTPS)
    assert place
    assert (place.repository, place.api_url, place.token) == ("acme/income", "https://api.github.com", "t")
    assert place.clone_url == "https://github.com/acme/income.git"
    assert "'t'" not in repr(place)
    assert locate({"GITHUB_TOKEN": "t"}, None) is None
    assert locate({}, "/srv/git/x") is None


def test_in_a_job_its_environment_does() -> None:
    environment = {
        "GITHUB_REPOSITORY": "acme/models",
        "GITHUB_API_URL": "https://git.acme.org/api/v3",
        "GITHUB_SERVER_URL": "https://git.acme.org",
        "GITHUB_TOKEN": "t",
        "MLBOT_TOKEN": "own",
    }
    place = locate(environment, HTTPS)
    assert place
    assert (place.repository, place.api_url, place.token) == ("acme/models", "https://git.acme.org/api/v3", "own")


@pytest.mark.parametrize("remote", ["https://evil.example/acme/income", "git@github.com.evil.example:acme/income"])
def test_a_token_goes_to_no_server_that_a_clone_has_named(remote: str) -> None:
    place = locate({"GITHUB_TOKEN": "t"}, remote)
    assert place
    assert place.token is None
    with pytest.raises(UsageError, match="there is no token for https://"):
        place.required_token()
    named = locate({"GITHUB_TOKEN": "t", "GITHUB_API_URL": "https://evil.example/api/v3"}, remote)
    assert named
    assert named.token == "t"


def test_a_job_on_an_enterprise_server_is_one_sentence() -> None:
    environment = {"GITHUB_REPOSITORY": "o/r", "GITHUB_RUN_ID": "1", "GITHUB_SERVER_URL": "https://github.corp.example"}
    with pytest.raises(UsageError, match=r"need github.com or GHE.com") as caught:
        Job.of(environment)
    assert "upload-artifact" in caught.value.hint
    assert Job.of(environment | {"GITHUB_SERVER_URL": "https://acme.ghe.com"}).server_url == "https://acme.ghe.com"


def test_a_data_residency_server_has_its_api_beside_it() -> None:
    found = locate({}, "https://acme.ghe.com/o/r.git")
    assert found
    assert found.api_url == "https://api.acme.ghe.com"
