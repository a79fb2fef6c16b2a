"""The files that `mlbot init` writes into a repository, and what it says of them."""

import json
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from mlbot import __version__
from mlbot.config.actions import Actions
from mlbot.config.errors import is_delivered_name
from mlbot.config.folder import ROOT, ConfigFolder
from mlbot.config.guard import contexts
from mlbot.errors import UsageError
from mlbot.gates.metric import Task
from mlbot.lib.constants import ACTIONS_REF, ACTIONS_REPOSITORY
from mlbot.lib.record import Name, Record, resolve
from mlbot.lib.templates import commit as built_of
from mlbot.lib.templates import environment, sentence
from mlbot.lib.tree import is_url
from mlbot.plan.content_key import LOCKS
from mlbot.setup import detect
from mlbot.setup.environments import exporting, training_setup, unlisted
from mlbot.setup.frameworks import PROMPTFOO, Form, Made, Prompts, find_made, find_prompts, find_saved
from mlbot.setup.wiring import Pin

METRICS: Mapping[Task, tuple[str, ...]] = MappingProxyType(
    {
        Task.BINARY: ("roc_auc", "log_loss", "accuracy"),
        Task.MULTICLASS: ("accuracy", "log_loss", "f1_macro"),
        Task.REGRESSION: ("r2", "root_mean_squared_error", "mean_absolute_error"),
    }
)
"""What is measured at first; the first one is gated, since its scale is known: 0 to 1."""

_PARAMS = ("params.yaml", "params.yml", "params.json", "config/params.yaml", "conf/params.yaml")

_INSTALL = "pip install -r requirements.txt"

_NONE = Actions()


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What a repository holds: files that git would commit, text of small Python ones and pyproject.toml, tables."""

    name: str
    branch: str
    files: frozenset[str]
    texts: Mapping[str, str]
    tables: tuple[detect.Table, ...] = ()


class Choices(Record):
    """What a person chose; None: to be found out."""

    train: str | None = None  # a script, `module:function` or a shell command
    data: str | None = None
    holdout: str | None = None
    target: str | None = None
    task: Task | None = None
    model: Name | None = None
    install: str | None = None


class Gap(Record):
    """Something that a person has to add, or to know."""

    what: str
    hint: str
    blocks: bool = True  # whether the config is of no use before
    missing: bool = True


PREDICTOR = "predict.py"
"""What is written to ask a model that is no ONNX file."""


class Asking(Record):
    """How predict.py asks a model: what the training leaves, what it is asked with, and what its answers are."""

    made: Made
    column: str | None = None  # the one column that it takes; None: all of them
    labels: tuple[str, ...] = ()  # in the order of the model's numbers, where it has nothing but numbers

    @property
    def packages(self) -> list[str]:
        """What reads rows and writes answers."""
        return ["polars"] if self.made.polars else ["pandas", "pyarrow"]

    @property
    def depends(self) -> tuple[str, ...]:
        """The files of the repository that predict.py needs."""
        module = self.made.module
        return (PREDICTOR, f"{module.replace('.', '/')}.py") if module else (PREDICTOR,)


class Draft(Record):
    """All that the files to be written say."""

    model: Name
    task: Task
    recipe: detect.Recipe
    artifact: str | None = None  # what is brought, where nothing trains
    prompts: Prompts | None = None  # what is evaluated, without rows
    asking: Asking | None = None
    skeleton: bool  # whether the file that trains is still to be made
    params: str | None
    train: str | None
    holdout: str
    target: str
    positive: str | None
    ids: tuple[str, ...]
    encoding: str | None  # of CSV files that do not say it themselves
    example: str | None  # a column to show a slice with
    branch: str
    install: str
    more: str = ""  # packages that it installs beside those that the repository lists
    python: str | None = None
    lock: str | None = None
    metrics: tuple[str, ...]
    gaps: tuple[Gap, ...]

    @property
    def gated(self) -> str:
        """The metric of the first gate."""
        return self.metrics[0]


def propose(facts: Facts, choices: Choices) -> Draft:
    """The draft of a repository's files; what could not be found has a placeholder and a gap."""
    _check(facts, choices)
    found = detect.find_recipe(facts.files, facts.texts, choices.train)
    prompts, saved = find_prompts(facts.files, facts.texts), find_saved(facts.files)
    if found is None and prompts is not None and (prompts.config or saved is None):
        return _evaluated(facts, choices, prompts)
    brought = saved[0] if saved is not None and found is None else None
    pair = detect.find_pair(facts.tables, choices.data, choices.holdout)
    holdout = pair.holdout or _placeholder(pair.train)
    tables = {table.path: table for table in facts.tables}
    seen = [tables[path] for path in (pair.holdout, pair.train) if path in tables and tables[path].columns]
    table = seen[0] if seen else None
    _check_target(choices.target, table)
    target = choices.target or detect.find_target(table)
    values = sorted({value for each in seen for value in each.values(target or "")})
    task = choices.task or detect.find_task(values)
    recipe = found or (detect.Recipe(source=brought) if brought else _to_make(pair.train, target, table))
    asking = _asking(facts, recipe, table, target, values)
    if brought and saved and saved[1]:
        asking = Asking(made=Made(form=saved[1]), labels=tuple(values))
    recipe = _copying(recipe, asking)
    more = _needed(facts, recipe, asking)
    setup = training_setup(facts.files, facts.texts, more=more)
    install = choices.install or setup.install
    gaps = (
        *(() if brought else _code_gaps(found, recipe, notebooks(facts), asking)),
        *(() if brought else _install_gaps(install, next((name for name in LOCKS if name in facts.files), None))),
        *_holdout_gaps(pair.holdout, holdout, pair.train, table),
        *_target_gaps(target, task, pair.holdout, table),
        *(() if choices.target else _guess_gaps(target, table, facts.texts)),
        *_tracking_gaps(tables, (pair.train, pair.holdout)),
    )
    return Draft(
        model=choices.model or _name(facts),
        task=task or Task.BINARY,
        recipe=recipe,
        artifact=brought,
        asking=asking,
        skeleton=found is None and not brought,
        params=next((path for path in _PARAMS if path in facts.files), None),
        train=pair.train,
        holdout=holdout,
        target=target or "TARGET",
        positive=detect.positive_of(values) if (task or Task.BINARY) is Task.BINARY else None,
        ids=detect.id_columns(table, target),
        encoding=next((each.encoding for each in seen if each.encoding), None),
        example=_example(table, target),
        branch=facts.branch,
        install=install or ("" if brought else _INSTALL),
        more=more,
        python=setup.python,
        lock=setup.lock,
        metrics=METRICS[task or Task.BINARY],
        gaps=gaps,
    )


