"""Who said or pushed something, against a GitHub that checks every call."""

from tests.github.setting import Setting

from mlbot.events.github import CommentFacts
from mlbot.github.requests import pusher_of, read_said

READS = {"actions": "read", "contents": "read", "issues": "read", "pull_requests": "read"}
FLOW = "name: x\non: {push: {tags: ['**']}}\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}}\n"


def test_a_comment_with_its_author_and_thread(setting: Setting) -> None:
    made = setting.ada.comment(setting.issue, "/release income")
    found = read_said(setting.client(READS), made.id)
    assert found == CommentFacts(
        id=made.id, number=setting.issue.number, author="ada", person=True, edited=False, body="/release income"
    )


def test_a_bots_comment_is_no_persons(setting: Setting) -> None:
    made = setting.client({"issues": "write", "pull_requests": "write"}).create_comment(setting.issue.number, "Hello.")
    found = read_said(setting.client(READS), made.id)
    assert found is not None
    assert not found.person


def test_a_deleted_comment_is_none(setting: Setting) -> None:
    made = setting.ada.comment(setting.issue, "/release income")
    setting.ada.delete_comment(made)
    assert read_said(setting.client(READS), made.id) is None


def test_who_pushed_a_tag_is_the_actor_of_its_run(setting: Setting) -> None:
    setting.ada.push("main", {".github/workflows/x.yml": FLOW})
    setting.ada.tag("income@v1.0.0", message="A version")
    assert pusher_of(setting.client(READS), "income@v1.0.0") == "ada"
    assert pusher_of(setting.client(READS), "income@v2.0.0") is None


def test_of_a_tag_that_was_moved_the_run_on_the_other_commit_does_not_count(setting: Setting) -> None:
    eve = setting.fake.user("eve", setting.repository)
    old = setting.ada.push("main", {"a": "1"})
    setting.ada.push("main", {".github/workflows/x.yml": FLOW})
    setting.ada.tag("income@v1.0.0", message="A version")
    eve.delete_tag("income@v1.0.0")
    eve.tag("income@v1.0.0", old, message="Another")
    assert pusher_of(setting.client(READS), "income@v1.0.0") is None
