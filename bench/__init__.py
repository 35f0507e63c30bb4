"""Measurements, each a command. Times are shown as ratios to a floor of the same run."""
