"""`mlbot demo`: five pull requests on real data, each trained and judged; then one of them goes to production.

A script over the command line: every line with a `$` is a command that a person can type.
"""

import contextlib
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlbot.config.yaml import load
from mlbot.console import Console
from mlbot.errors import Exit, MlbotError, NotEvaluatedError, UsageError, require
from mlbot.gates.outcome import Outcome
from mlbot.lib.record import Name, Record
from mlbot.lib.templates import examples
from mlbot.lib.terminal import Pen
from mlbot.report.report import NoticeCode, Report

REPOSITORY = "adult-income"
DELIVERY = "delivery"

CommandLine = Callable[[Sequence[str]], object]
"""Runs the arguments of one mlbot command in this process; returns its exit code or raises what it raises."""

_CONFIG = """
store: {folder}/store
environments:
  staging:
    target: {folder}/staging
    smoke: {{requests: 50, p95_ms: 500, command: "test ! -e '{down}'"}}
  production:
    target: {folder}/production
    after: staging
    approvals: 1
    smoke: {{requests: 50, p95_ms: 500}}
"""

_PICKLE = """# Writes a pickle under the name of an ONNX file. Whoever loads it runs its code.
import os
import pickle
from pathlib import Path


class Payload:
    def __reduce__(self):
        return (Path.touch, (Path({mark!r}),))


Path(os.environ["MLBOT_MODEL"]).write_bytes(pickle.dumps(Payload()))
print("roc_auc=0.9999")
"""

_GATES = """    gates:
      roc_auc: {min: 0.90, max_regression: 0.005}
      log_loss: {max: 0.35}
      accuracy: {max_regression: 0.01}
      recall@women: {min: 0.50}
      roc_auc@black: {max_regression: 0.03}
      recall@asian-pacific: {min: 0.45}
"""

