"""Actions that do nothing here: caches are always empty."""

from tests.e2e.standins.common import given, output


def main() -> None:
    """Act."""
    output(cache_hit="false", cache_primary_key=given("key"))
