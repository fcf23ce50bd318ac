"""`latent-tts bench` on models of a few numbers."""

import json
import time
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner
from torch.utils.flop_counter import FlopCounterMode

from latent_tts.harness.bench import SAMPLERS, Work, explicit, needed, straightforward
from latent_tts.harness.bench.command import bench
from latent_tts.harness.bench.endless import compare_endless
from latent_tts.harness.bench.flat import SMALL, compare_lengths
from latent_tts.harness.bench.measures import Spread, matrix_rate, peak_memory, seconds
from latent_tts.harness.bench.randomness import same_rows
from latent_tts.harness.bench.samplers import memory_growth
from latent_tts.harness.bench.setup import Setup
from latent_tts.harness.bench.work import LEAST_VOCABULARY, TOKENIZER
from latent_tts.models import ModelError, load_tokenizer
from latent_tts.models.backbones.tokens import LatentTokens

SIZES = {"layers": 2, "width": 32, "heads": 2, "vocabulary": LEAST_VOCABULARY}
WORK = Work(**SIZES, questions=3, prompt_tokens=9, thoughts=3, answer_tokens=4)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model():
    return WORK.model(CPU, torch.float32)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("latent_tts.harness.bench.measures._RATE_SECONDS", 1e-3)


def setup(**changed):
    given = {"samplers": ("noise",), "counts": (1,), "rounds": 1, "work": WORK} | changed
    return Setup(**given, device=CPU, dtype=torch.float32)


def run(*arguments, of="samplers"):
    sizes = [f"--{name}={value}" for name, value in SIZES.items()]
    sizes += ["--thoughts=2", "--answer-tokens=3", "--reasoning-tokens=4"]
    if of != "endless":
        sizes += ["--questions=2", "--prompt-tokens=7"]
    command = [of, *sizes, "--rounds=2", "--device=cpu", *arguments]
    return CliRunner().invoke(bench, command, catch_exceptions=False)


def test_a_row_for_every_setting(tmp_path):
    file = tmp_path / "new" / "bench.json"
    done = run("--samples=1", "--samples=3", f"--json={file}")
    assert done.exit_code == 0, done.output
    rows = json.loads(file.read_text())
    settings = [(row["sampler"], row["scope"], row["num_return_sequences"]) for row in rows]
    assert settings == [(*setting, count) for count in (1, 3) for setting in SAMPLERS.values()]
    lines = done.stdout.splitlines()
    assert "device cpu" in lines[0]
    assert "seed 0" in lines[0]
    assert lines[1].split()[:4] == ["sampler", "scope", "N", "samples/s"]
    assert len(lines) == 2 + 6 + 3
    assert "noise over thoughts: memory at N = 3 is" in lines[8]
    for row in rows:
        count = row["num_return_sequences"]
        for name in (
            *(f"ratio_to_{way}" for way in ("straightforward", "explicit", "generate")),
            *("samples_per_s", "share_of_bound", "matrix_operations_per_s"),
        ):
            assert 0 < row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
        assert row["share_of_bound"] < 1
        assert row["peak_bytes"] >= 0
        assert row["peak_beyond_weights_bytes"] > 10e6  # Python and torch
        read = 7 if "prompt" in row["scope"] else 7 / count
        each = row["token_forwards_per_s"] / row["samples_per_s"]
        assert each == pytest.approx(read + 2 + 1 + 2)
        assert (row["layers"], row["device"], row["dtype"]) == (2, "cpu", "float32")


def test_the_growth_of_memory_is_from_one_count_to_the_next():
    rows = [
        {
            "sampler": "noise",
            "scope": "thoughts",
            "num_return_sequences": count,
            "peak_bytes": during,
            "peak_beyond_weights_bytes": beyond,
        }
        for count, during, beyond in ((64, 30, 120), (1, 1, 1), (8, 10, 100))
    ]
    (sentence,) = memory_growth(rows)
    assert "N = 64 is 1.20 times that at N = 8 beyond the weights, and 3.00 times" in sentence
    assert memory_growth(rows[:1]) == []


