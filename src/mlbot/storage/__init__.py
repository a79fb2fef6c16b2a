"""An edge: model bytes in folders, object stores and registries; stores, targets and trained results."""
