"""Where releases and deployments are recorded: the remote `origin` where there is one, else the repository itself."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from mlbot.config.schema import Config, EnvironmentConfig, Model
from mlbot.errors import MlbotError, NotEvaluatedError, UsageError
from mlbot.events.github import Attempt
from mlbot.git.command import make_bare, try_git
from mlbot.git.ledger import LedgerBranch, fetch_history, fetch_ledger
from mlbot.git.locks import LockRef
from mlbot.git.merge import first_parents
from mlbot.git.remote import Remote, failure
from mlbot.git.repository import Repository
from mlbot.git.tags import create_tag, push_tag, read_tags
from mlbot.ledger.entries import Entry, Kind, Time, time_of
from mlbot.lib.constants import CONFIG_FILE
from mlbot.lib.record import Digest, Sha
from mlbot.lib.tree import TagRef, is_url
from mlbot.lib.version import Stored, Version
from mlbot.plan.run_plan import Configs, Sides, read_configs, read_sides
from mlbot.registry.tags import Registry, TagNote, tag_message
from mlbot.storage.digest import OtherBytesError
from mlbot.storage.store import ModelStore, NotStoredError, open_store
from mlbot.storage.target import Target, open_target
from mlbot.verdict.verdict import Commits


@dataclass(frozen=True, kw_only=True)
class Tags:
    """The remote's tags, in a repository of their own that borrows the checkout's objects.

    They are read as they are there, made there, and never moved.
    """

    remote: Remote
    checkout: Repository
    folder: Path

    @classmethod
    @contextmanager
    def of(cls, remote: Remote, checkout: Repository) -> Iterator["Tags"]:
        """The tags as they are now, whatever the checkout knows of them. Errors: as `fetch`."""
        with tempfile.TemporaryDirectory(prefix="mlbot-tags-", ignore_cleanup_errors=True) as folder:
            here = Path(folder)
            make_bare(here)
            alternates = here / "objects" / "info" / "alternates"
            alternates.parent.mkdir(exist_ok=True)
            alternates.write_text(f"{checkout.common_dir / 'objects'}\n", encoding="utf-8")
            tags = cls(remote=remote, checkout=checkout, folder=here)
            tags.fetch()
            yield tags

    def fetch(self) -> None:
        """Read them anew.

        Raises:
            RefusedError: the token may not read them.
            NotEvaluatedError: the remote does not answer.
        """
        fetch = ["fetch", "--quiet", "--prune", self.remote.url, "+refs/tags/*:refs/tags/*"]
        done = self.remote.run(fetch, self.folder)
        if done.returncode != 0:
            raise failure(done, "reading", "refs/tags")

    def all(self) -> tuple[TagRef, ...]:
        """Every tag."""
        return read_tags(self.folder)

    def registry(self) -> Registry:
        """What they say together."""
        return Registry.of(self.all())

    def find(self, name: str) -> TagRef | None:
        """A tag by its name."""
        return next((each for each in self.all() if each.name == name), None)

    def bring(self, name: str) -> None:
        """Let the checkout have the commits of a tag, to look at them.

        Raises:
            NotEvaluatedError: git does not take them.
        """
        fetch = ["fetch", "--quiet", "--no-tags", str(self.folder), f"refs/tags/{name}"]
        done = try_git(fetch, self.checkout.root)
        if done.returncode != 0:
            raise failure(done, "reading", name)

    def make(self, name: str, sentence: str, note: TagNote, time: Time) -> TagRef:
        """Make an annotated tag, here and in the remote; one that is there already stays as it is.

        The same arguments make the same tag object, whenever that is: so one that was deleted comes back as it was.

        Raises:
            RefusedError: the token or a rule of the repository forbids it.
            NotEvaluatedError: the remote does not answer, or the tag was made by somebody else meanwhile.
        """
        if self.find(name) is None:
            when = int(datetime.fromisoformat(time).timestamp())
            create_tag(self.folder, name, note.commit, tag_message(sentence, note), when)
            if not push_tag(self.folder, self.remote, name):  # it is somebody else's, and may be another object
                self.fetch()
        made = self.find(name)
        if made is None:
            raise NotEvaluatedError(f"the tag {name} is not there although it was pushed", hint="Run it again.")
        return made


_UNSHALLOW = "Fetch the whole history: git fetch --unshallow (in GitHub Actions: actions/checkout with fetch-depth: 0)."


@dataclass(frozen=True, kw_only=True)
class RepositoryContext:
    """One repository, and who acts on it."""

    repository: Repository
    remote: Remote  # where ledger, tags and locks are; the repository itself where there is no other
    branch: str  # the guarded branch that is released from: the default branch
    actor: str  # who acts: a login on GitHub, on a laptop whom git says the user is
    say: Callable[[str], None]
    run: Attempt | None = None  # the workflow's run; None on a laptop
    token: str | None = None  # for stores and targets on `ghcr.io`
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    # Called with what was written to the ledger, also of what was there already.
    on_entry: Callable[[Entry], None] = lambda _entry: None

    @classmethod
    def of_laptop(
        cls, directory: Path, environment: Mapping[str, str], say: Callable[[str], None]
    ) -> "RepositoryContext":
        """The context of a checkout on a person's machine.

        Raises:
            UsageError: there is no repository, no default branch, or git does not know who the user is.
        """
        repository = Repository.discover(directory)
        url = origin_of(repository) or str(repository.common_dir)
        actor = actor_of(repository, environment)
        context = cls(
            repository=repository, remote=Remote(url=url), branch=repository.default_branch().name, actor=actor, say=say
        )
        context.catch_up()
        return context

    @property
    def has_remote(self) -> bool:
        """Whether what is recorded is in another repository than the checkout's."""
        return self.remote.url != str(self.repository.common_dir)

    def catch_up(self) -> None:
        """Fetch the guarded branch.

        Raises:
            UsageError: the clone is shallow, so that nobody can tell what is merged.
            RefusedError: the token may not read it.
            NotEvaluatedError: the remote does not answer.
        """
        if self.repository.shallow:
            raise UsageError("this clone is shallow, so nobody can tell what is merged", hint=_UNSHALLOW)
        if self.has_remote:
            spec = f"+refs/heads/{self.branch}:refs/remotes/origin/{self.branch}"
            done = self.remote.run(["fetch", "--quiet", "--no-tags", self.remote.url, spec], self.repository.root)
            if done.returncode != 0:
                raise failure(done, "reading", self.branch)

    def update_checkout(self) -> None:
        """Let the checkout know the remote's ledger and tags as they are now; where that fails, it knows older ones."""
        if self.has_remote:
            with suppress(MlbotError):
                fetch_history(self.repository.root, self.remote)

    def update_ledger(self) -> None:
        """Let a laptop's checkout know the remote's ledger as it is now; where that fails, it knows an older one."""
        if self.has_remote and self.run is None:
            with suppress(MlbotError):
                fetch_ledger(self.repository.root, self.remote)

    @cached_property
    def tip(self) -> Sha:
        """The guarded branch's tip."""
        where = "remotes/origin" if self.has_remote else "heads"
        return self.repository.resolve(f"refs/{where}/{self.branch}")

    @cached_property
    def config(self) -> Config:
        """The guarded branch's mlbot.yaml. Raises `UsageError` where it has none, or a wrong one."""
        if self.repository.tree(self.tip).file(CONFIG_FILE) is None:
            raise UsageError(f"{self.branch} has no {CONFIG_FILE}", hint="Make one: mlbot init, and merge it.")
        return self.configs_at(self.tip).head

    def configs_at(self, commit: Sha) -> Configs:
        """A commit's config, by itself. Raises `UsageError` where it has none, or a wrong one."""
        return read_configs(self.repository, self._alone(commit))

    def sides_at(self, commit: Sha, *, outside: bool) -> Sides:
        """A commit's files, for the content keys of its models."""
        return read_sides(self.repository, self._alone(commit), self.configs_at(commit), outside=outside)

    def _alone(self, commit: Sha) -> Commits:
        return Commits(head=commit, base=None, policy=None, guarded=self.branch)

    def is_merged(self, commit: Sha) -> bool:
        """Whether a commit was the guarded branch's tip: what came in by a second parent never was."""
        return commit in self.chain

    @cached_property
    def chain(self) -> Mapping[Sha, int]:
        """The commits that were the guarded branch's tip, with their places."""
        return first_parents(self.repository, self.tip)

    def environment(self, name: str) -> EnvironmentConfig | None:
        """The environment as the guarded branch has it."""
        return next((each for each in self.config.environments if each.name == name), None)

    @property
    def time(self) -> Time:
        """Now, as the ledger says it."""
        return time_of(self.now())

    @property
    def seconds(self) -> int:
        """Now, in seconds since 1970."""
        return int(self.now().timestamp())

    @property
    def ledger(self) -> LedgerBranch:
        """The ledger."""
        return LedgerBranch.at(self.remote)

    def entries(self, kind: Kind | None = None, subject: str | None = None) -> tuple[Entry, ...]:
        """What the ledger has now."""
        return self.ledger.read(kind, subject).entries

    def of_model(self, model: str, environment: str | None = None) -> tuple[Entry, ...]:
        """All that the ledger has on a model now, and an environment's locks."""
        found = tuple(each for each in self.entries(subject=model) if each.kind != "lock")
        return (*found, *self.entries("lock", environment)) if environment else found

    def record(self, *entries: Entry) -> None:
        """Write to the ledger; what is there already stays as it is."""
        self.ledger.append(entries, self.seconds)
        for each in entries:
            self.on_entry(each)

    def lock(self, environment: str) -> LockRef:
        """An environment's lock."""
        return LockRef(remote=self.remote, environment=environment)

    @cached_property
    def store(self) -> ModelStore:
        """Where model bytes are. Raises `UsageError` where the config names none."""
        if self.config.store is None:
            raise UsageError(
                f"{CONFIG_FILE} names no store, so there is nowhere to take a model's bytes from",
                hint="Name one and merge that, for a start a folder: `store: file:///srv/models/store`.",
            )
        return open_store(self.config.store, self.repository.project, token=self.token)

    def fetch(self, digest: Digest, file: Path) -> Stored:
        """Fetch a model's bytes and verify them; the file is there only if they are the very ones."""
        try:
            self.store.get(digest, file)
        except NotStoredError:
            return Stored.MISSING
        except OtherBytesError:
            return Stored.DIFFERS
        return Stored.VERIFIED

    def document(self, digest: Digest | None) -> bytes | None:
        """A stored document; None where there is none."""
        if digest is None or not self.store.has(digest):
            return None
        with tempfile.TemporaryDirectory(prefix="mlbot-document-") as folder:
            file = Path(folder) / "document"
            self.store.get(digest, file)
            return file.read_bytes()

    @contextmanager
    def checkout(self, commit: Sha, model: Model) -> Iterator[Path]:
        """A commit in a folder of its own, with the model's data that git does not have lent from the checkout."""
        paths = {path for path in (model.data.train, model.data.holdout) if path and not is_url(path)}
        tree, root = self.repository.tree(commit), self.repository.project
        links = {path: root / path for path in sorted(paths) if not tree.match(path) and (root / path).exists()}
        with self.repository.worktree(commit, links=links) as folder:
            yield folder

    def target(self, environment: EnvironmentConfig) -> Target:
        """Where an environment's models are served."""
        return open_target(environment, self.repository.project, token=self.token)

    def is_deprecated(self, model: str, version: str) -> bool:
        """Whether a tag withdraws the version, or the model. Errors: as `catch_up`."""
        with self.tags() as tags:
            by_tags = tags.registry().of_model(model)
        mine = by_tags.find(Version.parse(version))
        return by_tags.deprecated is not None or (mine is not None and mine.withdrawn is not None)

    def tags(self) -> AbstractContextManager[Tags]:
        """The tags as they are now. Errors: as `catch_up`."""
        return Tags.of(self.remote, self.repository)


def origin_of(repository: Repository) -> str | None:
    """Where `origin` is; a relative folder made absolute, for git runs in other folders too."""
    done = try_git(["remote", "get-url", "origin"], repository.root)
    url = done.stdout.decode("utf-8", "surrogateescape").strip()
    if not url or ":" in url.partition("/")[0]:  # a scheme, or ssh's host:path
        return url or None
    return str((repository.root / url).resolve())


def actor_of(repository: Repository, environment: Mapping[str, str]) -> str:
    """Whom git says the user is. Raises `UsageError` where it does not say."""
    for name in ("GIT_COMMITTER_NAME", "GIT_AUTHOR_NAME"):
        if environment.get(name, "").strip():
            return _one_line(environment[name])
    for key in ("user.name", "user.email"):
        done = try_git(["config", "--get", key], repository.root)
        name = done.stdout.decode("utf-8", "replace").strip()
        if name:
            return _one_line(name)
    raise UsageError("git does not know who you are, and the ledger has to", hint='Set it: git config user.name "…"')


def _one_line(name: str) -> str:
    """A person's name as the ledger takes it."""
    return "".join(char if char.isprintable() else " " for char in name).strip()[:200]
