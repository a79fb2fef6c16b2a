"""The results of evaluators as rows, by what wrote them: pure, bounded, and no more believed than any stranger's file.

Exit codes and summaries are never asked: a stopped run ends well, and tools average what is left. What each file means
was found with the versions that tests/data/results names.
"""

import hashlib
import io
import math
import tarfile
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from mlbot.config.predict import Evaluate, ResultFormat
from mlbot.judging.rows import (
    MOST_BYTES,
    MOST_FACT,
    RefusedError,
    Row,
    Rows,
    checked,
    cut,
    lines_of,
    load_json,
    read_jsonl,
    shown,
)
from mlbot.lib.record import canonical
from mlbot.verdict.verdict import Problem

PATTERNS: Mapping[ResultFormat, tuple[str, ...]] = {
    ResultFormat.INSPECT: ("*.eval", "*.json"),
    ResultFormat.LM_EVAL: ("samples_*.jsonl", "results_*.json"),
    ResultFormat.DEEPEVAL: ("test_run_*.json",),
}
"""What is taken out of the folder where a format is one; the first ones have the rows."""

Json = Mapping[str, Any]
_MOST_FILES = 1000
_NAMES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is to be found in results."""

    evaluate: Evaluate
    columns: frozenset[str] = frozenset()  # what slices are taken by

    def group(self, *places: Json) -> str | None:
        """The cluster of an item, by the first of several places that has it."""
        key = self.evaluate.group
        return next((_word(place[key]) for place in places if key in place), None) if key else None

    def slices(self, place: Json) -> dict[str, str | float]:
        """What a tool says of an item, for slices: of a run there may be more, which is none of the item's."""
        found: dict[str, str | float] = {}
        for name in self.columns & place.keys():
            match place[name]:
                case bool() as value:
                    found[name] = str(value).lower()
                case int() | float() as value if math.isfinite(value):
                    found[name] = float(value)
                case str() as value:
                    found[name] = value
        return found


