"""`mlbot plan`: the commits of a change, read, planned and printed."""

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mlbot.config.run_check import MOST_CONFIGS, ONE_NAME, named_twice
from mlbot.config.schema import Config, parse_config
from mlbot.config.yaml import load
from mlbot.console import Console
from mlbot.errors import UsageError
from mlbot.git.ledger import read_folders, read_local
from mlbot.git.merge import first_parents, three_commits
from mlbot.git.repository import Repository
from mlbot.ledger.entries import RequestEntry, folders_of
from mlbot.ledger.queries import durations
from mlbot.lib.constants import CONFIG_FILE
from mlbot.lib.notebook import MOST_BYTES, SUFFIX, Notebook, NotebookError
from mlbot.lib.record import Name, Sha
from mlbot.lib.tree import FILE_MODES, Tree, is_url, shown
from mlbot.plan.comparison_point import BranchHistory
from mlbot.plan.content_key import Side, renames
from mlbot.plan.packs import HOSTED, Wanted, is_quick, packs
from mlbot.plan.plan import Plan, PlannedModel, plan_models
from mlbot.protocol.answer import RetrainRequest
from mlbot.verdict.verdict import Commits


@dataclass(frozen=True, kw_only=True, slots=True)
class Configs:
    """The configs of the three commits."""

    head: Config
    base: Config | None  # at base; None when base has none, or one that cannot be read
    policy: Config | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sides:
    """The three commits with their files; None where a commit or its config is not there."""

    head: Side
    base: Side | None
    policy: Side | None


def read_configs(repository: Repository, commits: Commits) -> Configs:
    """Read mlbot.yaml at the three commits; equal files are parsed once and give the same object."""
    head, policy, base = (_config_blob(repository, sha) for sha in (commits.candidate, commits.policy, commits.base))
    if head is None:
        where = f"in the folder {repository.folder}" if repository.folder else "in the repository's root"
        elsewhere = _elsewhere(repository, commits.candidate)
        hint = f"Name one: --config {elsewhere[0]}" if elsewhere else "Make one: mlbot init"
        raise UsageError(f"there is no {CONFIG_FILE} {where}", hint=hint)
    texts = repository.blobs(oid for oid in (head, policy, base) if oid)
    parsed: dict[str, Config] = {}

    def config(oid: str, source: str) -> Config:
        if oid not in parsed:
            parsed[oid] = parse_config(load(texts[oid], source))
        return parsed[oid]

    at_head = config(head, CONFIG_FILE)
    if repository.folder:
        _unlike(repository, commits.candidate, at_head)
    at_policy = config(policy, f"{CONFIG_FILE} of {commits.guarded}") if policy else None
    at_base = None
    with suppress(UsageError):
        at_base = config(base, CONFIG_FILE) if base else None
    return Configs(head=at_head, base=at_base, policy=at_policy)


def _elsewhere(repository: Repository, sha: Sha) -> list[str]:
    """The other configs of a commit, as seen from this one's folder."""
    tree = repository.tree(sha)
    return sorted(path for path in tree.entries if path.endswith(f"/{CONFIG_FILE}") and tree.file(path))


def _unlike(repository: Repository, sha: Sha, config: Config) -> None:
    """Raise where two configs of a repository name one model."""
    paths = _elsewhere(repository, sha)
    if len(paths) > MOST_CONFIGS:  # whichever were left unread could name the same model
        hint = f"mlbot reads {MOST_CONFIGS} to see that no two name one model. Remove those that are not in use."
        raise UsageError(f"there are {len(paths)} other {CONFIG_FILE} in the repository", hint=hint)
    for name, path in named_twice(config, repository.read_many(sha, paths)):
        hint = f"Give one of them another name: {ONE_NAME}."
        raise UsageError(f"{CONFIG_FILE} and {path} both name the model {name}", hint=hint)


def read_sides(repository: Repository, commits: Commits, configs: Configs, *, outside: bool = True) -> Sides:
    """The three commits as the planner sees them; equal commits are read once."""
    candidate = commits.candidate
    every = ((candidate, configs.head), (commits.base, configs.base), (commits.policy, configs.policy))
    known = {sha: config for sha, config in reversed(every) if sha and config}
    by_notebook = any(model.train.notebook for config in known.values() for model in config.models)
    sides = {sha: _side(repository, sha, config, outside=outside) for sha, config in known.items()}
    if by_notebook:
        sides = {sha: replace(side, notebooks=_notebooks(repository, side.tree)) for sha, side in sides.items()}
    return Sides(
        head=sides[candidate],
        base=sides[commits.base] if commits.base and configs.base else None,
        policy=sides[commits.policy] if commits.policy and configs.policy else None,
    )


def _side(repository: Repository, sha: Sha, config: Config, *, outside: bool) -> Side:
    side = Side(config=config, tree=repository.tree(sha))
    return replace(side, outside=repository.content_digests(_outside(side))) if outside else side


