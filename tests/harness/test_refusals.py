"""What can be known to fail is refused before anything is sampled; README's own task runs."""

import re
import shutil
import textwrap
from pathlib import Path

import pytest
import torch
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from latent_tts.models import AutoLatentModel, ModelError
from latent_tts.tasks import TaskError
from tests.harness.evaluation import BENCHMARKS, evaluate

PAGE = Path(__file__).parents[2] / "docs" / "backbones-and-samplers.md"


@pytest.fixture
def never_sampled(monkeypatch):
    def generate(*args, **kwargs):
        raise AssertionError("candidates were sampled")

    monkeypatch.setattr("latent_tts.harness.shared.answer", generate)


@pytest.mark.parametrize(
    ("count", "ks", "message"),
    [
        (4, [1, 32], "num_return_sequences=4; the task needs at least 32 candidates"),
        (1025, None, "num_return_sequences=1025; .* can judge at most 1024"),
    ],
)
@pytest.mark.usefixtures("never_sampled")
def test_a_pool_that_could_not_be_judged(checkpoints, data, count, ks, message):
    manager = TaskManager(
        include_path=str(BENCHMARKS),
        include_defaults=False,
        metadata={"data_dir": str(data), **({"ks": ks} if ks else {})},
    )
    with pytest.raises(ModelError, match=message):
        simple_evaluate(
            model="latent_tts",
            model_args={"pretrained": str(checkpoints["coconut"]), "num_return_sequences": count},
            tasks=["latent_tts_gsm8k"],
            task_manager=manager,
            limit=1,
        )


def test_a_backbone_that_the_checkpoint_is_not(checkpoints):
    with pytest.raises(ModelError, match=r"backbone='coconut', but .* says that it is codi"):
        AutoLatentModel.from_pretrained(checkpoints["codi"], backbone="coconut")


def test_a_chat_template(checkpoints, data):
    with pytest.raises(ModelError, match="--apply_chat_template cannot be used"):
        evaluate(checkpoints["coconut"], data, apply_chat_template=True, limit=1)


def test_token_ids_of_another_vocabulary(checkpoints):
    model = AutoLatentModel.from_pretrained(checkpoints["coconut"])
    with pytest.raises(
        ModelError, match=r"input_ids from 1 to 99999; the checkpoint .* knows 0 to"
    ):
        model.generate(torch.tensor([[1, 99999]]))


@pytest.mark.parametrize("name", ["", "auto:abc", "0"])
def test_empty_names_and_odd_batch_sizes(checkpoints, data, name):
    if name:
        with pytest.raises(ModelError, match=f"batch_size='{name}'"):
            evaluate(checkpoints["coconut"], data, batch_size=name)
    else:
        with pytest.raises(ModelError, match="No checkpoint at ''"):
            AutoLatentModel.from_pretrained("")


@pytest.fixture
def own_task(tmp_path, monkeypatch):
    """The task of the docs, with `my_package` beside it."""
    yaml = re.search(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]
    shutil.copy(BENCHMARKS / "_pool.yaml", tmp_path)
    (tmp_path / "my_task.yaml").write_text(yaml)
    monkeypatch.syspath_prepend(tmp_path)

    def write(answer):
        (tmp_path / "my_package.py").write_text(
            textwrap.dedent(f"""
            import datasets

            def load(**metadata):
                row = {{"id": "one", "question": "What is 1 + 1?", "answer": {answer!r}}}
                return {{"test": datasets.Dataset.from_list([row])}}
            """)
        )
        return tmp_path

    return write


NAMES = ["latent_tts.tasks.classes", "latent_tts.harness.task"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_readmes_task_runs(checkpoints, data, own_task, name):
    """The second name stands in copies of `_pool.yaml` that were made before."""
    folder = own_task("2")
    file = folder / "_pool.yaml"
    file.write_text(file.read_text().replace("latent_tts.tasks.classes.", f"{name}."))
    assert f"{name}.PoolTask" in file.read_text()
    results = evaluate(checkpoints["coconut"], data, names=("my_task",), include=folder, limit=1)
    assert results["results"]["my_task"]["sample_len"] == 1


@pytest.mark.usefixtures("never_sampled")
def test_a_gold_answer_that_is_no_number_is_named(checkpoints, data, own_task):
    with pytest.raises(TaskError, match=r"question 'one' .* gold answer 'two', which is not a num"):
        evaluate(checkpoints["coconut"], data, names=("my_task",), include=own_task("two"))
