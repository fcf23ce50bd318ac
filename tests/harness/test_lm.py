"""`--model latent_tts` on the real tasks: right pools, in whatever way they are computed."""

import json
import os
import re
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from latent_tts.harness.lm import LatentLM
from latent_tts.tasks import Pool, join_pools
from tests.harness.evaluation import (
    BENCHMARKS,
    FILES,
    evaluate,
    make_request,
    make_rows,
    pools,
    question,
    write_questions,
)
from tests.models.reference import Reference

REAL_DATA = Path(os.environ.get("LATENT_TTS_DATA") or Path(__file__).parents[3] / "shared" / "data")
PROMPTS = {
    "coconut": "{}\n<|start-latent|>",
    "codi": "{}<|start-latent|>",
    "colar": "Question: {} Let's think step by step:(Thinking speed: 2)###",
}
LENGTHS = {
    "coconut": {"latent_length": 5},
    "codi": {"latent_length": 6},
    "colar": {"max_latent_length": 7},
}
NEW_TOKENS = 36
NUMBER = re.compile(r"-?\d*\.?\d+")


@dataclass(frozen=True)
class Expected:
    """What plain transformers give for one question."""

    text: str
    answer: str | None
    thoughts: int
    tokens: int
    truncated: bool

    def solves(self, gold: str) -> bool:
        return bool(NUMBER.fullmatch(self.answer or "")) and Decimal(self.answer) == Decimal(gold)


class Oracle:
    """Answers one question at a time with plain transformers models."""

    def __init__(self, kind, folder):
        self.kind = kind
        self.reference = Reference(kind, folder)
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)

    def __call__(self, text):
        prompt = self.tokenizer(PROMPTS[self.kind].format(text))["input_ids"]
        lengths = LENGTHS[self.kind]
        done = self.reference.answer(
            prompt,
            length=lengths.get("latent_length"),
            most=lengths.get("max_latent_length"),
            max_new_tokens=NEW_TOKENS,
        )
        ids = done.sequence[len(done.sequence) - done.answer :]
        answer = self.tokenizer.decode(ids if done.truncated else ids[:-1])
        return Expected(answer, self.read(answer), len(done.thoughts), done.answer, done.truncated)

    def read(self, text):
        if self.kind == "codi":
            numbers = re.findall(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+", text)
            return numbers[-1].replace(",", "") if numbers else None
        mark = "#" if self.kind == "coconut" else "Answer:"
        if mark not in text:
            return None
        rest = text.split(mark)[-1].replace("," if self.kind == "coconut" else "#", "").strip()
        return rest or None


def check_tasks(kind, folder, data, rows, **options):
    """Run the three tasks deterministically and compare all that is logged and averaged."""
    results = evaluate(
        folder,
        data,
        names=("latent_tts",),
        model_args={"latent_do_sample": False, "max_new_tokens": NEW_TOKENS, **LENGTHS[kind]},
        **options,
    )
    oracle = Oracle(kind, folder)
    for task in FILES:
        expected = [oracle(row["question"]) for row in rows[task]]
        logged = [pool.candidates for pool in pools(results, task)]
        assert [
            [Expected(c.text, c.answer, c.thoughts, c.answer_tokens, c.truncated) for c in pool]
            for pool in logged
        ] == [[one] for one in expected]
        right = [e.solves(row["answer"]) for e, row in zip(expected, rows[task], strict=True)]
        row = results["results"][task]
        assert row["pass@1,none"] == pytest.approx(sum(right) / len(right))
        thoughts = [one.thoughts for one in expected]
        assert row["thoughts,none"] == pytest.approx(sum(thoughts) / len(thoughts))
    return results


@pytest.mark.slow
@pytest.mark.parametrize("kind", PROMPTS)
def test_the_real_tasks_equal_an_independent_computation(kind, talkative, tmp_path):
    oracle = Oracle(kind, talkative[kind])
    rows = make_rows(40)
    solvable = (row for row in rows if NUMBER.fullmatch(oracle(row["question"]).answer or ""))
    right = list(islice(solvable, 2))
    assert len(right) == 2
    for row in right:
        row["answer"] = oracle(row["question"]).answer
    rows = right + [row for row in rows if row not in right][:4]
    data = write_questions(tmp_path, rows)
    results = check_tasks(kind, talkative[kind], data, dict.fromkeys(FILES, rows), batch_size=4)
    assert results["results"]["latent_tts_gsm8k"]["pass@1,none"] >= 2 / 6
    assert results["n-samples"]["latent_tts_gsm8k"] == {"original": 6, "effective": 6}


@pytest.mark.slow
@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="needs the folder of real questions")
@pytest.mark.parametrize("kind", PROMPTS)
def test_real_questions_equal_an_independent_computation(kind, talkative, monkeypatch, tmp_path):
    first = 3
    rows = {
        task: [json.loads(line) for line in (REAL_DATA / file).read_text().splitlines()[:first]]
        for task, file in FILES.items()
    }
    monkeypatch.setenv("LATENT_TTS_DATA", str(REAL_DATA))
    check_tasks(kind, talkative[kind], "", rows, batch_size="auto", limit=first)


