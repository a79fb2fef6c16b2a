"""Each call against a GitHub that checks it by GitHub's own description, and against one that is out of order."""

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from hypothesis import given
from hypothesis import strategies as st
from responses.matchers import query_param_matcher
from tests.fake_github import ops_actions
from tests.fake_github.runs import Run
from tests.github.setting import NAME, Setting
from tests.support import forge_samples

from mlbot.events.github import CommentFacts, Conclusion, Edits, State
from mlbot.github import api
from mlbot.github.api import GitHub, pusher_of, read_comment
from mlbot.github.transport import (
    GitHubError,
    Limits,
    NotFoundError,
    NotPermittedError,
    TokenRefusedError,
    TooLargeError,
    UnavailableError,
)

TRAIN = "on: {pull_request: }\njobs: {}\n"
JUDGE = "on: {workflow_dispatch: {inputs: {run-id: {type: string}}}}\njobs: {}\n"
READ = {"actions": "read", "contents": "read", "pull_requests": "read"}


@pytest.fixture
def train(setting: Setting) -> Run:
    """A run of a fork's pull request."""
    setting.ada.push("main", {".github/workflows/t.yml": TRAIN, ".github/workflows/j.yml": JUDGE})
    setting.fake.world.queue.clear()
    fork = setting.fake.user("eve", setting.repository).fork()
    fork.push("evil", {"b": "1"})
    fork.open_pull_request("evil")
    return setting.fake.world.queue[-1]


def finish(setting: Setting, run: Run, conclusion: str = "success") -> None:
    setting.fake.world.queue.remove(run)
    ops_actions.begin(setting.fake.world, run)
    ops_actions.finish(setting.fake.world, run, conclusion, [])


def test_a_forks_run_and_its_pull_request(setting: Setting, train: Run) -> None:
    client = setting.client(READ)
    run = client.run(train.id)
    assert (run.path, run.event, run.head_owner, run.completed) == (
        ".github/workflows/t.yml",
        "pull_request",
        "eve",
        False,
    )
    assert run.repository_id == setting.repository.id
    assert run.head_repository_id not in {None, setting.repository.id}
    (pull,) = client.pull_requests_of(run)
    assert (pull.head_sha, pull.head_repository_id, pull.base_ref, pull.fork) == (
        run.head_sha,
        run.head_repository_id,
        "main",
        True,
    )
    assert client.pull_request(pull.number) == pull


def test_how_a_branch_moved_is_known_without_its_deletions_and_without_a_tag_of_its_name(setting: Setting) -> None:
    before = setting.repository.git.commit_of("main")
    first, second = setting.ada.push("main", {"a": "1"}), setting.ada.push("main", {"a": "2"})
    setting.ada.tag("main", first)
    setting.ada.push("other", {"b": "1"})
    setting.ada.delete_branch("other")
    client = setting.client({"contents": "read"})
    moves = client.pushes("main")[:2]
    assert [(each.before, each.after) for each in moves] == [(first, second), (before, first)]
    assert [each.before for each in client.pushes("other")] == ["0" * 40]


def test_a_pull_request_is_found_by_its_head_where_the_fork_of_the_run_is_gone(setting: Setting, train: Run) -> None:
    client = setting.client(READ)
    run = client.run(train.id).model_copy(update={"head_owner": None, "head_repository_id": None})
    (pull,) = client.pull_requests_of(run)
    assert pull.head_sha == run.head_sha
    assert client.pull_request_numbers(run) == frozenset()


def listed(number: int, sha: str, ref: str = "x", **changes: Any) -> dict[str, Any]:
    head = {"sha": sha, "ref": ref, "repo": {"id": 9}}
    base = {"ref": "main", "repo": {"id": 1}}
    return {"number": number, "state": "open", "head": head, "base": base, "user": None, **changes}


