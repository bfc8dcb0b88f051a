"""Our own billing engine: accounts, a double-entry ledger in fen, the catalogue and traffic lots."""
