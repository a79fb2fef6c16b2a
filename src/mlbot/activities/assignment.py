"""What is to be judged: the three commits of a decision, what they make stale, and which baselines there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlbot.activities.hosted import Hosted
from mlbot.activities.plan import Configs, Sides, read_configs, read_sides
from mlbot.core.decision import Judge, PushSubject
from mlbot.core.inputs import CONFIG_FILE
from mlbot.core.ledger import Entry, VerdictEntry, folders_of
from mlbot.core.ledger_folds import judged_models, latest_by_key, verdicts
from mlbot.core.ledger_records import DeploymentEntry, WaiverEntry
from mlbot.core.plan import Plan, PlannedModel, plan_models
from mlbot.core.record import Name, Sha
from mlbot.core.verdict import Commits
from mlbot.git import Repository
from mlbot.git.ledger import LedgerBranch
from mlbot.git.remote import failure

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
