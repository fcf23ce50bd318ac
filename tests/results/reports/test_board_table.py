"""The board as one table: what stands beside each run, and what is left out."""

from latent_tts.results import collect
from latent_tts.results.reports.board_table import board_table
from tests.results.made import edit, make_pool, write_run

POOLS = [("5", make_pool("5", "4")), ("7", make_pool("6", "6")), ("8", make_pool("8", "8"))]
STEADY = [(gold, make_pool(pool.candidates[0].answer)) for gold, pool in POOLS]
GREEDY = {"latent_do_sample": False}
WRITTEN = {"latent_do_sample": False, "do_sample": True, "temperature": 0.7}
HEAD = """\
| task | run | model | samples | deterministic | one sample | vote | coverage | \
vote of written chains, equal FLOPs | MFLOPs |
|---|---|---|---|---|---|---|---|---|---|
"""


def table(folder):
    runs, problems = collect([folder])
    assert not problems
    return board_table(runs)


def test_deterministic_answers_stand_beside_the_samples_of_their_model(tmp_path):
    write_run(tmp_path / "noise", POOLS)
    write_run(tmp_path / "steady", STEADY, settings=GREEDY)
    # pass@1 is 1/2, 0 and 1; the tied vote goes to the first.
    assert table(tmp_path) == HEAD + (
        "| arith | noise | tiny | 2 x noise 0.6 | 66.7 ± 33.3 | 50.0 ± 28.9 | 66.7 ± 33.3 "
        "| 66.7 ± 33.3 | – | 0.032 |"
    )


def test_a_model_that_is_not_sampled_has_a_row_of_its_own(tmp_path):
    write_run(tmp_path / "steady", STEADY, settings=GREEDY)
    assert "| arith | steady | tiny | 1 | 66.7 ± 33.3 |" in table(tmp_path)


def test_written_chains_are_as_many_as_the_same_operations_pay(tmp_path):
    """Both take as many tokens a candidate; the model that writes is twice as large."""
    write_run(tmp_path / "latent", POOLS)
    made = write_run(tmp_path / "written", POOLS, settings=WRITTEN)

    def dearer(content):
        content["config"]["model_num_parameters"] *= 2
        content["config"]["latent_tts"]["backbone"] = "explicit"

    edit(made, dearer)
    rows = {line.split(" | ")[1]: line.split(" | ") for line in table(tmp_path).splitlines()[2:]}
    assert rows["latent"][-2] == "50.0 ± 28.9 (1)"  # one chain of two: 1/2, 0 and 1
    assert rows["written"][-2] == "–"
