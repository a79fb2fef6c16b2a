"""Commands in comments: one file a command, how they are read and answered."""
