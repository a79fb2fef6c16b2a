"""A workflow file with the jobs themselves, made of one that calls mlbot's workflows: text in, text out.

There is no second template, so the two forms cannot say different things. Comments stay: a person reads the file.
"""

import copy
import io
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mlbot.errors import MissingExtraError, NotEvaluatedError
from mlbot.lib.constants import ACTIONS_REPOSITORY
from mlbot.lib.templates import sentence
from mlbot.setup.expressions import Given, Value, bare, joined, parts
from mlbot.setup.wiring import Wiring, wire

if TYPE_CHECKING:
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

_LEVELS = {"none": 0, "read": 1, "write": 2}
_OWN_KEYS = frozenset({"name", "on", "permissions", "concurrency", "jobs", "cache-mode"})
"""What mlbot's called workflows have at their top; anything else would be lost."""
_LONG = 100
_CALLED = re.compile(rf"{re.escape(ACTIONS_REPOSITORY)}/\.github/workflows/([\w-]+)\.yml@\S+")
_ACTION = re.compile(rf"(?:\$|{re.escape(ACTIONS_REPOSITORY)})/actions/([\w-]+)(?:@\S+)?")


def inline(caller: str, sources: Mapping[str, str], wiring: Wiring) -> str:
    """The caller's file with each called workflow's jobs instead of the call; `sources` are the called ones by name.

    Raises:
        NotEvaluatedError: a workflow has what the other form could not mean.
        MissingExtraError: the package that reads YAML with its comments is not installed.
    """
    document = _read(caller)
    made: dict[str, CommentedMap] = {}
    tops: list[str] = []
    for name, job in document["jobs"].items():
        for workflow, key, each in _jobs(name, job, sources, tops):
            if key in made:
                raise NotEvaluatedError(f"two jobs are called {key!r}")
            made[key] = _pinned(wire(workflow, key, each, wiring), wiring)
    if tops and (len(document["jobs"]) > 1 or "concurrency" in document):
        raise NotEvaluatedError("the concurrency of a called workflow cannot be that of the whole file")
    head = caller[: re.search(r"^jobs:", caller, re.MULTILINE).start()]  # type: ignore[union-attr] # read above
    if not tops and "concurrency" not in document:
        head = re.sub(
            r"^on:$",
            f"on: # zizmor: ignore[concurrency-limits] {sentence('workflows', 'ignored')}",
            head,
            flags=re.MULTILINE,
        )
    return head + "".join(f"{top}\n" for top in tops) + "jobs:\n" + "\n".join(_written(made))


def _jobs(
    name: str, job: "CommentedMap", sources: Mapping[str, str], tops: list[str]
) -> "Iterator[tuple[str, str, CommentedMap]]":
    """The jobs that a job of the caller comes to: the workflow that each is of, its name and itself."""
    called = _CALLED.fullmatch(str(job.get("uses", "")))
    if called is None:
        if "uses" in job:
            raise NotEvaluatedError(f"the job {name!r} calls {job['uses']}, which is none of mlbot's")
        yield "", name, job
        return
    source = sources[called[1]]
    workflow = _read(source)
    _check_call(name, job, workflow)
    given = _given(name, job, workflow)
    if "concurrency" in workflow:
        tops.append(_top(source, workflow, given))
    for key, each in workflow["jobs"].items():
        if "uses" in each:
            raise NotEvaluatedError(f"the job {key!r} of {called[1]} calls a workflow itself")
        _check_rights(key, each, job)
        filled = _filled(each, given)
        own = filled.get("if")
        condition = own if own is False else joined(job.get("if"), own)
        if condition != own:
            _put(filled, "if", _styled(condition, None))
        yield called[1], key, filled


def _check_call(name: str, job: "CommentedMap", workflow: "CommentedMap") -> None:
    if odd := set(job) - {"if", "permissions", "uses", "with", "secrets", "name"}:
        raise NotEvaluatedError(f"the job {name!r} has {', '.join(sorted(odd))}, which the jobs in it could not have")
    if odd := set(workflow) - _OWN_KEYS:
        raise NotEvaluatedError(f"the workflow that {name!r} calls has {', '.join(sorted(odd))} at its top")


def _given(name: str, job: "CommentedMap", workflow: "CommentedMap") -> Given:
    """What the call gives, with the called workflow's defaults."""
    declared = workflow["on"]["workflow_call"] or {}
    inputs: dict[str, Value] = {each: about.get("default", "") for each, about in declared.get("inputs", {}).items()}
    handed, secrets = job.get("with") or {}, job.get("secrets") or {}
    for kind, found, known in (("input", handed, inputs), ("secret", secrets, declared.get("secrets", {}))):
        if odd := sorted(set(found) - set(known)):
            raise NotEvaluatedError(f"the job {name!r} gives the {kind} {odd[0]!r}, which is not declared")
    plain = {key: str(value) if isinstance(value, str) else value for key, value in handed.items()}
    return Given(inputs | plain, {each: secrets.get(each) for each in declared.get("secrets", {})})


def _check_rights(key: str, job: "CommentedMap", call: "CommentedMap") -> None:
    """GitHub refuses a call whose job asks for more than the call holds; a job that stands alone it would start."""
    for scope, level in job["permissions"].items():
        if _LEVELS[level] > _LEVELS[(call.get("permissions") or {}).get(scope, "none")]:
            raise NotEvaluatedError(f"the job {key!r} asks for `{scope}: {level}`, which its caller does not hold")


