"""What can be wrong with a repository's set-up. Facts come in, findings come out; nothing is looked up here.

A finding's words, and how bad it is, stand in `templates/words/doctor.yaml` under its code.
"""

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import NormalDist
from typing import Literal

from mlbot import __version__
from mlbot.config.actions import DeployAccess, MonitorAccess
from mlbot.config.errors import Document, Plain, Problem
from mlbot.config.folder import ROOT, ConfigFolder, is_train
from mlbot.config.guard import context_to_require, entry_of, matches, sample_of
from mlbot.config.schema import Config, EnvironmentConfig, Model
from mlbot.delivery.sealed import asked_gates
from mlbot.errors import MlbotError
from mlbot.events.event import dig
from mlbot.events.github import BlockingRule, EnvironmentFacts, PagesFacts, Settings
from mlbot.lib.constants import (
    ACTIONS_REF,
    ACTIONS_REPOSITORY,
    CONFIG_FILE,
)
from mlbot.lib.record import Record
from mlbot.lib.templates import has_sentence, sentence
from mlbot.lib.tree import is_url
from mlbot.registry.views import RegistryView
from mlbot.setup.workflows import Stamp, State

_SHA = re.compile(r"[0-9a-f]{40}")
_FILTERS = ("paths", "paths-ignore", "branches", "branches-ignore")
_RANKS = {"none": 0, "read": 1, "write": 2}
_HOSTED = ("ubuntu-", "windows-", "macos-")  # what the labels of GitHub's own runners start with
_GENERAL = "repository settings"
_OPEN = {None, 15368}  # sources of a check that any workflow has: every one, and the app that GitHub Actions is


class Severity(StrEnum):
    """How bad a finding is, the worst first."""

    ERROR = "error"  # something does not work, or does not hold
    WARNING = "warning"  # something will bite
    ADVICE = "advice"  # something could be better


class Finding(Record):
    """One thing that is wrong, or could be better."""

    code: str
    severity: Severity
    what: str
    where: str = ""
    hint: str


