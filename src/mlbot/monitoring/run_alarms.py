"""`mlbot ci monitor`, `refresh` and `alarm`: the three jobs of the workflow that watches models in production.

The first reads what strangers sent to production, and hands over counts alone. The second runs the guarded branch's
command that fetches new data, and hands over files. The third looks at what it was handed again, and writes.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path, PurePosixPath

from mlbot.config.folder import ConfigFolder
from mlbot.config.schema import Config, Model
from mlbot.console import Console
from mlbot.delivery.run_endpoint import live_samples
from mlbot.errors import Exit, MlbotError, NotEvaluatedError, RefusedError, UsageError, require
from mlbot.events.github import Login, parse_remote
from mlbot.git.command import git
from mlbot.git.ledger import is_ancestor
from mlbot.git.proposal import commit_files, push_branch
from mlbot.git.remote import Remote
from mlbot.git.repository import Repository
from mlbot.github.api import GitHub
from mlbot.github.executor import Executor
from mlbot.github.issues import IssueDone, earlier_proposal
from mlbot.github.job import Job, Runner, forget_tokens
from mlbot.ledger.entries import DayEntry, Entry
from mlbot.lib.constants import ACTIONS_BOT
from mlbot.lib.escape import one_line
from mlbot.lib.record import Digest, Name, Sha, digest, digest_of_stream
from mlbot.lib.untrusted_json import read
from mlbot.monitoring.alarms import (
    FILES_FILE,
    HANDED_BYTES,
    HANDED_FILE,
    MOST_BYTES,
    MOST_FILES,
    MOST_SHOWN,
    Change,
    ChangedFile,
    Controlled,
    HandedDays,
    HandedFiles,
    Hindrance,
    Place,
    Refreshed,
    Trouble,
    Unread,
    Watched,
    branch_of,
    environment_of,
    issue_of,
    marker_of,
    may_write,
    proposal_of,
    stamp_text,
    summary_of,
)
from mlbot.monitoring.run_monitor import MonitorOptions, days_of_logs, exit_of, last_day, watched_models
from mlbot.protocol.inference import ControlSamples
from mlbot.protocol.operations import AppendLedger, ProposeChange, Proposed, UpsertIssue, describe
from mlbot.registry.run_repository import RepositoryContext

_NONE = "none"
_AGAIN = "Run the jobs again."


@dataclass(frozen=True, kw_only=True)
class MonitorJob:
    """The job that this process is in. `directory` is the checkout of the default branch."""

    job: Job
    github: GitHub
    runner: Runner
    directory: Path
    folder: ConfigFolder
    console: Console = field(repr=False)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @classmethod
    def of(
        cls, directory: Path, folder: ConfigFolder, environment: MutableMapping[str, str], console: Console, bot: Login
    ) -> "MonitorJob":
        """The job by its environment; the tokens are taken out of it.

        Raises:
            UsageError: this is no job of GitHub Actions, or it has no token.
        """
        job = Job.of(environment)
        forget_tokens(environment)
        return cls(
            job=job,
            github=GitHub.of_job(job, console.say, bot),
            runner=Runner.of(environment, console.err),
            directory=directory,
            folder=folder,
            console=console,
        )

    @property
    def context(self) -> RepositoryContext:
        """Where days are recorded: this very repository, as its remote has it now. Errors: as `catch_up`."""
        context = RepositoryContext(
            repository=Repository.discover(self.directory, self.folder.path),
            remote=Remote(url=self.job.clone_url, token=self.job.token),
            branch=self.github.facts().default_branch,
            actor=self.github.known_login or ACTIONS_BOT,
            say=self.console.say,
            run=self.job.run,
            token=self.job.token,
            now=self.now,
        )
        context.catch_up()
        return context

    def place(self, context: RepositoryContext) -> Place:
        """Where it is shown."""
        return Place(
            repository=f"{self.job.server_url}/{self.job.repository}",
            run=self.job.run_url,
            guarded=context.branch,
            folder=self.folder,
            app=self.github.known_login not in {None, ACTIONS_BOT},
        )

    @property
    def yesterday(self) -> date:
        """The last day that is over (UTC)."""
        return self.now().astimezone(UTC).date() - timedelta(days=1)


# The first job: reads the logs.


ReadDays = Callable[[RepositoryContext, date], HandedDays]
"""What the logs say of the days that the ledger lacks, up to one. What cannot be read is said, and no error."""


def read_days(context: RepositoryContext, last: date) -> HandedDays:
    """What the logs say of every model that is watched, as they are."""
    return _days_of(context, last, context.config.models)


def _days_of(context: RepositoryContext, last: date, models: Sequence[Model]) -> HandedDays:
    found = [*days_of_logs(context, last, models)]
    asked = [Controlled(model=name, found=samples) for name, _, _ in found if (samples := _asked(context, name))]
    return HandedDays(
        controls=tuple(asked),
        entries=tuple(each for _, made, _ in found for each in made),
        unread=tuple(
            Unread(model=name, day=day, why=one_line(why, 500))
            for name, _, faults in found
            for day, why in faults.items()
        ),
    )


def _asked(context: RepositoryContext, model: Name) -> ControlSamples | None:
    """What the live endpoint answers to golden requests; None where there is none, or they could not be had."""
    try:
        return live_samples(context, model, environment_of(context.config, model))
    except MlbotError as error:
        context.say(f"{model}: the endpoint was not asked: {error.line}")
        return None


def look_run(ci: MonitorJob, folder: Path, read_days: ReadDays) -> Exit:
    """Read the logs, hand over what they say, and print its digest and the models whose data is to be refreshed."""
    context = ci.context
    handed = read_days(context, ci.yesterday)
    raw = handed.model_dump_json().encode()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / HANDED_FILE).write_bytes(raw)
    due = [each for each in _all_watched(ci, context, handed) if each.is_due and each.follow.then == "refresh"]
    lacking = [each.now.model for each in due if _proposed(ci, each) is None]
    ci.console.result(f"digest={digest(raw)}")
    ci.console.result(f"refresh={' '.join(lacking) or _NONE}")
    return Exit.OK


def _proposed(ci: MonitorJob, watched: Watched) -> Proposed | None:
    """The pull request that there is already; None where there is none."""
    model = watched.now.model
    return earlier_proposal(ci.github, branch_of(model), marker_of(model), watched.stamp)


def _all_watched(ci: MonitorJob, context: RepositoryContext, handed: HandedDays) -> list[Watched]:
    """Every model that is watched, with what was handed over as if the ledger had it."""
    return [_watched(context, each, handed, ci.yesterday) for each in context.config.models if each.monitor]


def _watched(context: RepositoryContext, model: Model, handed: HandedDays, last: date) -> Watched:
    new = [each for each in handed.entries if each.model == model.name]
    unread = {each.day: each.why for each in handed.unread if each.model == model.name}
    entries, day = (*context.of_model(model.name), *new), last.isoformat()
    why, control = unread.get(day), handed.control_of(model.name)
    return Watched.of(entries, context.config, model, day, unread=why, control=control)


# What the jobs would write, said beforehand.


def rehearse(directory: Path, options: MonitorOptions, console: Console, *, as_json: bool) -> Exit:
    """Print the issues and the pull requests that the workflow would write as of a day, and write nothing.

    No command that refreshes data is run: the files that it may change stand for those that it would.
    """
    require("judge", needed_for="Reading the logs of production")
    context = RepositoryContext.of_laptop(directory, os.environ, console.say)
    last = last_day(context, options)
    models = [model for model, _ in watched_models(context, options.model)]
    handed = _days_of(context, last, models)
    if options.date:  # nobody can ask what was live on a day that is over
        handed = handed.model_copy(update={"controls": ()})
    found = [_watched(context, each, handed, last) for each in models]
    page, folder = _page_of(context), ConfigFolder.of(context.repository.folder)
    place = Place(repository=page, run=f"{page}/actions", guarded=context.branch, folder=folder)
    operations: list[UpsertIssue | ProposeChange] = [issue_of(each, place, Change()) for each in found]
    operations += [_likely(context, each, place) for each in found if each.is_due]
    if as_json:
        console.result(json.dumps([each.model_dump(mode="json") for each in operations], indent=2))
    for operation in () if as_json else operations:
        console.result(f"would {describe(operation)}\n\n{operation.title}\n\n{operation.body}\n")
    return exit_of([each.now for each in found])


def _page_of(context: RepositoryContext) -> str:
    remote = parse_remote(context.remote.url)
    return f"{remote.server}/{remote.repository}" if remote else "https://github.com/OWNER/NAME"


def _likely(context: RepositoryContext, watched: Watched, place: Place) -> ProposeChange:
    model = context.config.model(watched.now.model)
    prefix = f"{place.folder.path}/" if place.folder.path else ""
    names = watched.follow.files(model.data.train if model else None)
    return proposal_of(watched, place, context.tip, {f"{prefix}{each}": digest("") for each in names})


# The second job: runs the command that refreshes data.


def refresh_run(directory: Path, folder: ConfigFolder, models: Sequence[str], out: Path, console: Console) -> Exit:
    """Run the commands of models whose data is to be refreshed, and hand over the files that they changed."""
    repository = Repository.discover(directory, folder.path)
    config = _config_here(repository)
    out.mkdir(parents=True, exist_ok=True)
    tip = repository.resolve("HEAD")
    found = [_refreshed(repository, tip, config, name, out, console) for name in models]
    raw = HandedFiles(tip=tip, models=tuple(found)).model_dump_json().encode()
    (out / FILES_FILE).write_bytes(raw)
    console.result(f"digest={digest(raw)}")
    return Exit.OK


def _config_here(repository: Repository) -> Config:
    from mlbot.config.run_check import load_config

    return load_config(repository.project)


def _refreshed(repository: Repository, tip: Sha, config: Config, name: str, out: Path, console: Console) -> Refreshed:
    model = config.model(name)
    monitor = model.monitor if model else None
    if model is None or monitor is None or monitor.alarms.run is None:
        raise UsageError(f"mlbot.yaml has no command that refreshes the data of {name!r}")
    console.say(f"{name}: running {monitor.alarms.run.splitlines()[0]}")
    code = _run(monitor.alarms.run, repository.project)
    try:
        if code != 0:
            return _hindered(name, Trouble.COMMAND, str(code))
        if repository.resolve("HEAD") != tip:
            return _hindered(name, Trouble.COMMITTED)
        return _collected(repository, name, monitor.alarms.files(model.data.train), out)
    finally:  # the next model's command starts from the commit, too
        git(["reset", "--quiet", "--hard", tip], repository.root)
        git(["clean", "--quiet", "--force", "-d"], repository.root)


def _hindered(name: str, code: Trouble, detail: str = "", files: Sequence[str] = ()) -> Refreshed:
    shown = tuple(one_line(each, 200) for each in files[:MOST_SHOWN])
    return Refreshed(model=name, hindrance=Hindrance(code=code, detail=one_line(detail, 200), files=shown))


def _run(command: str, folder: Path) -> int:
    """The exit code of a command of the guarded branch's. It may print, and gets none of GitHub's files to write to."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "ACTIONS_", "MLBOT_"))}
    shell = ["bash", "-euo", "pipefail", "-c", command]
    # What it prints goes to the log: standard output is the job's outputs.
    return subprocess.run(shell, cwd=folder, env=own, stdin=subprocess.DEVNULL, stdout=2, check=False).returncode


