"""The git command: what commits hold, the working tree as a commit, worktrees that leave nothing behind."""

from mlbot.git.commits import three_commits
from mlbot.git.repository import Branch, Repository
from mlbot.git.snapshot import Snapshot

__all__ = ["Branch", "Repository", "Snapshot", "three_commits"]
