"""What a judge reads of the ledger: the models that may be judged, not the rest of twenty thousand entries."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support import tiny
from tests.support.git_samples import Sandbox, make
from tests.support.history_samples import approval, deployment, release, waiver
from tests.support.ledger_samples import digest, entry
from tests.support.reruns_samples import request

from mlbot.console import Console
from mlbot.events.github import Attempt
from mlbot.git.ledger import LedgerBranch
from mlbot.git.remote import Remote
from mlbot.github.job import Job, Runner
from mlbot.judging.run_ci import CIOptions, CIRun
from mlbot.judging.run_hosted import Assignment, assign
from mlbot.ledger.entries import Entry
from mlbot.protocol.answer import Reruns
from mlbot.protocol.decision import Judge, MergeGroupSubject, PushSubject, Subject

pytestmark = pytest.mark.usefixtures("git_settings")

NAMES = ("tiny", "other", "third")
NOW = 1_763_654_400


def config(names: Sequence[str]) -> str:
    """The tiny model under several names, each with parameters of its own."""
    head, body = tiny.CONFIG.split("  tiny:\n")
    return head + "".join(f"  {name}:\n{body.replace('params.yaml', f'{name}.yaml')}" for name in names)


def files(**offsets: int) -> dict[str, str]:
    """A repository of the three models."""
    given = {name: tiny.params(offset=offsets.get(name, 0))["params.yaml"] for name in NAMES}
    there = {path: text for path, text in tiny.files().items() if path != "params.yaml"}
    return {**there, "mlbot.yaml": config(NAMES), **{f"{name}.yaml": text for name, text in given.items()}}


@dataclass(frozen=True)
class Place:
    """A clone of a repository elsewhere, whose ledger knows of all models."""

    clone: Sandbox
    remote: Remote
    run: CIRun

    def tell(self, *entries: Entry) -> None:
        """Write to the ledger."""
        LedgerBranch.at(self.remote).append(entries, NOW)

    def push(self, offsets: dict[str, int], branch: str) -> str:
        """A commit on a branch of the remote."""
        commit = self.clone.commit(files(**offsets))
        self.clone.git("push", "--quiet", "origin", f"{commit}:refs/heads/{branch}")
        return commit

    def assign(self, subject: Subject, reruns: Reruns | None = None, attempt: int = 1) -> Assignment:
        """What is to be judged."""
        decision = Judge(subject=subject, attempt=Attempt(run=7, number=attempt), reruns=reruns or Reruns())
        return assign(self.run, decision)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    bare = tmp_path / "acme" / "models.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(bare)], check=True)
    subprocess.run(["git", "config", "uploadpack.allowFilter", "true"], cwd=bare, check=True)  # as GitHub has it
    clone = make(tmp_path / "clone")
    clone.git("remote", "add", "origin", str(bare))
    job = Job(
        repository="acme/models", event_name="", event_path=None, run=Attempt(run=8), server_url=tmp_path.as_uri()
    )
    options = CIOptions(directory=clone.path, run=7)
    run = CIRun(job=job, runner=Runner(), options=options, console=Console(quiet=True))
    made = Place(clone=clone, remote=run.remote, run=run)
    made.push({}, "main")
    for name in (*NAMES, "gone"):
        made.tell(entry(model=name), deployment(model=name), release(model=name), approval(model=name))
        made.tell(waiver(model=name))
    return made


def known(assignment: Assignment) -> tuple[set[str], set[str], set[str]]:
    """The models of the verdicts, the deployments and the waivers that were read."""
    return (
        {each.model for each in assignment.entries},
        {each.model for each in assignment.deployments},
        {each.model for each in assignment.waivers},
    )


EVERY_WAIVER = {*NAMES, "gone"}


def test_a_change_reads_of_the_ledger_what_is_known_of_the_stale_models_and_every_waiver(place: Place) -> None:
    head = place.push({"tiny": 1}, "change")
    found = place.assign(MergeGroupSubject(sha=head, branch="main"))
    assert [each.name for each in found.plan.stale] == ["tiny"]
    assert known(found) == ({"tiny"}, {"tiny"}, EVERY_WAIVER)
    assert (found.entries, found.deployments) == ((entry(model="tiny"),), (deployment(model="tiny"),))


def test_a_model_that_somebody_asked_for_is_read_too(place: Place) -> None:
    head = place.push({"tiny": 1}, "change")
    found = place.assign(MergeGroupSubject(sha=head, branch="main"), Reruns(requests=(request(2, "other"),)), 2)
    assert known(found) == ({"tiny", "other"}, {"tiny", "other"}, EVERY_WAIVER)


def test_a_trial_reads_its_own_model(place: Place) -> None:
    head = place.push({"tiny": 1}, "change")
    trial = Reruns(requests=(request(2, "third", offset=5),))
    found = place.assign(MergeGroupSubject(sha=head, branch="main"), trial, 2)
    assert known(found) == ({"third"}, {"third"}, EVERY_WAIVER)


def test_a_push_reads_every_model_of_head_since_the_ledger_says_what_is_done(place: Place) -> None:
    head = place.push({"tiny": 1}, "main")
    before = place.assign(PushSubject(sha=head, branch="main"))
    keys = {each.name: each.key for each in before.plan.models}
    assert {each.name for each in before.plan.stale} == set(NAMES)
    place.tell(entry(run=9, model="other", key=keys["other"]), entry(run=9, model="gone", key=keys["third"]))
    found = place.assign(PushSubject(sha=head, branch="main"))
    assert {each.name for each in found.plan.stale} == {"tiny", "third"}
    assert known(found) == (set(NAMES), set(NAMES), EVERY_WAIVER)


def test_a_judged_baseline_of_a_stale_model_is_not_trained_again(place: Place) -> None:
    head = place.push({"tiny": 1}, "change")
    subject = MergeGroupSubject(sha=head, branch="main")
    (stale,) = place.assign(subject).baselines
    assert stale.base_key not in {None, digest(1)}
    place.tell(entry(run=9, model="tiny", key=stale.base_key))
    assert place.assign(subject).baselines == ()
