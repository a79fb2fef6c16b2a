"""`mlbot doctor`: looks at a repository, its workflows and its settings on GitHub, and says what is wrong."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from mlbot.config.errors import ConfigError, Problem
from mlbot.config.folder import ConfigFolder
from mlbot.config.run_check import Folder, configs_below, idle_bounds
from mlbot.config.schema import Config
from mlbot.config.yaml import load
from mlbot.console import Console
from mlbot.errors import Exit, MlbotError, UsageError
from mlbot.events.event import dig
from mlbot.events.github import Settings, runs_on
from mlbot.git.command import git
from mlbot.git.ledger import COPY, fetch_ledger, local_loss
from mlbot.git.remote import Remote, conflict_with, remote_url
from mlbot.git.repository import Repository, configs_of
from mlbot.github.api import GitHub
from mlbot.github.job import Workplace, locate
from mlbot.github.settings import read_settings
from mlbot.ledger.entries import BRANCH
from mlbot.lib.constants import CHARTS, CONFIG_FILE, LFS_POINTER
from mlbot.lib.templates import sentence
from mlbot.lib.tree import is_url
from mlbot.lib.version import Version
from mlbot.registry.run_registry import read_view
from mlbot.registry.run_repository import origin_of
from mlbot.registry.tags import stage_tag, version_tag
from mlbot.setup import checks
from mlbot.setup.run_init import choose_form, default_branch, order_of
from mlbot.setup.workflows import files, stamp_of, state_of

_WORKFLOWS = ".github/workflows"


def doctor(directory: Path, environment: Mapping[str, str], console: Console, *, as_json: bool) -> Exit:
    """Say all that is wrong; 1 when there is an error."""
    repository = Repository.discover(directory)
    root = repository.project
    if not (root / CONFIG_FILE).is_file() and (below := configs_below(root, configs_of(root))):
        return _print((checks.elsewhere(below),), console, as_json=as_json)
    place = locate(environment, remote_url(repository))
    settings = None
    if place is not None and place.token is not None:
        console.say(f"asking {place.server_url} about {place.repository}")
        config, _, _ = _config(root)
        token, api_url = place.required_token(), place.api_url
        github = GitHub.connect(place.repository, token, api_url=api_url, progress=console.say)
        guard = config.guard if config else ()
        asked = {"environments": _environments(config), "tags": _tags(config)}
        pages = (repository.root / ConfigFolder.of(repository.folder).dashboard).is_file()
        settings = read_settings(github, guard, **asked, pages=pages, monitor=_monitor(repository, config))
    conflict = _fetch_ledger(repository, place)
    findings = (*examine(repository, place, settings, conflict), *_isolation(root, console))
    return _print(checks.in_order(findings), console, as_json=as_json)


def _monitor(repository: Repository, config: Config | None) -> str:
    """The file's name of the workflow that watches production, where mlbot.yaml has something to watch."""
    watches = config is not None and any(model.monitor for model in config.models)
    return ConfigFolder.of(repository.folder).monitor.rpartition("/")[2] if watches else ""


def _isolation(root: Path, console: Console) -> Iterator[checks.Finding]:
    """What holds predictors and evaluators on this machine, where the config has any."""
    config, _, _ = _config(root)
    models = config.models if config else ()
    commands = [name for name in ("predict", "evaluate") if any(getattr(each, name) for each in models)]
    if not commands:
        return
    from mlbot.ml.isolation import isolation_here

    found = isolation_here()
    console.say(sentence("data", "held-by", by=found.rung.value))
    yield from checks.check_isolation(commands[0], found.rung, found.refused)


def _print(findings: tuple[checks.Finding, ...], console: Console, *, as_json: bool) -> Exit:
    console.result(_json(findings) if as_json else text(findings))
    return Exit.FAILED if any(each.severity is checks.Severity.ERROR for each in findings) else Exit.OK


def _fetch_ledger(repository: Repository, place: Workplace | None) -> MlbotError | None:
    """Know the remote's ledger as it is now, where nobody has to be asked for a password.

    The error of a ref there that git cannot hold beside those that mlbot writes.
    """
    url = origin_of(repository)
    remote = Remote(url=place.clone_url, token=place.token) if place and place.token else Remote(url=url or "")
    if url and (remote.token or remote.folder or url.startswith("file:")):
        with suppress(MlbotError):
            fetch_ledger(repository.root, remote)
            return conflict_with(remote, repository.root, f"refs/heads/{BRANCH}", f"refs/heads/{CHARTS}", COPY)
    return None


