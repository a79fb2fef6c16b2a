"""Everything that one model's training depends on at one commit, and the content key made of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from pydantic import Field

from mlbot.config.data import Data
from mlbot.config.schema import Config, Model
from mlbot.config.train import Brought
from mlbot.errors import UsageError
from mlbot.gates.metric import Task
from mlbot.lib.constants import CONFIG_FILE
from mlbot.lib.notebook import Notebook
from mlbot.lib.record import Digest, Name, Record, canonical, digest
from mlbot.lib.tree import Tree, is_url, module_files, normalise

LOCKS = (
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "pixi.lock",
    "conda-lock.yml",
    "Pipfile.lock",
    "pylock.toml",
    "requirements.lock",
    "requirements.txt",
    "environment.yml",
)
"""Environment locks by name, the strictest first; the first that is in the repository's root counts."""

_KEY_FORM = "mlbot/key@1"
_RECIPE_FORM = "mlbot/recipe@1"


class Inputs(Record):
    """What the bytes of one seed's model can depend on. Equal inputs, equal key.

    Not in here, because they change how a model is judged or run but not what it is: holdout, slices, metrics, gates,
    runner labels, timeout, number of seeds, and the patterns of `depends` themselves (the files they name are).

    No digest here is of the bytes of a file in git: it is sha256 over the file's mode, git object id and path, which
    is as exact and reads no file. Of a notebook that trains, what is executed is in the place of the object id.
    """

    task: Task
    run: str | None
    entrypoint: str | None
    notebook: str | None = None
    target: str | tuple[str, ...]
    positive: str | None
    drop: tuple[str, ...]
    features: tuple[str, ...] | None
    classes: tuple[str, ...] | None
    group: str | None
    weight: str | None = None
    params_path: str | None
    depends: Digest
    """Of the files that `depends` names, without data, params and lock; of the whole repository if it is left out."""
    data: dict[str, Digest] = Field(default_factory=dict)
    """Of each training data source by the path the config gives; see `Side.data_digest`."""
    params: Digest | None
    lock: Digest | None
    environment: str | None = None
    """What `train.environment` says, as JSON."""
    artifact: str | None = None
    """Of a model that is brought: its path, or the URL that names its very bytes. Nothing else of it is in a key."""

    @property
    def key(self) -> Digest:
        """The content key: sha256 of the canonical JSON of all of it."""
        facts = {"form": _KEY_FORM, **dict(self)}
        for later in ("artifact", "environment", "weight", "notebook"):  # as keys were before there was such a setting
            if facts[later] is None:
                del facts[later]
        return digest(canonical(facts))

    @property
    def recipe(self) -> Digest:
        """The digest of all of it but the data: of what decides whether the seed matters."""
        left_out = {"data"} if self.notebook else {"data", "notebook"}
        return digest(canonical({"form": _RECIPE_FORM, **self.model_dump(mode="json", exclude=left_out)}))