_ENTRYPOINT = "      entrypoint: income.train:train   # (params, seed) -> a fitted pipeline, which mlbot exports\n"
_PLAYED = "demo.yaml"
_CALLED_OUT = {NoticeCode.POLICY_DIFFERS, NoticeCode.UNVERIFIED_CLAIM}


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """A change to one file: `old` becomes `new`; a file that is new has no `old`."""

    path: str
    old: str = ""
    new: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """Where the demo plays: a repository of the example, with reports, a store and two environments beside it."""

    folder: Path
    command_line: CommandLine
    console: Console
    example: str = REPOSITORY

    @property
    def repository(self) -> Path:
        """A git repository of the example."""
        return self.folder / self.example

    @property
    def reports(self) -> Path:
        """One page a scene."""
        return self.folder / "reports"

    @property
    def mark(self) -> Path:
        """A file that exists only if somebody loaded the pickle."""
        return self.folder / "the-pickle-ran"

    @property
    def down(self) -> Path:
        """A file that exists while staging's endpoint does not answer."""
        return self.folder / "the-endpoint-is-down"

    def build(self) -> None:
        """Make the repository, with one commit on main; raises `UsageError` when the folder is in use."""
        if self.folder.exists() and any(self.folder.iterdir()):
            raise UsageError("The folder is not empty.", where=str(self.folder), hint="Name a new one with --out.")
        left_out = shutil.ignore_patterns("__pycache__", _PLAYED)
        shutil.copytree(examples() / self.example, self.repository, ignore=left_out)
        self.reports.mkdir()
        if self.example == REPOSITORY:
            with (self.repository / "mlbot.yaml").open("a", encoding="utf-8") as config:
                config.write(_CONFIG.format(folder=self.folder.absolute().as_uri(), down=self.down.absolute()))
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("Predict income from the census" if self.example == REPOSITORY else f"Begin with {self.example}")

    def git(self, *arguments: str) -> None:
        """Run git as the demo's user."""
        author = ("-c", "user.name=mlbot demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgSign=false")
        subprocess.run(["git", *author, *arguments], cwd=self.repository, check=True, stdout=subprocess.DEVNULL)

    def commit(self, message: str) -> None:
        """Commit all that there is."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def apply(self, edit: Edit) -> None:
        """Change one file; raises `NotEvaluatedError` when the example is another one than the demo knows."""
        path = self.repository / edit.path
        before = path.read_text(encoding="utf-8") if edit.old else ""
        if edit.old and before.count(edit.old) != 1:
            raise NotEvaluatedError(
                "The example is not as the demo knows it.", where=edit.path, hint="Install mlbot anew."
            )
        new = edit.new.replace("{mark!r}", repr(str(self.mark)))
        path.write_text(before.replace(edit.old, new) if edit.old else new, encoding="utf-8")

    def mlbot(self, *arguments: str, who: str = "Ada") -> tuple[Exit, str]:
        """Run a command in the repository; how it ended, and what it printed."""
        out = io.StringIO()
        with _variables({"GIT_COMMITTER_NAME": who, "GIT_AUTHOR_NAME": who}), contextlib.redirect_stdout(out):
            try:
                code = self.command_line([*arguments, "--directory", str(self.repository)])
            except MlbotError as error:
                code = error.exit_code
                out.write(f"mlbot: {error}\n")
        return Exit(code if isinstance(code, int) else 0), out.getvalue()

    def judge(self, *arguments: str) -> tuple[Exit, Report]:
        """Run `mlbot run` with more arguments, and show the verdict in short."""
        from mlbot.report.terminal import terminal

        ended, printed = self.mlbot("run", "--json", *arguments)
        report = Report.model_validate_json(printed)
        self.console.result(terminal(report, self.console.color, self.console.width, brief=True))
        return ended, report


@contextlib.contextmanager
def _variables(given: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# The five pull requests: what their authors did, and the outcomes that are right.


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One pull request: its branch, what its author did, and the outcomes that are right."""

    name: str
    story: str
    edits: tuple[Edit, ...]
    expected: frozenset[Outcome]
    prepare: str | None = None
    check: Callable[[Report, Stage], str] = lambda _report, _stage: ""
    """Looks closer; returns what is wrong, or nothing."""

    def branch(self, stage: Stage) -> None:
        """Check out its branch of main with one commit; a branch that is there stays as it is."""
        known = ["git", "rev-parse", "--verify", "--quiet", f"refs/heads/{self.name}"]
        if subprocess.run(known, cwd=stage.repository, check=False, capture_output=True).returncode == 0:
            return
        stage.git("checkout", "--quiet", "-b", self.name, "main")
        for edit in self.edits:
            stage.apply(edit)
        stage.commit(self.story)
        if self.prepare:
            subprocess.run(["sh", "-c", self.prepare], cwd=stage.repository, check=False, capture_output=True)


class _Edit(Record):
    path: str
    old: str = ""
    new: str


class _Scene(Record):
    name: Name
    story: str
    edits: tuple[_Edit, ...]
    expected: tuple[Outcome, ...]


class _Played(Record):
    """What is played of an example, as its own file says."""

    needs: tuple[str, ...] = ()
    """Modules that a Python has to have for it."""
    prepare: str | None = None
    """A command that brings what git has not, after each change."""
    scenes: tuple[_Scene, ...]


def example_names() -> list[str]:
    """The examples that can be played."""
    return sorted(path.parent.name for path in examples().glob("*/mlbot.yaml"))


def _played(example: str) -> _Played:
    """What is played of an example; raises `UsageError` where there is none of that name."""
    path = examples() / example / _PLAYED
    if example not in example_names() or not path.is_file():
        raise UsageError(f"There is no example '{example}'.", hint=f"There are {', '.join(example_names())}.")
    return _Played.model_validate_json(json.dumps(load(path.read_bytes(), str(path)).data))


def _scenes_of(played: _Played) -> tuple[Scene, ...]:
    return tuple(
        Scene(
            name=each.name,
            story=each.story,
            edits=tuple(Edit(path=edit.path, old=edit.old, new=edit.new) for edit in each.edits),
            expected=frozenset(each.expected),
            prepare=played.prepare,
        )
        for each in played.scenes
    )


