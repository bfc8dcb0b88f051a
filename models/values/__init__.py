"""Values without a table: parsed input, identities of callers, readers of foreign files."""
