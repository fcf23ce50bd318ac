"""`latent-tts sweep`: the table's numbers, computed once more by hand."""

import json
import statistics
from itertools import combinations

import pandas as pd
import pytest
from click.testing import CliRunner

from latent_tts.harness.commands.sweep import sweep
from latent_tts.models import AutoLatentModel, ModelError, load_tokenizer
from latent_tts.tasks import Question
from tests.harness.evaluation import question

PROBLEMS, SAMPLES = 5, 3


@pytest.fixture
def run(talkative, tmp_path):
    """Run the sweep on problems whose answers the model gives now and then; returns its table."""
    model = AutoLatentModel.from_pretrained(talkative["codi"])
    tokenizer = load_tokenizer(str(talkative["codi"]))
    problems = [
        Question(id=str(i), text=question(i), gold=guess(model, tokenizer, question(i)))
        for i in range(PROBLEMS)
    ]
    file = tmp_path / "problems.jsonl"
    rows = ({"id": p.id, "question": p.text, "answer": p.gold} for p in problems)
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    def run(*arguments, output=tmp_path / "tables" / "sweep.csv"):
        command = [f"--pretrained={talkative['codi']}", f"--output={output}", *arguments]
        command += [f"--questions={file}", f"--num-return-sequences={SAMPLES}", "--seed=4"]
        done = CliRunner().invoke(sweep, command, catch_exceptions=False)
        return done, pd.read_csv(output, keep_default_na=False), (model, tokenizer, problems)

    return run


def guess(model, tokenizer, text):
    """One of the answers that the model samples."""
    answers = answer(model, tokenizer, text, latent_do_sample_by="noise", noise_std=0.3)
    return next((found for found in answers if found), "5")


def answer(model, tokenizer, text, **settings):
    """The answers of SAMPLES candidates, straight from `generate`."""
    import torch

    prompt = model.encode_prompt(tokenizer, text)
    output = model.generate(
        torch.tensor([prompt]),
        num_return_sequences=settings.pop("count", SAMPLES),
        seed=4,
        return_dict_in_generate=True,
        **settings,
    )
    answers = []
    for row in range(len(output.sequences)):
        start = len(prompt) + int(output.latent_lengths[row]) + 1
        end = start + int(output.answer_lengths[row]) - (not output.truncated[row])
        text = tokenizer.decode(output.sequences[row, start:end])
        answers.append(model.read_answer(text))
    return answers


def vote(answers):
    """The most frequent answer, of tied ones the earliest; None does not vote."""
    given = [found for found in answers if found is not None]
    return max(given, key=lambda found: (given.count(found), -given.index(found)), default=None)


def check(row, loaded, **settings):
    model, tokenizer, problems = loaded
    count = settings.get("count", SAMPLES)
    table = [answer(model, tokenizer, problem.text, **settings) for problem in problems]
    golds = [problem.gold for problem in problems]
    values = {
        "pass@1": [one.count(gold) / count for one, gold in zip(table, golds, strict=True)],
        "coverage": [float(gold in one) for one, gold in zip(table, golds, strict=True)],
        "voting": [float(vote(one) == gold) for one, gold in zip(table, golds, strict=True)],
        "unparsed": [one.count(None) / count for one in table],
    }
    for name, each in values.items():
        error = statistics.stdev(each) / len(each) ** 0.5
        assert row[name] == pytest.approx(statistics.mean(each), abs=5e-5)
        assert row[f"{name}_stderr"] == pytest.approx(error, abs=5e-5)
    assert (row["N"], row["problems"], row["seed"]) == (count, PROBLEMS, 4)
    return values


@pytest.mark.slow
def test_every_row_holds_what_its_settings_give(run):
    done, table, loaded = run(
        *("--dropout-p=0.05", "--dropout-p=0.4", "--noise-std=0.3"),
        *("--dropout-scope=thoughts", "--dropout-site=residual"),
    )
    assert done.exit_code == 0
    rows = table.to_dict("records")
    assert [(row["sampler"], row["strength"]) for row in rows] == [
        ("none", 0.0),
        ("dropout", 0.05),
        ("dropout", 0.4),
        ("noise", 0.3),
    ]
    own = "dropout_site=residual dropout_scope=thoughts dropout_mask=step"
    assert [row["parameters"] for row in rows] == ["", own, own, ""]
    check(rows[0], loaded, latent_do_sample=False, count=1)
    dropout = {"latent_do_sample_by": "dropout", "dropout_scope": "thoughts"}
    for row in rows[1:3]:
        check(row, loaded, dropout_p=row["strength"], dropout_site="residual", **dropout)
    values = check(rows[3], loaded, latent_do_sample_by="noise", noise_std=0.3)
    assert max(values["coverage"]) == 1.0  # the golds are answers of these samples
    assert all(str(row["strength"]) in done.stdout for row in rows)


def test_the_vote_by_hand_is_the_plurality():
    for answers in combinations(["1", "2", "2", None, "1"], 3):
        votes = {found: answers.count(found) for found in answers if found}
        assert votes[vote(answers)] == max(votes.values())


def test_nothing_to_try(tmp_path):
    done = CliRunner().invoke(sweep, [f"--output={tmp_path / 'sweep.csv'}"])
    assert done.exit_code == 2
    flags = "--dropout-p or --noise-std or --latent-temperature or --gumbel-scale"
    assert f"Nothing to try: give {flags} or --dirichlet-alpha at least once" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dropout-p=1.5"], "dropout_p=1.5; allowed is a number at least 0 and below 1"),
        (["--noise-std=-1"], "noise_std=-1.0; allowed is a number at least 0"),
        (["--dropout-p=0.1", "--dropout-site=attention"], "dropout_site='attention'"),
        (["--dropout-p=0.1", "--dropout-scope=everything"], "dropout_scope='everything'"),
        (["--noise-std=1", "--num-return-sequences=0"], "num_return_sequences=0; allowed"),
        (["--noise-std=1", "--pretrained=./nowhere"], "No checkpoint at './nowhere'"),
    ],
)
def test_wrong_settings_are_refused_before_anything_runs(checkpoints, tmp_path, arguments, message):
    output = tmp_path / "sweep.csv"
    command = [f"--pretrained={checkpoints['coconut']}", f"--output={output}", "--problems=2"]
    with pytest.raises(ModelError, match=message):
        CliRunner().invoke(sweep, [*command, *arguments], catch_exceptions=False)
    assert not output.exists()
