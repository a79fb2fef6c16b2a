"""Looks of releases at sealed rows: which count, what was asked already, and what the ledger may hold of the rows.

The ledger is public, so of rows it has nothing that can be guessed by trying: a digest of the whole and a sample of the
rows' digests, both made with a key that the sealed data's environment alone has.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Collection, Iterator, Sequence
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

_PARTS = 4  # of the columns, by a digest of their names that only the key makes
_PART_SAMPLE = 256  # the share is known to two points then
_TELLING = 0.98
"""The share of rows that are unlike each other over a part of their columns: where more are alike, others are too."""
_MOST_COLUMNS = 4000


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
    views: str | None = None
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
    columns: tuple[str, ...] = ()
    over: Callable[[Sequence[Collection[str]]], Sequence[Collection[bytes]]] | None = None
    """The rows' digests over sets of columns alone, each once."""

    @cached_property
    def _key(self) -> bytes:
        return hashlib.sha256(self.secret).digest()

    @cached_property
    def _keyed(self) -> frozenset[bytes]:
        return self._keyed_of(self.rows)

    def _keyed_of(self, rows: Collection[bytes]) -> frozenset[bytes]:
        return frozenset(hashlib.blake2b(row, key=self._key, digest_size=_BYTES).digest() for row in rows)

    @cached_property
    def _names(self) -> dict[bytes, str]:
        """The columns by what the ledger has of their names."""
        return {self._mac(b"column", name.encode())[:_BYTES]: name for name in self.columns}

    @cached_property
    def _seen(self) -> dict[frozenset[str], frozenset[bytes]]:
        return {}

    def _over(self, views: Sequence[frozenset[str]]) -> list[frozenset[bytes]]:
        """The keyed digests of the rows over sets of columns; what was asked before is not read again."""
        new = [view for view in dict.fromkeys(views) if view not in self._seen]
        if new and self.over is not None:
            self._seen.update(zip(new, map(self._keyed_of, self.over(new)), strict=True))
        return [self._seen[view] for view in views]

    def known(self, look: SealedEntry) -> dict[str, str | None]:
        """What the ledger may have of the rows, for one look."""
        views = self.views(look)
        return {"content": self.content, "key": self.key, "sketch": self.sketch(look), "views": views}

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

    def views(self, look: SealedEntry) -> str | None:
        """The columns, and a sample of the rows over all of them but each part, encrypted for one look."""
        if self.over is None or not 1 < len(self.columns) <= _MOST_COLUMNS:
            return None
        names = sorted(self._names)
        plain = len(names).to_bytes(_BYTES, "big") + b"".join(names)
        for part in range(_PARTS):
            # Over columns that tell few rows apart any others are alike, so nothing is written of these.
            some = sorted(self._over([self._left(names, part)])[0]) if self._tells(names, part) else []
            sample = b"".join(some[:_PART_SAMPLE]).ljust(_BYTES * _PART_SAMPLE, b"\0")
            plain += len(some).to_bytes(_BYTES, "big") + sample
        return base64.b64encode(self._crypt(plain, look, b"views")).decode()

    def _left(self, names: Sequence[bytes], *parts: int) -> frozenset[str]:
        """The columns without those of some parts; they are dealt out in the order of what the key makes of names."""
        return frozenset(self._names[each] for at, each in enumerate(names) if at % _PARTS not in parts)

    def _tells(self, names: Sequence[bytes], part: int) -> bool:
        """Whether these rows are unlike each other without a part of the columns, and without any other part too.

        For where one column alone tells them apart it may be a counter, and any rows are counted alike.
        """
        views = [self._left(names, part, other) for other in range(_PARTS)]
        return all(len(rows) >= _TELLING * len(self.rows) > 0 for rows in self._over(views))

    def is_like(self, other: SealedEntry) -> bool:
        """Whether the rows of an older look are these, or more than a tenth of these; also where nobody can tell.

        Rows are the same with a column more, or with another one in its place: else each look would be the first.
        """
        if other.key != self.key or other.content is None:
            return True
        if other.content == self.content or self._shared(other, self._keyed) > SHARED:
            return True
        return other.views is not None and self.over is not None and self._is_like_in_part(other)

    def _is_like_in_part(self, other: SealedEntry) -> bool:
        plain = self._crypt(_decoded(other.views or ""), other, b"views")
        count = int.from_bytes(plain[:_BYTES], "big")
        if len(plain) != _BYTES * (1 + count + _PARTS * (1 + _PART_SAMPLE)):
            return True  # nobody can tell
        names = _cut(plain[_BYTES : _BYTES * (1 + count)])
        if self._has(names):
            (rows,) = self._over([self._left(names)])
            if self._shared(other, rows) > SHARED:
                return True
        size, rest = _BYTES * (1 + _PART_SAMPLE), plain[_BYTES * (1 + count) :]
        for part in range(_PARTS):
            sample = rest[size * part : size * (part + 1)]
            left = [each for at, each in enumerate(names) if at % _PARTS != part]
            if any(sample[:_BYTES]) and self._has(left) and self._tells(names, part):
                (rows,) = self._over([self._left(names, part)])
                if _share(sample, rows, _PART_SAMPLE) > SHARED:
                    return True
        return False

    def _has(self, names: Collection[bytes]) -> bool:
        return set(names) <= self._names.keys()

    def _shared(self, other: SealedEntry, rows: Collection[bytes]) -> float:
        """The share of rows, these or what is left of them over some columns, that an older look had as well."""
        raw = _decoded(other.sketch)
        if len(raw) != _LENGTH or not rows:
            return 1.0
        return _share(self._crypt(raw, other), rows, _SAMPLE)

    def _crypt(self, text: bytes, look: SealedEntry, what: bytes = b"") -> bytes:
        """A text with a stream that only the key makes, another one for each look; twice gives the text again."""
        name = b"\0".join(filter(None, (f"{look.model}/{look.id}".encode(), what)))
        blocks = (self._mac(b"stream", name, at.to_bytes(_BYTES, "big")) for at in range(-(-len(text) // 32)))
        return bytes(a ^ b for a, b in zip(text, b"".join(blocks), strict=False))

    def _mac(self, *parts: bytes) -> bytes:
        return hmac.digest(self._key, b"\0".join(parts), "sha256")

    def _of(self, *parts: bytes) -> Digest:
        return f"sha256:{self._mac(*parts).hex()}"


_LENGTH = _BYTES * (1 + _SAMPLE)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:  # whoever may write to the ledger may write anything
        return b""


def _cut(digests: bytes) -> list[bytes]:
    return [digests[at : at + _BYTES] for at in range(0, len(digests), _BYTES)]


def _share(sample: bytes, rows: Collection[bytes], most: int) -> float:
    """The share of rows that others had, of which there is a count and a sample."""
    count = int.from_bytes(sample[:_BYTES], "big")
    some = _cut(sample[_BYTES : _BYTES * (1 + min(count, most))])
    return sum(each in rows for each in some) / max(1, len(some)) * count / len(rows)


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
