"""Every test here may run workflows."""

from tests.e2e.fixtures import actions, github, mlbot_source

__all__ = ["actions", "github", "mlbot_source"]
