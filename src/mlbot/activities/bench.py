"""Where the models of a training run are judged one after another: which files, against which others."""

from dataclasses import dataclass

from mlbot.activities.assignment import Assignment
from mlbot.activities.hosted import Hosted
from mlbot.activities.intake import Fetched, Intake
from mlbot.activities.judge import Case, Entry, judge
from mlbot.activities.model_report import Found, Provenance
from mlbot.activities.rules import Rules
from mlbot.activities.stored_files import judged_files, live_file
from mlbot.activities.versus import Live
from mlbot.console import Console
from mlbot.core.artifact import Side
from mlbot.core.evaluation import Problem
from mlbot.core.outcome import Reason
from mlbot.core.plan import PlannedModel
from mlbot.core.production import in_production
from mlbot.core.training import Params
from mlbot.core.trial import trial_key


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where one model after another is judged.

    Attributes:
        hosted: the job.
        assignment: what is judged.
        candidates: the training run's artifacts.
        baselines: this run's own, trained from base.
        rules: of each model.
        console: told of each step.
    """

    hosted: Hosted
    assignment: Assignment
    candidates: Intake
    baselines: Intake
    rules: Rules
    console: Console

    def judge(self, planned: PlannedModel) -> Found:
        """Fetch a model's files and judge them."""
        rule = self.rules.of(planned.name)
        candidate = self._candidate(planned)
        baseline = self._baseline(planned, candidate)
        case = Case(
            model=rule.model,
            rules=rule.folder,
            candidate=tuple(Entry(seed=each.seed, file=rule.problem or each.file) for each in candidate.entries),
            baseline=baseline if isinstance(baseline, Problem) else baseline.entries,
            key=trial_key(planned.key, self._overrides),
            base_key=planned.key if self._overrides else planned.base_key,
            past=tuple(entry for entry in self.assignment.entries if entry.model == planned.name),
            provisional=rule.provisional,
            live=self._live(planned),
        )
        provenance = Provenance(
            candidate=candidate.trainings,
            baseline=() if isinstance(baseline, Problem) else baseline.trainings,
            failures=candidate.failures,
            stale_reasons=tuple(reason.text for reason in planned.reasons),
            head=self.assignment.configs.head.model(planned.name),
        )
        return Found(case=case, judged=judge(case, say=self.console.say), provenance=provenance)

    def _live(self, planned: PlannedModel) -> Live | None:
        """What is in production; a trial is only compared with what is committed."""
        assignment, policy = self.assignment, self.assignment.configs.policy
        if policy is None or assignment.decision.trial:
            return None
        entry = in_production(policy.environments, assignment.deployments, planned.name)
        if entry is None:
            return None
        baseline = assignment.judged.get((planned.name, planned.base_key or ""))
        if baseline is not None and baseline.digest == entry.digest:
            return Live(entry=entry, file=None)
        file = live_file(self.hosted, entry, assignment.entries, self.baselines.folder, self.console)
        return Live(entry=entry, file=file)

    @property
    def _overrides(self) -> Params:
        """What a trial changes of the committed parameters; empty where it is none."""
        decision = self.assignment.decision
        request = decision.reruns.trial(decision.attempt)
        return request.params if request else {}

    def _candidate(self, planned: PlannedModel) -> Fetched:
        """The files of the attempt, or of the last one before it that was asked for this model too."""
        decision = self.assignment.decision
        attempt = decision.attempt if decision.trial else decision.reruns.trained(planned.name, decision.attempt)
        return self.candidates.trained(planned, planned.seeds, Side.CANDIDATE, attempt)

    def _committed(self, planned: PlannedModel) -> Fetched | Problem:
        """What a trial of a stale model is compared with: head's own parameters, trained in the same sandbox."""
        decision = self.assignment.decision
        attempt = decision.reruns.trained(planned.name, decision.attempt)
        return _or_problem(
            self.candidates.trained(planned, planned.seeds, Side.CANDIDATE, attempt),
            "The committed parameters have no model to compare with.",
        )

    def _baseline(self, planned: PlannedModel, candidate: Fetched) -> Fetched | Problem:
        """The guarded branch's judged files; else what this run trained from base; never anything of the other run.

        A trial is no verdict, so there the other run's files do: its question is what the parameters are worth.
        """
        if self._overrides and not planned.requested:
            return self._committed(planned)
        if planned.base_key is None:
            why = "; ".join(reason.text for reason in planned.reasons)
            return Problem(reason=Reason.NO_BASELINE, detail=f"There is nothing to compare with: {why}.")
        if planned.base_key == planned.key and not planned.requested:
            return candidate
        if planned in self.assignment.baselines:
            return self._trained_baseline(planned)
        entry = self.assignment.judged[planned.name, planned.base_key]
        files = judged_files(self.hosted, entry, self.baselines.folder, self.console)
        return files if isinstance(files, Problem) else Fetched(entries=files)

    def _trained_baseline(self, planned: PlannedModel) -> Fetched | Problem:
        base = self.assignment.sides.base
        model = base.config.model(planned.name) if base else None
        seeds = model.train.seeds if model else planned.seeds
        found = self.baselines.trained(planned, seeds, Side.BASELINE, self.baselines.attempt)
        return _or_problem(found, "The baseline was not trained.")


def _or_problem(found: Fetched, why: str) -> Fetched | Problem:
    """A side's files; where one is missing there is nothing to compare with."""
    wrong = next((entry.file for entry in found.entries if isinstance(entry.file, Problem)), None)
    return found if wrong is None else Problem(reason=Reason.NO_BASELINE, detail=f"{why} {wrong.detail}")
