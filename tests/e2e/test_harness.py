"""The harness against toy workflows: what GitHub would do, act does."""

from pathlib import Path

import pytest
from tests.e2e import toy
from tests.e2e.harness import Harness, HarnessError
from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Environment, Repository

pytestmark = pytest.mark.story


@pytest.fixture
def mlbot_source(tmp_path: Path) -> Path:
    """The toy in place of mlbot."""
    return toy.write_mlbot(tmp_path / "toy-mlbot")


@pytest.fixture
def models(github: FakeGitHub) -> Repository:
    """The toy repository."""
    return github.repository("acme/models", toy.FILES, roles={"alice": "write", "boss": "admin"})


def test_a_pull_request_is_trained_judged_and_reported(
    github: FakeGitHub, actions: Harness, models: Repository
) -> None:
    pull = github.user("alice").pull_request("better", {"model.txt": "two\n"})
    actions.run_until_idle()
    train = actions.last("train.yml")
    assert train.outcomes() == {"plan": "success", "train (a)": "success", "train (b)": "success"}
    plan = train.job("plan")
    assert plan.summary == "## Plan\n"
    assert [(one.level, one.path, one.title, one.message) for one in plan.annotations] == [
        ("notice", "model.txt", "Plan", "two models")
    ]
    assert plan.outputs["plan"]["matrix"].startswith('{"include"')
    assert sorted(one.name for one in models.artifacts.values()) == ["model-a-1", "model-b-1"]
    pending, report = actions.of("judge.yml")
    assert pending.outcomes() == {"pending": "success", "report": "skipped"}
    assert report.outcomes() == {"pending": "skipped", "report": "success"}
    assert [(one.sha, one.state, one.creator.login) for one in models.statuses] == [
        (pull.pull.head_sha if pull.pull else "", "pending", "github-actions[bot]")
    ]
    assert [(one.number, one.body, one.user.login) for one in models.comments.values()] == [
        (pull.number, "Judged: model-a-1, model-b-1", "github-actions[bot]")
    ]
    assert actions.installed == ["pip install toys"]
    assert {one.by for one in github.requests.writes() if "statuses" in one.path} == {"judge.yml/pending"}


def test_the_status_is_pending_before_the_training_runs(
    github: FakeGitHub, actions: Harness, models: Repository
) -> None:
    github.user("alice").pull_request("better", {"model.txt": "two\n"})
    assert actions.step().workflow.name == "Judge"
    assert [one.state for one in models.statuses] == ["pending"]


def test_one_failed_leg_is_one_failed_job(github: FakeGitHub, actions: Harness, models: Repository) -> None:
    github.user("alice").pull_request("worse", {"model.txt": "break a\n"})
    actions.run_until_idle()
    train = actions.last("train.yml")
    assert train.conclusion == "failure"
    assert train.outcomes() == {"plan": "success", "train (a)": "failure", "train (b)": "success"}
    assert train.job("train", model="b").conclusion == "success"
    assert len(models.artifacts) == 1


def test_a_re_run_is_a_second_attempt_of_the_same_commit(
    github: FakeGitHub, actions: Harness, models: Repository
) -> None:
    alice = github.user("alice")
    alice.pull_request("better", {"model.txt": "two\n"})
    actions.run_until_idle()
    run = actions.last("train.yml")
    alice.rerun(run)
    actions.run_until_idle()
    assert [one.number for one in run.attempts] == [1, 2]
    assert {one.name for one in models.artifacts.values()} == {f"model-{m}-{n}" for m in "ab" for n in (1, 2)}
    assert len(actions.of("judge.yml")) == 3


def test_a_forks_token_only_reads(github: FakeGitHub, actions: Harness, models: Repository) -> None:
    models.secrets["PASSWORD"] = "hunter2hunter2"
    writes = toy.TRAIN.replace("permissions: {contents: read}", "permissions: {contents: read, issues: write}").replace(
        "test -f model.txt",
        'test -z "$SECRET"; curl -sS -o answer.json -w "%{http_code}\\n" -X POST -H "Authorization: Bearer $TOKEN" '
        '"$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/issues" -d \'{"title": "hi"}\'',
    )
    env = "- id: plan\n        env: {TOKEN: '${{ github.token }}', SECRET: '${{ secrets.PASSWORD }}'}"
    writes = writes.replace("- id: plan", env)
    mallory = github.user("mallory").fork()
    mallory.push("evil", {".github/workflows/train.yml": writes, "model.txt": "evil\n"})
    pull = mallory.open_pull_request("evil")
    actions.run_until_idle()
    train = actions.last("train.yml")
    assert train.from_fork
    assert train.job("plan").log.splitlines()[0] == "403"
    assert [one.status for one in github.requests.refused(by="train.yml/plan")] == [403]
    assert github.world.deliveries[-1].payload["workflow_run"]["pull_requests"] == []
    assert [one.number for one in models.comments.values()] == [pull.number]


