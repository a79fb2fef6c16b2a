"""`mlbot registry`: read tags and ledger of this clone, and say what they say together."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from mlbot.config.errors import nearest
from mlbot.console import Console
from mlbot.errors import Exit, UsageError
from mlbot.git.command import try_git
from mlbot.git.ledger import COPY, THEIRS, fetch_history, has_ledger, read_folders
from mlbot.git.ledger_restore import Clone, Restoration
from mlbot.git.remote import Remote
from mlbot.git.repository import Repository
from mlbot.git.tags import read_tags
from mlbot.ledger.entries import BRANCH, Ledger, folders_of, time_of
from mlbot.lib.record import Digest, Record, Sha
from mlbot.lib.terminal import Pen
from mlbot.lib.tree import is_url
from mlbot.lib.version import Version
from mlbot.plan.content_key import data_digest, dvc_files
from mlbot.registry import views
from mlbot.registry.console import (
    data_text,
    history_text,
    lineage_text,
    model_text,
    moment_text,
    registry_text,
    version_text,
)
from mlbot.registry.data_use import DataIndex
from mlbot.registry.run_repository import origin_of
from mlbot.registry.tags import Registry

_STATE = (*folders_of("release"), *folders_of("deployment"), *folders_of("lock"))

_ACTS = (*_STATE, *folders_of("approval"), *folders_of("waiver"))
"""All that people did; verdicts, which are most of a ledger, are read by `lineage` alone."""

_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?Z?)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistryQuery:
    """Which clone is asked, and how it answers; `fetch`: `origin` is asked for its tags and ledger first."""

    directory: Path
    console: Console
    fetch: bool = False
    token: str | None = None  # of a job, whose checkout kept none
    as_json: bool = False

    def open(self) -> Path:
        """The clone's top, up to date if that was asked for.

        Raises:
            UsageError: it is no clone, or there is nothing to fetch from.
            MlbotError: the remote cannot be read.
        """
        root = Repository.discover(self.directory).root
        has_origin = try_git(["remote", "get-url", "origin"], root).returncode == 0
        if self.fetch and not has_origin:
            raise UsageError("there is no remote origin to fetch from", hint="Leave out --fetch: all is here.")
        if self.fetch:
            fetched = fetch_history(root, self._origin(root))
            for tag in fetched.moved:
                self.console.say(f"The tag {tag} is another one at origin; this clone keeps its own.")
        elif has_origin:
            self.console.say("As last fetched from origin; --fetch asks it anew.")
        return root

    def _origin(self, root: Path) -> Remote:
        """Origin by its name, as the user's git reaches it; with a token by its address."""
        url = try_git(["remote", "get-url", "origin"], root).stdout.decode("utf-8", "surrogateescape").strip()
        return Remote(url=url, token=self.token) if self.token else Remote(url="origin")

    def answer(self, record: Record, text: str) -> None:
        """Print the result."""
        self.console.result(record.model_dump_json(indent=2) if self.as_json else text)


def list_models(asking: RegistryQuery) -> Exit:
    """Every model with its latest version and what is in each environment."""
    found, _, _ = _read(asking.open(), asked=asking.fetch)
    asking.answer(found, registry_text(found, _pen(asking)))
    return Exit.OK


def show(asking: RegistryQuery, subject: str) -> Exit:
    """One model, or one version of it. Raises `UsageError` where there is none such."""
    name, version = _subject(subject)
    model = _detail(asking.open(), name, asked=asking.fetch)
    if version is None:
        asking.answer(model, model_text(model, _pen(asking)))
    else:
        one = _version(model, version)
        asking.answer(one, version_text(model, one, _pen(asking)))
    return Exit.OK


def show_history(asking: RegistryQuery, model: str | None, environment: str | None, on: str | None) -> Exit:
    """What happened, or with `on` what was live at that moment.

    Raises:
        UsageError: there is no such model or environment, or `on` is no date.
    """
    when = _moment(on) if on else None
    root = asking.open()
    ledger = read_folders(root, _ACTS)
    known = views.view(Registry.of(read_tags(root)), ledger.entries)
    if model:
        _model(known, model)
    if environment and environment not in known.environments:
        raise UsageError(f"nothing was ever in {environment!r}", hint=_hint(environment, known.environments))
    if when:
        then = views.moment(ledger.entries, when, model, environment)
        then = then.model_copy(update={"problems": ledger.problems})
        asking.answer(then, moment_text(then, _pen(asking)))
    else:
        events = views.history(ledger.entries, model, environment)
        past = views.History(events=events, problems=ledger.problems)
        asking.answer(past, history_text(past, _pen(asking)))
    return Exit.OK


