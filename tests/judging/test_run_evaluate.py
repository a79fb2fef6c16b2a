"""An evaluator judges prompts in git: from the command line to the report, and what each way of failing comes to."""

import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from tests.support.deployment_samples import deployment
from tests.support.evaluations import result
from tests.support.git_samples import Sandbox, make
from tests.support.ledger_samples import entry as entry_of

from mlbot import entry
from mlbot.config.schema import parse_config
from mlbot.config.yaml import load
from mlbot.errors import Exit
from mlbot.gates.metric import Bound
from mlbot.gates.outcome import Outcome, Reason
from mlbot.git.repository import Repository
from mlbot.judging.rows import Row, Rows
from mlbot.judging.run_evaluate import evaluation_key, judge_scores
from mlbot.judging.run_evaluations import HandedOver, Key
from mlbot.judging.run_judge import AnchorFiles, JudgeRequest, Live, Rule, model_report
from mlbot.ledger.entries import Since
from mlbot.lib.record import Digest, digest
from mlbot.plan.anchor import Anchor
from mlbot.report.markdown import markdown, production
from mlbot.report.page import html
from mlbot.report.report import Report
from mlbot.report.terminal import terminal
from mlbot.training.run_predict import RuleSource
from mlbot.training.run_train import SeedRun, SeedRuns
from mlbot.verdict.decide import decide
from mlbot.verdict.verdict import Commits, Method, Problem

pytestmark = pytest.mark.usefixtures("git_settings", "path")

EVALUATOR = """
import json, os, pathlib
quality = json.loads((pathlib.Path(os.environ["MLBOT_ARTIFACT"]) / "system.json").read_text())["quality"]
rows = [
    {"item": f"q{n:03}", "repeat": r, "score.exact": (7 * n + 3 * r) % 10 < quality, "score.length": 10 + n % 3,
     "slice.level": n % 4, "cost": 1e-5}
    for n in range(240) for r in (1, 2)
]
with open(os.environ["MLBOT_RESULTS"], "w") as out:
    for each in ({"mlbot_rows": 1, "tool": "own", "complete": True, "items": 240}, *rows):
        print(json.dumps(each), file=out)
raise SystemExit(100)
"""
"""It ends badly, as promptfoo does where a case failed."""

MODEL: dict[str, Any] = {
    "task": "scores",
    "artifact": "prompts/",
    "evaluate": {
        "run": "python evals/run.py",
        "scores": {"exact": {"range": [0, 1]}, "length": "lower"},
        "repeats": 2,
    },
    "slices": {"hard": {"where": "level = 3", "min_rows": 10}},
    "gates": {"exact": {"min": 0.5, "max_regression": 0.1}, "exact@hard": {"min": 0.3}, "length": {"max": 20}},
}
HALF: dict[str, Any] = {
    "errors": {"max": 0.5},
    "scores": {"exact": {"range": [0, 1]}, "length": {"direction": "lower", "range": [0, 100]}},
}
"""Settings that let half of the rows be errors."""


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch, git_settings: None) -> None:
    """The tests' Python is the one that evaluates."""
    del git_settings
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def config(**settings: Any) -> str:
    evaluate = {**MODEL["evaluate"], **settings}
    actions = {"actions": {"evaluate": {"secrets": evaluate["secrets"]}}} if "secrets" in evaluate else {}
    return yaml.safe_dump({"version": 1, **actions, "models": {"bot": {**MODEL, "evaluate": evaluate}}})


def prompts(quality: float) -> dict[str, str]:
    return {"prompts/system.json": json.dumps({"quality": quality})}


def repository(tmp_path: Path, files: dict[str, str] | None = None, **settings: Any) -> Sandbox:
    """What main has, and a branch beside it."""
    made = make(tmp_path / "repository")
    made.commit({"mlbot.yaml": config(**settings), "evals/run.py": EVALUATOR, **prompts(8), **(files or {})})
    made.git("switch", "-qc", "change")
    return made