def _evaluated(facts: Facts, choices: Choices, prompts: Prompts) -> Draft:
    """The draft for prompts: nothing trains, and no rows judge."""
    return Draft(
        model=choices.model or _name(facts),
        task=Task.SCORES,
        recipe=detect.Recipe(),
        artifact=prompts.folder or "prompts/",
        prompts=prompts,
        skeleton=False,
        params=None,
        train=None,
        holdout="",
        target="",
        positive=None,
        ids=(),
        encoding=None,
        example=None,
        branch=facts.branch,
        install=choices.install or "",
        metrics=("score",),
        gaps=tuple(_prompt_gaps(prompts)),
    )


def _prompt_gaps(prompts: Prompts) -> Iterator[Gap]:
    if prompts.config is None:
        hint = "Write what evaluates the prompts, with tests and a provider: docs/evaluations.md has an example."
        yield Gap(what=f"there is no {PROMPTFOO[0]}, which mlbot.yaml names", hint=hint)
    if prompts.folder is None:
        what = (
            f"the prompts are in {prompts.config} itself, which is the guarded branch's: a change is to change a file"
        )
        yield Gap(what=what, hint=f"Put the prompt into prompts/{prompts.prompt}.")
    what = "a provider that is asked over the network needs `network: true`, and its key `secrets`"
    hint = "They are in mlbot.yaml behind a #. Give every test a description and every assertion a metric."
    yield Gap(what=what, hint=hint, blocks=False)


