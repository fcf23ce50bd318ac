"""A reward model in the released format scores as an independent computation says."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import GPT2Model, LlamaModel

from latent_tts.models import AutoLatentModel, ModelError, Trajectory
from latent_tts.models.engine.trial import check_model
from latent_tts.reward import LatentRewardModel, RewardError
from tests.checkpoints import POSITIONS, edit_config, edit_weights
from tests.marks import slow_but
from tests.models.engine.passes import watching
from tests.reward.checkpoints import WIDTH, write_gpt2

PROMPTS = [[5, 9, 2], [7, 1, 30, 44, 250, 8, 3], [120], [11, 12, 13, 14, 15]]
COUNT, DEPTH = 3, 5
LENGTHS = torch.tensor([[5, 1, 3], [2, 5, 4], [5, 5, 5], [0, 2, 1]])


@pytest.fixture(params=["gpt2", "llama"])
def folder(request, reward_models):
    return reward_models[request.param]


@pytest.fixture
def model(folder):
    return LatentRewardModel.from_pretrained(folder)


@pytest.fixture(scope="module")
def thoughts():
    return torch.randn(4, COUNT, DEPTH, WIDTH, generator=torch.Generator().manual_seed(1))


def pad(prompts, *, padding=0):
    width = max(map(len, prompts)) + padding
    ids = torch.tensor([[299] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    return {"input_ids": ids, "attention_mask": mask}


@torch.no_grad()
def scores(model, prompts, thoughts, *, padding=0, lengths=None):
    return model.score(**pad(prompts, padding=padding), latent_thoughts=thoughts, lengths=lengths)


@torch.no_grad()
def independent(folder, prompt, thoughts):
    """Rewards f[T] of one trajectory f[T, D]: a plain trunk, all positions at once, no cache."""
    weights = load_file(folder / "model.safetensors")
    kind = json.loads((folder / "config.json").read_text())["model_type"]
    plain, prefix = {"gpt2": (GPT2Model, "transformer."), "llama": (LlamaModel, "model.")}[kind]
    trunk = plain(plain.config_class.from_pretrained(folder)).eval()
    trunk.set_attn_implementation("eager")
    own = {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}
    missing, unexpected = trunk.load_state_dict(own, strict=False)
    assert not missing
    assert not unexpected
    inputs = torch.cat((trunk.get_input_embeddings().weight[prompt], thoughts))
    hidden = trunk(inputs_embeds=inputs[None], use_cache=False).last_hidden_state[0, len(prompt) :]
    return hidden @ weights["classifier.weight"][0] + weights["classifier.bias"]


def test_scores_are_those_of_an_independent_computation(folder, model, thoughts):
    found = scores(model, PROMPTS, thoughts, lengths=LENGTHS)
    assert found.dtype == torch.float32
    assert found.shape == (4, COUNT, DEPTH)
    for question, prompt in enumerate(PROMPTS):
        for sample in range(COUNT):
            length = int(LENGTHS[question, sample])
            expected = torch.zeros(DEPTH)
            own = thoughts[question, sample, :length]
            if length:
                expected[:length] = independent(folder, prompt, own)
            torch.testing.assert_close(found[question, sample], expected, rtol=0, atol=1e-4)
    assert found.std() > 0.1


def test_a_score_depends_on_nothing_else_in_the_batch(model, thoughts):
    together = scores(model, PROMPTS, thoughts, padding=11)
    for question, prompt in enumerate(PROMPTS):
        for sample in range(COUNT):
            alone = scores(model, [prompt], thoughts[question, sample][None, None])
            expected = together[question, sample]
            torch.testing.assert_close(alone[0, 0], expected, rtol=0, atol=1e-4)


def test_a_reward_depends_only_on_thoughts_up_to_its_own(model, thoughts):
    changed = thoughts.clone()
    changed[:, :, 3] *= -1
    found, other = scores(model, PROMPTS, thoughts), scores(model, PROMPTS, changed)
    torch.testing.assert_close(found[..., :3], other[..., :3], rtol=0, atol=1e-5)
    assert (found[..., 3:] - other[..., 3:]).abs().min() > 1e-6


def test_a_question_is_run_once_for_all_its_candidates(model, thoughts):
    rows = []
    check_model(model)  # before its passes are counted
    hook = model.base_model.register_forward_hook(
        lambda module, args, output: rows.append(len(output.last_hidden_state))
    )
    scores(model, PROMPTS, thoughts)
    hook.remove()
    assert rows == [4, 4 * COUNT]


def test_what_stands_beyond_a_length_leaves_no_trace(model, thoughts):
    dirty = thoughts.clone()
    dirty[torch.arange(DEPTH).expand(4, COUNT, DEPTH) >= LENGTHS[..., None]] = float("nan")
    found = scores(model, PROMPTS, dirty, lengths=LENGTHS)
    assert torch.equal(found, scores(model, PROMPTS, thoughts, lengths=LENGTHS))
    shorter = scores(model, PROMPTS, thoughts[:, :, :2], lengths=LENGTHS.clamp(max=2))
    clamped = scores(model, PROMPTS, thoughts, lengths=LENGTHS.clamp(max=2))
    torch.testing.assert_close(shorter, clamped[..., :2], rtol=0, atol=1e-5)


def test_no_thoughts_are_no_rewards(model, thoughts):
    assert scores(model, PROMPTS, thoughts[:, :, :0]).shape == (4, COUNT, 0)


def test_gradients_reach_trunk_and_head(model, thoughts):
    model(**pad(PROMPTS), latent_thoughts=thoughts).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_saving_keeps_the_released_names(folder, model, thoughts, tmp_path):
    model.save_pretrained(tmp_path)
    written, released = (load_file(at / "model.safetensors") for at in (tmp_path, folder))
    assert written.keys() == released.keys()
    assert all(torch.equal(tensor, released[name]) for name, tensor in written.items())
    architectures = [
        json.loads((at / "config.json").read_text())["architectures"] for at in (tmp_path, folder)
    ]
    assert architectures[0] == architectures[1]
    again = LatentRewardModel.from_pretrained(tmp_path)
    assert torch.equal(scores(again, PROMPTS, thoughts), scores(model, PROMPTS, thoughts))


def test_half_precision_is_read_in_full(folder, model, thoughts, tmp_path):
    LatentRewardModel.from_pretrained(folder).half().save_pretrained(tmp_path)
    again = LatentRewardModel.from_pretrained(tmp_path)
    assert again.dtype == torch.float32
    found, expected = scores(again, PROMPTS, thoughts), scores(model, PROMPTS, thoughts)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.2)


@pytest.mark.parametrize("kind", ["coconut", "codi", "colar"])
def test_a_new_reward_model_is_the_backbones_trunk_without_dropout(checkpoints, kind, tmp_path):
    backbone = AutoLatentModel.from_pretrained(checkpoints[kind])
    before = backbone.config.to_dict()
    model = LatentRewardModel.from_backbone(backbone)
    trunk = backbone.base_model.state_dict()
    own = model.base_model.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in trunk.items())
    with torch.no_grad():
        model.base_model.get_input_embeddings().weight += 1
    assert not torch.equal(
        model.get_input_embeddings().weight, backbone.get_input_embeddings().weight
    )
    prompt, thoughts = torch.tensor([[5, 6]]), torch.randn(1, 2, 3, WIDTH)
    still = model.score(prompt, latent_thoughts=thoughts)
    assert torch.equal(model.train()(prompt, None, thoughts), still)
    model.save_pretrained(tmp_path)
    assert backbone.config.to_dict() == before


def broken(folder, reward_models, change):
    shutil.copytree(reward_models["gpt2"], folder, dirs_exist_ok=True)
    return edit_weights(folder, change)


def test_weights_without_a_head(reward_models, tmp_path):
    broken(tmp_path, reward_models, lambda weights: weights.pop("classifier.weight"))
    with pytest.raises(RewardError, match=r"lacks .*: classifier\.weight\. It may be no reward"):
        LatentRewardModel.from_pretrained(tmp_path)


def test_a_head_of_another_size(reward_models, tmp_path):
    broken(tmp_path, reward_models, lambda w: w.update({"classifier.weight": torch.ones(2, WIDTH)}))
    with pytest.raises(RewardError, match=r"lacks weights .*classifier\.weight of shape \(1, 48\)"):
        LatentRewardModel.from_pretrained(tmp_path)


def test_a_backbone_is_no_reward_model(checkpoints):
    with pytest.raises(RewardError, match=r"lacks .*: classifier\.bias, classifier\.weight"):
        LatentRewardModel.from_pretrained(checkpoints["coconut"])


def test_weights_that_nobody_reads(reward_models, tmp_path):
    broken(tmp_path, reward_models, lambda w: w.update({"gate.weight": torch.ones(3)}))
    with pytest.raises(RewardError, match=r"reward model .* nobody reads: gate\.weight"):
        LatentRewardModel.from_pretrained(tmp_path)
    LatentRewardModel.from_pretrained(tmp_path, ignore_weights="gate.*")


@pytest.mark.slow
def test_an_architecture_without_reward_models(reward_models, tmp_path):
    shutil.copytree(reward_models["gpt2"], tmp_path, dirs_exist_ok=True)
    edit_config(tmp_path, model_type="bert")
    with pytest.raises(RewardError, match="It may be no reward"):
        LatentRewardModel.from_pretrained(tmp_path)


def test_a_folder_without_config(tmp_path):
    with pytest.raises(RewardError, match="cannot be loaded"):
        LatentRewardModel.from_pretrained(tmp_path)


def test_truncated_weights(tmp_path):
    weights = write_gpt2(tmp_path) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(RewardError, match="cannot be loaded"):
        LatentRewardModel.from_pretrained(tmp_path)


def test_no_such_reward_model():
    with pytest.raises(ModelError, match="No checkpoint at 'nowhere/at/all'"):
        LatentRewardModel.from_pretrained("nowhere/at/all")


def test_the_class_is_not_instantiated():
    with pytest.raises(TypeError, match="from_pretrained"):
        LatentRewardModel()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latent_thoughts": torch.zeros(4, 3, 5, 32)}, r"needed is \[4, N, T, 48\]"),
        ({"latent_thoughts": torch.zeros(3, 3, 5, WIDTH)}, "for 4 prompts"),
        ({"latent_thoughts": torch.zeros(4, 5, WIDTH)}, "for 4 prompts"),
        ({"lengths": torch.ones(4, 2).long()}, r"lengths of shape \(4, 2\)"),
        ({"attention_mask": torch.ones(4, 3)}, r"attention_mask of shape \(4, 3\)"),
        ({"attention_mask": torch.zeros(4, 7)}, "padded on the left"),
        ({"latent_thoughts": torch.zeros(4, 3, POSITIONS, WIDTH)}, "needs 199 positions.*has 192"),
    ],
)
def test_inputs_that_do_not_belong_together(model, thoughts, change, message):
    inputs = {**pad(PROMPTS), "latent_thoughts": thoughts, "lengths": LENGTHS, **change}
    if change.get("latent_thoughts", thoughts).shape[1:3] != thoughts.shape[1:3]:
        inputs["lengths"] = None
    with pytest.raises(RewardError, match=message):
        model.score(**inputs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lengths": torch.tensor([[4, -1]])}, r"lengths from -1 to 4; allowed are 0 to 3"),
        ({"input_ids": torch.tensor([[5, 300]])}, r"input_ids from 5 to 300; .* knows 0 to 299"),
        ({"input_ids": torch.zeros(1, 0, dtype=torch.long)}, "at least one prompt, token and"),
        ({"latent_thoughts": torch.zeros(1, 0, 3, WIDTH)}, "at least one prompt, token and"),
        ({"input_ids": torch.ones(1, 500, dtype=torch.long)}, "needs 503 positions; the reward"),
    ],
)
def test_what_cannot_be_scored(reward_models, change, message):
    model = LatentRewardModel.from_pretrained(reward_models["gpt2"])
    inputs = {"input_ids": torch.tensor([[5, 6]]), "latent_thoughts": torch.zeros(1, 2, 3, WIDTH)}
    with pytest.raises(RewardError, match=message):
        model.score(**{**inputs, **change})


@pytest.mark.parametrize("most", slow_but([1, 2, 5], 2))
def test_few_trajectories_at_a_time_have_the_same_scores(model, thoughts, caplog, most):
    """Memory runs out above `most` rows of one pass, prompts' passes aside."""
    expected = scores(model, PROMPTS, thoughts, lengths=LENGTHS)
    sizes = []

    def limited(given):
        if not given.prefill:
            sizes.append(given.rows)
            if given.rows > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    with watching(model, limited):
        found = scores(model, PROMPTS, thoughts, lengths=LENGTHS)
        torch.testing.assert_close(found, expected)
        assert sizes[:2] == [12, 6]
        assert sum(size for size in sizes if size <= most) == 12
        assert "Out of memory: going on with 6 trajectories at once" in caplog.text
        with pytest.raises(
            torch.OutOfMemoryError
        ):  # where a gradient is kept, all are read at once
            model(**pad(PROMPTS), latent_thoughts=thoughts)


