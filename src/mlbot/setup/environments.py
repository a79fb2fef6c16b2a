"""What a repository says of its training's environment: what installs its packages, which Python, which lock counts."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from mlbot.lib.constants import EXPORT_PACKAGES
from mlbot.lib.record import Record
from mlbot.plan.content_key import LOCKS

DEFAULT_PYTHON = "3.12"
"""What the workflows train with where nothing is said."""
_PYTHONS = tuple(f"3.{minor}" for minor in range(9, 15))
"""The Pythons that may be chosen; the oldest is what an entrypoint needs."""
_REQUIREMENTS = ("requirements/base.txt", "requirements/main.txt", "requirements/train.txt")
_VERSION = re.compile(r"(?:cpython-|python-)?(3\.\d{1,2}(?:\.\d{1,3})?)")
_HASHED = re.compile(r"(?m)^[^#\n]*--hash[= ]")
TEXTS = frozenset(
    {*LOCKS, *_REQUIREMENTS, "pyproject.toml", "setup.cfg", "setup.py", "Pipfile", ".python-version", ".tool-versions"}
    | {"runtime.txt"}
)
"""The files whose text, or its beginning, is looked at."""


class TrainingSetup(Record):
    """What a workflow has to do before it trains."""

    install: str | None = None
    """The shell command of the workflow; None: nothing lists the packages."""
    python: str | None = None
    """The Python that the repository asks for; None: the default one will do."""
    lock: str | None = None
    """What mlbot.yaml has to name as `lock`; None: the content key has the right file by itself."""


def training_setup(files: Collection[str], texts: Mapping[str, str], *, more: str = "") -> TrainingSetup:
    """The set-up that a repository's files ask for.

    The lock that installs is the one that the content key has, so that what is installed makes a model stale.
    `more`: packages that are installed too.
    """
    lock = next((name for name in LOCKS if name in files), None)
    found = lock or next((name for name in (*_REQUIREMENTS, "pyproject.toml", "setup.py") if name in files), None)
    if found is None:
        return TrainingSetup(python=python_of(files, texts))
    package = any(re.fullmatch(r"src/[^/]+/__init__\.py", path) for path in files)
    install = _install(found, texts.get(found, ""), more, package=package)
    # conda brings its own Python.
    python = None if found == "environment.yml" else python_of(files, texts)
    return TrainingSetup(install=install, python=python, lock=None if lock else found)


def unlisted(texts: Mapping[str, str], packages: Sequence[str]) -> str:
    """Those packages, as pip takes them, that no file of the repository lists."""
    listed = "\n".join(
        texts.get(name, "") for name in (*LOCKS, *_REQUIREMENTS, "pyproject.toml", "setup.py", "Pipfile")
    )
    return " ".join(each for each in packages if not re.search(rf"(?i)(?<![\w.-]){re.escape(each)}(?![\w-])", listed))


def exporting(texts: Mapping[str, str]) -> str:
    """The packages that export what an entrypoint returns, where no file of the repository lists them."""
    return EXPORT_PACKAGES if unlisted(texts, ["skl2onnx"]) else ""


class _Tool(NamedTuple):
    """What makes an environment of a lock."""

    package: str
    sync: str
    alone: str  # how that leaves the project itself out
    place: str  # where the environment is then


_TOOLS: Mapping[str, _Tool] = {
    "uv.lock": _Tool("uv", 'uv sync --locked --python "$(command -v python)"', " --no-install-project", "$PWD/.venv"),
    "poetry.lock": _Tool("poetry", "poetry install --no-interaction", " --no-root", "$(poetry env info --path)"),
    "pdm.lock": _Tool("pdm", "pdm sync", " --no-self", "$PWD/.venv"),
    "Pipfile.lock": _Tool("pipenv", "pipenv sync", "", "$(pipenv --venv)"),
}


def _install(lock: str, text: str, more: str, *, package: bool) -> str | None:
    """The command that installs what a file lists, with some packages more; `package`: and the project in `src/`."""
    pip = f"pip install {more}" if more else ""
    if lock in _TOOLS:
        tool = _TOOLS[lock]
        added = f'pip --python "{tool.place}" install {more}' if more else ""
        # Its Python comes first in the steps that follow, so in the training.
        first = f'echo "{tool.place}/bin" >> "$GITHUB_PATH"'
        return _joined(f"pip install {tool.package}", f"{tool.sync}{'' if package else tool.alone}", added, first)
    match lock:
        case "environment.yml":
            place = '"$RUNNER_TEMP/training"'
            create = f'"$CONDA/bin/conda" env create --quiet --file {lock} --prefix {place}'
            added = f"{place}/bin/python -m pip install {more}" if more else ""
            return _joined(create, added, 'echo "$RUNNER_TEMP/training/bin" >> "$GITHUB_PATH"')
        case "pylock.toml":
            return _joined("pip install uv", f"uv pip install --system -r {lock}", pip)
        case "pixi.lock" | "conda-lock.yml":
            return None
    if _HASHED.search(text):  # every package of such a call needs a hash
        return _joined(f"pip install --require-hashes -r {lock}", pip)
    listed = "." if lock in {"pyproject.toml", "setup.py"} else f"-r {lock}"
    return f"pip install {listed} {more}".strip()


def _joined(*commands: str) -> str:
    return " && ".join(filter(None, commands))


def python_of(files: Collection[str], texts: Mapping[str, str]) -> str | None:
    """The Python that a repository asks for: a version that it names, else one that its range allows."""
    named = next((found for found in _named(files, texts) if found), None)
    if named:
        return named
    for spec in _ranges(files, texts):
        fitting = [version for version in _PYTHONS if _allows(spec, version)]
        if not fitting or DEFAULT_PYTHON in fitting:
            return None
        older = [version for version in fitting if _minor(version) < _minor(DEFAULT_PYTHON)]
        return older[-1] if older else fitting[0]
    return None


def _named(files: Collection[str], texts: Mapping[str, str]) -> Iterator[str | None]:
    """Versions that are named outright, the strongest first."""
    for name, prefix in ((".python-version", ""), (".tool-versions", "python "), ("runtime.txt", "")):
        lines = (line.partition("#")[0].strip() for line in texts.get(name, "").splitlines() if name in files)
        meant = (line.removeprefix(prefix).split() for line in lines if line.startswith(prefix))
        yield next((match[1] for words in meant if words and (match := _VERSION.fullmatch(words[0]))), None)
    yield _of_pipenv(texts) if {"Pipfile", "Pipfile.lock"} & set(files) else None


def _of_pipenv(texts: Mapping[str, str]) -> str | None:
    try:
        required = json.loads(texts.get("Pipfile.lock", ""))["_meta"]["requires"]
        found = str(required.get("python_full_version") or required.get("python_version") or "")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        written = re.search(r'(?m)^python_(?:full_)?version\s*=\s*["\']([^"\']+)', texts.get("Pipfile", ""))
        found = written[1] if written else ""
    match = _VERSION.fullmatch(found)
    return match[1] if match else None


_RANGES = (
    ("pyproject.toml", r'(?m)^requires-python\s*=\s*["\']([^"\'\n]+)'),
    ("pyproject.toml", r'(?m)^python\s*=\s*["\']([^"\'\n]+)'),
    ("uv.lock", r'(?m)^requires-python\s*=\s*"([^"\n]+)'),
    ("poetry.lock", r'(?m)^python-versions\s*=\s*"([^"\n]+)'),
    ("setup.cfg", r"(?m)^python_requires\s*=\s*([^\n]+)"),
    ("setup.py", r'python_requires\s*=\s*["\']([^"\'\n]+)'),
)
"""Where a range of Pythons is written, and how."""


def _ranges(files: Collection[str], texts: Mapping[str, str]) -> Iterator[str]:
    # A lock's own line comes last in it, after those of packages.
    found = ((re.findall(pattern, texts.get(name, "")), name) for name, pattern in _RANGES if name in files)
    yield from (each[-1 if name == "poetry.lock" else 0].strip() for each, name in found if each)


_CLAUSE = re.compile(r"(>=|<=|==|!=|~=|>|<|\^|~|=)?\s*v?(\d+)(?:\.(\d+))?(?:\.(\d+|\*))*(\.\*)?")


def _allows(spec: str, version: str) -> bool:
    """Whether a range of Pythons, as pip or poetry writes it, has some release of a version such as 3.10."""
    return any(
        all(_holds(clause.strip(), _minor(version)) for clause in way.split(",") if clause.strip())
        for way in spec.split("||")
    )


def _holds(clause: str, minor: int) -> bool:
    match = _CLAUSE.fullmatch(clause)
    if match is None or match[2] != "3":
        # `*`, Python 4 as a bound above, Python 2 as one below, or what is no range
        return match is None or (int(match[2]) > 3) is ((match[1] or "").startswith("<"))
    sign, at, exact = match[1] or "==", int(match[3] or 0), match[4] is not None and match[4] != "*"
    return {
        ">=": minor >= at,
        ">": minor > at or (minor == at and exact),
        "<=": minor <= at or match[3] is None,
        "<": minor < at or (minor == at and exact),
        "==": match[3] is None or minor == at,
        "=": minor == at,
        "!=": minor != at or exact,
        "~=": minor == at if exact else minor >= at,
        "^": minor >= at,
        "~": match[3] is None or minor == at,
    }[sign]


def _minor(version: str) -> int:
    return int(version.split(".")[1])
