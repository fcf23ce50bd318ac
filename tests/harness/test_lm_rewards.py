"""Reward models in lm-eval: rewards in the pools, strategies, beam search, and what is refused."""

import json
import logging
import shutil

import pytest
import torch

from latent_tts.harness.lm import LatentLM
from latent_tts.models import AutoLatentModel, ModelError, load_tokenizer
from latent_tts.reward import LatentRewardModel, RewardError, beam_search
from latent_tts.tasks import Pool, TaskError, find_strategy, pool_metrics
from tests.checkpoints import edit_config, edit_weights
from tests.harness.evaluation import evaluate, make_request, make_rows, pools, question
from tests.reward.checkpoints import random_reward_model, write_gpt2

KINDS = ["coconut", "codi", "colar"]
LENGTHS = {
    "coconut": {"latent_length": 3},
    "codi": {"latent_length": 3},
    "colar": {"max_latent_length": 3},
}
SETTINGS = {"num_return_sequences": 4, "max_new_tokens": 12, "seed": 3}


@pytest.fixture(scope="session")
def guides(checkpoints, tmp_path_factory):
    """Folders of reward models that belong to the tiny checkpoints, heads random."""
    folder = tmp_path_factory.mktemp("guides")
    for kind, pretrained in checkpoints.items():
        model = random_reward_model(AutoLatentModel.from_pretrained(pretrained))
        model.save_pretrained(folder / kind)
        load_tokenizer(str(pretrained)).save_pretrained(folder / kind)
    return {kind: folder / kind for kind in checkpoints}


NO_RECORD = {"latent_backbone": None, "latent_backbone_class": None}


def copied(folder, to, *, weights=None, **config):
    shutil.copytree(folder, to)
    if weights:
        edit_weights(to, weights)
    return edit_config(to, **config) if config else to


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_pools_carry_the_rewards_that_the_model_gives(checkpoints, guides, data, kind):
    args = {**SETTINGS, **LENGTHS[kind], "reward_model": str(guides[kind])}
    results = evaluate(checkpoints[kind], data, model_args=args, batch_size=3)
    model, tokenizer = (
        AutoLatentModel.from_pretrained(checkpoints[kind]),
        load_tokenizer(str(checkpoints[kind])),
    )
    guide = LatentRewardModel.from_pretrained(guides[kind])
    for index, pool in enumerate(pools(results)):
        prompt = model.encode_prompt(tokenizer, question(index))
        ids = torch.tensor([prompt])
        drawn = model.generate(ids, return_dict_in_generate=True, **SETTINGS, **LENGTHS[kind])
        for row, candidate in enumerate(pool.candidates):
            length = int(drawn.latent_lengths[row])
            assert candidate.thoughts == length == len(candidate.step_rewards)
            if length:
                thoughts = drawn.latent_thoughts[row, :length]
                expected = guide.score(ids, latent_thoughts=thoughts[None, None])[0, 0]
                assert candidate.step_rewards == pytest.approx(expected.tolist(), abs=1e-3)
            assert candidate.reward == pytest.approx(sum(candidate.step_rewards), abs=1e-5)
    found = results["results"]["latent_tts_gsm8k"]
    judged = [pool_metrics(pool, "5") for pool in pools(results)]
    for name in ("best_of_n@2", "weighted_voting@4", "unscored"):
        assert found[f"{name},none"] == pytest.approx(sum(m[name] for m in judged) / len(judged))
        assert f"{name}_stderr,none" in found


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_beam_search_stands_beside_the_same_samples(checkpoints, guides, data, kind):
    args = {**SETTINGS, **LENGTHS[kind], "reward_model": str(guides[kind])}
    plain = pools(evaluate(checkpoints[kind], data, model_args=args, batch_size="auto"))
    beams = {"num_beams": 2, "num_beam_candidates": 2}
    results = evaluate(checkpoints[kind], data, model_args=args, batch_size=2, gen_kwargs=beams)
    model, tokenizer = (
        AutoLatentModel.from_pretrained(checkpoints[kind]),
        load_tokenizer(str(checkpoints[kind])),
    )
    guide = LatentRewardModel.from_pretrained(guides[kind])
    settings = model.settings(**SETTINGS, **LENGTHS[kind], **beams)
    for index, pool in enumerate(pools(results)):
        assert [c.text for c in pool.candidates] == [c.text for c in plain[index].candidates]
        prompt = model.encode_prompt(tokenizer, question(index))
        (alone,) = beam_search(model, guide, [prompt], settings)
        texts = [tokenizer.decode(beam.trajectory.text_ids) for beam in alone]
        assert [beam.text for beam in pool.beams] == texts
        assert find_strategy("beam_search").pick(pool).text == texts[0]
    assert "beam_search,none" in results["results"]["latent_tts_gsm8k"]
    settings = results["config"]["latent_tts"]["tasks"]["latent_tts_gsm8k"]["settings"]
    assert (settings["num_beams"], settings["num_beam_candidates"]) == (2, 2)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["first", "weighted", None])