def examine(
    repository: Repository, place: Workplace | None, settings: Settings | None, conflict: MlbotError | None = None
) -> tuple[checks.Finding, ...]:
    """All findings, the worst first."""
    root = repository.root
    branch = settings.default_branch if settings else default_branch(repository)
    config, problems, idle = _config(repository.project)
    guard = config.guard if config and config.guard else (branch,)
    folder = ConfigFolder.of(repository.folder)
    workflows = _workflows(repository, config)
    documents = {each.path: each.document.data for each in workflows if each.document}
    setup = checks.Setup(
        repository=place.repository if place else None,
        elsewhere=place.server_url if place and not runs_on(place.server_url) else "",
        shallow=repository.shallow,
        branch=branch,
        live=_live(repository, branch),
        config=config,
        problems=problems,
        idle=idle,
        data=_data(repository, config),
        folder=folder,
        lfs=dig(documents.get(folder.train), "jobs", "train", "with", "lfs") is True
        or (config is not None and config.actions.lfs),
    )
    findings = [*checks.check_setup(setup), *checks.check_workflows(workflows, guard, folder)]
    findings += checks.check_release(config, folder, there=folder.release in documents)
    loss = local_loss(root)
    findings += checks.check_registry(read_view(root), loss.of(BRANCH) if loss else None, conflict)
    if settings is None:
        known = place is None or bool(git(["for-each-ref", "--count=1", "refs/remotes"], root))
        case = "no-token" if known else "never-pushed"
        return checks.in_order((*findings, checks.finding("not-looked-at", case=case, branch=branch)))
    labels = [label for data in documents.values() for label in checks.labels_of(data)]
    labels += [label for model in (config.models if config else ()) for label in model.train.runs_on]
    app = bool(config and config.actions.token)
    ready = "merge_group" in checks.events(documents.get(folder.train))
    findings += checks.check_environments(config, settings.environments, branch)
    findings += checks.check_access(config, settings, owned=_owned(root, folder), folder=folder)
    findings += checks.check_github(settings, queue_ready=ready, labels=labels, app=app, folder=folder)
    return checks.in_order(findings)


def _environments(config: Config | None) -> tuple[str, ...]:
    """The environments of GitHub that the config names."""
    names = tuple(each.name for each in config.environments) if config else ()
    return tuple(dict.fromkeys((*names, *(config.wired.environments(names) if config else ()))))


def _tags(config: Config | None) -> tuple[str, ...]:
    """A tag of each kind that a release makes; none where nothing is released."""
    if config is None or not config.environments:
        return ()
    model, environment = config.models[0].name, config.environments[0].name
    return (version_tag(model, Version(major=1, minor=0, patch=0)), stage_tag(model, environment, 1))


def _owned(root: Path, folder: ConfigFolder) -> bool:
    """Whether a CODEOWNERS file names who has to look at the workflows and the config."""
    for place in (".github", "", "docs"):
        if (file := root / place / "CODEOWNERS").is_file():
            found = file.read_text(encoding="utf-8", errors="replace")
            return all(checks.names_owner(found, path) for path in (folder.config, folder.train))
    return False


def text(findings: tuple[checks.Finding, ...]) -> str:
    """The findings for people, three lines each."""
    lines: list[str] = []
    for each in findings:
        where = f"  {each.where}" if each.where else ""
        lines += [f"{each.severity}: {each.code}{where}", f"  {each.what}"]
        lines += [f"  → {each.hint}", ""]
    counts = {severity: sum(each.severity is severity for each in findings) for severity in checks.Severity}
    errors, warnings = counts[checks.Severity.ERROR], counts[checks.Severity.WARNING]
    counted = [f"{n} {word}{'s' if n != 1 else ''}" for n, word in ((errors, "error"), (warnings, "warning"))]
    unseen = any(each.code == "not-looked-at" for each in findings)
    fine = "Nothing is wrong here; GitHub's side was not looked at." if unseen else "Nothing is wrong."
    return "\n".join([*lines, f"{' and '.join(counted)}." if errors or warnings else fine])