def run(where: Sandbox) -> tuple[int, Report, str]:
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        code = entry.invoke(["run", "--json", "-C", str(where.path)])
    assert "bug in mlbot" not in err.getvalue(), err.getvalue()
    return code, Report.model_validate_json(out.getvalue()), err.getvalue()


@pytest.mark.parametrize(
    ("quality", "code", "outcomes"),
    [
        (9, Exit.OK, ["pass", "pass", "pass", "pass"]),
        (6, Exit.FAILED, ["pass", "fail", "pass", "pass"]),
        (2, Exit.FAILED, ["fail", "fail", "fail", "pass"]),
    ],
)
def test_a_change_of_prompts_is_judged_by_what_the_evaluator_gives(
    tmp_path: Path, quality: int, code: Exit, outcomes: list[str]
) -> None:
    where = repository(tmp_path)
    where.commit(prompts(quality))
    ended, report, progress = run(where)
    (model,) = report.models
    assert [str(each.outcome) for each in model.verdict.gates] == outcomes
    assert ended == code
    assert progress.count("evaluating") == 2
    assert model.items
    assert (model.items.count, model.items.repeats, model.items.tool, model.items.groups) == (240, 2, "own", None)
    exact = model.comparison("exact")
    assert exact
    assert exact.change == pytest.approx((quality - 8) / 10)
    assert model.items.candidate.cost == pytest.approx(480e-5)
    text = markdown(report)
    assert "240 items" in text
    assert "holdout rows" not in text
    assert "Items that changed most" in text
    page = html(report, None, "2026-01-01")
    assert "Items on which" in page
    for shown in (text, page, terminal(report, color=False, width=200)):
        words = shown.partition('<section id="model-')[2] if shown is page else shown
        for untrue in ("holdout", "seed", "Seed", "Trained again", ">Training", "a predictor"):
            assert untrue not in words
    for shown in (text, page):
        assert "Judged again because: prompts/system" in shown
        assert "The candidate is not trained here" in shown


def test_the_evaluator_is_policys_and_a_change_of_it_judges_nothing(tmp_path: Path) -> None:
    where = repository(tmp_path)
    generous = EVALUATOR.replace("< quality", "< 10")
    where.commit({**prompts(2), "evals/run.py": generous, "mlbot.yaml": config(**HALF)})
    code, report, _ = run(where)
    assert code == Exit.FAILED
    notices = " ".join(each.text for each in (*report.notices, *report.models[0].notices))
    assert "evals/run.py" in notices
    where.git("switch", "-q", "main")


@pytest.mark.parametrize(
    ("program", "reason", "words"),
    [
        ("raise SystemExit(0)", "evaluator-failed", "wrote no file"),
        ("import nothing_there", "evaluator-failed", "No module named 'nothing_there'"),
        ("import os; raise SystemExit('is ' + os.environ['MLBOT_ARTIFACT'])", "evaluator-failed", "/prompts"),
        (EVALUATOR.replace("True", "False"), "results-incomplete", "was stopped after 480 rows."),
        (EVALUATOR.replace("slice.level", "slice.size"), "results-unreadable", "level"),
    ],
)
def test_what_is_no_whole_evaluation_is_an_error_and_says_why(
    tmp_path: Path, program: str, reason: str, words: str
) -> None:
    where = repository(tmp_path, {"evals/run.py": f"print('its last line', flush=True)\n{program}"})
    where.commit(prompts(9))
    code, report, err = run(where)
    assert ("  | its last line\n" in err) is (
        reason != "results-unreadable"
    )  # of columns alone its words are of no use
    verdict = report.models[0].verdict
    assert (code, str(verdict.outcome), str(verdict.reason)) == (Exit.NOT_EVALUATED, "error", reason)
    assert verdict.why
    assert words in verdict.why.detail


@pytest.mark.parametrize(
    ("program", "settings", "detail", "hint"),
    [
        ("import time; time.sleep(60)", {"timeout": "1s"}, "The evaluator took longer than the 1 seconds", ".timeout"),
        ("", {"environment": {"install": "exit 3"}}, "could not be made: evaluate.environment", ".environment"),
    ],
)
def test_an_evaluator_is_called_by_its_own_name_and_settings(
    tmp_path: Path, program: str, settings: dict[str, Any], detail: str, hint: str
) -> None:
    where = repository(tmp_path, {"evals/run.py": program}, **settings)
    where.commit(prompts(9))
    why = run(where)[1].models[0].verdict.why
    assert why
    assert detail in why.detail
    assert f"`evaluate{hint}`" in why.hint
    assert "predict" not in why.detail + why.hint