def show_lineage(asking: RegistryQuery, subject: str) -> Exit:
    """What a version was made from, who let it pass, and where it went. Raises `UsageError` where there is none."""
    name, version = _subject(subject)
    if version is None:
        raise UsageError(f"{subject!r} names no version", hint=f"Name one: mlbot registry lineage {name}@v1.0.0")
    root = asking.open()
    registry = Registry.of(read_tags(root))
    ledger = read_folders(root, folders_of(subject=name))
    found = views.lineage(registry, ledger.entries, name, version)
    if found is None:
        _version(_detail(root, name, asked=asking.fetch), version)
        raise AssertionError("what the view has, the lineage has")
    found = found.model_copy(update={"problems": ledger.problems})
    asking.answer(found, lineage_text(found, _pen(asking)))
    return Exit.OK


_DATA = tuple(folder for kind in ("verdict", "release", "deployment", "profile") for folder in folders_of(kind))

_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})")

_FEWEST_DIGITS = 8


def show_data(asking: RegistryQuery, subject: str) -> Exit:
    """What used a data file: by its path as the working tree has it, else by its digest.

    Raises:
        UsageError: nothing is known by that name, or by several.
    """
    root = asking.open()
    repository, ledger = Repository.discover(asking.directory), read_folders(root, _DATA)
    index = DataIndex(entries=ledger.entries)
    path = _path(asking.directory, repository, subject, index)
    digests = _current(repository, path) if path is not None else frozenset({_data_digest(index, subject)})
    found = index.use(subject, digests, path, there=None if path is None else bool(digests))
    found = found.model_copy(update={"problems": ledger.problems})
    asking.answer(found, data_text(found, _pen(asking)))
    return Exit.OK


def _path(directory: Path, repository: Repository, subject: str, index: DataIndex) -> str | None:
    """The path that is meant, from the folder of mlbot.yaml; None where none is known by that name."""
    if is_url(subject):
        return subject
    here = os.path.relpath((directory / subject).absolute(), repository.project)
    for path in (here, os.path.normpath(subject)):
        there = os.path.exists(repository.project / path)  # noqa: PTH110 - pathlib's raises for a name that is too long
        if path in index.paths or (there and subject.strip("./")):
            return path
    return None


def _current(repository: Repository, path: str) -> frozenset[Digest]:
    """The digests that lineages have for what the working tree holds there; none where nothing is there."""
    tree, contents = repository.tree(repository.snapshot().sha), repository.content_digests([path])
    if not (is_url(path) or contents or tree.match(path) or any(each in tree.entries for each in dvc_files(path))):
        return frozenset()
    return frozenset({data_digest(tree, path, contents), *contents.values()})


def _data_digest(index: DataIndex, subject: str) -> Digest:
    """The one digest that is meant."""
    found = _DIGEST.fullmatch(subject)
    if found is None:
        raise UsageError(
            f"there is no {subject!r} in the working tree, and no verdict or version used one",
            hint=_hint(subject, sorted(index.paths)),
        )
    digits = found[1]
    if len(digits) < _FEWEST_DIGITS:
        what = f"{subject!r} is no path here, and too short for a digest"
        raise UsageError(what, hint=f"Write {_FEWEST_DIGITS} of its hexadecimal digits or more.")
    known = index.starting_with(digits)
    if not known:
        hint = "mlbot registry lineage MODEL@VERSION shows the digests of a version's data; --fetch asks origin first."
        raise UsageError(f"the ledger knows no data file whose digest starts with {digits}", hint=hint)
    if len({index.same([each]) for each in known}) > 1:
        digests = ", ".join(each.removeprefix("sha256:")[: len(digits) + 8] for each in known[:5])
        what = f"{len(known)} data files have a digest that starts with {digits}"
        raise UsageError(what, hint=f"Write more digits: {digests}.")
    return known[0]


class RestoreView(Record):
    """What `mlbot registry restore` answers."""

    schema_version: Literal["mlbot/restore@1"] = "mlbot/restore@1"
    changed: bool
    dry_run: bool
    before: Sha | None  # where the branch was; None where it was gone
    after: Sha
    sources: tuple[str, ...]
    files: tuple[str, ...]  # the entries that come back, by their paths


