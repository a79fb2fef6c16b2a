"""Bytes to and from folders, object stores and registries: what stores and targets are made of."""
