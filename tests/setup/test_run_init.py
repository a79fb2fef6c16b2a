"""`mlbot init` in repositories as people have them."""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.fake_github.server import FakeGitHub
from tests.support import repositories
from tests.support.git_samples import Sandbox, make

from mlbot.config.run_check import check
from mlbot.console import Console
from mlbot.errors import Exit, UsageError
from mlbot.gates.metric import Task
from mlbot.gates.outcome import Outcome
from mlbot.judging.run_local import RunOptions, run_models
from mlbot.lib.constants import DASHBOARD_PATH, JUDGE_PATH, MONITOR_PATH, RELEASE_PATH, TRAIN_PATH, WATCH_PATH
from mlbot.setup.run_init import InitOptions, init, is_public, upgrade
from mlbot.setup.scaffold import Choices

pytestmark = pytest.mark.usefixtures("git_settings")
MADE = {"mlbot.yaml", TRAIN_PATH, JUDGE_PATH}


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


def started(sandbox: Sandbox, said: io.StringIO, *, force: bool = False, ask: object = None, **chosen: object) -> Exit:
    for stream in (said,):
        stream.seek(0)
        stream.truncate()
    options = InitOptions(choices=Choices.model_validate(chosen), force=force, ask=ask)  # type: ignore[arg-type] # a test's own
    return init(sandbox.path, options, Console(out=said, err=said))


def texts(sandbox: Sandbox) -> dict[str, str]:
    return {path: (sandbox.path / path).read_text() for path in sorted(MADE)}


