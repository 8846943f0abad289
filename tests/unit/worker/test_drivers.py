"""A generator object is asked, told and ended as documented, whatever it speaks."""

import numpy as np
import numpy.testing as npt
import pytest
from gest_api.vocs import VOCS

from libensemble.errors import RemoteException
from libensemble.gen_classes import UniformSample
from libensemble.gen_classes.external import sampling as external_sampling
from libensemble.generators import LibensembleGenerator, PersistentGenInterfacer
from libensemble.message_numbers import EVAL_GEN_TAG, FINISHED_PERSISTENT_GEN_TAG, PERSIS_STOP, STOP_TAG
from libensemble.tools.persistent_support import PersistentSupport
from libensemble.worker.drivers import drive
from tests.fakes.mailbox_pair import Rows, ScriptedMailbox, Stop, evaluating

VOCS_ = VOCS(variables={"a": [0, 1], "b": [0, 1]}, objectives={"f": "MINIMIZE"}, constants={"k": 2.5, "s": "text"})
SCALARS = [("a", float), ("b", float)]
WITH_CONSTANTS = [*SCALARS, ("k", float), ("s", "U4")]


class Recorder:
    """A generator of nobody's making: counts up, and writes down what happens to it."""

    def __init__(self):
        self.asked, self.told, self.count, self.ended = [], [], 0, 0

    def suggest(self, num_points):
        self.asked.append(num_points)
        points = [{"a": float(self.count + i), "b": 0.5} for i in range(num_points)]
        self.count += num_points
        return points

    def ingest(self, results):
        self.told.append(results)

    def finalize(self):
        self.ended += 1


def run(generator, answer=None, out=SCALARS, calc_in=None, idle_workers=4, **specs):
    answer = answer or evaluating(lambda points: np.zeros(len(points)), rounds=3)
    mailbox = ScriptedMailbox(answer, num_workers=2)
    persis_info = {"untouched": 1}
    specs = {"out": out, "vocs": None, **specs}
    returned = drive(generator, specs, calc_in, persis_info, {"comm": mailbox, "batch_size": idle_workers})
    assert returned == (None, persis_info, FINISHED_PERSISTENT_GEN_TAG) and persis_info == {"untouched": 1}
    return mailbox


class TestBatchSizes:
    @pytest.mark.parametrize(
        ("specs", "first", "later"),
        [
            ({}, 4, 4),
            ({"batch_size": 3}, 3, 3),
            ({"initial_batch_size": 6}, 6, 6),  # as many as came back
            ({"initial_batch_size": 6, "batch_size": 2}, 6, 2),
        ],
    )
    def test_the_first_batch_and_the_later_ones(self, specs, first, later):
        generator = Recorder()
        run(generator, **specs)
        assert generator.asked == [first, later, later]

    def test_as_many_points_as_results_came(self):
        sizes = iter([3, 0, 1])

        def answer(points, number):
            count = next(sizes, None)
            return Stop() if count is None else Rows(np.zeros(count, dtype=[("a", float)]), list(range(count)))

        generator = Recorder()
        run(generator, answer)
        assert generator.asked == [4, 3, 3, 1]
        assert [len(results) for results in generator.told] == [3, 1]

    def test_without_a_word_on_size_there_is_a_point_per_worker(self):
        generator = Recorder()
        run(generator, idle_workers=None)
        assert generator.asked[0] == 2

    def test_fewer_points_or_none_are_sent_as_they_are(self):
        class Finite(Recorder):
            def suggest(self, num_points):
                return super().suggest(max(0, min(num_points, 5 - self.count)))

        def answer(points, number):
            return Stop() if len(points) == 0 else Rows(np.zeros(4, dtype=[("f", float)]), [0, 1, 2, 3])

        mailbox = run(Finite(), answer)
        assert [len(points) for points in mailbox.sent] == [4, 1, 0]
        assert mailbox.sent[-1].dtype == np.dtype(SCALARS)


class TestTheEnd:
    @pytest.mark.parametrize("tag", [STOP_TAG, PERSIS_STOP])
    def test_a_stop_right_after_the_first_batch_ingests_nothing(self, tag):
        generator = Recorder()
        run(generator, lambda points, number: Stop(tag=tag))
        assert generator.told == [] and generator.ended == 1

    def test_results_that_come_with_the_stop_are_ingested(self):
        generator = Recorder()
        run(generator, evaluating(lambda points: points["a"], rounds=2, final=True))
        assert [[point["f"] for point in results] for results in generator.told] == [[0, 1, 2, 3], [4, 5, 6, 7]]

    def test_a_stop_with_no_rows_ingests_nothing(self):
        generator = Recorder()
        run(generator, lambda points, number: Stop(np.zeros(0, dtype=[("f", float)])))
        assert generator.told == [] and generator.ended == 1


