"""Measurements of speed: ratios between things that were run side by side on one machine."""
