"""Judge a model by an evaluator: policy's own command gives every item scores, once for each file of both sides."""

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbot.config.predict import Evaluate, ResultFormat
from mlbot.config.schema import Model
from mlbot.config.slice_sql import check
from mlbot.gates.metric import Bound, Task
from mlbot.gates.outcome import ALPHA, Reason
from mlbot.judging.readers import PATTERNS, Wanted, read_results
from mlbot.judging.rows import MOST_BYTES, Rows
from mlbot.judging.run_evaluations import Evaluations, HandedOver, Key
from mlbot.judging.run_judge import AnchorFiles, JudgeRequest, JudgeResult, Rule, with_anchors
from mlbot.judging.scores import MeasuredScores, ScorePlan, Sides, Table, measure_scores, too_many_errors, unfinished
from mlbot.lib.artifact import UnfitError
from mlbot.lib.record import Digest, FileDigest, Name, canonical, digest
from mlbot.lib.templates import sentence
from mlbot.report.report import SliceInfo
from mlbot.storage.artifact import measured, take_artifact
from mlbot.training.run_predict import Asking, RuleSource
from mlbot.training.run_train import SeedRun, SeedRuns
from mlbot.verdict.seeds import Determinism, Seeds, determinism
from mlbot.verdict.verdict import Comparison, Evaluation, Holdout, Problem

if TYPE_CHECKING:
    from mlbot.ml.holdout import Mask
    from mlbot.ml.isolation import Call, Isolation

_RESULTS, _PACKED, _ARTIFACT, _CODE = "MLBOT_RESULTS", "MLBOT_PACKED", "MLBOT_ARTIFACT", "MLBOT_CODE"
_FILES: Mapping[ResultFormat, str] = {ResultFormat.ROWS: "results.jsonl", ResultFormat.PROMPTFOO: "results.json"}
"""What the file is called where a format is one: promptfoo goes by the end of its name."""


def judge_scores(request: JudgeRequest, *, progress: Callable[[str], None]) -> JudgeResult:
    """Evaluate and measure all of a model's files; a problem is a part of the result, never an exception."""
    evaluator = Evaluator.of(request.rule, progress)
    if isinstance(evaluator, Problem):
        return request.with_problem(evaluator)
    candidate = [evaluator.evaluated(run, "candidate") for run in request.candidate.runs]
    broken = next((each for each, _ in candidate if each.problem is not None), None)
    if broken is not None or not candidate:
        found = {"candidate": tuple(each for each, _ in candidate)}
        return JudgeResult(request=request, evidence=request.evidence.model_copy(update=found))
    baseline = [evaluator.evaluated(run, "baseline") for run in request.others.runs]
    judged = _Judged(request=request, evaluator=evaluator, candidate=candidate, baseline=baseline)
    result = judged.result()
    return result if result.evidence.problem else replace(result, versus=judged.versus())


