"""The main job, end to end: real git, real trainings, real ONNX, the whole command line."""

import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.support import tiny
from tests.support.git_samples import Sandbox, make
from tests.support.typed import typed

from mlbot.config.schema import OnInconclusive
from mlbot.console import Console
from mlbot.errors import Exit
from mlbot.gates.outcome import Outcome, Reason
from mlbot.git.merge import three_commits
from mlbot.git.repository import Repository
from mlbot.judging import run_judge
from mlbot.judging.run_judge import JudgeRequest, JudgeResult, evidence_of, judge
from mlbot.judging.run_local import Outputs, RunOptions, run_and_report, run_models
from mlbot.ledger.entries import WaiverEntry, files_of
from mlbot.lib.tree import Tree
from mlbot.plan.run_plan import Planning, read_configs
from mlbot.report.report import NoticeCode, Report
from mlbot.storage.artifact import measured
from mlbot.verdict.decide import Evidence, policy_digest, removal_digest
from mlbot.verdict.verdict import Problem

pytestmark = pytest.mark.usefixtures("git_settings")


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch, git_settings: None) -> None:
    """The tests' Python is the one that trains."""
    del git_settings
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def fresh(tmp_path: Path, path: None) -> Sandbox:
    """The tiny repository, in which nothing has been trained."""
    del path
    return tiny.repository(tmp_path / "repository")


@pytest.fixture
def repository(tmp_path: Path, path: None, trained_baseline: Path) -> Sandbox:
    """The tiny repository, in which what main has is trained already."""
    del path
    return Sandbox(shutil.copytree(trained_baseline, tmp_path / "repository", symlinks=True))


