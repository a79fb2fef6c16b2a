"""What is compared with what, content keys, what is stale."""
