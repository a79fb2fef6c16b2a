"""Who a token is, and what it may do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from tests.fake_github.errors import Refusal, beyond_permissions, not_found
from tests.fake_github.state import Repository, Role, User

LEVELS: Final = {"none": 0, "read": 1, "write": 2, "admin": 3}
ROLES: Final[Mapping[Role, int]] = {"none": 0, "read": 1, "triage": 2, "write": 3, "maintain": 4, "admin": 5}
ALWAYS: Final = {"metadata": "read"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """A credential.

    ``permissions`` is None for a person's token, which may do what the person may. A workflow's token speaks as
    github-actions[bot], is bound to one repository, and what it causes starts no workflow.
    """

    value: str
    user: User
    kind: Literal["user", "workflow", "app"] = "user"
    repository: Repository | None = None
    permissions: Mapping[str, str] | None = None
    run_id: int | None = None
    attempt: int | None = None
    job: str | None = None

    @property
    def label(self) -> str:
        """The job (``workflow file/job``) or the person that holds the token, for people who read a record."""
        return self.job or self.user.login


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """What an operation asks of a token: any of some permissions at a level, or a role of a person."""

    permissions: tuple[str, ...]
    level: Literal["read", "write", "admin"]
    role: Role

    @classmethod
    def parse(cls, text: str) -> "Need":
        """``issues|pull_requests:write`` or, with the role a person needs, ``issues:write@read``."""
        names, _, rest = text.partition(":")
        level, _, role = rest.partition("@")
        assert level in {"read", "write", "admin"}, text
        default = {"read": "read", "write": "write", "admin": "admin"}[level]
        return cls(permissions=tuple(names.split("|")), level=level, role=role or default)  # type: ignore[arg-type] # checked above


def authorize(token: Token | None, repository: Repository, need: Need) -> None:
    """Let an operation on a repository pass, or answer as GitHub does.

    Raises:
        Refusal: 404 for what may not be seen, 403 for what may not be done.
    """
    if token is None:
        if repository.private:
            raise not_found()
        if need.level != "read":
            raise Refusal(401, "Requires authentication")
    elif token.permissions is None:
        _authorize_person(token.user, repository, need)
    elif token.repository is not repository:
        _authorize_stranger(repository, need)
    elif not _granted(token.permissions, need):
        raise beyond_permissions()


def _authorize_person(user: User, repository: Repository, need: Need) -> None:
    role = repository.role(user)
    if role == "none":
        raise not_found()
    if ROLES[role] < ROLES[need.role]:
        raise Refusal(403, f"Must have {need.role} rights to Repository.")


def _authorize_stranger(repository: Repository, need: Need) -> None:
    """An installation's token on a repository that it is not for."""
    if repository.private:
        raise not_found()
    if need.level != "read":
        raise beyond_permissions()


def _granted(permissions: Mapping[str, str], need: Need) -> bool:
    held = {**ALWAYS, **permissions}
    return any(LEVELS[held.get(name, "none")] >= LEVELS[need.level] for name in need.permissions)


def may(token: Token | None, repository: Repository, need: str) -> bool:
    """Whether an operation would pass."""
    try:
        authorize(token, repository, Need.parse(need))
    except Refusal:
        return False
    return True
