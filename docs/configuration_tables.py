"""Write the tables of docs/configuration.md anew from config/: `python docs/configuration_tables.py`."""

import re
from collections.abc import Iterator
from pathlib import Path

from mlbot.config import actions, cost, data, gates, monitor, predict, schema, train
from mlbot.config.kinds import Setting, settings_of, words_of
from mlbot.gates.metric import CATALOGUE, Task

_ROOMS = (schema, train, predict, data, gates, monitor, cost, actions)
PAGE = Path(__file__).with_name("configuration.md")
_PART = re.compile(
    r"(?P<begin><!-- (?P<what>settings|metrics)(?P<names>[\w. ]*) -->\n).*?(?P<end><!-- end -->)", re.DOTALL
)


def rewritten(page: str) -> str:
    """The page with what is between `<!-- settings SECTION key.SECTION … -->` and `<!-- end -->` as the code has it."""

    def table(part: re.Match[str]) -> str:
        rows = _metrics() if part["what"] == "metrics" else _settings(part["names"].split())
        return f"{part['begin']}\n{chr(10).join(rows)}\n\n{part['end']}"

    return _PART.sub(table, page)


def _settings(names: list[str]) -> Iterator[str]:
    yield "| setting | means | left out |"
    yield "|---|---|---|"
    for name in names:
        prefix, _, section = name.rpartition(".")
        found = next(getattr(room, section) for room in _ROOMS if hasattr(room, section))
        words = words_of(found)
        for key, setting in settings_of(found).items():
            means, _, left_out = words[setting.field].partition(" Left out: ")
            path = f"{prefix}.{key}" if prefix else key
            yield f"| `{path}` | {means.removesuffix('.')} | {left_out.removesuffix('.') or _default(setting)} |"


def _default(setting: Setting) -> str:
    match setting.default:
        case bool():
            return str(setting.default).lower()
        case str():
            return f"`{setting.default}`"
        case None:
            return "must be there"
        case number:
            return str(number)


def _metrics() -> Iterator[str]:
    yield "| task | metrics |"
    yield "|---|---|"
    for task in Task:
        yield f"| `{task}` | {' '.join(f'`{metric.name}`' for metric in CATALOGUE.values() if task in metric.tasks)} |"


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
