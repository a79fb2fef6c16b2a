"""A GitHub Release: a draft until all its files are there, so that nobody downloads half of one."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

from mlbot.core.event import dig
from mlbot.github import parsing
from mlbot.github.api import GitHub
from mlbot.github.failures import InvalidRequestError, NotFoundError, Request, UnavailableError
from mlbot.github.uploading import Upload


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePage:
    """What a release shows.

    Attributes:
        tag: of the version; it has to be there already.
        title: its heading.
        body: Markdown.
        files: by the name they are downloaded under.
    """

    tag: str
    title: str
    body: str
    files: Mapping[str, Path]


def publish_release(github: GitHub, upload: Upload, page: ReleasePage) -> str:
    """Publish a release, or finish one that was begun; its address.

    A file that is there already stays when it has the same size, and is replaced while the release is a draft. A
    published release is never changed.

    Raises:
        MlbotError: of `mlbot.github.failures`.
    """
    found = _published(github, page.tag)
    if found is not None:
        return parsing.text(found, "html_url")
    draft = _draft(github, page) or _create(github, page)
    _complete(github, upload, draft, page)
    done = github.transport.json(github.request("PATCH", f"/releases/{parsing.number(draft, 'id')}", {"draft": False}))
    return parsing.text(done, "html_url")


def _published(github: GitHub, tag: str) -> Any:
    try:
        return github.transport.json(github.request("GET", f"/releases/tags/{tag}"))
    except NotFoundError:
        return None


def _draft(github: GitHub, page: ReleasePage) -> Any:
    listed = github.transport.pages(github.request("GET", "/releases"))
    return next((raw for raw in listed if dig(raw, "tag_name") == page.tag and dig(raw, "draft") is True), None)


def _create(github: GitHub, page: ReleasePage) -> Any:
    fields = {"tag_name": page.tag, "name": page.title, "body": page.body, "draft": True}
    try:
        return github.transport.json(github.request("POST", "/releases", fields, repeatable=False))
    except UnavailableError:
        found = _draft(github, page)  # perhaps it was made
        if found is None:
            raise
        return found


def _complete(github: GitHub, upload: Upload, draft: Any, page: ReleasePage) -> None:
    there = {parsing.text(raw, "name"): raw for raw in github.transport.pages(_assets(github, draft))}
    for name, file in page.files.items():
        if name in there:
            if dig(there[name], "size") == file.stat().st_size and _same(there[name], file):
                continue
            _remove(github, there[name])
        _upload(github, upload, draft, name, file)


def _upload(github: GitHub, upload: Upload, draft: Any, name: str, file: Path) -> None:
    """Send a file; where it broke off, what arrived of it is taken away and it is sent once more."""
    address = parsing.text(draft, "upload_url")
    try:
        upload(address, name, file)
    except (UnavailableError, InvalidRequestError):
        for raw in github.transport.pages(_assets(github, draft)):
            if dig(raw, "name") == name:
                _remove(github, raw)
        upload(address, name, file)


def _remove(github: GitHub, asset: object) -> None:
    github.transport.answer(github.request("DELETE", f"/releases/assets/{parsing.number(asset, 'id')}"))


def _same(asset: object, file: Path) -> bool:
    """Whether GitHub's own digest of an asset, where it gives one, is the file's."""
    given = dig(asset, "digest")
    if given is None:
        return True
    with file.open("rb") as content:
        return bool(given == f"sha256:{file_digest(content, 'sha256').hexdigest()}")


def _assets(github: GitHub, draft: object) -> Request:
    return github.request("GET", f"/releases/{parsing.number(draft, 'id')}/assets")
