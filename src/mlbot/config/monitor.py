"""What is watched of a model in production: the section `monitor`."""

from collections.abc import Iterator, Mapping
from datetime import date
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from mlbot.config import kinds
from mlbot.config.errors import Plain, Problem, quote, refused
from mlbot.config.kinds import Context, Kind, Section, choice, inside, list_of, whole

_PARTS = ("{date}", "{year}", "{month}", "{day}")
_WHAT = "a path or URL with `{date}` in it, such as s3://bucket/requests/{date}.parquet"


def _dated(value: Plain, context: Context) -> str:
    """A place that has another name for each day."""
    place: str = kinds.PATH_OR_URL.read(value, context)
    if "{date}" not in place and not all(part in place for part in _PARTS[1:]):
        raise refused(value, f"{_WHAT}; or with {{year}}, {{month}} and {{day}}")
    if "{" in (rest := on_day(place, date(2000, 1, 1))) or "}" in rest:
        raise refused(value, "no braces but {date}, {year}, {month} and {day}")
    return place


def on_day(place: str, day: date) -> str:
    """Where the logs of a day are."""
    for part, text in zip(_PARTS, (day.isoformat(), *day.isoformat().split("-")), strict=True):
        place = place.replace(part, text)
    return place


_DATED = Kind(_dated, kinds.PATH_OR_URL.schema)


class Follow(Section):
    """What follows from alarms, besides the issue."""

    days: Annotated[int, whole(1, 60)] = 3
    """After how many days of alarm in a row something is done."""
    then: Annotated[Literal["none", "retrain", "refresh"], choice(("none", "retrain", "refresh"))] = "none"
    """What follows: `refresh` opens a pull request with the data that `run` fetched, `retrain` one that changes the
    file `stamp` and so trains the model again, `none` leaves it at the issue. Either is judged like any other, and
    nothing is swapped without a merge."""
    run: Annotated[str | None, kinds.SCRIPT] = None
    """Of `refresh`: a shell command of the guarded branch that writes new training data, in a job that may write
    nothing on GitHub. Left out: must be there for `refresh`."""
    writes: Annotated[tuple[str, ...], list_of("files or folders", kinds.PATH)] = ()
    """Of `refresh`: the files and folders that `run` may change; whatever else it changes is refused. Left out:
    `data.train` and the `.dvc` file beside it."""
    stamp: Annotated[str | None, kinds.PATH] = None
    """Of `retrain`: a file that `train.depends` names (or any, where that is left out) and the training does not read.
    A change of it makes the model stale, so training code that fetches its data by itself runs again. Left out: must
    be there for `retrain`."""

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """Each of the two has what it takes, and nothing of the other."""
        then = context.made.get("then", "none")
        for key, of in (("run", "refresh"), ("stamp", "retrain")):
            if then == of and key not in context.given:
                yield Problem(f"`then: {of}` without `{key}`", f"write `{key}:` too", ("then",))
        for key, of in (("run", "refresh"), ("writes", "refresh"), ("stamp", "retrain")):
            if then != of and key in context.given:
                yield Problem(f"`{key}` without `then: {of}`", f"write `then: {of}`, or leave it out", (key,))

    def files(self, train: str | None) -> tuple[str, ...]:
        """What the change that follows may write: files and folders, from the config's folder."""
        if self.then == "retrain" and self.stamp:
            return (self.stamp,)
        return self.writes or ((train, f"{train.rstrip('/')}.dvc") if train and "://" not in train else ())


class Monitor(Section):
    """Where the requests of production are logged, and what follows from an alarm."""

    requests: Annotated[str, _DATED]
    """The requests of a day: a file, a folder or a glob of Parquet or JSON lines, as a path or any fsspec URL, with
    `{date}` (2026-11-30), or `{year}`, `{month}` and `{day}`, where the day is. A row is a request with the features as
    columns; a line of JSON may also be a body of the Open Inference Protocol."""
    labels: Annotated[str | None, _DATED] = None
    """The labels of the requests of a day, in such files of their own, with `id` and the target's column; they may come
    up to 30 days later. Left out: no labels, and no live metrics."""
    id: Annotated[str | None, kinds.COLUMN] = None
    """The column that joins labels to requests; of a body its `id`, and with several rows `id/0`, `id/1`, ….
    Left out: must be there where there are `labels`."""
    prediction: Annotated[str | None, kinds.COLUMN] = None
    """The column, or the output of a body, with the model's answer: a number, a label, or of a binary model the
    probability of the positive one. A request without one is an error. Left out: of bodies the first output; of rows,
    answers are not logged."""
    environment: Annotated[str | None, kinds.text("the name of an environment")] = None
    """The environment whose requests these are. Left out: the last one."""
    ignore: Annotated[tuple[str, ...], list_of("column names", kinds.COLUMN)] = ()
    """Columns that raise no alarm, such as a month or an id, which change by nature. Left out: none."""
    alarms: Annotated[Follow, inside(Follow)] = Follow()
    """What follows from days of alarm. Left out: an issue, and nothing else."""

    @classmethod
    def rules(cls, context: Context) -> Iterator[Problem]:
        """Labels are joined to answers."""
        if "labels" in context.given and "id" not in context.given:
            yield Problem("labels without an id", "write `id: <column>`, which joins labels to requests", ("labels",))


def wrong_monitors(context: Context) -> Iterator[Problem]:
    """Monitors of environments that there are not, and of models that have no rows; `context` is the file's."""
    environments = context.inside("environments")
    for name, model in context.inside("models").items():
        if not isinstance(model, dict) or not isinstance(monitor := model.get("monitor"), dict):
            continue
        at = ("models", name, "monitor")
        if model.get("task") == "scores":
            yield Problem("`monitor` for scores", "remove it; an evaluated model has no rows", at)
        elif not environments:
            yield Problem("`monitor` without environments", "write `environments:`, where the model is deployed", at)
        elif isinstance(asked := monitor.get("environment"), str) and asked not in environments:
            yield Problem(quote(asked), f"write {context.guess(asked, environments)}", (*at, "environment"))
        yield from _idle_stamp(model, monitor.get("alarms"), (*at, "alarms"))


def _idle_stamp(model: Mapping[str, Plain], alarms: Plain, at: tuple[str, ...]) -> Iterator[Problem]:
    """A change that would train nothing: of a model that is not trained, or of a file that none depends on."""
    then = alarms.get("then") if isinstance(alarms, dict) else None
    if not isinstance(alarms, dict) or then != "retrain":
        return
    train, stamp = model.get("train"), alarms.get("stamp")
    depends = train.get("depends") if isinstance(train, dict) else None
    if "artifact" in model:
        yield Problem("`then: retrain` for a model that is not trained", "leave it out", (*at, "then"))
    elif isinstance(stamp, str) and isinstance(depends, list) and not any(_names(each, stamp) for each in depends):
        hint = "write it under `train.depends` too: what none depends on trains nothing"
        yield Problem(f"the stamp {quote(stamp)}", hint, (*at, "stamp"))


def _names(pattern: Plain, path: str) -> bool:
    """Whether an entry of `depends` is a file, a folder that it is in, or a glob that it fits."""
    name = str(pattern).rstrip("/")
    return path == name or path.startswith(f"{name}/") or fnmatchcase(path, name)


def is_date(text: str) -> bool:
    """Whether a text is a day such as 2026-11-30."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
