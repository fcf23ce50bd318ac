"""What recorded sampling settings say, in records of today and in older ones."""

import msgspec
import pytest

from latent_tts.results.runs.settings import chosen_settings, new_since, sampler_of

SHARED = {"latent_length": 6, "max_latent_length": None, "seed": 1, "num_return_sequences": 16}
# All samplers' parameters, and none named the strength.
OLD = {
    **SHARED,
    "latent_do_sample": True,
    "latent_do_sample_by": "noise",
    "dropout_p": 0.05,
    "dropout_site": "residual",
    "noise_std": 0.6,
}
NEW = {
    **SHARED,
    "latent_do_sample": True,
    "latent_do_sample_by": "noise",
    "noise_std": 0.6,
    "sampler_strength": "noise_std",
}


@pytest.mark.parametrize("settings", [OLD, NEW])
def test_the_sampler_and_its_strength_are_read(settings):
    assert sampler_of(settings) == ("noise", 0.6)


def test_of_several_parameters_the_named_one_is_the_strength():
    own = {"latent_do_sample": True, "latent_do_sample_by": "tide", "low": 0.1, "high": 2}
    assert sampler_of({**own, "sampler_strength": "high"}) == ("tide", 2.0)


def test_an_old_record_s_strength_is_its_sampler_s_first_number():
    other = {**OLD, "latent_do_sample_by": "dropout"}
    assert sampler_of(other) == ("dropout", 0.05)
    assert sampler_of({**OLD, "latent_do_sample_by": "gumbel"}) == ("gumbel", None)


def test_what_is_sampled_without_thoughts():
    assert sampler_of({"latent_do_sample": False}) == ("none", 0.0)
    text = {"latent_do_sample": False, "do_sample": True, "temperature": 0.7}
    assert sampler_of(text) == ("temperature", 0.7)
    assert sampler_of({"num_return_sequences": 2}) == ("unknown", None)


def test_a_strength_that_is_no_number_is_refused():
    with pytest.raises(msgspec.ValidationError, match="got `str`"):
        sampler_of({**NEW, "noise_std": "much"})


def test_an_old_record_and_a_new_one_have_the_same_choices():
    assert chosen_settings(OLD) == chosen_settings(NEW)
    assert chosen_settings(NEW) == {
        "latent_do_sample": True,
        "latent_do_sample_by": "noise",
        "latent_length": 6,
        "noise_std": 0.6,
        "num_return_sequences": 16,
    }


def test_of_what_samples_nothing_no_sampler_s_settings_count():
    new = {**SHARED, "latent_do_sample": False}
    assert chosen_settings({**OLD, "latent_do_sample": False}) == chosen_settings(new)


def test_parameters_that_an_old_record_cannot_have_are_told():
    assert new_since({**NEW, "noise_shape": "flat"}, OLD) == {"noise_shape"}
    assert new_since({**NEW, "num_beams": 2}, OLD) == set()
    assert new_since(NEW, {**NEW, "noise_std": None}) == set()


@pytest.mark.parametrize("record", [NEW, OLD, {**SHARED, "latent_do_sample": False}])
def test_a_setting_that_this_version_does_not_know_tells_runs_apart(record):
    assert chosen_settings({**record, "stop": "early"}) == chosen_settings(record) | {
        "stop": "early"
    }
