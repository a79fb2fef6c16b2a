"""What a push's judge accepted goes into the store; changed bytes, pull requests and folders of the checkout do not."""

import copy
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import user
from tests.fake_github import ops_actions
from tests.fake_github.server import FakeGitHub
from tests.support import hosted, tiny
from tests.support.hosted import JUDGE_RUN, Stage, archive, trained
from tests.support.releases import ENVIRONMENTS, World, digest_of

from mlbot import entry
from mlbot.errors import Exit
from mlbot.events.github import OpenHead
from mlbot.gates.outcome import Outcome
from mlbot.git.ledger import LedgerBranch
from mlbot.git.remote import Remote
from mlbot.github.api import GitHub, open_heads
from mlbot.ledger.entries import LookEntry, ProfileEntry, ReferenceEntry, ReleaseEntry, VerdictEntry
from mlbot.ledger.queries import reference_of
from mlbot.lib.record import canonical, digest
from mlbot.protocol.decision import PullRequestSubject
from mlbot.storage.store import open_store

pytestmark = pytest.mark.usefixtures("git_settings")

READS = {"actions": "read", "contents": "read", "packages": "write"}


def pushed(github: FakeGitHub, folder: Path, monkeypatch: pytest.MonkeyPatch, store: str) -> Stage:
    """Boss pushes to main of a repository with a store; the training run is over but for its artifacts."""
    changed: dict[str, Any] = {"mlbot.yaml": f"{user.CONFIG}store: {store}\n"}
    models = user.repository(github, **changed)
    github.user("boss").push("main", tiny.params(offset=1000))
    run = next(run for run in github.world.runs.values() if run.workflow.path == ".github/workflows/mlbot.yml")
    github.world.queue.clear()
    ops_actions.begin(github.world, run)
    subprocess.run(["git", "clone", "--quiet", str(models.git.path), str(folder / "checkout")], check=True)
    nobody: Any = None
    return Stage(github, models, nobody, run, folder, monkeypatch)


def judged(stage: Stage, candidate: Path) -> Path:
    """Both seeds uploaded and judged; what the judge's action uploads is there, too. The records' folder."""
    for seed in (0, 1):
        stage.upload(seed, trained(candidate, seed))
    stage.finish()
    assert stage.judge() == Exit.OK
    return stage.folder / "judged"


def upload_accepted(stage: Stage, files: dict[str, bytes]) -> None:
    judge = copy.copy(stage.run)
    judge.id = JUDGE_RUN
    stage.github.world.runs[JUDGE_RUN] = judge
    ops_actions.upload(stage.github.world, judge, 1, "mlbot-accepted-a1", archive(files))


def accepted(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "accepted").iterdir()}


def store(stage: Stage) -> int:
    return stage.mlbot("store", *stage.handed, rights=READS)