_MOST_NOTEBOOKS = 500


def _notebooks(repository: Repository, tree: Tree) -> dict[str, Notebook]:
    """The notebooks of a commit by path; of others, and those beyond a number, all bytes count."""
    paths = sorted(path for path, (mode, _) in tree.entries.items() if path.endswith(SUFFIX) and mode in FILE_MODES)
    wanted = {path: tree.entries[path][1] for path in paths[:_MOST_NOTEBOOKS]}
    read = dict[str, Notebook]()
    for oid, raw in repository.each_blob(wanted.values(), largest=MOST_BYTES):
        with suppress(NotebookError):
            read[oid] = Notebook.read(raw)
    return {path: read[oid] for path, oid in wanted.items() if oid in read}


@dataclass(frozen=True, kw_only=True, slots=True)
class Planning:
    """A plan with what it was made from."""

    repository: Repository
    configs: Configs
    sides: Sides
    plan: Plan
    names: Mapping[Name, Name]
    """The models that have another name at head than at the guarded branch's tip, or than they had there once: that
    one, by the new one. In the tip's and base's configs here they have the new one already."""
    renamed: frozenset[Name]  # of these what this change renames

    @classmethod
    def of(
        cls, repository: Repository, commits: Commits, models: Sequence[str] = (), *, outside: bool = True
    ) -> "Planning":
        """Read three commits, and plan them.

        `outside`: whether data that git does not have is in the content keys; a judge elsewhere has none of it.
        """
        configs = read_configs(repository, commits)
        sides = read_sides(repository, commits, configs, outside=outside)
        landed = _landed(configs.base) | _landed(configs.policy)
        names = {sha: renames(sides.head, each) for sha, each in _theirs(commits, sides).items()}
        sides = _called(commits, sides, names)
        configs = replace(
            configs,
            base=sides.base.config if sides.base else configs.base,
            policy=sides.policy.config if sides.policy else configs.policy,
        )
        plan = plan_models(commits, sides.head, sides.base, sides.policy, models)
        renamed = {new: old for each in names.values() for new, old in each.items()}
        return cls(
            repository=repository,
            configs=configs,
            sides=sides,
            plan=plan,
            names=landed | renamed,
            renamed=frozenset(renamed),
        )

    @property
    def commits(self) -> Commits:
        """The three commits."""
        return self.plan.commits

    def with_plan(self, plan: Plan) -> "Planning":
        """The same commits with another plan of them."""
        return replace(self, plan=plan)


def _landed(config: Config | None) -> dict[Name, Name]:
    """The models that a commit says had another name, and which."""
    return {each.name: each.was for each in config.models if each.was} if config else {}


def _theirs(commits: Commits, sides: Sides) -> dict[Sha, Side]:
    """The sides of the guarded branch's commits, each once."""
    every = ((commits.base, sides.base), (commits.policy, sides.policy))
    return {sha: side for sha, side in every if sha and side is not None and side is not sides.head}


def _called(commits: Commits, sides: Sides, names: Mapping[Sha, Mapping[Name, Name]]) -> Sides:
    """The same with the guarded branch's models by the names that they have at head."""
    found = {sha: side.called(names[sha]) for sha, side in _theirs(commits, sides).items()}
    base, policy = found.get(commits.base or "", sides.base), found.get(commits.policy or "", sides.policy)
    return replace(sides, base=base, policy=policy)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanOptions:
    """What the command line says."""

    base: str | None = None  # the guarded branch, or any revision to take for its tip; None: the default branch
    onto: Sha | None = None  # an older tip to merge onto, as the bot recorded it
    models: tuple[str, ...] = ()
    asked: Container[Name] = ()  # models that are stale because somebody asked for them, beside the others
    git_only: bool = False  # leave out what git does not have, so that a judge elsewhere comes to the same content keys
    trial: bool = False  # the models are trained with other parameters than the committed ones
    unjudged: bool = False  # every model is stale that the ledger has no verdict on, and no other


def plan_working_tree(repository: Repository, options: PlanOptions) -> Plan:
    """Plan the working tree as a pull request of it would be planned."""
    commits = three_commits(repository, options.base, onto=options.onto)
    if options.unjudged:  # a commit of the branch itself, which may be older than its tip, is merged into nothing
        commits = commits.model_copy(update={"merged": None})
    plan = Planning.of(repository, commits, options.models, outside=not options.git_only).plan
    if not options.unjudged:
        return with_history(repository, plan.asked_for(options.asked), trial=options.trial)
    chain = first_parents(repository, commits.base) if commits.base else {}
    history = BranchHistory.of(read_local(repository.root, "verdict").entries, commits.guarded, chain)
    plan = plan.unjudged(history.latest, {})
    # What was judged before needs no training: the judge scores the files that it has.
    return plan.settled({each.name for each in plan.stale if each.judged_before}).with_history(history.verdicts)