def finding(code: str, where: str = "", case: str = "", severity: Severity | None = None, **facts: object) -> Finding:
    """A finding in the words of its code, or of one of the code's cases; None as severity: as the table says."""
    path = f"{code}/cases/{case}" if case else code
    return Finding(
        code=code,
        severity=severity or Severity(sentence("doctor", f"{path}/severity")),
        where=where,
        what=sentence("doctor", f"{path}/what", where=where, **facts),
        hint=sentence("doctor", f"{path}/hint", where=where, **facts),
    )


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The worst first, each severity in the order found."""
    order = list(Severity)
    return tuple(sorted(findings, key=lambda each: order.index(each.severity)))


class DataStorage(StrEnum):
    """Where a repository has a data file."""

    TRACKED = "tracked"
    LFS = "lfs"  # in Git LFS: here is a pointer
    DVC = "dvc"  # behind a `.dvc` file
    OUTSIDE = "outside"  # in the folder, and git does not have it
    ABSENT = "absent"
    URL = "url"


# The repository, its config and its data.


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """What the folder and its git say; `live` are the paths of those that matter that the default branch has."""

    repository: str | None
    shallow: bool
    branch: str
    live: frozenset[str]
    elsewhere: str = ""  # the server, where mlbot's workflows do not run on it
    config: Config | None = None
    problems: Sequence[Problem] = ()
    idle: Sequence[Problem] = ()
    """Bounds that hold back no model."""
    data: dict[str, DataStorage] = field(default_factory=dict)
    lfs: bool | Literal["judge"] = False
    folder: ConfigFolder = ROOT


def check_isolation(command: str, by: str, refused: Mapping[str, str]) -> Iterator[Finding]:
    """What is wrong with what holds commands on this machine; `refused` are the better ways, and why not."""
    if by in {"landlock", "none"}:
        why = "; ".join(f"{way}: {reason}" for way, reason in refused.items())
        yield finding("isolation", where=command, case=by, why=why)


def check_setup(setup: Setup) -> Iterator[Finding]:
    """What is wrong with the repository, its config and its data."""
    if setup.repository is None:
        yield finding("no-remote")
    elif setup.elsewhere:
        yield finding("other-server", server=setup.elsewhere)
    if setup.shallow:
        yield finding("shallow")
    yield from _config(setup)
    yield from _data(setup)
    store = setup.config.store if setup.config else None
    if store is not None and not is_url(store) and setup.repository is not None:  # on a laptop a folder is fine
        yield finding("store-in-checkout", f"{CONFIG_FILE}: store", store=store, repository=setup.repository)
    if setup.folder.judge not in setup.live:
        yield finding("judge-not-live", setup.folder.judge, branch=setup.branch)


def elsewhere(configs: Sequence[str]) -> Finding:
    """What a repository is whose folders alone have a config: each of them is looked at by itself."""
    folders = [path.removesuffix(f"/{CONFIG_FILE}") for path in configs]
    return finding("no-config", CONFIG_FILE, case="elsewhere", folders=folders, config=configs[0])


def _config(setup: Setup) -> Iterator[Finding]:
    for each in setup.problems:
        yield finding("config-invalid", each.place(CONFIG_FILE), keys=each.path, found=each.found, fix=each.hint)
    for each in setup.idle:
        yield finding("gate-idle", each.place(CONFIG_FILE), keys=each.path, found=each.found, fix=each.hint)
    if setup.config is None and not setup.problems:
        yield finding("no-config", CONFIG_FILE, case="nowhere")
    elif setup.config is not None and setup.config.guard and entry_of(setup.branch, setup.config.guard) is None:
        yield finding("config-not-guarded", CONFIG_FILE, branch=setup.branch)
    token = setup.config.actions.token if setup.config else None
    if token is not None and token.app is None:
        yield finding("app-unnamed", f"{CONFIG_FILE}: actions.token")


def _data(setup: Setup) -> Iterator[Finding]:
    models = setup.config.models if setup.config else ()
    prepared = bool(setup.config and setup.config.actions.judge and setup.config.actions.judge.prepare)
    holdouts = (model.data.holdout for model in models)
    inside = list(dict.fromkeys(path for path in holdouts if path and not is_url(path)))
    if inside:
        yield finding("holdout-in-repository", f"{CONFIG_FILE}: data.holdout", files=", ".join(inside))
    brought = [model.artifact.url for model in models if model.artifact and not model.artifact.is_remote]
    trained = list(dict.fromkeys([*(model.data.train for model in models if model.data.train), *brought]))
    for path in dict.fromkeys([*trained, *inside]):
        match setup.data.get(path):
            case DataStorage.OUTSIDE:
                yield finding("data-not-in-git", path)
            case DataStorage.LFS if not setup.lfs and path in inside and path not in trained and not prepared:
                yield finding("data-pointer", path, "lfs-holdout")
            case DataStorage.LFS if setup.lfs is not True and path in trained:
                yield finding("data-pointer", path, "lfs")
            case DataStorage.DVC if path not in inside:
                yield finding("data-pointer", path, "dvc", workflow=setup.folder.train)
            case DataStorage.DVC if not prepared:
                yield finding("data-pointer", path, "holdout")


# The workflows: triggers, rights, versions, and drift from the template.


@dataclass(frozen=True, kw_only=True, slots=True)
class Workflow:
    """A workflow file; `expected` is what `mlbot upgrade` would write there, None where it is none of mlbot's."""

    path: str
    document: Document | None
    expected: Plain = None
    problem: str = ""
    state: State = State.EDITED
    writer: Stamp | None = None
    """What its first line says of who wrote it."""
    why: str = ""
    """Why it would have the form that it would."""


def check_workflows(
    workflows: Sequence[Workflow], guard: Sequence[str], folder: ConfigFolder = ROOT
) -> Iterator[Finding]:
    """What is wrong with the workflows; mlbot's two are among them also where they are not there."""
    for workflow in workflows:
        if workflow.document is None:
            yield from _unreadable(workflow)
            continue
        if workflow.expected is not None:
            yield from _own(workflow, workflow.document.data, workflow.expected, guard)
        yield from _any(workflow, workflow.document.data)
    documents = {workflow.path: workflow.document.data for workflow in workflows if workflow.document}
    yield from _names(documents, folder)


def _unreadable(workflow: Workflow) -> Iterator[Finding]:
    if workflow.problem:
        severity = None if workflow.expected is None else Severity.ERROR
        yield finding("workflow-unreadable", workflow.path, severity=severity, problem=workflow.problem)
    elif workflow.expected is not None:
        yield finding("workflow-missing", workflow.path)