def stored(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


@pytest.fixture
def stage(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return pushed(github, tmp_path, monkeypatch, (tmp_path / "kept").as_uri())


def test_files_and_records_are_stored_once(stage: Stage, good: Path, tmp_path: Path) -> None:
    out = judged(stage, good)
    upload_accepted(stage, accepted(out))
    assert [store(stage), store(stage)] == [Exit.OK, Exit.OK]
    kept = open_store((tmp_path / "kept").as_uri(), tmp_path)
    for name in accepted(out):
        kept.get(f"sha256:{name.removesuffix('.onnx')}", tmp_path / "got.onnx")
    assert stored(tmp_path / "kept") == 4  # two seeds, the lineage and the report


def test_a_verdict_of_the_guarded_branch_has_its_data_their_profiles_and_a_reference(stage: Stage, good: Path) -> None:
    out = judged(stage, good)
    assert stage.publish() == Exit.OK
    found = LedgerBranch.at(Remote(url=str(stage.models.git.path))).read().entries
    (verdict,) = [each for each in found if isinstance(each, VerdictEntry)]
    profiles = {each.profile.part: each for each in found if isinstance(each, ProfileEntry)}
    assert verdict.data == {profiles["train"].profile.path: profiles["train"].profile.digest}
    assert profiles["holdout"].profile.content == verdict.holdout
    assert {(each.commit, each.branch) for each in profiles.values()} == {(verdict.commit, "main")}
    (model,) = json.loads((out / "report" / "report.json").read_text())["models"]
    assert [each["name"] for each in model["reference"]["answers"]] == ["label", "probability"]


def test_bytes_that_were_changed_after_the_verdict_are_not_stored(stage: Stage, good: Path, tmp_path: Path) -> None:
    out = judged(stage, good)
    changed = {name: content[:-1] + bytes([content[-1] ^ 1]) for name, content in accepted(out).items()}
    upload_accepted(stage, changed)
    assert store(stage) == Exit.NOT_EVALUATED
    assert stored(tmp_path / "kept") == 0


def test_accepted_files_that_are_not_there_are_an_error(stage: Stage, good: Path, tmp_path: Path) -> None:
    judged(stage, good)
    upload_accepted(stage, {})
    assert store(stage) == Exit.NOT_EVALUATED
    assert stored(tmp_path / "kept") == 0


def test_a_judge_that_left_nothing_is_an_error(stage: Stage, good: Path, tmp_path: Path) -> None:
    out = judged(stage, good)
    (out / "report" / "report.json").unlink()
    assert store(stage) == Exit.NOT_EVALUATED
    assert stored(tmp_path / "kept") == 0


def test_nothing_of_a_pull_request_is_stored(stage: Stage, good: Path, tmp_path: Path) -> None:
    out = judged(stage, good)
    upload_accepted(stage, accepted(out))
    handover: dict[str, Any] = json.loads((out / "report" / "decision.json").read_text())
    (judged_subject,) = handover["subjects"]
    decision = judged_subject["decision"]
    sha, branch = decision["subject"]["sha"], decision["subject"]["branch"]
    subject = PullRequestSubject(number=1, sha=sha, branch=branch, head_ref="x", head_repository_id=1, fork=True)
    judged_subject["decision"] = {**decision, "subject": subject.model_dump()}
    (out / "report" / "decision.json").write_text(json.dumps(handover))
    stage.rewrite()
    assert store(stage) == Exit.OK
    assert stored(tmp_path / "kept") == 0


def test_a_folder_of_the_checkout_is_left_out(
    github: FakeGitHub, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = pushed(github, tmp_path, monkeypatch, "kept")
    out = judged(stage, good)
    upload_accepted(stage, accepted(out))
    assert store(stage) == Exit.OK
    assert not (tmp_path / "checkout" / "kept").exists()


CANCELLED = pytest.param("cancelled", "error", marks=pytest.mark.nightly)


@pytest.mark.parametrize(("stored", "state"), [("failure", "error"), CANCELLED, ("success", None)])
def test_a_verdict_waits_for_the_store(stage: Stage, good: Path, stored: str, state: str | None) -> None:
    judged(stage, good)
    assert stage.publish("--stored", stored) == Exit.OK
    last, said = user.statuses(stage.models, stage.run.head_sha)[-1]
    assert (last == "error") is (state == "error")
    assert ("could not be put into the store" in said) is (state == "error")
    assert bool(stage.models.git.git("branch", "--list", "mlbot-ledger")) is (state is None)


def test_a_ledger_that_a_rule_forbids_is_an_error_with_the_rules_name(stage: Stage, good: Path) -> None:
    """And not 160 attempts, nor a success without a record."""
    judged(stage, good)
    stage.models.rulesets[1] = {
        "id": 1,
        "name": "everything",
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ["~ALL"], "exclude": []}},
        "rules": [{"type": "required_signatures"}],
    }
    assert stage.publish() == Exit.NOT_EVALUATED
    state, said = user.statuses(stage.models, stage.run.head_sha)[-1]
    rule = "a rule of the repository forbids writing the branch mlbot-ledger: Commits must have verified signatures."
    assert (state, said) == ("error", f"No verdict: {rule}")
    rights = {"statuses": "write", "contents": "write", "actions": "read", "pull_requests": "read"}
    assert stage.mlbot("failed", rights=rights) == Exit.OK
    assert user.statuses(stage.models, stage.run.head_sha)[-1] == (state, said), "the sentence stays"
    assert "mlbot-ledger" not in stage.models.git.git("branch", "--list", "mlbot-ledger")
    del stage.models.rulesets[1]
    assert stage.publish() == Exit.OK
    assert user.statuses(stage.models, stage.run.head_sha)[-1][0] == "success"


# What the judge handed over, and nothing else.


@pytest.fixture
def change(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage.opened(github, tmp_path, monkeypatch, tiny.params(offset=1000))


def of_pull_request(stage: Stage, candidate: Path) -> Path:
    """Judged beside what main has; the records' folder."""
    stage.judge_main(candidate)
    return judged(stage, candidate) / "report"


def broken(stage: Stage, *words: str) -> None:
    """An error that says why, and no comment."""
    state, said = stage.status
    assert state == "error"
    assert all(each in said for each in ("Could not be judged: ", *words))
    assert stage.comments == []


def test_a_report_that_nobody_handed_over_is_not_read(change: Stage, good: Path) -> None:
    """An artifact of the report's name, in the judge's run, whose judge's job failed."""
    of_pull_request(change, good)
    del change.outputs["digest"]
    assert change.publish() == Exit.OK
    broken(change, "the judge left no report; its log says why.")


def test_why_the_judge_failed_is_said(change: Stage, good: Path) -> None:
    of_pull_request(change, good)
    change.outputs = {"problem": "GitHub could not be reached, after 5 attempts: GitHub answered 503"}
    assert change.publish() == Exit.OK
    broken(change, "GitHub could not be reached, after 5 attempts: GitHub answered 503")


def test_nothing_of_a_pull_requests_data_is_sketched(change: Stage, good: Path) -> None:
    report = json.loads((of_pull_request(change, good) / "report.json").read_text())
    assert [each["reference"] for each in report["models"]] == [None]
    assert [each["profiles"] for each in report["data"]] == [[]] * len(report["data"])


def test_records_are_the_ones_that_were_handed_over(change: Stage, good: Path) -> None:
    folder = of_pull_request(change, good)
    for name in ("decision.json", "report.json", "charts/tiny.light.svg"):
        whole = (folder / name).read_bytes()
        for act in ("changed", "gone", "long"):
            tampered(folder / name, act)
            assert change.publish() == Exit.OK
            broken(change, f"{Path(name).name} is not there, or is not the one that it handed over")
            (folder / name).write_bytes(whole)
            change.models.statuses.clear()
    assert change.publish() == Exit.OK
    assert change.status[0] == "success"


def tampered(file: Path, act: str) -> None:
    match act:
        case "changed":
            file.write_bytes(file.read_bytes() + b" ")
        case "gone":
            file.unlink()
        case _:
            with file.open("r+b") as opened:
                opened.truncate(65 << 20)


def test_a_file_that_was_not_handed_over_is_not_read(change: Stage, good: Path) -> None:
    folder = of_pull_request(change, good)
    handover = json.loads((folder / "decision.json").read_text())
    for name in ("charts/tiny.light.svg", "charts/tiny.dark.svg"):
        del handover["files"][name]
    (folder / "decision.json").write_text(json.dumps(handover))
    change.rewrite()
    assert change.publish() == Exit.OK
    assert change.status[0] == "success"
    assert "<picture>" not in change.comments[0]
    del handover["files"]["report.json"]
    (folder / "decision.json").write_text(json.dumps(handover))
    change.rewrite()
    assert change.publish() == Exit.OK
    assert "the judge left no report" in change.status[1]


def test_the_report_of_another_attempt_is_refused_where_the_judge_ran_again(change: Stage, good: Path) -> None:
    """When only failed jobs run again, a judge that fails keeps the outputs of the attempt before."""
    of_pull_request(change, good)
    assert change.publish("--judge", "2") == Exit.OK
    broken(change, "the report is of attempt 777.1, and the judge ran again")
    assert change.publish("--judge", "1") == Exit.OK
    assert change.status[0] == "success"


def test_a_publisher_that_runs_again_alone_takes_the_judge_of_the_attempt_before(change: Stage, good: Path) -> None:
    of_pull_request(change, good)
    change.monkeypatch.setattr("tests.support.hosted.JUDGE_ATTEMPT", 2)
    assert change.publish("--judge", "1") == Exit.OK
    assert change.status[0] == "success"


@pytest.mark.parametrize(("judge", "stays"), [(hosted.JUDGE_RUN + 1, True), (hosted.JUDGE_RUN - 1, False)])
def test_a_publisher_that_runs_again_alone_leaves_a_later_judges_verdict(
    change: Stage, good: Path, judge: int, *, stays: bool
) -> None:
    of_pull_request(change, good)
    assert change.publish("--judge", "1") == Exit.OK
    latest = change.models.statuses[-1]
    later = (latest.target_url or "").replace(f"/runs/{hosted.JUDGE_RUN}", f"/runs/{judge}")
    change.models.statuses.append(replace(latest, id=latest.id + 1, state="failure", target_url=later))
    change.monkeypatch.setattr("tests.support.hosted.JUDGE_ATTEMPT", 2)
    assert change.publish("--judge", "1") == Exit.OK
    assert change.status[0] == ("failure" if stays else "success")


def test_what_the_judge_of_the_attempt_before_accepted_is_stored(stage: Stage, good: Path, tmp_path: Path) -> None:
    out = judged(stage, good)
    upload_accepted(stage, accepted(out))
    stage.monkeypatch.setattr("tests.support.hosted.JUDGE_ATTEMPT", 2)
    assert store(stage) == Exit.OK
    assert stored(tmp_path / "kept") == 4
    assert stage.publish() == Exit.OK
    path = next(path for path in user.ledger(stage.models) if path.startswith("v1/verdict/"))
    entry = json.loads(stage.models.git.git("show", f"mlbot-ledger:{path}"))
    assert entry["judge"] == {"run": JUDGE_RUN, "number": 1}
    assert {each["artifact"] for each in entry["files"]} == {"mlbot-accepted-a1"}


def test_a_verdict_that_could_not_be_published_is_an_error(change: Stage, good: Path) -> None:
    of_pull_request(change, good)
    assert change.mlbot("failed", rights=hosted.WRITES) == Exit.OK
    broken(change, "the verdict could not be published; the log of the judge's run says why.")
    assert change.publish() == Exit.OK
    assert change.status[0] == "success"
    assert change.mlbot("failed", rights=hosted.WRITES) == Exit.OK
    assert change.status[0] == "success", "what did get published is not written over"


def test_a_success_of_before_ends_where_nobody_says_what_was_asked_again(change: Stage) -> None:
    """Who edited the bot's answers only GraphQL says; while it is down neither the judge nor its publisher decides."""
    change.finish()
    change.retrain("tiny")
    change.finish()
    change.github.faults.add("POST /api/graphql", 500, times=99)
    assert change.publish() == Exit.NOT_EVALUATED
    assert change.mlbot("failed", rights=hosted.WRITES) == Exit.OK
    assert change.status[0] == "error"
    assert "the verdict could not be published" in change.status[1]


def test_heads_that_no_run_told_of_go_pending(change: Stage, good: Path) -> None:
    alice = change.github.user("alice")
    quiet = alice.pull_request("quiet", {"a.txt": "1"})
    elsewhere = alice.push("elsewhere", {"b.txt": "1"})
    assert quiet.pull
    of_pull_request(change, good)
    before = len(change.github.requests.all)
    assert change.publish() == Exit.OK
    assert user.statuses(change.models, quiet.pull.head_sha) == [
        ("pending", "mlbot.yml did not run on this commit: no verdict.")
    ]
    assert user.statuses(change.models, elsewhere) == []
    asked = [each for each in change.github.requests.all[before:] if each.path == "/api/graphql"]
    assert len(asked) == 1
    assert change.publish() == Exit.OK
    assert len(user.statuses(change.models, quiet.pull.head_sha)) == 1
    change.github.faults.add("POST /api/graphql", 500, times=99)
    assert change.publish() == Exit.OK, "a fault of it is for the log"


def test_a_verdict_that_comes_while_heads_are_looked_through_stays(
    change: Stage, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rate limit may make minutes of it, and nothing would end a pending that is set after a verdict."""
    quiet = change.github.user("alice").pull_request("quiet", {"a.txt": "1"})
    assert quiet.pull
    sha = quiet.pull.head_sha
    of_pull_request(change, good)

    def listed(github: GitHub) -> tuple[OpenHead, ...]:
        found = open_heads(github)
        latest = change.models.statuses[-1]
        change.models.statuses.append(replace(latest, id=latest.id + 1, sha=sha, state="failure", description="Worse."))
        return found

    monkeypatch.setattr("mlbot.publish.run_publish.open_heads", listed)
    assert change.publish() == Exit.OK
    assert user.statuses(change.models, sha) == [("failure", "Worse.")]


def test_a_success_because_nothing_was_guarded_is_none_where_the_head_is_proposed_for_a_guarded_branch(
    change: Stage, good: Path
) -> None:
    """Its own workflow file may start no run for that branch, so nothing else would take the success back."""
    quiet = change.github.user("alice").pull_request("quiet", {"a.txt": "1"})
    assert quiet.pull
    sha = quiet.pull.head_sha
    of_pull_request(change, good)
    assert change.publish() == Exit.OK
    latest = change.models.statuses[-1]
    words = "Nothing is guarded here: mlbot.yaml does not name the branch that this goes into."
    passed = replace(latest, id=latest.id + 1, sha=sha, state="success", description=words)
    change.models.statuses.append(passed)
    assert change.publish() == Exit.OK
    assert user.statuses(change.models, sha)[-1][0] == "pending"


def test_nothing_is_said_of_a_run_that_is_none_of_ours(change: Stage) -> None:
    change.github.user("alice").push("change", {"README.md": "More."})
    change.finish()
    assert change.mlbot("failed", rights=hosted.WRITES) == Exit.OK
    assert user.statuses(change.models, user.head(change.pull)) == []


CONFIG = tiny.CONFIG.replace("      accuracy@rare: {min: 0.75}\n", "") + ENVIRONMENTS


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, git_settings: None) -> World:
    """Nothing is judged yet; the second commit moves the seed."""
    del git_settings
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    world = World.make(tmp_path / "world", {}, CONFIG)
    world.commit(tiny.params(offset=1000))
    monkeypatch.chdir(world.sandbox.path)
    return world


def mlbot(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = entry.invoke([*arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def verdicts(world: World) -> list[VerdictEntry]:
    return [each for each in world.entries() if isinstance(each, VerdictEntry)]


def test_from_a_judged_tip_to_staging(fresh: World, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, said = mlbot(capsys, "run", "--record")
    assert code == Exit.OK, said
    (verdict,) = verdicts(fresh)
    (seen,) = [each for each in fresh.entries() if isinstance(each, LookEntry)]
    assert (seen.artifact, seen.pull_request, seen.repository) == (
        digest(canonical([each.digest for each in verdict.files])),
        None,
        None,
    )
    assert (verdict.outcome, verdict.branch) == (Outcome.PASS, "main")
    assert verdict.commit == fresh.context().tip
    assert [each.run for each in verdict.files] == [None] * 3
    for file in verdict.files:
        assert digest_of(fresh.stored(file.digest).read_bytes()) == file.digest
    assert verdict.training
    assert json.loads(fresh.stored(verdict.training).read_bytes())["digest"] == verdict.digest
    assert verdict.report
    assert json.loads(fresh.stored(verdict.report).read_bytes())["model"] == "tiny"

    code, out, said = mlbot(capsys, "release", "tiny", "--json", "--out", "deploy/files")
    assert code == Exit.OK, said
    release = ReleaseEntry.model_validate_json(json.dumps(json.loads(out)["entry"]), strict=True)
    assert release.params == {"mode": "good", "offset": 1000, "claim": 0.8}
    assert list(release.data) == ["data/train.csv"]
    assert release.environment is not None
    files = fresh.deploy / "files"
    assert sorted(each.name for each in files.iterdir()) == [
        "MODEL_CARD.md",
        "SHA256SUMS",
        "golden.json",
        "manifest.json",
        "model.onnx",
        "training.json",
    ]
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=files, check=True)
    card = (files / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert all(part in card for part in ("## Intended use", "## Metrics", "`north`", "The slice rare has 20 rows"))

    assert json.loads(out)["unwatched"] is None
    assert mlbot(capsys, "release", "tiny")[0] == Exit.OK
    has_a_reference(fresh, release)
    has_profiles(fresh, verdict)
    code, out, said = mlbot(capsys, "registry", "data", "data/train.csv", "--json")
    assert code == Exit.OK, said
    assert [each["versions"] for each in json.loads(out)["verdicts"]] == [["v1.0.0"]]
    code, out, said = mlbot(capsys, "registry", "data", str(verdict.holdout)[7:19])
    assert code == Exit.OK, said
    assert "Judged on it" in out
    assert "data/holdout.csv" in out

    assert mlbot(capsys, "promote", "tiny@v1.0.0", "staging")[0] == Exit.OK
    assert mlbot(capsys, "run", "--record")[0] == Exit.OK, "nothing is left to judge"
    assert len(verdicts(fresh)) == 1


def has_a_reference(world: World, release: ReleaseEntry) -> None:
    (reference,) = [each for each in world.entries() if isinstance(each, ReferenceEntry)]
    assert reference_of(world.entries(), release) == reference
    sketch = reference.sketch
    assert [each.name for each in sketch.answers] == ["label", "probability"]
    assert [each.name for each in sketch.targets] == ["y"]
    rows = len((world.sandbox.path / "data" / "holdout.csv").read_text().splitlines()) - 1
    assert {rows} == {sketch.rows, *(each.own.rows for each in sketch.beside(sketch.counts))}


def has_profiles(world: World, verdict: VerdictEntry) -> None:
    found = {each.profile.part: each.profile for each in world.entries() if isinstance(each, ProfileEntry)}
    assert {found["train"].path: found["train"].digest} == verdict.data
    assert found["train"].content == digest((world.sandbox.path / "data" / "train.csv").read_bytes())
    assert (found["holdout"].path, found["holdout"].content) == ("data/holdout.csv", verdict.holdout)
    assert [each.name for each in found["train"].columns] == ["x1", "x2", "x3", "segment", "y"]
    assert [each.name for each in found["train"].sketch.features] == ["x1", "x2", "x3"]
    assert found["train"].sketch.rows == len((world.sandbox.path / "data" / "train.csv").read_text().splitlines()) - 1


def test_a_model_that_fails_is_remembered_and_not_stored(fresh: World, capsys: pytest.CaptureFixture[str]) -> None:
    fresh.commit(tiny.params(mode="shuffled"))
    assert mlbot(capsys, "run", "--record", "--quiet")[0] == Exit.FAILED
    (verdict,) = verdicts(fresh)
    assert verdict.outcome is Outcome.FAIL
    assert not (fresh.deploy / "store").exists()
    code, out, said = mlbot(capsys, "release", "tiny")
    assert (code, out) == (Exit.REFUSED, "")
    assert "mlbot: refused (verdict-failed): " in said


@pytest.mark.parametrize(
    ("story", "said"),
    [
        ("dirty", "the working tree has more"),
        ("unpushed", "is for the tip of main"),
        ("elsewhere", "is for the tip of main"),
        ("base", "judges against what the branch had before"),
        ("storeless", "names no store"),
    ],
)
def test_only_the_guarded_branchs_clean_tip_is_recorded(
    fresh: World, story: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = fresh.refs()
    more: list[str] = []
    match story:
        case "dirty":
            fresh.sandbox.write({"new.txt": "x"})
        case "unpushed":
            fresh.sandbox.commit({"new.txt": "x"})
        case "elsewhere":
            fresh.sandbox.git("checkout", "--quiet", "HEAD~1")
        case "base":
            more = ["--base", "main"]
        case _:
            fresh.commit({"mlbot.yaml": tiny.CONFIG})
            before = fresh.refs()
    code, _, told = mlbot(capsys, "run", "--record", *more)
    assert code == Exit.USAGE
    assert said in told
    assert fresh.refs() == before


def test_the_verbs_say_their_results_as_json(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*arguments: str) -> tuple[int, dict[str, Any]]:
        code, out, _ = mlbot(capsys, *arguments, "--json", "-C", str(world.sandbox.path))
        return code, json.loads(out)

    code, found = told("release", "tiny")
    assert (code, found["decision"]["reason"]) == (Exit.OK, "already-released")
    code, found = told("promote", "tiny@v1.0.0", "production")
    assert (code, found["decision"]["reason"], found["deployment"]) == (Exit.REFUSED, "out-of-order", None)
    code, found = told("promote", "tiny@v1.0.0", "staging", "--dry-run")
    assert (code, found["decision"]["reason"], found["dry_run"]) == (Exit.OK, "promotable", True)
    code, found = told("promote", "tiny@v1.0.0", "staging")
    assert (code, found["deployment"]["state"]) == (Exit.OK, "succeeded")
    code, found = told("approve", "tiny@v1.0.0", "production")
    assert (code, found["entry"]["actor"]) == (Exit.OK, "Ada")
    code, found = told("rollback", "tiny", "staging", "--reason", "slow")
    assert (code, found["decision"]["reason"]) == (Exit.REFUSED, "nothing-before")
    code, found = told("lock", "staging", "--reason", "A freeze")
    assert (code, found["changed"]) == (Exit.OK, True)
    code, found = told("unlock", "staging")
    assert (code, found["locked"]) == (Exit.OK, False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["promote", "tiny", "staging"], "'tiny' does not name a version"),
        (["promote", "tiny@", "staging"], "does not name a version"),
        (["promote", "tiny@latest", "staging"], "'latest' is no version"),
        (["release", "tiny", "--bump", "minor", "--version", "2.0.0"], "exclude each other"),
        (["release", "tiny", "--commit", "nowhere"], "git knows no commit 'nowhere'"),
        (["lock", "moon"], "no environment 'moon'"),
        (["release", "two words"], "'two words' is no name of a model"),
        (["promote", "a/b@1.0.0", "staging"], "'a/b' is no name of a model"),
        (["promote", "tiny@1.0.0", "../x"], "'../x' is no name of an environment"),
        (["rollback", "tiny", "", "--reason", "x"], "'' is no name of an environment"),
        (["rollback", "tiny", "staging", "--to", "old", "--reason", "x"], "'old' is no version"),
    ],
)
def test_wrong_usage(world: World, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = world.state()
    code, _, told = mlbot(capsys, *arguments, "-C", str(world.sandbox.path))
    assert code == Exit.USAGE
    assert said in told
    assert world.state() == before


def test_progress_is_on_stderr_and_quiet_is_obeyed(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, said = mlbot(capsys, "promote", "tiny@v1.0.0", "staging", "-C", str(world.sandbox.path))
    assert code == Exit.OK
    assert out.startswith("tiny@v1.0.0 is live in staging.")
    for step in ("tiny@v1.0.0 → staging", "Verifying the bytes", "Staging", "Switching", "Reading it back", "Smoke"):
        assert step in said
    assert mlbot(capsys, "promote", "tiny@v1.0.1", "staging", "-q", "-C", str(world.sandbox.path))[2] == ""
