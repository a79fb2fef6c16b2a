"""Waivers: a person's word that lets one gate pass, for one content of a model and under one set of rules.

A waiver binds to the model, its content key, a digest of the rules it is judged by, and one gate. So it follows content
that does not change onto the guarded branch, and it ends when the content or the rules change. What could not be
evaluated is never waived: there is nothing there that anybody could answer for.
"""

from collections.abc import Iterable, Mapping, Sequence

from mlbot.config.schema import Model, OnInconclusive, Waivers
from mlbot.events.github import Role
from mlbot.gates.gate import Gate
from mlbot.gates.outcome import Outcome, Reason
from mlbot.ledger.entries import WaiverEntry
from mlbot.lib.record import Digest, Name, canonical, digest
from mlbot.lib.tree import Tree, module_files
from mlbot.verdict.verdict import GateResult, Waived

DELETED = "deleted"
"""What stands for the gate where a model is to be gone."""

WAIVABLE = frozenset({Outcome.FAIL, Outcome.INCONCLUSIVE})
"""The outcomes that a person may answer for."""

_FORM = "mlbot/policy@1"

_JUDGED_BY = ("target", "positive", "drop", "features", "classes", "group")
"""The settings under `data` that decide how a model is scored; the holdout counts by its content."""

_MAINTAINERS: frozenset[Role] = frozenset({"maintain", "admin"})


def policy_digest(model: Model, inconclusive: OnInconclusive, tree: Tree, holdout: Digest) -> Digest:
    """The digest of all that a model is judged by; the same before and after a merge that changes none of it.

    Args:
        model: as the config that judges has it: the guarded branch's, or head's where that one lacks the model.
        inconclusive: of the same config.
        tree: the files of the same commit, for the metrics' own code. Of that only the file with the function counts.
        holdout: digest of the rows that were judged on.
    """
    code = frozenset[str]().union(*(module_files(each.function, tree) for each in model.metrics if each.function))
    facts: dict[str, object] = {
        "form": _FORM,
        "task": model.task,
        "data": {name: getattr(model.data, name) for name in _JUDGED_BY},
        "holdout": holdout,
        "slices": sorted(each.model_dump_json() for each in model.slices),
        "metrics": sorted(each.model_dump_json(exclude={"tasks"}) for each in model.metrics),
        "gates": sorted(each.model_dump_json() for each in model.gates),
        "code": tree.digest(code),
        "inconclusive": inconclusive.model_dump(mode="json"),
    }
    return _digest(facts)


def removal_digest() -> Digest:
    """What stands for the rules where a model is to be gone: that this needs a person's word, whatever its gates."""
    return _digest({"form": _FORM, "removal": True})


def _digest(facts: Mapping[str, object]) -> Digest:
    return digest(canonical(facts))


def may_waive(rules: Waivers, actor: str, role: Role, author: str | None) -> bool:
    """Whether somebody may let a gate pass.

    Args:
        rules: of the guarded branch's config.
        actor: who says so.
        role: theirs, by the API.
        author: of the pull request; None for an account that is gone.
    """
    own = author is not None and actor.lower() == author.lower()
    listed = actor.lower() in {login.lower() for login in rules.by}
    return (role in _MAINTAINERS or listed) and (rules.author or not own)


def named(gates: Iterable[Gate], name: str) -> list[Gate]:
    """The gates that a name means: `subject.bound` one, `subject` all bounds of it."""
    every = list(gates)
    return [gate for gate in every if gate.name == name] or [gate for gate in every if gate.subject == name]


def standing(
    waivers: Sequence[WaiverEntry], model: Name, key: Digest | None, policy: Digest | None
) -> dict[str, WaiverEntry]:
    """The waivers that hold for a content of a model under these rules, by gate; the oldest of several.

    Without key or rules none holds: what they bind to is unknown.
    """
    if key is None or policy is None:
        return {}
    held = [each for each in waivers if (each.model, each.key, each.policy) == (model, key, policy)]
    return {each.gate: each for each in sorted(held, key=lambda each: each.order, reverse=True)}


def waived(result: GateResult, held: Mapping[str, WaiverEntry]) -> GateResult:
    """What a gate comes to with the waivers that hold: only one that counts, failed or is undecided can be waived."""
    waiver = held.get(result.gate.name)
    if waiver is None or not result.counts or result.outcome not in WAIVABLE:
        return result
    was = Waived(waiver=waiver, outcome=result.outcome, reason=result.reason)
    return result.model_copy(update={"outcome": Outcome.PASS, "reason": Reason.WAIVED, "waived": was})


def removal(held: Mapping[str, WaiverEntry]) -> Waived | None:
    """The waiver that lets a model be gone, if there is one."""
    waiver = held.get(DELETED)
    return Waived(waiver=waiver, outcome=Outcome.FAIL, reason=Reason.MODEL_DELETED) if waiver else None


def unwaived(result: GateResult) -> GateResult:
    """What a gate came to before somebody answered for it."""
    if result.waived is None:
        return result
    return result.model_copy(update={"outcome": result.waived.outcome, "reason": result.waived.reason, "waived": None})
