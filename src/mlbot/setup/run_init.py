"""`mlbot init`: looks at a repository and writes its first mlbot.yaml and its two workflows."""

import difflib
import itertools
import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from mlbot.config.actions import Actions
from mlbot.config.csv_form import form_of, likely_encoding, read_head, rows_of
from mlbot.config.data import Csv
from mlbot.config.errors import DELIVERED_WORDS, is_delivered_name
from mlbot.config.folder import ConfigFolder
from mlbot.config.guard import commit_context, context_to_require
from mlbot.config.run_check import check, load_config
from mlbot.config.schema import Config
from mlbot.config.yaml import load
from mlbot.console import Console
from mlbot.errors import Exit, MlbotError, UsageError
from mlbot.events.event import dig
from mlbot.events.github import runs_on
from mlbot.gates.metric import Task
from mlbot.git.command import git, try_git
from mlbot.git.remote import remote_url
from mlbot.git.repository import Repository
from mlbot.github.api import GitHub as GitHubClient
from mlbot.github.job import TOKENS, locate, refuse_server
from mlbot.github.transport import Patience
from mlbot.lib.constants import CONFIG_FILE, LFS_POINTER
from mlbot.lib.notebook import MOST_BYTES, SUFFIX, Notebook, NotebookError
from mlbot.lib.templates import sentence
from mlbot.setup import scaffold
from mlbot.setup.detect import SUFFIXES, Table
from mlbot.setup.environments import DEFAULT_PYTHON, TEXTS, training_setup
from mlbot.setup.frameworks import PROMPTFOO, code_of
from mlbot.setup.scaffold import METRICS, Choices, Draft, Facts, needs_ignore, propose
from mlbot.setup.workflows import (
    GITHUB,
    Choice,
    Form,
    Order,
    State,
    choose,
    drivers,
    fetchers,
    log_drivers,
    stamp_of,
    state_of,
)
from mlbot.setup.workflows import files as workflow_files

_MAX_TEXT = 256 * 1024

_MAX_TEXTS = 500

_MAX_ROWS = 2_000

_MAX_DEPTH = 4

_MAX_TABLES = 50

_SKIPPED = frozenset({"node_modules", "venv", "env", "site-packages", "__pycache__", "build", "dist", "mlruns"})


def survey(repository: Repository) -> Facts:
    """Read what a repository holds; nothing in it is run."""
    root = repository.project
    files = _survey_files(root)
    return Facts(
        name=root.name,
        branch=default_branch(repository),
        files=files,
        texts=_texts(root, files),
        tables=tuple(_tables(root, files)),
    )


def _survey_files(root: Path) -> frozenset[str]:
    out = git(["ls-files", "-z", "--cached", "--others", "--exclude-standard"], root)
    paths = (path for path in out.decode("utf-8", "surrogateescape").split("\0") if path)
    return frozenset(path for path in paths if os.path.lexists(root / path))


def default_branch(repository: Repository) -> str:
    """The name of the branch that pull requests go into, as far as this clone can tell."""
    try:
        return repository.default_branch().name
    except MlbotError:
        return repository.current_branch() or "main"


def _texts(root: Path, files: frozenset[str]) -> dict[str, str]:
    wanted = (path for path in sorted(files, key=lambda path: (path.count("/"), path)) if _is_code(path))
    paths = itertools.islice(wanted, _MAX_TEXTS)
    return {path: text for path in paths if (text := _read(root / path, beginning=path in TEXTS)) is not None}


def _is_code(path: str) -> bool:
    return path.endswith((".py", ".sh", ".R", ".r", SUFFIX)) or path in TEXTS or path in PROMPTFOO


def _read(path: Path, *, beginning: bool) -> str | None:
    """The text of a file, of a notebook its code."""
    if path.suffix != SUFFIX:
        return _text(path, beginning=beginning)
    try:
        with path.open("rb") as file:
            return code_of([cell.source for cell in Notebook.read(file.read(MOST_BYTES + 1)).cells])
    except (OSError, NotebookError):
        return None


