"""The files that `mlbot init` writes into a repository, and what it says of them."""

import json
import re
from collections.abc import Sequence

from mlbot.core.published import ACTIONS_REF, ACTIONS_REPOSITORY, JUDGE_PATH, STATUS
from mlbot.core.scaffold import Draft, Gap
from mlbot.core.scalar import resolve
from mlbot.render.engine import environment

_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./$ =+-]*(?<! )")
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def config(draft: Draft) -> str:
    """mlbot.yaml, with comments on what is left out."""
    return _filled("mlbot.yaml.j2", draft=draft, repository=ACTIONS_REPOSITORY)


def train_workflow(*, branch: str, install: str) -> str:
    """The workflow that trains.

    Args:
        branch: the default branch.
        install: the shell command that installs what the training needs.
    """
    return _filled("mlbot.yml.j2", branch=branch, install=install, **_published())


def judge_workflow(*, install: str) -> str:
    """The workflow that judges.

    Args:
        install: as for `train_workflow`: a baseline may have to be trained.
    """
    return _filled("mlbot-judge.yml.j2", install=install, **_published())


def release_workflow() -> str:
    """The workflow that releases and deploys."""
    return _filled("mlbot-release.yml.j2", **_published())


def summary(*, done: Sequence[tuple[str, str]], gaps: Sequence[Gap], branch: str) -> str:
    """What was made, what is missing, and what to do next.

    Args:
        done: each file with what became of it.
        gaps: what a person has to add.
        branch: the default branch.
    """
    width = max((len(path) for path, _ in done), default=0)
    commit = " ".join(path for path, what in done if not what.startswith("kept"))
    return _filled(
        "summary.txt.j2",
        done=done, gaps=gaps, branch=branch, width=width, commit=commit, judge=JUDGE_PATH, status=STATUS,
    )  # fmt: skip


def flow(value: object) -> str:
    """A text or a list of texts as YAML on one line; quoted unless any reader takes it for the same text."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(flow, value))}]"
    text = str(value)
    plain = _PLAIN.fullmatch(text) or _FUNCTION.fullmatch(text)
    if plain and isinstance(resolve(text), str) and text.lower() not in {"yes", "no", "on", "off", "y", "n"}:
        return text
    return json.dumps(text, ensure_ascii=False)


def _published() -> dict[str, str]:
    return {"uses": f"{ACTIONS_REPOSITORY}/.github/workflows", "ref": ACTIONS_REF}


def _filled(template: str, **values: object) -> str:
    made = environment().overlay()
    made.filters = {**made.filters, "yaml": flow}
    return made.get_template(f"init/{template}").render(**values).rstrip("\n") + "\n"
