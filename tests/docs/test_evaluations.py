"""The guide to evaluations: its configs are valid, its rows are read, and what it says of bounds is so."""

import re
from pathlib import Path

import pytest
from tests.support.config_texts import parse
from tests.support.evaluations import rows_of

from mlbot.config.predict import ResultFormat
from mlbot.judging import rows
from mlbot.judging.readers import PATTERNS

PAGE = (Path(__file__).parents[2] / "docs" / "evaluations.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
CONFIGS = [text for language, text in BLOCKS if language == "yaml" and "version: 1" in text]


@pytest.mark.parametrize("block", CONFIGS, ids=range(len(CONFIGS)))
def test_every_config_is_valid(block: str) -> None:
    (model,) = parse(block).models
    assert model.evaluate


def test_the_rows_it_shows_are_read() -> None:
    (text,) = [text for language, text in BLOCKS if language == "json"]
    found = rows_of(text.encode(), scores={"exact": {"range": [0, 1]}, "words": "lower"}, repeats=1)
    assert (found.tool, found.items, len(found.rows)) == ("my-eval", 2, 2)
    assert found.rows[1].error == "the service timed out"


def test_it_names_every_format_file_and_bound() -> None:
    assert all(f"`{each}`" in PAGE for each in ResultFormat)
    assert all(
        f"`{pattern}`" in PAGE for each in (ResultFormat.LM_EVAL, ResultFormat.DEEPEVAL) for pattern in PATTERNS[each]
    )
    assert f"At most {rows.MOST_BYTES // 1_000_000} MB, a million rows, {rows.MOST_METRICS} scores" in PAGE
    assert rows.MOST_ROWS == 1_000_000
