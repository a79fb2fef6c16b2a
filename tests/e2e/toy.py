"""A repository and a toy mlbot, small enough to read, for the tests of the harness."""

from pathlib import Path
from typing import Final

CHECKOUT: Final = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"
UPLOAD: Final = "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f"
DOWNLOAD: Final = "actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c"
PYTHON: Final = "actions/setup-python@5fda3b95a4ea91299a34e894583c3862153e4b97"

TRAIN: Final = f"""
name: Train
on:
  pull_request:
    types: [opened, synchronize]
permissions: {{}}
concurrency:
  group: train-${{{{ github.ref }}}}
  queue: max
jobs:
  plan:
    runs-on: ubuntu-latest
    timeout-minutes: 5
    permissions: {{contents: read}}
    outputs:
      matrix: ${{{{ steps.plan.outputs.matrix }}}}
    steps:
      - uses: {CHECKOUT}
        with: {{persist-credentials: false}}
      - id: plan
        run: |
          test -f model.txt
          echo 'matrix={{"include": [{{"model": "a"}}, {{"model": "b"}}]}}' >> "$GITHUB_OUTPUT"
          echo "::notice file=model.txt,line=1,title=Plan::two models"
          echo "## Plan" >> "$GITHUB_STEP_SUMMARY"
  train:
    needs: plan
    runs-on: [self-hosted, gpu]
    strategy:
      fail-fast: false
      matrix: ${{{{ fromJSON(needs.plan.outputs.matrix) }}}}
    permissions: {{contents: read}}
    steps:
      - uses: {CHECKOUT}
        with:
          ref: ${{{{ github.event.pull_request.head.sha }}}}
          path: head
          persist-credentials: false
      - env:
          MODEL: ${{{{ matrix.model }}}}
        run: |
          mkdir out && cp head/model.txt "out/$MODEL.txt" && git -C head rev-parse HEAD > out/commit.txt
          ! grep -q "break $MODEL" head/model.txt
      - uses: {UPLOAD}
        with:
          name: model-${{{{ matrix.model }}}}-${{{{ github.run_attempt }}}}
          path: out/
          if-no-files-found: error
"""

JUDGE: Final = f"""
name: Judge
on:
  workflow_run:
    workflows: [Train]
    types: [requested, completed]
permissions: {{}}
jobs:
  pending:
    if: github.event.action == 'requested'
    runs-on: ubuntu-latest
    permissions: {{statuses: write}}
    steps:
      - env:
          GH_TOKEN: ${{{{ github.token }}}}
          SHA: ${{{{ github.event.workflow_run.head_sha }}}}
        run: >-
          curl -sSf -X POST -H "Authorization: Bearer $GH_TOKEN"
          "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/statuses/$SHA"
          -d '{{"state": "pending", "context": "toy"}}'
  report:
    if: github.event.action == 'completed'
    runs-on: ubuntu-latest
    permissions: {{actions: read, contents: read, issues: write, pull-requests: read}}
    steps:
      - uses: {PYTHON}
        with: {{python-version: "3.11"}}
      - uses: {CHECKOUT}
        with: {{persist-credentials: false}}
      - env:
          GH_TOKEN: ${{{{ github.token }}}}
          RUN: ${{{{ github.event.workflow_run.id }}}}
          HEAD: ${{{{ github.event.workflow_run.head_sha }}}}
        run: pip install toys && python report.py
"""

REPORT: Final = """
import io, json, os, urllib.request, zipfile
api = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}"
def ask(url, body=None):
    request = urllib.request.Request(url, data=json.dumps(body).encode() if body else None)
    request.add_unredirected_header("Authorization", f"Bearer {os.environ['GH_TOKEN']}")
    with urllib.request.urlopen(request) as answer:
        return answer.read()
found = json.loads(ask(f"{api}/actions/runs/{os.environ['RUN']}/artifacts"))["artifacts"]
names = sorted(one["name"] for one in found)
archives = [zipfile.ZipFile(io.BytesIO(ask(one["archive_download_url"]))) for one in found]
texts = [archive.read("commit.txt").decode().strip() for archive in archives]
assert set(texts) == {os.environ["HEAD"]}, texts
pulls = json.loads(ask(f"{api}/pulls?state=open"))
number = next(one["number"] for one in pulls if one["head"]["sha"] == os.environ["HEAD"])
ask(f"{api}/issues/{number}/comments", {"body": "Judged: " + ", ".join(names)})
"""

