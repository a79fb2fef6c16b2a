"""`mlbot comment` against a fake GitHub, with real git behind it."""

import io
import json
import sys
from pathlib import Path

import pytest
import responses
from hypothesis import given
from hypothesis import strategies as st
from tests.fake_github.fixtures import github
from tests.fake_github.server import FakeGitHub
from tests.support.desk import Desk, install_cml

from mlbot.errors import MlbotError, NotEvaluatedError, RefusedError, UsageError
from mlbot.events.github import Attempt
from mlbot.protocol.marker import carries, read_stamp
from mlbot.protocol.operations import COMMENT_LIMIT, UpsertComment
from mlbot.publish.run_comment import (
    Kind,
    Target,
    body_of,
    cml_arguments,
    image_suffix,
    label_marker,
    local_images,
    parse_target,
    with_addresses,
)

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
        assert desk.repository.git.find("refs/heads/mlbot-charts") == sha
        assert desk.repository.git.raw("cat-file", "blob", f"{sha}:{path}") == content
    before = desk.repository.git.find("refs/heads/mlbot-charts")
    desk.post(file="out/report.md")
    assert desk.repository.git.find("refs/heads/mlbot-charts") == before, "the same pictures are not pushed again"


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


def test_a_number_may_be_an_option_of_its_own(desk: Desk, cml: Path) -> None:
    desk.ada.pull_request("other", {"b": "1"})
    desk.post(pr=2)
    assert len(desk.bodies(2)) == 1
    with pytest.raises(UsageError, match="--pr and --target name two places"):
        desk.post(pr=2, target="issue/2")
    desk.post({}, pr=2, via_cml=True)
    assert "--target=pr/2" in json.loads(cml.read_text())["arguments"]


def theirs(desk: Desk) -> str:
    """A fork's pull request, whose head is checked out here."""
    fork = desk.fake.user("eve", desk.repository).fork()
    sha = fork.push("theirs", {"b": "1"})
    fork.open_pull_request("theirs")
    desk.sandbox.git("fetch", "--quiet", "origin", "refs/pull/2/head")
    desk.sandbox.git("checkout", "--quiet", "--detach", sha)
    return sha


def test_a_forks_pull_request_is_found(desk: Desk) -> None:
    theirs(desk)
    desk.post()
    assert len(desk.bodies(2)) == 1


def test_a_head_of_several_pull_requests_lists_them(desk: Desk) -> None:
    sha = theirs(desk)
    desk.ada.push("dev", None)
    desk.fake.user("eve", desk.repository).fork().open_pull_request("theirs", "dev")
    with pytest.raises(UsageError, match=f"the commit {sha[:10]} is in 2 open pull requests: #2, #3") as caught:
        desk.post()
    assert "--pr NUMBER" in str(caught.value)


def test_a_runs_pull_request_is_found_by_the_branch_of_the_fork(desk: Desk) -> None:
    desk.ada.push("main", {".github/workflows/t.yml": "name: T\non: pull_request\njobs: {}\n"})
    theirs(desk)
    desk.sandbox.git("checkout", "--quiet", "--detach", "origin/main")
    environment = desk.job({"pull_requests": "write", "contents": "read"}, event="workflow_run")
    before = len(desk.fake.requests)
    desk.post(environment)
    assert len(desk.bodies(2)) == 1
    assert "/repos/acme/income/commits/" not in "".join(desk.fake.requests.lines()[before:])


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
    with pytest.raises(RefusedError, match="mlbot-charts") as caught:
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
        mocked.get(f"{api}/pulls", json=[])
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


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("![a plot](plot.png)", ["plot.png"]),
        ("![](plots/a.svg 'title') and ![b](<my b.png>)", ["plots/a.svg", "my b.png"]),
        ("![c](my%20plot.png)", ["my plot.png"]),
        ("![a [b] c](x(1).png)", ["x(1).png"]),
        ('<img width="5" src="a.png"> <IMG SRC=\'b.png\'>', ["a.png", "b.png"]),
        ('<picture><source media="(dark)" srcset="d.svg"><img src="l.svg"></picture>', ["d.svg", "l.svg"]),
        ("![x][plot]\n\n[plot]: plots/a.png\n[docs]: docs/a.md", ["plots/a.png"]),
        ("![a](https://x.org/a.png) ![b](//x.org/b.png) ![c](data:image/png;base64,AA) ![d](#e) ![f]()", []),
        ("`![a](a.png)` and ``![b](b.png)`` but ![c](c.png)", ["c.png"]),
        ("```md\n![a](a.png)\n```\n![b](b.png)", ["b.png"]),
        ("~~~\n```\n![a](a.png)\n~~~\n![b](b.png)", ["b.png"]),
        ("````\n```\n![a](a.png)\n````\n![b](b.png)", ["b.png"]),
        ("[a link](a.png)", []),
        ("C:\\plots ![a](C:/a.png)", []),
    ],
)  # fmt: skip
def test_what_a_text_shows(text: str, paths: list[str]) -> None:
    assert [link.path for link in local_images(text)] == paths


def test_only_the_paths_are_replaced() -> None:
    text = 'A ![plot](a.png "The plot") of `a.png`, <img src="a.png" alt="a.png">, ![b](<b c.png>).\n\n[d]: d.gif\n'
    addresses = {"a.png": "https://x/1", "b c.png": "https://x/2", "d.gif": "https://x/3"}
    assert with_addresses(text, local_images(text), addresses) == (
        'A ![plot](https://x/1 "The plot") of `a.png`, <img src="https://x/1" alt="a.png">, ![b](https://x/2).'
        "\n\n[d]: https://x/3\n"
    )


