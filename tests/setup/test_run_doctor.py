"""`mlbot doctor` on repositories as people have them."""

import io
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import responses
from tests.support import history_samples, repositories
from tests.support.git_samples import Sandbox

from mlbot.console import Console
from mlbot.errors import Exit, UsageError
from mlbot.git.ledger import COPY, LedgerBranch
from mlbot.git.remote import Remote
from mlbot.git.repository import Repository
from mlbot.github.transport import TokenRefusedError
from mlbot.ledger.entries import BRANCH
from mlbot.lib.constants import JUDGE_PATH, RELEASE_PATH, TRAIN_PATH
from mlbot.ml import isolation
from mlbot.ml.isolation import Rung
from mlbot.setup.run_doctor import doctor, examine
from mlbot.setup.run_init import InitOptions, init, upgrade
from mlbot.setup.scaffold import Choices

pytestmark = pytest.mark.usefixtures("git_settings")
REMOTE = "https://github.com/acme/tiny.git"
API = "https://api.github.com:443/repos/acme/tiny"
TOKEN = "ghp_secretsecretsecret"


@pytest.fixture
def ready(tmp_path: Path) -> Sandbox:
    """A repository after `mlbot init`, committed, with a remote."""
    sandbox = repositories.script(tmp_path / "tiny")
    out = io.StringIO()
    assert init(sandbox.path, InitOptions(choices=Choices()), Console(out=out, err=out)) == Exit.OK
    sandbox.commit(message="Judge models")
    sandbox.git("remote", "add", "origin", REMOTE)
    return sandbox


def examined(sandbox: Sandbox, environment: Mapping[str, str] | None = None) -> tuple[Exit, list[tuple[str, str]]]:
    """The exit code, and code and place of each finding."""
    out, err = io.StringIO(), io.StringIO()
    code = doctor(sandbox.path, environment or {}, Console(out=out, err=err), as_json=True)
    assert TOKEN not in out.getvalue() + err.getvalue()
    return code, [(each["code"], each["where"]) for each in json.loads(out.getvalue())["findings"]]


def test_after_init_nothing_is_wrong(ready: Sandbox) -> None:
    assert examined(ready) == (
        Exit.OK,
        [("holdout-in-repository", "mlbot.yaml: data.holdout"), ("not-looked-at", "")],
    )


@pytest.mark.parametrize(
    ("rung", "finding"),
    [(Rung.NONE, "warning"), (Rung.LANDLOCK, "advice"), (Rung.BUBBLEWRAP, None)],
)
def test_it_says_what_holds_a_predictor_here(
    ready: Sandbox, monkeypatch: pytest.MonkeyPatch, rung: Rung, finding: str | None
) -> None:
    def here() -> isolation.Isolation:
        return isolation.UNHELD.model_copy(update={"rung": rung, "refused": {Rung.DOCKER: "there is no docker"}})

    monkeypatch.setattr(isolation, "isolation_here", here)
    config = ready.path / "mlbot.yaml"
    config.write_text(config.read_text().replace("    data:", "    predict: {run: python predict.py}\n    data:", 1))
    (ready.path / "predict.py").write_text("")
    out, err = io.StringIO(), io.StringIO()
    doctor(ready.path, {}, Console(out=out, err=err), as_json=True)
    found = [each for each in json.loads(out.getvalue())["findings"] if each["code"] == "isolation"]
    assert [each["severity"] for each in found] == ([finding] if finding else [])
    assert all("docker: there is no docker" in each["hint"] for each in found)
    assert f"on this machine: {'nothing' if rung is Rung.NONE else rung}" in err.getvalue()


def test_for_people(ready: Sandbox) -> None:
    out = io.StringIO()
    (ready.path / TRAIN_PATH).unlink()
    assert doctor(ready.path, {}, Console(out=out, err=out), as_json=False) == Exit.FAILED
    assert out.getvalue().startswith(
        f"error: workflow-missing  {TRAIN_PATH}\n  the workflow is not there\n  → Write it: "
    )
    assert out.getvalue().endswith("\n1 error and 0 warnings.\n")


