#!/usr/bin/env bash
# Install sets of mlbot's packages from the checkout that this action is part of, and say where its program is:
#   install.sh [SET…]        sets: bot (where none is named), train, judge, charts, metrics, deploy, http, s3, gcs, azure, hf
# The same environment serves every call of a job, so a later one adds a set: `install.sh` and, once there is something to
# judge, `install.sh judge`. `train` has less than the bot needs; all the others have what the bot needs too.
#
# The folder that the job works in may be a stranger's: no file of it is run, and none of its settings is read. So Python
# is isolated (-I: no PYTHON* variable, no folder of the user, no working folder), uv reads no configuration, and both
# start in a folder of the machine's. The program's place is an output and never on the PATH: a training's own pip and
# Python cannot reach it.
set -euo pipefail

refuse() {
  echo "::error::$1"
  exit 2
}

readonly source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
readonly folder="$RUNNER_TEMP/mlbot" uv_folder="$RUNNER_TEMP/mlbot-uv"
read -ra sets <<< "${*:-${EXTRAS:-}}"
sets=("${sets[@]:-bot}")

# Where it cannot run is said before anything is fetched.
[[ "${RUNNER_OS:-}" != Windows ]] || refuse "mlbot runs on Linux and macOS; on Windows use WSL."
case "${GITHUB_SERVER_URL:-https://github.com}" in
  https://github.com | https://*.ghe.com) ;;
  http://127.0.0.1:* | http://localhost:*) ;; # a runner on this machine for tests, such as act
  *) refuse "mlbot needs github.com or GHE.com. GitHub Enterprise Server cannot take the artifacts of actions/upload-artifact v4 and newer, and cannot call github.com's reusable workflows." ;;
esac
if [[ "${RUNNER_OS:-}/${RUNNER_ARCH:-}" == macOS/X64 && "${sets[*]}" != train ]]; then
  refuse "mlbot has no packages for Macs with an Intel processor; name a runner with Apple silicon or Linux."
fi
locks=()
for each in "${sets[@]}"; do
  [[ "$each" =~ ^[a-z0-9]+$ && -f "$source/requirements/$each.txt" ]] ||
    refuse "mlbot has no set '$each'; write bot, train, judge, charts, metrics, deploy, http, s3, gcs, azure or hf."
  locks+=(--requirement "$source/requirements/$each.txt")
done

# What a runner needs to reach packages: pip in isolation and uv without configuration read no setting, so they are given
# it. Whatever answers, hashes say what may be installed.
certificates=${PIP_CERT:-${REQUESTS_CA_BUNDLE:-${SSL_CERT_FILE:-}}}
proxy=${PIP_PROXY:-${HTTPS_PROXY:-${https_proxy:-}}}
pip_options=(--quiet --disable-pip-version-check --no-input)
uv_options=(--quiet --index-strategy unsafe-best-match)
if [[ -n "${WHEELS:-}" ]]; then
  wheels=$(cd "$WHEELS" && pwd -P)
  pip_options+=(--no-index --find-links "$wheels")
  uv_options+=(--no-index --find-links "$wheels")
fi
index=${INDEX:-${PIP_INDEX_URL:-${UV_DEFAULT_INDEX:-}}}
if [[ -n "$index" ]]; then
  pip_options+=(--index-url "$index")
  uv_options+=(--default-index "$index")
fi
for each in ${PIP_EXTRA_INDEX_URL:-}; do
  pip_options+=(--extra-index-url "$each")
  uv_options+=(--index "$each")
done
for each in ${PIP_TRUSTED_HOST:-}; do
  pip_options+=(--trusted-host "$each")
  uv_options+=(--allow-insecure-host "$each")
done
if [[ -n "$proxy" ]]; then
  pip_options+=(--proxy "$proxy")
fi
if [[ "$certificates" == /* ]]; then
  pip_options+=(--cert "$certificates")
else
  certificates=""
fi
# pip reads this one in isolation too, and a relative path is one of the working folder.
[[ "${PIP_CONFIG_FILE:-}" == /* && "$PIP_CONFIG_FILE" != "${GITHUB_WORKSPACE:-$PWD}"/* ]] || unset PIP_CONFIG_FILE
unset "${!PYTHON@}" "${!UV_@}" VIRTUAL_ENV CONDA_PREFIX SSL_CERT_FILE
export UV_NO_CONFIG=1 UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=true
# A cache that only this job writes, unless the workflow names one: a training's cache would be a stranger's.
export UV_CACHE_DIR="${CACHE:-$RUNNER_TEMP/mlbot-cache}"
[[ -z "$proxy" ]] || export HTTPS_PROXY="$proxy"
[[ -z "$certificates" ]] || export SSL_CERT_FILE="$certificates"
cd / # so that no part of PATH leads into the checkout either

# The first Python that can carry mlbot: the one on the PATH may be a training's, of any version.
find_python() {
  local each found
  local known=("${RUNNER_TOOL_CACHE:-/nowhere}"/Python/3.1[1-9].*/*/bin/python3)
  for each in python3 python3.14 python3.13 python3.12 python3.11 python /usr/bin/python3 "${known[@]}"; do
    found=$(command -v "$each") || continue
    if "$found" -I -c 'import sys; assert sys.version_info >= (3, 11); import pip, venv' 2> /dev/null; then
      echo "$found"
      return
    fi
  done
  return 1
}

if ! python=$(find_python); then
  found=$(command -v python3) && found=$("$found" -I --version 2>&1) || found="no Python"
  refuse "mlbot needs Python 3.11 or newer with pip; this runner has $found. Add actions/setup-python before it."
fi
pip=("$python" -I -m pip --isolated --python)
if [[ ! -x "$folder/bin/mlbot" ]]; then
  "$python" -I -m venv --without-pip "$uv_folder"
  "${pip[@]}" "$uv_folder/bin/python" install "${pip_options[@]}" --require-hashes \
    --requirement "$source/requirements/uv.txt"
  "$uv_folder/bin/uv" venv --quiet --no-project --python "$python" "$folder"
  for packages in "$folder"/lib/python*/site-packages; do
    echo "$source/src" > "$packages/mlbot.pth"
  done
fi
# A machine's own pip.conf may name the one index that it reaches, which only pip knows.
"$uv_folder/bin/uv" pip install "${uv_options[@]}" --python "$folder/bin/python" --require-hashes "${locks[@]}" ||
  "${pip[@]}" "$folder/bin/python" install "${pip_options[@]}" --require-hashes "${locks[@]}"
cat > "$folder/bin/mlbot" <<'PROGRAM'
#!/bin/sh
exec "${0%/*}/python" -I -c 'from mlbot.entry import main; main()' "$@"
PROGRAM
chmod +x "$folder/bin/mlbot"
[[ -z "${GITHUB_OUTPUT:-}" ]] || echo "mlbot=$folder/bin/mlbot" >> "$GITHUB_OUTPUT"
"$folder/bin/mlbot" --version
