"""Reading back the sample logs of lm-eval."""

import gzip

import pytest

from latent_tts.results import ResultsError, find_samples, read_metrics, read_samples
from tests.results.made import log_of, make_pool, write_log, write_run


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
    with pytest.raises(ResultsError, match=r"No samples_\*.jsonl under .*--log_samples"):
        find_samples(tmp_path)


def test_a_log_without_samples_is_refused(tmp_path):
    with pytest.raises(ResultsError, match="holds no samples"):
        read_samples(write_log(tmp_path, []), name="run")


def test_a_line_that_was_cut_off_is_named(tmp_path):
    file = write_log(tmp_path, [("1", [make_pool("1").to_json()])] * 3)
    file.write_text(file.read_text()[:-20])
    with pytest.raises(ResultsError, match=rf"{file}:3 is not JSON .*the file was cut off"):
        read_samples(file, name="run")


@pytest.mark.parametrize("responses", [[], ["It is 5."], ["5", "6"]])
def test_what_other_tasks_log_is_refused_with_its_line(tmp_path, responses):
    file = write_log(tmp_path, [("1", [make_pool("1").to_json()]), ("5", responses)])
    with pytest.raises(ResultsError, match=rf"{file}:2 holds no pool of candidates"):
        read_samples(file, name="run")


def test_a_line_that_is_no_object_is_named(tmp_path):
    file = write_log(tmp_path, [("1", [make_pool("1").to_json()])])
    file.write_text(file.read_text() + "5\n")
    with pytest.raises(ResultsError, match=rf"{file}:2 is not JSON \(no object but b'5"):
        read_samples(file, name="run")


def test_a_damaged_pool_is_named_with_its_line(tmp_path):
    file = write_log(tmp_path, [("1", [make_pool("1").to_json().replace("thoughts", "ideas")])])
    with pytest.raises(ResultsError, match=rf"{file}:1: candidate 0 of the pool lacks 'thoughts'"):
        read_samples(file, name="run")


def test_a_packed_log_that_was_cut_off_is_named(tmp_path):
    file = write_log(tmp_path, [("1", [make_pool("1").to_json()])] * 3)
    packed = file.with_name(f"{file.name}.gz")
    packed.write_bytes(gzip.compress(file.read_bytes())[:-12])
    with pytest.raises(ResultsError, match=rf"{packed}:\d+ is not JSON .*the file was cut off"):
        read_samples(packed, name="run")


def test_only_the_first_filter_counts(tmp_path):
    file = write_log(tmp_path, [("1", [make_pool("1").to_json()])] * 2)
    more = file.read_text().replace('"none"', '"strict"')
    file.write_text(file.read_text() + more)
    assert len(read_samples(file, name="run").pools) == 2


def test_a_question_that_comes_twice_is_refused(tmp_path):
    file = write_log(tmp_path, [("1", [make_pool("1").to_json()])] * 2)
    file.write_text(file.read_text() + file.read_text())
    with pytest.raises(ResultsError, match=rf"{file}:3: question '0' comes a second time"):
        read_samples(file, name="run")


def test_questions_have_id_text_and_gold(tmp_path):
    rows = [("5", make_pool("5")), ("7", make_pool("6"))]
    file = log_of(write_run(tmp_path, rows, ids=["a", 12], texts=["How many?", "How few?"]))
    for questions in (read_samples(file, name="run").questions, read_metrics(file).questions):
        found = [(question.id, question.text, question.gold) for question in questions]
        assert found == [("a", "How many?", "5"), ("12", "How few?", "7")]


def test_without_a_question_field_the_prompt_is_the_text(tmp_path):
    file = log_of(write_run(tmp_path, [("5", make_pool("5"))], texts=["How many?"]))
    file.write_text(file.read_text().replace('"question":', '"problem":'))
    assert read_samples(file, name="run").questions[0].text == "How many?"


def test_metrics_are_read_as_they_were_logged(tmp_path):
    rows = [("5", make_pool("5", "4")), ("7", make_pool("6", "7"))]
    table = read_metrics(log_of(write_run(tmp_path, rows))).table
    assert table.index.tolist() == ["q0", "q1"]
    assert table["pass@1"].tolist() == [0.5, 0.5]
    assert table["voting@2"].tolist() == [1, 0]


def test_a_metric_that_not_all_questions_have_is_left_out(tmp_path):
    rows = [("5", make_pool("5", "4")), ("7", make_pool("6"))]
    table = read_metrics(log_of(write_run(tmp_path, rows))).table
    assert "pass@1" in table
    assert "pass@2" not in table


def test_a_metric_that_is_listed_but_lacking_is_named(tmp_path):
    file = log_of(write_run(tmp_path, [("5", make_pool("5"))]))
    file.write_text(file.read_text().replace('"pass@1": 1.0', '"other": 1.0'))
    with pytest.raises(ResultsError, match=rf"{file}:1 lacks a metric that it lists"):
        read_metrics(file)


def test_a_line_without_gold_answer_is_named(tmp_path):
    file = write_log(tmp_path, [("1", [make_pool("1").to_json()])])
    file.write_text(file.read_text().replace("target", "goal"))
    with pytest.raises(ResultsError, match=rf"{file}:1 has no gold answer \('target'\)"):
        read_samples(file, name="run")
