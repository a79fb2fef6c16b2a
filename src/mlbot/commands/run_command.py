"""`mlbot ci command`: answer a comment. Reacts first, asks who and what, decides, does it, answers in one comment."""

from collections.abc import Iterable, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import PurePosixPath
from typing import Literal, Never

from mlbot.commands.command import Command
from mlbot.commands.dispatch import Reply, answer, refusals, refused_for_edits, replies
from mlbot.commands.facts import Decision, Effect, Facts, Progress, Reason
from mlbot.commands.folders import Neighbours, names_of, own_lines
from mlbot.commands.help import Help
from mlbot.commands.parser import CommandLine, ParseError, parse_comment
from mlbot.commands.retrain import Retrain
from mlbot.commands.status import Status, report_marker
from mlbot.commands.waive import Waive
from mlbot.config.errors import ConfigError
from mlbot.config.folder import ROOT, ConfigFolder, folder_in, is_judge, judges_order
from mlbot.config.schema import Config, parse_config
from mlbot.config.yaml import load, plain_top
from mlbot.console import Console
from mlbot.errors import Exit, MlbotError, RefusedError, UsageError
from mlbot.events.event import CommentEvent
from mlbot.events.github import Comment, Edits, Login, PullRequest, Role, seconds_between
from mlbot.gates.metric import Gate
from mlbot.github.api import GitHub, jobs, list_folder, read_file, tip_of
from mlbot.github.comments import with_edits
from mlbot.github.executor import Effected, Executor, dry_run
from mlbot.github.job import Job, Runner, forget_tokens
from mlbot.github.transport import NotFoundError, UnavailableError
from mlbot.lib.constants import ACTIONS_BOT, JUDGE_PATH, RELEASE_PATH, TRAIN_PATH
from mlbot.lib.record import Name
from mlbot.protocol.answer import Recorded, RetrainRequest, answer_marker, answer_to, is_done, last_line, recorded
from mlbot.protocol.decision import Policy
from mlbot.protocol.marker import carries
from mlbot.protocol.operations import Dispatch, React, Rerun, SetStatus, UpsertComment

WINDOW_S = 60.0  # how far back commands are counted for the limit


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandOptions:
    """What the command line says."""

    folder: ConfigFolder = ROOT  # of the mlbot.yaml that is answered for
    train_path: str = TRAIN_PATH  # of the workflow that trains
    judge_path: str = JUDGE_PATH  # of the workflow that judges
    release_path: str = RELEASE_PATH  # of the workflow that releases
    bot: Login = ACTIONS_BOT  # whose answers count
    dry_run: bool = False  # print what would be done, and do nothing


def command(environment: MutableMapping[str, str], options: CommandOptions, console: Console) -> Exit:
    """Answer the comment that this job's event is about.

    Args:
        environment: of this process; the tokens are taken out of it.
        options: what the command line says.
        console: for progress.

    Raises:
        MlbotError: GitHub did not let it be answered.
    """
    job = Job.of(environment)
    forget_tokens(environment)
    event = job.event()
    lines = parse_comment(event.body) if isinstance(event, CommentEvent) and not event.author_is_bot else ()
    if not isinstance(event, CommentEvent) or not lines:
        console.say("Nothing to answer: no line of a new comment of a person is a command.")
        return Exit.OK
    github = GitHub.of_job(job, console.say, options.bot)
    executor = Executor(github=github, runner=Runner.of(environment, console.err), append=_never, push=_never)
    this = CommentJob(
        job=job, github=github, executor=executor, event=event, lines=lines, options=options, console=console
    )
    if not options.dry_run:
        this.react("eyes")
        this.check_login()
    return this.answer()


def _never(given: object) -> Never:
    del given
    raise RefusedError("a job that answers comments writes neither ledger nor charts")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rules:
    """What is read of the config of a branch: what is guarded, and the rest where a command asks for it."""

    guard: tuple[str, ...] = ()
    config: Config | None = None
    refusal: Decision | None = None


