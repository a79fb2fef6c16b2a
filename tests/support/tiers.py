"""How much a run tests: `make test` little of many things, `make test-nightly` (MLBOT_TESTS=nightly) all of it."""

import os
from typing import Final

NIGHTLY: Final = os.environ.get("MLBOT_TESTS") == "nightly"
SHARE: Final = 1 if NIGHTLY else 10


def examples(nightly: int) -> int:
    """How many examples hypothesis draws: a tenth of the nightly number, except at night."""
    return max(nightly // SHARE, 5)
