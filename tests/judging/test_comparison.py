"""Whose model a change is compared with, on real histories: branches, merges, queues, pushes, and attempts to cheat.

Nothing is trained here. A model is as good as its parameters say, less what `minus.txt` says, and the verdict is what a
judge without noise comes to with the comparison that is planned.
"""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.git_samples import Sandbox, make
from tests.support.ledger_samples import digest, entry
from tests.support.tiers import examples

from mlbot.console import Console
from mlbot.errors import MlbotError, NotEvaluatedError
from mlbot.events.github import Attempt, Pushed
from mlbot.gates.outcome import Outcome
from mlbot.git.ledger import COPY, LedgerBranch
from mlbot.git.merge import ConflictError, branch_commits
from mlbot.git.remote import Remote
from mlbot.git.repository import Repository
from mlbot.github.job import Job, Runner
from mlbot.judging.run_ci import CIOptions, CIRun
from mlbot.judging.run_hosted import Assignment, _as_committed, assign
from mlbot.judging.run_judge import rules_of
from mlbot.ledger.entries import Source, VerdictEntry
from mlbot.plan.plan import PlannedModel
from mlbot.plan.run_plan import PlanOptions, plan_working_tree
from mlbot.protocol.answer import Reruns, RetrainRequest
from mlbot.protocol.decision import Judge, MergeGroupSubject, PullRequestSubject, PushSubject, Subject

pytestmark = pytest.mark.usefixtures("git_settings")

MARGIN = 2
MODEL = """  {name}:
    task: binary
    train: {{run: python train.py, depends: [train.py, minus.txt, {name}.yaml], params: {name}.yaml}}
    data: {{holdout: holdout.csv, target: y}}
    metrics: [roc_auc]
    gates: {{roc_auc: {gates}}}
"""


def config(*names: str, gates: str = "{max_regression: 0.02}", more: str = "") -> dict[str, str]:
    models = "".join(MODEL.format(name=name, gates=gates) for name in names)
    return {"mlbot.yaml": f"version: 1\n{more}models:\n{models}"}


def params(quality: int, name: str = "churn") -> dict[str, str]:
    return {f"{name}.yaml": f"quality: {quality}\n"}


FILES = {"minus.txt": "0\n", "train.py": "pass\n", "holdout.csv": "y,x\n0,1\n1,2\n", "README.md": "Words\n"}


