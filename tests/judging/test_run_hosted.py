"""Waivers on the trusted side: read from the bot's answers, bound, published, remembered, and ended."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.e2e import user
from tests.fake_github import ops_actions, ops_issues
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Comment
from tests.fake_github.tokens import Token
from tests.support import tiny
from tests.support.asking import bot
from tests.support.git_samples import Sandbox, make
from tests.support.history_samples import approval, deployment, release, waiver
from tests.support.hosted import WRITES, Stage, trained
from tests.support.ledger_samples import entry
from tests.support.reruns_samples import request

from mlbot.console import Console
from mlbot.errors import Exit
from mlbot.events.github import Attempt, JobTime
from mlbot.git.ledger import LedgerBranch
from mlbot.git.remote import Remote
from mlbot.github.job import Job, Runner
from mlbot.judging import run_ci
from mlbot.judging.run_ci import CIOptions, CIRun
from mlbot.judging.run_evaluations import Evaluations
from mlbot.judging.run_hosted import Assignment, ModelJudge, _to_train, assign, evaluate_run
from mlbot.judging.run_judge import rules_of
from mlbot.ledger.entries import Entry, Source
from mlbot.lib.record import digest
from mlbot.plan.comparison_point import Point
from mlbot.plan.plan import PlannedModel
from mlbot.protocol.answer import Reruns, WaiverRequest, last_line
from mlbot.protocol.decision import Judge, MergeGroupSubject, PushSubject, Subject

pytestmark = pytest.mark.usefixtures("git_settings")

WHY = "Agreed with the data owners"


@pytest.fixture
def lossy(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path) -> Stage:
    """A pull request whose model lost a feature, beside a judged model of main."""
    stage = Stage.opened(github, tmp_path, monkeypatch, tiny.params(mode="lost"))
    stage.judge_main(good)
    return stage


def command(lossy: Stage, gate: str = "log_loss", actor: str = "boss", model: str = "tiny") -> Comment:
    """What a person writes."""
    return lossy.github.user(actor).comment(lossy.pull, f'/waive {model}:{gate} reason="{WHY}"')


def answer(lossy: Stage, said: Comment, gate: str = "log_loss", **changes: Any) -> Comment:
    """What the bot records."""
    fields: dict[str, Any] = {
        "comment": said.id,
        "actor": said.user.login,
        "number": lossy.pull.number,
        "sha": user.head(lossy.pull),
        "model": "tiny",
        "gate": gate,
        "reason": WHY,
    }
    request = WaiverRequest(**(fields | changes))
    bot = Token(value="", user=lossy.github.world.bot, kind="workflow")
    body = f"So be it.\n\n{last_line(said.id, [request])}"
    return ops_issues.comment(lossy.github.world, lossy.models, bot, lossy.pull, body)


def entries(lossy: Stage) -> list[dict[str, Any]]:
    """The waivers in the ledger, oldest first."""
    git = lossy.models.git
    if git.commit_of("mlbot-ledger") is None:
        return []
    paths = [path for path in user.ledger(lossy.models) if path.startswith("v1/waiver/")]
    found: list[dict[str, Any]] = [json.loads(git.git("show", f"mlbot-ledger:{path}")) for path in paths]
    return sorted(found, key=lambda entry: (entry["comment"], entry["gate"]))


def again(lossy: Stage) -> tuple[str, str]:
    """Judge and publish once more; the status."""
    assert lossy.judge() == Exit.OK
    assert lossy.publish() == Exit.OK
    return lossy.status


def the_comment(lossy: Stage) -> str:
    """The bot's report."""
    (found,) = [body for body in lossy.comments if "mlbot:report" in body]
    return found


def test_gates_are_waived_one_after_the_other_and_the_verdict_says_so(lossy: Stage, bad: Path) -> None:
    lossy.settle(bad)
    assert lossy.status[0] == "failure"
    answer(lossy, command(lossy, "log_loss"))
    assert again(lossy)[0] == "failure"
    assert "✍️&nbsp;waived" in the_comment(lossy)
    assert [entry["gate"] for entry in entries(lossy)] == ["log_loss.max"]

    said = command(lossy, "roc_auc")
    answer(lossy, said, "roc_auc")
    state, text = again(lossy)
    assert state == "success"
    assert text == f"Passes with 3 waived gates (roc_auc of tiny, log_loss of tiny, by boss): {WHY}."
    comment = the_comment(lossy)
    assert comment.startswith("> [!WARNING]\n> **Passes with 3 waived gates")
    assert f"[comment]({lossy.github.url}/acme/models/pull/{lossy.pull.number}#issuecomment-{said.id})" in comment
    remembered = entries(lossy)
    assert [entry["gate"] for entry in remembered] == ["log_loss.max", "roc_auc.max_regression", "roc_auc.min"]
    assert {(entry["actor"], entry["reason"], entry["commit"]) for entry in remembered} == {
        ("boss", WHY, user.head(lossy.pull))
    }
    assert {entry["time"] for entry in remembered[1:]} == {said.created_at}
    verdict = lossy.report["verdict"]
    assert (verdict["outcome"], verdict["reason"]) == ("pass", "waived")


