"""Who mlbot is to a registry."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.errors import NotEvaluatedError, RefusedError
from mlbot.storage.oci import Challenge, Credentials, find_credentials, read_challenge, read_token


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
