"""The statistics a verdict rests on: numpy and scipy.special only, arrays in, plain numbers out.

`estimate` gives a metric of several models with the covariance that the rows cause; `recipe_test` judges a retrained
recipe by it, `paired_test` two frozen files. What follows from the numbers (pass, fail, inconclusive) is decided in
`mlbot.core`.
"""

from mlbot.stats.confusion import decide
from mlbot.stats.drift import Drift, drift
from mlbot.stats.estimation import CustomMetric, estimate, estimate_custom
from mlbot.stats.intervals import clopper_pearson, metric_interval, prediction_interval
from mlbot.stats.multiplicity import benjamini_hochberg
from mlbot.stats.paired import (
    PairedMethod,
    PairedTest,
    agresti_min,
    mcnemar_mid_p,
    paired_difference,
    paired_test,
)
from mlbot.stats.recipe import RecipeMethod, RecipeTest, Sameness, SeedHistory, recipe_test, sameness
from mlbot.stats.types import Estimate, Interval, Method, Undefined, UndefinedMetricError

__all__ = [
    "CustomMetric",
    "Drift",
    "Estimate",
    "Interval",
    "Method",
    "PairedMethod",
    "PairedTest",
    "RecipeMethod",
    "RecipeTest",
    "Sameness",
    "SeedHistory",
    "Undefined",
    "UndefinedMetricError",
    "agresti_min",
    "benjamini_hochberg",
    "clopper_pearson",
    "decide",
    "drift",
    "estimate",
    "estimate_custom",
    "mcnemar_mid_p",
    "metric_interval",
    "paired_difference",
    "paired_test",
    "prediction_interval",
    "recipe_test",
    "sameness",
]
