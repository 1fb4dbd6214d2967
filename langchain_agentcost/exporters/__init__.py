"""Where costs are shown besides the ledger's own reports."""
