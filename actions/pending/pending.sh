#!/usr/bin/env bash
# Set a commit's status pending. It cannot know mlbot.yaml, so it asks nothing of what is guarded: the judge ends the status.
# Every value is data: none is part of a command, the token is read by curl from a pipe, and texts are escaped for JSON.
set -euo pipefail

stop() {
  echo "::error::$1"
  exit 2
}

# A text inside of JSON's quotes; control characters become spaces.
quoted() {
  local text=${1//[[:cntrl:]]/ }
  text=${text//\\/\\\\}
  printf '%s' "${text//\"/\\\"}"
}

call() {
  printf 'Authorization: Bearer %s\n' "$TOKEN" |
    curl --silent --show-error --fail --retry 4 --retry-delay 2 --connect-timeout 20 --max-time 60 \
      --header @- --header 'Accept: application/vnd.github+json' --header 'X-GitHub-Api-Version: 2022-11-28' "$@"
}

# Whether the commit has a status of a context. Inside of a text of JSON each quote has a backslash before it.
has() {
  local name
  name=$(quoted "$1")
  grep --quiet --fixed-strings --regexp="\"context\":\"$name\"" --regexp="\"context\": \"$name\"" <<< "$there"
}

SHA=${SHA:-$HEAD_SHA}
TARGET_URL=${TARGET_URL:-$RUN_URL}
repository=${GITHUB_REPOSITORY:-}
api=${GITHUB_API_URL:-https://api.github.com}
[[ "$repository" =~ ^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$ ]] || stop 'GITHUB_REPOSITORY is no repository.'
[[ "$api" =~ ^https?://[A-Za-z0-9.:/_-]+$ ]] || stop 'GITHUB_API_URL is no address.'
[[ "$SHA" =~ ^([0-9a-f]{40}|[0-9a-f]{64})$ ]] || stop 'sha is no commit: give 40 or 64 hexadecimal digits.'
[[ -n "$TOKEN" && ! "$TOKEN" =~ [[:cntrl:][:space:]] ]] || stop 'There is no token.'
[[ -z "$TARGET_URL" || "$TARGET_URL" =~ ^https?://[^[:space:]]+$ ]] || stop 'target-url is no address.'
[[ "$RUN.$ATTEMPT" =~ ^([1-9][0-9]{0,17}\.[1-9][0-9]{0,5})?\.?$ ]] || stop 'The event has no run.'
IFS=$' \t\r\n' read -r -d '' -a contexts <<< "$CONTEXTS" || true
((${#contexts[@]})) || stop 'contexts is empty.'
# A runner's own CA for Python's clients is one for curl too.
export CURL_CA_BUNDLE=${CURL_CA_BUNDLE:-${REQUESTS_CA_BUNDLE:-${SSL_CERT_FILE:-}}}
[[ -n "$CURL_CA_BUNDLE" ]] || unset CURL_CA_BUNDLE

mark=
if [[ "$ONLY_WHERE_NONE" != true && -n "$RUN" ]]; then
  # Who asks for a re-run says so himself; a trial leaves the status alone.
  if [[ "$ATTEMPT" != 1 ]]; then
    echo "Attempt $ATTEMPT leaves the status to the command that asked for it."
    exit 0
  fi
  mark="#mlbot-$RUN.$ATTEMPT" # whose word it is, as in every status of mlbot's
fi
there=
for page in 1 2 3 4 5 6 7 8 9 10; do
  found=$(call "$api/repos/$repository/commits/$SHA/statuses?per_page=100&page=$page")
  there+=$found$'\n'
  [[ "$found" == *'"context"'* ]] || break
done
if [[ -n "$mark" ]] && grep --quiet --fixed-strings --regexp="$mark\"" <<< "$there"; then
  echo 'This attempt has its word already.'
  exit 0
fi

for context in "${contexts[@]}"; do
  # What comes of a push never stands in the way of what came, or comes, of a pull request with the same commit.
  if [[ "$ONLY_WHERE_NONE" == true || "$EVENT" == push ]] && has "$context"; then
    echo "The commit has the status $context."
  elif [[ "$EVENT" == push && "$context" != "${contexts[0]}" ]]; then
    echo "The status $context is another branch's." # a push ends that of its own branch alone
  else
    [[ "$EVENT" != push ]] || mark=
    printf '{"state":"pending","context":"%s","description":"%s","target_url":"%s"}' \
      "$(quoted "$context")" "$(quoted "${DESCRIPTION:0:140}")" "$(quoted "${TARGET_URL%%#*}$mark")" > "$RUNNER_TEMP/mlbot-status.json"
    call --output /dev/null --request POST --header 'Content-Type: application/json' \
      --data-binary "@$RUNNER_TEMP/mlbot-status.json" "$api/repos/$repository/statuses/$SHA"
    echo "The status $context is pending."
  fi
done
