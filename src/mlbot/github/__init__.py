"""GitHub's edge: the REST API, the runner's variables and files, archives from strangers."""
