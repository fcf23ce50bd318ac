"""Reading back the sample logs of lm-eval."""

import json

import pytest

from latent_tts.results import find_samples, read_samples
from latent_tts.tasks import Candidate, Pool, TaskError


def make_pool(*answers):
    return Pool(
        tuple(
            Candidate(text=f"### {a}", answer=a, thoughts=6, answer_tokens=2, truncated=False)
            for a in answers
        )
    )


def write_log(folder, samples, *, task="latent_tts_arith", date="2030-01-02T03-04-05.678"):
    """Write a log as lm-eval does; samples are (gold, responses)."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"samples_{task}_{date}.jsonl"
    lines = [
        json.dumps({"doc_id": i, "target": gold, "resps": [responses], "filter": "none"})
        for i, (gold, responses) in enumerate(samples)
    ]
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def test_a_log_is_read_back(tmp_path):
    pools = (make_pool("1", None), make_pool("2", "3"))
    file = write_log(
        tmp_path, [("1", [pools[0].to_json()]), ("3", [pools[1].to_json()])], task="my_task_2"
    )
    run = read_samples(file, name="a run")
    assert (run.name, run.task) == ("a run", "my_task_2")
    assert run.pools == pools
    assert run.golds == ("1", "3")


def test_repeats_are_one_pool_and_padding_is_none(tmp_path):
    responses = [make_pool(answer).to_json() for answer in "1234"]
    file = write_log(tmp_path, [("1", responses[:2]), ("3", responses)])
    assert read_samples(file, name="run").pools == (make_pool("1", "2"), make_pool("1", "2"))


def test_logs_are_found_newest_first(tmp_path):
    old = write_log(tmp_path / "model", [], date="2029-12-31T00-00-00.0")
    new = write_log(tmp_path / "model", [], date="2030-01-01T00-00-00.0")
    assert find_samples(tmp_path) == [new, old]


def test_a_folder_without_logs_is_refused(tmp_path):
    with pytest.raises(TaskError, match=r"No samples_\*.jsonl under .*--log_samples"):
        find_samples(tmp_path)


def test_a_log_without_samples_is_refused(tmp_path):
    with pytest.raises(TaskError, match="holds no samples"):
        read_samples(write_log(tmp_path, []), name="run")


def test_a_line_that_was_cut_off_is_named(tmp_path):
    file = write_log(tmp_path, [("1", [make_pool("1").to_json()])] * 3)
    file.write_text(file.read_text()[:-20])
    with pytest.raises(TaskError, match=rf"{file}:3 is not JSON .*the file was cut off"):
        read_samples(file, name="run")


@pytest.mark.parametrize("responses", [[], ["It is 5."], ["5", "6"]])
def test_what_other_tasks_log_is_refused_with_its_line(tmp_path, responses):
    file = write_log(tmp_path, [("1", [make_pool("1").to_json()]), ("5", responses)])
    with pytest.raises(TaskError, match=rf"{file}:2 holds no pool of candidates"):
        read_samples(file, name="run")