def test_prompts_are_of_the_length_asked_for():
    ids = WORK.prompts()
    assert ids.shape == (3, 9)
    assert len({tuple(row) for row in ids.tolist()}) == 3
    assert replace(WORK, questions=5, prompt_tokens=200).prompts().shape == (5, 200)
    assert len(load_tokenizer(TOKENIZER)) <= LEAST_VOCABULARY - 32
    assert torch.equal(replace(WORK, questions=8).prompts()[:3], ids)


@pytest.mark.parametrize("eos", [(), (5,)])
def test_the_straightforward_way_does_the_engines_work(model, monkeypatch, eos):
    ids = WORK.prompts()
    settings = replace(WORK.settings(model, "noise", 1), latent_do_sample=False)
    if eos:  # a token that some row says before its last
        said = model.generate(ids, **vars(settings))[0, -3]
        monkeypatch.setattr(model, "latent_tokens", LatentTokens(1, 2, eos=(int(said),), pad=0))
    sequences, thoughts = straightforward(model, ids, settings)
    output = model.generate(ids, return_dict_in_generate=True, **vars(settings))
    assert torch.equal(output.sequences[:, 9:], sequences)
    torch.testing.assert_close(output.latent_thoughts, thoughts)
    assert eos or sequences.shape == (3, WORK.new_tokens)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_straightforward_way_samples(model, sampler):
    settings = replace(WORK.settings(model, sampler, 4), dropout_p=0.3)
    straightforward(model, WORK.prompts(), settings)
    hooks = [len(module._forward_hooks) for module in model.modules()]  # some are transformers'
    _, thoughts = straightforward(model, WORK.prompts(), settings)
    assert thoughts.shape == (12, 3, 32)
    assert [len(module._forward_hooks) for module in model.modules()] == hooks
    own = thoughts.view(3, 4, 3, 32)
    differ = (own[:, :1] - own[:, 1:]).abs().amax(dim=-1) > 1e-3
    # Under dropout over thoughts the first one is read out of a prompt that all samples share.
    assert differ.any(dim=0).any(dim=0).tolist() == [sampler != "dropout-thoughts", True, True]


