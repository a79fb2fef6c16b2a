"""Which repository on GitHub is meant, and with which token: by a job's environment, or by the remote."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlbot.errors import UsageError
from mlbot.events.github import GITHUB, RepositoryName, parse_remote
from mlbot.github.api import API_URL

TOKENS = ("MLBOT_TOKEN", "INPUT_TOKEN", "GITHUB_TOKEN", "GH_TOKEN")
"""Variables that may hold a token, the first one that is set counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Workplace:
    """A repository on GitHub and how to talk to it.

    Attributes:
        repository: `owner/name`.
        api_url: of the REST API.
        server_url: of the pages and of git.
        token: never shown; None when there is none, or when it must not be sent to this server.
    """

    repository: RepositoryName
    api_url: str
    server_url: str
    token: str | None = field(default=None, repr=False)

    @property
    def clone_url(self) -> str:
        """Where its git is."""
        return f"{self.server_url}/{self.repository}.git"

    def required_token(self) -> str:
        """The token.

        Raises:
            UsageError: there is none for this server.
        """
        if self.token is None:
            raise UsageError(
                f"there is no token for {self.server_url}",
                hint="Set GITHUB_TOKEN; in GitHub Actions `env: GITHUB_TOKEN: ${{ github.token }}`. On a server of "
                "your own set GITHUB_API_URL too.",
            )
        return self.token


def locate(environment: Mapping[str, str], remote: str | None) -> Workplace | None:
    """The repository of a job, or of a folder by its remote; None where neither names one.

    Args:
        environment: of this process.
        remote: the address of the folder's remote.
    """
    named = parse_remote(remote) if remote else None
    repository = environment.get("GITHUB_REPOSITORY") or (named.repository if named else "")
    if not repository:
        return None
    server = environment.get("GITHUB_SERVER_URL") or (named.server if named else f"https://{GITHUB}")
    api = environment.get("GITHUB_API_URL")
    public = server.partition("://")[2] == GITHUB
    # A remote's address comes with a clone, from anybody: a token goes to it only where its owner named the server.
    token = _token(environment) if public or api else None
    url = api or (API_URL if public else f"{server}/api/v3")
    return Workplace(repository=repository, api_url=url, server_url=server.rstrip("/"), token=token)


def _token(environment: Mapping[str, str]) -> str | None:
    return next((environment[name] for name in TOKENS if environment.get(name)), None)