@dataclass
class Project:
    """A repository elsewhere, an author's clone of it, and the judge's."""

    author: Sandbox
    judge: CIRun
    qualities: dict[str, int] = field(default_factory=dict)
    """By content key: what a training of it is worth."""
    runs: int = 0
    moves: list[Pushed] = field(default_factory=list)
    """What GitHub says of how main moved, oldest first."""

    def push(self, files: dict[str, str] | None = None, *more: dict[str, str]) -> str:
        """Commits on main, in one push."""
        self.author.git("checkout", "--quiet", "main")
        for each in (files or {}, *more):
            self.author.commit(each)
        return self.publish()

    def publish(self) -> str:
        """Push main, as it is here."""
        self.author.git("push", "--quiet", "--force", "origin", "main")
        tip = self.author.git("rev-parse", "main")
        before = self.moves[-1].after if self.moves else "0" * 40
        if tip != before:
            self.moves.append(Pushed(before=before, after=tip))
        self.judge._pushes["main"] = tuple(reversed(self.moves))
        return tip

    def change(self, files: dict[str, str], *, at: str = "main", branch: str = "work") -> str:
        """A pull request's head."""
        self.author.git("checkout", "--quiet", "-B", branch, at)
        head = self.author.commit(files)
        self.author.git("push", "--quiet", "--force", "origin", branch)
        return head

    def merge(self, branch: str, *options: str) -> str:
        """Merge a pull request, however it does not fit; the new tip."""
        self.author.git("checkout", "--quiet", "main")
        self.author.git("merge", "--quiet", "-m", "Merge", *(options or ("--no-ff",)), branch)
        return self.publish()

    def squash(self, branch: str) -> str:
        self.author.git("checkout", "--quiet", "main")
        self.author.git("merge", "--quiet", "--squash", branch)
        self.author.commit(message="Squashed")
        return self.publish()

    def assign(self, subject: Subject, reruns: Reruns | None = None) -> Assignment:
        """What a judge of a run's first attempt, or of the one that was asked for, is to do."""
        number = reruns.requests[-1].attempt.number if reruns else 1
        self.runs += 1
        decision = Judge(subject=subject, attempt=Attempt(run=self.runs, number=number), reruns=reruns or Reruns())
        return assign(self.judge, decision)

    def pull(self, head: str, branch: str = "main") -> PullRequestSubject:
        return PullRequestSubject(
            number=1, sha=head, branch=branch, head_ref="work", head_repository_id=1, fork=False, author="alice"
        )

    def verdict(self, subject: Subject, name: str = "churn") -> Outcome:
        """What the change comes to; an error of the planning is one of the verdict."""
        try:
            found = self.assign(subject)
        except MlbotError:
            return Outcome.ERROR
        return self.outcome(found, name)

    def outcome(self, found: Assignment, name: str = "churn") -> Outcome:
        planned = next((each for each in found.plan.stale if each.name == name), None)
        if planned is None:
            return Outcome.PASS
        quality = self.quality(found, found.planning.commits.candidate, planned)
        point = found.points[name]
        if point.problem is not None:
            return {Source.NEW: Outcome.PASS, Source.NEVER: Outcome.FAIL}.get(point.source, Outcome.ERROR)
        bars = [self.qualities[point.entry.key]] if point.entry else []
        bars += [self.quality(found, point.train, planned)] if point.train else []
        return Outcome.FAIL if quality < max(bars) - MARGIN else Outcome.PASS

    def quality(self, found: Assignment, commit: str, planned: PlannedModel) -> int:
        own = f"{planned.name}.yaml"
        path = own if own in found.planning.repository.tree(commit).entries else "churn.yaml"  # of a renamed one
        files = found.planning.repository.read_many(commit, [path, "minus.txt"])
        text, minus = (raw.decode() for raw in files.values())
        quality = int(text.rpartition(" ")[2]) - int(minus)
        if commit == found.planning.commits.candidate:
            self.qualities[planned.key] = quality
        return quality

    def quality_of(self, found: Assignment, name: str = "churn") -> int:
        """What the baseline is worth."""
        entry = found.points[name].entry
        assert entry is not None
        return self.qualities[entry.key]

    def judged(self, sha: str | None = None) -> Outcome:
        """Judge a commit of main, and write what it comes to into the ledger."""
        sha = sha or self.author.git("rev-parse", "main")
        found = self.assign(PushSubject(sha=sha, branch="main"))
        outcomes = [self.record(found, planned, sha) for planned in found.plan.stale]
        return next((each for each in outcomes if each is not Outcome.PASS), Outcome.PASS)

    def record(self, found: Assignment, planned: PlannedModel, sha: str, **changes: object) -> Outcome:
        outcome = self.outcome(found, planned.name)
        facts: dict[str, object] = {
            "model": planned.name,
            "key": planned.key,
            "commit": sha,
            "outcome": outcome,
            "digest": digest(self.runs),
            "policy": rules_of(found.planning.sides.policy).get(planned.name),
        }
        known = entry(**{"run": self.runs} | facts | changes)  # type: ignore[arg-type]
        LedgerBranch.at(self.judge.remote).append([known], 1_763_654_400 + self.runs)
        return outcome

    @property
    def ledger(self) -> list[VerdictEntry]:
        return [each for each in LedgerBranch.at(self.judge.remote).read().entries if isinstance(each, VerdictEntry)]


