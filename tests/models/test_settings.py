"""Settings: who wins, what is refused, and what is warned of."""

import re
import warnings
from types import SimpleNamespace

import pytest
from transformers import GenerationConfig

from latent_tts.errors import LatentTTSError
from latent_tts.models import LatentGenerationConfig, LatentSettings, ModelError
from latent_tts.models.generation_config import latent_fields
from latent_tts.models.samplers import RESERVED, Dropout, Noise, Sampler
from latent_tts.models.settings import check_names, setting_names
from tests.marks import slow_but


@pytest.fixture
def coconut(backbones):
    return backbones["coconut"].model


@pytest.fixture
def colar(backbones):
    return backbones["colar"].model


BAD = [
    (
        {"num_return_sequences": 0},
        "num_return_sequences=0; allowed is a whole number of at least 1",
    ),
    ({"num_return_sequences": 2.0}, "num_return_sequences=2.0; allowed is a whole number"),
    ({"num_return_sequences": True}, "num_return_sequences=True; allowed is a whole number"),
    ({"num_return_sequences": "8"}, "num_return_sequences='8'; allowed is a whole number"),
    ({"max_new_tokens": 0}, "max_new_tokens=0; allowed is a whole number of at least 1"),
    (
        {"max_new_tokens": 7},
        "max_new_tokens=7 counts thoughts, the end marker and answer tokens; "
        "with up to 6 thoughts it must be at least 8",
    ),
    ({"latent_length": -1}, "latent_length=-1; allowed is a whole number of at least 0"),
    ({"latent_length": 6.0}, "latent_length=6.0; allowed is a whole number of at least 0"),
    ({"latent_length": "6"}, "latent_length='6'; allowed is a whole number of at least 0"),
    (
        {"max_latent_length": 8},
        "max_latent_length=8 for coconut, which thinks a fixed number of "
        "thoughts: use latent_length",
    ),
    (
        {"latent_length": 6, "max_latent_length": 8},
        "latent_length=6 and max_latent_length=8; give exactly one of them",
    ),
    ({"seed": 1.5}, "seed=1.5; allowed is a whole number."),
    ({"seed": False}, "seed=False; allowed is a whole number."),
    ({"seed": "1"}, "seed='1'; allowed is a whole number."),
    ({"latent_do_sample": 1}, "latent_do_sample=1; allowed are true and false"),
    ({"latent_do_sample": "no"}, "latent_do_sample='no'; allowed are true and false"),
    ({"do_sample": "true"}, "do_sample='true'; allowed are true and false"),
    (
        {"latent_do_sample_by": "droput"},
        "No sampler (latent_do_sample_by) is called 'droput'. Did you mean dropout? Allowed are: "
        "dropout, noise, native, gumbel, dirichlet.",
    ),
    (
        {"latent_do_sample_by": "laplace"},
        "is called 'laplace'. Allowed are: dropout, noise, native, gumbel, dirichlet.",
    ),
    (
        {"latent_do_sample_by": 3},
        "is called 3. Allowed are: dropout, noise, native, gumbel, dirichlet.",
    ),
    ({"dropout_site": "feedforward"}, "dropout_site='feedforward'; Did you mean feed_forward?"),
    ({"dropout_site": 1}, "dropout_site=1; Allowed are: feed_forward, residual."),
    ({"dropout_scope": "thought"}, "dropout_scope='thought'; Did you mean thoughts"),
    ({"dropout_p": 1}, "dropout_p=1; allowed is a number at least 0 and below 1."),
    ({"dropout_p": 1.0}, "dropout_p=1.0; allowed is a number at least 0 and below 1."),
    ({"dropout_p": -0.1}, "dropout_p=-0.1; allowed is a number at least 0 and below 1."),
    ({"dropout_p": float("nan")}, "dropout_p=nan; allowed is a number"),
    ({"dropout_p": "0.2"}, "dropout_p='0.2'; allowed is a number"),
    ({"dropout_p": True}, "dropout_p=True; allowed is a number"),
    ({"noise_std": -1.0}, "noise_std=-1.0; allowed is a number at least 0 and finite."),
    ({"noise_std": float("inf")}, "noise_std=inf; allowed is a number at least 0 and finite."),
    ({"noise_std": float("nan")}, "noise_std=nan; allowed is a number at least 0 and finite."),
    ({"noise_std": False}, "noise_std=False; allowed is a number at least 0 and finite."),
    ({"temperature": -1.0}, "temperature=-1.0; allowed is a number at least 0 and finite."),
    (
        {"temperature": 0.0, "do_sample": True},
        "temperature=0 with do_sample=true; use do_sample=false for greedy.",
    ),
    (
        {"nois_std": 0.5},
        "Unknown setting 'nois_std'. Did you mean noise_std? Allowed are: "
        "latent_length, max_latent_length, ",
    ),
    ({"qqq": 0.5}, "Unknown setting 'qqq'. Allowed are: latent_length"),
    ({"min_p": 0.9}, "Unknown setting 'min_p'."),
]


