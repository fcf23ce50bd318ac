"""Checkpoints as training programs leave them, and what those programs' models answer.

Each writer builds the modules that the program builds, by plain torch, transformers and peft, with
random weights, and saves what it saves. Each keeps its model, so that thoughts and answers can be
computed as the program computes them: one question at a time, without a cache, the low-rank
updates beside the weights and not merged into them.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from tests.checkpoints import EOS, TRUNKS

QUESTIONS = ("Tom has 3  pens and buys 12.", " Ann eats 2 of 9 plums.  How many are left? ", "7+5?")


@dataclass
class Written:
    """A checkpoint on disk.

    Attributes:
        path: what is given as `pretrained`.
        base: the folder of the language model that it was made from.
        prompt: from a question to its token ids.
        think: from input embeddings f[1, P, D] to those with all thoughts behind them.
        end: the token that ends thinking.
        model: the language model.
        forbidden: a token that is never answered.
    """

    path: Path
    base: Path
    prompt: Callable[[str], list[int]]
    think: Callable[[torch.Tensor], torch.Tensor]
    end: int
    model: Any
    forbidden: tuple[int, ...] = ()

    @torch.no_grad()
    def answer(self, question: str, tokens: int) -> tuple[list[int], torch.Tensor, list[int]]:
        """Return the prompt's ids, the thoughts f[T, D], and the greedy answer's ids."""
        prompt = self.prompt(question)
        embed = self.model.get_input_embeddings()
        inputs = self.think(embed(torch.tensor([prompt])))
        thoughts = inputs[0, len(prompt) :]
        inputs = torch.cat((inputs, embed(torch.tensor([[self.end]]))), dim=1)
        answer: list[int] = []
        while len(answer) < tokens:
            logits = self.model(inputs_embeds=inputs).logits[0, -1]
            logits[list(self.forbidden)] = -torch.inf
            answer.append(int(logits.argmax()))
            if answer[-1] == self.model.config.eos_token_id:
                break
            inputs = torch.cat((inputs, embed(torch.tensor([[answer[-1]]]))), dim=1)
        return prompt, thoughts, answer


def adapt(model: Any, config: LoraConfig) -> Any:
    """Put low-rank updates beside a model's weights."""
    with warnings.catch_warnings():  # peft asks transformers by a name that it is about to drop
        warnings.simplefilter("ignore", FutureWarning)
        return get_peft_model(model, config)


def last_hidden(model: Any, inputs: torch.Tensor) -> torch.Tensor:
    """Return the last layer's state at the last position, f[1, D]."""
    return model(inputs_embeds=inputs, output_hidden_states=True).hidden_states[-1][:, -1]


def write_base(
    folder: Path, trunk: str, *, bos: bool, extra: tuple[str, ...] = (), **config: Any
) -> Path:
    """Write a language model with a byte tokenizer that may put a token before every text.

    `extra` are tokens that somebody added to the tokenizer, with rows of their own.
    """
    alphabet = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "##", "###", EOS, "<|begin|>"]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: index for index, token in enumerate(alphabet)},
            merges=[("#", "#"), ("##", "#")],
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|begin|> $A", special_tokens=[("<|begin|>", len(alphabet) - 1)]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=EOS, clean_up_tokenization_spaces=False
    )
    fast.add_tokens(list(extra))
    torch.manual_seed(7)
    changed = type(TRUNKS[trunk]).from_dict(
        TRUNKS[trunk].to_dict()
        | {"vocab_size": len(fast), "bos_token_id": 258, "eos_token_id": 258}
        | config
    )
    model = AutoModelForCausalLM.from_config(changed)
    with torch.no_grad():  # thinking ends now and then
        model.get_output_embeddings().weight[alphabet.index("###")] *= 3
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def write_coconut(folder: Path, base: Path, *, thoughts: int, auxiliary: bool = False) -> Written:
    """facebookresearch/coconut: the wrapper's state dict; SIM-CoT's has a decoder beside it."""
    model, tokenizer = _load(base)
    tokenizer.add_tokens(["<|start-latent|>", "<|end-latent|>", "<|latent|>"])
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    wrapper = nn.Module()
    wrapper.base_causallm = model
    wrapper.embedding = model.get_input_embeddings()
    if auxiliary:
        wrapper.expainable_llm = nn.Linear(3, 3)
    path = folder / "checkpoint_12"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(wrapper.state_dict(), path)
    start = tokenizer.convert_tokens_to_ids("<|start-latent|>")

    def think(inputs: torch.Tensor) -> torch.Tensor:
        for _ in range(thoughts):
            inputs = torch.cat((inputs, last_hidden(model, inputs)[:, None]), dim=1)
        return inputs

    def prompt(question: str) -> list[int]:
        return [*tokenizer.encode(question + "\n"), start]

    return Written(path, base, prompt, think, start + 1, model)


