"""Fixtures of the tests of public behaviour."""

from tests.fakes.ensembles import comms

__all__ = ["comms"]
