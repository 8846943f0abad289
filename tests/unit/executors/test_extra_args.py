"""Extra arguments are understood where they state a number by an exact spelling, and are never complained about."""

import pytest

from libensemble.executors.extra_args import ExtraArgs


@pytest.mark.parametrize("text", ["-n 8", "-n8", "-n=8", "-n 2 -n 8", "-x -n 8 -v"])
def test_forms_of_a_short_option(text):
    extra = ExtraArgs(text)
    assert extra.has(["-n"]) and extra.value(["-n", "-np"]) == 8


@pytest.mark.parametrize("text", ["--ppn 4", "--ppn=4"])
def test_forms_of_a_long_option(text):
    assert ExtraArgs(text).value(["--ppn", "-ppn"]) == 4


@pytest.mark.parametrize("text", ["-nolocal", "-np 8", "--n 8", "-N 8", "-hosts n", '"-n 8"', "", None, "--ppn4"])
def test_other_options_are_not_taken_for_it(text):
    assert not ExtraArgs(text).has(["-n", "--ppn"])
    assert ExtraArgs(text).value(["-n", "--ppn"]) is None


@pytest.mark.parametrize("text", ["-n x", "-n", "-n=1-2", "-n 1.5", "-n -v"])
def test_what_is_no_whole_number_states_nothing_but_is_there(text):
    assert ExtraArgs(text).has(["-n"]) and ExtraArgs(text).value(["-n"]) is None


@pytest.mark.parametrize(
    "text, words",
    [
        ('--opt "a b"  c', ["--opt", '"a b"', "c"]),
        ('--opt="a b"', ['--opt="a b"']),
        ("it's open", ["it's", "open"]),
    ],
)
def test_words_keep_their_quotes(text, words):
    assert ExtraArgs(text).words == words


@pytest.mark.parametrize("text", ["--gres=gpu:2", "--gres=gpu:a100:2"])
def test_a_name_that_ends_in_a_sign_is_found_with_its_value(text):
    assert ExtraArgs(text).has_beginning("--gres=gpu:")
    assert not ExtraArgs("--gres=fpga:1").has_beginning("--gres=gpu:")
