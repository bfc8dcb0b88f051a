"""The history of the tables, run by `models.schema`; one history for SQLite and PostgreSQL."""