def _text(path: Path, *, beginning: bool = False) -> str | None:
    """The text of a file; None of one that is too large, unless its beginning will do."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_TEXT + 1)
    except OSError:
        return None
    return raw.decode("utf-8", "replace") if beginning or len(raw) <= _MAX_TEXT else None


def _tables(root: Path, files: frozenset[str]) -> Iterator[Table]:
    found = {path.removesuffix(".dvc") for path in files if path.removesuffix(".dvc").endswith(SUFFIXES)}
    found |= set(itertools.islice(_on_disk(root), _MAX_TABLES))
    for path in sorted(found):
        encoding = _encoding(root / path)
        columns, rows = read_table(root / path, encoding)
        tracked = path in files or f"{path}.dvc" in files
        yield Table(path=path, columns=columns, rows=rows, tracked=tracked, encoding=encoding)


def _on_disk(root: Path) -> Iterator[str]:
    """Data files in the working tree, those that git ignores too."""
    for folder, names, files in os.walk(root):
        inside = Path(folder).relative_to(root)
        deep = len(inside.parts) >= _MAX_DEPTH
        names[:] = [] if deep else sorted(name for name in names if not name.startswith(".") and name not in _SKIPPED)
        yield from ((inside / name).as_posix() for name in sorted(files) if name.endswith(SUFFIXES))


def _encoding(path: Path) -> str | None:
    """The encoding of a CSV that does not show it for certain."""
    if path.suffix != ".csv" or not path.is_file():
        return None
    with path.open("rb") as file:
        head, whole = read_head(file)
    try:
        return likely_encoding(head, whole=whole)
    except UsageError:
        return None


def read_table(path: Path, encoding: str | None = None) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """The columns of a data file and its first rows as text; nothing for what cannot be read from here."""
    if not path.is_file():
        return (), ()
    return _csv(path, Csv(encoding=encoding)) if path.suffix == ".csv" else _parquet(path)


def _csv(path: Path, csv: Csv) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    try:
        with path.open("rb") as file:
            head, whole = read_head(file)
        rows = rows_of(head, csv, whole=whole, most=_MAX_ROWS)
    except (OSError, MlbotError):
        return (), ()
    if not rows or head.startswith(LFS_POINTER):
        return (), ()
    return tuple(name.strip() for name in rows[0]), tuple(tuple(row) for row in rows[1:])


def _parquet(path: Path) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """The same by polars, where the optional part `ml` is installed."""
    try:
        from mlbot.ml import frames

        table = frames.sample(path, rows=_MAX_ROWS)
    except (ImportError, MlbotError):
        return (), ()
    rows = tuple(tuple("" if value is None else str(value) for value in row) for row in table.rows())
    return tuple(table.columns), rows


Ask = Callable[[str, str], str]  # asks a person: the question and what stands for no answer; gives the answer
_IGNORE = ".gitignore"

_IGNORED = "*.onnx"


class Done(StrEnum):
    """What became of a file. A closed list."""

    MADE = "made"
    REPLACED = "written anew"
    ADDED = "a line added"
    LEFT = "left as it is, though it differs (--force writes it anew)"
    SAME = "as it should be"


@dataclass(frozen=True, kw_only=True, slots=True)
class InitOptions:
    """What a person chose. `ask` is None where nobody is there to answer; the files of `sure` may be overwritten."""

    choices: Choices
    release: bool = False
    watch: bool = False
    dashboard: bool = False
    public: bool = False  # whether GitHub says that the repository is; asked for the watch and the dashboard alone
    force: bool = False
    ask: Ask | None = None
    sure: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        *,
        force: bool,
        ask: Ask | None,
        task: str | None,
        model: str | None,
        release: bool = False,
        watch: bool = False,
        **chosen: str | None,
    ) -> "InitOptions":
        """The options as the command line gives them; raises `UsageError` when the model's name is none."""
        if model is not None and not is_delivered_name(model):
            hint = f"Use {DELIVERED_WORDS}."
            raise UsageError(f"{model!r} cannot be a model's name", where="--model", hint=hint)
        choices = Choices(task=Task(task) if task else None, model=model, **chosen)
        return cls(choices=choices, force=force, ask=ask, release=release, watch=watch)


