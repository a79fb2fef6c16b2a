"""A judged run without the runner: the fake GitHub, real model files, and the command line in this process."""

import contextlib
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from tests.e2e import user
from tests.fake_github import ops_actions
from tests.fake_github.people import Person
from tests.fake_github.runs import Job, Run
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Issue, Repository
from tests.support import git_samples, tiers
from tests.support.asking import Value, bot, record
from tests.support.ledger_samples import entry as entry_of

from mlbot import entry
from mlbot.events.github import Attempt
from mlbot.git import repository as git
from mlbot.git.ledger import LedgerBranch
from mlbot.git.merge import commits_of
from mlbot.git.remote import Remote
from mlbot.ledger.entries import StoredFile, VerdictEntry
from mlbot.lib.record import digest
from mlbot.ml import plots
from mlbot.ml.holdout import HoldoutData
from mlbot.ml.scoring import Limits, Scored, score_many
from mlbot.plan.run_plan import Planning
from mlbot.protocol.artifacts import accepted_file
from mlbot.report.report import Spec
from mlbot.training.trial import trial_key
from mlbot.verdict.verdict import Problem

READS: Final = {"actions": "read", "contents": "read", "pull_requests": "read"}
WRITES: Final = {"actions": "read", "contents": "write", "pull_requests": "write", "statuses": "write"}
JUDGE_RUN: Final = 777
JUDGE_ATTEMPT = 1
PENDING: Final = Path(__file__).parents[2] / "actions" / "pending" / "pending.sh"

Files = Mapping[str, bytes]


_draw: Final = plots.svg


def drawn_once(spec: Spec, theme: str) -> str:
    """The picture of a chart, which takes longer than judging, drawn for the first test that asks for it."""
    return _drawn(json.dumps(spec), theme)


@cache
def _drawn(spec: str, theme: str) -> str:
    return _draw(json.loads(spec), theme)


def answered_once(
    paths: Sequence[Path], holdout: HoldoutData, *, limits: Limits, in_turn: Sequence[int]
) -> tuple[Scored | Problem, ...]:
    """What models answer to a holdout; the same files are asked for the first test alone, but at night for each."""
    if tiers.NIGHTLY or not all(path.is_file() for path in paths):
        return score_many(paths, holdout, limits=limits, in_turn=in_turn)
    rows = holdout.path.read_bytes(), holdout.record, holdout.expected, holdout.values
    asked = digest(repr((rows, limits, in_turn, [path.read_bytes() for path in paths])).encode())
    if asked not in _ANSWERS:
        found = score_many(paths, holdout, limits=limits, in_turn=in_turn)
        if any(isinstance(each, Problem) for each in found):
            return found
        _ANSWERS[asked] = found
    return _ANSWERS[asked]


_ANSWERS: Final[dict[str, tuple[Scored | Problem, ...]]] = {}


