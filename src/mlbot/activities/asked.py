"""What `/retrain` asked of the attempt that this job is part of. Runs in the sandbox, with a token that only reads."""

from collections.abc import MutableMapping

from mlbot.console import Console
from mlbot.core.answer import RetrainRequest, recorded
from mlbot.core.event import PullRequestEvent
from mlbot.core.forge import Login
from mlbot.core.reruns import Reruns
from mlbot.github.actions_io import Job, forget_tokens
from mlbot.github.api import GitHub


def asked_of(environment: MutableMapping[str, str], bot: Login, console: Console) -> RetrainRequest | None:
    """The request that the bot recorded for this attempt of this run, if a command started it.

    Args:
        environment: of this process; the tokens are taken out of it.
        bot: whose answers to commands count.
        console: told of the request, and of waits.

    Raises:
        MlbotError: this is no job of GitHub Actions, or the comments cannot be read. Nothing is trained then: what was
            asked for is not known, and a trial must not pass for the committed parameters.
    """
    job = Job.of(environment)
    forget_tokens(environment)
    event = job.event()
    if job.run.number == 1 or not isinstance(event, PullRequestEvent):
        return None
    github = GitHub.connect(job.repository, job.required_token(), api_url=job.api_url, say=console.say)
    records = recorded(github.comments(event.number), bot)
    request = Reruns.of_pull_request(records, event.number).request(job.run)
    if request is not None:
        console.say(_sentence(request))
    return request


def _sentence(request: RetrainRequest) -> str:
    models = ", ".join(request.models) or "what is stale"
    if not request.trial:
        return f"{request.actor} asked to train {models} again."
    params = ", ".join(f"{name}={value}" for name, value in sorted(request.params.items()))
    return f"{request.actor} asked for a trial of {models} with {params}."
