"""Reading back the sample logs of lm-eval."""

import gzip

import pytest

from latent_tts.results import ResultsError, collect, read_log
from latent_tts.results.runs.survey import survey
from tests.results.made import log_of, make_pool, pools_of, run_of, write_log, write_run


def read_all(file, **config):
    return list(read_log(run_of(file, **config)))


def test_a_log_is_read_back(tmp_path):
    pools = [make_pool("1", None), make_pool("2", "3")]
    file = write_log(tmp_path, [("1", [pools[0].to_json()]), ("3", [pools[1].to_json()])])
    found = read_all(file)
    assert [logged.pool() for logged in found] == pools
    assert [logged.question.gold for logged in found] == ["1", "3"]
    assert [logged.where for logged in found] == [f"{file}:1", f"{file}:2"]


def test_repeats_are_one_pool_and_padding_is_none(tmp_path):
    responses = [make_pool(answer).to_json() for answer in "1234"]
    file = write_log(tmp_path, [("1", responses[:2]), ("3", responses)])
    assert pools_of(run_of(file, repeats=2)) == [make_pool("1", "2")] * 2


def test_a_log_without_samples_is_refused(tmp_path):
    with pytest.raises(ResultsError, match="holds no samples"):
        read_all(write_log(tmp_path, []))


def test_a_line_that_was_cut_off_is_named(tmp_path):
    file = write_log(tmp_path, [("1", [make_pool("1").to_json()])] * 3)
    file.write_text(file.read_text()[:-20])
    with pytest.raises(ResultsError, match=rf"{file}:3 is not JSON .*the file was cut off"):
        read_all(file)


@pytest.mark.parametrize("responses", [[], ["It is 5."], ["5", "6"]])
def test_what_other_tasks_log_is_refused_with_its_line(tmp_path, responses):
    file = write_log(tmp_path, [("1", [make_pool("1").to_json()]), ("5", responses)])
    with pytest.raises(ResultsError, match=rf"{file}:2 holds no pool of candidates"):
        read_all(file)


def test_a_line_that_is_no_object_is_named(tmp_path):
    file = write_log(tmp_path, [("1", [make_pool("1").to_json()])])
    file.write_text(file.read_text() + "5\n")
    with pytest.raises(ResultsError, match=rf"{file}:2 cannot be read: Expected `object`, got"):
        read_all(file)


def test_a_damaged_pool_is_named_with_its_line(tmp_path):
    file = write_log(tmp_path, [("1", [make_pool("1").to_json().replace("thoughts", "ideas")])])
    (logged,) = read_all(file)
    with pytest.raises(ResultsError, match=rf"{file}:1: candidate 0 of the pool lacks 'thoughts'"):
        logged.pool()


def test_a_packed_log_that_was_cut_off_is_named(tmp_path):
    file = write_log(tmp_path, [("1", [make_pool("1").to_json()])] * 3)
    packed = file.with_name(f"{file.name}.gz")
    packed.write_bytes(gzip.compress(file.read_bytes())[:-12])
    with pytest.raises(ResultsError, match=rf"{packed}:\d+ is not JSON .*the file was cut off"):
        read_all(packed)


def test_only_the_first_filter_counts(tmp_path):
    file = write_log(tmp_path, [("1", [make_pool("1").to_json()])] * 2)
    file.write_text(file.read_text() + file.read_text().replace('"none"', '"strict"'))
    assert len(read_all(file)) == 2


def test_a_question_that_comes_twice_is_refused(tmp_path):
    file = write_log(tmp_path, [("1", [make_pool("1").to_json()])] * 2)
    file.write_text(file.read_text() + file.read_text())
    message = rf"{file}:3: question '0' comes a second time, after line 1"
    with pytest.raises(ResultsError, match=message):
        read_all(file)


def test_questions_have_id_text_and_gold(tmp_path):
    rows = [("5", make_pool("5")), ("7", make_pool("6"))]
    file = log_of(write_run(tmp_path, rows, ids=["a", 12], texts=["How many?", "How few?"]))
    found = [logged.question for logged in read_all(file)]
    assert [(question.id, question.text, question.gold) for question in found] == [
        ("a", "How many?", "5"),
        ("12", "How few?", "7"),
    ]


def test_without_a_question_field_the_prompt_is_the_text(tmp_path):
    file = log_of(write_run(tmp_path, [("5", make_pool("5"))], texts=["How many?"]))
    file.write_text(file.read_text().replace('"question":', '"problem":'))
    assert read_all(file)[0].question.text == "How many?"


def test_half_characters_and_nan_are_read(tmp_path):
    file = log_of(write_run(tmp_path, [("5", make_pool("5"))], texts=["a\ud83d"]))
    file.write_text(file.read_text().replace('"doc_hash"', '"more": NaN, "doc_hash"'))
    assert read_all(file)[0].question.text == "a\ud83d"


def test_metrics_are_read_as_they_were_logged(tmp_path):
    write_run(tmp_path, [("5", make_pool("5", "4")), ("7", make_pool("6", "7"))])
    (run,), _ = collect([tmp_path])
    found = [logged.metrics for logged in read_log(run, ["pass@1", "voting@2", "unknown"])]
    assert found == [{"pass@1": 0.5, "voting@2": 1}, {"pass@1": 0.5, "voting@2": 0}]


def test_a_metric_that_is_listed_but_lacking_is_named(tmp_path):
    file = log_of(write_run(tmp_path, [("5", make_pool("5"))]))
    file.write_text(file.read_text().replace('"pass@1": 1.0', '"other": 1.0'))
    with pytest.raises(ResultsError, match=rf"{file}:1 lacks 'pass@1', a metric that it lists"):
        list(read_log(run_of(file), ["pass@1"]))


def test_a_line_without_gold_answer_is_named(tmp_path):
    file = write_log(tmp_path, [("1", [make_pool("1").to_json()])])
    file.write_text(file.read_text().replace("target", "goal"))
    with pytest.raises(ResultsError, match=rf"{file}:1 cannot be read: .* required field `target`"):
        read_all(file)


@pytest.mark.parametrize(
    ("cut", "lines", "ended"), [(None, 3, True), (-1, 3, False), (-20, 3, False), (0, 0, True)]
)
def test_a_survey_counts_lines_and_sees_a_torn_end(tmp_path, cut, lines, ended):
    file = write_log(tmp_path, [("1", [make_pool("1").to_json()])] * 3)
    file.write_text(file.read_text()[:cut])
    assert survey(file) == (lines, ended, True)
