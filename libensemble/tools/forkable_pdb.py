"""ForkablePdb: the debugger, for use inside a forked worker, whose standard input is closed."""

import pdb
import sys
from typing import Any


class ForkablePdb(pdb.Pdb):
    """A debugger that reads from the terminal although its process has no standard input.

    Examples
    --------
    In a user function: ``ForkablePdb().set_trace()``
    """

    def interaction(self, *args: Any, **kwargs: Any) -> None:
        """Talk with the user, through the terminal's standard input."""
        before = sys.stdin
        with open("/dev/stdin") as sys.stdin:
            try:
                super().interaction(*args, **kwargs)
            finally:
                sys.stdin = before
