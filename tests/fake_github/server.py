"""The fake GitHub: a server, and the hands and eyes of a test."""

import json
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.fake_github import contract, githttp, ops_actions, side_doors
from tests.fake_github.contract import ContractError, Operation
from tests.fake_github.errors import Refusal
from tests.fake_github.faults import Fault, Faults
from tests.fake_github.gateway import API, UPLOADS, Gateway, bearer
from tests.fake_github.graphql import graphql
from tests.fake_github.limits import Limits
from tests.fake_github.messages import Request, Response
from tests.fake_github.people import Person
from tests.fake_github.recorder import Recorded, Recorder
from tests.fake_github.state import Repository, Role
from tests.fake_github.tokens import Token
from tests.fake_github.wire import Listener
from tests.fake_github.world import Delivery, World

GRAPHQL = "/api/graphql"


class FakeGitHub:
    """A GitHub of one's own, on the loopback.

    Attributes:
        world: its memory.
        requests: all requests so far.
        faults: faults to order.
        limits: rate limits to lower.
    """

    def __init__(self, root: Path) -> None:
        self.world = World(root=root)
        self.requests = Recorder()
        self.faults = Faults()
        self._gateway = Gateway(world=self.world)
        self._listener = Listener(self._answer, self._failed)
        self.world.url = self._listener.url
        self.world.listeners.append(lambda delivery: ops_actions.route(self.world, delivery))

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.faults.over.set()
        self._listener.close()
        for repository in self.world.repositories.values():
            repository.git.objects.close()

    @property
    def url(self) -> str:
        """GITHUB_SERVER_URL."""
        return self.world.url

    @property
    def api_url(self) -> str:
        """GITHUB_API_URL."""
        return self.world.api_url

    @property
    def graphql_url(self) -> str:
        """GITHUB_GRAPHQL_URL."""
        return f"{self.world.url}{GRAPHQL}"

    @property
    def limits(self) -> Limits:
        """Rate limits."""
        return self._gateway.limits

    def repository(
        self,
        full_name: str = "acme/models",
        files: Mapping[str, str | bytes] | None = None,
        *,
        private: bool = False,
        roles: Mapping[str, Role] | None = None,
    ) -> Repository:
        """A repository with one commit on main; ``roles`` by login. Nothing is told of the first commit."""
        made = self.world.add_repository(full_name, private=private)
        made.roles |= roles or {}
        who = self.world.identity(self.world.add_user("founder"))
        first = made.git.commit(files or {"README.md": "# A repository\n"}, "First commit", [], who)
        made.git.set_ref("refs/heads/main", first)
        return made

    def user(self, login: str, repository: Repository | None = None) -> Person:
        """A person at work; on the first repository unless another is named."""
        first = next(iter(self.world.repositories.values()), None)
        target = repository or first
        assert target, "make a repository first"
        return Person(world=self.world, token=self.world.personal_token(login), repository=target)

    def schedule(self, cron: str, repository: Repository | None = None) -> None:
        """The hour has come: start the workflows that have a schedule. No webhook tells of it."""
        target = repository or next(iter(self.world.repositories.values()))
        sender = self.world.add_user("founder")
        told = {"schedule": cron}
        with self.world.lock:
            ops_actions.route(
                self.world,
                Delivery(event="schedule", payload=told, repository=target, sender=sender, by_token=False),
            )

    def token(self, login: str) -> str:
        """A person's token."""
        return self.world.personal_token(login).value

    def job_token(self, repository: Repository, permissions: Mapping[str, str], job: str = "test.yml/job") -> str:
        """A GITHUB_TOKEN with permissions under the API's names (``pull_requests``)."""
        value = f"ghs_test{len(self.world.tokens)}"
        self.world.tokens[value] = Token(
            value=value,
            user=self.world.bot,
            kind="workflow",
            repository=repository,
            permissions=dict(permissions),
            job=job,
        )
        return value

    def check(self) -> None:
        """Raise what was collected: breaches of GitHub's contract, by the client or by the fake.

        Raises:
            AssertionError: there are some.
        """
        assert not self.world.violations, "\n".join(["GitHub's contract is broken:", *self.world.violations])

    def _failed(self, error: BaseException) -> None:
        self.world.violate("".join(traceback.format_exception(error)))

    def _answer(self, request: Request) -> Response:
        path = request.path.removeprefix(API).removeprefix(UPLOADS) or "/"
        found = contract.find(request.method, path) if request.path.startswith((f"{API}/", f"{UPLOADS}/")) else None
        fault = self.faults.due(request, path)
        if fault and not fault.after:
            response = self._faulty(fault, request, path, found)
        else:
            response = self._true(request, path, found)
            response = self._late(fault, response) if fault else response
        self._record(request, path, found, response)
        return response

    def _faulty(
        self, fault: Fault, request: Request, path: str, found: tuple[Operation, dict[str, str]] | None
    ) -> Response:
        if fault.answer == "cut":
            return Response(status=0, cut=True)
        if isinstance(fault.answer, int):
            return _refused(fault.refusal())
        if fault.answer == "hang":
            self.faults.hang(fault)
            return self._true(request, path, found)
        return replace(self._true(request, path, found), truncate=True)

    @staticmethod
    def _late(fault: Fault, response: Response) -> Response:
        if fault.answer == "cut":
            return Response(status=0, cut=True)
        return _refused(fault.refusal()) if isinstance(fault.answer, int) else replace(response, truncate=True)

    def _true(self, request: Request, path: str, found: tuple[Operation, dict[str, str]] | None) -> Response:
        try:
            if found:
                with self.world.lock:
                    return self._gateway.answer(request, path, *found)
            return self._side_door(request)
        except Refusal as refusal:
            return _refused(refusal)
        except ContractError as error:
            self.world.violate(str(error))
            return Response(status=500, body=str(error).encode())

    def _side_door(self, request: Request) -> Response:
        if githttp.serves(request.path):
            return githttp.answer(self.world, request, bearer(self.world, request.headers))
        with self.world.lock:
            if request.path == GRAPHQL:
                return graphql(self.world, request, bearer(self.world, request.headers))
            found = side_doors.blob(self.world, request) or side_doors.artifact_service(self.world, request)
        if found is None:
            raise ContractError(f"{request.method} {request.path}: GitHub's description (cut to what matters) lacks it")
        return found

    def _record(
        self, request: Request, path: str, found: tuple[Operation, dict[str, str]] | None, response: Response
    ) -> None:
        try:
            token = bearer(self.world, request.headers)
        except Refusal:
            token = None
        try:
            body = request.json() if found or path == GRAPHQL else None
        except (Refusal, UnicodeDecodeError):
            body = request.body
        self.requests.all.append(
            Recorded(
                method=request.method,
                path=path,
                query=request.query,
                body=body,
                token=token,
                operation=found[0].key if found else None,
                status=response.status,
            )
        )


def _refused(refusal: Refusal) -> Response:
    headers = {"Content-Type": "application/json; charset=utf-8", **refusal.headers}
    return Response(status=refusal.status, headers=headers, body=json.dumps(refusal.body).encode())
