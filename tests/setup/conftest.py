"""What the tests of the set-up have in common."""

import re

import pytest

from mlbot.setup import workflows


@pytest.fixture(autouse=True)
def without_the_judges_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge's workflow as it will be: a group's name can be guessed."""
    found = workflows.sources()
    found["judge"] = re.sub(r"^concurrency:\n(?: .*\n)+", "", found["judge"], flags=re.MULTILINE)
    monkeypatch.setattr(workflows, "sources", lambda: found)