def test_a_command_dispatches_a_deployment(github: FakeGitHub, actions: Harness, models: Repository) -> None:
    for name in ("staging", "production"):
        environment = Environment(id=github.world.next_id("environment"), name=name, created_at=github.world.now())
        environment.secrets["PASSWORD"] = f"of-{name}"
        models.environments[name] = environment
    alice = github.user("alice")
    pull = alice.pull_request("better", {"model.txt": "two\n"})
    alice.comment(pull, "/deploy")
    alice.comment(pull, "a plain remark")
    actions.run_until_idle()
    answered, skipped = actions.of("command.yml")
    assert (answered.conclusion, skipped.conclusion) == ("success", "skipped")
    deploy = actions.last("deploy.yml")
    assert deploy.actor.login == "github-actions[bot]"
    assert deploy.outcomes() == {"ship / deploy": "success", "ship / forbidden": "success"}
    assert deploy.job("ship/forbidden").log == "code=403\n"
    (deployment,) = models.deployments.values()
    assert deployment.environment == "staging"
    assert deploy.job("ship/deploy").outputs["outer"]["number"] == str(deployment.id)
    assert deploy.job("ship/deploy").summary.startswith("deployed by ")
    assert deploy.job("ship/deploy").summary.count("deployed") == 1
    comment = next(iter(models.comments.values()))
    assert [one.content for one in comment.reactions] == ["eyes"]
    job = actions.exports[deploy.id, 1].jobs["ship/deploy"]
    assert (job.environment, dict(job.permissions)) == ("staging", {"deployments": "write"})


def test_what_the_bot_does_starts_no_workflow(github: FakeGitHub, actions: Harness, models: Repository) -> None:
    github.user("alice").pull_request("better", {"model.txt": "two\n"})
    actions.run_until_idle()
    assert [one.by_token for one in github.world.deliveries if one.event == "issue_comment"] == [True]
    assert actions.of("command.yml") == []
    assert models.comments


def test_a_called_workflow_may_not_ask_for_more(
    github: FakeGitHub, actions: Harness, models: Repository, mlbot_source: Path
) -> None:
    ship = mlbot_source / ".github/workflows/ship.yml"
    ship.write_text(ship.read_text().replace("{deployments: write}", "{deployments: write, issues: write}"))
    github.user("alice", models).dispatch("deploy.yml", where="staging")
    with pytest.raises(HarnessError, match="'issues: write', but is only allowed 'issues: none'"):
        actions.run_until_idle()


def test_an_environment_admits_its_branches_only(github: FakeGitHub, actions: Harness, models: Repository) -> None:
    alice = github.user("alice")
    now = github.world.now()
    models.environments["staging"] = Environment(id=1, name="staging", created_at=now, branches=["main"])
    alice.push("side", {"model.txt": "two\n"})
    alice.dispatch("deploy.yml", "side", where="staging")
    actions.run_until_idle()
    assert actions.last("deploy.yml").job("ship/deploy").conclusion == "failure"
    assert not models.deployments


def test_a_run_over_its_deadline_is_stopped(github: FakeGitHub, actions: Harness) -> None:
    text = """
on: push
jobs:
  slow:
    runs-on: ubuntu-latest
    steps:
      - run: echo begin; sleep 60
      - if: always()
        run: echo cleaned up
"""
    github.repository("acme/slow", {"README.md": "x"})
    actions.deadline = 1.5
    github.user("alice").push("main", {".github/workflows/slow.yml": text})
    actions.run_until_idle()
    run = actions.last("slow.yml")
    assert run.conclusion == "timed_out"
    assert run.job("slow").log.startswith("begin\n")


def test_an_unknown_action_is_refused(github: FakeGitHub, actions: Harness) -> None:
    text = "on: push\njobs: {x: {runs-on: ubuntu-latest, steps: [{uses: evil/action@v1}]}}\n"
    github.repository("acme/evil")
    github.user("alice").push("main", {".github/workflows/x.yml": text})
    with pytest.raises(HarnessError, match="no stand-in for evil/action@v1"):
        actions.run_until_idle()


def test_a_token_that_is_printed_or_kept_is_found(github: FakeGitHub, actions: Harness) -> None:
    text = f"""
on: push
jobs:
  leaky:
    runs-on: ubuntu-latest
    permissions: {{contents: read}}
    steps:
      - uses: {toy.CHECKOUT}
      - env: {{TOKEN: "${{{{ github.token }}}}"}}
        run: echo "token is $TOKEN"; echo "$TOKEN" > token.txt
      - uses: {toy.UPLOAD}
        with: {{name: token, path: token.txt}}
"""
    github.repository("acme/leaky")
    github.user("alice").push("main", {".github/workflows/leaky.yml": text})
    actions.run_until_idle()
    assert actions.last("leaky.yml").conclusion == "success"
    places = sorted(one.where.split(", ", 1)[1] for one in actions.leaks)
    assert places == [".git/config of a workspace", "artifact token/token.txt", "log of leaky"]
    assert {one.secret for one in actions.leaks} == {"token of leaky.yml/leaky"}
    actions.leaks.clear()


