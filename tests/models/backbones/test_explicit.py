"""Written chains come out of the engine as transformers writes them."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from latent_tts.models import BACKBONES, AutoLatentModel, LatentGenerationConfig, sample
from latent_tts.models.joined import read_by
from latent_tts.models.training.adapters import Lora, add_adapters
from latent_tts.models.training.tokenizer import train_tokenizer

QUESTIONS = ("Tom has 9 pears. How many?", "Ann has 31 cups and 4 mugs,\nor more. How many?")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A plain Llama with random weights."""
    folder = tmp_path_factory.mktemp("plain")
    texts = [f"{question}\n<<9+4=13>>\n### 13" for question in QUESTIONS]
    tokenizer = train_tokenizer(texts, vocab_size=300)
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
        initializer_range=0.4,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def sampled(folder, **settings):
    """Return the answers' token ids, one list for each sample of each question."""
    model = AutoLatentModel.from_pretrained(folder, backbone="explicit")
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    found = []
    for question in QUESTIONS:
        ids = torch.tensor([model.encode_prompt(tokenizer, question)])
        output = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            generation_config=LatentGenerationConfig(latent_do_sample=False, **settings),
            return_dict_in_generate=True,
        )
        found += [row[ids.shape[1] :].tolist() for row in output.sequences]
    return found


@pytest.mark.parametrize("adapted", [False, True])
def test_a_plain_model_is_read_by_the_method_with_its_very_weights(folder, adapted):
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if adapted:
        view = add_adapters(model, Lora(lora_rank=2, lora_targets="v_proj"))
        for name, weight in view.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight)
    ours = read_by(BACKBONES["explicit"], model, tokenizer)
    assert next(ours.parameters()) is next(model.parameters())
    settings = ours.settings(max_new_tokens=25)
    prompts = [ours.encode_prompt(tokenizer, question) for question in QUESTIONS]
    found = {one.question: list(one.answer_ids) for one in sample(ours, prompts, settings)}
    for number, question in enumerate(QUESTIONS):
        ids = tokenizer(f"{question}\n", add_special_tokens=False, return_tensors="pt")
        theirs = model.generate(**ids, do_sample=False, max_new_tokens=24)
        assert found[number] == theirs[0, ids["input_ids"].shape[1] :].tolist()


def test_the_greedy_chain_is_transformers(folder):
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ours = sampled(folder, max_new_tokens=25)
    for question, given in zip(QUESTIONS, ours, strict=True):
        ids = tokenizer(f"{question}\n", add_special_tokens=False, return_tensors="pt")
        theirs = model.generate(**ids, do_sample=False, max_new_tokens=24)
        line_break, *written = given
        assert line_break == ids["input_ids"][0, -1]
        assert written == theirs[0, ids["input_ids"].shape[1] :].tolist()


@pytest.mark.slow
def test_chains_are_sampled_by_temperature(folder):
    two = sampled(folder, do_sample=True, max_new_tokens=25, num_return_sequences=2, seed=5)
    four = sampled(folder, do_sample=True, max_new_tokens=25, num_return_sequences=4, seed=5)
    assert len({*map(tuple, four)}) == 8
    pad = AutoTokenizer.from_pretrained(folder).pad_token_id

    def text(row):
        return [token for token in row if token != pad]

    assert [*map(text, two)] == [*map(text, four[:2]), *map(text, four[4:6])]
