"""tools/zoo.py: what the zoo's page shows, and what is measured for it."""

import pandas as pd
import pytest
from click.testing import CliRunner

from tests.tools.load import load

zoo = load("zoo")


def test_the_page_is_what_the_table_says(tmp_path):
    page = tmp_path / "zoo.md"
    text = (zoo.ROOT / "docs" / "zoo.md").read_text()
    page.write_text(text.replace("| tiny-colar | arith |", "| stale |"))
    done = CliRunner().invoke(zoo.main, ["--write", "--page", str(page)], catch_exceptions=False)
    assert done.exit_code == 0
    assert page.read_text() == text


def test_every_row_names_what_was_measured():
    table = pd.read_csv(zoo.CSV)
    assert set(table["checkpoint"]) == set(zoo.ZOO)
    for (name, _), rows in table.groupby(["checkpoint", "task"]):
        assert set(rows["N"]) == {zoo.ZOO[name].samples}
        assert set(rows["seed"]) == {zoo.SEED}


@pytest.mark.slow
def test_a_checkpoint_is_measured_on_both_tasks():
    rows = pd.DataFrame(zoo.measure("tiny-codi", zoo.Entry(samples=16), limit=3))
    by = rows.set_index(["task", "quantity"])["value"]
    for task in zoo.TASKS:
        vote, alone = by[task, "voting@16"], by[task, "deterministic"]
        assert by[task, "voting@16 - deterministic"] == pytest.approx(vote - alone)
        assert by[task, "coverage@16"] >= by[task, "pass@1"]
