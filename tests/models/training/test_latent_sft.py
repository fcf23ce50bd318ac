"""Latent-SFT's two stages: losses and gradients against a slow computation."""

import pytest
import torch
from transformers import DynamicCache

from latent_tts.models import SAMPLERS, AutoLatentModel, ModelError, Sampler, load_tokenizer
from latent_tts.models.samplers import randomness
from latent_tts.models.training import OBJECTIVES
from latent_tts.models.training.unroll import recomputed
from tests.marks import slow_but
from tests.models.reference import sample_key
from tests.models.training.compared import assert_same, gradients
from tests.models.training.conftest import PROBLEMS, turns_of, without_dropout
from tests.models.training.slow import embed, read, summed_loss
from tests.models.training.thinkers import labels_of, write_thinker

STAGE_1, STAGE_2 = OBJECTIVES["latent_sft_labels"], OBJECTIVES["latent_sft"]
SIZE, RATE = 3, 4
WITHIN = {"GPT2": 1e-9, "Llama": 1e-5}  # Llama's norms compute in single precision


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}

    def folder(trunk):
        if trunk not in made:
            made[trunk] = write_thinker(tmp_path_factory.mktemp("thinkers") / trunk, trunk)
        return made[trunk]

    return folder


@pytest.fixture
def thinker(folders):
    """Make a model of its own in double precision, and its tokenizer."""

    def make(trunk="GPT2"):
        model = AutoLatentModel.from_pretrained(
            folders(trunk), backbone="latent_sft", dtype=torch.float64
        )
        return without_dropout(model), load_tokenizer(str(folders(trunk)))

    return make


def texts(model, tokenizer, problem):
    """The tokens of prompt, chain, and all that follows the thoughts."""
    prompt = model.encode_prompt(tokenizer, problem.question)
    assert tokenizer.decode(prompt).endswith("<think>")
    chain = tokenizer.encode("".join(f"{step}\n" for step in problem.steps))
    marker = tokenizer.encode("</think>")
    answer = tokenizer.encode(rf"\boxed{{{problem.answer}}}")
    return prompt, chain, [*marker, *answer, tokenizer.eos_token_id]


# Stage 2


def random_labels(made, problems, file):
    """Write labels of random mixtures, one more for each problem; the first has none."""
    vocabulary = made[0].get_input_embeddings().weight.shape[0]
    random = torch.Generator().manual_seed(4)
    thoughts = [
        (
            torch.stack([torch.randperm(vocabulary, generator=random)[:SIZE] for _ in range(n)])
            if n
            else torch.zeros(0, SIZE),
            torch.rand(n, SIZE, generator=random).softmax(dim=-1),
        )
        for n in range(len(problems))
    ]
    labels = labels_of(problems, thoughts)
    labels.write(file, {})
    return labels


def slow_thinking(model, tokenizer, problem, labels, *, scale=0.0):
    """The summed loss of what follows, and the mean divergence of the thoughts."""
    prompt, _, after = texts(model, tokenizer, problem)
    kept = labels.of(problem)
    ids, shares = kept.ids, kept.weights.double()
    inputs, apart = embed(model, prompt), []
    address = sample_key(0, prompt, 0)
    for number, (mixed, weights) in enumerate(zip(ids, shares, strict=True)):
        weights = weights / weights.sum()
        if scale:
            at = torch.tensor(len(prompt) + number)
            drawn = randomness.uniform_at(address, at, mixed, site=0)
            weights = (weights.log() - scale * (-drawn.log()).log()).softmax(dim=-1)
        logits = model.get_output_embeddings()(read(model, inputs)[-1])
        predicted = logits.log_softmax(dim=-1)
        pairs = list(zip(mixed.tolist(), weights, strict=True))
        apart.append(sum(w * (w.log() - predicted[i]) for i, w in pairs))
        thought = sum(w * embed(model, [i])[0] for i, w in pairs)
        inputs = torch.cat((inputs, thought[None]))
    inputs = torch.cat((inputs, embed(model, after[:-1])))
    text = summed_loss(model, read(model, inputs)[-len(after) :], after)
    return text, sum(apart) / len(apart) if apart else torch.zeros(())