def read_results(raw: bytes, wanted: Wanted) -> Rows | Problem:
    """The rows in what an evaluator left, with the scores that the config names, by their names there."""
    try:
        _check_size(len(raw))
        return checked(_named(_READERS[wanted.evaluate.format](raw, wanted), wanted.evaluate))
    except RefusedError as error:
        return error.problem


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise RefusedError("large", most=MOST_BYTES // 1_000_000)


def _named(rows: Rows, evaluate: Evaluate) -> Rows:
    """The rows with those scores alone that are judged."""
    if not rows.rows:
        return rows
    of = {each.name: each.source or each.name for each in evaluate.scores}
    return replace(
        rows,
        rows=tuple(
            replace(row, scores={name: row.scores.get(source) for name, source in of.items() if source in row.scores})
            for row in rows.rows
        ),
    )


def _rows(raw: bytes, wanted: Wanted) -> Rows:
    del wanted
    return read_jsonl(raw)


def files_of(raw: bytes, format_: ResultFormat) -> dict[str, bytes]:
    """The files of a folder of results by name, out of an archive whose every word is a stranger's."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isreg() and not member.issparse() else None
                name = member.name.rpartition("/")[2]
                if stream is not None and any(fnmatchcase(name, each) for each in PATTERNS[format_]):
                    found[member.name] = stream.read()
                if len(found) > _MOST_FILES:
                    raise RefusedError("files", most=_MOST_FILES)
    except (tarfile.TarError, OSError, ValueError, EOFError):
        raise RefusedError("not-json", what="an archive that is none") from None
    return found


def _only(files: Mapping[str, bytes], patterns: Sequence[str]) -> tuple[str, bytes]:
    """The one file that has the rows; several tasks, or runs, are not one evaluation."""
    mine = {name: raw for name, raw in files.items() if any(fnmatchcase(name.rpartition("/")[2], p) for p in patterns)}
    names = " or ".join(patterns)
    if not mine:
        raise RefusedError("no-file", names=names)
    if len(mine) > 1:
        raise RefusedError("several-files", count=len(mine), names=names)
    return next(iter(mine.items()))


def _object(value: object, tool: str, what: str) -> Json:
    if isinstance(value, dict):
        return value
    raise RefusedError("other-tool", tool=tool, what=what)


def _list(value: object, tool: str, what: str) -> list[Any]:
    if isinstance(value, list):
        return value
    raise RefusedError("other-tool", tool=tool, what=what)


def _maybe(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _word(value: object) -> str | None:
    """What names an item or a group: a text, or a whole number as one."""
    match value:
        case str():
            return value
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case _:
            return None


def _facts(**values: object) -> dict[str, float]:
    """The numbers among what a tool says of tokens, cost and time."""
    numbers = {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    return {name: value for name, value in numbers.items() if 0 <= value < MOST_FACT}


def _digest_of(*values: object) -> str:
    """The digest of a question and what is expected of it."""
    return f"sha256:{hashlib.sha256(canonical(list(map(_plain, values))).encode()).hexdigest()}"


def _plain(value: object) -> object:
    """A value that canonical JSON can hold: NaN as a word."""
    match value:
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case float() if not math.isfinite(value):
            return str(value)
        case _:
            return value


# promptfoo


def _promptfoo(raw: bytes, wanted: Wanted) -> Rows:
    """Rows of `-o out.json` or `.jsonl`: of one provider and one prompt, by the case's description or a variable."""
    evaluate = wanted.evaluate
    whole = _whole(raw)
    if whole is None:
        results = [load_json(line, f"line {number}") for number, line in enumerate(lines_of(raw), 1)]
        repeats = None
    else:
        results = _list(_maybe(whole.get("results")).get("results"), "promptfoo", "there is no results.results")
        repeats = _maybe(whole.get("runtimeOptions")).get("repeat", 1)
    every = [_object(each, "promptfoo", "a result is no object") for each in results]
    mine = sorted(_of_one(every, evaluate), key=_place)
    repeated = _repeated(mine, lambda each: _promptfoo_item(each, evaluate), evaluate)
    return Rows(
        rows=tuple(_promptfoo_row(each, item, repeat, wanted) for item, repeat, each in repeated),
        tool="promptfoo",
        version=shown(_maybe(whole and whole.get("metadata")).get("promptfooVersion", "")),
        complete=whole is None or _promptfoo_complete(whole, every, mine),
        repeats=repeats if isinstance(repeats, int) and not isinstance(repeats, bool) else None,
    )


def _whole(raw: bytes) -> Json | None:
    """The document; None where it is a line a row."""
    first = raw.lstrip()[:1]
    if first != b"{" or (b"\n" in raw.strip() and _is_a_line(raw.strip().partition(b"\n")[0])):
        return None
    value = load_json(raw, "the file")
    return None if isinstance(value, dict) and "promptIdx" in value else _object(value, "promptfoo", "it is no object")


def _is_a_line(line: bytes) -> bool:
    return line.rstrip().endswith(b"}") and b'"promptIdx"' in line


def _place(result: Json) -> tuple[int, int]:
    number = [result.get(key) for key in ("promptIdx", "testIdx")]
    if not all(isinstance(each, int) and not isinstance(each, bool) for each in number):
        raise RefusedError("other-tool", tool="promptfoo", what="a result has no testIdx")
    return number[0], number[1]  # type: ignore[return-value]  # as was just seen


def _of_one(every: Sequence[Json], evaluate: Evaluate) -> list[Json]:
    """The results of the one provider and prompt that are meant; several are no side."""
    for key, name, meant in (
        ("provider", _provider, evaluate.provider),
        ("prompt", lambda each: (_word(_maybe(each.get("prompt")).get("label")) or "",), evaluate.prompt),
    ):
        every = _of_the_meant(every, key, name, meant)
    several = sorted({_place(each)[0] for each in every})
    if len(several) > 1:
        names = ", ".join(map(str, several[:_NAMES]))
        raise RefusedError("several", what="prompts with one label", names=names, key="prompt")
    return list(every)


def _provider(result: Json) -> tuple[str, ...]:
    """A result's provider, by its label and by its id."""
    given = result.get("provider")
    if isinstance(given, str):
        return (given,)
    names = (_word(_maybe(given).get(key)) for key in ("label", "id"))
    return tuple(dict.fromkeys(name for name in names if name))


def _of_the_meant(
    every: Sequence[Json], key: str, names_of: Callable[[Json], tuple[str, ...]], meant: str | None
) -> Sequence[Json]:
    there = dict.fromkeys(names_of(each) for each in every)
    names = ", ".join(shown(name[0]) for name in list(there)[:_NAMES] if name)
    if meant is None:
        if len(there) > 1:
            raise RefusedError("several", what=f"{key}s", names=names, key=key)
        return every
    found = [each for each in every if meant in names_of(each)]
    if not found:
        raise RefusedError("absent", key=key, name=shown(meant), names=names)
    if len({names_of(each) for each in found}) > 1:
        raise RefusedError("several", what=f"{key}s", names=names, key=key)
    return found


def _promptfoo_item(result: Json, evaluate: Evaluate) -> str:
    """What names a case: its place in the file is none, for it counts repeats too and moves with each case before."""
    case = _maybe(result.get("testCase"))
    if evaluate.item is not None:
        name = _word(_maybe(result.get("vars")).get(evaluate.item, _maybe(case.get("vars")).get(evaluate.item)))
    else:
        name = _word(case.get("description"))
    if not name:
        what = f"it has no variable {shown(evaluate.item)}" if evaluate.item else "it has no description"
        raise RefusedError("no-name", what=what, way="write a description a test, or name a variable as evaluate.item")
    return name


def _repeated(
    mine: Iterable[Json], item_of: Callable[[Json], str], evaluate: Evaluate
) -> Iterator[tuple[str, int, Json]]:
    """Each result with its item and repeat: the n-th of one name. More than the repeats are two cases of one name."""
    seen = Counter[str]()
    for each in mine:
        item = item_of(each)
        seen[item] += 1
        yield item, seen[item], each
    item, most = seen.most_common(1)[0] if seen else ("", 0)
    if most > evaluate.repeats and len(set(seen.values())) > 1:
        way = "a description a test" if evaluate.format is ResultFormat.PROMPTFOO else "a name a test case"
        raise RefusedError("equal-cases", rows=most, item=shown(item), repeats=evaluate.repeats, way=way)


def _promptfoo_row(result: Json, item: str, repeat: int, wanted: Wanted) -> Row:
    case, metadata = _maybe(result.get("testCase")), _maybe(result.get("metadata"))
    error = _promptfoo_error(result, case)
    tokens = _maybe(result.get("tokenUsage"))
    facts = {"cost": result.get("cost"), "latency_ms": result.get("latencyMs")}
    facts |= {"tokens_in": tokens.get("prompt"), "tokens_out": tokens.get("completion")}
    own = _maybe(case.get("metadata"))
    return Row(
        item=item,
        repeat=repeat,
        error=error,
        scores={} if error else _promptfoo_scores(result, wanted.evaluate),
        group=wanted.group(own, metadata),
        input=_digest_of(result.get("vars") or case.get("vars"), _expected(case)),
        facts=_facts(**facts) if error is None else {},
        slices=wanted.slices(own),
    )


def _promptfoo_error(result: Json, case: Json) -> str | None:
    """Why a result is no score: `error` is filled for failed assertions too, and a case without any gets full marks."""
    if result.get("failureReason") == _FAILED:
        return cut(result.get("error") or _maybe(result.get("response")).get("error") or "error")
    if result.get("failureReason") not in (0, 1):
        return "promptfoo does not say whether it was graded"
    if not case.get("assert"):
        return "the test has no assertions"
    return next(_grader_errors(_maybe(result.get("gradingResult"))), None)


def _grader_errors(graded: Json, depth: int = 0) -> Iterator[str]:
    """Why assertions could not be graded: promptfoo scores each 0, as if the answer were wrong."""
    if _maybe(graded.get("metadata")).get("graderError"):
        yield cut(graded.get("reason") or "the grader failed")
    parts = graded.get("componentResults")
    for each in parts if isinstance(parts, list) and depth < _NESTED else ():
        yield from _grader_errors(_maybe(each), depth + 1)


_NESTED = 8  # sets of assertions in each other; promptfoo has one


_FAILED = 2
_TOTAL = "score"


def _promptfoo_scores(result: Json, evaluate: Evaluate) -> dict[str, float | None]:
    named = _maybe(result.get("namedScores"))
    scores = {str(name): _number(value) for name, value in named.items()}
    if any((each.source or each.name) == _TOTAL for each in evaluate.scores):
        scores.setdefault(_TOTAL, _number(result.get(_TOTAL)))  # of all assertions, by their weights
    return scores


def _expected(case: Json) -> object:
    """What is asserted of an answer, without what may be of a run."""
    asserted = case.get("assert")
    every = asserted if isinstance(asserted, list) else []
    return [{key: _maybe(each).get(key) for key in ("type", "value", "metric", "threshold")} for each in every]


def _promptfoo_complete(whole: Json, every: Sequence[Json], mine: Sequence[Json]) -> bool:
    """Whether there are as many rows as cases, prompts, providers and repeats, and all of them are counted."""
    stats = _maybe(_maybe(whole.get("results")).get("stats"))
    counted = [stats.get(key) for key in ("successes", "failures", "errors")]
    if all(isinstance(each, int) for each in counted) and sum(counted) != len(every):  # type: ignore[arg-type]  # as seen
        return False
    config = _maybe(whole.get("config"))
    tests, repeats = config.get("tests"), _maybe(whole.get("runtimeOptions")).get("repeat", 1)
    if isinstance(tests, list) and all(isinstance(each, dict) for each in tests) and isinstance(repeats, int):
        return len(mine) >= len(tests) * repeats
    return True


def _number(value: object) -> float | None:
    """A score that is a number; None for anything else, which is a missing one."""
    if isinstance(value, bool | int | float):
        made = float(value)
        return made if math.isfinite(made) else None
    return None


# inspect


def _inspect(raw: bytes, wanted: Wanted) -> Rows:
    """Rows of inspect's log, JSON or `.eval`; never its results or reductions, which leave errors out."""
    name, content = _only(files_of(raw, ResultFormat.INSPECT), PATTERNS[ResultFormat.INSPECT])
    whole = _eval(content) if name.endswith(".eval") else load_json(content, "the log")
    log = _object(whole, "inspect", "it is no object")
    about = _object(log.get("eval"), "inspect", "there is no eval")
    samples = _list(log.get("samples"), "inspect", "there are no samples")
    rows = tuple(_inspect_row(_object(each, "inspect", "a sample is no object"), wanted) for each in samples)
    ids = _maybe(about.get("dataset")).get("sample_ids")
    return Rows(
        rows=rows,
        tool="inspect",
        version=shown(_maybe(about.get("packages")).get("inspect_ai", "")),
        complete=log.get("status") == "success",
        items=len(ids) if isinstance(ids, list) and ids else None,
        repeats=_epochs(about),
    )


def _epochs(about: Json) -> int | None:
    epochs = _maybe(about.get("config")).get("epochs", 1)
    return epochs if isinstance(epochs, int) and not isinstance(epochs, bool) and epochs > 0 else None


def _eval(content: bytes) -> dict[str, Any]:
    """The log in a zip archive: its header, and a summary of each sample.

    A stopped run has a journal in their place.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            start = "header.json" if "header.json" in names else "_journal/start.json"
            header = _object(_member(archive, start), "inspect", "there is no header")
            journal = sorted(name for name in names if name.startswith("_journal/summaries/"))
            parts = ["summaries.json"] if "summaries.json" in names else journal
            _check_size(sum(archive.getinfo(part).file_size for part in parts))
            samples = [each for part in parts for each in _list(_member(archive, part), "inspect", "no summaries")]
    except NotImplementedError:
        raise RefusedError("compressed") from None
    except (zipfile.BadZipFile, zlib.error, KeyError, OSError, EOFError, ValueError, RuntimeError):
        raise RefusedError("other-tool", tool="inspect", what="it is no log in a zip archive") from None
    return {"status": "started", **header, "samples": samples}


def _member(archive: zipfile.ZipFile, name: str) -> Any:
    with archive.open(name) as stream:  # never gives more than the size that was summed up
        text = stream.read(MOST_BYTES + 1)
    _check_size(len(text))
    return load_json(text, "the log")


def _inspect_row(sample: Json, wanted: Wanted) -> Row:
    item, epoch = _word(sample.get("id")), sample.get("epoch")
    if not item or not isinstance(epoch, int) or isinstance(epoch, bool):
        raise RefusedError("other-tool", tool="inspect", what="a sample has no id or epoch")
    metadata = _maybe(sample.get("metadata"))
    error = sample.get("error")
    usage = [_maybe(each) for each in _maybe(sample.get("model_usage")).values()]
    seconds = sample.get("total_time")
    facts = {key: _sum(usage, source) for key, source in _USAGE.items()}
    facts["latency_ms"] = 1000 * seconds if isinstance(seconds, int | float) else None
    return Row(
        item=item,
        repeat=epoch,
        error=cut(_maybe(error).get("message", error)) if error else None,
        scores={} if error else dict(_inspect_scores(_maybe(sample.get("scores")))),
        group=wanted.group(metadata),
        input=_digest_of(sample.get("input"), sample.get("target")),
        facts={} if error else _facts(**facts),
        slices=wanted.slices(metadata),
    )


_USAGE = {"tokens_in": "input_tokens", "tokens_out": "output_tokens"}


def _sum(usage: Sequence[Json], key: str) -> float | None:
    found = [value for each in usage if (value := _number(each.get(key))) is not None]
    return sum(found) if found else None


_LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "yes": 1.0, "no": 0.0, "true": 1.0, "false": 0.0}


def _inspect_scores(scores: Json) -> Iterator[tuple[str, float | None]]:
    """Each scorer's value; of one that gives several, each by `scorer.key`."""
    for name, score in scores.items():
        value = _maybe(score).get("value")
        if isinstance(value, dict):
            yield from ((f"{name}.{key}", _inspect_value(each)) for key, each in value.items())
        else:
            yield str(name), _inspect_value(value)


def _inspect_value(value: object) -> float | None:
    if isinstance(value, str):
        return _LETTERS.get(value, _LETTERS.get(value.lower()))
    return _number(value)


# lm-eval


def _lm_eval(raw: bytes, wanted: Wanted) -> Rows:
    """Rows of a task's samples, of one filter; the results beside them say how many there should be."""
    files, filter_ = files_of(raw, ResultFormat.LM_EVAL), wanted.evaluate.filter
    samples, *_ = PATTERNS[ResultFormat.LM_EVAL]
    name, content = _only(files, (samples,))
    every = [
        _object(load_json(line, f"line {number}"), "lm-eval", "a line is no object")
        for number, line in enumerate(lines_of(content), 1)
    ]
    mine = _of_the_meant(every, "filter", lambda each: (_word(each.get("filter")) or "",), filter_)
    rows = tuple(_lm_eval_row(each, wanted) for each in mine)
    results = [load_json(each, "the results") for other, each in files.items() if other.endswith(".json")]
    count, version, whole = _lm_eval_count(results, name)
    return Rows(rows=rows, tool="lm-eval", version=version, complete=whole, items=count, repeats=1)


def _lm_eval_row(sample: Json, wanted: Wanted) -> Row:
    """A document. `doc_id` is its place, so that one document less renames all after it."""
    doc = _maybe(sample.get("doc"))
    evaluate = wanted.evaluate
    item = _word(doc.get(evaluate.item)) if evaluate.item else _word(sample.get("doc_hash"))
    if not item:
        what = f"a document has no {shown(evaluate.item)}" if evaluate.item else "a sample has no doc_hash"
        raise RefusedError("no-name", what=what, way="name a field of the documents as evaluate.item")
    metrics = sample.get("metrics")
    names = [str(each) for each in metrics] if isinstance(metrics, list) else []
    return Row(
        item=item,
        scores={name: _number(sample.get(name)) for name in names},
        group=wanted.group(doc),
        input=_digest_of(doc, sample.get("target")),
        slices=wanted.slices(doc),
    )


def _lm_eval_count(results: Sequence[object], name: str) -> tuple[int | None, str, bool]:
    """How many documents there were, which version asked them, and whether it asked them all."""
    for each in map(_maybe, results):
        for task, counts in _maybe(each.get("n-samples")).items():
            if f"samples_{task}_" in name or len(_maybe(each.get("n-samples"))) == 1:
                original, effective = (_maybe(counts).get(key) for key in ("original", "effective"))
                whole = isinstance(effective, int) and original == effective
                return (effective if whole else None), shown(each.get("lm_eval_version", "")), whole
    return None, "", False


# deepeval


def _deepeval(raw: bytes, wanted: Wanted) -> Rows:
    """Rows of a test run; a metric with an error has no score."""
    _, content = _only(files_of(raw, ResultFormat.DEEPEVAL), PATTERNS[ResultFormat.DEEPEVAL])
    run = _object(load_json(content, "the test run"), "deepeval", "it is no object")
    given = _list(run.get("testCases"), "deepeval", "there are no testCases")
    cases = [_object(each, "deepeval", "a test case is no object") for each in given]
    order = sorted(cases, key=lambda each: value if isinstance(value := each.get("order"), int) else -1)
    repeated = _repeated(order, _deepeval_item, wanted.evaluate)
    rows = tuple(_deepeval_row(each, item, repeat, wanted) for item, repeat, each in repeated)
    ended = [run.get(key) for key in ("testPassed", "testFailed")]
    whole = all(isinstance(each, int) for each in ended) and sum(ended) == len(cases)  # type: ignore[arg-type]  # as seen
    return Rows(rows=rows, tool="deepeval", complete=whole)


def _deepeval_item(case: Json) -> str:
    name = _word(case.get("name"))
    if not name:
        raise RefusedError("no-name", what="a test case has no name", way="LLMTestCase(name=…)")
    return name


def _deepeval_row(case: Json, item: str, repeat: int, wanted: Wanted) -> Row:
    found: defaultdict[str, float | None] = defaultdict()
    errors: list[str] = []
    given = case.get("metricsData")
    for each in map(_maybe, given if isinstance(given, list) else ()):
        name = str(each.get("name"))
        if each.get("error"):
            errors.append(str(each.get("error")))
        twice = name in found  # of two with one name neither is the score
        found[name] = None if twice or each.get("error") else _number(each.get("score"))
    metadata = _maybe(case.get("metadata"))
    seconds = case.get("runDuration")
    nothing = bool(errors) and not any(value is not None for value in found.values())
    latency = 1000 * seconds if isinstance(seconds, int | float) else None
    return Row(
        item=item,
        repeat=repeat,
        error=cut(errors[0]) if nothing else None,
        scores={} if nothing else dict(found),
        group=wanted.group(metadata),
        input=_digest_of(case.get("input"), case.get("expectedOutput"), case.get("context")),
        facts={} if nothing else _facts(cost=case.get("tokenCost"), latency_ms=latency),
        slices=wanted.slices(metadata),
    )


_READERS: Mapping[ResultFormat, Callable[[bytes, Wanted], Rows]] = {
    ResultFormat.ROWS: _rows,
    ResultFormat.PROMPTFOO: _promptfoo,
    ResultFormat.INSPECT: _inspect,
    ResultFormat.LM_EVAL: _lm_eval,
    ResultFormat.DEEPEVAL: _deepeval,
}
