"""Revisions, oldest first; none of them imports the models, which change after it."""
