"""GTO reads the tags that mlbot makes, and says the same."""

import subprocess
from pathlib import Path

import pytest
from tests.support import gto_peer, history_samples
from tests.support.gto_peer import ours, theirs
from tests.support.history_samples import MODEL, Story
from tests.support.pythons import NotInstalledError

from mlbot.git.tags import read_tags
from mlbot.lib.version import Version
from mlbot.registry.tags import Registry, stage_tag, version_tag

LATER = 2_000_000_000
"""After every commit: GTO takes a commit for an event, and a deprecation before it for undone."""
pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900), pytest.mark.usefixtures("git_settings")]


@pytest.fixture(scope="session")
def gto() -> Path:
    try:
        return gto_peer.find_gto()
    except NotInstalledError as error:
        pytest.skip(str(error))


def run(gto: Path, repository: Path, *words: str) -> None:
    command = [str(gto), *words, "--repo", str(repository)]
    subprocess.run(command, check=True, capture_output=True, env=gto_peer.environment())


def tag(story: Story, number: int, name: str, at: int, version: str = "") -> None:
    story.tag(name, story.commits[at], version, LATER + 60 * number)


def fetched(story: Story) -> Path:
    story.clone.git("fetch", "--quiet", "--tags", "origin")
    return story.clone.path


def test_it_agrees_on_what_was_released_and_promoted(gto: Path, tmp_path: Path) -> None:
    path = history_samples.told(tmp_path).clone.path
    assert theirs(gto, path) == ours(path)
    assert ours(path) == {MODEL: ("v1.1.0", {"staging": "v1.1.0", "production": "v1.0.0"})}


def test_it_agrees_on_the_whole_grammar(gto: Path, tmp_path: Path) -> None:
    story = history_samples.empty(tmp_path)
    versions = [Version(major=1, minor=minor, patch=0) for minor in range(3)]
    for number, version in enumerate(versions):
        tag(story, number, version_tag("churn", version), number, version.text)
        tag(story, number, version_tag("price", version, "services/eu"), number, version.text)
    tag(story, 10, f"churn@{versions[2]}!", 2)
    tag(story, 11, stage_tag("churn", "staging", 1), 1, "1.1.0")
    tag(story, 12, stage_tag("churn", "production", 2), 0, "1.0.0")
    tag(story, 13, stage_tag("churn", "staging", 3), 0, "1.0.0")
    tag(story, 14, "churn#production!#4", 0)
    tag(story, 15, stage_tag("price", "staging", 1, "services/eu"), 1, "1.1.0")
    tag(story, 16, version_tag("old", versions[0]), 0, "1.0.0")
    tag(story, 17, "old@deprecated", 0)
    path = fetched(story)
    assert theirs(gto, path) == ours(path)
    assert ours(path) == {
        "churn": ("v1.1.0", {"staging": "v1.0.0"}),
        "services/eu:price": ("v1.2.0", {"staging": "v1.1.0"}),
    }


def test_it_agrees_on_pre_releases(gto: Path, tmp_path: Path) -> None:
    story = history_samples.empty(tmp_path)
    for number, version in enumerate(("1.0.0-rc.2", "1.0.0-rc.10", "1.0.0")):
        tag(story, number, version_tag("churn", Version.parse(version)), number, version)
    tag(story, 10, stage_tag("churn", "staging", 1), 1, "1.0.0-rc.10")
    tag(story, 11, version_tag("early", Version.parse("0.1.0-alpha.1")), 0, "0.1.0-alpha.1")
    path = fetched(story)
    assert theirs(gto, path) == ours(path)
    assert ours(path) == {"churn": ("v1.0.0", {"staging": "v1.0.0-rc.10"}), "early": ("v0.1.0-alpha.1", {})}


