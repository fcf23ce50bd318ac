"""What thoughts are near to, in the sample log: against numpy, with and without a store."""

import numpy as np
import pytest

from latent_tts.harness.lm import LatentLM
from latent_tts.models import AutoLatentModel, ModelError, load_tokenizer, sample
from tests.harness.evaluation import evaluate, pools, question

SETTINGS = {"num_return_sequences": 2, "max_new_tokens": 12, "latent_length": 3}
NOISE = {"latent_do_sample_by": "noise", "noise_std": 1.0}


def nearest_by_numpy(model, tokenizer, thoughts, count):
    table = model.get_input_embeddings().weight.detach().double().numpy()[: len(tokenizer)]
    read = thoughts.numpy().astype(np.float16).astype(float)
    lengths = np.linalg.norm(table, axis=1)
    cosines = (read @ table.T) / lengths / np.linalg.norm(read, axis=1, keepdims=True)
    order = np.argsort(-cosines, axis=1)[:, :count]
    return tuple(tuple(spelled(tokenizer, int(token)) for token in row) for row in order)


def spelled(tokenizer, token):
    """A token's text, or its own spelling where it is half a character."""
    try:
        return tokenizer.decode([token]).encode("latin-1").decode("ascii")
    except UnicodeError:
        return tokenizer.convert_ids_to_tokens([token])[0]


@pytest.mark.slow
@pytest.mark.parametrize("store", [False, True])
def test_every_thought_has_its_nearest_tokens_in_the_log(checkpoints, data, tmp_path, store):
    given = SETTINGS | NOISE | {"nearest_tokens": 3, "seed": 5}
    if store:
        given["store"] = str(tmp_path / "store")
        # Samples that were kept without thoughts are no samples for this; drawn again, they are.
        evaluate(checkpoints["coconut"], data, model_args=given | {"nearest_tokens": 0})
        evaluate(checkpoints["coconut"], data, model_args=given)
    found = pools(evaluate(checkpoints["coconut"], data, model_args=given))
    model = AutoLatentModel.from_pretrained(checkpoints["coconut"])
    tokenizer = load_tokenizer(str(checkpoints["coconut"]))
    prompts = [model.encode_prompt(tokenizer, question(index)) for index in range(len(found))]
    settings = model.settings(**SETTINGS, **NOISE, seed=5)
    seen = 0
    for one in sample(model, prompts, settings):
        candidate = found[one.question].candidates[one.sample]
        assert candidate.nearest == nearest_by_numpy(model, tokenizer, one.thoughts, 3)
        seen += 1
    assert seen == 2 * len(found)


def test_more_tokens_than_there_are_is_refused(checkpoints):
    with pytest.raises(ModelError, match=r"nearest_tokens=999999, but the vocabulary has \d+"):
        LatentLM(str(checkpoints["coconut"]), nearest_tokens=999999)
