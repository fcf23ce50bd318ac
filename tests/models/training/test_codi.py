"""CODI's three terms and their gradients against a slow computation."""

import pytest
import torch
from torch.nn import functional

from latent_tts.models import Sampler
from latent_tts.models.training import OBJECTIVES
from tests.models.training.compared import assert_same, gradients
from tests.models.training.conftest import PROBLEMS, turns_of
from tests.models.training.slow import embed, read, summed_loss, think

CODI = OBJECTIVES["codi"]


def collated(objective, made, problems):
    return objective.collate(*made, turns_of(problems), updates=1, seed=0)


def slow_example(model, tokenizer, problem, thoughts):
    """The student's and the teacher's summed losses, and their states before the answer f[L, D]."""
    answer = tokenizer.encode(problem.answer)
    lead, eos = tokenizer.encode("### "), tokenizer.eos_token_id
    (end,) = tokenizer.encode("<|end-latent|>")
    prompt = tokenizer.encode(f"{problem.question}<|start-latent|>")
    inputs = think(model, prompt, thoughts, model.projector)
    text = [*lead, *answer, eos]
    inputs = torch.cat((inputs, embed(model, [end, *text[:-1]])))
    student = read(model, inputs, layers=True)
    losses = [summed_loss(model, student[-1][-len(text) :], text)]
    steps = tokenizer.encode("".join(f"{step}\n" for step in problem.steps))
    question = tokenizer.encode(f"{problem.question}\n")
    text = [*steps, *lead, *answer, eos]
    teacher = read(model, embed(model, [*question, *text[:-1]]), layers=True)
    losses.append(summed_loss(model, teacher[-1][-len(text) :], text))
    at = -1 - len(answer)  # the answer but for eos is fed after the lead's last token
    return (*losses, *(torch.stack([one[at] for one in who]) for who in (student, teacher)))


@pytest.mark.parametrize("count", [1, 4])
def test_terms_and_gradients_equal_the_slow_computation(latent, count):
    model, tokenizer = latent("codi")
    objective = CODI(codi_thoughts=3, distill_weight=2.0, teacher_weight=0.5)
    batch = collated(objective, (model, tokenizer), PROBLEMS[:count])
    fast = objective.loss(model, batch, Sampler(), None)
    slow = [slow_example(model, tokenizer, problem, 3) for problem in PROBLEMS[:count]]
    texts, teachers, students, taught = zip(*slow, strict=True)
    apart = []
    for layer in range(len(students[0])):
        found = torch.stack([one[layer] for one in students])
        wanted = torch.stack([one[layer] for one in taught]).detach()
        apart.append(functional.smooth_l1_loss(found, wanted) / wanted.std())
    expected = {
        "text": sum(texts),
        "teacher": sum(teachers),
        "distill": count * torch.stack(apart).mean(),
    }
    for name, value in expected.items():
        torch.testing.assert_close(fast[name], value)
    weights = objective.weights
    assert weights == {"text": 1.0, "teacher": 0.5, "distill": 2.0}
    assert_same(
        gradients(model, sum(weights[name] * fast[name] for name in weights)),
        gradients(model, sum(weights[name] * expected[name] for name in weights)),
    )


def test_the_state_that_is_compared_is_that_of_the_last_token_before_the_answer(latent):
    model, tokenizer = latent("codi")
    batch = collated(CODI(), (model, tokenizer), PROBLEMS[:5])
    for who in ("teacher", "student"):
        for row, at, problem in zip(
            batch[who]["text"], batch[who]["before"], PROBLEMS[:5], strict=True
        ):
            assert tokenizer.decode(row[: at + 1]).endswith("### ")
            rest = tokenizer.decode(row[at + 1 :])
            assert rest.startswith(f"{problem.answer}<|endoftext|>")
    assert batch["counts"]["distill"] == 5


def test_the_teacher_gets_no_gradient_from_the_distance(latent):
    """Tokens that the teacher alone reads are embedded by rows that the distance does not move."""
    model, tokenizer = latent("codi")
    batch = collated(CODI(), (model, tokenizer), PROBLEMS[:2])
    terms = CODI().loss(model, batch, Sampler(), None)
    embedding = model.get_input_embeddings().weight
    moved = {
        name: torch.autograd.grad(terms[name], embedding, retain_graph=True)[0].abs().sum(dim=1)
        for name in ("distill", "teacher")
    }
    tokens = {
        who: {*batch[who]["prompt"].unique().tolist(), *batch[who]["text"].unique().tolist()}
        for who in ("teacher", "student")
    }
    alone = sorted(tokens["teacher"] - tokens["student"])
    assert alone
    assert moved["teacher"][alone].min() > 0
    assert moved["distill"][alone].max() == 0
    assert moved["distill"][sorted(tokens["student"] - {tokenizer.pad_token_id})].max() > 0
    assert gradients(model, terms["distill"])["projector.1.weight"].abs().max() > 0