Evaluated = tuple[Evaluation, Rows | None]


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """Both sides' evaluations, put together."""

    request: JudgeRequest
    evaluator: "Evaluator"
    candidate: list[Evaluated]
    baseline: list[Evaluated]

    def result(self) -> JudgeResult:
        """What was found."""
        request, problem = self.request, None
        baseline = self.baseline
        if any(each.problem for each, _ in baseline):
            problem = next(each.problem for each, _ in baseline if each.problem)
            baseline = []
        table = Table.of(_sides(self.candidate, baseline), self.evaluator.evaluate)
        if isinstance(table, Problem):
            return request.with_problem(table)
        errors = [too_many_errors(table, file) for file in range(len(table.sides.files))]
        ours, theirs = errors[: len(self.candidate)], errors[len(self.candidate) :]
        if wrong := next(filter(None, ours), None):
            return request.with_problem(wrong)
        if problem is None and (problem := next(filter(None, theirs), None)):
            table = Table.of(_sides(self.candidate, []), self.evaluator.evaluate)
        if isinstance(table, Problem):  # of one side alone there is nothing to differ from
            return request.with_problem(table)
        return with_anchors(self._measured(table, problem), self._beside)

    def _beside(self, anchor: AnchorFiles | None) -> Sequence[Comparison] | Problem:
        """The candidate's evaluations beside those of an anchor; None: of the baseline."""
        side, key = self.baseline, self.request.compared.key if self.request.compared else None
        if anchor is not None:
            key = anchor.anchor.entry.key
        if anchor is not None and not self.request.has(anchor) and isinstance(anchor.files, SeedRuns):
            side = [self.evaluator.evaluated(run, "anchor") for run in anchor.files.runs]
        wrong = next((each.problem for each, _ in side if each.problem), None)
        table = wrong or Table.of(_sides(self.candidate, side), self.evaluator.evaluate)
        if isinstance(table, Problem):
            return _not_evaluated(table)
        files = range(len(self.candidate), len(table.sides.files))
        masks = next(filter(None, (too_many_errors(table, file) for file in files)), None) or self._masks(table)
        if isinstance(masks, Problem):
            return _not_evaluated(masks)
        ours, theirs = ([each.digest for each, _ in one] for one in (self.candidate, side))
        known = determinism(self.request.past, self.request.model.name, key, None) is Determinism.KNOWN
        brought = self.request.model.artifact is not None
        plan = replace(
            self._plan(table),
            family=1,
            level=ALPHA,
            seeds_matter=(self._matters()[0], not brought and _moves(theirs, known=known)),
            identical=_are_alike(ours, theirs),
        )
        return measure_scores(table, plan, masks).comparisons

    def versus(self) -> tuple[Comparison, ...] | Problem:
        """The file that would ship beside the one in production, by the same items: shown, and never gating."""
        live = self.request.live.file if self.request.live else None
        if live is None or isinstance(live, Problem):
            return () if live is None else live
        ships, (there, rows) = (
            self.candidate[0],
            self.evaluator.evaluated(SeedRun(seed=0, file=live), "file in production"),
        )
        if there.problem is not None or there.digest == ships[0].digest:
            return there.problem or ()
        table = Table.of(_sides([ships], [(there, rows)]), self.evaluator.evaluate)
        if isinstance(table, Problem):
            return table
        masks = too_many_errors(table, 0) or too_many_errors(table, 1) or self._masks(table)
        if isinstance(masks, Problem):
            return masks
        # Of two given files the seeds' variance is no question: only items vary.
        plan = replace(self._plan(table), margins={}, seeds_matter=(False, False), identical=False)
        gated = {(gate.metric, gate.slice) for gate in self.request.model.gates}
        found = measure_scores(table, plan, masks).comparisons
        return tuple(each for each in found if each.slice is None or (each.metric, each.slice) in gated)

    def _masks(self, table: Table) -> "dict[str, Mask] | Problem":
        from mlbot.ml.holdout import item_masks

        return item_masks(table.slices, len(table.items), self.request.model.slices)

    def _measured(self, table: Table, problem: Problem | None) -> JudgeResult:
        request, model = self.request, self.request.model
        masks = self._masks(table)
        if isinstance(masks, Problem):
            return request.with_problem(masks)
        found = measure_scores(table, self._plan(table), masks)
        slices = tuple(
            SliceInfo(name=each.name, where=each.where, rows=int(masks[each.name].sum()), min_rows=each.min_rows)
            for each in model.slices
        )
        updates = {
            "candidate": _scored(self.candidate, found, 0),
            "comparisons": found.comparisons,
            "small_slices": frozenset(each.name for each in slices if each.small),
            "seeds": self._seeds(),
        }
        if problem is not None:
            updates["baseline_problem"] = Problem.of(Reason.BASELINE_UNREACHABLE, "not-evaluated", why=problem.detail)
        return JudgeResult(
            request=request,
            evidence=request.evidence.model_copy(update=updates),
            holdout=_record(table, self.evaluator.evaluate, {each.name: each.rows for each in slices}),
            baseline=_scored(self.baseline, found, len(self.candidate)) if table.sides.baseline else (),
            slices=slices,
            items=found.items.model_copy(update=self.evaluator.facts),
        )

    def _plan(self, table: Table) -> ScorePlan:
        request = self.request
        ours, theirs = ([each.digest for each, _ in side] for side in (self.candidate, self.baseline))
        matters = self._matters()
        reached = request.design.reached(request.count.candidate)
        return ScorePlan(
            margins={(g.metric, g.slice): g.limit for g in request.model.gates if g.bound is Bound.MAX_REGRESSION},
            family=max(request.rule.family, sum(gate.is_margin for gate in request.model.gates)),
            seeds_matter=matters if table.sides.baseline else (False, False),
            identical=_are_alike(ours, theirs),
            level=request.design.levels[max(0, len(reached) - 1)],
        )

    def _matters(self) -> tuple[bool, bool]:
        """Whether the seed of each side changes the artifact: not of a brought one, nor where two of its are alike."""
        if self.request.model.artifact is not None:
            return False, False
        known = self.request.known is Determinism.KNOWN, self.request.base_known is Determinism.KNOWN
        digests = [[each.digest for each, _ in side] for side in (self.candidate, self.baseline)]
        return _moves(digests[0], known=known[0]), _moves(digests[1], known=known[1])

    def _seeds(self) -> Seeds:
        matters = self._matters()
        counts = len(self.candidate), len(self.baseline)
        brought = self.request.model.artifact is not None
        sure = [None if count < 2 and not brought else not of for count, of in zip(counts, matters, strict=True)]
        seeds = self.request.evidence.seeds
        return seeds.model_copy(update={"candidate_deterministic": sure[0], "baseline_deterministic": sure[1]})


