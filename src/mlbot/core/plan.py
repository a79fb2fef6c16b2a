"""The plan: which models a commit makes stale, why, and what to train for it."""

import json
import math
from collections.abc import Container, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from mlbot.core.config import Model
from mlbot.core.difference import Difference
from mlbot.core.inputs import Side
from mlbot.core.policy_changes import changed_rule_files, policy_changes
from mlbot.core.record import Digest, Name, Record
from mlbot.core.staleness import StaleCode, StaleReason, Subject, reasons
from mlbot.core.training import Params
from mlbot.core.verdict import Commits
from mlbot.errors import UsageError

MATRIX_LIMIT = 256
"""Jobs that GitHub Actions allows in one matrix (docs.github.com, "Usage limits")."""

_SETUP_MINUTES = 10
"""What a job may take beside the training: checkout, installing, uploading."""
_REQUESTED = StaleReason(code=StaleCode.REQUESTED, text="asked for")


class PlannedModel(Record):
    """One model of head."""

    name: Name
    key: Digest
    """Content key at head; `mlbot.core.inputs.Inputs` says what is in it."""
    base_key: Digest | None = None
    """Content key at base; None when base has no such model."""
    stale: bool
    """Whether it has to be trained and judged; exactly when there are reasons."""
    reasons: tuple[StaleReason, ...] = ()
    seeds: Annotated[int, Field(ge=1)]
    """How many; they are numbered from 0."""
    runs_on: tuple[str, ...]
    timeout_s: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _stale_for_a_reason(self) -> Self:
        if self.stale != bool(self.reasons):
            raise ValueError("a model is stale exactly when there are reasons")
        return self

    @property
    def requested(self) -> bool:
        """Whether nothing makes it stale but that somebody asked for it."""
        return self.stale and all(reason.code is StaleCode.REQUESTED for reason in self.reasons)


class Plan(Record):
    """What a commit makes stale."""

    schema_version: Literal["mlbot/plan@1"] = "mlbot/plan@1"
    commits: Commits
    models: tuple[PlannedModel, ...]
    """Every model of head, or those asked for, in the config's order."""
    deleted: tuple[Name, ...] = ()
    """Models that base has and head has not."""
    policy_changes: tuple[str, ...] = ()
    """What head changes of the rules that the guarded branch judges it by; sentences without a subject."""

    @property
    def stale(self) -> tuple[PlannedModel, ...]:
        """The models to train."""
        return tuple(model for model in self.models if model.stale)

    @property
    def unchanged(self) -> tuple[str, ...]:
        """The names of the others."""
        return tuple(model.name for model in self.models if not model.stale)

    def unjudged(self, known: Container[tuple[Name, Digest]]) -> "Plan":
        """The plan in which every model is stale whose content key nobody has judged, and no other.

        For the guarded branch itself: there a model is done when the ledger has a verdict on its key, whatever changed.
        """
        return self.model_copy(update={"models": tuple(_unless(model, known) for model in self.models)})

    def asked_for(self, names: Container[Name]) -> "Plan":
        """The plan in which models that somebody asked for are stale too."""
        return self.model_copy(
            update={"models": tuple(_asked_for(each) if each.name in names else each for each in self.models)}
        )

    def trial_of(self, name: Name) -> "Plan":
        """The plan of a trial: that model alone, stale or not."""
        models = tuple(_asked_for(each) for each in self.models if each.name == name)
        return self.model_copy(update={"models": models, "deleted": ()})

    def jobs(self, overrides: Params | None = None) -> list[dict[str, Any]]:
        """One job for each stale model and seed, as a matrix takes them."""
        return [_job(model, seed, overrides) for model in self.stale for seed in range(model.seeds)]

    def matrix(self, overrides: Params | None = None) -> dict[str, list[dict[str, Any]]]:
        """The strategy matrix of GitHub Actions: one job for each stale model and seed.

        `include` is empty when nothing is stale; GitHub refuses such a matrix, so the job needs an `if:`.

        Args:
            overrides: What a trial changes of the committed parameters; each job carries it as JSON.

        Raises:
            UsageError: if there are more jobs than GitHub allows.
        """
        jobs = self.jobs(overrides)
        if len(jobs) > MATRIX_LIMIT:
            raise UsageError(
                f"{len(self.stale)} stale models make {len(jobs)} jobs, and a matrix of GitHub Actions holds "
                f"{MATRIX_LIMIT}",
                mend="Lower `train.seeds`, narrow `train.depends` so that fewer models are stale, or change the models "
                "in several pull requests.",
            )
        return {"include": jobs}


