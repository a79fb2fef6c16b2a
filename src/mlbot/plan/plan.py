"""The plan: which models a commit makes stale, why, and what to train for it."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property, reduce
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mlbot.config.schema import Model
from mlbot.config.train import SeedRange
from mlbot.errors import UsageError
from mlbot.gates.outcome import Outcome
from mlbot.ledger.entries import VerdictEntry
from mlbot.ledger.queries import seed_freedom
from mlbot.lib.notebook import Notebook
from mlbot.lib.record import Digest, Name, Record, Sha
from mlbot.lib.tree import Entry, shown
from mlbot.plan.content_key import COLUMNS, Inputs, Side
from mlbot.plan.policy_diff import changed_rule_files, policy_changes
from mlbot.verdict.seeds import SeedDesign, determinism
from mlbot.verdict.verdict import Commits

_NAMED = 3

Sets = tuple[frozenset[str], frozenset[str]]  # a model's files at head and at base


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What changed in sets of files; models with the same sets share the work."""

    new: Mapping[str, Entry]
    old: Mapping[str, Entry]
    notebooks: tuple[Mapping[str, Notebook], Mapping[str, Notebook]] = ({}, {})  # those that can be compared
    _paths: dict[Sets, frozenset[str]] = field(default_factory=dict)
    _texts: dict[tuple[Sets, frozenset[str]], str] = field(default_factory=dict)

    def text(self, sets: Sets, apart: frozenset[str]) -> str:
        """What changed in a model's files, those in `apart` aside; empty for nothing."""
        if sets not in self._paths:
            self._paths[sets] = self._changed(sets)
        paths = self._paths[sets] - apart
        if (sets, paths) not in self._texts:
            self._texts[sets, paths] = _listed(self._sentences(sorted(paths), sets))
        return self._texts[sets, paths]

    def _changed(self, sets: Sets) -> frozenset[str]:
        now, before = sets
        both = frozenset(path for path in now & before if self.new[path] != self.old[path])
        return both | (now ^ before)

    def _sentences(self, paths: list[str], sets: Sets) -> list[str]:
        now, before = sets
        gone = {self.old[path]: path for path in paths if path in before and path not in self.new}
        origins = {path: gone[self.new[path]] for path in paths if path not in self.old and self.new[path] in gone}
        renamed = set(origins.values())
        return [
            f"{shown(origins[path])} was renamed to {shown(path)}"
            if path in origins
            else f"{shown(path)} {self._happened(path, now, before)}"
            for path in paths
            if path not in renamed
        ]

    def _happened(self, path: str, now: frozenset[str], before: frozenset[str]) -> str:
        if path not in before:
            return "was added to `depends`" if path in self.old else "was added"
        if path not in now:
            return "was taken out of `depends`" if path in self.new else "was deleted"
        new, old = (each.get(path) for each in self.notebooks)
        if new and old:
            return f"changed {new.changes(old)}".rstrip()
        return "changed" if self.new[path][1] != self.old[path][1] else "changed its mode"


def _listed(texts: list[str]) -> str:
    rest = len(texts) - _NAMED
    more = f", and {rest} more file{'s' if rest > 1 else ''}" if rest > 0 else ""
    return ", ".join(texts[:_NAMED]) + more


class StaleCode(StrEnum):
    """Why a model has to be trained. A closed list."""

    NEW = "new-model"
    CODE = "code-changed"
    ARTIFACT = "artifact-changed"
    DATA = "data-changed"
    PARAMS = "params-changed"
    ENVIRONMENT = "environment-changed"
    SETTINGS = "settings-changed"
    NO_BASELINE = "no-baseline"  # base has no config that can be read
    BROKEN_BASE = "broken-base"  # base has the model, and it cannot be trained there
    POLICY = "policy-changed"  # the same content, judged by other rules
    BACK = "back"  # the same content as an older commit's, with others between them
    UNJUDGED = "unjudged"
    REQUESTED = "requested"  # nothing changed; somebody asked for it


