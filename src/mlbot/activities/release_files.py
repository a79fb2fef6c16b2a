"""The files of a release: the model, its card, the manifest, lineage, golden requests, and the sums of all."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from mlbot.activities.home import Home
from mlbot.core.card import (
    CARD_FILE,
    GOLDEN_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    SUMS_FILE,
    TRAINING_FILE,
    card_of,
    checksums,
    manifest,
)
from mlbot.core.config import Model
from mlbot.core.hostile_json import read
from mlbot.core.kept import MOST_BYTES
from mlbot.core.ledger import ReleaseEntry, VerdictEntry
from mlbot.core.ledger_folds import latest_by_key
from mlbot.core.record import Digest
from mlbot.core.release import Stored
from mlbot.core.report import ModelReport
from mlbot.core.training import Training
from mlbot.core.wording import name_of
from mlbot.errors import NotEvaluatedError, UsageError

_MOST_DEPTH = 64


def write_release(home: Home, release: ReleaseEntry, folder: Path, url: str | None = None) -> Mapping[str, Path]:
    """Write a release's files into a folder.

    Args:
        home: whose store and ledger.
        release: the version.
        folder: made when needed.
        url: of the repository, for links.

    Returns:
        The files by the names they are published under.

    Raises:
        NotEvaluatedError: the store does not answer, or has not the very bytes.
    """
    from mlbot.render.card import card_text

    folder.mkdir(parents=True, exist_ok=True)
    name = name_of(release.model, release.version)
    if home.fetch(release.digest, folder / MODEL_FILE) is not Stored.VERIFIED:
        raise NotEvaluatedError(f"the store has not the very bytes of {name}", where=home.store.url)
    verdict = _verdict(home, release)
    training, raw_training = _training(home, release)
    report = _report(home, verdict)
    raw = {
        CARD_FILE: card_text(card_of(release, _model(home, release), verdict, report, url)).encode(),
        MANIFEST_FILE: manifest(release, training),
        TRAINING_FILE: raw_training,
        GOLDEN_FILE: home.document(release.golden),
    }
    for file, content in raw.items():
        if content is not None:
            (folder / file).write_bytes(content)
    made = [MODEL_FILE, *(file for file, content in raw.items() if content is not None)]
    sums = checksums({file: _digest(folder / file) for file in made})
    (folder / SUMS_FILE).write_text(sums, encoding="utf-8")
    return {file: folder / file for file in (*made, SUMS_FILE)}


def _verdict(home: Home, release: ReleaseEntry) -> VerdictEntry | None:
    """The verdict that the release names; where there is no such one any more, the latest on the same inputs."""
    known = home.ledger.read("verdict", release.model, release.key).entries
    named = (
        each
        for each in known
        if isinstance(each, VerdictEntry) and (each.key, each.digest) == (release.key, release.digest)
    )
    mine = [each for each in named if (each.attempt, each.judge) == (release.attempt, release.judge)]
    return mine[-1] if mine else latest_by_key(known, home.branch).get((release.model, release.key))


def _training(home: Home, release: ReleaseEntry) -> tuple[Training | None, bytes | None]:
    raw = home.document(release.training)
    return (read(raw, Training, "The stored training record", most_bytes=MOST_BYTES), raw) if raw else (None, None)


def _report(home: Home, verdict: VerdictEntry | None) -> ModelReport | None:
    raw = home.document(verdict.report) if verdict else None
    return read(raw, ModelReport, "The stored report", most_bytes=MOST_BYTES, most_depth=_MOST_DEPTH) if raw else None


def _model(home: Home, release: ReleaseEntry) -> Model | None:
    try:
        return home.configs_at(release.commit).head.model(release.model)
    except UsageError:  # history need not be usable
        return None


def _digest(file: Path) -> Digest:
    with file.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
