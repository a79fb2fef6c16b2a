"""Looks of releases at sealed rows: which count, what was asked already, and what the ledger may hold of the rows.

The ledger is public, so of rows it has nothing that can be guessed by trying: a digest of the whole and a sample of the
rows' digests, both made with a key that the sealed data's environment alone has.
"""

import base64
import hashlib
import hmac
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from mlbot.config.schema import Config, Model
from mlbot.gates.metric import Gate, Metric, asked_of_sealed
from mlbot.ledger.entries import Entry, ReleaseEntry, SealedEntry, SealedState, WaiverEntry
from mlbot.ledger.queries import did_not_pass
from mlbot.lib.record import Count, Digest, Name, Record, canonical, digest
from mlbot.lib.tree import Tree
from mlbot.verdict.decide import NO_HOLDOUT, policy_digest

GATE = "sealed"
"""What a waiver names that lets a release pass without an answer of sealed rows."""

SHARED = 0.1
"""The share of rows that older sealed rows may have in common before what was asked of these counts too."""

_SAMPLE = 1024  # digests of a sample; the share is known to one point then
_BYTES = 8  # of a row's digest


Cause = Literal["key", "bytes", "driver", "address", "form", "fault"]
"""Why nothing was looked at: decided before a model was asked, from what no model changes."""