def _json(findings: tuple[checks.Finding, ...]) -> str:
    return json.dumps({"findings": [each.model_dump(mode="json") for each in findings]}, indent=2, ensure_ascii=False)


def _live(repository: Repository, branch: str) -> frozenset[str]:
    """Which of mlbot's files are on the default branch: GitHub's, as far as it was fetched."""
    sha = repository.find(f"refs/remotes/origin/{branch}") or repository.find(f"refs/heads/{branch}")
    if sha is None:
        return frozenset()
    whole = repository.whole_tree(sha).entries
    folder = ConfigFolder.of(repository.folder)
    workflows = (path for path in (folder.train, folder.judge) if path in whole)
    return frozenset((*workflows, *({CONFIG_FILE} & repository.tree(sha).entries.keys())))


def _config(root: Path) -> tuple[Config | None, tuple[Problem, ...], tuple[Problem, ...]]:
    """The config, even when a file that it names is not there, what is wrong with it, and which bounds are idle."""
    if not (root / CONFIG_FILE).is_file():
        return None, (), ()
    try:
        folder = Folder.of(root, configs_of(root))
    except ConfigError as error:
        return None, error.problems, ()
    return folder.config, folder.findings(), tuple(map(folder.document.located, idle_bounds(folder.config)))


def _workflows(repository: Repository, config: Config | None) -> list[checks.Workflow]:
    """Every workflow file, mlbot's beside what `mlbot upgrade` would write."""
    root, form = repository.root, choose_form(repository, config)
    wanted = files(order_of(repository, config, form.form, install="true"))
    paths = sorted({*wanted, *_present(root)})
    return [_workflow(root, path, wanted.get(path), form.why) for path in paths]


def _present(root: Path) -> Iterator[str]:
    for pattern in ("*.yml", "*.yaml"):
        yield from (f"{_WORKFLOWS}/{path.name}" for path in (root / _WORKFLOWS).glob(pattern))


def _workflow(root: Path, path: str, wanted: str | None, why: str) -> checks.Workflow:
    expected = None if wanted is None else load(wanted, path).data
    try:
        content = (root / path).read_bytes()
        found = checks.Workflow(path=path, document=load(content, path), expected=expected, why=why)
    except FileNotFoundError:
        return checks.Workflow(path=path, document=None, expected=expected)
    except (OSError, UsageError) as error:
        problem = f"it cannot be read: {str(error).splitlines()[0]}"
        return checks.Workflow(path=path, document=None, expected=expected, problem=problem)
    text = content.decode()
    return found if wanted is None else replace(found, state=state_of(text, wanted), writer=stamp_of(text))


def _data(repository: Repository, config: Config | None) -> dict[str, checks.DataStorage]:
    models = config.models if config else ()
    paths = {path for model in models for path in (model.data.train, model.data.holdout)}
    paths |= {model.artifact.url for model in models if model.artifact}
    return {path: _storage_of(repository, path) for path in paths if path}


def _storage_of(repository: Repository, path: str) -> checks.DataStorage:
    if is_url(path):
        return checks.DataStorage.URL
    file = repository.project / path
    if _is_in_git(repository, path):
        return checks.DataStorage.LFS if _is_lfs(repository, path) else checks.DataStorage.TRACKED
    if _is_in_git(repository, f"{path.rstrip('/')}.dvc"):
        return checks.DataStorage.DVC
    return checks.DataStorage.OUTSIDE if file.exists() else checks.DataStorage.ABSENT


def _is_in_git(repository: Repository, path: str) -> bool:
    """Whether git has it, or would commit it."""
    out = git(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", path], repository.project)
    return bool(out)


_LOOKED_AT = 50  # files of a folder


def _is_lfs(repository: Repository, path: str) -> bool:
    """Whether git has a pointer of Git LFS instead of the content, resolved here or not."""
    out = git(["check-attr", "-z", "filter", "--", path], repository.project)
    if out.split(b"\0")[2:3] == [b"lfs"]:
        return True
    file = repository.project / path
    if file.is_dir():
        inside = git(["ls-files", "-z", "--", path], repository.project).split(b"\0")[:-1]
        return any(_is_lfs(repository, each.decode("utf-8", "surrogateescape")) for each in inside[:_LOOKED_AT])
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(len(LFS_POINTER)) == LFS_POINTER
