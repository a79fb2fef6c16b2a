"""The data that a change brings: what differs row by row, and what a reviewer should look at before it is merged."""
