"""`mlbot comment` against a fake GitHub, with real git behind it."""

import io
import json
import sys
from pathlib import Path

import pytest
import responses
from tests.fake_github.fixtures import github
from tests.fake_github.server import FakeGitHub
from tests.support.desk import Desk, install_cml

from mlbot.errors import MlbotError, NotEvaluatedError, RefusedError, UsageError

__all__ = ["github"]
pytestmark = pytest.mark.usefixtures("git_settings")
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'


@pytest.fixture
def desk(github: FakeGitHub, tmp_path: Path) -> Desk:
    return Desk.at(github, tmp_path / "clone")


def test_on_a_laptop_the_branchs_pull_request_is_found_and_its_comment_kept_current(desk: Desk) -> None:
    url = f"{desk.fake.url}/acme/income/issues/{desk.issue.number}"
    assert desk.post() == f"{url} (created)\n"
    assert desk.post() == f"{url} (unchanged)\n"
    desk.sandbox.write({"report.md": "# Another\n"})
    assert desk.post() == f"{url} (edited)\n"
    (body,) = desk.bodies()
    assert body.startswith("# Another\n\n<!-- mlbot:comment ")


def test_two_titles_keep_a_comment_each(desk: Desk) -> None:
    desk.post(title="plots")
    desk.post(title="data")
    desk.post(title="plots")
    assert len(desk.bodies()) == 2


def test_images_are_pushed_and_shown_by_their_address(desk: Desk) -> None:
    text = "![light](plots/a.png)\n<img src='plots/b.svg'>\n![the same](plots/a.png)\n`![no](c.png)`\n"
    desk.sandbox.write({"out/report.md": text})
    (desk.sandbox.path / "out/plots").mkdir()
    (desk.sandbox.path / "out/plots/a.png").write_bytes(PNG)
    (desk.sandbox.path / "out/plots/b.svg").write_bytes(SVG)
    desk.post(file="out/report.md")
    (body,) = desk.bodies()
    first, second, third, code = body.splitlines()[:4]
    assert first.removeprefix("![light](") == third.removeprefix("![the same](")
    assert code == "`![no](c.png)`"
    for line, content in ((first.rstrip(")"), PNG), (second.rstrip("'>"), SVG)):
        sha, path = line.partition(f"{desk.fake.url}/acme/income/blob/")[2].removesuffix("?raw=true").split("/", 1)
        assert desk.repository.git.find("refs/heads/mlbot/charts") == sha
        assert desk.repository.git.raw("cat-file", "blob", f"{sha}:{path}") == content
    before = desk.repository.git.find("refs/heads/mlbot/charts")
    desk.post(file="out/report.md")
    assert desk.repository.git.find("refs/heads/mlbot/charts") == before, "the same pictures are not pushed again"


def test_images_that_cannot_be_shown_are_all_named_and_nothing_is_posted(desk: Desk) -> None:
    desk.sandbox.write({"report.md": "![a](gone.png) ![b](secret.png) ![c](/dev/null)\n", "secret.png": "root:x:0\n"})
    with pytest.raises(UsageError) as caught:
        desk.post()
    for words in ("gone.png is not there", "secret.png is no PNG", "/dev/null is not there"):
        assert words in str(caught.value)
    assert desk.bodies() == []


def test_an_image_that_is_too_large(desk: Desk) -> None:
    desk.sandbox.write({"report.md": "![a](a.png)\n"})
    with (desk.sandbox.path / "a.png").open("wb") as file:
        file.write(PNG)
        file.truncate(10 * 1024 * 1024 + 1)
    with pytest.raises(UsageError, match=r"a\.png is larger than 10,485,760 bytes"):
        desk.post()


@pytest.mark.parametrize(("target", "number"), [("pr/2", 2), ("issue/2", 2)])
def test_a_number_is_taken_at_its_word(desk: Desk, target: str, number: int) -> None:
    desk.ada.open_issue("A question")
    desk.post(target=target)
    assert len(desk.bodies(number)) == 1
    assert desk.bodies() == []


def test_in_a_job_the_event_says_which_pull_request(desk: Desk) -> None:
    desk.sandbox.git("checkout", "--quiet", "--detach", "origin/main")
    environment = desk.job({"pull_requests": "write", "contents": "read"})
    assert "(created)" in desk.post(environment)
    desk.sandbox.write({"report.md": "# From an older run\n"})
    older = desk.job({"pull_requests": "write", "contents": "read"}, run=6)
    assert "(newer-written)" in desk.post(older)
    (body,) = desk.bodies()
    assert body.startswith("# A report")


def test_a_comments_own_pull_request(desk: Desk) -> None:
    desk.ada.comment(desk.issue, "/plot")
    environment = desk.job({"pull_requests": "write", "issues": "write"}, event="issue_comment")
    assert "(created)" in desk.post(environment, target="issue")


def test_where_the_token_may_not_write_the_text_is_in_the_summary(desk: Desk) -> None:
    environment = desk.job({"pull_requests": "read", "contents": "read"})
    with pytest.raises(RefusedError, match="the token may not do this"):
        desk.post(environment)
    assert (desk.sandbox.path.parent / "summary.md").read_text() == "# A report\n"


