"""Versions, tags, history, lineage, and where they are kept."""
