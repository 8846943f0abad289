"""A persistent generator that estimates noise, from which steps for finite differences follow.

Every output of F: R^n -> R^p is looked at along every coordinate: the pair (i, j) is output j along coordinate i. Its
values at equally spaced points go to `ecnoise.ecnoise`, which finds the noise, or says that the points lie too close to
each other or too far apart. The allocation function is `start_fd_persistent.finite_diff_alloc`, which hands results
back pair by pair.
"""

import numpy as np

from libensemble.gen_funcs.ecnoise import NOISE_FOUND, STEP_TOO_LARGE, STEP_TOO_SMALL, ecnoise
from libensemble.message_numbers import EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG, PERSIS_STOP, STOP_TAG
from libensemble.tools.persistent_support import PersistentSupport

__all__ = ["fd_param_finder"]

STEP_CHANGE = 100.0  # factor between the steps of two attempts


def fd_param_finder(_, persis_info, gen_specs, libE_info):
    """Estimate the noise of every output along every coordinate.

    Each round asks for the values of the pairs that need them: ``nf`` points around ``x0`` each, without ``x0`` itself.
    A step that is too small is multiplied by 100 for the next attempt, one that is too large divided by it.

    Parameters
    ----------
    gen_specs : dict
        ``user``: ``x0`` (n floats), ``f0`` (p floats, the values there), ``n``, ``p``, ``nf`` (points per attempt, even
        and at least 4), ``noise_h_mat`` (n by p floats: steps of the first attempts; later ones are written into it),
        ``maxnoiseits`` (attempts per pair). Out fields: ``x``, ``x_ind`` (coordinate), ``f_ind`` (output), ``n_ind``
        (place in the row of points: 0 to nf, where nf / 2 is ``x0``). Fields handed back: ``f_val``, ``x_ind``,
        ``f_ind``, ``n_ind``.

    Returns
    -------
    H_o : structured array
        The points that were asked for last.
    persis_info : dict
        With three arrays of n by p: ``Fnoise`` (noise levels; 0 where none was found), ``noise_inform`` (1 where it was
        found; 2 or 3 where the last step was too small or too large; 0 where no attempt was completed) and
        ``noise_h_mat`` (steps of the last attempts).
    FINISHED_PERSISTENT_GEN_TAG

    Raises
    ------
    ValueError
        ``nf`` is odd or too small, or an array has another shape than ``n`` and ``p`` say.
    """
    search = NoiseSearch(gen_specs)
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    H_o = request = search.points(search.pairs())
    while search.is_open.any():
        tag, _, calc_in = support.send_recv(request)
        again = search.ended_in(calc_in) if calc_in is not None else []
        if tag in (STOP_TAG, PERSIS_STOP):
            break
        request = search.points(again)  # without points it says: waiting for the other pairs
        H_o = request if len(request) else H_o
    persis_info.update(Fnoise=search.noise, noise_inform=search.inform, noise_h_mat=search.steps)
    return H_o, persis_info, FINISHED_PERSISTENT_GEN_TAG


class NoiseSearch:
    """What is known of each pair: its step, its values so far, its attempts, and its noise."""

    def __init__(self, gen_specs):
        user = gen_specs["user"]
        n, p, self.nf = user["n"], user["p"], user["nf"]
        self.x0, self.f0 = np.asarray(user["x0"], dtype=float), np.asarray(user["f0"], dtype=float)
        self.steps = np.asarray(user["noise_h_mat"], dtype=float)  # the user's own array, if its type allows
        self.max_attempts, self.out = user["maxnoiseits"], gen_specs["out"]
        if self.nf % 2 or self.nf < 4:
            raise ValueError(f"user['nf'] must be even and at least 4, not {self.nf}")
        shapes = {"x0": (self.x0, (n,)), "f0": (self.f0, (p,)), "noise_h_mat": (self.steps, (n, p))}
        for name, (array, shape) in shapes.items():
            if np.shape(array) != shape:
                raise ValueError(f"user[{name!r}] must have the shape {shape}, not {np.shape(array)}")
        self.noise, self.inform = np.zeros((n, p)), np.zeros((n, p), dtype=int)
        self.attempts, self.is_open = np.zeros((n, p), dtype=int), np.full((n, p), self.max_attempts > 0)
        self.values = np.full((n, p, self.nf + 1), np.nan)
        self.missing = np.zeros((n, p), dtype=int)

    def pairs(self):
        """Return the pairs that are open."""
        return [(int(i), int(j)) for i, j in np.argwhere(self.is_open)]

    def points(self, pairs):
        """Return the points of the next attempt for these pairs."""
        places = np.delete(np.arange(self.nf + 1), self.nf // 2)
        H_o = np.zeros(len(pairs) * self.nf, dtype=self.out)
        for (i, j), rows in zip(pairs, H_o.reshape(len(pairs), self.nf), strict=True):
            x = np.tile(self.x0, (self.nf, 1))
            x[:, i] += (places - self.nf / 2) * self._next_step(i, j)
            rows["x"] = x.reshape(rows["x"].shape)
            rows["x_ind"], rows["f_ind"], rows["n_ind"] = i, j, places
            self.attempts[i, j] += 1
            self.missing[i, j] = self.nf
            self.values[i, j, self.nf // 2] = self.f0[j]
        return H_o

    def _next_step(self, i, j):
        if self.inform[i, j] == STEP_TOO_SMALL:
            self.steps[i, j] *= STEP_CHANGE
        elif self.inform[i, j] == STEP_TOO_LARGE:
            self.steps[i, j] /= STEP_CHANGE
        return self.steps[i, j]

    def ended_in(self, calc_in):
        """Take in results, judge the pairs that are complete, and return those that need another attempt."""
        again = []
        for row in calc_in:
            i, j = int(row["x_ind"]), int(row["f_ind"])
            self.values[i, j, row["n_ind"]] = row["f_val"]
            self.missing[i, j] -= 1
            if self.missing[i, j] == 0 and self._needs_another(i, j):
                again.append((i, j))
        return again

    def _needs_another(self, i, j):
        self.noise[i, j], self.inform[i, j] = ecnoise(self.values[i, j])
        found = self.inform[i, j] == NOISE_FOUND
        self.is_open[i, j] = not found and self.attempts[i, j] < self.max_attempts
        return self.is_open[i, j]
