"""The tokenizer that the recipe trains."""

from latent_tts.models.training.tokenizer import EOS, LATENT_TOKENS, train_tokenizer


def test_every_digit_is_a_token_and_any_text_comes_back():
    texts = [f"Tom has {number} pens. {number}*2={number * 2}\n" for number in range(200)]
    tokenizer = train_tokenizer(texts, vocab_size=264)
    assert len(tokenizer) == 264
    assert tokenizer.tokenize("12305") == list("12305")
    assert not [token for token in tokenizer.get_vocab() if len(token) > 1 and token.isdigit()]
    text = "Ünïcode “quotes”\t9,000.50 € ###\n"
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert len(tokenizer.encode("Tom has")) < len("Tom has")
    assert tokenizer.eos_token == tokenizer.pad_token == EOS
    assert tokenizer.padding_side == "left"
    for token in LATENT_TOKENS:
        assert tokenizer.encode(token) == [tokenizer.convert_tokens_to_ids(token)]
        assert tokenizer.decode(tokenizer.encode(token), skip_special_tokens=True) == token
