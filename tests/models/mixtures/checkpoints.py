"""Tiny random causal models with chat formats, plain as transformers saves them."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

LLAMA_TOKENS = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
QWEN_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
DEEPSEEK_TOKENS = (
    *("<｜begin▁of▁sentence｜>", "<｜User｜>"),
    *("<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
)
TEMPLATES = {
    # As Qwen2.5-Math's: a system turn of its own where none is given.
    "qwen": (
        "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nSolve it.<|im_end|>\n"
        "{% endif %}{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
        "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    "deepseek": (
        "{{ '<｜begin▁of▁sentence｜>' }}{% for m in messages %}<｜User｜>{{ m['content'] }}"
        "{% endfor %}{% if add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}"
    ),
    # As Llama-3's: with the date, which Latent-SFT's prompts have not.
    "llama": (
        "<|begin_of_text|>Today {{ strftime_now('%d %b') }}{% for m in messages %}"
        "{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    ),
}
POSITIONS = 320
SIZES = {
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": POSITIONS,
    "initializer_range": 0.15,
    "tie_word_embeddings": False,
}
# Seed of the weights, and the factor of the head's row of the first token of `</think>`.
CHOSEN = {"llama": (2, 1.6), "qwen": (4, 2.4), "deepseek": (2, 1.0), "one token": (5, 5.0)}
TOKENS = {"llama": LLAMA_TOKENS, "qwen": QWEN_TOKENS, "deepseek": DEEPSEEK_TOKENS}


def write_tokenizer(kind: str, *added: str) -> PreTrainedTokenizerFast:
    """Bytes with a few merges, by which `</` is a token and a line break joins what follows."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("<", "/"), ("\u010a", "<"), ("\u010a", "\u010a")]
    names = [*alphabet, *("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(models.BPE(vocab={n: i for i, n in enumerate(names)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=TOKENS[kind][-1], clean_up_tokenization_spaces=False
    )
    fast.add_special_tokens({"additional_special_tokens": list(TOKENS[kind])})
    fast.add_tokens(list(added))
    fast.chat_template = TEMPLATES[kind]
    return fast


def write_checkpoint(folder: Path, kind: str, *added: str, padding: int = 7) -> Path:
    """Write a model that ends its thinking now and then, after some or the most thoughts.

    Args:
        folder: where to.
        kind: of `TOKENS`; a Qwen2 for `qwen`, else a Llama.
        *added: tokens of the vocabulary beside the chat format's.
        padding: embeddings behind the tokenizer's last token.
    """
    seed, end = CHOSEN["one token" if added else kind]
    tokenizer = write_tokenizer(kind, *added)
    torch.manual_seed(seed)
    ids = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": None}
    sizes = {**SIZES, **ids, "vocab_size": len(tokenizer) + padding}
    model = (
        Qwen2ForCausalLM(Qwen2Config(**sizes))
        if kind == "qwen"
        else LlamaForCausalLM(LlamaConfig(**sizes))
    )
    first = tokenizer.encode("</think>", add_special_tokens=False)[0]
    with torch.no_grad():
        model.lm_head.weight *= 3.0
        model.lm_head.weight[first] *= end
        model.lm_head.weight[tokenizer.eos_token_id] *= 2.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