def init(directory: Path, options: InitOptions, console: Console) -> Exit:
    """Write what is missing of a repository's mlbot files and say what to do next; 2 while mlbot.yaml is not valid."""
    repository = _here(directory)
    ConfigFolder.of(repository.folder)  # before anything is written
    root, facts = repository.project, survey(repository)
    draft = _proposed(repository, facts, options.choices)
    if options.ask is not None and _is_to_write(root / CONFIG_FILE, scaffold.config(draft), options):
        draft = _proposed(repository, facts, _answers(facts, options.choices, options.ask, console))
        options = replace(options, sure=(*options.sure, CONFIG_FILE))
    done = {CONFIG_FILE: _write(root / CONFIG_FILE, scaffold.config(draft), options)}
    config = existing_config(root)
    form, folder = choose_form(repository, config), ConfigFolder.of(repository.folder)
    order = order_of(repository, config, form.form, install=draft.install, python=draft.python)
    if repository.folder:
        console.say(sentence("data", "inner-config", folder=folder.path, status=commit_context(folder.path)))
    wanted = replace(
        order,
        release=order.release or options.release,
        watch=order.watch or options.watch,
        dashboard=order.dashboard or options.dashboard,
    )
    made = {posixpath.relpath(path, folder.path or "."): text for path, text in workflow_files(wanted).items()}
    files = made | _ignored(root, draft, facts)
    if draft.asking and done[CONFIG_FILE] is not Done.LEFT and not (root / scaffold.PREDICTOR).exists():
        files[scaffold.PREDICTOR] = scaffold.predictor(draft)
    if draft.skeleton and done[CONFIG_FILE] is not Done.LEFT and not (root / _SKELETON).exists():
        files[_SKELETON] = scaffold.skeleton(draft, facts, _reading(root, draft.train, Csv(encoding=draft.encoding)))
    done |= {path: _write(root / path, text, options) for path, text in files.items()}
    # What is missing of a config that somebody has written since is what the check says, not what was missing once.
    written = done[CONFIG_FILE] is not Done.LEFT
    own = (*draft.gaps, *_encoding_gaps(root, draft), *_package_gaps(draft)) if written else ()
    notes = scaffold.dashboard_notes(public=options.public) if options.dashboard else ()
    gaps = (*own, *_server_gaps(repository), *notes)
    problem = _problem(root)
    required = {entry: context_to_require(entry, order.guard, folder.path) for entry in order.guard}
    console.result(
        scaffold.summary(
            done=_shown(done, options), gaps=gaps, branch=draft.branch, required=required,
            form=form.why,
            environments=order.actions.environments(each.name for each in config.environments) if config else {},
        )
    )  # fmt: skip
    blocked = any(gap.blocks for gap in gaps)
    if problem is not None and not blocked:
        console.error(f"mlbot: {problem}")
    return Exit.USAGE if problem is not None or blocked else Exit.OK


def is_public(directory: Path, environment: Mapping[str, str]) -> bool:
    """Whether the repository is a public one on github.com, as far as GitHub says so at once."""
    # Of a job's variables only how to ask: this is about the folder's own repository, whatever the job's is.
    known = {name: environment[name] for name in (*TOKENS, "GITHUB_API_URL") if name in environment}
    place = locate(known, remote_url(Repository.discover(directory)))
    if place is None or urlsplit(place.server_url).hostname != GITHUB:
        return False
    github = GitHubClient.connect(place.repository, place.token, api_url=place.api_url)
    github.transport.patience = Patience(attempts=1, rate_limit_s=0)
    try:
        return not github.facts().private
    except MlbotError:
        return False


def _server_gaps(repository: Repository) -> tuple[scaffold.Gap, ...]:
    place = locate({}, remote_url(repository))
    if place is None or runs_on(place.server_url):
        return ()
    error = refuse_server(place.server_url)
    return (scaffold.Gap(what=error.what, hint=error.hint, blocks=False),)


