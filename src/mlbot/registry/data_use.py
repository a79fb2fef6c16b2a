"""What used a data file: which verdicts and versions rest on its content, and where those were live.

A lineage names the data of a training by a digest of path and content as git has them; a holdout is named by sha256 of
its bytes. A profile knows both, so that a file is found by either, and under another path.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from mlbot.events.github import Attempt
from mlbot.gates.outcome import Outcome
from mlbot.ledger.entries import DeploymentEntry, Entry, ProfileEntry, ReleaseEntry, Time, VerdictEntry
from mlbot.ledger.queries import believable, deployments, releases, verdicts
from mlbot.lib.record import Count, Digest, Name, Record, Sha

Part = Literal["train", "holdout"]


class Stay(Record):
    """How long a version was in an environment."""

    environment: Name
    since: Time
    until: Time | None = None  # None: it is there now


class DataVerdict(Record):
    """A verdict on a model that was trained on the file, or judged on it."""

    model: Name
    part: Part
    path: str | None = None  # where the file was; None of a holdout whose path nobody recorded
    commit: Sha
    branch: str
    outcome: Outcome
    digest: Digest | None  # of the file that ships
    attempt: Attempt
    judge: Attempt
    time: Time
    versions: tuple[str, ...] = ()  # that were released of it


class DataVersion(Record):
    """A version that was trained on the file, or judged on it."""

    model: Name
    version: str  # with its `v`
    part: Part
    digest: Digest
    released: Time
    stays: tuple[Stay, ...] = ()  # oldest first


class PathContent(Record):
    """What a path once held."""

    digest: Digest
    part: Part = "train"
    first: Time  # of the verdicts with it
    last: Time
    verdicts: Count
    versions: tuple[str, ...] = ()  # `MODEL@VERSION`
    now: bool = False  # whether the working tree has it


class DataUse(Record):
    """What used a data file."""

    schema_version: Literal["mlbot/datause@1"] = "mlbot/datause@1"
    asked: str
    path: str | None = None  # where it was asked for by its path
    in_working_tree: bool | None = None  # None where it was asked for by its digest
    digests: tuple[Digest, ...] = ()  # that stand for the content
    paths: tuple[str, ...] = ()  # where lineages and profiles have it
    profiles: tuple[ProfileEntry, ...] = ()
    verdicts: tuple[DataVerdict, ...] = ()  # oldest first
    versions: tuple[DataVersion, ...] = ()
    history: tuple[PathContent, ...] = ()  # of the path, oldest first
    silent: Count = 0  # verdicts of which nobody knows the data: an earlier mlbot wrote them
    every: Count = 0  # verdicts in all
    problems: tuple[str, ...] = ()  # files of the ledger that are not believed


@dataclass(frozen=True, kw_only=True)
class DataIndex:
    """The ledger's entries by the data that they are about; each question goes over them a few times, and no more."""

    entries: Sequence[Entry]

    @cached_property
    def verdicts(self) -> Sequence[VerdictEntry]:
        """Every verdict, oldest first."""
        return verdicts(self.entries)

    @cached_property
    def releases(self) -> Sequence[ReleaseEntry]:
        """Every version."""
        return releases(self.entries)

    @cached_property
    def profiles(self) -> Sequence[ProfileEntry]:
        """Every profile."""
        return [each for each in self.entries if isinstance(each, ProfileEntry)]

    @cached_property
    def by_key(self) -> Mapping[tuple[Name, Digest], Mapping[str, Digest]]:
        """The data of a content key, which has their digests in it: so a release tells of verdicts that do not."""
        released = {(each.model, each.key): each.data for each in self.releases if each.training or each.data}
        return released | {(each.model, each.key): each.data for each in self.verdicts if each.data is not None}

    def data_of(self, verdict: VerdictEntry) -> Mapping[str, Digest] | None:
        """What the file that ships was trained on; None where nobody knows."""
        return self.by_key.get((verdict.model, verdict.key))

    @cached_property
    def paths(self) -> Mapping[str, frozenset[Digest]]:
        """The digests that each path had; of holdouts as far as a profile has their path."""
        found: dict[str, set[Digest]] = {}
        for data in self.by_key.values():
            for path, digest in data.items():
                found.setdefault(path, set()).add(digest)
        for profile in (each.profile for each in self.profiles):
            found.setdefault(profile.path, set()).update(filter(None, (profile.digest, profile.content)))
        return {path: frozenset(digests) for path, digests in found.items()}

    @cached_property
    def known(self) -> frozenset[Digest]:
        """Every digest of a data file."""
        of_holdouts = {each.holdout for each in self.verdicts if each.holdout}
        return frozenset().union(*self.paths.values(), of_holdouts)

    def starting_with(self, digits: str) -> tuple[Digest, ...]:
        """The data digests that start with some hexadecimal digits."""
        return tuple(sorted(each for each in self.known if each.startswith(f"sha256:{digits}")))

    def same(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """All digests that stand for the content of these, as far as profiles know them."""
        found = {*digests}
        profiles = [each.profile for each in self.profiles]
        contents = found | {each.content for each in profiles if each.digest in found and each.content}
        return frozenset(contents | {each.digest for each in profiles if each.content in contents})

    def use(self, asked: str, digests: frozenset[Digest], path: str | None, *, there: bool | None) -> DataUse:
        """What used a content, and what its path once held."""
        wanted = self.same(digests)
        silent = sum(self.data_of(each) is None for each in self.verdicts)
        return DataUse(
            asked=asked,
            path=path,
            in_working_tree=there,
            digests=tuple(sorted(wanted)),
            paths=tuple(sorted(path for path, held in self.paths.items() if held & wanted)),
            profiles=tuple(each for each in self.profiles if each.profile.digest in wanted),
            verdicts=tuple(self._verdicts(wanted)),
            versions=tuple(self._versions(wanted)),
            history=tuple(self._history(path, wanted)) if path else (),
            silent=silent,
            every=len(self.verdicts),
        )

    def _parts(self, verdict: VerdictEntry, wanted: frozenset[Digest]) -> Iterator[tuple[Part, str | None]]:
        """As what the content is in a verdict, and where."""
        data = self.data_of(verdict) or {}
        yield from (("train", path) for path, digest in data.items() if digest in wanted)
        if verdict.holdout in wanted:
            own = (each.profile for each in self.profiles if each.profile.content == verdict.holdout)
            yield "holdout", next((each.path for each in own if each.part == "holdout"), None)

    def _verdicts(self, wanted: frozenset[Digest]) -> Iterator[DataVerdict]:
        for each in self.verdicts:
            for part, path in self._parts(each, wanted):
                yield DataVerdict(
                    part=part,
                    path=path,
                    versions=self._released.get((each.model, each.key, each.digest), ()),
                    **{name: getattr(each, name) for name in _OF_VERDICT},
                )

    @cached_property
    def _released(self) -> Mapping[tuple[Name, Digest, Digest | None], tuple[str, ...]]:
        """The versions of each model's bytes."""
        found: dict[tuple[Name, Digest, Digest | None], tuple[str, ...]] = {}
        for each in self.releases:
            at = (each.model, each.key, each.digest)
            found[at] = (*found.get(at, ()), f"v{each.version}")
        return found

    def _versions(self, wanted: frozenset[Digest]) -> Iterator[DataVersion]:
        judged = {
            (each.model, each.key, each.attempt, each.judge): each.holdout for each in self.verdicts if each.holdout
        }
        stays = stays_of(self.entries)
        for each in self.releases:
            data = each.data or self.by_key.get((each.model, each.key), {})
            parts: list[Part] = ["train"] if wanted & {*data.values()} else []
            parts += ["holdout"] if judged.get((each.model, each.key, each.attempt, each.judge)) in wanted else []
            for part in parts:
                yield DataVersion(
                    model=each.model,
                    version=f"v{each.version}",
                    part=part,
                    digest=each.digest,
                    released=each.time,
                    stays=stays.get((each.model, each.version), ()),
                )

    def _history(self, path: str, wanted: frozenset[Digest]) -> Iterator[PathContent]:
        holdouts = {each.profile.content for each in self.profiles if _is_holdout(each, path)}
        rows: dict[tuple[Digest, Part], list[VerdictEntry]] = {}
        for each in self.verdicts:
            digest = (self.data_of(each) or {}).get(path)
            if digest is not None:
                rows.setdefault((digest, "train"), []).append(each)
            if each.holdout in holdouts and each.holdout is not None:
                rows.setdefault((each.holdout, "holdout"), []).append(each)
        for (digest, part), row in rows.items():
            names = (
                f"{each.model}@{version}"
                for each in row
                for version in self._released.get((each.model, each.key, each.digest), ())
            )
            yield PathContent(
                digest=digest,
                part=part,
                first=min(each.time for each in row),
                last=max(each.time for each in row),
                verdicts=len(row),
                versions=tuple(dict.fromkeys(names)),
                now=digest in wanted,
            )


_OF_VERDICT = ("model", "commit", "branch", "outcome", "digest", "attempt", "judge", "time")


def _is_holdout(entry: ProfileEntry, path: str) -> bool:
    return entry.profile.part == "holdout" and entry.profile.path == path


def stays_of(entries: Iterable[Entry]) -> Mapping[tuple[Name, str], tuple[Stay, ...]]:
    """How long each version of a model was in each environment, by what was put there after it."""
    places: dict[tuple[Name, Name], list[DeploymentEntry]] = {}
    for each in deployments(entries):
        if each.state == "succeeded":
            places.setdefault((each.model, each.environment), []).append(each)
    found: dict[tuple[Name, str], list[Stay]] = {}
    for (model, environment), row in places.items():
        times = believable([each.time for each in row])
        starts = [at for at, each in enumerate(row) if at == 0 or row[at - 1].version != each.version]
        for start, end in zip(starts, [*starts[1:], None], strict=True):
            stay = Stay(environment=environment, since=times[start], until=None if end is None else times[end])
            found.setdefault((model, row[start].version), []).append(stay)
    return {at: tuple(stays) for at, stays in found.items()}
