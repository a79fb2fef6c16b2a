"""Artifact names, both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.core.artifact import AcceptedArtifact, ReportArtifact, Side, TrainedArtifact, accepted_file, find, parse_name
from mlbot.core.forge import Artifact

names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")
trained = st.builds(
    TrainedArtifact,
    side=st.sampled_from(Side),
    model=names,
    seed=st.integers(0, 99_999),
    attempt=st.integers(1, 10_000),
)


@given(trained)
def test_a_name_says_what_it_was_made_of(artifact: TrainedArtifact) -> None:
    assert parse_name(artifact.name) == artifact


@given(trained, trained)
def test_no_two_artifacts_share_a_name(one: TrainedArtifact, other: TrainedArtifact) -> None:
    assert (one.name == other.name) == (one == other)


def test_a_model_that_is_called_like_a_suffix_keeps_its_name() -> None:
    artifact = TrainedArtifact(model="a-s0-a1", seed=2, attempt=3)
    assert artifact.name == "mlbot-candidate-a-s0-a1-s2-a3"
    assert parse_name(artifact.name) == artifact


def test_the_other_kinds() -> None:
    accepted, report = AcceptedArtifact(attempt=3), ReportArtifact(attempt=2)
    assert parse_name(accepted.name) == accepted
    assert parse_name(report.name) == report


@pytest.mark.parametrize(
    "name",
    [
        "",
        "model",
        "mlbot-candidate-m-s0",
        "mlbot-candidate-m-s0-a0",
        "mlbot-candidate-m-s00-a1",
        "mlbot-candidate-m-s0-a1 ",
        "mlbot-candidate-m-s0-a1\n",
        "xmlbot-candidate-m-s0-a1",
        "mlbot-candidate--s0-a1",
        "mlbot-candidate-../../x-s0-a1",
        "mlbot-candidate-m-s\u0661-a1",
        "mlbot-candidate-m-s0-a10001",
        "mlbot-accepted-a0",
        "mlbot-accepted-" + "0f" * 32,
        "mlbot-report-a01",
    ],
)
def test_what_is_no_name_of_ours(name: str) -> None:
    assert parse_name(name) is None


@given(st.text())
def test_what_has_a_meaning_is_written_that_way(name: str) -> None:
    found = parse_name(name)
    assert found is None or found.name == name


WANTED = TrainedArtifact(model="m", seed=0, attempt=1)


def artifact(number: int = 1, name: str = WANTED.name, *, run: int | None = 7, expired: bool = False) -> Artifact:
    return Artifact(id=number, name=name, size_bytes=1, run=run, expired=expired)


@pytest.mark.parametrize(
    ("artifacts", "problem"),
    [
        ([], "is missing"),
        ([artifact(name="mlbot-candidate-m-s0-a2")], "is missing"),
        ([artifact(run=8)], "is missing"),
        ([artifact(1), artifact(2)], "is there twice"),
        ([artifact(expired=True)], "has expired"),
    ],
)
def test_what_is_not_found(artifacts: list[Artifact], problem: str) -> None:
    assert find(WANTED, artifacts, 7).problem == problem
    assert find(WANTED, artifacts, 7).artifact is None


def test_the_artifact_of_this_run_is_found() -> None:
    assert find(WANTED, [artifact(1, run=8), artifact(2, run=7)], 7).artifact == artifact(2, run=7)


def test_an_accepted_file_is_named_by_its_digest() -> None:
    assert accepted_file("sha256:" + "0f" * 32) == f"{'0f' * 32}.onnx"