def with_history(repository: Repository, plan: Plan, *, trial: bool = False) -> Plan:
    """The plan with as many seeds as this clone's ledger lets begin with."""
    folders = [folder for each in plan.stale for folder in folders_of("verdict", each.name)]
    tip = plan.commits.policy or plan.commits.base
    if not folders or tip is None:
        return plan
    entries, chain = read_folders(repository.root, folders).entries, first_parents(repository, tip)
    return plan.with_history(BranchHistory.of(entries, plan.commits.guarded, chain).verdicts, trial=trial)


def print_plan(directory: Path, options: PlanOptions, console: Console, *, as_json: bool) -> None:
    """Print the plan of a folder's working tree: for people, or as JSON."""
    plan = plan_working_tree(Repository.discover(directory), options)
    console.result(plan.model_dump_json(indent=2) if as_json else plan_text(plan))


def matrix_lines(
    plan: Plan,
    known: Mapping[Name, float],
    request: RetrainRequest | None = None,
    runs_on: tuple[str, ...] = HOSTED,
    wave: RequestEntry | None = None,
) -> str:
    """What `$GITHUB_OUTPUT` takes: `matrix=` with the jobs, `jobs=` how many, `here=` and `onto=`.

    `here` is what the planning job trains itself, because that is quick; then there are no jobs. `onto` is the commit
    that a checkout has to be merged into; empty where that changes nothing. A trial's jobs carry its parameters, and
    the attempt that they are for. `runs_on`: where the planning job itself runs. `wave`: what a judge asked for.
    """
    trial = request if request is not None and request.trial else None
    found = packs(_wanted(plan, known, trial) if wave is None else _lacking(plan, known, wave))
    here = found[0] if is_quick(found, runs_on) else None
    jobs = [] if here else [pack.job for pack in found]
    if trial is not None:
        jobs = [{**job, "attempt": trial.attempt.number} for job in jobs]
    lines = {
        "matrix": json.dumps({"include": jobs}),
        "jobs": len(jobs),
        "here": json.dumps(here.job) if here else "",
        "onto": plan.commits.base if plan.commits.merged else "",
    }
    return "\n".join(f"{name}={value}" for name, value in lines.items())


def _wanted(plan: Plan, known: Mapping[Name, float], trial: RetrainRequest | None) -> Iterator[Wanted]:
    """What is trained. Of a trial also what is committed, to compare with: GitHub hides what earlier attempts left."""
    for each in plan.stale:
        if trial is not None:
            yield Wanted(model=each, overrides=trial.params, known_s=known.get(each.name))
        if trial is None or not each.requested:
            yield Wanted(model=each, known_s=known.get(each.name))


def _lacking(plan: Plan, known: Mapping[Name, float], wave: RequestEntry) -> Iterator[Wanted]:
    """The seeds that a verdict lacks; those before them are with the judge that asked. Of other content all."""
    for each in plan.stale:
        asked = wave.of(each.name, each.key)
        if asked is None:
            yield Wanted(model=each, known_s=known.get(each.name))
        elif asked.missing:
            yield Wanted(model=each, seeds=asked.missing, known_s=known.get(each.name))


def known_durations(repository: Repository, plan: Plan) -> dict[Name, float]:
    """How long the stale models took before, as far as this clone's ledger knows."""
    folders = [folder for each in plan.stale for folder in folders_of("verdict", each.name)]
    return durations(read_folders(repository.root, folders).entries) if folders else {}


def plan_text(plan: Plan) -> str:
    """The plan as a person reads it: a line a model, then what else is to be known."""
    rows = [("model", "state", "seeds", "why"), *(_row(model) for model in plan.models)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join((*map(str.ljust, row[:3], widths), row[3])).rstrip() for row in rows]
    trainings = sum(model.seeds for model in plan.stale if not model.brought)
    lines += ["", f"{len(plan.stale)} of {len(plan.models)} models stale, {trainings} trainings to do."]
    lines += [f"{name} is no longer there; its deletion needs a waiver." for name in plan.deleted]
    lines += [f"The working tree {change}; judged by {plan.commits.guarded}'s." for change in plan.policy_changes]
    return "\n".join(lines)


def _row(model: PlannedModel) -> tuple[str, str, str, str]:
    why = "; ".join(shown(reason.text) for reason in model.reasons)
    return model.name, "stale" if model.stale else "unchanged", str(model.seeds), why


def _config_blob(repository: Repository, sha: Sha | None) -> str | None:
    """The object that a checkout of a commit has as mlbot.yaml: what a link says or a submodule names is no config."""
    tree = repository.tree(sha) if sha else None
    file = tree.file(CONFIG_FILE) if tree else None
    return tree.entries[file][1] if tree and file else None


def _outside(side: Side) -> list[str]:
    paths = dict.fromkeys(model.data.train for model in side.config.models)
    return [path for path in paths if path and not is_url(path) and side.is_outside(path)]