def _check(facts: Facts, choices: Choices) -> None:
    known = facts.files | {table.path for table in facts.tables}
    for option, path in (("--data", choices.data), ("--holdout", choices.holdout)):
        if path and not is_url(path) and path not in known and f"{path}.dvc" not in known:
            raise UsageError(
                f"there is no file {path!r}", where=option, hint="Name it from the repository's root, or give a URL."
            )
    if choices.data and choices.data == choices.holdout:
        raise UsageError("the holdout is the training data", hint="A model is judged on rows that it has not seen.")


def _check_target(target: str | None, table: detect.Table | None) -> None:
    if target and table and table.columns and target not in table.columns:
        listed = ", ".join(table.columns[:12])
        raise UsageError(f"{table.path} has no column {target!r}", where="--target", hint=f"It has: {listed}.")


def _to_make(train: str | None, target: str | None, table: detect.Table | None) -> detect.Recipe:
    """How the training that `init` writes is called: a plain model, where there are data to fit it on."""
    ready = train and train.endswith(".csv") and target and table
    if ready:
        return detect.Recipe(entrypoint="train:train", depends=("train.py",), source="train.py")
    return detect.Recipe(run="python train.py", depends=("train.py",), source="train.py")


def _asking(
    facts: Facts, recipe: detect.Recipe, table: detect.Table | None, target: str | None, values: Sequence[str]
) -> Asking | None:
    """How the model is asked; None: it is an ONNX file, or nobody knows what it is."""
    if recipe.entrypoint or recipe.source is None:
        return None
    own = [path for path in facts.texts if path.endswith(".py") and path != recipe.source and recipe.covers(path)]
    found = {path: find_made(path, facts.texts.get(path, "")) for path in (recipe.source, *sorted(own))}
    if any("onnx" in facts.texts[path] for path in found if path in facts.texts):
        return None
    made = next((each for each in found.values() if each and each.saved), None) or found[recipe.source]
    if made is None:
        return None
    net = next((each for each in found.values() if each and each.network), None)
    if net is not None and made.form is Form.TORCH:
        made = made.model_copy(update={"network": net.network, "module": net.module, "guarded": net.guarded})
    features = [
        name for name in (table.columns if table else ()) if name not in {target, *detect.id_columns(table, target)}
    ]
    alone = features[0] if len(features) == 1 else None
    column = made.column if made.column in features else alone
    return Asking(made=made, column=column, labels=tuple(values))


def _copying(recipe: detect.Recipe, asking: Asking | None) -> detect.Recipe:
    """The recipe that takes the model from where the training's own code puts it."""
    if asking is None or asking.made.saved is None or recipe.writes or recipe.run is None:
        return recipe
    saved = asking.made.saved
    folder = posixpath.dirname(saved)
    before = f"mkdir -p {folder} && " if folder else ""
    copy = f'cp -r {saved} "${detect.OUTPUT}"'
    return recipe.model_copy(update={"run": f"{before}{recipe.run} && {copy}", "writes": True})


def _needed(facts: Facts, recipe: detect.Recipe, asking: Asking | None) -> str:
    """Packages that what is written for a repository asks for, and that it does not list."""
    if recipe.entrypoint:
        return exporting(facts.texts)
    packages = ["nbclient", "ipykernel"] if recipe.notebook else []
    return unlisted(facts.texts, packages + (asking.packages if asking else []))


def predictor(draft: Draft) -> str:
    """The first predict.py."""
    return _filled("predict.py.j2", draft=draft, asking=draft.asking)


def notebooks(facts: Facts) -> list[str]:
    """The notebooks that a training may be in, the shortest path first."""
    found = (path for path in facts.files if path.endswith(".ipynb"))
    return sorted(found, key=lambda path: (path.count("/"), path))[:3]


def skeleton(draft: Draft, facts: Facts, reading: str) -> str:
    """The first train.py; `reading` is how it reads the training data."""
    return _filled("train.py.j2", draft=draft, notebooks=notebooks(facts), reading=reading)