class StaleReason(Record):
    """One reason: a code for programs, a sentence for people."""

    code: StaleCode
    text: str


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One model at one commit."""

    model: Model
    side: Side
    inputs: Inputs

    @classmethod
    def of(cls, model: Model, side: Side) -> Self:
        """The model with what its training depends on at that commit."""
        return cls(model=model, side=side, inputs=side.inputs(model))

    @cached_property
    def key(self) -> Digest:
        """Its content key."""
        return self.inputs.key


def reasons(now: Subject, before: Subject, difference: Difference) -> Iterator[StaleReason]:
    """Why a model's inputs at head are not those at base; nothing when they are the same."""
    new, old = now.inputs, before.inputs
    if new.depends != old.depends:
        apart = now.side.apart(now.model) | before.side.apart(before.model)
        text = difference.text((now.side.files(now.model), before.side.files(before.model)), apart)
        if text:
            code = StaleCode.ARTIFACT if now.model.artifact else StaleCode.CODE
            yield StaleReason(code=code, text=text)
    yield from _settings(now, before)
    for path in sorted(new.data.keys() | old.data.keys()):
        if new.data.get(path) != old.data.get(path):
            yield StaleReason(code=StaleCode.DATA, text=_data_text(path, new, old))
    if new.params != old.params:
        yield StaleReason(code=StaleCode.PARAMS, text=_file_used(now.model.train.params, before.model.train.params))
    if new.lock != old.lock:
        locks = (now.side.lock_path(now.model), before.side.lock_path(before.model))
        yield StaleReason(code=StaleCode.ENVIRONMENT, text=_file_used(*locks))


def _settings(now: Subject, before: Subject) -> Iterator[StaleReason]:
    names = {"task": "task", "run": "train.run", "entrypoint": "train.entrypoint", "params_path": "train.params"}
    names["notebook"] = "train.notebook"
    names |= {"environment": "train.environment", "artifact": "artifact"}
    names |= {column: f"data.{column}" for column in COLUMNS}
    different = [name for key, name in names.items() if getattr(now.inputs, key) != getattr(before.inputs, key)]
    if now.model.artifact or before.model.artifact:  # what either brings has no settings of a training
        different = ["artifact"] if "artifact" in different else []
    elif (now.model.train.depends is None) != (before.model.train.depends is None):
        different.append("train.depends")
    if different:
        yield StaleReason(code=StaleCode.SETTINGS, text=f"{', '.join(different)} changed in mlbot.yaml")


def _data_text(path: str, inputs: Inputs, before: Inputs) -> str:
    if path not in before.data:
        return f"now trains on {shown(path)}"
    return f"{shown(path)} changed" if path in inputs.data else f"no longer trains on {shown(path)}"


def _file_used(after: str | None, before: str | None) -> str:
    if after is None or before is None:
        return f"{shown(after or before or '')} is {'no longer used' if after is None else 'used now'}"
    return f"{shown(after)} changed" if after == before else f"{shown(after)} is used instead of {shown(before)}"


_OTHER_RULES = StaleReason(code=StaleCode.POLICY, text="its rules changed; the same files are judged by the new ones")
_BACK = StaleReason(
    code=StaleCode.BACK, text="it is back at an older state; its files are judged beside what was between"
)
_REQUESTED = StaleReason(code=StaleCode.REQUESTED, text="asked for")


class PlannedModel(Record):
    """One model of head."""

    name: Name
    key: Digest  # content key at head; `mlbot.plan.content_key.Inputs` says what is in it
    base_key: Digest | None = None
    recipe: Digest | None = None  # of what decides whether the seed matters (`mlbot.plan.content_key.Inputs.recipe`)
    stale: bool  # whether it has to be trained and judged; exactly when there are reasons
    reasons: tuple[StaleReason, ...] = ()
    seeds: Annotated[int, Field(ge=1)]  # how many a side are trained at first
    design: SeedDesign = SeedDesign()
    by_history: bool = False  # whether no config says how many, so that what the ledger knows decides
    runs_on: tuple[str, ...]
    timeout_s: Annotated[float, Field(gt=0)]
    brought: bool = False  # whether it was made elsewhere, so that there is one of it whatever the seed

    @model_validator(mode="after")
    def _stale_for_a_reason(self) -> Self:
        if self.stale != bool(self.reasons):
            raise ValueError("a model is stale exactly when there are reasons")
        return self

    @property
    def judged_before(self) -> bool:
        """Whether its files were judged already, by other rules or beside others, so that nothing has to be trained."""
        return any(reason.code in {StaleCode.POLICY, StaleCode.BACK} for reason in self.reasons)

    @property
    def requested(self) -> bool:
        """Whether nothing makes it stale but that somebody asked for it."""
        return self.stale and all(reason.code is StaleCode.REQUESTED for reason in self.reasons)


