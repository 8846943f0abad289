"""Kept for scripts that import constants from `libensemble.tests.regression_tests.support`."""
