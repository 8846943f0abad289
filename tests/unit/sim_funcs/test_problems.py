"""The test problems have the values, gradients and minima that are known of them."""

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest

import libensemble.sim_funcs.branin as branin_package
from libensemble.message_numbers import EVAL_SIM_TAG, FINISHED_PERSISTENT_SIM_TAG
from libensemble.sim_funcs import borehole, chwirut1, helloworld, rosenbrock, six_hump_camel, surmise_test_function
from libensemble.sim_funcs.branin.branin import branin
from libensemble.sim_funcs.branin.branin_obj import call_branin
from libensemble.sim_funcs.comms_testing import float_x1000
from libensemble.sim_funcs.inverse_bayes import likelihood_calculator
from libensemble.sim_funcs.mock_sim import mock_sim
from libensemble.sim_funcs.noisy_vector_mapping import func_wrapper as noisy_wrapper
from libensemble.sim_funcs.noisy_vector_mapping import noisy_function
from libensemble.sim_funcs.periodic_func import func_wrapper as periodic_wrapper
from libensemble.sim_funcs.simple_sim import norm_eval
from tests.fakes.mailbox_pair import Rows, ScriptedMailbox, Stop

CAMEL_MINIMA = [
    ((0.08984201, -0.71265640), -1.03162845),
    ((1.70360671, -0.79608357), -0.21546382),
    ((1.60710475, 0.56865145), 2.10425031),
]
CERTIFIED = (0.19027818370, 0.0061314004477, 0.010530908399)
CHWIRUT_FILE = Path(__file__).parents[3] / "examples" / "data" / "NIST_StRD_Chwirut1.dat"


def rows(x, **fields):
    x = np.atleast_2d(np.asarray(x, dtype=float))
    H = np.zeros(
        len(x), dtype=[("x", float, (x.shape[1],)), *((name, np.asarray(v).dtype) for name, v in fields.items())]
    )
    H["x"] = x
    for name, values in fields.items():
        H[name] = values
    return H


def gradient_by_differences(function, x, step=1e-6):
    x = np.asarray(x, dtype=float)
    return np.array([(function(x + e) - function(x - e)) / (2 * step) for e in step * np.eye(len(x))])


class TestSixHumpCamel:
    @pytest.mark.parametrize(("x", "f"), CAMEL_MINIMA)
    @pytest.mark.parametrize("sign", [1, -1])
    def test_minima_are_where_they_are_known(self, x, f, sign):
        point = sign * np.array(x)
        npt.assert_allclose(six_hump_camel.six_hump_camel_func(point), f, atol=1e-8)
        npt.assert_allclose(six_hump_camel.six_hump_camel_grad(point), 0, atol=1e-6)

    def test_the_gradient_is_the_derivative(self):
        x = (1.1, -0.4)
        npt.assert_allclose(
            six_hump_camel.six_hump_camel_grad(x),
            gradient_by_differences(six_hump_camel.six_hump_camel_func, x),
            atol=1e-6,
        )

    def test_every_row_is_evaluated_with_its_gradient(self):
        H = rows([[0, 1, 99], [1, 1, 99]])
        H_o, info = six_hump_camel.six_hump_camel(
            H, {"a": 1}, {"out": [("f", float), ("grad", float, 2)], "user": {}}, {}
        )
        npt.assert_allclose(H_o["f"], [0, 3.2333333333333334])
        npt.assert_allclose(H_o["grad"][1], [2.6, 9])
        assert info == {"a": 1}

    def test_the_simple_form_returns_only_an_array(self):
        H_o = six_hump_camel.six_hump_camel_simple(rows([1, 1]), {}, {"out": [("f", float)], "user": {}})
        npt.assert_allclose(H_o["f"], 3.2333333333333334)

    def test_noise_comes_from_the_global_stream(self):
        specs = {"out": [("f", float)], "user": {"rand": True}}
        np.random.seed(3)
        noise = six_hump_camel.six_hump_camel_simple(rows([1, 1]), {}, specs)["f"] - 3.2333333333333334
        np.random.seed(3)
        npt.assert_allclose(noise, np.random.normal(0, 1))

    @pytest.mark.parametrize("first", [rows([1, 1]), rows(np.zeros((0, 2)))])
    @pytest.mark.parametrize("replaces", [True, False])
    def test_the_persistent_form_evaluates_until_the_stop(self, first, replaces):
        def answer(points, number):
            return Rows(rows([0, 1]), [1]) if number == 1 else Stop()

        mailbox = ScriptedMailbox(answer, work_tag=EVAL_SIM_TAG)
        if len(first) == 0:
            mailbox.post(Rows(rows([1, 1]), [0]))
        specs = {"out": [("f", float)], "user": {"replace_final_fields": replaces}}
        final, _, tag = six_hump_camel.persistent_six_hump_camel(first, {}, specs, {"comm": mailbox, "workerID": 1})
        assert tag == FINISHED_PERSISTENT_SIM_TAG
        npt.assert_allclose([array["f"][0] for array in mailbox.sent], [3.2333333333333334, 0])
        assert final["f"][0] == pytest.approx(3.2333333333333334) if replaces else final is None

    def test_the_module_is_an_application(self):
        done = subprocess.run(
            [sys.executable, six_hump_camel.__file__, "1", "1"], capture_output=True, text=True, check=True
        )
        assert float(done.stdout) == pytest.approx(3.2333333333333334)


