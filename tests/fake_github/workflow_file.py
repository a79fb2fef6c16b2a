"""Workflow files: parsed as GitHub parses them (YAML 1.2 truth values: ``on`` is a word)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import yaml
from tests.fake_github.gitstore import GitStore

FOLDER: Final = ".github/workflows"


class WorkflowError(Exception):
    """A workflow that GitHub would refuse to start."""


class Loader(yaml.SafeLoader):
    """YAML with the truth values of YAML 1.2."""


Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"true|false"), list("tf"))


def load(text: str) -> Any:
    """Parse YAML."""
    return yaml.load(text, Loader)  # noqa: S506 -- a subclass of the safe loader


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkflowFile:
    """One file of .github/workflows at some commit."""

    path: str
    content: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name, or its path when it has none."""
        return str(self.content.get("name", self.path))

    @property
    def triggers(self) -> Mapping[str, Mapping[str, Any]]:
        """Events and their filters."""
        on = self.content["on"]
        if isinstance(on, str):
            return {on: {}}
        if isinstance(on, Sequence):
            return {str(event): {} for event in on}
        return {event: found if isinstance(found, Mapping) else {} for event, found in on.items()}

    @property
    def jobs(self) -> Mapping[str, Mapping[str, Any]]:
        """Jobs by their keys."""
        jobs: Mapping[str, Mapping[str, Any]] = self.content["jobs"]
        return jobs


@lru_cache(maxsize=256)
def parse(path: str, text: str) -> WorkflowFile:
    """A workflow file. Its content is shared: never change it.

    Raises:
        WorkflowError: GitHub would not take it.
    """
    try:
        content = load(text)
    except yaml.YAMLError as error:
        raise WorkflowError(f"{path}: {error}") from error
    if not isinstance(content, Mapping) or not {"on", "jobs"} <= content.keys():
        raise WorkflowError(f"{path}: a workflow has `on` and `jobs`")
    return WorkflowFile(path=path, content=content)


def at(git: GitStore, commit: str) -> list[WorkflowFile]:
    """The workflow files at a commit.

    Raises:
        WorkflowError: one is broken.
    """
    texts = git.texts(commit, f"{FOLDER}/")
    return [parse(name, text) for name, text in texts.items() if name.endswith((".yml", ".yaml"))]
