"""The report of how far thoughts lie apart, from a run's store."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from latent_tts.harness.commands.claims import claims
from latent_tts.models import AutoLatentModel, sample
from latent_tts.results import ResultsError
from latent_tts.results.reports.diversity import pairwise_distance

pytestmark = pytest.mark.slow

SETTINGS = {"latent_do_sample_by": "noise", "noise_std": 1.5, "num_return_sequences": 4}
SETTINGS |= {"latent_length": 3, "max_new_tokens": 12, "seed": 7}
CLAIM = {
    "says": "More samples cover more.",
    "a": {"run": "noise", "metric": "pass@4"},
    "b": {"run": "noise", "metric": "pass@1"},
}


@pytest.fixture
def swept(run_command, talkative, tmp_path):
    """A run with its thoughts, and a file of claims about it."""
    given = [f"{name}={value}" for name, value in SETTINGS.items()]
    flags = ["--tasks", "latent_tts_gsm8k", "--log_samples", "--limit", "3"]
    out = run_command(
        *flags, pretrained=talkative["coconut"], model_args=[*given, "store_thoughts=true"]
    )
    (file := tmp_path / "claims.yaml").write_text(
        yaml.safe_dump({"runs": {"noise": out.name}, "claims": [CLAIM]})
    )
    return file, out / "store"


def judged(file, store, output):
    arguments = [str(file), "--store", str(store), "--output", str(output)]
    return CliRunner().invoke(claims, arguments, catch_exceptions=False)


def test_distances_are_those_of_the_samples(swept, talkative, data, tmp_path):
    file, store = swept
    done = judged(file, store, tmp_path / "report")
    assert done.exit_code == 0, done.output
    (row,) = pd.read_csv(tmp_path / "report" / "diversity.csv").to_dict("records")
    model = AutoLatentModel.from_pretrained(talkative["coconut"])
    lines = (data / "gsm8k_test.jsonl").read_text().splitlines()[:3]
    texts = [json.loads(line)["question"] for line in lines]
    prompts = [model.encode_prompt(model.tokenizer, text) for text in texts]
    found = list(sample(model, prompts, model.settings(**SETTINGS)))
    distances = [
        pairwise_distance([one.thoughts.numpy() for one in found if one.question == number])
        for number in range(3)
    ]
    assert row["distance"] == pytest.approx(np.mean(distances), rel=1e-3)  # kept in half precision
    assert (row["run"], row["questions"], row["N"]) == ("noise", 3, 4)
    page = (tmp_path / "report" / "claims.md").read_text()
    assert "| noise | latent_tts_gsm8k | noise 1.5 |" in page
    picture = tmp_path / "report" / "latent_tts_gsm8k-diversity.png"
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_a_store_of_others_is_refused(swept, tmp_path):
    file, _ = swept
    (tmp_path / "empty").mkdir()
    with pytest.raises(ResultsError, match=r"has the thoughts of 0 of the 4 candidates"):
        judged(file, tmp_path / "empty", tmp_path / "report")
