"""The command `cml`, as far as `cml comment` goes: what CML 0.20.6 accepts, taken from its source and tried with it.

Its options are those of `bin/cml.js` and `bin/cml/comment/create.js`, which yargs holds to strictly; its targets those
of `src/commenttarget.js`. In place of posting it writes down what it was given. With `FAIL` in the text it fails.
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path

VERSION = "0.20.6"
TARGETS = r"(?i:auto|pr|commit)|(?i:pr|commit|issue)/.+"


def parser() -> argparse.ArgumentParser:
    """`cml comment create|update <markdown file>`."""
    made = argparse.ArgumentParser(prog="cml", allow_abbrev=False)
    made.add_argument("command", choices=["comment"])
    made.add_argument("verb", choices=["create", "update"])
    made.add_argument("file", type=Path)
    for flag in ("watch", "publish", "publish-native", "native", "pr", "update", "rm-watermark"):
        made.add_argument(f"--{flag}", action=argparse.BooleanOptionalAction)
    for option in (
        "target",
        "watermark-title",
        "commit-sha",
        "head-sha",
        "trigger-file",
        "publish-url",
        "log",
        "driver",
    ):
        made.add_argument(f"--{option}")
    for option in ("repo", "driver-token", "token"):
        made.add_argument(f"--{option}")
    return made


def main(arguments: list[str], out: Path) -> None:
    """Check what is given as CML does, and write it down as JSON."""
    if "--" in arguments:
        sys.exit("Not enough non-option arguments: got 0, need at least 1")
    given = parser().parse_args(arguments)
    if given.target is not None and not re.fullmatch(TARGETS, given.target):
        sys.exit(f'Failed to parse comment --target="{given.target}"')
    if given.target is not None and (given.pr or given.commit_sha or given.head_sha):
        sys.exit("Arguments target and pr are mutually exclusive")
    if given.rm_watermark and (given.watermark_title or given.verb == "update"):
        sys.exit("watermarks are mandatory for updatable comments")
    text = given.file.read_text(encoding="utf-8")
    images = re.findall(r"!\[[^]]*\]\(([^):]+)\)", text)
    record = {
        "arguments": arguments,
        "text": text,
        "missing": [path for path in images if not (given.file.parent / path).is_file()],
        "telemetry": not os.environ.get("ITERATIVE_DO_NOT_TRACK"),
    }
    out.write_text(json.dumps(record), encoding="utf-8")
    if "FAIL" in text:
        sys.exit(3)
