"""Releases on a fake GitHub without the runner: what people say and push, and the jobs that follow, in this process."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from tests.e2e import user
from tests.fake_github import ops_actions
from tests.fake_github.runs import Run
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Issue, Repository, Role
from tests.support import releases, tiny
from tests.support.git_samples import Sandbox
from tests.support.ledger_samples import entry as verdict_entry

from mlbot import entry
from mlbot.delivery import run_hosted
from mlbot.delivery.request import DeliveryRequest
from mlbot.delivery.run_hosted import Patience
from mlbot.events.github import Attempt
from mlbot.gates.outcome import Outcome
from mlbot.git.ledger import LedgerBranch
from mlbot.git.remote import Remote
from mlbot.git.repository import Repository as Checkout
from mlbot.ledger.entries import Entry, StoredFile, VerdictEntry
from mlbot.ledger.queries import live
from mlbot.lib.constants import RELEASE_PATH
from mlbot.plan.plan import Subject
from mlbot.plan.run_plan import read_configs, read_sides
from mlbot.setup import scaffold
from mlbot.storage.store import open_store
from mlbot.verdict.verdict import Commits

BOT: Final = "github-actions[bot]"
RELEASE: Final = "mlbot-release.yml"
ASK: Final = {"actions": "read", "contents": "read", "issues": "read", "pull_requests": "read"}
RECORD: Final = {
    "actions": "write",
    "contents": "write",
    "issues": "write",
    "packages": "write",
    "pull_requests": "write",
    "statuses": "read",
}
LOOK: Final = {
    "actions": "read",
    "contents": "write",
    "issues": "write",
    "packages": "read",
    "pull_requests": "write",
    "statuses": "read",
}
SCORE: Final = {"contents": "read", "packages": "read"}
DEPLOY: Final = {
    "contents": "write",
    "deployments": "write",
    "issues": "write",
    "packages": "write",
    "pull_requests": "write",
}
COMMAND: Final = {
    "actions": "write",
    "contents": "read",
    "issues": "write",
    "pull_requests": "write",
    "statuses": "write",
}


def config(folder: Path) -> str:
    """A store, staging, and production behind it with one approval, in a folder that outlives the jobs."""
    return tiny.CONFIG + (
        f"store: {(folder / 'store').as_uri()}\n"
        "environments:\n"
        f"  staging: {{target: '{(folder / 'staging').as_uri()}', smoke: {{requests: 20}}}}\n"
        f"  production: {{target: '{(folder / 'production').as_uri()}', after: staging, approvals: 1}}\n"
    )


@dataclass
class Shop:
    """A repository on GitHub whose models are judged without being trained there, and everybody around it."""

    github: FakeGitHub
    models: Repository
    folder: Path
    trained: Mapping[int, bytes]
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    count: int = 0
    codes: list[tuple[str, int]] = field(default_factory=list)
    """Each verb that a job ran, and how it ended."""
    errors: str = ""
    """What the last deploy job said."""
    sealed: Mapping[str, str] = field(default_factory=dict)
    """What the environment of sealed rows gives the job that scores."""
    said: str = ""
    """All that the jobs of sealed rows wrote."""

    @classmethod
    def open(
        cls,
        github: FakeGitHub,
        folder: Path,
        trained: Mapping[int, bytes],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        text: str | None = None,
    ) -> "Shop":
        """A repository with everything but a verdict; `text`: another mlbot.yaml."""
        files = tiny.files() | user.WORKFLOWS
        files |= {"mlbot.yaml": text or config(folder), RELEASE_PATH: scaffold.release_workflow()}
        roles: dict[str, Role] = {"alice": "write", "bob": "write", "boss": "admin", "rita": "read"}
        models = github.repository("acme/models", files, roles=roles)
        github.world.queue.clear()
        github.limits.writes_a_minute = 10_000
        return cls(github, models, folder, trained, monkeypatch, capsys)

    # what happens on main

    def merge(self, offset: int, outcome: Outcome = Outcome.PASS, **changes: Any) -> str:
        """A change of the parameters lands on main, and is judged."""
        sha = self.push(offset)
        self.judge(offset, outcome, **changes)
        return sha

    def push(self, offset: int, *, over: bool = True) -> str:
        """A change lands on main; nothing judges it yet.

        Args:
            offset: of the parameters.
            over: whether its training is over; else it waits for a runner.
        """
        sha = self.github.user("boss").push("main", tiny.params(offset=offset))
        for run in self.github.world.queue if over else ():
            ops_actions.finish(self.github.world, run, "success", [])
        self.github.world.queue.clear()
        return sha

    def judge(self, offset: int, outcome: Outcome = Outcome.PASS, **changes: Any) -> VerdictEntry:
        """The verdict on main's tip, with the bytes in the store."""
        checkout, content, self.count = Checkout.discover(self.checkout().path), self.trained[offset], self.count + 1
        tip = checkout.resolve("HEAD")
        commits = Commits(head=tip, base=None, policy=None, guarded="main")
        side = read_sides(checkout, commits, read_configs(checkout, commits), outside=False).head
        model = side.config.model("tiny")
        assert model
        digest = releases.digest_of(content)
        fields: dict[str, Any] = {
            "model": "tiny",
            "key": Subject.of(model, side).key,
            "digest": digest,
            "commit": tip,
            "outcome": outcome,
            "reason": releases.REASONS[outcome],
            "attempt": Attempt(run=self.count),
            "judge": Attempt(run=self.count),
            "files": (StoredFile(seed=0, digest=digest, size_bytes=len(content)),),
        }
        verdict = verdict_entry(**(fields | changes))
        if outcome in {Outcome.PASS, Outcome.INCONCLUSIVE}:
            file = self.folder / "to-store.onnx"
            file.write_bytes(content)
            open_store((self.folder / "store").as_uri(), self.folder).put(digest, file)
        LedgerBranch.at(self._remote).append([verdict], 1_763_654_400)
        return verdict

    # what people do

    def tag(
        self, name: str = "tiny@v1.0.0", target: str | None = None, *, who: str = "alice", light: bool = False
    ) -> None:
        """Somebody pushes a tag."""
        self.github.user(who).on(self.models).tag(name, target, message=None if light else "A version")
        self.work()

    def issue(self, title: str = "Anything") -> Issue:
        """An issue to talk in."""
        return self.github.user("alice").on(self.models).open_issue(title)

    def say(self, body: str, who: str = "alice", where: Issue | None = None) -> str:
        """Somebody comments, and the jobs follow; the bot's answer to it at their end."""
        comment = self.github.user(who).on(self.models).comment(where or self.issue(), body)
        self.work()
        found = [each.body for each in self.comments if f"<!-- mlbot:answer comment={comment.id} " in each.body]
        return found[-1] if found else ""

    def start(self, who: str = "boss", **inputs: str) -> None:
        """Somebody starts the workflow by hand."""
        self.github.user(who).on(self.models).dispatch(RELEASE, **inputs)
        self.work()

    # what jobs do

    def work(self) -> None:
        """Run what is queued, and what that starts, until nothing is."""
        queue = self.github.world.queue
        while queue:
            run = queue.pop(0)
            ops_actions.begin(self.github.world, run)
            failed = not self._run(run)
            ops_actions.finish(self.github.world, run, "failure" if failed else "success", [])

    def _run(self, run: Run) -> bool:
        if Path(run.workflow.path).name == RELEASE:
            if run.event == "release" and "@v" not in (run.head_branch or ""):
                return True
            return self.tag_job(run) if run.event in {"push", "release"} else self._release(run)
        return run.event != "issue_comment" or self.mlbot(run, "command", COMMAND) == 0

    def tag_job(self, run: Run) -> bool:
        """What tag.yml does for a tag that was pushed, or that a release was published of."""
        self._dispatch({"tag": run.head_branch})
        return True

    def dispatched_by_a_workflow(self, **inputs: str) -> None:
        """Any workflow that may write actions starts the release workflow, and the jobs follow."""
        self._dispatch(inputs)
        self.work()

    def _dispatch(self, inputs: Mapping[str, str]) -> None:
        token = self.github.world.tokens[self.github.job_token(self.models, {"actions": "write"}, job="any.yml/any")]
        ops_actions.dispatch(self.github.world, self.models, token, path=RELEASE_PATH, ref="main", inputs=inputs)

    def redeliver(self, comment: int) -> None:
        """The command job starts the release workflow for a comment once more."""
        self.dispatched_by_a_workflow(comment=str(comment))

    def take(self, event: str) -> Run:
        """The next queued run of the release workflow."""
        queue = self.github.world.queue
        run = next(each for each in queue if each.event == event and Path(each.workflow.path).name == RELEASE)
        queue.remove(run)
        ops_actions.begin(self.github.world, run)
        return run

    def ask(self, run: Run) -> tuple[DeliveryRequest, Run]:
        """What the first job of a run puts out."""
        self.capsys.readouterr()
        assert self.mlbot(run, "request", ASK) == 0
        outputs = dict(line.split("=", 1) for line in self.capsys.readouterr().out.splitlines())
        return DeliveryRequest.model_validate_json(outputs["ask"]), run

    def _release(self, run: Run) -> bool:
        self.capsys.readouterr()
        if self.mlbot(run, "request", ASK) != 0:
            return False
        said = self.capsys.readouterr()
        outputs = dict(line.split("=", 1) for line in said.out.splitlines())
        if not outputs:
            return True
        rights = {"record": RECORD, "deploy": DEPLOY}[outputs["go"]]
        given = ["--ask", outputs["ask"]]
        if outputs["sealed"] == "true":
            given += self._sealed(run, outputs["ask"])
        code = self.mlbot(run, "deploy", rights, *given, checkout=self.checkout().path)
        self.errors = self.capsys.readouterr().err
        return code == 0

    def _sealed(self, run: Run, ask: str) -> list[str]:
        """The two jobs that write a look and score it, each with what it may have; what they hand on."""
        found = self.mlbot(run, "look", LOOK, "--ask", ask, checkout=self.checkout().path)
        look = self._output(found, "look")
        if look == "none":
            return []
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.sealed.items():
                patch.setenv(name, value)
            scored = self.mlbot(run, "score", SCORE, "--ask", ask, "--look", look, checkout=self.checkout().path)
        return ["--look", look, "--answer", self._output(scored, "answer")]

    def _output(self, code: int, name: str) -> str:
        said = self.capsys.readouterr()
        self.said += said.out + said.err
        lines = dict(line.split("=", 1) for line in said.out.splitlines())
        assert lines.keys() <= {name}, (code, said)
        return lines.get(name, "none")

    def impatient(self) -> None:
        """Nobody waits for a verdict."""
        self.monkeypatch.setattr(run_hosted, "Patience", lambda: Patience(pause=lambda _seconds: None))

    def mlbot(self, run: Run, verb: str, rights: Mapping[str, str], *arguments: str, checkout: Path = Path()) -> int:
        """Run a verb as a job of a run would; how it ended."""
        for name, value in self.environment(run, verb, rights).items():
            self.monkeypatch.setenv(name, value)
        code = entry.invoke(["ci", "-C", str(checkout), verb, *arguments])
        self.codes.append((verb, code))
        return code

    def environment(self, run: Run, verb: str, rights: Mapping[str, str]) -> dict[str, str]:
        """What the runner sets for a job."""
        event = self.folder / "event.json"
        event.write_text(json.dumps(run.payload))
        return {
            "GITHUB_REPOSITORY": self.models.full_name,
            "GITHUB_RUN_ID": str(run.id),
            "GITHUB_RUN_ATTEMPT": str(run.latest.number),
            "GITHUB_EVENT_NAME": run.event,
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_API_URL": self.github.api_url,
            "GITHUB_SERVER_URL": self.github.url,
            "GITHUB_REF": run.ref,
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
            "GITHUB_TOKEN": self.github.job_token(self.models, rights, job=f"{RELEASE}/{verb}"),
        }

    @property
    def summary(self) -> str:
        """All that jobs wrote into their summaries."""
        file = self.folder / "summary.md"
        return file.read_text() if file.exists() else ""

    def checkout(self) -> Sandbox:
        """A fresh clone of main."""
        path = self.folder / "checkouts" / str(len(list((self.folder / "checkouts").glob("*"))))
        subprocess.run(["git", "clone", "--quiet", str(self.models.git.path), str(path)], check=True)
        return Sandbox(path)

    # what one sees

    @property
    def _remote(self) -> Remote:
        return Remote(url=str(self.models.git.path))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The whole ledger."""
        return LedgerBranch.at(self._remote).read().entries

    def of(self, kind: str) -> list[Any]:
        """The ledger's entries of a kind."""
        return [each for each in self.entries if each.kind == kind]

    def served(self, environment: str) -> str | None:
        """The version that the ledger says an environment serves."""
        found = live(self.entries, environment, "tiny")
        return found.version if found else None

    @property
    def comments(self) -> list[Any]:
        """The bot's comments, oldest first."""
        found = sorted(self.models.comments.values(), key=lambda each: each.id)
        return [each for each in found if each.user.login == BOT]

    def thread(self, version: str = "1.0.0") -> Issue:
        """A version's issue."""
        marker = f"<!-- mlbot:version tiny@v{version} -->"
        (found,) = [each for each in self.models.issues.values() if marker in (each.body or "")]
        return found

    def state(self) -> tuple[object, ...]:
        """What a refusal must leave as it was: ledger, locks, tags of the bot's, and the environments."""
        places = [self.folder / "staging", self.folder / "production"]
        files = {str(file): file.read_bytes() for place in places for file in place.rglob("*") if file.is_file()}
        refs = self.models.git.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return [each for each in refs if "refs/heads/mlbot/" in each or "refs/mlbot/" in each], files