_SKELETON = "train.py"
_DECIMAL_COMMA = re.compile(r"-?[0-9]+,[0-9]{1,2}|-?[0-9]+,[0-9]{4,}")


def _encoding_gaps(root: Path, draft: Draft) -> Iterator[scaffold.Gap]:
    """Files that are not in the encoding which another one of them needs."""
    for path in (draft.train, draft.holdout):
        if not (draft.encoding and path and path.endswith(".csv") and (root / path).is_file()):
            continue
        with (root / path).open("rb") as file:
            head, whole = read_head(file)
        try:
            form_of(head, Csv(encoding=draft.encoding), whole=whole)
        except UsageError as error:
            yield scaffold.Gap(what=f"{path} cannot be read: {error.what}", hint=error.hint)


def _package_gaps(draft: Draft) -> Iterator[scaffold.Gap]:
    """What the workflows install for the files that are written here, and this machine has to have, too."""
    wanted = "" if draft.recipe.entrypoint else draft.more  # an entrypoint's are mlbot's own on a laptop
    if lacking := " ".join(name for name in wanted.split() if find_spec(name) is None):
        what = f"what is written here needs {lacking}, which mlbot's Python does not have"
        hint = (
            f"Where it is the one that you train with: pip install {lacking}. The workflows install it by themselves."
        )
        yield scaffold.Gap(what=what, hint=hint, blocks=False)


def _here(directory: Path) -> Repository:
    """The repository, with the folder that mlbot is started in for that of a new mlbot.yaml."""
    repository = Repository.discover(directory)
    inner = directory.resolve().relative_to(repository.root).as_posix()
    return replace(repository, folder="" if inner == "." else inner)


def _proposed(repository: Repository, facts: Facts, choices: Choices) -> Draft:
    """The draft of a folder's files, which may install what the whole repository lists."""
    draft = propose(facts, choices)
    shared = _shared_install(repository, facts, draft.more)
    return propose(facts, choices.model_copy(update={"install": shared})) if shared and not choices.install else draft


def _shared_install(repository: Repository, facts: Facts, more: str) -> str | None:
    """What installs the packages of the whole repository, started in a folder that lists none of its own."""
    if not repository.folder or training_setup(facts.files, facts.texts).install is not None:
        return None
    root = repository.root
    files = _survey_files(root)
    found = training_setup(files, _texts(root, files), more=more).install
    return f"cd {'/'.join('..' for _ in repository.folder.split('/'))} && {found}" if found else None


def _reading(root: Path, path: str | None, csv: Csv) -> str:
    """How pandas reads a CSV file of this form: what stands between the parentheses."""
    if path is None or not path.endswith(".csv") or not (root / path).is_file():
        return ""
    with (root / path).open("rb") as file:
        head, whole = read_head(file)
    form = form_of(head, csv, whole=whole)
    rows = rows_of(head, csv, whole=whole, most=_MAX_ROWS)
    comma = form.separator != "," and any(_DECIMAL_COMMA.fullmatch(field.strip()) for row in rows for field in row)
    given = {"sep": form.separator, "encoding": form.encoding, "decimal": "," if comma else ".", "na_values": ["?"]}
    usual = {"sep": ",", "encoding": "utf-8", "decimal": "."}
    return ", ".join([repr(path), *(f"{key}={value!r}" for key, value in given.items() if usual.get(key) != value)])


def choose_form(repository: Repository, config: Config | None) -> Choice:
    """The form of a repository's workflows, by its config and its remote."""
    place = locate({}, remote_url(repository))
    host = (urlsplit(place.server_url).hostname if place else None) or GITHUB
    return choose(config, host=host, owner=place.repository.partition("/")[0] if place else "")


