"""A prompt whose evaluator asks a provider with a key, which a job of its own has; the judge takes the results."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.e2e import user
from tests.e2e.harness import Harness
from tests.e2e.test_inline import environment
from tests.fake_github.server import FakeGitHub
from tests.support import config_texts

from mlbot.ml.isolation import isolation_of
from mlbot.setup.workflows import Form, Order, files
from mlbot.verdict.verdict import Problem

pytestmark = [pytest.mark.story, pytest.mark.timeout(600)]

CONFIG = """version: 1
actions:
  evaluate: {secrets: [PROVIDER_KEY]}
models:
  greeter:
    task: scores
    artifact: prompts/greet.txt
    evaluate:
      run: python evals/ask.py
      depends: [evals/]
      scores: {polite: {range: [0, 1]}}
      network: true
      secrets: [PROVIDER_KEY]
    gates:
      polite: {min: 0.6, max_regression: 0.2}
"""
ASK = """
import json, os, urllib.request

prompt = open(os.environ["MLBOT_ARTIFACT"]).read()
url = open("evals/url.txt").read().strip()
lines = [json.dumps({"mlbot_rows": 1, "complete": True, "items": 40, "repeats": 1})]
for item in range(40):
    asked = urllib.request.Request(url, data=prompt.encode(), headers={"x-key": os.environ["PROVIDER_KEY"]})
    answer = urllib.request.urlopen(asked, timeout=20).read().decode()
    polite = float("please" in answer) if item % 10 else 1.0
    lines.append(json.dumps({"item": f"case {item}", "score.polite": polite}))
open(os.environ["MLBOT_RESULTS"], "w").write("\\n".join(lines))
"""
KEY = "a-key-of-the-provider"


@pytest.fixture
def provider() -> Iterator[tuple[str, list[str]]]:
    """A provider that answers with the prompt, and the keys that it was asked with."""
    keys: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            keys.append(self.headers.get("x-key", ""))
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", keys
    server.shutdown()
    server.server_close()


@pytest.mark.skipif(isinstance(isolation_of(judge=True), Problem), reason="no jail that a judge takes: see the doctor")
def test_only_the_job_that_evaluates_has_the_key(
    github: FakeGitHub, actions: Harness, provider: tuple[str, list[str]]
) -> None:
    url, keys = provider
    order = Order(form=Form.INLINE, guard=("main",), install="", actions=config_texts.parse(CONFIG).actions)
    written = {
        **files(order),
        "mlbot.yaml": CONFIG,
        "prompts/greet.txt": "say please\n",
        "evals/ask.py": ASK,
        "evals/url.txt": url,
    }
    models = github.repository("acme/models", written, roles={"alice": "write", "boss": "admin"})
    environment(models, "mlbot-evaluate", PROVIDER_KEY=KEY)

    sha = github.user("boss").push("main", {"prompts/greet.txt": "always say please\n"})
    actions.run_until_idle()
    assert user.verdict(models, sha) == "success"

    alice = github.user("alice")
    good = alice.pull_request("good", {"prompts/greet.txt": "say please, twice\n"})
    actions.run_until_idle()
    assert user.verdict(models, user.head(good)) == "success"
    asked = len(keys)
    bad = alice.pull_request("bad", {"prompts/greet.txt": "be rude\n", "evals/ask.py": "raise SystemExit\n"})
    actions.run_until_idle()
    assert user.verdict(models, user.head(bad)) == "failure", "the evaluator is the guarded branch's"
    assert len(keys) > asked
    assert set(keys) == {KEY}
    (comment,) = user.comments(models, bad)
    assert "polite" in comment
    assert "the secrets PROVIDER" in comment
    assert KEY not in comment
    judged = actions.last("mlbot-judge.yml", "workflow_run").outcomes()
    assert judged["Evaluate"] == "success"