def archive(files: Files) -> bytes:
    """A plain ZIP archive."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return packed.getvalue()


def of_seed(seed: int, files: Files) -> dict[str, bytes]:
    """The files of a seed, where a job of trainings has them."""
    return {f"tiny/{seed}/{name}": content for name, content in files.items()}


def train(folder: Path, **params: object) -> Path:
    """Really train the tiny model: a folder with `<seed>/model.onnx` and `training.json` for two seeds."""
    path = os.environ["PATH"]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{path}"}
    repository = git_samples.make(folder / "repository")
    repository.commit(user.files(**params))
    command = [sys.executable, "-m", "mlbot", "train", "--quiet", "--model", "tiny", "--base", "HEAD"]
    subprocess.run([*command, "--out", str(folder)], cwd=repository.path, env=environment, check=True, timeout=240)
    return folder / "tiny"


def trained(folder: Path, seed: int) -> dict[str, bytes]:
    """What the training of a seed left."""
    return {name: (folder / str(seed) / name).read_bytes() for name in ("model.onnx", "training.json")}


@dataclass
class Stage:
    """One pull request whose training run is over, and the judge's commands on it."""

    github: FakeGitHub
    models: Repository
    pull: Issue
    run: Run
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    outputs: dict[str, str] = field(default_factory=dict)
    honest: bool = True  # whether what is uploaded as a candidate says that it is of this change
    params: dict[str, Value] = field(default_factory=dict)
    """What the latest attempt trains with instead of what is committed."""

    @classmethod
    def opened(
        cls,
        github: FakeGitHub,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        changes: Mapping[str, str],
        models: Repository | None = None,
    ) -> "Stage":
        """Alice opens a pull request; its run starts and waits."""
        models = models or user.repository(github)
        pull = github.user("alice").pull_request("change", changes)
        run = next(run for run in github.world.runs.values() if run.workflow.path == ".github/workflows/mlbot.yml")
        github.world.queue.clear()
        ops_actions.begin(github.world, run)
        subprocess.run(["git", "clone", "--quiet", str(models.git.path), str(folder / "checkout")], check=True)
        return cls(github, models, pull, run, folder, monkeypatch)

    def beside(self, base: str, who: Person | None = None) -> "Stage":
        """The same head, in a pull request into another branch or from another fork; its run starts and waits."""
        person = who or self.github.user("alice")
        pull = person.open_pull_request("change", base)
        return replace(
            self, pull=pull, run=self.newest_run(), folder=self.folder / f"beside-{pull.number}", outputs={}
        ).begun()

    def newest_run(self) -> Run:
        """The training run that GitHub started last."""
        path = ".github/workflows/mlbot.yml"
        return max(
            (run for run in self.github.world.runs.values() if run.workflow.path == path), key=lambda run: run.id
        )

    def begun(self) -> "Stage":
        """This stage, with its run begun and a checkout of its own."""
        self.folder.mkdir()
        self.github.world.queue.clear()
        ops_actions.begin(self.github.world, self.run)
        command = ["git", "clone", "--quiet", str(self.models.git.path), str(self.folder / "checkout")]
        subprocess.run(command, check=True)
        return self

    def upload(
        self,
        seed: int,
        content: Files | bytes,
        *,
        side: str = "candidate",
        run: Run | None = None,
        committed: bool = False,
    ) -> None:
        """An artifact of the run with one seed, whoever made it; of a trial as it is committed, to compare with."""
        own = side == "candidate" and self.honest
        if own and not isinstance(content, bytes) and "training.json" in content:
            params = {} if committed else self.params
            content = {**content, "training.json": self.of_this_change(content["training.json"], params)}
        packed = content if isinstance(content, bytes) else archive(of_seed(seed, content))
        number = 1 if run else self.attempt
        trial = "+trial" if self.params and not committed and own else ""
        name = f"mlbot-{side}-tiny{trial}+s{seed}-a{number}"
        ops_actions.upload(self.github.world, run or self.run, number, name, packed)

    def judge_main(self, folder: Path, **changes: Any) -> VerdictEntry:
        """The verdict on what main has, with its files, in the ledger."""
        number = 1 + sum(run < self.run.id for run in self.github.world.runs)  # older than every run of the test
        files = [(folder / str(seed) / "model.onnx").read_bytes() for seed in (0, 1)]
        stored = [
            StoredFile(seed=seed, digest=digest(raw), size_bytes=len(raw), run=number) for seed, raw in enumerate(files)
        ]
        names = {accepted_file(each.digest): raw for each, raw in zip(stored, files, strict=True)}
        judge = copy(self.run)
        judge.id, judge.event = number, "workflow_run"
        judge.attempts = [copy(self.run.attempts[0])]
        self.github.world.runs[judge.id] = judge
        ops_actions.upload(self.github.world, judge, 1, "mlbot-accepted-a1", archive(names))
        planning = self.planning()
        facts: dict[str, Any] = {
            "model": "tiny",
            "key": planning.plan.models[0].base_key,
            "commit": planning.commits.base,
            "digest": stored[0].digest,
            "files": tuple(stored),
            "judge": Attempt(run=number),
            "values": (),
        }
        known = entry_of(**(facts | changes))
        LedgerBranch.at(Remote(url=self.github.user("boss").clone_url())).append([known], 1_800_000_000)
        return known

    def of_this_change(self, lineage: bytes, params: Mapping[str, Value]) -> bytes:
        """The lineage as this change's own training writes it; the files of a test were trained elsewhere."""
        key = next(each.key for each in self.planning().plan.models if each.name == "tiny")
        return json.dumps({**json.loads(lineage), "key": trial_key(key, dict(params))}).encode()

    def planning(self) -> Planning:
        """The change, merged into main as it is now."""
        repository = git.Repository.discover(self.folder / "checkout")
        head = user.head(self.pull) if self.pull in self.models.issues.values() else "refs/heads/main"
        fetch = ["git", "-C", str(repository.root), "fetch", "--quiet", "origin"]
        subprocess.run([*fetch, f"+{head}:refs/test/head", "+refs/heads/main:refs/test/tip"], check=True)
        tip = git.Branch(name="main", sha=repository.resolve("refs/test/tip"))
        head = repository.resolve("refs/test/head")
        return Planning.of(repository, commits_of(repository, head, tip), outside=False)

    @property
    def attempt(self) -> int:
        """The run's latest attempt, which uploads, and which the judge is asked about."""
        return self.run.latest.number

    def retrain(self, *names: str, **params: Value) -> None:
        """Alice's command: the bot notes it, then the run's next attempt begins."""
        self.params = params
        record(self.github, self.models, self.pull, self.run, *names, **params)
        ops_actions.rerun(self.github.world, self.run, bot(self.github))
        self.github.world.queue.clear()
        ops_actions.begin(self.github.world, self.run)

    def rerun_failed(self) -> None:
        """Somebody chooses "Re-run failed jobs", GitHub's default; the next attempt begins."""
        world = self.github.world
        number, now = world.next_id("job"), world.now()
        failed = Job(id=number, key="train", name="train", status="completed", conclusion="failure", started_at=now)
        self.run.latest.jobs = [failed]
        ops_actions.rerun(world, self.run, bot(self.github), failed_only=True)
        world.queue.clear()
        ops_actions.begin(world, self.run)

    def finish(self, conclusion: str = "success") -> None:
        """The training run ends."""
        ops_actions.finish(self.github.world, self.run, conclusion, [])
        self.github.world.queue.clear()

    def mlbot(self, verb: str, *arguments: str, rights: Mapping[str, str] = READS, asked: int | None = None) -> int:
        """Run a verb as a job of the judge's workflow would, about the latest attempt or the one that is asked for."""
        for name, value in self.environment(verb, rights).items():
            self.monkeypatch.setenv(name, value)
        about = ["--run", str(self.run.id), "--attempt", str(asked or self.attempt)]
        return entry.invoke(["ci", "-q", "-C", str(self.folder / "checkout"), *about, verb, *arguments])

    def environment(self, verb: str, rights: Mapping[str, str]) -> dict[str, str]:
        """What a job of the judge's workflow has set."""
        event = self.folder / "event.json"
        event.write_text(json.dumps(self._dispatch()))
        return self._environment(event, self.github.job_token(self.models, rights, job=f"mlbot-judge.yml/{verb}"))

    def matrix(self) -> int:
        """The training run's own plan job: head is checked out, and the event is the run's."""
        event = self.folder / "event.json"
        event.write_text(json.dumps(self.run.payload))
        token = self.github.job_token(self.models, {"contents": "read", "pull_requests": "read"}, job="mlbot.yml/plan")
        about = {"GITHUB_RUN_ID": str(self.run.id), "GITHUB_RUN_ATTEMPT": str(self.attempt)}
        for name, value in (self._environment(event, token) | about | {"GITHUB_EVENT_NAME": self.run.event}).items():
            self.monkeypatch.setenv(name, value)
        head = ["git", "-C", str(self.folder / "checkout")]
        subprocess.run([*head, "fetch", "--quiet", "origin", self.run.head_sha], check=True)
        subprocess.run([*head, "checkout", "--quiet", self.run.head_sha], check=True)
        return entry.invoke(["ci", "-q", "-C", str(self.folder / "checkout"), "matrix"])

    def pending(self, *contexts: str) -> None:
        """The job that says that the training has started: its own script, run by bash and curl."""
        token = self.github.job_token(self.models, {"statuses": "write"}, job="mlbot-judge.yml/pending")
        given = {
            "PATH": os.environ["PATH"],
            "RUNNER_TEMP": str(self.folder),
            "GITHUB_API_URL": self.github.api_url,
            "GITHUB_REPOSITORY": self.models.full_name,
            "TOKEN": token,
            "SHA": "",
            "HEAD_SHA": self.run.head_sha,
            "CONTEXTS": " ".join(contexts or ("mlbot",)),
            "TARGET_URL": "",
            "RUN_URL": f"{self.github.url}/{self.models.full_name}/actions/runs/{self.run.id}",
            "DESCRIPTION": "Training.",
            "ONLY_WHERE_NONE": "false",
            "EVENT": self.run.event,
            "RUN": str(self.run.id),
            "ATTEMPT": str(self.attempt),
        }
        subprocess.run(["bash", str(PENDING)], env=given, check=True, capture_output=True)

    def judge(self, asked: int | None = None) -> int:
        """The judge's job; what it leaves is in `judged/`, what it puts out in `outputs`."""
        self.monkeypatch.setattr("mlbot.ml.plots.svg", drawn_once)
        self.monkeypatch.setattr("mlbot.ml.scoring.score_many", answered_once)
        return self.put_out("judge", "--out", str(self.judged), asked=asked)

    def plan(self) -> int:
        """The judge's planner; what it puts out is in `outputs`."""
        return self.put_out("plan")

    def put_out(self, verb: str, *arguments: str, asked: int | None = None) -> int:
        """A job of the judge's workflow; what it puts out is in `outputs`."""
        self.outputs.clear()
        with contextlib.redirect_stdout(io.StringIO()) as out:
            code = self.mlbot(verb, *arguments, asked=asked)
        self.outputs |= dict(line.split("=", 1) for line in out.getvalue().splitlines())
        return code

    @property
    def handed(self) -> list[str]:
        """The options by which the jobs after the judge take what it handed over."""
        problem = ["--problem", self.outputs["problem"]] if "problem" in self.outputs else []
        return ["--from", str(self.judged / "report"), "--digest", self.outputs.get("digest", "none"), *problem]

    def publish(self, *options: str, rights: Mapping[str, str] = WRITES, asked: int | None = None) -> int:
        """The publish job."""
        return self.mlbot("publish", *self.handed, *options, rights=rights, asked=asked)

    def rewrite(self, **files: str) -> None:
        """Hand over other files than the judge did: as it would have, had it found something else."""
        folder = self.judged / "report"
        handover = json.loads((folder / "decision.json").read_text())
        for name, text in files.items():
            (folder / name).write_text(text)
            handover["files"][name] = digest(text)
        raw = json.dumps(handover).encode()
        (folder / "decision.json").write_bytes(raw)
        self.outputs["digest"] = digest(raw)

    def settle(self, candidate: Path | None, conclusion: str = "success", committed: Path | None = None) -> None:
        """Upload what was trained, end the attempt, judge it and publish what came of it."""
        for seed in (0, 1):
            if candidate is not None:
                self.upload(seed, trained(candidate, seed))
            if committed is not None:
                self.upload(seed, trained(committed, seed), committed=True)
        self.finish(conclusion)
        assert self.judge() == 0
        assert self.publish() == 0

    @property
    def report(self) -> dict[str, Any]:
        """What the judge found."""
        report: dict[str, Any] = json.loads((self.judged / "report" / "report.json").read_text())
        return report

    @property
    def judged(self) -> Path:
        """Each attempt's records stand in a folder of their own, as each job has its own disk."""
        return self.folder / ("judged" if self.attempt == 1 else f"judged-{self.attempt}")

    @property
    def status(self) -> tuple[str, str]:
        """The last status of head."""
        return user.statuses(self.models, user.head(self.pull))[-1]

    @property
    def statuses(self) -> dict[str, str]:
        """The last state of each status of head."""
        return {each.context: each.state for each in self.models.statuses if each.sha == user.head(self.pull)}

    @property
    def comments(self) -> list[str]:
        """The comments on the pull request."""
        return user.comments(self.models, self.pull)

    def _dispatch(self) -> dict[str, Any]:
        inputs = {"run-id": str(self.run.id), "run-attempt": "1"}
        facts = {"id": self.models.id, "full_name": self.models.full_name}
        return {"inputs": inputs, "ref": "refs/heads/main", "repository": facts, "workflow": "mlbot-judge.yml"}

    def _environment(self, event: Path, token: str) -> dict[str, str]:
        return {
            "GITHUB_REPOSITORY": self.models.full_name,
            "GITHUB_RUN_ID": str(JUDGE_RUN),
            "GITHUB_RUN_ATTEMPT": str(JUDGE_ATTEMPT),
            "GITHUB_EVENT_NAME": "workflow_dispatch",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_API_URL": self.github.api_url,
            "GITHUB_SERVER_URL": self.github.url,
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
            "GITHUB_TOKEN": token,
        }