def _own(workflow: Workflow, found: Plain, expected: Plain, guard: Sequence[str]) -> Iterator[Finding]:
    yield from _triggers(workflow.path, events(found), events(expected), guard)
    if dig(found, "permissions") != {}:
        yield finding("permissions-top", workflow.path)
    if _is_inline(found) is not _is_inline(expected):
        # Called workflows lack what inline is needed for; the other way round only more is written than has to be.
        severity = Severity.ERROR if _is_inline(expected) else None
        yield finding("workflow-drift", workflow.path, "form", severity=severity, why=workflow.why)
        return
    known: set[str] = set()
    for name, wanted in dig(expected, "jobs").items():
        if "uses" not in wanted:
            known.add(name)
            yield from _written_job(workflow, name, dig(found, "jobs", name), wanted)
            continue
        own = _callers(found, called := _called(wanted))
        known |= {*own, name}
        if not own:
            facts = {"called": called, "ref": ACTIONS_REF, "without": _without(name)}
            yield finding("workflow-job", workflow.path, severity=_weight(name), **facts)
        for key, job in own.items():
            yield from _job(workflow, f"{workflow.path}: jobs.{key}", job, wanted, dig(found, "permissions"))
    yield from _drift(workflow, found, expected, known)


def _is_inline(workflow: Plain) -> bool:
    """Whether a file holds mlbot's jobs itself."""
    return any(uses.startswith(f"{ACTIONS_REPOSITORY}/actions/") for uses in _uses(workflow))


def _written_job(workflow: Workflow, name: str, job: Plain, wanted: Plain) -> Iterator[Finding]:
    """A job that the file holds itself."""
    if job is None:
        yield finding("workflow-job", workflow.path, "written", _weight(name), job=name, without=_without(name))
        return
    where = f"{workflow.path}: jobs.{name}"
    yield from _rights(where, dig(job, "permissions"), dig(wanted, "permissions"))
    if is_train(workflow.path) and "secrets." in repr(job):
        yield finding("secrets-in-sandbox", where)


def _called(job: object) -> str:
    """The workflow that a job calls, whatever its version."""
    return str(dig(job, "uses")).partition("@")[0]


def _callers(workflow: Plain, called: str) -> dict[str, Plain]:
    jobs = dig(workflow, "jobs")
    return {key: job for key, job in jobs.items() if _called(job) == called} if isinstance(jobs, dict) else {}


def _without(name: str) -> str:
    """What does not happen without this event or job."""
    return sentence("doctor", f"without/{name}") if has_sentence("doctor", f"without/{name}") else ""


def _weight(name: str) -> Severity:
    """Without commands everything else works."""
    return Severity.WARNING if name in {"issue_comment", "command"} else Severity.ERROR


def _triggers(
    path: str, found: Mapping[str, Plain], expected: Mapping[str, Plain], guard: Sequence[str]
) -> Iterator[Finding]:
    for event, wanted in expected.items():
        where = f"{path}: on.{event}"
        if event not in found:
            facts = {"event": event, "without": _without(event)}
            yield finding("trigger-missing", where, "event", _weight(event), **facts)
            continue
        types, needed = dig(found[event], "types"), dig(wanted, "types")
        missing = [] if types is None and event != "pull_request" else _lacking(types, needed)
        if missing:
            yield finding("trigger-missing", where, "types", missing=", ".join(missing), needed=", ".join(needed))
        yield from _filters(where, event, found[event], guard)


def _lacking(found: object, needed: object) -> list[str]:
    there = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    return [each for each in needed if each not in there] if isinstance(needed, list) else []


def _filters(where: str, event: str, found: Plain, guard: Sequence[str]) -> Iterator[Finding]:
    branches = dig(found, "branches")
    missing = [entry for entry in guard if not _runs_for(entry, branches)]
    if event == "push" and branches is not None and missing:
        yield finding("trigger-filtered", where, "branch", branch=", ".join(missing))
    used = [name for name in _FILTERS if dig(found, name) is not None and not (event == "push" and "branch" in name)]
    if used and event in {"pull_request", "merge_group", "push"}:
        yield finding("trigger-filtered", where, "skips", filter=used[0])


