"""What the API says of a comment's thread, read once."""

from collections.abc import Sequence
from dataclasses import replace

from mlbot.activities.command import Desk
from mlbot.core.answer import Recorded, RetrainRequest, recorded
from mlbot.core.command import Command, Retrain, Waive
from mlbot.core.command_facts import Facts, commands_before
from mlbot.core.command_status import Evidence
from mlbot.core.config import Config
from mlbot.core.config_error import ConfigError
from mlbot.core.config_parse import parse_config
from mlbot.core.decision import Policy
from mlbot.core.forge import Comment, PullRequest
from mlbot.core.gate import Gate
from mlbot.core.inputs import CONFIG_FILE
from mlbot.core.marker import marker
from mlbot.core.published import ACTIONS_BOT, STATUS
from mlbot.core.stamp import carries
from mlbot.errors import MlbotError
from mlbot.github.api import GitHub
from mlbot.github.contents import read_file
from mlbot.github.jobs import jobs
from mlbot.yamlfile import load


def gather(desk: Desk, now: Comment, comments: Sequence[Comment], earlier: Comment | None) -> Facts:
    """The facts.

    Args:
        desk: the job.
        now: the comment as it is now.
        comments: all of the thread.
        earlier: the answer that an earlier try left unfinished.

    Raises:
        MlbotError: GitHub does not say.
    """
    github, event = desk.github, desk.event
    pull = github.pull_request(event.number) if event.is_pull_request else None
    branch = github.facts().default_branch
    config, problem = _config(github, branch)
    policy = Policy(
        repository_id=event.repository_id,
        repository=desk.job.repository,
        default_branch=branch,
        guard=config.guard if config else (),
        train_path=desk.options.train_path,
    )
    if pull is not None and pull.base_ref != branch and policy.guards(pull.base_ref):
        config, problem = _config(github, pull.base_ref)
    others = [each for each in comments if earlier is None or each.id != earlier.id]
    resumed = recorded([earlier], desk.options.bot) if earlier else ()
    return Facts(
        event=event,
        edited=now.body != event.body,
        role=github.role(event.author),
        policy=policy,
        judge_workflow=desk.options.judge_workflow,
        release_workflow=desk.options.release_workflow,
        pull=pull,
        runs=github.runs(pull.head_sha, "pull_request") if pull else (),
        config=config,
        config_problem=problem,
        head_models=_head_models(github, pull, config, [each.command for each in desk.said]) if pull else {},
        records=recorded(others, desk.options.bot),
        resumed=resumed,
        begun=any(_has_begun(github, each) for each in resumed),
        earlier=commands_before(comments, event),
    )


def evidence(desk: Desk, facts: Facts, pull: PullRequest, comments: Sequence[Comment]) -> Evidence:
    """What only the status asks for.

    Raises:
        MlbotError: GitHub does not say.
    """
    github, runs = desk.github, facts.trainings
    publisher = replace(github, known_login=ACTIONS_BOT)  # with its own job's token, whoever answers comments
    own = [each for each in comments if each.author == ACTIONS_BOT and carries(each.body, report_marker(desk))]
    return Evidence(
        status=publisher.status(pull.head_sha, STATUS) or github.status(pull.head_sha, STATUS),
        jobs=tuple((job.name, job.state) for job in jobs(github, runs[0].id)) if runs else (),
        report=own[0] if own else None,
    )


def report_marker(desk: Desk) -> str:
    """What the last line of the comment with the verdict starts with."""
    return marker(desk.options.train_path, CONFIG_FILE)


def _has_begun(github: GitHub, record: Recorded) -> bool:
    """Whether the attempt that a record announces is there."""
    return isinstance(record, RetrainRequest) and github.run(record.attempt.run).attempt >= record.attempt.number


def _config(github: GitHub, ref: str) -> tuple[Config | None, str]:
    """The config of a branch, or why there is none that can be read."""
    raw = read_file(github, CONFIG_FILE, ref)
    if raw is None:
        return None, ""
    try:
        return parse_config(load(raw, CONFIG_FILE)), ""
    except ConfigError as error:
        return None, str(error).splitlines()[0]


def _head_models(
    github: GitHub, pull: PullRequest, config: Config | None, commands: Sequence[Command | object]
) -> dict[str, tuple[Gate, ...]]:
    """The models of the head's own config, where a command names one that the guarded branch does not have."""
    named = {name for each in commands if isinstance(each, Retrain) for name in each.models}
    named |= {each.model for each in commands if isinstance(each, Waive)}
    if config is None or all(config.model(name) for name in named):
        return {}
    try:
        raw = read_file(github, CONFIG_FILE, pull.head_sha)
        head = parse_config(load(raw, CONFIG_FILE)) if raw is not None else None
    except MlbotError:
        return {}
    return {model.name: model.gates for model in head.models} if head else {}