def _not_evaluated(why: Problem) -> Problem:
    return Problem.of(Reason.ANCHOR_UNREACHABLE, "not-evaluated", why=why.detail)


def _are_alike(ours: Sequence[Digest | None], theirs: Sequence[Digest | None]) -> bool:
    """Whether both sides are the same files, as far as both have a seed."""
    return bool(theirs) and all(one == other for one, other in zip(ours, theirs, strict=False))


def _moves(digests: list[Digest | None], *, known: bool) -> bool:
    return len(set(digests)) > 1 if len(digests) > 1 else not known


def _sides(candidate: list[Evaluated], baseline: list[Evaluated]) -> Sides:
    ours, theirs = (tuple(rows for _, rows in side if rows is not None) for side in (candidate, baseline))
    return Sides(candidate=ours, baseline=theirs)


def _scored(side: list[Evaluated], found: MeasuredScores, first: int) -> tuple[Evaluation, ...]:
    scores = found.scores[first : first + len(side)]
    return tuple(each.model_copy(update={"scores": own}) for (each, _), own in zip(side, scores, strict=True))


def _record(table: Table, evaluate: Evaluate, slices: Mapping[str, int]) -> Holdout:
    """The items, as what the model was judged on."""
    inputs = {row.item: row.input for rows in table.sides.files for row in rows.rows}
    facts = [[item, inputs[item]] for item in table.items]
    return Holdout(
        source=str(evaluate.format),
        digest=digest(canonical(facts)),
        content=digest(canonical(sorted(map(canonical, facts)))),
        rows=len(table.items),
        task=Task.SCORES,
        slices=dict(slices),
    )


