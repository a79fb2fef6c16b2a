"""Requests to GitHub, with patience, and files from and to the addresses that it names."""

import json
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from mlbot.errors import MlbotError, NotEvaluatedError, RefusedError
from mlbot.github.job import API_VERSION

if TYPE_CHECKING:
    from requests import PreparedRequest, Response


# What GitHub answers when it does not do what it was asked, each as one sentence with the fix.

_LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A call of the REST API; its path is from the API's root.

    It is `repeatable` where doing it twice is the same as once: it is sent again when nobody knows whether it arrived.
    """

    verb: str
    path: str
    query: Mapping[str, str | int] | None = None
    body: Mapping[str, object] | None = None
    repeatable: bool = True

    def __str__(self) -> str:
        return f"{self.verb} {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: str


class GitHubError(NotEvaluatedError):
    """GitHub did not do it."""


class TokenRefusedError(RefusedError):
    """401: GitHub does not know the token."""


class NotPermittedError(RefusedError):
    """403: the token lacks the right."""


class NotFoundError(GitHubError):
    """404 or 410: it is not there, or the token may not see it."""


class InvalidRequestError(GitHubError):
    """422: GitHub could not use what it was sent."""


class RateLimitedError(GitHubError):
    """The rate limit is used up for longer than anybody waits."""


class UnavailableError(GitHubError):
    """GitHub failed or could not be reached, again and again."""


def failure(request: Request, answer: Answer) -> MlbotError:
    """The error for an answer that is none of success, of a rate limit, or of a passing fault."""
    where = str(request)
    match answer.status:
        case 401:
            return TokenRefusedError(
                "GitHub does not accept the token", where=where, hint="It is wrong, expired or revoked: give a new one."
            )
        case 403:
            return NotPermittedError("the token may not do this", where=where, hint=_rights(answer))
        case 404 | 410:
            hint = "It was deleted, or the token may not see it."
            return NotFoundError("GitHub finds no such thing", where=where, hint=hint)
        case 422:
            return InvalidRequestError(f"GitHub refused the request: {_fields(answer)}", where=where)
        case status:
            return GitHubError(f"GitHub answered {status}: {message(answer)}", where=where)


def is_rate_limit(answer: Answer) -> bool:
    """Whether 403 or 429 means `too often` and not `never`."""
    if answer.status == 429:
        return True
    limited = "retry-after" in answer.headers or answer.headers.get("x-ratelimit-remaining") == "0"
    return answer.status == 403 and (limited or "rate limit" in message(answer).lower())


def message(answer: Answer) -> str:
    """GitHub's own words, short and printable: they may quote what a stranger sent."""
    words = _json(answer).get("message")
    return _plain(words) if isinstance(words, str) else "it gave no reason"


def _rights(answer: Answer) -> str:
    """What the job's `permissions:` lack, from the header that says it."""
    accepted = _plain(answer.headers.get("x-accepted-github-permissions", ""))
    if accepted:
        wanted = " or ".join(each.strip().replace("=", ": ") for each in accepted.split(";"))
        return f"Give the job the permission it needs: {wanted}"
    return f"Give the job the permission it needs. GitHub says: {message(answer)}"


def _fields(answer: Answer) -> str:
    errors = _json(answer).get("errors")
    found = [_field(each) for each in errors[:5]] if isinstance(errors, list) else []
    return _plain("; ".join(text for text in found if text)) or message(answer)


def _field(error: object) -> str:
    if isinstance(error, str):
        return error
    if not isinstance(error, Mapping):
        return ""
    parts = [error.get(name) for name in ("field", "code", "message")]
    return " ".join(part for part in parts if isinstance(part, str))


def _json(answer: Answer) -> Mapping[str, object]:
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _plain(text: str) -> str:
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line[:_LONGEST]


# Calls of the REST API with patience: passing faults are tried again, rate limits are waited out, within bounds.

PAGE = 100  # GitHub's largest page
_MOST_PAGES = 100

_SECONDARY_WAIT_S = 60.0
"""GitHub's advice where a secondary limit names no time (docs.github.com, "Rate limits for the REST API")."""

_NEXT = re.compile(r'<[^>]*[?&]page=(\d+)[^>]*>;\s*rel="next"')
Headers = Mapping[str, str]