@pytest.mark.parametrize("shape", [repositories.script, pytest.param(repositories.package, marks=pytest.mark.nightly)])
def test_a_config_is_made_that_run_can_start_from(
    tmp_path: Path, said: io.StringIO, shape: Callable[[Path], Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    sandbox = shape(tmp_path / "churn")
    assert started(sandbox, said) == Exit.OK
    assert set(sandbox.git("ls-files", "--others", "--exclude-standard").splitlines()) == MADE
    (model,) = check(sandbox.path).models
    assert (model.name, model.train.params) == ("churn", "params.yaml")
    report = run_models(sandbox.path, RunOptions(base=None, models=(), jobs=1), Console(out=said, err=said))
    # The model is new, so the one gate on a baseline counts for nothing; all that can be judged passes.
    assert report.verdict.outcome is Outcome.PASS
    assert {gate.gate.metric: gate.outcome for gate in report.models[0].verdict.gates}["size_mb"] is Outcome.PASS


def test_a_second_time_there_is_nothing_to_do(tmp_path: Path, said: io.StringIO) -> None:
    sandbox = repositories.script(tmp_path / "tiny")
    assert started(sandbox, said) == Exit.OK
    made = texts(sandbox)
    assert "git add mlbot.yaml .github/workflows/mlbot.yml .github/workflows/mlbot-judge.yml" in said.getvalue()
    sandbox.commit(message="Judge models")
    assert started(sandbox, said) == Exit.OK
    assert said.getvalue() == "Nothing to do: everything is there already.\n"
    assert texts(sandbox) == made
    assert sandbox.git("status", "--porcelain") == ""


def test_nothing_that_is_there_is_overwritten(tmp_path: Path, said: io.StringIO) -> None:
    sandbox = repositories.script(tmp_path / "tiny")
    started(sandbox, said)
    own = (sandbox.path / "mlbot.yaml").read_text().replace("max_regression: 0.01", "max_regression: 0.02")
    sandbox.write({"mlbot.yaml": own, TRAIN_PATH: "name: mine\n"})
    (sandbox.path / JUDGE_PATH).unlink()
    assert started(sandbox, said) == Exit.OK
    assert f"{JUDGE_PATH}  made" in said.getvalue()
    assert "left as it is, though it differs (--force writes it anew)" in said.getvalue()
    assert "git add .github/workflows/mlbot-judge.yml\n" in said.getvalue()
    assert (texts(sandbox)["mlbot.yaml"], texts(sandbox)[TRAIN_PATH]) == (own, "name: mine\n")
    assert started(sandbox, said, force=True) == Exit.OK
    assert "max_regression: 0.01" in texts(sandbox)["mlbot.yaml"]


def test_the_install_command_is_the_users_to_change(tmp_path: Path, said: io.StringIO) -> None:
    sandbox = repositories.script(tmp_path / "tiny")
    started(sandbox, said)
    for path in (TRAIN_PATH, JUDGE_PATH):
        sandbox.write({path: texts(sandbox)[path].replace("pip install -r requirements.txt", "make install")})
    assert started(sandbox, said) == Exit.OK
    assert said.getvalue() == "Nothing to do: everything is there already.\n"


def test_what_is_guarded_is_what_a_push_is_judged_for(tmp_path: Path, said: io.StringIO) -> None:
    sandbox = repositories.script(tmp_path / "tiny")
    started(sandbox, said)
    config = sandbox.path / "mlbot.yaml"
    config.write_text(config.read_text() + '\nguard: [main, "release/*", c++]\n')
    (sandbox.path / TRAIN_PATH).unlink()
    assert started(sandbox, said) == Exit.OK
    assert 'branches: [main, "release/*", "c\\\\+\\\\+"]' in texts(sandbox)[TRAIN_PATH]
    assert (
        "Require the status `mlbot/main` for main, `mlbot/release` for release/* and `mlbot/c++` for c++"
        in " ".join(said.getvalue().split())
    )


def test_without_a_holdout_it_writes_what_it_can_and_says_what_is_missing(tmp_path: Path, said: io.StringIO) -> None:
    sandbox = repositories.script(tmp_path / "tiny")
    (sandbox.path / "data" / "holdout.csv").rename(sandbox.path / "rows.txt")
    assert started(sandbox, said) == Exit.USAGE
    assert "There is no holdout; mlbot.yaml names data/holdout.csv, which is still to be made." in said.getvalue()
    assert "Write it as data/train.csv is written, with the same columns: x1, x2, x3, segment, y" in said.getvalue()
    assert all((sandbox.path / path).is_file() for path in MADE)
    assert started(sandbox, said) == Exit.USAGE, "it is still missing"
    (sandbox.path / "rows.txt").rename(sandbox.path / "data" / "holdout.csv")
    assert started(sandbox, said) == Exit.OK
    assert said.getvalue() == "Nothing to do: everything is there already.\n"


def test_an_empty_repository(tmp_path: Path, said: io.StringIO) -> None:
    sandbox = make(tmp_path / "empty")
    assert started(sandbox, said) == Exit.USAGE
    for words in ("No training script was found", "There is no holdout", "The target column is not known"):
        assert words in said.getvalue()
    assert all((sandbox.path / path).is_file() for path in MADE)


def test_a_config_of_ones_own_with_a_mistake_is_not_called_ready(tmp_path: Path, said: io.StringIO) -> None:
    sandbox = repositories.script(tmp_path / "tiny")
    sandbox.write({"mlbot.yaml": "version: 1\nmodels: {}\n"})
    assert started(sandbox, said) == Exit.USAGE
    assert "at least one model" in said.getvalue()


def test_outside_a_repository(tmp_path: Path, said: io.StringIO) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(UsageError, match="not in a git repository"):
        started(Sandbox(tmp_path / "plain"), said)


def test_answers_at_a_terminal_count_and_later_questions_know_them(tmp_path: Path, said: io.StringIO) -> None:
    sandbox = repositories.script(tmp_path / "tiny")
    asked: list[tuple[str, str]] = []
    answers = {"What trains": "python train.py", "Column": "segment"}

    def ask(question: str, default: str) -> str:
        asked.append((question, default))
        return next((answer for start, answer in answers.items() if question.startswith(start)), default)

    assert started(sandbox, said, ask=ask) == Exit.OK
    assert [default for _, default in asked] == ["train.py", "data/train.csv", "data/holdout.csv", "y", "multiclass"]
    (model,) = check(sandbox.path).models
    assert (model.data.target, model.task, model.train.run) == ("segment", "multiclass", "python train.py")


def test_taking_what_is_offered_hides_nothing_that_is_missing(tmp_path: Path, said: io.StringIO) -> None:
    assert started(make(tmp_path / "empty"), said, ask=lambda _, default: default) == Exit.USAGE
    for words in ("No training script was found", "There is no holdout"):
        assert words in said.getvalue()


@pytest.mark.parametrize(("answer", "overwritten"), [("n", False), ("y", True)])
def test_before_a_file_is_overwritten_somebody_is_asked(
    tmp_path: Path, said: io.StringIO, answer: str, *, overwritten: bool
) -> None:
    sandbox = repositories.script(tmp_path / "tiny")
    started(sandbox, said)
    sandbox.write({TRAIN_PATH: "name: mine\n"})
    asked: list[str] = []

    def ask(question: str, default: str) -> str:
        asked.append(question)
        return answer if "Overwrite" in question else default

    started(sandbox, said, ask=ask)
    assert asked == ["mlbot.yml is there and differs. Overwrite it (y or n)?"]
    assert (texts(sandbox)[TRAIN_PATH] != "name: mine\n") is overwritten


@pytest.mark.parametrize(
    ("before", "after"), [(None, "*.onnx\n"), ("a\nb", "a\nb\n*.onnx\n"), ("*.onnx\n", "*.onnx\n")]
)
def test_model_files_of_a_training_by_hand_are_ignored(
    tmp_path: Path, said: io.StringIO, before: str | None, after: str
) -> None:
    sandbox = repositories.script(tmp_path / "tiny")
    script = (sandbox.path / "train.py").read_text()
    sandbox.write({"train.py": script.replace('os.environ["MLBOT_MODEL"]', 'os.environ.get("MLBOT_MODEL", "m.onnx")')})
    if before is not None:
        sandbox.write({".gitignore": before})
    assert started(sandbox, said) == Exit.OK
    assert (sandbox.path / ".gitignore").read_text() == after
    assert (".gitignore" in said.getvalue()) is (before != after)


def test_a_parquet_file_is_read_as_well(tmp_path: Path, said: io.StringIO) -> None:
    import polars as pl  # noqa: PLC0415 - this test's own

    sandbox = repositories.script(tmp_path / "tiny")
    for name in ("train", "holdout"):
        csv = sandbox.path / "data" / f"{name}.csv"
        pl.read_csv(csv).write_parquet(csv.with_suffix(".parquet"))
        csv.unlink()
    assert started(sandbox, said) == Exit.OK
    (model,) = check(sandbox.path).models
    assert (model.data.holdout, model.data.target, model.data.positive) == ("data/holdout.parquet", "y", "1")


def test_a_model_needs_a_name_that_is_one() -> None:
    with pytest.raises(UsageError, match="cannot be a model's name"):
        InitOptions.of(force=False, ask=None, task=None, model="a b", train=None)
    options = InitOptions.of(force=True, ask=None, task="regression", model="a", train="make")
    assert options.choices == Choices.model_validate(
        {"task": "regression", "model": "a", "train": "make"}, strict=False
    )


def test_the_workflow_that_releases_is_written_when_it_is_asked_for(tmp_path: Path, said: io.StringIO) -> None:
    sandbox = repositories.script(tmp_path / "tiny")
    assert init(sandbox.path, InitOptions(choices=Choices(), release=True), Console(out=said, err=said)) == Exit.OK
    file = sandbox.path / RELEASE_PATH
    made = file.read_text()
    assert "uses: mlbot-ci/mlbot/.github/workflows/release.yml@v1" in made
    assert f"git add mlbot.yaml {TRAIN_PATH} {JUDGE_PATH} {RELEASE_PATH}\n" in said.getvalue()
    file.write_text("name: mine\n")
    assert started(sandbox, said, target="y") == Exit.OK
    assert f"{RELEASE_PATH}  left as it is, though it differs" in said.getvalue()
    assert file.read_text() == "name: mine\n"
    assert started(sandbox, said, force=True) == Exit.OK
    assert file.read_text() == made


def upgraded(sandbox: Sandbox, said: io.StringIO, *, force: bool = False) -> Exit:
    said.seek(0)
    said.truncate()
    return upgrade(sandbox.path, Console(out=said, err=said), force=force)


def test_an_upgrade_follows_the_config_and_never_overwrites_in_silence(tmp_path: Path, said: io.StringIO) -> None:
    sandbox = repositories.script(tmp_path / "tiny")
    started(sandbox, said)
    made = texts(sandbox)
    assert upgraded(sandbox, said) == Exit.OK
    assert said.getvalue().count("as it should be") == 2
    config = made["mlbot.yaml"] + "\nactions: {runs-on: [self-hosted, linux], judge: {secrets: [DATA_KEY]}}\n"
    sandbox.write({"mlbot.yaml": config})
    assert upgraded(sandbox, said) == Exit.OK
    assert said.getvalue().count("written anew") == 2
    assert "The workflows hold the jobs themselves: called ones could not have actions.runs-on." in said.getvalue()
    inline = texts(sandbox)
    assert "DATA_KEY: ${{ secrets.DATA_KEY }}" in inline[JUDGE_PATH]
    assert "INSTALL: pip install -r requirements.txt" in inline[TRAIN_PATH], "what is installed is kept"
    own = inline[JUDGE_PATH].replace("timeout-minutes: 45", "timeout-minutes: 240")
    sandbox.write({JUDGE_PATH: own, "mlbot.yaml": made["mlbot.yaml"]})
    (sandbox.path / TRAIN_PATH).unlink()
    assert upgraded(sandbox, said) == Exit.REFUSED
    assert f"{TRAIN_PATH}        made\n" in said.getvalue()
    assert f"{JUDGE_PATH}  left as it is, for it was changed by hand\n" in said.getvalue()
    assert "\n-    timeout-minutes: 240" in said.getvalue(), "the difference is shown"
    assert "mlbot upgrade --force" in said.getvalue()
    assert (sandbox.path / JUDGE_PATH).read_text() == own
    assert upgraded(sandbox, said, force=True) == Exit.OK
    assert texts(sandbox) == made


def test_an_upgrade_adds_the_workflow_that_watches_production(tmp_path: Path, said: io.StringIO) -> None:
    sandbox = repositories.script(tmp_path / "tiny")
    started(sandbox, said)
    text, file = (sandbox.path / "mlbot.yaml").read_text(), sandbox.path / MONITOR_PATH
    assert not file.exists()
    watched = "    monitor: {requests: 's3://logs/{date}.jsonl'}\n    gates:"
    assert text.count("\n    gates:") == 1
    text = text.replace("    gates:", watched) + "\nenvironments: {production: {target: 's3://models/production'}}\n"
    sandbox.write({"mlbot.yaml": text})
    assert upgraded(sandbox, said) == Exit.OK
    assert "drivers: s3" in file.read_text()
    assert "install: pip install -r requirements.txt" in file.read_text()
    made = file.read_text()
    assert upgraded(sandbox, said) == Exit.OK
    assert file.read_text() == made


def test_an_upgrade_needs_a_config_that_is_valid(tmp_path: Path, said: io.StringIO) -> None:
    sandbox = repositories.script(tmp_path / "tiny")
    with pytest.raises(UsageError):
        upgraded(sandbox, said)
    sandbox.write({"mlbot.yaml": "version: 1\nmodels: {}\n"})
    with pytest.raises(UsageError, match="at least one model"):
        upgraded(sandbox, said)
    assert not (sandbox.path / TRAIN_PATH).exists()


def test_init_says_which_form_it_chose_and_what_to_make_on_github(tmp_path: Path, said: io.StringIO) -> None:
    sandbox = repositories.script(tmp_path / "tiny")
    started(sandbox, said)
    assert "The workflows are small and call mlbot's own: nothing in mlbot.yaml needs more." in said.getvalue()
    assert "environments" not in said.getvalue()
    config = (
        texts(sandbox)["mlbot.yaml"]
        + "\nactions: {token: {client-id: A, private-key: APP_KEY}, judge: {secrets: [K]}}\n"
    )
    sandbox.write({"mlbot.yaml": config})
    for path in (TRAIN_PATH, JUDGE_PATH):
        (sandbox.path / path).unlink()
    started(sandbox, said)
    assert "called ones could not have actions.token." in said.getvalue()
    assert "     mlbot-judge: K\n     mlbot: APP_KEY\n5. Open the first" in said.getvalue()
    assert "A private repository needs GitHub Pro or Team" in said.getvalue()
    sandbox.git("remote", "add", "origin", "https://acme.ghe.com/acme/tiny.git")
    sandbox.write({"mlbot.yaml": config.partition("\nactions:")[0] + "\n"})
    assert upgraded(sandbox, said) == Exit.OK
    assert "acme.ghe.com cannot call those of github.com." in said.getvalue()


def test_a_wrong_answer_is_asked_for_again(tmp_path: Path, said: io.StringIO) -> None:
    sandbox = repositories.script(tmp_path / "tiny")
    answers = {
        "What trains": ["trian.py", "train.py"],
        "Holdout": ["data/no.csv", "data/holdout.csv"],
        "Column": ["nope", "segment"],
        "Task": ["clustering", "multi-class", "multiclass"],
    }

    def ask(question: str, default: str) -> str:
        return next((left.pop(0) for start, left in answers.items() if question.startswith(start) and left), default)

    assert started(sandbox, said, ask=ask) == Exit.OK
    assert not any(answers.values())
    for words in ("no 'trian.py'", "no file 'data/no.csv'", "has no column 'nope'", "no task 'clustering'"):
        assert words in said.getvalue()
    (model,) = check(sandbox.path).models
    assert (model.data.target, model.task) == ("segment", "multiclass")


def test_who_answers_wrongly_for_ever_is_asked_five_times(tmp_path: Path, said: io.StringIO) -> None:
    asked: list[str] = []

    def ask(question: str, default: str) -> str:
        asked.append(question)
        return "no-such.py" if question.startswith("What trains") else default

    with pytest.raises(UsageError, match=r"no 'no-such\.py'"):
        started(repositories.script(tmp_path / "tiny"), said, ask=ask)
    assert len(asked) == 5


MESSY = "kunde;alter;zip;churned\n" + "".join(f"k{i};{i},5;{i % 9}?;{i % 2}\n" for i in range(40))


def test_a_notebook_gets_a_plain_script_to_start_from(tmp_path: Path, said: io.StringIO) -> None:
    sandbox = make(tmp_path / "churn")
    sandbox.commit(
        {"explore.ipynb": "{}\n", "data/train.csv": MESSY, "data/test.csv": MESSY, "requirements.txt": "pandas\n"}
    )
    assert started(sandbox, said) == Exit.OK
    assert "explore.ipynb cannot be run from here, so train.py is a plain model to start from" in said.getvalue()
    (model,) = check(sandbox.path).models
    assert (model.train.entrypoint, model.train.run) == ("train:train", None)
    script = (sandbox.path / "train.py").read_text()
    compile(script, "train.py", "exec")
    assert "pd.read_csv('data/train.csv', sep=';', decimal=',', na_values=['?'])" in script
    assert started(sandbox, said, force=True) == Exit.OK
    assert (sandbox.path / "train.py").read_text() == script


def test_without_code_or_data_the_script_says_that_it_does_nothing(tmp_path: Path, said: io.StringIO) -> None:
    sandbox = make(tmp_path / "empty")
    sandbox.commit({"README.md": "words\n"})
    assert started(sandbox, said) == Exit.USAGE
    assert "No training script was found, so train.py is an empty one" in said.getvalue()
    compile((sandbox.path / "train.py").read_text(), "train.py", "exec")


def test_a_folder_gets_a_config_and_workflows_of_its_own(tmp_path: Path, said: io.StringIO) -> None:
    sandbox = make(tmp_path / "mono")
    sandbox.commit({"a/train.py": "MLBOT_MODEL\n", "a/train.csv": MESSY, "a/test.csv": MESSY})
    options = InitOptions(choices=Choices(), force=False, ask=None)
    assert init(sandbox.path / "a", options, Console(out=said, err=said)) == Exit.OK
    assert sandbox.git("ls-files", "--others", "--exclude-standard").splitlines() == [
        ".github/workflows/mlbot-judge.a.yml",
        ".github/workflows/mlbot.a.yml",
        "a/mlbot.yaml",
    ]
    assert "This mlbot.yaml is for the folder a" in said.getvalue()
    assert "Require the status `mlbot:a` for main" in said.getvalue()
    assert "git add mlbot.yaml ../.github/workflows/mlbot.a.yml" in said.getvalue()
    train, judge = (
        yaml.safe_load((sandbox.path / f".github/workflows/{name}.a.yml").read_text())
        for name in ("mlbot", "mlbot-judge")
    )
    assert train["name"] == "mlbot a"
    assert judge[True]["workflow_run"]["workflows"] == ["mlbot a"]
    assert train["jobs"]["train"]["with"]["folder"] == "a"
    given = judge["jobs"]["judge"]["with"]
    assert (given["folder"], given["contexts"]) == ("a", "mlbot:a")
    assert given["train-workflow"] == ".github/workflows/mlbot.a.yml"
    assert judge["jobs"]["command"]["with"]["judge-workflow"] == ".github/workflows/mlbot-judge.a.yml"
    assert check(sandbox.path / "a").models[0].data.train == "train.csv"


def test_a_folder_installs_what_the_whole_repository_lists(tmp_path: Path, said: io.StringIO) -> None:
    sandbox = make(tmp_path / "mono")
    sandbox.commit({"requirements.txt": "numpy\n", "x/a/train.py": "MLBOT_MODEL\n", "x/a/train.csv": MESSY})
    options = InitOptions(choices=Choices(), force=False, ask=None)
    init(sandbox.path / "x" / "a", options, Console(out=said, err=said))
    train = yaml.safe_load((sandbox.path / ".github/workflows/mlbot.x--a.yml").read_text())
    assert train["jobs"]["train"]["with"]["install"] == "cd ../.. && pip install -r requirements.txt"
    assert "No file lists the packages" not in said.getvalue()


@pytest.mark.parametrize(("private", "token"), [(False, ""), (False, "x"), (True, ""), (True, "x")])
def test_a_public_repository_gets_the_watch(tmp_path: Path, *, private: bool, token: str) -> None:
    sandbox = repositories.script(tmp_path / "tiny")
    sandbox.git("remote", "add", "origin", "https://github.com/acme/tiny.git")
    with FakeGitHub(tmp_path / "github") as github:
        github.repository("acme/tiny", private=private, roles={"ada": "write"})
        environment = {"GITHUB_API_URL": github.api_url, "GITHUB_REPOSITORY": "other/one", "GITHUB_SERVER_URL": "x"}
        environment |= {"GITHUB_TOKEN": github.token("ada")} if token else {}
        assert is_public(sandbox.path, environment) is not private
        github.check()
    assert is_public(sandbox.path, environment) is False, "nobody answers"
    sandbox.git("remote", "set-url", "origin", str(tmp_path / "folder"))
    assert is_public(sandbox.path, environment) is False


def test_the_watch_is_written_where_it_is_asked_for_and_stays(tmp_path: Path, said: io.StringIO) -> None:
    sandbox = repositories.script(tmp_path / "tiny")
    console = Console(out=said, err=said)
    init(sandbox.path, InitOptions(choices=Choices(), watch=True), console)
    assert "pending" in (sandbox.path / WATCH_PATH).read_text()
    init(sandbox.path, InitOptions(choices=Choices(), force=True), console)
    assert (sandbox.path / WATCH_PATH).is_file()


@pytest.mark.parametrize("public", [True, False])
def test_the_dashboards_workflow_is_written_and_who_will_see_it_is_said(
    tmp_path: Path, said: io.StringIO, *, public: bool
) -> None:
    sandbox = repositories.script(tmp_path / "tiny")
    console = Console(out=said, err=said)
    init(sandbox.path, InitOptions(choices=Choices(), dashboard=True, public=public), console)
    written = (sandbox.path / DASHBOARD_PATH).read_text()
    assert "deploy-pages@" in written
    words = " ".join(said.getvalue().split())
    assert "Source: GitHub Actions" in words.partition("Before the dashboard is on GitHub Pages:")[2]
    assert ("can be seen by anybody" in words) is not public
    (sandbox.path / DASHBOARD_PATH).write_text(written.replace("mlbot ", "mlbot 0", 1))
    upgrade(sandbox.path, console, force=True)
    assert (sandbox.path / DASHBOARD_PATH).read_text() == written


@pytest.mark.parametrize(
    ("remote", "works"),
    [
        ("https://github.com/o/r.git", True),
        ("git@github.com:o/r.git", True),
        ("https://acme.ghe.com/o/r", True),
        ("https://github.corp.example/o/r.git", False),
        ("git@ghe.com.evil.example:o/r.git", False),
        ("https://gitlab.com/o/r.git", False),
    ],
)
def test_a_server_that_the_workflows_do_not_run_on_is_named(
    tmp_path: Path, said: io.StringIO, remote: str, *, works: bool
) -> None:
    sandbox = repositories.script(tmp_path / "tiny")
    sandbox.git("remote", "add", "origin", remote)
    assert started(sandbox, said) == Exit.OK
    assert ("Mlbot's workflows need github.com or GHE.com" in said.getvalue()) is not works


def test_a_module_of_any_name_and_files_in_another_encoding_are_found(tmp_path: Path, said: io.StringIO) -> None:
    sandbox = make(tmp_path / "churn")
    table = MESSY.replace("kunde;", "st\u00fcck;").encode("latin-1")
    sandbox.commit({"modell.py": "def train(params, seed):\n    return None\n", "requirements.txt": "pandas\n"})
    for name in ("train", "holdout"):
        (sandbox.path / f"{name}.csv").write_bytes(table)
    sandbox.git("add", "--all")
    assert started(sandbox, said) == Exit.OK
    (model,) = check(sandbox.path).models
    assert (model.train.entrypoint, model.data.csv.encoding, model.data.target) == (
        "modell:train",
        "latin-1",
        "churned",
    )
    assert not (sandbox.path / "train.py").exists()
    assert "that 'churned' is the column to predict is a guess: it is the last one of" in said.getvalue().lower()
    (sandbox.path / "holdout.csv").write_bytes(table.decode("latin-1").encode())
    assert started(sandbox, said, force=True) == Exit.USAGE
    assert "Holdout.csv cannot be read: its letters are UTF-8, and would be read as latin-1." in said.getvalue()


PROMPTFOO_CONFIG = (
    "prompts: [file://prompts/system.txt]\nproviders: [file://evals/provider.js]\ntests: file://evals/t.yaml\n"
)


def test_prompts_are_evaluated_and_nothing_trains(tmp_path: Path, said: io.StringIO) -> None:
    sandbox = make(tmp_path / "repository")
    files = {"prompts/system.txt": "Be kind.\n", "evals/provider.js": "", "evals/t.yaml": "[]"}
    sandbox.commit(files | {"promptfooconfig.yaml": PROMPTFOO_CONFIG})
    assert started(sandbox, said) == Exit.OK, said.getvalue()
    (model,) = check(sandbox.path).models
    assert (model.task, model.artifact and model.artifact.url) == (Task.SCORES, "prompts/")
    assert model.evaluate
    assert '-c promptfooconfig.yaml -p "$MLBOT_ARTIFACT/system.txt"' in model.evaluate.run
    assert model.evaluate.depends == ("evals/provider.js", "evals/t.yaml", "promptfooconfig.yaml")
    assert not (sandbox.path / "train.py").exists()


@pytest.mark.parametrize(
    ("files", "missing"),
    [
        ({"app/prompts/a.md": "Be kind."}, "there is no promptfooconfig.yaml"),
        ({"promptfooconfig.yaml": "prompts: ['Be kind']"}, "the prompts are in promptfooconfig.yaml itself"),
    ],
)
def test_what_evaluates_prompts_or_holds_them_is_missing(
    tmp_path: Path, said: io.StringIO, files: dict[str, str], missing: str
) -> None:
    sandbox = make(tmp_path / "repository")
    sandbox.commit(files)
    assert started(sandbox, said) == Exit.USAGE
    assert missing in said.getvalue().replace("There", "there").replace("The p", "the p")
    assert "train.py" not in texts(sandbox)


@pytest.mark.parametrize(
    ("saved", "beside", "artifact"),
    [
        ("models/churn.onnx", "models/other.onnx", "models/churn.onnx"),
        ("models/churn/model.onnx", "models/churn/model.onnx.data", "models/churn/"),
        ("models/churn.joblib", "data/cache.pkl", "models/churn.joblib"),
        ("models/churn.pkl", "a/cache.pkl", "models/churn.pkl"),
    ],
)
def test_a_saved_model_without_training_code_is_brought(
    tmp_path: Path, said: io.StringIO, saved: str, beside: str, artifact: str
) -> None:
    sandbox = make(tmp_path / "repository")
    rows = "age,label\n" + "".join(f"{age},{age % 2}\n" for age in range(60))
    sandbox.commit({saved: "bytes", beside: "bytes", "data/holdout.csv": rows})
    assert started(sandbox, said) == Exit.OK, said.getvalue()
    (model,) = check(sandbox.path).models
    assert (model.artifact and model.artifact.url) == artifact
    asked = "onnx" not in saved
    assert (model.predict is not None) is asked
    assert (sandbox.path / "predict.py").exists() is asked
    assert not (sandbox.path / "train.py").exists()