def _filled(node: Any, given: Given) -> Any:
    """A node with the call's inputs in its texts; a step whose condition is known is kept without it, or dropped."""
    made = copy.deepcopy(node)
    _fill(made, given)
    return made


def _fill(node: Any, given: Given) -> None:
    if isinstance(node, dict):
        for key, value in list(node.items()):
            if key == "if" and (condition := _condition(value, given)) is True:
                del node[key]
            elif key == "if":
                node[key] = condition
            elif isinstance(value, str):
                node[key] = _styled(_put_in(value, given), value)
            else:
                _fill(value, given)
            if (key, node.get(key)) in _NOTHING:
                del node[key]
        return
    for place in reversed(range(len(node))) if isinstance(node, list) else ():
        if isinstance(node[place], str):
            node[place] = _styled(_put_in(node[place], given), node[place])
            continue
        _fill(node[place], given)
        if isinstance(node[place], dict) and node[place].get("if") is False:
            del node[place]


_NOTHING: tuple[tuple[str, object], ...] = (("MLBOT_CI_FOLDER", ""), ("working-directory", "./"), ("env", {}))
"""What an mlbot.yaml in the root leaves of the lines that name its folder."""


def _put_in(text: str, given: Given) -> Value:
    """A text with the inputs; where an empty one was its end, without the blank before it."""
    made = given.filled(text)
    is_whole = text.startswith("${{") and len(parts(text)) == 1
    return made.rstrip(" ") if isinstance(made, str) and text.endswith("}}") and not is_whole else made


def _condition(written: str, given: Given) -> Any:
    """A condition with the inputs in it: as it is, true or false where they decide it, else in braces."""
    found = given.condition(str(written))
    if found in {"true", "false"}:
        return found == "true"
    if " ".join(found.split()) == " ".join(bare(written).split()):
        return written
    # Without braces YAML could take a condition for something else, as one that begins with `!`.
    return _styled(f"${{{{ {found} }}}}", written)


def _styled(value: Any, before: Any) -> Any:
    """A text in the style of the one that it replaces: several lines stay several, a long condition is folded."""
    from ruamel.yaml.scalarstring import FoldedScalarString, LiteralScalarString, ScalarString

    if not isinstance(value, str) or value == before:
        return value if not isinstance(value, str) else before
    made: str = value
    if "\n" in value or isinstance(before, LiteralScalarString):
        made = LiteralScalarString(value)
    elif len(value) > _LONG and " && " in value:
        folded = FoldedScalarString(value)
        folded.fold_pos = [match.start() for match in re.finditer(r" (?=&& |\|\| )", value)]
        made = folded
    elif isinstance(before, ScalarString) and not isinstance(before, FoldedScalarString):
        made = type(before)(value)
    if hasattr(before, "comment") and hasattr(made, "comment"):
        made.comment = before.comment
    return made


def _put(job: "CommentedMap", key: str, value: Any) -> None:
    if key in job:
        job[key] = value
    else:
        job.insert(1 if "name" in job else 0, key, value)


def _pinned(job: "CommentedMap", wiring: Wiring) -> "CommentedMap":
    """A job whose steps use mlbot's own actions at one commit."""
    for step in job["steps"]:
        action = _ACTION.fullmatch(str(step.get("uses", "")))
        if action:
            step["uses"] = f"{ACTIONS_REPOSITORY}/actions/{action[1]}@{wiring.pin.ref}"
            _note_version(step, wiring.pin.version)
    return job


def _note_version(step: "CommentedMap", version: str) -> None:
    """A comment behind `uses`; what follows on lines of its own stays."""
    found = (step.ca.items.pop("uses", None) or [None, None, None])[2]
    rest = found.value.partition("\n")[2] if found else ""
    if version:
        step.yaml_add_eol_comment(f"# {version}\n{rest}", "uses", column=0)
    elif rest:
        found.value = f"\n{rest}"
        step.ca.items["uses"] = [None, None, found, None]


def _top(source: str, workflow: "CommentedMap", given: Given) -> str:
    """The called workflow's concurrency as the file's own, with the comment before it."""
    found = re.search(r"(?:^#.*\n)*(?=^concurrency:)", source, re.MULTILINE)
    comment = found[0] if found else ""
    written = _dumped({"concurrency": _filled(workflow["concurrency"], given)})
    return comment + written.rstrip("\n") + "\n"


def _written(jobs: "Mapping[str, CommentedMap]") -> Iterator[str]:
    """Each job's text. They are written one by one, since the blank line after a job belongs to its last value."""
    for name, job in jobs.items():
        text = _dumped({"jobs": {name: job}}).removeprefix("jobs:\n")
        yield text.rstrip("\n") + "\n"


def _read(text: str) -> "CommentedMap":
    found: CommentedMap = _yaml().load(text)
    return found


def _dumped(value: object) -> str:
    stream = io.StringIO()
    _yaml().dump(value, stream)
    return stream.getvalue()


def _yaml() -> "YAML":
    """A reader and writer that keeps comments, quotes and the order."""
    try:
        from ruamel.yaml import YAML
    except ImportError:
        raise MissingExtraError("init", needed_for="Workflow files that hold the jobs themselves") from None
    made = YAML(typ="rt")
    made.preserve_quotes = True
    made.width = 4096  # a line is never folded inside of an expression
    made.indent(mapping=2, sequence=4, offset=2)
    return made
