"""All routes."""

from collections.abc import Mapping

from tests.fake_github.messages import Route
from tests.fake_github.routes import actions, commits, deployments, git_data, issues, pulls, releases, repositories


def routes() -> Mapping[str, Route]:
    """Routes by the operation they answer."""
    rooms = (repositories, issues, pulls, commits, git_data, actions, deployments, releases)
    return {one.key: one for room in rooms for one in room.ROUTES}
