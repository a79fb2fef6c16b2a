"""The vocabulary of a verdict: metrics, bounds, outcomes, reason codes."""
