"""CI/CD for machine-learning models, native to GitHub."""

DISTRIBUTION = "mlbot-ci"
"""What is installed: the name `mlbot` belongs to somebody else's package. The command and the import are `mlbot`."""

__version__ = "1.0.0rc1"