@pytest.mark.parametrize("count", [1, 2])
def test_explicit_texts_are_as_long_as_asked_for(model, count):
    texts = explicit(model, WORK.prompts(), count=count, tokens=5)
    assert texts.shape == (3 * count, 14)
    assert torch.equal(texts[::count, :9], WORK.prompts())


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_bound_counts_what_a_plain_forward_does_once(sampler):
    """Each prompt alone and every new input after a cache, by torch's own counter."""
    work = replace(WORK, width=64, prompt_tokens=12)
    model = work.model(CPU, torch.float32)
    model.set_attn_implementation("eager")
    each_reads = sampler.startswith("dropout-prompt")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        cache = model.base_model(work.prompts()[:1], use_cache=True).past_key_values
        prompt = counter.get_total_flops()
        for step in range(work.new_tokens - 1):
            hidden = model.base_model(torch.tensor([[3]]), past_key_values=cache)
            if step >= work.thoughts:
                model.lm_head(hidden.last_hidden_state)
    sample = counter.get_total_flops() - prompt
    # A plain forward multiplies a prompt with all of itself, and masks half of it afterwards.
    masked = 2 * 2 * work.layers * work.width * (12 * 12 - 12 * 13 // 2)
    prompts = 15 if each_reads else 3
    forwards, operations = needed(model, work, sampler, 5)
    assert operations == prompts * (prompt - masked) + 15 * sample
    assert forwards == prompts * 12 + 15 * 7


def test_time_memory_and_their_summary():
    assert 0.05 < seconds(CPU, lambda: time.sleep(0.05)) < 5

    def hold():
        tensor = torch.ones(16, 1024, 1024)
        time.sleep(0.05)
        del tensor

    peak = peak_memory(CPU, hold)
    assert 60e6 < peak.most - peak.before < 90e6
    assert Spread.of_ratios([2.0, 9.0, 8.0], [1.0, 3.0, 1.0]) == Spread(3.0, 2.0, 8.0)


def test_the_rate_is_of_products():
    assert 1e8 < matrix_rate(CPU, torch.float32) < 1e14


def test_one_sample_is_endless():
    work = replace(WORK, width=64)
    (row,) = compare_endless(setup(work=work), questions=2, samples=4, tokens=12)
    assert (row["samples"], row["endless_tokens"]) == (8, 12)
    assert row["ratio_to_ending"] > 0
    assert row["ratio_without_drafts"] > 0


def test_parts_of_a_long_run():
    work = Work(**(SMALL | {"width": 32}))
    rows = list(compare_lengths(setup(work=work, rounds=2), few=4, many=12))
    names = ["4 alone", "1 to 4 of 12", "5 to 8 of 12", "9 to 12 of 12", "all 12"]
    assert [row["questions"] for row in rows] == names
    assert all(row["ms_per_question"] > 0 for row in rows)
    assert rows[0]["ratio_to_short"] == 1
    middle = sum(row["ms_per_question_low"] for row in rows[1:4]) / 3
    assert middle <= rows[4]["ms_per_question_high"]


def test_rows_of_the_same_reading():
    assert same_rows(WORK, "noise", 8) == (WORK, 8)
    assert same_rows(WORK, "dropout-prompt-and-thoughts", 8) == (replace(WORK, questions=24), 1)


def test_what_randomness_adds():
    done = run("--samples=2", of="randomness")
    assert done.exit_code == 0, done.output
    assert len(done.stdout.splitlines()) == 2 + len(SAMPLERS)


def test_operators_by_group(tmp_path):
    done = run("--samples=2", "--sampler=noise", f"--json={tmp_path / 'p.json'}", of="profile")
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "p.json").read_text())
    groups = {row["group"]: row["seconds"] for row in rows}
    assert {"linear layers", "attention products", "head", "outside operators"} <= groups.keys()
    assert all(found >= 0 for found in groups.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--width=10", "--heads=3"], "width=10 with heads=3; allowed is a width that the heads"),
        (["--device=abacus"], "device='abacus' is no device of torch; allowed are cpu"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ModelError, match=message):
        run(*arguments)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--answer-tokens=1", "answer_tokens=1; allowed are at least 2"),
        ("--width=2", "width=2 cannot tell one sample from the others"),
    ],
)
def test_an_endless_sample_that_cannot_be_is_refused(argument, message):
    with pytest.raises(ModelError, match=message):
        run(argument, of="endless")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--samples=0", "0 is not in the range x>=1"),
        ("--rounds=0", "0 is not in the range x>=1"),
        ("--sampler=luck", "'luck' is not one of 'noise', 'dropout-thoughts'"),
        ("--dtype=int8", "'int8' is not one of 'float32'"),
        ("--json=.", "File '.' is a directory"),
        ("--json=/proc/x/y.json", "--json=/proc/x/y.json cannot be written"),
        ("--vocabulary=2", f"2 is not in the range x>={LEAST_VOCABULARY}"),
        ("--device=cuda", "--device=cuda: there is none here. Leave it out"),
        ("--reference=.", "samplers has no use for --reference. Leave it out"),
    ],
)
def test_options_out_of_range_are_refused(argument, message, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = run(argument)
    assert done.exit_code == 2
    assert message in done.stderr


def test_options_of_another_benchmark_are_refused():
    for scenario, argument in (("endless", "--samples=4"), ("flat", "--prompt-tokens=9")):
        done = CliRunner().invoke(bench, [scenario, argument])
        assert done.exit_code == 2
        assert f"{scenario} has no use for {argument.split('=')[0]}" in done.stderr
