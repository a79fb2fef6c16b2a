"""The trusted side, on artifacts from strangers and an API that fails: nothing passes that should not."""

import copy
import json
import os
import pickle
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.e2e import user
from tests.fake_github import ops_actions
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Status
from tests.support import hosted, tiny
from tests.support.hosted import Stage, archive, of_seed, trained
from tests.support.onnx_samples import columns

from mlbot.console import Console
from mlbot.errors import Exit
from mlbot.events.github import Attempt
from mlbot.git.ledger import LedgerBranch
from mlbot.git.remote import Remote
from mlbot.github.transport import Answer, Request, Transport
from mlbot.judging.run_ci import CIOptions, CIRun
from mlbot.judging.run_files import Intake
from mlbot.lib.constants import TRAIN_PATH
from mlbot.lib.record import digest
from mlbot.publish import run_publish
from mlbot.setup import scaffold

pytestmark = pytest.mark.usefixtures("git_settings")


@pytest.fixture
def stage(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path) -> Stage:
    """A pull request beside a judged model of main."""
    stage = Stage.opened(github, tmp_path, monkeypatch, tiny.params(offset=1000))
    stage.judge_main(good)
    return stage


def judged(stage: Stage, candidate: Path) -> None:
    """Both seeds uploaded, judged and published."""
    for seed in (0, 1):
        stage.upload(seed, trained(candidate, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    assert stage.publish() == Exit.OK


def test_a_first_seed_that_is_fine_beside_a_second_that_is_missing_is_an_error(stage: Stage, good: Path) -> None:
    stage.upload(0, trained(good, 0))
    stage.finish()
    assert stage.judge() == Exit.OK
    assert stage.publish() == Exit.OK
    assert stage.status[0] == "error"
    assert "seed 1" in stage.status[1].lower()


def test_the_token_is_gone_from_the_environment_once_it_is_read(stage: Stage) -> None:
    stage.finish()
    assert stage.judge() == Exit.OK
    assert not {name for name, value in os.environ.items() if value.startswith("ghs_")}


def test_a_run_that_succeeded_with_nothing_is_an_error(stage: Stage) -> None:
    stage.finish()
    assert stage.judge() == Exit.OK
    assert stage.publish() == Exit.OK
    assert stage.status[0] == "error"
    assert stage.report["verdict"]["reason"] == "model-missing"


FILE, LINEAGE = "tiny/0/model.onnx", "tiny/0/training.json"


def link(files: dict[str, bytes]) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        entry = zipfile.ZipInfo(FILE)
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(entry, "/etc/passwd")
        opened.writestr(LINEAGE, files[LINEAGE])
    return packed.getvalue()


def twice(files: dict[str, bytes]) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        opened.writestr(FILE, files[FILE])
        opened.writestr(LINEAGE, files[LINEAGE])
        with pytest.warns(UserWarning, match="Duplicate"):
            opened.writestr(FILE, files[FILE])
    return packed.getvalue()


def moved(path: str) -> Callable[[dict[str, bytes]], bytes]:
    """An archive whose model file has another name."""
    return lambda files: archive({path: files[FILE], LINEAGE: files[LINEAGE]})


def told(change: Callable[[dict[str, Any]], str]) -> Callable[[dict[str, bytes]], bytes]:
    """An archive whose training.json is as `change` makes it."""
    return lambda files: archive({**files, LINEAGE: change(json.loads(files[LINEAGE])).encode()})


HOSTILE: dict[str, tuple[str, Callable[[dict[str, bytes]], bytes]]] = {
    "a wrong name": ("model-refused", moved("tiny/0/model.pkl")),
    "no lineage": ("model-refused", lambda files: archive({FILE: files[FILE]})),
    "another folder": ("model-refused", moved("tiny/00/model.onnx")),
    "a traversal": ("model-refused", moved("tiny/0/../../../model.onnx")),
    "an absolute path": ("model-refused", moved("/tiny/0/model.onnx")),
    "a back slash": ("model-refused", moved("tiny\\0\\model.onnx")),
    "as an older mlbot": ("model-missing", lambda files: archive({"model.onnx": files[FILE]})),
    "a link": ("model-refused", link),
    "a duplicate": ("model-refused", twice),
    "a bomb": ("model-refused", lambda files: archive({**files, LINEAGE: b"0" * 50_000_000})),
    "no archive": ("model-refused", lambda _files: b"\x00" * 1000),
    "an empty archive": ("model-missing", lambda _files: archive({})),
    "a pickle named onnx": ("model-refused", lambda files: archive({**files, FILE: pickle.dumps({"a": 1})})),
    "an empty model": ("model-refused", lambda files: archive({**files, FILE: b""})),
    "half a model": ("model-refused", lambda files: archive({**files, FILE: files[FILE][:100]})),
    "NaN": ("model-refused", told(lambda record: json.dumps(record | {"duration_s": float("nan")}))),
    "seconds without end": ("model-refused", told(lambda record: json.dumps(record | {"duration_s": 1e308}))),
    "a duplicate key": ("model-refused", told(lambda record: json.dumps(record)[:-1] + ', "seed": 0}')),
    "depth": ("model-refused", told(lambda _record: "[" * 10_000 + "]" * 10_000)),
    "a wrong type": ("model-refused", told(lambda record: json.dumps(record | {"seed": True}))),
    "an unknown field": ("model-refused", told(lambda record: json.dumps(record | {"admin": 1}))),
    "another pull request's number": ("model-refused", told(lambda record: json.dumps(record | {"pull_request": 1}))),
    "another model's": ("model-refused", told(lambda record: json.dumps(record | {"model": "other"}))),
    "another seed's": ("model-refused", told(lambda record: json.dumps(record | {"seed": 1}))),
}


def own(stage: Stage, folder: Path) -> dict[str, bytes]:
    """What the change's own training leaves of seed 0."""
    files = trained(folder, 0)
    return of_seed(0, files | {"training.json": stage.of_this_change(files["training.json"], {})})


READ_LATER = {"a pickle named onnx", "an empty model", "half a model"}
"""What only the scoring process looks into."""


def test_what_is_not_as_it_has_to_be_is_taken_for_no_model(
    github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path
) -> None:
    stage = Stage.opened(github, tmp_path, monkeypatch, tiny.params(offset=1000))
    files = own(stage, good)
    stage.run.attempts = [copy.copy(stage.run.latest) for _ in HOSTILE]
    for number, (_, change) in enumerate(HOSTILE.values(), start=1):
        attempt = stage.run.attempts[number - 1]
        attempt.number, attempt.failed_only = number, number > 1  # so that those before leave theirs
        name = f"mlbot-candidate-tiny+s0-a{number}"
        ops_actions.upload(github.world, stage.run, number, name, change(files))
    for name, value in stage.environment("judge", hosted.READS).items():
        monkeypatch.setenv(name, value)
    options = CIOptions(directory=tmp_path / "checkout", run=stage.run.id)
    job = CIRun.of(options, dict(os.environ), Console(quiet=True))
    model: Any = SimpleNamespace(name="tiny", seeds=1)
    for number, (name, (reason, _)) in enumerate(HOSTILE.items(), start=1):
        asked, folder = Attempt(run=stage.run.id, number=number), tmp_path / f"taken-{number}"
        intake = Intake(run=job, attempt=asked, folder=folder, wanted={"tiny": 1})
        (found,) = intake.seeds(model, [0], alone=True).runs
        assert isinstance(found.file, Path) is (name in READ_LATER), name
        assert isinstance(found.file, Path) or found.file.reason == reason, name
        assert not (tmp_path / "model.onnx").exists()


BY_DAY = ("a traversal", "no archive", "a pickle named onnx", "NaN")


@pytest.mark.parametrize(
    "name", [each if each in BY_DAY else pytest.param(each, marks=pytest.mark.nightly) for each in HOSTILE]
)
def test_a_hostile_artifact_is_an_error_and_never_echoed(stage: Stage, good: Path, name: str) -> None:
    reason, change = HOSTILE[name]
    stage.upload(0, change(own(stage, good)))
    stage.upload(1, trained(good, 1))
    stage.finish()
    assert stage.judge() == Exit.OK
    assert stage.publish() == Exit.OK
    assert stage.status[0] == "error"
    assert stage.report["verdict"]["reason"] == reason
    assert len(stage.comments) == 1
    assert not any(secret in stage.comments[0] for secret in ("admin", "/etc/passwd", ".pkl", "../"))


def test_what_else_is_in_an_artifact_is_neither_read_nor_named(stage: Stage, good: Path) -> None:
    """One job may have trained models that the judge does not ask for."""
    stage.upload(0, archive({"evil.sh": b"x", "../evil.sh": b"x", "other/0/model.onnx": b"x", **own(stage, good)}))
    stage.upload(1, trained(good, 1))
    stage.settle(None)
    assert stage.report["models"][0]["candidate"][0]["digest"] == digest(own(stage, good)[FILE])
    assert "evil.sh" not in stage.comments[0]


def test_the_artifact_called_after_a_model_is_looked_into_first(stage: Stage, good: Path, bad: Path) -> None:
    forged = archive(own(stage, bad))
    ops_actions.upload(stage.github.world, stage.run, 1, "mlbot-candidate-aaa-a1", forged)
    stage.settle(good)
    assert stage.report["models"][0]["candidate"][0]["digest"] == digest(own(stage, good)[FILE])


def test_an_artifact_that_two_pages_list_is_one(stage: Stage, good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = Transport.pages

    def overlapping(self: Transport, request: Request, key: str | None = None) -> Iterator[object]:
        found = list(listed(self, request, key))
        return iter([*found, *found[-2:]] if key == "artifacts" else found)

    monkeypatch.setattr(Transport, "pages", overlapping)
    judged(stage, good)
    assert stage.status[0] == "success"


def test_a_workflow_that_merely_has_the_name_is_left_alone(stage: Stage, good: Path) -> None:
    stage.run.workflow.path = ".github/workflows/forged.yml"
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    assert stage.publish() == Exit.OK
    assert stage.comments == []
    assert stage.statuses == {"mlbot": "pending"}, "nothing of mlbot's has run on this head"


def test_a_head_that_moved_between_judging_and_writing_gets_nothing(stage: Stage, good: Path) -> None:
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    old = user.head(stage.pull)
    stage.github.user("alice").push("change", {"note.txt": "A later commit."})
    assert stage.publish() == Exit.OK
    assert stage.comments == []
    assert stage.statuses == {"mlbot": "pending"}, "nothing of mlbot's has run on it yet"
    assert [state for state, _ in user.statuses(stage.models, old)] in ([], ["success"])


def test_a_judge_that_left_nothing_is_an_error(stage: Stage) -> None:
    stage.finish()
    (stage.folder / "judged" / "report").mkdir(parents=True)
    assert stage.publish() == Exit.OK
    assert stage.status[0] == "error"


@pytest.mark.parametrize("conclusion", ["cancelled", "timed_out", "stale"])
def test_a_run_that_ended_otherwise_ends_the_status(stage: Stage, conclusion: str) -> None:
    stage.finish(conclusion)
    assert stage.judge() == Exit.OK
    assert stage.publish() == Exit.OK
    assert stage.status[0] == "error"


def test_a_token_that_may_not_write_leaves_the_report_in_the_summary(stage: Stage, good: Path) -> None:
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    assert stage.publish(rights=hosted.READS) == Exit.OK
    assert stage.comments == []
    assert "Ready to merge" in (stage.folder / "summary.md").read_text()


@pytest.mark.parametrize("answer", [500, 502, 429])
def test_an_api_that_fails_once_is_asked_again(stage: Stage, good: Path, answer: int) -> None:
    stage.github.faults.add("POST /repos/acme/models/statuses", answer, retry_after=1 if answer == 429 else None)
    judged(stage, good)
    assert stage.status[0] == "success"
    assert len(stage.comments) == 1


@pytest.mark.parametrize("answer", [404, 422])
def test_a_comment_that_github_refuses_does_not_cost_the_status(stage: Stage, good: Path, answer: int) -> None:
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    stage.github.faults.add(f"POST /repos/acme/models/issues/{stage.pull.number}/comments", answer, times=9)
    assert stage.publish() != Exit.OK
    assert stage.status[0] == "success"


def test_published_again_and_again_there_is_one_comment(stage: Stage, good: Path) -> None:
    judged(stage, good)
    before = len(user.statuses(stage.models, user.head(stage.pull)))
    for _ in range(3):
        assert stage.publish() == Exit.OK
    assert len(stage.comments) == 1
    assert len(user.statuses(stage.models, user.head(stage.pull))) == before


def test_a_comment_and_a_status_cost_at_most_ten_requests(stage: Stage, good: Path) -> None:
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    before = len(stage.github.requests.of("/repos"))
    assert stage.publish() == Exit.OK
    spent = stage.github.requests.of("/repos")[before:]
    assert len([one for one in spent if "/repos" in str(one)]) <= 10, spent


def test_dry_run_prints_and_does_nothing(stage: Stage, good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    capsys.readouterr()
    assert stage.publish("--dry-run") == Exit.OK
    assert "would write the comment" in capsys.readouterr().out
    assert stage.comments == []


def test_fifty_models_cost_no_more(stage: Stage, good: Path) -> None:
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    report = stage.report
    for part in (report, report["verdict"]):
        part["models"] = [part["models"][0] | {"model": f"m{number}"} for number in range(50)]
    for model in report["models"]:
        model["verdict"] = model["verdict"] | {"model": model["model"]}
    stage.rewrite(**{"report.json": json.dumps(report)})
    before = len(stage.github.requests.of("/repos"))
    assert stage.publish() == Exit.OK
    assert len(stage.github.requests.of("/repos")) - before <= 10
    assert "m49" in stage.comments[0]


LENIENT = user.CONFIG[: user.CONFIG.index("    gates:")] + "    gates:\n      size_mb: {max: 100}\n"
GUARDS = "guard: [main, dev]\n"


@pytest.fixture
def strict(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path) -> Stage:
    """A pull request into main whose model lost a feature; the branch dev asks for next to nothing."""
    changed: dict[str, Any] = {"mlbot.yaml": user.CONFIG + GUARDS}
    models = user.repository(github, **changed)
    github.user("boss").push("dev", {"mlbot.yaml": LENIENT + GUARDS})
    github.world.queue.clear()
    github.world.runs.clear()
    stage = Stage.opened(github, tmp_path, monkeypatch, tiny.params(mode="lost"), models)
    known = stage.judge_main(good)
    dev = known.model_copy(update={"branch": "dev", "commit": models.git.commit_of("dev")})
    LedgerBranch.at(Remote(url=github.user("boss").clone_url())).append([dev], 1_800_000_000)
    return stage


def train_all(stage: Stage, candidate: Path) -> None:
    for seed in (0, 1):
        stage.upload(seed, trained(candidate, seed))
    stage.finish()


def settle(stage: Stage) -> None:
    assert stage.judge() == Exit.OK
    assert stage.publish() == Exit.OK


@pytest.mark.parametrize("strict_last", [True, pytest.param(False, marks=pytest.mark.nightly)])
def test_a_head_in_two_pull_requests_is_judged_for_each_and_the_worst_counts(
    strict: Stage, bad: Path, *, strict_last: bool
) -> None:
    """In whichever order the trainings end, and the judges."""
    lenient = strict.beside("dev")
    first, last = (lenient, strict) if strict_last else (strict, lenient)
    train_all(first, bad)
    settle(first)
    assert first.statuses["mlbot"] != "success"
    train_all(last, bad)
    settle(last)
    assert last.statuses == {"mlbot/main": "failure", "mlbot/dev": "success", "mlbot": "failure"}
    assert len(strict.comments) == len(lenient.comments) == 1
    assert "Ready to merge" not in strict.comments[0]
    settle(first)  # again, and late
    assert last.statuses == {"mlbot/main": "failure", "mlbot/dev": "success", "mlbot": "failure"}


def test_a_strangers_pull_request_with_the_same_commit_passes_nobody_elses(strict: Stage, bad: Path) -> None:
    """A fork proposes the very commit for the lenient branch: its files judge its own, and the status is of both."""
    train_all(strict, bad)
    settle(strict)
    assert strict.statuses == {"mlbot/main": "failure", "mlbot": "failure"}
    fork = strict.github.user("mallory", strict.models).fork()
    sha = fork.push("change", onto=user.head(strict.pull))
    assert sha == user.head(strict.pull)
    theirs = strict.beside("dev", fork)
    theirs.pending("mlbot", "mlbot/main", "mlbot/dev")
    train_all(theirs, bad)
    settle(theirs)
    assert theirs.statuses == {"mlbot/main": "failure", "mlbot/dev": "success", "mlbot": "failure"}


def test_one_that_cannot_be_judged_is_an_error_and_costs_no_other_its_verdict(strict: Stage, bad: Path) -> None:
    lenient = strict.beside("dev")
    strict.github.user("boss").push("dev", {"mlbot.yaml": "version: 1\nmodels: [\n"})
    for each in (strict, lenient):
        train_all(each, bad)
    settle(lenient)
    assert lenient.statuses == {"mlbot/main": "failure", "mlbot/dev": "error", "mlbot": "error"}
    (said,) = [each.description or "" for each in strict.models.statuses if each.context == "mlbot"]
    assert said.startswith(f"#{lenient.pull.number}: Could not be judged: mlbot.yaml")


def test_a_success_for_one_branch_is_none_for_another_that_the_head_is_proposed_for_later(
    strict: Stage, bad: Path
) -> None:
    strict.github.user("alice").edit_pull_request(strict.pull, base="dev")
    lenient = replace(strict, run=strict.newest_run(), folder=strict.folder / "retargeted").begun()
    train_all(lenient, bad)
    settle(lenient)
    assert lenient.statuses == {"mlbot/dev": "success", "mlbot": "success"}
    also = strict.beside("main")
    also.pending("mlbot", "mlbot/main", "mlbot/dev")
    assert also.statuses == {"mlbot/dev": "pending", "mlbot/main": "pending", "mlbot": "pending"}
    settle(lenient)  # a late judge of the earlier run
    assert also.statuses["mlbot/main"] != "success"
    assert also.statuses["mlbot"] != "success"


def test_a_closed_pull_request_is_no_part_of_the_worst_and_its_end_trains_nothing(strict: Stage, bad: Path) -> None:
    lenient = strict.beside("dev")
    for each in (strict, lenient):
        train_all(each, bad)
    settle(lenient)
    assert lenient.statuses["mlbot"] == "failure"
    strict.github.user("alice").close(strict.pull)
    end = replace(lenient, run=lenient.newest_run(), folder=strict.folder / "closed").begun()
    assert end.run.id not in {strict.run.id, lenient.run.id}
    end.finish("skipped")
    settle(end)
    assert end.statuses["mlbot"] == end.statuses["mlbot/dev"] == "success"
    assert end.statuses["mlbot/main"] == "failure"


def test_a_pull_request_that_closes_between_judge_and_publisher_does_not_count(strict: Stage, bad: Path) -> None:
    lenient = strict.beside("dev")
    for each in (strict, lenient):
        train_all(each, bad)
    assert lenient.judge() == Exit.OK
    strict.github.user("alice").close(strict.pull)
    assert lenient.publish() == Exit.OK
    assert (lenient.statuses["mlbot"], lenient.statuses["mlbot/dev"]) == ("success", "success")
    assert strict.comments == []


def test_files_that_were_not_left_for_a_pull_request_are_no_verdict_on_it(strict: Stage, bad: Path) -> None:
    """Its own training is under way: it is waited for. It is over: an error."""
    lenient = strict.beside("dev")
    lenient.finish()
    settle(lenient)
    assert set(lenient.statuses.values()) == {"pending"}
    train_all(strict, bad)
    settle(strict)
    assert strict.statuses == {"mlbot/main": "failure", "mlbot/dev": "success", "mlbot": "failure"}


def test_what_came_of_a_push_does_not_hide_what_came_of_proposing_its_branch_for_another(
    github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path
) -> None:
    """A release line that is proposed for the next one: one commit, a run for each, and one status of the pattern."""
    changed: dict[str, Any] = {
        "mlbot.yaml": user.CONFIG + 'guard: ["release/*"]\n',
        TRAIN_PATH: scaffold.train_workflow(guard=["release/*"], install=""),
    }
    models = user.repository(github, **changed)
    boss = github.user("boss")
    boss.push("release/2")
    boss.push("release/1", {"note.txt": "The next release."})
    pull = boss.open_pull_request("release/1", "release/2")
    github.world.runs.clear()
    boss.push("release/1", tiny.params(offset=1000))
    runs = {run.event: run for run in github.world.runs.values()}
    of_pull = Stage(github, models, pull, runs["pull_request"], tmp_path / "proposed", monkeypatch).begun()
    of_pull.finish()
    settle(of_pull)
    assert of_pull.statuses == {"mlbot": "error"}  # it left nothing
    pushed = runs["push"]
    del github.world.runs[pushed.id]
    pushed.id += 100  # GitHub does not say which of the two runs is the newer
    github.world.runs[pushed.id] = pushed
    of_push = replace(of_pull, run=pushed, folder=tmp_path / "pushed", outputs={}).begun()
    of_push.pending()
    train_all(of_push, good)
    settle(of_push)
    assert of_push.statuses == {"mlbot": "error"}
    assert user.ledger(models)


def test_the_plan_trains_what_both_are_compared_with_once(
    strict: Stage, capsys: pytest.CaptureFixture[str], good: Path
) -> None:
    for branch in ("main", "dev"):
        strict.github.user("boss").push(branch, {"train.py": f"{tiny.TRAIN}# today\n"})
    strict.github.world.queue.clear()
    lenient = strict.beside("dev")
    for each in (strict, lenient):
        each.upload(0, trained(good, 0))
        each.finish()
    capsys.readouterr()
    assert lenient.mlbot("plan") == Exit.OK
    lines = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    main = strict.models.git.commit_of("main")
    jobs = json.loads(lines["matrix"])["include"]
    assert (lines["decision"], lines["jobs"], lines["store"]) == ("judge", "1", "false")
    assert [(job["pack"], job["trainings"], job["ref"]) for job in jobs] == [("tiny", '{"tiny": [0, 1]}', main)]


def test_nothing_is_trained_to_compare_with_where_no_candidate_is_there(
    strict: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """The training's plan failed, so every baseline would be trained for nothing."""
    strict.finish("failure")
    capsys.readouterr()
    assert strict.mlbot("plan") == Exit.OK
    assert "jobs=0" in capsys.readouterr().out.splitlines()


def test_a_trial_that_a_closed_pull_request_asked_for_is_one_for_the_others(
    strict: Stage, bad: Path, good: Path
) -> None:
    """Its files are of other parameters than the commit has: they would pass for the commit's own."""
    lenient = strict.beside("dev")
    for each in (strict, lenient):
        train_all(each, bad)
    lenient.retrain("tiny", mode="good")
    train_all(lenient, good)
    strict.github.user("alice").close(lenient.pull)
    end = replace(strict, run=strict.newest_run(), folder=strict.folder / "closed", outputs={}).begun()
    settle(strict)
    assert strict.statuses["mlbot"] == "pending"  # a run of this head is under way
    end.finish("skipped")
    settle(end)
    assert strict.statuses["mlbot/main"] == strict.statuses["mlbot"] == "failure"


def test_nothing_left_for_anybody_is_an_error(strict: Stage) -> None:
    lenient = strict.beside("dev")
    for each in (strict, lenient):
        each.finish()
    settle(lenient)
    assert set(lenient.statuses.values()) == {"error"}


def test_a_head_into_an_unguarded_branch_ends_with_success_and_says_why(
    github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = user.repository(github)
    github.user("boss").push("side")
    stage = Stage.opened(github, tmp_path, monkeypatch, tiny.params(mode="lost"), models)
    github.user("alice").edit_pull_request(stage.pull, base="side")
    stage = replace(stage, run=stage.newest_run(), folder=tmp_path / "side").begun()
    stage.finish()
    settle(stage)
    assert stage.status == (
        "success",
        "Nothing is guarded here: mlbot.yaml does not name the branch that this goes into.",
    )
    assert stage.comments == []


def test_a_fork_that_is_deleted_between_run_and_judge_is_an_error_and_not_silence(
    github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path
) -> None:
    stage = Stage.opened(github, tmp_path, monkeypatch, tiny.params(offset=1000))
    train_all(stage, good)
    pull = stage.pull.pull
    assert pull is not None
    pull.head_repo = None
    settle(stage)
    assert stage.status[0] == "error"
    assert "The repository that this came from is gone" in stage.status[1]


@dataclass
class Moving:
    """Does something right before the nth request of a job; what it wrote after that."""

    nth: int
    move: Callable[[], object]
    seen: int = 0
    writes: list[str] = field(default_factory=list)

    def met(self, request: Request) -> None:
        """Another request is on its way."""
        self.seen += 1
        if self.seen == self.nth:
            self.move()
        if self.seen > self.nth and request.verb != "GET":
            self.writes.append(f"{request.verb} {request.path}")


MOVES: dict[str, Callable[[Stage], object]] = {
    "close": lambda stage: stage.github.user("alice").close(stage.pull),
    "push": lambda stage: stage.github.user("alice").push("change", {"note.txt": "A later commit."}),
    "retarget": lambda stage: stage.github.user("alice").edit_pull_request(stage.pull, base="side"),
}


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize(
    ("job", "nth"),
    [
        *(pytest.param("publish", nth, marks=[] if nth in {1, 6} else pytest.mark.nightly) for nth in range(1, 8)),
        *(pytest.param("judge", nth, marks=[] if nth == 2 else pytest.mark.nightly) for nth in (1, 2, 5)),
    ],
)
def test_a_pull_request_that_moves_between_any_two_requests_gets_no_word_about_what_it_was(
    stage: Stage, good: Path, monkeypatch: pytest.MonkeyPatch, move: str, job: str, nth: int
) -> None:
    """But for a write that was on its way already."""
    monkeypatch.setattr(run_publish, "sweep", lambda _run: None)  # of other heads it may tell
    train_all(stage, good)
    stage.github.user("boss").push("side")
    moving, head = Moving(nth=nth, move=lambda: MOVES[move](stage)), user.head(stage.pull)
    answer = Transport.answer

    def watched(self: Transport, request: Request) -> Answer:
        moving.met(request)
        return answer(self, request)

    if job == "judge":
        monkeypatch.setattr(Transport, "answer", watched)
    assert stage.judge() == Exit.OK
    monkeypatch.setattr(Transport, "answer", watched)
    assert stage.publish() == Exit.OK
    assert moving.seen >= nth, "the job has fewer requests than this"
    said = [text for _, text in user.statuses(stage.models, head)]
    if said and said[-1].startswith("Nothing is guarded here"):  # it went elsewhere before anybody looked
        assert (move, job, len(said)) == ("retarget", "judge", 1)
    else:
        assert moving.writes == []


WIDER = (
    tiny.rows(4000, 2).replace("segment,y\n", "segment,y,x4\n", 1).replace("\n", ",1\n").replace("x4,1\n", "x4\n", 1)
)


LACKED: dict[str, tuple[dict[str, str], str]] = {
    "holdout-schema": ({"data/holdout.csv": WIDER}, "Land the new columns of the holdout first"),
    "model-inputs": ({}, "An input is named as its column"),
}


@pytest.mark.parametrize("reason", LACKED)
def test_an_input_that_the_holdout_lacks(
    github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path, reason: str
) -> None:
    changes, hint = LACKED[reason]
    stage = Stage.opened(github, tmp_path, monkeypatch, changes | tiny.params(offset=1000))
    model = columns({"x1": 1.0, "x4": 1.0}).SerializeToString()
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed) | {"model.onnx": model})
    stage.finish()
    assert stage.judge() == Exit.OK
    assert stage.publish() == Exit.OK
    assert stage.report["verdict"]["reason"] == reason
    state, said = stage.status
    assert state == "error"
    assert said.startswith("Could not be judged: The ONNX model has inputs that are no feature of the holdout: 'x4'.")
    assert hint in stage.comments[0]
    assert "None of 4 gates could be evaluated." in stage.comments[0]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((), ("pending", "Training.")),  # it may be opened again, and its own workflow file then start no run
        (("failure",), ("failure", "As judged.")),
    ],
)
def test_what_the_shell_set_pending_ends_where_nothing_is_judged(
    stage: Stage, before: tuple[str, ...], after: tuple[str, str]
) -> None:
    """It sets the status on every head, and knows no config: here the pull request is closed by now."""
    head, run = user.head(stage.pull), stage.run
    stage.github.user("alice").close(stage.pull)
    stage.finish()
    for state in (*before, "pending"):
        stage.models.statuses.append(
            Status(
                id=len(stage.models.statuses) + 1,
                sha=head,
                state=state,
                context="mlbot",
                description="As judged." if before else "Training.",
                target_url=f"https://x/actions/runs/{run.id}" + (f"#mlbot-{run.id}.1" if state == "pending" else ""),
                creator=stage.github.world.bot,
                created_at="2026-01-01T00:00:00Z",
            )
        )
    assert stage.plan() == Exit.OK
    assert stage.outputs["decision"] == "finish"
    assert stage.publish() == Exit.OK
    assert user.statuses(stage.models, head)[-1] == after
    written = len(user.statuses(stage.models, head))
    assert stage.publish() == Exit.OK
    assert len(user.statuses(stage.models, head)) == written


@pytest.mark.parametrize(("speaker", "login"), [("", "github-actions[bot]"), ("acme-ml[bot]", "acme-ml[bot]")])
def test_whose_comments_are_the_bots_own(speaker: str, login: str) -> None:
    """An App's token looks like a job's own."""
    given = {"GITHUB_REPOSITORY": "acme/models", "GITHUB_RUN_ID": "7", "GITHUB_TOKEN": "ghs_x"}
    run = CIRun.of(CIOptions(), given | {"MLBOT_CI_SPEAKER": speaker}, Console())
    assert run.github.login == login