@pytest.mark.parametrize(("overrides", "message"), BAD, ids=[str(given) for given, _ in BAD])
def test_a_bad_setting_is_refused_with_its_name_value_and_rule(coconut, overrides, message):
    with pytest.raises(ModelError, match=re.escape(message)):
        coconut.settings(**overrides)


def test_a_bad_setting_of_a_generation_config_is_refused(coconut):
    config = LatentGenerationConfig(dropout_p=1.5)
    with pytest.raises(ModelError, match=r"dropout_p=1\.5"):
        coconut.settings(config)


def test_one_of_the_two_lengths_is_needed():
    with pytest.raises(ModelError, match="latent_length=None and max_latent_length=None; give "):
        LatentSettings()


@pytest.mark.parametrize(
    "good",
    [
        {"dropout_p": 0},
        {"dropout_p": 0.999},
        {"noise_std": 0},
        {"noise_std": 3},
        {"temperature": 0.0},
        {"latent_length": 0, "max_new_tokens": 2},
        {"latent_length": 6, "max_new_tokens": 8},
        {"seed": -(2**70)},
    ],
    ids=str,
)
def test_the_edges_of_the_allowed_ranges(coconut, good):
    by = "noise" if "noise_std" in good else "dropout"
    record = coconut.settings(latent_do_sample_by=by, **good).record()
    assert {name: record[name] for name in good} == good


def test_an_error_is_a_value_error_whose_message_users_see(coconut):
    with pytest.raises(ValueError, match="temperature") as raised:
        coconut.settings(temperature=-1)
    assert isinstance(raised.value, LatentTTSError)


def test_the_backbones_defaults_are_the_released_scripts(backbones):
    def defaults(kind, **asked):
        return backbones[kind].model.settings(**asked)

    for kind, p, site, std in (
        ("coconut", 0.2, "residual", 0.6),
        ("codi", 0.2, "residual", 1.4),
        ("colar", 0.03, "feed_forward", 0.01),
    ):
        assert defaults(kind).sampler == Dropout(
            dropout_p=p, dropout_site=site, dropout_scope="prompt_and_thoughts", dropout_mask="step"
        )
        assert defaults(kind, latent_do_sample_by="noise").sampler == Noise(noise_std=std)
        assert not defaults(kind).do_sample
    assert defaults("coconut").latent_length == 6
    assert defaults("codi").latent_length == 6
    assert defaults("colar").max_latent_length == 64


