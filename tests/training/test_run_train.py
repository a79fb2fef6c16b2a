"""The glue: store first, one checkout a commit, progress with counts."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from tests.support import config_samples
from tests.support import config_texts as texts
from tests.support.git_samples import Sandbox, make
from tests.support.places import made_folder
from tests.support.training_samples import DEADLINE_S, WRITES_SEED, Witness, model

from mlbot.config.schema import Model
from mlbot.console import Console
from mlbot.entry import invoke
from mlbot.errors import Exit, NotEvaluatedError
from mlbot.git.repository import Repository
from mlbot.protocol.artifacts import TrainingFailure
from mlbot.storage.artifact import measured, unpack
from mlbot.storage.results import ResultStore
from mlbot.training.run_train import (
    SeedRun,
    Trained,
    TrainJob,
    TrainOptions,
    _Copies,
    data_links,
    require_data,
    train_and_report,
    train_models,
)

HEAD, BASE = "1" * 40, "2" * 40
KEYS = {HEAD: "sha256:" + "1" * 64, BASE: "sha256:" + "2" * 64}

BOTH = """
import sys
from pathlib import Path
from tests.support.training_samples import model
from tests.training.test_run_train import HEAD, Checkouts, jobs
from mlbot.training.run_train import train_models
from mlbot.storage.results import ResultStore
root = Path(sys.argv[1])
store, checkouts = ResultStore(root / "store"), Checkouts(root / "checkouts")
train_models(jobs(HEAD, of=model(run=sys.argv[2])), store, checkouts, lambda text: None, parallel=3)
"""


class Checkouts:
    """Folders for commits, as git would make them; counts how many."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.made: list[str] = []

    @contextmanager
    def __call__(self, sha: str) -> Iterator[Path]:
        self.made.append(sha)
        path = self.root / f"{sha[:7]}-{len(self.made)}"
        path.mkdir(parents=True)
        (path / "commit").write_text(sha)
        yield path


def jobs(*commits: str, seeds: int = 3, of: Model | None = None, **changes: Any) -> list[TrainJob]:
    """Each commit with each seed."""
    of = of or model(run=f"cp commit $MLBOT_MODEL; {WRITES_SEED.replace('>', '>>')}")
    facts: dict[str, Any] = {"model": of}
    return [
        TrainJob(**(facts | {"seed": seed, "key": KEYS[commit], "commit": commit} | changes))
        for commit in commits
        for seed in range(seeds)
    ]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ResultStore]:
    with ResultStore(tmp_path / "store") as made:
        yield made


@pytest.fixture
def checkouts(tmp_path: Path) -> Checkouts:
    return Checkouts(tmp_path / "checkouts")


def _without_times(said: list[str]) -> list[str]:
    return [re.sub(r"\d+\.\d s", "N s", line) for line in said]


def test_each_job_is_trained_in_its_commits_checkout(store: ResultStore, checkouts: Checkouts) -> None:
    said: list[str] = []
    mixed = [job for pair in zip(jobs(HEAD), jobs(BASE), strict=True) for job in pair]
    results = train_models(mixed, store, checkouts, said.append)
    for job, result in zip(mixed, results, strict=True):
        assert isinstance(result, Trained)
        assert not result.cached
        assert result.path.read_text() == f"{job.commit}model {job.seed}"
        assert (result.training.seed, result.training.commit) == (job.seed, job.commit)
    assert checkouts.made == [HEAD, BASE]
    assert _without_times(said)[:4] == [
        "adult-income seed 0 (1111111): training ...",
        "1/6 adult-income seed 0 (1111111): trained in N s",
        "adult-income seed 1 (1111111): training ...",
        "2/6 adult-income seed 1 (1111111): trained in N s",
    ]
    assert said[-1].startswith("6/6 adult-income seed 2 (2222222): trained in ")


def test_nothing_is_trained_twice(store: ResultStore, checkouts: Checkouts) -> None:
    first = train_models(jobs(HEAD), store, checkouts, lambda _: None)
    said: list[str] = []
    again = train_models(jobs(HEAD, seeds=4), ResultStore(store.root), checkouts, said.append)
    assert [result.cached for result in again if isinstance(result, Trained)] == [True, True, True, False]
    assert [r.training for r in again[:3] if isinstance(r, Trained)] == [
        r.training for r in first if isinstance(r, Trained)
    ]
    assert said[0] == "1/4 adult-income seed 0 (1111111): trained before, nothing to do"
    train_models(jobs(HEAD, seeds=4), store, checkouts, lambda _: None)
    assert checkouts.made == [HEAD, HEAD]


