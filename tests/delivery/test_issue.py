"""A version's issue follows the ledger."""

from typing import Any

import pytest
from tests.support import tiny
from tests.support.history_samples import MODEL, approval, deployment, lock, release
from tests.support.ledger_samples import digest

from mlbot.commands.parser import ParseError, parse_comment
from mlbot.config.schema import Config, EnvironmentConfig, parse_config
from mlbot.config.yaml import load
from mlbot.delivery.issue import ThreadView, first_environments, marker_of, thread_view
from mlbot.ledger.entries import Entry


def config(approvals: int = 1) -> Config:
    environments = (
        EnvironmentConfig(name="staging", target="file:///s"),
        EnvironmentConfig(name="production", target="file:///p", after="staging", approvals=approvals),
    )
    return parse_config(load(tiny.CONFIG, "mlbot.yaml")).model_copy(update={"environments": environments})


def view(*entries: Entry, version: str = "1.0.0", **changes: Any) -> ThreadView:
    own = release(version, **changes)
    return thread_view((own, *entries), config(), own)


def states(found: ThreadView) -> list[tuple[str, str]]:
    return [(row.environment, row.state) for row in found.rows]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ((), ["next", "waits"]),
        ((deployment(state="started"),), ["under way", "waits"]),
        ((deployment(),), ["live", "next"]),
        ((deployment(state="failed"),), ["failed", "waits"]),
        ((deployment(state="rolled-back"),), ["rolled back", "waits"]),
        ((deployment(), deployment(2, "1.1.0", digest=digest(101))), ["replaced", "waits"]),
        ((deployment(), deployment(2, state="failed")), ["live", "next"]),
        ((deployment(), lock()), ["live", "locked"]),
        ((deployment(), deployment(environment="production"), lock()), ["live", "live"]),
        ((deployment(), lock(), lock(2, locked=False)), ["live", "next"]),
    ],
)
def test_how_it_stands(entries: tuple[Entry, ...], expected: list[str]) -> None:
    assert [state for _, state in states(view(*entries))] == expected


def test_approvals_count_for_these_bytes_only() -> None:
    said = {row.environment: row.said for row in view(deployment(), approval()).rows}
    assert said["production"] == "1 of 1 approvals (grace)"
    other = {row.environment: row.said for row in view(deployment(), approval(digest=digest(7))).rows}
    assert other["production"] == "0 of 1 approvals"
    assert {row.environment: row.said for row in view().rows}["production"] == "comes after staging; 0 of 1 approvals"


def test_what_may_be_said_next_is_understood() -> None:
    found = view(deployment())
    assert found.copy_lines == (
        f"/promote {MODEL}@v1.0.0 production",
        f"/approve {MODEL}@v1.0.0 production",
        f'/rollback {MODEL} staging reason="…"',
    )
    every = (*found.copy_lines, *view(lock(environment="staging")).copy_lines)
    assert "/unlock staging" in every
    for line in every:
        (said,) = parse_comment(line)
        assert not isinstance(said.command, ParseError)


def test_an_old_version_is_closed_when_it_is_nowhere() -> None:
    newer = release("1.1.0", digest=digest(101))
    assert view().open
    assert not view(newer).open
    assert view(newer, deployment()).open
    assert not view(newer, deployment(), deployment(2, "1.1.0", digest=digest(101))).open


def test_it_goes_by_itself_where_nothing_comes_before_and_once() -> None:
    assert first_environments((release(),), config(), release()) == ("staging",)
    assert first_environments((release(), deployment(state="failed")), config(), release()) == ()


def test_the_marker_names_the_version() -> None:
    assert view().marker == marker_of(MODEL, "1.0.0") == f"<!-- mlbot:version {MODEL}@v1.0.0 -->"
