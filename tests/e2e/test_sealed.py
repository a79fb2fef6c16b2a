"""A release on sealed rows, which one job alone can read: afterwards nothing of them is anywhere but the answer."""

import json
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.e2e import user
from tests.e2e.harness import Harness
from tests.e2e.leaks import everything
from tests.e2e.test_inline import environment
from tests.e2e.test_release import RELEASE, answers, entries, served, thread
from tests.fake_github.server import FakeGitHub
from tests.support import config_texts, tiny

from mlbot.ledger.queries import releases, sealed_looks
from mlbot.setup.workflows import Form, Order, files

pytestmark = [pytest.mark.story, pytest.mark.timeout(900)]

TOKEN, KEY = "canary-of-the-vault", "0123456789abcdef" * 4
MARK: Final = "canary-plover"
CONFIG: Final = """
store: {store}
environments:
  production: {{target: "{target}"}}
actions:
  sealed: {{secrets: [FSSPEC_WEBHDFS]}}
"""
FLIP: Final = str.maketrans("01", "10")


def sealed_rows(count: int) -> list[list[str]]:
    """Rows as the holdout's, each number with digits that no other file has."""
    rows = [line.split(",") for line in tiny.rows(count, 77).splitlines()[1:]]
    return [
        [*(f"{value}{100_000 + 3 * at + column}" for column, value in enumerate(row[:3])), f"{MARK}-{at}", row[4]]
        for at, row in enumerate(rows)
    ]


def table(rows: list[list[str]]) -> bytes:
    """The rows as a file."""
    return "\n".join(["x1,x2,x3,segment,y", *map(",".join, rows), ""]).encode()


def canaries(rows: list[list[str]]) -> list[bytes]:
    """What tells of rows: a text that each has, and numbers of some of them, as text and as they lie in a file."""
    numbers = [value for row in rows[::50] for value in row[:3]]
    assert len(set(numbers)) == len(numbers)
    return [MARK.encode(), *(each[:-2].encode() for each in numbers), *(struct.pack("<d", float(x)) for x in numbers)]


@dataclass
class Vault:
    """A server in front of the sealed rows."""

    content: bytes
    is_open: bool = True
    asked: list[tuple[str, bool]] = field(default_factory=list)  # which operation, and whether with the token
    url: str = ""


@pytest.fixture
def vault() -> Iterator[Vault]:
    """It talks WebHDFS, for which fsspec needs no package that the tests do not have."""
    held = Vault(content=table(sealed_rows(2000)))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            known = query.get("delegation") == TOKEN
            held.asked.append((query["op"], known))
            if not (known and held.is_open):
                self.send_error(403, f"Nobody reads {held.content[:200].decode().splitlines()[1]}")
                return
            status = {"FileStatus": {"type": "FILE", "length": len(held.content)}}
            start = int(query.get("offset", 0))
            part = held.content[start : start + int(query.get("length", 0))]
            body = part if query["op"] == "OPEN" else json.dumps(status).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    held.url = f"webhdfs://127.0.0.1:{server.server_address[1]}/sealed.csv"
    yield held
    server.shutdown()
    server.server_close()


def test_only_the_answer_leaves_the_job_that_reads_the_rows(
    github: FakeGitHub, actions: Harness, vault: Vault, tmp_path: Path
) -> None:
    actions.deadline, github.limits.writes_a_minute = 300.0, 1000
    made = CONFIG.format(store=(tmp_path / "store").as_uri(), target=(tmp_path / "production").as_uri())
    holdout = "holdout: data/holdout.csv\n"
    config = user.CONFIG.replace(holdout, f"{holdout}      sealed: {vault.url}\n") + made
    order = Order(
        form=Form.INLINE, guard=("main",), install="", actions=config_texts.parse(config).actions, release=True
    )
    models = user.repository(github, without=(), **files(order), **{"mlbot.yaml": config})
    environment(models, "mlbot-sealed", MLBOT_SEALED_KEY=KEY, FSSPEC_WEBHDFS=json.dumps({"token": TOKEN}))
    boss, alice = github.user("boss"), github.user("alice")

    def released() -> dict[str, str | None]:
        actions.run_until_idle()
        asked = [each.outcomes() for each in actions.of(RELEASE)]
        jobs = next(each for each in reversed(asked) if each.get("Write the look") != "skipped")
        return {each: jobs[each] for each in ("Write the look", "Score the sealed rows", "Record")}

    sha = boss.push("main", tiny.params(offset=1))
    actions.run_until_idle()
    assert user.verdict(models, sha) == "success"
    assert vault.asked == [], "neither a training nor a judge asks"

    boss.dispatch(RELEASE, do="release", model="tiny")
    assert set(released().values()) == {"success"}
    (release,) = releases(entries(models))
    assert release.sealed == "pass"
    assert served(models, "production", tmp_path) == ("1.0.0", release.digest)
    assert all(known for _, known in vault.asked)

    boss.push("main", tiny.params(offset=2))
    actions.run_until_idle()
    vault.is_open = False
    alice.comment(thread(models, "1.0.0"), "/release tiny")
    # Nobody has refused it: it could not be asked, so the run is red.
    assert released() == {"Write the look": "success", "Score the sealed rows": "failure", "Record": "failure"}
    assert "their address cannot be read" in answers(models, thread(models, "1.0.0"))[-1]

    vault.is_open = True
    rows = [[*row[:4], row[4].translate(FLIP)] for row in sealed_rows(2000)]
    vault.content = table(rows)
    alice.comment(thread(models, "1.0.0"), "/release tiny")
    assert released() == {"Write the look": "success", "Score the sealed rows": "failure", "Record": "success"}
    assert "The sealed rows do not show that" in answers(models, thread(models, "1.0.0"))[-1]
    assert [each.state for each in sealed_looks(entries(models), "tiny")] == ["pass", "void", "not-shown"]
    assert len(releases(entries(models))) == 1

    hidden, ours = canaries(rows), str(actions.folder)  # the token is in what act is given, and in GitHub's own memory
    found, searched = set[str](), b""
    for where, data in everything(github.world, tmp_path):
        has_token = TOKEN.encode() in data and "Environment" not in where and not where.startswith(ours)
        found |= {where} if has_token or any(each in data for each in hidden) else set()
        searched = data if b'"not-shown"' in data and where.startswith("git objects") else searched
    assert not found
    assert searched, "the ledger with its answers was searched"
    written = [each.path for each in github.requests.writes(by=f"{RELEASE}/score")]
    assert {*written} <= {"/acme/models/git-upload-pack", "/acme/models.git/git-upload-pack"}, "which is how git reads"
    assert [one for one in github.requests.refused() if one.token] == []
