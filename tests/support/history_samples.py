"""Entries of releases and deployments, and a repository where all of it happened."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.git_samples import Sandbox, make
from tests.support.ledger_samples import digest, entry

from mlbot.data.sketch import Column, Counts, Profile, Sketch, SketchKind, Tally
from mlbot.data.sketch import ColumnType as SketchedType
from mlbot.events.github import Attempt, RunnerTime
from mlbot.git.ledger import LedgerBranch
from mlbot.git.remote import Remote
from mlbot.git.tags import create_tag
from mlbot.ledger.entries import (
    ApprovalEntry,
    CostEntry,
    DayEntry,
    DeploymentEntry,
    Entry,
    Environment,
    LockEntry,
    LookEntry,
    ProfileEntry,
    ReferenceEntry,
    ReleaseEntry,
    RequestEntry,
    SealedEntry,
    SeedCount,
    SeedsAsked,
    WaiverEntry,
)
from mlbot.lib.version import Version
from mlbot.registry.tags import TagNote, stage_tag, tag_message, version_tag

MODEL = "adult-income"
COMMIT = "4f1c2a9" + "d" * 33
NOW = 1_763_654_400


def release(version: str = "1.0.0", **changes: Any) -> ReleaseEntry:
    fields: dict[str, Any] = {
        "model": MODEL,
        "version": version,
        "commit": COMMIT,
        "key": digest(1),
        "digest": digest(100),
        "attempt": Attempt(run=7),
        "judge": Attempt(run=1007),
        "data": {"data/train.csv": digest(50)},
        "params": {"max_iter": 100, "tree.depth": 3},
        "seed": 0,
        "environment": Environment(python="3.11.7", platform="Linux-x86_64", packages=digest(60), lock=digest(61)),
        "training": digest(70),
        "golden": digest(71),
        "actor": "ada",
        "time": "2026-11-20T16:00:00Z",
    }
    return ReleaseEntry(**(fields | changes))


def deployment(
    sequence: int = 1, version: str = "1.0.0", environment: str = "staging", **changes: Any
) -> DeploymentEntry:
    model = changes.get("model", MODEL)
    fields: dict[str, Any] = {
        "id": f"{model}/{environment}/{sequence}",
        "sequence": sequence,
        "model": model,
        "version": version,
        "digest": digest(100),
        "environment": environment,
        "action": "promotion",
        "state": "succeeded",
        "actor": "ada",
        "time": f"2026-11-20T16:{sequence:02}:00Z",
    }
    return DeploymentEntry(**(fields | changes))


def approval(version: str = "1.0.0", environment: str = "production", **changes: Any) -> ApprovalEntry:
    fields: dict[str, Any] = {
        "model": MODEL,
        "version": version,
        "digest": digest(100),
        "environment": environment,
        "actor": "grace",
        "comment": 41,
        "time": "2026-11-20T16:30:00Z",
    }
    return ApprovalEntry(**(fields | changes))


def lock(sequence: int = 1, environment: str = "production", **changes: Any) -> LockEntry:
    fields: dict[str, Any] = {
        "environment": environment,
        "locked": True,
        "sequence": sequence,
        "actor": "grace",
        "reason": "the holidays",
        "time": "2026-11-20T20:00:00Z",
    }
    return LockEntry(**(fields | changes))


def look(artifact: int = 1, pull_request: int | None = 12, **changes: Any) -> LookEntry:
    """Alice's pull request of the repository 77 shows figures of an artifact on the rows 5."""
    fields: dict[str, Any] = {
        "content": digest(5),
        "artifact": digest(artifact),
        "repository": 77,
        "pull_request": pull_request,
        "head_repository": 78,
        "actor": "alice",
        "model": MODEL,
        "commit": "4f1c2a9" + 33 * "d",
        "branch": "main",
        "attempt": Attempt(run=7),
        "report": digest(9),
        "metrics": ("roc_auc",),
        "time": "2026-11-20T20:00:00Z",
    }
    return LookEntry(**(fields | changes))


def day(date: str = "2026-11-29", **changes: Any) -> DayEntry:
    """What 500 requests of a day in production show."""
    fields: dict[str, Any] = {
        "model": MODEL,
        "environment": "production",
        "version": "1.0.0",
        "date": date,
        "requests": 500,
        "time": "2026-11-30T01:00:00Z",
    }
    return DayEntry(**(fields | changes))


