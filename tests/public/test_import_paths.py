"""Names stand where scripts look for them, and looking costs little."""

import importlib
import json
import subprocess
import sys

import pytest

PATHS = {
    "libensemble": """Ensemble Generator logger message_numbers SimSpecs GenSpecs AllocSpecs ExitCriteria LibeSpecs
        __version__ __author__ __credits__""",
    "libensemble.libE": "libE",
    "libensemble.ensemble": "Ensemble",
    "libensemble.version": "__version__",
    "libensemble.specs": """SimSpecs GenSpecs LibeSpecs ExitCriteria AllocSpecs _EnsembleSpecs input_fields output_data
        persistent_input_fields""",
    "libensemble.generators": "Generator LibensembleGenerator PersistentGenInterfacer GeneratorNotStartedException",
    "libensemble.history": "History",
    "libensemble.manager": "Manager ManagerException WorkerException LoggedException manager_main report_worker_exc",
    "libensemble.worker": "Worker worker_main WorkerErrMsg",
    "libensemble.logger": "set_level get_level set_filename set_directory set_stderr_level get_stderr_level",
    "libensemble.message_numbers": """UNSET_TAG EVAL_SIM_TAG EVAL_GEN_TAG STOP_TAG PERSIS_STOP
        FINISHED_PERSISTENT_SIM_TAG FINISHED_PERSISTENT_GEN_TAG MAN_SIGNAL_FINISH MAN_SIGNAL_KILL MAN_KILL_SIGNALS
        WORKER_KILL WORKER_KILL_ON_ERR WORKER_KILL_ON_TIMEOUT TASK_FAILED TASK_FAILED_TO_START WORKER_DONE
        CALC_EXCEPTION calc_type_strings calc_status_strings""",
    "libensemble.tools": """add_unique_random_streams check_npy_file_exists eprint ForkablePdb parse_args
        save_libE_output PersistentSupport AllocSupport""",
    "libensemble.tools.tools": "add_unique_random_streams check_npy_file_exists eprint save_libE_output",
    "libensemble.tools.parse_args": "parse_args mpi_init",
    "libensemble.tools.forkable_pdb": "ForkablePdb",
    "libensemble.tools.persistent_support": "PersistentSupport",
    "libensemble.tools.alloc_support": """AllocSupport AllocException InsufficientFreeResources
        InsufficientResourcesError""",
    "libensemble.tools.fields_keys": "libE_fields",
    "libensemble.tools.test_support": "check_gpu_setting check_mpi_runner",
    "libensemble.tools.live_data.live_data": "LiveData",
    "libensemble.tools.live_data.plot2n": "Plot2N",
    "libensemble.alloc_funcs.give_sim_work_first": "give_sim_work_first",
    "libensemble.alloc_funcs.start_only_persistent": "only_persistent_gens",
    "libensemble.alloc_funcs.persistent_aposmm_alloc": "persistent_aposmm_alloc",
    "libensemble.alloc_funcs.give_pregenerated_work": "give_pregenerated_sim_work",
    "libensemble.alloc_funcs.start_persistent_local_opt_gens": "start_persistent_local_opt_gens",
    "libensemble.alloc_funcs.only_one_gen_alloc": "ensure_one_active_gen",
    "libensemble.alloc_funcs.fast_alloc": "give_sim_work_first",
    "libensemble.alloc_funcs.fast_alloc_and_pausing": "give_sim_work_first",
    "libensemble.alloc_funcs.start_fd_persistent": "finite_diff_alloc",
    "libensemble.alloc_funcs.inverse_bayes_allocf": "only_persistent_gens_for_inverse_bayes",
    "libensemble.executors": "Executor MPIExecutor",
    "libensemble.executors.executor": "Executor Task ExecutorException TimeoutExpired NOT_STARTED_STATES Application",
    "libensemble.executors.mpi_executor": "MPIExecutor",
    "libensemble.resources.resources": "Resources GlobalResources ResourcesException",
    "libensemble.resources.platforms": """Platform get_platform PerlmutterGPU Aurora Frontier Polaris Summit
        Known_platforms PlatformException known_envs known_system_detect""",
    "libensemble.resources.env_resources": "EnvResources",
    "libensemble.resources.scheduler": "ResourceScheduler InsufficientResourcesError InsufficientFreeResources",
    "libensemble.resources.worker_resources": "ResourceManager WorkerResources",
    "libensemble.resources.mpi_resources": "create_machinefile MPIResourcesException",
    "libensemble.resources.node_resources": "",
    "libensemble.gen_funcs": "rc",
    "libensemble.gen_funcs.sampling": """uniform_random_sample latin_hypercube_sample uniform_random_sample_cancel
        lhs_sample uniform_random_sample_with_variable_resources uniform_random_sample_obj_components
        uniform_random_sample_with_var_priorities_and_resources""",
    "libensemble.gen_funcs.persistent_sampling": """persistent_uniform batched_history_matching
        persistent_request_shutdown persistent_uniform_final_update persistent_uniform_with_cancellations
        uniform_nonblocking""",
    "libensemble.gen_funcs.persistent_sampling_var_resources": """uniform_sample uniform_sample_diff_simulations
        uniform_sample_with_var_gpus uniform_sample_with_var_priorities uniform_sample_with_procs_gpus
        uniform_sample_with_sim_gen_resources""",
    "libensemble.gen_funcs.persistent_inverse_bayes": "persistent_updater_after_likelihood",
    "libensemble.gen_funcs.persistent_fd_param_finder": "fd_param_finder",
    "libensemble.gen_funcs.uniform_or_localopt": "uniform_or_localopt",
    "libensemble.gen_classes.sampling": "UniformSample",
    "libensemble.gen_classes.external.sampling": "UniformSample UniformSampleArray",
    "libensemble.sim_funcs": "six_hump_camel helloworld chwirut1",
    "libensemble.sim_funcs.six_hump_camel": """six_hump_camel six_hump_camel_func six_hump_camel_grad
        six_hump_camel_simple persistent_six_hump_camel""",
    "libensemble.sim_funcs.simple_sim": "norm_eval",
    "libensemble.sim_funcs.rosenbrock": "rosenbrock_eval EvaluateFunction",
    "libensemble.sim_funcs.chwirut1": "chwirut_eval EvaluateJacobian EvaluateFunction",
    "libensemble.sim_funcs.branin.branin_obj": "call_branin",
    "libensemble.sim_funcs.borehole": "gen_borehole_input borehole borehole_func",
    "libensemble.sim_funcs.periodic_func": "func_wrapper",
    "libensemble.sim_funcs.surmise_test_function": "borehole tstd2theta",
    "libensemble.sim_funcs.comms_testing": "float_x1000",
    "libensemble.sim_funcs.inverse_bayes": "likelihood_calculator",
    "libensemble.sim_funcs.mock_sim": "mock_sim",
    "libensemble.sim_funcs.noisy_vector_mapping": "func_wrapper noisy_function",
    "libensemble.sim_funcs.gest_api_wrapper": "gest_api_sim",
    "libensemble.sim_funcs.executor_hworld": "executor_hworld custom_polling_loop",
    "libensemble.sim_funcs.borehole_kills": "borehole subproc_borehole",
    "libensemble.sim_funcs.run_line_check": "runline_check runline_check_by_worker",
    "libensemble.sim_funcs.var_resources": """CUDA_variable_resources gpu_variable_resources
        gpu_variable_resources_from_gen gpu_variable_resources_subenv multi_points_with_variable_resources""",
    "libensemble.comms.comms": """Timeout CommFinishedException ManagerStop RemoteException CommResult CommResultErr
        QComm QCommThread QCommProcess""",
    "libensemble.comms.logs": "LogConfig manager_logging_config",
    "libensemble.utils.misc": """specs_dump extract_H_ranges _WorkerIndexer list_dicts_to_np np_to_list_dicts
        map_numpy_array unmap_numpy_array pydanticV1 pydanticV2""",
    "libensemble.utils.timer": "Timer TaskTimer",
    "libensemble.utils.loc_stack": "LocationStack",
    "libensemble.utils.launcher": "form_command launch killpg terminatepg process_is_stopped wait wait_and_kill cancel",
    "libensemble.utils.output_directory": "EnsembleDirectory",
    "libensemble.utils.runners": "Runner",
    "libensemble.utils.validators": "",
    "libensemble.utils.specs_checkers": "",
    "libensemble.utils.pydantic_bindings": "libE_wrapper",
}

