"""`mlbot demo`: five pull requests on real data, each trained and judged; then one of them goes to production."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlbot.console import Console
from mlbot.delivery.run_promote import PromotionRequest, RollbackRequest
from mlbot.delivery.run_release import ReleaseRequest
from mlbot.delivery.run_verbs import approve_verb, promote_verb, release_verb, rollback_verb
from mlbot.errors import Exit, NotEvaluatedError, UsageError
from mlbot.gates.outcome import Outcome
from mlbot.lib.extras import require
from mlbot.registry.run_registry import Asking, show_history, show_lineage
from mlbot.report.report import NoticeCode, Report
from mlbot.resources import examples

# Where the demo plays: a fresh repository of the example, with a store and two environments beside it.

REPOSITORY = "adult-income"

_DELIVERY = """
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """A change to one file: `old` becomes `new`; a file that is new has no `old`."""

    path: str
    old: str = ""
    new: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """Where the demo plays.

    Attributes:
        folder: of everything the demo makes.
        repository: a git repository of the example.
        reports: one page a scene.
        mark: a file that exists only if somebody loaded the pickle.
        down: a file that exists while staging's endpoint does not answer.
    """

    folder: Path
    repository: Path
    reports: Path
    mark: Path
    down: Path


def build(folder: Path) -> Stage:
    """Make the repository, with one commit on main.

    Raises:
        UsageError: the folder is in use.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UsageError("The folder is not empty.", where=str(folder), hint="Name a new one with --out.")
    stage = Stage(
        folder=folder,
        repository=folder / REPOSITORY,
        reports=folder / "reports",
        mark=folder / "the-pickle-ran",
        down=folder / "the-endpoint-is-down",
    )
    shutil.copytree(examples() / REPOSITORY, stage.repository, ignore=shutil.ignore_patterns("__pycache__"))
    stage.reports.mkdir()
    with (stage.repository / "mlbot.yaml").open("a", encoding="utf-8") as config:
        config.write(_DELIVERY.format(folder=folder.absolute().as_uri(), down=stage.down.absolute()))
    git(stage, "init", "--quiet", "--initial-branch=main")
    commit(stage, "Predict income from the census")
    return stage


def branch(stage: Stage, name: str, edits: Sequence[Edit], message: str) -> None:
    """Check out a branch of main with one commit more; nothing is done to one that is there."""
    there = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", f"refs/heads/{name}"],
        cwd=stage.repository,
        check=False,
        capture_output=True,
    )
    if there.returncode == 0:
        return
    git(stage, "checkout", "--quiet", "-b", name, "main")
    for edit in edits:
        apply(edit, stage)
    commit(stage, message)


def apply(edit: Edit, stage: Stage) -> None:
    """Change one file.

    Raises:
        NotEvaluatedError: the example is another one than the demo knows.
    """
    path = stage.repository / edit.path
    before = path.read_text(encoding="utf-8") if edit.old else ""
    if before.count(edit.old) != 1 and edit.old:
        raise NotEvaluatedError("The example is not as the demo knows it.", where=edit.path, hint="Install mlbot anew.")
    new = edit.new.replace("{mark!r}", repr(str(stage.mark)))
    path.write_text(before.replace(edit.old, new) if edit.old else new, encoding="utf-8")


def commit(stage: Stage, message: str) -> None:
    """Commit all that there is."""
    git(stage, "add", "--all")
    git(stage, "commit", "--quiet", "--message", message)


def git(stage: Stage, *arguments: str) -> None:
    """Run git as the demo's user."""
    author = ("-c", "user.name=mlbot demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgSign=false")
    subprocess.run(["git", *author, *arguments], cwd=stage.repository, check=True, stdout=subprocess.DEVNULL)


