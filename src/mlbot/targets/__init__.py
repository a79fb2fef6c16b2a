"""Where environments are."""
