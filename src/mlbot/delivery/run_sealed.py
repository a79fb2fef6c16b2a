"""A release asks sealed rows in three steps, one a job on GitHub: write the look, score, write the answer.

The look is in the ledger before anything is scored, so that nobody learns an answer that is not counted. What scores
has the sealed data's secrets and may write nothing; what writes has none of them.
"""

import os
import secrets
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from mlbot.config.actions import SEALED_KEY
from mlbot.config.schema import Config, Model
from mlbot.delivery.release import ReleaseFacts
from mlbot.delivery.sealed import (
    Cause,
    Fingerprint,
    SealedAnswer,
    SealedFacts,
    answered,
    asked_gates,
    question_of,
    refused,
    rules_of,
)
from mlbot.errors import UsageError
from mlbot.gates.metric import Gate, Metric
from mlbot.judging.run_judge import Rule
from mlbot.judging.run_sealed import (
    NoAddressError,
    NoDriverError,
    NoFormError,
    SealedRows,
    is_passed,
    open_rows,
    rule_on,
    silenced,
)
from mlbot.ledger.entries import Entry, SealedEntry, SealedState
from mlbot.ledger.queries import final_releases, sealed_looks
from mlbot.lib.record import Digest, Name
from mlbot.lib.version import Stored
from mlbot.registry.run_repository import RepositoryContext
from mlbot.report.notices import in_production
from mlbot.training.run_predict import RuleSource

_SHORTEST_KEY = 32


def sealed_facts(context: RepositoryContext, model: Model, entries: tuple[Entry, ...]) -> SealedFacts:
    """What sealed rows would be asked, by the guarded branch's rules."""
    baseline = _baseline(context, model.name, entries)
    there = baseline is not None
    return SealedFacts(
        gates=len(asked_gates(model, baseline=there)),
        rules=rules_of(context.config, model, context.repository.tree(context.tip), baseline=there),
        baseline=baseline,
    )


def _baseline(context: RepositoryContext, model: str, entries: tuple[Entry, ...]) -> Digest | None:
    """What is live in production; before anything is, the newest release, so that not promoting opens no way past."""
    live = in_production(context.config.environments, entries, model)
    if live is not None:
        return live.digest
    final = final_releases(entries, model)
    return final[-1].digest if final else None


def ask_sealed(context: RepositoryContext, facts: ReleaseFacts, answer: SealedAnswer | None) -> ReleaseFacts:
    """The facts with the answer of the sealed rows.

    On a laptop all three steps are here. On GitHub the first two were other jobs', and `answer` is what they gave: it
    has to be about these bytes beside this baseline under these rules.
    """
    if facts.sealed is None:
        return facts
    if context.run is None:
        answer = score(context, write_look(context, facts), os.environ)
        record_answer(context, facts.model, answer)
    look = find_look(context, facts.model, answer.look) if answer else None
    if look is None or question_of(look) != (facts.judged, facts.sealed.baseline, facts.sealed.rules):
        return _with(facts, "asked")
    # What the ledger does not take from a job that runs again is no answer either.
    return _with(facts, look.state, answer.cause if answer else None)


def _with(facts: ReleaseFacts, state: SealedState, cause: Cause | None = None) -> ReleaseFacts:
    assert facts.sealed  # noqa: S101 - only such facts are asked
    return facts.model_copy(update={"sealed": facts.sealed.model_copy(update={"state": state, "cause": cause})})


def write_look(context: RepositoryContext, facts: ReleaseFacts) -> SealedEntry:
    """Record that a release is about to look at sealed rows; a release that was decided to go as far as that.

    Raises:
        RefusedError: the token may not write.
        NotEvaluatedError: the remote does not answer.
    """
    if facts.sealed is None or facts.judged is None:
        raise LookupError(f"{facts.model} has nothing to ask sealed rows")
    looks = sealed_looks(context.entries("sealed", facts.model), facts.model)
    run = context.run
    look = SealedEntry(
        model=facts.model,
        id=f"{run.run}.{run.number}" if run else secrets.token_hex(8),
        sequence=max((each.sequence for each in looks), default=0) + 1,
        state="asked",
        version=facts.version,
        digest=facts.judged,
        baseline=facts.sealed.baseline,
        rules=facts.sealed.rules,
        policy=context.tip,
        actor=context.actor,
        run=run,
        time=context.time,
    )
    context.say("Recording a look at the sealed rows")
    context.record(look)
    return look


def find_look(context: RepositoryContext, model: Name, look: str) -> SealedEntry | None:
    """A look with what came of it, as the ledger has it now."""
    looks = sealed_looks(context.entries("sealed", model), model)
    return next((each for each in looks if each.id == look), None)


def record_answer(context: RepositoryContext, model: Name, answer: SealedAnswer) -> None:
    """Write what a look was answered.

    That nothing was looked at is believed of the very attempt that wrote the look: whoever saw an answer could make a
    later one fail before it looks.
    """
    look = find_look(context, model, answer.look)
    if look is None:
        raise UsageError("the ledger has no such look at sealed rows", hint="Say the release again.")
    if answer.state in {"void", "spent"} and look.run != context.run:
        return
    context.record(answer.on(look).model_copy(update={"time": context.time}))


