"""`mlbot power --aa`: how often these gates flip on identical code.

Files of one recipe are made into two sides at random, and the rows of the holdout are drawn again; then the judge's own
measuring and deciding take place, many times. So nothing is assumed: the models are real, and nobody changed anything.
"""

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbot.config.run_check import Folder, one_model
from mlbot.config.schema import Model
from mlbot.console import Console
from mlbot.errors import Exit, NotEvaluatedError, UsageError, require
from mlbot.gates.metric import Bound, Gate
from mlbot.gates.outcome import Outcome
from mlbot.git.repository import Repository, config_folder, configs_of
from mlbot.judging.power import Flipping, GateFlips, OutcomeShare, flipping_text
from mlbot.judging.run_judge import Rule, ask, opened, rows_of
from mlbot.judging.run_power import PLAN, Planning, past_verdicts
from mlbot.ledger.entries import SeedCount
from mlbot.lib.artifact import ANY_FILE, MODEL_FILE
from mlbot.lib.terminal import Pen
from mlbot.training.run_predict import RuleSource
from mlbot.verdict.decide import Evidence, decide
from mlbot.verdict.seeds import SeedDesign, Seeds
from mlbot.verdict.verdict import Commits, Evaluation, GateResult, Problem

if TYPE_CHECKING:
    from mlbot.judging.run_measure import MetricPlan, Rows
    from mlbot.ml.holdout import HoldoutData

_FEWEST = 4
_AT_ONCE = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class FlipOptions:
    """What the command line says."""

    files: tuple[Path, ...] = ()  # of one recipe, or folders that hold them
    model: str | None = None
    verdicts: int = 300
    minutes: float = 2.0


def say_flips(directory: Path, options: FlipOptions, console: Console, *, as_json: bool) -> Exit:
    """Print how often each gate came to what.

    Raises:
        UsageError: there are not four files, or no such model.
        NotEvaluatedError: the holdout or a file cannot be read.
    """
    require("judge", needed_for="Judging a model")
    root = config_folder(directory)
    folder = Folder.of(root, configs_of(root))
    model = _model(folder, options.model)
    folder.check([model.name])
    files = _files(options.files, model)
    holdout = opened(Rule(model=model, folder=root))
    if isinstance(holdout, Problem):
        raise NotEvaluatedError(holdout.detail, hint=holdout.hint)
    planning = Planning(root=root, model=model, holdout=holdout, past=past_verdicts(root, model.name), options=PLAN)
    measured = planning.metric_plan  # before anything is scored: a metric of one's own may not be there
    rows = _scored(root, folder, model, files, holdout, console)
    found = _Flips.of(planning, measured, rows, options).found(console)
    pen = Pen(console.color, console.width)
    console.result(found.model_dump_json(indent=2) if as_json else flipping_text(found, pen))
    return Exit.OK


def _model(folder: Folder, name: str | None) -> Model:
    model = one_model(folder.config, name)
    if model.evaluate is not None:
        raise UsageError(
            f"{model.name} is scored by an evaluator, which is not asked so often.",
            hint="Name a model that is judged on a holdout.",
        )
    return model


def _files(given: Sequence[Path], model: Model) -> tuple[Path, ...]:
    """The artifacts, in order: what a folder holds that `mlbot train --out` has written counts one by one."""
    names = {MODEL_FILE, ANY_FILE}
    found: list[Path] = []
    for path in given:
        if not path.exists():
            raise UsageError("there is no such file", where=str(path), hint="Name a model that is there.")
        inside = sorted(each for each in path.rglob("*") if each.name in names or each.suffix == ".onnx")
        found += inside if path.is_dir() and inside else [path]
    if len(found) < _FEWEST:
        seeds = " ".join(f"--seed {seed}" for seed in range(10))
        raise UsageError(
            f"two sides of two seeds take {_FEWEST} files of one recipe, and there are {len(found)}.",
            hint=f"Train some, and name their folder: mlbot train --model {model.name} {seeds} --out seeds",
        )
    return tuple(each.absolute() for each in found)


def _scored(  # whose files, asked how, about what
    root: Path, folder: Folder, model: Model, files: Sequence[Path], holdout: "HoldoutData", console: Console
) -> "Rows":
    """The answers of all files to all rows."""
    source = None
    if not model.is_onnx:
        repository = Repository.discover(root)
        head = repository.snapshot()
        source = RuleSource(repository=repository, commit=head.sha, config=folder.config, is_judge=False)
    rule, scored = Rule(model=model, folder=root, source=source), []
    console.say(f"{model.name}: scoring {len(files)} model files on {holdout.rows:,} rows")
    for first in range(0, len(files), _AT_ONCE):
        some = files[first : first + _AT_ONCE]
        for file, result in zip(some, ask(rule, some, holdout, progress=console.say), strict=True):
            if isinstance(result, Problem):
                raise NotEvaluatedError(result.detail, where=str(file), hint=result.hint)
            scored.append(result)
    return replace(rows_of(holdout, scored), masks=holdout.masks)


