"""Two repositories shaped as people's are, without anything of mlbot's, and small enough to train in a second."""

from pathlib import Path
from textwrap import dedent

from tests.support import tiny
from tests.support.git_samples import Sandbox, make

PACKAGE = dedent("""
    from sklearn.linear_model import LogisticRegression

    from churn.features import COLUMNS
    from mlbot.ml.frames import read


    def train(params, seed):
        table = read("data/train.csv").sample(fraction=0.9, seed=seed)
        return LogisticRegression(C=params["C"]).fit(table.select(COLUMNS), table["churned"])
""").lstrip()

PYPROJECT = dedent("""
    [build-system]
    requires = ["hatchling"]
    build-backend = "hatchling.build"

    [project]
    name = "churn"
    version = "0.1"
    dependencies = ["scikit-learn"]
""").lstrip()


def script(path: Path) -> Sandbox:
    """A script with a requirements file."""
    files = tiny.files() | {"requirements.txt": "numpy\nonnx\n", "README.md": "# Tiny\n"}
    del files["mlbot.yaml"]
    return _made(path, files)


def package(path: Path) -> Sandbox:
    """A package with pyproject in a src layout, tests beside it."""
    files = {
        "pyproject.toml": PYPROJECT,
        "src/churn/__init__.py": "",
        "src/churn/features.py": 'COLUMNS = ["x1", "x2", "x3"]\n',
        "src/churn/train.py": PACKAGE,
        "tests/test_train.py": "def test_nothing(): pass\n",
        "params.yaml": "C: 1.0\n",
        "data/train.csv": tiny.rows(800, 1).replace(",y\n", ",churned\n", 1),
        "data/test.csv": tiny.rows(1500, 2).replace(",y\n", ",churned\n", 1),
    }
    return _made(path, files)


def _made(path: Path, files: dict[str, str]) -> Sandbox:
    sandbox = make(path)
    sandbox.commit(files, "As it was before mlbot")
    return sandbox
