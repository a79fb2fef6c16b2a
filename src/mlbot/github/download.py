"""A file from an address that GitHub gave, streamed to the disk and never longer than allowed."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mlbot.github.failures import GitHubError

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

_CHUNK = 1 << 16
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class TooLargeError(GitHubError):
    """It is larger than what is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is taken.

    Attributes:
        most_bytes: the largest file.
        connect_s: the longest wait for a connection.
        silence_s: the longest wait for a further byte.
    """

    most_bytes: int
    connect_s: float = 15.0
    silence_s: float = 60.0

    def check_size(self, size: int, what: str) -> None:
        """Raise a TooLargeError when a size that was told is over the limit."""
        if size > self.most_bytes:
            raise TooLargeError(f"{what[:120]!r} has {size:,} bytes; at most {self.most_bytes:,} are taken")


def download(address: str, target: Path, limits: Limits) -> None:
    """Write what is at an address to a file, anew.

    No credentials go with the request, a redirect is not followed, and the bytes are counted as they come: what the
    server says of their number is no promise.

    Raises:
        TooLargeError: if there are more bytes than allowed; no file is left.
        ConnectionError: if the transfer broke or the server failed; worth another try.
        GitHubError: if the address is no HTTPS address, or does not give the file.
    """
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise GitHubError("GitHub gave an address that is not HTTPS")
    try:
        _stream(address, target, limits)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _stream(address: str, target: Path, limits: Limits) -> None:
    import requests
    from urllib3.exceptions import HTTPError

    session = requests.Session()
    session.auth = _nobody  # else a .netrc file of the machine would be asked for a password
    headers = {"Accept-Encoding": "identity"}
    timeout = (limits.connect_s, limits.silence_s)
    try:
        with session.get(address, stream=True, allow_redirects=False, headers=headers, timeout=timeout) as answer:
            _check(answer.status_code)
            _copy(answer, target, limits)
    except (requests.RequestException, HTTPError) as error:
        raise ConnectionError(f"the download broke off ({type(error).__name__})") from error
    finally:
        session.close()


def _check(status: int) -> None:
    if status >= 500 or status == 429:
        raise ConnectionError(f"the artifact store answered {status}")
    if status != 200:
        raise GitHubError(f"the artifact store answered {status}")


def _copy(answer: "Response", target: Path, limits: Limits) -> None:
    raw = answer.raw
    expected = answer.headers.get("content-length")
    done = 0
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while chunk := raw.read(_CHUNK, decode_content=False):
            done += len(chunk)
            limits.check_size(done, "the download")
            file.write(chunk)
    if expected is not None and expected != str(done):
        raise ConnectionError("the download broke off")


def _nobody(request: "PreparedRequest") -> "PreparedRequest":
    return request
