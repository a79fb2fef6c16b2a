"""The artifact: train it, with which parameters and data."""
