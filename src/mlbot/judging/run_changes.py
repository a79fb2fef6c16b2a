"""What a change does to the data of models: both versions are fetched, and compared and checked by rows."""

import tempfile
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from mlbot.config.schema import Model
from mlbot.config.train import Brought
from mlbot.console import Console
from mlbot.data.change import Change, Versions
from mlbot.data.findings import DataReport, Part, Why, unchecked
from mlbot.errors import MlbotError, UsageError
from mlbot.git.merge import three_commits
from mlbot.git.repository import Repository
from mlbot.judging.run_judge import Rules, opened
from mlbot.ledger.entries import profile_path
from mlbot.lib.artifact import UnfitError
from mlbot.lib.escape import one_line
from mlbot.lib.record import Digest
from mlbot.lib.tree import is_url
from mlbot.plan.content_key import Side
from mlbot.plan.run_plan import Planning
from mlbot.report.data import data_lines
from mlbot.training.run_bring import Bringing
from mlbot.training.run_train import unfetched

MOST_BYTES = 8 << 30
"""The largest file that is compared."""


def data_changes(
    planning: Planning,
    rules: Rules,
    *,
    progress: Callable[[str], None],
    profiled: Collection[str] | None = None,
) -> tuple[DataReport, ...]:
    """What was found in the data of the models whose data the merged tree has otherwise than the guarded branch.

    `profiled` are the paths of the ledger's profiles, where the verdict is one of the guarded branch's own: of data of
    a judged model that have none, one is made.
    """
    head = planning.sides.head
    if head is planning.sides.base and profiled is None:
        return ()
    found: list[DataReport] = []
    judged = {each.name for each in planning.plan.stale}
    for model in head.config.models:
        new = profiled if model.name in judged else None
        changing = _Changing(planning=planning, rules=rules, model=model, profiled=new)
        if changing.is_unseen:
            found.append(unchecked(model.name, "outside", file=model.data.train or ""))
        elif changing.parts:
            progress(f"{model.name}: comparing its data with those of the guarded branch")
            found.append(changing.report())
        elif changing.unprofiled:
            progress(f"{model.name}: recording what its data hold")
            found.append(changing.report())
    return tuple(found)


def report_changes(directory: Path, console: Console) -> None:
    """Say what the working tree does to the models' data, beside the guarded branch; nothing outside of git."""
    try:
        repository = Repository.discover(directory)
        planning = Planning.of(repository, three_commits(repository))
    except UsageError:
        return
    with ExitStack() as checkouts:
        rules = Rules(planning=planning, checkouts=checkouts, trusts_head=True)
        for line in data_lines(data_changes(planning, rules, progress=console.say)):
            console.result(line)