class Plan(Record):
    """What a commit makes stale."""

    schema_version: Literal["mlbot/plan@1"] = "mlbot/plan@1"
    commits: Commits
    models: tuple[PlannedModel, ...]  # every model of head, or those asked for, in the config's order
    deleted: tuple[Name, ...] = ()  # models that base has and head has not
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

    def unjudged(self, known: Mapping[tuple[Name, Digest], VerdictEntry], rules: Mapping[Name, Digest]) -> "Plan":
        """The plan in which every model is stale whose content nobody has judged by these rules, and no other.

        For the guarded branch itself: there a model is done when the ledger has a verdict on its key, whatever changed,
        unless the branch had another one in between. Without a model's rules any verdict on its key will do.
        """
        return self.model_copy(
            update={"models": tuple(_unless(model, known, rules, self.commits.head) for model in self.models)}
        )

    def settled(self, names: Container[Name]) -> "Plan":
        """The plan in which these models need no judging: the guarded branch has judged just them."""
        return self.model_copy(
            update={"models": tuple(_settled(each) if each.name in names else each for each in self.models)}
        )

    def with_history(self, past: Sequence[VerdictEntry], *, trial: bool = False) -> "Plan":
        """The plan in which the number of seeds follows from the verdicts on past recipes.

        A trial is of another recipe: the number that no config fixes follows, and not whether the seed matters.
        """
        models = tuple(_designed(each, past) for each in self.models)
        if trial:
            models = tuple(each.model_copy(update={"seeds": each.design.looks[0]}) for each in models)
        return self.model_copy(update={"models": models})

    def asked_for(self, names: Container[Name]) -> "Plan":
        """The plan in which models that somebody asked for are stale too."""
        return self.model_copy(
            update={"models": tuple(_asked_for(each) if each.name in names else each for each in self.models)}
        )

    def trial_of(self, name: Name) -> "Plan":
        """The plan of a trial: that model alone, stale or not."""
        models = tuple(_asked_for(each) for each in self.models if each.name == name)
        return self.model_copy(update={"models": models, "deleted": ()})


def plan_models(
    commits: Commits, head: Side, base: Side | None, policy: Side | None = None, only: Sequence[str] = ()
) -> Plan:
    """Decide what is stale.

    `base` is None when there is no such commit or it has no readable config, `policy` when the guarded branch has none.
    """
    # Without a common history the guarded branch is the only witness of what there was.
    before = base if base or commits.base else policy
    deleted = tuple(name for name in before.models if name not in head.models) if before else ()
    _check_names([*head.models, *deleted], only)
    wanted = [model for model in head.config.models if not only or model.name in only]
    plain = Difference(new=head.tree.entries, old=base.tree.entries if base else {})
    executed = _executed(head, base) if head.notebooks else plain
    return Plan(
        commits=commits,
        models=tuple(
            _planned(each, head, base, executed if each.train.notebook else plain, policy, requested=bool(only))
            for each in wanted
        ),
        deleted=deleted,
        policy_changes=_policy_changes(head, base, policy),
    )


def _executed(head: Side, base: Side | None) -> Difference:
    """What changed of the files, where of notebooks only what is executed counts."""
    old = base.executed.entries if base else {}
    notebooks = (head.notebooks, base.notebooks if base else {})
    return Difference(new=head.executed.entries, old=old, notebooks=notebooks)


def _policy_changes(head: Side, base: Side | None, policy: Side | None) -> tuple[str, ...]:
    if policy is None:
        return ()
    files = changed_rule_files(policy, head.tree, base.tree if base else None)
    return policy_changes(policy.config, head.config, base.config if base else None, files)


def _settled(model: PlannedModel) -> PlannedModel:
    return model.model_copy(update={"stale": False, "reasons": ()})


def _is_open(verdict: VerdictEntry, head: Sha) -> bool:
    """Whether a verdict settles nothing: a fault is none, and who runs a failed commit again asks for another one."""
    return verdict.outcome is Outcome.ERROR or (verdict.outcome is Outcome.FAIL and verdict.commit == head)


