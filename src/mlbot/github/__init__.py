"""An edge: GitHub's REST API, the runner's variables and files, archives from strangers."""