class SealedAnswer(Record):
    """All that a look at sealed rows says."""

    look: str
    state: Literal["void", "spent", "pass", "not-shown"]
    cause: Cause | None = None
    content: Digest | None = None
    key: Digest | None = None
    sketch: str = ""
    replays: str | None = None

    @classmethod
    def of(cls, look: SealedEntry) -> "SealedAnswer":
        """The answer that the ledger has of a look."""
        known = cls.model_fields.keys() - {"look", "cause"}
        return cls.model_validate({"look": look.id, **{name: getattr(look, name) for name in known}})

    def on(self, look: SealedEntry) -> SealedEntry:
        """The look with its answer."""
        return look.model_copy(update=self.model_dump(exclude={"look", "cause"}))


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """Sealed rows as the ledger may know them."""

    secret: bytes
    whole: Digest  # of all rows
    rows: Collection[bytes]  # digests of them, each once

    @cached_property
    def _key(self) -> bytes:
        return hashlib.sha256(self.secret).digest()

    @cached_property
    def _keyed(self) -> frozenset[bytes]:
        return frozenset(hashlib.blake2b(row, key=self._key, digest_size=_BYTES).digest() for row in self.rows)

    @property
    def key(self) -> Digest:
        """Which key it is made with."""
        return self._of(b"key")

    @property
    def content(self) -> Digest:
        """The rows as a whole."""
        return self._of(b"content", self.whole.encode())

    def sketch(self, look: SealedEntry) -> str:
        """How many rows there are and a sample of them, encrypted for one look; as long for few rows as for many."""
        sample = sorted(self._keyed)[:_SAMPLE]
        plain = len(self._keyed).to_bytes(_BYTES, "big") + b"".join(sample)
        return base64.b64encode(self._crypt(plain.ljust(_LENGTH, b"\0"), look)).decode()

    def is_like(self, other: SealedEntry) -> bool:
        """Whether the rows of an older look are these, or more than a tenth of these; also where nobody can tell."""
        if other.key != self.key or other.content is None:
            return True
        return other.content == self.content or self._shared(other) > SHARED

    def _shared(self, other: SealedEntry) -> float:
        """The share of these rows that an older look had as well."""
        try:
            raw = base64.b64decode(other.sketch, validate=True)
        except ValueError:  # whoever may write to the ledger may write anything
            raw = b""
        if len(raw) != _LENGTH or not self._keyed:
            return 1.0
        plain = self._crypt(raw, other)
        count = int.from_bytes(plain[:_BYTES], "big")
        sample = [plain[at : at + _BYTES] for at in range(_BYTES, _BYTES * (1 + min(count, _SAMPLE)), _BYTES)]
        found = sum(each in self._keyed for each in sample)
        return found / max(1, len(sample)) * count / len(self._keyed)

    def _crypt(self, text: bytes, look: SealedEntry) -> bytes:
        """A text with a stream that only the key makes, another one for each look; twice gives the text again."""
        name = f"{look.model}/{look.id}".encode()
        blocks = (self._mac(b"stream", name, at.to_bytes(_BYTES, "big")) for at in range(-(-len(text) // 32)))
        return bytes(a ^ b for a, b in zip(text, b"".join(blocks), strict=False))

    def _mac(self, *parts: bytes) -> bytes:
        return hmac.digest(self._key, b"\0".join(parts), "sha256")

    def _of(self, *parts: bytes) -> Digest:
        return f"sha256:{self._mac(*parts).hex()}"


_LENGTH = _BYTES * (1 + _SAMPLE)


def refused(
    looks: Sequence[SealedEntry], mine: SealedEntry, rows: Fingerprint, elsewhere: Collection[Name] = frozenset()
) -> int:
    """How many earlier looks at these rows did not pass, whatever their model is called.

    One without an answer counts: it may have been seen before it was lost. Nobody knows which rows it was of, so it
    counts for those of its model's answers before and after it. Of two at once each is earlier than the other.
    `elsewhere` names the models whose sealed rows have another address: where nobody can tell, theirs are others.
    """
    earlier: dict[Name, list[SealedEntry]] = {}
    for each in looks:
        if each.model != mine.model or (each.sequence <= mine.sequence and each.id != mine.id):
            earlier.setdefault(each.model, []).append(each)
    return sum(_refused(of, rows, doubt=model not in elsewhere) for model, of in earlier.items())


def _refused(looks: Sequence[SealedEntry], rows: Fingerprint, *, doubt: bool) -> int:
    """How many of a model's looks did not pass and are of these rows; `doubt`: whether those that nobody can tell."""

    def is_of(look: SealedEntry | None) -> bool:
        return doubt if look is None or look.key != rows.key else rows.is_like(look)

    return sum(did_not_pass(look) and any(map(is_of, _of_rows(looks, at))) for at, look in enumerate(looks))


def _of_rows(looks: Sequence[SealedEntry], at: int) -> Iterator[SealedEntry | None]:
    """The looks whose rows one may be of; None stands for the rows that are being looked at."""
    if looks[at].state != "asked":
        yield looks[at]
        return
    yield from [each for each in looks[:at] if each.content is not None][-1:]
    after = [each for each in looks[at:] if each.content is not None]
    yield after[0] if after else None


def answered(looks: Sequence[SealedEntry], mine: SealedEntry, rows: Fingerprint) -> SealedEntry | None:
    """The look that asked the very same of the very same rows and was answered; of several one that did not pass."""
    same = [
        each
        for each in looks
        if each.state in {"pass", "not-shown"}
        and (each.key, each.content) == (rows.key, rows.content)
        and question_of(each) == question_of(mine)
    ]
    return min(same, key=lambda each: (each.state == "pass", each.sequence), default=None)


def question_of(look: SealedEntry) -> tuple[Digest, Digest | None, Digest]:
    """What a look asks."""
    return look.digest, look.baseline, look.rules


# What is asked


def asked_gates(model: Model, *, baseline: bool) -> list[tuple[Gate, Metric]]:
    """The gates that a release is asked on sealed rows, each with its metric."""
    metrics = {each.name: each for each in model.metrics}
    pairs = [(gate, metrics[gate.metric]) for gate in model.gates if gate.metric in metrics]
    return asked_of_sealed(pairs, baseline=baseline)


def rules_of(config: Config, model: Model, tree: Tree, *, baseline: bool) -> Digest:
    """The digest of what is asked: those gates, the code of their metrics, and how rows are read and labels decided."""
    pairs = asked_gates(model, baseline=baseline)
    metrics = tuple(dict.fromkeys(metric for _, metric in pairs))
    asked = model.model_copy(update={"gates": tuple(gate for gate, _ in pairs), "metrics": metrics, "slices": ()})
    return digest(canonical(["sealed", policy_digest(asked, config.inconclusive, tree, NO_HOLDOUT)]))


def waiver_of(entries: Sequence[Entry], model: str, key: Digest, rules: Digest) -> WaiverEntry | None:
    """Who answered for this content under these rules in the place of sealed rows; the first of several."""
    return next(
        (
            each
            for each in entries
            if isinstance(each, WaiverEntry)
            and (each.model, each.key, each.policy, each.gate) == (model, key, rules, GATE)
        ),
        None,
    )


def answering(entries: Sequence[Entry], release: ReleaseEntry) -> WaiverEntry | None:
    """Who answers for a release in the place of sealed rows; the last of several under other rules."""
    if release.sealed != "waived":
        return None
    mine = [each for each in entries if isinstance(each, WaiverEntry) and each.gate == GATE]
    return next((each for each in reversed(mine) if (each.model, each.key) == (release.model, release.key)), None)


class SealedFacts(Record):
    """What is known of a release's sealed rows."""

    gates: Count  # how many are asked of them
    rules: Digest
    baseline: Digest | None  # of what is live in production
    waived: bool = False  # whether a person answers for it in their place
    state: SealedState | None = None  # None: not asked yet
    cause: Cause | None = None  # why nothing was looked at

    def is_asked(self, candidate: Digest | None) -> bool:
        """Whether the rows are asked: not where a person answers, nor for the bytes that are live already."""
        return not self.waived and candidate != self.baseline

    def shown(self, candidate: Digest | None) -> Literal["pass", "same", "waived"] | None:
        """What the release records of it."""
        if self.waived:
            return "waived"
        if candidate == self.baseline:
            return "same"
        return "pass" if self.state == "pass" else None
