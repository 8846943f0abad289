"""The local runs of APOSMM, under the name by which scripts know them."""

from libensemble.errors import APOSMMException
from libensemble.gen_funcs.aposmm.runs import ConvergedMsg, ErrorMsg, LocalOptInterfacer
from libensemble.gen_funcs.aposmm.standalone import simulate_recv_from_manager

__all__ = ["APOSMMException", "ConvergedMsg", "ErrorMsg", "LocalOptInterfacer", "simulate_recv_from_manager"]
