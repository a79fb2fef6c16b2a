"""GitHub's payloads as records."""
