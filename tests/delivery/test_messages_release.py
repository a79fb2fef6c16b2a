"""A version's issue and the answers to who asked: whole, and safe whatever was written."""

import pytest
from hypothesis import given
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from tests.support import tiny
from tests.support.history_samples import approval, deployment, lock, release
from tests.support.hostile_samples import TEXTS, as_github, skeleton
from tests.support.ledger_samples import digest

from mlbot.config.schema import Config, EnvironmentConfig, parse_config
from mlbot.config.yaml import load
from mlbot.delivery.issue import thread_view
from mlbot.delivery.messages import Stands, Told, release_answer, release_thread
from mlbot.events.github import Attempt, Comment
from mlbot.ledger.entries import Entry
from mlbot.protocol.answer import CarriedOut, last_line, recorded
from mlbot.protocol.marker import carries

REPOSITORY = "https://github.com/acme/income"
RUN = f"{REPOSITORY}/actions/runs/99"


class MarkdownFile(SingleFileSnapshotExtension):
    file_extension = "md"
    _write_mode = WriteMode.TEXT


def config() -> Config:
    environments = (
        EnvironmentConfig(name="staging", target="file:///s"),
        EnvironmentConfig(name="canary", target="file:///c", after="staging"),
        EnvironmentConfig(name="production", target="file:///p", after="staging", approvals=2),
    )
    return parse_config(load(tiny.CONFIG, "mlbot.yaml")).model_copy(update={"environments": environments})


def thread(*entries: Entry) -> str:
    view = thread_view((release(), *entries), config(), release())
    return release_thread(view, repository=REPOSITORY, page=f"{REPOSITORY}/releases/tag/x")


STORY = (
    deployment(detail="20 golden requests are answered as judged.", run=Attempt(run=4)),
    deployment(2, "0.9.0", digest=digest(99)),
    deployment(3, action="rollback", reason="v0.9.0 | was <b>wrong</b>, says @grace", run=Attempt(run=5)),
    deployment(1, environment="canary", state="rolled-back", detail="The smoke test failed (p95)."),
    approval(),
)


def test_a_new_version(snapshot: SnapshotAssertion) -> None:
    assert thread() == snapshot(extension_class=MarkdownFile)


def test_a_version_that_has_been_places(snapshot: SnapshotAssertion) -> None:
    assert thread(*STORY) == snapshot(extension_class=MarkdownFile)


def test_a_closed_environment(snapshot: SnapshotAssertion) -> None:
    assert thread(*STORY, lock()) == snapshot(extension_class=MarkdownFile)


def test_where_there_are_no_environments() -> None:
    bare = parse_config(load(tiny.CONFIG, "mlbot.yaml"))
    text = release_thread(thread_view((release(),), bare, release()), repository=REPOSITORY)
    assert "names no environments" in text
    assert "Say what comes next" not in text


def answer(told: Told, **more: str) -> str:
    known = {"text": "/promote tiny@v1.0.0 staging", "marker": "<!-- m -->", "run_url": RUN}
    return release_answer(told, **known | more)


@pytest.mark.parametrize("stands", Stands)
def test_an_answer(stands: Stands, snapshot: SnapshotAssertion) -> None:
    told = Told(
        stands=stands, reason="x", sentence="It is so, says @ada.", hint="Then say:", copy_lines=("/unlock staging",)
    )
    text = answer(told, name="tiny@v1.0.0", thread=f"{REPOSITORY}/issues/4")
    assert text == snapshot(extension_class=MarkdownFile)


def skeletons(said: str) -> list[object]:
    told = Told(stands=Stands.DONE, reason="x", sentence=said, hint=said)
    return skeleton(as_github(answer(told, text=said)))[0]


@given(TEXTS.filter(bool))
def test_whatever_was_written_is_shown_as_it_was_written(text: str) -> None:
    assert skeletons(text) == skeletons("a")
    assert carries(answer(Told(stands=Stands.DONE, reason="x", sentence=text)), "<!-- m -->")


def test_what_is_carried_out_is_read_back() -> None:
    body = answer(Told(stands=Stands.DONE, reason="x", sentence="Done."), marker=last_line(5, [CarriedOut(comment=5)]))
    (found,) = recorded([Comment(id=9, author="bot", body=body)], "bot")
    assert found == CarriedOut(comment=5)