def _unless(
    model: PlannedModel, known: Mapping[tuple[Name, Digest], VerdictEntry], rules: Mapping[Name, Digest], head: Sha
) -> PlannedModel:
    verdict = known.get((model.name, model.key))
    if verdict is not None and _is_open(verdict, head):
        verdict = None
    if verdict is not None and verdict.files and verdict.policy != rules.get(model.name, verdict.policy):
        return model.model_copy(update={"stale": True, "reasons": (_OTHER_RULES,)})
    if verdict is not None and verdict.files and verdict.commit != head and model.base_key not in {None, model.key}:
        return model.model_copy(update={"stale": True, "reasons": (_BACK,)})
    if verdict is not None:
        return _settled(model)
    why = model.reasons or (StaleReason(code=StaleCode.UNJUDGED, text="no verdict on it is in the ledger"),)
    return model.model_copy(update={"stale": True, "reasons": why})


ENOUGH_HISTORY = 8
"""Degrees of freedom from which on the variance between seeds is known well enough to begin with fewer."""
_FEWEST_UNKNOWN = 3  # how many seeds a side tell of it where nothing else does


def _design(settings: Sequence[SeedRange | None]) -> SeedDesign | None:
    """How many seeds are asked for together; None where that is for the ledger to say.

    Fewer seeds make a verdict less certain, which a change does not decide for itself.
    """
    given = [each for each in settings if each is not None]
    if not given:
        return None
    both = reduce(SeedRange.with_at_least, given)
    if len(given) < len(settings) and both.start < _FEWEST_UNKNOWN:
        return None
    return SeedDesign.between(both.start, both.most)


def design_by_history(freedom: int) -> SeedDesign:
    """How many seeds are asked for where mlbot.yaml does not say, by the degrees of freedom of past seeds."""
    widest = SeedRange()
    return SeedDesign.between(widest.start, widest.most) if freedom >= ENOUGH_HISTORY else SeedDesign()


def _designed(model: PlannedModel, past: Sequence[VerdictEntry]) -> PlannedModel:
    design, own = model.design, [key for key in (model.key, model.base_key) if key is not None]
    if model.by_history:
        design = design_by_history(seed_freedom(past, model.name, own))
    known = determinism(past, model.name, model.key, model.recipe)
    return model.model_copy(update={"design": design, "seeds": design.first(known)})


def _asked_for(model: PlannedModel) -> PlannedModel:
    if model.stale:
        return model
    return model.model_copy(update={"stale": True, "reasons": (_REQUESTED,)})


def _planned(
    model: Model, head: Side, base: Side | None, difference: Difference, policy: Side | None, *, requested: bool
) -> PlannedModel:
    rules = policy.models.get(model.name) if policy else None
    design = _design([each.train.seeds for each in (model, rules) if each is not None and not each.artifact])
    if model.artifact is not None:
        design = SeedDesign(looks=(1,))
    now = Subject.of(model, head)
    base_key, why = _compared(now, base, difference)
    if requested and not why:
        why = (_REQUESTED,)
    return PlannedModel(
        name=model.name,
        key=now.key,
        base_key=base_key,
        recipe=now.inputs.recipe,
        stale=bool(why),
        reasons=why,
        seeds=(design or SeedDesign()).looks[0],
        design=design or SeedDesign(),
        by_history=design is None,
        runs_on=model.train.runs_on,
        timeout_s=model.train.timeout_s,
        brought=model.artifact is not None,
    )


def _compared(now: Subject, base: Side | None, difference: Difference) -> tuple[Digest | None, tuple[StaleReason, ...]]:
    if base is None:
        why = "the guarded branch has no mlbot.yaml to compare with"
        return None, (StaleReason(code=StaleCode.NO_BASELINE, text=why),)
    model = base.models.get(now.model.name)
    if model is None:
        return None, (StaleReason(code=StaleCode.NEW, text="the model is new"),)
    if base is now.side:
        return now.key, ()
    try:
        before = Subject.of(model, base)
    except UsageError as error:  # base is history; what is wrong with it must not stop the commit that fixes it
        return None, (StaleReason(code=StaleCode.BROKEN_BASE, text=f"base cannot be trained: {error.what}"),)
    if now.inputs == before.inputs:
        return now.key, ()
    return before.key, tuple(reasons(now, before, difference))


def _check_names(known: Sequence[str], only: Sequence[str]) -> None:
    for name in only:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"Did you mean {close[0]!r}?" if close else f"The models are: {', '.join(known)}."
            raise UsageError(f"mlbot.yaml has no model {name!r}", hint=hint)