def write_codi(
    folder: Path, base: Path, targets: list[str], *, rank: int = 4, alpha: int = 8, width: int = 24
) -> Written:
    """zhenyi4/codi: base, low-rank updates and projector, without a config."""
    model, tokenizer = _load(base)
    first = model.config.vocab_size
    model.resize_token_embeddings(first + 3, mean_resizing=False)
    size = model.config.get_text_config().hidden_size
    wrapper = nn.Module()
    transposed = model.config.model_type == "gpt2"
    wrapper.codi = adapt(
        model,
        LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets, fan_in_fan_out=transposed),
    )
    wrapper.prj = nn.Sequential(
        nn.Dropout(0.0), nn.Linear(size, width), nn.GELU(), nn.Linear(width, size)
    )
    wrapper.prj.add_module("ln", nn.LayerNorm(size))
    torch.manual_seed(11)
    for name, weight in wrapper.named_parameters():
        if "lora_" in name or name.startswith("prj."):
            nn.init.normal_(weight, std=0.1)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(wrapper.state_dict(), folder / "pytorch_model.bin")
    wrapper.eval()

    def think(inputs: torch.Tensor) -> torch.Tensor:
        for _ in range(6):
            thought = wrapper.prj(last_hidden(wrapper.codi, inputs))
            inputs = torch.cat((inputs, thought[:, None]), dim=1)
        return inputs

    def prompt(question: str) -> list[int]:
        return [*tokenizer.encode(question.strip().replace("  ", " ")), first + 1]

    return Written(folder, base, prompt, think, first + 2, wrapper.codi, forbidden=(first + 2,))


def write_colar(
    folder: Path,
    base: Path,
    *,
    speed: int | str = 5,
    most: int = 64,
    width: int = 24,
    rank: int = 4,
) -> Written:
    """xiaomi-research/colar: a Lightning file of what was trained, settings by omegaconf."""
    model, tokenizer = _load(base)
    size = model.config.hidden_size
    adapted = adapt(model, LoraConfig(r=rank, lora_alpha=8))
    policy = nn.Module()
    policy.fc = nn.Sequential(
        nn.Linear(size, width), nn.GELU(), nn.Linear(width, width), nn.LayerNorm(width)
    )
    policy.mean = nn.Linear(width, size)
    policy.log_std = nn.Linear(width, size)
    wrapper = nn.Module()
    wrapper.llm, wrapper.latent_policy = adapted, policy
    torch.manual_seed(13)
    for name, weight in wrapper.named_parameters():
        if "lora_" in name or "latent_policy" in name:
            nn.init.normal_(weight, std=0.1)
    settings = OmegaConf.create(
        {"model_id": "Llama-3.2-1B-Instruct", "lora_config": {"r": rank, "lora_alpha": 8}}
    )
    folder.mkdir(parents=True, exist_ok=True)
    trained = {name: w for name, w in wrapper.named_parameters() if w.requires_grad}
    torch.save(
        {
            "state_dict": {name: weight.detach() for name, weight in trained.items()},
            "epoch": 3,
            "hyper_parameters": {"model_kwargs": settings, "all_config": {"args": settings}},
        },
        folder / "last.ckpt",
    )
    (folder / "hparams.yaml").write_text("{}\n")
    wrapper.eval()
    marker = tokenizer.convert_tokens_to_ids("###")

    def think(inputs: torch.Tensor) -> torch.Tensor:
        for _ in range(most):
            thought = policy.mean(policy.fc(last_hidden(adapted, inputs))) * 0.018
            inputs = torch.cat((inputs, thought[:, None]), dim=1)
            if int(adapted(inputs_embeds=inputs).logits[0, -1].argmax()) == marker:
                break
        return inputs

    def prompt(question: str) -> list[int]:
        text = f"Question: {question} Let's think step by step:(Thinking speed: {speed})###"
        return tokenizer.encode(text, add_special_tokens=False)

    return Written(folder / "last.ckpt", base, prompt, think, marker, adapted)


def _load(base: Path) -> tuple[Any, Any]:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(base)
    return AutoModelForCausalLM.from_pretrained(base).eval(), tokenizer
