"""mlbot.yaml as people write it: valid and invalid ones, for the parser, the schema and the docs alike."""

from typing import NamedTuple

from mlbot.config.errors import ConfigError
from mlbot.config.schema import Config, parse_config
from mlbot.config.yaml import load

DESIGN = r"""
# mlbot.yaml
version: 1
models:
  adult-income:
    task: binary                       # binary | multiclass | regression
    train:
      run: python train.py             # any language: writes the ONNX file named by $MLBOT_MODEL
      depends: [train.py, income/, data/train.csv]   # a change to any of these makes the model stale
      params: params.yaml              # what /retrain may override, with types and bounds
      seeds: 3                         # the first seed's model ships, the others measure the noise
      timeout: 30m
      runs-on: ubuntu-latest           # any runner label: GPU, self-hosted, a fleet
    data:
      train: data/train.csv            # CSV or Parquet; a path or any fsspec URL; the digest is recorded
      holdout: data/holdout.csv
      target: income
      positive: ">50K"
      drop: [fnlwgt]
    slices:                            # SQL conditions over the holdout's columns
      women: "sex = 'Female'"
      under-25: "age < 25"
    metrics: [roc_auc, log_loss, f1, accuracy]       # scikit-learn's names; `module:function` for your own
    gates:
      roc_auc: {min: 0.90, max_regression: 0.005}
      log_loss: {max: 0.35}
      recall@women: {min: 0.50}                      # metric@slice
      negative_flips: {max_excess: 0.01}
      latency_p50_ms: {max_ratio: 1.2}
      size_mb: {max: 50}
guard: [main]                          # branches whose pull requests are gated (default: the default branch)
store: "oci://ghcr.io/OWNER/REPO/models"  # where judged models of main are kept (a folder, any fsspec URL, OCI)
environments:                          # each may name runs-on
  staging:    {target: "file:///srv/models/staging", smoke: {requests: 50, p95_ms: 50}}
  production: {target: "file:///srv/models/production", after: staging, approvals: 1}
"""

SMALL = """
models:
  m:
    task: binary
    train:
      run: make
    data:
      holdout: data/holdout.csv
      target: y
    slices:
      s: x = 1
    metrics: [roc_auc]
    gates:
      roc_auc:
        min: 0.9
"""
"""The least that is valid, with a slice; the cases below change a line of it."""


class Case(NamedTuple):
    """A change of `SMALL` and what comes of it."""

    old: str
    """A line of it, without the blanks around."""
    new: str
    """What stands there instead, indented the same."""
    message: str = ""
    """What is said, without the file's name and what stands before; empty: it is valid."""
    schema: bool = True
    """Whether the schema can tell too."""


def changed(case: Case) -> str:
    """The text of a case."""
    lines = SMALL.splitlines()
    index = next(number for number, line in enumerate(lines) if line.strip() == case.old)
    indent = lines[index][: -len(case.old)]
    lines[index] = "\n".join(indent + line for line in case.new.splitlines())
    return "\n".join(lines) + "\n"


def parse(text: str) -> Config:
    """The config in a text."""
    return parse_config(load(text, "mlbot.yaml"))


def problems(text: str) -> list[str]:
    """What is wrong with a text, a line each without the file's name."""
    try:
        parse(text)
    except ConfigError as error:
        return [problem.text("mlbot.yaml").splitlines()[0].removeprefix("mlbot.yaml:") for problem in error.problems]
    return []


RUN, HOLDOUT, TARGET, SLICE = "run: make", "holdout: data/holdout.csv", "target: y", "s: x = 1"
TASK, METRICS, MIN, GATE = "task: binary", "metrics: [roc_auc]", "min: 0.9", "roc_auc:"

