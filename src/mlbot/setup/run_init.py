"""`mlbot init`: looks at a repository and writes its first mlbot.yaml and its two workflows."""

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from mlbot.config.csv_form import HEAD, rows_of
from mlbot.config.errors import DELIVERED_WORDS, is_delivered_name
from mlbot.config.run_check import check, load_config
from mlbot.config.schema import Csv
from mlbot.config.yaml import load
from mlbot.console import Console
from mlbot.errors import Exit, MlbotError, UsageError
from mlbot.events.event import dig
from mlbot.gates.metric import Task
from mlbot.git.command import git, try_git
from mlbot.git.repository import Repository
from mlbot.lib.constants import CONFIG_FILE, JUDGE_PATH, RELEASE_PATH, TRAIN_PATH
from mlbot.setup import scaffold
from mlbot.setup.detect import SUFFIXES, Table
from mlbot.setup.scaffold import Choices, Draft, Facts, needs_ignore, propose

_MAX_TEXT = 256 * 1024

_MAX_TEXTS = 500

_MAX_ROWS = 2_000

_MAX_DEPTH = 4

_MAX_TABLES = 50

_SKIPPED = frozenset({"node_modules", "venv", "env", "site-packages", "__pycache__", "build", "dist", "mlruns"})

_POINTER = "version https://git-lfs"


def survey(repository: Repository) -> Facts:
    """Read what a repository holds; nothing in it is run."""
    root = repository.root
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
    return {path: text for path in paths if (text := _text(root / path)) is not None}


def _is_code(path: str) -> bool:
    return path.endswith((".py", ".sh", ".R", ".r")) or path == "pyproject.toml"


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_TEXT + 1)
    except OSError:
        return None
    return raw.decode("utf-8", "replace") if len(raw) <= _MAX_TEXT else None


def _tables(root: Path, files: frozenset[str]) -> Iterator[Table]:
    found = {path.removesuffix(".dvc") for path in files if path.removesuffix(".dvc").endswith(SUFFIXES)}
    found |= set(itertools.islice(_on_disk(root), _MAX_TABLES))
    for path in sorted(found):
        columns, rows = read_table(root / path)
        yield Table(path=path, columns=columns, rows=rows, tracked=path in files or f"{path}.dvc" in files)


def _on_disk(root: Path) -> Iterator[str]:
    """Data files in the working tree, those that git ignores too."""
    for folder, names, files in os.walk(root):
        inside = Path(folder).relative_to(root)
        deep = len(inside.parts) >= _MAX_DEPTH
        names[:] = [] if deep else sorted(name for name in names if not name.startswith(".") and name not in _SKIPPED)
        yield from ((inside / name).as_posix() for name in sorted(files) if name.endswith(SUFFIXES))


def read_table(path: Path) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """The columns of a data file and its first rows as text; nothing for what cannot be read from here."""
    if not path.is_file():
        return (), ()
    return _csv(path) if path.suffix == ".csv" else _parquet(path)


def _csv(path: Path) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD + 1)
        rows = rows_of(head[:HEAD], Csv(), whole=len(head) <= HEAD, most=_MAX_ROWS)
    except (OSError, MlbotError):
        return (), ()
    if not rows or (rows[0] and rows[0][0].startswith(_POINTER)):
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
        **chosen: str | None,
    ) -> "InitOptions":
        """The options as the command line gives them; raises `UsageError` when the model's name is none."""
        if model is not None and not is_delivered_name(model):
            hint = f"Use {DELIVERED_WORDS}."
            raise UsageError(f"{model!r} cannot be a model's name", where="--model", hint=hint)
        choices = Choices(task=Task(task) if task else None, model=model, **chosen)
        return cls(choices=choices, force=force, ask=ask, release=release)


