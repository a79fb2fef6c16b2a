"""From a verdict to operations on GitHub: comment, status, ledger, store."""
