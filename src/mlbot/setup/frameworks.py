"""What a training's code makes and where it leaves it, by its imports and calls; nothing is run."""

import ast
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import StrEnum
from functools import partial

from mlbot.lib.record import Record

_MAGIC = re.compile(r"^\s*[%!?].*$|^.*[^#'\"\n]\?$", re.MULTILINE)


class Form(StrEnum):
    """How a model is saved, and so how it is read: the template of predict.py that is for it."""

    PICKLE = "pickle"  # by joblib or pickle, with scikit-learn's methods, whatever made it
    LIGHTGBM = "lightgbm"
    XGBOOST = "xgboost"
    CATBOOST = "catboost"
    TORCH = "torch"
    TRANSFORMERS = "transformers"


_PACKAGES: Mapping[str, Form] = {
    "transformers": Form.TRANSFORMERS,
    "catboost": Form.CATBOOST,
    "xgboost": Form.XGBOOST,
    "lightgbm": Form.LIGHTGBM,
    "torch": Form.TORCH,
    "lightning": Form.TORCH,
    "pytorch_lightning": Form.TORCH,
    "joblib": Form.PICKLE,
    "pickle": Form.PICKLE,
    "cloudpickle": Form.PICKLE,
    "dill": Form.PICKLE,
    "sklearn": Form.PICKLE,
}
"""What imports a package saves its models as, unless a call says otherwise; the more telling ones first."""
PROMPTFOO = ("promptfooconfig.yaml", "promptfooconfig.yml", "promptfooconfig.json")
"""What promptfoo's config is called."""
_PICKLERS = frozenset({"joblib", "pickle", "cloudpickle", "dill"})
_ONNX = frozenset({"onnx", "skl2onnx", "onnxmltools", "tf2onnx", "hummingbird"})


class Made(Record):
    """What a training leaves."""

    form: Form
    saved: str | None = None  # the path that it writes its model to, where the code has it as it stands
    column: str | None = None  # what it is fitted on, where that is one column
    network: str | None = None  # PyTorch's class, and the module that has it
    module: str | None = None
    guarded: bool = False  # whether that module can be imported without training
    joblib: bool = True  # whether it is joblib that reads it
    polars: bool = False  # whether it is fitted on frames of polars


_SAVED: Mapping[str, Form | None] = {
    ".onnx": None,
    ".joblib": Form.PICKLE,
    ".pkl": Form.PICKLE,
    ".pickle": Form.PICKLE,
    ".cbm": Form.CATBOOST,
    ".ubj": Form.XGBOOST,
}
"""What a saved model's name ends with; None: an ONNX file, which needs no predictor. The clearest first."""
_MODEL = re.compile(r"(?i)model|classifier|regressor|pipeline|(^|[/_-])clf")
_APART = frozenset({"test", "tests", "docs", "examples", "node_modules"})
_FILE = re.compile(r"file://([\w./-]+)")


class Prompts(Record):
    """Prompts that promptfoo evaluates."""

    config: str | None  # promptfoo's; None: still to be made
    folder: str | None  # that holds the prompts; None: they are in the config itself
    prompt: str = "system.txt"  # the one that is asked with, in the folder
    depends: tuple[str, ...] = ()  # what the evaluation needs beside it


def find_prompts(files: Collection[str], texts: Mapping[str, str]) -> Prompts | None:
    """The prompts of a repository, and what evaluates them; None where there are none."""
    config = _nearest(path for path in files if posixpath.basename(path) in PROMPTFOO)
    named = _named_files(config, files, texts.get(config, "")) if config else []
    places = [path for path in (*named, *sorted(files)) if "prompts" in path.split("/")[:-1]]
    if not places:
        return Prompts(config=config, folder=None, depends=(config,)) if config else None
    parts = places[0].split("/")
    folder = "/".join(parts[: parts.index("prompts") + 1]) + "/"
    depends = sorted({path for path in (config, *named) if path and not path.startswith(folder)})
    return Prompts(config=config, folder=folder, prompt=places[0].removeprefix(folder), depends=tuple(depends))


def _named_files(config: str, files: Collection[str], text: str) -> list[str]:
    found = (posixpath.normpath(posixpath.join(posixpath.dirname(config), each)) for each in _FILE.findall(text))
    return [path for path in dict.fromkeys(found) if path in files]


def find_saved(files: Collection[str]) -> tuple[str, Form | None] | None:
    """A model that is saved in git or by DVC, and its form; None where there is none."""
    tracked = {path.removesuffix(".dvc") for path in files if not _APART & set(path.split("/")[:-1])}
    for suffix, form in _SAVED.items():
        sure = suffix not in {".pkl", ".pickle"}  # which anything may be
        path = _nearest(path for path in tracked if path.endswith(suffix) and (sure or _MODEL.search(path)))
        if path and form is None and f"{path}.data" in tracked and "/" in path:
            return f"{posixpath.dirname(path)}/", form
        if path:
            return path, form
    return None


