"""RoT's released layout answers as Qwen3-VL with the low-rank updates beside its weights does."""

import json

import pytest
import torch
from peft import LoraConfig
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLTextConfig,
)

from latent_tts.models import AutoLatentModel, ModelError, sample
from latent_tts.models.backbones import RoT
from latent_tts.models.formats import SourceOptions
from latent_tts.models.text_part import text_part
from tests.models.formats.written import adapt
from tests.models.mixtures.checkpoints import write_tokenizer

QUESTIONS = ("Tom has 3 pens and buys 12.", "Ann eats 2 of 9 plums. How many are left?")
THOUGHTS, NEW = 3, 10
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "mrope_section": [2, 1, 1],
        "mrope_interleaved": True,
    },
}
SEES = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2}
SEES |= {"out_hidden_size": 32, "deepstack_visual_indexes": [0], "num_position_embeddings": 16}


class Slow(nn.Module):
    """RoT's head of thoughts by its paper, written anew."""

    def __init__(self, size, width):
        super().__init__()
        self.add_module("0", nn.LayerNorm(size, eps=1e-6))
        self.add_module("1", nn.Linear(size, width))
        gate = nn.Module()
        for name in ("w1", "w2", "w3"):
            gate.add_module(name, nn.Linear(width, width, bias=False))
        self.add_module("2", gate)
        self.add_module("3", nn.Linear(width, size))

    def forward(self, hidden):
        norm, first, gate, last = (self.get_submodule(str(index)) for index in range(4))
        wide = first(norm(hidden))
        a = wide @ gate.w1.weight.T
        return last((a * torch.sigmoid(a) * (wide @ gate.w2.weight.T)) @ gate.w3.weight.T)


class Written:
    """A checkpoint on disk, and the model that wrote it."""

    def __init__(self, folder):
        self.base, self.path = folder / "base", folder / "stage2" / "checkpoint_step_1"
        self.tokenizer = write_tokenizer("qwen")
        eos, size = self.tokenizer.eos_token_id, len(self.tokenizer)
        text = {**TEXT, "vocab_size": size + 20, "eos_token_id": eos, "pad_token_id": eos}
        config = Qwen3VLConfig(text_config=text, vision_config=SEES, tie_word_embeddings=True)
        torch.manual_seed(1)
        self.model = Qwen3VLForConditionalGeneration(config).eval()
        self.model.save_pretrained(self.base)
        self.tokenizer.save_pretrained(self.base)
        # As its training does: the text model alone is resized, so the head keeps its rows.
        self.tokenizer.add_tokens(["<img_begin>", "<img>", "<img_end>"])
        self.model.model.language_model.resize_token_embeddings(len(self.tokenizer))
        lora = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"])
        model = adapt(self.model, lora)
        for name, weight in model.named_parameters():
            if "lora_" in name:
                nn.init.normal_(weight, std=0.3)
        self.head = Slow(32, 24)
        state = {f"vision_encoder.mllm_model.{n}": w for n, w in model.state_dict().items()}
        within = self.model.model.language_model.state_dict()
        state |= {f"language_model.{name}": weight for name, weight in within.items()}
        state |= {"llm_lm_head.weight": self.model.lm_head.weight, "log_var_lm": torch.zeros(1)}
        state |= {f"projection_head.{n}": w for n, w in self.head.state_dict().items()}
        place = self.path / "global_step1"
        place.mkdir(parents=True)
        entries = {"ds_config": {"bf16": True}, "global_steps": 1, "optimizer": None}
        torch.save({"module": state, **entries}, place / "mp_rank_00_model_states.pt")
        torch.save({"optimizer_state_dict": {}}, place / "zero_pp_rank_0_optim_states.pt")
        (self.path / "latest").write_text("global_step1")

    @torch.no_grad()
    def answer(self, question):
        """Return prompt, thoughts and answer, the whole sequence read anew at every step."""
        chat = [{"role": "system", "content": "You are a helpful assistant."}]
        chat += [{"role": "user", "content": question}]
        text = self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        prompt = self.tokenizer.encode(text + "<img_begin>", add_special_tokens=False)
        embed = self.model.get_input_embeddings()
        read = self.model.model.language_model
        inputs = embed(torch.tensor([prompt]))
        for _ in range(THOUGHTS):
            thought = self.head(read(inputs_embeds=inputs).last_hidden_state[:, -1:])
            inputs = torch.cat((inputs, thought), dim=1)
        end = self.tokenizer.convert_tokens_to_ids("<img_end>")
        inputs = torch.cat((inputs, embed(torch.tensor([[end]]))), dim=1)
        answer = []
        while len(answer) < NEW and answer[-1:] != [self.tokenizer.eos_token_id]:
            logits = self.model.lm_head(read(inputs_embeds=inputs).last_hidden_state[0, -1])
            answer.append(int(logits[: len(self.tokenizer)].argmax()))
            inputs = torch.cat((inputs, embed(torch.tensor([[answer[-1]]]))), dim=1)
        return prompt, inputs[0, len(prompt) : len(prompt) + THOUGHTS], answer


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return Written(tmp_path_factory.mktemp("rot"))


