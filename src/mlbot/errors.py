"""Errors that a person can act on, and the exit codes they end in."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from importlib.util import find_spec
from types import MappingProxyType

from mlbot import DISTRIBUTION


class Exit(IntEnum):
    """The exit codes of the command line, a contract."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INCONCLUSIVE = 3
    NOT_EVALUATED = 4
    REFUSED = 5
    BUG = 70


def ended(text: str) -> str:
    """A text with a full stop, unless it ends like a sentence already; it may be another program's."""
    return text if text.endswith((".", "!", "?", "\N{HORIZONTAL ELLIPSIS}")) else f"{text}."


class MlbotError(Exception):
    """An expected error: what went wrong, where (empty when `what` says it), and what to do about it."""

    exit_code: Exit = Exit.USAGE

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        """All three parts, a line each."""
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  {self.hint}" if self.hint else head

    @property
    def line(self) -> str:
        """All three parts on one line, as sentences."""
        head = " ".join((f"{self.where}: {self.what}" if self.where else self.what).split())
        return f"{ended(head)} {' '.join(self.hint.split())}".strip()

    @property
    def sentence(self) -> str:
        """What went wrong, as a sentence."""
        return ended(f"{self.what[:1].upper()}{self.what[1:]}")


class UsageError(MlbotError):
    """The command line or the configuration is wrong."""


class NotEvaluatedError(MlbotError):
    """The judge could not be run at all."""

    exit_code = Exit.NOT_EVALUATED


class RefusedError(MlbotError):
    """Permission or policy forbids it."""

    exit_code = Exit.REFUSED


def installing(extra: str) -> str:
    """The command that installs an optional part."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


class MissingExtraError(MlbotError):
    """An optional part of mlbot is not installed."""

    def __init__(self, extra: str, *, needed_for: str) -> None:
        super().__init__(
            f"{needed_for} needs the optional part '{extra}', which is not installed.",
            hint=f"Install it: {installing(extra)}",
        )


DRIVERS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("http", "https"), "http"),
        **dict.fromkeys(("s3", "s3a"), "s3"),
        **dict.fromkeys(("gs", "gcs"), "gcs"),
        **dict.fromkeys(("az", "abfs", "abfss", "adl"), "azure"),
        "hf": "hf",
    }
)
"""The optional part that reaches a URL's protocol."""


def driver_of(url: str) -> str | None:
    """The optional part that reaches a URL; None where fsspec does, or its package is nobody's to choose."""
    return DRIVERS.get(url.partition("://")[0].lower())


class MissingDriverError(UsageError):
    """Nothing that is installed reaches a URL."""

    def __init__(self, url: str, why: str) -> None:
        protocol = url.partition("://")[0]
        part = driver_of(url) or (None if find_spec("fsspec") else "deploy")
        if part is not None:
            super().__init__(
                f"{protocol}:// needs the optional part '{part}', which is not installed",
                where=url,
                hint=f"Install it: {installing(part)}. On GitHub `mlbot upgrade` writes it into the workflows.",
            )
            return
        reason = " ".join(why.split()).rstrip(".")[:200]
        super().__init__(
            f"nothing that is installed reaches {protocol}://: {reason}",
            where=url,
            hint="Correct the URL, or install the package of its protocol for fsspec.",
        )


@contextmanager
def driven(url: str) -> Iterator[None]:
    """Turns what fsspec says of a protocol that it cannot reach into what to install."""
    try:
        yield
    except ImportError as error:
        raise MissingDriverError(url, str(error)) from error
    except ValueError as error:
        if not str(error).startswith("Protocol not known"):
            raise
        raise MissingDriverError(url, str(error)) from error


_PACKAGES = {
    "judge": ("fsspec", "numpy", "onnx", "onnxruntime", "polars", "scipy"),
    "charts": ("altair", "vl_convert"),
    "export": ("skl2onnx", "sklearn"),
}
"""What each part of `ml` imports. A job installs the parts that it needs, a person all of it."""


def installed(*parts: str) -> bool:
    """Whether optional parts are installed, all of each. Imports nothing."""
    return all(find_spec(package) is not None for part in parts for package in _PACKAGES[part])


def require(*parts: str, needed_for: str) -> None:
    """Make sure that optional parts are installed.

    Raises:
        MissingExtraError: one is not, or only partly.
    """
    if not installed(*parts):
        raise MissingExtraError("ml", needed_for=needed_for)