SUBMODULES = """alloc_funcs comms ensemble executors generators history libE logger manager message_numbers resources
    specs tools utils version worker""".split()

OPTIONAL = """mpi4py yaml tomli scipy nlopt matplotlib pandas IPython petsc4py dfols ibcdfo gpcam ax surmise Tasmanian
    globus_compute_sdk balsam mpmath sphinx""".split()


@pytest.mark.parametrize(("module", "names"), PATHS.items(), ids=PATHS)
def test_names_stand_where_scripts_look_for_them(module, names):
    # "from module import name", as scripts write it, also finds submodules
    home = importlib.import_module(module)
    missing = []
    for name in names.split():
        try:
            exec(f"from {module} import {name}", {})
        except ImportError:
            missing.append(name)
    assert not missing, f"{home.__name__} lacks {missing}"


def in_new_python(code):
    """What a script of its own prints as its last line, read as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def loaded_after(statement):
    return set(in_new_python(f"{statement}; import sys, json; print(json.dumps(list(sys.modules)))"))


@pytest.mark.parametrize(
    "statement",
    [
        "import libensemble",
        "from libensemble import Ensemble",
        "import libensemble.libE, libensemble.manager, libensemble.worker",
        "import libensemble.generators, libensemble.gen_classes, libensemble.gen_funcs",
        "import libensemble.tools, libensemble.executors, libensemble.resources.resources",
    ],
)
def test_importing_loads_no_optional_package(statement):
    assert not loaded_after(statement) & set(OPTIONAL)


def test_the_bare_import_loads_no_room_before_it_is_used():
    loaded = loaded_after("import libensemble")
    assert "libensemble" in loaded
    assert not {"libensemble.manager", "libensemble.worker", "libensemble.executors", "libensemble.specs"} & loaded


def test_submodules_are_reachable_as_attributes_after_the_bare_import():
    code = f"import libensemble as l, json; print(json.dumps([n for n in {SUBMODULES!r} if not hasattr(l, n)]))"
    assert in_new_python(code) == []


def test_libE_is_a_module_and_parse_args_a_function():
    code = """
import json, types
import libensemble
from libensemble.tools import parse_args
from libensemble.tools.parse_args import mpi_init
from libensemble.tools import parse_args as again
things = [libensemble.libE, libensemble.libE.libE, parse_args, again]
print(json.dumps([type(thing).__name__ for thing in things]))
"""
    assert in_new_python(code) == ["module", "function", "function", "function"]


def test_an_unknown_top_level_name_is_an_attribute_error():
    import libensemble

    with pytest.raises(AttributeError, match="no_such_name"):
        libensemble.no_such_name  # noqa: B018


def test_dir_lists_the_lazy_names():
    import libensemble

    assert {"Ensemble", "SimSpecs", "Generator", "tools"} <= set(dir(libensemble))