def test_without_sampling_there_is_no_sampler(coconut):
    settings = coconut.settings(latent_do_sample=False)
    assert settings.sampler == Sampler()
    assert not settings.latent_do_sample


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"noise_std": 0.3}, r"noise_std=0.3 changes nothing under latent_do_sample_by=dropout\."),
        (
            {"latent_do_sample_by": "noise", "dropout_p": 0.3, "dropout_mask": "sample"},
            "dropout_p=0.3, dropout_mask=sample changes nothing under latent_do_sample_by=noise",
        ),
        (
            {"latent_do_sample": False, "noise_std": 0.3},
            "noise_std=0.3 changes nothing under latent_do_sample=false",
        ),
        ({"temperature": 0.7}, "temperature=0.7 changes nothing while answers are greedy"),
    ],
)
def test_what_nothing_reads_is_warned_of(coconut, given, message):
    given = {"latent_do_sample_by": "dropout"} | given
    with pytest.warns(UserWarning, match=message):
        coconut.settings(**given)
    with pytest.warns(UserWarning, match=message):
        coconut.settings(LatentGenerationConfig(**given))


def test_what_the_checkpoint_says_of_other_samplers_is_no_ones_mistake(coconut, monkeypatch):
    """Its own file may name the strengths of all, and be handed over whole."""
    stored = LatentGenerationConfig(noise_std=0.3, dropout_p=0.1)
    monkeypatch.setattr(coconut, "generation_config", stored)
    for sampler in ("noise", "dropout"):
        coconut.settings(stored, latent_do_sample_by=sampler)
    coconut.settings(temperature=0.0)


def test_a_record_has_what_users_type_and_the_chosen_sampler_alone(coconut):
    settings = coconut.settings(latent_do_sample_by="noise", num_return_sequences=16)
    assert settings.record() == {
        "latent_length": 6,
        "max_latent_length": None,
        "latent_do_sample": True,
        "latent_do_sample_by": "noise",
        "noise_std": 0.6,
        "sampler_strength": "noise_std",
        "seed": 0,
        "num_return_sequences": 16,
        "num_beams": None,
        "num_beam_candidates": None,
        "max_new_tokens": 128,
        "do_sample": False,
        "temperature": 1.0,
    }
    plain = coconut.settings(latent_do_sample=False).record()
    assert plain.keys() == settings.record().keys() - {
        *("latent_do_sample_by", "noise_std", "sampler_strength")
    }
    assert coconut.settings(latent_do_sample=False, seed=3).record() == plain | {"seed": 3}


def test_overrides_win_over_the_config_over_the_checkpoint_over_the_backbone(coconut, monkeypatch):
    def sigma(config=None, **overrides):
        return coconut.settings(config, latent_do_sample_by="noise", **overrides).sampler.noise_std

    assert sigma() == 0.6  # the backbone's
    stored = LatentGenerationConfig(noise_std=0.7, latent_length=4)
    monkeypatch.setattr(coconut, "generation_config", stored)
    assert sigma() == 0.7
    assert sigma(LatentGenerationConfig()) == 0.7  # unset fields let it show through
    assert sigma({"noise_std": None}) == 0.7
    config = LatentGenerationConfig(noise_std=0.8)
    assert sigma(config) == 0.8
    assert sigma(config, noise_std=0.9) == 0.9
    assert sigma(config, noise_std=None) == 0.8
    settings = coconut.settings(config, latent_do_sample_by="noise", noise_std=0.9)
    assert settings.latent_length == 4  # the rest still comes from the checkpoint
    assert sigma(settings) == 0.9  # resolved settings resolve to themselves
    assert coconut.settings(settings) == settings
    for other in (coconut.settings(), coconut.settings(latent_do_sample=False)):
        assert coconut.settings(other) == other


def test_a_checkpoints_chat_settings_do_not_sample_answers(coconut, monkeypatch):
    stored = GenerationConfig(do_sample=True, temperature=0.6, top_p=0.9, max_new_tokens=50)
    monkeypatch.setattr(coconut, "generation_config", stored)
    settings = coconut.settings()
    assert not settings.do_sample
    assert settings.temperature == 1.0
    assert settings.max_new_tokens == 50
    assert coconut.settings(GenerationConfig(do_sample=True)).do_sample


