#!/usr/bin/env bash
# Install mlbot from the checkout that this action is part of, and put it on the PATH of the steps that follow.
set -euo pipefail

source=$(cd "$GITHUB_ACTION_PATH/../.." && pwd)
lock="$source/requirements/${EXTRAS:-bot}.txt"
environment="$RUNNER_TEMP/mlbot"

if [[ ! -f "$lock" ]]; then
  echo "::error::mlbot has no extra '$EXTRAS'; write 'ml' or 'deploy', or leave it out."
  exit 2
fi
options=(--quiet --disable-pip-version-check --no-input)
if [[ -n "$WHEELS" ]]; then
  options+=(--no-index --find-links "$WHEELS")
fi
# A job that only talks to GitHub needs no pip of its own; one that trains does, for what the training needs.
if [[ -n "$EXTRAS" ]]; then
  python3 -m venv "$environment"
else
  python3 -m venv --without-pip "$environment"
fi
install=(python3 -m pip --python "$environment/bin/python" install "${options[@]}")
"${install[@]}" --require-hashes --requirement "$lock"
"${install[@]}" --no-deps --no-build-isolation "$source"
echo "$environment/bin" >> "$GITHUB_PATH"
"$environment/bin/mlbot" --version
