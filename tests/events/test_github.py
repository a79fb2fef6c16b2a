"""Addresses of remotes."""

import pytest

from mlbot.events.github import parse_remote


@pytest.mark.parametrize(
    ("url", "repository", "server"),
    [
        ("https://github.com/acme/income.git", "acme/income", "https://github.com"),
        ("https://github.com/acme/income/", "acme/income", "https://github.com"),
        ("https://user:secret@GitHub.com/acme/in.come", "acme/in.come", "https://github.com"),
        ("git@github.com:acme/income.git", "acme/income", "https://github.com"),
        ("ssh://git@git.acme.org:2222/acme/income.git", "acme/income", "https://git.acme.org"),
        ("http://127.0.0.1:8080/acme/income.git", "acme/income", "http://127.0.0.1:8080"),
    ],
)
def test_a_repository(url: str, repository: str, server: str) -> None:
    found = parse_remote(url)
    assert found
    assert (found.repository, found.server) == (repository, server)
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    "url",
    ["/srv/git/income.git", "../income", "file:///srv/acme/income", "https://github.com/acme", "https://gitlab.com/a/b/c",
     "", "https://github.com/acme/../x", "C:\\repos\\x"],
)  # fmt: skip
def test_what_is_none(url: str) -> None:
    assert parse_remote(url) is None
