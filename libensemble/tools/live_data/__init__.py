"""Watching a run while it goes on: objects for ``libE_specs["live_data"]``."""