def score(context: RepositoryContext, look: SealedEntry, environment: Mapping[str, str]) -> SealedAnswer:
    """Read the sealed rows, ask both models, and answer. Writes nothing, and says nothing of what it reads.

    A look is scored until its answer is recorded, and never again: one that was no look, scored by a job that is run
    again and whose record is called off, would give an answer that nothing counts.
    """
    if look.state != "asked":
        return SealedAnswer.of(look)
    context.say("Asking the sealed rows")
    with tempfile.TemporaryDirectory(prefix="mlbot-sealed-") as folder, ExitStack() as stack, silenced():
        try:
            made = _Look(context=context, look=look, folder=Path(folder), stack=stack).open(environment)
        except NoDriverError:
            made = "driver"
        except NoAddressError:
            made = "address"
        except NoFormError:
            made = "form"
        except Exception:  # noqa: BLE001 - whatever it says may name rows, and no model was asked yet
            made = "fault"
        return made.answer() if isinstance(made, _Opened) else SealedAnswer(look=look.id, state="void", cause=made)


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """All that a look needs, before a model is asked."""

    look: SealedEntry
    rule: Rule
    gates: list[tuple[Gate, Metric]]
    rows: SealedRows
    files: tuple[Path, ...]
    known: dict[str, str | None]  # what the ledger may have of the rows
    earlier: SealedEntry | None  # the look that asked the very same
    refused: int  # how many earlier looks at these rows did not pass
    spent: bool

    def answer(self) -> SealedAnswer:
        """What the rows say; from here on whatever goes wrong shows nothing, and so is no pass."""
        if self.earlier is not None:
            replays = None if self.earlier.id == self.look.id else self.earlier.id
            return self._answer(self.earlier.state, replays)
        if self.spent:
            return self._answer("spent")
        try:
            passed = is_passed(self.rule, self.files, self.rows, self.gates, self.refused)
        except (Exception, SystemExit):  # noqa: BLE001 - what it says may name rows, and so may a metric's exit code
            passed = False
        return self._answer("pass" if passed else "not-shown")

    def _answer(self, state: SealedState, replays: str | None = None) -> SealedAnswer:
        return SealedAnswer.model_validate({"look": self.look.id, "state": state, "replays": replays, **self.known})


@dataclass(frozen=True, kw_only=True)
class _Look:
    """One look on its way."""

    context: RepositoryContext
    look: SealedEntry
    folder: Path
    stack: ExitStack

    def open(self, environment: Mapping[str, str]) -> "_Opened | Cause":
        """All that is needed, or why nothing is looked at."""
        from mlbot.stats.sealed import level_after

        secret = environment.get(SEALED_KEY, "")
        if len(secret) < _SHORTEST_KEY:
            return "key"
        files = self._files()
        if files is None:
            return "bytes"
        config = self.context.configs_at(self.look.policy).head
        model = config.model(self.look.model)
        if model is None or model.data.sealed is None:
            return "address"
        gates = asked_gates(model, baseline=self.look.baseline is not None)
        rule = rule_on(self._rule(model, config), gates)
        rows = open_rows(rule, model.data.sealed)
        looks = sealed_looks(self.context.entries("sealed"))
        prints = Fingerprint(
            secret=secret.encode(), whole=rows.whole, rows=rows.rows, columns=rows.columns, over=rows.over
        )
        count = refused(looks, self.look, prints, config.sealed_elsewhere(model))
        return _Opened(
            look=self.look,
            rule=rule,
            gates=gates,
            rows=rows,
            files=files,
            known=prints.known(self.look),
            earlier=answered([each for each in looks if each.model == model.name], self.look, prints),
            refused=count,
            spent=level_after(count) is None,
        )

    def _files(self) -> tuple[Path, ...] | None:
        """The candidate's bytes, then the baseline's if there is one; None where the store has not the very ones."""
        digests = [self.look.digest, *([self.look.baseline] if self.look.baseline else [])]
        files = [self.folder / f"{at}" / "model" for at in range(len(digests))]
        for digest, file in zip(digests, files, strict=True):
            file.parent.mkdir()
            if self.context.fetch(digest, file) is not Stored.VERIFIED:
                return None
        return tuple(files)

    def _rule(self, model: Model, config: Config) -> Rule:
        """How the model is asked: by the guarded branch's rules, with its predictor."""
        commit, source = self.look.policy, None
        if not model.is_onnx:
            source = RuleSource(
                repository=self.context.repository,
                commit=commit,
                config=config,
                is_judge=self.context.run is not None,
                is_landed=True,
            )
        folder = self.stack.enter_context(self.context.checkout(commit, model))
        return Rule(model=model, folder=folder, source=source)
