"""Ask models by the guarded branch's own command: its files, its environment, and what holds it on this machine."""

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlbot.config.predict import Evaluate, Predict
from mlbot.config.schema import Config, Model
from mlbot.gates.outcome import Reason
from mlbot.git.repository import Repository
from mlbot.lib.artifact import UnfitError, checked_path
from mlbot.lib.record import Sha
from mlbot.lib.templates import sentence
from mlbot.lib.tree import SUBMODULE, SYMLINK
from mlbot.storage.artifact import take_artifact
from mlbot.training.run_environment import Environments, NotMadeError, Wanted, code_of, data_of, find_python, version_of
from mlbot.verdict.verdict import Asked, Problem

if TYPE_CHECKING:
    from mlbot.ml.holdout import HoldoutData
    from mlbot.ml.isolation import Isolation, Limits
    from mlbot.ml.predictor import Artifact, Predictor
    from mlbot.ml.scoring import Scored


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleSource:
    """The commit that a model's rules are of."""

    repository: Repository
    commit: Sha
    config: Config
    is_judge: bool
    """Whether strangers' artifacts are asked here: then never without isolation."""
    is_landed: bool = True  # whether the commit is the guarded branch's

    @property
    def is_foreign(self) -> bool:
        """Whether a stranger wrote the commit: then nothing of it is checked out, and nothing is installed for it."""
        return self.is_judge and not self.is_landed


_NO_FILE = frozenset({SYMLINK, SUBMODULE})
_SLOW_S = 10.0  # from which on each call is announced


