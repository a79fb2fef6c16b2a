"""A registry that asks, redirects, fails and lies; and a real one that asks for a password."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import registry_server
from tests.support.places import made

from mlbot.errors import NotEvaluatedError, RefusedError, UsageError
from mlbot.lib.artifact import Listing, Member
from mlbot.storage.digest import OtherBytesError
from mlbot.storage.oci import (
    MODEL,
    VERSION,
    Challenge,
    Connection,
    Credentials,
    Packed,
    Place,
    Registry,
    config_of,
    find_credentials,
    is_loopback,
    manifest_of,
    read_challenge,
    read_manifest,
    read_token,
)
from mlbot.storage.store import open_store

CONTENT = b"the model"
DIGEST = f"sha256:{sha256(CONTENT).hexdigest()}"
ADA = Credentials(username="ada", password="opensesame")


class Handler(BaseHTTPRequestHandler):
    """Asks what a test wants to be answered."""

    protocol_version = "HTTP/1.1"
    answer: Callable[["Handler"], None]
    seen: list[tuple[str, str, str]]

    def do_GET(self) -> None:
        self.seen.append((self.command, self.path, self.headers.get("Authorization", "")))
        type(self).answer(self)

    do_PUT = do_GET  # noqa: N815 - the name that http.server looks for

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def server(answer: Callable[[Handler], None]) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    seen: list[tuple[str, str, str]] = []
    handler = type("Asked", (Handler,), {"answer": answer, "seen": seen})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{running.server_address[1]}", seen
        finally:
            running.shutdown()
            thread.join()


def registry(host: str, credentials: Credentials | None = None, waits: list[float] | None = None) -> Registry:
    return Registry(Place(host=host, repository="a/b"), credentials, sleep=([] if waits is None else waits).append)


def test_it_logs_in_where_it_is_told_to_and_keeps_the_token(tmp_path: Path) -> None:
    def answer(asked: Handler) -> None:
        if asked.path.startswith("/token"):
            asked.reply(200, b'{"token": "t0k"}')
        elif asked.headers.get("Authorization") != "Bearer t0k":
            realm = f'Bearer realm="http://{asked.headers["Host"]}/token",service="s",scope="repository:a/b:pull"'
            asked.reply(401, WWW_Authenticate=realm)
        else:
            asked.reply(200, CONTENT)

    with server(answer) as (host, seen):
        asked = registry(host, ADA)
        asked.fetch_blob(DIGEST, len(CONTENT), tmp_path / "got")
        asked.fetch_blob(DIGEST, len(CONTENT), tmp_path / "got")
    blob = f"/v2/a/b/blobs/{DIGEST}"
    basic = f"Basic {base64.b64encode(b'ada:opensesame').decode()}"
    assert seen == [
        ("GET", blob, ""),
        ("GET", "/token?service=s&scope=repository%3Aa%2Fb%3Apull", basic),
        ("GET", blob, "Bearer t0k"),
        ("GET", blob, "Bearer t0k"),
    ]


def test_the_right_to_push_is_asked_for_even_where_the_registry_names_reading_alone() -> None:
    scopes: list[str] = []

    def answer(asked: Handler) -> None:
        if asked.path.startswith("/token"):
            scopes.append(parse_qs(urlsplit(asked.path).query)["scope"][0])
            asked.reply(200, json.dumps({"token": scopes[-1].rpartition(":")[2].replace(",", "-")}).encode())
        elif asked.headers.get("Authorization") != f"Bearer {'pull' if asked.command == 'GET' else 'pull-push'}":
            realm = f'Bearer realm="http://{asked.headers["Host"]}/token",scope="repository:a/b:pull"'
            asked.reply(401, WWW_Authenticate=realm)
        else:
            asked.reply(200 if asked.command == "GET" else 201, b"{}")

    with server(answer) as (host, _):
        asked = registry(host, ADA)
        for _ in range(2):
            assert asked.manifest("v1") == b"{}"
            asked.put_manifest("v1", b"{}")
    assert scopes == ["repository:a/b:pull", "repository:a/b:pull,push"]


def test_credentials_do_not_follow_a_redirect(tmp_path: Path) -> None:
    with server(lambda asked: asked.reply(200, CONTENT)) as (elsewhere, seen_there):

        def answer(asked: Handler) -> None:
            if "Authorization" in asked.headers:
                asked.reply(307, Location=f"http://{elsewhere}/blob?signature=s")
            else:
                asked.reply(401, WWW_Authenticate='Basic realm="x"')

        with server(answer) as (host, seen):
            registry(host, ADA).fetch_blob(DIGEST, len(CONTENT), tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert seen[-1][2].startswith("Basic ")
    assert seen_there == [("GET", "/blob?signature=s", "")]


@pytest.mark.parametrize("address", ["http://example.com/x", "ftp://127.0.0.1/x", "//example.com/x"])
def test_it_is_not_led_away_from_https(tmp_path: Path, address: str) -> None:
    with (
        server(lambda asked: asked.reply(307, Location=address)) as (host, _),
        pytest.raises(NotEvaluatedError, match="not HTTPS"),
    ):
        registry(host).fetch_blob(DIGEST, len(CONTENT), tmp_path / "got")


def test_nor_in_a_circle(tmp_path: Path) -> None:
    with (
        server(lambda asked: asked.reply(307, Location=asked.path)) as (host, seen),
        pytest.raises(NotEvaluatedError, match="from one address to the next"),
    ):
        registry(host).fetch_blob(DIGEST, len(CONTENT), tmp_path / "got")
    assert len(seen) < 10


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_fault_that_passes_is_waited_out(tmp_path: Path, status: int) -> None:
    answers = iter([(status, {"Retry-After": "7"}), (status, {}), (200, {})])

    def answer(asked: Handler) -> None:
        code, headers = next(answers)
        asked.reply(code, CONTENT if code == 200 else b"", **headers)

    waits: list[float] = []
    with server(answer) as (host, _):
        registry(host, waits=waits).fetch_blob(DIGEST, len(CONTENT), tmp_path / "got")
    assert waits == [7.0, 2.0]


def test_a_connection_that_breaks_off_is_made_again(tmp_path: Path) -> None:
    times: list[int] = []

    def answer(asked: Handler) -> None:
        times.append(1)
        if len(times) == 3:
            asked.reply(200, CONTENT)
            return
        asked.send_response(200)
        asked.send_header("Content-Length", str(len(CONTENT)))
        asked.end_headers()
        asked.wfile.write(CONTENT[:3])
        asked.close_connection = True

    with server(answer) as (host, _):
        registry(host).fetch_blob(DIGEST, len(CONTENT), tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == CONTENT


def test_it_gives_up_after_a_while(tmp_path: Path) -> None:
    waits: list[float] = []
    with server(lambda asked: asked.reply(500)) as (host, _), pytest.raises(NotEvaluatedError, match="answered 500"):
        registry(host, waits=waits).fetch_blob(DIGEST, len(CONTENT), tmp_path / "got")
    assert len(waits) == 3


@pytest.mark.parametrize("body", [b"", b"the modek", CONTENT + b"!", b"x" * (1 << 20)])
def test_other_bytes_are_not_taken(tmp_path: Path, body: bytes) -> None:
    with server(lambda asked: asked.reply(200, body)) as (host, _), pytest.raises(OtherBytesError):
        registry(host).fetch_blob(DIGEST, len(CONTENT), tmp_path / "got")
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_says_what_to_do_and_no_secret(tmp_path: Path) -> None:
    denied = b'{"errors": [{"code": "DENIED", "message": "evil ::error::opensesame"}]}'
    with server(lambda asked: asked.reply(403, denied)) as (host, _), pytest.raises(RefusedError) as caught:
        registry(host, ADA).fetch_blob(DIGEST, len(CONTENT), tmp_path / "got")
    assert "packages: write" in str(caught.value)
    assert "opensesame" not in str(caught.value)
    missing = b'{"errors": [{"code": "BLOB_UNKNOWN", "message": "evil ::error::"}]}'
    with server(lambda asked: asked.reply(404, missing)) as (host, _), pytest.raises(NotEvaluatedError) as gone:
        registry(host, ADA).fetch_blob(DIGEST, len(CONTENT), tmp_path / "got")
    assert "404 to GET (BLOB_UNKNOWN)" in str(gone.value)
    assert "evil" not in str(gone.value)


def test_wrong_credentials_are_not_tried_for_ever(tmp_path: Path) -> None:
    with (
        server(lambda asked: asked.reply(401, WWW_Authenticate='Basic realm="x"')) as (host, seen),
        pytest.raises(RefusedError),
    ):
        registry(host, ADA).fetch_blob(DIGEST, len(CONTENT), tmp_path / "got")
    assert len(seen) == 2


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 90_000, b'{"layers": [], "annotations": {}}', b"x" * 300_000])
def test_a_manifest_that_is_none(tmp_path: Path, content: bytes) -> None:
    with server(lambda asked: asked.reply(200, content)) as (host, _), pytest.raises(NotEvaluatedError):
        open_store(f"oci://{host}/a/b", tmp_path).has(DIGEST)


def test_a_tag_that_was_moved_is_not_believed(tmp_path: Path) -> None:
    other = f"sha256:{'0' * 64}"
    manifest = json.dumps({"layers": [{"digest": other, "size": 9}], "annotations": {}}).encode()
    with server(lambda asked: asked.reply(200, manifest)) as (host, _):
        store = open_store(f"oci://{host}/a/b", tmp_path)
        for ask in (lambda: store.has(DIGEST), lambda: store.get(DIGEST, tmp_path / "got")):
            with pytest.raises(NotEvaluatedError, match="was moved"):
                ask()


def test_a_real_registry_with_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        registry_server.find_server()
    except registry_server.NoServerError as error:
        pytest.skip(str(error))
    digest, file = made(tmp_path)
    with registry_server.serving(tmp_path, password=True) as host:
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        with pytest.raises(RefusedError, match="nobody in particular"):
            open_store(f"oci://{host}/a/b", tmp_path, token="ghs_x").put(digest, file)
        pair = base64.b64encode(f"{registry_server.USER}:{registry_server.PASSWORD}".encode()).decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"auth": pair}}}))
        store = open_store(f"oci://{host}/a/b", tmp_path)
        assert [store.put(digest, file), store.put(digest, file)] == [True, False]
        store.get(digest, tmp_path / "got")


@pytest.mark.parametrize(
    ("host", "scheme"),
    [("localhost:5000", "http"), ("127.0.0.1", "http"), ("127.9.9.9:1", "http"), ("[::1]:5000", "http")]
    + [(host, "https") for host in ("ghcr.io", "localhost.evil.example", "127.0.0.1.nip.example", "10.0.0.1")],
)
def test_only_this_machine_is_asked_without_tls(host: str, scheme: str) -> None:
    assert Place.of(f"oci://{host}/A/b").base == f"{scheme}://{host}/v2/a/b"
    assert is_loopback(host) == (scheme == "http")


@pytest.mark.parametrize(
    ("host", "realm", "taken"),
    [
        ("ghcr.io", "https://ghcr.io/token", True),
        ("ghcr.io", "https://ghcr.io.evil.example/token", False),
        ("ghcr.io", "http://ghcr.io/token", False),
        ("r.example", "https://auth.example/token", True),
        ("r.example", "http://auth.example/token", False),
        ("r.example", "http://127.0.0.1/token", False),
        ("127.0.0.1:5000", "http://127.0.0.1:5001/token", True),
    ],
)
def test_where_credentials_may_go(host: str, realm: str, *, taken: bool) -> None:
    connection = Connection(Place(host=host, repository="a/b"), ADA)
    if taken:
        connection._check_realm(realm)
    else:
        with pytest.raises(NotEvaluatedError):
            connection._check_realm(realm)


def test_a_repository_inside() -> None:
    place = Place.of("oci://ghcr.io/OWNER/Repo/models")
    assert place.url == "oci://ghcr.io/owner/repo/models"
    assert place.inside("Adult-Income").url == "oci://ghcr.io/owner/repo/models/adult-income"
    for name in ("a-", "a._b", ".."):
        with pytest.raises(UsageError, match="cannot be the name"):
            place.inside(name)


# Who mlbot is to a registry.


def config(folder: Path, value: Any) -> dict[str, str]:
    (folder / ".docker").mkdir(exist_ok=True)
    (folder / ".docker" / "config.json").write_text(value if isinstance(value, str) else json.dumps(value))
    return {"HOME": str(folder)}


def pair(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_the_token_is_for_githubs_registry_alone(tmp_path: Path) -> None:
    environment = config(tmp_path, {})
    assert find_credentials("ghcr.io", "ghs_x", environment) == Credentials(username="mlbot", password="ghs_x")
    assert find_credentials("ghcr.io", None, environment) is None
    for other in ("ghcr.io.evil.example", "evil.example", "ghcr.io:5000", "GHCR.IO"):
        assert find_credentials(other, "ghs_x", environment) is None


def test_a_persons_token_is_for_githubs_registry_alone_and_after_docker_login(tmp_path: Path) -> None:
    environment = {**config(tmp_path, {}), "GH_TOKEN": "gh", "GITHUB_TOKEN": ""}
    assert find_credentials("ghcr.io", None, environment) == Credentials(username="mlbot", password="gh")
    assert find_credentials("evil.example", None, environment) is None
    environment |= config(tmp_path, {"auths": {"ghcr.io": {"auth": pair("ada:pw")}}})
    assert find_credentials("ghcr.io", None, environment) == Credentials(username="ada", password="pw")
    assert find_credentials("ghcr.io", "job", environment) == Credentials(username="mlbot", password="job")


def test_docker_login_is_read(tmp_path: Path) -> None:
    environment = config(tmp_path, {"auths": {"r.example:5000": {"auth": pair("ada:p:w")}, "x": {}, "y": {"auth": 5}}})
    found = find_credentials("r.example:5000", "ghs_x", environment)
    assert found == Credentials(username="ada", password="p:w")
    assert found is not None
    assert found.basic == f"Basic {pair('ada:p:w')}"
    assert all(find_credentials(host, None, environment) is None for host in ("r.example", "x", "y"))
    moved = {"DOCKER_CONFIG": str(tmp_path / ".docker"), "HOME": "/nowhere"}
    assert find_credentials("r.example:5000", None, moved) == found


def test_a_credential_helper_is_asked_first(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def run(name: str, host: str) -> bytes | None:
        asked.append((name, host))
        return b'{"Username": "AWS", "Secret": "s"}' if host == "a.example" else None

    said = {"credsStore": "pass", "credHelpers": {"a.example": "ecr-login"}, "auths": {"b": {"auth": pair("u:p")}}}
    environment = config(tmp_path, said)
    assert find_credentials("a.example", None, environment, run) == Credentials(username="AWS", password="s")
    assert find_credentials("b", None, environment, run) is None
    assert asked == [("ecr-login", "a.example"), ("pass", "b")]


def test_a_helper_that_says_nothing_readable_is_refused_and_not_repeated(tmp_path: Path) -> None:
    environment = config(tmp_path, {"credsStore": "pass"})
    with pytest.raises(RefusedError) as caught:
        find_credentials("a", None, environment, lambda *_: b"secret soup")
    assert "soup" not in str(caught.value)


def test_a_real_helper_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-tests"
    helper.write_text('#!/bin/sh\nread host\nprintf \'{"Username": "%s", "Secret": "%s"}\' "$1" "$host"\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = find_credentials("a.example", None, config(tmp_path, {"credsStore": "tests"}))
    assert found == Credentials(username="get", password="a.example")
    assert find_credentials("a.example", None, config(tmp_path, {"credsStore": "absent"})) is None
    assert find_credentials("a.example", None, config(tmp_path, {"credsStore": "../../bin/sh"})) is None


@pytest.mark.parametrize("broken", ["", "[]", "{", "null", '{"auths": []}', '{"auths": {"a": "b"}, "credHelpers": 1}'])
def test_a_broken_config_is_none(tmp_path: Path, broken: str) -> None:
    assert find_credentials("a", None, config(tmp_path, broken)) is None


def test_a_password_is_in_no_repr() -> None:
    assert "secret" not in repr(Credentials(username="ada", password="secret"))


def test_challenges() -> None:
    bearer = 'Bearer realm="https://auth.example/token",service="r.example",scope="repository:a/b:pull,push",error="x"'
    query = {"service": "r.example", "scope": "repository:a/b:pull,push"}
    assert read_challenge(bearer) == Challenge(basic=False, realm="https://auth.example/token", query=query)
    assert read_challenge('Basic realm="x"') == Challenge(basic=True)
    assert [read_challenge(text) for text in ("", "Bearer", 'Bearer service="x"', "Negotiate")] == [None] * 4


@given(st.text(max_size=200))
def test_no_challenge_breaks_the_reader(text: str) -> None:
    assert read_challenge(text) is None or read_challenge(text) is not None


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"token": 5}', b'{"token": "a\\r\\nX-Evil: 1"}', b'{"token": ""}', b'{"a": "b"}']
)
def test_no_token(body: bytes) -> None:
    with pytest.raises(NotEvaluatedError, match="gave no token"):
        read_token(body, "x")


def test_tokens() -> None:
    assert [read_token(raw, "x") for raw in (b'{"token": "a.b"}', b'{"access_token": "c"}')] == ["a.b", "c"]


# Manifests as CNCF ModelPack wants them, the same each time, read back with nothing believed.

MODEL_DIGEST = f"sha256:{'a' * 64}"
FILE = Packed(name="model.onnx", digest=MODEL_DIGEST, size_bytes=7)
SAID = {MODEL: "churn", VERSION: "1.2.0"}


def manifest(file: Packed = FILE) -> bytes:
    return manifest_of(file, (), config_of(file, (file,), SAID), SAID)


MEMBERS = (
    Member(path="a/weights", digest=MODEL_DIGEST, size_bytes=7),
    Member(path="run", digest=f"sha256:{'b' * 64}", size_bytes=2, executable=True),
)
LISTING = Listing(MEMBERS)
FOLDER = Packed(name="artifact", digest=LISTING.digest, size_bytes=9)


@pytest.mark.parametrize("members", [MEMBERS, MEMBERS[:1]])
def test_a_folders_manifest_has_a_layer_a_file(members: tuple[Member, ...]) -> None:
    folder = Packed(name="artifact", digest=Listing(members).digest, size_bytes=Listing(members).size_bytes)
    content = manifest_of(folder, members, config_of(folder, members, SAID), SAID)
    layers = json.loads(content)["layers"]
    assert [each["annotations"]["org.cncf.model.filepath"] for each in layers] == [each.path for each in members]
    assert {each["mediaType"] for each in layers} == {"application/vnd.cncf.model.weight.v1.raw"}
    found = read_manifest(content, "x")
    assert (found.file, found.members, found.model) == (folder, members, "churn")


@pytest.mark.parametrize("path", ["../a", "/a", "", "RUN", "a\x1bb", "run"])
def test_a_layer_leads_out_of_no_folder(path: str) -> None:
    value = json.loads(manifest_of(FOLDER, MEMBERS, config_of(FOLDER, MEMBERS, SAID), SAID))
    value["layers"][0]["annotations"] = {"org.cncf.model.filepath": path}
    with pytest.raises(NotEvaluatedError, match="none that mlbot wrote"):
        read_manifest(json.dumps(value).encode(), "x")


def test_a_models_manifest() -> None:
    config = config_of(FILE, (FILE,), SAID)
    assert json.loads(config) == {
        "descriptor": {"name": "churn", "version": "1.2.0"},
        "modelfs": {"type": "layers", "diffIds": [MODEL_DIGEST]},
        "config": {"format": "onnx"},
    }
    assert json.loads(manifest()) == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.cncf.model.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.cncf.model.config.v1+json",
            "digest": f"sha256:{sha256(config).hexdigest()}",
            "size": len(config),
        },
        "layers": [
            {
                "mediaType": "application/vnd.cncf.model.weight.v1.raw",
                "digest": MODEL_DIGEST,
                "size": 7,
                "annotations": {
                    "org.cncf.model.filepath": "model.onnx",
                    "org.opencontainers.image.title": "model.onnx",
                },
            }
        ],
        "annotations": SAID,
    }


def test_a_documents_layer_is_one() -> None:
    (layer,) = json.loads(manifest(FILE.model_copy(update={"name": "golden.json"})))["layers"]
    assert layer["mediaType"] == "application/vnd.cncf.model.doc.v1.raw"


def test_it_is_the_same_each_time_and_reads_back() -> None:
    assert manifest() == manifest()
    told = read_manifest(manifest(), "x")
    assert (told.file, told.model, told.version) == (FILE, "churn", "1.2.0")


def test_what_another_tool_adds_does_not_matter() -> None:
    value = json.loads(manifest())
    value["subject"] = {"digest": MODEL_DIGEST}
    value["layers"][0]["urls"] = []
    assert read_manifest(json.dumps(value).encode(), "x").file == FILE


CHANGES = {
    "two layers": lambda value: value["layers"].append(value["layers"][0]),
    "no layer": lambda value: value["layers"].clear(),
    "a size below 0": lambda value: value["layers"][0].update(size=-1),
    "a size that is none": lambda value: value["layers"][0].update(size="7"),
    "a size beyond all": lambda value: value["layers"][0].update(size=1 << 60),
    "another hash": lambda value: value["layers"][0].update(digest=f"sha512:{'a' * 128}"),
    "annotations of numbers": lambda value: value.update(annotations={"a": 1}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_no_manifest_of_one_file(name: str) -> None:
    value = json.loads(manifest())
    CHANGES[name](value)
    with pytest.raises(NotEvaluatedError, match="none that mlbot wrote"):
        read_manifest(json.dumps(value).encode(), "x")


@given(st.binary(max_size=300))
def test_any_bytes(content: bytes) -> None:
    with pytest.raises(NotEvaluatedError):
        read_manifest(content, "x")
