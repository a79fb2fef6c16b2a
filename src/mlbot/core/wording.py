"""How versions, people and digests are named in the sentences of releases and deployments."""

from mlbot.core.record import Digest


def name_of(model: str, version: str) -> str:
    """A version as people write it: `adult-income@v1.2.0`."""
    return f"{model}@v{version}"


def who(actor: str) -> str:
    """A person in a sentence."""
    return actor if len(actor) <= 60 else f"{actor[:59]}…"


def shorten(digest: Digest | None) -> str:
    """A digest in a sentence."""
    return digest[:19] if digest else "no digest"
