"""A file sent to the address that GitHub named for it, with the token, and to no other host."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit

from mlbot.github.failures import Answer, GitHubError, Request, UnavailableError, failure

Upload = Callable[[str, str, Path], None]
"""Sends a file to an `upload_url`, under a name."""
_TIMEOUT_S = (15.0, 120.0)


def uploader(token: str, api_url: str) -> Upload:
    """What uploads a release's files.

    Args:
        token: one that may write contents.
        api_url: `GITHUB_API_URL`; the token goes to this host or to its `uploads.` sister alone.
    """

    def upload(address: str, name: str, file: Path) -> None:
        where = address.partition("{")[0]
        _check_host(where, api_url)
        _send(f"{where}?name={quote(name, safe='')}", token, file)

    return upload


def _check_host(address: str, api_url: str) -> None:
    given, ours = urlsplit(address), urlsplit(api_url)
    sister = f"uploads.{(ours.hostname or '').removeprefix('api.')}"
    if given.scheme != ours.scheme or given.hostname not in {ours.hostname, sister}:
        raise GitHubError("GitHub named an upload address of another host", mend="Correct GITHUB_API_URL.")


def _send(address: str, token: str, file: Path) -> None:
    import requests

    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
    request = Request(verb="POST", path=urlsplit(address).path)
    try:
        with file.open("rb") as body, requests.Session() as session:
            session.trust_env = False  # a .netrc of the machine would replace the token
            answer = session.post(address, data=body, headers=headers, allow_redirects=False, timeout=_TIMEOUT_S)
    except requests.RequestException as error:
        raise UnavailableError(
            f"the upload of {file.name} broke off ({type(error).__name__})", mend="Run the job again."
        ) from error
    if answer.status_code >= 500:
        raise UnavailableError(f"GitHub answered {answer.status_code} to the upload of {file.name}")
    if answer.status_code != 201:
        raise failure(
            request,
            Answer(
                status=answer.status_code,
                headers={name.lower(): value for name, value in answer.headers.items()},
                body=answer.text,
            ),
        )
