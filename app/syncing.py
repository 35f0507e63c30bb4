"""Keeping the vault and the database in step."""
