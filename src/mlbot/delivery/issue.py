"""A version's issue: what it is, where it is, and what may be said next. A pure view of the ledger and the config."""

from collections.abc import Iterable

from mlbot.config.schema import Config, EnvironmentConfig
from mlbot.delivery.deployment import begun, serves
from mlbot.events.github import Attempt
from mlbot.ledger.entries import DeploymentEntry, Entry, ReleaseEntry
from mlbot.ledger.queries import approvals, deployments, locked, releases
from mlbot.lib.record import Record
from mlbot.registry.tag import name_of

LABEL = "mlbot-release"
"""The label of versions' issues."""


class Row(Record):
    """How a version stands in one environment."""

    environment: str
    state: str
    """`live`, `under way`, `failed`, `rolled back`, `replaced`, `next`, `waits` or `locked`."""
    said: str
    """What there is to know of it."""
    actor: str = ""
    time: str = ""
    run: Attempt | None = None


class ThreadView(Record):
    """All that a version's issue shows."""

    release: ReleaseEntry
    rows: tuple[Row, ...]
    copy_lines: tuple[str, ...]
    """The commands that make sense now."""
    open: bool
    """Whether anything may still come of it: the newest version, and what is live or under way somewhere."""

    @property
    def name(self) -> str:
        """`adult-income@v1.2.0`."""
        return name_of(self.release.model, self.release.version)

    @property
    def marker(self) -> str:
        """What the issue's last line is."""
        return marker_of(self.release.model, self.release.version)


def marker_of(model: str, version: str) -> str:
    """What a version's issue is found by."""
    return f"<!-- mlbot:version {name_of(model, version)} -->"


def thread_view(entries: Iterable[Entry], config: Config, release: ReleaseEntry) -> ThreadView:
    """A version's issue.

    Args:
        entries: the ledger's on the model, and all locks.
        config: the guarded branch's.
        release: the version.
    """
    known = tuple(entries)
    rows = tuple(_row(known, release, each) for each in config.environments)
    newest = releases(known, release.model)[-1:]
    busy = any(row.state in {"live", "under way"} for row in rows)
    return ThreadView(
        release=release,
        rows=rows,
        copy_lines=tuple(_lines(known, config, release, rows)),
        open=busy or release in newest,
    )


def first_environments(entries: Iterable[Entry], config: Config, release: ReleaseEntry) -> tuple[str, ...]:
    """Where a version goes by itself: where nothing comes before, unless it was on its way there once."""
    been = {each.environment for each in deployments(entries, release.model) if each.version == release.version}
    return tuple(each.name for each in config.environments if each.after is None and each.name not in been)


def _row(entries: tuple[Entry, ...], release: ReleaseEntry, environment: EnvironmentConfig) -> Row:
    name = environment.name
    mine = [each for each in deployments(entries, release.model, name) if each.version == release.version]
    if not mine:
        state, said = _not_yet(entries, release, environment)
        return Row(environment=name, state=state, said=said)
    last, live = mine[-1], serves(entries, name, release.model)
    state, said = _been(last, is_live=live is not None and live.version == release.version)
    return Row(environment=name, state=state, said=said, actor=last.actor, time=last.time, run=last.run)


def _been(last: DeploymentEntry, *, is_live: bool) -> tuple[str, str]:
    why = f" ({last.reason})" if last.reason else ""
    if last.state == "started":
        return "under way", f"the {last.action} has begun{why}"
    if is_live:
        return (
            "live",
            f"{last.detail}{why}".strip() if last.state == "succeeded" else "an earlier deployment of it is live",
        )
    if last.state == "succeeded":
        return "replaced", "another version is live"
    return ("rolled back" if last.state == "rolled-back" else "failed"), last.detail


def _not_yet(entries: tuple[Entry, ...], release: ReleaseEntry, environment: EnvironmentConfig) -> tuple[str, str]:
    lock = locked(entries, environment.name)
    if lock is not None:
        why = f": {lock.reason}" if lock.reason else ""
        return "locked", f"by {lock.actor} since {lock.time}{why}"
    said = approvals(entries, release.model, release.version, environment.name)
    mine = [each.actor for each in said if each.digest == release.digest]
    by = f" ({', '.join(mine)})" if mine else ""
    needs = f"{len(mine)} of {environment.approvals} approvals{by}" if environment.approvals else ""
    before = serves(entries, environment.after, release.model) if environment.after else None
    if environment.after and (before is None or before.digest != release.digest):
        return "waits", "; ".join(filter(None, (f"comes after {environment.after}", needs)))
    return "next", needs or "nothing is in the way"


def _lines(entries: tuple[Entry, ...], config: Config, release: ReleaseEntry, rows: tuple[Row, ...]) -> list[str]:
    """What one may copy: the next promotions with their approvals, and at the end the way back."""
    name, forward, back = name_of(release.model, release.version), [], []
    by_name = {each.name: each for each in config.environments}
    for row in rows:
        if row.state in {"next", "failed", "rolled back"}:
            forward.append(f"/promote {name} {row.environment}")
            if by_name[row.environment].approvals:
                forward.append(f"/approve {name} {row.environment}")
        if row.state == "locked":
            forward.append(f"/unlock {row.environment}")
        if row.state == "live" or begun(entries, row.environment, release.model):
            back.append(f'/rollback {release.model} {row.environment} reason="…"')
    return forward + back
