"""The model card: whole, and harmless whatever it quotes."""

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from tests.support import config_samples, release_samples, samples
from tests.support.hostile_samples import NASTY, as_github, poisoned, skeleton
from tests.support.ledger_samples import entry

from mlbot.delivery.model_card import card_of, card_text
from mlbot.report.report import ModelReport

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
