"""CI/CD for machine-learning models, native to GitHub."""

__version__ = "0.1.0"