@dataclass(frozen=True, kw_only=True)
class Side:
    """One commit as the planner sees it."""

    config: Config
    tree: Tree
    outside: Mapping[str, Digest] | None = None
    """Sha256 of the content of declared data that is not in git, by path. None: do not look outside git, so that a
    judge who never checks the commit out comes to the same key as the sandbox that has all files."""

    notebooks: Mapping[str, Notebook] = field(default_factory=dict)
    """The notebooks of the tree by path, where a model is trained by one; those that can be read."""

    @cached_property
    def executed(self) -> Tree:
        """The tree with what notebooks execute in the place of their bytes: a run of theirs changes no file of it."""
        entries = {path: (self.tree.entries[path][0], notebook.digest) for path, notebook in self.notebooks.items()}
        return replace(self.tree, entries={**self.tree.entries, **entries}) if entries else self.tree

    def seen_by(self, model: Model) -> Tree:
        """The files that count for a model's training, as they count."""
        return self.executed if model.train.notebook else self.tree

    @cached_property
    def models(self) -> Mapping[str, Model]:
        """The commit's models by name."""
        return {model.name: model for model in self.config.models}

    @cached_property
    def holdouts(self) -> frozenset[str]:
        """The rows that judge the models, which nothing in `depends` shows to a training, however it is spelled.

        Only tables: a holdout that names a script, or a lock, would take it out of every model's key.
        """
        holdouts = {model.data.holdout for model in self.config.models if model.data.holdout}
        holdouts = {path for path in holdouts if not is_url(path)}
        files = frozenset[str]().union(*(self.tree.match(path) for path in holdouts))
        return frozenset(filter(_is_table, files))

    @cached_property
    def reserved(self) -> frozenset[str]:
        """What no folder or glob makes a model depend on: the config, and the holdouts."""
        return self.holdouts | {CONFIG_FILE}

    @cached_property
    def everything(self) -> frozenset[str]:
        """What a model without `depends` depends on."""
        return frozenset(self.tree.entries) - self.reserved

    def called(self, names: Mapping[Name, Name]) -> "Side":
        """The same with other names of models, by the new ones."""
        old = {before: name for name, before in names.items()}
        models = tuple(each.model_copy(update={"name": old.get(each.name, each.name)}) for each in self.config.models)
        return replace(self, config=self.config.model_copy(update={"models": models})) if names else self

    def files(self, model: Model) -> frozenset[str]:
        """The files that the model depends on."""
        if model.artifact is not None:
            return self._brought(model, model.artifact)
        if model.train.depends is None:
            return self.everything
        every = (self._named(model, pattern) for pattern in model.train.depends)
        # Whatever `depends` says, a model depends on the function or the notebook that trains it.
        own = module_files(model.train.entrypoint, self.tree) if model.train.entrypoint else frozenset[str]()
        own |= self._named(model, model.train.notebook, "notebook") if model.train.notebook else frozenset()
        return own.union(*every)

    def apart(self, model: Model) -> frozenset[str]:
        """The files that count on their own: data, params and lock."""
        if model.artifact is not None:
            return frozenset()
        named = (model.data.train, model.train.params, self.lock_path(model))
        paths = (path for path in named if path is not None and not is_url(path))
        return frozenset().union(*(self.tree.match(path) for path in paths))

    def inputs(self, model: Model) -> Inputs:
        """What the model's training depends on at this commit."""
        if model.artifact is not None:
            return self._pinned(model, model.artifact)
        train, data = model.train, model.data
        return Inputs(
            task=model.task,
            run=train.run,
            entrypoint=train.entrypoint,
            notebook=train.notebook,
            **{name: getattr(data, name) for name in COLUMNS},
            params_path=train.params,
            depends=self.seen_by(model).digest(self._counted(model)),
            data={data.train: self.data_digest(data.train)} if data.train else {},
            params=self._file(model, "params", train.params),
            lock=self._file(model, "lock", self.lock_path(model)),
            environment=train.environment.model_dump_json() if train.environment else None,
        )

    def _pinned(self, model: Model, artifact: Brought) -> Inputs:
        return Inputs(
            task=model.task,
            run=None,
            entrypoint=None,
            target="",
            positive=None,
            drop=(),
            features=None,
            classes=None,
            group=None,
            params_path=None,
            depends=self.tree.digest(self.files(model)),
            params=None,
            lock=None,
            artifact=" ".join(filter(None, (artifact.url, artifact.digest))),
        )

    def _brought(self, model: Model, artifact: Brought) -> frozenset[str]:
        """What git has of a model that was made elsewhere: itself, Git LFS' pointers, or DVC's."""
        if artifact.is_remote:
            return frozenset()
        found = self.tree.match(artifact.url) or self.dvc_file(artifact.url)
        if not found:
            what = f"artifact names {artifact.url!r}, which git does not have, nor a `.dvc` file that stands for it"
            hint = "Correct the path, or commit what is there: itself, by Git LFS, or `dvc add`."
            raise UsageError(what, where=f"{CONFIG_FILE}: models.{model.name}", hint=hint)
        return found

    def lock_path(self, model: Model) -> str | None:
        """The model's environment lock: the one it names, else the first known one beside mlbot.yaml, or above it."""
        ups = ["../" * steps for steps in range(self.tree.folder.count("/") + 2 if self.tree.folder else 1)]
        known = (f"{up}{name}" for up in ups for name in LOCKS)
        return model.train.lock or next((name for name in known if name in self.tree.entries), None)

    def data_digest(self, path: str) -> Digest:
        """What stands for a data source in the key.

        In git (a Git LFS pointer included: it names its content): the digest of its entries in the tree. Beside a
        `.dvc` file that is in git: the digest of that file's entry. Otherwise, if it may be looked at: sha256 of its
        content. An URL, or what cannot be seen from here: the digest of its name; the training records the content.
        """
        return data_digest(self.tree, path, self.outside or {})

    def dvc_file(self, path: str) -> frozenset[str]:
        """The `.dvc` file that stands for a path."""
        return _dvc_file(self.tree, path)

    def is_outside(self, path: str) -> bool:
        """Whether git at this commit has neither the data nor a `.dvc` file that stands for it."""
        found = self.tree.match(path) or self.dvc_file(path)
        return not found or self.tree.leads_out(found)

    def _counted(self, model: Model) -> frozenset[str]:
        """The files of `depends` without those that count on their own, so that naming them too changes nothing.

        Of the whole repository nothing is taken out: it is one set, digested once for all models.
        """
        files = self.files(model)
        return files if model.train.depends is None else files - self.apart(model)

    def _named(self, model: Model, pattern: str, key: str = "depends") -> frozenset[str]:
        found = self.tree.match(pattern)
        if not found:
            raise _nothing(model, key, pattern)
        return found - (self.holdouts if normalise(pattern) in self.tree.entries else self.reserved)

    def _file(self, model: Model, what: str, path: str | None) -> Digest | None:
        if path is None:
            return None
        found = self.tree.match(path)
        if not found:
            raise _nothing(model, what, path)
        return self.tree.digest(found)