def test_other_tasks_are_answered_with_the_chosen_candidate(checkpoints, guides, how):
    args = {**SETTINGS, "reward_model": str(guides["coconut"]), "latent_length": 3}
    beams = {"num_beams": 2} if how in ("beam_search", None) else {}
    lm = LatentLM(str(checkpoints["coconut"]), aggregation=how, batch_size=4, **args, **beams)

    def respond(**gen_kwargs):
        requests = [
            make_request(question(index), gen_kwargs, task="other", number=index)
            for index in range(6)
        ]
        return lm.generate_until(requests, disable_tqdm=True)

    for text, pool in zip(respond(until=[]), respond(until=[], return_pool=True), strict=True):
        pool = Pool.from_json(pool)
        chosen = find_strategy(how or "beam_search").pick(pool)
        assert text == (pool.candidates[0] if chosen is None else chosen).text


def test_the_results_file_names_the_reward_model(checkpoints, guides):
    lm = LatentLM(str(checkpoints["coconut"]), reward_model=str(guides["coconut"]))
    named = lm.get_model_info()["latent_tts"]["reward_model"]
    assert named["name"] == str(guides["coconut"])
    assert len(named["weights_sha256"]) == 64
    plain = LatentLM(str(checkpoints["coconut"])).get_model_info()["latent_tts"]
    assert plain["reward_model"] is None


def test_a_cache_filled_without_rewards_is_refused(checkpoints, guides, data, tmp_path):
    cache = str(tmp_path / "cache")
    args = {**SETTINGS, "latent_length": 3}
    evaluate(checkpoints["coconut"], data, model_args=args, use_cache=cache, limit=1)
    args["reward_model"] = str(guides["coconut"])
    with pytest.raises(ModelError, match="was filled under other settings"):
        evaluate(checkpoints["coconut"], data, model_args=args, use_cache=cache, limit=1)


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ({"aggregation": "best_of_n"}, ModelError, "aggregation=best_of_n needs a reward model"),
        ({"aggregation": "weighted"}, ModelError, r"Give reward_model= in --model_args"),
        ({"num_beams": 2}, ModelError, "num_beams=2 needs a reward model"),
        ({"aggregation": "best"}, TaskError, "no aggregation is called 'best'"),
        (
            {"reward_model": "{gpt2}", "num_beams": 3},
            ModelError,
            r"does not divide the N = 4 samples",
        ),
        ({"reward_model": "{gpt2}", "aggregation": "beam_search"}, ModelError, "needs num_beams"),
        ({"reward_model": "/nowhere"}, ModelError, "No checkpoint at '/nowhere'"),
        ({"reward_model": "{backbone}"}, RewardError, r"lacks .*: classifier\..* no reward model"),
    ],
)
def test_what_cannot_be_is_refused_before_a_task_is_loaded(
    checkpoints, guides, args, error, message
):
    names = {"{gpt2}": guides["coconut"], "{backbone}": checkpoints["coconut"]}
    given = {key: str(names.get(value, value)) for key, value in args.items()}
    if "num_beams" in args:
        given["num_beams"] = args["num_beams"]
    with pytest.raises(error, match=message):
        LatentLM(str(checkpoints["coconut"]), **SETTINGS, **given)


@pytest.mark.slow
def test_a_reward_model_that_belongs_to_another_backbone(checkpoints, guides, tmp_path, caplog):
    def load(folder):
        return LatentLM(str(checkpoints["coconut"]), reward_model=str(folder))

    with pytest.raises(RewardError, match=r"reads token ids below 300, but the backbone .* 262"):
        load(write_gpt2(tmp_path / "other"))
    spelled = copied(guides["coconut"], tmp_path / "spelled")
    file = spelled / "tokenizer.json"
    content = json.loads(file.read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    file.write_text(json.dumps(content))
    with pytest.raises(RewardError, match="has another tokenizer than the backbone"):
        load(spelled)
    assert "latent_tts" not in {record.name.partition(".")[0] for record in caplog.records}
    others = copied(guides["coconut"], tmp_path / "of_others", latent_backbone="0" * 32)
    with pytest.raises(RewardError, match=r"of COCONUTGPT2 with weights 0{32}, but"):
        load(others)
    with caplog.at_level(logging.WARNING):
        LatentLM(str(checkpoints["coconut"]), reward_model=str(others), any_reward_model=True)
    assert "was trained on another backbone" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):  # bfloat16 weights have another digest
        LatentLM(str(checkpoints["coconut"]), reward_model=str(others), dtype="bfloat16")
    assert "which torch.bfloat16 cannot tell" in caplog.text