@dataclass(frozen=True, kw_only=True)
class CommentJob:
    """One job that answers one comment."""

    job: Job  # what the runner says of it
    github: GitHub  # the API
    executor: Executor  # does what is decided
    event: CommentEvent  # the comment as it was written
    lines: tuple[CommandLine, ...]  # its commands
    options: CommandOptions  # what the command line says
    console: Console = field(repr=False)  # for progress
    # The effects that were had: two commands of a comment may ask for the same.
    done: list[Effect] = field(default_factory=list)

    def check_login(self) -> None:
        """Whether those who read the answers back know whose they are; an app's name is known once it has written one.

        Raises:
            UsageError: they would believe somebody else, and take a trial for a training like any other.
        """
        login = self.github.login
        if login != self.options.bot:
            raise UsageError(
                f"the token speaks as {login}, and the answers of {self.options.bot} are believed",
                hint=f"Give `bot: {login}` to train.yml, judge.yml and command.yml in your workflows.",
            )

    def react(self, reaction: Literal["eyes", "rocket", "confused"]) -> None:
        """Show at the comment itself how far it is; not being able to is no reason not to answer."""
        try:
            self.executor.do(React(comment=self.event.comment, reaction=reaction))
        except MlbotError as error:
            self.console.say(f"Could not react: {error.what}")

    def answer(self) -> Exit:
        """Answer, unless the comment is gone or was answered to the end before.

        Raises:
            MlbotError: the answer could not be written.
        """
        role = self.github.role(self.event.author)  # first: for a stranger nothing else of the repository is read
        lines = self._own_lines(role)
        if not lines:
            self.console.say("Nothing to answer: another folder's workflows do.")
            return Exit.OK
        comments = self.github.comments(self.event.number)
        now = next((each for each in comments if each.id == self.event.comment), None)
        earlier = answer_to(comments, self.options.bot, self.event.comment, self.options.folder.path)
        if now is None or (earlier is not None and is_done(earlier)):
            self.console.say("Nothing to answer: the comment was deleted, or has been answered already.")
            return Exit.OK
        resumed = recorded([earlier], self.options.bot) if earlier else ()
        refused = refusals(lines, self.event, role, earlier=commands_before(comments, self.event))
        if None in refused:
            refused = refused_for_edits(refused, self._edits(now))
        wanted = [line.command for line, why in zip(lines, refused, strict=False) if why is None]
        others = [each for each in comments if each != earlier]
        facts = self._facts(wanted, role, others, resumed) if wanted else None
        return self._carry_out(replies(lines, refused, facts), [each for each in resumed if self._begun(each)])

    @cached_property
    def pull(self) -> PullRequest:
        """The pull request that the comment is on, as it is now; of an issue's there is none to ask for."""
        return self.github.pull_request(self.event.number)

    # Whose the commands are

    def _own_lines(self, role: Role) -> tuple[CommandLine, ...]:
        """The commands that are for this folder; all of them where the repository has no other with workflows.

        The root's is the first of all, so it answers what this person may not ask for without looking for others.
        """
        if self.options.folder == ROOT and None not in refusals(self.lines, self.event, role, earlier=0):
            return self.lines
        ref = f"refs/heads/{self.event.default_branch}"
        here = PurePosixPath(self.options.judge_path)
        files = [name for name in list_folder(self.github, str(here.parent), ref) if is_judge(name)]
        others = [name for name in files if name != here.name]
        if not others:
            return self.lines

        @cache
        def mine() -> frozenset[Name]:
            return self._names(self.options.folder)

        @cache
        def neighbours() -> Neighbours:
            # A file that was renamed has no place among the others, and is the first.
            known = {name: self._names(self._folder_of(here.parent / name, ref)) for name in others}
            before = [name for name in others if here.name in files and judges_order(name) < judges_order(here.name)]
            after = [name for name in others if name not in before]
            return Neighbours(before=tuple(map(known.__getitem__, before)), after=tuple(map(known.__getitem__, after)))

        return own_lines(self.lines, mine, neighbours)

    def _folder_of(self, workflow: PurePosixPath, ref: str) -> ConfigFolder | None:
        """The folder that a workflow file is written for; None where it says none that can be one."""
        text = read_file(self.github, str(workflow), ref) or b""
        with suppress(UsageError):
            return ConfigFolder.of(folder_in(text.decode("utf-8", "replace")))
        return None

    def _names(self, folder: ConfigFolder | None) -> frozenset[Name]:
        """What a folder's config names, on the default branch and where the pull request has its head."""
        if folder is None:
            return frozenset()
        refs = [f"refs/heads/{self.event.default_branch}"]
        if self.event.is_pull_request:
            refs.append(self.pull.head_sha)
        found = (self._rules(ref, whole=True, folder=folder).config for ref in refs)
        return frozenset[Name]().union(*map(names_of, found))

    def _edits(self, now: Comment) -> Edits:
        """Whether the comment is as it was written; asked only where a command of it would be followed."""
        if now.body != self.event.body:
            return Edits.SOME
        (known,) = with_edits(self.github, [now])
        return known.edits

    def _begun(self, record: Recorded) -> bool:
        """Whether the attempt that an earlier try announced is there: then its record stays, whatever is answered now.

        Without it an attempt that is a trial would be taken for the committed parameters' own.
        """
        if not isinstance(record, RetrainRequest):
            return False
        return self.github.run(record.attempt.run).attempt >= record.attempt.number

    # What is known of the repository

    def _facts(
        self,
        commands: Sequence[Command | ParseError],
        role: Role,
        comments: Sequence[Comment],
        resumed: tuple[Recorded, ...],
    ) -> Facts:
        """What the commands that this person may give here are decided from."""
        github, event, options = self.github, self.event, self.options
        wanted = [each for each in commands if isinstance(each, Command) and not each.delivers]
        named = [*(name for each in wanted if isinstance(each, Retrain) for name in each.models)]
        named += [each.model for each in wanted if isinstance(each, Waive)]
        whole = bool(named) or any(isinstance(each, Help) for each in wanted)
        pull = self.pull if wanted and event.is_pull_request else None
        rules = self._rules(f"refs/heads/{event.default_branch}", whole=whole) if wanted else _Rules()
        policy = Policy(
            repository_id=event.repository_id,
            repository=event.repository,
            default_branch=event.default_branch,
            guard=rules.guard,
            train_path=options.train_path,
            folder=options.folder,
        )
        if pull is not None and pull.base_ref != event.default_branch and policy.guards(pull.base_ref):
            rules = self._rules(f"refs/heads/{pull.base_ref}", whole=whole)
        facts = Facts(
            event=event,
            role=role,
            policy=policy,
            judge_workflow=PurePosixPath(options.judge_path).name,
            release_workflow=PurePosixPath(options.release_path).name,
            page=f"{self.job.server_url}/{self.job.repository}/pull/{event.number}",
            pull=pull,
            tip=tip_of(github, pull.base_ref) if pull and any(isinstance(each, Retrain) for each in wanted) else None,
            runs=github.runs(pull.head_sha, "pull_request") if pull else (),
            config=rules.config,
            config_refusal=rules.refusal,
            records=recorded(comments, options.bot),
            resumed=resumed,
        )
        if pull is not None and rules.config is not None and not all(map(rules.config.model, named)):
            facts = facts.model_copy(update={"head_models": self._head_models(pull)})
        if pull is not None and any(isinstance(each, Status) for each in wanted):
            facts = facts.model_copy(update={"progress": self._progress(facts, pull, comments)})
        return facts

    def _rules(self, ref: str, *, whole: bool, folder: ConfigFolder | None = None) -> _Rules:
        """What the config at a commit or a full ref says (a tag may be called like a branch), or why none can be read.

        A command that names nothing of it needs to know what is guarded. Whether the rest is right the judge says.
        """
        path = (folder or self.options.folder).config
        raw = read_file(self.github, path, ref)
        if raw is None:
            return _Rules(refusal=Decision(reason=Reason.NO_CONFIG))
        top = {} if whole else plain_top(raw)
        if top.get("version") == ["1"] and "models" in top:
            return _Rules(guard=tuple(top.get("guard", ())))
        try:
            config = parse_config(load(raw, path))
        except ConfigError as error:
            first, *others = error.problems
            values = {"problem": first, "place": first.place(error.source), "more": len(others)}
            return _Rules(refusal=Decision(reason=Reason.CONFIG_BROKEN, values=values))
        return _Rules(guard=config.guard, config=config)

    def _head_models(self, pull: PullRequest) -> dict[str, tuple[Gate, ...]]:
        """The models of the head's own config, for a command that names one which the guarded branch does not have."""
        try:
            head = self._rules(pull.head_sha, whole=True).config
        except MlbotError:
            return {}
        return {model.name: model.gates for model in head.models} if head else {}

    def _progress(self, facts: Facts, pull: PullRequest, comments: Sequence[Comment]) -> Progress:
        """What only the status asks for."""
        github, runs, marker = (
            self.github,
            facts.trainings,
            report_marker(self.options.train_path, self.options.folder.config),
        )
        login = self.job.speaker or ACTIONS_BOT  # with its own job's token, whoever answers comments
        publisher, status = replace(github, known_login=login), facts.policy.status
        own = [each for each in comments if each.author == login and carries(each.body, marker)]
        return Progress(
            status=publisher.status(pull.head_sha, status) or github.status(pull.head_sha, status),
            jobs=tuple((job.name, job.state) for job in jobs(github, runs[0].id)) if runs else (),
            report=own[0] if own else None,
        )

    # What is done

    def _carry_out(self, found: Sequence[Reply], begun: Sequence[Recorded]) -> Exit:
        """Write the records, have the effects, and write how it went."""
        if not found:
            self.console.say("Not answered: an earlier answer names the limit.")
            return Exit.OK
        if self.options.dry_run:
            answer = self._operation(found, begun, working=False)
            dry_run([*(effect for each in found for effect in each.decision.effects), answer], self.console.result)
            self.console.result(answer.body)
            return Exit.OK
        if any(each.decision.effects or each.decision.records for each in found):
            self._write(found, begun, working=True)
        done = [self.carry_out(each) for each in found]
        self._write(done, begun, working=False)
        if all(each.decision.reason is not Reason.DONE for each in done):
            self.react("confused")
        elif any(each.decision.effects for each in done):
            self.react("rocket")
        for each in done:
            self.console.say(f"{each.text}: {each.decision.reason}")
        return Exit.OK

    def _operation(self, found: Sequence[Reply], begun: Sequence[Recorded], *, working: bool) -> UpsertComment:
        """The answer as it is to be."""
        comment = self.event.comment
        records = [record for each in found for record in each.decision.records]
        records += [each for each in begun if each not in records]
        folder = self.options.folder.path
        line = last_line(comment, records, folder=folder, done=not working)
        body = answer(found, marker=line, run_url=self.job.run_url, working=working)
        return UpsertComment(number=self.event.number, marker=answer_marker(comment, folder), body=body)

    def _write(self, found: Sequence[Reply], begun: Sequence[Recorded], *, working: bool) -> None:
        self.executor.do(self._operation(found, begun, working=working))
        self.check_login()

    def carry_out(self, reply: Reply) -> Reply:
        """Have the effects of one command; the reply says what came of it."""
        for effect in reply.decision.effects:
            if effect in self.done:
                continue
            try:
                done = self.executor.do(effect)
            except MlbotError as error:
                self.console.say(f"{error}")
                if not isinstance(effect, SetStatus):
                    return reply.model_copy(update={"decision": _not_done(effect, reply.decision, error)})
            else:
                if isinstance(effect, Rerun) and done == Effected.NOT_CURRENT:
                    return reply.model_copy(update={"decision": Decision(reason=Reason.CHANGED_MEANWHILE)})
            self.done.append(effect)
        return reply


