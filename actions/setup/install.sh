#!/usr/bin/env bash
# Install mlbot from the checkout that this action is part of, and say where its program is.
# The folder that the job works in may be a stranger's: no file of it is run, and none of its settings is read. So Python
# is isolated (-I: no PYTHON* variable, no folder of the user, no working folder) and started in a folder of the machine's.
set -euo pipefail

source=$(cd "$GITHUB_ACTION_PATH/../.." && pwd -P)
lock="$source/requirements/${EXTRAS:-bot}.txt"
environment="$RUNNER_TEMP/mlbot"

if [[ ! -f "$lock" ]]; then
  echo "::error::mlbot has no extra '$EXTRAS'; write 'ml' or 'deploy', or leave it out."
  exit 2
fi
options=(--quiet --disable-pip-version-check --no-input)
if [[ -n "$WHEELS" ]]; then
  options+=(--no-index --find-links "$(cd "$WHEELS" && pwd -P)")
fi
# pip in isolation reads no variable, so what a runner needs of them is passed on; hashes say what may be installed.
for pair in index-url=PIP_INDEX_URL extra-index-url=PIP_EXTRA_INDEX_URL trusted-host=PIP_TRUSTED_HOST proxy=PIP_PROXY cert=PIP_CERT; do
  variable=${pair#*=}
  for value in ${!variable:-}; do
    options+=("--${pair%%=*}" "$value")
  done
done
# pip reads this one in isolation too, and a relative path is one of the working folder.
[[ "${PIP_CONFIG_FILE:-}" == /* && "$PIP_CONFIG_FILE" != "${GITHUB_WORKSPACE:-$PWD}"/* ]] || unset PIP_CONFIG_FILE
unset "${!PYTHON@}"
cd / # so that no part of PATH leads into the checkout either
python=$(command -v python3)
if ! "$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "::error::mlbot needs Python 3.11 or newer; this runner has $("$python" -I --version). Add actions/setup-python before it."
  exit 2
fi
# A job that only talks to GitHub needs no pip of its own; one that trains does, for what the training needs.
if [[ -n "$EXTRAS" ]]; then
  "$python" -I -m venv "$environment"
else
  "$python" -I -m venv --without-pip "$environment"
fi
"$python" -I -m pip --isolated --python "$environment/bin/python" install "${options[@]}" --require-hashes --requirement "$lock"
for packages in "$environment"/lib/python*/site-packages; do
  echo "$source/src" > "$packages/mlbot.pth"
done
cat > "$environment/bin/mlbot" <<'END'
#!/bin/sh
exec "${0%/*}/python" -I -c 'from mlbot.entry import main; main()' "$@"
END
chmod +x "$environment/bin/mlbot"
echo "mlbot=$environment/bin/mlbot" >> "$GITHUB_OUTPUT"
if [[ "$ON_PATH" == true ]]; then
  echo "$environment/bin" >> "$GITHUB_PATH"
fi
"$environment/bin/mlbot" --version