SAMPLED = {
    "coconut": {"latent_do_sample_by": "noise", "latent_length": 3},
    "codi": {"latent_do_sample_by": "dropout", "dropout_p": 0.1, "latent_length": 3},
    "colar": {"latent_do_sample_by": "dropout", "dropout_p": 0.1, "max_latent_length": 5},
}


def sample(kind, checkpoints, data, **options):
    """Pools of nine questions."""
    settings = {**SAMPLED[kind], "max_new_tokens": 24, "num_return_sequences": 4}
    settings |= options.pop("model_args", {})
    return pools(evaluate(checkpoints[kind], data, model_args=settings, **options))


@pytest.mark.slow
@pytest.mark.parametrize("kind", PROMPTS)
def test_the_batch_size_changes_no_sample(kind, checkpoints, data):
    alone, *others = [
        sample(kind, checkpoints, data, batch_size=size) for size in (1, 7, 64, "auto")
    ]
    assert all(pools == alone for pools in others)
    assert len({candidate.text for candidate in alone[0].candidates}) > 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", PROMPTS)
def test_fewer_samples_are_the_first_of_more(kind, checkpoints, data):
    more = sample(kind, checkpoints, data, model_args={"num_return_sequences": 16}, batch_size=9)
    half = sample(kind, checkpoints, data, model_args={"num_return_sequences": 8}, batch_size=9)
    assert half == [Pool(pool.candidates[:8], question=pool.question) for pool in more]


@pytest.mark.slow
def test_repeats_go_on_where_the_first_copy_stopped(checkpoints, data, tmp_path):
    include = BENCHMARKS / "latent_tts_gsm8k.yaml"
    (tmp_path / "twice.yaml").write_text(f"include: {include}\ntask: twice\nrepeats: 2\n")
    settings = {**SAMPLED["codi"], "max_new_tokens": 24, "num_return_sequences": 4}
    results = evaluate(
        checkpoints["codi"], data, names=("twice",), include=tmp_path, model_args=settings
    )
    joined = [
        join_pools([Pool.from_json(response) for response in sample["resps"][0]])
        for sample in results["samples"]["twice"]
    ]
    eight = sample("codi", checkpoints, data, model_args={"num_return_sequences": 8}, batch_size=9)
    assert joined == eight
    assert "coverage@8,none" in results["results"]["twice"]
    assert results["config"]["latent_tts"]["tasks"]["twice"]["throughput"]["samples"] == 72


def requests_for(count, **settings):
    return [make_request(question(i), {"return_pool": True, **settings}) for i in range(count)]


@pytest.mark.slow
def test_order_and_neighbours_change_no_sample(checkpoints):
    lm = LatentLM(str(checkpoints["coconut"]), batch_size=4, num_return_sequences=3)
    requests = requests_for(9, max_new_tokens=24)
    there = lm.generate_until(requests, disable_tqdm=True)
    assert lm.generate_until(requests[::-1], disable_tqdm=True) == there[::-1]
    assert lm.generate_until(requests[4:5], disable_tqdm=True) == there[4:5]


@pytest.mark.slow
def test_requests_of_different_settings_share_a_call(checkpoints):
    lm = LatentLM(str(checkpoints["coconut"]), batch_size=4)
    few, many = requests_for(2, num_return_sequences=2), requests_for(2, num_return_sequences=5)
    mixed = [few[0], many[0], few[1], many[1]]
    sizes = [len(Pool.from_json(text).candidates) for text in lm.generate_until(mixed)]
    assert sizes == [2, 5, 2, 5]


def test_copies_beyond_the_repeats_are_padding(checkpoints):
    lm = LatentLM(str(checkpoints["coconut"]), num_return_sequences=2)
    request = requests_for(1)[0]
    request.repeats = 2
    first, second, *padding = lm.generate_until([request] * 4, disable_tqdm=True)
    assert first != second
    assert padding == [first, second]


@pytest.mark.slow
def test_precedence_of_seeds(checkpoints, data):
    def draw(**options):
        return sample("coconut", checkpoints, data, batch_size=9, limit=3, **options)

    default = draw()
    assert draw(torch_random_seed=1234) == default
    seven = draw(torch_random_seed=7)
    assert seven != default
    assert draw(model_args={"seed": 7}) == seven
    assert draw(model_args={"seed": 7}, torch_random_seed=3) == seven
    assert draw(model_args={"seed": 5}, gen_kwargs={"seed": 7}) == seven
