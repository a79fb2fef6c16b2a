"""What a verdict is decided from, with what waivers bind to: each model's content key and the digest of its rules."""

from collections.abc import Sequence
from contextlib import suppress

from mlbot.activities.model_report import Found
from mlbot.activities.plan import Configs, Sides
from mlbot.core.evaluation import Evaluation, Problem
from mlbot.core.judging import Evidence
from mlbot.core.outcome import Reason
from mlbot.core.plan import Plan
from mlbot.core.policy_changes import changed_rule_files
from mlbot.core.record import Digest
from mlbot.core.staleness import Subject
from mlbot.core.tree import is_url
from mlbot.core.waiver import policy_digest, removal_digest
from mlbot.errors import UsageError


def evidence_of(plan: Plan, configs: Configs, sides: Sides, found: Sequence[Found]) -> tuple[Evidence, ...]:
    """What a verdict is decided from: the judged models, then those that head removes, each with what it is bound to.

    Args:
        plan: what was planned.
        configs: of the three commits.
        sides: their files.
        found: the judged models.
    """
    judged = (_of(each, sides).model_copy(update={"policy": _rules(each, configs, sides)}) for each in found)
    return (*judged, *(_gone(name, sides) for name in plan.deleted))


def _of(found: Found, sides: Sides) -> Evidence:
    """What was found; inputs that the holdout lacks are columns to land first where head changes the holdout."""
    evidence, policy, holdout = found.judged.evidence, sides.policy, found.case.model.data.holdout
    if found.case.provisional or policy is None or is_url(holdout):
        return evidence
    changed = changed_rule_files(policy, sides.head.tree, sides.base.tree if sides.base else None)
    if policy.tree.match(holdout).isdisjoint(changed):
        return evidence
    return evidence.model_copy(update={"candidate": tuple(map(_to_land, evidence.candidate))})


def _to_land(evaluation: Evaluation) -> Evaluation:
    problem = evaluation.problem
    if problem is None or problem.reason is not Reason.MODEL_INPUTS:
        return evaluation
    return evaluation.model_copy(update={"problem": Problem(reason=Reason.HOLDOUT_SCHEMA, detail=problem.detail)})


def _rules(found: Found, configs: Configs, sides: Sides) -> Digest | None:
    """The digest of what a model was judged by; None where no rows could be read."""
    own = found.case.provisional or configs.policy is None or sides.policy is None
    config, side = (configs.head, sides.head) if own else (configs.policy, sides.policy)
    if found.judged.holdout is None or config is None or side is None:
        return None
    return policy_digest(found.case.model, config.inconclusive, side.tree, found.judged.holdout.digest)


def _gone(name: str, sides: Sides) -> Evidence:
    """A model that head removes, with the content key that it has where head left the guarded branch."""
    before = sides.base or sides.policy
    key = None
    with suppress(UsageError):  # base names a file that is not there: nobody can say what would be waived
        key = Subject.of(before.models[name], before).key if before and name in before.models else None
    return Evidence(model=name, gates=(), deleted=True, key=key, policy=removal_digest())
