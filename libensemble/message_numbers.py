"""The tags and statuses that user functions and the engine exchange.

Their values are part of the public interface: they are written to files and compared by user code.
"""

# Tags of messages between manager and worker.
UNSET_TAG = 0
EVAL_SIM_TAG = 1
EVAL_GEN_TAG = 2
STOP_TAG = 3
PERSIS_STOP = 4

# Statuses by which a persistent function says that it has ended.
FINISHED_PERSISTENT_SIM_TAG = 11
FINISHED_PERSISTENT_GEN_TAG = 12

# Payloads of a STOP_TAG message.
MAN_SIGNAL_FINISH = 20
MAN_SIGNAL_KILL = 21
MAN_KILL_SIGNALS = [MAN_SIGNAL_FINISH, MAN_SIGNAL_KILL]

# Statuses a user function may return.
WORKER_KILL = 30
WORKER_KILL_ON_ERR = 31
WORKER_KILL_ON_TIMEOUT = 32
TASK_FAILED = 33
TASK_FAILED_TO_START = 34
WORKER_DONE = 35
CALC_EXCEPTION = 36

calc_type_strings = {
    EVAL_SIM_TAG: "sim",
    EVAL_GEN_TAG: "gen",
    PERSIS_STOP: "STOP with work",
    None: "No type set",
}

calc_status_strings = {
    UNSET_TAG: "Not set",
    FINISHED_PERSISTENT_SIM_TAG: "Persis sim finished",
    FINISHED_PERSISTENT_GEN_TAG: "Persis gen finished",
    MAN_SIGNAL_FINISH: "Manager killed on finish",
    MAN_SIGNAL_KILL: "Manager killed task",
    WORKER_KILL: "Worker killed",
    WORKER_KILL_ON_ERR: "Worker killed task on Error",
    WORKER_KILL_ON_TIMEOUT: "Worker killed task on Timeout",
    TASK_FAILED: "Task Failed during run",
    TASK_FAILED_TO_START: "Task Failed to start",
    WORKER_DONE: "Completed",
    CALC_EXCEPTION: "Exception occurred",
    None: "Unknown Status",
}
