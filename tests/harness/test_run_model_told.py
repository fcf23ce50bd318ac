"""Whatever a run was told of its checkpoint is told again when its model is loaded anew."""

import json
import shutil

import pytest
import torch
from click.testing import CliRunner
from peft import LoraConfig, PeftModel
from transformers import AutoModelForCausalLM

from latent_tts.harness.commands.score import score
from latent_tts.harness.diversity import stored_samples
from latent_tts.harness.lm import LatentLM
from latent_tts.harness.run_model import load_run_model
from latent_tts.models import load_tokenizer
from latent_tts.models.identity import checkpoint_digest
from latent_tts.models.merge import quiet
from latent_tts.results import ResultsError, collect
from tests.checkpoints import edit_weights, write_on_trunk
from tests.harness.evaluation import evaluate, make_rows, pools, write_questions
from tests.models.formats.written import adapt, write_base, write_colar
from tests.results.made import pools_of
from tests.reward.checkpoints import random_reward_model

SAMPLING = {"num_return_sequences": 3, "max_new_tokens": 8, "latent_do_sample_by": "noise"}
SAMPLING |= {"noise_std": 1.0, "latent_length": 2}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_on_trunk(tmp_path_factory.mktemp("told") / "base", "coconut", "GPT2")


def write_adapter(folder, base, seed):
    """Write an adapter whose update is large enough to change what is answered."""
    model = AutoModelForCausalLM.from_pretrained(base)
    with quiet():
        adapted = adapt(model, LoraConfig(r=3, target_modules=["c_attn"], fan_in_fan_out=True))
        torch.manual_seed(seed)
        for weight in adapted.parameters():
            if weight.requires_grad:
                torch.nn.init.normal_(weight, std=0.3)
        adapted.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(base):
    return write_adapter(base.parent / "adapter", base, 3)


def run_of(folder, told, **options):
    """A run with stored thoughts and its log in a folder, by lm-eval's own evaluation."""
    from lm_eval.loggers import EvaluationTracker

    folder.mkdir()
    data = write_questions(folder / "data", make_rows(3))
    own = {"store": str(folder / "store"), "store_thoughts": True}
    pretrained = told.pop("pretrained")
    results = evaluate(pretrained, data, model_args=SAMPLING | own | told, **options)
    tracker = EvaluationTracker(output_path=str(folder))
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for task, lines in samples.items():
        tracker.save_results_samples(task_name=task, samples=lines)
    (run,), problems = collect([folder])
    assert not [problem for problem in problems if problem.lost]
    return run


def ways(base, adapter):
    """How one and the same model is named: over its base, or by itself."""
    return {
        "over": {"pretrained": str(base), "adapter": str(adapter), "backbone": "coconut"},
        "alone": {"pretrained": str(adapter), "base": str(base), "backbone": "coconut"},
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("way", ["over", "alone"])
def test_a_run_with_an_adapter_is_scored_by_its_own_model(tmp_path, base, adapter, way):
    """Held against sampling anew with the reward model, and against plain peft's weights."""
    told = ways(base, adapter)[way]
    run = run_of(tmp_path / "run", dict(told))
    model, _ = load_run_model(run.config)
    with quiet():
        plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
        merged = plain.merge_and_unload().state_dict()
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, merged[name], rtol=0, atol=1e-6)
    head = random_reward_model(model, 1)
    head.save_pretrained(tmp_path / "rm")
    load_tokenizer(str(base)).save_pretrained(tmp_path / "rm")
    words = [run.results.parent, "--store", tmp_path / "run" / "store", "--any-reward-model"]
    words += ["--reward-model", f"rm={tmp_path / 'rm'}", "--output", tmp_path / "scored"]
    done = CliRunner().invoke(score, [*map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0
    (scored,), _ = collect([tmp_path / "scored"])
    rewarded = {"reward_model": str(tmp_path / "rm"), "any_reward_model": True}
    pretrained = told.pop("pretrained")
    data = tmp_path / "run" / "data"
    anew = pools(evaluate(pretrained, data, model_args=SAMPLING | told | rewarded))
    for ours, theirs in zip(pools_of(scored), anew, strict=True):
        for one, two in zip(ours.candidates, theirs.candidates, strict=True):
            assert one.text == two.text
            assert one.reward == pytest.approx(two.reward, abs=2e-2)
    assert len(stored_samples(run, tmp_path / "run" / "store")) == 3


@pytest.mark.slow
@pytest.mark.parametrize("part", ["base", "adapter"])
def test_a_run_whose_files_were_changed_is_refused_by_name(tmp_path, base, part):
    own = shutil.copytree(base, tmp_path / "base")
    adapter = write_adapter(tmp_path / "adapter", own, 3)
    told = ways(own, adapter)["alone"]
    run = run_of(tmp_path / "run", told)
    if part == "adapter":
        write_adapter(adapter, own, 4)
    else:
        edit_weights(own, lambda tensors: tensors["transformer.wpe.weight"].mul_(2.0))
    what = "base" if part == "base" else "weights|adapter"
    with pytest.raises(ResultsError, match=f"The ({what}) of .* has the digest"):
        load_run_model(run.config)


@pytest.mark.slow
def test_how_files_are_read_is_recorded_and_read_so_again(tmp_path):
    """The scale of a low-rank update and CoLaR's embeddings stand in no file and no prompt."""
    base = write_base(tmp_path / "base", "Llama", bos=True)
    write_colar(tmp_path / "colar.ckpt", base)
    runs = {}
    for alpha, std in ((8.0, 0.02), (32.0, 0.02), (8.0, 0.05)):
        told = {"pretrained": str(tmp_path / "colar.ckpt"), "base": str(base)}
        told |= {"lora_alpha": alpha, "embeds_std": std}
        folder = tmp_path / f"{alpha}-{std}"
        run = run_of(folder, dict(told))
        pretrained = told.pop("pretrained")
        asked = LatentLM(pretrained, **told).model
        model, _ = load_run_model(run.config)
        assert checkpoint_digest(model) == checkpoint_digest(asked)
        assert model.config.to_dict() == asked.config.to_dict()
        runs[alpha, std] = run
    first, second, third = runs.values()
    assert len({first.setup_but_seed, second.setup_but_seed, third.setup_but_seed}) == 3


@pytest.mark.slow
def test_a_record_without_arguments_is_loaded_by_its_parts(tmp_path, base, adapter):
    """As committed baselines are, of which model_args are left out."""
    run = run_of(tmp_path / "run", ways(base, adapter)["over"])
    content = json.loads(run.results.read_text())
    del content["config"]["model_args"]
    run.results.write_text(json.dumps(content))
    (bare,), _ = collect([tmp_path / "run"])
    assert bare.config.model_args is None
    model, _ = load_run_model(bare.config)
    assert checkpoint_digest(model) == checkpoint_digest(load_run_model(run.config)[0])