def _is_inside(path: str) -> bool:
    try:
        return checked_path(path) == path
    except UnfitError:
        return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """How one model's artifacts are asked."""

    model: Model
    source: RuleSource
    folder: Path  # a checkout of the commit, which an environment is made from
    progress: Callable[[str], None]

    def many(
        self, paths: Sequence[Path], holdout: "HoldoutData", shipped: Sequence[int]
    ) -> "tuple[Scored | Problem, ...]":
        """The predictions of artifacts, in order, or why there are none; `shipped` says where those are that ship."""
        from mlbot.ml.predictor import predict_many

        isolation = self.isolation()
        if isinstance(isolation, Problem):
            return (isolation,) * len(paths)
        with ExitStack() as stack:
            predictor = self._predictor(stack)
            if isinstance(predictor, Problem):
                return (predictor,) * len(paths)
            scratch = stack.enter_context(self.source.repository.scratch())
            found = [self._artifact(path, scratch / str(at)) for at, path in enumerate(paths)]
            fit = [at for at, each in enumerate(found) if not isinstance(each, Problem)]

            def before(at: int, facts: Asked) -> None:
                if not facts.calls or facts.longest_s >= _SLOW_S:
                    words = {"at": at + 1, "of": len(fit), "call": facts.calls + 1}
                    self.progress(sentence("data", "asking", model=self.model.name, **words))

            asked = iter(
                predict_many(
                    [each for each in found if not isinstance(each, Problem)],
                    holdout,
                    predictor,
                    isolation=isolation,
                    shipped=[fit.index(at) for at in shipped if at in fit],
                    before=before,
                )
            )
            return tuple(each if isinstance(each, Problem) else next(asked) for each in found)

    def isolation(self) -> "Isolation | Problem":
        """What holds the command on this machine; said where nothing does."""
        from mlbot.ml.isolation import Rung, isolation_of

        found = isolation_of(judge=self.source.is_judge)
        if not isinstance(found, Problem):
            how = "not-isolated" if found.rung is Rung.NONE else "isolated"
            command = {"command": "predict" if self.model.predict else "evaluate"}
            network = isinstance(self.command, Evaluate) and self.command.network
            words = {"model": self.model.name, "by": found.rung.value, "network": network, **command}
            self.progress(sentence("data", how, **words))
        return found

    def _predictor(self, stack: ExitStack) -> "Predictor | Problem":
        from mlbot.ml.predictor import Predictor

        predict, source = self.model.predict, self.source
        if predict is None:
            raise ValueError(f"{self.model.name} has no predictor")
        python = self.python()
        if isinstance(python, Problem):
            return python
        return Predictor(
            run=predict.run,
            code=self.code(stack),
            below=source.repository.folder,
            python=python,
            format=predict.format,
            tolerance=predict.tolerance,
            about=sentence("data", "environment", python=version_of(python) if python else "", own=predict.environment),
            limits=self.limits(),
            in_all_s=self._in_all_s,
        )

    @property
    def command(self) -> Predict | Evaluate:
        """The command of policy's that asks."""
        command = self.model.predict or self.model.evaluate
        if command is None:
            raise ValueError(f"{self.model.name} has no command")
        return command

    def code(self, stack: ExitStack) -> Path:
        """The files that the command sees, below the root of a folder that any user may read."""
        source = self.source
        files = self.command.files(source.repository.tree(source.commit))
        if source.is_foreign:
            return self._unlanded(files, stack)
        return stack.enter_context(code_of(source.repository, source.commit, source.config, files))

    def _unlanded(self, files: frozenset[str], stack: ExitStack) -> Path:
        """The files of a stranger's commit as bytes: nothing of it is checked out, for its attributes name filters."""
        from mlbot.ml.isolation import let_all_read

        source, code = self.source, stack.enter_context(self.source.repository.scratch()) / "code"
        tree = source.repository.tree(source.commit)
        plain = [path for path in files - data_of(source.config, tree) if tree.entries[path][0] not in _NO_FILE]
        (code / source.repository.folder).mkdir(parents=True)
        for path, content in source.repository.read_many(source.commit, filter(_is_inside, plain)).items():
            place = code / source.repository.folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            place.chmod(int(tree.entries[path][0], 8) & 0o777)
        let_all_read(code)
        return code

    def python(self) -> "Path | Problem | None":
        """The interpreter that the command finds first; None where the machine has none but the system's."""
        command, source = self.command, self.source
        if command.environment is None:
            return find_python(None)
        if source.is_foreign:
            return Problem.of(Reason.SCORING_FAILED, "predictor-not-landed")
        wanted = Wanted(
            model=self.model.name,
            key="predict.environment" if self.model.predict else "evaluate.environment",
            environment=command.environment,
            timeout_s=command.timeout_s,
            read_only=True,
        )
        folder = source.repository.state_dir / "environments"
        try:
            # What installs has a network, so it sees neither labels nor git's objects.
            with code_of(source.repository, source.commit, source.config) as code:
                place = code / source.repository.folder
                made = Environments(folder=folder, progress=self.progress).prepare(wanted, place, source.commit)
        except NotMadeError as error:
            why = " | ".join((str(error), *error.tail))
            return Problem.of(Reason.SCORING_FAILED, "predictor-environment", why=why)
        return made / "python"

    @property
    def _in_all_s(self) -> float:
        """What all calls for one artifact may take together."""
        return self.model.limits.score_time_s or math.inf

    def limits(self) -> "Limits":
        """What one call of the command may use."""
        from mlbot.ml.isolation import Limits

        usual, limits = Limits(), self.model.limits
        return replace(
            usual,
            wall_s=min(self.command.timeout_s, self._in_all_s),
            memory_bytes=limits.memory_bytes or usual.memory_bytes,
        )

    def _artifact(self, path: Path, folder: Path) -> "Artifact | Problem":
        """A copy that any user may read, with the digest of the very bytes that are asked."""
        from mlbot.ml.predictor import Artifact

        place = folder / self.model.given_name  # the same for all, whatever they are called where they lie
        folder.mkdir()
        try:
            return Artifact(path=place, of=take_artifact(path, place, self.model.most_bytes))
        except UnfitError as error:
            return Problem.of(Reason.MODEL_REFUSED, "unfit", why=error.what)
