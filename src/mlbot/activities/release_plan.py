"""`mlbot plan --release`: read who asks the release workflow for what, and print what its jobs go by."""

import json
from collections.abc import MutableMapping

from mlbot.console import Console
from mlbot.core.config import Config
from mlbot.core.config_error import ConfigError
from mlbot.core.config_parse import parse_config
from mlbot.core.event import DispatchEvent
from mlbot.core.inputs import CONFIG_FILE
from mlbot.core.operation import Annotate, Level
from mlbot.core.release_ask import decide_ask, runs_on
from mlbot.core.release_asked import Asked, AskFacts, NotAsked
from mlbot.errors import Exit, MlbotError, UsageError
from mlbot.github.actions_io import Job, Runner, forget_tokens
from mlbot.github.api import GitHub
from mlbot.github.asking import pusher_of, read_said
from mlbot.github.contents import read_file
from mlbot.yamlfile import load


def plan_release(environment: MutableMapping[str, str], console: Console) -> Exit:
    """Print what GitHub's `GITHUB_OUTPUT` takes.

    `go`, which job follows (`record` or `deploy`); its `environment`, `runs-on` and `queue`; and `ask`, the request.

    Args:
        environment: of this process; the tokens are taken out of it.
        console: told of what goes on.

    Returns:
        OK; REFUSED where nothing is done and no comment is there to be answered.

    Raises:
        MlbotError: GitHub does not say what has to be known.
    """
    job = Job.of(environment)
    forget_tokens(environment)
    event = job.event()
    if not isinstance(event, DispatchEvent):
        raise UsageError("a release is asked for by starting its workflow, and this job's event is another")
    github = GitHub.connect(job.repository, job.required_token(), api_url=job.api_url, say=console.say)
    facts = gather(github, job, event)
    ask = decide_ask(facts)
    console.say(_said(ask))
    if isinstance(ask, NotAsked) and ask.comment is None:
        return _refused(ask, Runner.of(environment, console.err))
    console.result("\n".join(f"{name}={value}" for name, value in _outputs(ask, facts.config).items()))
    return Exit.OK


def gather(github: GitHub, job: Job, event: DispatchEvent) -> AskFacts:
    """All that is known of a dispatch.

    Raises:
        MlbotError: GitHub does not say.
    """
    branch = github.facts().default_branch
    comment = event.number("comment")
    tag = event.inputs.get("tag")
    config, problem = read_config(github, branch)
    facts = AskFacts(
        inputs=event.inputs,
        on_default=job.ref == f"refs/heads/{branch}",
        sender=event.sender,
        comment=read_said(github, comment) if comment else None,
        config=config,
        config_problem=problem,
    )
    if tag and facts.by_machine:
        facts = facts.model_copy(update={"pusher": pusher_of(github, tag)})
    if facts.asker is None:
        return facts
    return facts.model_copy(update={"role": github.role(facts.asker)})


def read_config(github: GitHub, branch: str) -> tuple[Config | None, str]:
    """A branch's mlbot.yaml by the API; without one, why it cannot be read."""
    raw = read_file(github, CONFIG_FILE, branch)
    if raw is None:
        return None, ""
    try:
        return parse_config(load(raw, CONFIG_FILE)), ""
    except ConfigError as error:
        return None, str(error).splitlines()[0]
    except MlbotError as error:
        return None, error.what


def _outputs(ask: Asked | NotAsked, config: Config | None) -> dict[str, str]:
    asked = ask if isinstance(ask, Asked) else None
    deploys = asked is not None and asked.deploys
    return {
        "go": "deploy" if deploys else "record",
        "environment": asked.environment if asked else "",
        "runs-on": json.dumps(list(runs_on(asked, config)) if asked and deploys else ["ubuntu-latest"]),
        "queue": queue_of(ask),
        "ask": ask.model_dump_json(exclude_none=True),
    }


def queue_of(ask: Asked | NotAsked) -> str:
    """What waits for what: releases of a model; promotions into an environment. A rollback waits for no promotion."""
    if isinstance(ask, NotAsked):
        return f"answer-{ask.comment}"
    return f"{ask.command.kind}-{ask.environment or getattr(ask.command, 'model', '')}"


def _said(ask: Asked | NotAsked) -> str:
    if isinstance(ask, NotAsked):
        return f"Nothing is done ({ask.reason}): {ask.sentence}"
    return f"{ask.actor or 'Whoever released the version'} asks: {ask.text}"


def _refused(ask: NotAsked, runner: Runner) -> Exit:
    """Nobody is there to be answered, so the run itself says it."""
    if ask.silent:
        return Exit.OK
    message = f"{ask.sentence} {ask.mend} {ask.usage}".strip()
    runner.annotate([Annotate(level=Level.ERROR, title="Not done", message=message)])
    return Exit.REFUSED