def _collected(repository: Repository, name: Name, allowed: Sequence[str], out: Path) -> Refreshed:
    """What differs from the commit, as far as it may; taken as files, whatever git would make of them."""
    folder, changed = ConfigFolder.of(repository.folder), [*_changed(repository)]
    refused = [path for path in changed if not (may_write(path, allowed, folder) and _is_plain(repository.root, path))]
    if refused:
        return _hindered(name, Trouble.OTHER_FILES, files=refused)
    if in_lfs := next((path for path in changed if _is_in_lfs(repository, path)), None):
        return _hindered(name, Trouble.LFS, in_lfs)
    sizes = [(repository.root / path).stat().st_size for path in changed]
    if len(changed) > MOST_FILES or any(size > MOST_BYTES for size in sizes):
        return _hindered(name, Trouble.TOO_MUCH)
    return Refreshed(model=name, files=tuple(_copied(repository.root / path, path, out) for path in changed))


def _changed(repository: Repository) -> Iterator[str]:
    """The paths that differ from the commit, those that are new too, but for what git ignores.

    A name that is no text is of no file that may be taken, and is shown as what it is.
    """
    listed = ["status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=none"]
    for line in git(listed, repository.root).decode("utf-8", "backslashreplace").split("\0"):
        if line:
            yield line[3:]


