"""What the ledger says of versions and environments: pure folds over its entries.

The order of the entries given never matters, and neither does a clock: counters decide. Only the question what was live
on a date needs times, and there a time that contradicts the counters is not believed.
"""

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from statistics import mean, variance
from typing import TypeVar

from mlbot.gates.outcome import Outcome
from mlbot.ledger.entries import (
    ApprovalEntry,
    DeploymentEntry,
    Entry,
    LockEntry,
    ProfileEntry,
    ReferenceEntry,
    ReleaseEntry,
    SealedEntry,
    Time,
    VerdictEntry,
    WaiverEntry,
    artifact_of_look,
    folders_of,
    pull_request_shard,
    rows_of,
)
from mlbot.lib.record import Count, Digest, Name, Record, Sha
from mlbot.lib.version import is_prerelease

USABLE = {Outcome.PASS, Outcome.INCONCLUSIVE}
"""Outcomes whose model may be compared with. A first model is inconclusive for want of a baseline, so leaving those
out would leave a repository without one for ever; what failed or could not be evaluated never becomes a baseline."""


class PastSeeds(Record):
    """What past trainings say of the variance between seeds: the fields of `mlbot.stats.SeedHistory`."""

    variance: float  # pooled over recipes, in the metric's units squared
    df: int  # degrees of freedom: the sum over recipes of seeds less one


def verdicts(entries: Iterable[Entry], branch: str | None = None) -> list[VerdictEntry]:
    """The verdicts on a guarded branch (None: on any), oldest first."""
    found = [each for each in entries if isinstance(each, VerdictEntry) and branch in {None, each.branch}]
    return sorted(found, key=lambda entry: entry.order)


def latest_by_key(entries: Iterable[Entry], branch: str | None = None) -> dict[tuple[Name, Digest], VerdictEntry]:
    """The latest verdict on each content key, by model and key: the latest attempt decides."""
    return {(entry.model, entry.key): entry for entry in verdicts(entries, branch)}


def latest_of_commit(entries: Iterable[Entry], commit: Sha, branch: str | None = None) -> dict[Name, VerdictEntry]:
    """The latest verdict on each model of a commit."""
    return {entry.model: entry for entry in verdicts(entries, branch) if entry.commit == commit}


def durations(entries: Iterable[Entry]) -> dict[Name, float]:
    """Seconds that one seed of each model took, when it was last trained and judged on a guarded branch."""
    return {each.model: each.duration_s for each in verdicts(entries) if each.duration_s is not None}


def seed_history(
    entries: Iterable[Entry], model: Name, metric: str, slice_: str | None, holdout: Digest, leave_out: Iterable[Digest]
) -> PastSeeds | None:
    """The variance between seeds of this model's past recipes on the same holdout; None where nothing is known.

    A recipe is a content key. Each counts once, by its latest verdict that has values: the same seeds trained again
    would give the same values, and counting them twice would make the variance look better known than it is. The keys
    to leave out are of the models being judged: their own spread is not history.
    """
    left_out = set(leave_out)
    latest = {
        entry.key: values
        for entry in verdicts(entries)
        if entry.model == model and entry.holdout == holdout and entry.key not in left_out
        for values in (_values(entry, metric, slice_),)
        if len(values) > 1
    }
    df = sum(len(values) - 1 for values in latest.values())
    if not df:
        return None
    pooled = sum(variance(values) * (len(values) - 1) for values in latest.values()) / df
    return PastSeeds(variance=pooled, df=df)


def seed_freedom(entries: Iterable[Entry], model: Name, leave_out: Iterable[Digest]) -> int:
    """How many degrees of freedom the history of seeds has, on the holdout of the model's newest verdict.

    Of the metric that has the most: one that was added lately is no reason to train as if nothing was known.
    """
    own, left_out = [each for each in verdicts(entries) if each.model == model and each.holdout], set(leave_out)
    holdout = own[-1].holdout if own else None
    if holdout is None:
        return 0
    metrics = {each.metric for entry in own for each in entry.values}
    found = (seed_history(own, model, metric, None, holdout, left_out) for metric in metrics)
    return max((each.df for each in found if each is not None), default=0)


def metric_history(entries: Iterable[Entry], model: Name, metric: str, holdout: Digest) -> tuple[float, ...]:
    """What the metric came to on all rows for the file that ships, commit by commit, oldest first."""
    found = [
        values[0]
        for entry in verdicts(entries)
        if entry.model == model and entry.holdout == holdout and entry.outcome in USABLE
        for values in (_values(entry, metric, None),)
        if values
    ]
    return tuple(found)


class ReleasedValue(Record):
    """What a metric came to for a released model: the mean over its seeds."""

    version: str
    digest: Digest
    value: float