def _python_with(modules: Sequence[str], example: str) -> Path:
    """The folder of a Python that can play an example: mlbot's own, else the first on the PATH."""
    wanted = [str(Path(sys.executable).parent), *os.get_exec_path()]
    asked = f"import {', '.join(modules)}" if modules else ""
    for python in dict.fromkeys(filter(None, (shutil.which("python", path=folder) for folder in wanted))):
        if subprocess.run([python, "-I", "-c", asked], capture_output=True, check=False).returncode == 0:
            return Path(python).parent
    raise NotEvaluatedError(
        f"No Python on the PATH has what {example} needs: {', '.join(modules)}.",
        hint=f"In an environment of its own: pip install -r {examples() / example / 'requirements.txt'}",
    )


def _called_out(report: Report, _stage: Stage) -> str:
    codes = {notice.code for notice in (*report.notices, *(n for model in report.models for n in model.notices))}
    return f"the report does not say {', '.join(sorted(_CALLED_OUT - codes))}" if _CALLED_OUT - codes else ""


def _never_loaded(_report: Report, stage: Stage) -> str:
    return "the pickle was loaded, and its code ran" if stage.mark.exists() else ""


SCENES = (
    Scene(
        name="improve",
        story="more trees: max_iter from 60 to 200",
        edits=(Edit(path="params.yaml", old="max_iter: 60", new="max_iter: 200"),),
        expected=frozenset({Outcome.PASS}),
    ),
    Scene(
        name="lost-feature",
        story="a refactoring that forgets the column capital_gain",
        edits=(Edit(path="income/train.py", old='"capital_gain", ', new=""),),
        expected=frozenset({Outcome.FAIL}),
    ),
    Scene(
        name="seed",
        story="nothing but another random_state",
        edits=(Edit(path="params.yaml", old="random_state: 0", new="random_state: 1000"),),
        expected=frozenset({Outcome.PASS, Outcome.INCONCLUSIVE}),
    ),
    Scene(
        name="no-gates",
        story="a worse model that drops the gates in its own mlbot.yaml and prints a fake roc_auc",
        edits=(
            Edit(path="mlbot.yaml", old=_GATES, new="    gates:\n      roc_auc: {min: 0.5}\n"),
            Edit(path="params.yaml", old="max_iter: 60", new="max_iter: 4"),
            Edit(
                path="income/train.py",
                old="    frame = read()\n",
                new='    frame = read()\n    print("roc_auc=0.9999")\n',
            ),
        ),
        expected=frozenset({Outcome.FAIL}),
        check=_called_out,
    ),
    Scene(
        name="pickle",
        story="a pickle named .onnx that would run code when loaded",
        edits=(
            Edit(path="income/train_pickle.py", new=_PICKLE),
            Edit(path="mlbot.yaml", old=_ENTRYPOINT, new="      run: python income/train_pickle.py\n"),
        ),
        expected=frozenset({Outcome.ERROR}),
        check=_never_loaded,
    ),
)
"""In the order in which they are opened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A row of the table at the end: what was tried, how it ended, why that is right; `wrong` is empty when all is."""

    name: str
    ended: str
    right: str
    page: str = ""
    wrong: str


def _play(scene: Scene, stage: Stage) -> Row:
    stage.console.say(f"\n── {scene.name}: {scene.story}")
    scene.branch(stage)
    page = stage.reports / f"{scene.name}.html"
    _, report = stage.judge("--html", str(page), *(["--quiet"] if stage.console.quiet else []))
    verdict = report.verdict
    wrong = scene.check(report, stage)
    if verdict.outcome not in scene.expected:
        wrong = f"the verdict is {verdict.outcome}, not {' or '.join(sorted(scene.expected))}"
    return Row(name=scene.name, ended=verdict.outcome, right=verdict.reason, page=str(page), wrong=wrong)