def test_only_the_baselines_errors_are_an_error_too(tmp_path: Path) -> None:
    program = EVALUATOR.replace('"score.exact": (7', '"score.exact": None if quality == 8 and n == 5 else (7')
    where = repository(tmp_path, {"evals/run.py": program})
    where.commit(prompts(9))
    code, report, _ = run(where)
    assert code == Exit.NOT_EVALUATED
    outcomes = {each.gate.name: str(each.outcome) for each in report.models[0].verdict.gates}
    assert {name for name, outcome in outcomes.items() if outcome == "error"} == {"exact.max_regression"}
    assert {*outcomes.values()} == {"pass", "error"}
    assert "q005" in markdown(report)


def test_a_secret_is_given_by_name_and_shown_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = 'a "long" key'
    program = EVALUATOR.replace(
        '"cost": 1e-5', '**({"status": "error", "error": "refused " + os.environ["SERVICE_KEY"]} if n == 3 else {})'
    )
    scores = {"exact": {"range": [0, 1]}, "length": {"direction": "lower", "range": [0, 100]}}
    settings = {"network": True, "secrets": ["SERVICE_KEY"], "errors": 0.1, "scores": scores}
    where = repository(tmp_path, {"evals/run.py": program}, **settings)
    where.commit(prompts(9))
    code, report, _ = run(where)
    assert report.models[0].verdict.why
    assert "needs the secret SERVICE_KEY" in report.models[0].verdict.why.detail
    monkeypatch.setenv("SERVICE_KEY", secret)
    code, report, progress = run(where)
    assert code == Exit.OK
    text = f"{markdown(report)}{report.model_dump_json()}{progress}"
    assert secret not in text
    assert json.dumps(secret)[1:-1] not in text
    assert "refused \\*\\*\\*" in markdown(report)
    assert "the secrets SERVICE\\_KEY" in markdown(report)
    assert report.models[0].items
    assert (report.models[0].items.network, report.models[0].items.candidate.errors) == (True, 2)


@pytest.mark.parametrize(("content", "cause"), [(None, ""), (b"PAR1 and no more", "parquet")])
def test_rows_in_a_parquet_file_are_unpacked_where_they_can_harm_nobody(
    tmp_path: Path, content: bytes | None, cause: str
) -> None:
    where = make(tmp_path / "repository")
    evaluate = {"run": "cp evals/$(cat $MLBOT_ARTIFACT).parquet $MLBOT_RESULTS", "depends": ["evals/"]}
    evaluate["scores"] = {"exact": {"range": [0, 1]}}  # type: ignore[assignment]  # as YAML has it
    model = {"task": "scores", "artifact": "side.txt", "evaluate": evaluate, "gates": {"exact": {"min": 0.7}}}
    where.write({"mlbot.yaml": yaml.safe_dump({"version": 1, "models": {"m": model}}), "evals/x": "", "side.txt": "a"})
    for side, right in (("a", 80), ("b", 90)):
        columns = {"item": [f"q{n}" for n in range(100)], "score.exact": [n < right for n in range(100)]}
        header = json.dumps({"mlbot_rows": 1, "complete": True, "items": 100})
        pl.DataFrame({**columns, "cost": [None] * 99 + [0.5]}).write_parquet(
            where.path / f"evals/{side}.parquet", metadata={"mlbot_rows": header}
        )
    if content is not None:
        (where.path / "evals/b.parquet").write_bytes(content)
    where.commit()
    where.git("switch", "-qc", "change")
    where.commit({"side.txt": "b"})
    code, report, _ = run(where)
    (model_report,) = report.models
    if cause:
        assert model_report.verdict.why
        assert (code, model_report.verdict.why.cause) == (Exit.NOT_EVALUATED, cause)
        return
    comparison = model_report.comparison("exact")
    assert comparison
    assert code == Exit.OK
    assert comparison.change == pytest.approx(0.1)
    assert model_report.items
    assert model_report.items.candidate.cost == 0.5


