"""Results by content key: whole or not there, whoever dies, whoever comes at the same time."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.training_samples import ENVIRONMENT, KEY, Witness, training

from mlbot.errors import NotEvaluatedError
from mlbot.lib.artifact import MODEL_FILE
from mlbot.protocol.artifacts import Training
from mlbot.storage.results import TRAINING_FILE, ResultStore, Stored

OTHER_KEY = "sha256:" + "e" * 64
DAY = 86_400.0

KILLED = '''
import json, os, signal, sys
from pathlib import Path
from tests.storage.test_results import keep
from tests.support.training_samples import ENVIRONMENT, KEY
from mlbot.storage.results import ResultStore

def die_at(step):
    """Kill this process at its step-th touch of the disk."""
    seen = 0
    def hook(event, arguments):
        nonlocal seen
        if event.split(".")[0] in ("open", "os", "shutil", "fcntl"):
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

root = Path(sys.argv[1])
found, step, killed = [], 0, True
while killed:
    step += 1
    place = root / str(step)
    child = os.fork()
    if child == 0:
        store = ResultStore(place)
        die_at(step)
        keep(store, b"model")
        os._exit(0)
    killed = os.waitpid(child, 0)[1] != 0
    stored = ResultStore(place).get(KEY, 0, ENVIRONMENT)
    whole = stored is not None and stored.path.read_bytes() == b"model"
    with ResultStore(place).staging() as staged:
        left = len(list(staged.parent.iterdir())) - 1
    again = keep(ResultStore(place), b"model").path.read_bytes() == b"model"
    found.append([killed, stored is None, whole, left, again])
print(json.dumps(found))
'''

HOLDER = """
import os, signal, sys
from pathlib import Path
from tests.support.training_samples import KEY
from mlbot.storage.results import ResultStore
with ResultStore(Path(sys.argv[1])).lock(KEY, 0):
    os.write(os.open(sys.argv[2], os.O_WRONLY), b"held ")
    signal.pause()
"""

RACER = """
import os, sys
from pathlib import Path
from tests.storage.test_results import keep
from tests.support.training_samples import ENVIRONMENT, KEY
from mlbot.storage.results import ResultStore
store, witness = ResultStore(Path(sys.argv[1])), os.open(sys.argv[2], os.O_WRONLY)
os.write(witness, b"ready ")
sys.stdin.read()
with store.lock(KEY, 0):
    if store.get(KEY, 0, ENVIRONMENT) is None:
        os.write(witness, b"trained ")
        keep(store, b"model of %d" % os.getpid())
print(store.get(KEY, 0, ENVIRONMENT).path.read_text())
"""


def keep(store: ResultStore, content: bytes, key: str = KEY, seed: int = 0, **changes: object) -> Stored:
    """Put something into a store."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    with store.staging() as staged:
        (staged / MODEL_FILE).write_bytes(content)
        return store.put(staged, training(digest, len(content), key=key, seed=seed, **changes))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ResultStore]:
    with ResultStore(tmp_path / "store") as made:
        yield made


def _left_in_staging(store: ResultStore) -> list[Path]:
    return list((store.root / "staging").iterdir())


