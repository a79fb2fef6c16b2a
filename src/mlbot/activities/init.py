"""`mlbot init`: looks at a repository and writes its first mlbot.yaml and its two workflows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from mlbot.activities.config import check
from mlbot.activities.survey import survey
from mlbot.console import Console
from mlbot.core.config_reader import is_name
from mlbot.core.event import dig
from mlbot.core.inputs import CONFIG_FILE
from mlbot.core.metric import Task
from mlbot.core.published import JUDGE_PATH, RELEASE_PATH, TRAIN_PATH
from mlbot.core.scaffold import Choices, Draft, Facts, needs_ignore, propose
from mlbot.errors import Exit, MlbotError, UsageError
from mlbot.git import Repository
from mlbot.git.command import try_git
from mlbot.render import scaffold
from mlbot.yamlfile import load

Ask = Callable[[str, str], str]
"""Asks a person: the question and what stands for no answer; gives the answer."""

_IGNORE = ".gitignore"
_IGNORED = "*.onnx"


class Done(StrEnum):
    """What became of a file. A closed list."""

    MADE = "made"
    REPLACED = "written anew"
    ADDED = "a line added"
    KEPT = "kept, though it differs (--force writes it anew)"
    SAME = "as it should be"


@dataclass(frozen=True, kw_only=True, slots=True)
class InitOptions:
    """What a person chose.

    Attributes:
        choices: what the files are to say.
        force: overwrite without asking.
        ask: asks a person; None: nobody is there, or wants to be asked.
        sure: names of files that may be overwritten.
        release: write the workflow that releases, too.
    """

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
        **said: str | None,
    ) -> "InitOptions":
        """The options as the command line gives them.

        Raises:
            UsageError: the model's name is none.
        """
        if model is not None and not is_name(model):
            mend = "Use letters, digits, `.`, `_` and `-`, 63 at most, a letter or digit first."
            raise UsageError(f"{model!r} cannot be a model's name", where="--model", mend=mend)
        choices = Choices(task=Task(task) if task else None, model=model, **said)
        return cls(choices=choices, force=force, ask=ask, release=release)


def init(directory: Path, options: InitOptions, console: Console) -> Exit:
    """Write what is missing of a repository's mlbot files and say what to do next.

    Returns:
        0, or 2 while mlbot.yaml is not valid yet.

    Raises:
        UsageError: this is no repository, or a choice names something that is not there.
    """
    repository = Repository.discover(directory)
    root, facts = repository.root, survey(repository)
    draft = propose(facts, options.choices)
    if options.ask is not None and _is_to_write(root / CONFIG_FILE, scaffold.config(draft), options):
        draft = propose(facts, _answers(facts, options.choices, options.ask))
        options = replace(options, sure=(*options.sure, CONFIG_FILE))
    done = {path: _write(root / path, text, options) for path, text in _files(root, draft, facts, options).items()}
    # What is missing of a config that somebody has written since is what the check says, not what was missing once.
    gaps = draft.gaps if done[CONFIG_FILE] is not Done.KEPT else ()
    problem = _problem(root)
    console.result(scaffold.summary(done=_to_tell(done, options), gaps=gaps, branch=draft.branch))
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
            # What was offered is no choice of the person's: where it stands for something missing, it stays a gap.
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
        "train": draft.recipe.source or draft.recipe.said,
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
        raise UsageError(f"there is no task {answer!r}", mend=f"There are {', '.join(Task)}.") from None


def _files(root: Path, draft: Draft, facts: Facts, options: InitOptions) -> dict[str, str]:
    """Each file's path and whole content."""
    install = existing_install(root) or draft.install
    files = {
        CONFIG_FILE: scaffold.config(draft),
        TRAIN_PATH: scaffold.train_workflow(branch=draft.branch, install=install),
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


def _write(path: Path, text: str, options: InitOptions) -> Done:
    """Write a file, unless it is there and differs and nobody said that it may go."""
    there = path.is_file()
    if there and path.read_bytes() == text.encode():
        return Done.SAME
    added = there and path.name == _IGNORE
    if there and not added and not _is_to_write(path, text, options):
        return Done.KEPT
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


def _to_tell(done: Mapping[str, Done], options: InitOptions) -> list[tuple[str, str]]:
    """What became of each file; a file that was kept is only told of where a change was to be expected."""
    changed = any(what not in {Done.SAME, Done.KEPT} for what in done.values())
    told = changed or options.choices != Choices()
    return [(path, what.value) for path, what in done.items() if told and what is not Done.SAME]


def _problem(root: Path) -> UsageError | None:
    try:
        check(root)
    except UsageError as error:
        return error
    return None
