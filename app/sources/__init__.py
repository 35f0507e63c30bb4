"""Readers of what comes from outside: each turns bytes into a `Document` and knows no database.

`base.py` says what a reader is and finds the one for a file by its content.
"""
