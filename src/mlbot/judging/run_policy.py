"""What models are judged by: the guarded branch's config, and a folder with its holdout and metric code."""

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from mlbot.config.schema import Config, Model
from mlbot.errors import MlbotError
from mlbot.gates.outcome import Reason
from mlbot.git.repository import Repository
from mlbot.lib.record import Sha
from mlbot.lib.tree import is_url
from mlbot.plan.run_plan import Configs
from mlbot.verdict.evidence import Problem
from mlbot.verdict.verdict import Commits


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What one model is judged by.

    Attributes:
        model: as policy has it; as head has it where policy lacks it.
        folder: with the holdout and the metric code.
        provisional: whether both are head's own.
        problem: why a model of head's own cannot be judged.
    """

    model: Model
    folder: Path
    provisional: bool = False
    problem: Problem | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """Finds the rules of models.

    Attributes:
        repository: where the commits are.
        commits: the three commits.
        configs: their configs.
        checkouts: closed when the judging is over.
        trusts_head: True on a laptop, where head is the user's own. Elsewhere head is a stranger's: of it only a
            holdout is read, as bytes; it is not checked out, none of its code runs and none of its URLs is opened.
    """

    repository: Repository
    commits: Commits
    configs: Configs
    checkouts: ExitStack
    trusts_head: bool
    folders: dict[Sha, Path] = field(default_factory=dict)

    def of(self, name: str) -> Rule:
        """The rules of a model."""
        commits, policy = self.commits, self.configs.policy
        known = policy.model(name) if policy else None
        if known is not None and policy is not None and commits.policy is not None:
            return Rule(model=known, folder=self._checkout(commits.policy, policy))
        model = self.configs.head.model(name)
        if model is None:
            raise LookupError(f"{name} was planned and is not in the config of head")
        if self.trusts_head:
            return Rule(model=model, folder=self._checkout(commits.head, self.configs.head), provisional=True)
        return self._strangers(model)

    def _checkout(self, commit: Sha, config: Config) -> Path:
        if commit not in self.folders:
            links = self._lent(config) if self.trusts_head else {}
            self.folders[commit] = self.checkouts.enter_context(self.repository.worktree(commit, links=links))
        return self.folders[commit]

    def _lent(self, config: Config) -> dict[str, Path]:
        """Holdouts that git does not track, from the user's own tree."""
        holdouts = {model.data.holdout for model in config.models if not is_url(model.data.holdout)}
        return {path: own for path in holdouts if (own := self.repository.root / path).exists()}

    def _strangers(self, model: Model) -> Rule:
        folder = Path(self.checkouts.enter_context(tempfile.TemporaryDirectory(prefix="mlbot-holdout-")))
        problem = _out_of_bounds(model) or self._extract(model.data.holdout, folder)
        return Rule(model=model, folder=folder, provisional=True, problem=problem)

    def _extract(self, path: str, folder: Path) -> Problem | None:
        try:
            content = self.repository.read(self.commits.head, path)
        except MlbotError as error:
            return Problem(reason=Reason.HOLDOUT_UNREADABLE, detail=f"{error.what}.")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return None


def _out_of_bounds(model: Model) -> Problem | None:
    """What is never done for a model that the guarded branch does not know, because a stranger may have written it."""
    own = next((metric.function for metric in model.metrics if metric.function is not None), None)
    if own is not None:
        detail = (
            f"The metric {own} is not run before it is on the guarded branch. Land its code and the model in steps."
        )
        return Problem(reason=Reason.METRIC_FAILED, detail=detail)
    if is_url(model.data.holdout):
        detail = "A new model's holdout is not fetched from an URL before its config is on the guarded branch."
        return Problem(reason=Reason.HOLDOUT_UNREADABLE, detail=detail)
    return None