def _python(script: str, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def test_what_was_put_is_got(store: ResultStore) -> None:
    put = keep(store, b"model")
    got = ResultStore(store.root).get(KEY, 0, ENVIRONMENT)
    assert got == put
    assert got.path.read_bytes() == b"model"
    assert got.training.size_bytes == 5
    assert _left_in_staging(store) == []


def test_an_empty_store_has_nothing_and_makes_nothing(store: ResultStore) -> None:
    assert store.get(KEY, 0, ENVIRONMENT) is None
    assert not store.root.exists()


def test_key_seed_and_environment_tell_entries_apart(store: ResultStore) -> None:
    elsewhere = ENVIRONMENT.model_copy(update={"python": "3.13.0"})
    keep(store, b"a")
    keep(store, b"b", seed=1)
    keep(store, b"c", key=OTHER_KEY)
    keep(store, b"d", environment=elsewhere)
    found = [
        store.get(KEY, 0, ENVIRONMENT),
        store.get(KEY, 1, ENVIRONMENT),
        store.get(OTHER_KEY, 0, ENVIRONMENT),
        store.get(KEY, 0, elsewhere),
    ]
    assert [stored.path.read_bytes() for stored in found if stored] == [b"a", b"b", b"c", b"d"]
    assert store.get(OTHER_KEY, 1, ENVIRONMENT) is None


def test_who_comes_first_stays(store: ResultStore) -> None:
    keep(store, b"first")
    assert keep(store, b"second").path.read_bytes() == b"first"
    assert _left_in_staging(store) == []


def _flip(entry: Path) -> None:
    model = entry / MODEL_FILE
    model.chmod(0o644)
    model.write_bytes(b"Model")


def _other_record(entry: Path) -> None:
    record = entry / TRAINING_FILE
    record.write_text(
        Training.model_validate_json(record.read_bytes()).model_copy(update={"seed": 4}).model_dump_json()
    )


def _link(entry: Path) -> None:
    entry.rename(entry.with_name("moved"))
    entry.symlink_to("moved")


def _file(entry: Path) -> None:
    entry.rename(entry.with_name("moved"))
    entry.write_text("not a folder")


@pytest.mark.parametrize(
    "damage",
    [
        _flip,
        _other_record,
        _link,
        _file,
        lambda entry: (entry / MODEL_FILE).unlink(),
        lambda entry: (entry / TRAINING_FILE).unlink(),
        lambda entry: (entry / TRAINING_FILE).write_text('{"model"'),
        lambda entry: (entry / TRAINING_FILE).write_bytes(b"\xff\0" * 10),
        lambda entry: (entry / TRAINING_FILE).write_text("[" * 2_000_000),
    ],
)
def test_a_damaged_entry_counts_as_none_and_is_replaced(damage: object, store: ResultStore) -> None:
    entry = keep(store, b"model").path.parent
    assert callable(damage)
    damage(entry)
    assert store.get(KEY, 0, ENVIRONMENT) is None
    assert keep(store, b"again").path.read_bytes() == b"again"
    assert _left_in_staging(store) == []


def test_a_record_that_does_not_fit_its_file_is_never_kept(store: ResultStore) -> None:
    with store.staging() as staged:
        (staged / MODEL_FILE).write_bytes(b"model")
        with pytest.raises(OSError, match="does not read back"):
            store.put(staged, training("sha256:" + "0" * 64, 5))
    assert store.get(KEY, 0, ENVIRONMENT) is None
    assert _left_in_staging(store) == []


def test_an_error_while_staging_leaves_nothing(store: ResultStore) -> None:
    def fail() -> None:
        with store.staging() as staged:
            (staged / MODEL_FILE).write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert _left_in_staging(store) == []


def test_staging_of_the_living_is_left_alone(store: ResultStore) -> None:
    with store.staging() as first, ResultStore(store.root).staging() as second:
        assert first.exists()
        assert second.exists()


def test_kill_9_at_any_touch_of_the_disk_leaves_all_or_nothing(tmp_path: Path) -> None:
    with _python(KILLED, str(tmp_path)) as process:
        rounds = json.loads(process.communicate(timeout=60)[0])
    assert len(rounds) > 20
    assert [killed for killed, *_ in rounds] == [True] * (len(rounds) - 1) + [False]
    for _, nothing, whole, left, again in rounds:
        assert nothing != whole
        assert left == 0
        assert again
    assert any(nothing for _, nothing, *_ in rounds)
    assert sum(whole for _, _, whole, *_ in rounds) > 1


def test_two_runs_at_once_train_once(tmp_path: Path) -> None:
    witness = Witness.at(tmp_path / "witness")
    processes = [_python(RACER, str(tmp_path / "store"), str(witness.path)) for _ in range(3)]
    witness.wait_for("ready ", 3)
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    witness.wait_for_the_end()
    said = set()
    for process in processes:
        assert process.stdout is not None
        with process:
            said.add(process.stdout.read())
    assert witness.heard.count(b"trained ") == 1
    assert len(said) == 1
    assert said.pop().startswith(b"model of ")
    witness.close()


def test_the_second_waits_and_says_so(store: ResultStore) -> None:
    said: list[str] = []
    waiting = threading.Event()
    entered = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        waiting.set()

    def second() -> None:
        with ResultStore(store.root).lock(KEY, 0, progress=say):
            entered.set()

    with store.lock(KEY, 0):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(20)
        assert not entered.is_set()
    assert entered.wait(20)
    thread.join()
    assert said == ["another run is training this already; waiting for its result"]
    assert list((store.root / "locks").iterdir()) == []


def test_other_keys_and_seeds_do_not_wait(store: ResultStore) -> None:
    with store.lock(KEY, 0), store.lock(KEY, 1), store.lock(OTHER_KEY, 0):
        assert len(list((store.root / "locks").iterdir())) == 3


def test_waiting_can_be_stopped(store: ResultStore) -> None:
    stop = threading.Event()
    with (
        store.lock(KEY, 0),
        pytest.raises(InterruptedError),
        ResultStore(store.root).lock(KEY, 0, progress=lambda _: stop.set(), stop=stop),
    ):
        raise AssertionError("it is locked")


def test_a_lock_does_not_outlive_its_holder(store: ResultStore, tmp_path: Path) -> None:
    witness = Witness.at(tmp_path / "witness")
    with _python(HOLDER, str(store.root), str(witness.path)) as process:
        witness.wait_for("held ")
        process.kill()
    with store.lock(KEY, 0, progress=lambda _: pytest.fail("the dead hold no lock")):
        assert store.get(KEY, 0, ENVIRONMENT) is None
    witness.close()


def _aged(store: ResultStore, sizes_and_ages: dict[int, tuple[int, float]]) -> None:
    """Entries by seed, used that many days before day 100, and let go of."""
    for seed, (size, age) in sizes_and_ages.items():
        entry = keep(store, b"x" * size, seed=seed).path.parent
        os.utime(entry, (0, (100 - age) * DAY))
    store.close()


def _seeds(removed: tuple[Path, ...]) -> list[str]:
    return [path.name.split("-")[0] for path in removed]


def test_prune_removes_what_is_old(store: ResultStore) -> None:
    _aged(store, {0: (10, 1), 1: (10, 50), 2: (10, 31)})
    assert _seeds(store.prune(10**9, 30 * DAY, now=100 * DAY)) == ["1", "2"]
    assert store.get(KEY, 0, ENVIRONMENT) is not None
    assert store.get(KEY, 1, ENVIRONMENT) is None
    assert _left_in_staging(store) == []


def test_prune_removes_the_least_recently_used_until_the_rest_fits(store: ResultStore) -> None:
    _aged(store, {0: (100_000, 3), 1: (100_000, 1), 2: (100_000, 2)})
    assert store.prune(310_000, 30 * DAY, now=100 * DAY) == ()
    assert _seeds(store.prune(210_000, 30 * DAY, now=100 * DAY)) == ["0"]
    assert _seeds(store.prune(0, 30 * DAY, now=100 * DAY)) == ["2", "1"]
    assert list((store.root / "entries").iterdir()) == []


def test_using_an_entry_makes_it_recent(store: ResultStore) -> None:
    _aged(store, {0: (10, 50), 1: (10, 49)})
    with ResultStore(store.root, most_age_s=1e12) as other:
        other.get(KEY, 0, ENVIRONMENT)
    assert _seeds(store.prune(10**9, 30 * DAY, now=100 * DAY)) == ["1"]


def test_what_another_run_uses_is_not_pruned(store: ResultStore) -> None:
    kept = keep(store, b"model")
    with ResultStore(store.root) as other:
        assert other.prune(0, 0.0, now=1e12) == ()
        assert kept.path.read_bytes() == b"model"
        store.close()
        assert len(other.prune(0, 0.0, now=1e12)) == 1
    assert store.get(KEY, 0, ENVIRONMENT) is None


def test_a_store_that_is_left_prunes_what_nobody_uses_and_keeps_what_it_gave_out(store: ResultStore) -> None:
    _aged(store, {0: (100_000, 3), 1: (100_000, 1), 2: (100_000, 2)})
    with ResultStore(store.root, most_bytes=150_000, most_age_s=1e12) as mine:
        assert mine.get(KEY, 0, ENVIRONMENT) is not None
    assert [seed for seed in range(3) if store.get(KEY, seed, ENVIRONMENT)] == [0]


def test_a_store_that_is_left_forgets_what_is_old(store: ResultStore) -> None:
    _aged(store, {0: (10, 0), 1: (10, 0)})
    with ResultStore(store.root) as mine:
        assert mine.get(KEY, 1, ENVIRONMENT) is not None
    assert [seed for seed in range(2) if store.get(KEY, seed, ENVIRONMENT)] == [1]


def test_pruning_nothing(store: ResultStore) -> None:
    assert store.prune(0, 0.0) == ()


# --- what a training writes into the store itself


def plant(root: Path, content: bytes = b"planted", key: str = KEY, seed: int = 0) -> Path:
    """What a training can do: an entry in the store's own form, by whatever way."""
    store = ResultStore(root)
    made = keep(store, content, key=key, seed=seed)
    store.close()
    return made.path.parent


def forge(entry: Path, content: bytes = b"forged") -> None:
    """Another file in an entry, and a record that fits it."""
    (entry / MODEL_FILE).chmod(0o644)
    (entry / MODEL_FILE).write_bytes(content)
    record = json.loads((entry / TRAINING_FILE).read_text())
    changed = {"digest": f"sha256:{hashlib.sha256(content).hexdigest()}", "size_bytes": len(content)}
    (entry / TRAINING_FILE).write_text(json.dumps(record | changed))


def test_an_entry_that_appears_during_a_training_is_dropped(store: ResultStore) -> None:
    said: list[str] = []
    kept = keep(store, b"before", key=OTHER_KEY)
    with store.training(said.append):
        planted = plant(store.root)
        assert store.get(KEY, 0, ENVIRONMENT) is None
        assert store.get(OTHER_KEY, 0, ENVIRONMENT) == kept
    assert not planted.exists()
    assert said == ["1 results that were not mlbot's own appeared or changed meanwhile, and are dropped"]
    assert store.get(KEY, 0, ENVIRONMENT) is None
    assert ResultStore(store.root).get(KEY, 0, ENVIRONMENT) is None
    assert keep(store, b"honest").path.read_bytes() == b"honest"


@pytest.mark.parametrize("held", [True, False])
def test_an_entry_that_changes_during_a_training_is_dropped(store: ResultStore, *, held: bool) -> None:
    made = keep(ResultStore(store.root), b"before")
    if held:
        assert store.get(KEY, 0, ENVIRONMENT) == made
    with store.training(lambda _: None):
        forge(made.path.parent)
        assert store.get(KEY, 0, ENVIRONMENT) is None
    assert not made.path.exists()
    assert ResultStore(store.root).get(KEY, 0, ENVIRONMENT) is None
    assert keep(store, b"honest").path.read_bytes() == b"honest"


def test_what_was_there_before_a_training_and_what_is_put_meanwhile_stay(store: ResultStore) -> None:
    said: list[str] = []
    with store.training(said.append), store.training(said.append):
        assert keep(store, b"mine").path.read_bytes() == b"mine"
    with store.training(said.append):
        got = store.get(KEY, 0, ENVIRONMENT)
        assert got is not None
        assert got.path.read_bytes() == b"mine"
    assert said == []


def test_what_another_run_made_meanwhile_and_uses_stays(store: ResultStore) -> None:
    with ResultStore(store.root) as other:
        with store.training(lambda _: None):
            made = keep(other, b"honest")
        assert store.get(KEY, 0, ENVIRONMENT) == made


def test_what_is_put_takes_the_place_of_what_a_training_put_there(store: ResultStore) -> None:
    with store.training(lambda _: None):
        plant(store.root)
        assert keep(store, b"honest").path.read_bytes() == b"honest"
    got = store.get(KEY, 0, ENVIRONMENT)
    assert got is not None
    assert got.path.read_bytes() == b"honest"


def test_other_things_in_the_place_of_entries_are_dropped(store: ResultStore, tmp_path: Path) -> None:
    elsewhere = plant(tmp_path / "elsewhere")
    entries = store.root / "entries"
    (entries / "a").mkdir(parents=True)
    with store.training(lambda _: None):
        (entries / KEY.removeprefix("sha256:")).symlink_to(elsewhere.parent)
        (entries / "a" / "link").symlink_to(elsewhere)
        (entries / "a" / "file").write_text("x")
        (entries / "file").write_text("x")
    assert [path.name for path in entries.glob("**/*")] == ["a"]
    assert store.get(KEY, 0, ENVIRONMENT) is None
    assert (elsewhere / MODEL_FILE).exists()


def test_a_training_that_fails_is_looked_at_too(store: ResultStore) -> None:
    with suppress(KeyboardInterrupt), store.training(lambda _: None):
        plant(store.root)
        raise KeyboardInterrupt
    assert store.get(KEY, 0, ENVIRONMENT) is None


def test_what_cannot_be_removed_ends_the_run(store: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    def run() -> None:
        with store.training(lambda _: None):
            plant(store.root)
            monkeypatch.setattr(ResultStore, "_discard", refuse)

    with pytest.raises(NotEvaluatedError, match="cannot be removed") as caught:
        run()
    assert caught.value.where == str(store.root)