@pytest.mark.slow
def test_a_reward_model_of_another_method_of_the_same_size(checkpoints, guides, tmp_path):
    message = (
        r"thoughts of COCONUTGPT2 with weights .* backbone .* is CODIGPT2 with weights .* any_"
    )
    for name, fields in (("recorded", {}), ("half", {"dtype": "bfloat16"})):
        folder = copied(guides["coconut"], tmp_path / name)
        with pytest.raises(RewardError, match=message):
            LatentLM(str(checkpoints["codi"]), reward_model=str(folder), **fields)
    unrecorded = copied(guides["coconut"], tmp_path / "old", **NO_RECORD)
    with pytest.raises(RewardError, match=r"thoughts of COCONUTGPT2, but the backbone .* CODIGPT2"):
        LatentLM(str(checkpoints["codi"]), reward_model=str(unrecorded))


def test_an_old_reward_model_without_a_record_is_warned_of(checkpoints, guides, tmp_path, caplog):
    old = copied(guides["coconut"], tmp_path / "old", **NO_RECORD)
    with caplog.at_level(logging.WARNING):
        LatentLM(str(checkpoints["coconut"]), reward_model=str(old))
    assert "does not say on which backbone it was trained" in caplog.text


def test_a_reward_model_says_for_whom_it_is(guides):
    config = json.loads((guides["codi"] / "config.json").read_text())
    assert config["architectures"] == ["CODIGPT2ForTokenClassification"]
    assert config["latent_backbone_class"] == "CODIGPT2"
    assert len(config["latent_backbone"]) == 32


def test_a_narrow_reward_model(checkpoints, tmp_path):
    config = AutoLatentModel.from_pretrained(checkpoints["coconut"]).config
    config.update({"n_embd": 24, "hidden_size": 24})
    from latent_tts.reward.model import COCONUTGPT2ForTokenClassification

    COCONUTGPT2ForTokenClassification(config).save_pretrained(tmp_path / "narrow")
    with pytest.raises(RewardError, match=r"thoughts of size 24, but the backbone .* of size 48"):
        LatentLM(str(checkpoints["coconut"]), reward_model=str(tmp_path / "narrow"))


def test_rewards_that_are_all_nan(checkpoints, guides, tmp_path, monkeypatch, caplog):
    def spoil(tensors):
        tensors["classifier.bias"][:] = float("nan")

    broken = copied(guides["coconut"], tmp_path / "broken", weights=spoil)
    with pytest.raises(RewardError, match=r"no finite numbers.*: classifier.bias"):
        LatentLM(str(checkpoints["coconut"]), reward_model=str(broken))
    # One question among others: nothing is lost, and it counts as wrong.
    args = {**SETTINGS, "latent_length": 3, "reward_model": str(guides["coconut"])}
    lm = LatentLM(str(checkpoints["coconut"]), batch_size=1, **args)
    plain, seen = lm.reward_model.score_trajectories, []

    def score(prompts, trajectories):
        seen.append(prompts)
        found = plain(prompts, trajectories)
        return [[float("nan") for _ in own] for own in found] if len(seen) == 3 else found

    monkeypatch.setattr(lm.reward_model, "score_trajectories", score)
    requests = [
        make_request(row["question"], {"return_pool": True}, task="t", number=index)
        for index, row in enumerate(make_rows(4))
    ]
    with caplog.at_level(logging.WARNING):
        found = [Pool.from_json(text) for text in lm.generate_until(requests, disable_tqdm=True)]
    assert "1 questions have no reward that is a number" in caplog.text
    unscored = [pool_metrics(pool, "5")["unscored"] for pool in found]
    assert sorted(unscored) == [0.0, 0.0, 0.0, 1.0]
    assert find_strategy("best_of_n").pick(found[unscored.index(1.0)]) is None


def test_repeats_and_beams_are_not_mixed(checkpoints, guides):
    lm = LatentLM(
        str(checkpoints["coconut"]), reward_model=str(guides["coconut"]), num_beams=2, **SETTINGS
    )
    request = make_request("?", {}, task="t", number=0, repeats=2)
    with pytest.raises(ModelError, match="repeats=2 with num_beams=2: a beam search is one"):
        lm.generate_until([request, request], disable_tqdm=True)
