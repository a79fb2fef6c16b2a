"""What became of models since: production day by day, and the dashboard of the ledger."""