def _code_gaps(
    found: detect.Recipe | None, recipe: detect.Recipe, notebooks: Sequence[str], asking: Asking | None
) -> tuple[Gap, ...]:
    if found is None:
        seen = f"; {', '.join(notebooks)} cannot be run from here" if notebooks else ""
        plain = bool(recipe.entrypoint)
        what = f"no training script was found{seen}, so train.py is " + (
            "a plain model to start from" if plain else "an empty one"
        )
        hint = (
            f"Write in train.py what trains your model. Or name what does: mlbot init --train SCRIPT, MODULE:FUNCTION "
            f"or 'a command' --force (a command writes its ONNX model to the path in ${detect.OUTPUT})"
        )
        return (Gap(what=what, hint=hint, blocks=not plain),)
    if not recipe.writes:
        what = f"`{recipe.text}` does not mention {detect.OUTPUT}, the path that its model has to be written to"
        hint = _WRITES[asking.made.form if asking else None].format(path=f'os.environ["{detect.OUTPUT}"]')
        return (Gap(what=what, hint=hint, blocks=False), *_network_gaps(asking))
    return _network_gaps(asking)


_WRITES: Mapping[Form | None, str] = {
    Form.PICKLE: "In Python: joblib.dump(model, {path})",
    Form.LIGHTGBM: "In Python: booster.save_model({path}); of LGBMClassifier: model.booster_.save_model({path})",
    Form.XGBOOST: "In Python: model.save_model({path})",
    Form.CATBOOST: "In Python: model.save_model({path})",
    Form.TORCH: "In Python: torch.save(net.state_dict(), {path})",
    Form.TRANSFORMERS: "In Python: model.save_pretrained({path}) and tokenizer.save_pretrained({path})",
    None: "In Python: onnx.save(model, {path}). A scikit-learn estimator needs no such line: name a function of "
    "(params, seed) that returns it by `entrypoint: module:function` instead of `run`.",
}
"""How a training says where its model goes."""


def _network_gaps(asking: Asking | None) -> tuple[Gap, ...]:
    """What predict.py cannot know of a network."""
    if asking is None or asking.made.form is not Form.TORCH:
        return ()
    name, module = asking.made.network, asking.made.module
    if name is None or module is None:
        what = "predict.py does not know the class of the network"
        hint = "Put the class into a module of its own, and import it in predict.py."
        return (Gap(what=what, hint=hint, blocks=False),)
    what = f"predict.py makes the network by {name}() and gives it all columns as numbers"
    hint = f"Correct it where {name} takes arguments, or the training makes something of the columns."
    if not asking.made.guarded:
        hint += f' Importing {module} trains: put the training under if __name__ == "__main__".'
    return (Gap(what=what, hint=hint, blocks=False),)


def _install_gaps(install: str | None, lock: str | None) -> tuple[Gap, ...]:
    if install is not None:
        return ()
    if lock is not None:
        what = f"mlbot does not know how to install {lock}"
        hint = "Write the commands as `install` in the workflows; the Python to train with has to be first on the PATH."
        return (Gap(what=what, hint=hint, blocks=False),)
    what = "no file lists the packages that the training needs"
    hint = "Write requirements.txt, or correct `install` in the workflow."
    return (Gap(what=what, hint=hint, blocks=False),)


def _holdout_gaps(found: str | None, written: str, train: str | None, table: detect.Table | None) -> tuple[Gap, ...]:
    if found is not None:
        return ()
    header = f" Write it as {table.path} is written, with the same columns: {', '.join(table.columns)}" if table else ""
    source = f"about a fifth of {train}, taken out of it" if train else "at least some hundreds"
    hint = (
        f"Put labelled rows that no training sees into {written}: {source}.{header}\n"
        "Or name the file or URL that has them: mlbot init --holdout PATH --force"
    )
    return (Gap(what=f"there is no holdout; mlbot.yaml names {written}, which is still to be made", hint=hint),)


def _target_gaps(
    target: str | None, task: Task | None, holdout: str | None, table: detect.Table | None
) -> tuple[Gap, ...]:
    if target is None:
        why = f"the columns of {holdout} cannot be read from here" if holdout else "there is no data to read it from"
        hint = "Write it into mlbot.yaml as `target`, or: mlbot init --target COLUMN --force"
        return (Gap(what=f"the target column is not known: {why}", hint=hint),)
    if task is None:
        where = f"{table.path} holds too few of its values" if table else "its values cannot be read from here"
        hint = "Correct `task`, or: mlbot init --task multiclass --force"
        return (Gap(what=f"whether {target!r} is binary is a guess: {where}", hint=hint, blocks=False),)
    return ()