def test_every_open_pull_request_with_the_head_is_found_whatever_the_others_are() -> None:
    """One that closes while the pages are read moves another one over their edge: those of the branch are asked for."""
    head, odd = "a" * 40, listed(3, "b" * 40, base=None)
    many = [listed(number, "c" * 40) for number in range(100, 198)]
    with responses.RequestsMock() as mocked:
        path = "https://api.github.com:443/repos/acme/models/pulls"
        own, other, gone = listed(1, head, "deeper"), listed(2, head), listed(5, head)
        gone["head"]["repo"] = None
        every = {"state": "open", "per_page": "100", "page": "1"}
        mocked.get(path, json=[odd, other, gone, *many], match=[query_param_matcher(every)])
        mocked.get(path, json=[own], match=[query_param_matcher(every | {"head": "eve:deeper"})])
        found = GitHub.connect("acme/models", "ghp_x").pull_requests_of(forge_samples.run(head_sha=head))
    assert sorted((each.number, each.head_repository_id) for each in found) == [(1, 9), (2, 9), (5, None)]


def test_attempts(setting: Setting, train: Run) -> None:
    client = setting.client({"actions": "write"})
    finish(setting, train, "failure")
    client.ask("POST", f"/actions/runs/{train.id}/rerun")
    assert (client.run(train.id).attempt, client.run(train.id).completed) == (2, False)
    assert client.run(train.id, 1).conclusion is Conclusion.FAILURE
    assert [each.id for each in client.runs(train.head_sha, "pull_request")] == [train.id]


def archive(size: int = 10) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as opened:
        opened.writestr(zipfile.ZipInfo("model.onnx"), b"x" * size)  # without the time of day, so always the same
    return made.getvalue()


def test_artifacts_are_listed_over_pages_and_by_name(setting: Setting, train: Run) -> None:
    for number in range(105):
        ops_actions.upload(setting.fake.world, train, 1, f"a-{number}", archive())
    client = setting.client(READ)
    assert {each.name for each in client.artifacts(train.id)} == {f"a-{number}" for number in range(105)}
    (one,) = client.artifacts(train.id, "a-7")
    assert (one.name, one.run, one.expired) == ("a-7", train.id, False)


def upload(setting: Setting, train: Run, raw: bytes) -> Any:
    ops_actions.upload(setting.fake.world, train, 1, "a", raw)
    return setting.client(READ).artifacts(train.id, "a")[0]


def test_an_archive_is_downloaded_without_the_token(setting: Setting, train: Run, tmp_path: Path) -> None:
    one = upload(setting, train, archive())
    setting.client(READ).download(one, tmp_path / "a.zip", Limits(most_bytes=1000))
    assert (tmp_path / "a.zip").read_bytes() == archive()


@pytest.mark.parametrize("fault", ["cut", "truncated", 503])
def test_a_download_that_breaks_off_begins_anew(setting: Setting, train: Run, tmp_path: Path, fault: Any) -> None:
    one = upload(setting, train, archive(100_000))
    setting.fake.faults.add("/_blobs/", fault)
    setting.client(READ).download(one, tmp_path / "a.zip", Limits(most_bytes=1_000_000))
    assert (tmp_path / "a.zip").read_bytes() == archive(100_000)
    assert setting.waits == [1.0]


def test_a_download_that_always_breaks_off_leaves_nothing(setting: Setting, train: Run, tmp_path: Path) -> None:
    one = upload(setting, train, archive())
    setting.fake.faults.add("/_blobs/", "truncated", times=9)
    with pytest.raises(UnavailableError):
        setting.client(READ).download(one, tmp_path / "a.zip", Limits(most_bytes=1000))
    assert list(tmp_path.glob("*.zip")) == []


def test_an_archive_that_is_larger_than_allowed_is_not_asked_for(setting: Setting, train: Run, tmp_path: Path) -> None:
    one = upload(setting, train, archive(5000))
    with pytest.raises(TooLargeError, match="at most 100 are taken"):
        setting.client(READ).download(one, tmp_path / "a.zip", Limits(most_bytes=100))
    assert setting.fake.requests.of("/_blobs/") == []


