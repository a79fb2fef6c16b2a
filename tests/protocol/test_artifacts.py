"""What artifacts are called, and how one is found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.events.github import Artifact
from mlbot.protocol.artifacts import AcceptedArtifact, PackArtifact, ReportArtifact, Side, accepted_file, find, is_older

names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._+-]{0,79}\Z")
packs = st.builds(PackArtifact, side=st.sampled_from(Side), pack=names, attempt=st.integers(1, 9_999))


@given(packs, packs)
def test_no_two_artifacts_share_a_name(one: PackArtifact, other: PackArtifact) -> None:
    assert (one.name == other.name) == (one == other)


@given(packs)
def test_a_name_reads_back(artifact: PackArtifact) -> None:
    assert PackArtifact.of(artifact.name) == artifact


def test_a_model_that_is_called_like_a_suffix_keeps_its_name() -> None:
    artifact = PackArtifact(pack="a-s0-a1", attempt=3)
    assert artifact.name == "mlbot-candidate-a-s0-a1-a3"


@pytest.mark.parametrize(
    "name",
    ["mlbot-report-a1", "mlbot-accepted-a1", "mlbot-candidate-a", "mlbot-candidate--a1", "mlbot-candidate-a/b-a1"],
)
def test_what_is_no_training(name: str) -> None:
    assert PackArtifact.of(name) is None


@pytest.mark.parametrize(
    ("pack", "mine"),
    [("churn", True), ("churn+s2", True), ("churn+trial", True), ("churn-2", False), ("a+churn", False)],
)
def test_whose_it_is_by_its_name(pack: str, *, mine: bool) -> None:
    assert PackArtifact(pack=pack, attempt=1).is_of("churn") is mine


def test_an_older_mlbots_is_known_by_its_name() -> None:
    assert is_older("mlbot-candidate-churn-s0-a1", "churn")
    assert not is_older("mlbot-candidate-churn-a1", "churn")
    assert not is_older("mlbot-candidate-churn-s0-a1", "chur.")


def test_the_other_kinds() -> None:
    assert AcceptedArtifact(attempt=3).name == "mlbot-accepted-a3"
    assert ReportArtifact(attempt=2).name == "mlbot-report-a2"


WANTED = AcceptedArtifact(attempt=1)


def artifact(number: int = 1, name: str = WANTED.name, *, run: int | None = 7, expired: bool = False) -> Artifact:
    return Artifact(id=number, name=name, size_bytes=1, run=run, expired=expired)


@pytest.mark.parametrize(
    ("artifacts", "problem"),
    [
        ([], "is missing"),
        ([artifact(name="mlbot-accepted-a2")], "is missing"),
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
