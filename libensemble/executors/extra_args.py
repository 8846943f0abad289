"""What a user wrote for the MPI runner by hand.

Owns `ExtraArgs`: it finds options in the text and leaves the text as it is. It knows exact spellings only, never
complains about options that it does not know, and takes a value only where it is a whole number.
"""

import re
from collections.abc import Iterable

_WORD = re.compile(r"""(?:"[^"]*"|'[^']*'|\S)+""")  # white space in quotes is part of a word; the quotes stay


class ExtraArgs:
    """The words of ``extra_args``.

    Parameters
    ----------
    text : str, optional

    Examples
    --------
    >>> extra = ExtraArgs("-n8 --ppn=4 -nolocal")
    >>> extra.value(["-n", "-np"]), extra.value(["--ppn"]), extra.has(["-no"])
    (8, 4, False)
    """

    def __init__(self, text: str | None = None) -> None:
        self.words = _WORD.findall(text or "")

    def has(self, spellings: Iterable[str]) -> bool:
        """Return whether an option is there, as ``-n 8``, ``-n8``, ``-n=8``, ``--opt 8`` or ``--opt=8``."""
        return any(_rest(word, spelling) is not None for spelling in spellings for word in self.words)

    def has_beginning(self, name: str) -> bool:
        """Return whether an option is there; the value of a name that ends in ``=`` or ``:`` follows it directly."""
        if name.endswith(("=", ":")):
            return any(word.startswith(name) for word in self.words) or self.has([name[:-1]])
        return self.has([name])

    def value(self, spellings: Iterable[str]) -> int | None:
        """Return the whole number that an option has (the last one, if it is there more than once), or None."""
        found = None
        for number, word in enumerate(self.words):
            for spelling in spellings:
                rest = _rest(word, spelling)
                if rest is None:
                    continue
                if not rest:
                    rest = self.words[number + 1] if number + 1 < len(self.words) else ""
                if rest.isdecimal():
                    found = int(rest)
        return found


def _rest(word: str, spelling: str) -> str | None:
    """Return what a word adds to an option's name; None if the word is not that option."""
    if word == spelling:
        return ""
    if word.startswith(spelling + "="):
        return word[len(spelling) + 1 :]
    rest = word[len(spelling) :]
    if word.startswith(spelling) and not spelling.startswith("--") and rest.isdecimal():
        return rest
    return None
