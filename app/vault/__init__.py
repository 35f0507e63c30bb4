"""Markdown files on disk."""
