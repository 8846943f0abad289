"""Node lists from the environment that a batch scheduler leaves.

Owns the names of those variables, one parser for each form, and the short names of nodes. Nothing is started here.
"""

import os
import re
from collections.abc import Callable, Iterable

_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_ITEM_SEPARATOR = re.compile(r"[,\s]+(?![^\[]*\])")
_NUMBER = re.compile(r"(\d+)")
_BATCH_NODE = "batch"


class EnvResources:
    """The scheduler that this process runs under, and its nodes.

    Parameters
    ----------
    nodelist_env_slurm, nodelist_env_cobalt, nodelist_env_pbs, nodelist_env_lsf : str, optional
    nodelist_env_lsf_shortform : str, optional
        Names of the variables to read instead of the usual ones.

    Attributes
    ----------
    nodelists : dict of str to str
        Scheduler to the name of its variable.
    ndlist_funcs : dict of str to callable
        Scheduler to the parser that takes the variable's name.
    scheduler : str or None
        The first of `Slurm, Cobalt, PBS, LSF, LSF_shortform` whose variable is set and not empty.
    """

    default_nodelist_env_slurm = "SLURM_NODELIST"
    default_nodelist_env_cobalt = "COBALT_PARTNAME"
    default_nodelist_env_pbs = "PBS_NODEFILE"
    default_nodelist_env_lsf = "LSB_HOSTS"
    default_nodelist_env_lsf_shortform = "LSB_MCPU_HOSTS"

    # Read where the usual variable is empty and no other name was given.
    _second_slurm = "SLURM_JOB_NODELIST"
    _second_cobalt = "COBALT_NODEFILE"

    def __init__(
        self,
        nodelist_env_slurm: str | None = None,
        nodelist_env_cobalt: str | None = None,
        nodelist_env_pbs: str | None = None,
        nodelist_env_lsf: str | None = None,
        nodelist_env_lsf_shortform: str | None = None,
    ) -> None:
        slurm = nodelist_env_slurm or _first_set(self.default_nodelist_env_slurm, self._second_slurm)
        cobalt = nodelist_env_cobalt or _first_set(self.default_nodelist_env_cobalt, self._second_cobalt)
        self.nodelists: dict[str, str] = {
            "Slurm": slurm,
            "Cobalt": cobalt,
            "PBS": nodelist_env_pbs or self.default_nodelist_env_pbs,
            "LSF": nodelist_env_lsf or self.default_nodelist_env_lsf,
            "LSF_shortform": nodelist_env_lsf_shortform or self.default_nodelist_env_lsf_shortform,
        }
        reads_file = not nodelist_env_cobalt and cobalt == self._second_cobalt
        self.ndlist_funcs: dict[str, Callable[[str], list[str]]] = {
            "Slurm": EnvResources.get_slurm_nodelist,
            "Cobalt": EnvResources.get_pbs_nodelist if reads_file else EnvResources.get_cobalt_nodelist,
            "PBS": EnvResources.get_pbs_nodelist,
            "LSF": EnvResources.get_lsf_nodelist,
            "LSF_shortform": EnvResources.get_lsf_nodelist_frm_shortform,
        }
        self.scheduler: str | None = next((name for name, var in self.nodelists.items() if os.environ.get(var)), None)

    def get_nodelist(self) -> list[str]:
        """The nodes that the scheduler's variable names; empty without a scheduler."""
        if self.scheduler is None:
            return []
        return self.ndlist_funcs[self.scheduler](self.nodelists[self.scheduler])

    def shortnames(self, node_list: Iterable[str]) -> list[str]:
        """Node names as short as this scheduler writes them; unchanged without a scheduler."""
        if self.scheduler is None:
            return list(node_list)
        if self.scheduler == "Cobalt":
            return self.cobalt_abbrev_nodenames(node_list)
        return self.abbrev_nodenames(node_list)

    @staticmethod
    def abbrev_nodenames(node_list: Iterable[str]) -> list[str]:
        """Each name up to its first dot."""
        return [node.partition(".")[0] for node in node_list]

    @staticmethod
    def cobalt_abbrev_nodenames(node_list: Iterable[str]) -> list[str]:
        """Each name as its number: `nid00012` becomes `12`."""
        # lstrip takes a set of characters, and that is meant
        return [node.lstrip("nid").lstrip("0") for node in node_list]

    @staticmethod
    def get_slurm_nodelist(node_list_env: str) -> list[str]:
        """Nodes in Slurm's form, such as `n[08-11,14],gpu[1-2]x[1-2].site`, in order of their names.

        Raises
        ------
        ValueError
            A bracket is not closed or does not hold numbers.
        """
        text = os.environ.get(node_list_env, "").strip()
        items = [item for item in _ITEM_SEPARATOR.split(text) if item]
        return _in_order({node for item in items for node in _expanded(item)})

    @staticmethod
    def get_cobalt_nodelist(node_list_env: str) -> list[str]:
        """Nodes as numbers, from a list such as `8-11,4`, in order."""
        text = os.environ.get(node_list_env, "").strip()
        numbers: list[int] = []
        for part in filter(None, map(str.strip, text.split(","))):
            low, high = _range_ends(part)
            numbers.extend(range(low, high + 1))
        return [str(number) for number in sorted(numbers)]

    @staticmethod
    def get_pbs_nodelist(node_list_env: str) -> list[str]:
        """Short names of the hosts in the file that the variable names, each once, in order."""
        try:
            with open(os.environ.get(node_list_env, "")) as file:
                lines = [line.strip() for line in file if not line.lstrip().startswith("#")]
        except OSError:
            return []
        return _unique(EnvResources.abbrev_nodenames(filter(None, lines)))

    @staticmethod
    def get_lsf_nodelist(node_list_env: str) -> list[str]:
        """Hosts in LSF's long form (one entry per core), each once, in order, without batch nodes."""
        return _unique(node for node in os.environ.get(node_list_env, "").split() if _BATCH_NODE not in node)

    @staticmethod
    def get_lsf_nodelist_frm_shortform(node_list_env: str) -> list[str]:
        """Hosts in LSF's short form (`host count host count`), in order, without batch nodes."""
        return [node for node in os.environ.get(node_list_env, "").split()[::2] if _BATCH_NODE not in node]


