"""The demo's second half: a good pull request is merged, released and deployed; what may not go on is refused."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mlbot.activities.demo_scenes import scenes
from mlbot.activities.demo_stage import REPOSITORY, Edit, Stage, apply, branch, commit, git
from mlbot.activities.promote import PromotionRequest
from mlbot.activities.registry import Asking, show_history, show_lineage
from mlbot.activities.release import ReleaseRequest
from mlbot.activities.release_verbs import approve_verb, promote_verb, release_verb, rollback_verb
from mlbot.activities.rollback import RollbackRequest
from mlbot.console import Console
from mlbot.errors import Exit

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
    return tuple(_play(command, console) for command in _commands(stage))


def _play(command: _Command, console: Console) -> Step:
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
    yield _promote(stage, "v1.1.0", "staging", story="Mended:", before=stage.down.unlink)
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
        from mlbot.activities.record import record_models
        from mlbot.activities.reporting import EXITS
        from mlbot.activities.run import RunOptions
        from mlbot.core.headline import headline

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