def test_the_same_key_at_two_commits_is_trained_once(store: ResultStore, checkouts: Checkouts) -> None:
    results = train_models(jobs(HEAD, BASE, key=KEYS[HEAD]), store, checkouts, lambda _: None)
    assert [result.cached for result in results if isinstance(result, Trained)] == [False] * 3 + [True] * 3
    assert checkouts.made == [HEAD]


def test_two_models_of_the_same_inputs_share_a_file_under_their_own_names(
    store: ResultStore, checkouts: Checkouts
) -> None:
    twins = [*jobs(HEAD, seeds=1), *jobs(HEAD, seeds=1, of=model("twin", run=WRITES_SEED))]
    one, two = train_models(twins, store, checkouts, lambda _: None)
    assert isinstance(one, Trained)
    assert isinstance(two, Trained)
    assert (one.path, one.training.model, two.training.model) == (two.path, "adult-income", "twin")


def test_another_lock_is_another_environment(store: ResultStore, checkouts: Checkouts) -> None:
    for lock in (None, "sha256:" + "3" * 64, None):
        (result,) = train_models(jobs(HEAD, seeds=1, lock=lock), store, checkouts, lambda _: None)
        assert isinstance(result, Trained)
        assert result.training.environment.lock == lock
    assert len(checkouts.made) == 2


def test_after_a_failure_the_other_seeds_of_that_model_are_not_started(
    store: ResultStore, checkouts: Checkouts, tmp_path: Path
) -> None:
    said: list[str] = []
    failing = model(run="echo once >> ../count; echo why; exit 3")
    mixed = [*jobs(HEAD, of=failing), *jobs(BASE, seeds=1)]
    results = train_models(mixed, store, checkouts, said.append, logs=tmp_path / "logs")
    assert [type(result) for result in results] == [TrainingFailure] * 3 + [Trained]
    first, second, _, _ = results
    assert isinstance(first, TrainingFailure)
    assert isinstance(second, TrainingFailure)
    assert (first.exit_code, first.log_tail, second.exit_code, second.log_tail) == (3, ("why",), None, ())
    assert (first.seed, second.seed) == (0, 1)
    assert second.message == "not started, because seed 0 of the same model failed"
    assert (checkouts.root / "count").read_text() == "once\n"
    assert "1/4 adult-income seed 0 (1111111): the training failed with exit code 3" in said
    assert (tmp_path / "logs" / "adult-income-0-1111111.log").read_text() == "why\n"
    assert not isinstance(train_models(jobs(HEAD, seeds=1), store, checkouts, said.append)[0], TrainingFailure)


def test_in_parallel_they_run_at_once(store: ResultStore, checkouts: Checkouts, tmp_path: Path) -> None:
    witness = Witness.at(tmp_path / "witness")
    os.mkfifo(tmp_path / "gate")
    command = f"exec 3>'{witness.path}'; printf 'up ' >&3; read line < '{tmp_path}/gate'; {WRITES_SEED}"

    def open_the_gate() -> None:
        witness.wait_for("up ", 3)
        with (tmp_path / "gate").open("w") as gate:
            gate.write("go\n" * 3)
            gate.flush()
            witness.wait_for_the_end()

    helper = threading.Thread(target=open_the_gate)
    helper.start()
    results = train_models(jobs(HEAD, of=model(run=command)), store, checkouts, lambda _: None, parallel=3)
    helper.join()
    assert [r.path.read_text() for r in results if isinstance(r, Trained)] == ["model 0", "model 1", "model 2"]
    assert checkouts.made == [HEAD]
    witness.close()


def test_an_error_in_one_thread_ends_the_others(store: ResultStore, checkouts: Checkouts, tmp_path: Path) -> None:
    witness = Witness.at(tmp_path / "witness")

    def say(text: str) -> None:
        if "up" in text:
            witness.wait_for("up ", 3)
            raise RuntimeError("the terminal is gone")

    # One speaks, the others are silent: these have to be ended from outside.
    command = f"exec 3>'{witness.path}'; printf 'up ' >&3; [ $MLBOT_SEED != 1 ] || echo up; sleep 1000"
    with pytest.raises(RuntimeError, match="terminal"):
        train_models(jobs(HEAD, of=model(run=command)), store, checkouts, say, parallel=3)
    witness.wait_for_the_end()
    assert store.get(KEYS[HEAD], 0, _environment()) is None
    witness.close()