def test_an_archive_that_is_larger_than_it_was_said_to_be(setting: Setting, train: Run, tmp_path: Path) -> None:
    one = upload(setting, train, archive(200_000)).model_copy(update={"size_bytes": 10})
    with pytest.raises(TooLargeError):
        setting.client(READ).download(one, tmp_path / "a.zip", Limits(most_bytes=100_000))
    assert list(tmp_path.glob("*.zip")) == []


@pytest.mark.parametrize("address", ["http://evil.example/x", "file:///etc/passwd", "ftp://127.0.0.1/x", ""])
def test_an_address_that_is_not_https_is_not_opened(setting: Setting, train: Run, tmp_path: Path, address: str) -> None:
    one = upload(setting, train, archive())
    client = setting.client(READ)
    send = client.transport.send

    def elsewhere(request: Any, headers: Any) -> Any:
        answer = send(request, headers)
        return answer if answer.status != 302 else type(answer)(status=302, headers={"location": address}, body="")

    client.transport.send = elsewhere
    with pytest.raises(GitHubError):
        client.download(one, tmp_path / "a.zip", Limits(most_bytes=1000))


@pytest.mark.parametrize(
    ("role", "said"),
    [("admin", "admin"), ("maintain", "maintain"), ("write", "write"), ("triage", "triage"), ("read", "read")],
)
def test_a_role_is_told_from_those_it_is_folded_into(setting: Setting, role: Any, said: str) -> None:
    setting.repository.roles["dan"] = role
    setting.fake.world.add_user("dan")
    assert setting.client({"metadata": "read"}).role("dan") == said


def test_an_account_that_is_gone_has_no_role(setting: Setting) -> None:
    assert setting.client({"metadata": "read"}).role("nobody-of-that-name") == "none"


def test_comments(setting: Setting) -> None:
    setting.ada.comment(setting.issue, "/retrain")
    client = setting.client()
    made = client.create_comment(setting.issue.number, "Yes.")
    client.update_comment(made.id, "No.")
    found = client.comment(made.id)
    assert found
    assert (found.body, found.author) == ("No.", "github-actions[bot]")
    for _ in range(2):
        client.delete_comment(made.id)
    assert client.comment(made.id) is None
    assert [each.author for each in client.comments(setting.issue.number)] == ["ada"]


def test_a_status_is_the_bots_latest_of_the_context(setting: Setting) -> None:
    client = setting.client()
    sha = setting.pull.head_sha
    assert client.status(sha, "mlbot") is None
    for state in (State.PENDING, State.SUCCESS):
        said = {"context": "mlbot", "state": state.value, "description": f"It is {state}."}
        client.ask("POST", f"/statuses/{sha}", said)
    client.ask("POST", f"/statuses/{sha}", {"context": "other", "state": "error", "description": "Else."})
    found = client.status(sha, "mlbot")
    assert found
    assert (found.state, found.description) == (State.SUCCESS, "It is success.")


def test_who_a_token_speaks_as(setting: Setting) -> None:
    assert setting.client().login == "github-actions[bot]"
    person = setting.with_token(setting.fake.token("ada"))
    assert (person.login, person.login) == ("ada", "ada")
    assert len(setting.fake.requests.of("GET /user")) == 1


def test_the_repository(setting: Setting) -> None:
    facts = setting.client(READ).facts()
    assert (facts.id, facts.default_branch, facts.private) == (setting.repository.id, "main", False)


def test_rights_that_are_missing_are_named(setting: Setting) -> None:
    with pytest.raises(NotPermittedError, match="Give the job the permission it needs"):
        setting.client({"contents": "read"}).ask("POST", f"/statuses/{setting.pull.head_sha}", {"state": "error"})


def test_a_token_that_is_none(setting: Setting) -> None:
    with pytest.raises(TokenRefusedError):
        setting.with_token("ghs_wrong").facts()
    with pytest.raises(NotFoundError):
        setting.client(READ).pull_request(999)