def test_delivered_again_nothing_happens_twice(lossy: Stage, bad: Path) -> None:
    lossy.settle(bad)
    answer(lossy, command(lossy, "log_loss"))
    again(lossy)
    tip, comments, head = lossy.models.git.commit_of("mlbot-ledger"), len(lossy.comments), user.head(lossy.pull)
    statuses = len(user.statuses(lossy.models, head))
    again(lossy)
    assert lossy.publish() == Exit.OK
    assert lossy.models.git.commit_of("mlbot-ledger") == tip
    assert (len(lossy.comments), len(user.statuses(lossy.models, head))) == (comments, statuses)


def test_without_its_ledger_nothing_is_judged_as_if_it_were_the_first(lossy: Stage, bad: Path) -> None:
    lossy.settle(bad)
    LedgerBranch.at(Remote(url=str(lossy.models.git.path))).append([entry()], NOW)
    lossy.models.git.git("update-ref", "-d", "refs/heads/mlbot-ledger")
    assert lossy.judge() == Exit.NOT_EVALUATED
    assert lossy.publish() == Exit.OK
    state, text = lossy.status
    assert state == "error"
    assert "the branch mlbot-ledger is gone" in text


def test_it_outlives_the_comments_it_was_said_in(lossy: Stage, bad: Path) -> None:
    """Once the ledger has it, neither the command nor the answer is needed."""
    lossy.settle(bad)
    said = {gate: command(lossy, gate) for gate in ("log_loss", "roc_auc")}
    answers = [answer(lossy, each, gate) for gate, each in said.items()]
    assert again(lossy)[0] == "success"
    boss = lossy.github.user("boss")
    for each in said.values():
        boss.delete_comment(each)
    for each in answers:
        boss.delete_comment(each)
    assert again(lossy)[0] == "success"


def test_changed_rules_on_the_guarded_branch_end_it(lossy: Stage, bad: Path) -> None:
    lossy.settle(bad)
    for gate in ("log_loss", "roc_auc"):
        answer(lossy, command(lossy, gate), gate)
    assert again(lossy)[0] == "success"
    lossy.github.user("boss").push("main", {"mlbot.yaml": user.CONFIG.replace("max: 0.6}", "max: 0.62}")})
    assert again(lossy)[0] == "failure"
    comment = the_comment(lossy)
    ended = "**Waiver ended.** The waiver of log\\_loss.max of tiny that boss gave has ended, because the rules it is"
    assert ended in comment
    assert "waived |" not in comment
    assert len(entries(lossy)) == 3, "the ledger forgets nothing"


def test_what_others_say_about_themselves_is_not_heard(lossy: Stage, bad: Path) -> None:
    """Records of another hand, of words that nobody said, of edited words, of people without the right."""
    lossy.settle(bad)
    mallory, boss = lossy.github.user("mallory"), lossy.github.user("boss")
    said = command(lossy, "log_loss", "mallory")
    forged = WaiverRequest(
        comment=said.id,
        actor="boss",
        number=lossy.pull.number,
        sha=user.head(lossy.pull),
        model="tiny",
        gate="log_loss",
        reason=WHY,
    )
    mallory.comment(lossy.pull, last_line(said.id, [forged]))
    answer(lossy, said, actor="boss")
    answer(lossy, said)
    answer(lossy, command(lossy, "log_loss", "alice"))
    harmless = boss.comment(lossy.pull, "Looks good.")
    lossy.github.user("alice").on(lossy.models).edit_comment(harmless, f'/waive tiny:log_loss reason="{WHY}"')
    harmless.updated_at = harmless.created_at  # within the second of its creation
    answer(lossy, harmless)
    assert again(lossy)[0] == "failure"
    assert entries(lossy) == []
    comment = the_comment(lossy)
    assert "waived |" not in comment
    assert comment.count("says something else") == 2
    assert "mallory has no right to it by now" in comment
    assert "alice has no right to it by now" in comment