def best_release(
    entries: Iterable[Entry], model: Name, subject: tuple[str, str | None], holdout: Digest, *, worse: int
) -> ReleasedValue | None:
    """The release with the best value of a metric on a slice, of those that were judged on this very holdout.

    `worse` is `Direction.worse`. It is known from the ledger's figures alone, so nothing is scored for it.
    """
    known = [*entries]
    versions = {(each.key, each.digest): each.version for each in final_releases(known, model)}
    if not versions:
        return None
    found = [
        ReleasedValue(version=version, digest=entry.digest, value=mean(values))
        for entry in verdicts(known)
        if entry.model == model and entry.holdout == holdout and entry.digest is not None
        for version in (versions.get((entry.key, entry.digest)),)
        for values in (_values(entry, *subject),)
        if version is not None and values
    ]
    return min(found, key=lambda each: worse * each.value, default=None)


def _values(entry: VerdictEntry, metric: str, slice_: str | None) -> Sequence[float]:
    """One value a seed; none at all when a seed has none, for the rest would not be a fair sample."""
    of = next((each.values for each in entry.values if each.metric == metric and each.slice == slice_), ())
    known = [value for value in of if value is not None]
    return known if len(known) == len(of) else ()


_E = TypeVar(
    "_E",
    VerdictEntry,
    WaiverEntry,
    ReleaseEntry,
    DeploymentEntry,
    ApprovalEntry,
    LockEntry,
    SealedEntry,
    ReferenceEntry,
    ProfileEntry,
)


def releases(entries: Iterable[Entry], model: Name | None = None) -> tuple[ReleaseEntry, ...]:
    """The versions of a model (None: of all), oldest first; of a version only what was released first.

    A version is never released again with other bytes; where somebody wrote such an entry all the same, it is not
    believed.
    """
    first: dict[tuple[Name, str], ReleaseEntry] = {}
    for entry in _sorted(entries, ReleaseEntry):
        if model in {None, entry.model}:
            first.setdefault((entry.model, entry.version), entry)
    return tuple(first.values())


def final_releases(entries: Iterable[Entry], model: Name) -> tuple[ReleaseEntry, ...]:
    """The versions of a model that are no pre-releases, oldest first.

    These alone are what later models are held up against: each pre-release on the way would bring that nearer, and what
    was lost before it would be forgotten.
    """
    return tuple(each for each in releases(entries, model) if not is_prerelease(each.version))


def release_of(entries: Iterable[Entry], model: Name, version: str) -> ReleaseEntry | None:
    """A version of a model, if it was released."""
    return next((each for each in releases(entries, model) if each.version == version), None)


def reference_of(entries: Iterable[Entry], release: ReleaseEntry) -> ReferenceEntry | None:
    """What a version's holdout looked like; None where nobody recorded it of these very bytes."""
    named = (release.model, release.version, release.digest)
    found = _sorted(entries, ReferenceEntry)
    return next((each for each in found if (each.model, each.version, each.digest) == named), None)


def deployments(
    entries: Iterable[Entry], model: Name | None = None, environment: Name | None = None
) -> tuple[DeploymentEntry, ...]:
    """Each deployment once, with what came of it, oldest first: by model and environment, then by their counter."""
    last = {
        (entry.model, entry.environment, entry.sequence): entry
        for entry in _sorted(entries, DeploymentEntry)
        if model in {None, entry.model} and environment in {None, entry.environment}
    }
    return tuple(last[place] for place in sorted(last))


def live(entries: Iterable[Entry], environment: Name, model: Name) -> DeploymentEntry | None:
    """What is in an environment: the last deployment that succeeded; None before the first."""
    found = [each for each in deployments(entries, model, environment) if each.state == "succeeded"]
    return found[-1] if found else None


def unfinished(entries: Iterable[Entry], environment: Name, model: Name | None = None) -> tuple[DeploymentEntry, ...]:
    """The deployments into an environment that started and did not say how they ended."""
    return tuple(each for each in deployments(entries, model, environment) if each.state == "started")


def live_on(entries: Iterable[Entry], moment: Time) -> tuple[DeploymentEntry, ...]:
    """What was live in each environment at a moment, by model and environment."""
    places: dict[tuple[Name, Name], list[DeploymentEntry]] = {}
    for entry in deployments(entries):
        if entry.state == "succeeded":
            places.setdefault((entry.model, entry.environment), []).append(entry)
    found = []
    for row in places.values():
        until = sum(time <= moment for time in believable([each.time for each in row]))
        found += row[until - 1 : until] if until else []
    return tuple(found)


def believable(times: Sequence[Time]) -> tuple[Time, ...]:
    """Times in the order of their counters, those of clocks that went wrong replaced.

    The longest row of times that never goes back is believed; any other becomes that of the believed one before it, or
    after it where there is none. So one machine that lives in 2099 or 1970 changes no other's history.
    """
    tails: list[Time] = []
    lengths = []
    for time in times:
        at = bisect_right(tails, time)
        tails[at : at + 1] = [time]
        lengths.append(at + 1)
    wanted = len(tails)
    believed: set[int] = set()
    upper: Time | None = None
    for index in reversed(range(len(times))):
        if lengths[index] == wanted and (upper is None or times[index] <= upper):
            believed.add(index)
            wanted, upper = wanted - 1, times[index]
    fixed: list[Time] = []
    for index, time in enumerate(times):
        fixed.append(time if index in believed else fixed[-1] if fixed else times[min(believed)])
    return tuple(fixed)