@pytest.fixture(scope="module")
def model(written):
    options = SourceOptions(base=str(written.base), lora_alpha=8, latent_length=THOUGHTS)
    return AutoLatentModel.from_pretrained(written.path, source=options)


def sampled(model, prompts, **given):
    settings = model.settings(max_new_tokens=THOUGHTS + 1 + NEW, **given)
    return {(one.question, one.sample): one for one in sample(model, prompts, settings)}


def test_it_thinks_and_answers_as_the_program(written, model, tmp_path):
    expected = [written.answer(question) for question in QUESTIONS]
    model.save_pretrained(tmp_path)
    model.tokenizer.save_pretrained(tmp_path)
    for own in (model, AutoLatentModel.from_pretrained(tmp_path)):
        prompts = [own.encode_prompt(own.tokenizer, question) for question in QUESTIONS]
        assert prompts == [prompt for prompt, _, _ in expected]
        found = sampled(own, prompts, latent_do_sample=False)
        for number, (_, thoughts, answer) in enumerate(expected):
            one = found[number, 0]
            torch.testing.assert_close(one.thoughts, thoughts, rtol=1e-3, atol=1e-3)
            assert list(one.answer_ids) == answer
    assert type(own).__name__ == "RoTQwen3VLText"
    assert "model.visual.*" in " ".join(model.origin.left_out)


@pytest.mark.parametrize("sampler", ["noise", "dropout"])
def test_its_samples_are_addressed(model, sampler):
    prompts = [model.encode_prompt(model.tokenizer, question) for question in QUESTIONS]
    given = {"latent_do_sample_by": sampler, "seed": 5}
    both = sampled(model, prompts, num_return_sequences=4, **given)
    assert len({one.answer_ids for one in both.values()}) > 2
    alone = sampled(model, prompts[1:], num_return_sequences=2, **given)
    for (_, number), one in alone.items():
        assert one.answer_ids == both[1, number].answer_ids


def test_answers_are_numbers():
    read = RoT.read_answer
    assert read(None, "assistant\nTherefore 7 of them.\n#### 3,343") == "3,343"
    assert read(None, "It is -180.") == "-180"
    assert read(None, "#### none of 5") == "5"
    assert read(None, "nothing") is None


def test_what_cannot_be_read_is_refused(written, tmp_path):
    def load(**given):
        return AutoLatentModel.from_pretrained(written.path, source=SourceOptions(**given))

    with pytest.raises(ModelError, match=r"Give base=.*Qwen3-VL-4B-Instruct"):
        load()
    with pytest.raises(ModelError, match=r"lora_alpha=32"):
        load(base=str(written.base))
    config = json.loads((written.base / "config.json").read_text())
    without = {name: value for name, value in config.items() if name != "text_config"}
    for changed in (without, config["vision_config"]):
        (tmp_path / "config.json").write_text(json.dumps(changed))
        written.tokenizer.save_pretrained(tmp_path)
        with pytest.raises(ModelError, match=r"without its text part \(text_config\)"):
            load(base=str(tmp_path), lora_alpha=8)


def test_the_text_part_is_a_causal_language_model(written):
    """With transformers' own logits and generation."""
    config = text_part(AutoConfig.from_pretrained(written.base), str(written.base))
    assert isinstance(config, Qwen3VLTextConfig)
    torch.manual_seed(0)
    plain = AutoModelForCausalLM.from_config(config).eval()
    whole = Qwen3VLForConditionalGeneration.from_pretrained(written.base).eval()
    plain.model.load_state_dict(whole.model.language_model.state_dict())
    plain.lm_head.load_state_dict(whole.lm_head.state_dict())
    ids = torch.arange(1, 9)[None]
    assert torch.equal(plain(ids).logits, whole(ids).logits)
    ours = plain.generate(ids, max_new_tokens=5, do_sample=False)
    assert torch.equal(ours, whole.generate(ids, max_new_tokens=5, do_sample=False))