def made(folder: Path) -> Project:
    bare = folder / "acme" / "models.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(bare)], check=True)
    for name in ("allowFilter", "allowAnySHA1InWant"):
        subprocess.run(["git", "config", f"uploadpack.{name}", "true"], cwd=bare, check=True)
    author, clone = make(folder / "author"), make(folder / "judge")
    for each in (author, clone):
        each.git("remote", "add", "origin", str(bare))
    clone.commit({"README.md": "Words"})
    job = Job(repository="acme/models", event_name="", event_path=None, run=Attempt(run=8), server_url=folder.as_uri())
    options = CIOptions(directory=clone.path, run=7)
    return Project(author=author, judge=CIRun(job=job, runner=Runner(), options=options, console=Console(quiet=True)))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Main has had a model of quality 80 since its second commit, and the ledger knows it."""
    project = made(tmp_path)
    project.author.commit(FILES)
    project.push(config("churn") | params(80))
    assert project.judged() is Outcome.PASS
    return project


def source(found: Assignment, name: str = "churn") -> Source:
    return found.points[name].source


def test_a_branch_that_is_older_than_the_config_is_compared_with_the_branchs_model(project: Project) -> None:
    before = project.author.git("rev-list", "--max-parents=0", "main")
    project.push({"README.md": "More words\n"})
    # The same files by hand on both sides merge cleanly, and so does what makes the model worse.
    head = project.change(config("churn") | params(80) | {"minus.txt": "20\n"}, at=before)
    found = project.assign(project.pull(head))
    assert source(found) is Source.TIP
    assert project.outcome(found) is Outcome.FAIL


def test_where_an_author_branched_off_changes_nothing(project: Project) -> None:
    old = project.author.git("rev-parse", "main")
    project.push(params(90))
    project.judged()
    project.push({"README.md": "News\n"})
    project.judged()
    change = {"train.py": "pass  # new\n"}
    points = [project.assign(project.pull(project.change(change, at=at))).points for at in (old, "main~1", "main")]
    assert points[0] == points[1] == points[2]
    assert points[0]["churn"].source is Source.TIP
    keys = {
        project.assign(project.pull(project.change(change, at=at))).plan.stale[0].key for at in (old, "main~1", "main")
    }
    assert len(keys) == 1


def test_two_commits_in_one_push_are_compared_with_what_was_there_before(project: Project) -> None:
    """The first loses, the second edits a note: main is not compared with itself."""
    tip = project.push(params(60), {"README.md": "A note\n"})
    assert project.judged(tip) is Outcome.FAIL
    assert {each.outcome for each in project.ledger if each.commit == tip} == {Outcome.FAIL}


def test_a_rebase_merge_of_several_commits_is_one_push(project: Project) -> None:
    tip = project.push({"train.py": "pass  # 1\n"}, params(60), {"train.py": "pass  # 2\n"}, {"README.md": "x\n"})
    assert project.judged(tip) is Outcome.FAIL


def test_stacked_on_what_was_squashed_is_compared_with_the_squashed_model(project: Project) -> None:
    project.change(params(95), branch="one")
    project.squash("one")
    assert project.judged() is Outcome.PASS
    head = project.change({"minus.txt": "10\n"}, at="one", branch="two")
    found = project.assign(project.pull(head))
    assert found.points["churn"].entry is not None
    assert project.qualities[found.points["churn"].entry.key] == 95
    assert project.outcome(found) is Outcome.FAIL


def queue(project: Project, *branches: str) -> list[str]:
    """Groups that stack: the second holds the first."""
    project.author.git("checkout", "--quiet", "--detach", "main")
    groups = []
    for branch in branches:
        project.author.git("merge", "--quiet", "--no-ff", "-m", "Group", branch)
        groups.append(project.author.git("rev-parse", "HEAD"))
    for number, group in enumerate(groups):
        project.author.git(
            "push", "--quiet", "--force", "origin", f"{group}:refs/heads/gh-readonly-queue/main/{number}"
        )
    project.author.git("checkout", "--quiet", "main")
    return groups


def test_stacked_merge_groups_need_the_trainings_that_their_sandbox_plans(project: Project) -> None:
    project.push(config("churn", "sales") | params(80, "sales"))
    project.judged()
    project.change(params(85), branch="one")
    project.change(params(85, "sales"), branch="two")
    groups = queue(project, "one", "two")
    for group, stale in zip(groups, ({"churn"}, {"churn", "sales"}), strict=True):
        found = project.assign(MergeGroupSubject(sha=group, branch="main"))
        assert {each.name for each in found.plan.stale} == stale
        assert {point.source for point in found.points.values()} == {Source.TIP}
        assert planned_in_sandbox(project, group) == {each.name: each.key for each in found.plan.stale}


def planned_in_sandbox(project: Project, commit: str) -> dict[str, str]:
    """What a train workflow plans of a commit, beside the branch as it is now."""
    sandbox = Sandbox(project.author.path.parent / f"sandbox-{commit[:7]}")
    remote = project.judge.remote.url
    subprocess.run(["git", "clone", "--quiet", remote, str(sandbox.path)], check=True)
    sandbox.git("fetch", "--quiet", "origin", commit)
    sandbox.git("checkout", "--quiet", "--detach", commit)
    plan = plan_working_tree(Repository.discover(sandbox.path), PlanOptions(base="refs/heads/main", git_only=True))
    return {each.name: each.key for each in plan.stale}


def test_a_merge_group_whose_branch_moved_on_is_no_verdict(project: Project) -> None:
    project.change(params(85), branch="one")
    (group,) = queue(project, "one")
    project.push({"README.md": "Meanwhile\n"})
    with pytest.raises(NotEvaluatedError, match="moved on"):
        project.assign(MergeGroupSubject(sha=group, branch="main"))


def test_sandbox_and_judge_come_to_the_same_key(project: Project) -> None:
    head = project.change({"train.py": "pass  # new\n"})
    project.push({"README.md": "Meanwhile\n"})
    found = project.assign(project.pull(head))
    assert planned_in_sandbox(project, head) == {"churn": found.plan.stale[0].key}


def test_a_failed_tip_does_not_lower_the_bar(project: Project) -> None:
    project.push(params(60))
    assert project.judged() is Outcome.FAIL
    head = project.change(params(62))
    found = project.assign(project.pull(head))
    assert source(found) is Source.FAILED
    assert project.outcome(found) is Outcome.FAIL


def test_a_typo_is_fixed_while_main_is_failed(project: Project) -> None:
    project.push(params(60))
    project.judged()
    assert project.assign(project.pull(project.change({"README.md": "Wrods\n"}))).plan.stale == ()


def test_a_revert_to_the_last_usable_model_needs_no_training(project: Project) -> None:
    project.push(params(60))
    project.judged()
    found = project.assign(project.pull(project.change(params(80))))
    assert (found.plan.stale, source(found)) == ((), Source.RESTORED)


def test_a_tip_that_nobody_judged_is_compared_with_beside_the_last_usable_model(project: Project) -> None:
    """Merged before its own verdict: it is no bar alone, and a better one counts."""
    project.push(params(60))
    found = project.assign(project.pull(project.change(params(62))))
    assert source(found) is Source.UNJUDGED
    assert project.outcome(found) is Outcome.FAIL
    project.push(params(95))
    assert project.verdict(project.pull(project.change(params(85)))) is Outcome.FAIL


@pytest.mark.parametrize("strategy", ["ours", "theirs"])
def test_a_merge_that_throws_a_side_away_hides_nothing(project: Project, strategy: str) -> None:
    old = project.author.git("rev-parse", "main")
    project.push(params(95))
    project.judged()
    project.author.git("checkout", "--quiet", "-B", "work", old)
    project.author.commit({"train.py": "pass  # mine\n"})
    option = ["-s", "ours"] if strategy == "ours" else ["-X", "theirs"]
    project.author.git("merge", "--quiet", "-m", "Merge main", *option, "main")
    project.author.git("push", "--quiet", "--force", "origin", "work")
    head = project.author.git("rev-parse", "HEAD")
    expected = Outcome.FAIL if strategy == "ours" else Outcome.PASS
    assert project.verdict(project.pull(head)) is expected


def test_a_verdict_of_a_lenient_branch_is_none_of_main(project: Project) -> None:
    """A fast-forward of another branch brings its commits, not its verdicts."""
    head = project.change(params(60), branch="dev")
    found = project.assign(project.pull(head))
    project.record(found, found.plan.stale[0], head, branch="dev", outcome=Outcome.PASS)
    project.merge("dev", "--ff-only")
    assert project.judged() is Outcome.FAIL


def test_a_forged_verdict_of_a_commit_that_main_never_had_is_not_believed(project: Project) -> None:
    head = project.change(params(60))
    found = project.assign(project.pull(head))
    project.record(found, found.plan.stale[0], head, outcome=Outcome.PASS)
    assert project.verdict(project.pull(head)) is Outcome.FAIL
    project.merge("work")
    assert project.judged() is Outcome.FAIL


def test_a_commit_that_came_in_by_a_second_parent_was_never_the_branchs(project: Project) -> None:
    head = project.change(params(60))
    project.merge("work")
    assert head not in branch_commits(project.judge.remote, "main")
    assert project.author.git("rev-parse", "main") in branch_commits(project.judge.remote, "main")


def test_a_commit_inside_a_push_of_several_was_never_the_branchs(project: Project) -> None:
    """A tag that is called like the branch starts a run of the commit as a push to the branch would."""
    first = project.push(params(81))
    project.push(params(95), {"README.md": "A note\n"})
    subjects = (PushSubject(sha=project.author.git("rev-parse", each), branch="main") for each in ("main", "main~1"))
    assert [project.judge._is_of_branch(each) for each in subjects] == [True, False]
    assert project.judge._is_of_branch(PushSubject(sha=first, branch="main"))


@pytest.mark.parametrize("tag", ["main", "origin/main", "heads/main", "refs/heads/main"])
def test_a_tag_that_is_called_like_the_branch_is_not_the_branch(project: Project, tag: str) -> None:
    evil = project.change({"README.md": "evil\n"} | params(60), branch="evil")
    project.author.git("push", "--quiet", "origin", f"{evil}:refs/tags/{tag}")
    assert evil not in branch_commits(project.judge.remote, "main")
    assert project.verdict(project.pull(project.change(params(60)))) is Outcome.FAIL


def test_a_conflict_is_an_error(project: Project) -> None:
    head = project.change(params(81))
    project.push(params(82))
    with pytest.raises(ConflictError, match=r"churn\.yaml"):
        project.assign(project.pull(head))


def test_a_merge_driver_of_the_change_does_not_solve_a_conflict(project: Project) -> None:
    head = project.change(params(60) | {".gitattributes": "*.yaml merge=union\n"})
    project.push(params(82))
    assert project.verdict(project.pull(head)) is Outcome.ERROR


def test_the_tip_is_pinned_by_what_the_bot_recorded(project: Project) -> None:
    head = project.change({"train.py": "pass  # new\n"})
    pinned = project.author.git("rev-parse", "main")
    project.push(params(90))
    project.judged()
    request = RetrainRequest(
        comment=1, actor="bot", number=1, sha=head, attempt=Attempt(run=project.runs + 1, number=2), tip=pinned
    )
    found = project.assign(project.pull(head), Reruns(requests=(request,)))
    assert (found.planning.commits.base, found.planning.commits.behind) == (pinned, 1)
    elsewhere = request.model_copy(update={"tip": head, "attempt": Attempt(run=project.runs + 1, number=2)})
    assert project.assign(project.pull(head), Reruns(requests=(elsewhere,))).planning.commits.base != head


def test_new_rules_judge_the_same_files_again(project: Project) -> None:
    tip = project.push(config("churn", gates="{max_regression: 0.02, min: 0.5}"))
    found = project.assign(PushSubject(sha=tip, branch="main"))
    (stale,) = found.plan.stale
    assert stale.judged_before
    assert set(found.judged) == {"churn"}
    assert planned_in_push(project, tip) == {}
    project.record(found, stale, tip)
    assert project.assign(PushSubject(sha=tip, branch="main")).plan.stale == ()


def planned_in_push(project: Project, commit: str) -> dict[str, str]:
    sandbox = Sandbox(project.author.path.parent / f"push-{commit[:7]}")
    subprocess.run(["git", "clone", "--quiet", project.judge.remote.url, str(sandbox.path)], check=True)
    sandbox.git("checkout", "--quiet", "--detach", commit)
    options = PlanOptions(base="refs/heads/main", git_only=True, unjudged=True)
    return {each.name: each.key for each in plan_working_tree(Repository.discover(sandbox.path), options).stale}


def test_a_model_whose_verdicts_are_lost_is_not_new(project: Project) -> None:
    project.push(config("churn", "sales") | params(80, "sales"))
    project.judged()
    project.push(params(81))
    project.judged()
    ledger = Sandbox(project.author.path.parent / "ledger")
    subprocess.run(
        ["git", "clone", "--quiet", "--branch", "mlbot-ledger", project.judge.remote.url, str(ledger.path)], check=True
    )
    ledger.git("rm", "--quiet", "-r", "v1/verdict/sales")
    ledger.commit()
    # Its copy too: a ledger that was only deleted is noticed, and nothing is judged by it.
    ledger.git("push", "--quiet", "origin", "HEAD", f"+HEAD:{COPY}")
    tip = project.push(params(60, "sales"))
    found = project.assign(PushSubject(sha=tip, branch="main"))
    assert (source(found, "sales"), found.points["sales"].train) == (Source.UNJUDGED, project.moves[-1].before)
    assert project.outcome(found, "sales") is Outcome.FAIL


def test_the_config_is_taken_away_and_put_back(project: Project) -> None:
    project.author.git("checkout", "--quiet", "main")
    project.author.git("rm", "--quiet", "mlbot.yaml")
    project.push()
    assert source(project.assign(project.pull(project.change(config("churn") | params(60))))) is Source.BROKEN


def test_a_tip_that_is_back_at_an_older_state_lowers_no_bar_until_it_is_judged_there(project: Project) -> None:
    """The old verdict on the same content was given before a better model came."""
    project.push(params(95))
    assert project.judged() is Outcome.PASS
    project.push(params(80))
    assert project.verdict(project.pull(project.change(params(81)))) is Outcome.FAIL
    project.push(params(82))
    assert project.judged() is Outcome.FAIL


def test_a_pin_of_another_pull_request_or_head_is_none(project: Project) -> None:
    """Two pull requests with one head share the runs, and each goes into a branch of its own."""
    head = project.change({"train.py": "pass  # new\n"})
    pinned = project.author.git("rev-parse", "main")
    tip = project.push({"README.md": "Later\n"})
    for changes in ({"number": 2}, {"sha": pinned}):
        attempt = Attempt(run=project.runs + 1, number=2)
        facts = {"comment": 1, "actor": "bot", "number": 1, "sha": head, "attempt": attempt, "tip": pinned} | changes
        found = project.assign(project.pull(head), Reruns(requests=(RetrainRequest.model_validate(facts),)))
        assert found.planning.commits.base == tip


def test_a_change_does_not_decide_how_many_seeds_it_is_judged_by(project: Project) -> None:
    fewer = config("churn")["mlbot.yaml"].replace("params: churn.yaml", "params: churn.yaml, seeds: 1")
    head = project.change({"mlbot.yaml": fewer} | params(70))
    assert [each.seeds for each in project.assign(project.pull(head)).plan.stale] == [3]


@pytest.mark.parametrize(("outcome", "stale"), [(Outcome.ERROR, True), (Outcome.FAIL, True), (Outcome.PASS, False)])
def test_a_commit_that_is_run_again_is_judged_again_where_it_did_not_pass(
    project: Project,
    outcome: Outcome,
    stale: bool,  # noqa: FBT001
) -> None:
    tip = project.push(params(78))
    found = project.assign(PushSubject(sha=tip, branch="main"))
    project.record(found, found.plan.stale[0], tip, outcome=outcome)
    assert bool(project.assign(PushSubject(sha=tip, branch="main")).plan.stale) is stale
    assert bool(planned_in_push(project, tip)) is stale


def test_a_fault_lowers_no_bar(project: Project) -> None:
    """The push of a better model could not be evaluated: what is worse than that one does not pass beside the last."""
    tip = project.push(params(90))
    found = project.assign(PushSubject(sha=tip, branch="main"))
    project.record(found, found.plan.stale[0], tip, outcome=Outcome.ERROR)
    change = project.assign(project.pull(project.change(params(80))))
    assert (source(change), change.points["churn"].train) == (Source.UNJUDGED, tip)
    assert project.outcome(change) is Outcome.FAIL


def test_a_branch_that_was_merged_the_other_way_round_is_not_new(project: Project) -> None:
    """`git pull` and `git push` on main: its former tips are second parents now."""
    old = project.author.git("rev-parse", "main~1")
    project.push(params(90))
    project.judged()
    project.author.git("checkout", "--quiet", "-B", "mine", old)
    project.author.commit({"train.py": "pass  # mine\n"})
    project.author.git("merge", "--quiet", "-m", "Merge main", "main")
    tip = project.author.git("rev-parse", "HEAD")
    project.author.git("branch", "--force", "main")
    project.publish()
    found = project.assign(PushSubject(sha=tip, branch="main"))
    assert (source(found), project.quality_of(found)) == (Source.BEFORE, 90)
    project.judge._pushes["main"] = ()  # GitHub has forgotten
    assert source(project.assign(PushSubject(sha=tip, branch="main"))) is Source.LOST


def test_a_branch_that_was_rewritten_goes_on_from_what_github_says_was_its_tip(project: Project) -> None:
    project.author.git("checkout", "--quiet", "main")
    project.author.git("commit", "--quiet", "--amend", "-m", "Rewritten")
    tip = project.push(params(60))
    assert project.verdict(project.pull(project.change(params(70)))) is Outcome.FAIL
    listed = project.judge.pushes("main")
    project.judge._pushes["main"] = listed[:1]  # the rewriting is the oldest that GitHub lists
    assert project.verdict(project.pull(project.change(params(70)))) is Outcome.FAIL
    project.judge._pushes["main"] = listed
    assert project.judged(tip) is Outcome.FAIL
    assert project.verdict(project.pull(project.change(params(70)))) is Outcome.FAIL
    project.push(params(81))
    assert project.judged() is Outcome.PASS


def test_a_fault_of_the_network_is_no_tip_that_is_lost(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A better model was pushed over, and its commit cannot be fetched: not compared with an older one instead."""
    project.push(params(95))
    project.judged()
    project.author.git("reset", "--quiet", "--hard", "HEAD~1")
    tip, gone = project.push(params(82)), "e" * 40
    moves = (Pushed(before=gone, after=tip), *project.judge.pushes("main")[1:])
    project.judge._pushes["main"] = moves
    assert source(project.assign(PushSubject(sha=tip, branch="main"))) is Source.BEFORE, "the remote has it no more"
    run = Remote.run

    def down(self: Remote, arguments: Sequence[str], cwd: Path, stdin: bytes = b"") -> CompletedProcess[bytes]:
        if gone in arguments:
            return CompletedProcess(arguments, 128, b"", b"fatal: unable to access: Could not resolve host")
        return run(self, arguments, cwd, stdin)

    monkeypatch.setattr(Remote, "run", down)
    with pytest.raises(NotEvaluatedError, match="Could not resolve host"):
        project.assign(PushSubject(sha=tip, branch="main"))