@pytest.mark.parametrize(("trunk", "scale"), [("GPT2", 0.0), ("GPT2", 0.7), ("Llama", 0.7)])
def test_stage_2_equals_the_slow_computation(thinker, tmp_path, trunk, scale):
    model, tokenizer = thinker(trunk)
    file = tmp_path / "labels" / "soft.safetensors"
    labels = random_labels((model, tokenizer), PROBLEMS[:4], file)
    objective = STAGE_2(soft_labels=str(file), thought_tokens=SIZE, kl_weight=0.5)
    batch = objective.collate(model, tokenizer, turns_of(PROBLEMS[:4]), updates=1, seed=0)
    sampler = SAMPLERS["gumbel"](gumbel_scale=scale) if scale else Sampler()
    fast = objective.loss(model, batch, sampler, None)
    slow = [slow_thinking(model, tokenizer, p, labels, scale=scale) for p in PROBLEMS[:4]]
    for name, sums in zip(("text", "thoughts"), zip(*slow, strict=True), strict=True):
        torch.testing.assert_close(fast[name], sum(sums), rtol=1e-5, atol=1e-6)
    assert batch["counts"] == {"text": len(batch["targets"]), "thoughts": 4}
    assert_same(
        gradients(model, fast["text"] + fast["thoughts"]),
        gradients(model, sum(text + apart for text, apart in slow)),
        within=1e-5,  # labels are kept in half precision, and read in single
    )


def test_without_labels_each_token_of_the_chain_is_a_thought(thinker):
    """The loss is that of plain written text, the chain's a mean over its tokens."""
    model, tokenizer = thinker()
    problems = [one for one in PROBLEMS if one.steps][:3]
    objective = STAGE_2()
    batch = objective.collate(model, tokenizer, turns_of(problems), updates=1, seed=0)
    found = objective.loss(model, batch, Sampler(), None)
    text = thoughts = 0.0
    for problem in problems:
        prompt, chain, after = texts(model, tokenizer, problem)
        logits = model(torch.tensor([[*prompt, *chain, *after]])).logits[0].log_softmax(dim=-1)
        every = [-logits[at - 1, token] for at, token in enumerate([*prompt, *chain, *after])]
        thoughts += sum(every[len(prompt) : -len(after)]) / len(chain)
        text += sum(every[-len(after) :])
    torch.testing.assert_close(found["text"], text)
    torch.testing.assert_close(found["thoughts"].to(text.dtype), thoughts)
    assert objective.begin(problems, {}) == {}


def test_stage_2_depends_on_no_other_example_of_the_batch(thinker, tmp_path):
    made = thinker("GPT2")
    file = tmp_path / "labels" / "soft.safetensors"
    random_labels(made, PROBLEMS[:5], file)
    objective = STAGE_2(soft_labels=str(file), thought_tokens=SIZE)
    sampler = SAMPLERS["gumbel"](gumbel_scale=0.5)
    turns = turns_of(PROBLEMS[:5])
    whole, *alone = (
        objective.loss(made[0], objective.collate(*made, part, updates=1, seed=0), sampler, None)
        for part in (turns, *([turn] for turn in turns))
    )
    for name in ("text", "thoughts"):
        torch.testing.assert_close(whole[name], sum(one[name] for one in alone))


def test_stage_2_refuses_samplers_that_change_how_thoughts_are_made(thinker):
    with pytest.raises(ModelError, match=r"thoughts that are given.*dropout.*Use gumbel"):
        STAGE_2().check_sampler(thinker()[0], SAMPLERS["dropout"](dropout_p=0.1))


# Stage 1