def test_a_remote_that_nothing_was_pushed_to_is_told_plainly(ready: Sandbox) -> None:
    out = io.StringIO()
    assert doctor(ready.path, {}, Console(out=out, err=out), as_json=False) == Exit.OK
    assert "the remote has nothing of this repository, as far as this clone knows" in out.getvalue()
    assert out.getvalue().endswith("\nNothing is wrong here; GitHub's side was not looked at.\n")
    ready.git("update-ref", "refs/remotes/origin/main", "HEAD")
    assert doctor(ready.path, {}, Console(out=out, err=out), as_json=False) == Exit.OK
    assert "GitHub's side was not checked, for there is no token" in out.getvalue()


def test_before_init(tmp_path: Path) -> None:
    code, found = examined(repositories.script(tmp_path / "tiny"))
    assert code == Exit.FAILED
    assert [each for each, _ in found] == [
        "no-config", "judge-not-live", "workflow-missing", "workflow-missing", "no-remote", "not-looked-at",
    ]  # fmt: skip


def test_at_a_root_without_a_config_the_folders_that_have_one_are_named(ready: Sandbox) -> None:
    (ready.path / "services").mkdir()
    for name in ("a", "b"):
        (ready.path / "services" / name).mkdir()
        (ready.path / "services" / name / "mlbot.yaml").write_text((ready.path / "mlbot.yaml").read_text())
    (ready.path / "mlbot.yaml").unlink()
    out = io.StringIO()
    assert doctor(ready.path, {}, Console(out=out, err=out), as_json=False) == Exit.FAILED
    assert out.getvalue() == (
        "error: no-config  mlbot.yaml\n"
        "  there is no mlbot.yaml in this folder; each of these has one: services/a, services/b\n"
        "  → Name one: mlbot doctor --config services/a/mlbot.yaml\n\n1 error and 0 warnings.\n"
    )


def test_a_judge_that_is_not_on_the_default_branch_judges_nothing(tmp_path: Path) -> None:
    sandbox = repositories.script(tmp_path / "tiny")
    sandbox.git("checkout", "--quiet", "-b", "mlbot")
    out = io.StringIO()
    init(sandbox.path, InitOptions(choices=Choices()), Console(out=out, err=out))
    sandbox.commit()
    assert ("judge-not-live", JUDGE_PATH) in examined(sandbox)[1]
    sandbox.git("checkout", "--quiet", "main")
    sandbox.git("merge", "--quiet", "mlbot")
    assert "judge-not-live" not in dict(examined(sandbox)[1])


def test_every_problem_of_the_config_is_a_finding(ready: Sandbox) -> None:
    text = (ready.path / "mlbot.yaml").read_text()
    ready.write({"mlbot.yaml": text.replace("target:", "traget:").replace("size_mb:", "size_gb:")})
    code, found = examined(ready)
    assert code == Exit.FAILED
    assert [each for each, _ in found].count("config-invalid") >= 2
    assert any(where.startswith("mlbot.yaml:2") for _, where in found), "the line is said"


def test_a_bound_that_holds_no_model_back_is_a_warning(ready: Sandbox) -> None:
    text = (ready.path / "mlbot.yaml").read_text()
    ready.write({"mlbot.yaml": text.replace("    gates:\n", "    gates:\n      accuracy: {max: 1}\n")})
    code, found = examined(ready)
    assert code == Exit.OK
    line = text.splitlines().index("    gates:") + 2
    assert ("gate-idle", f"mlbot.yaml:{line}") in found


def test_data_that_the_sandbox_will_not_have(ready: Sandbox) -> None:
    ready.git("rm", "--quiet", "--cached", "data/train.csv")
    ready.commit({".gitignore": "data/train.csv\n"})
    assert ("data-not-in-git", "data/train.csv") in examined(ready)[1]
    ready.commit({"data/train.csv.dvc": "outs: [{path: train.csv}]\n"})
    assert ("data-pointer", "data/train.csv") in examined(ready)[1]


@pytest.mark.parametrize("lfs", [False, True])
def test_data_kept_by_git_lfs(ready: Sandbox, *, lfs: bool) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    text = (ready.path / TRAIN_PATH).read_text()
    ready.commit({"data/train.csv": pointer, TRAIN_PATH: text + "      lfs: true\n" if lfs else text})
    assert (("data-pointer", "data/train.csv") in examined(ready)[1]) is not lfs
    ready.commit({"data/train.csv": "x,y\n", ".gitattributes": "*.csv filter=lfs\n"})
    assert (("data-pointer", "data/train.csv") in examined(ready)[1]) is not lfs, "resolved here, not elsewhere"


