"""`latent-tts train RECIPE` with tiny numbers: what it writes, going on after a kill, bad input."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.resources import files

import pytest
import torch
import yaml
from click.testing import CliRunner
from peft import PeftModel
from safetensors.torch import load_file
from tokenizers import Tokenizer, models
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from latent_tts.errors import LatentTTSError
from latent_tts.harness.commands.train import train
from latent_tts.harness.sample import sample_pools
from latent_tts.models import AutoLatentModel, load_tokenizer
from latent_tts.models.merge import quiet

BASE = {
    "model_type": "gpt2",
    "vocab_size": 400,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 2,
    "n_positions": 320,
}
TINY = {
    "objective": "explicit",
    "base": BASE,
    "data": [{"arith": 200, "hard_share": 0.1}],
    "validation": [{"arith": 4}],
    "updates": 12,
    "batch_size": 4,
    "accumulate": 2,
    "learning_rate": "2e-3",  # as YAML reads it
    "eval_updates": 6,
    "log_updates": 3,
    "save_minutes": 0,
    "report_to": "none",
}


def write_recipe(folder, **changes):
    file = folder / "tiny.yaml"
    recipe = {name: value for name, value in (TINY | changes).items() if value is not None}
    file.write_text(yaml.safe_dump(recipe))
    return file


def run(recipe, output, *flags):
    arguments = [str(recipe), "--output", str(output), *flags]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["latent-tts", "train", *arguments])  # which the card quotes
        return CliRunner().invoke(train, arguments, catch_exceptions=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A recipe and the checkpoint that it made in one go."""
    folder = tmp_path_factory.mktemp("train")
    recipe = write_recipe(folder)
    assert run(recipe, folder / "tiny").exit_code == 0
    return recipe, folder / "tiny"


def weights(folder):
    return load_file(folder / "model.safetensors")


def check_same_weights(left, right):
    left, right = weights(left), weights(right)
    assert left.keys() == right.keys()
    assert all(torch.equal(tensor, right[name]) for name, tensor in left.items())


