"""What travels between jobs: decisions, attempts, artifacts, markers, answers, operations as data."""