def test_a_workflow_that_is_no_yaml(ready: Sandbox) -> None:
    ready.write({TRAIN_PATH: "on: [\n", ".github/workflows/other.yaml": "a: b: c\n"})
    found = examined(ready)[1]
    assert found.count(("workflow-unreadable", TRAIN_PATH)) == 1
    assert found.count(("workflow-unreadable", ".github/workflows/other.yaml")) == 1


def test_with_a_token_github_is_asked(ready: Sandbox) -> None:
    text = (ready.path / "mlbot.yaml").read_text()
    ready.write({"mlbot.yaml": text.replace("# runs-on: ubuntu-latest ", "runs-on: [self-hosted, gpu] ")})
    with responses.RequestsMock() as mocked:
        mocked.get(API, json={"id": 7, "default_branch": "main", "private": False})
        mocked.get(f"{API}/rules/branches/main", json=[{"type": "merge_queue"}])
        mocked.get(f"{API}/branches/main", json={"protection": {"enabled": False}})
        for name in ("mlbot-ledger", "mlbot-charts"):
            mocked.get(f"{API}/rules/branches/{name}", json=[{"type": "update", "ruleset_id": 3}])
            mocked.get(f"{API}/branches/{name}", status=404, json={"message": "Branch not found"})
        for path in ("permissions", "permissions/workflow", "runners"):
            mocked.get(f"{API}/actions/{path}", status=403, json={"message": "Must have admin rights"})
        code, found = examined(ready, {"GITHUB_TOKEN": TOKEN})
        assert {call.request.headers["Authorization"] for call in mocked.calls} == {f"token {TOKEN}"}
    assert code == Exit.FAILED
    assert [each for each, _ in found] == [
        "workflow-drift", "workflow-drift", "check-not-required", "rule-blocks", "rule-blocks", "self-hosted-public",
        "holdout-in-repository", "code-owners", "not-looked-at",
    ]  # fmt: skip


def test_a_bad_token_is_said_and_not_shown(ready: Sandbox) -> None:
    with responses.RequestsMock() as mocked:
        mocked.get(API, status=401, json={"message": "Bad credentials"})
        with pytest.raises(TokenRefusedError) as caught:
            examined(ready, {"GITHUB_TOKEN": TOKEN})
    assert TOKEN not in str(caught.value)