def test_a_server_that_hangs_up_on_every_call(setting: Setting) -> None:
    setting.fake.faults.add("GET /repos", "cut", times=99)
    with pytest.raises(UnavailableError, match="after 3 attempts: ConnectionError"):
        setting.client(READ, attempts=3).facts()
    assert setting.waits == [1.0, 2.0]


# What no fake gives: answers that are no GitHub's.


@responses.activate
@pytest.mark.parametrize(
    "error",
    [
        requests.ConnectTimeout("x"),
        requests.ReadTimeout("x"),
        requests.ConnectionError("x"),
        requests.exceptions.ChunkedEncodingError("x"),
    ],
)
def test_whatever_breaks_on_the_way_is_tried_again(error: Exception) -> None:
    url = "https://api.github.com:443/repos/acme/income"
    responses.get(url, body=error)
    responses.get(url, json={"id": 1, "default_branch": "main", "private": True})
    client = GitHub.connect(NAME, "ghs_x")
    client.transport.sleep = lambda _: None
    assert client.facts().private
    assert responses.calls[1].request.headers["Authorization"] == "token ghs_x"


@responses.activate
def test_an_api_elsewhere_and_a_redirect_out_of_it() -> None:
    url = "https://github.example:443/api/v3/repos/acme/income"
    responses.get(url, status=301, headers={"location": "https://evil.example/repos"})
    with pytest.raises(GitHubError, match="GitHub redirects to another address"):
        GitHub.connect(NAME, "ghs_x", api_url="https://github.example/api/v3/").facts()
    assert len(responses.calls) == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "sha", "ref", "repo", "login", "state", "number", "head", "base", "user"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(json_values)
@pytest.mark.parametrize("read", [api.run_of, api.pull_request_of, api.artifact_of, api.comment_of, api.status_of])
def test_an_answer_is_a_record_or_an_error(read: Any, value: Any) -> None:
    try:
        found = read(value)
    except GitHubError:
        return
    assert type(found).model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(("status", "said"), [(403, "answered 403"), (302, "answered 302")])
def test_a_store_that_does_not_give_the_file(
    setting: Setting, train: Run, tmp_path: Path, status: int, said: str
) -> None:
    one = upload(setting, train, archive())
    setting.fake.faults.add("/_blobs/", status)
    with pytest.raises(GitHubError, match=said):
        setting.client(READ).download(one, tmp_path / "a.zip", Limits(most_bytes=1000))
    assert setting.waits == []


@pytest.mark.parametrize("raw", [{}, [], {"login": 5, "id": True}])
def test_a_field_that_has_to_be_there(raw: Any) -> None:
    with pytest.raises(GitHubError, match="has no login"):
        api.text_of(raw, "login")
    with pytest.raises(GitHubError, match="has no id"):
        api.number_of(raw, "id")


# Who said or pushed something, against a GitHub that checks every call.

READS = {"actions": "read", "contents": "read", "issues": "read", "pull_requests": "read"}
FLOW = "name: x\non: {push: {tags: ['**']}}\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}}\n"


def test_a_comment_with_its_author_and_thread(setting: Setting) -> None:
    made = setting.ada.comment(setting.issue, "/release income")
    found = read_comment(setting.client(READS), made.id)
    assert found is not None
    assert found == CommentFacts(
        id=made.id,
        node=found.node,
        number=setting.issue.number,
        author="ada",
        person=True,
        created=made.created_at,
        body="/release income",
    )
    assert found.edits is Edits.UNKNOWN


def test_a_bots_comment_is_no_persons(setting: Setting) -> None:
    made = setting.client({"issues": "write", "pull_requests": "write"}).create_comment(setting.issue.number, "Hello.")
    found = read_comment(setting.client(READS), made.id)
    assert found is not None
    assert not found.person


def test_a_deleted_comment_is_none(setting: Setting) -> None:
    made = setting.ada.comment(setting.issue, "/release income")
    setting.ada.delete_comment(made)
    assert read_comment(setting.client(READS), made.id) is None


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