VALID = [
    Case(RUN, "entrypoint: income.train:train"),
    Case(RUN, "run: |\n  pip install -e .\n  python train.py"),
    *(Case(RUN, f"run: make\ntimeout: {value}") for value in ("90", "0.5", "90s", "1.5h", "120h", '"30m"')),
    *(Case(RUN, f"run: make\nruns-on: {value}") for value in ("gpu", "[self-hosted, linux]", '"my runner"')),
    *(
        Case(RUN, f"run: make\nseeds: {value}")
        for value in ("1", "32", "{start: 2, most: 5}", "{most: 3}", "{start: 3}", "{}")
    ),
    Case(RUN, 'run: make\ndepends: [src/, "data/**/*.csv", ./train.py, a..b, .hidden]\nparams: p.json\nlock: uv.lock'),
    *(Case(HOLDOUT, f"holdout: {value}") for value in ("s3://bucket/h.parquet", "https://host/h.csv", '"a b.csv"')),
    *(
        Case(RUN, f"run: make\nparams: p.yaml\ntunable: {{{value}}}")
        for value in (
            "depth: {type: int, min: 1, max: 20}",
            "lr: {type: float, min: 0, max: 1}, tree.depth: {type: int, min: -1, max: -1}",
            "flag: {type: bool}, loss: {type: str}, layers.0: [16, 32]",
            "kind: [gbdt, dart, 0.5, 3, true]",
        )
    ),
    Case(HOLDOUT, "holdout: h.csv\ntrain: t.csv\ngroup: user\ndrop: [a]\nfeatures: [b, c]"),
    *(Case(TARGET, f"target: y\npositive: {value}") for value in ("1", "yes", "no", "on", "true", "1.5", '">50K"')),
    *(Case(TARGET, f"target: y\nthreshold: {value}") for value in ("0.4", "1e-6", "0.999")),
    Case(TARGET, "target: y\nlabel: model"),
    Case(TARGET, "target: y\nclasses: [0, 1]"),
    Case(TARGET, "target: y\nclasses: [no, yes]\npositive: yes"),
    Case(SLICE, 's: {where: "x = 1 AND y IN (1, 2)", min_rows: 1}'),
    Case(SLICE, "s:\n  where: >\n    x = 1\n    AND y = 2"),
    Case(METRICS, "metrics: [roc_auc, metrics:my_score, lib.metrics:my_loss]"),
    Case(
        METRICS, "metrics: [{function: lib:profit, direction: higher}, {function: lib:f, name: p-1, direction: lower}]"
    ),
    Case(METRICS, "metrics: [f1]"),
    Case(METRICS, "metrics: [log_loss, f1, accuracy, brier_score_loss, matthews_corrcoef]"),
    Case(METRICS, "#"),
    *(Case(MIN, text) for text in ("max_regression: 0", "min: 0\nmax: 1", "min: 1\nconfident: true", "max: 1e-3")),
    Case(MIN, "min: 0.9\nblocking: false"),
    Case(TARGET, "target: y\ngroup: g\nweight: w"),
    Case(METRICS, "metrics: [auc, ap, brier_score, neg_log_loss, f1_score, mcc]"),
    Case(
        METRICS,
        "metrics: [roc_auc, {metric: precision, zero_division: 0}, {metric: f1_score, name: f1, zero_division: 1}]",
    ),
    Case(GATE, "neg_log_loss: {max: 0.4}\nap@s: {min: 0}\nauc:"),
    Case(GATE, "negative_flips: {max: 0, confident: true}\nsize_mb: {max: 1}\nroc_auc@s: {min: 0}\nroc_auc:"),
    Case(GATE, "negative_flips: {max_excess: 0, max: 1}\nlatency_p50_ms: {max_ratio: 1, max: 5}\nroc_auc:"),
    Case("models:", "guard: [main, release/1.0]\nstore: models/\ninconclusive: {pull_request: block}\nmodels:"),
    Case("models:", "guard: [main, 'release/*', '*-stable', 'v**/x']\nmodels:"),
    Case("models:", "guard: ['**']\nmodels:"),
    Case("models:", "waivers: {by: [lea, Boss-2], author: true}\nmodels:"),
    Case("models:", "waivers: {}\nmodels:"),
    Case("models:", "environments: {}\ninconclusive: {}\nmodels:"),
    Case(
        "models:", "environments: {a: {target: models/a, runs-on: [x], smoke: {}}, b: {target: x, after: a}}\nmodels:"
    ),
    Case("models:", 'environments: {a: {target: "command:./deploy.sh --now", smoke: {command: "a\nb"}}}\nmodels:'),
    Case("models:", "store: OCI://127.0.0.1:5000/A/b\nmodels:"),
]
