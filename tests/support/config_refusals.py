"""Changes of the small config that are refused, each with the first problem that is said."""

from tests.support.config_texts import GATE, HOLDOUT, METRICS, MIN, RUN, SLICE, TARGET, TASK, Case

_TUNABLE = [
    *(
        Case(RUN, f"run: make\nparams: p.yaml\ntunable: {value}", f"8: models.m.train.tunable{wrong}", schema)
        for value, wrong, schema in (
            ("{}", ": found a mapping → write a mapping from the name of each parameter", True),
            ("[depth]", ": found a list → write a mapping from the name of each parameter", True),
            ('{"a b": {type: bool}}', '."a b": found the name "a b" → write a name of letters', True),
            ("{a: 3}", ".a: found 3 → write a list of choices, or {type: float, min: 0, max: 1}", True),
            ("{a: {min: 1, max: 2}}", ".a: found no type → write `type:`", True),
            ("{a: {type: integer}}", '.a.type: found "integer" → write int', True),
            ("{a: {type: int, min: 1}}", ".a: found no max → write both bounds", False),
            ("{a: {type: float}}", ".a: found no min and max → write both bounds", False),
            ("{a: {type: int, min: 1.5, max: 2}}", ".a.min: found 1.5 → write a whole number", False),
            ("{a: {type: float, min: x, max: 2}}", '.a.min: found "x" → write a number', True),
            ("{a: {type: int, min: 3, max: 2}}", ".a.max: found 2 → write at least 3, the min", False),
            ("{a: {type: bool, min: 0}}", ".a.min: found 0 → write no bounds; a bool has none", False),
            ("{a: {type: int, min: 1, max: 2, step: 1}}", '.a.step: found the unknown key "step" → write ', True),
            ("{a: []}", ".a: found an empty list → write a list of choices", True),
            ("{a: [1, '1']}", '.a[1]: found "1" again, after [0] → write each once', False),
            ("{a: [true, [1]]}", ".a[1]: found a list → write a number, true, false, or a word", True),
            ("{a: [' x']}", '.a[0]: found " x" → write a number, true, false, or a word', False),
        )
    ),
    Case(
        RUN, "run: make\ntunable: {a: {type: bool}}", "7: models.m.train.tunable: found no params → write", schema=False
    ),
]

