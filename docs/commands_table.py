"""Write the tables of docs/commands.md anew from mlbot's own table of commands: `python docs/commands_table.py`."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from mlbot.commands.table import COMMANDS, FORMS, CommandSpec

PAGE = Path(__file__).with_name("commands.md")
_PART = re.compile(r"(?P<begin><!-- (?P<name>[a-z]+) of the table -->\n).*?(?P<end><!-- end -->)", re.DOTALL)


def rewritten(page: str) -> str:
    """The page with each part between `<!-- NAME of the table -->` and `<!-- end -->` as the table has it now."""
    return _PART.sub(lambda part: f"{part['begin']}\n{_PARTS[part['name']]()}\n\n{part['end']}", page)


def _overview() -> str:
    rows = (
        f"| [`/{spec.name}`](#{spec.name.replace(' ', '-')}) | {_who(spec)} | {_where(spec)} | {spec.summary} |"
        for spec in COMMANDS
    )
    return "\n".join(("| command | who | where | what it does |", "|:--|:--|:--|:--|", *rows))


def _who(spec: CommandSpec) -> str:
    return "anyone" if spec.who == "none" else spec.who


def _where(spec: CommandSpec) -> str:
    return ", ".join(spec.where)


def _each() -> str:
    return "\n\n".join("\n".join(_command(spec)) for spec in COMMANDS)


def _command(spec: CommandSpec) -> Iterator[str]:
    yield f"### `/{spec.name}`\n\n```text\n{spec.usage}\n```\n\n{spec.summary} {spec.detail}"
    if spec.arguments:
        yield "\n" + "\n".join(f"- `{each.form}`: {FORMS[each.form]}" for each in spec.arguments)
    if " " in spec.example.removeprefix(f"/{spec.name}"):
        yield f"\nFor example `{spec.example}`."
    if spec.aliases:
        yield f"\nThe same as {', '.join(f'`/{alias}`' for alias in spec.aliases)}."


_PARTS: Mapping[str, Callable[[], str]] = MappingProxyType({"overview": _overview, "commands": _each})

if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
