"""What the folder of an mlbot.yaml names: its config, and its workflows with their files.

A repository may hold several, each with models of its own. What is named here is told apart by the folder; ledger,
versions and artifacts know a model by its name, which no two of them share.
"""

import re

from mlbot.errors import UsageError
from mlbot.lib.constants import (
    CONFIG_FILE,
    DASHBOARD_PATH,
    JUDGE_PATH,
    MONITOR_PATH,
    RELEASE_PATH,
    TRAIN_PATH,
    WATCH_PATH,
)
from mlbot.lib.record import Record

_FORM = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*(/[A-Za-z0-9_.][A-Za-z0-9_.-]*)*")
_LONGEST = 100
_BETWEEN = "--"  # stands for a slash in a file's name
_TRAIN = re.compile(r"\.github/workflows/mlbot(\.[A-Za-z0-9_.-]+)?\.yml")
_JUDGE = re.compile(r"mlbot-judge(\.[A-Za-z0-9_.-]+)?\.yml")


class ConfigFolder(Record):
    """A folder with an mlbot.yaml, as a path from the repository's root; empty for the root itself."""

    path: str = ""

    @classmethod
    def of(cls, path: str) -> "ConfigFolder":
        """Raises `UsageError` for a folder that no workflow, file or status can be named after."""
        parts = path.split("/")
        if path and (
            not _FORM.fullmatch(path) or len(path) > _LONGEST or _BETWEEN in path or {"", ".", "..", ".git"} & {*parts}
        ):
            raise UsageError(
                f"workflows cannot be named after the folder {path!r}",
                hint="Name it from the repository's root, with letters, digits, dots, single dashes and underscores, "
                f"in at most {_LONGEST} characters.",
            )
        return cls(path=path)

    @property
    def config(self) -> str:
        """The path of its mlbot.yaml."""
        return f"{self.path}/{CONFIG_FILE}" if self.path else CONFIG_FILE

    @property
    def train(self) -> str:
        """The path of the workflow file that trains."""
        return self._file(TRAIN_PATH)

    @property
    def judge(self) -> str:
        """The path of the one that judges."""
        return self._file(JUDGE_PATH)

    @property
    def release(self) -> str:
        """The path of the one that releases."""
        return self._file(RELEASE_PATH)

    @property
    def monitor(self) -> str:
        """The path of the one that watches models in production."""
        return self._file(MONITOR_PATH)

    @property
    def watch(self) -> str:
        """The path of the one that sees what calls itself otherwise."""
        return self._file(WATCH_PATH)

    @property
    def dashboard(self) -> str:
        """The path of the one that brings the dashboard to GitHub Pages: one a repository, as its ledger is."""
        return DASHBOARD_PATH

    @property
    def workflows(self) -> dict[str, str]:
        """The path of each workflow file, by what it does."""
        return {
            "train": self.train,
            "judge": self.judge,
            "release": self.release,
            "monitor": self.monitor,
            "watch": self.watch,
        }

    def name_of(self, workflow: str) -> str:
        """What the workflow of a path is called: `mlbot-judge`, or of a folder `mlbot-judge services/churn`."""
        name = workflow.rpartition("/")[2].partition(".")[0]
        return f"{name} {self.path}" if self.path else name

    def _file(self, path: str) -> str:
        slug = self.path.replace("/", _BETWEEN)
        return f"{path.removesuffix('.yml')}.{slug}.yml" if slug else path


ROOT = ConfigFolder()

_FOLDER = re.compile(r"""(?m)^ *(?:folder|MLBOT_CI_FOLDER): *(['"]?)([A-Za-z0-9_./-]{1,100})\1 *$""")


def folder_in(workflow: str) -> str:
    """The folder that a workflow file is written for, as its text says; empty for the root."""
    found = _FOLDER.search(workflow)
    return found[2] if found else ""


def is_train(path: str) -> bool:
    """Whether a workflow file is called as one that trains is, whatever its folder."""
    return _TRAIN.fullmatch(path) is not None


def judges_order(file_name: str) -> tuple[bool, str]:
    """By what workflow files that judge are sorted: the root's is the first."""
    return file_name != ROOT.judge.rpartition("/")[2], file_name


def is_judge(file_name: str) -> bool:
    """Whether a workflow file is called as one that judges is, whatever its folder."""
    return _JUDGE.fullmatch(file_name) is not None
