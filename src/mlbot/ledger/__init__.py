"""The ledger's entries, and what can be asked of them."""