def plan_models(
    commits: Commits, head: Side, base: Side | None, policy: Side | None = None, only: Sequence[str] = ()
) -> Plan:
    """Decide what is stale.

    Args:
        commits: the three commits.
        head: the commit to plan for.
        base: what it is compared with; None when there is no such commit or it has no (readable) config.
        policy: the guarded branch's tip; None when it has no config.
        only: names of the models to plan, stale or not; none: all of them.

    Raises:
        UsageError: for an unknown name in `only`, or something at head that the config names and is not there.
    """
    _check_names(list(head.models), only)
    wanted = [model for model in head.config.models if not only or model.name in only]
    # Without a common history the guarded branch is the only witness of what there was.
    before = base if base or commits.base else policy
    difference = Difference(new=head.tree.entries, old=base.tree.entries if base else {})
    return Plan(
        commits=commits,
        models=tuple(_planned(model, head, base, difference, requested=bool(only)) for model in wanted),
        deleted=tuple(name for name in before.models if name not in head.models) if before else (),
        policy_changes=_policy_changes(head, base, policy),
    )


def _policy_changes(head: Side, base: Side | None, policy: Side | None) -> tuple[str, ...]:
    if policy is None:
        return ()
    files = changed_rule_files(policy, head.tree, base.tree if base else None)
    return policy_changes(policy.config, head.config, base.config if base else None, files)


def _unless(model: PlannedModel, known: Container[tuple[Name, Digest]]) -> PlannedModel:
    if (model.name, model.key) in known:
        return model.model_copy(update={"stale": False, "reasons": ()})
    why = model.reasons or (StaleReason(code=StaleCode.UNJUDGED, text="no verdict on it is in the ledger"),)
    return model.model_copy(update={"stale": True, "reasons": why})


def _asked_for(model: PlannedModel) -> PlannedModel:
    if model.stale:
        return model
    return model.model_copy(update={"stale": True, "reasons": (_REQUESTED,)})


def _planned(model: Model, head: Side, base: Side | None, difference: Difference, *, requested: bool) -> PlannedModel:
    now = Subject.of(model, head)
    base_key, why = _compared(now, base, difference)
    if requested and not why:
        why = (_REQUESTED,)
    return PlannedModel(
        name=model.name,
        key=now.key,
        base_key=base_key,
        stale=bool(why),
        reasons=why,
        seeds=model.train.seeds,
        runs_on=model.train.runs_on,
        timeout_s=model.train.timeout_s,
    )


def _compared(now: Subject, base: Side | None, difference: Difference) -> tuple[Digest | None, tuple[StaleReason, ...]]:
    """The model's key at base and why its own differs."""
    if base is None:
        return None, (StaleReason(code=StaleCode.NO_BASELINE, text="there is no config at base to compare with"),)
    model = base.models.get(now.model.name)
    if model is None:
        return None, (StaleReason(code=StaleCode.NEW, text="the model is new"),)
    if base is now.side:
        return now.key, ()
    try:
        before = Subject.of(model, base)
    except UsageError as error:  # base is history; what is wrong with it must not stop the commit that mends it
        return None, (StaleReason(code=StaleCode.NO_BASELINE, text=f"base cannot be trained: {error.what}"),)
    if now.inputs == before.inputs:
        return now.key, ()
    return before.key, tuple(reasons(now, before, difference))


def _check_names(known: Sequence[str], only: Sequence[str]) -> None:
    for name in only:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"Did you mean {close[0]!r}?" if close else f"The models are: {', '.join(known)}."
            raise UsageError(f"mlbot.yaml has no model {name!r}", mend=hint)


def _job(model: PlannedModel, seed: int, overrides: Params | None) -> dict[str, Any]:
    job: dict[str, Any] = {
        "model": model.name,
        "seed": seed,
        "runs-on": model.runs_on[0] if len(model.runs_on) == 1 else list(model.runs_on),
        "timeout-minutes": math.ceil(model.timeout_s / 60) + _SETUP_MINUTES,
    }
    return {**job, "overrides": json.dumps(overrides, sort_keys=True)} if overrides else job