@dataclass(frozen=True, kw_only=True)
class _Changing:
    """The data of one model, of which a part is not as it was."""

    planning: Planning
    rules: Rules
    model: Model  # as head has it
    profiled: Collection[str] | None = None
    held: list[object] = field(default_factory=list)

    @property
    def head(self) -> Side:
        return self.planning.sides.head

    @property
    def base(self) -> Side | None:
        return self.planning.sides.base

    @property
    def was(self) -> Model | None:
        return self.base.models.get(self.model.name) if self.base else None

    @property
    def judged_as(self) -> Model:
        """As the guarded branch reads it; a model that is new there as head does."""
        policy = self.planning.configs.policy
        return (policy.model(self.model.name) if policy else None) or self.model

    @property
    def is_unseen(self) -> bool:
        """Whether a gate is on training data that git does not have, so that nobody sees a change of them."""
        name = self.model.data.train
        gated = bool(self.judged_as.data.gates) and self.model.artifact is None
        return gated and (name is None or is_url(name) or self.head.is_outside(name))

    @property
    def parts(self) -> tuple[Part, ...]:
        """What is not as it was; nothing of a model that is not trained, or has no rows."""
        if self.model.evaluate is not None or self.model.artifact is not None:
            return ()
        parts: tuple[Part, ...] = ("train", "holdout")
        return tuple(part for part in parts if self._differs(part))

    @property
    def unprofiled(self) -> Mapping[Part, Digest]:
        """The digests of what the ledger is to have a profile of, and has none: of files that git has or points to."""
        data = self.judged_as.data
        if self.profiled is None or self.model.evaluate is not None or self.model.artifact is not None:
            return {}
        wanted: dict[Part, bool] = {"train": data.sketch is not False, "holdout": data.sketches_holdout}
        names = {part: _named(self.model, part) for part, is_wanted in wanted.items() if is_wanted}
        seen = {part: name for part, name in names.items() if name and not is_url(name)}
        digests = {part: self.head.data_digest(name) for part, name in seen.items() if not self.head.is_outside(name)}
        return {
            part: digest
            for part, digest in digests.items()
            if profile_path(digest, self.model.name, part) not in self.profiled
        }

    def _differs(self, part: Part) -> bool:
        now, was = _named(self.model, part), _named(self.was, part)
        if now is None or (self.was is None and part == "holdout"):
            return False
        if self.base is None or was is None:
            return not self.head.is_outside(now) or is_url(now)
        return self.head.data_digest(now) != self.base.data_digest(was)

    def report(self) -> DataReport:
        """The comparison and the checks, or why there are none."""
        from mlbot.judging.run_data_checks import check_apart

        with tempfile.TemporaryDirectory(prefix="mlbot-data-") as scratch:
            notes: list[Why] = []
            made = {part: self._versions(part, Path(scratch), notes) for part in self.parts}
            if made and not any(made.values()):
                return unchecked(self.model.name, notes[0].cause, **notes[0].values)  # a missing one leaves one
            train, holdout = made.get("train"), made.get("holdout")
            if train is None and "train" not in made:
                train = self._as_it_is("train", Path(scratch))
            if holdout is None:
                holdout = self._holdout(Path(scratch))
            hidden = is_url(self.judged_as.data.holdout)
            model = self.judged_as
            change = Change(
                model=model.name,
                task=model.task,
                data=model.data,
                train=self._with_profile(train),
                holdout=self._with_profile(holdout),
                hidden=hidden,
                notes=tuple(notes),
            )
            found = check_apart(change)
            lacks = "train" in made and train is None
            return found.model_copy(update={"problem": notes[0], "notes": tuple(notes[1:])}) if lacks else found

    def _with_profile(self, versions: Versions | None) -> Versions | None:
        """The same, with the digest to profile it by. A holdout that judges is that of the tip, which head is then."""
        if versions is None or versions.after.startswith("/dev/"):
            return versions
        return versions.model_copy(update={"profiled": self.unprofiled.get(versions.part)})

    def _versions(self, part: Part, folder: Path, notes: list[Why]) -> Versions | None:
        """Both versions of a file, where they can be had: of a pull request's tree only what git has, as bytes."""
        name, was = _named(self.model, part) or "", _named(self.was, part)
        if is_url(name) or (was and is_url(was)):
            notes.append(Why(cause="url", values={"file": name if is_url(name) else was or ""}))
            return None
        try:
            after = self._brought(self.head, name, folder / f"{part}-after")
            before = None
            if self.base is not None and was is not None:
                before = self._brought(self.base, was, folder / f"{part}-before")
        except (MlbotError, UnfitError) as error:
            why = one_line(str(error).splitlines()[0], 300)
            notes.append(Why(cause="not-here", values={"file": name, "why": why}))
            return None
        if after.is_dir():
            notes.append(Why(cause="folder-rows", values={"file": name}))
        return Versions(part=part, name=name, before=str(before) if before else None, after=str(after))

    def _as_it_is(self, part: Part, folder: Path) -> Versions | None:
        """A file that is as it was, for what is compared with it."""
        name = _named(self.model, part)
        if name is None or is_url(name):
            return None
        with suppress(MlbotError, UnfitError):
            path = self._brought(self.head, name, folder / f"{part}-same")
            return Versions(part=part, name=name, before=None, after=str(path), changed=False)
        return None

    def _holdout(self, folder: Path) -> Versions | None:
        """The rows that judge the model, as the guarded branch has them."""
        name = self.judged_as.data.holdout
        source = self._judging(name)
        if source is None:
            return self._as_it_is("holdout", folder)
        return Versions(part="holdout", name=name, before=None, after=source, changed=False)

    def _judging(self, name: str) -> str | None:
        from mlbot.ml.holdout import HoldoutData

        if self.model.name not in {each.name for each in self.planning.plan.stale}:
            return None
        rule = self.rules.of(self.model.name)
        if rule.problem is not None or not name:
            return None
        if is_url(name):
            holdout = opened(rule)
            self.held.append(holdout)  # its bytes are there as long as it is
            return str(holdout.path) if isinstance(holdout, HoldoutData) else None
        path = rule.folder / name
        return str(path) if path.is_file() and unfetched(path) is None else None

    def _brought(self, side: Side, name: str, place: Path) -> Path:
        bringing = Bringing(
            model=self.model,
            artifact=Brought(url=name),
            side=side,
            repository=self.planning.repository,
            key="data",
            most=MOST_BYTES,
        )
        bringing.bring(place)
        return place


def _named(model: Model | None, part: Part) -> str | None:
    if model is None:
        return None
    return (model.data.train if part == "train" else model.data.holdout) or None