def _guess_gaps(target: str | None, table: detect.Table | None, texts: Mapping[str, str]) -> Iterator[Gap]:
    if target and table and detect.is_guess(target, texts.values()):
        hint = "Correct `target`, or: mlbot init --target COLUMN --force"
        what = f"that {target!r} is the column to predict is a guess: it is the last one of {table.path}"
        yield Gap(what=what, hint=hint, blocks=False)


def dashboard_notes(*, public: bool) -> tuple[Gap, ...]:
    """What to know of the dashboard; where the repository may be private, who will see it is said first."""
    seen = () if public else (_dashboard_note("public"),)
    return (*seen, _dashboard_note("pages"))


def _dashboard_note(code: str) -> Gap:
    what, hint = (sentence("workflows", f"dashboard/{code}/{part}") for part in ("what", "hint"))
    return Gap(what=what, hint=hint, blocks=False, missing=False)


def _tracking_gaps(tables: Mapping[str, detect.Table], paths: tuple[str | None, ...]) -> tuple[Gap, ...]:
    apart = [path for path in paths if path is not None and path in tables and not tables[path].tracked]
    if not apart:
        return ()
    what = f"git ignores {' and '.join(apart)}, so GitHub's machines will not have it"
    hint = "Take it out of .gitignore and commit it, track it with DVC or Git LFS, or give a URL."
    return (Gap(what=what, hint=hint, blocks=False),)


def _placeholder(train: str | None) -> str:
    path = train if train and not is_url(train) else "data/train.csv"
    return posixpath.join(posixpath.dirname(path), f"holdout{posixpath.splitext(path)[1] or '.csv'}")


def _example(table: detect.Table | None, target: str | None) -> str | None:
    """A column with several values, to show a slice with."""
    if table is None:
        return None
    passed = {target, *detect.id_columns(table, target)}
    fit = (column for column in table.columns if column not in passed and re.fullmatch(r"[A-Za-z_]\w*", column))
    return next((column for column in fit if len(table.values(column)) > 1), None)


def _name(facts: Facts) -> Name:
    """The package's name, else the folder's, as a model's."""
    project = re.search(r'(?m)^name\s*=\s*["\']([^"\']+)["\']', facts.texts.get("pyproject.toml", ""))
    written = project[1] if project else facts.name
    parts = re.sub(r"[^A-Za-z0-9]+", lambda run: run[0] if run[0] in {".", "_", "__"} else "-", written)
    name = parts.strip("-._")[:63].rstrip("-._")
    return name if is_delivered_name(name) else "model"


def needs_ignore(draft: Draft, facts: Facts) -> bool:
    """Whether a training by hand may leave model files that somebody could commit."""
    return ".onnx" in facts.texts.get(draft.recipe.source or "", "")


_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./$ =+-]*(?<! )")


def config(draft: Draft) -> str:
    """mlbot.yaml, with comments on what is left out."""
    return _filled("mlbot.yaml.j2", draft=draft, repository=ACTIONS_REPOSITORY)


def train_workflow(
    *,
    guard: Sequence[str],
    install: str,
    python: str | None = None,
    actions: Actions = _NONE,
    drivers: Sequence[str] = (),
    folder: ConfigFolder = ROOT,
) -> str:
    """The workflow that trains; `install` is a shell command, `guard` the branches whose pushes are judged."""
    # `+` is a wildcard in GitHub's filters, and a letter like others in a branch's name.
    branches = [entry.replace("+", "\\+") for entry in guard]
    values = {"branches": branches, "install": install, "python": python}
    return _filled("mlbot.yml.j2", **values, **_published(actions, drivers), **_of_folder(folder))


def judge_workflow(
    *,
    install: str,
    guard: Sequence[str] = (),
    python: str | None = None,
    actions: Actions = _NONE,
    drivers: Sequence[str] = (),
    folder: ConfigFolder = ROOT,
) -> str:
    """The workflow that judges; it installs too, for a baseline may have to be trained."""
    values = {"install": install, "python": python, "contexts": list(contexts(guard, folder.path))}
    return _filled("mlbot-judge.yml.j2", **values, **_published(actions, drivers), **_of_folder(folder))


