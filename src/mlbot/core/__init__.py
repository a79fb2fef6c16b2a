"""Decisions: pure functions over frozen records. No I/O, no clock, no randomness."""