# The five pull requests of the demo: what their authors did, and the outcomes that are right.


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One pull request of the demo.

    Attributes:
        name: of its branch and report.
        story: what its author did.
        edits: its change.
        expected: the outcomes that are right; anything else is a bug in mlbot.
        check: looks closer; returns what is wrong, or nothing.
    """

    name: str
    story: str
    edits: tuple[Edit, ...]
    expected: frozenset[Outcome]
    check: Callable[[Report, Stage], str] = lambda _report, _stage: ""


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

_CALLED_OUT = {NoticeCode.POLICY_DIFFERS, NoticeCode.UNVERIFIED_CLAIM}


def scenes() -> tuple[Scene, ...]:
    """The five pull requests, in the order they are opened."""
    return (
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
                Edit(path="train_pickle.py", new=_PICKLE),
                Edit(path="mlbot.yaml", old=_ENTRYPOINT, new="      run: python train_pickle.py\n"),
            ),
            expected=frozenset({Outcome.ERROR}),
            check=_never_loaded,
        ),
    )


def _called_out(report: Report, _stage: Stage) -> str:
    codes = {notice.code for notice in (*report.notices, *(n for model in report.models for n in model.notices))}
    return f"the report does not say {', '.join(sorted(_CALLED_OUT - codes))}" if _CALLED_OUT - codes else ""


def _never_loaded(_report: Report, stage: Stage) -> str:
    return "the pickle was loaded, and its code ran" if stage.mark.exists() else ""


# The demo's second half: a good pull request is merged, released and deployed; what may not go on is refused.

DELIVERY = "delivery"

_ADA, _GRACE = {"GIT_COMMITTER_NAME": "Ada"}, {"GIT_COMMITTER_NAME": "Grace"}

_FEWER = Edit(path="params.yaml", old="max_iter: 200", new="max_iter: 60")

_ENDED = {
    Exit.OK: "done",
    Exit.FAILED: "fail",
    Exit.INCONCLUSIVE: "inconclusive",
    Exit.NOT_EVALUATED: "rolled back",
    Exit.REFUSED: "refused",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What came of one command.

    Attributes:
        name: what it tried.
        ended: how it ended, in a word.
        right: what is right about it.
        wrong: what is not as it should be; empty when all is.
    """

    name: str
    ended: str
    right: str
    wrong: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Command:
    """A command of the demo.

    Attributes:
        name: what it tries.
        story: what happened before it.
        line: as a person types it.
        run: does it.
        expected: how it has to end.
        right: why.
        before: done first.
    """

    name: str
    story: str
    line: str
    run: Callable[[Console], Exit]
    expected: Exit = Exit.OK
    right: str = ""
    before: Callable[[], None] = lambda: None


def deliver(stage: Stage, console: Console) -> tuple[Step, ...]:
    """Play it.

    Returns:
        One step a command that tells something about what is let through and what is not.
    """
    console.say(f"\n── {DELIVERY}: merge, release, deploy, go back")
    by_name = {scene.name: scene for scene in scenes()}
    for name in ("improve", "lost-feature"):
        branch(stage, name, by_name[name].edits, by_name[name].story)
    git(stage, "checkout", "--quiet", "main")
    return tuple(_play_delivery(command, console) for command in _commands(stage))


def _play_delivery(command: _Command, console: Console) -> Step:
    command.before()
    if command.story:
        console.result(f"\n{_dim(command.story, console)}")
    console.result(_bold(f"$ {command.line}", console))
    silent = Console(quiet=True, color=console.color, live=False, out=console.out, err=console.err)
    ended = command.run(silent)
    wrong = "" if ended is command.expected else f"it ended in {ended.name}, not in {command.expected.name}"
    if wrong:
        console.error(f"This is not what should happen: {wrong}")
    return Step(name=command.name, ended=_ENDED[ended], right=command.right, wrong=wrong)


def _commands(stage: Stage) -> Iterator[_Command]:
    """The commands in the order of the story; what is between them is done when its turn comes."""
    yield from _a_failed_gate(stage)
    yield from _changed_bytes(stage)
    yield from _to_production(stage)
    yield from _a_broken_deployment(stage)
    yield from _back(stage)


def _a_failed_gate(stage: Stage) -> Iterator[_Command]:
    yield _record(
        stage,
        story="Somebody merges lost-feature although its check is red. Main judges what it got.",
        before=lambda: git(stage, "merge", "--quiet", "--no-ff", "-m", "Merge lost-feature", "lost-feature"),
        expected=Exit.FAILED,
        right="main judges for itself",
    )
    yield _release(stage, "a failed gate", expected=Exit.REFUSED, right="its latest verdict is fail")


def _changed_bytes(stage: Stage) -> Iterator[_Command]:
    def merge() -> None:
        git(stage, "revert", "--no-edit", "-m", "1", "HEAD")
        git(stage, "merge", "--quiet", "--no-ff", "-m", "Merge improve", "improve")

    kept: dict[Path, bytes] = {}

    def tamper() -> None:
        for file in _stored(stage):
            kept[file] = file.read_bytes()
            file.chmod(0o644)
            file.write_bytes(kept[file] + b"\0")

    def restore() -> None:
        for file, content in kept.items():
            file.write_bytes(content)

    yield _record(stage, story="That is reverted, and the good pull request is merged.", before=merge)
    yield _release(
        stage,
        "changed bytes",
        story="Somebody changes the stored file after the verdict.",
        before=tamper,
        expected=Exit.REFUSED,
        right="their sha256 is not the judged one",
    )
    yield _release(stage, "release v1.0.0", story="With the very bytes that were judged:", before=restore)