def test_what_tools_leave_in_a_folder_is_packed_and_read(tmp_path: Path) -> None:
    """As lm-eval does, with the time in the names of its files."""
    where = make(tmp_path / "repository")
    sides = ("baseline", "candidate")
    files = {f"evals/{side}.jsonl": result(f"lm-eval/{side}.samples_capitals.jsonl").decode() for side in sides}
    files |= {f"evals/{side}.json": result(f"lm-eval/{side}.results.json").decode() for side in sides}
    command = (
        "side=$(cat $MLBOT_ARTIFACT) && mkdir -p $MLBOT_RESULTS/mock && cd $MLBOT_CODE/evals && "
        "cp $side.jsonl $MLBOT_RESULTS/mock/samples_capitals_2026.jsonl && "
        "cp $side.json $MLBOT_RESULTS/mock/results_2026.json && echo x > $MLBOT_RESULTS/other.txt"
    )
    evaluate = {"run": command, "depends": ["evals/"], "scores": {"exact": {"range": [0, 1]}}}
    evaluate |= {"format": "lm-eval", "item": "id", "group": "group", "filter": "all3"}
    gates = {"exact": {"max_regression": 0.2}}
    model = {"task": "scores", "artifact": "side.txt", "evaluate": evaluate, "gates": gates}
    config = yaml.safe_dump({"version": 1, "models": {"m": model}})
    where.commit({"mlbot.yaml": config, "side.txt": "baseline", **files})
    where.git("switch", "-qc", "change")
    where.commit({"side.txt": "candidate"})
    code, report, _ = run(where)
    comparison = report.models[0].comparison("exact")
    assert comparison
    assert comparison.change == pytest.approx(-0.013888889)
    assert comparison.groups == 8
    assert code == Exit.INCONCLUSIVE  # 24 questions
    assert "The items are in 8 groups" in markdown(report)


def test_results_are_handed_over_by_what_evaluates(tmp_path: Path) -> None:
    """Two guarded branches, or one that has moved, may have two evaluators; all else of them is none of its."""
    where, seen = repository(tmp_path), list[Key]()
    changes: tuple[dict[str, str], ...] = (
        {},
        {"README": "x"},
        {"evals/run.py": EVALUATOR + "#"},
        {"mlbot.yaml": config(**HALF)},
    )
    for files in changes:
        commit = where.commit({"evals/run.py": EVALUATOR, "mlbot.yaml": config(), **files})
        found = Repository.discover(where.path)
        settings = parse_config(load(found.read(commit, "mlbot.yaml").decode(), "mlbot.yaml"))
        source = RuleSource(repository=found, commit=commit, config=settings, is_judge=True)
        seen.append(evaluation_key(settings.models[0], source, digest(b"one")))
    assert seen[0] == seen[1]
    assert len(set(seen)) == 3


def given(tmp_path: Path, *candidate: str) -> JudgeRequest:
    """Trained files beside others, all evaluated by another job; each has the scores that its name says."""
    where = repository(tmp_path)
    commit = where.commit({"mlbot.yaml": config(network=True, secrets=["KEY"])})
    found = Repository.discover(where.path)
    settings = parse_config(load(found.read(commit, "mlbot.yaml").decode(), "mlbot.yaml"))
    trained = settings.models[0].model_copy(update={"artifact": None})
    results = dict[tuple[str, Digest], Rows]()

    def side(*names: str) -> SeedRuns:
        for name in names:
            (tmp_path / name).write_text(name)
            results[trained.name, digest(name.encode())] = _rows_of(name)
        return SeedRuns(runs=tuple(SeedRun(seed=seed, file=tmp_path / name) for seed, name in enumerate(names)))

    return JudgeRequest(
        candidate=side(*candidate),
        baseline=side("one", "same"),
        rule=Rule(
            model=trained,
            folder=where.path,
            source=RuleSource(repository=found, commit=commit, config=settings, is_judge=True),
            results=results,
            handed_over=HandedOver(folder=tmp_path),
        ),
    )