Send = Callable[[Request, Headers], Answer]
"""Sends one request, once; raises ConnectionError or TimeoutError when no answer came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to go on.

    A wait after a fault is a random part of `first_s`, doubled each time up to `longest_s`; `rate_limit_s` is what all
    requests together wait for rate limits.
    """

    attempts: int = 5
    first_s: float = 1.0
    longest_s: float = 30.0
    rate_limit_s: float = 900.0


@dataclass(kw_only=True)
class Transport:
    """Sends requests until they are answered. `chance` (0 to 1) parts those who failed together."""

    send: Send
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time
    chance: Callable[[], float] = field(default_factory=lambda: random.SystemRandom().random)
    progress: Callable[[str], None] = lambda _: None
    patience: Patience = Patience()
    _waited: float = 0.0
    _known: dict[str, tuple[str, Answer]] = field(default_factory=dict, repr=False)

    def json(self, request: Request) -> Any:
        """The answer's JSON; None where there is none. Errors: `MlbotError`s of `mlbot.github.transport`."""
        return _value(self.answer(request))

    def pages(self, request: Request, name: str | None = None) -> Iterator[Any]:
        """Every item of a list over all its pages, or of its field `name` where the answer is an object."""
        page: int | None = 1
        while page is not None:
            query = {**(request.query or {}), "per_page": PAGE, "page": page}
            answer = self.answer(Request(verb=request.verb, path=request.path, query=query))
            value = _value(answer)
            items = value.get(name) if name and isinstance(value, dict) else value
            if not isinstance(items, list):
                raise UnavailableError("GitHub's answer is no list", where=str(request), hint="Run the job again.")
            yield from items
            found = _NEXT.search(answer.headers.get("link", ""))
            following = int(found[1]) if found and items else 0
            if following > _MOST_PAGES:
                raise GitHubError(f"the list has more than {_MOST_PAGES} pages")
            page = following if following > page else None  # never the same or an earlier one

    def answer(self, request: Request) -> Answer:
        """The first answer that is final; an error status raises.

        Raises:
            RefusedError: 401 and 403.
            GitHubError: all else; `RateLimitedError` and `UnavailableError` when patience is at an end.
        """
        attempt = 0
        while True:
            attempt += 1
            answer = self._once(request, attempt)
            if answer is None:
                continue
            if answer.status < 400:
                return answer
            if not is_rate_limit(answer):
                raise failure(request, answer)
            self._wait_for_limit(request, answer)

    def patiently(self, request: Request, work: Callable[[], None]) -> None:
        """Do what belongs to a request, and again where a connection broke."""
        for attempt in range(1, self.patience.attempts + 1):
            try:
                work()
            except (ConnectionError, TimeoutError) as error:
                self._wait_for_recovery(request, attempt, str(error) or type(error).__name__)
            else:
                return

    def _once(self, request: Request, attempt: int) -> Answer | None:
        """An answer; None when it is worth another try, after the wait.

        A GET names the version it already has; `not modified` costs nothing of the rate limit.
        """
        key = f"{request.path}?{sorted((request.query or {}).items())}"
        tag, known = self._known.get(key, ("", None)) if request.verb == "GET" else ("", None)
        try:
            answer = self.send(request, {"If-None-Match": tag} if tag else {})
        except (ConnectionError, TimeoutError) as error:
            self._wait_for_recovery(request, attempt, str(error) or type(error).__name__)
            return None
        if answer.status >= 500:
            self._wait_for_recovery(request, attempt, f"GitHub answered {answer.status}: {message(answer)}")
            return None
        if answer.status in {200, 201} and not _is_whole(answer):
            self._wait_for_recovery(request, attempt, "GitHub's answer is no JSON")
            return None
        if answer.status == 304 and known is not None:
            return known
        if request.verb == "GET" and answer.status == 200 and "etag" in answer.headers:
            self._known[key] = answer.headers["etag"], answer
        return answer

    def _wait_for_recovery(self, request: Request, attempt: int, what: str) -> None:
        if attempt >= self.patience.attempts or not request.repeatable:
            tries = f"after {attempt} attempts" if attempt > 1 else "and it may or may not have been done"
            raise UnavailableError(
                f"GitHub could not be reached, {tries}: {what}", where=str(request), hint="Run the job again."
            )
        seconds = self.chance() * min(self.patience.longest_s, self.patience.first_s * 2.0 ** (attempt - 1))
        self.progress(f"{request}: {what}; trying again in {seconds:.1f} s")
        self.sleep(seconds)

    def _wait_for_limit(self, request: Request, answer: Answer) -> None:
        seconds = _limit_s(answer, self.clock())
        if self._waited + seconds > self.patience.rate_limit_s:
            raise RateLimitedError(
                f"GitHub's rate limit is used up; it asks to wait {seconds:,.0f} s",
                where=str(request),
                hint="Run the job again later, or give mlbot a token of its own.",
            )
        self._waited += seconds
        self.progress(f"{request}: GitHub's rate limit is used up; waiting {seconds:.0f} s")
        self.sleep(seconds)


