"""Where a file of a run cannot be written: an error, an exit code, and nothing torn is believed."""

import os
import re
import resource
import shutil
import subprocess
import sys
import time

import pytest

from latent_tts.results import collect
from tests.harness.evaluation import BENCHMARKS, timeless
from tests.marks import nightly_but

SETTINGS = "num_return_sequences=8,latent_do_sample_by=noise,noise_std=0.6"


@pytest.fixture
def begin(tmp_path, quick_lm_eval):
    """Start lm-eval's own command in a folder; what it says goes to `log` in it."""

    def run(*arguments, settings=SETTINGS, output="out", before=()):
        command = [
            *before,
            *(sys.executable, "-m", "lm_eval", "--model", "latent_tts", "--log_samples"),
            *("--tasks", "latent_tts_arith", "--limit", "150", "--batch_size", "4"),
            *("--include_path", str(BENCHMARKS), "--output_path", output),
            *("--model_args", settings, *arguments),
        ]
        environment = {**os.environ, **quick_lm_eval, "OMP_NUM_THREADS": "1"}
        with (tmp_path / "log").open("w") as log:  # which grows past the limit: not the run's own
            terminal = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=log)
        terminals.append(terminal)
        return subprocess.Popen(
            command,
            env=environment,
            cwd=tmp_path,
            stdout=terminal.stdin,
            stderr=terminal.stdin,
        )

    terminals = []
    yield run
    for terminal in terminals:
        terminal.stdin.close()
        terminal.wait()


def wait_for(process, there):
    """Wait for a moment of a run."""
    while not there():
        assert process.poll() is None, "the run ended before"
        time.sleep(0.002)


FILES = {
    # What is asked for, from when on no file may be longer than how many bytes, and what is said.
    "store": (("", ""), "store/*/*.jsonl", 2000, r"The store .* cannot be written: .*too large"),
    "thoughts": ((",store_thoughts=true", ""), "store/*/thoughts/*", 100, r"The store .* cannot"),
    "results": ((",store=none", ""), None, 100, r"could not be written: .*too large"),
    "cache": ((",store=none", "cache"), None, 100, r"cache.* cannot be read or written: disk"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", nightly_but(FILES, "store"))
def test_a_disk_that_is_full_from_some_moment_on(begin, tmp_path, kind):
    (more, cache), pattern, size, message = FILES[kind]
    process = begin(*(("--use_cache", cache) if cache else ()), settings=SETTINGS + more)
    log = tmp_path / "log"
    if pattern is None:
        wait_for(process, lambda: "Sampling: " in log.read_text())
    else:
        wait_for(process, lambda: any((tmp_path / "out").glob(pattern)))
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    assert process.wait() != 0
    said = log.read_text()
    assert re.search(message, said, re.DOTALL), said
    assert "Traceback" not in said
    torn = [path for path in (tmp_path / "out").rglob("*_*.json*") if "store" not in path.parts]
    (tmp_path / "out").mkdir(exist_ok=True)
    assert collect([tmp_path / "out"])[0] == []
    for path in torn:
        path.unlink()
    again = begin(*(("--use_cache", cache) if cache else ()), settings=SETTINGS + more)
    assert again.wait() == 0, log.read_text()
    shutil.move(tmp_path / "out", tmp_path / "disturbed")
    assert begin(settings=SETTINGS + more).wait() == 0
    (results, logs), (their_results, their_logs) = (
        timeless(tmp_path / name) for name in ("disturbed", "out")
    )
    assert logs == their_logs
    assert results["results"] == their_results["results"]


FOLDERS = {
    "output": ((), "closed/out", r"--output_path closed/out cannot be written: Permission denied"),
    "store": (("store",), "out", r"store=closed.* cannot be written: Permission denied"),
    "cache": (("--use_cache", "closed/c"), "out", r"--use_cache closed/c cannot be written"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", nightly_but(FOLDERS, "store"))
def test_a_folder_that_is_read_only(begin, tmp_path, kind):
    given, output, message = FOLDERS[kind]
    (tmp_path / "closed").mkdir(mode=0o500)
    before = ()
    if os.access(tmp_path / "closed", os.W_OK):  # as root, who may write anywhere
        if shutil.which("setpriv") is None:
            pytest.skip("root writes into any folder, and there is no setpriv")
        before = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
    settings = SETTINGS + (",store=closed/store" if given == ("store",) else "")
    more = () if given == ("store",) else given
    process = begin(*more, settings=settings, output=output, before=before)
    assert process.wait() != 0
    said = (tmp_path / "log").read_text()
    assert re.search(message, said), said
    assert "Traceback" not in said
    assert "Sampling" not in said
