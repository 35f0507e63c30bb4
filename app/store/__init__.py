"""The database: statements by noun. Nothing here decides; nothing here commits."""
