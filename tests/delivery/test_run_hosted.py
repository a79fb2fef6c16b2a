"""The release workflow's jobs on a fake GitHub: from a tag to production, by comments and by hand."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.fake_github import ops_actions
from tests.fake_github.fixtures import github
from tests.fake_github.server import FakeGitHub
from tests.support import releasing, sealed, tiny
from tests.support.releasing import Shop

from mlbot.commands.forward import Release
from mlbot.console import Console
from mlbot.delivery.request import DeliveryRequest
from mlbot.delivery.run_ci import DeployOptions, WorkflowJob
from mlbot.delivery.run_hosted import Patience, carry_out
from mlbot.errors import Exit
from mlbot.gates.outcome import Outcome
from mlbot.ledger.entries import ReleaseEntry
from mlbot.ledger.queries import deployments

__all__ = ["github"]
pytestmark = pytest.mark.usefixtures("git_settings")
V1 = "tiny@v1.0.0"


@pytest.fixture
def trained(trained_models: dict[int, bytes]) -> dict[int, bytes]:
    """Models by the parameter `offset`."""
    return {1: trained_models[1000], 2: trained_models[2000]}


@pytest.fixture
def shop(
    github: FakeGitHub,
    tmp_path: Path,
    trained: Mapping[int, bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Shop:
    return Shop.open(github, tmp_path, trained, monkeypatch, capsys)


def test_from_a_tag_by_somebody_elses_approval_to_production(shop: Shop) -> None:
    shop.merge(1)
    shop.tag(who="alice")
    (release,) = shop.of("release")
    assert (release.actor, release.version) == ("alice", "1.0.0")
    assert shop.served("staging") == "1.0.0"
    text = shop.thread().body or ""
    assert "| staging | ✅&nbsp;live |" in text
    assert f"/promote {V1} production\n/approve {V1} production\n/rollback tiny staging" in text

    waits = shop.say(f"/promote {V1} production", "alice", shop.thread())
    assert waits.startswith("✋")
    assert f"```text\n/approve {V1} production\n```" in waits
    own = shop.say(f"/approve {V1} production", "alice", shop.thread())
    assert "alice asks for it, so their own approval does not count; 1 is missing" in own
    reader = shop.say(f"/approve {V1} production", "rita", shop.thread())
    assert "needs the role write, and rita has read" in reader
    assert shop.served("production") is None

    said = shop.say(f"/approve {V1} production", "bob", shop.thread())
    assert "The promotion is started." in said
    assert shop.served("production") == "1.0.0"
    asked = [each.body for each in shop.comments if f"`/promote {V1} production`" in each.body]
    assert len(asked) == 1
    assert "is live in production" in asked[0]

    starts = [(each.environment, each.actor, each.digest) for each in shop.of("deployment") if each.state == "started"]
    assert starts == [("staging", "alice", release.digest), ("production", "alice", release.digest)]
    assert [each.actor for each in shop.of("approval")] == ["alice", "bob"]
    shown = [(each.environment, each.statuses[-1].state) for each in shop.models.deployments.values()]
    assert shown == [("staging", "success"), ("production", "success")]
    (page,) = shop.models.releases.values()
    assert (page.tag, page.draft) == (V1, False)
    files = {each.name for each in page.assets}
    assert {"model.onnx", "MODEL_CARD.md", "manifest.json", "SHA256SUMS", "golden.json"} <= files
    assert not shop.github.requests.refused()


@pytest.mark.story
def test_by_comments_from_release_to_rollback(shop: Shop) -> None:
    shop.merge(1)
    first = shop.say("/release tiny")
    assert first.startswith("✅ `/release tiny`: tiny@\N{ZERO WIDTH SPACE}v1.0.0 is released.")
    assert "/issues/" in first
    shop.say(f"/approve {V1} production", "bob")
    shop.merge(2)
    shop.say("/release tiny minor", "bob")
    shop.say("/approve tiny@v1.1.0 production", "alice")
    assert (shop.served("staging"), shop.served("production")) == ("1.1.0", "1.1.0")

    refused = shop.say('/rollback tiny production v7.0.0 reason="It never was"', "bob")
    assert refused.startswith("⛔")
    back = shop.say('/rollback tiny production reason="It is slow"', "bob")
    assert "is live in production, instead of v1.1.0" in back
    assert shop.served("production") == "1.0.0"
    last = shop.of("deployment")[-1]
    assert (last.action, last.actor, last.reason, last.state) == ("rollback", "bob", "It is slow", "succeeded")
    assert "| production | ✅&nbsp;live |" in (shop.thread().body or "")
    assert "| production | ⚪&nbsp;replaced |" in (shop.thread("1.1.0").body or "")
    assert [each.state for each in (shop.thread(), shop.thread("1.1.0"))] == ["open", "open"]


def test_by_hand_and_closed_and_opened(shop: Shop) -> None:
    shop.merge(1)
    shop.start("bob", do="lock", environment="staging", reason="An audit")
    shop.start("boss", do="release", model="tiny", version="v2.0.0")
    assert [each.version for each in shop.of("release")] == ["2.0.0"]
    assert shop.served("staging") is None
    (told,) = [each for each in shop.comments if each.number == shop.thread("2.0.0").number]
    assert "staging is locked by bob since" in told.body
    assert "| staging | 🔒&nbsp;locked |" in (shop.thread("2.0.0").body or "")
    assert shop.say("/unlock staging", "bob").startswith("✅")
    shop.start("boss", do="promote", model="tiny", version="2.0.0", environment="staging")
    assert shop.served("staging") == "2.0.0"
    (told,) = [each for each in shop.comments if each.number == shop.thread("2.0.0").number]
    assert "is live in staging" in told.body
    lock = shop.of("lock")
    assert [(each.locked, each.actor, each.reason) for each in lock] == [(True, "bob", "An audit"), (False, "bob", "")]


@pytest.mark.parametrize(
    ("change", "said"), [("edited", "was edited after it was written"), ("deleted", ""), ("role", "alice has read")]
)
def test_what_is_no_longer_asked_for_when_its_turn_comes_is_not_done(shop: Shop, change: str, said: str) -> None:
    comment = shop.github.user("alice").on(shop.models).comment(shop.issue(), '/lock staging reason="An audit"')
    queued = shop.github.world.queue.pop(0)
    ops_actions.begin(shop.github.world, queued)
    assert shop.mlbot(queued, "command", releasing.COMMAND) == 0
    asked, run = shop.ask(shop.take("workflow_dispatch"))
    match change:
        case "edited":
            shop.github.user("alice").on(shop.models).edit_comment(comment, comment.body)
        case "deleted":
            del shop.models.comments[comment.id]
        case _:
            shop.models.roles["alice"] = "read"
    environment = shop.environment(run, "deploy", releasing.RECORD)
    options, console = DeployOptions(ask=asked.model_dump_json()), Console(quiet=True)
    assert carry_out(WorkflowJob.of(shop.checkout().path, environment, options, console)) is Exit.OK
    assert shop.of("lock") == []
    assert said in "".join(each.body for each in shop.comments)


def test_a_tag_that_comes_before_its_verdict_waits_for_it(shop: Shop) -> None:
    shop.push(1, over=False)
    shop.github.user("alice").on(shop.models).tag(V1, message="Early")
    run = shop.take("push")
    shop.tag_job(run)
    asked, run = shop.ask(shop.take("workflow_dispatch"))
    looks: list[float] = []

    def pause(seconds: float) -> None:
        looks.append(seconds)
        assert not shop.of("release")
        assert "so the release waits for it" in (shop.thread().body or "")
        if len(looks) == 3:
            shop.judge(1)

    environment = shop.environment(run, "deploy", releasing.RECORD)
    options, console = DeployOptions(ask=asked.model_dump_json()), Console(quiet=True)
    code = carry_out(WorkflowJob.of(shop.checkout().path, environment, options, console), Patience(pause=pause))
    assert code is Exit.OK
    assert [each.version for each in shop.of("release")] == ["1.0.0"]
    assert looks == [2.0, 4.0, 8.0]
    assert "was released by alice" in (shop.thread().body or "")


def test_a_tag_whose_verdict_does_not_come_is_refused_in_the_end(shop: Shop) -> None:
    shop.push(1)
    asked = DeliveryRequest(command=Release(model="tiny"), actor="alice", text="/release tiny")
    shop.start("boss", do="unlock", environment="staging")
    run = list(shop.github.world.runs.values())[-1]
    before, looks = shop.state(), [0]

    def pause(seconds: float) -> None:
        del seconds
        looks[0] += 1

    environment = shop.environment(run, "deploy", releasing.RECORD)
    options, console = DeployOptions(ask=asked.model_dump_json()), Console(quiet=True)
    assert (
        carry_out(WorkflowJob.of(shop.checkout().path, environment, options, console), Patience(pause=pause))
        is Exit.REFUSED
    )
    assert looks == [3]
    assert shop.state() == before


def test_the_same_comment_twice_does_nothing_the_second_time(shop: Shop) -> None:
    shop.merge(1)
    shop.say("/release tiny")
    comment = max(each.id for each in shop.models.comments.values() if each.user.login == "alice")
    shop.merge(2)
    before = shop.state()
    shop.redeliver(comment)
    assert shop.state() == before
    assert [each.version for each in shop.of("release")] == ["1.0.0"]


def test_what_cannot_be_shown_is_done_all_the_same(shop: Shop) -> None:
    shop.merge(1)
    for path in ("issues", "deployments", "releases"):
        shop.github.faults.add(f"POST /repos/acme/models/{path}", 404, times=50)
    shop.tag()
    assert shop.served("staging") == "1.0.0"
    assert not shop.models.deployments
    assert not shop.models.releases


def test_a_deployment_that_fails_is_told_with_what_to_say_next(shop: Shop) -> None:
    shop.merge(1)
    shop.tag()
    text = releasing.config(shop.folder).replace("smoke: {requests: 20}", 'smoke: {requests: 20, command: "exit 3"}')
    shop.github.user("boss").on(shop.models).push("main", {"mlbot.yaml": text})
    shop.github.world.queue.clear()
    shop.merge(2)
    shop.tag("tiny@v1.1.0", who="bob")
    assert shop.served("staging") == "1.0.0"
    (told,) = [each.body for each in shop.comments if each.number == shop.thread("1.1.0").number]
    assert told.startswith("❌")
    assert "failed in staging, and v1.0.0 is back" in told
    assert "/promote tiny@v1.1.0 staging" in told
    assert "| staging | ❌&nbsp;rolled\N{NO-BREAK SPACE}back |" in (shop.thread("1.1.0").body or "")
    assert [each.statuses[-1].state for each in shop.models.deployments.values()] == ["success", "failure"]
    assert shop.codes[-1] == ("deploy", Exit.NOT_EVALUATED)


def _unmerged(shop: Shop) -> None:
    shop.merge(1)
    shop.github.user("alice").on(shop.models).push("work", {"params.yaml": "mode: good\noffset: 2\nclaim: 0.8\n"})
    shop.tag(target="work")


def _no_verdict(shop: Shop) -> None:
    shop.push(1)
    shop.tag()


def _failed(shop: Shop) -> None:
    shop.merge(1, Outcome.FAIL)
    shop.tag()


def _inconclusive(shop: Shop) -> None:
    shop.merge(1, Outcome.INCONCLUSIVE)
    shop.tag()


def _of_the_parent(shop: Shop) -> None:
    shop.merge(1)
    shop.push(2)
    shop.tag()


def _newer_attempt(shop: Shop) -> None:
    shop.merge(1)
    shop.judge(1, Outcome.FAIL)
    shop.tag()


def _changed_bytes(shop: Shop) -> None:
    shop.merge(1)
    (file,) = [each for each in (shop.folder / "store").rglob("*") if each.is_file()]
    file.chmod(0o644)
    file.write_bytes(shop.trained[2])
    shop.tag()


def test_a_tag_that_githubs_page_made_is_released_the_same_way(shop: Shop) -> None:
    shop.merge(1)
    shop.tag(light=True)
    (entry,) = shop.of("release")
    assert isinstance(entry, ReleaseEntry)
    assert (entry.version, entry.actor, entry.tag_object) == ("1.0.0", "alice", entry.commit)
    assert shop.models.git.git("cat-file", "-t", "refs/tags/tiny@v1.0.0") == "commit", "a person's tag stays as it is"
    assert {(each.environment, each.version) for each in deployments(shop.of("deployment"))} == {("staging", "1.0.0")}


def test_a_release_published_on_githubs_page_is_released_the_same_way(shop: Shop) -> None:
    shop.merge(1)
    shop.models.git.git("tag", "tiny@v1.0.0", "main")  # before the workflow was there to be told
    shop.github.user("alice").on(shop.models).publish_release("tiny@v1.0.0")
    shop.work()
    (entry,) = shop.of("release")
    assert isinstance(entry, ReleaseEntry)
    assert (entry.version, entry.actor) == ("1.0.0", "alice")


def test_being_told_of_a_tag_twice_is_answered_once(shop: Shop) -> None:
    shop.merge(1)
    shop.tag()
    before, comments = shop.entries, len(shop.comments)
    shop.dispatched_by_a_workflow(tag="tiny@v1.0.0")
    assert shop.codes[-1] == ("deploy", Exit.OK)
    assert (shop.entries, len(shop.comments)) == (before, comments)


def test_a_release_page_of_another_tool_is_left_alone(shop: Shop) -> None:
    shop.merge(1)
    shop.models.git.git("tag", "v7", "main")
    shop.github.user("alice").on(shop.models).publish_release("v7")
    shop.work()
    assert (shop.of("release"), shop.comments, shop.codes) == ([], [], [])


def test_a_pre_release_is_shown_as_one(shop: Shop) -> None:
    shop.merge(1)
    shop.tag("tiny@v1.0.0-rc.1")
    (page,) = shop.models.releases.values()
    assert (page.tag, page.prerelease) == ("tiny@v1.0.0-rc.1", True)
    answer = shop.say("/promote tiny@v1.0.0-rc.1 staging")
    assert "v1.0.0-rc.1 is live in staging already." in answer


def test_a_deleted_tag_is_put_back_by_asking_again(shop: Shop) -> None:
    shop.merge(1)
    shop.say("/release tiny")
    before = shop.models.git.git("rev-parse", "refs/tags/tiny@v1.0.0")
    shop.models.git.git("update-ref", "-d", "refs/tags/tiny@v1.0.0")
    answer = shop.say("/release tiny v1.0.0")
    assert "v1.0.0 is released already, with the same bytes. The tag " in answer
    assert "was deleted, and is there again." in answer
    assert shop.models.git.git("rev-parse", "refs/tags/tiny@v1.0.0") == before


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (_unmerged, "not-merged"),
        (_no_verdict, "no-verdict"),
        (_failed, "verdict-failed"),
        (_inconclusive, "verdict-inconclusive"),
        (_of_the_parent, "verdict-of-parent"),
        (_newer_attempt, "newer-attempt"),
        (_changed_bytes, "bytes-differ"),
    ],
)
def test_a_tag_is_refused_and_nothing_moves(shop: Shop, act: object, reason: str) -> None:
    shop.impatient()
    assert callable(act)
    act(shop)
    assert shop.codes[-2:] == [("request", Exit.OK), ("deploy", Exit.REFUSED)]
    assert f"refused ({reason})" in shop.errors
    assert not shop.of("release")
    assert not shop.of("deployment")
    assert not shop.models.releases
    assert not shop.comments
    assert "⛔ `/release tiny v1.0.0`" in shop.summary
    assert (shop.thread().body or "").startswith("⛔ `/release tiny v1.0.0`")
    assert "\n@alice pushed the tag.\n" in (shop.thread().body or "")


def test_nobody_promotes_by_anothers_comment_that_was_edited_into_a_request(shop: Shop) -> None:
    shop.merge(1)
    shop.tag(who="bob")
    boss = shop.github.user("boss").on(shop.models)
    nice = boss.comment(shop.thread(), "Nice.")
    shop.github.user("alice").on(shop.models).edit_comment(nice, f"/promote {V1} production")
    nice.updated_at = nice.created_at
    shop.github.world.queue.clear()
    said = shop.say(f"/approve {V1} production", "alice", shop.thread())
    assert "The promotion is started." in said
    assert shop.of("deployment")[-1].actor == "bob", "who released the version, and not boss"


def test_an_approval_stands_where_github_does_not_say_whether_the_request_was_edited(shop: Shop) -> None:
    shop.merge(1)
    shop.tag(who="alice")
    shop.say(f"/promote {V1} production", "alice", shop.thread())
    before = len(shop.github.requests.of("graphql"))
    shop.github.faults.add("/api/graphql", 404, nth=4)
    said = shop.say(f"/approve {V1} production", "bob", shop.thread())
    assert len(shop.github.requests.of("graphql")) == before + 4
    assert "GitHub does not say whether the comment that asks for the promotion was edited" in said
    assert shop.served("production") is None
    shop.say(f"/approve {V1} production", "bob", shop.thread())
    assert shop.served("production") == "1.0.0"


def test_a_moved_tag_is_refused(shop: Shop) -> None:
    shop.merge(1)
    shop.tag()
    before = shop.served("staging")
    shop.merge(2)
    alice = shop.github.user("alice").on(shop.models)
    alice.delete_tag(V1)
    shop.github.world.queue.clear()
    shop.tag()
    assert "refused (tag-moved)" in shop.errors
    assert [each.version for each in shop.of("release")] == ["1.0.0"]
    assert shop.served("staging") == before


@pytest.mark.story
def test_who_may_not_ask_or_was_refused_stands_in_nobodys_way(shop: Shop) -> None:
    shop.merge(1)
    shop.tag()
    shop.start("boss", do="lock", environment="production", reason="An audit")
    locked = shop.say(f"/promote {V1} production", "bob", shop.thread())
    assert "production is locked by boss since" in locked
    assert "/unlock production" in locked
    shop.say("/unlock production", "bob", shop.thread())
    shop.say(f"/promote {V1} production", "rita", shop.thread())
    approved = shop.say(f"/approve {V1} production", "bob", shop.thread())
    assert "The promotion is started." in approved
    assert shop.served("production") == "1.0.0"
    assert shop.of("deployment")[-1].actor == "alice"


def test_a_promotion_that_cannot_be_started_is_offered(shop: Shop) -> None:
    shop.merge(1)
    shop.github.faults.add(f"POST /repos/acme/models/actions/workflows/{releasing.RELEASE}/dispatches", 404, nth=2)
    said = shop.say("/release tiny", "alice")
    assert "The next step could not be started. Write:" in said
    assert f"```text\n/promote {V1} staging\n```" in said
    assert shop.served("staging") is None
    assert "is live in staging" in shop.say(f"/promote {V1} staging", "alice")


REFUSED = (
    (f"/promote {V1} production", "bob", "and tiny@\N{ZERO WIDTH SPACE}v1.0.0 is not live there"),
    ("/promote tiny@v9.0.0 staging", "bob", "was never released"),
    (f"/promote {V1} nowhere", "bob", "mlbot.yaml has no environment nowhere"),
    (f"/promote {V1} staging", "rita", "needs the role write, and rita has read"),
    (f'/promote {V1} staging\n/lock staging reason="Both"', "bob", "Write it in a comment of its own"),
    ("/release nothing", "bob", "has no model nothing"),
)


def test_a_comment_is_refused_in_its_thread_and_nothing_moves(shop: Shop) -> None:
    shop.merge(1)
    shop.start("boss", do="lock", environment="staging", reason="So that it does not go there by itself")
    shop.tag()
    shop.say("/unlock staging", "boss")
    before = shop.state()
    for said, who, answer in REFUSED:
        shop.say(said, who)
        assert answer in shop.comments[-1].body
    assert shop.state() == before


def test_a_machine_may_not_speak_for_a_person(shop: Shop) -> None:
    shop.merge(1)
    shop.tag()
    before = shop.state()
    for inputs in (
        {"do": "approve", "model": "tiny", "version": "1.0.0", "environment": "production"},
        {"do": "rollback", "model": "tiny", "environment": "staging", "reason": "Mischief"},
        {"do": "release", "model": "tiny", "bump": "major"},
        {"do": "unlock", "environment": "production"},
        {"do": "promote", "model": "tiny", "version": "1.0.0", "environment": "production", "tag": V1},
        {"tag": "tiny@v3.0.0"},
    ):
        shop.dispatched_by_a_workflow(**inputs)
        assert shop.codes[-1] == ("request", Exit.REFUSED)
    shop.dispatched_by_a_workflow(tag="webpack@v5.0.0")
    assert shop.codes[-1] == ("request", Exit.OK)
    shop.dispatched_by_a_workflow(do="promote", model="tiny", version="1.0.0", environment="production")
    assert "1 is missing" in shop.comments[-1].body
    assert shop.state() == before


# sealed rows: what writes cannot read them, and what reads them cannot write


@pytest.fixture
def sealed_shop(
    github: FakeGitHub,
    tmp_path: Path,
    trained: Mapping[int, bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Shop:
    text = releasing.config(tmp_path)
    text = text.replace(HOLDOUT, f"{HOLDOUT}      sealed: {sealed.ADDRESS}\n")
    shop = Shop.open(github, tmp_path, trained, monkeypatch, capsys, text)
    sealed.mount()
    monkeypatch.setenv(sealed.PLACE, str(tmp_path / "vault"))
    sealed.Vault(tmp_path / "vault").hold()
    shop.sealed = sealed.ENVIRONMENT
    return shop


HOLDOUT = "holdout: data/holdout.csv\n"


def test_a_release_with_sealed_rows_is_three_jobs(sealed_shop: Shop) -> None:
    shop = sealed_shop
    shop.merge(1)
    shop.tag(who="alice")
    assert [each for each, _ in shop.codes if each in {"look", "score", "deploy"}][:3] == ["look", "score", "deploy"]
    (release,) = shop.of("release")
    assert (release.sealed, [each.state for each in shop.of("sealed")]) == ("pass", ["asked", "pass"])
    assert "| Sealed rows | pass |" in (shop.thread().body or "")
    assert not shop.github.requests.refused()


def test_what_is_not_shown_is_refused_and_nothing_of_the_rows_is_anywhere(sealed_shop: Shop) -> None:
    shop = sealed_shop
    rows = tiny.rows(80, 5).splitlines()[1:]
    text = "\n".join(["x1,x2,x3,segment,y", *(row.replace("north", "northwest") for row in rows)])
    sealed.Vault(shop.folder / "vault").write(text)
    shop.merge(1)
    answer = shop.say("/release tiny")
    assert answer.startswith("⛔")
    assert "The sealed rows do not show that" in answer
    assert dict(shop.codes)["score"] == Exit.REFUSED
    assert shop.of("release") == []
    shop.say("/release tiny")  # the same question again
    assert [each.replays for each in shop.of("sealed") if each.state == "not-shown"].count(None) == 1
    places = [shop.said, shop.errors, shop.summary, *(each.body for each in shop.comments)]
    places += [each.model_dump_json() for each in shop.entries]
    values = {value for row in rows for value in row.split(",")[:3]} | {"northwest", sealed.SECRET, sealed.CREDENTIAL}
    for place in places:
        assert not any(value in place for value in values)
    answer_line = re.compile(
        r'answer=\{"look":"[0-9.]+","state":"not-shown","content":"[^"]+","key":"[^"]+","sketch":"[^"]+",'
        r'"views":"[^"]+"\}'
    )
    assert len(answer_line.findall(shop.said)) == 1


def test_the_jobs_that_write_have_no_use_for_the_rows_secrets(sealed_shop: Shop) -> None:
    shop = sealed_shop
    shop.sealed = {}  # the environment is not there yet
    shop.merge(1)
    answer = shop.say("/release tiny")
    assert "KEY is not there" in answer
    assert answer.startswith("❌")  # nobody refused it
    assert dict(shop.codes)["score"] == Exit.NOT_EVALUATED
    assert [each.state for each in shop.of("sealed")] == ["asked", "void"]


def test_maintainers_alone_answer_for_a_release_in_the_place_of_sealed_rows(sealed_shop: Shop) -> None:
    shop = sealed_shop
    shop.merge(1)
    assert "needs the role maintain, and alice has write" in shop.say('/release tiny waive-sealed="In a hurry."')
    assert shop.say('/release tiny waive-sealed="The rows are old."', "boss").startswith("✅")
    (release,) = shop.of("release")
    assert (release.sealed, shop.of("sealed")) == ("waived", [])
    assert "| Sealed rows | not asked: boss answers for it: The rows are old. |" in (shop.thread().body or "")
    (page,) = shop.models.releases.values()
    assert "boss answers for it" in (page.body or "")