def init(directory: Path, options: InitOptions, console: Console) -> Exit:
    """Write what is missing of a repository's mlbot files and say what to do next; 2 while mlbot.yaml is not valid."""
    repository = Repository.discover(directory)
    root, facts = repository.root, survey(repository)
    draft = propose(facts, options.choices)
    if options.ask is not None and _is_to_write(root / CONFIG_FILE, scaffold.config(draft), options):
        draft = propose(facts, _answers(facts, options.choices, options.ask))
        options = replace(options, sure=(*options.sure, CONFIG_FILE))
    done = {path: _write(root / path, text, options) for path, text in _files(root, draft, facts, options).items()}
    # What is missing of a config that somebody has written since is what the check says, not what was missing once.
    gaps = draft.gaps if done[CONFIG_FILE] is not Done.LEFT else ()
    problem = _problem(root)
    guard = existing_guard(root) or (draft.branch,)
    console.result(scaffold.summary(done=_shown(done, options), gaps=gaps, branch=draft.branch, guard=guard))
    blocked = any(gap.blocks for gap in gaps)
    if problem is not None and not blocked:
        console.error(f"mlbot: {problem}")
    return Exit.USAGE if problem is not None or blocked else Exit.OK


def _answers(facts: Facts, choices: Choices, ask: Ask) -> Choices:
    """The choices with a person's answers; each question knows the answers before it."""
    for field, question in _QUESTIONS:
        draft = propose(facts, choices)
        if getattr(choices, field) is None:
            default = _default(draft, field)
            answer = ask(question, default).strip()
            # What was offered is no choice of the person's: where it replaces something missing, it stays a gap.
            if answer and answer != default:
                choices = choices.model_copy(update={field: _task(answer) if field == "task" else answer})
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
    try:
        return Task(answer)
    except ValueError:
        raise UsageError(f"there is no task {answer!r}", hint=f"There are {', '.join(Task)}.") from None


def _files(root: Path, draft: Draft, facts: Facts, options: InitOptions) -> dict[str, str]:
    install = existing_install(root) or draft.install
    files = {
        CONFIG_FILE: scaffold.config(draft),
        TRAIN_PATH: scaffold.train_workflow(guard=existing_guard(root) or (draft.branch,), install=install),
        JUDGE_PATH: scaffold.judge_workflow(install=install),
    }
    if options.release or (root / RELEASE_PATH).is_file():
        files[RELEASE_PATH] = scaffold.release_workflow()
    # check-ignore takes no literal pathspecs, which mlbot's git sets everywhere.
    asked = ["--no-literal-pathspecs", "check-ignore", "--quiet", "--no-index", "model.onnx"]
    ignored = try_git(asked, root).returncode == 0
    if needs_ignore(draft, facts) and not ignored:
        path = root / _IGNORE
        before = path.read_text(encoding="utf-8") if path.is_file() else ""
        gap = "" if not before or before.endswith("\n") else "\n"
        files[_IGNORE] = f"{before}{gap}{_IGNORED}\n"
    return files


def existing_install(root: Path) -> str | None:
    """The install command of the workflow that is there already: it is the user's to change."""
    try:
        found = dig(load((root / TRAIN_PATH).read_bytes(), TRAIN_PATH).data, "jobs", "train", "with", "install")
    except (OSError, MlbotError):
        return None
    return found if isinstance(found, str) and found.strip() else None


def existing_guard(root: Path) -> tuple[str, ...]:
    """What the config that is there guards; nothing where it says nothing, or is not valid."""
    try:
        return load_config(root).guard
    except (OSError, MlbotError):
        return ()


def _write(path: Path, text: str, options: InitOptions) -> Done:
    """Write a file, unless it is there and differs and nobody said that it may go."""
    there = path.is_file()
    if there and path.read_bytes() == text.encode():
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
    if options.ask is None or path.read_bytes() == text.encode():
        return False
    return options.ask(f"{path.name} is there and differs. Overwrite it (y or n)?", "n").lower() in {"y", "yes"}


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
