"""Which repository and which token."""

import pytest

from mlbot.errors import UsageError
from mlbot.github.locate import locate

HTTPS = "https://github.com/acme/income.git"


def test_on_a_laptop_the_remote_names_the_repository() -> None:
    place = locate({"GITHUB_TOKEN": "t"}, HTTPS)
    assert place
    assert (place.repository, place.api_url, place.token) == ("acme/income", "https://api.github.com", "t")
    assert place.clone_url == "https://github.com/acme/income.git"
    assert "'t'" not in repr(place)
    assert locate({"GITHUB_TOKEN": "t"}, None) is None
    assert locate({}, "/srv/git/x") is None


def test_in_a_job_its_environment_does() -> None:
    environment = {
        "GITHUB_REPOSITORY": "acme/models",
        "GITHUB_API_URL": "https://git.acme.org/api/v3",
        "GITHUB_SERVER_URL": "https://git.acme.org",
        "GITHUB_TOKEN": "t",
        "MLBOT_TOKEN": "own",
    }
    place = locate(environment, HTTPS)
    assert place
    assert (place.repository, place.api_url, place.token) == ("acme/models", "https://git.acme.org/api/v3", "own")


@pytest.mark.parametrize("remote", ["https://evil.example/acme/income", "git@github.com.evil.example:acme/income"])
def test_a_token_goes_to_no_server_that_a_clone_has_named(remote: str) -> None:
    place = locate({"GITHUB_TOKEN": "t"}, remote)
    assert place
    assert place.token is None
    with pytest.raises(UsageError, match="there is no token for https://"):
        place.required_token()
    named = locate({"GITHUB_TOKEN": "t", "GITHUB_API_URL": "https://evil.example/api/v3"}, remote)
    assert named
    assert named.token == "t"