def approvals(entries: Iterable[Entry], model: Name, version: str, environment: Name) -> tuple[ApprovalEntry, ...]:
    """Who approved a version for an environment: each person once for the same bytes, by their first word."""
    first: dict[tuple[str, Digest], ApprovalEntry] = {}
    for entry in _sorted(entries, ApprovalEntry):
        if (entry.model, entry.version, entry.environment) == (model, version, environment):
            first.setdefault((entry.actor.lower(), entry.digest), entry)
    return tuple(first.values())


def waivers(
    entries: Iterable[Entry], model: Name, key: Digest, policy: Digest | None = None
) -> tuple[WaiverEntry, ...]:
    """The waivers for a content of a model; with `policy`, only those given under these very rules."""
    return tuple(
        entry
        for entry in _sorted(entries, WaiverEntry)
        if (entry.model, entry.key) == (model, key) and policy in {None, entry.policy}
    )


def sealed_looks(entries: Iterable[Entry], model: Name | None = None) -> tuple[SealedEntry, ...]:
    """Each look at sealed rows once, a model's or all, with what came of it; of each model oldest first."""
    asked = (entry for entry in _sorted(entries, SealedEntry) if model in {None, entry.model})
    last = {(entry.model, entry.id): entry for entry in asked}
    return tuple(sorted(last.values(), key=lambda each: each.order))


def did_not_pass(look: SealedEntry) -> bool:
    """Whether a look counts against its rows: without an answer too, for that may have been seen before it was lost."""
    return look.state in {"asked", "not-shown"} and look.replays is None


def not_passed(looks: Sequence[SealedEntry], model: Name, elsewhere: Collection[Name] = frozenset()) -> int:
    """How many looks at a model's newest rows did not pass, whatever their model is called, as far as that shows.

    Without the key only equal rows are seen to be the same. One without an answer counts, but for those of `elsewhere`,
    the models whose sealed rows have another address.
    """
    answers = [each for each in looks if each.content is not None and each.model not in elsewhere]
    newest = max(answers, key=lambda each: (each.model == model, each.time, each.order), default=None)
    contents = {newest.content} if newest else set()
    return sum(
        did_not_pass(each) and (each.model not in elsewhere if each.content is None else each.content in contents)
        for each in looks
    )


def locks(entries: Iterable[Entry], environment: Name | None = None) -> tuple[LockEntry, ...]:
    """Every lock and unlock, oldest first: by environment, then by its counter."""
    found = [each for each in _sorted(entries, LockEntry) if environment in {None, each.environment}]
    return tuple(sorted(found, key=lambda each: each.environment))


def locked(entries: Iterable[Entry], environment: Name) -> LockEntry | None:
    """The lock that closes an environment; None when it is open."""
    found = locks(entries, environment)
    return found[-1] if found and found[-1].locked else None


def _sorted(entries: Iterable[Entry], kind: type[_E]) -> list[_E]:
    """The entries of a kind, oldest first; where counters are equal, whatever order they came in, always the same."""
    found = [each for each in entries if isinstance(each, kind)]
    return sorted(found, key=lambda each: (each.order, each.model_dump_json()))


class Looks(Record):
    """How many artifacts' figures on these rows were reported; what is reported now counts already."""

    content: Digest  # of the holdout's rows, however they are written
    every: Count  # over all branches, pull requests, forks and trials
    pull_request: Count | None = None  # in this pull request; None: the report is of none
    pull_requests: Count = 0  # in how many pull requests they were, this one too; 0 in older reports
    of_pull_requests: Count = 0  # in all of these, without what pushes and laptops alone reported


_LOOK = (
    r"((?:0|[1-9][0-9]{0,18})\.(?:0|[1-9][0-9]{0,18}))/([0-9a-f]{16})\.json"  # pull request and repository, artifact
)


def look_folder(content: Digest) -> str:
    """The folder of the looks at a holdout."""
    return folders_of("look", rows_of(content))[0]


def count_looks(
    paths: Iterable[str], content: Digest, artifacts: Iterable[Digest], pull_request: tuple[int, int] | None = None
) -> Looks:
    """The looks at a holdout, by the paths of the ledger's files alone, and those artifacts that are reported now.

    `pull_request` is its number and the repository's. What is in the folder and is no look is not counted; an artifact
    that several pull requests reported counts once.
    """
    folder, own = look_folder(content), {artifact_of_look(each) for each in artifacts}
    # In one search: there may be a hundred thousand. No path of git's has a NUL.
    looks = re.findall(f"\0{re.escape(folder)}{_LOOK}(?=\0)", "\0".join(("", *paths, "")))
    mine = pull_request_shard(*pull_request) if pull_request else None
    pulls = {(shard, artifact) for shard, artifact in looks if not shard.startswith("0.")}
    pulls |= {(mine, artifact) for artifact in own} if mine else set()
    return Looks(
        content=content,
        every=len({artifact for _, artifact in looks} | own),
        pull_request=len({artifact for shard, artifact in looks if shard == mine} | own) if mine else None,
        pull_requests=len({shard for shard, _ in pulls} | ({mine} if mine else set())),
        of_pull_requests=len({artifact for _, artifact in pulls}),
    )