_SOURCES = {COPY: "what this clone knew", THEIRS: "origin's copy", f"refs/heads/{BRANCH}": "this clone's branch"}


def restore_ledger(asking: RegistryQuery, revs: Sequence[str], *, dry_run: bool) -> Exit:
    """Put back what the ledger lost.

    Raises:
        UsageError: no copy of it is known here, or what was named is none.
        MlbotError: the remote cannot be read or written, or somebody else wrote meanwhile.
    """
    repository = Repository.discover(asking.directory)
    url = origin_of(repository)
    clone = Clone(root=repository.root, remote=Remote(url=url or str(repository.common_dir)), origin=url is not None)
    made = clone.restore(revs, int(datetime.now(UTC).timestamp()), dry_run=dry_run)
    shown = RestoreView(changed=made.changed, dry_run=dry_run, **dict(made))
    asking.answer(shown, _restored(made, dry_run=dry_run))
    return Exit.OK


def _restored(made: Restoration, *, dry_run: bool) -> str:
    if not made.changed:
        return f"Nothing is missing: {BRANCH} is at {made.after[:10]} and has all that is known here.\n"
    kinds = Counter(path.split("/")[1] for path in made.files)
    counted = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in sorted(kinds.items()))
    was = f"it was at {made.before[:10]}" if made.before else "it was gone"
    head = f"{BRANCH} {'would be' if dry_run else 'is'} at {made.after[:10]}; {was}."
    sources = ", ".join(_SOURCES.get(each, each) for each in made.sources)
    lines = [head, f"  back   {counted or 'its history; no entry was missing'}", f"  from   {sources}"]
    return "\n".join([*lines, ""])


def read_view(root: Path) -> views.RegistryView:
    """What tags and ledger of a clone say together."""
    return _read(root)[0]


def _read(root: Path, *, asked: bool = False) -> tuple[views.RegistryView, Registry, Ledger]:
    """The view, and what it was made of. A clone that never had the ledger lost nothing, unless origin was asked."""
    registry, ledger = Registry.of(read_tags(root)), read_folders(root, _STATE)
    whole = asked or has_ledger(root) or try_git(["remote", "get-url", "origin"], root).returncode != 0
    return views.view(registry, ledger.entries, ledger.problems, whole=whole), registry, ledger


def _detail(root: Path, name: str, *, asked: bool) -> views.ModelDetail:
    found, registry, ledger = _read(root, asked=asked)
    return views.detail(registry, ledger.entries, found, _model(found, name))


def _subject(text: str) -> tuple[str, Version | None]:
    """`MODEL` or `MODEL@VERSION`; a folder's model as tags write it or as it is shown."""
    name, at, version = text.partition("@")
    return name.replace("=", ":"), Version.parse(version) if at else None


def _model(found: views.RegistryView, name: str) -> views.ModelView:
    model = found.model(name)
    if model is None:
        raise UsageError(
            f"neither tags nor ledger know a model {name!r}", hint=_hint(name, [m.model for m in found.models])
        )
    return model


def _version(model: views.ModelDetail, version: Version) -> views.VersionView:
    for each in model.versions:
        if each.version == str(version):
            return each
    raise UsageError(
        f"{model.model} has no version {version}", hint=_hint(str(version), [each.version for each in model.versions])
    )


def _hint(word: str, known: Sequence[str]) -> str:
    near = nearest(word, known)
    if near:
        return f"Did you mean {near}?"
    if not known:
        return "There are none yet here. Fetch what others have: --fetch"
    return f"There are: {', '.join(known[-10:])}."


def _moment(text: str) -> str:
    """The end of a day, or the end of a minute or second, UTC."""
    found = _DATE.fullmatch(text)
    try:
        day, minute, second = found.groups() if found else ("", None, None)
        when = datetime.fromisoformat(f"{day}T{minute or '23:59'}{second or ':59'}+00:00")
    except ValueError:
        hint = "Write 2026-11-20, or 2026-11-20T16:30 for a minute of that day, in UTC."
        raise UsageError(f"{text[:40]!r} is no date", hint=hint) from None
    return time_of(when)


def _pen(asking: RegistryQuery) -> Pen:
    return Pen(asking.console.color, asking.console.width)