def order_of(
    repository: Repository, config: Config | None, form: Form, *, install: str, python: str | None = None
) -> Order:
    """What a repository's workflow files are to be written for; the install command that they have is kept."""
    root, folder = repository.root, ConfigFolder.of(repository.folder)
    return Order(
        form=form,
        folder=folder,
        guard=(config.guard if config else ()) or (default_branch(repository),),
        install=existing_install(root, folder) or install,
        python=existing_python(root, folder) or (None if existing_install(root, folder) else python),
        actions=config.wired if config else Actions(),
        drivers=drivers(config),
        fetchers=fetchers(config),
        sealed=drivers(config, sealed=True),
        logs=log_drivers(config),
        monitor=config is not None and any(model.monitor for model in config.models),
        release=(root / folder.release).is_file(),
        watch=(root / folder.watch).is_file(),
        dashboard=(root / folder.dashboard).is_file(),
    )


def upgrade(directory: Path, console: Console, *, force: bool) -> Exit:
    """Write the workflow files anew for this version and for mlbot.yaml as it is; 5 where one was changed by hand.

    Raises:
        UsageError: mlbot.yaml is not there, or not valid.
    """
    repository = Repository.discover(directory)
    root, config = repository.root, load_config(repository.project)
    form = choose_form(repository, config)
    wanted = workflow_files(order_of(repository, config, form.form, install=""))
    found = {path: text for path in wanted if (text := _text(root / path)) is not None}
    states = {path: state_of(found.get(path), text) for path, text in wanted.items()}
    refused = [path for path, state in states.items() if not (state.is_mlbots or force)]
    for path, text in wanted.items():
        if path not in refused and found.get(path) != text:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8", newline="\n")
    diffs = [_diff(path, found[path], wanted[path]) for path in refused]
    console.result(scaffold.upgraded(states=states, refused=refused, diffs=diffs, form=form.why))
    return Exit.REFUSED if refused else Exit.OK


def _diff(path: str, found: str, wanted: str) -> str:
    """What writing a file anew would change, as `diff -u` shows it."""
    lines = difflib.unified_diff(found.splitlines(), wanted.splitlines(), path, path, lineterm="")
    return "\n".join("".join(sign if sign.isprintable() else "\ufffd" for sign in line) for line in lines)


_TRIES = 5
"""How often a question is asked: who answers by a program could answer wrongly for ever."""


def _answers(facts: Facts, choices: Choices, ask: Ask, console: Console) -> Choices:
    """The choices with a person's answers; each question knows the answers before it."""
    for field, question in _QUESTIONS:
        draft = propose(facts, choices)
        if getattr(choices, field) is None and not (draft.prompts or (draft.artifact and field == "train")):
            choices = _answered(facts, choices, (field, question), ask, console)
    return choices


def _answered(facts: Facts, choices: Choices, asked: tuple[str, str], ask: Ask, console: Console) -> Choices:
    """The choices with one answer more; a wrong one is said, and asked for again."""
    field, question = asked
    default = _default(propose(facts, choices), field)
    for left in reversed(range(_TRIES)):
        answer = ask(question, default).strip()
        # What was offered is no choice of the person's: where it replaces something missing, it stays a gap.
        if not answer or answer == default:
            break
        try:
            chosen = choices.model_copy(update={field: _task(answer) if field == "task" else answer})
            propose(facts, chosen)
        except UsageError as error:
            if not left:
                raise
            console.error(f"mlbot: {error}")
        else:
            return chosen
    return choices


_QUESTIONS = (
    ("train", "What trains the model (a script, module:function or a command)?"),
    ("data", "Training data?"),
    ("holdout", "Holdout: labelled rows that no training sees (a file or URL)?"),
    ("target", "Column to predict?"),
    ("task", "Task (binary, multiclass or regression)?"),
)


def _default(draft: Draft, field: str) -> str:
    found: Mapping[str, str | None] = {
        "train": draft.recipe.source or draft.recipe.text,
        "data": draft.train,
        "holdout": draft.holdout,
        "target": draft.target,
        "task": draft.task,
    }
    return found[field] or ""


