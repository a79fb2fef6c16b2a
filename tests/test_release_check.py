"""A tag is released only where version, changelog, documents and pins say what it says."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import release_check
from mlbot import __version__

ROOT = Path(__file__).parents[1]
SHA = "0123456789abcdef0123456789abcdef01234567"
GOOD = {
    "src/mlbot/__init__.py": '"""Package."""\n\n__version__ = "1.2.3"\n',
    "src/mlbot/lib/constants.py": 'ACTIONS_REF = "v1"\n',
    "CHANGELOG.md": "# Changelog\n\n## [1.2.3] - 2026-11-30\n\n- A line.\n\n## [1.2.2] - 2026-11-01\n\n- Old.\n",
    "SECURITY.md": "| version | fixes |\n|---|---|\n| 1.x | yes |\n",
    "README.md": "pip install 'mlbot-ci[ml]==1.2.3'\n",
    "docs/a.md": f"uses: mlbot-ci/mlbot/actions/setup@v1\nuses: mlbot-ci/mlbot/actions/setup@{SHA} # v1.2.3\n",
    "templates/init.yml.j2": "uses: mlbot-ci/mlbot/.github/workflows/train.yml@{{ ref }}\n",
    "tests/old.yml": "uses: mlbot-ci/mlbot/actions/setup@v0 # a fixture of long ago\n",
}


def checkout(folder: Path, changed: Mapping[str, str] = {}) -> Path:
    """A git repository with the good files, some of them changed."""
    for path, text in {**GOOD, **changed}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    return folder


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def test_what_this_project_says_agrees() -> None:
    assert release_check.faults(f"v{__version__}", ROOT, draft=True) == []


def test_a_tag_that_everything_agrees_with_is_released_with_its_notes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, notes = checkout(tmp_path / "root"), tmp_path / "notes.md"
    assert release_check.main(["v1.2.3", "--notes", str(notes)], root) == 0
    assert (capsys.readouterr().out, notes.read_text()) == ("v1.2.3 may be released.\n", "- A line.\n")


HEAD = "## [1.2.3] - 2026-11-30\n\n"
REFUSALS = [
    ("src/mlbot/__init__.py", "x = 1\n", "src/mlbot/__init__.py says no version, the tag says 1.2.3"),
    ("CHANGELOG.md", "## [Unreleased]\n\n- x\n", "CHANGELOG.md: the first section is none; write `## [1.2.3] - ` and"),
    (
        "CHANGELOG.md",
        f"## [1.3.0] - unreleased\n\n- x\n\n{HEAD}- y\n",
        "the first section is `## [1.3.0] - unreleased`",
    ),
    ("CHANGELOG.md", "## [1.2.3] - unreleased\n\n- x\n", "`## [1.2.3] - unreleased` has no day; write it as 20"),
    ("CHANGELOG.md", "## [1.2.3] - 2026-02-30\n\n- x\n", "`## [1.2.3] - 2026-02-30` has no day"),
    ("CHANGELOG.md", f"{HEAD}## [1.2.2] - 2026-11-01\n\n- Old\n", "CHANGELOG.md: the section 1.2.3 is empty"),
    ("SECURITY.md", "| 0.x | yes |\n", "SECURITY.md: no row `| 1.x |`"),
    ("README.md", "pip install mlbot-ci==1.2.2.\n", "README.md: `mlbot-ci==1.2.2` is not version 1.2.3."),
    ("docs/a.md", "uses: mlbot-ci/mlbot/actions/a@v0\n", "`mlbot-ci/mlbot/actions/a@v0` is not v1 or v1.2.3."),
    ("docs/a.md", "mlbot-ci/mlbot@main", "docs/a.md: `mlbot-ci/mlbot@main` is not v1 or v1.2.3."),
    ("docs/a.md", f"mlbot-ci/mlbot/actions/a@{SHA}\n", "is not v1 or v1.2.3, said behind the commit."),
    (
        "docs/a.md",
        f"mlbot-ci/mlbot/actions/a@{SHA} # v1.2.2\n",
        "# v1.2.2` is not v1 or v1.2.3, said behind the commit.",
    ),
    ("src/mlbot/lib/constants.py", 'ACTIONS_REF = "v2"\n', '`ACTIONS_REF = "v2"` is not v1 or v1.2.3.'),
]


@pytest.mark.parametrize(("path", "text", "sentence"), REFUSALS, ids=range(len(REFUSALS)))
def test_what_disagrees_is_said_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str, text: str, sentence: str
) -> None:
    root, notes = checkout(tmp_path / "root", {path: text}), tmp_path / "notes.md"
    assert release_check.main(["v1.2.3", "--notes", str(notes)], root) == 1
    (said,) = capsys.readouterr().out.splitlines()
    assert sentence in said
    assert not notes.exists()


@pytest.mark.parametrize("tag", ["1.2.3", "v1", "v1.2", "v1.2.3-rc.1", "v01.2.3", "v1.2.3.dev1", "--draft"])
def test_what_is_no_release_is_refused(tmp_path: Path, tag: str) -> None:
    (fault,) = release_check.faults(tag, checkout(tmp_path))
    assert fault == f"`{tag}` names no release: write v and three numbers, as v1.2.3, or v1.2.3rc1 for a candidate."


@pytest.mark.parametrize("tag", ["v1.2.4", "v1.2.3rc1", "v2.0.0"])
def test_another_version_than_the_projects_is_refused(tmp_path: Path, tag: str) -> None:
    assert any("the tag says" in fault for fault in release_check.faults(tag, checkout(tmp_path)))


def test_a_draft_may_have_no_day(tmp_path: Path) -> None:
    root = checkout(tmp_path, {"CHANGELOG.md": "## [1.2.3] - unreleased\n\n- x\n"})
    assert release_check.faults("v1.2.3", root, draft=True) == []


@pytest.mark.usefixtures("git_settings")
def test_only_what_is_on_the_branch_and_checked_out_is_released(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    git(root, "commit", "--quiet", "--message", "one")
    git(root, "tag", "--annotate", "--message", "v1.2.3", "v1.2.3")
    assert release_check.history("v1.2.3", "main", root) == []
    assert release_check.history("v1.2.4", "main", root) == ["The tag v1.2.4 is not the commit that is checked out."]
    git(root, "switch", "--quiet", "--create", "side")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "two")
    tag, branch = release_check.history("v1.2.3", "main", root)
    assert tag == "The tag v1.2.3 is not the commit that is checked out."
    assert branch == "The commit of v1.2.3 is not on main: merge it first, then tag what was merged."
    assert release_check.history("v1.2.3", "no-such-branch", root)[-1].startswith("The commit of v1.2.3 is not on no-")


@pytest.mark.parametrize(
    ("tag", "others", "kind", "moving"),
    [
        ("v1.0.0rc1", "", "--prerelease", ""),
        ("v1.0.0", "v1.0.0rc1", "--latest=true", "v1"),
        ("v1.10.0", "v1 v1.9.0 v1.11.0rc1 nightly", "--latest=true", "v1"),
        ("v1.9.1", "v1.10.0", "--latest=false", ""),
        ("v1.9.1", "v1.9.0 v2.0.0 v2.0.1", "--latest=false", "v1"),
    ],
)
def test_the_moving_tag_goes_to_the_newest_release_of_its_major_version_and_never_back(
    tag: str, others: str, kind: str, moving: str
) -> None:
    assert release_check.outputs(tag, others.split(), "c0ffee") == {"commit": "c0ffee", "kind": kind, "moving": moving}


def test_it_needs_no_package() -> None:
    command = [sys.executable, "-I", "-S", str(ROOT / "tools/release_check.py"), f"v{__version__}", "--draft"]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout == f"v{__version__} may be released.\n"
