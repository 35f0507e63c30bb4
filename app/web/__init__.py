"""Screens, fragments and the JSON API. Reads go straight to `store`; writes go through a service."""
