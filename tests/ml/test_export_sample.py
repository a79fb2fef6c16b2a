"""The rows on which parity is measured, as the estimator and as the judge see them."""

import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # here by way of statsmodels, and without types
import polars as pl
import pytest
from tests.support.export_samples import features, make_table

from mlbot.ml import frames
from mlbot.ml.export import ExportError, sample_of


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return make_table()


def _table_with_null(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(city=pl.col("city").replace("", None))


def test_gaps_in_the_sample_are_fed_as_the_judge_feeds_them(table: pl.DataFrame) -> None:
    gaps = _table_with_null(table)
    polars, pandas = sample_of(features(gaps)), sample_of(pd.DataFrame(features(gaps).to_dict()))
    expected = frames.feed(features(table))
    for sample in (polars, pandas):
        for name, values in expected.items():
            np.testing.assert_array_equal(sample.feed[name], values)
            assert sample.feed[name].dtype == values.dtype


def test_columns_of_other_types_are_refused(table: pl.DataFrame) -> None:
    when = table.select("city", when=pl.lit("2026-01-01").str.to_date())
    with pytest.raises(ExportError, match="Column 'when' holds datetime64"):
        sample_of(when)
    with pytest.raises(ExportError, match="Column 'mixed' holds text and other things"):
        sample_of(pd.DataFrame({"mixed": ["a", 1]}))
    with pytest.raises(ExportError, match="Column 'lists' holds list"):
        sample_of(pd.DataFrame({"lists": [[1], [2]]}))


def test_a_sample_is_spread_over_all_rows() -> None:
    sample = sample_of(pl.DataFrame({"n": range(100_001)}), limit=11)
    assert sample.feed["n"].ravel().tolist() == [10_000.0 * step for step in range(11)]
