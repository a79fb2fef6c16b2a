"""Reading and checking a folder's mlbot.yaml."""

import csv
import json
from pathlib import Path

from mlbot.config.check import check_files
from mlbot.config.errors import ConfigError, Document
from mlbot.config.params import load_params
from mlbot.config.schema import Config, Model, json_schema, parse_config
from mlbot.config.yaml import MAX_BYTES, load
from mlbot.console import Console
from mlbot.errors import UsageError
from mlbot.lib.constants import CONFIG_FILE
from mlbot.lib.tree import is_glob, is_url

_MAX_HEADER = 1 << 20


def read(text: bytes | str, source: str = CONFIG_FILE) -> Config:
    """The config in a text, wherever that comes from: a folder, or a commit."""
    return parse_config(load(text, source))


def load_config(root: Path) -> Config:
    """The config of a folder, without a look at the files that it names."""
    return parse_config(_document(root))


def check(root: Path) -> Config:
    """The config of a folder, checked against the files that it names and the columns of the holdouts."""
    document = _document(root)
    config = parse_config(document)
    headers = {model.name: header for model in config.models if (header := _header(root, model.data.holdout))}
    params = {model.name: names for model in config.models if (names := _params(root, model)) is not None}
    problems = check_files(config, document, exists=lambda path: _exists(root, path), headers=headers, params=params)
    if problems:
        raise ConfigError(problems, source=document.source)
    return config


def report_check(root: Path, console: Console, *, as_json: bool) -> None:
    """Check a folder's config and say what it holds."""
    config = check(root)
    console.result(config.model_dump_json(indent=2) if as_json else _summary(config))


def schema_text() -> str:
    """The JSON Schema of mlbot.yaml."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _summary(config: Config) -> str:
    lines = [f"{CONFIG_FILE} is valid."]
    for model in config.models:
        counts = {"gate": len(model.gates), "metric": len(model.metrics), "slice": len(model.slices)}
        shown = (f"{count} {what}{'s' if count != 1 else ''}" for what, count in counts.items() if count)
        lines.append(f"  {model.name}: {', '.join((model.task, *shown))}")
    lines.extend(f"  {one.name}: deploys to {one.target}" for one in config.environments)
    return "\n".join(lines)


def _document(root: Path) -> Document:
    path = root / CONFIG_FILE
    if not path.is_file():
        other = next((name for name in ("mlbot.yml", ".mlbot.yaml", ".mlbot.yml") if (root / name).exists()), None)
        hint = f"Rename {other} to {CONFIG_FILE}." if other else "Make one: mlbot init"
        raise UsageError(f"there is no {CONFIG_FILE}", where=str(root), hint=hint)
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"it cannot be read: {error.strerror}", where=str(path)) from error
    return load(text, CONFIG_FILE)


def _exists(root: Path, path: str) -> bool:
    """Whether a path, folder or glob names something; data behind a `.dvc` file counts."""
    if is_glob(path):
        return any(root.glob(path.rstrip("/")))
    return (root / path).exists() or (root / f"{path.rstrip('/')}.dvc").exists()


def _params(root: Path, model: Model) -> tuple[str, ...] | None:
    path = model.train.params
    if path is None or not model.train.tunable or not (root / path).is_file():
        return None
    return tuple(load_params((root / path).read_bytes(), path))


def _header(root: Path, holdout: str) -> tuple[str, ...] | None:
    """The columns of a CSV file of the folder; None for what is no such file, or is a pointer to one."""
    path = root / holdout
    if is_url(holdout) or path.suffix.lower() != ".csv" or not path.is_file():
        return None
    with path.open("rb") as stream:
        line = stream.readline(_MAX_HEADER)
    text = line.decode("utf-8-sig", errors="replace")
    if text.startswith("version https://git-lfs") or not text.strip():
        return None
    try:
        return tuple(next(csv.reader([text], skipinitialspace=True), []))
    except csv.Error:
        return None