_TRAINING_AND_DATA = [
    Case("models:", "version: 2\nmodels:", "2: version: found 2 → write 1, the only version there is"),
    Case("models:", "version: true\nmodels:", "2: version: found true → write 1, the only version there is"),
    Case("models:", "modells: {}\nmodels:", '2: modells: found the unknown key "modells" → write models'),
    Case(
        "models:",
        "zzz: 1\nmodels:",
        '2: zzz: found the unknown key "zzz" → write version, models, guard, inconclusive, waivers, store, environ',
    ),
    Case("m:", "'a b':", '3: models."a b": found the name "a b" → write a name of letters and digits, with `.`, `_`,'),
    Case(TASK, "task: binry", '4: models.m.task: found "binry" → write binary'),
    Case(
        TASK,
        "task: 1",
        "4: models.m.task: found 1 → write binary, multiclass, regression, multilabel, multioutput, ra",
    ),
    Case(
        TASK,
        "task:",
        "4: models.m.task: found nothing → write binary, multiclass, regression, multilabel, multioutput, ra",
    ),
    Case(TASK, "#", "3: models.m: found no task → write `task:`"),
    Case(
        RUN,
        "seeds: 2",
        "5: models.m.train: found none of run, entrypoint and notebook → write one of them: `run: python train.py`, "
        "`entrypoint: module:function`",
    ),
    Case(RUN, "run: make\nentrypoint: a:b", "5: models.m.train: found both run and entrypoint → write one of them: "),
    Case(RUN, "run: ''", "6: models.m.train.run: found an empty text → write a shell command"),
    Case(RUN, "run: [make]", "6: models.m.train.run: found a list → write a shell command"),
    Case(
        RUN, "entrypoint: train.py", '6: models.m.train.entrypoint: found "train.py" → write module:function, such as'
    ),
    *(
        Case(
            RUN,
            f"run: make\nseeds: {value}",
            f"7: models.m.train.seeds: found {shown} → write a whole number from 1 to 32",
            schema=value != "1.0",  # an integer for JSON Schema
        )
        for value, shown in {"0": "0", "33": "33", "1.0": "1.0", "true": "true", "'3'": '"3"', "": "nothing"}.items()
    ),
    *(
        Case(RUN, f"run: make\nseeds: {value}", f"7: models.m.train.seeds{said}", schema=schema)
        for value, said, schema in (
            ("{start: 4}", ".start: found 4 → write 2 or 3: a verdict is looked at after 2, 3 and 5 seeds", True),
            ("{start: 1, most: 5}", ".start: found 1 → write 2 or 3: a verdict", True),
            ("{start: 5}", ".start: found 5 → write 2 or 3: a verdict", True),
            ("{most: 8}", ".most: found 8 → write 3 or 5: a verdict is looked at after", True),
            ("{most: 2}", ".most: found 2 → write 3 or 5: a verdict", True),
            ("{most: 5.0}", ".most: found 5.0 → write 3 or 5: a verdict", False),
            ("{most: true}", ".most: found true → write 3 or 5: a verdict", True),
            ("{start: 3, most: 3}", ": found start 3 and most 3 → write a `start` below `most`, or `seeds: 3` ", False),
            ("{first: 2}", '.first: found the unknown key "first" → write start or most', True),
            ("[2, 5]", ": found a list → write a whole number from 1 to 32", True),
        )
    ),
    *(
        Case(
            RUN,
            f"run: make\ntimeout: {value}",
            f"7: models.m.train.timeout: found {shown} → write a duration such as 90s, 30m or 2h, of at most 120h",
        )
        for value, shown in {
            "0m": '"0m"',
            "-5": "-5",
            "1d": '"1d"',
            "30 m": '"30 m"',
            "true": "true",
            "500000": "500000",
        }.items()
    ),
    Case(RUN, "run: make\ntimeout: 121h", '7: models.m.train.timeout: found "121h" → write a duration', schema=False),
    Case(RUN, "run: make\nruns_on: gpu", '7: models.m.train.runs_on: found the unknown key "runs_on" → write runs-on'),
    Case(
        RUN, "run: make\nruns-on: []", "7: models.m.train.runs-on: found an empty list → write a list of runner labels"
    ),
    Case(
        RUN, "run: make\nruns-on: [a, a]", '7: models.m.train.runs-on[1]: found "a" again, after [0] → write each once'
    ),
    Case(
        RUN,
        "run: make\nruns-on: ${{ inputs.x }}",
        '7: models.m.train.runs-on: found "${{ inputs.x }}" → write a runner label; expressions are not evaluated here',
    ),
    *(
        Case(
            RUN,
            f"run: make\nruns-on: {label}",
            f'7: models.m.train.runs-on{place}: found "{found}" → write a label of Linux or macOS: '
            "mlbot runs on those; on Windows use WSL",
        )
        for label, place, found in (
            ("windows-latest", "", "windows-latest"),
            ("[self-hosted, Windows]", "[1]", "Windows"),
        )
    ),
    Case(
        RUN, "run: make\ndepends: x", '7: models.m.train.depends: found "x" → write a list of files, folders and globs'
    ),
    Case(
        RUN, "run: make\ndepends: []", "7: models.m.train.depends: found an empty list → write a list of files, folders"
    ),
    *(
        Case(RUN, f"run: make\nparams: {path}", f"7: models.m.train.params: found {shown} → write {write}", schema)
        for path, shown, write, schema in (
            ("/etc/x", '"/etc/x"', "a path relative to the repository's root", True),
            ("~/x", '"~/x"', "a path relative to the repository's root", True),
            ("'C:x'", '"C:x"', "a path relative to the repository's root", True),
            ("a/../b", '"a/../b"', "a path without `..`, in the folder of mlbot.yaml or below", True),
            ("..", '".."', "a path without `..`, in the folder of mlbot.yaml or below", True),
            ("a\\b", '"a\\\\b"', "the path with forward slashes", True),
            ("s3://x/y", '"s3://x/y"', "a path inside the repository; only data can have a URL", True),
            (".", '"."', "a file or folder of the repository", True),
            (".git/config", '".git/config"', "a file or folder of the repository", True),
            ("5", "5", "a path inside the repository as text, in quotes", True),
        )
    ),
    *_TUNABLE,
    Case(HOLDOUT, "#", "7: models.m.data: found no holdout → write `holdout:`"),
    Case(
        HOLDOUT,
        "holdout: h.csv\ntrain: h.csv",
        "8: models.m.data.holdout: found the training data → write",
        schema=False,
    ),
    Case(
        HOLDOUT,
        "holdout: s3://me:secret@bucket/h.csv",
        "8: models.m.data.holdout: found a URL with a password → write the URL without a password; credentials",
    ),
    *(
        Case(
            HOLDOUT,
            f"holdout: h.csv\nsealed: {given}",
            f"9: models.m.data.sealed: found {found} → write {write}",
            schema=schema,
        )
        for given, found, write, schema in (
            (
                "data/sealed.csv",
                '"data/sealed.csv"',
                "a URL such as s3://bucket/sealed.parquet: what lies in the",
                True,
            ),
            (":/sealed.csv", '":/sealed.csv"', "a URL such as s3://bucket/sealed.parquet", True),
            ("file:///srv/s.csv", '"file:///srv/s.csv"', "a URL of another machine", True),
            ("LOCAL://srv/s.csv", '"LOCAL://srv/s.csv"', "a URL of another machine", True),
            ("zip://s.csv", '"zip://s.csv"', "a URL of another machine", True),
            ("zip://s.csv::s3://b/s.zip", '"zip://s.csv::s3://b/s.zip"', "a URL of another machine", True),
            *(
                (given, f'"{given}"', "a URL that is encrypted on its way", True)
                for given in ("http://host/s.csv", "HTTP://host:8080/s.csv", "ftp://host/s.csv")
            ),
            *(
                (given, f'"{given}"', "a URL with a bucket or host and a name in it", True)
                for given in ("s3://", "s3:///s.csv", "s3://b", "s3://b/", "gs://b//", "https://host", "hdfs:///")
            ),
            ("https://me:secret@host/s.csv", "a URL with a password", "the URL without a password", True),
        )
    ),
    Case(
        HOLDOUT,
        "holdout: s3://b/h.csv\nsealed: s3://b/h.csv",
        '9: models.m.data.sealed: found "s3://b/h.csv" → write another file: sealed rows are those that',
        schema=False,
    ),
    Case(
        HOLDOUT,
        "holdout: simplecache::s3://bucket/h.csv",
        '8: models.m.data.holdout: found "simplecache::s3://bucket/h.csv" → write',
    ),
    Case(TARGET, "target: 5", "9: models.m.data.target: found 5 → write a column name as text, in quotes"),
    Case(
        TARGET,
        'target: "y\\u202e"',
        '9: models.m.data.target: found the invisible character U+202E in "y\\u202e" → write a column name without it',
        schema=False,
    ),
    Case(TARGET, 'target: "a\\nb"', '9: models.m.data.target: found "a\\nb" → write a column name on one line'),
    Case(
        TARGET,
        "target: y\ndrop: [y]",
        '10: models.m.data.drop[0]: found "y", which is the target already',
        schema=False,
    ),
    Case(
        TARGET,
        "target: y\ndrop: [a, b]\nfeatures: [b]",
        '11: models.m.data.features[0]: found "b", which is dropped already → write each column in one place',
        schema=False,
    ),
    Case(
        TARGET, "target: y\ngroup: y", '10: models.m.data.group: found "y", which is the target already', schema=False
    ),
    Case(TARGET, "target: y\ndrop: [a, a]", '10: models.m.data.drop[1]: found "a" again, after [0] → write each once'),
    Case(TARGET, "target: y\npositive: [1]", "10: models.m.data.positive: found a list → write a label"),
    Case(
        TARGET,
        "target: y\npositive: c\nclasses: [a, b]",
        '10: models.m.data.positive: found "c" → write one of the classes: "a" or "b"',
        schema=False,
    ),
    Case(
        TARGET,
        "target: y\nclasses: [a, b, c]",
        "10: models.m.data.classes: found 3 classes for a binary model → write the two labels",
        schema=False,
    ),
    *(
        Case(
            TARGET,
            f"target: y\nthreshold: {value}",
            "10: models.m.data.threshold: found " + found + " → write a probability, more than 0 and less than 1",
        )
        for value, found in (("0", "0"), ("1", "1"), ("-0.1", "-0.1"), ("true", "true"), ('"0.4"', '"0.4"'))
    ),
    Case(
        TARGET,
        "target: y\nthreshold: 0.4\nlabel: model",
        "11: models.m.data.label: found both threshold and label → write `threshold` or `label`",
        schema=False,
    ),
    Case(TARGET, "target: y\nlabel: file", '10: models.m.data.label: found "file" → write model'),
]