def test_a_pass_is_of_at_most_4096_thoughts(model, thoughts):
    many = thoughts.repeat(1, 100, 1, 1)
    passes = []
    check_model(model)  # before its passes are counted
    with watching(model, passes.append):
        found = scores(model, PROMPTS, many)
    expected = scores(model, PROMPTS, thoughts).repeat(1, 100, 1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert [one.rows for one in passes] == [4, 4096 // DEPTH, 1200 - 4096 // DEPTH]


def test_trajectories_are_scored_as_their_thoughts(model, thoughts):
    """In any order, with no thoughts at all among them."""
    trajectories = [
        Trajectory(
            question=question,
            sample=sample,
            thoughts=thoughts[question, sample, : LENGTHS[question, sample]],
            answer_ids=(),
            truncated=True,
        )
        for sample in range(COUNT)
        for question in (2, 0, 3, 1)
    ]
    found = model.score_trajectories(PROMPTS, trajectories)
    expected = scores(model, PROMPTS, thoughts, lengths=LENGTHS)
    for one, rewards in zip(trajectories, found, strict=True):
        own = expected[one.question, one.sample, : len(one.thoughts)]
        assert rewards == pytest.approx(own.tolist(), abs=1e-4)
    assert model.score_trajectories(PROMPTS, trajectories[2:3]) == [[]]
    assert model.score_trajectories(PROMPTS, []) == []
