"""Where model bytes live."""