def _limit_s(answer: Answer, now: float) -> float:
    """How long a rate limit asks to wait: `retry-after` first, then the reset of the primary limit; at least 1 s."""
    headers = answer.headers
    if (after := _number(headers.get("retry-after"))) is not None:
        return max(1.0, after)
    if headers.get("x-ratelimit-remaining") == "0" and (reset := _number(headers.get("x-ratelimit-reset"))) is not None:
        return max(1.0, reset - now + 1)  # a second more: both clocks show whole seconds
    return _SECONDARY_WAIT_S


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and re.fullmatch(r"\d{1,12}(\.\d+)?", text) else None


def _is_whole(answer: Answer) -> bool:
    """Whether an answer can be read; half a page cannot."""
    try:
        _value(answer)
    except (ValueError, RecursionError):
        return False
    return True


def _value(answer: Answer) -> Any:
    return json.loads(answer.body) if answer.body.strip() else None


# A file from an address that GitHub gave, streamed to the disk and never longer than allowed.

_CHUNK = 1 << 16
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class TooLargeError(GitHubError):
    """It is larger than what is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is taken; `silence_s` is the longest wait for a further byte."""

    most_bytes: int
    connect_s: float = 15.0
    silence_s: float = 60.0

    def check_size(self, size: int, what: str) -> None:
        """Raise a TooLargeError when a size that is announced is over the limit."""
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
    if status == 404:
        raise NotFoundError("the artifact store does not have the file")
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


def _bearer(token: str) -> "Callable[[PreparedRequest], PreparedRequest]":
    def sign(request: "PreparedRequest") -> "PreparedRequest":
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return sign


def _nobody(request: "PreparedRequest") -> "PreparedRequest":
    return request


# Uploads go with the token to the address that GitHub named, and to no other host.

Upload = Callable[[str, str, Path], None]  # sends a file to an `upload_url`, under a name
_TIMEOUT_S = (15.0, 120.0)


def uploader(token: str, api_url: str) -> Upload:
    """What uploads a release's files; the token goes to the API's host or to its `uploads.` sister alone."""

    def upload(address: str, name: str, file: Path) -> None:
        where = address.partition("{")[0]
        _check_host(where, api_url)
        _send(f"{where}?name={quote(name, safe='')}", token, file)

    return upload


def _check_host(address: str, api_url: str) -> None:
    given, ours = urlsplit(address), urlsplit(api_url)
    sister = f"uploads.{(ours.hostname or '').removeprefix('api.')}"
    if given.scheme != ours.scheme or given.hostname not in {ours.hostname, sister}:
        raise GitHubError("GitHub named an upload address of another host", hint="Correct GITHUB_API_URL.")


def _send(address: str, token: str, file: Path) -> None:
    import requests

    headers = {"Content-Type": "application/octet-stream", "X-GitHub-Api-Version": API_VERSION}
    request = Request(verb="POST", path=urlsplit(address).path)
    try:
        with file.open("rb") as body, requests.Session() as session:
            session.auth = _bearer(token)  # and not a header, which a .netrc of the machine would replace
            answer = session.post(address, data=body, headers=headers, allow_redirects=False, timeout=_TIMEOUT_S)
    except requests.RequestException as error:
        raise UnavailableError(
            f"the upload of {file.name} broke off ({type(error).__name__})", hint="Run the job again."
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
