"""Measure the checkpoints that ship, and write the table of docs/zoo.md.

python tools/zoo.py                          # measure all, then write CSV and page
python tools/zoo.py --only tiny-colar        # measure some; the others' rows stay
python tools/zoo.py --write                  # measure nothing
"""

import runpy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click
import pandas as pd
from tqdm import tqdm

from latent_tts.harness.questions import QuestionOptions
from latent_tts.harness.sample import sampled_metrics
from latent_tts.models import AutoLatentModel, LatentSettings, Sampler, tokenizer_of
from latent_tts.models.formats import SourceOptions
from latent_tts.results.reports.table import percent, plus_minus
from latent_tts.results.statistics import paired_difference
from latent_tts.reward import LatentRewardModel
from latent_tts.tasks import Question

ROOT = Path(__file__).parent.parent
CSV = ROOT / "results" / "baselines" / "zoo.csv"
TASKS = ("latent_tts_arith", "latent_tts_arith_hard")
VOTERS = 16
"""Of how many candidates votes, best-of-N and weighted votes are taken."""
SEED = 1234


@dataclass(frozen=True)
class Entry:
    """A checkpoint of the table.

    Attributes:
        reward_model: that scores its candidates; None for none.
        samples: N, whose coverage is shown.
        settings: beside the checkpoint's own.
        source: how it is loaded, such as its thinking speed.
        checkpoint: its name, where the row has another.
    """

    reward_model: str | None = None
    samples: int = 64
    settings: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: str = ""


ZOO = {
    "tiny-explicit": Entry(
        samples=VOTERS, settings={"latent_do_sample": False, "do_sample": True, "temperature": 0.7}
    ),
    "tiny-coconut": Entry("tiny-coconut-rm"),
    "tiny-coconut-noise": Entry("tiny-coconut-noise-rm"),
    "tiny-codi": Entry("tiny-codi-rm"),
    "tiny-colar": Entry("tiny-colar-rm"),
    "tiny-colar, speed 1": Entry(
        samples=VOTERS, source={"thinking_speed": 1}, checkpoint="tiny-colar"
    ),
    "tiny-latent-sft": Entry(samples=VOTERS),
}


def measure(name: str, entry: Entry, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield a row for every task and quantity of a checkpoint, on test questions."""
    source = SourceOptions(**entry.source)
    model = AutoLatentModel.from_pretrained(entry.checkpoint or name, source=source)
    reward_model: Any = entry.reward_model and LatentRewardModel.from_pretrained(entry.reward_model)
    settings = model.settings(num_return_sequences=entry.samples, seed=SEED, **entry.settings)
    for task, every in QuestionOptions(tasks=TASKS).load().items():
        for row in _quantities(model, every[:limit], settings, reward_model):
            yield {"checkpoint": name, "task": task} | row


def _quantities(
    model: Any, questions: Sequence[Question], settings: LatentSettings, reward_model: Any
) -> Iterator[dict[str, Any]]:
    alone = replace(settings, sampler=Sampler(), do_sample=False, num_return_sequences=1)
    tokenizer, n = tokenizer_of(model), settings.num_return_sequences
    steady = sampled_metrics(model, tokenizer, questions, alone)["pass@1"]
    found = sampled_metrics(
        model, tokenizer, questions, settings, ks=sorted({1, VOTERS, n}), reward_model=reward_model
    )
    vote = found[f"voting@{VOTERS}"]
    shares = {
        "deterministic": steady,
        "pass@1": found["pass@1"],
        f"voting@{VOTERS}": vote,
        f"coverage@{n}": found[f"pass@{n}"],
    }
    pairs = {f"voting@{VOTERS} - deterministic": (vote, steady)}
    for strategy in ("best_of_n", "weighted_voting") if reward_model is not None else ():
        pairs[f"{strategy}@{VOTERS} - voting@{VOTERS}"] = (found[f"{strategy}@{VOTERS}"], vote)
        pairs[f"{strategy}@{VOTERS} - deterministic"] = (found[f"{strategy}@{VOTERS}"], steady)
    sampler = settings.sampler
    how = {
        "sampler": sampler.name if sampler.strength else "temperature",
        "strength": getattr(sampler, sampler.strength, settings.temperature),
        "N": n,
        "questions": len(questions),
        "seed": settings.seed,
    }
    for quantity, values in shares.items():
        yield how | {"quantity": quantity, "value": values.mean(), "stderr": values.sem()}
    for quantity, (a, b) in pairs.items():
        paired = paired_difference(a, b)
        ends = {"low": paired.low, "high": paired.high}
        yield how | {"quantity": quantity, "value": paired.difference} | ends


def zoo_table(table: pd.DataFrame) -> str:
    """Return what was measured as Markdown: a row a checkpoint and task, in per cent."""
    heads = ["checkpoint", "task", "n", "sampler", "deterministic", "pass@1", f"vote@{VOTERS}"]
    heads += ["coverage@N", f"vote@{VOTERS} − deterministic", f"best of {VOTERS} − vote"]
    heads += ["weighted vote − vote"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for (name, task), rows in table.groupby(["checkpoint", "task"], sort=False):
        by, first = rows.set_index("quantity"), rows.iloc[0]
        cells = [str(name), str(task).removeprefix("latent_tts_")]
        cells += [str(first.questions), f"{first.sampler} {first.strength:g}"]
        for quantity in ("deterministic", "pass@1", f"voting@{VOTERS}", f"coverage@{first.N}"):
            text = plus_minus(by.loc[quantity, "value"], by.loc[quantity, "stderr"])
            cells.append(text + f" (N = {first.N})" * quantity.startswith("coverage"))
        cells.append(_difference(by, f"voting@{VOTERS} - deterministic"))
        for strategy in ("best_of_n", "weighted_voting"):
            cells.append(_difference(by, f"{strategy}@{VOTERS} - voting@{VOTERS}"))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _difference(by: pd.DataFrame, quantity: str) -> str:
    if quantity not in by.index:
        return "–"
    row = by.loc[quantity]
    value, low, high = (percent(x, signed=True) for x in (row.value, row.low, row.high))
    return f"{value} ({low} to {high})"


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(ZOO)), help="Repeatable.")
@click.option("--write", is_flag=True, help="Measure nothing.")
@click.option("--limit", type=click.IntRange(2), help="Questions a task; for trials.")
@click.option("--csv", "file", default=CSV, type=click.Path(path_type=Path))
@click.option("--page", default=ROOT / "docs" / "zoo.md", type=click.Path(path_type=Path))
def main(only: Sequence[str], write: bool, limit: int | None, file: Path, page: Path) -> None:
    """Measure the checkpoints that ship, and write the table of docs/zoo.md."""
    table = pd.read_csv(file) if file.is_file() else pd.DataFrame()
    for name in tqdm([] if write else only or list(ZOO), desc="Checkpoints"):
        rows = pd.DataFrame(measure(name, ZOO[name], limit))
        others = table[table["checkpoint"] != name] if len(table) else table
        table = pd.concat([others, rows])
        order = {known: index for index, known in enumerate(ZOO)}
        table = table.sort_values("checkpoint", key=lambda one: one.map(order), kind="stable")
        table.to_csv(file, index=False, float_format="%.6f")  # what was measured is kept
    text = page.read_text(encoding="utf-8")
    sections = {"zoo": zoo_table(pd.read_csv(file))}
    # Of the script beside this one, which fills the sections of pages.
    fill = runpy.run_path(str(Path(__file__).with_name("readme.py")))["fill_sections"]
    page.write_text(fill({page: text}, sections)[page], encoding="utf-8")


if __name__ == "__main__":
    main()