def _is_plain(root: Path, path: str) -> bool:
    """Whether it is a file that is still there, reached by no link."""
    parts = PurePosixPath(path).parts
    folders = [root.joinpath(*parts[:depth]) for depth in range(1, len(parts))]
    file = root / path
    return file.is_file() and not file.is_symlink() and not any(each.is_symlink() for each in folders)


def _is_in_lfs(repository: Repository, path: str) -> bool:
    out = git(["check-attr", "-z", "filter", "--", path], repository.root)
    return out.split(b"\0")[2:3] == [b"lfs"]


def _copied(file: Path, path: str, out: Path) -> ChangedFile:
    with file.open("rb") as stream:
        content = digest_of_stream(stream)
    shutil.copyfile(file, out / _file_name(content))
    return ChangedFile(path=path, digest=content, size_bytes=file.stat().st_size)


def _file_name(content: Digest) -> str:
    return f"{content.removeprefix('sha256:')}.file"


# The third job: writes.


@dataclass(frozen=True, kw_only=True)
class Handed:
    """What the jobs before handed over; a folder is read only by the digest that its job put out."""

    days: Path
    digest: str
    files: Path
    files_digest: str = _NONE
    refresh: str = "skipped"  # how that job ended, as GitHub says it

    def read_days(self) -> HandedDays:
        """The days. Raises `NotEvaluatedError` where they are not the very ones."""
        return read(_verified(self.days / HANDED_FILE, self.digest), HandedDays, HANDED_FILE, most_bytes=HANDED_BYTES)

    def read_files(self) -> HandedFiles | None:
        """The refreshed files; None where no job made any. Errors: as above."""
        if self.files_digest == _NONE:
            return None
        return read(_verified(self.files / FILES_FILE, self.files_digest), HandedFiles, FILES_FILE, most_bytes=1 << 20)