def cost(run: int = 7, **changes: Any) -> CostEntry:
    """An attempt of a pull request took ten minutes of two runners, and its judge two."""
    fields: dict[str, Any] = {
        "attempt": Attempt(run=run),
        "judge": Attempt(run=1000 + run),
        "models": (MODEL,),
        "branch": "main",
        "pull_request": 12,
        "training": (
            RunnerTime(labels=("self-hosted", "gpu"), jobs=1, seconds=540, minutes=9),
            RunnerTime(labels=("ubuntu-latest",), jobs=1, seconds=60, minutes=1),
        ),
        "judging": (RunnerTime(labels=("ubuntu-latest",), jobs=2, seconds=100, minutes=3),),
        "time": "2026-11-20T16:00:00Z",
    }
    return CostEntry(**(fields | changes))


def request(run: int = 7, **changes: Any) -> RequestEntry:
    fields: dict[str, Any] = {
        "attempt": Attempt(run=run, number=2),
        "commit": "4f1c2a9" + 33 * "d",
        "branch": "main",
        "judge": Attempt(run=1000 + run),
        "models": (
            SeedsAsked(
                model=MODEL,
                key="sha256:" + 64 * "1",
                had=SeedCount(candidate=2, baseline=2),
                wanted=SeedCount(candidate=3, baseline=3),
            ),
        ),
        "time": "2026-11-20T20:00:00Z",
    }
    return RequestEntry(**(fields | changes))


def sealed(sequence: int = 1, **changes: Any) -> SealedEntry:
    fields: dict[str, Any] = {
        "model": MODEL,
        "id": f"{sequence}.1",
        "sequence": sequence,
        "state": "pass",
        "version": "1.0.0",
        "digest": digest(100),
        "baseline": None,
        "rules": digest(80),
        "policy": "4f1c2a9" + 33 * "d",
        "actor": "ada",
        "time": "2026-11-20T20:00:00Z",
    }
    return SealedEntry(**(fields | changes))


def sketch() -> Sketch:
    """Of a hundred rows with an age, a town and a label, and of answers to them."""
    return Sketch(
        features=(
            Column(name="age", kind=SketchKind.NUMBER, edges=(30.5, 50.0)),
            Column(name="town", kind=SketchKind.CATEGORY, values=("Bonn", "Köln"), distinct=9),
        ),
        targets=(Column(name="income", kind=SketchKind.CATEGORY, values=("no", "yes"), distinct=2),),
        answers=(Column(name="probability", kind=SketchKind.NUMBER, edges=(0.25,)),),
        looked_at=100,
        counts=Counts(
            rows=100,
            features=(Tally(counts=(30, 40, 28), missing=2), Tally(counts=(50, 40, 10))),
            targets=(Tally(counts=(75, 25, 0)),),
            answers=(Tally(counts=(70, 30)),),
        ),
    )


def reference(version: str = "1.0.0", **changes: Any) -> ReferenceEntry:
    fields: dict[str, Any] = {
        "model": MODEL,
        "version": version,
        "digest": digest(100),
        "sketch": sketch(),
        "time": "2026-11-20T16:00:00Z",
    }
    return ReferenceEntry(**(fields | changes))


def profile(number: int = 50, **changes: Any) -> ProfileEntry:
    """Of the file that the first release was trained on."""
    made = Profile(
        part="train",
        path="data/train.csv",
        digest=digest(number),
        content=digest(1000 + number),
        columns=tuple(
            SketchedType(name=name, type=kind)
            for name, kind in (("age", "number"), ("town", "text"), ("income", "text"))
        ),
        sketch=sketch(),
    )
    fields: dict[str, Any] = {
        "model": MODEL,
        "profile": made,
        "commit": COMMIT,
        "branch": "main",
        "time": "2026-11-18T08:00:00Z",
    }
    return ProfileEntry(**(fields | changes))


