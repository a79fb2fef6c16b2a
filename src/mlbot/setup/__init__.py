"""Set a repository up and look after it: init, doctor, demo."""
