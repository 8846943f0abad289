"""Simulation functions: test problems, replays, and the caller of dictionary simulators."""
