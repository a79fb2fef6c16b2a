"""The conversation with a registry: where it is, who asks, what its answers mean."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from mlbot.errors import NotEvaluatedError, RefusedError, UsageError
from mlbot.transfer.oci_auth import GITHUB, Credentials, read_challenge, read_token

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

MOST_MANIFEST = 1 << 18
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?")
_TIMEOUT = (15.0, 120.0)
_HOPS = 4
_NO_ENCODING = {"Accept-Encoding": "identity"}
_CODE = re.compile(rb'"code"\s*:\s*"([A-Z_]{1,40})"')


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A repository of a registry.

    Attributes:
        host: With the port.
        repository: Its name, in lower case, as every registry wants it.
    """

    host: str
    repository: str

    @classmethod
    def of(cls, url: str) -> "Place":
        """Read `oci://host/repository`.

        Raises:
            UsageError: It is none.
        """
        host, _, repository = url.partition("://")[2].rstrip("/").partition("/")
        repository = repository.lower()
        if not _HOST.fullmatch(host) or not _REPOSITORY.fullmatch(repository) or len(repository) > 200:
            raise UsageError(
                "it is no registry and repository", where=url, mend="Write it as oci://ghcr.io/owner/repository/models."
            )
        return cls(host=host.lower(), repository=repository)

    @property
    def url(self) -> str:
        """As mlbot.yaml has it."""
        return f"oci://{self.host}/{self.repository}"

    @property
    def base(self) -> str:
        """Where its API is: by HTTPS, but for this machine."""
        return f"{'http' if is_loopback(self.host) else 'https'}://{self.host}/v2/{self.repository}"

    def inside(self, name: str) -> "Place":
        """A repository below this one.

        Raises:
            UsageError: The name cannot be one of a repository.
        """
        if not re.fullmatch(_PART, name.lower()):
            raise UsageError(
                f"{name} cannot be the name of a repository",
                where=self.url,
                mend="Registries take letters and digits with single dots, underscores or dashes between them.",
            )
        return Place(host=self.host, repository=f"{self.repository}/{name.lower()}")