def _task(answer: str) -> Task:
    task = next((each for each in METRICS if each == answer), None)
    if task is None:
        raise UsageError(f"there is no task {answer!r}", hint=f"There are {', '.join(METRICS)}.")
    return task


def _ignored(root: Path, draft: Draft, facts: Facts) -> dict[str, str]:
    """.gitignore with a line more, where a training by hand may leave model files that somebody could commit."""
    # check-ignore takes no literal pathspecs, which mlbot's git sets everywhere.
    asked = ["--no-literal-pathspecs", "check-ignore", "--quiet", "--no-index", "model.onnx"]
    if not needs_ignore(draft, facts) or try_git(asked, root).returncode == 0:
        return {}
    path = root / _IGNORE
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    gap = "" if not before or before.endswith("\n") else "\n"
    return {_IGNORE: f"{before}{gap}{_IGNORED}\n"}


def existing_install(root: Path, folder: ConfigFolder) -> str | None:
    """The install command of the workflows that are there already: it is the user's to change."""
    steps = (dig(step, "env", "INSTALL") for job in _jobs(root, folder) for step in _steps(job))
    return _first_text((*(dig(job, "with", "install") for job in _jobs(root, folder)), *steps))


def existing_python(root: Path, folder: ConfigFolder) -> str | None:
    """The Python that the workflows that are there already train with: it is the user's to change, too."""
    steps = (dig(step, "with", "python-version") for job in _jobs(root, folder) for step in _steps(job))
    # A file that holds the jobs names the default one too.
    named = (each for each in steps if each != DEFAULT_PYTHON)
    return _first_text((*(dig(job, "with", "python-version") for job in _jobs(root, folder)), *named))


def _first_text(found: Iterable[object]) -> str | None:
    return next((each for each in found if isinstance(each, str) and each.strip()), None)


def _jobs(root: Path, folder: ConfigFolder) -> Iterator[object]:
    """The jobs that train, as the workflows call them and as they hold them themselves."""
    for path in (folder.train, folder.judge):
        try:
            jobs = dig(load((root / path).read_bytes(), path).data, "jobs")
        except (OSError, MlbotError):
            continue
        yield from jobs.values() if isinstance(jobs, dict) else ()


def _steps(job: object) -> list[object]:
    steps = dig(job, "steps")
    return steps if isinstance(steps, list) else []


def existing_config(root: Path) -> Config | None:
    """The config that is there; None where there is none, or it is not valid."""
    try:
        return load_config(root)
    except (OSError, MlbotError):
        return None


def _write(path: Path, text: str, options: InitOptions) -> Done:
    """Write a file, unless it is there and differs and nobody said that it may go."""
    there = path.is_file()
    if there and _is_same(path, text):
        return Done.SAME
    added = there and path.name == _IGNORE
    if there and not added and not _is_to_write(path, text, options):
        return Done.LEFT
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return Done.ADDED if added else Done.REPLACED if there else Done.MADE


def _is_to_write(path: Path, text: str, options: InitOptions) -> bool:
    """Whether a file is not there, or may be overwritten; asks where somebody is there to be asked."""
    if not path.is_file() or options.force or path.name in options.sure:
        return True
    if options.ask is None or _is_same(path, text):
        return False
    return options.ask(f"{path.name} is there and differs. Overwrite it (y or n)?", "n").lower() in {"y", "yes"}


def _is_same(path: Path, text: str) -> bool:
    """Whether a file says what would be written; a workflow's first line is of the writer and not of the file."""
    if stamp_of(text):
        return state_of(_text(path), text) is State.CURRENT
    return path.read_bytes() == text.encode()


def _shown(done: Mapping[str, Done], options: InitOptions) -> list[tuple[str, str]]:
    """What became of each file; a file that was left is named only where a change was to be expected."""
    changed = any(what not in {Done.SAME, Done.LEFT} for what in done.values())
    shown = changed or options.choices != Choices()
    return [(path, what.value) for path, what in done.items() if shown and what is not Done.SAME]


def _problem(root: Path) -> UsageError | None:
    try:
        check(root)
    except UsageError as error:
        return error
    return None
