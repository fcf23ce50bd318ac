"""Task classes that YAMLs name, found among the entry points of installed packages."""

import pytest

from latent_tts.tasks import classes


def test_the_class_of_the_benchmarks_is_found():
    from latent_tts.harness.task import PoolTask

    assert classes.PoolTask is PoolTask


def test_a_class_that_nobody_declares():
    with pytest.raises(
        AttributeError, match=r"declares a task class 'PolTask'; there are PoolTask"
    ):
        _ = classes.PolTask