def test_the_branch_before_its_config_was_pushed_is_no_new_beginning(project: Project) -> None:
    """Whoever takes the config's commits away does not let a change bring its own rules."""
    project.author.git("checkout", "--quiet", "main")
    project.author.git("reset", "--quiet", "--hard", "HEAD~1")
    project.publish()
    project.judge._pushes["main"] = ()
    head = project.change(config("churn", gates="{min: 0.1}") | params(60))
    assert source(project.assign(project.pull(head))) is Source.LOST


def test_a_branch_that_was_renamed_or_cut_from_another_has_its_models(project: Project) -> None:
    project.author.git("push", "--quiet", "origin", "main:refs/heads/trunk")
    head = project.change(params(60))
    found = project.assign(project.pull(head, "trunk"))
    assert (source(found), project.outcome(found)) == (Source.TIP, Outcome.FAIL)
    project.author.git("push", "--quiet", "origin", f"{head}:refs/heads/trunk")
    project.judge._pushes["trunk"] = ()
    found = project.assign(PushSubject(sha=head, branch="trunk"))
    assert (source(found), project.outcome(found)) == (Source.BEFORE, Outcome.FAIL)


def test_a_push_that_overtakes_a_better_ones_verdict_does_not_pass_beside_it(project: Project) -> None:
    slow, quick = project.push(params(95)), project.push(params(85))
    found = project.assign(PushSubject(sha=quick, branch="main"))
    assert (source(found), found.points["churn"].train) == (Source.UNJUDGED, slow)
    assert project.judged(quick) is Outcome.FAIL
    assert project.judged(slow) is Outcome.PASS