def _nearest(paths: Iterable[str]) -> str | None:
    return min(paths, key=lambda path: (path.count("/"), path), default=None)


def code_of(cells: list[str]) -> str:
    """The code of a notebook's cells as Python reads it, without magics and shell commands."""
    return "\n".join(_MAGIC.sub("", cell) for cell in cells if not cell.lstrip().startswith("%%"))


def find_made(path: str, text: str) -> Made | None:
    """What a file's code leaves; None where it writes an ONNX file, or does not tell."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None
    imports = set(_imports(tree))
    if imports & _ONNX or ".onnx" in text or "onnx.export" in text:
        return None
    names = _Names(tree)
    form, saved = next(_saves(tree, imports, names), (None, None))
    form = form or next((form for package, form in _PACKAGES.items() if package in imports), None)
    if form is None:
        return None
    network = _network(tree) if form is Form.TORCH else None
    return Made(
        form=form,
        saved=saved,
        column=_column(tree),
        network=network,
        module=posixpath.splitext(path)[0].replace("/", ".") if network and path.endswith(".py") else None,
        guarded="__main__" in text,
        joblib=bool(imports & {"joblib", "sklearn"}),
        polars=form is Form.PICKLE and "polars" in imports and "pandas" not in imports,
    )


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


class _Names:
    """The names that code gives to texts as they stand."""

    def __init__(self, tree: ast.AST) -> None:
        self.known: dict[str, ast.expr] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                self.known |= {each.id: node.value for each in node.targets if isinstance(each, ast.Name)}
            elif isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name):
                self.known[node.optional_vars.id] = node.context_expr

    def text(self, node: ast.expr | None, hops: int = 8) -> str | None:
        """The path that an expression stands for: a text, a name of one, paths joined, a file opened there."""
        known: str | None = None
        again = partial(self.text, hops=hops - 1)
        match node if hops else None:
            case ast.Constant(value=str(value)):
                known = value
            case ast.Name(id=name):
                known = again(self.known.get(name))
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                known = _joined(again(left), again(right))
            case ast.Call(func=ast.Attribute(attr="join"), args=parts):
                known = _joined(*map(again, parts))
            case ast.Call(func=ast.Attribute(attr="open", value=value)) if not isinstance(value, ast.Name):
                known = again(value)
            case ast.Call(func=ast.Name(id="Path" | "str" | "open"), args=[first, *_]):
                known = again(first)
        return known


def _joined(*parts: str | None) -> str | None:
    known = [part for part in parts if part is not None]
    return posixpath.join(*known) if known and len(known) == len(parts) else None


def _saves(tree: ast.AST, imports: set[str], names: _Names) -> Iterator[tuple[Form, str | None]]:
    """How the code saves, and where; the first is what counts."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        owner, name = _called(node.func)
        first, second = (*node.args[:2], None, None)[:2]
        match owner, name:
            case ("joblib" | "pickle" | "cloudpickle" | "dill", "dump"):
                yield Form.PICKLE, _inside(names.text(second))
            case ("", "dump") if imports & _PICKLERS:
                yield Form.PICKLE, _inside(names.text(second))
            case ("torch", "save"):
                yield Form.TORCH, _inside(names.text(second))
            case (_, "save_pretrained"):
                yield Form.TRANSFORMERS, _inside(names.text(first))
            case (_, "save_model"):
                saves = ("transformers", "catboost", "xgboost", "lightgbm")
                form = next((_PACKAGES[each] for each in saves if each in imports), None)
                if form:
                    yield form, _inside(names.text(first))
            case (_, "write_bytes") if isinstance(first, ast.Call) and _called(first.func)[1] == "dumps":
                yield Form.PICKLE, None


def _called(function: ast.expr) -> tuple[str, str]:
    match function:
        case ast.Attribute(value=ast.Name(id=owner), attr=name):
            return owner, name
        case ast.Attribute(attr=name):
            return "?", name
        case ast.Name(id=name):
            return "", name
    return "?", ""


def _inside(path: str | None) -> str | None:
    """A path of the repository that a shell takes as it stands."""
    fits = path and re.fullmatch(r"[\w./-]+", path) and not path.startswith(("/", "-", "../"))
    return posixpath.normpath(path) if path and fits else None


def _network(tree: ast.AST) -> str | None:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(
            _called(base)[1] in {"Module", "LightningModule"} for base in node.bases
        ):
            return node.name
    return None


def _column(tree: ast.AST) -> str | None:
    """The one column that something is fitted on: `fit(table["text"], …)`."""
    known = _Names(tree).known
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node.func)[1] == "fit" and node.args:
            found: ast.expr | None = node.args[0]
            for _ in range(8):
                match found:
                    case ast.Subscript(slice=ast.Constant(value=str(column))):
                        return column
                    case ast.Name(id=name):
                        found = known.get(name)
                    case ast.Call(func=ast.Attribute(value=value)) | ast.Attribute(value=value):
                        found = value
                    case _:
                        break
    return None
