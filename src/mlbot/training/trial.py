"""A trial: a training with parameters that nobody committed."""

import math
from collections.abc import Collection, Sequence

from pydantic import RootModel

from mlbot.config.errors import nearest, one_of
from mlbot.errors import UsageError
from mlbot.lib.record import Digest, Params, Scalar, canonical, digest, resolve
from mlbot.lib.untrusted_json import HostileJsonError, read

_KEY_FORM = "mlbot/trial-key@1"


def trial_key(key: Digest, overrides: Params) -> Digest:
    """The content key of a model with other parameters than the committed ones.

    No commit has it, so neither a verdict nor a cached file of a trial is taken for a commit's.
    """
    if not overrides:
        return key
    facts = {"form": _KEY_FORM, "key": key, "overrides": overrides}
    return digest(canonical(facts))


class _Overrides(RootModel[Params]):
    """Parameters by name."""


def read_overrides(written: Sequence[str], as_json: str | None, committed: Params) -> Params:
    """What a training's command line changes of the committed parameters.

    Each is `name=value`, and a value means what it means in the committed file; `as_json` is a JSON object.
    """
    overrides: Params = {}
    if as_json:
        try:
            overrides = dict(read(as_json.encode(), _Overrides, "--overrides").root)
        except HostileJsonError as error:
            raise UsageError(error.what, hint="Write it as --overrides '{\"max_depth\": 5}'") from error
    for each in written:
        name, sign, text = each.partition("=")
        if not sign:
            raise UsageError(f"--param {each!r} is no name=value", hint="Write it as --param max_depth=5")
        _check_name(name, committed)
        value = _meant(text, committed[name])
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"--param {each!r} is no finite number", hint="Write one, or null for none.")
        overrides[name] = value
    return overrides


def _check_name(name: str, committed: Collection[str]) -> None:
    if name in committed:
        return
    close = nearest(name, committed)
    hint = f"Did you mean {close}?" if close else f"The parameters are {one_of(committed)}." if committed else ""
    raise UsageError(f"the committed parameters have no {name!r}", hint=hint)


def _meant(text: str, committed: Scalar) -> Scalar:
    """What a text means where such a value stood: `1` is a number in place of 0.5, and text in place of text."""
    if isinstance(committed, str):
        return text
    value = resolve(text)
    if isinstance(committed, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value
