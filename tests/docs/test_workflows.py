"""docs/workflows.md: its examples are valid, and its table has every job."""

import re
from pathlib import Path
from textwrap import dedent

import pytest
from tests.support.config_texts import SMALL, parse

from mlbot.config.actions import SPEAKER, JudgeAccess, StoreAccess
from mlbot.setup.wiring import KINDS, Kind
from mlbot.setup.workflows import Form, choose

PAGE = (Path(__file__).parents[2] / "docs" / "workflows.md").read_text(encoding="utf-8")
BLOCKS = [dedent(block) for block in re.findall(r"^ *```yaml\n(.*?)^ *```", PAGE, re.DOTALL | re.MULTILINE)]


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_every_example_is_valid_and_needs_the_jobs_themselves(block: str) -> None:
    config = parse(block if "models:" in block else f"{block}\n{SMALL}")
    assert choose(config).form is Form.INLINE


def test_what_init_says_is_what_it_says() -> None:
    assert choose(parse(f"actions: {{judge: {{}}}}\n{SMALL}")).why in PAGE


def test_the_table_names_every_job_and_environment() -> None:
    table = PAGE.partition("## What each job may reach")[2].partition("**A repository")[0]
    first = " ".join(row.split("|")[1] for row in table.splitlines() if row.startswith("|"))
    for kinds in KINDS.values():
        for name, kind in kinds.items():
            assert kind is Kind.ASK or re.search(rf"\b{name}\b", first), name
    for name in (SPEAKER, JudgeAccess().environment, StoreAccess().environment):
        assert f"`{name}`" in table