def slow_scores(model, tokenizer, helpers, problem):
    """The encoder's scores f[V] of each thought: each compress token reads a sequence alone."""
    prompt, chain, _ = texts(model, tokenizer, problem)
    encoder, table = helpers["encoder"].trunk, model.get_input_embeddings().weight.detach()
    for number, stop in enumerate(range(RATE, len(chain) + RATE, RATE)):
        part = chain[:stop]
        ids = torch.tensor([*prompt, *part])
        inputs = torch.cat(
            (encoder.get_input_embeddings().weight[ids], helpers["encoder"].compress[None])
        )
        inner = (len(prompt) + at + at // RATE for at in range(len(part)))
        positions = [*range(len(prompt)), *inner]
        positions.append(len(prompt) + len(part) + number)
        state = encoder(
            inputs_embeds=inputs[None],
            attention_mask=torch.ones(1, len(inputs)),
            position_ids=torch.tensor([positions]),
            use_cache=False,
        ).last_hidden_state[0, -1]
        yield table @ state


def slow_thoughts(model, tokenizer, helpers, problem):
    """The tokens and weights of a chain's thoughts."""
    end, found = tokenizer.encode("</think>")[0], []
    for scores in slow_scores(model, tokenizer, helpers, problem):
        order = [i for i in scores.argsort(descending=True).tolist() if i != end][:SIZE]
        found.append((order, scores[order].softmax(dim=-1)))
    return found


def slow_writing(model, tokenizer, problem, thoughts):
    """The summed loss of groups and answer; tokens behind a thought read its cache alone."""
    prompt, chain, after = texts(model, tokenizer, problem)
    table = model.get_input_embeddings().weight.detach()
    mixed = [(weights[:, None] * table[ids]).sum(dim=0) for ids, weights in thoughts]
    inputs = torch.cat((embed(model, prompt), *(one[None] for one in mixed)))
    states = read(model, torch.cat((inputs, embed(model, after[:-1]))))
    loss = summed_loss(model, states[-len(after) :], after)
    groups = [chain[at : at + RATE] for at in range(0, len(chain), RATE)]
    for number, group in enumerate(groups[1:]):
        length = len(prompt) + number + 1
        whole = model.base_model(inputs_embeds=inputs[None, :length], use_cache=True)
        cache = DynamicCache(config=model.config)
        for layer, one in enumerate(whole.past_key_values.layers):
            cache.update(one.keys[:, :, -1:], one.values[:, :, -1:], layer)
        behind = [whole.last_hidden_state[0, -1:]]
        if len(group) > 1:
            output = model.base_model(
                inputs_embeds=embed(model, group[:-1])[None],
                position_ids=torch.arange(length, length + len(group) - 1)[None],
                past_key_values=cache,
            )
            behind.append(output.last_hidden_state[0])
        loss = loss + summed_loss(model, torch.cat(behind), group)
    return loss


def stage_1(made, **settings):
    objective = STAGE_1(compression_rate=RATE, soft_label_size=SIZE, **settings)
    torch.manual_seed(0)
    helpers = objective.helpers(made[0])
    for weight in helpers.parameters():  # no copy any more
        weight.data += 0.05 * torch.randn_like(weight)
    return objective, helpers


GRID = [(trunk, attention) for attention in ("sdpa", "eager") for trunk in ("GPT2", "Llama")]


@pytest.mark.parametrize(("trunk", "attention"), slow_but(GRID, GRID[0], GRID[3]))
def test_stage_1_equals_the_slow_computation(thinker, trunk, attention):
    model, tokenizer = thinker(trunk)
    model.set_attn_implementation(attention)
    objective, helpers = stage_1((model, tokenizer))
    helpers["encoder"].trunk.config._attn_implementation = attention
    problems = PROBLEMS[1:4]
    batch = objective.collate(model, tokenizer, turns_of(problems), updates=1, seed=0)
    fast = objective.loss(model, batch, Sampler(), helpers)["text"]
    made = [slow_thoughts(model, tokenizer, helpers, problem) for problem in problems]
    slow = sum(
        slow_writing(model, tokenizer, problem, thoughts)
        for problem, thoughts in zip(problems, made, strict=True)
    )
    torch.testing.assert_close(fast, slow, rtol=WITHIN[trunk], atol=0)
    count = sum(
        len(chain) - min(RATE, len(chain)) + len(after)
        for _, chain, after in (texts(model, tokenizer, problem) for problem in problems)
    )
    assert batch["counts"]["text"] == len(batch["targets"]) == count
    both = torch.nn.ModuleDict({"model": model, "helpers": helpers})
    assert_same(gradients(both, fast), gradients(both, slow), within=WITHIN[trunk])


def test_the_encoder_names_its_groups_tokens(thinker):
    model, tokenizer = thinker()
    objective, helpers = stage_1((model, tokenizer), group_weight=0.5)
    problems = PROBLEMS[1:4]
    batch = objective.collate(model, tokenizer, turns_of(problems), updates=1, seed=0)
    assert objective.weights == {"text": 1.0, "group": 0.5}
    fast = objective.loss(model, batch, Sampler(), helpers)["group"]
    slow, count = 0.0, 0
    for problem in problems:
        _, chain, _ = texts(model, tokenizer, problem)
        groups = [chain[at : at + RATE] for at in range(0, len(chain), RATE)]
        every = slow_scores(model, tokenizer, helpers, problem)
        for group, scores in zip(groups, every, strict=True):
            slow = slow - scores.log_softmax(dim=-1)[group].mean()
            count += 1
    torch.testing.assert_close(fast, slow)
    assert batch["counts"]["group"] == count
    both = torch.nn.ModuleDict({"model": model, "helpers": helpers})
    assert_same(gradients(both, fast), gradients(both, slow))


def test_stage_1_depends_on_no_other_example_of_the_batch(thinker):
    made = thinker("Llama")
    objective, helpers = stage_1(made)
    turns = turns_of(PROBLEMS[:5])
    whole, *alone = (
        objective.loss(
            made[0], objective.collate(*made, part, updates=1, seed=0), Sampler(), helpers
        )["text"]
        for part in (turns, *([turn] for turn in turns))
    )
    torch.testing.assert_close(whole, sum(alone))


@pytest.mark.parametrize(
    ("update", "phase", "encoder", "decoder"),
    [(0, "encoder", True, False), (3, "decoder", False, True), (5, "both", True, True)],
)
def test_stage_1_trains_the_encoder_then_the_decoder_then_both(
    thinker, update, phase, encoder, decoder
):
    made = thinker()
    objective, helpers = stage_1(made, encoder_updates=3, decoder_updates=2)
    assert objective.stage_starts(9) == [0, 3, 5]
    turns = turns_of(PROBLEMS[:2], update=update)
    batch = objective.collate(*made, turns, updates=9, seed=0)
    assert batch["phase"] == phase
    loss = objective.loss(made[0], batch, Sampler(), helpers)["text"]
    assert bool(gradients(helpers, loss)) == encoder
    loss = objective.loss(made[0], batch, Sampler(), helpers)["text"]
    assert bool(gradients(made[0], loss)) == decoder
    assert all(weight.requires_grad for weight in made[0].parameters())


def test_stage_1_under_gradient_checkpointing(thinker):
    model, tokenizer = thinker()
    objective, helpers = stage_1((model, tokenizer), encoder_updates=3)
    both = torch.nn.ModuleDict({"model": model, "helpers": helpers})
    alone, batch = (
        objective.collate(
            model, tokenizer, turns_of(PROBLEMS[:2], update=update), updates=9, seed=0
        )
        for update in (0, 3)
    )
    both.train()
    plain = gradients(both, objective.loss(model, batch, Sampler(), helpers)["text"])
    with recomputed(model):
        again = gradients(both, objective.loss(model, batch, Sampler(), helpers)["text"])
        with pytest.raises(ModelError, match="Leave it out, or set encoder_updates"):
            objective.loss(model, alone, Sampler(), helpers)
    assert_same(plain, again)


def test_soft_labels_are_the_encoders_thoughts_and_never_the_end_marker(thinker):
    model, tokenizer = thinker("Llama")
    objective, helpers = stage_1((model, tokenizer))
    labels = objective.soft_labels_of(model, tokenizer, PROBLEMS, helpers)
    assert labels.size == SIZE
    assert labels.rate == RATE
    for problem in PROBLEMS[:5]:
        found = labels.of(problem)
        slow = slow_thoughts(model, tokenizer, helpers, problem)
        assert found.ids.tolist() == [ids for ids, _ in slow]
        wanted = torch.stack([weights for _, weights in slow]).float()
        torch.testing.assert_close(found.weights, wanted, rtol=1e-3, atol=1e-4)
    assert not (labels.ids == tokenizer.encode("</think>")[0]).any()


def test_stage_1_refuses_samplers_and_more_tokens_than_there_are(thinker):
    model, _ = thinker()
    with pytest.raises(ModelError, match=r"noise would blur them. Leave it out"):
        STAGE_1().check_sampler(model, SAMPLERS["noise"](noise_std=0.1))
    with pytest.raises(ModelError, match=r"mixture_size=9999, but .* tokens"):
        STAGE_1(soft_label_size=9999).check_sampler(model, Sampler())
