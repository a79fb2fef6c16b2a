"""A repository whose models were judged, without training for each test: what releases and deployments start from."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.support import tiny
from tests.support.git_samples import Sandbox, make
from tests.support.ledger_samples import entry

from mlbot.events.github import Attempt
from mlbot.gates.outcome import Outcome, Reason
from mlbot.git.ledger import LedgerBranch
from mlbot.git.remote import Remote
from mlbot.ledger.entries import Entry, ReleaseEntry, StoredFile, VerdictEntry
from mlbot.ledger.queries import releases as ledger_releases
from mlbot.plan.plan import Subject
from mlbot.registry.run_repository import RepositoryContext
from mlbot.storage.artifact import measured

ENVIRONMENTS = """
store: deploy/store
environments:
  staging: {target: deploy/staging, smoke: {requests: 20}}
  production: {target: deploy/production, after: staging, approvals: 1, smoke: {requests: 20}}
"""
REASONS = {
    Outcome.PASS: Reason.ALL_GATES_PASS,
    Outcome.FAIL: Reason.REGRESSION,
    Outcome.INCONCLUSIVE: Reason.MARGIN_INSIDE_INTERVAL,
    Outcome.ERROR: Reason.TRAINING_FAILED,
}


def train(folder: Path, *offsets: int) -> dict[int, bytes]:
    """Really trained models of the tiny repository, by the parameter `offset`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.py").write_text(tiny.TRAIN)
    (folder / "train.csv").write_text(tiny.rows(2000, 1))
    found = {}
    for offset in offsets:
        (folder / "params.json").write_text(f'{{"mode": "good", "offset": {offset}, "claim": 0.8}}')
        own = {"MLBOT_PARAMS": "params.json", "MLBOT_SEED": "0", "MLBOT_MODEL": f"{offset}.onnx"}
        own |= {"MLBOT_TRAIN_DATA": "train.csv"}
        subprocess.run([sys.executable, "train.py"], cwd=folder, env=os.environ | own, check=True, capture_output=True)
        found[offset] = (folder / f"{offset}.onnx").read_bytes()
    return found


def digest_of(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


@dataclass
class World:
    """A checkout, the repository that it was cloned from, a store and two environments, in a folder of their own."""

    folder: Path
    sandbox: Sandbox
    models: dict[int, bytes]
    count: int = 0

    @classmethod
    def make(cls, folder: Path, models: dict[int, bytes], config: str = tiny.CONFIG + ENVIRONMENTS) -> "World":
        """A first commit, pushed; nothing is judged yet."""
        sandbox = make(folder / "repo")
        subprocess.run(["git", "init", "--quiet", "--bare", str(folder / "remote.git")], check=True)
        sandbox.git("remote", "add", "origin", "../remote.git")
        world = cls(folder=folder, sandbox=sandbox, models=models)
        world.commit(tiny.files() | {"mlbot.yaml": config, ".gitignore": "deploy/\n"})
        return world

    def copy(self, folder: Path) -> "World":
        """The same world elsewhere: nothing in it knows where it is."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return replace(self, folder=folder, sandbox=Sandbox(folder / "repo"))

    @property
    def deploy(self) -> Path:
        """Where the store and the environments are: in the checkout, ignored by git."""
        return self.sandbox.path / "deploy"

    def commit(self, files: dict[str, str]) -> str:
        """A commit on main, pushed."""
        sha = self.sandbox.commit(files)
        self.sandbox.git("push", "--quiet", "origin", "HEAD:main")
        return sha

    @property
    def remote(self) -> Remote:
        """Where ledger, tags and locks are."""
        return Remote(url=str(self.folder / "remote.git"))

    def context(self, actor: str = "Ada", say: Callable[[str], None] = lambda _text: None) -> RepositoryContext:
        """The context of the checkout, as a person has it."""
        return RepositoryContext.of_laptop(self.sandbox.path, {"GIT_COMMITTER_NAME": actor}, say)

    def change(self, offset: int, outcome: Outcome = Outcome.PASS) -> VerdictEntry:
        """Merge a change of the parameters, and judge what it trained."""
        self.commit(tiny.params(offset=offset))
        return self.judge(offset, outcome)

    def judge(self, offset: int, outcome: Outcome = Outcome.PASS, **changes: Any) -> VerdictEntry:
        """Write a verdict on main's tip, and store the bytes of a model that passed."""
        context = self.context()
        side = context.sides_at(context.tip, outside=False).head
        model = side.config.model("tiny")
        assert model
        content, self.count = self.models[offset], self.count + 1
        digest = digest_of(content)
        fields: dict[str, Any] = {
            "model": "tiny",
            "key": Subject.of(model, side).key,
            "digest": digest,
            "commit": context.tip,
            "outcome": outcome,
            "reason": REASONS[outcome],
            "attempt": Attempt(run=self.count),
            "judge": Attempt(run=self.count),
            "files": (StoredFile(seed=0, digest=digest, size_bytes=len(content)),),
        }
        verdict = entry(**(fields | changes))
        if outcome in {Outcome.PASS, Outcome.INCONCLUSIVE}:
            self.store(content)
        self.append(verdict)
        return verdict

    def judge_folder(self, folder: Path) -> VerdictEntry:
        """Write a verdict on main's tip that a folder has passed, and store it."""
        found = measured(folder)
        self.context().store.put(found.digest, folder)
        offset = next(iter(self.models))
        return self.judge(offset, digest=found.digest, files=(StoredFile(seed=0, **found.model_dump()),))

    def store(self, content: bytes) -> None:
        """Put bytes into the store."""
        file = self.folder / "to-store.onnx"
        file.write_bytes(content)
        self.context().store.put(digest_of(content), file)

    @property
    def releases(self) -> tuple[ReleaseEntry, ...]:
        """The released versions, oldest first."""
        return ledger_releases(self.entries(), "tiny")

    @property
    def digests(self) -> tuple[str, ...]:
        """Of the released versions, oldest first."""
        return tuple(each.digest for each in self.releases)

    def stored(self, digest: str) -> Path:
        """Where the store has a file."""
        digits = digest.removeprefix("sha256:")
        return self.deploy / "store" / "sha256" / digits[:2] / digits

    def append(self, *entries: Entry) -> None:
        """Write to the ledger."""
        LedgerBranch.at(self.remote).append(entries, 1_763_654_400)

    def entries(self) -> tuple[Entry, ...]:
        """The whole ledger."""
        return LedgerBranch.at(self.remote).read().entries

    def refs(self) -> dict[str, str]:
        """Every ref of the remote."""
        command = ["git", "for-each-ref", "--format=%(refname) %(objectname)"]
        out = subprocess.run(command, cwd=self.folder / "remote.git", capture_output=True, text=True, check=True).stdout
        return dict(line.split(" ") for line in out.splitlines())

    def state(self) -> tuple[object, ...]:
        """All that a refusal must leave as it was: refs of the remote (ledger, tags, locks), store and environments."""
        files = {str(file): file.read_bytes() for file in self.deploy.rglob("*") if file.is_file()}
        return self.refs(), files

    def served(self, environment: str) -> str | None:
        """The version that an environment serves, by its own word; None before the first."""
        from mlbot.storage.target import open_target  # noqa: PLC0415 - only the worlds of tests with ML need it

        config = self.context().environment(environment)
        assert config
        live = open_target(config, self.sandbox.path).live("tiny")
        return live.version if live else None
