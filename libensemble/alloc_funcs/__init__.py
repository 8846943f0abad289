"""Allocation functions: what each idle worker is to do next."""
