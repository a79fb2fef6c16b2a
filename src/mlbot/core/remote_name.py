"""Which repository a git remote's address names."""

import re

from pydantic import TypeAdapter, ValidationError

from mlbot.core.forge import RepositoryName
from mlbot.core.record import Record

_URL = re.compile(r"(?P<scheme>https?|ssh|git)://(?:[^@/]*@)?(?P<host>[^/]+)/(?P<path>.+)")
_SCP = re.compile(r"(?:[^@/]+@)?(?P<host>[A-Za-z0-9.-]+):(?!//)(?P<path>.+)")
_NAME: TypeAdapter[str] = TypeAdapter(RepositoryName)

GITHUB = "github.com"


class RemoteName(Record):
    """A repository on a forge.

    Attributes:
        host: its server, with a port where the address has one.
        repository: `owner/name`.
        server: the address of its pages.
    """

    host: str
    repository: RepositoryName
    server: str


def parse_remote(url: str) -> RemoteName | None:
    """The repository that an address names; None for a folder, or what is no `owner/name`.

    Args:
        url: as `git remote get-url` prints it: `https://…`, `ssh://…` or `git@host:owner/name.git`.
    """
    found = _URL.fullmatch(url) or _SCP.fullmatch(url)
    if found is None:
        return None
    path = found["path"].strip("/").removesuffix(".git")
    try:
        name = _NAME.validate_python(path)
    except ValidationError:
        return None
    scheme = found.groupdict().get("scheme")
    web = scheme in {"http", "https"}
    host = found["host"] if web else found["host"].partition(":")[0]
    return RemoteName(host=host.lower(), repository=name, server=f"{scheme if web else 'https'}://{host.lower()}")
