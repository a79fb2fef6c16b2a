"""The model card: its facts, and as it is shown."""

import json
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from tests.support import config_samples, release_samples, samples
from tests.support.hostile_samples import NASTY, as_github, poisoned, skeleton
from tests.support.ledger_samples import entry
from tests.support.release_samples import release

from mlbot.delivery.model_card import card_of, card_text, checksums, manifest
from mlbot.ledger.entries import ReleaseEntry
from mlbot.report.report import ModelReport


def test_metrics_are_the_released_files_own_with_their_intervals() -> None:
    report = samples.passing().models[0]
    card = card_of(release(), None, entry(), report, None)
    shipped = report.shipped
    assert shipped is not None
    assert [row.metric for row in card.measures] == [each.metric for each in shipped.scores if each.slice is None]
    assert all(" to " in row.interval for row in card.measures)


def test_every_small_slice_is_a_limit() -> None:
    report = samples.passing().models[0]
    said = " ".join(card_of(release(), None, entry(), report, None).limits)
    assert all((f"The slice {each.name} " in said) == each.small for each in report.slices)


def test_without_a_report_it_says_so_and_invents_nothing() -> None:
    card = card_of(release(data={}), None, None, None, None)
    assert (card.measures, card.gates, card.slices, card.holdout) == ((), (), None, "")
    assert "not kept" in card.limits[0]


def test_the_manifest_holds_the_entry_of_the_ledger() -> None:
    made = release()
    told = json.loads(manifest(made, None, "model.onnx"))
    assert ReleaseEntry.model_validate_json(json.dumps(told["release"]), strict=True) == made
    assert (told["name"], told["training"]) == ("adult-income@v1.2.0", None)
    assert manifest(made, None, "model.onnx") == manifest(made, None, "model.onnx")


def test_the_sums_are_read_by_sha256sum(tmp_path: Path) -> None:
    for name in ("model.onnx", "b.json"):
        (tmp_path / name).write_text(name)
    sums = checksums({name: f"sha256:{sha256(name.encode()).hexdigest()}" for name in ("model.onnx", "b.json")})
    (tmp_path / "SHA256SUMS").write_text(sums)
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode == 0
    (tmp_path / "b.json").write_text("changed")
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode == 1


@pytest.mark.parametrize("actor", ["ada", "x" * 200])
def test_the_name_is_the_versions(actor: str) -> None:
    assert card_of(release(actor=actor), None, None, None, None).name == "adult-income@v1.2.0"


URL = "https://github.com/acme/income"


class MarkdownFile(SingleFileSnapshotExtension):
    file_extension = "md"
    _write_mode = WriteMode.TEXT


def card(report: ModelReport | None, text: str = "", url: str | None = URL) -> str:
    model = config_samples.model(data={"target": text or "income", "positive": text or ">50K", "drop": ("fnlwgt",)})
    release = release_samples.release(**({"actor": text} if text and text.isprintable() else {}))
    return card_text(card_of(release, model, entry(), report, url))


def test_whole(snapshot: SnapshotAssertion) -> None:
    assert card(samples.passing().models[0]) == snapshot(extension_class=MarkdownFile)


def test_without_a_report(snapshot: SnapshotAssertion) -> None:
    assert card(None, url=None) == snapshot(extension_class=MarkdownFile)


@pytest.mark.parametrize("text", NASTY)
def test_no_text_breaks_out_of_its_place(text: str) -> None:
    harmless, hostile = (card(poisoned(samples.passing(), each).models[0], each) for each in ("plain", text))
    assert skeleton(as_github(hostile))[0] == skeleton(as_github(harmless))[0]