COMMAND: Final = """
name: Command
on:
  issue_comment:
    types: [created]
permissions: {}
jobs:
  answer:
    if: github.event.issue.pull_request && startsWith(github.event.comment.body, '/')
    runs-on: ubuntu-latest
    permissions: {issues: write, actions: write}
    steps:
      - env:
          GH_TOKEN: ${{ secrets.GITHUB_TOKEN }}
          COMMENT: ${{ github.event.comment.id }}
        run: |
          api="$GITHUB_API_URL/repos/$GITHUB_REPOSITORY"
          curl -sSf -X POST -H "Authorization: Bearer $GH_TOKEN" "$api/issues/comments/$COMMENT/reactions" \\
            -d '{"content": "eyes"}'
          curl -sSf -X POST -H "Authorization: Bearer $GH_TOKEN" "$api/actions/workflows/deploy.yml/dispatches" \\
            -d '{"ref": "main", "inputs": {"where": "staging"}}'
"""

DEPLOY: Final = """
name: Deploy
on:
  workflow_dispatch:
    inputs:
      where: {type: choice, options: [staging, production], required: true}
permissions: {}
jobs:
  ship:
    permissions: {contents: read, deployments: write}
    uses: mlbot-ci/mlbot/.github/workflows/ship.yml@v1
    with:
      where: ${{ inputs.where }}
    secrets: inherit
"""

SHIP: Final = """
name: Ship
on:
  workflow_call:
    inputs:
      where: {type: string, required: true}
permissions: {}
jobs:
  deploy:
    runs-on: ubuntu-latest
    environment: ${{ inputs.where }}
    permissions: {deployments: write}
    outputs:
      number: ${{ steps.outer.outputs.number }}
    steps:
      - id: outer
        uses: mlbot-ci/mlbot/actions/outer@v1
        with:
          where: ${{ inputs.where }}
      - env:
          PASSWORD: ${{ secrets.PASSWORD }}
        run: test "$PASSWORD" = "of-$WHERE"
  forbidden:
    needs: deploy
    runs-on: ubuntu-latest
    permissions: {contents: read}
    steps:
      - env:
          GH_TOKEN: ${{ github.token }}
        run: |
          code=$(curl -sS -o /dev/null -w '%{http_code}' -X POST -H "Authorization: Bearer $GH_TOKEN" \\
            "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/issues" -d '{"title": "no"}')
          echo "code=$code"
          test "$code" = 403
"""

OUTER: Final = """
name: Outer
description: A composite that uses another
inputs:
  where: {description: where, required: true}
outputs:
  number: {description: number, value: "${{ steps.inner.outputs.number }}"}
runs:
  using: composite
  steps:
    - id: inner
      uses: mlbot-ci/mlbot/actions/inner@v1
      with:
        where: ${{ inputs.where }}
"""

INNER: Final = """
name: Inner
description: Deploys
inputs:
  where: {description: where, required: true}
  token: {description: token, default: "${{ github.token }}"}
outputs:
  number: {description: number, value: "${{ steps.call.outputs.number }}"}
runs:
  using: composite
  steps:
    - id: call
      shell: bash
      env:
        GH_TOKEN: ${{ inputs.token }}
        INPUT_WHERE: ${{ inputs.where }}
      run: |
        test "$(env | grep '^INPUT_' | cut -d= -f1)" = INPUT_WHERE  # GitHub gives composites no inputs by environment
        WHERE="$INPUT_WHERE"
        curl -sSf -X POST -H "Authorization: Bearer $GH_TOKEN" "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/deployments" \\
          -d "{\\"ref\\": \\"main\\", \\"environment\\": \\"$WHERE\\", \\"required_contexts\\": []}" > made.json
        echo "number=$(grep -o 'deployments/[0-9]*' made.json | head -1 | cut -d/ -f2)" >> "$GITHUB_OUTPUT"
        echo "WHERE=$WHERE" >> "$GITHUB_ENV"
        echo "deployed by $GITHUB_ACTION_PATH" >> "$GITHUB_STEP_SUMMARY"
"""

FILES: Final = {
    ".github/workflows/train.yml": TRAIN,
    ".github/workflows/judge.yml": JUDGE,
    ".github/workflows/command.yml": COMMAND,
    ".github/workflows/deploy.yml": DEPLOY,
    "report.py": REPORT,
    "model.txt": "one\n",
}


def write_mlbot(folder: Path) -> Path:
    """A toy mlbot: one reusable workflow, two composite actions."""
    parts = {".github/workflows/ship.yml": SHIP, "actions/outer/action.yml": OUTER, "actions/inner/action.yml": INNER}
    for name, text in parts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder
