"""What is in production, and when a change is too much worse than that."""

from collections.abc import Sequence

import pytest
from tests.support import report_parts as parts
from tests.support import samples
from tests.support.history_samples import MODEL, deployment

from mlbot.config.schema import EnvironmentConfig
from mlbot.gates.metric import Bound, Gate
from mlbot.report import tables
from mlbot.report.notices import beyond_margins, in_production, model_notices
from mlbot.report.report import NoticeCode, Production
from mlbot.verdict.verdict import Evaluation


def environment(name: str, after: str | None = None) -> EnvironmentConfig:
    return EnvironmentConfig(name=name, target=f"file:///srv/{name}", after=after)


STAGED = (environment("staging"), environment("production", "staging"))


@pytest.mark.parametrize(
    ("environments", "there", "expected"),
    [
        ((), {"production": "1.0.0"}, None),
        (STAGED, {}, None),
        (STAGED, {"staging": "1.1.0"}, None),
        (STAGED, {"staging": "1.1.0", "production": "1.0.0"}, "1.0.0"),
        ((environment("only"),), {"only": "1.0.0"}, "1.0.0"),
        ((*STAGED, environment("edge", "staging")), {"production": "1.0.0", "edge": "1.1.0"}, "1.0.0"),
        ((*STAGED, environment("edge", "staging")), {"edge": "1.1.0"}, "1.1.0"),
    ],
)
def test_production_is_what_no_other_environment_comes_after(
    environments: Sequence[EnvironmentConfig], there: dict[str, str], expected: str | None
) -> None:
    entries = [deployment(environment=name, version=version) for name, version in there.items()]
    found = in_production(environments, entries, MODEL)
    assert (found.version if found else None) == expected


def test_what_failed_to_get_there_is_not_there() -> None:
    entries = [
        deployment(environment="production", version="1.0.0"),
        deployment(environment="production", version="1.1.0", sequence=2, state="failed"),
    ]
    found = in_production(STAGED, entries, MODEL)
    assert found is not None
    assert found.version == "1.0.0"
    assert in_production(STAGED, entries, "other-model") is None


MARGIN = Gate(metric="roc_auc", bound=Bound.MAX_REGRESSION, limit=0.005)


@pytest.mark.parametrize(
    ("gain", "q_value", "gates", "beyond"),
    [
        (-0.0092, 0.001, (MARGIN,), True),
        (-0.0092, 0.62, (MARGIN,), False),
        (-0.0049, 0.001, (MARGIN,), False),
        (0.0092, 0.001, (MARGIN,), False),
        (-0.0092, 0.001, (Gate(metric="roc_auc", bound=Bound.MIN, limit=0.9),), False),
        (-0.0092, 0.001, (MARGIN.model_copy(update={"slice": "women"}),), False),
    ],
)
def test_a_loss_beyond_one_changes_margin(gain: float, q_value: float, gates: tuple[Gate, ...], beyond: bool) -> None:  # noqa: FBT001 - a case's
    found = parts.comparison("roc_auc", gain, q_value=q_value)
    assert [each for each, _ in beyond_margins([found], gates)] == [found] * beyond


def test_the_reader_is_told_of_losses_that_added_up() -> None:
    report = samples.slipped()
    (said,) = [each for each in report.models[0].notices if each.code is NoticeCode.WORSE_THAN_PRODUCTION]
    assert said.warning
    assert said.text == (
        "Since v1.2.0, which is in production, roc_auc fell by 0.0092: more than the 0.005 that one change may lose. "
        "This is shown and does not block."
    )
    assert report.verdict.outcome == "pass"
    evidence, _ = parts.adult(0.0)
    assert not [
        each
        for each in model_notices(samples.passing().models[0], evidence, None)
        if each.code is NoticeCode.WORSE_THAN_PRODUCTION
    ]


def test_nothing_is_said_of_a_slice_with_too_few_rows() -> None:
    women = MARGIN.model_copy(update={"slice": "women"})
    found = parts.comparison("roc_auc", -0.0092, parts.SLICES[0])
    there = Production(environment="production", version="v1.2.0", digest=parts.digest(90), comparisons=(found,))
    report = samples.passing().models[0].model_copy(update={"production": there})
    evidence, _ = parts.adult(0.0, gates=(women,))
    for small, expected in ((frozenset[str](), 1), (frozenset({"women"}), 0)):
        notices = model_notices(report, evidence.model_copy(update={"small_slices": small}), None)
        assert [each.code for each in notices].count(NoticeCode.WORSE_THAN_PRODUCTION) == expected


def test_what_the_comparison_comes_to() -> None:
    assert tables.production_summary(samples.slipped().models[0]) == "1 of 4 clearly worse, 1 of 4 clearly better"
    assert tables.production_summary(samples.passing().models[0]) == "no clear change"
    assert [row.metric for row in tables.production_rows(samples.slipped().models[0])][-1] == "f1@women"


def test_whose_file_is_in_production() -> None:
    model = samples.passing().models[0]
    assert tables.production_is(model) == ""
    for side, said in (("candidate", "the candidate itself"), ("baseline", "the baseline")):
        (first, *_) = getattr(model, side)
        assert isinstance(first, Evaluation)
        assert first.digest is not None
        there = Production(environment="production", version="v1.2.0", digest=first.digest)
        assert tables.production_is(model.model_copy(update={"production": there})) == said
    assert tables.production_is(model.model_copy(update={"production": None})) == ""