@dataclass(frozen=True, kw_only=True)
class _Flips:
    """The verdicts on identical code."""

    planning: Planning
    rows: "Rows"  # with the answers of every file
    seeds: int  # a side
    plan: "MetricPlan"
    gates: tuple[Gate, ...]
    options: FlipOptions

    @classmethod
    def of(cls, planning: Planning, measured: "MetricPlan", rows: "Rows", options: FlipOptions) -> "_Flips":
        """Of the gates whose outcome rests on rows and seeds."""
        gates = tuple(gate for gate in planning.model.gates if gate.is_scored or _is_of_flips(gate))
        seeding, files = planning.seeding, len(rows.predictions)
        seeds = min(seeding.looks[-1][0], files // 2)
        looks = tuple(look for look, _ in seeding.looks if look <= seeds) or (seeds,)
        gated = {gate.metric for gate in gates}
        plan = replace(
            measured,
            metrics=tuple(each for each in planning.model.metrics if each.name in gated),
            candidates=seeds,
            margins={(gate.metric, gate.slice): gate.limit for gate in gates if gate.bound is Bound.MAX_REGRESSION},
            history=planning.history,
            design=SeedDesign(looks=looks),
            family=seeding.family,
        )
        return cls(planning=planning, rows=rows, seeds=seeds, plan=plan, gates=gates, options=options)

    def found(self, console: Console) -> Flipping:
        """As many verdicts as were asked for, or as the time allows."""
        until = time.monotonic() + 60 * self.options.minutes
        counted: dict[str, Counter[Outcome]] = {gate.name: Counter() for gate in self.gates}
        whole, made = Counter[Outcome](), 0
        while made < self.options.verdicts and (time.monotonic() < until or made < 1):
            outcome, results = self.verdict(made)
            whole[outcome] += 1
            for result in results:
                counted[result.gate.name][result.outcome] += 1
            made += 1
            console.passing(f"{self.planning.model.name}: {made} of {self.options.verdicts} verdicts")
        if made < self.options.verdicts:
            console.say(f"The time allowed {made} of {self.options.verdicts} verdicts; --minutes gives more.")
        files = len(self.rows.predictions)
        of_gates = (GateFlips(gate=gate, outcomes=tuple(_shares(counted[gate.name], made))) for gate in self.gates)
        return Flipping(
            model=self.planning.model.name,
            files=files,
            seeds=self.seeds,
            splits=math.comb(files, 2 * self.seeds) * math.comb(2 * self.seeds, self.seeds),
            rows=len(self.rows.labels),
            verdicts=made,
            gates=(*of_gates, GateFlips(outcomes=tuple(_shares(whole, made)))),
        )

    def verdict(self, number: int) -> tuple[Outcome, Sequence[GateResult]]:
        """One verdict: the same for the same number."""
        import numpy as np

        from mlbot.judging.run_measure import measure

        rng = np.random.default_rng((_SEED, number))
        models = rng.permutation(len(self.rows.predictions))[: 2 * self.seeds]
        rows = _drawn_again(self.rows, models.tolist(), rng)
        sliced = {gate.slice for gate in self.gates} | {part for each in self.plan.metrics for part in each.slices}
        masks = {name: mask for name, mask in rows.masks.items() if name in sliced}
        found = measure(self.plan, replace(rows, masks={}), masks)
        evidence = self._evidence(rows, masks).model_copy(
            update={
                "candidate": tuple(
                    Evaluation(digest=None, seed=seed, scores=found.scores[seed]) for seed in range(self.seeds)
                ),
                "comparisons": found.comparisons,
                "flips": self._negative_flips(rows, found.matters),
            }
        )
        decided = decide(_NOBODY, [evidence]).models[0]
        return decided.outcome, decided.gates

    def _evidence(self, rows: "Rows", masks: Any) -> Evidence:
        few = {each.name for each in self.planning.model.slices if each.name in masks}
        least = {each.name: each.min_rows for each in self.planning.model.slices}
        small = frozenset(name for name in few if int(rows.masks[name].sum()) < least[name])
        count = SeedCount(candidate=self.seeds, baseline=self.seeds)
        return Evidence(
            model=self.planning.model.name,
            gates=self.gates,
            seeds=Seeds(design=self.plan.design, count=count),
            small_slices=small,
            small_gaps=frozenset(each.name for each in self.plan.metrics if small & {*each.slices}),
        )

    def _negative_flips(self, rows: "Rows", matters: tuple[bool, bool]) -> Any:
        from mlbot.judging.run_measure import looks, negative_flips

        if not any(map(_is_of_flips, self.gates)):
            return None
        limit = next((each.limit for each in self.gates if each.bound is Bound.MAX_EXCESS), None)
        _, level = looks(self.plan, len(rows.predictions), matters)[-1]
        return negative_flips(rows, self.seeds, examples=False, limit=limit, level=level, matters=matters)


_SEED = 14
_NOBODY = Commits(head="0" * 40, base=None, policy=None, guarded="")


def _is_of_flips(gate: Gate) -> bool:
    return gate.metric == "negative_flips"


def _drawn_again(rows: "Rows", models: Sequence[int], rng: Any) -> "Rows":
    """Some models on rows that are drawn with replacement: whole groups; those of a forecast stay, for time is one."""
    import numpy as np

    some = replace(
        rows,
        predictions=tuple(rows.predictions[at] for at in models),
        decided=tuple(rows.decided[at] for at in models) if rows.decided else (),
    )
    count = len(rows.labels)
    if rows.series is not None:
        return some
    if rows.groups is None:
        return some.taken(rng.integers(0, count, count))
    order = np.argsort(rows.groups, kind="stable")
    ends = np.cumsum(np.bincount(rows.groups))
    drawn = rng.integers(0, len(ends), len(ends))
    members = [order[(ends[at - 1] if at else 0) : ends[at]] for at in drawn]
    groups = np.repeat(np.arange(len(members), dtype=np.int32), [len(each) for each in members])
    return replace(some.taken(np.concatenate(members)), groups=groups)


def _shares(counted: Counter[Outcome], made: int) -> Iterator[OutcomeShare]:
    from mlbot.stats.intervals import clopper_pearson

    for outcome in Outcome:
        interval = clopper_pearson(counted[outcome], made)
        share = counted[outcome] / made
        yield OutcomeShare(outcome=outcome, share=share, low=interval.low, high=interval.high)
