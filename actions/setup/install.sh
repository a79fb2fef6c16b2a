#!/usr/bin/env bash
# Install mlbot from the checkout that this action is part of, and put it on the PATH of the steps that follow.
set -euo pipefail

source=$(cd "$GITHUB_ACTION_PATH/../.." && pwd)
lock="$source/requirements/${EXTRAS:-bot}.txt"
environment="$RUNNER_TEMP/mlbot"

if [[ ! -f "$lock" ]]; then
  echo "::error::mlbot has no extra '$EXTRAS'; write 'ml', or leave it out."
  exit 2
fi
options=(--quiet --disable-pip-version-check --no-input)
if [[ -n "$WHEELS" ]]; then
  options+=(--no-index --find-links "$WHEELS")
fi
python3 -m venv "$environment"
"$environment/bin/pip" install "${options[@]}" --require-hashes --requirement "$lock"
"$environment/bin/pip" install "${options[@]}" --no-deps --no-build-isolation "$source"
echo "$environment/bin" >> "$GITHUB_PATH"
"$environment/bin/mlbot" --version
