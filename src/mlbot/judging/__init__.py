"""Predict, score, measure, compare: from model files to a report."""