def test_outside_a_repository(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(UsageError, match="not in a git repository"):
        examined(Sandbox(tmp_path / "plain"))


def test_environments_without_a_workflow_that_releases_into_them(ready: Sandbox) -> None:
    text = (ready.path / "mlbot.yaml").read_text()
    ready.write({"mlbot.yaml": f"{text}environments:\n  staging: {{target: served/staging}}\n"})
    assert ("release-missing", RELEASE_PATH) in examined(ready)[1]
    out = io.StringIO()
    init(ready.path, InitOptions(choices=Choices(), release=True), Console(out=out, err=out))
    found = examined(ready)[1]
    assert ("target-in-checkout", "mlbot.yaml: environments.staging.target") in found
    assert [each for each in found if each[1].startswith(RELEASE_PATH)] == []

    workflow = (ready.path / RELEASE_PATH).read_text()
    wide = workflow.replace(
        "      actions: write        # to start this", "      contents: write       # to start this"
    )
    ready.write({RELEASE_PATH: wide})
    found = examined(ready)[1]
    assert ("permissions-missing", f"{RELEASE_PATH}: jobs.tag") in found
    assert ("permissions-wide", f"{RELEASE_PATH}: jobs.tag") in found


def test_a_ledger_that_was_deleted_is_an_error(tmp_path: Path) -> None:
    story = history_samples.told(tmp_path / "story")
    assert not {code for code, _ in examined(story.clone)[1]} & {"ledger-lost", "ledger-lacks", "registry-disagrees"}
    for ref in (f"refs/heads/{BRANCH}", COPY):
        subprocess.run(["git", "update-ref", "-d", ref], cwd=story.origin, check=True)
    code, found = examined(story.clone)
    assert (code, ("ledger-lost", "") in found) == (Exit.FAILED, True)
    LedgerBranch.at(Remote(url=str(story.origin))).append([history_samples.lock(9)], 1_800_000_000)
    story.clone.git("update-ref", "-d", COPY)
    story.clone.git("update-ref", "-d", f"refs/remotes/origin/{BRANCH}")
    assert [each for each, _ in examined(story.clone)[1]].count("ledger-lacks") == 4, "the tags still tell"


def drift(sandbox: Sandbox) -> list[tuple[str, str]]:
    """What is said of files that are not as they would be written: which, and the first words."""
    found = examine(Repository.discover(sandbox.path), None, None)
    return [(each.where, each.what) for each in found if each.code == "workflow-drift"]


def test_drift_is_named_by_its_cause(ready: Sandbox) -> None:
    def change(path: str, old: str, new: str) -> None:
        text = (ready.path / path).read_text()
        assert old in text
        ready.write({path: text.replace(old, new, 1)})

    assert drift(ready) == []
    change("mlbot.yaml", "# guard:", "actions: {lfs: true}\n# guard:")
    assert drift(ready) == [(path, "mlbot.yaml has changed since it was written") for path in (JUDGE_PATH, TRAIN_PATH)]
    change(JUDGE_PATH, "name: mlbot-judge", "name: mine")
    change(JUDGE_PATH, "  judge:\n    if: github", "  judge:\n    if: true || github")
    assert drift(ready)[0] == (
        JUDGE_PATH, "it was changed by hand, and differs from what mlbot writes in jobs.judge.if, jobs.judge.with.lfs",
    )  # fmt: skip
    change("mlbot.yaml", "actions: {lfs: true}", "actions: {runs-on: big}")
    needs = "it has the other form. The workflows hold the jobs themselves: called ones could not have actions.runs-on."
    assert drift(ready) == [(JUDGE_PATH, needs), (TRAIN_PATH, needs)]
    assert upgrade(ready.path, Console(out=io.StringIO()), force=True) == Exit.OK
    assert drift(ready) == []
    change(TRAIN_PATH, "      contents: read", "      contents: write")
    assert "permissions-wide" in [code for code, _ in examined(ready)[1]]
    change("mlbot.yaml", "actions: {runs-on: big}", "")
    assert ("it has the other form. The workflows are small") in drift(ready)[0][1]


@pytest.mark.parametrize(
    ("actions", "said"),
    [
        ("", ["data-pointer"]),
        ('actions: {judge: {prepare: "dvc pull data/holdout.csv", secrets: [DVC_KEY]}}', []),
    ],
)
def test_a_holdout_of_dvc_is_fetched_by_a_step_of_the_judges(ready: Sandbox, actions: str, said: list[str]) -> None:
    text = (ready.path / "mlbot.yaml").read_text()
    ready.write(
        {"data/holdout.csv.dvc": "outs:\n- md5: 0\n  path: holdout.csv\n", "mlbot.yaml": f"{text}\n{actions}\n"}
    )
    ready.git("rm", "--quiet", "--cached", "data/holdout.csv")
    ready.write({".gitignore": "/data/holdout.csv\n"})
    found = examine(Repository.discover(ready.path), None, None)
    pointers = [each for each in found if each.code == "data-pointer"]
    assert [each.code for each in pointers] == said
    for each in pointers:
        assert each.severity == "error"
        assert 'actions: {judge: {prepare: "dvc pull data/holdout.csv"}}' in each.hint
        assert "Never fetch it in the job of a pull request" in each.hint


@pytest.mark.parametrize(("lfs", "said"), [("", 1), ("actions: {lfs: judge}", 0), ("actions: {lfs: true}", 0)])
def test_a_holdout_of_lfs_is_fetched_for_the_judge_alone(ready: Sandbox, lfs: str, said: int) -> None:
    text = (ready.path / "mlbot.yaml").read_text()
    ready.commit({".gitattributes": "data/holdout.csv filter=lfs\n", "mlbot.yaml": f"{text}\n{lfs}\n"})
    found = [each for each in examine(Repository.discover(ready.path), None, None) if each.code == "data-pointer"]
    assert len(found) == said
    assert all("`actions: {lfs: judge}`" in each.hint for each in found)
