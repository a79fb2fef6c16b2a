"""What the page on the dashboard tells people to type works, in a clone where all of it happened."""

import re
import shutil
from pathlib import Path

import pytest
from tests.support import history_samples
from tests.support.typed import typed

pytestmark = pytest.mark.usefixtures("git_settings")
DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "dashboard.md").read_text(encoding="utf-8")
COMMANDS = [
    line[2:]
    for block in re.findall(r"^```console\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if shutil.which("jq") or " jq " not in line
]
SAYS = {
    "--out site": "1 model of",
    "jq -r": "adult-income v1",
    ".measured[-1]": '"interval": ',
    "--dashboard": "Source: GitHub Actions",
}


def test_every_command(tmp_path: Path) -> None:
    clone = history_samples.told(tmp_path).clone
    for command in COMMANDS:
        done = typed(command, clone.path)
        assert done.returncode in {0, 2 if "init" in command else 0}, f"{command}: {done.stdout}{done.stderr}"
        assert all(said in done.stdout for part, said in SAYS.items() if part in command), done.stdout
    assert (clone.path / "site" / "index.html").is_file()
    assert (clone.path / ".github" / "workflows" / "mlbot-dashboard.yml").is_file()


def test_every_picture_is_there_and_described() -> None:
    shown = re.findall(r'(?:src|srcset)="(images/[^"]+)"', TEXT)
    assert len(shown) == 4
    assert all((DOCS / each).stat().st_size < 210_000 for each in shown)
    assert len(re.findall(r'<img [^>]*alt="[^"]{20,}"', TEXT)) == 3