@pytest.mark.parametrize(
    ("second", "method"), [("same", Method.IDENTICAL), ("better", Method.RECIPE), ("worse", Method.RECIPE)]
)
def test_of_several_trainings_every_pair_has_to_be_one_artifact(tmp_path: Path, second: str, method: Method) -> None:
    """The first seeds may agree by accident; who compares these alone calls two recipes one."""
    request = given(tmp_path, "one", second)
    comparison, *_ = judge_scores(request, progress=print).evidence.comparisons
    assert comparison.method is method


def _rows_of(name: str) -> Rows:
    """Scores of a file, by what it is."""
    shift = {"one": 0.0, "same": 0.01, "better": 0.1, "worse": -0.1}[name]
    return Rows(
        rows=tuple(
            Row(
                item=f"q{item:03}",
                repeat=repeat,
                scores={"exact": 0.5 + shift + 0.01 * (item * repeat % 7), "length": 10.0},
                slices={"level": item % 4},
            )
            for item in range(240)
            for repeat in (1, 2)
        ),
        complete=True,
    )


NOWHERE = Commits(head="0" * 40, base=None, policy=None, guarded="main")


def test_the_file_that_would_ship_is_compared_with_the_one_in_production(tmp_path: Path) -> None:
    request = given(tmp_path, "better", "better")
    for name, change in (("worse", 0.2), ("one", 0.1), ("better", None)):
        (tmp_path / name).write_text(name)
        request.rule.results["bot", digest(name.encode())] = _rows_of(name)
        live = replace(request, live=Live(entry=deployment(3, 1), file=tmp_path / name))
        result = judge_scores(live, progress=print)
        assert not isinstance(result.versus, Problem)
        found = {(each.metric, each.slice): each.change for each in result.versus}
        wanted = {("exact", None): change, ("length", None): 0, ("exact", "hard"): change} if change else {}
        assert found == pytest.approx(wanted)
        assert all(each.margin is None for each in result.versus)
        shown = production(model_report(result, decide(NOWHERE, [result.evidence]).models[0]))
        assert ("asked the same items: a paired test, so only items vary" in shown) is bool(change)
    gone = Problem.of(Reason.MODEL_MISSING, "not-had", why="it is gone", hint="")
    assert judge_scores(replace(request, live=Live(entry=deployment(3, 1), file=gone)), progress=print).versus == gone
    assert judge_scores(replace(request, live=Live(entry=deployment(3, 1), file=None)), progress=print).versus == ()


@pytest.mark.parametrize("reachable", [True, False])
def test_an_anchor_is_evaluated_once_and_asked_beside_the_baseline(tmp_path: Path, *, reachable: bool) -> None:
    request = given(tmp_path, "worse", "worse")
    (tmp_path / "better").write_text("better")
    if reachable:
        request.rule.results["bot", digest(b"better")] = _rows_of("better")
    judged = entry_of(model="bot", key=digest(b"anchor"))
    anchor = Anchor(entry=judged, files=judged, since=Since.BETTER, gates=("exact",))
    files = SeedRuns(runs=(SeedRun(seed=0, file=tmp_path / "better"),))
    asked = replace(request, anchors=(AnchorFiles(anchor=anchor, files=files),))
    result = judge_scores(asked, progress=print)
    (side,) = result.evidence.anchors
    verdict = decide(NOWHERE, [result.evidence]).models[0]
    found = next(each for each in verdict.gates if each.gate.bound is Bound.ANCHOR)
    if not reachable:
        assert (found.outcome, side.problem and side.problem.cause) == (Outcome.ERROR, "not-evaluated")
        return
    assert [(each.metric, each.slice) for each in side.comparisons] == [("exact", None)]
    assert side.comparisons[0].change == pytest.approx(-0.2, abs=0.01)
    assert found.value == pytest.approx(-0.2, abs=0.01)
    assert found.gate.limit == pytest.approx(0.15)
