"""The jobs of a run."""

from dataclasses import dataclass

from mlbot.core.event import dig
from mlbot.github.api import GitHub


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """A job of a run's newest attempt.

    Attributes:
        name: as the workflow file that ran has it: a pull request's own words.
        state: its conclusion, or its status while it runs.
    """

    name: str
    state: str


def jobs(github: GitHub, run: int) -> tuple[JobFacts, ...]:
    """The jobs of a run's newest attempt.

    Raises:
        MlbotError: of `mlbot.github.failures`.
    """
    request = github.request("GET", f"/actions/runs/{run}/jobs", query={"filter": "latest"})
    found = github.transport.pages(request, "jobs")
    return tuple(
        JobFacts(name=str(dig(job, "name")), state=str(dig(job, "conclusion") or dig(job, "status"))) for job in found
    )
