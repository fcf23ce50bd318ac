"""Which setting wins, and what is refused before a weight is used."""

import json

import pytest
import torch
from lm_eval.api.registry import get_model

from latent_tts.harness.lm import LatentLM
from latent_tts.harness.options import RequestOptions, read_options
from latent_tts.models import AutoLatentModel, ModelError
from latent_tts.tasks import TaskError
from tests.checkpoints import write_coconut


@pytest.fixture(scope="module")
def coconut(tmp_path_factory):
    """A COCONUT whose generation_config.json sets some fields of its own."""
    folder = write_coconut(tmp_path_factory.mktemp("coconut"))
    file = folder / "generation_config.json"
    own = {"latent_length": 4, "noise_std": 0.3, "num_return_sequences": 2, "max_new_tokens": 30}
    file.write_text(json.dumps(json.loads(file.read_text()) | own))
    return AutoLatentModel.from_pretrained(folder)


@pytest.fixture(scope="module")
def colar(checkpoints):
    return AutoLatentModel.from_pretrained(checkpoints["colar"])


def resolve(model, model_args=None, **gen_kwargs) -> RequestOptions:
    return read_options(model, model_args or {}, gen_kwargs, aggregation="majority")


def test_gen_kwargs_win_over_model_args_win_over_the_checkpoint_win_over_the_backbone(coconut):
    settings = resolve(
        coconut,
        {"noise_std": 0.5, "num_return_sequences": 8, "latent_length": 5},
        latent_do_sample_by="noise",
        noise_std=0.7,
        num_return_sequences=None,
    ).settings
    assert settings.record()["noise_std"] == 0.7
    assert settings.num_return_sequences == 8  # None is no choice
    assert settings.latent_length == 5
    assert settings.max_new_tokens == 30
    by_dropout = resolve(coconut, latent_do_sample_by="dropout").settings
    assert by_dropout.record()["dropout_p"] == 0.2
    own = resolve(coconut, latent_do_sample_by="noise").settings.record()
    assert (own["noise_std"], own["num_return_sequences"], own["latent_length"]) == (0.3, 2, 4)


def test_a_choice_of_one_length_settles_both(colar):
    options = resolve(colar, {"max_latent_length": 9}, latent_length=3)
    assert options.settings.latent_length == 3
    assert options.settings.max_latent_length is None
    options = resolve(colar, {"latent_length": 3}, max_latent_length=9)
    assert options.settings.latent_length is None
    assert options.settings.max_latent_length == 9
    assert resolve(colar).settings.max_latent_length == 64


@pytest.mark.parametrize(
    ("model_args", "gen_kwargs"),
    [
        ({}, {"latent_length": 3, "max_latent_length": 3}),
        ({"latent_length": 3, "max_latent_length": 3}, {}),
    ],
)
def test_both_lengths_at_once_are_refused(colar, model_args, gen_kwargs):
    with pytest.raises(ModelError, match=r"latent_length=3 and max_latent_length=3; give exactly"):
        resolve(colar, model_args, **gen_kwargs)


def test_a_most_length_needs_a_backbone_that_stops(coconut):
    with pytest.raises(ModelError, match=r"max_latent_length=3 for coconut.* use latent_length"):
        resolve(coconut, max_latent_length=3)


def test_answer_tokens_come_on_top_of_thoughts_and_the_end_marker(coconut, colar):
    assert resolve(coconut, max_gen_toks=10).settings.max_new_tokens == 4 + 1 + 10
    assert resolve(coconut, max_tokens=10).settings.max_new_tokens == 4 + 1 + 10
    assert resolve(coconut, latent_length=0, max_gen_toks=10).settings.max_new_tokens == 11
    assert resolve(colar, max_gen_toks=10).settings.max_new_tokens == 64 + 1 + 10


def test_which_limit_wins(coconut):
    assert resolve(coconut, max_gen_toks=10, max_new_tokens=20).settings.max_new_tokens == 20
    limited = resolve(coconut, {"max_new_tokens": 20}, max_gen_toks=10)
    assert limited.settings.max_new_tokens == 15


@pytest.mark.parametrize("limit", [0, -1, 2.5, "many", True])
def test_a_wrong_limit_is_refused(coconut, limit):
    with pytest.raises(ModelError, match=r"max_gen_toks=.*; allowed is a whole number of at least"):
        resolve(coconut, max_gen_toks=limit)