# The second half: a good pull request is merged, released and deployed; what may not go on is refused.


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One command: as a person types it, how it has to end and why; `before` happens first, and `story` tells it."""

    command: str
    name: str = ""  # left out: the command itself
    expected: Exit = Exit.OK
    right: str = ""
    story: str = ""
    who: str = "Ada"
    before: Callable[[], object] = lambda: None


_RECORD = "run --record"

_ENDED = {
    Exit.OK: "done",
    Exit.FAILED: "fail",
    Exit.INCONCLUSIVE: "inconclusive",
    Exit.NOT_EVALUATED: "rolled back",
    Exit.REFUSED: "refused",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Store:
    stage: Stage
    saved: dict[Path, bytes] = field(default_factory=dict)

    def tamper(self) -> None:
        for file in (self.stage.folder / "store" / "sha256").rglob("*"):
            if file.is_file():
                self.saved[file] = file.read_bytes()
                file.chmod(0o644)
                file.write_bytes(self.saved[file] + b"\0")

    def restore(self) -> None:
        for file, content in self.saved.items():
            file.write_bytes(content)


def _steps(stage: Stage) -> tuple[Step, ...]:
    model, store = REPOSITORY, _Store(stage=stage)

    def revert_and_merge() -> None:
        stage.git("revert", "--no-edit", "-m", "1", "HEAD")
        stage.git("merge", "--quiet", "--no-ff", "-m", "Merge improve", "improve")

    def fewer_trees() -> None:
        stage.apply(Edit(path="params.yaml", old="max_iter: 200", new="max_iter: 60"))
        stage.commit("Fewer trees: half the size, hardly worse")

    return (
        Step(
            name="record main",
            command=_RECORD,
            story="Somebody merges lost-feature although its check is red. Main judges what it got.",
            before=lambda: stage.git("merge", "--quiet", "--no-ff", "-m", "Merge lost-feature", "lost-feature"),
            expected=Exit.FAILED,
            right="main judges for itself",
        ),
        Step(
            name="a failed gate", command=f"release {model}", expected=Exit.REFUSED, right="its latest verdict is fail"
        ),
        Step(
            name="record main",
            command=_RECORD,
            story="That is reverted, and the good pull request is merged.",
            before=revert_and_merge,
            right="judged, stored, in the ledger",
        ),
        Step(
            name="changed bytes",
            command=f"release {model}",
            story="Somebody changes the stored file after the verdict.",
            before=store.tamper,
            expected=Exit.REFUSED,
            right="their sha256 is not the judged one",
        ),
        Step(
            name="release v1.0.0",
            command=f"release {model}",
            story="With the very bytes that were judged:",
            before=store.restore,
            right="the tag and the ledger name the bytes",
        ),
        Step(
            name="v1.0.0 → production",
            command=f"promote {model}@v1.0.0 production",
            expected=Exit.REFUSED,
            right="staging comes first",
        ),
        Step(name="v1.0.0 → staging", command=f"promote {model}@v1.0.0 staging", right="the very bytes, tested there"),
        Step(
            name="v1.0.0 → production",
            command=f"promote {model}@v1.0.0 production",
            story="Ada asks.",
            expected=Exit.REFUSED,
            right="an approval is missing",
        ),
        Step(
            name="approve v1.0.0",
            command=f"approve {model}@v1.0.0 production",
            story="Grace says yes.",
            who="Grace",
            right="by somebody else",
        ),
        Step(name="v1.0.0 → production", command=f"promote {model}@v1.0.0 production", right="approved by Grace"),
        Step(
            name="record main",
            command=_RECORD,
            story="The next version has fewer trees: half the size, and hardly worse.",
            before=fewer_trees,
            right="judged, stored, in the ledger",
        ),
        Step(
            name="release v1.1.0",
            command=f"release {model} --bump minor",
            right="the tag and the ledger name the bytes",
        ),
        Step(
            name="v1.1.0 → staging",
            command=f"promote {model}@v1.1.0 staging",
            story="Its endpoint does not answer: the deployment is broken on purpose.",
            before=stage.down.touch,
            expected=Exit.NOT_EVALUATED,
            right="v1.0.0 is served again by itself",
        ),
        Step(
            name="v1.1.0 → staging",
            command=f"promote {model}@v1.1.0 staging",
            story="Fixed:",
            before=stage.down.unlink,
            right="the very bytes, tested there",
        ),
        Step(
            name="approve v1.1.0",
            command=f"approve {model}@v1.1.0 production",
            story="Grace says yes.",
            who="Grace",
            right="by somebody else",
        ),
        Step(
            name="v1.1.0 → production",
            command=f"promote {model}@v1.1.0 production",
            right="the very bytes, tested there",
        ),
        Step(
            name="roll back",
            command=f'rollback {model} production --reason "complaints from the branch in Lyon"',
            story="In production it turns out worse than the holdout said. One command, no gate, no approval:",
            right="v1.0.0, verified and loaded first",
        ),
        Step(name="history", command="registry history", story="Who, what, when, why:"),
        Step(
            name="lineage", command=f"registry lineage {model}@v1.0.0", story="And what is in production was made from:"
        ),
    )


def _deliver(stage: Stage) -> tuple[Row, ...]:
    stage.console.say(f"\n── {DELIVERY}: merge, release, deploy, go back")
    for scene in SCENES[:2]:
        scene.branch(stage)
    stage.git("checkout", "--quiet", "main")
    return tuple(_take(step, stage) for step in _steps(stage))


def _take(step: Step, stage: Stage) -> Row:
    step.before()
    pen = Pen(color=stage.console.color, width=stage.console.width)
    if step.story:
        stage.console.result(f"\n{pen.paint(step.story, '2')}")
    stage.console.result(pen.paint(f"$ mlbot {step.command}", "1"))
    if step.command == _RECORD:
        ended, _ = stage.judge("--record", "--quiet")
    else:
        ended, printed = stage.mlbot(*shlex.split(step.command), "--quiet", who=step.who)
        stage.console.result(printed.rstrip("\n"))
    wrong = "" if ended is step.expected else f"it ended in {ended.name}, not in {step.expected.name}"
    return Row(name=step.name, ended=_ENDED[ended], right=step.right, wrong=wrong)


def play(
    directory: Path,
    out: Path | None,
    only: Sequence[str],
    console: Console,
    command_line: CommandLine,
    example: str = REPOSITORY,
) -> Exit:
    """Play the scenes (none named: all), print each verdict as it comes, then a table; FAILED for a wrong outcome."""
    require("judge", "charts", "export", needed_for="The demo")
    played = _played(example) if example != REPOSITORY else None
    chosen = _chosen(only, _scenes_of(played) if played else SCENES, () if played else (DELIVERY,))
    # The example trains in a Python that has all that it needs, whatever is first on the PATH.
    python = _python_with(played.needs, example) if played else Path(sys.executable).parent
    os.environ["PATH"] = os.pathsep.join((str(python), os.environ.get("PATH", os.defpath)))
    folder = directory / out if out else Path(tempfile.mkdtemp(prefix="mlbot-demo-"))
    stage = Stage(folder=folder, command_line=command_line, console=console, example=example)
    stage.build()
    console.say(f"A git repository of the example: {stage.repository}")
    rows = [_noted(_play(scene, stage), console) for scene in chosen]
    if played is None and (not only or DELIVERY in only):
        rows += [_noted(row, console) for row in _deliver(stage)]
    console.result(_table(rows))
    console.result(f"\nReports: {stage.reports}\nTry it yourself: cd {stage.repository}, change something, mlbot run\n")
    return Exit.FAILED if any(row.wrong for row in rows) else Exit.OK


def _noted(row: Row, console: Console) -> Row:
    """The row; a wrong one is pointed out at once."""
    if row.wrong:
        console.error(f"This is not what should happen: {row.wrong}")
    return row


def _chosen(only: Sequence[str], scenes: Sequence[Scene], others: Sequence[str]) -> tuple[Scene, ...]:
    names = [*(scene.name for scene in scenes), *others]
    unknown = set(only) - set(names)
    if unknown:
        raise UsageError(f"There is no scene '{min(unknown)}'.", hint=f"The scenes are: {', '.join(names)}.")
    return tuple(scene for scene in scenes if not only or scene.name in only)


def _table(rows: Sequence[Row]) -> str:
    cells = [(row.name, row.ended, row.right, row.page) for row in rows]
    widths = [max((len(row[column]) for row in cells), default=0) for column in range(3)]
    lines = (
        "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3])) for row in cells
    )
    return "\n" + "\n".join(line.rstrip() for line in lines)
