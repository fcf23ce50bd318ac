"""The versions of lm-eval that this project was tested with, and what is private to them."""

import ast
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from latent_tts.harness.lm_eval_seam import INSTALLED, KEEPS_REPEATS, TESTED

ROOT = Path(__file__).parents[2]
SEAM = ROOT / "harness" / "lm_eval_seam.py"


def test_the_installed_version_is_one_that_was_tested():
    assert INSTALLED in TESTED
    assert (Version(INSTALLED) >= Version("0.5.0.dev0")) == KEEPS_REPEATS


def test_the_package_allows_the_tested_versions_alone():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (bound,) = [d for d in map(Requirement, project["dependencies"]) if d.name == "lm-eval"]
    assert all(bound.specifier.contains(version, prereleases=True) for version in TESTED)
    assert not bound.specifier.contains("0.4.12")
    assert not bound.specifier.contains("0.6")


def test_nothing_private_of_lm_eval_is_used_outside_the_seam():
    private = re.compile(r"lm_eval(\.\w+)*\._\w+|HarnessCLI|dbdict|EvaluatorConfig")
    inherited = re.compile(
        r"self\.(_rank|_world_size|_device|_metric_fn_list|_aggregation_list|_higher_is_better"
        r"|_filters|_config|_scorers|_instances|_dataset)\b"
    )
    files = [file for file in (ROOT / "harness").rglob("*.py") if file != SEAM]
    assert files
    for file in files:
        code = ast.unparse(ast.parse(file.read_text(encoding="utf-8")))
        assert not private.search(code), file
        assert not inherited.search(code), file
