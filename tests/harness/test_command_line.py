"""What is made of lm-eval's command line: names as typed, flags without meaning, folders."""

import json
import logging
import sys
from pathlib import Path

import pytest
from lm_eval.utils import simple_parse_args_string

from latent_tts.harness.arguments import split_arguments
from latent_tts.harness.command_line import check_flags, check_log_room, typed_names
from latent_tts.harness.lm import LatentLM
from latent_tts.harness.saving import SavedResults
from latent_tts.harness.writable import check_writable
from latent_tts.models import ModelError
from latent_tts.results import ResultsError

LIKE_NUMBERS = ["007", "1e3", "12e4567", "0x10", "1_000", "true", "+5", "nan"]


@pytest.fixture
def named(checkpoints, tmp_path, monkeypatch):
    """Checkpoints in folders whose names look like something else."""
    monkeypatch.chdir(tmp_path)
    for name in LIKE_NUMBERS:
        (tmp_path / name).symlink_to(checkpoints["coconut"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["007", "1e3", "12e4567"])
@pytest.mark.usefixtures("named")
def test_names_that_look_like_numbers_stay_names(run_command, name):
    out = run_command(
        *("--tasks", "latent_tts_gsm8k", "--limit", "1"),
        model_args=[f"revision={name},num_return_sequences=2", "max_new_tokens=20"],
        pretrained=name,
    )
    (file,) = out.glob(f"{name}/results_*.json")
    config = json.loads(file.read_text())["config"]
    assert config["latent_tts"]["checkpoint"]["name"] == name
    assert config["latent_tts"]["checkpoint"]["revision"] == name
    assert config["model_revision"] == name
    assert config["model_args"]["pretrained"] == name


@pytest.mark.parametrize("name", LIKE_NUMBERS)
@pytest.mark.usefixtures("named")
def test_names_in_one_text_stay_names(name):
    lm = LatentLM.create_from_arg_string(f"pretrained={name},revision='{name}'")
    assert (lm.arguments.pretrained, lm.arguments.revision) == (name, name)
    given = simple_parse_args_string(f"pretrained={name}")
    if not isinstance(given["pretrained"], str):
        with pytest.raises(ModelError, match=r"pretrained=.* is no name.*in quotes"):
            LatentLM.create_from_arg_obj(given)


def test_only_names_are_taken_as_typed():
    assert typed_names(
        ["noise_std=0.30,revision=007", 'pretrained="1e3"', "reward_model=None"]
    ) == {
        "revision": "007",
        "pretrained": "1e3",
    }


@pytest.mark.parametrize("value", [True, 7, 1.5, ["a"], {"a": 1}, None, float("inf")])
@pytest.mark.parametrize("name", ["pretrained", "revision"])
def test_what_is_no_name_is_refused(name, value):
    with pytest.raises(ModelError, match=rf"{name}=.* is no name"):
        LatentLM(**{name: value})


def test_results_lie_in_a_folder_of_the_checkpoints_name():
    given = {}
    LatentLM.create_from_arg_obj(given)
    assert given == {"pretrained": "tiny-coconut"}  # after which lm-eval names the folder


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--system_instruction", "You are nice"], "--system_instruction 'You are nice' cannot be"),
        (["--cache_requests"], "--cache_requests cannot be used: .*--use_cache FILE"),
        (["--cache_requests", "true"], "--cache_requests cannot be used"),
        (["--output_path", "FILE"], "--output_path .*FILE cannot be written: Not a directory"),
        (["--output_path", "FILE/in/it"], "--output_path .* cannot be written: Not a directory"),
        (["--output_path", "FILE/x.json"], "--output_path .* cannot be written: Not a directory"),
        (["--use_cache", "FILE/cache"], "--use_cache .* cannot be written: Not a directory"),
        (["--num_fewshot", "3"], "--num_fewshot 3: latent_tts_gsm8k has one split, 'test'"),
    ],
)
def test_flags_are_refused_before_anything_is_sampled(
    run_command, tmp_path, monkeypatch, flags, message
):
    def sampled(*args, **kwargs):
        raise AssertionError("candidates were sampled")

    monkeypatch.setattr("latent_tts.models.sample", sampled)
    file = tmp_path / "FILE"
    file.write_text("")
    flags = [flag.replace("FILE", str(file)) for flag in flags]
    with pytest.raises((ModelError, ResultsError, ValueError), match=message):
        run_command("--tasks", "latent_tts_gsm8k", *flags)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("flags", [{}, {"cache_requests": {"delete_requests_cache": True}}])
def test_flags_that_do_no_harm_pass(flags):
    check_flags(flags)


@pytest.mark.parametrize("limit", [0, -3, -0.5, "nan"])
def test_a_limit_that_leaves_no_question_is_refused(limit):
    with pytest.raises(ModelError, match=f"--limit {limit}: allowed are whole numbers of at least"):
        check_flags({"limit": limit})


def test_a_negative_number_is_whole_as_it_was_typed():
    # lm-eval's parser makes -1.0 of it.
    assert split_arguments(simple_parse_args_string("seed=-1"))[1] == {"seed": -1}


def test_a_config_file_is_read_too(monkeypatch, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("system_instruction: Be nice\nmodel_args: {pretrained: tiny-coconut}\n")
    monkeypatch.setattr(sys, "argv", ["lm_eval", "run", "--config", str(config)])
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)  # undone with the rest
    with pytest.raises(ModelError, match="--system_instruction 'Be nice'"):
        LatentLM.create_from_arg_obj({})


def test_a_folder_that_can_be_written_is_not_made(tmp_path):
    check_writable(tmp_path / "a" / "b", asked="--output_path a/b")
    assert list(tmp_path.iterdir()) == []


def test_a_place_without_files_is_found_out():
    with pytest.raises(
        ResultsError, match=r"--output_path x cannot be written: .*Nothing was comp"
    ):
        check_writable(Path("/proc/none"), asked="--output_path x")


def test_a_log_that_will_not_fit_is_refused(monkeypatch, tmp_path):
    command = ["lm_eval", "run", "--output_path", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", command)
    check_log_room(10**18)  # no log is asked for
    monkeypatch.setattr(sys, "argv", [*command, "--log_samples"])
    check_log_room(1000)
    with pytest.raises(ResultsError, match=r"needs up to 1000000000000 MB, and \d+ MB are free"):
        check_log_room(10**18)


def failed_saving(path):
    saved = SavedResults(str(path))
    logger = logging.getLogger("lm_eval.loggers.evaluation_tracker")
    try:
        raise OSError(28, "No space left on device")
    except OSError:
        logger.warning("Could not save results aggregated")
    return saved


def test_results_that_were_not_saved_are_an_error(tmp_path):
    with pytest.raises(ResultsError, match=r"could not be written: .* No space left on device"):
        failed_saving(tmp_path).finish()
    (tmp_path / "model").mkdir()
    saved = SavedResults(str(tmp_path))
    (tmp_path / "model" / "results_now.json").write_text("{}")
    assert saved.finish() == str(tmp_path / "model" / "results_now.json")