def _to_production(stage: Stage) -> Iterator[_Command]:
    yield _promote(stage, "v1.0.0", "production", expected=Exit.REFUSED, right="staging comes first")
    yield _promote(stage, "v1.0.0", "staging", right="the very bytes, tested there")
    yield _promote(
        stage, "v1.0.0", "production", story="Ada asks.", expected=Exit.REFUSED, right="an approval is missing"
    )
    yield _approve(stage, "v1.0.0")
    yield _promote(stage, "v1.0.0", "production", right="approved by Grace")


def _a_broken_deployment(stage: Stage) -> Iterator[_Command]:
    def fewer() -> None:
        apply(_FEWER, stage)
        commit(stage, "Fewer trees: half the size, hardly worse")

    yield _record(stage, story="The next version has fewer trees: half the size, and hardly worse.", before=fewer)
    yield _release(stage, "release v1.1.0", bump="minor")
    yield _promote(
        stage,
        "v1.1.0",
        "staging",
        story="Its endpoint does not answer: the deployment is broken on purpose.",
        before=stage.down.touch,
        expected=Exit.NOT_EVALUATED,
        right="v1.0.0 is served again by itself",
    )
    yield _promote(stage, "v1.1.0", "staging", story="Fixed:", before=stage.down.unlink)
    yield _approve(stage, "v1.1.0")
    yield _promote(stage, "v1.1.0", "production")


def _back(stage: Stage) -> Iterator[_Command]:
    reason = "complaints from the branch in Lyon"
    request = RollbackRequest(model=REPOSITORY, environment="production", reason=reason)
    yield _Command(
        name="roll back",
        story="In production it turns out worse than the holdout said. One command, no gate, no approval:",
        line=f'mlbot rollback {REPOSITORY} production --reason "{reason}"',
        run=lambda console: rollback_verb(stage.repository, request, console, as_json=False, environment=_ADA),
        right="v1.0.0, verified and loaded first",
    )
    yield _Command(
        name="history",
        story="Who, what, when, why:",
        line="mlbot registry history",
        run=lambda console: show_history(_asking(stage, console), None, None, None),
    )
    yield _Command(
        name="lineage",
        story="And what is in production was made from:",
        line=f"mlbot registry lineage {REPOSITORY}@v1.0.0",
        run=lambda console: show_lineage(_asking(stage, console), f"{REPOSITORY}@v1.0.0"),
    )


def _record(
    stage: Stage,
    *,
    story: str,
    before: Callable[[], None],
    expected: Exit = Exit.OK,
    right: str = "judged, stored, in the ledger",
) -> _Command:
    def run(console: Console) -> Exit:
        from mlbot.judging.run_local import RunOptions
        from mlbot.judging.run_output import EXITS
        from mlbot.publish.run_record import record_models
        from mlbot.report.words import headline

        report = record_models(stage.repository, RunOptions(), console, _ADA)
        console.result(f"{report.verdict.outcome}: {headline(report).finding}")
        return EXITS[report.verdict.outcome]

    return _Command(
        name="record main",
        story=story,
        line="mlbot run --record",
        run=run,
        expected=expected,
        right=right,
        before=before,
    )


def _release(  # noqa: PLR0913 - one for each part of the story
    stage: Stage,
    name: str,
    *,
    story: str = "",
    before: Callable[[], None] = lambda: None,
    expected: Exit = Exit.OK,
    right: str = "the tag and the ledger name the bytes",
    bump: str | None = None,
) -> _Command:
    request = ReleaseRequest(model=REPOSITORY, bump="minor" if bump else None)
    return _Command(
        name=name,
        story=story,
        line=f"mlbot release {REPOSITORY}{f' --bump {bump}' if bump else ''}",
        run=lambda console: release_verb(stage.repository, request, None, console, as_json=False, environment=_ADA),
        expected=expected,
        right=right,
        before=before,
    )