class TestWhatTravels:
    def test_results_are_dicts_of_plain_scalars_without_unset_ids(self):
        data = np.zeros(2, dtype=[("a", float), ("n", int), ("s", "U3"), ("_id", int), ("v", float, (2,))])
        data["_id"] = [5, -1]
        generator = Recorder()
        run(generator, lambda points, number: Rows(data, [0, 1]) if number == 1 else Stop())
        [[first, second]] = generator.told
        assert [type(first[name]) for name in ("a", "n", "s", "_id", "v")] == [float, int, str, int, np.ndarray]
        assert "_id" not in second

    def test_a_starting_history_is_ingested_first(self):
        generator = Recorder()
        run(generator, calc_in=np.array([(1.0, 2.0)], dtype=[("a", float), ("f", float)]))
        assert generator.told[0] == [{"a": 1.0, "f": 2.0}]

    @pytest.mark.parametrize("vocs", [VOCS_, VOCS_.model_dump()], ids=["object", "dict"])
    def test_constants_are_filled_in(self, vocs):
        points = run(Recorder(), out=WITH_CONSTANTS, vocs=vocs).sent[0]
        assert set(points["k"]) == {2.5} and set(points["s"]) == {"text"}

    def test_a_constant_that_the_generator_gives_wins(self):
        class Own(Recorder):
            def suggest(self, num_points):
                return [{**point, "k": 9.0} for point in super().suggest(num_points)]

        points = run(Own(), out=WITH_CONSTANTS, vocs=VOCS_).sent[0]
        assert set(points["k"]) == {9.0} and set(points["s"]) == {"text"}

    def test_constants_of_the_generators_own_vocs_count(self):
        generator = Recorder()
        generator.vocs = VOCS_
        assert set(run(generator, out=WITH_CONSTANTS).sent[0]["k"]) == {2.5}

    def test_undeclared_constants_are_left_out(self):
        assert run(Recorder(), vocs=VOCS_).sent[0].dtype.names == ("a", "b")

    def test_names_are_gathered_and_split_by_the_generators_mapping(self):
        generator = Recorder()
        generator.variables_mapping = {"x": ["a", "b"]}
        mailbox = run(generator, out=[("x", float, (2,))])
        npt.assert_array_equal(mailbox.sent[0]["x"], [[0, 0.5], [1, 0.5], [2, 0.5], [3, 0.5]])
        assert generator.told[0][1] == {"a": 1.0, "b": 0.5, "sim_id": 1, "f": 0.0}

    def test_ids_are_sent(self):
        class WithId(Recorder):
            returns_id = True

            def suggest(self, num_points):
                return [{**point, "_id": 100 + i} for i, point in enumerate(super().suggest(num_points))]

        assert run(WithId(), out=[*SCALARS, ("_id", int)]).sent[0]["_id"].tolist() == [100, 101, 102, 103]


class TestAnyGenerator:
    def test_suggest_alone_is_enough(self):
        class Bare:
            def suggest(self, num_points):
                return [{"x": np.ones(2)} for _ in range(num_points)]

        npt.assert_array_equal(run(Bare(), out=[("x", float, 2)]).sent[0]["x"], np.ones((4, 2)))

    def test_no_suggest_is_said(self):
        with pytest.raises(TypeError, match=r"suggest.* object"):
            run(object())

    def test_fields_must_be_declared(self):
        with pytest.raises(ValueError, match=r"Recorder generate.* vocs, or outputs"):
            run(Recorder(), out=[])

    def test_fields_may_be_declared_by_the_generator(self):
        generator = Recorder()
        generator.gen_specs = {"out": SCALARS}
        assert run(generator, out=[]).sent[0].dtype == np.dtype(SCALARS)


class Arrays(LibensembleGenerator):
    """Suggests vectors that count up; keeps what it ingests."""

    extra = ()

    def suggest_numpy(self, num_points=0):
        points = np.zeros(num_points, dtype=[("x", float, (2,)), *self.extra])
        points["x"] = np.arange(2 * num_points).reshape(num_points, 2)
        return points

    def ingest_numpy(self, results):
        self.told = [*getattr(self, "told", []), results]