def _first_set(*names: str) -> str:
    return next((name for name in names if os.environ.get(name)), names[0])


def _unique(nodes: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(nodes))


def _expanded(item: str) -> list[str]:
    """The names that one item with any number of bracketed ranges stands for."""
    bracket = _BRACKETS.search(item)
    if not bracket:
        if "[" in item or "]" in item:
            raise ValueError(f"Unbalanced bracket in node list item {item!r}")
        return [item]
    before, after = item[: bracket.start()], item[bracket.end() :]
    return [name for number in _numbers(bracket.group(1)) for name in _expanded(f"{before}{number}{after}")]


def _numbers(ranges: str) -> list[str]:
    numbers: list[str] = []
    for part in ranges.split(","):
        low, high = _range_ends(part.strip())
        width = len(part.strip().partition("-")[0])
        numbers.extend(str(number).zfill(width) for number in range(low, high + 1))
    return numbers


def _range_ends(part: str) -> tuple[int, int]:
    first, _, last = part.partition("-")
    try:
        ends = int(first), int(last or first)
    except ValueError:
        raise ValueError(f"{part!r} is not a number or a range of numbers such as 8-11") from None
    return min(ends), max(ends)


def _in_order(nodes: Iterable[str]) -> list[str]:
    """By name; numbers count as numbers unless some are padded with zeros, whose names sort right as text."""
    names = list(nodes)
    if any(len(number) > 1 and number.startswith("0") for name in names for number in _NUMBER.findall(name)):
        return sorted(names)
    return sorted(names, key=_natural_key)


def _natural_key(name: str) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in _NUMBER.split(name)]