def test_until(coconut):
    assert resolve(coconut).until == ()
    assert resolve(coconut, until="\n").until == ("\n",)
    assert resolve(coconut, until=["a", "b"]).until == ("a", "b")
    for wrong in (5, [5], {"a": 1}):
        with pytest.raises(ModelError, match=r"until=.*; allowed is a text or a list of texts"):
            resolve(coconut, until=wrong)


def test_what_other_models_sample_with_means_nothing_to_greedy_answers(coconut):
    settings = resolve(coconut, do_sample=False, temperature=0.0, top_p=0.9, top_k=50).settings
    assert not settings.do_sample
    assert (settings.top_p, settings.top_k) == (1.0, 0)


def test_a_tasks_nucleus_is_that_of_sampled_answers(coconut):
    settings = resolve(coconut, do_sample=True, temperature=0.6, top_p=0.9, top_k=50).settings
    assert (settings.top_p, settings.top_k) == (0.9, 50)
    assert resolve(coconut, {"do_sample": True, "top_p": 0.8}).settings.top_p == 0.8
    with pytest.raises(ModelError, match=r"top_p=2; allowed is a number above 0 and at most 1"):
        resolve(coconut, do_sample=True, top_p=2)


@pytest.mark.parametrize("name", ["min_p", "typical_p", "repetition_penalty"])
def test_what_sampled_answers_do_not_have_is_refused(coconut, name):
    assert resolve(coconut, do_sample=True, **{name: 1}).settings.do_sample
    for given in ({"do_sample": True, name: 0.5}, {name: 0.5}):
        with pytest.raises(ModelError, match=rf"{name}=0.5 with do_sample=true"):
            resolve(coconut, {"do_sample": True}, **given)


@pytest.mark.parametrize("name", ["latent_lenght", "stop_size", "beam_width"])
def test_unknown_names_are_named(coconut, name):
    with pytest.raises(ModelError, match=rf"Unknown setting '{name}'.*Allowed are: latent_length"):
        resolve(coconut, **{name: 1})


def test_model_args_win_over_flags_of_the_same_name(checkpoints):
    path = str(checkpoints["coconut"])
    flags = {"batch_size": 1, "max_batch_size": None, "device": "cuda:5"}
    lm = LatentLM.create_from_arg_string(f"pretrained={path},batch_size=32,device=cpu", flags)
    assert lm.arguments.questions_together == 32
    assert lm.device == torch.device("cpu")
    lm = LatentLM.create_from_arg_obj({"pretrained": path, "batch_size": "auto"}, flags)
    assert lm.arguments.questions_together is None


def test_flags_count_where_model_args_say_nothing(checkpoints):
    path = str(checkpoints["coconut"])
    flags = {"batch_size": "7", "max_batch_size": 9, "device": "cpu"}
    lm = LatentLM.create_from_arg_string(f"pretrained={path}", flags)
    assert lm.arguments.questions_together == 7
    assert LatentLM.create_from_arg_string(f"pretrained={path}").arguments.batch_size == 1


@pytest.mark.parametrize("size", ["auto", "auto:4", None])
def test_automatic_batch_sizes(checkpoints, size):
    assert (
        LatentLM(str(checkpoints["coconut"]), batch_size=size).arguments.questions_together is None
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="tests a machine without a GPU")
@pytest.mark.parametrize("device", [None, "cuda", "cuda:1", "cpu"])
def test_without_a_gpu_the_cpu_is_used(checkpoints, device):
    lm = LatentLM(str(checkpoints["coconut"]), device=device)
    assert lm.device == torch.device("cpu")
    assert lm.model.dtype == torch.float32


def test_another_precision_only_when_asked(checkpoints):
    lm = LatentLM(str(checkpoints["coconut"]), dtype="bfloat16")
    assert lm.model.dtype == torch.bfloat16


@pytest.mark.parametrize("kind", ["coconut", "codi", "colar"])
def test_one_registered_name_serves_every_backbone(checkpoints, kind):
    lm = get_model("latent_tts")(str(checkpoints[kind]))
    assert lm.model.backbone == kind
    assert lm.tokenizer_name == str(checkpoints[kind]).replace("/", "__")


def test_a_backbone_that_the_checkpoint_cannot_be(checkpoints):
    with pytest.raises(ModelError, match=r"backbone='colar', but the checkpoint .* is coconut"):
        LatentLM(str(checkpoints["coconut"]), backbone="colar")


def test_one_device_is_asked_for_by_its_name(checkpoints):
    with pytest.raises(ModelError, match=r"device_map='auto': a model runs on one device. Give de"):
        LatentLM(str(checkpoints["coconut"]), device_map="auto")


