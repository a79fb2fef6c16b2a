"""Files of the repository by the API, for jobs that check nothing out."""

from base64 import b64decode
from urllib.parse import quote

from mlbot.core.event import dig
from mlbot.github.api import GitHub
from mlbot.github.failures import GitHubError, NotFoundError


def read_file(github: GitHub, path: str, ref: str) -> bytes | None:
    """A file of a commit or branch, of at most 1 MB (more GitHub does not put into its answer); None for none.

    Raises:
        MlbotError: of `mlbot.github.failures`.
    """
    try:
        raw = github.transport.json(github.request("GET", f"/contents/{quote(path)}", query={"ref": ref}))
    except NotFoundError:
        return None
    content = dig(raw, "content")
    if dig(raw, "type") != "file" or dig(raw, "encoding") != "base64" or not isinstance(content, str):
        raise GitHubError(f"GitHub did not give the content of {path}", mend="It has to be a file of at most 1 MB.")
    try:
        return b64decode(content)
    except ValueError as error:
        raise GitHubError(f"GitHub's answer for {path} is no base64") from error
