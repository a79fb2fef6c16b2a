"""Give the inputs of an ONNX graph the names of the data's columns, which a converter spells its own way."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx


def name_inputs(model: "onnx.ModelProto", names: Sequence[str]) -> None:
    """Rename the inputs in place, by position; any other value that has one of these names makes way.

    Args:
        model: A valid model with as many inputs as names.
        names: Distinct names, of any letters.
    """
    old = [value.name for value in model.graph.input]
    mapping = {name: new for name, new in zip(old, names, strict=True) if name != new}
    wanted = set(names)
    taken = wanted | set(_values(model.graph))
    for name in dict.fromkeys(_values(model.graph)):
        if name in wanted and name not in old:
            mapping[name] = _free(name, taken)
            taken.add(mapping[name])
    if mapping:
        _rename(model.graph, mapping)


def _free(name: str, taken: set[str]) -> str:
    number = 1
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"


def _values(graph: "onnx.GraphProto") -> Iterator[str]:
    """The names of all values in the graph and the graphs inside it."""
    for value in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        yield value.name
    for node in graph.node:
        yield from (name for name in (*node.input, *node.output) if name)
        for inner in _inner(node):
            yield from _values(inner)


def _inner(node: Any) -> "Iterator[onnx.GraphProto]":
    return (attribute.g for attribute in node.attribute if attribute.HasField("g"))


def _rename(graph: "onnx.GraphProto", mapping: Mapping[str, str]) -> None:
    for value in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        value.name = mapping.get(value.name, value.name)
    for node in graph.node:
        for ends in (node.input, node.output):
            ends[:] = [mapping.get(name, name) for name in ends]
        for inner in _inner(node):
            _rename(inner, mapping)
