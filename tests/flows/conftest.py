"""Fixtures of the tests of whole runs."""

from tests.fakes.ensembles import comms

__all__ = ["comms"]