def test_a_more_important_length_settles_both_names(colar, monkeypatch):
    stored = LatentGenerationConfig(max_latent_length=20)
    monkeypatch.setattr(colar, "generation_config", stored)
    assert colar.settings().max_latent_length == 20
    settings = colar.settings(latent_length=3)
    assert (settings.latent_length, settings.max_latent_length) == (3, None)
    settings = colar.settings(LatentGenerationConfig(latent_length=3), max_latent_length=9)
    assert (settings.latent_length, settings.max_latent_length) == (None, 9)


def test_a_checkpoints_number_of_samples_is_for_sampling(coconut, monkeypatch):
    stored = LatentGenerationConfig(num_return_sequences=8)
    monkeypatch.setattr(coconut, "generation_config", stored)

    def count(config=None, **overrides):
        return coconut.settings(config, **overrides).num_return_sequences

    assert count() == 8
    assert count(latent_do_sample=False) == 1
    assert count(latent_do_sample=False, do_sample=True) == 8
    assert count(latent_do_sample=False, num_return_sequences=4) == 4
    assert count(LatentGenerationConfig(num_return_sequences=4), latent_do_sample=False) == 4


EQUAL = [
    ("coconut", {"dropout_p": 0.0}),
    ("coconut", {"latent_do_sample_by": "noise", "noise_std": 0}),
    ("coconut", {"latent_do_sample_by": "noise", "latent_length": 0}),
    ("coconut", {"dropout_scope": "thoughts", "latent_length": 1}),
    ("coconut", {"dropout_scope": "thoughts", "latent_length": 0}),
    ("colar", {"dropout_p": 0, "max_latent_length": 4}),
    ("colar", {"latent_do_sample_by": "noise", "max_latent_length": 0}),
]
UNEQUAL = [
    ("coconut", {}),
    ("coconut", {"latent_do_sample_by": "noise"}),
    ("coconut", {"latent_do_sample_by": "noise", "latent_length": 1}),
    ("coconut", {"latent_length": 1}),
    ("coconut", {"latent_length": 0}),
    ("coconut", {"dropout_scope": "thoughts", "latent_length": 2}),
    ("coconut", {"dropout_p": 0, "do_sample": True, "temperature": 4.0}),
    ("colar", {"dropout_scope": "thoughts", "max_latent_length": 1}),
    ("colar", {"dropout_scope": "thoughts", "latent_length": 1}),
    ("colar", {"dropout_scope": "thoughts", "latent_length": 0}),
]


def different_samples(backbone, settings):
    """How many of 12 rows differ from the first sample of their question."""
    output = backbone.generate(
        backbone.prompts(4), num_return_sequences=3, max_new_tokens=24, **settings
    )
    sequences = output.sequences.view(4, 3, -1)
    return int((sequences != sequences[:, :1]).any(dim=2).sum())


@pytest.mark.parametrize(("kind", "settings"), EQUAL, ids=str)
def test_equal_samples_are_warned_of(backbones, kind, settings):
    with pytest.warns(UserWarning, match="All 3 samples of a question will be equal: latent_do_"):
        assert different_samples(backbones[kind], settings) == 0


@pytest.mark.parametrize(("kind", "settings"), slow_but(UNEQUAL, *UNEQUAL[3:8]), ids=str)
def test_samples_that_differ_are_not_warned_of(backbones, kind, settings):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        strength = {"dropout_p": 0.2} if kind == "colar" else {}
        assert different_samples(backbones[kind], strength | settings) > 0


def test_one_sample_or_determinism_by_choice_is_not_warned_of(coconut):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        coconut.settings(dropout_p=0.0)
        coconut.settings(latent_do_sample=False, num_return_sequences=4)


