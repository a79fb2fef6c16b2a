"""Under which names mlbot's workflows and actions are published: the only place that says it."""

DESCRIPTION_LIMIT = 140  # GitHub's longest status description
CONFIG_FILE = "mlbot.yaml"  # the one file that says what mlbot does, in the repository's root or in a folder
ACTIONS_REPOSITORY = "mlbot-ci/mlbot"
"""`owner/name` of the repository that holds the reusable workflows and the actions."""

ACTIONS_REF = "v1"  # the release that users' workflows call
TRAIN_PATH = ".github/workflows/mlbot.yml"  # the workflow of a user's repository that trains, in the sandbox
JUDGE_PATH = ".github/workflows/mlbot-judge.yml"  # the workflow of a user's repository that judges, in trust
WATCH_PATH = ".github/workflows/mlbot-watch.yml"  # the one that sees what calls itself otherwise
DASHBOARD_PATH = ".github/workflows/mlbot-dashboard.yml"  # the one that brings the dashboard to GitHub Pages
CHARTS = "mlbot-charts"  # the orphan branch of pictures, named by their digests
STATUS = "mlbot"  # the commit status to require
ACTIONS_BOT = "github-actions[bot]"  # who a job's own token speaks as
MONITOR_PATH = ".github/workflows/mlbot-monitor.yml"  # the one that watches models in production, in trust
RELEASE_PATH = ".github/workflows/mlbot-release.yml"  # the workflow of a user's repository that releases, in trust
LFS_POINTER = b"version https://git-lfs"  # how a Git LFS pointer begins (the git-lfs project's docs/spec.md)
EXPORT_PACKAGES = "skl2onnx onnxruntime 'protobuf<7'"  # what an entrypoint's environment needs beside its own packages