def test_a_model_that_is_back_counts_from_where_it_came_back(project: Project) -> None:
    """It is judged beside what it takes the place of, by its stored files, and is what later ones are compared with."""
    project.push(params(82))
    assert project.judged() is Outcome.PASS
    back = project.push(params(80))
    found = project.assign(PushSubject(sha=back, branch="main"))
    assert ([each.judged_before for each in found.plan.stale], set(found.judged)) == ([True], {"churn"})
    assert planned_in_push(project, back) == {}
    assert project.judged() is Outcome.PASS
    assert project.assign(PushSubject(sha=back, branch="main")).plan.stale == ()
    project.push(params(79))
    assert project.judged() is Outcome.PASS
    project.push(params(95))
    assert project.judged() is Outcome.PASS
    project.push(params(82))
    assert project.judged() is Outcome.FAIL
    assert source(project.assign(project.pull(project.change(params(83))))) is Source.FAILED


def test_seeds_of_other_branches_are_no_history(project: Project) -> None:
    head = project.change(params(85))
    found = project.assign(project.pull(head))
    project.record(found, found.plan.stale[0], head, branch="dev")
    project.record(found, found.plan.stale[0], head)
    assert {each.commit for each in project.assign(project.pull(head)).past} == {
        project.author.git("rev-parse", "main")
    }


def renamed(project: Project, quality: int, was: str = "", more: Sequence[str] = ()) -> str:
    """A pull request that calls churn loyal, with a quality; what it reads keeps its name where that is the same."""
    text = config("loyal", *more, gates="{max_regression: 0.9}")["mlbot.yaml"].replace("loyal.yaml", "churn.yaml")
    named = text.replace("  loyal:\n", f"  loyal:\n    was: {was}\n") if was else text
    return project.change({"mlbot.yaml": named} | params(quality))


def test_a_model_under_a_new_name_alone_has_nothing_to_be_judged(project: Project) -> None:
    found = project.assign(project.pull(renamed(project, 80)))
    assert (found.plan.stale, found.planning.plan.deleted, found.planning.names) == ((), (), {"loyal": "churn"})


def test_a_model_that_was_renamed_and_changed_is_compared_with_what_it_was(project: Project) -> None:
    head = renamed(project, 60, "churn")
    found = project.assign(project.pull(head))
    assert (source(found, "loyal"), project.outcome(found, "loyal")) == (Source.TIP, Outcome.FAIL)
    policy = found.planning.configs.policy
    assert policy is not None
    assert [each.limit for each in policy.models[0].gates] == [0.02], "by that one's gates"
    project.merge("work")
    assert project.judged() is Outcome.FAIL
    point = project.assign(project.pull(project.change(params(62)))).points["loyal"]
    assert (point.source, point.entry.key if point.entry else None) == (Source.FAILED, next(iter(project.qualities)))


def test_a_model_that_was_renamed_twice_since_its_verdict_is_not_new(project: Project) -> None:
    """Neither change nor push escapes the model of two names before, whether main ran in between or not."""
    renamed(project, 79, "churn")
    project.merge("work")
    text = config("royal", gates="{max_regression: 0.9}")["mlbot.yaml"].replace("royal.yaml", "churn.yaml")
    head = project.change({"mlbot.yaml": text.replace("  royal:\n", "  royal:\n    was: loyal\n")} | params(60))
    entry = project.assign(project.pull(head)).points["royal"].entry
    assert entry is not None
    assert project.qualities[entry.key] == 80
    project.merge("work")
    assert project.judged() is Outcome.FAIL


def test_nobody_chooses_a_weaker_model_by_a_name(project: Project) -> None:
    project.push(config("churn", "weak") | params(10, "weak"))
    project.judged()
    kept = project.assign(project.pull(renamed(project, 60, "weak", ["weak"])))
    assert (source(kept, "loyal"), kept.planning.plan.deleted) == (Source.NEW, ("churn",))
    both = config("loyal", "royal")["mlbot.yaml"]
    for name in ("loyal", "royal"):
        both = both.replace(f"  {name}:\n", f"  {name}:\n    was: churn\n")
    twice = project.change({"mlbot.yaml": both} | params(60, "loyal") | params(60, "royal"))
    found = project.assign(project.pull(twice))
    assert {each.source for each in found.points.values()} == {Source.NEW}
    assert found.planning.plan.deleted == ("churn", "weak")