class TestBranin:
    def test_the_minima_shipped_beside_it_are_minima(self):
        known = np.loadtxt(Path(branin_package.__file__).with_name("known_minima.txt"))
        assert known.shape == (3, 3)
        for x1, x2, f in known:
            assert branin(x1, x2) == pytest.approx(f, abs=1e-8) == pytest.approx(0.397887, abs=1e-6)
            assert all(branin(x1 + d, x2 + e) > f for d, e in ((0.1, 0), (-0.1, 0), (0, 0.1), (0, -0.1)))

    def test_every_row_is_evaluated(self):
        H_o = call_branin(rows([[np.pi, 2.275], [0, 0]]), {}, {"out": [("f", float)], "user": {}})
        npt.assert_allclose(H_o["f"], [0.39788736, branin(0, 0)])

    def test_as_a_program_it_reads_and_writes_files(self, tmp_path):
        (tmp_path / "x.in").write_text("3.141592653589793\n2.275\n")
        subprocess.run([sys.executable, sys.modules[branin.__module__].__file__], cwd=tmp_path, check=True)
        assert float((tmp_path / "f.out").read_text()) == pytest.approx(0.397887, abs=1e-6)


class TestRosenbrock:
    x = (1.0, 2.0, 3.0, 4.0)

    def test_spot_values(self):
        assert rosenbrock.EvaluateFunction(self.x) == 2604
        assert rosenbrock.EvaluateFunction(self.x, 1) == 2504
        npt.assert_allclose(rosenbrock.EvaluateJacobian(self.x, np.nan, 1000), [-0.4, 0.2, 6.004, -1])
        assert rosenbrock.EvaluateFunction(np.ones(6)) == 0

    def test_a_components_gradient_is_zero_elsewhere(self):
        npt.assert_allclose(rosenbrock.EvaluateJacobian(self.x, 1, 1), [0, 0, 6004, -1000])

    def test_odd_lengths_are_refused(self):
        with pytest.raises(AssertionError, match="not 3"):
            rosenbrock.EvaluateFunction([1, 2, 3])

    def test_whole_and_by_component(self):
        out = [("f", float), ("grad", float, 4)]
        H_o, _ = rosenbrock.rosenbrock_eval(rows(self.x), {"params": {"const": 1}}, {"out": out}, {})
        npt.assert_allclose(H_o["grad"][0], [-400, 200, 6004, -1000])
        H = rows([self.x, self.x], obj_component=[0, 1])
        H_o, _ = rosenbrock.rosenbrock_eval(H, {"get_grad": True}, {"out": [("f_i", float), ("gradf_i", float, 4)]}, {})
        npt.assert_allclose(H_o["f_i"], [100, 2504])
        npt.assert_allclose(H_o["gradf_i"][1], [0, 0, 6.004, -1])

    def test_a_list_as_persis_info_has_no_params(self):
        H_o, _ = rosenbrock.rosenbrock_eval(rows(self.x), [], {"out": [("f", float)]}, {})
        assert H_o["f"][0] == 2604