def _verified(path: Path, expected: str) -> bytes:
    if not path.is_file() or path.stat().st_size > HANDED_BYTES:
        raise NotEvaluatedError(f"there is no {path.name} that an earlier job handed over", hint=_AGAIN)
    raw = path.read_bytes()
    if digest(raw) != expected:
        raise NotEvaluatedError(f"{path.name} is not what the earlier job handed over", hint=_AGAIN)
    return raw


def alarm_run(ci: MonitorJob, handed: Handed) -> Exit:
    """Write the days into the ledger, propose what is due, and bring the issues up to date."""
    require("judge", needed_for="Comparing days")
    context = ci.context
    days = handed.read_days().checked(context.config)
    watched = _all_watched(ci, context, days)
    writer = _Writer(ci=ci, context=context, place=ci.place(context), handed=handed)
    writer.executor.apply([AppendLedger(entries=_new(context, days.entries))]).raise_failures()
    issues = [issue_of(each, writer.place, writer.change(each)) for each in watched]
    published = writer.executor.apply(issues)
    off = any(done == IssueDone.OFF for _, done in published.done)
    ci.runner.add_summary(summary_of(issues, off=off).text)
    for kind, done in published.done:
        ci.console.say(f"{kind}: {done}")
    # An issue that the token may not write is a fault here: nobody else says that production alarms.
    for fault in (*published.failed, *published.refused, *writer.faults):
        raise fault
    return Exit.OK


def _new(context: RepositoryContext, entries: Sequence[DayEntry]) -> tuple[DayEntry, ...]:
    """Entries of days that are over; the ledger leaves those that it has."""
    today = context.now().astimezone(UTC).date().isoformat()
    return tuple(each for each in entries if each.date < today)


_Files = tuple[Sha, Mapping[str, Digest]]
"""A commit, and what files are to be on it."""


def _hindered_by(code: Trouble, detail: str = "") -> Change:
    return Change(hindrance=Hindrance(code=code, detail=one_line(detail, 500)))