def test_a_renamed_baseline_is_trained_by_the_name_that_its_commit_has(project: Project) -> None:
    project.push(params(85))
    found = project.assign(project.pull(renamed(project, 83, "churn")))
    assert found.points["loyal"].train == project.moves[-1].after
    assert _as_committed(found, found.plan.stale[0]).name == "churn"


steps = st.lists(
    st.tuples(
        st.sampled_from(["change", "note", "merge", "squash", "push", "two", "judge"]),
        st.integers(0, 3),
        st.sampled_from([60, 70, 80, 90]),
    ),
    min_size=3,
    max_size=9,
)


@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=steps, quality=st.sampled_from([60, 75, 80, 90]), data=st.data())
def test_no_history_moves_the_comparison(
    steps: list[tuple[str, int, int]],
    quality: int,
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A verdict does not depend on where the author branched off, and what is worse than the branch's never passes."""
    project = made(tmp_path_factory.mktemp("history"))
    project.author.commit(FILES)
    project.push(config("churn") | params(80))
    project.judged()
    for step, place, amount in steps:
        ACTIONS[step](project, place, amount)
    commits = project.author.git("rev-list", "main").split()
    change = {"train.py": f"pass  # {quality}\n"}
    heads = {at: project.change(change, at=at) for at in {"main", data.draw(st.sampled_from(commits))}}
    findings = {at: found(project, head) for at, head in heads.items()}
    clean = {at: each for at, each in findings.items() if each is not None}
    assert len(set(clean.values())) <= 1
    chain = branch_commits(project.judge.remote, "main")
    assert {each.commit for each in project.ledger if each.outcome is Outcome.PASS} <= set(chain)
    degraded = project.change(params(10))
    assert project.verdict(project.pull(degraded)) is not Outcome.PASS


def found(project: Project, head: str) -> object:
    """What a change is compared with; None where it conflicts or lacks the model's own files."""
    try:
        assignment = project.assign(project.pull(head))
    except MlbotError:
        return None
    return project.outcome(assignment), str(assignment.points.get("churn")), assignment.plan.stale[0].key


def _side(project: Project, place: int, files: dict[str, str]) -> None:
    commits = project.author.git("rev-list", "main").split()
    project.change(files, at=commits[min(place, len(commits) - 1)], branch=f"side{place}")


def _merge(project: Project, place: int, how: Callable[[Project, str], str]) -> None:
    branch = f"side{place}"
    if branch in project.author.git("branch", "--format=%(refname:short)").split():
        try:
            how(project, branch)
        except subprocess.CalledProcessError:
            project.author.git("reset", "--quiet", "--hard", "HEAD")


ACTIONS: dict[str, Callable[[Project, int, int], object]] = {
    "change": lambda project, place, amount: _side(project, place, params(amount)),
    "note": lambda project, place, amount: _side(project, place, {"README.md": f"{place} {amount}\n"}),
    "merge": lambda project, place, _: _merge(project, place, Project.merge),
    "squash": lambda project, place, _: _merge(project, place, Project.squash),
    "push": lambda project, _, amount: project.push(params(amount)),
    "two": lambda project, place, amount: project.push(params(amount), {"README.md": f"{place}\n"}),
    "judge": lambda project, _place, _amount: project.judged(),
}
