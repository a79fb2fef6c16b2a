"""Measurements that a person can run again: error rates, speed and memory."""
