"""What `init` finds out of a repository's environment, from the names and texts of its files alone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.lib.constants import EXPORT_PACKAGES
from mlbot.ml import export
from mlbot.plan.content_key import LOCKS
from mlbot.setup.environments import TrainingSetup, exporting, python_of, training_setup

MORE = EXPORT_PACKAGES
VENV = 'echo "$PWD/.venv/bin" >> "$GITHUB_PATH"'
UV = 'pip install uv && uv sync --locked --python "$(command -v python)"'
UV_LOCK = 'version = 1\nrequires-python = ">=3.10, <3.12"\n\n[[package]]\nname = "numpy"\n'
POETRY_LOCK = '[[package]]\nname = "a"\npython-versions = ">=3.6"\n\n[metadata]\npython-versions = "^3.9,<3.11"\n'
PIPFILE_LOCK = json.dumps({"_meta": {"requires": {"python_version": "3.10"}}, "default": {}})
HASHED = "numpy==1.26.4 \\\n    --hash=sha256:aa\n"
CONDA_PATH = 'echo "$RUNNER_TEMP/training/bin" >> "$GITHUB_PATH"'
CONDA = '"$CONDA/bin/conda" env create --quiet --file environment.yml --prefix "$RUNNER_TEMP/training"'


@pytest.mark.parametrize(
    ("files", "setup"),
    [
        ({}, TrainingSetup()),
        ({"requirements.txt": "numpy\n"}, TrainingSetup(install="pip install -r requirements.txt")),
        ({"requirements.txt": HASHED}, TrainingSetup(install="pip install --require-hashes -r requirements.txt")),
        ({"requirements.lock": HASHED}, TrainingSetup(install="pip install --require-hashes -r requirements.lock")),
        ({"requirements.txt": "# --hash\n"}, TrainingSetup(install="pip install -r requirements.txt")),
        (
            {"requirements/base.txt": "numpy\n"},
            TrainingSetup(install="pip install -r requirements/base.txt", lock="requirements/base.txt"),
        ),
        ({"setup.py": "setup()"}, TrainingSetup(install="pip install .", lock="setup.py")),
        (
            {"pyproject.toml": '[project]\nrequires-python = "~=3.9.0"\n'},
            TrainingSetup(install="pip install .", python="3.9", lock="pyproject.toml"),
        ),
        (
            {"uv.lock": UV_LOCK, "pyproject.toml": "", "requirements.txt": "numpy\n"},
            TrainingSetup(
                install=f"{UV} --no-install-project && {VENV}", python="3.11"
            ),
        ),
        (
            {"uv.lock": "", "src/churn/__init__.py": "", ".python-version": "3.13\n"},
            TrainingSetup(install=f"{UV} && {VENV}", python="3.13"),
        ),
        (
            {"poetry.lock": POETRY_LOCK, "pyproject.toml": "[tool.poetry]\n"},
            TrainingSetup(
                install="pip install poetry && poetry install --no-interaction --no-root && "
                'echo "$(poetry env info --path)/bin" >> "$GITHUB_PATH"',
                python="3.10",
            ),
        ),
        (
            {"Pipfile": "", "Pipfile.lock": PIPFILE_LOCK},
            TrainingSetup(
                install='pip install pipenv && pipenv sync && echo "$(pipenv --venv)/bin" >> "$GITHUB_PATH"',
                python="3.10",
            ),
        ),
        ({"pdm.lock": ""}, TrainingSetup(install=f"pip install pdm && pdm sync --no-self && {VENV}")),
        ({"pylock.toml": ""}, TrainingSetup(install="pip install uv && uv pip install --system -r pylock.toml")),
        (
            {"environment.yml": "dependencies: [python=3.9]\n", "setup.cfg": "python_requires = >=3.8\n"},
            TrainingSetup(install=f'{CONDA} && echo "$RUNNER_TEMP/training/bin" >> "$GITHUB_PATH"'),
        ),
        ({"pixi.lock": ""}, TrainingSetup()),
    ],
)  # fmt: skip
def test_the_lock_that_is_there_installs(files: dict[str, str], setup: TrainingSetup) -> None:
    assert training_setup(files.keys(), files) == setup


@pytest.mark.parametrize(
    ("files", "install"),
    [
        ({"requirements.txt": "numpy\n"}, f"pip install -r requirements.txt {MORE}"),
        ({"requirements.txt": "numpy\nskl2onnx\n"}, "pip install -r requirements.txt"),
        ({"requirements.txt": HASHED}, f"pip install --require-hashes -r requirements.txt && pip install {MORE}"),
        (
            {"uv.lock": ""},
            f'{UV} --no-install-project && pip --python "$PWD/.venv" install {MORE} && {VENV}',
        ),
        ({"uv.lock": 'name = "skl2onnx"'}, f"{UV} --no-install-project && {VENV}"),
        (
            {"environment.yml": ""},
            f'{CONDA} && "$RUNNER_TEMP/training"/bin/python -m pip install {MORE} && {CONDA_PATH}',
        ),
        ({"pyproject.toml": ""}, f"pip install . {MORE}"),
    ],
)
def test_an_entrypoint_gets_what_exports_it(files: dict[str, str], install: str) -> None:
    assert training_setup(files.keys(), files, more=exporting(files)).install == install


def test_the_exporter_is_named_alike_on_both_sides() -> None:
    assert export.NEEDED == EXPORT_PACKAGES


@pytest.mark.parametrize("names", [LOCKS[at:] for at in range(len(LOCKS))])
def test_what_installs_is_the_lock_of_the_content_key(names: tuple[str, ...]) -> None:
    """The first known one counts; a second one beside it must not be what is installed."""
    found = training_setup(names, dict.fromkeys(names, ""))
    assert found.lock is None
    others = {name for name in names[1:] if name in (found.install or "")}
    assert not others


@pytest.mark.parametrize(
    ("files", "python"),
    [
        ({".python-version": "3.10.13\n"}, "3.10.13"),
        ({".python-version": "# ours\ncpython-3.9\n"}, "3.9"),
        ({".python-version": "churn-env\n", "runtime.txt": "python-3.10.4"}, "3.10.4"),
        ({".python-version": "pypy3.10\n"}, None),
        ({".python-version": "3.12; rm -rf /\n"}, None),
        ({".tool-versions": "nodejs 20.1.0\npython 3.11.4 3.10\n"}, "3.11.4"),
        ({"Pipfile": '[requires]\npython_version = "3.9"\n'}, "3.9"),
        ({"Pipfile": "", "Pipfile.lock": "[]"}, None),
        ({"setup.cfg": "[options]\npython_requires = >=3.8, <3.11\n"}, "3.10"),
        ({"setup.py": "setup(python_requires='==3.9.*')"}, "3.9"),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "~3.10"\n'}, "3.10"),
        *[
            ({"pyproject.toml": f'[project]\nrequires-python = "{spec}"\n'}, python)
            for spec, python in [
                (">=3.9", None),
                (">=3.13", "3.13"),
                (">3.12", "3.13"),
                ("<3.12", "3.11"),
                ("<=3.10", "3.10"),
                (">=3.9,!=3.12.*", "3.11"),
                (">=3.8,<4.0", None),
                ("^3.9", None),
                ("~=3.10", None),
                ("~=3.10.2", "3.10"),
                ("==3.10.*", "3.10"),
                ("3.9.7", "3.9"),
                (">=2.7,!=3.0.*", None),
                ("<3", None),
                ("nonsense", None),
                ("3.9.*||3.10.*", "3.10"),
                ("", None),
            ]
        ],
    ],
)  # fmt: skip
def test_the_python_that_is_asked_for(files: dict[str, str], python: str | None) -> None:
    assert python_of(files.keys(), files) == python


@given(st.dictionaries(st.sampled_from(["pyproject.toml", ".python-version", "Pipfile.lock", "setup.cfg"]), st.text()))
def test_any_text_is_read(files: dict[str, str]) -> None:
    found = python_of(files.keys(), files)
    assert found is None or found.startswith("3.")
