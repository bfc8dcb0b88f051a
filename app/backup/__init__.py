"""Backups: the database, the configuration without secrets, and a manifest that verifies both."""
