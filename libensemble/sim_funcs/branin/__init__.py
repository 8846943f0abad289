"""The Branin function: formula, simulation function, and its minima in `known_minima.txt` (x1 x2 f per line)."""