def watch_workflow(*, guard: Sequence[str], folder: ConfigFolder = ROOT) -> str:
    """The workflow that sets the statuses where a pull request's run is not mlbot's."""
    values = {"actions": f"{ACTIONS_REPOSITORY}/actions", "ref": pin().written}
    return _filled("mlbot-watch.yml.j2", **values, contexts=contexts(guard, folder.path), **_of_folder(folder))


def dashboard_workflow(*, folder: ConfigFolder = ROOT) -> str:
    """The workflow that brings the dashboard to GitHub Pages."""
    after = [folder.name_of(path) for path in (folder.judge, folder.release, folder.monitor)]
    values = {"actions": f"{ACTIONS_REPOSITORY}/actions", "ref": pin().written, "after": after}
    return _filled("mlbot-dashboard.yml.j2", **values, name=ROOT.name_of(folder.dashboard))


def release_workflow(*, actions: Actions = _NONE, drivers: Sequence[str] = (), folder: ConfigFolder = ROOT) -> str:
    """The workflow that releases and deploys."""
    return _filled("mlbot-release.yml.j2", **_published(actions, drivers), **_of_folder(folder))


def monitor_workflow(
    *,
    install: str,
    python: str | None = None,
    actions: Actions = _NONE,
    drivers: Sequence[str] = (),
    folder: ConfigFolder = ROOT,
) -> str:
    """The workflow that watches models in production; it installs too, for a command that refreshes data."""
    values = {"install": install, "python": python}
    return _filled("mlbot-monitor.yml.j2", **values, **_published(actions, drivers), **_of_folder(folder))


def _of_folder(folder: ConfigFolder) -> dict[str, object]:
    """What a file says of the others of its folder."""
    paths = folder.workflows
    return {
        "folder": folder.path,
        "paths": paths,
        "files": {what: path.rpartition("/")[2] for what, path in paths.items()},
        "names": {what: folder.name_of(path) for what, path in paths.items()},
    }


def summary(
    *,
    done: Sequence[tuple[str, str]],
    gaps: Sequence[Gap],
    branch: str,
    required: Mapping[str, str],
    form: str,
    environments: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> str:
    """What became of each file, what is missing, and what to do next; `environments` with the secrets of each.

    `required`: the status that each guarded entry's rule has to require; `form`: why the workflows are as they are.
    """
    width = max((len(path) for path, _ in done), default=0)
    commit = " ".join(path for path, what in done if not what.startswith("left"))
    return _filled(
        "summary.txt.j2",
        done=done, gaps=gaps, branch=branch, width=width, commit=commit, required=required,
        form=form, environments=environments,
    )  # fmt: skip


def upgraded(*, states: Mapping[str, str], refused: Sequence[str], diffs: Sequence[str], form: str) -> str:
    """What `mlbot upgrade` did with each file, and what it would change in those that somebody has changed."""
    width = max(map(len, states))
    return _filled("upgraded.txt.j2", states=states, refused=refused, diffs=diffs, form=form, width=width)


def flow(value: object) -> str:
    """A text or a list of texts as YAML on one line; quoted unless any reader takes it for the same text."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(flow, value))}]"
    text = str(value)
    plain = _PLAIN.fullmatch(text) or detect.FUNCTION.fullmatch(text)
    if plain and isinstance(resolve(text), str) and text.lower() not in {"yes", "no", "on", "off", "y", "n"}:
        return text
    return json.dumps(text, ensure_ascii=False)


def pin() -> Pin:
    """How mlbot's workflows and actions are called: by the commit of this release, in a checkout by the moving tag."""
    commit = built_of()
    return Pin(ref=commit, version=f"v{__version__}") if commit else Pin(ref=ACTIONS_REF)


def _published(actions: Actions, drivers: Sequence[str] = ()) -> dict[str, object]:
    """What a file that calls says of the called ones; an input is given where it is not their default."""
    return {
        "uses": f"{ACTIONS_REPOSITORY}/.github/workflows",
        "ref": pin().written,
        "bot": actions.token.app if actions.token else None,
        "lfs": actions.lfs,
        "days": actions.retention_days,
        "drivers": drivers,
    }


def _filled(template: str, **values: object) -> str:
    made = environment().overlay()
    made.filters = {**made.filters, "python": repr, "yaml": flow}
    return made.get_template(f"init/{template}").render(**values).rstrip("\n") + "\n"