@dataclass(frozen=True, kw_only=True)
class Evaluator:
    """Policy's evaluator: on this machine, or as the job that has its secrets has run it."""

    asking: Asking
    evaluate: Evaluate
    isolation: "Isolation | None"
    handed: HandedOver | None = None  # what another job gave
    results: dict[tuple[Name, Digest], Rows]
    python: Path | None

    @classmethod
    def of(cls, rule: Rule, progress: Callable[[str], None]) -> "Evaluator | Problem":
        """The evaluator, or why it cannot run here."""
        evaluate = rule.model.evaluate
        if evaluate is None or rule.source is None:
            raise LookupError(f"{rule.model.name} has no evaluator")
        if rule.problem is not None:
            return rule.problem
        asking = Asking(model=rule.model, source=rule.source, folder=rule.folder, progress=progress)
        if evaluate.secrets and rule.handed_over is not None:
            own: dict[str, Any] = {"isolation": None, "python": None, "handed": rule.handed_over}
            return cls(asking=asking, evaluate=evaluate, results=rule.results, **own)
        absent = next((name for name in evaluate.secrets if not os.environ.get(name)), None)
        if absent is not None:
            return Problem.of(Reason.EVALUATOR_FAILED, "no-secret", name=absent)
        isolation, python = asking.isolation(), asking.python()
        if isinstance(isolation, Problem):
            return isolation
        if isinstance(python, Problem):
            return Problem.of(Reason.EVALUATOR_FAILED, "environment", why=python.inner)
        return cls(asking=asking, evaluate=evaluate, isolation=isolation, results=rule.results, python=python)

    @property
    def facts(self) -> dict[str, object]:
        """What the report says of how it ran."""
        evaluate = self.evaluate
        rung = str(self.isolation.rung) if self.isolation else self.handed.isolation if self.handed else ""
        return {"isolation": rung, "secrets": evaluate.secrets, "network": evaluate.network}

    def evaluated(self, run: SeedRun, side: str) -> Evaluated:
        """A file's evaluation without its scores, and its rows; or with the problem that says why there are none."""
        file = run.file
        if isinstance(file, Problem):
            return Evaluation(digest=None, seed=run.seed, problem=file), None
        with self.asking.source.repository.scratch() as scratch:
            # One name, wherever it lies: in a store, in a job's artifact, in a folder of what was accepted.
            copy = scratch / self.asking.model.given_name
            found = self._taken(file, copy)
            if isinstance(found, Problem):
                return Evaluation(digest=None, seed=run.seed, problem=found), None
            fields = Evaluation(digest=found.digest, seed=run.seed, size_bytes=found.size_bytes)
            if run.digest and found.digest != run.digest:
                changed = Problem.of(Reason.MODEL_REFUSED, "changed", seed=run.seed)
                return fields.model_copy(update={"problem": changed}), None
            key = self.asking.model.name, found.digest
            rows = self.results.get(key) or self._rows(copy, found.digest, f"the {side}, seed {run.seed}")
        if isinstance(rows, Problem):
            return fields.model_copy(update={"problem": rows}), None
        self.results[key] = rows
        wrong = unfinished(rows, self.evaluate)
        return (fields.model_copy(update={"problem": wrong}), None) if wrong else (fields, rows)

    def _taken(self, file: Path, copy: Path) -> FileDigest | Problem:
        """The digest and size of the very bytes that are evaluated: a copy that any user may read."""
        try:
            return take_artifact(file, copy, self.asking.model.most_bytes)
        except UnfitError as error:
            return Problem.of(Reason.MODEL_REFUSED, "unfit", why=error.what)

    def hand_over(self, file: Path, written: Evaluations) -> None:
        """Evaluate a file once."""
        with self.asking.source.repository.scratch() as scratch:
            found = self._taken(file, copy := scratch / self.asking.model.given_name)
            if isinstance(found, Problem) or written.has(key := self._key(found.digest)):
                return
            written.isolation = str(self.facts["isolation"])
            written.add(key, self._output(copy)[0])

    def _key(self, artifact: Digest) -> Key:
        return evaluation_key(self.asking.model, self.asking.source, artifact)

    def _rows(self, artifact: Path, digest: Digest, which: str) -> Rows | Problem:
        model = self.asking.model
        self.asking.progress(sentence("data", "evaluating", model=model.name, which=which))
        output, log = (self.handed.results(self._key(digest)), ()) if self.handed else self._output(artifact)
        if isinstance(output, Problem):
            return output
        if output.startswith(_PARQUET) and self.evaluate.format is ResultFormat.ROWS:
            output = self._as_lines(output)
        if isinstance(output, Problem):
            return output
        columns = frozenset[str]().union(*(check(each.where) for each in model.slices))
        rows = read_results(output, Wanted(evaluate=self.evaluate, columns=columns))
        if isinstance(rows, Problem) or unfinished(rows, self.evaluate):
            self._show(log)
        return rows

    def _show(self, log: Sequence[str]) -> None:
        """Let the person see how the command ended, which its results alone do not say."""
        for line in log[-_SHOWN:]:
            self.asking.progress(f"  | {line}")

    def _as_lines(self, table: bytes) -> bytes | Problem:
        """The rows of a Parquet file as JSON lines; a stranger's table is unpacked where it can harm nobody."""
        from mlbot.ml.isolation import Call, run_isolated, staged, with_python

        isolation = self.isolation or self.asking.isolation()
        if isinstance(isolation, Problem):
            return isolation
        origin = find_spec("polars")
        place = Path(origin.origin).parents[1] if origin and origin.origin else Path()
        with self.asking.source.repository.scratch() as scratch:
            (scratch / "rows").mkdir()
            (scratch / "rows" / "table").write_bytes(table)
            with staged(table=scratch / "rows") as copies:
                call = Call(
                    command=[sys.executable, "-I", "-c", _CONVERT, str(place)],
                    read_only={"MLBOT_TABLE": copies["table"]},
                    folder="MLBOT_TABLE",
                    output=(_RESULTS, "rows.jsonl"),
                    same=(place,),
                )
                limits = replace(self.asking.limits(), output_bytes=MOST_BYTES + 1, wall_s=_CONVERT_S)
                ran = run_isolated(with_python(call, Path(sys.executable)), limits=limits, isolation=isolation)
        return ran.output if ran.problem is None else Problem.of(Reason.RESULTS_UNREADABLE, "parquet")

    def _output(self, artifact: Path) -> tuple[bytes | Problem, Sequence[str]]:
        """What it writes of an artifact: a stranger's bytes, without secrets; and what it prints."""
        from mlbot.ml.isolation import Online, run_isolated

        if self.isolation is None:
            raise LookupError("another job runs this evaluator")
        evaluate = self.evaluate
        secrets = {name: os.environ[name] for name in evaluate.secrets}
        limits = replace(self.asking.limits(), output_bytes=MOST_BYTES + 1)
        online = Online(variables=secrets) if evaluate.network else None
        with ExitStack() as stack:
            call = self._call(self.asking.code(stack), artifact)
            ran = run_isolated(call, limits=limits, isolation=self.isolation, online=online)
        if ran.problem is None:
            return _hushed(ran.output, secrets), ran.log
        self._show(ran.log)
        log = " | ".join(ran.log[-_TAIL:])
        if ran.problem.reason is Reason.SCORING_TIMEOUT:
            return Problem.of(Reason.EVALUATOR_FAILED, "late", seconds=f"{limits.wall_s:g}", log=log), ran.log
        return Problem.of(Reason.EVALUATOR_FAILED, "command", why=ran.problem.detail, log=log), ran.log

    def _call(self, code: Path, artifact: Path) -> "Call":
        from mlbot.ml.isolation import Call, with_python

        evaluate, below = self.evaluate, self.asking.source.repository.folder
        start = f'cd "${_CODE}"/{shlex.quote(below)}\n' if below else ""
        # What it ends with says nothing: tools end well after a stop, and badly where a case failed. The results do.
        call = Call(
            command=["sh", "-c", start + _script(evaluate)],
            read_only={_ARTIFACT: artifact, _CODE: code},
            folder=_CODE,
            output=(_RESULTS, _FILES[evaluate.format]) if evaluate.format in _FILES else (_PACKED, "results.tar"),
            env={"PYTHONDONTWRITEBYTECODE": "1"},
        )
        return with_python(call, self.python) if self.python else call