def waiver(key: int = 1, **changes: Any) -> WaiverEntry:
    fields: dict[str, Any] = {
        "model": MODEL,
        "key": digest(key),
        "policy": digest(80),
        "gate": "recall@women.min",
        "reason": "known, fixed next week",
        "actor": "grace",
        "pull_request": 12,
        "comment": 40,
        "commit": COMMIT,
        "time": "2026-11-20T15:00:00Z",
    }
    return WaiverEntry(**(fields | changes))


@dataclass(frozen=True)
class Story:
    """A clone whose origin has tags and a ledger."""

    clone: Sandbox
    origin: Path
    commits: tuple[str, ...]

    def tell(self, *entries: Entry) -> None:
        """Add to the ledger at origin."""
        LedgerBranch.at(Remote(url=str(self.origin))).append(entries, NOW)

    def tag(self, name: str, commit: str, version: str = "", when: int = NOW) -> str:
        """Tag at origin, as mlbot does where `version` is given."""
        message = "By hand\n"
        if version:
            bytes_ = digest(200 if version == "1.1.0" else 100)
            message = tag_message(f"Tag {name}", TagNote(version=version, commit=commit, digest=bytes_, actor="ada"))
        return create_tag(self.origin, name, commit, message, when)


def empty(folder: Path) -> Story:
    """Three commits on main, pushed to a bare repository; no tag, no ledger."""
    origin = folder / "origin.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(origin)], check=True)
    clone = make(folder / "clone")
    commits = tuple(clone.commit({"train.py": f"print({number})\n"}, f"Change {number}") for number in range(3))
    clone.git("remote", "add", "origin", str(origin))
    clone.git("push", "--quiet", "--set-upstream", "origin", "main")
    return Story(clone, origin, commits)


def told(folder: Path) -> Story:
    """Two versions released and promoted, one approved, one rolled back, an environment locked; all of it fetched."""
    story = empty(folder)
    first, second, _ = story.commits
    objects = []
    for version, commit, at in (("1.0.0", first, 0), ("1.1.0", second, 3600)):
        objects.append(story.tag(version_tag(MODEL, Version.parse(version)), commit, version, NOW + at))
    for counter, (environment, at, version) in enumerate(_ASSIGNED, 1):
        story.tag(stage_tag(MODEL, environment, counter), story.commits[at], version, NOW + 7200 + counter)
    story.tell(*_entries(story.commits, objects))
    story.clone.git("fetch", "--quiet", "--tags", "origin")
    return story


_ASSIGNED = (
    ("staging", 0, "1.0.0"),
    ("production", 0, "1.0.0"),
    ("staging", 1, "1.1.0"),
    ("production", 1, "1.1.0"),
    ("production", 0, "1.0.0"),
)


def _entries(commits: Sequence[str], objects: Sequence[str]) -> list[Entry]:
    later = {"version": "1.1.0", "digest": digest(200)}
    return [
        profile(commit=commits[0]),
        entry(run=7, commit=commits[0], data={"data/train.csv": digest(50)}),
        entry(run=8, commit=commits[1], key=digest(2), digest=digest(200), data={"data/train.csv": digest(51)}),
        waiver(),
        reference(),
        release("1.0.0", commit=commits[0], tag_object=objects[0], time="2026-11-18T09:00:00Z"),
        release(
            **later,
            data={"data/train.csv": digest(51)},
            commit=commits[1],
            key=digest(2),
            tag_object=objects[1],
            attempt=Attempt(run=8),
            judge=Attempt(run=1008),
            time="2026-11-19T09:00:00Z",
        ),
        deployment(1, state="started", time="2026-11-18T09:04:00Z"),
        deployment(1, time="2026-11-18T09:05:00Z"),
        approval(time="2026-11-18T10:00:00Z"),
        deployment(1, environment="production", time="2026-11-18T10:05:00Z"),
        deployment(2, **later, previous="1.0.0", time="2026-11-19T09:05:00Z"),
        approval(**later, actor="alan", time="2026-11-19T10:00:00Z", comment=42),
        deployment(2, environment="production", **later, previous="1.0.0", time="2026-11-19T10:05:00Z"),
        deployment(
            3,
            environment="production",
            action="rollback",
            previous="1.1.0",
            actor="grace",
            reason="complaints from support",
            time="2026-11-20T08:00:00Z",
        ),
        lock(time="2026-11-20T08:10:00Z"),
    ]
