"""What a verdict is decided from, with what waivers bind to: each model's content key and the digest of its rules."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mlbot.errors import UsageError
from mlbot.gates.outcome import Reason
from mlbot.git.ledger import LedgerBranch
from mlbot.git.remote import failure
from mlbot.git.repository import Repository
from mlbot.judging.run_ci import Hosted
from mlbot.judging.run_compose import Found
from mlbot.ledger.entries import DeploymentEntry, Entry, VerdictEntry, WaiverEntry, folders_of
from mlbot.ledger.queries import judged_models, latest_by_key, verdicts
from mlbot.lib.constants import CONFIG_FILE
from mlbot.lib.record import Digest, Name, Sha
from mlbot.lib.tree import is_url
from mlbot.plan.plan import Plan, PlannedModel, Subject, plan_models
from mlbot.plan.policy_diff import changed_rule_files
from mlbot.plan.run_plan import Configs, Sides, read_configs, read_sides
from mlbot.protocol.decision import Judge, PushSubject
from mlbot.verdict.decide import Evidence
from mlbot.verdict.evidence import Evaluation, Problem
from mlbot.verdict.verdict import Commits
from mlbot.verdict.waiver import policy_digest, removal_digest

# What is to be judged: the three commits of a decision, what they make stale, and which baselines there are.

_HEAD, _POLICY = "refs/mlbot/head", "refs/mlbot/policy"


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What is to be judged, recomputed from git's objects: head is fetched, and never checked out.

    Attributes:
        decision: the run and the commit that are judged.
        commits: the three commits.
        configs: their configs.
        sides: their files.
        plan: every model of head, with why it is stale or asked for; of a trial, its model alone.
        stale: the models to judge.
        entries: the ledger's verdicts on the stale models; after a push on all of head's.
        waivers: of the ledger, all of them.
        deployments: of the ledger, of the same models as the verdicts.
        judged: the guarded branch's verdicts whose files may serve as a baseline, by model and content key.
        baselines: the stale models whose baseline is not among them, so that it has to be trained.
    """

    decision: Judge
    commits: Commits
    configs: Configs
    sides: Sides
    plan: Plan
    stale: tuple[PlannedModel, ...]
    entries: tuple[VerdictEntry, ...]
    waivers: tuple[WaiverEntry, ...]
    deployments: tuple[DeploymentEntry, ...]
    judged: Mapping[tuple[str, str], VerdictEntry]
    baselines: tuple[PlannedModel, ...]


def assign(hosted: Hosted, decision: Judge) -> Assignment:
    """Fetch the commits of a decision and plan them.

    Raises:
        MlbotError: the commits cannot be fetched, or head's or policy's config is wrong.
    """
    commits = _commits(hosted, decision)
    configs = read_configs(hosted.repository, commits)
    sides = read_sides(hosted.repository, commits, configs, outside=False)
    planned = plan_models(commits, sides.head, sides.base, sides.policy)
    if isinstance(decision.subject, PushSubject):
        entries = _known(hosted, planned.models, planned)
        plan = planned.unjudged(latest_by_key(entries, decision.subject.branch))
    else:
        plan = _asked(planned, decision)
        entries = _known(hosted, plan.stale, planned)
    stale = plan.stale
    judged = judged_models(entries, decision.subject.branch)
    baselines = tuple(
        model
        for model in stale
        if needs_guarded(model, trial=decision.trial) and (model.name, model.base_key) not in judged
    )
    return Assignment(
        decision=decision,
        commits=commits,
        configs=configs,
        sides=sides,
        plan=plan,
        stale=stale,
        entries=tuple(verdicts(entries)),
        waivers=tuple(each for each in entries if isinstance(each, WaiverEntry)),
        deployments=tuple(each for each in entries if isinstance(each, DeploymentEntry)),
        judged=judged,
        baselines=baselines,
    )


def needs_guarded(model: PlannedModel, *, trial: bool) -> bool:
    """Whether a model is compared with the guarded branch's: a trial of a stale one is compared with head's own."""
    if model.base_key is None or (trial and not model.requested):
        return False
    return model.base_key != model.key or model.requested


def _asked(plan: Plan, decision: Judge) -> Plan:
    """The plan with what this attempt was asked for."""
    request = decision.reruns.request(decision.attempt)
    if request is None:
        return plan
    return plan.trial_of(request.models[0]) if request.trial and request.models else plan.asked_for(request.models)


def _known(hosted: Hosted, models: Sequence[PlannedModel], of: Plan) -> tuple[Entry, ...]:
    """What the ledger has on models that may be judged, and every waiver.

    A waiver of another model tells that a request was met already, so none is left out; there are few.
    """
    folders = [*(folder for each in models for folder in _folders(each.name)), *folders_of("waiver")]
    return LedgerBranch.at(hosted.remote).read_folders(folders, few=len(models) < len(of.models)).entries


def _folders(model: Name) -> tuple[str, ...]:
    return *folders_of("verdict", model), *folders_of("deployment", model)


def _commits(hosted: Hosted, decision: Judge) -> Commits:
    repository, subject = hosted.repository, decision.subject
    refspecs = [f"+{subject.sha}:{_HEAD}", f"+refs/heads/{subject.branch}:{_POLICY}"]
    done = hosted.remote.run(
        ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", hosted.remote.url, *refspecs], repository.root
    )
    if done.returncode != 0:
        raise failure(done, "reading", subject.branch)
    tip = repository.resolve(_POLICY)
    base = _base(repository, decision, tip)
    return Commits(
        head=subject.sha,
        base=base,
        policy=tip if CONFIG_FILE in repository.tree(tip).entries else None,
        guarded=subject.branch,
        behind=repository.count_between(base, tip) if base and not isinstance(subject, PushSubject) else 0,
    )


def _base(repository: Repository, decision: Judge, tip: Sha) -> Sha | None:
    """Where head left the guarded branch; of a commit that is on it already, its first parent."""
    if isinstance(decision.subject, PushSubject):
        return repository.find(f"{decision.subject.sha}^1")
    return repository.merge_base(decision.subject.sha, tip)


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