@pytest.mark.slow
def test_the_checkpoint_is_a_plain_causal_model_with_its_tokenizer_and_card(trained):
    _, folder = trained
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.float16
    assert AutoLatentModel.from_pretrained(folder).backbone == "explicit"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.tokenize("12305") == list("12305")
    card = (folder / "README.md").read_text()
    assert str(folder.parent) not in card  # where things lie on this machine is nobody's matter
    assert "latent-tts train tiny.yaml --output tiny" in card
    assert "200 examples from 200 generated problems" in card
    assert "12 optimizer steps" in card
    steps = [line.split("|")[1].strip() for line in card.splitlines() if "±" in line]
    assert steps == ["6", "12"]
    assert not (folder / "training" / "published").exists()


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_weights(trained, tmp_path):
    recipe, whole = trained
    output = tmp_path / "tiny"
    command = [sys.executable, "-m", "latent_tts.harness.cli", "train", str(recipe)]
    process = subprocess.Popen(
        [*command, "--output", str(output)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:  # once a checkpoint is there, somewhere within a later update
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if list(output.glob("training/checkpoint-*/trainer_state.json")):
                break
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (output / "config.json").exists()
    begun = max(int(p.name[11:]) for p in output.glob("training/checkpoint-*"))
    assert 0 < begun < 12
    unfinished = output / "training" / "checkpoint-11"  # as if one was being written
    unfinished.mkdir(exist_ok=True)
    (unfinished / "trainer_state.json").unlink(missing_ok=True)
    assert run(recipe, output).exit_code == 0
    check_same_weights(whole, output)


@pytest.mark.slow
def test_a_finished_training_is_only_written_again(trained, tmp_path):
    recipe, whole = trained
    output = shutil.copytree(whole, tmp_path / "tiny")
    (output / "model.safetensors").unlink()
    newest = output / "training" / "checkpoint-12" / "trainer_state.json"
    moment = newest.stat().st_mtime_ns
    assert run(recipe, output).exit_code == 0
    assert newest.stat().st_mtime_ns == moment
    check_same_weights(whole, output)


@pytest.mark.slow
def test_other_settings_in_the_same_folder_are_refused_by_name(trained):
    recipe, whole = trained
    message = "begun otherwise: learning_rate was 0.002 and is now 0.001. Repeat the command"
    with pytest.raises(LatentTTSError, match=message):
        run(recipe, whole, "--learning-rate", "1e-3")
    assert run(recipe, whole, "--save-minutes", "9").exit_code == 0


@pytest.mark.slow
def test_batches_of_an_update_are_one_large_batch(trained, tmp_path):
    recipe, whole = trained
    flags = ("--batch-size", "8", "--accumulate", "1")
    assert run(recipe, tmp_path / "tiny", *flags, "--eval-updates", "0").exit_code == 0
    # The order differs (examples of like length share a batch), so what is compared is the loss.
    logs = [
        json.loads((folder / "training/checkpoint-12/trainer_state.json").read_text())
        for folder in (whole, tmp_path / "tiny")
    ]
    first, second = ([e["loss"] for e in log["log_history"] if "loss" in e] for log in logs)
    assert first == pytest.approx(second, rel=0.05)


@pytest.mark.slow
def test_passes_are_in_bfloat16_where_the_recipe_says_so(tmp_path):
    rows = [{"question": "Is it 7?", "steps": ["3+4=7"], "answer": "7"}] * 2
    (tmp_path / "two.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    still = BASE | {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}  # no random masks
    changes = {"data": [str(tmp_path / "two.jsonl")], "validation": None}
    changes |= {"batch_size": 2, "accumulate": 1, "updates": 1, "log_updates": 1, "eval_updates": 0}
    changes["base"] = still | {"initializer_range": 0.5}  # so that roundings are seen
    changes |= {"learning_rate": 0.0, "publish": {"dtype": "float32"}}  # what it began with
    losses = {}
    for precision in ("float32", "bfloat16"):
        recipe = write_recipe(tmp_path, **changes, precision=precision)
        assert run(recipe, tmp_path / precision).exit_code == 0
        state = tmp_path / precision / "training" / "checkpoint-1" / "trainer_state.json"
        losses[precision] = json.loads(state.read_text())["log_history"][0]["loss"]
        learned = load_file(state.parent / "trained.safetensors")
        assert {weight.dtype for weight in learned.values()} == {torch.float32}
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "bfloat16", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "bfloat16")
    parts = [tokenizer(part).input_ids for part in ("Is it 7?", "\n", "3+4=7\n### ", "7")]
    ids = torch.tensor([[*(token for part in parts for token in part), tokenizer.eos_token_id]])
    asked = len(parts[0]) + len(parts[1])
    targets = ids.masked_fill(torch.arange(ids.shape[1]) < asked, -100)
    for precision, lower in {"float32": False, "bfloat16": True}.items():
        with torch.autocast("cpu", torch.bfloat16, enabled=lower):
            expected = plain(ids, labels=targets).loss.item()
        assert losses[precision] == pytest.approx(expected, abs=1e-5)
    assert abs(losses["float32"] - losses["bfloat16"]) > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["explicit", "codi"])
def test_two_processes_learn_what_one_does(tmp_path, kind):
    still = BASE | {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}  # no random masks
    changes = {"updates": 4, "eval_updates": 2, "objective": kind, "base": still}
    changes |= {"publish": {"dtype": "float32"}}
    if kind == "codi":
        changes |= {"codi_thoughts": 2}
    recipe = write_recipe(tmp_path, **changes)
    assert run(recipe, tmp_path / "one").exit_code == 0
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc_per_node", "2", "-m", "latent_tts.harness.cli", "train", str(recipe)),
            *("--output", str(tmp_path / "two"), "--accumulate", "1"),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    one, two = (weights(tmp_path / folder) for folder in ("one", "two"))
    assert one.keys() == two.keys()
    for name, value in one.items():  # sums in another order
        torch.testing.assert_close(two[name], value, atol=1e-4, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("merge", [True, False])
def test_adapters_are_merged_or_written_alone(trained, tmp_path, merge):
    _, base = trained
    recipe = write_recipe(
        tmp_path,
        base=str(base),
        lora_rank=2,
        lora_layers=0.5,
        publish={"merge": merge, "dtype": "float32"},
    )
    output = tmp_path / "out"
    assert run(recipe, output).exit_code == 0
    assert (output / "model.safetensors").exists() == merge
    assert (output / "adapter_model.safetensors").exists() != merge
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if merge:
        before = plain.state_dict()
        model = AutoModelForCausalLM.from_pretrained(output).state_dict()
        moved = {name for name in before if not torch.equal(model[name], before[name])}
        assert moved
        assert all(name.startswith("transformer.h.1.") for name in moved)
    else:
        ours = AutoLatentModel.from_pretrained(output)
        assert ours.backbone == "explicit"
        with quiet():
            theirs = PeftModel.from_pretrained(plain, output)
        ids = torch.arange(1, 9)[None]
        torch.testing.assert_close(ours(ids).logits, theirs(ids).logits)
        named = json.loads((output / "adapter_config.json").read_text())["base_model_name_or_path"]
        assert named == str(base)
        assert not (output / "tokenizer.json").exists()  # the base's is the adapters'
        assert ours.tokenizer.get_vocab() == load_tokenizer(base).get_vocab()


BAD = {
    "objective": ({"objective": "explict"}, "No objective is called 'explict'. Did you mean"),
    "setting": ({"learning_rat": 1}, "learning_rat is no setting.*Did you mean learning_rate"),
    "number": ({"batch_size": "many"}, "batch_size='many'"),
    "range": ({"warmup": 2}, "warmup=2.*below 1"),
    "no data": ({"data": None}, "says no data"),
    "file": ({"data": ["none.jsonl"]}, "cannot read none.jsonl"),
    "source": ({"data": [{"arth": 5}]}, "is no data. Give a file"),
    "base": ({"base": "./none"}, "No checkpoint at './none'"),
    "not causal": ({"base": {"model_type": "vit", "vocab_size": 300}}, "no causal language model"),
    "positions": ({"base": {**BASE, "n_positions": 32}}, "positions with objective explicit"),
    "thoughts": (
        {"objective": "coconut", "thought_steps": 90, "stage_updates": 2},
        "positions with objective coconut; the model has 320",
    ),
    "masks": (
        {"gradient_checkpointing": True, "train_dropout_p": 0.1},
        "masks of dropout are made for one. Leave one of them out",
    ),
    "rank": ({"adapter": "x"}, "adapter without lora_rank"),
    "of another objective": ({"codi_thoughts": 3}, "It is a setting of codi"),
    "samplers": (
        {"train_noise_std": 1, "train_dropout_p": 0.1},
        "samplers dropout and noise.*one sampler",
    ),
    "a sampler without thoughts": (
        {"train_noise_std": 0.5},
        "objective explicit has no thoughts .* noise could .*Leave out train_noise_std",
    ),
    "a head's sampler": (
        {"objective": "colar", "latent_width": 16, "train_latent_temperature": 1.0},
        "objective colar is taught by the steps' own embeddings.* native has nothing to draw",
    ),
    "a sampler of another backbone": (
        {"objective": "codi", "train_latent_temperature": 1.0},
        "native draws from a latent head .* this codi checkpoint has none",
    ),
    "dtype": ({"publish": {"dtype": "int8"}}, "allowed are float32, bfloat16 and float16"),
    "adapters of nobody": (
        {"lora_rank": 2, "publish": {"merge": False}},
        "leaves adapters alone, which nobody could load without a base",
    ),
    "targets": ({"lora_rank": 2, "lora_targets": "q_prj"}, "Allowed are all-linear and c_attn"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named_and_nothing_is_written(tmp_path, case, monkeypatch):
    changes, message = BAD[case]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LatentTTSError, match=message):
        run(write_recipe(tmp_path, **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_without_digits_is_refused(tmp_path):
    base = tmp_path / "base"
    GPT2LMHeadModel(GPT2Config(vocab_size=4, n_embd=4, n_layer=1, n_head=1)).save_pretrained(base)
    words = models.WordLevel({"a": 0, "<unk>": 1, "<eos>": 2}, unk_token="<unk>")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(words), unk_token="<unk>", eos_token="<eos>"
    )
    tokenizer.save_pretrained(base)
    with pytest.raises(LatentTTSError, match="does not know the digit 0"):
        run(write_recipe(tmp_path, base=str(base)), tmp_path / "out")


def test_what_is_measured_on_may_not_be_learned(tmp_path):
    rows = [{"question": "What is 1 + 2?", "steps": ["1+2=3"], "answer": "3"}]
    file = tmp_path / "train.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    recipe = write_recipe(tmp_path, data=[str(file)], validation=[str(file)])
    with pytest.raises(LatentTTSError, match="Question 0 of validation is learned from, too"):
        run(recipe, tmp_path / "out")


def test_a_test_question_is_not_learned(tmp_path):
    shipped = files("latent_tts.tasks.arith") / "arith_test.jsonl"
    file = tmp_path / "train.jsonl"
    file.write_text('{"question": "What is 1 + 2?", "answer": "3"}\n' + shipped.read_text())
    recipe = write_recipe(tmp_path, data=[str(file)])
    with pytest.raises(LatentTTSError, match=r"train.jsonl: 500 of the examples .* arith_test"):
        run(recipe, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_recipe_that_is_no_yaml_is_refused(tmp_path):
    with pytest.raises(LatentTTSError, match=r"No recipe at .*none\.yaml"):
        run(tmp_path / "none.yaml", tmp_path / "out")
    file = tmp_path / "bad.yaml"
    for text, message in (("- a\n", "must hold settings"), ("a: [", "is no YAML")):
        file.write_text(text)
        with pytest.raises(LatentTTSError, match=message):
            run(file, tmp_path / "out")


LATENT = {
    "coconut": {"stage_updates": 2, "thought_steps": 2, "probe_weight": 0.5, "earlier_share": 0.2},
    "codi": {"codi_thoughts": 2},
    "colar": {"latent_width": 16, "max_speed": 2},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", LATENT)
def test_a_latent_method_starts_from_a_plain_model_with_adapters_and_a_sampler(
    trained, tmp_path, kind
):
    _, base = trained
    changes = {"updates": 4, "eval_updates": 0, "lora_rank": 2, "train_noise_std": 0.2}
    publish = {"dtype": "float32", "generation": {"latent_do_sample_by": "noise"}}
    recipe = write_recipe(
        tmp_path, objective=kind, base=str(base), publish=publish, **changes, **LATENT[kind]
    )
    output = tmp_path / "out"
    done = run(recipe, output)
    assert "Validation accuracy" in done.output
    model = AutoLatentModel.from_pretrained(output)
    assert model.backbone == kind
    assert not [name for name, _ in model.named_parameters() if "lora" in name or "probe" in name]
    settings = model.settings()
    assert settings.sampler.name == "noise"
    if kind != "colar":
        assert settings.latent_length == {"coconut": 4, "codi": 2}[kind]
    (pool,) = sample_pools(model, load_tokenizer(output), ["What is 1 + 2?"], settings)
    assert pool.candidates
    log = json.loads((output / "training/checkpoint-4/trainer_state.json").read_text())
    assert {f"loss_{name}" for name in {"coconut": ["text", "probe"]}.get(kind, ["text"])} <= {
        name for entry in log["log_history"] for name in entry
    }


@pytest.fixture(scope="module")
def adapted(trained, tmp_path_factory):
    """A base, and adapters of it that write chains."""
    folder = tmp_path_factory.mktemp("adapted")
    options = {"lora_rank": 2, "updates": 2, "eval_updates": 0, "publish": {"merge": False}}
    recipe = write_recipe(folder, base=str(trained[1]), **options)
    assert run(recipe, folder / "explicit").exit_code == 0
    return trained[1], folder / "explicit"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["codi", "colar"])
def test_adapters_go_on_to_a_latent_method_and_find_their_base(adapted, tmp_path, kind):
    base, explicit = adapted
    options = {"base": str(base), "adapter": str(explicit), "lora_rank": 2, "updates": 2}
    options |= {"eval_updates": 0, "objective": kind, **LATENT[kind]}
    outputs = {}
    for merge in (True, False):
        publish = {"dtype": "float32", "merge": merge}
        recipe = write_recipe(tmp_path, publish=publish, **options)
        outputs[merge] = tmp_path / f"merged-{merge}"
        assert run(recipe, outputs[merge]).exit_code == 0
    assert not (outputs[False] / "model.safetensors").exists()
    assert (outputs[False] / "adapter_model.safetensors").stat().st_size < 500_000
    models = {merge: AutoLatentModel.from_pretrained(outputs[merge]) for merge in outputs}
    whole, alone = (models[merge].state_dict() for merge in (True, False))
    assert whole.keys() == alone.keys()
    for name, weight in whole.items():
        torch.testing.assert_close(alone[name], weight, rtol=0, atol=1e-6)
    assert "adapter: explicit\n" in (outputs[False] / "README.md").read_text()
    assert not (outputs[False] / "tokenizer.json").exists()  # the base's, which has the markers
    about = json.loads((outputs[False] / "base.json").read_text())
    assert about["name"] == str(base)
    (outputs[False] / "base.json").write_text(json.dumps(about | {"digest": "0" * 32}))
    with pytest.raises(LatentTTSError, match=r"are of the base .* has other weights"):
        AutoLatentModel.from_pretrained(outputs[False])


@pytest.mark.slow
def test_adapters_that_add_tokens_have_a_tokenizer_of_their_own(trained, tmp_path):
    base = shutil.copytree(trained[1], tmp_path / "base")
    file = base / "tokenizer.json"
    tokens = json.loads(file.read_text())
    tokens["added_tokens"] = [t for t in tokens["added_tokens"] if "latent" not in t["content"]]
    file.write_text(json.dumps(tokens))
    options = {"lora_rank": 2, "updates": 1, "eval_updates": 0, "publish": {"merge": False}}
    recipe = write_recipe(tmp_path, base=str(base), objective="codi", **options, **LATENT["codi"])
    assert run(recipe, tmp_path / "out").exit_code == 0
    added = load_tokenizer(tmp_path / "out").get_vocab().keys() - load_tokenizer(base).get_vocab()
    assert {"<|start-latent|>", "<|end-latent|>"} <= added
    assert AutoLatentModel.from_pretrained(tmp_path / "out").backbone == "codi"


@pytest.mark.slow
@pytest.mark.parametrize(
    "scaled", [{}, {"use_rslora": True, "alpha_pattern": {"c_attn": 3, r"h\.1\.mlp\.c_fc": 9}}]
)
def test_adapters_go_on_beside_new_ones_of_another_rank(trained, tmp_path, scaled):
    base = trained[1]
    options = {"base": str(base), "updates": 1, "eval_updates": 0}
    options |= {"publish": {"merge": False, "dtype": "float32"}}
    upper = {"lora_rank": 2, "lora_alpha": 6, "lora_layers": 0.5, "learning_rate": 0.1}
    assert run(write_recipe(tmp_path, **options, **upper), tmp_path / "upper").exit_code == 0
    file = tmp_path / "upper" / "adapter_config.json"  # as another program may have scaled it
    file.write_text(json.dumps(json.loads(file.read_text()) | scaled))
    more = {"adapter": str(tmp_path / "upper"), "lora_rank": 1, "lora_alpha": 5}
    found = {}
    for name, rate in {"still": 0.0, "learned": 0.1}.items():
        recipe = write_recipe(tmp_path, **options, **more, learning_rate=rate)
        assert run(recipe, tmp_path / name).exit_code == 0
        plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        with quiet():
            found[name] = PeftModel.from_pretrained(plain, tmp_path / name)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    with quiet():
        before = PeftModel.from_pretrained(plain, tmp_path / "upper")
    ids = torch.arange(1, 9)[None]
    # New adapters begin at nothing, and the others are what they were, scale and all.
    torch.testing.assert_close(found["still"](ids).logits, before(ids).logits)
    ours = AutoLatentModel.from_pretrained(tmp_path / "learned")
    torch.testing.assert_close(ours(ids).logits, found["learned"](ids).logits)
    ranks = {}
    for name, weight in load_file(tmp_path / "learned" / "adapter_model.safetensors").items():
        if "lora_B" in name:
            assert weight.abs().sum() > 0
            ranks.setdefault(int(name.split(".h.")[1][0]), set()).add(weight.shape[1])
    assert ranks == {0: {1}, 1: {2}}
    named = json.loads((tmp_path / "learned" / "adapter_config.json").read_text())["target_modules"]
    assert named == sorted(named)


@pytest.mark.slow
def test_adapters_of_another_base_or_of_more_layers_are_refused(adapted, trained, tmp_path):
    base, explicit = adapted
    options = {"adapter": str(explicit), "lora_rank": 2}
    with pytest.raises(LatentTTSError, match=r"has other weights.*Give their own base"):
        run(write_recipe(tmp_path, **options), tmp_path / "out")
    recipe = write_recipe(tmp_path, **options | {"base": str(base), "lora_layers": 0.5})
    with pytest.raises(
        LatentTTSError, match=r"does not fit: .*lora_A.* is \(2, 32\) there and None here"
    ):
        run(recipe, tmp_path / "out")
    recipe = write_recipe(tmp_path, **options | {"base": str(base), "adapter": str(tmp_path)})
    with pytest.raises(LatentTTSError, match="holds no adapters"):
        run(recipe, tmp_path / "out")
    assert not (tmp_path / "out").exists()
