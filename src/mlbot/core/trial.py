"""A trial: a training with parameters that nobody committed."""

import json

from mlbot.core.record import Digest
from mlbot.core.training import Params
from mlbot.core.tree import digest

_KEY_FORM = "mlbot/trial-key@1"


def trial_key(key: Digest, overrides: Params) -> Digest:
    """The content key of a model with other parameters than the committed ones.

    Args:
        key: The content key of what is committed.
        overrides: The parameters that differ; none: it is no trial.

    Returns:
        A key that no commit has, so that neither a verdict nor a cached file of a trial is taken for a commit's.
    """
    if not overrides:
        return key
    facts = {"form": _KEY_FORM, "key": key, "overrides": overrides}
    return digest(json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True))
