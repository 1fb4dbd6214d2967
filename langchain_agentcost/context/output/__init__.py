"""Output tokens: caps that are fitted from the ledger, short answers, and what becomes of an answer that was cut."""