_JUDGING_AND_DEPLOYING = [
    Case(SLICE, "'a b': x = 1", '11: models.m.slices."a b": found the name "a b" → write a name of letters, digits,'),
    Case(SLICE, "s: x = 1;", "11: models.m.slices.s: found `;` → write one condition, not statements", schema=False),
    Case(
        SLICE, "s: 5", '11: models.m.slices.s: found 5 → write an SQL condition such as "age < 25" as text, in quotes'
    ),
    Case(SLICE, "s: {min_rows: 5}", "11: models.m.slices.s: found no where → write `where:`"),
    Case(
        SLICE,
        "s: {where: x = 1, min_rows: 0}",
        "11: models.m.slices.s.min_rows: found 0 → write a whole number, 1 or more",
    ),
    Case(
        METRICS, "metrics: []", "12: models.m.metrics: found an empty list → write a list of metrics such as roc_auc or"
    ),
    Case(METRICS, "metrics: [rocauc]", '12: models.m.metrics[0]: found the unknown metric "rocauc" → write roc_auc'),
    Case(METRICS, "metrics: [brierr]", '12: models.m.metrics[0]: found the unknown metric "brierr" → write brier'),
    Case(
        METRICS,
        "metrics: [mae]",
        '12: models.m.metrics[0]: found "mae", which is not for binary models → write accuracy,',
        schema=False,
    ),
    Case(
        METRICS,
        "metrics: [f1_samples]",
        '12: models.m.metrics[0]: found "f1_samples", which is not for binary models → write f1',
        schema=False,
    ),
    *(
        Case(TASK, f"task: {word}", f'4: models.m.task: found "{word}" → write {write}')
        for word, write in (
            ("clustering", "binary, multiclass, regression, multilabel, multioutput, ra"),
            ("classification", "binary, or multiclass where there are more than two classes"),
            ("multi-label", "multilabel"),
            ("Multi_Output", "multioutput"),
            ("multiclass classification", "multiclass"),
            ("learning-to-rank", "ranking"),
            ("time-series", "forecast"),
        )
    ),
    Case(
        "target: y",
        "target: [y, z]",
        "9: models.m.data.target: found a list → write one column; several are for multilabel and multioutput, not b",
        schema=False,
    ),
    Case(
        METRICS,
        "metrics: [log_loss, neg_log_loss]",
        '12: models.m.metrics[1]: found "log_loss" again, after [0] → write each metric once',
        schema=False,
    ),
    Case(
        GATE,
        "auc: {min: 0.9}\nroc_auc:",
        '15: models.m.gates.roc_auc: found "roc_auc" beside "auc", which is the same metric → write all bounds under',
        schema=False,
    ),
    Case(
        GATE,
        "neg_log_loss: {min: -0.4}\nroc_auc:",
        "14: models.m.gates.neg_log_loss.min: found `min` for neg_log_loss → write `max` with a value of log_loss,",
        schema=False,
    ),
    Case(
        METRICS,
        "metrics: [zzz]",
        '12: models.m.metrics[0]: found the unknown metric "zzz" → write accuracy, balanced_accuracy, log_loss,',
    ),
    Case(
        METRICS,
        "metrics: [roc_auc_ovr]",
        '12: models.m.metrics[0]: found "roc_auc_ovr", which is not for binary models → write roc_auc',
        schema=False,
    ),
    Case(
        METRICS,
        "metrics: [{metric: mae, alpha: 0.9}]",
        '12: models.m.metrics[0].metric: found "mae", which is not for binary models → write',
        schema=False,
    ),
    Case(
        METRICS,
        "metrics: [{metric: roc_auc, alpha: 0.9}]",
        "12: models.m.metrics[0].alpha: found `alpha` for roc_auc → write none",
        schema=False,
    ),
    Case(
        METRICS,
        "metrics: [{metric: f1, k: 3}]",
        "12: models.m.metrics[0].k: found `k` for f1 → write `zero_division`, which it takes",
        schema=False,
    ),
    Case(
        METRICS,
        "metrics: [{metric: f1, zero_division: 0.5}]",
        "12: models.m.metrics[0].zero_division: found 0.5 → write a whole number from 0 to 1",
    ),
    Case(
        METRICS,
        "metrics: [{metric: f1, name: recall}]",
        '12: models.m.metrics[0].name: found "recall" for a metric of yours → write another name',
        schema=False,
    ),
    Case(
        METRICS,
        "metrics: [roc_auc, roc_auc]",
        '12: models.m.metrics[1]: found "roc_auc" again, after [0] → write each metric once; two functions of one name',
        schema=False,
    ),
    Case(METRICS, "metrics: [size_mb]", '12: models.m.metrics[0]: found "size_mb" → write it under `gates` only;'),
    Case(
        METRICS, "metrics: [1]", "12: models.m.metrics[0]: found 1 → write a metric's name or module:function as text"
    ),
    Case(METRICS, "metrics: [a b:c]", '12: models.m.metrics[0]: found "a b:c" → write module:function, such as'),
    Case(
        METRICS,
        "metrics: [lib:profit]",
        '12: models.m.metrics[0]: found "profit" without a direction → write {function: lib:profit, direction: higher}',
        schema=False,
    ),
    Case(
        METRICS,
        "metrics: [{function: a:b, direction: up}]",
        '12: models.m.metrics[0].direction: found "up" → write higher',
    ),
    Case(METRICS, "metrics: [{name: a}]", "12: models.m.metrics[0]: found no function → write `function:`"),
    Case(
        METRICS,
        "metrics: [{function: a:b_loss, name: a b}]",
        '12: models.m.metrics[0].name: found the name "a b" → write',
    ),
    Case(
        METRICS,
        "metrics: [a:roc_auc]",
        '12: models.m.metrics[0]: found "roc_auc" for a metric of yours → write another name with `name:`',
        schema=False,
    ),
    Case(
        MIN,
        "#",
        "14: models.m.gates.roc_auc: found nothing → write a mapping with min, max, max_regression, max_excess, max_",
    ),
    Case(
        GATE, "roc_auc: 0.9\nf1:", "14: models.m.gates.roc_auc: found 0.9 → write {min: 0.9} or {max: 0.9} or {max_reg"
    ),
    Case(GATE, "size_mb: 5\nf1:", "14: models.m.gates.size_mb: found 5 → write {max: 5}"),
    Case(GATE, "f1: {}\nroc_auc:", "14: models.m.gates.f1: found no bound → write at least one of min, max and"),
    Case(MIN, "blocking: true", "14: models.m.gates.roc_auc: found no bound → write at least one of min, max and"),
    Case(MIN, "minimum: 1", '15: models.m.gates.roc_auc.minimum: found the unknown key "minimum" → write min'),
    Case(MIN, "min: high", '15: models.m.gates.roc_auc.min: found "high" → write a number from 0 to 1'),
    Case(MIN, "min: true", "15: models.m.gates.roc_auc.min: found true → write a number from 0 to 1"),
    Case(MIN, "min: 90", "15: models.m.gates.roc_auc.min: found 90 → write a number from 0 to 1", schema=False),
    Case(MIN, "min: .nan", "15: models.m.gates.roc_auc.min: found nan → write a number from 0 to 1", schema=False),
    Case(
        GATE,
        "log_loss: {max: .inf}\nf1:",
        "14: models.m.gates.log_loss.max: found inf → write a number, 0 or",
        schema=False,
    ),
    Case(
        MIN,
        "min: 0.9\nmax: 0.8",
        "14: models.m.gates.roc_auc: found min 0.9 above max 0.8 → write a `min` of",
        schema=False,
    ),
    Case(
        MIN,
        "max_regression: -0.1",
        "15: models.m.gates.roc_auc.max_regression: found -0.1 → write a number from 0 to 1",
    ),
    Case(
        MIN,
        "max_regression: 0\nconfident: true",
        "16: models.m.gates.roc_auc.confident: found true → write it beside `min` or `max`; max_regression is always",
        schema=False,
    ),
    Case(MIN, "min: 0.5\nconfident: 1", "16: models.m.gates.roc_auc.confident: found 1 → write true or false"),
    Case(
        GATE,
        "recal@s: {min: 0}\nroc_auc:",
        '14: models.m.gates.recal@s: found the unknown metric "recal" → write recall',
        schema=False,
    ),
    Case(GATE, "roc_auc@t:", '14: models.m.gates.roc_auc@t: found the unknown slice "t" → write s', schema=False),
    Case(GATE, "roc_auc@:", '14: models.m.gates.roc_auc@: found the unknown slice "" → write s', schema=False),
    Case(
        GATE,
        "rmse: {max: 1}\nroc_auc:",
        '14: models.m.gates.rmse: found "rmse", which is not for binary models → write accuracy, balanced_accuracy,',
        schema=False,
    ),
    Case(
        GATE,
        "r2: {min: 0}\nroc_auc:",
        '14: models.m.gates.r2: found "r2", which is not for binary models → write accuracy,',
        schema=False,
    ),
    Case(
        GATE,
        "negative_flips: {max_regression: 0.01}\nroc_auc:",
        "14: models.m.gates.negative_flips.max_regression: found `max_regression` for negative_flips → write `max_ex",
    ),
    Case(
        GATE,
        "latency_p50_ms: {max_regression: 1}\nroc_auc:",
        "14: models.m.gates.latency_p50_ms.max_regression: found `max_regression` for latency_p50_ms → write `max_ra",
    ),
    Case(
        GATE,
        "latency_p95_ms: {max_ratio: 1.2}\nroc_auc:",
        "14: models.m.gates.latency_p95_ms.max_ratio: found `max_ratio` for latency_p95_ms → write `latency_p50_ms:",
    ),
    Case(
        GATE,
        "latency_p50_ms: {min: 1}\nroc_auc:",
        "14: models.m.gates.latency_p50_ms.min: found `min` for latency_p50_ms → write `max` or `max_ratio`, the bou",
    ),
    Case(
        MIN,
        "max_excess: 0.01",
        "15: models.m.gates.roc_auc.max_excess: found `max_excess` for roc_auc → write `max_regression`: how much wo",
    ),
    Case(
        MIN,
        "max_ratio: 1.2",
        "15: models.m.gates.roc_auc.max_ratio: found `max_ratio` for roc_auc → write `max_regression`: how much worse",
    ),
    Case(
        GATE,
        "latency_p50_ms: {max_ratio: 0.9}\nroc_auc:",
        "14: models.m.gates.latency_p50_ms.max_ratio: found 0.9 → write a number, 1 or more",
    ),
    Case(
        GATE,
        "negative_flips: {max_excess: -1}\nroc_auc:",
        "14: models.m.gates.negative_flips.max_excess: found -1 → write a number from 0 to 1",
    ),
    Case(
        GATE,
        "negative_flips: {max_excess: 0.01, confident: true}\nroc_auc:",
        "14: models.m.gates.negative_flips.confident: found true → write it beside `min` or `max`; max_excess is alw",
        schema=False,
    ),
    Case(GATE, "negative_flips: 0.01\nf1:", "14: models.m.gates.negative_flips: found 0.01 → write {max: 0.01} or"),
    Case(
        GATE,
        "negative_flips: {}\nroc_auc:",
        "14: models.m.gates.negative_flips: found no bound → write at least one of max and max_excess",
    ),
    Case(GATE, "size_mb: {}\nroc_auc:", "14: models.m.gates.size_mb: found no bound → write `max`"),
    Case(
        GATE,
        "size_mb: {min: 3}\nroc_auc:",
        "14: models.m.gates.size_mb.min: found `min` for size_mb → write `max`, the only bound it takes",
    ),
    Case(
        GATE,
        "size_mb@s: {max: 3}\nroc_auc:",
        '14: models.m.gates.size_mb@s: found "size_mb@s", which is measured on the whole file → write it without',
        schema=False,
    ),
    Case("models:", "guard: main\nmodels:", '2: guard: found "main" → write a list of branch names and'),
    *(
        Case("models:", f"guard: [{name}]\nmodels:", f'2: guard[0]: found "{name}" → write a branch name as git')
        for name in ("release/", "a..b", "-x", "a b", "x.lock", "re?ease", "x/*..y")
    ),
    Case("models:", "guard: ['a***b']\nmodels:", '2: guard[0]: found "a***b" → write `*` for any text without a slash'),
    Case("models:", "guard: ['r/${{github.token}}']\nmodels:", '2: guard[0]: found "r/${{github.token}}" → write a'),
    Case("models:", "guard: ['!dev']\nmodels:", '2: guard[0]: found "!dev" → write the branches to guard; none can be'),
    Case(
        "models:",
        "guard: [main, release/*, release/**]\nmodels:",
        '2: guard[2]: found "release/**" → write one of the two: release/* has the same status, mlbot/release',
        schema=False,
    ),
    Case(
        "models:",
        "guard:\n- main\n- Main\nmodels:",
        '4: guard[1]: found "Main" → write one of the two: main has the same status, mlbot/Main',
        schema=False,
    ),
    Case(
        "models:",
        "guard: [main, '**']\nmodels:",
        '2: guard[1]: found "**" → write a pattern with text in it, such as release/**, or leave the others out',
        schema=False,
    ),
    Case(
        "models:",
        f"guard: [main, {'x' * 250}]\nmodels:",
        f'2: guard[1]: found "{"x" * 40}',
        schema=False,
    ),
    Case(
        "models:",
        "waivers: {by: ['@lea']}\nmodels:",
        '2: waivers.by[0]: found "@lea" → write a login on GitHub, without `@`',
    ),
    Case("models:", "waivers: {by: lea}\nmodels:", '2: waivers.by: found "lea" → write a list of logins'),
    Case("models:", "waivers: {author: maybe}\nmodels:", '2: waivers.author: found "maybe" → write true or false'),
    Case("models:", "waivers: {who: [lea]}\nmodels:", '2: waivers.who: found the unknown key "who" → write'),
    Case(
        "models:", "inconclusive: {promotion: stop}\nmodels:", '2: inconclusive.promotion: found "stop" → write warn or'
    ),
    Case("models:", "store: /srv/x\nmodels:", '2: store: found "/srv/x" → write file:///srv/x'),
    Case("models:", "store: [x]\nmodels:", "2: store: found a list → write a URL such as s3://bucket/models or"),
    Case("models:", "environments: {a: {}}\nmodels:", "2: environments.a: found no target → write `target:`"),
    Case(
        "models:", "environments: [a]\nmodels:", "2: environments: found a list → write a mapping from the name of each"
    ),
    Case(
        "models:",
        "environments: {a: {target: x, after: b}}\nmodels:",
        '2: environments.a.after: found "b" → write a',
        schema=False,
    ),
    Case(
        "models:",
        "environments: {a: {target: x, after: a}}\nmodels:",
        '2: environments.a: found "a" after "a" → write an order without a circle',
        schema=False,
    ),
    Case(
        "models:",
        "environments: {a: {target: x, approvals: -1}}\nmodels:",
        "2: environments.a.approvals: found -1 → write a whole number from 0 to 6",
    ),
    Case(
        "models:",
        "environments: {a: {target: x, smoke: {p95_ms: 0, requests: 0}}}\nmodels:",
        "2: environments.a.smoke.p95_ms: found 0 → write milliseconds, more than 0",
    ),
    Case(
        "models:",
        "store: https://models.example/x\nmodels:",
        '2: store: found "https://models.example/x" → write a URL that can be written to',
    ),
    Case(
        "models:",
        "store: oci://ghcr.io\nmodels:",
        '2: store: found "oci://ghcr.io" → write a registry and a repository, such as oci://',
    ),
    Case(
        "models:",
        "store: file://srv/models\nmodels:",
        '2: store: found "file://srv/models" → write three slashes, such as file:///srv/models',
    ),
    Case(
        "models:",
        'environments: {a: {target: "command: "}}\nmodels:',
        '2: environments.a.target: found "command: " → write a shell command after `command:`',
    ),
    Case(
        "models:",
        'environments: {a: {target: x, smoke: {command: " "}}}\nmodels:',
        '2: environments.a.smoke.command: found " " → write a shell command',
    ),
    *[
        Case(
            "models:",
            f"environments: {{a: {{target: x, endpoint: {given}}}}}\nmodels:",
            f"2: environments.a.endpoint.{what}",
        )
        for given, what in (
            ("{url: s3://b/x}", 'url: found "s3://b/x" → write a URL that begins with https://'),
            ("{url: models.example}", 'url: found "models.example" → write a URL that begins with'),
            ("{url: 'https://a:b@m.example'}", "url: found a URL with a password"),
            ("{url: 'https://m.example/?a=b'}", 'url: found "https://m.example/?a=b" → write the URL without `?`'),
            ("{url: 'https://m.example', model: a/b}", 'model: found "a/b" → write a name without `/`'),
            ("{url: 'https://m.example', model: '{name}'}", 'model: found "{name}" → write no braces but "{model}"'),
            ("{url: 'https://m.example', version: 'v{number'}", 'version: found "v{number" → write no braces but'),
            ("{url: 'https://m.example', token: GITHUB_TOKEN}", 'token: found "GITHUB_TOKEN" → write another name'),
            ("{url: 'https://m.example', timeout: 0s}", 'timeout: found "0s" → write a duration'),
            ("{url: 'https://m.example', p95_ms: 0}", "p95_ms: found 0 → write milliseconds"),
        )
    ],
    Case(
        "models:",
        "environments: {a: {target: x, endpoint: {url: 'http://m.example', token: ACME}}}\nmodels:",
        '2: environments.a.endpoint.url: found "http://m.example" → write https://, or no token',
        schema=False,
    ),
    Case(
        "models:",
        "environments: {a: {target: x, shadow: {max_changed: 0.1}}}\nmodels:",
        "2: environments.a.shadow: found no requests → write `requests:`",
    ),
    Case(
        "models:",
        "environments: {a: {target: x, shadow: {requests: log.jsonl, max_changed: 2}}}\nmodels:",
        "2: environments.a.shadow.max_changed: found 2 → write a share from 0 to 1",
    ),
    Case(
        "models:",
        "environments: {a: {target: x, shadow: {requests: 'logs/{hour}.jsonl'}}}\nmodels:",
        '2: environments.a.shadow.requests: found "logs/{hour}.jsonl" → write no braces but "{model}", "{date}"',
        schema=False,
    ),
]

INVALID = _TRAINING_AND_DATA + _JUDGING_AND_DEPLOYING