def _environment() -> Any:
    from mlbot.ml.train import current_environment  # noqa: PLC0415 - for this test alone

    return current_environment(None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_trainings_in_parallel_do_not_outlive_mlbot(tmp_path: Path, number: signal.Signals) -> None:
    witness = Witness.at(tmp_path / "witness")
    command = f"exec 3>'{witness.path}'; trap '' TERM; printf 'up ' >&3; sleep 1000"
    with subprocess.Popen(
        [sys.executable, "-c", BOTH, str(tmp_path), command],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as parent:
        witness.wait_for("up ", 3)
        parent.send_signal(number)
        assert parent.wait(DEADLINE_S) == -number
    witness.wait_for_the_end()
    with ResultStore(tmp_path / "store") as store, store.staging() as staged:
        assert list(staged.parent.iterdir()) == [staged]
    witness.close()


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
MODEL = config_samples.model()


def links(sandbox: Sandbox, rev: str = "HEAD", model_: Model = MODEL) -> dict[str, Path]:
    repository = Repository.discover(sandbox.path)
    head = repository.snapshot().sha
    return dict(data_links(repository, head if rev == "snapshot" else repository.resolve(rev), head, [model_]))


def test_data_in_git_needs_no_link(sandbox: Sandbox) -> None:
    sandbox.commit({"data/train.csv": "x"})
    assert links(sandbox) == {}


def test_ignored_data_is_lent(sandbox: Sandbox) -> None:
    sandbox.commit({"data/train.csv": "x", ".gitignore": "data/\n"})
    assert links(sandbox) == {"data/train.csv": sandbox.path / "data" / "train.csv"}


def test_what_is_nowhere_or_an_url_is_not_lent(sandbox: Sandbox) -> None:
    sandbox.commit({"a": "x"})
    assert links(sandbox) == {}
    assert links(sandbox, model_=config_samples.model(data={"train": "s3://bucket/train.csv"})) == {}
    assert links(sandbox, model_=config_samples.model(data={"train": None})) == {}


def test_data_of_dvc_is_lent_only_in_its_own_version(sandbox: Sandbox) -> None:
    sandbox.commit({".gitignore": "/data/train.csv\n", "data/train.csv.dvc": "md5: 1"})
    sandbox.commit({"data/train.csv.dvc": "md5: 2"})
    sandbox.write({"data/train.csv": "version 2"})
    assert list(links(sandbox)) == ["data/train.csv"]
    assert links(sandbox, "HEAD~1") == {}
    sandbox.write({"data/train.csv.dvc": "md5: 3"})
    assert links(sandbox) == {}
    assert list(links(sandbox, "snapshot")) == ["data/train.csv"]


def test_a_folder_of_dvc(sandbox: Sandbox) -> None:
    sandbox.commit({".gitignore": "/data/\n", "data.dvc": "md5: 1"})
    sandbox.write({"data/train.csv": "x"})
    assert list(links(sandbox)) == ["data/train.csv"]


def put(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "there is no data/train.csv"),
        ({"data/train.csv.dvc": "md5: 1"}, r"dvc pull data/train\.csv\.dvc"),
        ({"data.dvc": "md5: 1"}, r"dvc pull data\.dvc"),
        ({"data/train.csv": POINTER}, r'git lfs pull --include="data/train\.csv"'),
        ({"data/train.csv/part1": "x,y\n", "data/train.csv/part2": POINTER}, r"data/train\.csv/part2 is a pointer"),
    ],
)
def test_missing_data_is_named_with_what_fetches_it(tmp_path: Path, files: dict[str, str], says: str) -> None:
    with pytest.raises(NotEvaluatedError, match=says):
        require_data(put(tmp_path, files), MODEL)


@pytest.mark.parametrize(
    "files",
    [
        {"data/train.csv": "x,y\n"},
        {"data/train.csv": ""},
        {"data/train.csv": POINTER + "x" * 1024},
        {"data/train.csv/part1": "x,y\n"},
    ],
)
def test_data_that_is_there(tmp_path: Path, files: dict[str, str]) -> None:
    require_data(put(tmp_path, files), MODEL)


def test_an_url_is_not_looked_for(tmp_path: Path) -> None:
    require_data(tmp_path, config_samples.model(data={"train": "s3://bucket/train.csv"}))
    require_data(tmp_path, config_samples.model(data={"train": None}))


PLANT = """
import sys
from pathlib import Path
from tests.storage.test_results import keep
from mlbot.ml.train import current_environment
from mlbot.storage.results import ResultStore
keep(ResultStore(Path(sys.argv[1])), b"planted", key=sys.argv[2], environment=current_environment(None))
"""