@given(st.text(alphabet="![]()<>`~ \nax.png:/\\\"'=srcimg", max_size=200))
def test_any_text_is_read_and_kept(text: str) -> None:
    links = local_images(text)
    assert all(link.start < link.end for link in links)
    assert with_addresses(text, links, {link.path: text[link.start : link.end] for link in links}) is not None
    assert with_addresses(text, (), {}) == text


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        (b"\x89PNG\r\n\x1a\n....", ".png"),
        (b"\xff\xd8\xff\xe0", ".jpg"),
        (b"GIF89a", ".gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", ".webp"),
        (b"<svg>", ".svg"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a --> <!DOCTYPE svg PUBLIC "x">\n<svg xmlns="y">', ".svg"),
        (b"<svgx>", None),
        (b"<html><svg>", None),
        (b"<!-- <svg>", None),
        (b"root:x:0:0", None),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"", None),
    ],
)
def test_what_a_file_is_by_its_content(content: bytes, suffix: str | None) -> None:
    assert image_suffix(content) == suffix


def test_a_long_text_takes_no_long_time() -> None:
    """A mistake in the pattern would show as the test's timeout."""
    for part in ("![", "<img ", "`", "![a](", "(", "<!--", '<img src="', "![a[b]", "![](a("):
        local_images(part * 20_000)
        image_suffix(part.encode() * 20_000)


HEAD = "a" * 40


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("auto", Target()),
        ("pr", Target(kind=Kind.PULL_REQUEST)),
        ("pr/12", Target(kind=Kind.PULL_REQUEST, number=12)),
        ("issue/7", Target(kind=Kind.ISSUE, number=7)),
        ("issue", Target(kind=Kind.ISSUE)),
        ("commit", Target(kind=Kind.COMMIT)),
        ("commit/f00bar", Target(kind=Kind.COMMIT, commit="f00bar")),
        ("commit/feature/x", Target(kind=Kind.COMMIT, commit="feature/x")),
    ],
)
def test_a_target(text: str, target: Target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text", ["", "pull", "pr/", "pr/x", "pr/0", "pr/-1", "issue/1e3", "auto/1", "pr/1 2", "commit/"]
)
def test_what_is_no_target(text: str) -> None:
    with pytest.raises(UsageError, match="there is no target"):
        parse_target(text)


def test_two_titles_have_a_marker_each() -> None:
    one, other = body_of("Hello.", "plots"), body_of("Hello.", "data --> x")
    assert carries(one, label_marker("plots"))
    assert not carries(other, label_marker("plots"))
    assert carries(other, label_marker("data --> x"))
    assert label_marker("") != label_marker("plots")
    assert body_of("Hello.", "").startswith("Hello.\n\n<!-- mlbot:comment ")


def test_a_text_that_quotes_a_marker_does_not_take_over_its_comment() -> None:
    stolen = body_of(f"See:\n\n{label_marker('plots')}", "mine")
    assert not carries(stolen, label_marker("plots"))


def test_in_a_job_the_attempt_is_hidden_in_it() -> None:
    body = body_of("Hello.", "", attempt=Attempt(run=7, number=2), head=HEAD)
    stamp = read_stamp(body, label_marker(""))
    assert stamp
    assert (stamp.attempt, stamp.head) == (Attempt(run=7, number=2), HEAD)
    assert UpsertComment(number=1, marker=label_marker(""), body=body, stamp=stamp).stamp == stamp


def test_a_long_text_is_cut_between_blocks() -> None:
    table = "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 2_000
    fence = "```\n" + "line\n\n" * 5_000 + "```"
    body = body_of(f"# Title\n\n{table}\n\n{fence}\n\n{table}", "", more="[the run](https://x)")
    assert len(body) <= COMMENT_LIMIT
    assert body.startswith("# Title\n\n| a | b |")
    assert body.count("```") in {0, 2}
    assert body.count("| a | b |") * table.count("| 1 |") == body.count("| 1 | 2 |"), "no table is cut in its middle"
    assert "_The rest is left out: a comment holds 65,536 characters. The whole is in [the run](https://x)._" in body


def test_one_huge_block_is_cut_at_a_line_and_its_fence_closed() -> None:
    body = body_of("```text\n" + "0123456789\n" * 20_000 + "```", "")
    assert 60_000 < len(body) <= COMMENT_LIMIT
    assert body.count("```") == 2
    assert "\n0123456789\n```\n\n_The rest" in body


@given(st.text(alphabet="ab\n`~| 😀", max_size=3_000), st.integers(1, 60), st.text(max_size=40))
def test_no_body_is_too_long_for_github(text: str, times: int, title: str) -> None:
    body = body_of(text * times, title)
    assert len(body.encode("utf-16-le")) // 2 <= COMMENT_LIMIT
    assert carries(body, label_marker(title))


@pytest.mark.parametrize(
    ("target", "title", "images", "given"),
    [
        ("auto", "", False, ["--no-publish"]),
        ("pr/3", "plots", True, ["--publish-native", "--target=pr/3", "--watermark-title=plots"]),
    ],
)
def test_what_cml_is_given(target: str, title: str, images: bool, given: list[str]) -> None:  # noqa: FBT001 - a case's
    assert cml_arguments("r.md", target, title, images=images) == ["comment", "update", *given, "r.md"]


def test_a_file_whose_name_looks_like_an_option() -> None:
    assert cml_arguments("-r.md", "auto", "", images=False)[-1] == "./-r.md"
