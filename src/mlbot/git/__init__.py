"""An edge: the git command, run so that nothing but its arguments decides what it does."""
