"""What a commit changes of the rules it is judged by: the report says so, and judges by the guarded branch's."""

from collections.abc import Collection, Iterator

from mlbot.config.gates import Slice
from mlbot.config.predict import CommandEnvironment
from mlbot.config.schema import Config, Model
from mlbot.config.train import SeedRange
from mlbot.gates.metric import Gate, Metric
from mlbot.lib.tree import Tree, changed, is_url, module_files, shown
from mlbot.plan.content_key import Side

_Rule = tuple[str, ...]
"""What a rule is about: its kind, the model (empty: all), and what tells it from others of its kind."""

_Value = Gate | Slice | Metric | str

_JUDGED_BY = (
    *("holdout", "sealed", "target", "positive", "threshold", "label", "features", "classes", "group", "weight"),
    *("time", "series", "horizon", "season", "quantiles", "id"),
)


def policy_changes(
    policy: Config, head: Config, base: Config | None = None, files: Collection[str] = ()
) -> tuple[str, ...]:
    """Sentences without a subject on each rule that head changes, such as "removes the gate roc_auc min 0.9".

    A rule that differs only because the guarded branch moved on after head left it is not head's doing. Without a base
    every difference counts.
    """
    sentences = () if head is policy else _sentences(policy, head, policy if base is None else base)
    return (*sentences, *(f"changes {shown(path)}" for path in sorted(files)))


def changed_rule_files(policy: Side, head: Tree, base: Tree | None) -> tuple[str, ...]:
    """The files of holdout, metrics and predictor, as policy names them, that head changed since it left the branch."""
    if head is policy.tree:
        return ()
    named = frozenset().union(*(_rule_files(model, policy.tree) for model in policy.config.models))
    since_base = named if base is None else frozenset(changed(base, head, named))
    return tuple(changed(policy.tree, head, since_base))


def _sentences(policy: Config, head: Config, base: Config) -> Iterator[str]:
    now, theirs, before = _rules(policy), _rules(head), _rules(base)
    several = len(policy.models) > 1
    common = {"", *({model.name for model in policy.models} & {model.name for model in head.models})}
    for rule in (*now, *(rule for rule in theirs if rule not in now)):
        old, new = now.get(rule), theirs.get(rule)
        if old != new != before.get(rule) and rule[1] in common:
            yield _sentence(rule, old, new) + (f" (model {rule[1]})" if several and rule[1] else "")


def _rule_files(model: Model, tree: Tree) -> frozenset[str]:
    path = model.data.holdout
    holdout = tree.match(path) if path and not is_url(path) else frozenset[str]()
    if model.evaluate is not None:
        holdout |= model.evaluate.rule_files(tree)
    functions = (metric.function for metric in model.metrics if metric.function)
    predictor = model.predict.rule_files(tree) if model.predict else frozenset[str]()
    return holdout.union(predictor, *(module_files(function, tree) for function in functions))


def _rules(config: Config) -> dict[_Rule, _Value]:
    every: dict[_Rule, _Value] = {
        ("setting", "", "guard"): ", ".join(config.guard) or "the default branch",
        ("setting", "", "inconclusive.pull_request"): config.inconclusive.pull_request,
        ("setting", "", "inconclusive.promotion"): config.inconclusive.promotion,
        ("setting", "", "waivers.by"): ", ".join(config.waivers.by) or "nobody",
        ("setting", "", "waivers.author"): str(config.waivers.author).lower(),
    }
    for model in config.models:
        every |= dict(_model_rules(model))
    return every


def _model_rules(model: Model) -> Iterator[tuple[_Rule, _Value]]:
    for gate in model.gates:
        yield ("gate", model.name, gate.subject, gate.bound), gate
    for part in model.slices:
        yield ("slice", model.name, part.name), part
    for metric in model.metrics:
        yield ("metric", model.name, metric.name), metric
    yield ("setting", model.name, "anchor"), str(model.anchor).lower()
    yield ("setting", model.name, "train.seeds"), _seeds(model.train.seeds)
    depends = model.train.depends
    yield ("setting", model.name, "train.depends"), "the whole repository" if depends is None else ", ".join(depends)
    yield from _predictor(model)
    for name in _JUDGED_BY:
        value = getattr(model.data, name)
        yield (
            ("setting", model.name, f"data.{name}"),
            ", ".join(value) if isinstance(value, tuple) else str(value or "unset"),
        )


def _predictor(model: Model) -> Iterator[tuple[_Rule, _Value]]:
    """How it is asked; of what mlbot asks itself one word."""
    asked = model.predict
    yield ("setting", model.name, "predict.run"), asked.run if asked else "mlbot's own way of asking ONNX files"
    for name in ("environment", "format", "tolerance"):
        value = getattr(asked, name) if asked else None
        shown = value.install if isinstance(value, CommandEnvironment) else value
        if asked:
            yield ("setting", model.name, f"predict.{name}"), str(shown or "unset")


def _seeds(asked: SeedRange | None) -> str:
    if asked is None:
        return "unset"
    return str(asked.start) if asked.start == asked.most else f"{asked.start} to {asked.most}"


def _sentence(rule: _Rule, old: _Value | None, new: _Value | None) -> str:
    match old, new:
        case Gate(), Gate():
            return " and ".join(_gate_changes(old, new))
        case Slice(), Slice():
            return " and ".join(_slice_changes(old, new))
        case Metric(), Metric():
            return f"changes how the metric {old.name} is computed or read"
        case str(), str():
            return f"changes {rule[2]} from {old} to {new}"
        case None, _:
            return f"adds the {_named(rule, new)}"
        case _:
            return f"removes the {_named(rule, old)}"


def _named(rule: _Rule, value: _Value | None) -> str:
    return _gate(value) if isinstance(value, Gate) else f"{rule[0]} {rule[2]}"


def _gate(gate: Gate) -> str:
    return f"gate {gate.subject} {gate.bound} {_figure(gate.limit)}"


def _gate_changes(old: Gate, new: Gate) -> Iterator[str]:
    if old.limit != new.limit:
        limits = f"from {_figure(old.limit)} to {_figure(new.limit)}"
        yield f"{_raises(old.limit, new.limit)} the limit of {old.subject} {old.bound} {limits}"
    if old.blocking != new.blocking:
        yield f"makes the {_gate(new)} {'block' if new.blocking else 'only inform, no longer block'}"
    if old.confident != new.confident:
        yield f"judges the {_gate(new)} by {'its confidence bound' if new.confident else 'the point estimate'}"


def _slice_changes(old: Slice, new: Slice) -> Iterator[str]:
    if old.where != new.where:
        yield f"changes the condition of the slice {old.name}"
    if old.min_rows != new.min_rows:
        rows = f"from {old.min_rows} to {new.min_rows}"
        yield f"{_raises(old.min_rows, new.min_rows)} min_rows of the slice {old.name} {rows}"


def _raises(old: float, new: float) -> str:
    return "raises" if new > old else "lowers"


def _figure(value: float) -> str:
    """A number as somebody would write it: every digit, no `.0`."""
    return repr(value).removesuffix(".0")
