"""`mlbot dashboard`: the ledger of this clone as a static site, or as JSON."""

import fcntl
import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from mlbot.config.cost import Cost
from mlbot.config.run_check import load_config
from mlbot.errors import Exit, MlbotError, UsageError
from mlbot.git.ledger import read_local
from mlbot.git.remote import remote_url
from mlbot.git.repository import Repository
from mlbot.git.tags import read_tags
from mlbot.github.job import locate
from mlbot.lib.escape import one_line
from mlbot.lib.templates import sentence
from mlbot.monitoring.dashboard import Dashboard, dashboard
from mlbot.monitoring.pages import HEAD, INDEX, is_page_name, pages
from mlbot.registry.run_registry import RegistryQuery
from mlbot.registry.tags import Registry


def show_dashboard(asking: RegistryQuery, out: Path | None) -> Exit:
    """Write the site into `out` (None: nowhere) and say what is in it; with `as_json` the record itself.

    Raises:
        UsageError: it is no clone, or the folder holds files that are not a dashboard's.
        MlbotError: origin was asked for, and cannot be read.
    """
    site = read_dashboard(asking.open())
    if out is not None:
        write_site(out, pages(site))
    where = str(out / INDEX) if out is not None else ""
    asking.answer(site, sentence("terminal", "dashboard", site=site, where=where))
    return Exit.OK


def read_dashboard(root: Path) -> Dashboard:
    """What ledger and tags of a clone say, each of them read once."""
    repository = Repository.discover(root)
    place = locate({}, remote_url(repository))
    name = place.repository if place else repository.root.name
    url = f"{place.server_url}/{place.repository}" if place else None
    # Hardly anything of it is garbage, and looking for that in a growing heap takes a quarter of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        registry, ledger = Registry.of(read_tags(root)), read_local(root)
        return dashboard(registry, ledger, name, url, _prices(repository.project))
    finally:
        if collecting:
            gc.enable()


def _prices(folder: Path) -> Cost | None:
    """What runners cost by the mlbot.yaml that is there; a wrong one is no reason to show nothing."""
    with suppress(MlbotError, OSError):
        return load_config(folder).cost
    return None


def write_site(out: Path, files: Mapping[str, str]) -> None:
    """Put a site where one was, or nothing: whoever looks sees the old one or the new one.

    A run that was ended between the two leaves the old one beside the folder, and the next run puts it back first.

    Raises:
        UsageError: there are other files than a dashboard's, which nobody asked to have deleted, or nothing can be
            written there.
    """
    try:
        folder = out.resolve()
        made, old = (folder.with_name(f".{folder.name}.mlbot-{each}") for each in ("new", "old"))
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder.parent):
            _put_back(old, folder)
            for each in (folder, made, old):
                _refuse_foreign(each, out)
            _remove(made)
            _remove(old)
            try:
                _write(made, files)
                with suppress(FileNotFoundError):
                    folder.rename(old)
                made.rename(folder)
            finally:
                _put_back(old, folder)
                _remove(made)
                _remove(old)
    # A loop of links is the second to pathlib, and a folder without a name the third.
    except (OSError, RuntimeError, ValueError) as error:
        why = one_line(getattr(error, "strerror", None) or str(error), 200)
        raise UsageError(sentence("terminal", "dashboard-unwritable", folder=out, why=why)) from error


def _put_back(old: Path, folder: Path) -> None:
    if old.exists() and not folder.exists():
        old.rename(folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While no other run writes into a folder: the kernel ends the lock with the process."""
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # some file systems of a network have no locks
            fcntl.flock(at, fcntl.LOCK_EX)
        yield
    finally:
        os.close(at)


def _refuse_foreign(folder: Path, named: Path) -> None:
    """Raise `UsageError` where there is anything but the pages of a dashboard: no file may say that others are."""
    if not folder.is_symlink() and not folder.exists():
        return
    if folder.is_symlink() or not folder.is_dir():
        raise UsageError(sentence("terminal", "dashboard-file", folder=named))
    for path in _below(folder):
        if not _is_page(folder, path):
            raise UsageError(
                sentence("terminal", "dashboard-foreign", folder=named, file=path.relative_to(folder)),
                hint=sentence("terminal", "dashboard-elsewhere"),
            )


def _below(folder: Path) -> Iterator[Path]:
    """The files in a folder, and the links to folders."""
    for at, folders, names in os.walk(folder):
        yield from (Path(at) / each for each in names)
        yield from (found for each in folders if (found := Path(at) / each).is_symlink())


def _is_page(folder: Path, path: Path) -> bool:
    if not is_page_name(path.relative_to(folder).as_posix()) or path.is_symlink() or not path.is_file():
        return False
    head = HEAD.encode()
    with path.open("rb") as stream:
        return head.startswith(stream.read(len(head)))  # or less of it, where a run was ended while it wrote


def _remove(folder: Path) -> None:
    """Delete a site; what is no page of it, and came since it was looked at, is an error and stays."""
    if folder.exists():
        for path in [*_below(folder)]:
            if _is_page(folder, path):
                path.unlink()
        for at, *_ in os.walk(folder, topdown=False):
            Path(at).rmdir()


def _write(folder: Path, files: Mapping[str, str]) -> None:
    folder.mkdir()
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8", errors="replace", newline="\n")