def hand_over(rule: Rule, files: Iterable[Path], written: Evaluations, *, progress: Callable[[str], None]) -> None:
    """Evaluate files, each once, for a judge that has no secrets; of one that is unfit the judge says so itself."""
    evaluator = Evaluator.of(rule, progress)
    for file in files:
        if isinstance(evaluator, Evaluator):
            evaluator.hand_over(file, written)
            continue
        with suppress(UnfitError):
            artifact = measured(file).digest
            written.add(evaluation_key(rule.model, rule.source, artifact), evaluator)


def evaluation_key(model: Model, source: RuleSource | None, artifact: Digest) -> Key:
    """What the results of an artifact are handed over by: by the evaluator too, for another one gives other scores."""
    if model.evaluate is None or source is None:
        raise LookupError(f"{model.name} has no evaluator")
    tree = source.repository.tree(source.commit)
    settings = [each.model_dump(mode="json") for each in (model.evaluate, model.limits)]
    files = tree.digest(model.evaluate.rule_files(tree))
    return model.name, artifact, digest(canonical([*settings, model.given_name, files]))


def _hushed(raw: bytes, secrets: Mapping[str, str]) -> bytes:
    """The results without the values of secrets: a provider's refusal may repeat a key, and reports show it."""
    for value in secrets.values():
        for form in {value, json.dumps(value)[1:-1]}:
            raw = raw.replace(form.encode(), b"***") if len(form) >= _SHORTEST else raw
    return raw


_TAIL = 3
_PARQUET = b"PAR1"
_CONVERT_S = 300.0
_CONVERT = """
import json, os, sys
sys.path.append(sys.argv[1])
import polars
table = os.path.join(os.environ["MLBOT_TABLE"], "table")
head = polars.read_parquet_metadata(table).get("mlbot_rows", "{}")
with open(os.environ["MLBOT_RESULTS"], "w") as lines:
    print(json.dumps(json.loads(head)), file=lines)
    for row in polars.read_parquet(table, hive_partitioning=False).iter_rows(named=True):
        print(json.dumps({name: value for name, value in row.items() if value is not None}, default=str), file=lines)
"""
"""From Parquet to lines: the header is the JSON in its key `mlbot_rows`."""

_SHOWN = 20
_SHORTEST = 6  # characters of a secret; a shorter one is found in numbers too


def _script(evaluate: Evaluate) -> str:
    """The command, and where its results are a folder, what packs the files that count into one."""
    patterns = PATTERNS.get(evaluate.format)
    if patterns is None:
        return f"(\n{evaluate.run}\n)\ntrue"
    names = " -o ".join(f"-name '{pattern}'" for pattern in patterns)
    return (
        f'export {_RESULTS}="$HOME/results"\nmkdir -p "${_RESULTS}"\n(\n{evaluate.run}\n)\n'
        f'cd "${_RESULTS}" && find . -type f \\( {names} \\) > "$HOME/names" && '
        f'tar -cf "${_PACKED}" -T "$HOME/names"\ntrue'
    )