_TABLES = frozenset({"csv", "tsv", "tab", "psv", "txt", "dat", "data", "parquet", "pq"})
_PACKED = frozenset({"gz", "zst", "bz2", "xz"})


def _is_table(path: str) -> bool:
    """Whether a file is one of rows, by its name."""
    name = path.rpartition("/")[2]
    parts = [part for part in name.lower().split(".")[1:] if part not in _PACKED]
    return name not in LOCKS and bool(parts) and parts[-1] in _TABLES


def renames(head: Side, before: Side) -> dict[Name, Name]:
    """The models of a commit that are at head under new names: `was` says so, or the content is the very same.

    One that is still there under its own name is not renamed, and nor is one that two claim.
    """
    gone = {name for name in before.models if name not in head.models}
    new = [each for each in head.config.models if each.name not in before.models] if gone else []
    keys = {key: name for name in sorted(gone) if (key := _key(before, name)) is not None} if new else {}
    claims = {each.name: each.was if each.was in gone else keys.get(_key(head, each.name) or "") for each in new}
    claimed = [*claims.values()]
    return {name: old for name, old in claims.items() if old is not None and claimed.count(old) == 1}


def _key(side: Side, name: Name) -> Digest | None:
    """A model's content key; None where what it names is not there."""
    try:
        return side.inputs(side.models[name]).key
    except UsageError:
        return None


def data_digest(tree: Tree, path: str, outside: Mapping[str, Digest]) -> Digest:
    """What stands for a data source in the key of a tree; see `Side.data_digest`."""
    if is_url(path):
        return digest(f"url {path}")
    found = tree.match(path) or _dvc_file(tree, path)
    if found and not tree.leads_out(found):
        return tree.digest(found)
    return outside.get(path) or digest(f"outside {path}")


def _dvc_file(tree: Tree, path: str) -> frozenset[str]:
    found = next((name for name in dvc_files(path) if name in tree.entries), None)
    return frozenset() if found is None else frozenset({found})


def dvc_files(path: str) -> Iterator[str]:
    """The `.dvc` files that could stand for a path: its own, then those of the folders it is in."""
    parts = normalise(path).split("/")
    return ("/".join(parts[:end]) + ".dvc" for end in range(len(parts), 0, -1))


COLUMNS = tuple(sorted(Inputs.model_fields.keys() & Data.model_fields.keys() - {"train"}))
"""The settings under `data` that decide what a model learns from."""


def _nothing(model: Model, what: str, pattern: str) -> UsageError:
    return UsageError(
        f"train.{what} names {pattern!r}, which matches no file that git would commit",
        where=f"{CONFIG_FILE}: models.{model.name}",
        hint="Correct the path, or take the file out of .gitignore.",
    )