@dataclass(frozen=True, kw_only=True)
class _Writer:
    ci: MonitorJob
    context: RepositoryContext
    place: Place
    handed: Handed
    faults: list[NotEvaluatedError] = field(default_factory=list)
    """What kept changes from being proposed, and ends the job once every issue is up to date."""

    @property
    def executor(self) -> Executor:
        def append(entries: Sequence[Entry]) -> None:
            if entries:
                self.context.record(*entries)

        return Executor(
            github=self.ci.github,
            runner=self.ci.runner,
            append=append,
            push=lambda _: "",
            push_branch=self._push,
        )

    def change(self, watched: Watched) -> Change:
        """Propose the change that is due, if one is; what came of it."""
        if not watched.is_due:
            return Change()
        try:
            return self._proposed(watched)
        except (RefusedError, NotEvaluatedError) as error:
            if isinstance(error, NotEvaluatedError):
                self.faults.append(error)
            return _hindered_by(Trouble.NOT_PUSHED, error.line)

    def _proposed(self, watched: Watched) -> Change:
        if found := _proposed(self.ci, watched):
            return Change(proposed=found)
        made = self._stamped(watched) if watched.follow.then == "retrain" else self._refreshed(watched)
        if isinstance(made, Change):
            return made
        tip, files = made
        wanted = proposal_of(watched, self.place, tip, files)
        published = self.executor.apply([wanted])
        for fault in (*published.failed, *published.refused):
            raise fault
        return Change(proposed=published.proposals[wanted.branch])

    def _stamped(self, watched: Watched) -> "_Files | Change":
        stamp = watched.follow.stamp or ""
        path = f"{self.place.folder.path}/{stamp}" if self.place.folder.path else stamp
        if not may_write(path, (stamp,), self.place.folder):
            return _hindered_by(Trouble.NO_STAMP, stamp)
        raw = stamp_text(watched).encode()
        self.handed.files.mkdir(parents=True, exist_ok=True)
        self._file(digest(raw)).write_bytes(raw)
        return self.context.tip, {path: digest(raw)}

    def _refreshed(self, watched: Watched) -> "_Files | Change":
        """The files of a refresh, each looked at again: who ran the command is not believed what it may change."""
        given = self.handed.read_files()
        mine = next((each for each in given.models if each.model == watched.now.model), None) if given else None
        if given is None or mine is None:
            return _hindered_by(Trouble.SKIPPED, self.handed.refresh)
        if mine.hindrance:
            return Change(hindrance=mine.hindrance)
        model = self.context.config.model(watched.now.model)
        allowed = watched.follow.files(model.data.train if model else None)
        refused = [each.path for each in mine.files if not may_write(each.path, allowed, self.place.folder)]
        if refused:
            return Change(hindrance=_hindered(watched.now.model, Trouble.OTHER_FILES, files=refused).hindrance)
        # On the commit that the command ran on: what was merged since is in none of its files.
        if not is_ancestor(self.context.repository.root, given.tip, self.context.tip):
            return _hindered_by(Trouble.MOVED)
        for each in mine.files:
            self._check(each)
        return given.tip, {each.path: each.digest for each in mine.files}

    def _check(self, changed: ChangedFile) -> None:
        file = self._file(changed.digest)
        if not file.is_file() or file.is_symlink() or file.stat().st_size > MOST_BYTES:
            raise NotEvaluatedError(f"the refreshed {changed.path[:200]} was not handed over", hint=_AGAIN)
        with file.open("rb") as stream:
            if digest_of_stream(stream) != changed.digest:
                raise NotEvaluatedError(f"the refreshed {changed.path[:200]} is not what was handed over", hint=_AGAIN)

    def _file(self, content: Digest) -> Path:
        return self.handed.files / _file_name(content)

    def _push(self, operation: ProposeChange) -> bool:
        """Push a change to its branch; False where the guarded branch has it already."""
        files = {path: self._file(content) for path, content in operation.files.items()}
        # The alarm's day, so that a run that begins anew makes the same commit.
        when = int(datetime.fromisoformat(operation.stamp.day).replace(tzinfo=UTC).timestamp())
        root = self.context.repository.root
        commit = commit_files(root, operation.tip, files, operation.message, when)
        if commit is None:
            return False
        push_branch(root, self.context.remote, operation.branch, commit)
        return True
