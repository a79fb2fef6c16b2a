"""What a config names against what there is."""

from collections.abc import Collection, Mapping

import pytest
from tests.support import config_texts as texts
from tests.support.config_texts import Case, changed

from mlbot.config.run_check import check_files
from mlbot.config.schema import parse_config
from mlbot.config.yaml import load

HEADER = ("x", "y", "hours-per-week", "sex")


def found(case: Case, there: Collection[str] = (), headers: Mapping[str, Collection[str]] | None = None) -> list[str]:
    document = load(changed(case), "mlbot.yaml")
    config = parse_config(document)
    there = {"data/holdout.csv", *there}
    problems = check_files(config, document, exists=lambda path: path in there, headers=headers or {})
    return [problem.text("mlbot.yaml") for problem in problems]


def test_nothing_is_missing() -> None:
    assert found(Case(texts.RUN, texts.RUN), headers={"m": HEADER}) == []


@pytest.mark.parametrize(
    ("old", "new", "place", "path"),
    [
        (texts.HOLDOUT, "holdout: h.csv", "8: models.m.data.holdout", "h.csv"),
        (texts.HOLDOUT, "holdout: data/holdout.csv\ntrain: t.csv", "9: models.m.data.train", "t.csv"),
        (texts.RUN, "run: make\nparams: p.yaml", "7: models.m.train.params", "p.yaml"),
        (texts.RUN, "run: make\nlock: uv.lock", "7: models.m.train.lock", "uv.lock"),
        (texts.RUN, "run: make\ndepends: [data/holdout.csv, src/]", "7: models.m.train.depends[1]", "src/"),
    ],
)
def test_a_missing_file(old: str, new: str, place: str, path: str) -> None:
    (problem,) = found(Case(old, new))
    hint = "write a path that exists, from the folder of mlbot.yaml"
    root = ", or with `:/` before it from the repository's root" if "depends" in place or "lock" in place else ""
    assert problem == f'mlbot.yaml:{place}: found "{path}", which is not there → {hint}{root}'
    assert found(Case(old, new), there={path}) == []


@pytest.mark.parametrize(
    ("key", "above"), [("depends: [common]", True), ("lock: common", True), ("params: common", False)]
)
def test_what_is_in_the_repositorys_root_is_named_from_there(key: str, *, above: bool) -> None:
    (problem,) = found(Case(texts.RUN, f"run: make\n{key}"), there={":/common"})
    assert problem.endswith("→ write :/common") == above


def test_urls_are_not_looked_for() -> None:
    assert found(Case(texts.HOLDOUT, "holdout: s3://bucket/h.csv\ntrain: gs://bucket/t.csv")) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            texts.TARGET,
            "target: z",
            '9: models.m.data.target: found "z", which is no column of data/holdout.csv → write',
        ),
        (texts.TARGET, "target: y\ngroup: sexx", '10: models.m.data.group: found "sexx", which is no column of '),
        (texts.TARGET, "target: y\ndrop: [x, z]", '10: models.m.data.drop[1]: found "z", which is no column of '),
        (
            texts.TARGET,
            "target: y\nfeatures: [x, z]",
            '10: models.m.data.features[1]: found "z", which is no column of ',
        ),
        (texts.SLICE, "s: z = 1", '11: models.m.slices.s: found "z", which is no column of '),
        (texts.SLICE, "s: {where: z = 1}", '11: models.m.slices.s.where: found "z", which is no column of '),
    ],
)
def test_an_unknown_column(old: str, new: str, expected: str) -> None:
    (problem,) = found(Case(old, new), headers={"m": HEADER})
    assert problem.startswith(f"mlbot.yaml:{expected}")
    assert found(Case(old, new), headers={"other": HEADER}) == []


@pytest.mark.parametrize(
    ("condition", "hint"),
    [
        ("Sex = 1", "write sex"),
        ("zzz = 1", "write one of x, y, hours-per-week, sex"),
        ('sex = "Female"', "write 'Female' in single quotes, if it is text"),
        ("'\"Sex\" = 1'", "write sex"),
        ("hours-per-week > 40", 'write "hours-per-week" in double quotes'),
    ],
)
def test_what_to_write_instead_of_a_column(condition: str, hint: str) -> None:
    problems = found(Case(texts.SLICE, f"s: {condition}"), headers={"m": HEADER})
    assert {problem.rpartition("→ ")[2] for problem in problems} == {hint}


def test_a_long_header_is_cut() -> None:
    (problem,) = found(Case(texts.SLICE, "s: zzz = 1"), headers={"m": ["y", *(f"c{n}" for n in range(999))]})
    assert problem.endswith("→ write one of y, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, …")