class TestChwirut:
    def test_the_data_are_those_of_nist(self):
        if not CHWIRUT_FILE.exists():
            pytest.skip("examples are not beside the tests")
        table = [line.split() for line in CHWIRUT_FILE.read_text().splitlines()[60:]]
        nist = np.array([pair for pair in table if len(pair) == 2], dtype=float)
        npt.assert_array_equal(np.column_stack((chwirut1.y, chwirut1.t)), nist)
        assert len(nist) == chwirut1.NOBSERVATIONS == 214

    def test_the_certified_sum_of_squares_is_reached(self):
        assert np.sum(chwirut1.EvaluateFunction(CERTIFIED) ** 2) == pytest.approx(2384.4771393, abs=1e-6)
        assert np.sum(chwirut1.EvaluateFunction((1, 1, 1)) ** 2) == pytest.approx(312851.2256, abs=1e-4)

    def test_the_jacobian_is_the_derivative(self):
        x = np.array([0.2, 0.5, 0.7])
        expected = gradient_by_differences(chwirut1.EvaluateFunction, x).T
        npt.assert_allclose(chwirut1.EvaluateJacobian(x), expected, atol=1e-6)

    def test_residuals_are_summed_up_or_combined(self):
        out = [("f", float), ("fvec", float, 214)]
        H_o = chwirut1.chwirut_eval(rows([(1, 1, 1), CERTIFIED]), {}, {"out": out, "user": {}})
        npt.assert_allclose(H_o["f"], [312851.2256, 2384.4771393], rtol=1e-8)
        npt.assert_allclose(np.sum(H_o["fvec"] ** 2, axis=1), H_o["f"])
        specs = {"out": out, "user": {"combine_component_func": np.max}}
        assert chwirut1.chwirut_eval(rows((1, 1, 1)), {}, specs)["f"][0] == H_o["fvec"][0].max()

    @pytest.mark.parametrize(("frequency", "is_lost"), [(0, False), (1, True)])
    def test_single_residuals_may_be_lost(self, frequency, is_lost):
        specs = {"out": [("f_i", float)], "user": {"component_nan_frequency": frequency}}
        H_o = chwirut1.chwirut_eval(rows((1, 1, 1), obj_component=[5]), {}, specs)
        assert np.isnan(H_o["f_i"][0]) == is_lost
        assert is_lost or H_o["f_i"][0] == chwirut1.EvaluateFunction((1, 1, 1))[5]


class TestBorehole:
    x = (80000, 90, 1050, 760, 3000, 0.1, 11000, 1400)

    def test_spot_value(self):
        assert np.ndim(borehole.borehole_func(self.x)) == 0
        assert borehole.borehole_func(self.x) == pytest.approx(71.26239537)

    def test_every_row_counts(self):
        others = np.array(self.x) * [1, 1, 1, 1, 0.5, 1, 1, 1]
        values = borehole.borehole_func([self.x, others])
        assert values.shape == (2,) and values[0] != values[1]
        H_o, _ = borehole.borehole(rows([self.x, others]), {}, {"out": [("f", float)]}, {})
        npt.assert_array_equal(H_o["f"], values)

    def test_values_out_of_bounds_are_named(self):
        with pytest.raises(AssertionError, match=r"input 5 .* is 0.2"):
            borehole.borehole_func([*self.x[:5], 0.2, *self.x[6:]])

    def test_random_inputs_lie_within_the_uniform_bounds(self):
        np.random.seed(1)
        x = borehole.gen_borehole_input(50)
        uniform = [0, 1, 2, 3, 6, 7]
        assert x.shape == (50, 8)
        assert np.all(x[:, uniform] >= borehole.bounds[uniform, 0]) and np.all(
            x[:, uniform] <= borehole.bounds[uniform, 1]
        )
        np.random.seed(1)
        npt.assert_array_equal(x[:, 0], np.random.uniform(63070, 115600, 50))


