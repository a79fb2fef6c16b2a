"""`mlbot dashboard`: the ledger of this clone as a static site, or as JSON."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
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
from mlbot.monitoring.pages import INDEX, pages
from mlbot.registry.run_registry import RegistryQuery
from mlbot.registry.tags import Registry

MARK = ".mlbot-dashboard"
"""The file that says that a folder is a dashboard, and which files in it are mlbot's, one a line."""


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
    registry, ledger = Registry.of(read_tags(root)), read_local(root)
    name = place.repository if place else repository.root.name
    url = f"{place.server_url}/{place.repository}" if place else None
    return dashboard(registry, ledger, name, url, _prices(repository.project))


def _prices(folder: Path) -> Cost | None:
    """What runners cost by the mlbot.yaml that is there; a wrong one is no reason to show nothing."""
    with suppress(MlbotError, OSError):
        return load_config(folder).cost
    return None


def write_site(out: Path, files: Mapping[str, str]) -> None:
    """Put a site where one was, or nothing: whoever looks sees the old one or the new one.

    Raises:
        UsageError: there are other files than a dashboard's, which nobody asked to have deleted, or nothing can be
            written there.
    """
    try:
        folder = out.resolve()
        _refuse_foreign(folder, out)
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            _write(made, files)
            _swap(made, folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)  # it is there no more where all went well
    except (OSError, RuntimeError) as error:  # a loop of links is the latter to pathlib
        raise UsageError(
            sentence(
                "terminal",
                "dashboard-unwritable",
                folder=out,
                why=one_line(getattr(error, "strerror", None) or str(error), 200),
            )
        ) from error


def _refuse_foreign(folder: Path, named: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(sentence("terminal", "dashboard-file", folder=named))
    mark, known = folder / MARK, set[str]()
    if mark.is_file() and not mark.is_symlink():
        known = {MARK, *mark.read_text(encoding="utf-8", errors="replace").splitlines()}
    there = (Path(at) / name for at, folders, names in os.walk(folder) for name in (*names, *_links(at, folders)))
    foreign = next((each for each in there if each.relative_to(folder).as_posix() not in known), None)
    if foreign is not None:
        raise UsageError(
            sentence("terminal", "dashboard-foreign", folder=named, file=foreign.relative_to(folder)),
            hint=sentence("terminal", "dashboard-elsewhere"),
        )


def _links(at: str, folders: list[str]) -> list[str]:
    """Links to folders, and a mark that is a folder: none of them is of a site."""
    return [name for name in folders if name == MARK or (Path(at) / name).is_symlink()]


def _write(folder: Path, files: Mapping[str, str]) -> None:
    folder.chmod(0o755)
    for path, text in {**files, MARK: "".join(f"{path}\n" for path in sorted(files))}.items():
        file = folder / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8", errors="replace", newline="\n")


def _swap(made: Path, folder: Path) -> None:
    """Put a folder in another's place. What was there is deleted only once the new one is there."""
    old = made.with_name(f"{made.name}-old")
    with suppress(FileNotFoundError):
        folder.rename(old)
    try:
        made.rename(folder)
    except OSError:
        if not folder.exists():
            old.rename(folder)
            raise
        # Another process has put its site there in this very moment: that is the newer one.
    shutil.rmtree(old, ignore_errors=True)
