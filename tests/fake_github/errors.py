"""What GitHub answers when it refuses."""

from collections.abc import Mapping
from typing import Any

DOCS = "https://docs.github.com/rest"


class Refusal(Exception):  # noqa: N818 -- GitHub's refusal is an answer, not a fault of this program
    """An answer with a status of 400 or more."""

    def __init__(
        self,
        status: int,
        message: str,
        errors: list[Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.headers = dict(headers or {})
        self.body: dict[str, Any] = {"message": message, "documentation_url": DOCS, "status": str(status)}
        if errors is not None:
            self.body["errors"] = errors


def not_found() -> Refusal:
    """There is no such thing, or the token may not see it."""
    return Refusal(404, "Not Found")


def beyond_permissions() -> Refusal:
    """A workflow's or an app's token lacks the permission."""
    return Refusal(403, "Resource not accessible by integration")


def invalid(resource: str, field: str, code: str, message: str | None = None) -> Refusal:
    """A value that GitHub does not take; ``code`` is one of GitHub's: missing, invalid, already_exists, custom."""
    error = {"resource": resource, "field": field, "code": code} | ({"message": message} if message else {})
    return Refusal(422, "Validation Failed", [error])


def unprocessable(message: str) -> Refusal:
    """A request that makes no sense as a whole."""
    return Refusal(422, message)