def test_a_result_comes_from_its_own_training_alone(
    store: ResultStore, checkouts: Checkouts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plant.py").write_text(PLANT)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    evil = f"{sys.executable} {tmp_path}/plant.py {store.root} {KEYS[BASE]} && cp commit $MLBOT_MODEL"
    said: list[str] = []
    (one,) = train_models(jobs(HEAD, seeds=1, of=model(run=evil)), store, checkouts, said.append)
    assert isinstance(one, Trained)
    assert any("1 results that were not mlbot's own" in line for line in said)
    (two,) = train_models(jobs(BASE, seeds=1), ResultStore(store.root), checkouts, said.append)
    assert isinstance(two, Trained)
    assert (two.cached, two.path.read_text()) == (False, f"{BASE}model 0")


def test_no_training_is_given_the_path_of_the_results(store: ResultStore, checkouts: Checkouts) -> None:
    shows = "{ env; tr '\\0' ' ' < /proc/$PPID/cmdline; pwd; } > $MLBOT_MODEL"
    (result,) = train_models(jobs(HEAD, seeds=1, of=model(run=shows)), store, checkouts, lambda _: None)
    assert isinstance(result, Trained)
    assert "MLBOT_MODEL" in result.path.read_text()
    assert str(store.root) not in result.path.read_text()


def test_a_copy_is_what_the_training_left(store: ResultStore, checkouts: Checkouts, tmp_path: Path) -> None:
    (result,) = train_models(jobs(HEAD, seeds=1), store, checkouts, lambda _: None)
    assert isinstance(result, Trained)
    assert SeedRun.of(result).digest == result.training.digest
    result.path.chmod(0o644)
    result.path.write_text("changed")
    with pytest.raises(NotEvaluatedError, match="changed or damaged"):
        _Copies(tmp_path / "out").add(result)
    assert not list((tmp_path / "out").rglob("model.onnx"))


SEES = 'find . | sort > seen.txt; cp seen.txt "$MLBOT_MODEL"'
DEPENDS = """version: 1
models:
  churn:
    task: binary
    train: {{run: {run}, depends: [lib/, link.py], params: params.yaml, seeds: 1}}
    data: {{train: data/train.csv, holdout: data/holdout.csv, target: y}}
    metrics: [roc_auc]
    gates: {{roc_auc: {{min: 0.5}}}}
"""
COMMITTED = {
    "lib/a.py": "import b",
    "other/b.py": "",
    "other/c.py": "",
    "params.yaml": "x: 1",
    "data/train.csv": "x,y",
    "data/holdout.csv": "x,y",
    "requirements.txt": "",
}


def trained_of(sandbox: Sandbox, run: str) -> tuple[int, str]:
    """What a training that declares what it depends on left: the exit code, and the model or the message."""
    (sandbox.path / "link.py").symlink_to("lib/a.py")
    sandbox.commit(COMMITTED | {"mlbot.yaml": DEPENDS.format(run=json.dumps(run))})
    out = sandbox.path.parent / "out"
    code = invoke(["train", "-q", "-C", str(sandbox.path), "--model", "churn", "--base", "HEAD", "--out", str(out)])
    (left,) = [each for each in (out / "churn" / "0").iterdir() if each.name in {"model.onnx", "failure.json"}]
    return code, left.read_text()


def test_a_training_sees_what_it_depends_on_and_nothing_else(sandbox: Sandbox) -> None:
    code, seen = trained_of(sandbox, SEES)
    files = {"lib/a.py", "link.py", "params.yaml", "data/train.csv", "requirements.txt"}
    assert code == 0
    assert {line[2:] for line in seen.splitlines()} >= files
    assert not {"mlbot.yaml", "data/holdout.csv", "other/b.py", ".git"} & {line[2:] for line in seen.splitlines()}


@pytest.mark.parametrize(
    ("run", "path"),
    [
        ("PYTHONPATH=lib:other python3 -c 'import other.b'", "other/b.py"),
        ("python3 other/c.py", "other/c.py"),
        ("python3 -c 'open(\"other/b.py\")'", "other/b.py"),
        ("python3 -c 'import os; open(os.path.abspath(\"data/holdout.csv\"))'", None),
    ],
)
def test_a_file_that_is_not_declared_is_named_with_the_way_out(sandbox: Sandbox, run: str, path: str | None) -> None:
    code, left = trained_of(sandbox, run)
    assert code == 4
    way_out = "is not in train.depends, so the training does not see it: add it to depends"
    holdout = "the training reads data/holdout.csv, a holdout, which no training sees: it has to use other rows"
    assert json.loads(left)["message"] == (f"{path} {way_out}" if path else holdout)


def test_a_file_that_the_commit_does_not_have_is_no_matter_of_depends(sandbox: Sandbox) -> None:
    _, left = trained_of(sandbox, "python3 -c 'open(\"nowhere.csv\")'")
    assert "depends" not in json.loads(left)["message"]


def test_a_job_without_history_trains_the_seeds_that_it_is_given(
    sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The jobs of GitHub Actions check one commit out, and the plan has said which seeds there are."""
    config = texts.SMALL.replace("run: make", "run: cp holdout.csv $MLBOT_MODEL\n      depends: [holdout.csv]")
    holdout = "x,y\n1,0\n2,1\n"
    sandbox.commit({"mlbot.yaml": config, "data/holdout.csv": holdout, "holdout.csv": holdout})
    sandbox.commit({"README.md": "more"})
    shallow = tmp_path / "shallow"
    sandbox.git("clone", "--quiet", "--depth", "1", sandbox.path.as_uri(), str(shallow))
    ask = ["ci", "-C", str(shallow), "train", "--trainings", '{"m": [0, 1]}', "--out", "out"]
    assert invoke(ask) == Exit.OK, capsys.readouterr().err
    assert [(shallow / "out" / "m" / seed / "model.onnx").read_text() for seed in "01"] == [holdout, holdout]


def test_a_folder_is_stored_copied_and_packed(store: ResultStore, checkouts: Checkouts, tmp_path: Path) -> None:
    makes = "mkdir -p $MLBOT_ARTIFACT/a; printf $MLBOT_SEED > $MLBOT_ARTIFACT/a/.seed; printf x > $MLBOT_ARTIFACT/run"
    job = jobs(HEAD, seeds=1, of=model(run=makes))
    (result,) = train_models(job, store, checkouts, lambda _: None)
    (again,) = train_models(job, store, checkouts, lambda _: None)
    assert isinstance(result, Trained)
    assert isinstance(again, Trained)
    assert (again.cached, again.path, again.training) == (True, result.path, result.training)
    _Copies(tmp_path / "out", names={result.training.model: "artifact"}).add(result)
    (copied,) = (tmp_path / "out").rglob("artifact")
    assert measured(copied).digest == result.training.digest
    _Copies(tmp_path / "out", packed=True).add(result)
    (packed,) = (tmp_path / "out").rglob("model.folder")
    assert unpack(packed, tmp_path / "unpacked", 100).digest == result.training.digest
    (result.path / "run").chmod(0o755)  # a later training of the same user could
    (third,) = train_models(job, store, checkouts, lambda _: None)
    assert isinstance(third, Trained)
    assert not third.cached
    assert third.training.digest == result.training.digest


def test_a_model_that_is_brought_is_packed_like_a_trained_one(tmp_path: Path, git_settings: None) -> None:
    del git_settings
    sandbox = make(tmp_path / "repository")
    digest, folder = made_folder(sandbox.path / "models")
    config = """
        models:
          churn:
            task: binary
            artifact: models/artifact
            predict: {run: make}
            data: {holdout: h.csv, target: y}
            gates: {roc_auc: {min: 0.5}}
    """
    sandbox.commit({"mlbot.yaml": dedent(config), "h.csv": "x,y\n1,0\n2,1\n"})
    options = TrainOptions(models=("churn",), trainings={"churn": (0, 1)}, out=tmp_path / "out", packed=True)
    assert train_and_report(sandbox.path, options, Console(quiet=True)) == Exit.OK
    for seed in (0, 1):
        place = tmp_path / "out" / "churn" / str(seed)
        assert unpack(place / "model.folder", tmp_path / f"unpacked-{seed}", 1 << 20) == measured(folder)
        lineage = json.loads((place / "training.json").read_text())
        assert (lineage["seed"], lineage["digest"], lineage["origin"]["url"]) == (seed, digest, "models/artifact")
    (folder / "link").symlink_to("run")
    sandbox.commit()
    assert train_and_report(sandbox.path, options, Console(quiet=True)) == Exit.NOT_EVALUATED
    file = tmp_path / "out" / "churn" / "0" / "failure.json"
    failure = TrainingFailure.model_validate_json(file.read_text())
    assert failure.message == "artifact names no model: models/artifact/link is a symbolic link"
    assert (failure.reason, failure.problem.cause) == ("model-missing", "not-taken")
    assert not (tmp_path / "out" / "churn" / "0" / "model.folder").exists()
    pointer = {"models/far.dvc": "outs:\n- {md5: 0123456789abcdef0123456789abcdef, path: far}\n"}
    sandbox.commit(pointer | {"mlbot.yaml": dedent(config).replace("models/artifact", "models/far")})
    with pytest.raises(NotEvaluatedError, match="models/far is stored by DVC and is not here"):
        train_and_report(sandbox.path, options, Console(quiet=True))
    assert TrainingFailure.model_validate_json(file.read_text()).problem.cause == "not-taken"
