"""Write the tables of docs/commands.md anew from mlbot's own table of commands: `python docs/commands_table.py`."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from mlbot.commands.command import Command
from mlbot.commands.parser import COMMANDS
from mlbot.lib.templates import phrase

PAGE = Path(__file__).with_name("commands.md")
_PART = re.compile(r"(?P<begin><!-- (?P<name>[a-z]+) of the table -->\n).*?(?P<end><!-- end -->)", re.DOTALL)


def rewritten(page: str) -> str:
    """The page with each part between `<!-- NAME of the table -->` and `<!-- end -->` as the table has it now."""
    return _PART.sub(lambda part: f"{part['begin']}\n{_PARTS[part['name']]()}\n\n{part['end']}", page)


def _overview() -> str:
    rows = (
        f"| [`/{each.name}`](#{each.name.replace(' ', '-')}) | {', '.join(each.who(None)) or 'anyone'} "
        f"| pull request{', issue' if each.in_issues else ''} | {phrase(each.template, 'summary')} |"
        for each in COMMANDS
    )
    return "\n".join(("| command | who | where | what it does |", "|:--|:--|:--|:--|", *rows))


def _each() -> str:
    return "\n\n".join("\n".join(_command(each)) for each in COMMANDS)


def _command(command: type[Command]) -> Iterator[str]:
    words = " ".join(phrase(command.template, part) for part in ("summary", "detail"))
    yield f"### `/{command.name}`\n\n```text\n{command.usage()}\n```\n\n{words}"
    if command.arguments:
        yield "\n" + "\n".join(f"- `{form.usage.removesuffix('…')}`: {form.help}" for form in command.arguments)
    if " " in command.example.removeprefix(f"/{command.name}"):
        yield f"\nFor example `{command.example}`."
    if command.aliases:
        yield f"\nThe same as {', '.join(f'`/{alias}`' for alias in command.aliases)}."


_PARTS: Mapping[str, Callable[[], str]] = MappingProxyType({"overview": _overview, "commands": _each})

if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