def test_a_generation_config_survives_its_json_file(coconut, tmp_path):
    config = LatentGenerationConfig(
        latent_length=5,
        latent_do_sample_by="noise",
        noise_std=0.25,
        seed=7,
        num_return_sequences=3,
        max_new_tokens=40,
    )
    config.save_pretrained(tmp_path)
    expected = coconut.settings(config)
    assert (expected.latent_length, expected.sampler.noise_std, expected.seed) == (5, 0.25, 7)
    assert coconut.settings(LatentGenerationConfig.from_pretrained(tmp_path)) == expected


def test_transformers_own_class_reads_the_latent_fields_too(coconut, tmp_path):
    """It is what reads a checkpoint's generation_config.json."""
    config = LatentGenerationConfig(
        latent_length=5, latent_do_sample_by="noise", noise_std=0.25, do_sample=True
    )
    config.save_pretrained(tmp_path)
    read = GenerationConfig.from_pretrained(tmp_path)
    assert type(read) is GenerationConfig
    assert coconut.settings(read) == coconut.settings(config)


def test_what_transformers_refuses_is_refused(coconut):
    with pytest.raises(ValueError, match="max_new_tokens"):
        LatentGenerationConfig(max_new_tokens=-1)
    assert LatentGenerationConfig(num_return_sequences=16).num_return_sequences == 16


def test_latent_fields_are_unset_by_default():
    config = LatentGenerationConfig(max_new_tokens=9)
    assert {name: getattr(config, name) for name in latent_fields()} == dict.fromkeys(
        latent_fields()
    )
    assert set(latent_fields()) >= {"latent_length", "noise_std", "dropout_mask"}
    assert config.max_new_tokens == 9


def test_names_may_be_allowed_beside_the_settings():
    check_names(["seed", "batch_size"], also=["batch_size"])
    with pytest.raises(ModelError, match=r"Unknown setting 'batchsize'\. Did you mean batch_si"):
        check_names(["batchsize"], also=["batch_size"])
    with pytest.raises(ModelError, match=r"Unknown setting 3\."):
        check_names([3])


def test_settings_read_objects_with_attributes(coconut):
    given = SimpleNamespace(noise_std=0.3, latent_do_sample_by="noise", other=1)
    assert coconut.settings(given).sampler == Noise(noise_std=0.3)


def test_a_typo_in_a_generation_config_is_named():
    with pytest.raises(ModelError, match=r"Unknown setting 'nois_std'. Did you mean noise_std\?"):
        LatentGenerationConfig(nois_std=1.0)


def test_no_setting_may_be_a_parameter_of_another_packages_sampler():
    assert {*setting_names(), *latent_fields()} <= RESERVED


@pytest.mark.parametrize("beams", [3, 32])
def test_beams_that_do_not_divide_n_blame_no_setting_that_was_not_given(coconut, beams):
    message = rf"num_beams={beams} does not divide the N = 16 samples \(num_return_sequences, the"
    with pytest.raises(ModelError, match=message) as caught:
        coconut.settings(num_beams=beams, num_return_sequences=16)
    assert "num_beam_candidates=" not in str(caught.value)


def test_a_file_with_n_is_read_by_plain_transformers_too(tmp_path):
    LatentGenerationConfig(num_return_sequences=16, latent_length=6).save_pretrained(tmp_path)
    plain = GenerationConfig.from_pretrained(tmp_path)
    assert plain.num_return_sequences is None
    plain.validate(strict=True)
    assert LatentGenerationConfig.from_pretrained(tmp_path).num_return_sequences == 16
    sampled = LatentGenerationConfig(num_return_sequences=16, do_sample=True)
    sampled.save_pretrained(tmp_path)
    assert GenerationConfig.from_pretrained(tmp_path).num_return_sequences == 16
    (tmp_path / "generation_config.json").write_text('{"num_return_sequences": 8}')  # older files
    assert LatentGenerationConfig.from_pretrained(tmp_path).num_return_sequences == 8