def mlbot(where: Sandbox, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In this process, as starting another takes longer than judging."""
    return typed(shlex.join(["mlbot", *arguments]), where.path)


def run(where: Sandbox, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = mlbot(where, "run", "--json", *arguments)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)


def gate(report: dict[str, Any], metric: str, bound: str) -> dict[str, Any]:
    gates = report["verdict"]["models"][0]["gates"]
    found: dict[str, Any] = next(g for g in gates if (g["gate"]["metric"], g["gate"]["bound"]) == (metric, bound))
    return found


def notices(report: dict[str, Any]) -> set[str]:
    return {notice["code"] for part in (report, *report["models"]) for notice in part["notices"]}


def left_behind(where: Sandbox) -> list[str]:
    state = where.path / ".git" / "mlbot"
    found = [
        p for part in ("worktrees", "scratch", "results/staging", "results/locks") for p in (state / part).rglob("*")
    ]
    return [str(p) for p in found if p.suffix != ".lock"]


def test_only_another_seed_is_no_failure_a_small_slice_does_not_block_and_nothing_is_trained_twice(
    fresh: Sandbox,
) -> None:
    fresh.commit(tiny.params(offset=1000))
    first = mlbot(fresh, "run", "--json")
    report = json.loads(first.stdout)
    assert (first.returncode, report["verdict"]["outcome"]) == (Exit.OK, "pass")
    small = gate(report, "accuracy", "min")
    assert (small["reason"], small["counts"]) == ("slice-too-small", False)
    assert gate(report, "roc_auc", "max_regression")["reason"] == "within-margin"
    model = report["models"][0]
    assert model["flips"]["excess"]["method"] == "recipe"
    assert 0 < model["latency"]["rounds"] <= 20
    assert left_behind(fresh) == []
    assert fresh.git("worktree", "list", "--porcelain").count("worktree ") == 1
    assert fresh.git("status", "--porcelain") == ""
    second = mlbot(fresh, "run")
    assert second.returncode == Exit.OK
    assert (first.stderr.count("trained in"), second.stderr.count("trained before")) == (6, 6)


def test_a_lost_feature_fails(repository: Sandbox) -> None:
    repository.commit(tiny.params(mode="lost"))
    code, report = run(repository)
    assert (code, report["verdict"]["outcome"]) == (Exit.FAILED, "fail")
    assert gate(report, "roc_auc", "max_regression")["reason"] == "regression"


@pytest.mark.parametrize(
    ("mode", "code", "outcome", "reason"),
    [
        ("shuffled", Exit.FAILED, "fail", "below-minimum"),
        pytest.param("constant", Exit.FAILED, "fail", "below-minimum", marks=pytest.mark.nightly),
        ("nan", Exit.NOT_EVALUATED, "error", "not-finite"),
        ("reordered", Exit.NOT_EVALUATED, "error", "feature-order"),
        ("reordered silently", Exit.FAILED, "fail", "regression"),
        ("crash", Exit.NOT_EVALUATED, "error", "training-failed"),
        ("named in another order", Exit.OK, "pass", "all-gates-pass"),
    ],
)
def test_a_believable_mistake_is_named(repository: Sandbox, mode: str, code: int, outcome: str, reason: str) -> None:
    repository.commit(tiny.params(mode=mode))
    found, report = run(repository)
    assert (found, report["verdict"]["outcome"], report["verdict"]["reason"]) == (code, outcome, reason)


@pytest.mark.parametrize(
    ("holdout", "reason"),
    [
        ("x1,x2,x3,segment,y\n", "empty-holdout"),
        ("", "holdout-unreadable"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "holdout-unreadable"),
        ("x1,x3,segment,y\n1,2,rare,1\n0,1,north,0\n", "model-inputs"),
        ("x1,x2,x3,segment,y\n" + "1,2,3,north,1\n" * 600, "metric-undefined"),
    ],
)
def test_a_holdout_that_cannot_judge(repository: Sandbox, holdout: str, reason: str) -> None:
    """The guarded branch's own holdout is broken, so nothing can pass."""
    repository.git("checkout", "--quiet", "main")
    repository.commit({"data/holdout.csv": holdout})
    repository.git("checkout", "--quiet", "-b", "later")
    repository.commit(tiny.params(offset=1000))
    code, report = run(repository)
    assert code == Exit.NOT_EVALUATED
    assert report["verdict"]["models"][0]["reason"] == reason


def test_the_first_model_of_a_repository_has_no_baseline(repository: Sandbox) -> None:
    repository.git("checkout", "--quiet", "--orphan", "fresh")
    repository.git("rm", "--quiet", "-r", "--cached", ".")
    (repository.path / "mlbot.yaml").rename(repository.path / "later.yaml")
    repository.commit(message="Only the data")
    repository.git("branch", "--force", "main")
    (repository.path / "later.yaml").rename(repository.path / "mlbot.yaml")
    code, report = run(repository)
    assert (code, report["verdict"]["outcome"]) == (Exit.OK, "pass")
    relative = gate(report, "roc_auc", "max_regression")
    assert (relative["reason"], relative["counts"]) == ("new-model", False)
    assert gate(report, "roc_auc", "min")["outcome"] == "pass"
    assert notices(report) >= {"provisional", "uncommitted-changes"}


def test_a_change_cannot_loosen_its_own_gates(repository: Sandbox) -> None:
    loose = tiny.CONFIG.replace("roc_auc: {min: 0.75, max_regression: 0.02}", "roc_auc: {min: 0.5}")
    repository.commit({"mlbot.yaml": loose, **tiny.params(mode="lost", claim=0.9999)})
    code, report = run(repository)
    assert code == Exit.FAILED
    assert gate(report, "roc_auc", "max_regression")["outcome"] == "fail"
    assert notices(report) >= {"policy-differs", "unverified-claim"}


def test_an_improvement_of_uncommitted_files_is_judged_and_said(repository: Sandbox) -> None:
    repository.write(tiny.params(offset=3))
    code, report = run(repository)
    assert code == Exit.OK
    assert report["verdict"]["commits"]["uncommitted"] == ["params.yaml"]
    assert repository.git("status", "--porcelain") == "M params.yaml"


def test_nothing_stale_trains_nothing(fresh: Sandbox) -> None:
    fresh.commit({"README.md": "Words.\n"})
    code, report = run(fresh)
    assert (code, report["verdict"]["reason"], report["unchanged"]) == (Exit.OK, "nothing-stale", ["tiny"])
    assert not (fresh.path / ".git/mlbot/results/entries").exists()
    assert "never-judged" in notices(report)
    out = io.StringIO()
    run_and_report(fresh.path, RunOptions(), Outputs(), Console(out=out, err=io.StringIO(), color=True))
    first = out.getvalue().splitlines()[0]
    assert first.startswith("\x1b[1;33m? Never judged: No model is affected")
    assert "To judge it: `mlbot run --model tiny`" in " ".join(out.getvalue().split())


def test_a_named_model_is_judged_even_when_nothing_changed(repository: Sandbox) -> None:
    code, report = run(repository, "--model", "tiny")
    assert code == Exit.OK
    assert gate(report, "roc_auc", "max_regression")["reason"] == "identical-models"


def test_more_seeds_are_trained_only_where_fewer_do_not_decide(
    fresh: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """On both sides, in the order of their numbers; a second run trains none of them again."""
    narrow = tiny.CONFIG.replace("timeout: 60s", "seeds: {start: 2, most: 5}")
    narrow = narrow.replace("max_regression: 0.02", "max_regression: 0.00001")
    fresh.git("checkout", "--quiet", "main")
    fresh.commit({"mlbot.yaml": narrow})
    fresh.git("checkout", "--quiet", "-b", "narrow")
    fresh.commit(tiny.params(offset=1000))
    (report,) = run_models(fresh.path, RunOptions(), Console.of_process(quiet=False)).models
    said = capsys.readouterr().err
    assert [(len(report.candidate), len(report.baseline)), report.verdict.outcome] == [(5, 5), Outcome.INCONCLUSIVE]
    assert [(wave.had.candidate, wave.wanted.baseline, wave.undecided) for wave in report.waves] == [
        (2, 3, ("roc_auc",)),
        (3, 5, ("roc_auc",)),
    ]
    assert "tiny: roc_auc is undecided with 2 seeds: training 1 more a side\n" in said
    assert "tiny: roc_auc is undecided with 3 seeds: training 2 more a side\n" in said
    assert said.count(": trained in") == 10
    run_models(fresh.path, RunOptions(), Console.of_process(quiet=False))
    assert ": trained in" not in capsys.readouterr().err


def another(name: str) -> str:
    """The config with another model in the one's place: the same files under another name would be the same model."""
    return tiny.CONFIG.replace("  tiny:", f"  {name}:").replace("python train.py", "python ./train.py")


def test_a_deleted_model_needs_a_person(repository: Sandbox) -> None:
    repository.commit({"mlbot.yaml": another("other")})
    code, report = run(repository)
    outcomes = {model["model"]: model["reason"] for model in report["verdict"]["models"]}
    assert code == Exit.FAILED
    assert outcomes["tiny"] == "model-deleted"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 1\nmodels: {}\n", "models"),
        ("version: 1\nmodel:\n  a: 1\n", "mlbot.yaml:2"),
        ("version: 1\nversion: 1\n", "mlbot.yaml:2"),
        (tiny.CONFIG.replace("python train.py", "").replace("run:", "runs: x"), "write run"),
    ],
)
def test_a_wrong_config_exits_with_2_and_says_where(repository: Sandbox, text: str, said: str) -> None:
    repository.write({"mlbot.yaml": text})
    done = mlbot(repository, "run", "--json")
    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert said.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_reports_are_written_where_asked(repository: Sandbox) -> None:
    repository.commit(tiny.params(offset=1000))
    done = mlbot(repository, "run", "--quiet", "--html", "r.html", "--markdown", "r.md")
    assert (done.returncode, done.stderr) == (Exit.OK, "")
    assert "roc_auc" in (repository.path / "r.html").read_text()
    assert "**Ready to merge:**" in (repository.path / "r.md").read_text()