@pytest.mark.parametrize("author", [False, True])
def test_the_config_may_name_who_else_and_whether_authors_count(lossy: Stage, bad: Path, *, author: bool) -> None:
    lossy.settle(bad)
    rules = f"waivers: {{by: [alice], author: {str(author).lower()}}}\n"
    lossy.github.user("boss").push("main", {"mlbot.yaml": f"{user.CONFIG}{rules}"})
    answer(lossy, command(lossy, "log_loss", "alice"))
    again(lossy)
    if not author:
        assert entries(lossy) == []
        assert "alice has no right to it by now" in the_comment(lossy)
        return
    assert [entry["actor"] for entry in entries(lossy)] == ["alice"]


def test_what_could_not_be_evaluated_is_never_waived(lossy: Stage, bad: Path) -> None:
    lossy.upload(0, trained(bad, 0))
    lossy.finish()
    for gate in ("log_loss", "roc_auc", "deleted"):
        answer(lossy, command(lossy, gate), gate)
    assert again(lossy)[0] == "error"
    assert "what could not be evaluated is never waived" in the_comment(lossy)
    assert entries(lossy) == []


def test_a_waiver_for_nothing_is_said(lossy: Stage, good: Path) -> None:
    for seed in (0, 1):
        lossy.upload(seed, trained(good, seed))
    lossy.finish()
    answer(lossy, command(lossy, "log_loss"))
    again(lossy)
    assert "**Waiver not used.**" in the_comment(lossy)
    assert "the gate passes without it" in the_comment(lossy)


def test_it_costs_the_judge_two_requests_once_and_the_publisher_none(lossy: Stage, bad: Path) -> None:
    lossy.settle(bad)
    answer(lossy, command(lossy, "log_loss"))

    def spent(verb: str) -> int:
        before = len(lossy.github.requests.of("/repos"))
        assert (lossy.judge() if verb == "judge" else lossy.publish()) == Exit.OK
        return len(lossy.github.requests.of("/repos")) - before

    judged, published = spent("judge"), spent("publish")
    known = spent("judge")
    assert judged - known == 1, "the person's role, which the ledger need not be told again"
    assert published <= 10


def test_a_token_that_may_not_write_remembers_nothing(lossy: Stage, bad: Path) -> None:
    lossy.settle(bad)
    answer(lossy, command(lossy, "log_loss"))
    assert lossy.judge() == Exit.OK
    assert lossy.publish(rights={**WRITES, "contents": "read"}) == Exit.NOT_EVALUATED
    assert entries(lossy) == []


@pytest.fixture
def stage(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Path) -> Stage:
    """A pull request beside a judged model of main."""
    stage = Stage.opened(github, tmp_path, monkeypatch, tiny.params(offset=1000))
    stage.judge_main(good)
    return stage


