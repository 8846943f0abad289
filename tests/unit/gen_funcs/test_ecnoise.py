"""The noise of a function is found, whatever its size, and steps that hide it are called too small or too large."""

import numpy as np
import pytest

from libensemble.gen_funcs.ecnoise import NOISE_FOUND, STEP_TOO_LARGE, STEP_TOO_SMALL, ecnoise


def values(step, noise, count=9, seed=0):
    """A smooth function at equally spaced points, with uniform noise of this standard deviation."""
    t = 1.3 + step * np.arange(count)
    return np.exp(np.sin(t)) * (1 + np.random.default_rng(seed).uniform(-noise, noise, count) * np.sqrt(3))


@pytest.mark.parametrize("noise", [1e-3, 1e-6, 1e-10])
def test_the_noise_is_found_within_a_factor_of_four(noise):
    found = [ecnoise(values(1e-2 * np.sqrt(noise), noise, seed=seed)) for seed in range(50)]
    levels = np.array([estimate.level for estimate in found if estimate.inform == NOISE_FOUND])
    assert len(levels) >= 45
    ratios = levels / (noise * np.exp(np.sin(1.3)))
    assert np.mean((ratios > 1 / 4) & (ratios < 4)) >= 0.9
    assert 0.5 < np.median(ratios) < 2


def test_the_levels_follow_the_formula():
    """Worked by hand: differences of 1, -1, 1, -1 double in size with each order, and so does what they gain."""
    x = 100 + np.array([0.5, -0.5, 0.5, -0.5])
    estimate = ecnoise(x)  # level of order 1: sqrt(1/2 * mean(1)); order 2: sqrt(1/6 * 4); order 3: sqrt(1/20 * 16)
    assert estimate.inform == NOISE_FOUND
    np.testing.assert_allclose(estimate.level, np.sqrt(0.5))


@pytest.mark.parametrize("flat", [[2, 2, 2, 2, 2], [0, 0, 0, 0], [1, 1, 1, 1, 1.001], [1, 1.001, 1.001, 1.001]])
def test_when_half_of_the_values_are_equal_the_step_is_too_small(flat):
    assert ecnoise(flat) == (0.0, STEP_TOO_SMALL)
    assert ecnoise([*flat[:-2], flat[-2] + 0.002, flat[-1] - 0.003, flat[-1]]).inform != STEP_TOO_SMALL


@pytest.mark.parametrize("sign", [1, -1])
def test_when_the_values_differ_by_a_tenth_the_step_is_too_large(sign):
    assert ecnoise(sign * np.array([1.0, 1.12, 1.05, 1.11])).inform == STEP_TOO_LARGE
    assert ecnoise(sign * np.array([1.0, 1.1, 1.05, 1.09])).inform == NOISE_FOUND


def test_a_smooth_function_without_noise_calls_for_smaller_steps():
    assert ecnoise(values(1e-2, 0)).inform == STEP_TOO_LARGE


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_no_numbers_give_no_noise(bad):
    assert ecnoise([1, 1.001, bad, 1.002, 1.003]) == (0.0, STEP_TOO_LARGE)


def test_too_few_values_are_refused():
    with pytest.raises(ValueError, match="at least 4 values, not 3"):
        ecnoise([1, 2, 3])
