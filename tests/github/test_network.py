"""Proxies, private CAs and GitHub's version header: every client of mlbot's, against a real proxy and a real CA."""

import json
import os
import select
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mlbot import entry
from mlbot.git.remote import Remote, list_refs
from mlbot.github.api import GitHub
from mlbot.github.job import API_VERSION
from mlbot.github.transport import Limits, download, uploader
from mlbot.storage.oci import Connection, Place

SHA = "a" * 40


@dataclass
class Seen:
    """What went through the proxy, and what arrived."""

    tunnels: list[str] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)


def listen(handler: type[BaseHTTPRequestHandler], wrap: Callable[[socket.socket], socket.socket] | None = None) -> int:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if wrap:
        server.socket = wrap(server.socket)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    SERVERS.append(server)
    return server.server_port


SERVERS: list[ThreadingHTTPServer] = []


def tunnel(one: socket.socket, other: socket.socket) -> None:
    """Both ways, until one has enough."""
    while True:
        ready, _, _ = select.select([one, other], [], [], 10)
        with suppress(OSError):
            for each in ready:
                (other if each is one else one).sendall(data := each.recv(65_536))
                if not data:
                    return
            if ready:
                continue
        return


def proxy_of(seen: Seen) -> type[BaseHTTPRequestHandler]:
    class Proxy(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            seen.tunnels.append(self.path)
            host, _, port = self.path.partition(":")
            with socket.create_connection((host, int(port))) as upstream:
                self.send_response(200)
                self.end_headers()
                tunnel(self.connection, upstream)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
            """Stay silent."""

    return Proxy


def server_of(seen: Seen) -> type[BaseHTTPRequestHandler]:
    class Server(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen.requests.append((self.command, self.path, dict(self.headers)))
            git = self.path.endswith("/info/refs?service=git-upload-pack")
            body = REFS if git else json.dumps({"login": "ada", "version": "1"}).encode()
            self.send_response(201 if self.command == "POST" else 200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header(
                "Content-Type", "application/x-git-upload-pack-advertisement" if git else "application/json"
            )
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the name that http.server looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
            """Stay silent."""

    return Server


def line(text: str) -> bytes:
    return f"{len(text) + 4:04x}{text}".encode()


REFS = line("# service=git-upload-pack\n") + b"0000" + line(f"{SHA} refs/heads/mlbot-ledger\0agent=x\n") + b"0000"


@dataclass
class Net:
    """An HTTPS server of a private CA, and a proxy in front of it."""

    url: str
    ca: Path
    seen: Seen


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    ca, key, seen = tmp_path / "ca.pem", tmp_path / "key.pem", Seen()
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(ca)]
    subprocess.run([*made, *named], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca, key)
    port = listen(server_of(seen), lambda one: context.wrap_socket(one, server_side=True))
    proxy = listen(proxy_of(seen))
    for name in (*entry._CA_BUNDLES, "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
    yield Net(url=f"https://localhost:{port}", ca=ca, seen=seen)
    while SERVERS:
        server = SERVERS.pop()
        server.shutdown()
        server.server_close()


def ask_api(net: Net, tmp_path: Path) -> None:
    del tmp_path
    assert GitHub.connect("o/r", "ghp_x", api_url=net.url).login == "ada"


def fetch_artifact(net: Net, tmp_path: Path) -> None:
    download(f"{net.url}/blob", tmp_path / "blob", Limits(most_bytes=1000))


def send_asset(net: Net, tmp_path: Path) -> None:
    (tmp_path / "asset").write_bytes(b"x")
    uploader("ghs_secret", net.url)(f"{net.url}/upload{{?name}}", "model.onnx", tmp_path / "asset")


def ask_registry(net: Net, tmp_path: Path) -> None:
    del tmp_path
    place = Place(host=net.url.removeprefix("https://"), repository="o/r")
    Connection(place, None).ask("GET", f"{net.url}/v2/", expected=(200,))


def ask_git(net: Net, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path / "here")], check=True)
    remote = Remote(url=f"{net.url}/o/r.git", token="ghs_secret")
    assert list_refs(remote, tmp_path / "here", "refs/heads/mlbot-ledger") == {"refs/heads/mlbot-ledger": SHA}


def say_pending(net: Net, tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "actions" / "pending" / "pending.sh"
    given = {"TOKEN": "ghs_secret", "SHA": SHA, "CONTEXTS": "mlbot", "TARGET_URL": "https://x/y", "DESCRIPTION": "x"}
    given |= {"GITHUB_API_URL": net.url, "GITHUB_REPOSITORY": "o/r", "RUNNER_TEMP": str(tmp_path)}
    given |= dict.fromkeys(("ONLY_WHERE_NONE", "EVENT", "RUN", "ATTEMPT", "HEAD_SHA", "RUN_URL"), "")
    subprocess.run(["bash", str(script)], env=os.environ | given, check=True, capture_output=True)


CLIENTS = [ask_api, fetch_artifact, send_asset, ask_registry, ask_git, say_pending]


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
@pytest.mark.parametrize("client", CLIENTS, ids=lambda each: each.__name__)
def test_every_client_goes_by_the_proxy_and_trusts_a_private_ca(
    net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Callable[[Net, Path], None], variable: str
) -> None:
    for name in entry._CA_BUNDLES:
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)
    monkeypatch.setenv(variable, str(net.ca))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("machine localhost\nlogin thief\npassword x\n")
    entry.share_network(os.environ)
    client(net, tmp_path)
    assert net.seen.tunnels
    assert set(net.seen.tunnels) == {net.url.removeprefix("https://")}
    assert not [each for *_, each in net.seen.requests if "dGhpZWY" in each.get("Authorization", "")], (
        "a .netrc is read"
    )


@pytest.mark.parametrize("client", [ask_api, send_asset, say_pending], ids=lambda each: each.__name__)
def test_the_version_of_the_api_is_in_every_request_to_it(
    net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Callable[[Net, Path], None]
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(net.ca))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(net.ca))
    client(net, tmp_path)
    assert {headers["X-GitHub-Api-Version"] for *_, headers in net.seen.requests} == {API_VERSION}


def test_a_host_of_no_proxy_is_asked_directly(net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(net.ca))
    monkeypatch.setenv("NO_PROXY", "localhost")
    ask_api(net, tmp_path)
    assert net.seen.tunnels == []


def test_without_its_ca_a_server_is_not_trusted(net: Net, tmp_path: Path) -> None:
    with pytest.raises(ConnectionError):
        fetch_artifact(net, tmp_path)


def test_a_bundle_that_is_there_is_shared_and_one_that_is_set_stays(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    environment = {"SSL_CERT_FILE": str(bundle), "GIT_SSL_CAINFO": "/own"}
    entry.share_network(environment)
    assert environment["REQUESTS_CA_BUNDLE"] == environment["AWS_CA_BUNDLE"] == str(bundle)
    assert environment["GIT_SSL_CAINFO"] == "/own"
    missing = {"SSL_CERT_FILE": "/nowhere"}
    entry.share_network(missing)
    assert "REQUESTS_CA_BUNDLE" not in missing


def test_windows_is_one_sentence_before_anything_is_imported() -> None:
    code = "import sys; sys.platform = 'win32'; sys.modules['fcntl'] = sys.modules['click'] = None; import mlbot.entry"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    sentence = "mlbot: mlbot runs on Linux and macOS; on Windows use WSL.\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", sentence)