@pytest.mark.parametrize("gone", [{"drafts": False}, {"torch_compile": True}])
def test_options_that_are_gone_are_warned_of_and_ignored(checkpoints, caplog, gone):
    lm = LatentLM(str(checkpoints["coconut"]), **gone)
    assert f"{next(iter(gone))}={next(iter(gone.values()))} has no effect" in caplog.text
    assert lm.settings == {"seed": 1234}


def test_the_default_seed_is_fixed_whatever_torch_was_seeded_with(checkpoints):
    torch.manual_seed(7)
    lm = LatentLM(str(checkpoints["coconut"]))
    assert lm.get_model_info()["latent_tts"]["settings"]["seed"] == 1234


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_return_sequences": 0}, r"num_return_sequences=0; allowed is a whole number of at"),
        ({"dropout_p": 1.0}, r"dropout_p=1.0; allowed is a number at least 0 and below 1"),
        ({"dropout_p": -0.1}, r"dropout_p=-0.1; allowed is a number at least 0 and below 1"),
        ({"noise_std": -1}, r"noise_std=-1; allowed is a number at least 0"),
        ({"noise_std": float("nan")}, r"noise_std=nan; allowed is a number at least 0"),
        ({"latent_do_sample_by": "dropot"}, r"'dropot'. Did you mean dropout\? Allowed are"),
        ({"latent_length": 3, "max_latent_length": 3}, r"give exactly one of them"),
        ({"latent_lenght": 3}, r"Unknown setting 'latent_lenght'. Did you mean latent_length"),
        ({"latent_length": 6, "max_new_tokens": 7}, r"max_new_tokens=7 counts thoughts.* least 8"),
        ({"backbone": "cocnut"}, r"'cocnut'. Did you mean coconut\? Allowed are"),
        ({"dtype": "float31"}, r"dtype='float31'; allowed are auto"),
        ({"device": "gpu"}, r"device='gpu' is no device of torch; allowed are cpu, cuda"),
        ({"batch_size": 0}, r"batch_size=0; allowed are whole numbers of at least 1 .* and auto"),
        ({"batch_size": "many"}, r"batch_size='many'; allowed"),
        ({"max_batch_size": -1}, r"max_batch_size=-1; allowed are whole numbers of at least 1"),
        ({"pretrained": "./nowhere"}, r"No checkpoint at './nowhere'.* Give a folder"),
        ({"pretrained": "tiny-coconot"}, r"No checkpoint at 'tiny-coconot'"),
    ],
)
def test_wrong_model_args_are_refused_before_a_task_is_loaded(checkpoints, settings, message):
    with pytest.raises(ModelError, match=message):
        LatentLM(**{"pretrained": str(checkpoints["coconut"]), **settings})


@pytest.mark.parametrize(
    ("name", "strategy"),
    [("majority", "voting"), ("voting@16", "voting"), ("pass@1", "first"), ("weighted@", None)],
)
def test_an_aggregation_is_any_name_that_a_report_prints(coconut, name, strategy):
    if strategy is None:
        with pytest.raises(TaskError, match="no aggregation is called"):
            resolve(coconut, aggregation=name)
    else:
        assert resolve(coconut, aggregation=name).aggregation == strategy


def test_an_aggregation_that_rewards_decide_needs_a_reward_model(coconut):
    options = read_options(coconut, {}, {"aggregation": "weighted_voting@8"}, scored=True)
    assert options.aggregation == "weighted_voting"
    with pytest.raises(ModelError, match="aggregation=best_of_n@4 needs a reward model"):
        resolve(coconut, aggregation="best_of_n@4")
    with pytest.raises(TaskError, match="'coverage@64' would need to know the right answer"):
        resolve(coconut, aggregation="coverage@64")


def test_a_wrong_aggregation_is_refused_before_a_weight_is_loaded():
    with pytest.raises(TaskError, match=r"is called 'best'; there are first, voting"):
        LatentLM("./nowhere", aggregation="best")


def test_settings_that_make_all_samples_equal_are_warned_about(checkpoints):
    with pytest.warns(UserWarning, match=r"All 4 samples of a question will be equal"):
        LatentLM(str(checkpoints["coconut"]), num_return_sequences=4, dropout_p=0.0)


@pytest.mark.parametrize("name", ["max_rows", "packed_weights"])
def test_engine_options_among_the_settings_are_sent_to_model_args(coconut, name):
    with pytest.raises(ModelError, match=f"{name} says how samples .* belongs in --model_args"):
        resolve(coconut, **{name: True})
