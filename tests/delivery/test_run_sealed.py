"""A release on sealed rows, with a real repository, ledger and store: what is asked, counted, and never told."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import fsspec
import pytest
from tests.delivery.test_killed import KILLED, die
from tests.support import sealed
from tests.support.releases import World
from tests.support.sealed import Vault, looks

from mlbot.console import Console
from mlbot.delivery import run_sealed
from mlbot.delivery.release import ReleaseReason, ReleaseResult
from mlbot.delivery.run_promote import PromotionRequest, promote
from mlbot.delivery.run_release import ReleaseRequest, release
from mlbot.delivery.run_verbs import release_verb
from mlbot.delivery.sealed import SealedAnswer
from mlbot.errors import Exit
from mlbot.events.github import Attempt
from mlbot.judging.run_sealed import is_passed
from mlbot.ledger.entries import WaiverEntry

pytestmark = pytest.mark.usefixtures("git_settings")


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    return sealed.vault(tmp_path / "vault", monkeypatch)


@pytest.fixture
def world(tmp_path: Path, trained_models: dict[int, bytes], vault: Vault) -> World:
    del vault
    return World.make(tmp_path / "world", trained_models, sealed.config())


def ask(world: World, **request: object) -> ReleaseResult:
    return release(world.context(), ReleaseRequest(model="tiny", **request))  # type: ignore[arg-type]  # a table's values


R = ReleaseReason
SCORED = f"{run_sealed.__name__}.is_passed"


@dataclass
class Counted:
    """Scores as ever, or gives one answer, and remembers how many looks did not pass before each."""

    answer: bool | None = None
    counts: list[int] = field(default_factory=list)

    def __call__(self, *given: Any) -> bool:
        self.counts.append(given[-1])
        return is_passed(*given) if self.answer is None else self.answer


CANARY = "canary-4711"


def shipped(world: World, version: str = "1.0.0") -> None:
    """Put the first version into production."""
    for environment in ("staging", "production"):
        result = promote(world.context(), PromotionRequest(model="tiny", version=version, environment=environment))
        assert result.deployment is not None


def test_a_release_is_compared_with_what_is_in_production(world: World, vault: Vault) -> None:
    first = world.change(1000)
    assert ask(world).decision.reason is R.RELEASABLE
    shipped(world)
    second = world.change(2000)
    before = world.state()
    assert ask(world, dry_run=True).decision.reason is R.RELEASABLE
    assert world.state() == before
    assert ask(world).decision.reason is R.RELEASABLE
    one, other = looks(world)
    assert (one.state, one.digest, one.baseline, one.sequence) == ("pass", first.digest, None, 1)
    assert (other.state, other.digest, other.baseline, other.sequence) == ("pass", second.digest, first.digest, 2)
    assert [each.sealed for each in world.releases] == ["pass", "pass"]
    # The bytes that are live need no rows.
    world.change(1000)
    vault.folder.rename(vault.folder.with_name("gone"))
    assert ask(world, version="v2.0.0").decision.reason is R.RELEASABLE
    assert (len(looks(world)), world.releases[-1].sealed) == (2, "same")


def test_what_is_not_shown_is_refused_and_counts_and_is_not_asked_twice(
    world: World, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = Counted()
    monkeypatch.setattr(SCORED, scored)
    vault.hold(rows=80)
    world.change(1000)
    for _ in range(2):  # the second time from the ledger
        result = ask(world)
        assert (result.decision.reason, result.entry) == (R.SEALED_NOT_SHOWN, None)
    assert scored.counts == [0]
    assert [(each.state, each.replays is None) for each in looks(world)] == [("not-shown", True), ("not-shown", False)]
    world.change(2000)
    assert ask(world).decision.reason is R.SEALED_NOT_SHOWN
    assert scored.counts == [0, 1]
    vault.write("x3,x2,x1,y,segment\n" + "\n".join(_turned(vault)))  # the same rows, written otherwise
    world.change(3000)
    assert ask(world).decision.reason is R.SEALED_NOT_SHOWN
    assert scored.counts == [0, 1, 2]
    header, *rows = (vault.folder / "sealed.csv").read_text().splitlines()
    vault.write("\n".join((f"{header},z", *(f"{row},1" for row in rows))))  # and with a column more
    ask(world)
    assert scored.counts == [0, 1, 2, 3]
    vault.hold(seed=78)
    assert ask(world).decision.reason is R.RELEASABLE
    assert scored.counts == [0, 1, 2, 3, 0]


def _turned(vault: Vault) -> Iterator[str]:
    rows = (vault.folder / "sealed.csv").read_text().splitlines()[1:]
    for row in reversed(rows):
        x1, x2, x3, segment, y = row.split(",")
        yield f"{x3},{x2},{x1},{y},{segment}"


def test_after_ten_looks_the_rows_are_spent_and_a_person_may_answer(world: World, vault: Vault) -> None:
    vault.hold(rows=80)
    world.change(1000)
    assert ask(world).decision.reason is R.SEALED_NOT_SHOWN
    (look,) = looks(world)
    others = [
        look.model_copy(update={"id": f"{at}", "sequence": at, "digest": f"sha256:{at:064x}"}) for at in range(2, 11)
    ]
    world.append(*others)
    world.change(2000)
    assert ask(world).decision.reason is R.SEALED_SPENT
    assert looks(world)[-1].state == "spent"
    result = ask(world, waive_sealed="The new rows come in March.")
    assert (result.decision.reason, world.releases[-1].sealed) == (R.RELEASABLE, "waived")
    (waiver,) = [each for each in world.entries() if isinstance(each, WaiverEntry)]
    assert (waiver.gate, waiver.actor, waiver.reason) == ("sealed", "Ada", "The new rows come in March.")
    assert len(looks(world)) == 11


Broken = Callable[[Vault, pytest.MonkeyPatch], object]
BREAKS: tuple[tuple[Broken, str], ...] = (
    (lambda _vault, patch: patch.delenv("MLBOT_SEALED_KEY"), "key"),
    (lambda _vault, patch: patch.setenv("MLBOT_SEALED_KEY", "short"), "key"),
    (lambda _vault, patch: patch.setattr(fsspec, "open", _undriven), "driver"),
    (lambda _vault, patch: patch.delenv(sealed.PASS), "address"),
    (lambda vault, _patch: (vault.folder / "sealed.csv").unlink(), "address"),
    (lambda vault, _patch: vault.write(f"x1,x2,segment\n{CANARY},1,{CANARY}\n"), "form"),
    (lambda vault, _patch: vault.write(f"x1,x2,x3,segment,y\n1,1,1,a,{CANARY}\n1,1,1,a,0\n1,1,1,a,1\n"), "form"),
    (lambda _vault, patch: patch.setattr(f"{run_sealed.__name__}.sealed_looks", _raises), "fault"),
)


def test_what_cannot_be_read_is_no_look_and_no_word_of_it_is_repeated(
    world: World, vault: Vault, capfd: pytest.CaptureFixture[str]
) -> None:
    world.change(1000)
    context = world.context(say=print)
    look = run_sealed.write_look(context, ask(world, dry_run=True).facts)
    for break_, cause in BREAKS:
        vault.hold()
        with pytest.MonkeyPatch.context() as patch:
            break_(vault, patch)
            answer = run_sealed.score(context, look, os.environ)
        assert answer == SealedAnswer.model_validate({"look": look.id, "state": "void", "cause": cause})
    assert CANARY not in "".join(capfd.readouterr())


def test_what_could_not_be_asked_is_not_called_refused(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLBOT_SEALED_KEY")
    world.change(1000)
    request = ReleaseRequest(model="tiny")
    assert release_verb(world.sandbox.path, request, None, Console(), as_json=False) is Exit.NOT_EVALUATED
    said = capsys.readouterr().err
    assert "mlbot: could not be asked (sealed-void): The sealed rows were not looked at" in said
    assert "refused" not in said


def _undriven(*_given: object) -> None:
    raise ImportError(f"Install s3fs to access S3 {CANARY}")


def _raises(*_given: object) -> None:
    raise RuntimeError(CANARY)


def test_a_look_without_an_answer_counts(world: World, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = Counted()

    def killed(*_given: object) -> bool:
        raise KeyboardInterrupt

    world.change(1000)
    monkeypatch.setattr(SCORED, killed)
    with pytest.raises(KeyboardInterrupt):
        ask(world)
    assert [each.state for each in looks(world)] == ["asked"]
    assert world.releases == ()
    monkeypatch.setattr(SCORED, scored)
    assert ask(world).decision.reason is R.RELEASABLE
    assert scored.counts == [1]
    vault.hold(seed=78)  # those of the killed look were the ones before
    world.change(2000)
    assert ask(world).decision.reason is R.RELEASABLE
    assert scored.counts == [1, 0]


def _leaves(*_given: object) -> None:
    raise SystemExit(CANARY)


@pytest.mark.parametrize("wrong", [_raises, _leaves])
def test_whatever_goes_wrong_while_it_is_scored_is_no_pass(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], wrong: Callable[..., None]
) -> None:
    world.change(1000)
    monkeypatch.setattr(SCORED, wrong)
    assert ask(world).decision.reason is R.SEALED_NOT_SHOWN
    assert CANARY not in "".join(capfd.readouterr())


def test_looks_of_a_model_that_had_another_name_count(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = Counted(answer=False)
    monkeypatch.setattr(SCORED, scored)
    world.change(1000)
    ask(world)
    (look,) = looks(world)
    world.append(look.model_copy(update={"model": "former"}))
    world.change(2000)
    ask(world)
    assert scored.counts == [0, 2]


def test_of_two_releases_at_once_each_counts_the_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = Counted(answer=False)
    monkeypatch.setattr(SCORED, scored)
    world.change(1000)
    plan = ask(world, dry_run=True)
    contexts = [world.context(), world.context("Bob")]
    read = [looks(world)] * 2
    monkeypatch.setattr(f"{run_sealed.__name__}.sealed_looks", lambda *_given: read.pop() if read else looks(world))
    both = [run_sealed.write_look(context, plan.facts) for context in contexts]
    assert [each.sequence for each in both] == [1, 1]
    for context, look in zip(contexts, both, strict=True):
        run_sealed.record_answer(context, "tiny", run_sealed.score(context, look, os.environ))
    # The second one's is the first one's, for it asks the same.
    assert scored.counts == [1]
    assert [each.state for each in looks(world)] == ["not-shown", "not-shown"]


def test_nothing_is_looked_at_only_in_the_attempt_that_wrote_the_look(world: World) -> None:
    world.change(1000)
    plan = ask(world, dry_run=True)
    first, again = (replace(world.context(), run=Attempt(run=7, number=number)) for number in (1, 2))
    look = run_sealed.write_look(first, plan.facts)
    void = SealedAnswer(look=look.id, state="void", cause="address")
    run_sealed.record_answer(again, "tiny", void)
    assert [each.state for each in looks(world)] == ["asked"]
    run_sealed.record_answer(first, "tiny", void)
    assert [each.state for each in looks(world)] == ["void"]
    run_sealed.record_answer(again, "tiny", SealedAnswer(look=look.id, state="not-shown"))
    run_sealed.record_answer(first, "tiny", void)
    assert [each.state for each in looks(world)] == ["not-shown"]


@pytest.mark.parametrize("state", ["void", "spent", "pass", "not-shown"])
def test_a_look_is_scored_until_it_has_an_answer_and_never_again(
    world: World, vault: Vault, monkeypatch: pytest.MonkeyPatch, state: Any
) -> None:
    """A job that is run again asks nothing whose record somebody could call off."""
    scored = Counted()
    monkeypatch.setattr(SCORED, scored)
    world.change(1000)
    first = replace(world.context(), run=Attempt(run=7))
    look = run_sealed.write_look(first, ask(world, dry_run=True).facts)
    answer = SealedAnswer(look=look.id, state=state)
    run_sealed.record_answer(first, "tiny", answer)
    vault.hold(seed=78)
    again = replace(world.context(), run=Attempt(run=7, number=2))
    recorded = run_sealed.find_look(again, "tiny", look.id)
    assert recorded is not None
    assert run_sealed.score(again, recorded, os.environ) == answer
    assert scored.counts == []


def test_on_github_an_answer_is_of_these_bytes_and_these_rules(world: World) -> None:
    world.change(1000)
    context = replace(world.context(), run=Attempt(run=7))
    plan = ask(world, dry_run=True)
    look = run_sealed.write_look(context, plan.facts)
    answer = SealedAnswer(look=look.id, state="pass")
    run_sealed.record_answer(context, "tiny", answer)
    given = {"model": "tiny", "dry_run": False}
    for other in (None, answer.model_copy(update={"look": "8.1"})):
        result = release(context, ReleaseRequest(**given, answer=other))  # type: ignore[arg-type] # a table's values
        assert result.decision.reason is R.SEALED_SILENT
    world.change(2000)
    context = replace(context)
    context.catch_up()
    assert release(context, ReleaseRequest(model="tiny", answer=answer)).decision.reason is R.SEALED_SILENT
    assert world.releases == ()


@pytest.mark.story
def test_a_release_that_is_killed_anywhere_is_finished_and_a_pass_is_not_asked_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the look is written, before its answer is, and before the tag: each by the same command."""
    scored = Counted()
    monkeypatch.setattr(SCORED, scored)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    world.change(1000)
    states: list[list[str]] = []
    for effect in (1, 2, 4):
        assert die(world, effect, "release", "tiny") == KILLED
        states.append([each.state for each in looks(world)])
        assert world.releases == ()
    assert states == [[], ["asked"], ["asked", "pass"]]
    assert ask(world).decision.reason is R.RELEASABLE
    assert (scored.counts, [each.replays for each in looks(world)][2]) == ([], looks(world)[1].id)
    assert len(world.releases) == 1
