"""Release, approve, promote, roll back, lock."""