def test_a_job_sees_what_github_gives_it_and_no_more(github: FakeGitHub, actions: Harness) -> None:
    text = "on: push\njobs: {see: {runs-on: ubuntu-latest, steps: [{run: env | sort}]}}\n"
    repository = github.repository("acme/env", {".github/workflows/see.yml": text})
    repository.secrets["PASSWORD"] = "hunter2hunter2"
    sha = github.user("alice").push("main", {"a.txt": "a"})
    actions.run_until_idle()
    run = actions.last("see.yml")
    seen = dict(line.split("=", 1) for line in run.job("see").log.splitlines())
    expected = {
        "CI": "true",
        "GITHUB_ACTOR": "alice",
        "GITHUB_API_URL": github.api_url,
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_GRAPHQL_URL": github.graphql_url,
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_REF_NAME": "main",
        "GITHUB_REF_TYPE": "branch",
        "GITHUB_REPOSITORY": "acme/env",
        "GITHUB_REPOSITORY_ID": str(repository.id),
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_RUN_ID": str(run.id),
        "GITHUB_SERVER_URL": github.url,
        "GITHUB_SHA": sha,
        "GITHUB_TRIGGERING_ACTOR": "alice",
        "GITHUB_WORKFLOW_REF": "acme/env/.github/workflows/see.yml@refs/heads/main",
    }
    assert {name: seen.get(name) for name in expected} == expected
    assert seen["HTTPS_PROXY"] == "http://127.0.0.1:1"  # nobody listens: no job reaches the network
    assert not [name for name in seen if any(word in name for word in ("TOKEN", "PASSWORD", "PYTEST"))]


def test_a_schedule_runs_the_default_branch(github: FakeGitHub, actions: Harness) -> None:
    job = "{runs-on: ubuntu-latest, steps: [{run: 'echo $GITHUB_REF'}]}"
    text = f"on: {{schedule: [{{cron: '0 4 * * *'}}]}}\njobs: {{x: {job}}}\n"
    github.repository("acme/nightly", {".github/workflows/nightly.yml": text})
    github.schedule("0 4 * * *")
    actions.run_until_idle()
    assert actions.last("nightly.yml", event="schedule").job("x").log == "refs/heads/main\n"


def test_tags_and_queues_run_what_they_name(github: FakeGitHub, actions: Harness) -> None:
    text = f"""
on:
  push:
    tags: ["v*"]
  merge_group:
jobs:
  say:
    runs-on: ubuntu-latest
    steps:
      - uses: {toy.CHECKOUT}
        with: {{persist-credentials: false, fetch-depth: 0}}
      - run: echo "$GITHUB_EVENT_NAME $GITHUB_REF $GITHUB_SHA $(git rev-parse HEAD)"
"""
    repository = github.repository("acme/tagged", {".github/workflows/say.yml": text})
    alice = github.user("alice")
    commit = alice.push("main", {"a.txt": "a"})
    alice.tag("v1", message="An annotated tag")
    alice.tag("other")
    pull = alice.pull_request("topic", {"b.txt": "b"})
    ref = alice.queue(pull)
    queued = repository.git.find(ref)
    actions.run_until_idle()
    said = [one.job("say").log for one in actions.of("say.yml")]
    assert said == [f"push refs/tags/v1 {commit} {commit}\n", f"merge_group {ref} {queued} {queued}\n"]
    alice.leave_queue(pull, ref)
    assert repository.git.find("refs/heads/main") == queued


SKIPPED = """
name: Skipped
on: {workflow_dispatch: {}}
permissions: {}
jobs:
  never:
    if: github.ref == 'refs/heads/elsewhere'
    runs-on: ubuntu-latest
    outputs: {word: "${{ steps.say.outputs.word || 'none' }}"}
    steps: [{id: say, run: 'echo "word=hello" >> "$GITHUB_OUTPUT"'}]
  failed:
    runs-on: ubuntu-latest
    outputs: {word: "${{ steps.say.outputs.word }}"}
    steps: [{id: say, run: 'echo "word=hello" >> "$GITHUB_OUTPUT"; exit 1'}]
  after:
    needs: [never, failed]
    if: always() && needs.never.outputs.word == ''
    runs-on: ubuntu-latest
    steps: [{run: "echo '[${{ needs.never.outputs.word || 'nothing' }}][${{ needs.failed.outputs.word }}]'"}]
"""


def test_a_skipped_job_puts_nothing_out_and_a_failed_one_what_it_did(github: FakeGitHub, actions: Harness) -> None:
    github.repository("acme/words", {".github/workflows/skipped.yml": SKIPPED}, roles={"alice": "write"})
    github.user("alice").dispatch("skipped.yml")
    actions.run_until_idle()
    assert actions.last("skipped.yml").job("after").log == "[nothing][hello]\n"