def _runs_for(entry: str, filters: object) -> bool:
    """Whether branch filters let the runs of an entry's branches start."""
    # A backslash takes a sign's meaning away, as in `c\+\+`.
    listed = [filters] if isinstance(filters, str) else filters if isinstance(filters, list) else []
    return any(matches(str(each).replace("\\", ""), sample_of(entry)) for each in listed)


def _job(workflow: Workflow, where: str, job: Plain, wanted: Plain, top: Plain) -> Iterator[Finding]:
    own = dig(job, "permissions")
    yield from _rights(where, own if own is not None else top, dig(wanted, "permissions"))
    if dig(job, "secrets") is not None and is_train(workflow.path):
        yield finding("secrets-in-sandbox", where)
    ref = str(dig(job, "uses")).partition("@")[2]
    if ref != ACTIONS_REF and not ref.startswith(f"{ACTIONS_REF}.") and not _SHA.fullmatch(ref):
        yield finding("workflow-ref", where, found=repr(ref), ref=ACTIONS_REF)


def _rights(where: str, found: Plain, wanted: Plain) -> Iterator[Finding]:
    """The rights of a job against those that the called workflow needs: neither less nor more."""
    needed = wanted if isinstance(wanted, dict) else {}
    if found in ("read-all", "write-all") or found is None:
        yield finding("permissions-wide", where, "all", rights=found, needed=_permissions(needed))
        return
    have = found if isinstance(found, dict) else {}
    lacking = {scope: level for scope, level in needed.items() if _rank(have.get(scope)) < _rank(level)}
    if lacking:
        yield finding("permissions-missing", where, rights=_permissions(lacking), needed=_permissions(needed))
    wide = {scope: level for scope, level in have.items() if _rank(level) > _rank(needed.get(scope))}
    if wide:
        yield finding("permissions-wide", where, "some", rights=_permissions(wide), needed=_permissions(needed))


def _rank(level: object) -> int:
    return _RANKS.get(str(level), 0)


def _permissions(levels: Mapping[str, Plain]) -> str:
    return f"`permissions: {{{', '.join(f'{scope}: {level}' for scope, level in levels.items())}}}`"


def _drift(workflow: Workflow, found: Plain, expected: Plain, jobs: set[str]) -> Iterator[Finding]:
    """What else differs from what would be written; more jobs, inputs and the like are the user's to add."""
    match workflow.state:
        case State.VERSION | State.SETTINGS as state:
            version = workflow.writer.version if workflow.writer else ""
            yield finding("workflow-drift", workflow.path, state, version=version, own=__version__)
        case State.EDITED:
            differing = list(_differing(found, expected, jobs))
            if differing and any(dig(found, "jobs", job) for job in jobs):
                yield finding("workflow-drift", workflow.path, "edited", keys=", ".join(differing))
        case _:
            pass


def _differing(found: Plain, expected: Plain, jobs: set[str]) -> Iterator[str]:
    have, want = dict(_leaves(found)), dict(_leaves(expected))
    for path, value in want.items():
        if (
            have.get(path) != value
            and path[0] not in {"permissions", "name"}
            and not (path[0] == "on" and path[1:2] != ("workflow_dispatch",))
            and not (path[0] == "jobs" and path[1] in jobs and path[2] in {"permissions", "uses"})
            and path[-1] not in {"install", "description", "default"}
        ):
            yield ".".join(path)