def _promote(  # noqa: PLR0913 - one for each part of the story
    stage: Stage,
    version: str,
    environment: str,
    *,
    story: str = "",
    before: Callable[[], object] = lambda: None,
    expected: Exit = Exit.OK,
    right: str = "the very bytes, tested there",
) -> _Command:
    request = PromotionRequest(model=REPOSITORY, version=version, environment=environment)
    return _Command(
        name=f"{version} → {environment}",
        story=story,
        line=f"mlbot promote {REPOSITORY}@{version} {environment}",
        run=lambda console: promote_verb(stage.repository, request, console, as_json=False, environment=_ADA),
        expected=expected,
        right=right,
        before=lambda: (before(), None)[1],
    )


def _approve(stage: Stage, version: str) -> _Command:
    asked = (REPOSITORY, version, "production")
    return _Command(
        name=f"approve {version}",
        story="Grace says yes.",
        line=f"mlbot approve {REPOSITORY}@{version} production",
        run=lambda console: approve_verb(stage.repository, asked, console, as_json=False, environment=_GRACE),
        right="by somebody else",
    )


def _stored(stage: Stage) -> list[Path]:
    """Every file in the store."""
    return [file for file in (stage.folder / "store" / "sha256").rglob("*") if file.is_file()]


def _asking(stage: Stage, console: Console) -> Asking:
    return Asking(directory=stage.repository, console=console)


def _bold(text: str, console: Console) -> str:
    return f"\x1b[1m{text}\x1b[0m" if console.color else text


def _dim(text: str, console: Console) -> str:
    return f"\x1b[2m{text}\x1b[0m" if console.color else text


@dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """What came of a scene."""

    scene: Scene
    report: "Report"
    page: Path
    wrong: str


def play(directory: Path, out: Path | None, only: Sequence[str], console: Console) -> Exit:
    """Play the scenes, print each verdict as it comes, then a table.

    Args:
        directory: where `out` is relative to.
        out: the folder to make; None: a fresh one among the temporary files.
        only: the scenes to play; empty: all.
        console: where to tell of it.

    Returns:
        OK when every outcome is the right one, else FAILED.

    Raises:
        UsageError: `out` is in use, or a scene is unknown.
    """
    require("ml", needed_for="The demo")
    chosen = _chosen(only)
    stage = build(directory / out if out else Path(tempfile.mkdtemp(prefix="mlbot-demo-")))
    console.say(f"A git repository of the example: {stage.repository}")
    played = [_play(scene, stage, console) for scene in chosen]
    steps = deliver(stage, console) if not only or DELIVERY in only else ()
    console.result(_table([*map(_row, played), *((step.name, step.ended, step.right, "") for step in steps)]))
    console.result(f"\nReports: {stage.reports}\nTry it yourself: cd {stage.repository}, change something, mlbot run\n")
    wrong = [*(each.wrong for each in played), *(step.wrong for step in steps)]
    return Exit.FAILED if any(wrong) else Exit.OK


def _chosen(only: Sequence[str]) -> tuple[Scene, ...]:
    every = scenes()
    names = [*(scene.name for scene in every), DELIVERY]
    unknown = set(only) - set(names)
    if unknown:
        raise UsageError(f"There is no scene '{min(unknown)}'.", hint=f"The scenes are: {', '.join(names)}.")
    return tuple(scene for scene in every if not only or scene.name in only)


def _play(scene: Scene, stage: Stage, console: Console) -> Played:
    from mlbot.judging.run_local import RunOptions, run_models
    from mlbot.judging.run_output import write_page
    from mlbot.report.terminal import terminal

    console.say(f"\n── {scene.name}: {scene.story}")
    branch(stage, scene.name, scene.edits, scene.story)
    report = run_models(stage.repository, RunOptions(), console)
    page = stage.reports / f"{scene.name}.html"
    write_page(report, page)
    console.result(terminal(report, console.color, console.width, brief=True))
    wrong = _wrong(scene, report, stage)
    if wrong:
        console.error(f"This is not what should happen: {wrong}")
    return Played(scene=scene, report=report, page=page, wrong=wrong)


def _wrong(scene: Scene, report: "Report", stage: Stage) -> str:
    outcome = report.verdict.outcome
    if outcome not in scene.expected:
        return f"the verdict is {outcome}, not {' or '.join(sorted(scene.expected))}"
    return scene.check(report, stage)


def _row(played: Played) -> tuple[str, str, str, str]:
    verdict = played.report.verdict
    return played.scene.name, verdict.outcome, verdict.reason, str(played.page)


def _table(rows: Sequence[tuple[str, str, str, str]]) -> str:
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = (
        "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3])) for row in rows
    )
    return "\n" + "\n".join(line.rstrip() for line in lines)
