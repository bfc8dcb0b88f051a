"""The database below the tables: engine and transactions, guarded state changes."""
