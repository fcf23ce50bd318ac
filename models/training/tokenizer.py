"""A small tokenizer for the checkpoints this project trains itself."""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

EOS = "<|endoftext|>"
LATENT_TOKENS = ("<|start-latent|>", "<|end-latent|>", "<|latent|>")


def train_tokenizer(texts: Iterable[str], *, vocab_size: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE in which every digit is a token of its own.

    Digits stand alone so that a number's tokens are its decimal places; bytes are the fallback, so
    any text can be encoded.

    Args:
        texts: what to learn the merges from.
        vocab_size: tokens, special ones included.

    Returns:
        A tokenizer of transformers, padding on the left, with the latent tokens added.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(LATENT_TOKENS),
        special_tokens=[EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=EOS,
        pad_token=EOS,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    # Ordinary added tokens, as in the released tokenizers: skip_special_tokens keeps them.
    fast.add_tokens(list(LATENT_TOKENS))
    return fast
