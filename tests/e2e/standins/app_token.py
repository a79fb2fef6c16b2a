"""actions/create-github-app-token: the token that the harness made for this app."""

from tests.e2e.standins.common import fail, given, output, settings


def main() -> None:
    """Act."""
    if not given("private-key") or not (given("app-id") or given("client-id")):
        fail("Input required and not supplied: private-key, and app-id or client-id")
    output(token=settings()["app"], installation_id="1", app_slug="mlbot-app")
