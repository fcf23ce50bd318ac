"""What a run says: what is run, what is unlikely to be meant, and where its numbers say little."""

import logging

import pytest

from latent_tts.harness.lm import LatentLM
from tests.harness.evaluation import make_request, question


def ask(lm, count=2, **settings):
    requests = [
        make_request(question(i), {"return_pool": True, **settings}, task="pens", number=i)
        for i in range(count)
    ]
    return lm.generate_until(requests)


def said(caplog, level=logging.INFO):
    return [r.getMessage() for r in caplog.records if r.levelno == level]


@pytest.mark.parametrize(
    ("kind", "settings", "line"),
    [
        (
            "coconut",
            {"latent_do_sample_by": "noise", "noise_std": 0.3, "num_return_sequences": 3},
            "N = 3 sampled by noise (noise_std=0.3), 6 thoughts, seed 1234",
        ),
        (
            "coconut",
            {"latent_do_sample": False, "seed": 7},
            "N = 1 deterministic thoughts, 6 thoughts, seed 7",
        ),
        (
            "colar",
            {"max_latent_length": 5, "dropout_p": 0.1, "num_return_sequences": 2},
            "N = 2 sampled by dropout (dropout_p=0.1), up to 5 thoughts, seed 1234",
        ),
    ],
)
def test_one_line_says_what_is_run(checkpoints, caplog, kind, settings, line):
    lm = LatentLM(str(checkpoints[kind]), max_new_tokens=20, **settings)
    with caplog.at_level(logging.INFO, logger="lm_eval"):
        ask(lm)
    assert said(caplog) == [f"{kind} {checkpoints[kind]}, float32 on cpu: {line}"]


def test_an_accelerator_that_is_not_here_is_said_once(checkpoints, caplog, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    lm = LatentLM(str(checkpoints["coconut"]), device="cuda:1")
    assert str(lm.device) == "cpu"
    (warning,) = said(caplog, logging.WARNING)
    assert warning.startswith("device=cuda:1, but torch finds no such accelerator: using the CPU")


def test_candidates_without_answers_are_warned_of_with_one_of_them(checkpoints, caplog):
    lm = LatentLM(str(checkpoints["coconut"]), num_return_sequences=3, max_new_tokens=9)
    ask(lm)
    (warning,) = said(caplog, logging.WARNING)
    assert "pens: 6 of 6 candidates state no answer or were cut off" in warning
    assert "One of them, cut off: '" in warning
    assert repr("{question}\n<|start-latent|>") in warning


def test_a_good_run_is_not_warned_of(caplog):
    ask(LatentLM("tiny-coconut", num_return_sequences=2))
    assert said(caplog, logging.WARNING) == []