def test_a_report_that_cannot_be_written_is_said_before_anything_is_trained(repository: Sandbox) -> None:
    repository.commit(tiny.params(offset=9))
    done = mlbot(repository, "run", "--html", "nowhere/r.html")
    assert done.returncode == Exit.USAGE
    assert "mkdir -p nowhere" in done.stderr
    assert "training" not in done.stderr


class Slow:
    """A run whose training waits for a long time, started and known to be inside it."""

    def __init__(self, where: Sandbox) -> None:
        marker = where.path.parent / "training"
        wait = f"import pathlib, time\npathlib.Path({str(marker)!r}).touch()\ntime.sleep(600)\n"
        where.commit({"train.py": wait + tiny.TRAIN})
        command = [sys.executable, "-m", "mlbot", "run"]
        self.process = subprocess.Popen(command, cwd=where.path, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while not marker.exists():
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(repository: Sandbox, number: signal.Signals) -> None:
    assert Slow(repository).end(number) in {130, 143}
    assert left_behind(repository) == []
    assert repository.git("worktree", "list", "--porcelain").count("worktree ") == 1


def test_a_killed_run_is_cleaned_up_by_the_next(repository: Sandbox) -> None:
    assert Slow(repository).end(signal.SIGKILL) == -signal.SIGKILL
    assert left_behind(repository) != []
    repository.commit({"train.py": tiny.TRAIN, **tiny.params(offset=11)})
    code, _ = run(repository)
    assert code == Exit.OK
    assert left_behind(repository) == []
    assert repository.git("worktree", "list", "--porcelain").count("worktree ") == 1


def test_judging_a_file_that_is_there_and_one_that_is_not(repository: Sandbox) -> None:
    trained = mlbot(repository, "train", "--model", "tiny", "--seed", "0", "--out", "trained")
    assert trained.returncode == Exit.OK
    file = "trained/tiny/0/model.onnx"
    done = mlbot(repository, "judge", "--json", file, "--baseline", file)
    report = json.loads(done.stdout)
    assert done.returncode == Exit.OK
    assert gate(report, "roc_auc", "max_regression")["reason"] == "identical-models"
    missing = mlbot(repository, "judge", "nowhere.onnx")
    assert missing.returncode == Exit.USAGE
    assert "nowhere.onnx: there is no such file" in missing.stderr


def test_a_training_that_left_no_model_leaves_why(repository: Sandbox) -> None:
    train = ("train", "--model", "tiny", "--seed", "0", "--out", "trained")
    folder = repository.path / "trained" / "tiny" / "0"
    repository.commit(tiny.params(mode="crash"))
    assert mlbot(repository, *train).returncode == Exit.NOT_EVALUATED
    assert [file.name for file in folder.iterdir()] == ["failure.json"]
    assert json.loads((folder / "failure.json").read_text())["log_tail"] == ["the data loader found no GPU"]

    repository.commit(tiny.params(offset=12))
    assert mlbot(repository, *train).returncode == Exit.OK
    assert {file.name for file in folder.iterdir()} == {"model.onnx", "training.json"}

    repository.commit({"data/train.csv": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"})
    assert mlbot(repository, *train).returncode == Exit.NOT_EVALUATED
    failure = json.loads((folder / "failure.json").read_text())
    assert failure["exit_code"] is None
    assert "Git LFS" in failure["message"]


def test_a_change_of_the_metrics_own_code_is_judged_by_the_guarded_branchs(repository: Sandbox) -> None:
    config = tiny.CONFIG.replace("metrics: [roc_auc, log_loss, accuracy]", "metrics: ['metrics:hit_score']")
    config = re.sub(r" +slices:\n(.*\n){2}", "", config)  # each would ask the code thousands of times more
    config = re.sub(r"( +gates:\n)( .*\n)+", r"\1      hit_score: {min: 0.6}\n", config)
    honest = "def hit_score(y_true, y_pred):\n    return float(((y_pred > 0.5) == y_true).mean())\n"
    repository.git("checkout", "--quiet", "main")
    repository.commit({"mlbot.yaml": config, "metrics.py": honest})
    repository.git("checkout", "--quiet", "-b", "sly")
    repository.commit(
        {"metrics.py": "def hit_score(y_true, y_pred):\n    return 1.0\n", **tiny.params(mode="constant")}
    )
    code, report = run(repository)
    assert code == Exit.FAILED
    assert gate(report, "hit_score", "min")["outcome"] == "fail"
    assert gate(report, "hit_score", "min")["value"] < 0.6
    assert "policy-differs" in notices(report)


def deleted(repository: Sandbox, config: str) -> Evidence:
    """The evidence on the one model that the working tree removes."""
    repository.commit({"mlbot.yaml": config})
    git = Repository.discover(repository.path)
    (found,) = evidence_of(Planning.of(git, three_commits(git, None)), [])
    return found


def test_a_removal_binds_to_the_key_that_the_model_had(repository: Sandbox) -> None:
    found = deleted(repository, another("other"))
    assert (found.model, found.deleted, found.policy) == ("tiny", True, removal_digest())
    assert found.key is not None
    repository.git("checkout", "--quiet", "main")
    repository.commit(tiny.params(offset=5))
    repository.git("checkout", "--quiet", "-B", "change")
    assert deleted(repository, another("third")).key not in {None, found.key}


def test_a_removal_of_what_base_cannot_train_binds_to_nothing(repository: Sandbox) -> None:
    repository.git("checkout", "--quiet", "main")
    broken = tiny.CONFIG.replace("params: params.yaml", "params: gone.yaml")
    repository.commit({"mlbot.yaml": broken})
    repository.git("checkout", "--quiet", "-B", "change")
    assert deleted(repository, another("other")).key is None


def remember(repository: Sandbox, *entries: WaiverEntry) -> None:
    """Put entries on this clone's ledger branch, as a fetch would."""
    repository.git("checkout", "--quiet", "--orphan", "mlbot-ledger")
    repository.git("rm", "-rfq", ".")
    repository.commit({path: raw.decode() for path, raw in files_of(entries).items()})
    repository.git("checkout", "--quiet", "change")


def report_on(repository: Sandbox) -> Report:
    console = Console(out=io.StringIO(), err=io.StringIO())
    return run_models(repository.path, RunOptions(), console)


def test_the_ledgers_waivers_hold_on_a_laptop_and_end_with_the_rules(repository: Sandbox) -> None:
    repository.commit(tiny.params(mode="lost"))
    before = report_on(repository)
    assert before.verdict.outcome is Outcome.FAIL
    (model,) = before.models
    assert model.holdout is not None
    git = Repository.discover(repository.path)
    config = read_configs(git, three_commits(git, None)).head
    rules = policy_digest(config.models[0], OnInconclusive(), Tree(), model.holdout.digest)
    fields: dict[str, Any] = {
        "model": "tiny",
        "key": model.verdict.key,
        "reason": "Known.",
        "actor": "boss",
        "commit": before.verdict.commits.head,
        "time": "2026-11-20T16:00:00Z",
    }
    failed = [gate.gate.name for gate in model.verdict.gates if gate.counts and gate.outcome is not Outcome.PASS]
    remember(repository, *(WaiverEntry(policy=rules, gate=name, **fields) for name in failed))
    assert report_on(repository).verdict.reason is Reason.WAIVED

    repository.git("branch", "--quiet", "-D", "mlbot-ledger")
    remember(repository, *(WaiverEntry(policy=removal_digest(), gate=name, **fields) for name in failed))
    after = report_on(repository)
    assert after.verdict.outcome is Outcome.FAIL
    assert [notice.code for notice in after.notices].count(NoticeCode.WAIVER_ENDED) == len(failed)


FORGES = """
import hashlib, pathlib, subprocess
own = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
state = pathlib.Path.cwd().parents[1]
mine = pathlib.Path(os.environ["MLBOT_MODEL"]).read_bytes()
for record in state.glob("results/entries/*/*/training.json"):
    if own in record.read_text():
        continue
    model = record.with_name("model.onnx")
    model.chmod(0o644)
    model.write_bytes(mine)
    changed = {"digest": "sha256:" + hashlib.sha256(mine).hexdigest(), "size_bytes": len(mine)}
    record.write_text(json.dumps(json.loads(record.read_text()) | changed))
"""
"""The end of a training that puts its own file in the place of every other commit's results."""


def test_a_training_cannot_put_its_model_in_the_baselines_place(repository: Sandbox) -> None:
    repository.commit({**tiny.params(mode="lost"), "train.py": tiny.TRAIN + FORGES})
    code, report = run(repository)
    assert (code, report["verdict"]["outcome"]) == (Exit.FAILED, "fail")
    assert gate(report, "roc_auc", "max_regression")["reason"] == "regression"


def test_a_file_that_changed_after_its_training_is_not_judged(
    repository: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(request: JudgeRequest, *rest: Any, **more: Any) -> JudgeResult:
        (run, *_) = request.candidate.runs
        assert isinstance(run.file, Path)
        run.file.chmod(0o644)
        run.file.write_bytes(run.file.read_bytes().replace(b"tiny", b"tidy"))
        return judge(request, *rest, **more)

    monkeypatch.setattr(run_judge, "judge", late)
    repository.commit(tiny.params(offset=1000))
    code, report = run(repository)
    assert (code, report["verdict"]["outcome"], report["verdict"]["reason"]) == (
        Exit.NOT_EVALUATED,
        "error",
        "model-refused",
    )
    assert "Seed 0: the model file was changed after its training had left it." in json.dumps(report)


FOLDER = """
os.mkdir(os.environ["MLBOT_ARTIFACT"])
path = os.path.join(os.environ["MLBOT_ARTIFACT"], "model.onnx")
onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
"""


def test_a_training_that_leaves_a_folder_is_judged(fresh: Sandbox) -> None:
    folder = tiny.TRAIN.replace('onnx.save(model, os.environ["MLBOT_MODEL"])', FOLDER)
    fresh.commit({"train.py": folder})
    code, report = run(fresh)
    assert (code, report["verdict"]["outcome"]) == (Exit.OK, "pass")
    candidates, trainings = report["models"][0]["candidate"], report["models"][0]["candidate_training"]
    assert [each["digest"] for each in candidates] == [each["digest"] for each in trainings]
    first = candidates[0]
    stored = fresh.path / ".git/mlbot/results/entries"
    assert any(measured(each).digest == first["digest"] for each in stored.rglob("0-*/model.onnx"))
    assert left_behind(fresh) == []


BROUGHT = re.sub(r"    train:\n(      .*\n)+", "    artifact: models/tiny\n", tiny.CONFIG, count=1)


def test_a_change_that_moves_a_pointer_is_judged_like_any_other(
    tmp_path: Path, path: None, good: Path, bad: Path
) -> None:
    del path
    sandbox = make(tmp_path / "repository")
    sandbox.write(tiny.files() | {"mlbot.yaml": BROUGHT})
    (sandbox.path / "models" / "tiny").mkdir(parents=True)
    (sandbox.path / "train.py").unlink()
    file = sandbox.path / "models" / "tiny" / "model.onnx"
    shutil.copyfile(good / "0" / "model.onnx", file)
    sandbox.commit()
    sandbox.git("checkout", "--quiet", "-b", "change")
    sandbox.commit({"README": "nothing is stale"})
    code, report = run(sandbox)
    assert (code, report["models"], report["unchanged"]) == (Exit.OK, [], ["tiny"])
    for source, wanted in ((good / "1", (Exit.OK, "pass")), (bad / "0", (Exit.FAILED, "fail"))):
        shutil.copyfile(source / "model.onnx", file)
        sandbox.commit()
        code, report = run(sandbox)
        assert (code, report["verdict"]["outcome"]) == wanted
        (model,) = report["models"]
        assert (len(model["candidate"]), len(model["baseline"])) == (1, 1)
        assert model["stale_reasons"] == ["models/tiny/model.onnx changed"]
        assert model["candidate"][0]["digest"] == measured(file.parent).digest
        assert gate(report, "roc_auc", "max_regression")["reason"] in {"within-margin", "regression"}
        assert {each["method"] for each in model["comparisons"]} == {"paired"}


def test_a_model_that_cannot_be_had_is_a_fault(tmp_path: Path, path: None) -> None:
    del path
    sandbox = make(tmp_path / "repository")
    gone = f"{{url: 'file://{tmp_path}/gone', sha256: {'0' * 64}}}"
    sandbox.commit(tiny.files())
    sandbox.git("checkout", "--quiet", "-b", "change")
    sandbox.commit({"mlbot.yaml": BROUGHT.replace("models/tiny", gone)})
    done = mlbot(sandbox, "run", "--json")
    assert done.returncode == Exit.NOT_EVALUATED
    report = json.loads(done.stdout)
    (model,) = report["models"]
    assert (report["verdict"]["outcome"], model["verdict"]["reason"]) == ("error", "model-missing")
    assert "The model that `artifact` names cannot be had" in done.stdout
    assert left_behind(sandbox) == []


def test_a_baseline_that_its_command_cannot_answer_for_was_there_to_fetch() -> None:
    failed = Problem.of(Reason.SCORING_FAILED, "command-no-output", status=81)
    found = run_judge._unusable(failed)
    assert found.reason is Reason.BASELINE_UNREACHABLE
    assert found.detail.startswith("The baseline could not be evaluated: The command that answers")
    assert "$MLBOT_PREDICTIONS" in failed.hint


def test_rows_of_the_holdout_in_the_training_data_fail_where_a_gate_says_so(repository: Sandbox) -> None:
    gated = tiny.CONFIG.replace("    drop: [segment]", "    drop: [segment]\n      gates: {overlap: {max: 0}}")
    gated += "waivers: {author: true}\n"
    repository.git("checkout", "--quiet", "main")
    repository.commit({"mlbot.yaml": gated})
    repository.git("checkout", "--quiet", "-b", "leaky")
    train, holdout = ((repository.path / f"data/{part}.csv").read_text("utf-8") for part in ("train", "holdout"))
    repository.commit({"data/train.csv": train + "".join(holdout.splitlines(keepends=True)[1:31])})
    code, report = run(repository)
    found = gate(report, "data.overlap", "max")
    assert (code, found["outcome"], found["value"]) == (Exit.FAILED, "fail", 30.0)
    (data,) = report["data"]
    assert [(each["check"], each["values"]["found"]) for each in data["findings"]] == [("overlap", 30)]
    done = mlbot(repository, "waive", "tiny:data.overlap", "--reason", "they are copies on purpose")
    code, report = run(repository)
    assert gate(report, "data.overlap", "max")["reason"] == "waived", done.stdout
