"""What artifacts are called, and how one is found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.events.github import Artifact
from mlbot.protocol.artifacts import AcceptedArtifact, ReportArtifact, Side, TrainedArtifact, accepted_file, find

names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")
trained = st.builds(
    TrainedArtifact,
    side=st.sampled_from(Side),
    model=names,
    seed=st.integers(0, 99_999),
    attempt=st.integers(1, 10_000),
)


@given(trained, trained)
def test_no_two_artifacts_share_a_name(one: TrainedArtifact, other: TrainedArtifact) -> None:
    assert (one.name == other.name) == (one == other)


def test_a_model_that_is_called_like_a_suffix_keeps_its_name() -> None:
    artifact = TrainedArtifact(model="a-s0-a1", seed=2, attempt=3)
    assert artifact.name == "mlbot-candidate-a-s0-a1-s2-a3"


def test_the_other_kinds() -> None:
    assert AcceptedArtifact(attempt=3).name == "mlbot-accepted-a3"
    assert ReportArtifact(attempt=2).name == "mlbot-report-a2"


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
