"""Texts of mlbot.yaml that have a form of their own: paths, URLs, branches, functions."""

import re

from mlbot.core.config_reader import Reader

FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*")
"""`module:function`."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_CREDENTIALS = re.compile(r"://[^/?#]*:[^/?#]*@")
_OCI = re.compile(r"oci://[A-Za-z0-9.:\[\]-]+/[A-Za-z0-9][A-Za-z0-9._/-]*", re.IGNORECASE)
_BAD_BRANCH = re.compile(r"[\s~^:?*\[\\]|\.\.|@\{|//|^[-/.]|[/.]$|\.lock(?:/|$)|/\.")
LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
"""A person's name on GitHub; bots, which end in `[bot]`, give no commands."""
_COMMAND = "command:"
_OCI_OR_URL = "an URL such as s3://bucket/models or oci://ghcr.io/owner/repo/models"


def path(reader: Reader) -> str | None:
    """A path inside the repository with forward slashes; a slash at the end (a folder) is kept."""
    text = reader.text("a path inside the repository")
    if text is None:
        return None
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if _SCHEME.match(text):
        reader.refuse("a path inside the repository; only data can have an URL")
    elif "\\" in text:
        reader.refuse("the path with forward slashes")
    elif text.startswith(("/", "~")) or re.match(r"[A-Za-z]:", text):
        reader.refuse("a path relative to the repository's root")
    elif ".." in parts:
        reader.refuse("a path without `..`, from the repository's root")
    elif not parts or parts[0] == ".git":
        reader.refuse("a file or folder of the repository")
    else:
        return "/".join(parts) + ("/" if text.endswith("/") else "")
    return None


def data_path(reader: Reader) -> str | None:
    """A path inside the repository, or an fsspec URL."""
    if isinstance(reader.value, str) and "://" in reader.value:
        return url(reader)
    return path(reader)


def url(reader: Reader, what: str = "an URL such as s3://bucket/file.csv") -> str | None:
    """An URL without credentials and without fsspec's chains of protocols (`a::b://`), which can run far from home."""
    text = reader.text(what)
    if text is None:
        return None
    if not _SCHEME.match(text) or re.search(r"\s", text):
        reader.refuse(what)
    elif "::" in text:
        reader.refuse("one URL, without `::`")
    elif _CREDENTIALS.search(text):
        reader.refuse(
            "the URL without a password; credentials belong in the environment", found="an URL with a password"
        )
    else:
        return text
    return None


def place(reader: Reader) -> str | None:
    """Where models are kept or deployed: an URL, or a folder of the repository."""
    text = reader.text(_OCI_OR_URL)
    if text is None:
        return None
    if text.startswith("/"):
        reader.refuse(f"file://{text}" if len(text) < 200 else "it as an URL: file:///…")
        return None
    return _written_url(reader, text) if "://" in text else path(reader)


def target(reader: Reader) -> str | None:
    """Where models are deployed: a place, or `command:` and a shell command."""
    text = reader.text(_OCI_OR_URL)
    if text is None or not text.startswith(_COMMAND):
        return None if text is None else place(reader)
    if text.removeprefix(_COMMAND).strip():
        return text
    reader.refuse("a shell command after `command:`, such as command:./deploy.sh")
    return None


def _written_url(reader: Reader, text: str) -> str | None:
    """An URL that something can be written to."""
    scheme = text.partition("://")[0].lower()
    if scheme in {"http", "https"}:
        reader.refuse("an URL that can be written to: a web server's cannot")
    elif scheme == "oci" and not _OCI.fullmatch(text):
        reader.refuse("a registry and a repository, such as oci://ghcr.io/owner/repo/models")
    elif scheme == "file" and not text.partition("://")[2].startswith("/"):
        reader.refuse("three slashes, such as file:///srv/models")
    else:
        return url(reader, _OCI_OR_URL)
    return None


def branch(reader: Reader) -> str | None:
    """A branch's name, as `git check-ref-format` accepts it."""
    text = reader.text("a branch name")
    if text is None:
        return None
    if not _BAD_BRANCH.search(text) and text != "@":
        return text
    reader.refuse("a branch name as git accepts it; no wildcards")
    return None


def column(reader: Reader) -> str | None:
    """A column's name."""
    return reader.text("a column name")


def login(reader: Reader) -> str | None:
    """A person's name on GitHub."""
    text = reader.text("a login")
    if text is None or LOGIN.fullmatch(text):
        return text
    reader.refuse("a login on GitHub, without `@`")
    return None


def function(reader: Reader) -> str | None:
    """`module:function`."""
    text = reader.text("module:function")
    if text is None:
        return None
    if FUNCTION.fullmatch(text):
        return text
    reader.refuse("module:function, such as income.train:train")
    return None


def runs_on(reader: Reader) -> tuple[str, ...]:
    """Runner labels: one, or a list."""
    if isinstance(reader.value, list):
        return reader.texts("runner labels", _runner)
    label = _runner(reader)
    return () if label is None else (label,)


def _runner(reader: Reader) -> str | None:
    text = reader.text("a runner label such as ubuntu-latest")
    if text is not None and "${{" in text:
        reader.refuse("a runner label; expressions are not evaluated here")
        return None
    return text