@pytest.fixture
def idle(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A pull request that makes nothing stale."""
    return Stage.opened(github, tmp_path, monkeypatch, {"README.md": "Words."})


def test_nothing_is_judged_without_linuxs_sandbox_unless_the_config_says_that_limits_do(
    idle: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    idle.finish()
    monkeypatch.setattr("mlbot.judging.run_hosted.sys", SimpleNamespace(platform="darwin"))
    assert idle.judge() == Exit.NOT_EVALUATED
    assert "`isolation: reduced`" in capsys.readouterr().err
    allow = {"mlbot.yaml": f"{user.CONFIG}actions: {{isolation: reduced}}\n"}
    idle.github.user("boss").push("main", allow)
    assert idle.judge() == Exit.OK


def test_a_trial_is_compared_with_what_is_committed_and_leaves_the_verdict_alone(
    stage: Stage, good: Path, bad: Path
) -> None:
    stage.settle(good)
    before = stage.status, stage.comments
    stage.retrain("tiny", mode="lost")
    stage.settle(bad, committed=good)
    assert stage.status == before[0]
    assert stage.comments[: len(before[1])] == before[1]
    shown = stage.comments[-1]
    assert "Trial 1 of tiny: roc\\_auc, log\\_loss and accuracy are worse" in shown
    assert "-mode: good\n+mode: lost\n" in shown
    assert "| `roc_auc`" in shown
    assert "first trial" in shown


def test_a_second_trial_stands_above_the_first_in_the_same_comment(stage: Stage, good: Path, bad: Path) -> None:
    stage.settle(good)
    stage.retrain("tiny", mode="lost")
    stage.settle(bad, committed=good)
    count = len(stage.comments)
    stage.retrain("tiny", offset=2000)
    stage.settle(good, committed=good)
    assert len(stage.comments) == count + 2  # the command and its answer
    (shown,) = [each for each in stage.comments if "mlbot:trial " in each]
    assert "Trial 2 of tiny: no effect, the predictions are the same" in shown
    assert "**2 trials**" in shown
    assert "Earlier trials" in shown
    assert "`mode` = `lost`" in shown


def test_the_first_attempt_is_an_error_where_a_trial_has_hidden_its_files(stage: Stage, good: Path) -> None:
    """GitHub shows what an attempt left until all jobs run again. Its judge was late, and says so."""
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.finish()
    stage.retrain("tiny", mode="lost")
    assert stage.judge(asked=1) == 0
    assert stage.publish(asked=1) == 0
    assert stage.status == ("error", "Could not be judged: Seed 0 was not trained in attempt 1.")


def test_no_status_goes_pending_for_a_trial(stage: Stage, good: Path) -> None:
    stage.settle(good)
    before = stage.status
    stage.retrain("tiny", mode="lost")
    stage.pending()
    assert stage.status == before


@pytest.mark.parametrize(("conclusion", "said"), [("cancelled", "cancelled"), ("timed_out", "time limit")])
def test_a_trial_that_came_to_nothing_says_so(stage: Stage, good: Path, conclusion: str, said: str) -> None:
    stage.settle(good)
    before = stage.status
    stage.retrain("tiny", mode="lost")
    stage.settle(None, conclusion)
    assert stage.status == before
    assert said in stage.comments[-1]
    assert "Trial 1 of tiny" in stage.comments[-1]


def test_a_trial_whose_training_failed_says_so(stage: Stage, good: Path) -> None:
    stage.settle(good)
    before = stage.status
    stage.retrain("tiny", mode="crash")
    stage.settle(None, "failure")
    assert stage.status == before
    assert "Seed 0 was not trained in attempts 1 to 2." in stage.comments[-1]


COMMITTED = ("tiny", '{"tiny": [0, 1]}', None, None)
TRIAL = ("tiny+trial", '{"tiny": [0, 1]}', '{"mode": "lost"}', 2)


@pytest.mark.parametrize(
    ("names", "params", "jobs"),
    [
        # What is committed too, to compare with: GitHub hides what the attempts before have left.
        (("tiny",), {"mode": "lost"}, [TRIAL, COMMITTED]),
        (("tiny",), {}, [COMMITTED]),
        ((), {}, [COMMITTED]),
    ],
)
def test_the_sandbox_plans_what_was_asked_for(
    stage: Stage,
    names: tuple[str, ...],
    params: dict[str, str],
    jobs: list[tuple[object, ...]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    stage.finish()
    stage.retrain(*names, **params)
    assert stage.matrix() == 0
    matrix = json.loads(capsys.readouterr().out.splitlines()[0].removeprefix("matrix="))["include"]
    attempt = 2 if params else None
    keys = ("pack", "trainings", "overrides")
    assert [(*(job.get(key) for key in keys), job.get("attempt")) for job in matrix] == [
        (*job[:3], attempt) for job in jobs
    ]


def test_what_was_quick_once_trains_in_a_job_of_its_own_when_it_runs_again(
    idle: Stage, good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else a change that makes it long would end at the planning job's limit, however often."""
    stage = idle
    stage.github.user("alice").push("change", tiny.params(offset=1000))
    stage.run = stage.newest_run()
    world = stage.github.world
    world.queue.clear()
    ops_actions.begin(world, stage.run)
    stage.judge_main(good, duration_s=1.0)
    known = "+refs/heads/mlbot-ledger:refs/remotes/origin/mlbot-ledger"
    subprocess.run(["git", "-C", str(stage.folder / "checkout"), "fetch", "--quiet", "origin", known], check=True)
    assert stage.matrix() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "jobs=0"
    assert lines[2].startswith('here={"pack": "tiny"')
    stage.finish("cancelled")
    stage.rerun_failed()
    assert stage.matrix() == 0
    assert capsys.readouterr().out.splitlines()[1:3] == ["jobs=1", "here="]


def test_what_is_asked_for_and_not_stale_gets_the_seeds_that_the_judge_looks_for(
    idle: Stage, good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ledger knows that its seed has no effect, so one is trained."""
    idle.judge_main(good, deterministic=True)
    known = "+refs/heads/mlbot-ledger:refs/remotes/origin/mlbot-ledger"
    subprocess.run(["git", "-C", str(idle.folder / "checkout"), "fetch", "--quiet", "origin", known], check=True)
    idle.finish()
    idle.retrain("tiny")
    capsys.readouterr()
    assert idle.matrix() == 0
    (job,) = json.loads(capsys.readouterr().out.splitlines()[0].removeprefix("matrix="))["include"]
    assert job["trainings"] == '{"tiny": [0]}'


def test_the_sandbox_plans_a_first_attempt_without_asking_anybody(stage: Stage) -> None:
    before = len(stage.github.requests.all)
    assert stage.matrix() == 0
    assert len(stage.github.requests.all) == before


def test_a_model_that_head_does_not_have_is_no_plan(stage: Stage) -> None:
    stage.finish()
    stage.retrain("tinny", mode="lost")
    assert stage.matrix() == Exit.USAGE


def test_a_trial_of_what_is_not_stale_needs_the_guarded_branchs_model(idle: Stage, bad: Path) -> None:
    """Here nobody trained it; `tests/e2e/test_trials.py` has one that is there."""
    idle.settle(None)
    before = idle.status
    idle.retrain("tiny", mode="lost")
    idle.settle(bad)
    assert idle.status == before
    assert "The baseline could not be fetched" in idle.comments[-1]
    assert "+mode: lost" in idle.comments[-1]


def test_a_named_retrain_counts_and_trains_all_that_is_stale(stage: Stage, good: Path, bad: Path) -> None:
    stage.settle(bad)
    assert stage.status[0] == "failure"
    stage.retrain("other")  # another model of the same run: this one trains too, for GitHub hides what it left
    stage.settle(None)
    assert stage.status[0] == "error"
    stage.retrain("tiny")
    stage.settle(good)
    assert stage.status[0] == "success"


def test_where_failed_jobs_run_again_the_others_files_are_those_of_the_attempt_before(stage: Stage, good: Path) -> None:
    stage.upload(0, trained(good, 0))
    stage.settle(None, "failure")
    assert stage.status == ("error", "Could not be judged: Seed 1 was not trained in attempt 1.")
    stage.rerun_failed()
    stage.upload(1, trained(good, 1))
    stage.settle(None)
    assert stage.status[0] == "success"


def test_an_earlier_attempts_files_count_only_for_what_the_change_is_now(stage: Stage, good: Path) -> None:
    """Seed 0 was trained before main moved, seed 1 after it."""
    stage.upload(0, trained(good, 0))
    stage.settle(None, "failure")
    stage.github.user("boss").push("main", {"train.py": f"{tiny.TRAIN}# today\n"})
    stage.github.world.queue.clear()
    stage.rerun_failed()
    stage.upload(1, trained(good, 1))
    stage.settle(None)
    assert stage.report["verdict"]["reason"] == "outdated"


def test_after_a_trial_a_retrain_replaces_the_verdict(stage: Stage, good: Path, bad: Path) -> None:
    stage.settle(good)
    stage.retrain("tiny", offset=5)
    stage.settle(good)
    stage.retrain()
    stage.settle(bad)
    assert stage.status[0] == "failure"


def test_what_a_stranger_writes_of_a_trial_does_not_count(stage: Stage, good: Path, bad: Path) -> None:
    """A bot's answer copied by a person: the attempt stays one that counts."""
    stage.settle(good)
    stage.retrain("tiny", mode="lost")
    (answer,) = [each for each in stage.models.comments.values() if "mlbot:records" in each.body]
    stage.github.user("alice").comment(stage.pull, answer.body)
    del stage.models.comments[answer.id]
    stage.params = {}
    stage.settle(bad)
    assert stage.status[0] == "failure"


@pytest.mark.parametrize("who", ["bot", "alice"])
def test_a_record_counts_only_as_the_bot_wrote_it(stage: Stage, good: Path, bad: Path, who: str) -> None:
    """Whoever may write to the repository may edit the bot's comments: here so that a trial counts."""
    stage.settle(good)
    stage.retrain("tiny", mode="lost")
    (answer,) = [each for each in stage.models.comments.values() if "mlbot:records" in each.body]
    world, alice = stage.github.world, stage.github.user("alice")
    ops_issues.edit_comment(world, stage.models, bot(stage.github), answer, f"Words.\n\n{answer.body}")
    if who == "alice":
        alice.edit_comment(answer, answer.body)
    stage.settle(bad, committed=good)
    assert stage.status[0] == "success"
    assert any("Trial 1 of tiny" in each for each in stage.comments) is (who == "bot")


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
    run = CIRun(job=job, runner=Runner(), options=options, console=Console(quiet=True), _pushes={"main": ()})
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


def test_a_trial_of_a_stale_model_needs_no_baseline_of_the_guarded_branch(place: Place) -> None:
    head = place.push({"tiny": 1}, "change")
    subject = MergeGroupSubject(sha=head, branch="main")
    stale, unchanged = (
        place.assign(subject, Reruns(requests=(request(2, name, offset=5),)), 2).points for name in ("tiny", "third")
    )
    assert stale == {}
    assert {name: point.source for name, point in unchanged.items()} == {"third": Source.UNJUDGED}


def test_a_push_reads_every_model_of_head_since_the_ledger_says_what_is_done(place: Place) -> None:
    head = place.push({"tiny": 1}, "main")
    before = place.assign(PushSubject(sha=head, branch="main"))
    keys = {each.name: each.key for each in before.plan.models}
    assert {each.name for each in before.plan.stale} == set(NAMES)
    rules = rules_of(before.planning.sides.policy)
    told: dict[str, Any] = {"run": 9, "commit": head, "key": keys["other"], "policy": rules["other"]}
    place.tell(entry(model="other", **told), entry(model="gone", **told | {"key": keys["third"]}))
    found = place.assign(PushSubject(sha=head, branch="main"))
    assert {each.name for each in found.plan.stale} == {"tiny", "third"}
    assert known(found) == (set(NAMES), set(NAMES), EVERY_WAIVER)


def test_a_judged_baseline_of_a_stale_model_is_not_trained_again(place: Place) -> None:
    head = place.push({"tiny": 1}, "change")
    subject = MergeGroupSubject(sha=head, branch="main")
    before = place.assign(subject)
    (stale,) = before.plan.stale
    assert before.points["tiny"] == Point(source=Source.UNJUDGED, train=before.planning.commits.base)
    known = entry(run=9, model="tiny", key=stale.base_key, commit=before.planning.commits.base)
    place.tell(known)
    assert place.assign(subject).points["tiny"] == Point(source=Source.TIP, entry=known)


def test_a_deterministic_baseline_with_one_file_gets_no_second_seed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change is of another recipe, which is tried with two."""
    monkeypatch.setattr("mlbot.judging.run_hosted.are_gone", lambda *_: False)
    head = place.push({"tiny": 1}, "change")
    subject = MergeGroupSubject(sha=head, branch="main")
    before = place.assign(subject)
    (stale,) = before.plan.stale
    known: dict[str, Any] = {"model": "tiny", "key": stale.base_key, "commit": before.planning.commits.base}
    for deterministic, seeds, lacking in ((None, (3, 3), (1, 2)), (True, (2, 1), None)):
        place.tell(entry(run=10 + bool(deterministic), values=(0.9,), deterministic=deterministic, **known))
        found = place.assign(subject)
        (planned,) = found.plan.stale
        wanted, to_train = found.wanted(planned), [*_to_train(found, place.run, planned)]
        assert (wanted.candidate, wanted.baseline) == seeds
        assert [(each.commit, each.seeds) for each in to_train] == ([(known["commit"], lacking)] if lacking else [])


def test_a_head_of_too_many_files_is_an_error(
    github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage.opened(github, tmp_path, monkeypatch, {f"many/{number}": "" for number in range(60)})
    monkeypatch.setattr("mlbot.git.command.MOST_ENTRIES", 50)
    stage.finish("failure")
    assert stage.judge() == Exit.NOT_EVALUATED
    assert "it is too big: it holds more than 50 files and folders" in stage.outputs["problem"]
    stage.publish()
    assert stage.status[0] == "error"
    assert "it is too big" in stage.status[1]


def test_what_the_guarded_branch_has_outdated_is_trained_again_once_and_judged_there(stage: Stage, good: Path) -> None:
    """The sandbox merged onto an older tip; then main moves on again, and the second attempt is judged all the same."""
    stage.honest = False
    stage.github.user("boss").push("main", {"train.py": f"{tiny.TRAIN}# today\n"})
    stage.github.world.queue.clear()
    stage.settle(good)
    assert stage.status[0] == "error"
    assert stage.report["verdict"]["reason"] == "outdated"
    assert stage.outputs["again"] == "true"
    (record,) = [body for body in stage.comments if "mlbot:records" in body]
    pinned = stage.models.git.commit_of("main")
    assert f"merged onto `main`@`{str(pinned)[:7]}`" in record
    rights = {"actions": "write", "contents": "read", "pull_requests": "read"}
    dispatches = "POST /repos/acme/models/actions/workflows/mlbot-judge.yml/dispatches"
    stage.github.faults.add(dispatches, 500, times=2)
    assert stage.mlbot("again", asked=1, rights=rights) == Exit.NOT_EVALUATED
    assert stage.attempt == 2
    assert stage.mlbot("again", asked=1, rights=rights) == Exit.OK, (
        "run again, it starts the judge that nobody else would"
    )
    assert stage.attempt == 2
    assert stage.github.requests.of("/dispatches")[-1].status == 204
    ops_actions.begin(stage.github.world, stage.run)
    stage.honest = True
    for seed in (0, 1):
        stage.upload(seed, trained(good, seed))
    stage.judge_main(good)
    stage.github.user("boss").push("main", {"train.py": f"{tiny.TRAIN}# tomorrow\n"})
    stage.github.world.queue.clear()
    stage.finish()
    assert stage.judge() == Exit.OK
    assert stage.report["verdict"]["commits"]["base"] == pinned
    assert stage.outputs["again"] == "false"
    assert stage.publish() == Exit.OK
    assert stage.status[0] == "success"


EVALUATED = """
version: 1
actions: {evaluate: {secrets: [KEY]}}
models:
  bot:
    task: scores
    artifact: prompt.txt
    evaluate: {run: ask, scores: {exact: {range: [0, 1]}}, network: true, secrets: [KEY]}
    gates: {exact: {min: 0.5}}
"""


@pytest.mark.parametrize(("there", "looked_at"), [(7, [7]), (9, [7, 9]), (0, [7, 9, 5])])
def test_what_is_evaluated_is_what_the_judge_goes_by(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: int, looked_at: list[int]
) -> None:
    """Where a head's own run has no files for this merge it takes another run's; nobody had evaluated these."""
    place.clone.git("push", "--quiet", "origin", f"{place.clone.commit({'mlbot.yaml': EVALUATED})}:refs/heads/main")
    head = place.clone.commit({"prompt.txt": "Be brief."})
    place.clone.git("push", "--quiet", "origin", f"{head}:refs/heads/change")
    tried = list[int]()

    def evaluate(models: ModelJudge, planned: PlannedModel, written: Evaluations) -> bool:
        tried.append(models.assignment.decision.attempt.run)
        assert models.rules.of(planned.name).handed_over is None
        written.add((planned.name, digest(b""), None), b"")
        return tried[-1] == there

    subject = MergeGroupSubject(sha=head, branch="main")
    others = Attempt(run=9), Attempt(run=5)
    monkeypatch.setattr(CIRun, "decide", lambda _: (Judge(subject=subject, attempt=Attempt(run=7), others=others),))
    monkeypatch.setattr(ModelJudge, "evaluate", evaluate)
    assert evaluate_run(place.run, tmp_path / "evaluated") is Exit.OK
    assert tried == looked_at


def test_of_each_pull_request_of_a_head_it_counts_how_long_the_judge_has_run(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Attempt] = []

    def job_times(_github: object, attempt: Attempt) -> tuple[JobTime, ...]:
        asked.append(attempt)
        return (JobTime(labels=("ubuntu-latest",), started="2020-01-01T00:00:00Z", ended=None),)

    monkeypatch.setattr(run_ci, "job_times", job_times)
    clock = iter(datetime(2020, 1, 1, 0, minute, tzinfo=UTC) for minute in (2, 5))
    monkeypatch.setattr(run_ci, "datetime", SimpleNamespace(now=lambda _zone: next(clock)))
    run = place.run
    run.__dict__["github"] = None  # it is not asked for anything else
    assert [run.runner_times(Attempt(run=8))[0].seconds for _ in range(2)] == [120, 300]
    assert asked == [Attempt(run=8)]