class TestSurmise:
    def test_spot_values(self):
        assert surmise_test_function.borehole_true([0.5, 0.5, 1])[0] == pytest.approx(37.91220458)
        assert surmise_test_function.borehole_model([0.5, 0.5, 1], [0.1, 0.2, 0.3, 0.4])[0, 0] == pytest.approx(
            50.41972176
        )

    def test_the_model_is_a_matrix_of_inputs_and_parameters(self):
        x, theta = np.random.default_rng(0).uniform(size=(3, 3)), np.random.default_rng(1).uniform(size=(2, 4))
        values = surmise_test_function.borehole_model(x, theta)
        assert values.shape == (3, 2)
        assert values[2, 1] == surmise_test_function.borehole_model(x[2], theta[1])[0, 0]

    def test_the_soft_range_is_narrower(self):
        hard, soft = (surmise_test_function.tstd2theta([0, 0, 1, 0], hard=hard)[0] for hard in (True, False))
        npt.assert_allclose(hard, [990, 1.12, 0.05, -0.5])
        assert soft[1] == pytest.approx(1680 / 9855)

    def test_only_rows_beyond_the_observations_fail(self):
        H = np.zeros(2, dtype=[("x", float, 3), ("thetas", float, 4)])
        H["x"], H["thetas"] = [0.5, 0.5, 1], [0.1, 0.2, 0.0, 0.4]
        specs = {"out": [("f", float)], "user": {"num_obs": 3}}
        H_o, _ = surmise_test_function.borehole(H, {}, specs, {"H_rows": np.array([3, 4])})
        assert np.isfinite(H_o["f"][0]) and np.isinf(H_o["f"][1])


def test_norm_of_vectors_and_scalars():
    specs = {"out": [("f", float)]}
    npt.assert_allclose(norm_eval(rows([[3, 4], [0, 2]]), {}, specs, {})[0]["f"], [5, 2])
    npt.assert_allclose(norm_eval(np.array([(-2.0,)], dtype=[("x", float)]), {}, specs, {})[0]["f"], [2])


def test_periodic_function_has_its_minima():
    lb, width = np.array([0, -np.pi / 2]), 2 * np.pi
    H_o, _ = periodic_wrapper(
        rows(lb + width * np.array([[0.75, 0.25], [0.25, 0.75]])), {}, {"out": [("f", float)]}, {}
    )
    npt.assert_allclose(H_o["f"], -1)


def test_noisy_function_spot_value_and_components():
    values = noisy_function(np.array([1.23, 4.56]))
    npt.assert_allclose(values, [2.60329453, 5.66278682, 1647.96699588])
    H = rows([[1.23, 4.56]] * 3, f_ind=[2, 0, 1])
    npt.assert_allclose(noisy_wrapper(H, {}, {"out": [("f_val", float)]}, {})[0]["f_val"], values[[2, 0, 1]])


def test_likelihood_has_a_status_of_its_own():
    H_o, _, status = likelihood_calculator(rows([[1, 1], [0, 1]]), {}, {"out": [("like", float)]}, {})
    npt.assert_allclose(H_o["like"], [3.2333333333333334, 0])
    assert status == "custom_status"


def test_a_saved_history_is_replayed(tmp_path):
    history = np.array([(0, 1.5, [1, 2]), (1, 2.5, [3, 4])], dtype=[("sim_id", int), ("f", float), ("v", int, (2,))])
    np.save(tmp_path / "saved.npy", history)
    specs = {"out": [("f", float), ("v", int, (2,))], "user": {"history_file": tmp_path / "saved.npy"}}
    H_o, _ = mock_sim(np.zeros(1), {}, specs, {"H_rows": np.array([1])})
    assert H_o["f"].tolist() == [2.5] and H_o["v"].tolist() == [[3, 4]]
    history["f"] += 1
    (tmp_path / "saved.npy").unlink()
    np.save(tmp_path / "saved.npy", history)
    assert mock_sim(np.zeros(1), {}, specs, {"H_rows": np.array([0])})[0]["f"].tolist() == [2.5]


def test_large_outputs_have_known_values():
    out = [("arr_vals", float, (5,)), ("scal_val", float)]
    H_o, _ = float_x1000(rows([2, 3]), {}, {"out": out}, {})
    npt.assert_array_equal(H_o["arr_vals"], [[2000] * 5])
    assert H_o["scal_val"][0] == 3 + 3 / 1e7


def test_hello_world_is_an_application_with_rank_and_size():
    environment = {"PMI_RANK": "2", "PMI_SIZE": "4"}
    done = subprocess.run(
        [sys.executable, helloworld.__file__], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.startswith("Hello world from rank 2 of 4 on ")


@pytest.mark.parametrize(
    "function", [six_hump_camel.six_hump_camel, six_hump_camel.six_hump_camel_simple, call_branin, norm_eval]
)
def test_functions_name_their_fields(function):
    assert function.inputs == ["x"]
    assert function.outputs == [("f", float)]
    assert len(inspect.signature(function).parameters) >= 3
