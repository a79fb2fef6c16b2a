"""What is told of a trial: what it tried, what came of it, and the change that would commit it."""

from collections.abc import Mapping

from mlbot.commands.params_patch import edited, unified
from mlbot.config.params import load_params
from mlbot.config.schema import Model
from mlbot.config.yaml import decode, load
from mlbot.errors import MlbotError
from mlbot.git.repository import Repository
from mlbot.judging.run_assignment import Assignment
from mlbot.judging.run_ci import Hosted
from mlbot.judging.trial import Change, TrialResult, trial_result
from mlbot.lib.canonical import canonical
from mlbot.lib.record import Sha
from mlbot.lib.scalar import Params
from mlbot.protocol.decision import Judge, Settle
from mlbot.report.report import Report


def judged_trial(hosted: Hosted, assignment: Assignment, report: Report) -> TrialResult:
    """The result of a trial that was judged."""
    decision = assignment.decision
    request = decision.reruns.trial(decision.attempt)
    if request is None:
        raise LookupError(f"{decision.attempt} is no trial")
    model = assignment.configs.head.model(request.models[0])
    change = change_of(hosted.repository, decision.subject.sha, model, request.params) if model else Change()
    number = decision.reruns.trials_until(decision.attempt)
    return trial_result(request, number, hosted.training_url(decision.attempt), change, report)


def failed_trial(hosted: Hosted, decision: Judge | Settle, why: str) -> TrialResult:
    """The result of a trial that came to nothing."""
    request = decision.reruns.trial(decision.attempt)
    if request is None:
        raise LookupError(f"{decision.attempt} is no trial")
    number = decision.reruns.trials_until(decision.attempt)
    return trial_result(request, number, hosted.training_url(decision.attempt), Change(), problem=why)


def change_of(repository: Repository, commit: Sha, model: Model, overrides: Params) -> Change:
    """The change to the file of parameters that would commit a trial; without its text where that cannot be said."""
    path = model.train.params
    if path is None:
        return Change()
    try:
        raw = repository.read(commit, path)
        committed, text = load_params(raw, path), decode(raw, path)
    except MlbotError:
        return Change(file=path)
    after = _edited(text, path, overrides)
    if after is None or not _says(after, path, {**committed, **overrides}):
        return Change(committed=committed, file=path)
    return Change(committed=committed, file=path, diff=unified(text, after, path))


def _edited(text: str, path: str, overrides: Params) -> str | None:
    """The new text; JSON is read as YAML for the places of its values, which it is but for tabs."""
    is_json = path.endswith(".json")
    try:
        document = load(text.replace("\t", " ") if is_json else text, path)
        return edited(text, document, overrides, is_json=is_json)
    except MlbotError:
        return None


def _says(text: str, path: str, params: Mapping[str, object]) -> bool:
    """Whether a text holds just these parameters, types and all: 1, 1.0 and true are three things."""
    try:
        return canonical(load_params(text, path)) == canonical(params)
    except MlbotError:
        return False