class TestArrayGenerators:
    def test_vectors_are_split_into_the_fields_of_the_vocs_and_back(self):
        generator = Arrays(VOCS_)
        mailbox = run(generator, out=WITH_CONSTANTS, vocs=VOCS_)
        points = mailbox.sent[0]
        assert points.dtype.names == ("a", "b", "k", "s")
        assert points["a"].tolist() == [0, 2, 4, 6] and points["b"].tolist() == [1, 3, 5, 7]
        assert set(points["k"]) == {2.5}
        npt.assert_array_equal(generator.told[0]["x"], np.arange(8).reshape(4, 2))
        assert {"f", "k", "s", "sim_id"} <= set(generator.told[0].dtype.names)

    def test_a_declared_vector_stays_a_vector(self):
        generator = Arrays(VOCS_)
        assert run(generator, out=[("x", float, (2,))]).sent[0].dtype == np.dtype([("x", float, (2,))])
        assert generator.told[0]["x"].shape == (4, 2)

    def test_vector_and_scalars_may_both_be_declared(self):
        points = run(Arrays(VOCS_), out=[("x", float, (2,)), *SCALARS]).sent[0]
        npt.assert_array_equal(points["x"][:, 1], points["b"])

    def test_a_name_that_is_also_the_field_is_split(self):
        vocs = VOCS(variables={"x": [0, 1], "y": [0, 1]}, objectives={"f": "MINIMIZE"})
        points = run(Arrays(vocs), out=[("x", float), ("y", float)], vocs=vocs).sent[0]
        assert points["x"].tolist() == [0, 2, 4, 6] and points["y"].tolist() == [1, 3, 5, 7]

    def test_fields_beyond_the_declared_ones_are_sent_along(self):
        class More(Arrays):
            extra = (("local_pt", bool),)

        assert run(More(VOCS_), out=SCALARS).sent[0].dtype.names == ("a", "b", "local_pt")

    def test_a_vector_of_the_wrong_length_is_named(self):
        with pytest.raises(ValueError, match=r"'x' the shape \(2,\) per point; the field has shape \(3,\)"):
            run(Arrays(VOCS_), out=[("x", float, (3,))])

    def test_updates_leave_the_state_as_it_is(self):
        class Updating(Arrays):
            def suggest_updates(self):
                return [np.zeros(1, dtype=[("sim_id", int)]), np.zeros(0, dtype=[("sim_id", int)])]

        mailbox = run(Updating(VOCS_))
        assert len(mailbox.updates) == 4  # one with each batch, and one at the end
        assert all(len(update) == 1 for update in mailbox.updates)

    def test_both_uniform_samplers_send_the_same_points(self):
        vocs = VOCS(variables={"a": [-3, 1], "b": [2, 5]}, objectives={"f": "MINIMIZE"})
        by_array = run(UniformSample(vocs), vocs=vocs)
        by_dict = run(external_sampling.UniformSample(vocs), vocs=vocs)
        npt.assert_array_equal(np.concatenate(by_array.sent), np.concatenate(by_dict.sent))


def gen_f(H, persis_info, gen_specs, libE_info):
    """Send three points per round and one request to cancel; end by itself after the given number of rounds."""
    support = PersistentSupport(libE_info, EVAL_GEN_TAG)
    tag, rounds = None, 0
    persis_info["told"], persis_info["rows"] = [], []
    while tag not in (STOP_TAG, PERSIS_STOP) and rounds < gen_specs["user"]["rounds"]:
        rounds += 1
        points = np.zeros(3, dtype=gen_specs["out"])
        points["x"] = rounds
        support.request_cancel_sim_ids([rounds])
        tag, Work, calc_in = support.send_recv(points)
        if calc_in is not None:
            persis_info["rows"].append(Work["libE_info"]["H_rows"].tolist())
            persis_info["told"].append(calc_in["x"].tolist())
        if gen_specs["user"].get("fails"):
            raise KeyError("lost")
    return None, persis_info, FINISHED_PERSISTENT_GEN_TAG


class Background(PersistentGenInterfacer):
    threaded = True


class TestBackgroundGenerators:
    def generator(self, **user):
        specs = {"gen_f": gen_f, "out": [("x", float, (2,))], "persis_in": ["x", "f", "sim_id"], "user": user}
        return Background(VOCS_, gen_specs=specs)

    def test_its_points_and_results_are_moved_both_ways_until_the_stop(self):
        generator = self.generator(rounds=99)
        mailbox = run(generator, out=WITH_CONSTANTS, vocs=VOCS_, batch_size=1)
        assert [points["a"].tolist() for points in mailbox.sent] == [[1] * 3, [2] * 3, [3] * 3]
        assert set(mailbox.sent[0]["k"]) == {2.5}
        assert [request["sim_id"].tolist() for request in mailbox.updates] == [[1], [2], [3]]
        assert generator.export()[1]["told"] == [[[1, 1]] * 3, [[2, 2]] * 3]

    def test_last_results_reach_it_with_the_stop(self):
        generator = self.generator(rounds=99)
        run(generator, evaluating(lambda points: points["a"], rounds=2, final=True))
        assert generator.export()[1]["told"] == [[[1, 1]] * 3, [[2, 2]] * 3]

    def test_it_may_end_by_itself(self):
        generator = self.generator(rounds=2)
        mailbox = run(generator, evaluating(lambda points: points["a"], rounds=99))
        assert len(mailbox.sent) == 2 and len(generator.export()[1]["told"]) == 2

    def test_its_errors_are_raised_here(self):
        with pytest.raises(RemoteException, match="KeyError: 'lost'") as caught:
            run(self.generator(rounds=9, fails=True), evaluating(lambda points: points["a"], rounds=99))
        assert "gen_f" in caught.value.exc

    def test_results_without_ids_are_known_by_their_row(self):
        def answer(points, number):
            data = np.zeros(2, dtype=[("a", float), ("b", float), ("f", float)])
            return Rows(data, [7, 8]) if number == 1 else Stop()

        generator = self.generator(rounds=99)
        run(generator, answer)
        assert generator.export()[1]["rows"] == [[7, 8]]

    def test_an_answer_without_rows_is_handed_on(self):
        def answer(points, number):
            return Rows(np.zeros(0, dtype=[("a", float), ("b", float), ("sim_id", int)]), []) if number == 1 else Stop()

        mailbox = run(self.generator(rounds=99), answer)
        assert len(mailbox.sent) == 2