def commands_before(comments: Iterable[Comment], event: CommentEvent) -> int:
    """How many commands somebody wrote in this thread in the minute before a comment.

    Counted by GitHub's clock, so that a job that had to wait counts the same.
    """
    if event.created is None:
        return 0
    return sum(
        len(parse_comment(each.body))
        for each in comments
        if each.author == event.author
        and each.id < event.comment
        and each.created is not None
        and 0 <= seconds_between(each.created, event.created) < WINDOW_S
    )


def _not_done(effect: Effect, decision: Decision, error: MlbotError) -> Decision:
    """A decision whose effect GitHub did not have, as far as anybody knows.

    A record stays unless the re-run that it announces is known not to be: an attempt that is a trial, and that nobody
    knows to be one, would be taken for the committed parameters' own.
    """
    values = {
        "what": error.what,
        "hint": error.hint,
        "run": decision.values.get("run"),
        "recorded": bool(decision.records),
        "workflow": effect.workflow if isinstance(effect, Dispatch) else "",
    }
    match effect:
        case Rerun():
            gone = not isinstance(error, UnavailableError)
            return Decision(reason=Reason.NOT_RERUN, values=values, records=() if gone else decision.records)
        case Dispatch():
            reason = Reason.NO_WORKFLOW if isinstance(error, NotFoundError) else Reason.NOT_STARTED
        case _:
            reason = Reason.NOT_DONE
    return Decision(reason=reason, values=values, records=decision.records)
