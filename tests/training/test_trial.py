"""The content key of a trial, and what a command line changes of the parameters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.errors import MlbotError
from mlbot.lib.scalar import Params
from mlbot.training.trial import read_overrides, trial_key

KEY, OTHER = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
COMMITTED: Params = {"lr": 0.1, "depth": 3, "tree.kind": "gbdt", "early": False, "none": None}
VALUES = st.one_of(st.booleans(), st.integers(-9, 9), st.floats(-9, 9), st.text(max_size=5))
OVERRIDES = st.dictionaries(st.text("abc.", min_size=1, max_size=3), VALUES, min_size=1, max_size=4)


@given(OVERRIDES)
def test_a_trial_never_has_the_committed_key(overrides: Params) -> None:
    assert trial_key(KEY, overrides) not in {KEY, trial_key(OTHER, overrides)}
    assert trial_key(KEY, dict(reversed(overrides.items()))) == trial_key(KEY, overrides)


def text_of(overrides: Params) -> list[tuple[str, str, str]]:
    return sorted((name, type(value).__name__, repr(value)) for name, value in overrides.items())


@given(OVERRIDES, OVERRIDES)
def test_two_trials_share_a_key_only_when_they_are_the_same(one: Params, two: Params) -> None:
    assert (trial_key(KEY, one) == trial_key(KEY, two)) is (text_of(one) == text_of(two))


def test_without_overrides_it_is_the_commits_key() -> None:
    assert trial_key(KEY, {}) == KEY


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("lr=1", 1.0),
        ("lr=1e-3", 0.001),
        ("depth=5", 5),
        ("depth=2.5", 2.5),
        ("tree.kind=1", "1"),
        ("tree.kind=a=b", "a=b"),
        ("early=true", True),
        ("none=3", 3),
    ],
)
def test_a_value_means_what_it_means_in_the_file(written: str, value: object) -> None:
    (found,) = read_overrides([written], None, COMMITTED).values()
    assert (found, type(found)) == (value, type(value))


def test_json_is_taken_as_it_is() -> None:
    assert read_overrides(["depth=4"], '{"lr": 0.2, "tree.kind": "dart"}', COMMITTED) == {
        "lr": 0.2,
        "tree.kind": "dart",
        "depth": 4,
    }


@pytest.mark.parametrize(
    ("written", "as_json", "said"),
    [
        (["depth"], None, "is no name=value"),
        (["dept=3"], None, "Did you mean depth?"),
        (["lr=.nan"], None, "is no finite number"),
        (["zzz=3"], None, "lr, depth, tree.kind, early or none"),
        ([], '{"lr": NaN}', "--overrides"),
        ([], '{"lr": [1]}', "--overrides"),
        ([], "[1]", "--overrides"),
        ([], "{", "--overrides"),
    ],
)
def test_what_cannot_be_read_is_refused(written: list[str], as_json: str | None, said: str) -> None:
    with pytest.raises(MlbotError) as caught:
        read_overrides(written, as_json, COMMITTED)
    assert said in f"{caught.value.what} {caught.value.hint}"