class Connection:
    """Sends requests to one repository's API; logs in when asked to.

    Args:
        place: The repository.
        credentials: Who asks.
    """

    def __init__(self, place: Place, credentials: Credentials | None) -> None:
        import requests  # noqa: PLC0415 - takes 0.1 s

        self.place = place
        self._credentials = credentials
        self._authorizations: dict[bool, str] = {}
        self._session = requests.Session()

    def ask(
        self,
        method: str,
        path: str,
        *,
        expected: tuple[int, ...],
        headers: Mapping[str, str] | None = None,
        body: Callable[[], Any] = lambda: None,
    ) -> "Response":
        """Send a request; log in when asked to, and follow where it leads.

        Args:
            method: Such as `GET`.
            path: From the repository's base; or an address that the registry gave.
            expected: The statuses that are an answer.
            headers: Beside those that every request has.
            body: Gives the body anew for each time it is sent.

        Raises:
            PassingError: Worth another attempt.
            RefusedError: It does not let us.
            NotEvaluatedError: Any other status.
        """
        address = self.place.base + path if path.startswith("/") else path
        writes, logged_in = method not in {"GET", "HEAD"}, False
        for _ in range(_HOPS):
            authorization = self._authorizations.get(writes, "") if self._is_home(address) else ""
            answer = self._send(method, address, {**(headers or {}), **_NO_ENCODING}, authorization, body)
            if answer.status_code == 401 and not logged_in and self._is_home(address):
                self._authorizations[writes] = self._log_in(answer.headers.get("WWW-Authenticate", ""), writes=writes)
                logged_in = True
            elif answer.is_redirect and not writes:
                address = urljoin(address, answer.headers["Location"])
            elif answer.status_code in expected:
                if method != "GET":
                    answer.close()
                return answer
            else:
                raise self._failure(method, answer)
        raise NotEvaluatedError("the registry sends from one address to the next", where=self.place.url)

    def _send(
        self, method: str, address: str, headers: Mapping[str, str], authorization: str, body: Callable[[], Any]
    ) -> "Response":
        parts = urlsplit(address)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.netloc)):
            raise NotEvaluatedError("the registry leads to an address that is not HTTPS", where=self.place.url)
        with network(self.place.url):
            return self._session.request(
                method,
                address,
                headers=dict(headers),
                data=body(),
                auth=_Header(authorization),
                stream=True,
                allow_redirects=False,
                timeout=_TIMEOUT,
            )

    def _log_in(self, header: str, *, writes: bool) -> str:
        """The `Authorization` header for what a registry asks.

        To write, the right to push is asked for in so many words: GitHub's registry names reading alone in whatever
        it asks.
        """
        challenge = read_challenge(header)
        if challenge is None or (challenge.basic and self._credentials is None):
            raise self._denied()
        if challenge.basic and self._credentials is not None:
            return self._credentials.basic
        self._check_realm(challenge.realm)
        scope = {"scope": f"repository:{self.place.repository}:pull,push"} if writes else {}
        with network(self.place.url):
            answer = self._session.get(
                challenge.realm,
                params={**challenge.query, **scope},
                auth=_Header(self._credentials.basic if self._credentials else ""),
                allow_redirects=False,
                stream=True,
                timeout=_TIMEOUT,
            )
        if answer.status_code in {401, 403}:
            raise self._denied()
        if answer.status_code != 200:
            raise self._failure("login", answer)
        return f"Bearer {read_token(self.body(answer), self.place.url)}"

    def _check_realm(self, realm: str) -> None:
        """Credentials go by HTTPS; GitHub's token goes to GitHub's registry alone."""
        parts = urlsplit(realm)
        if parts.scheme != "https" and not (is_loopback(self.place.host) and is_loopback(parts.netloc)):
            raise NotEvaluatedError("the registry's login is not by HTTPS", where=self.place.url)
        if self.place.host == GITHUB and parts.netloc != GITHUB:
            raise NotEvaluatedError("the registry's login is elsewhere", where=self.place.url)

    def _is_home(self, address: str) -> bool:
        return urlsplit(address)[:2] == urlsplit(self.place.base)[:2]

    def body(self, answer: "Response") -> bytes:
        """An answer's body, of at most `MOST_MANIFEST` bytes."""
        with network(self.place.url), answer:
            body: bytes = answer.raw.read(MOST_MANIFEST + 1, decode_content=True)
        if len(body) > MOST_MANIFEST:
            raise NotEvaluatedError("the registry's answer is too long", where=self.place.url)
        return body

    def _failure(self, method: str, answer: "Response") -> Exception:
        status = answer.status_code
        codes = b" ".join(_CODE.findall(self.body(answer))).decode()
        what = f"the registry answered {status} to {method}{f' ({codes})' if codes else ''}"
        if status in {401, 403}:
            return self._denied()
        if status == 429 or status >= 500:
            return PassingError(what, self.place.url, _seconds(answer.headers.get("Retry-After", "")))
        return NotEvaluatedError(what, where=self.place.url)

    def _denied(self) -> RefusedError:
        who = "the token" if self._credentials else "nobody in particular: no credentials were found"
        return RefusedError(
            f"the registry does not let us; it was asked as {who}",
            where=self.place.url,
            mend="On GitHub the job needs `packages: write` (to read: `packages: read`), and the package has to give "
            "this repository access. Elsewhere run `docker login`.",
        )


class PassingError(NotEvaluatedError):
    """A fault that another attempt may not meet."""

    def __init__(self, what: str, where: str, seconds: float = 0.0) -> None:
        super().__init__(what, where=where, mend="Run it again: nothing is done twice.")
        self.seconds = seconds


class _Header:
    """Sets the header, or none: left alone, requests would look for a password in the machine's .netrc."""

    def __init__(self, authorization: str) -> None:
        self._authorization = authorization

    def __call__(self, request: "PreparedRequest") -> "PreparedRequest":
        if self._authorization:
            request.headers["Authorization"] = self._authorization
        return request


class Sized:
    """Bytes whose number is known, so that they are not sent in chunks, which some registries refuse."""

    def __init__(self, chunks: Iterator[bytes], size: int) -> None:
        self._chunks = chunks
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks


def is_loopback(netloc: str) -> bool:
    """Whether an address is of this machine, by its look alone."""
    host = urlsplit(f"//{netloc}").hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _seconds(text: str) -> float:
    return float(text) if re.fullmatch(r"[0-9]{1,6}", text) else 0.0


@contextmanager
def network(where: str) -> Iterator[None]:
    """A connection that broke is worth another attempt."""
    from requests import RequestException  # noqa: PLC0415 - as above
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    try:
        yield
    except (RequestException, HTTPError, ConnectionError, TimeoutError) as error:
        raise PassingError(f"the connection broke off ({type(error).__name__})", where) from error
