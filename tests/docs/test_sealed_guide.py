"""The page about sealed rows: its config, commands, figures and causes are those of the code."""

import math
import re
from pathlib import Path
from typing import get_args

from mlbot.cli.main import cli
from mlbot.commands.forward import Release
from mlbot.commands.parser import parse_comment
from mlbot.config.actions import SEALED_KEY, SealedAccess
from mlbot.config.schema import parse_config
from mlbot.config.yaml import load
from mlbot.delivery.sealed import SHARED, Cause
from mlbot.stats.power import sealed_rows
from mlbot.stats.sealed import MOST_REFUSED, level_after

PAGE = (Path(__file__).parents[2] / "docs" / "sealed.md").read_text(encoding="utf-8")


def test_the_config_is_one() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    config = parse_config(load(text, "mlbot.yaml"))
    assert config.models[0].data.sealed
    assert config.wired.environments()[SealedAccess().environment] == (SEALED_KEY,)


def test_the_commands_exist() -> None:
    (text,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    (line,) = parse_comment(text)
    assert isinstance(line.command, Release)
    assert line.command.waive_sealed == "The rows are of last year; the new ones come in March."
    assert parse_comment(line.command.text)[0].command == line.command
    options = {name for parameter in cli.commands["release"].params for name in parameter.opts}
    assert "--waive-sealed" in options
    assert set(re.findall(r"`mlbot ([a-z]+)", PAGE)) <= cli.commands.keys()


def test_figures_and_causes_are_the_codes() -> None:
    level = level_after(0)
    assert level == 0.025
    for gain, rows in ((0.0, "4,710"), (0.01, "1,178")):
        assert f"{math.ceil(sealed_rows(0.06, 0.01 + gain, level, 0.8)):,}" == rows
        assert rows in PAGE
    table = PAGE.partition("| it was not looked at, because | check |")[2].partition("\n\n")[0]
    assert len([line for line in table.splitlines() if line.startswith("| ")]) == len(get_args(Cause))
    assert (MOST_REFUSED, SHARED) == (10, 0.1)