def _leaves(value: Plain, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    if isinstance(value, dict) and value:
        for key, inside in value.items():
            yield from _leaves(inside, (*path, key))
    else:
        yield path, value


def _any(workflow: Workflow, found: Plain) -> Iterator[Finding]:
    """What no workflow beside mlbot's should do."""
    if "pull_request_target" in events(found):
        yield finding("pull-request-target", workflow.path, severity=Severity.ERROR if workflow.expected else None)
    loose = sorted({uses for uses in _uses(found) if _is_loose(uses)})
    if loose:
        yield finding("unpinned", workflow.path, uses=", ".join(loose))


def _names(found: Mapping[str, Plain], folder: ConfigFolder) -> Iterator[Finding]:
    """The judge listens to the training by its workflow's name."""
    train, judge = folder.train, folder.judge
    if not {train, judge} <= found.keys():
        return
    name = dig(found[train], "name") or train
    listens = dig(found[judge], "on", "workflow_run", "workflows")
    if listens is not None and _lacking(listens, [name]):
        where = f"{judge}: on.workflow_run.workflows"
        yield finding("workflow-name", where, name=repr(name), plain=name, workflow=train)


def events(workflow: Plain) -> Mapping[str, Plain]:
    """A workflow's events with their settings, in whichever of the three ways they are written."""
    found = dig(workflow, "on")
    if isinstance(found, dict):
        return found
    return dict.fromkeys([found] if isinstance(found, str) else map(str, found if isinstance(found, list) else ()))


def _uses(workflow: Plain) -> Iterator[str]:
    jobs = dig(workflow, "jobs")
    for job in jobs.values() if isinstance(jobs, dict) else ():
        steps = dig(job, "steps")
        for part in (job, *(steps if isinstance(steps, list) else ())):
            if isinstance(uses := dig(part, "uses"), str):
                yield uses


def _is_loose(uses: str) -> bool:
    name, _, ref = uses.partition("@")
    own = name.startswith(f"{ACTIONS_REPOSITORY}/")
    return not (uses.startswith(("./", "docker://")) or own or _SHA.fullmatch(ref))


def labels_of(workflow: Plain) -> Iterator[str]:
    """The labels of the runners that a workflow's jobs ask for."""
    jobs = dig(workflow, "jobs")
    for job in jobs.values() if isinstance(jobs, dict) else ():
        runs_on = dig(job, "runs-on")
        labels = dig(runs_on, "labels") if isinstance(runs_on, dict) else runs_on
        yield from [labels] if isinstance(labels, str) else labels if isinstance(labels, list) else ()


# Releases: the workflow, and environments that admit more than they should.


def check_release(config: Config | None, folder: ConfigFolder = ROOT, *, there: bool) -> Iterator[Finding]:
    """What is wrong with the release workflow, which may be there, and with the places it deploys to."""
    environments = config.environments if config else ()
    if environments and not there:
        yield finding("release-missing", folder.release)
    for each in environments if there else ():
        if not is_url(each.target) and not each.target.startswith("command:"):
            where = f"{CONFIG_FILE}: environments.{each.name}.target"
            yield finding("target-in-checkout", where, target=each.target)
        yield from _endpoint(each, config)
    for model in config.models if config else ():
        if environments or model.data.sealed is not None:
            yield from _sealed(model, unasked=not (there or environments))


def _endpoint(environment: EnvironmentConfig, config: Config | None) -> Iterator[Finding]:
    """A token that no job is given, and requests of strangers in the repository."""
    where = f"{CONFIG_FILE}: environments.{environment.name}"
    token = environment.endpoint.token if environment.endpoint else None
    for job, access in _asking(environment, config) if token and config else ():
        if str(token).casefold() not in {name.casefold() for name in (access.secrets if access else ())}:
            yield finding("endpoint-token", f"{where}.endpoint.token", job, token=token, name=environment.name)
    if environment.shadow and not is_url(environment.shadow.requests):
        yield finding("shadow-in-checkout", f"{where}.shadow.requests", log=environment.shadow.requests)


def _asking(
    environment: EnvironmentConfig, config: Config
) -> Iterator[tuple[str, DeployAccess | MonitorAccess | None]]:
    """The jobs that ask an environment's endpoint, and what they may reach."""
    yield "deploy", config.actions.deploy
    last = config.environments[-1].name
    if any(each.monitor and (each.monitor.environment or last) == environment.name for each in config.models):
        yield "monitor", config.actions.monitor


_DIFFERING = 0.06  # the share of rows on which two models usually give another label
_USUAL_MARGIN = 0.01
_FIRST_LOOK = (0.975, 0.8)  # one less the level of a first look, and how often a model as good is to pass


def _sealed(model: Model, *, unasked: bool) -> Iterator[Finding]:
    """Releases whose wrong passes nothing bounds, and sealed rows on which none is asked, or the first nothing."""
    where = f"{CONFIG_FILE}: models.{model.name}.data.sealed"
    if model.evaluate is not None:
        return
    if model.data.sealed is None:
        margins = [gate.limit for gate in model.gates if gate.name == "accuracy.max_regression"]
        margin = min(margins, default=_USUAL_MARGIN)
        rows = math.ceil(_DIFFERING * (sum(map(NormalDist().inv_cdf, _FIRST_LOOK)) / margin) ** 2)
        yield finding("sealed-rows", where, case="none", model=model.name, rows=f"{rows:,}", margin=f"{margin:g}")
        return
    if unasked:
        yield finding("sealed-rows", where, case="unasked", model=model.name)
    if not asked_gates(model, baseline=False):
        yield finding("sealed-rows", where, case="first", model=model.name)


def check_environments(
    config: Config | None, found: Mapping[str, EnvironmentFacts] | None, branch: str
) -> Iterator[Finding]:
    """What is wrong with GitHub's environments, those of deployments and those that jobs have secrets in.

    `found` is None where the token may not ask.
    """
    if config is None or found is None:
        return
    for each in config.environments:
        yield from _environment(each.name, found.get(each.name), branch)
    for name, secrets in config.wired.environments().items():
        facts, where = found.get(name), f"environment {name}"
        if facts is None:
            yield finding("environment-missing", where, branch=branch, secrets=", ".join(secrets))
            continue
        yield from _environment(name, facts, branch)
        if facts.reviewers or facts.timer:
            yield finding("environment-waits", where)


def _environment(name: str, facts: EnvironmentFacts | None, branch: str) -> Iterator[Finding]:
    admitted = None if facts is None else facts.branches
    others = sorted(set(admitted or ()) - {branch})
    case = "absent" if facts is None else "all" if admitted is None else "others" if others else ""
    if case:
        where, named = f"environment {name}", ", ".join(others)
        yield finding("environment-open", where, case, name=name, branch=branch, others=named)


# The registry, as this clone knows it.


def check_registry(found: RegistryView, loss: str | None, conflict: MlbotError | None = None) -> Iterator[Finding]:
    """What is wrong with ledger and tags; `loss`: what the ledger's branch lacks, in words.

    `conflict` says which ref git cannot hold beside those that mlbot writes.
    """
    if conflict is not None:
        yield finding("ledger-name", what=conflict.what, fix=conflict.hint)
    if loss is not None:
        yield finding("ledger-lost", what=loss)
    for each in found.unfinished:
        name = f"{each.model}@{each.version}"
        yield finding("deployment-unfinished", f"environment {each.environment}", name=name, it=each)
    for what in found.lost:
        yield finding("ledger-lacks", what=what)
    for what in found.notes:
        yield finding("registry-disagrees", what=what)


# GitHub's settings.


def check_github(
    settings: Settings,
    *,
    queue_ready: bool,
    labels: Collection[str],
    app: bool = False,
    folder: ConfigFolder = ROOT,
) -> Iterator[Finding]:
    """What is wrong on GitHub's side; `labels` are of the runners that the config and the workflows ask for.

    `app` says whether a GitHub App of the user's sets the statuses.
    """
    yield from _checks(settings, folder, queue_ready=queue_ready, app=app)
    yield from _blocking(settings.blocking)
    yield from _actions(settings)
    if settings.default_token == "write":  # noqa: S105 - a level of rights
        yield finding("default-token", _GENERAL)
    if settings.may_approve:
        yield finding("may-approve", _GENERAL)
    yield from _runners(settings, labels)
    if settings.pages is not None:
        yield from _pages(settings.pages, folder, private=settings.private)
    if settings.unseen:
        yield finding("not-looked-at", case="rights", settings=", ".join(settings.unseen))


def _pages(pages: PagesFacts, folder: ConfigFolder, *, private: bool) -> Iterator[Finding]:
    """What keeps the dashboard from GitHub Pages, or shows it to more people than the repository."""
    if not pages.workflow:
        yield finding("pages-off", folder.dashboard)
    elif private and pages.public is not False:
        yield finding("pages-public", folder.dashboard)


def _checks(settings: Settings, folder: ConfigFolder, *, queue_ready: bool, app: bool) -> Iterator[Finding]:
    entries = tuple(settings.required)
    for entry, required in settings.required.items():
        status = context_to_require(entry, entries, folder.path)
        if required is not None and status not in required:
            case = "own" if len(entries) > 1 else "only"
            listed = ", ".join(required)
            yield finding("check-not-required", f"branch {entry}", case, branch=entry, status=status, required=listed)
        elif required is not None and required[status] in _OPEN:
            yield finding("check-source", f"branch {entry}", "unpinned" if app else "open", status=status)
    if settings.merge_queue and not queue_ready:
        yield finding("merge-queue", f"{folder.train}: on", branch=settings.default_branch)


def _blocking(found: Sequence[BlockingRule]) -> Iterator[Finding]:
    """What keeps the ledger, the charts or a tag from being written."""
    for ref in dict.fromkeys(each.ref for each in found):
        mine = [each for each in found if each.ref == ref]
        rules = ", ".join(dict.fromkeys(each.rule for each in mine))
        numbers = sorted({each.ruleset for each in mine if each.ruleset is not None})
        case = "tag" if "@" in ref or "#" in ref else "branch"
        yield finding("rule-blocks", ref, case, rules=rules, rulesets=", ".join(map(str, numbers)))


def check_access(
    config: Config | None, settings: Settings, *, owned: bool | None, folder: ConfigFolder = ROOT
) -> Iterator[Finding]:
    """What is wrong around the App, its key and the other secrets; `owned`: whether CODEOWNERS names the workflows."""
    if settings.no_rules:
        yield finding("no-rules", _GENERAL)
    if config is None:
        return
    if not settings.issues and (config.environments or _follows(config)):
        yield finding("issues-disabled", _GENERAL)
    yield from _watching(config, settings, folder)
    if owned is False or settings.code_owners is False:
        yield finding("code-owners", "CODEOWNERS", "file" if owned is False else "review")
    own = config.wired.environments(each.name for each in config.environments)
    for name, secrets in own.items():
        there = (settings.environments or {}).get(name)
        known = there.secrets if there else None
        missing = [] if known is None else [each for each in secrets if each not in known]
        if missing:
            yield finding("secret-missing", f"environment {name}", name=name, secrets=", ".join(missing))
    shared = sorted({each for secrets in own.values() for each in secrets} & set(settings.secrets or ()))
    if shared:
        yield finding("secret-shared", _GENERAL, secrets=", ".join(shared))


_STOPPED = {"disabled_inactivity": "inactivity", "disabled_manually": "manually", "disabled_fork": "manually"}


def _follows(config: Config) -> list[str]:
    """What follows from alarms of the models that are watched."""
    return [model.monitor.alarms.then for model in config.models if model.monitor]


def _watching(config: Config, settings: Settings, folder: ConfigFolder) -> Iterator[Finding]:
    """A schedule that GitHub has stopped, and pull requests that workflows cannot open as people expect."""
    follows = _follows(config)
    if follows and (case := _STOPPED.get(settings.schedule or "")):
        yield finding("monitor-stopped", folder.monitor, case, file=folder.monitor.rpartition("/")[2])
    proposes = any(each != "none" for each in follows)
    if proposes and config.actions.token is None and settings.may_approve is not None:
        yield finding("proposal-waits", _GENERAL, "approval" if settings.may_approve else "hand")


def names_owner(text: str, path: str) -> bool:
    """Whether a CODEOWNERS file names an owner of a path; the last line that matches counts."""
    found = False
    for line in text.splitlines():
        pattern, *owners = line.partition("#")[0].split() or [""]
        whole = pattern.strip("/")
        if pattern and (whole in {"*", "**"} or path == whole or path.startswith(f"{whole.removesuffix('/**')}/")):
            found = bool(owners)
    return found


def _actions(settings: Settings) -> Iterator[Finding]:
    if settings.actions_enabled is False:
        yield finding("actions-disabled", _GENERAL)
        return
    if settings.allowed_actions in {"local_only", "selected"}:
        yield finding("actions-not-allowed", _GENERAL, settings.allowed_actions, actions=ACTIONS_REPOSITORY)
    if settings.sha_pinning:
        yield finding("actions-not-allowed", _GENERAL, "pinned", actions=ACTIONS_REPOSITORY)


def _runners(settings: Settings, labels: Collection[str]) -> Iterator[Finding]:
    """A public repository's pull requests reach machines of its owner's."""
    own = sorted(label for label in set(labels) if not label.startswith(_HOSTED) and "${{" not in label)
    if settings.private:
        return
    if own:
        severity = Severity.ERROR if "self-hosted" in own else None
        yield finding("self-hosted-public", "runs-on", "asked", severity, runners=", ".join(own))
    elif settings.runners:
        yield finding("self-hosted-public", _GENERAL, "waiting", count=settings.runners)