def test_it_passes_over_lightweight_tags_of_versions(gto: Path, tmp_path: Path) -> None:
    story = history_samples.empty(tmp_path)
    tag(story, 1, version_tag("churn", Version.parse("1.0.0")), 0, "1.0.0")
    subprocess.run(["git", "tag", "churn@v1.1.0", story.commits[1]], cwd=story.origin, check=True)
    path = fetched(story)
    assert (theirs(gto, path)["churn"][0], ours(path)["churn"][0]) == ("v1.0.0", "v1.1.0")


def test_it_passes_over_what_is_wider_here(gto: Path, tmp_path: Path) -> None:
    story = history_samples.empty(tmp_path)
    tag(story, 1, version_tag("churn", Version(major=1, minor=0, patch=0)), 0, "1.0.0")
    tag(story, 2, version_tag("churn.v2", Version(major=1, minor=0, patch=0)), 0, "1.0.0")
    path = fetched(story)
    assert set(ours(path)) - set(theirs(gto, path)) == {"churn.v2"}


def test_one_dated_in_the_future_wins_there_and_not_here(gto: Path, tmp_path: Path) -> None:
    story = history_samples.empty(tmp_path)
    for number, version in enumerate(("1.0.0", "1.1.0")):
        tag(story, number, version_tag("churn", Version.parse(version)), number, version)
    story.tag(stage_tag("churn", "production", 1), story.commits[0], "1.0.0", LATER + 10**8)
    tag(story, 5, stage_tag("churn", "production", 2), 1, "1.1.0")
    path = fetched(story)
    assert theirs(gto, path)["churn"][1] == {"production": "v1.0.0"}
    assert ours(path)["churn"][1] == {"production": "v1.1.0"}


def test_what_it_makes_is_read_here(gto: Path, tmp_path: Path) -> None:
    clone = history_samples.empty(tmp_path).clone
    for words in (
        ("register", "churn", "HEAD~1", "--version", "v1.0.0"),
        ("register", "churn", "HEAD", "--bump-minor"),
        ("assign", "churn", "HEAD~1", "--stage", "production"),
        ("assign", "churn", "HEAD", "--stage", "staging"),
        ("assign", "churn", "HEAD~1", "--stage", "dev"),
        ("deprecate", "churn", "v1.0.0", "dev"),
    ):
        run(gto, clone.path, *words)
    assert ours(clone.path) == theirs(gto, clone.path)
    assert Registry.of(read_tags(clone.path)).quarantined == ()
    assert ours(clone.path) == {"churn": ("v1.1.0", {"production": "v1.0.0", "staging": "v1.1.0"})}


def test_a_withdrawn_version_stays_shown_here_where_it_is_live(gto: Path, tmp_path: Path) -> None:
    clone = history_samples.empty(tmp_path).clone
    run(gto, clone.path, "register", "churn", "HEAD", "--version", "v1.0.0")
    run(gto, clone.path, "assign", "churn", "HEAD", "--stage", "production")
    run(gto, clone.path, "deprecate", "churn", "v1.0.0")
    assert ours(clone.path) == {"churn": (None, {"production": "v1.0.0"})}
    assert theirs(gto, clone.path)["churn"] == (None, {})


def test_one_bad_tag_breaks_all_there_and_one_here(gto: Path, tmp_path: Path) -> None:
    story = history_samples.empty(tmp_path)
    tag(story, 1, version_tag("churn", Version(major=1, minor=0, patch=0)), 0, "1.0.0")
    tag(story, 2, version_tag("other", Version(major=1, minor=0, patch=0)), 0)
    tag(story, 3, version_tag("other", Version(major=1, minor=1, patch=0)), 0)
    tag(story, 4, "other#staging#1", 0)
    path = fetched(story)
    done = subprocess.run(
        [str(gto), "show", "--repo", str(path)], capture_output=True, check=False, env=gto_peer.environment()
    )
    assert done.returncode != 0
    registry = Registry.of(read_tags(path))
    assert [each.tag for each in registry.quarantined] == ["other#staging#1"]
    assert ours(path)["churn"] == ("v1.0.0", {})
