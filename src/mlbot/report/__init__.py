"""A verdict as people and programs read it: comment, page, terminal, JSON."""
