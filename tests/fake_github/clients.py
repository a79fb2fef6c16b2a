"""Clients for tests: PyGithub, which mlbot uses, without its patience."""

from collections.abc import Mapping

from tests.fake_github.server import FakeGitHub
from tests.fake_github.state import Repository

from github import Auth, Github


def client(github: FakeGitHub, login: str) -> Github:
    """A person's client."""
    return _client(github, github.token(login))


def of_job(github: FakeGitHub, repository: Repository, permissions: Mapping[str, str]) -> Github:
    """The client of a job with these permissions."""
    return _client(github, github.job_token(repository, permissions))


def _client(github: FakeGitHub, token: str) -> Github:
    return Github(
        auth=Auth.Token(token),
        base_url=github.api_url,
        retry=None,
        seconds_between_writes=0,
        seconds_between_requests=0,
    )