def test_a_token_that_may_not_push_pictures_is_told_which_right_it_lacks(desk: Desk) -> None:
    desk.sandbox.write({"report.md": "![a](a.svg)\n", "a.svg": SVG.decode()})
    with pytest.raises(RefusedError, match="mlbot/charts") as caught:
        desk.post(desk.job({"pull_requests": "write", "contents": "read"}))
    assert "contents: write" in caught.value.hint
    assert desk.bodies() == []


def test_without_a_pull_request(desk: Desk) -> None:
    desk.ada.close(desk.issue)
    with pytest.raises(UsageError, match="GitHub knows no open pull request with the commit"):
        desk.post(target="pr")
    with pytest.raises(UsageError, match="nothing says which issue"):
        desk.post(target="issue")


def test_a_commit_in_two_pull_requests(desk: Desk) -> None:
    desk.ada.push("again", None, onto="deeper")
    desk.ada.open_pull_request("again")
    with pytest.raises(UsageError, match="is in 2 open pull requests"):
        desk.post()


def test_a_commit_takes_the_comment_where_there_is_no_pull_request(desk: Desk) -> None:
    head = desk.sandbox.git("rev-parse", "HEAD")
    api = "https://api.github.com:443/repos/acme/income"
    desk.sandbox.git("remote", "set-url", "origin", "git@github.com:acme/income.git")
    with responses.RequestsMock() as mocked:
        mocked.get(f"{api}/commits/{head}/pulls", json=[])
        mocked.get(f"{api}/commits/{head}/comments", json=[])
        made = {"id": 1, "user": {"login": "ada"}, "body": ""}
        mocked.post(f"{api}/commits/{head}/comments", status=201, json=made)
        assert desk.post({"GH_TOKEN": "ghp_x"}) == f"https://github.com/acme/income/commit/{head} (created)\n"


def test_standard_input(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("# Größe\n![a](a.svg)\n".encode())))
    (desk.sandbox.path / "a.svg").write_bytes(SVG)
    desk.post(file="-")
    assert desk.bodies()[0].startswith("# Größe\n![a](http")


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("gone.md", None, "No such file"),
        ("report.md", " \n", "nothing in it to post"),
        ("report.md", "x" * 4_194_305, "longer"),
    ],
)
def test_a_file_that_cannot_be_posted(desk: Desk, file: str, text: str | None, said: str) -> None:
    if text is not None:
        desk.sandbox.write({file: text})
    with pytest.raises(UsageError, match=said):
        desk.post(file=file)


def test_without_a_token_or_a_remote(desk: Desk) -> None:
    with pytest.raises(UsageError, match="there is no token"):
        desk.post({"GITHUB_API_URL": desk.fake.api_url})
    desk.sandbox.git("remote", "remove", "origin")
    with pytest.raises(UsageError, match="no remote on GitHub") as caught:
        desk.post()
    assert "--via cml" in caught.value.hint


@pytest.fixture
def cml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return install_cml(tmp_path, monkeypatch)


def test_cml_posts_where_the_forge_is_not_github(desk: Desk, cml: Path) -> None:
    desk.post({}, target="pr/3", title="plots", via_cml=True)
    given = json.loads(cml.read_text())
    options = ["--no-publish", "--target=pr/3", "--watermark-title=plots"]
    assert given["arguments"] == ["comment", "update", *options, "report.md"]
    assert given["text"] == "# A report\n"
    assert not given["telemetry"]
    desk.sandbox.write({"report.md": "# FAIL\n"})
    with pytest.raises(NotEvaluatedError, match="cml ended with exit code 3"):
        desk.post({}, via_cml=True)


@pytest.mark.parametrize("target", ["auto", "pr", "commit", "pr/3", "commit/HEAD", "issue/7"])
def test_cml_takes_every_target_and_any_file(desk: Desk, cml: Path, target: str) -> None:
    desk.sandbox.write({"-r.md": "# A report\n"})
    desk.post({}, file="-r.md", target=target, title="a {run}, [b] --c", via_cml=True)
    assert json.loads(cml.read_text())["arguments"][-1] == "./-r.md"


def test_cml_has_to_be_told_which_issue(desk: Desk, cml: Path) -> None:
    with pytest.raises(UsageError, match="which issue"):
        desk.post({}, target="issue", via_cml=True)
    assert not cml.exists()


@pytest.mark.parametrize("file", ["report.md", "-"])
def test_cml_keeps_images_in_the_project(desk: Desk, cml: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    text = "# Plots\n\n![roc](plots/roc.svg)\n"
    desk.sandbox.write({"report.md": text, "plots/roc.svg": '<svg xmlns="http://www.w3.org/2000/svg"/>'})
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    desk.post({}, file=file, via_cml=True)
    given = json.loads(cml.read_text())
    assert given["arguments"][2] == "--publish-native"
    assert (given["text"], given["missing"]) == (text, [])
    assert not list(desk.sandbox.path.glob(".mlbot-*"))


def test_cmls_telemetry_is_the_users_choice(desk: Desk, cml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ITERATIVE_DO_NOT_TRACK", "")
    desk.post({}, via_cml=True)
    assert json.loads(cml.read_text())["telemetry"]


def test_without_cml_it_is_said_how_to_get_it(desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MlbotError, match="the command cml is not there") as caught:
        desk.post({}, via_cml=True)
    assert caught.value.hint == "Install it: npm install -g @dvcorg/cml"
