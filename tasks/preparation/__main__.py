"""Write the digests of test questions: `python -m latent_tts.tasks.preparation FOLDER`.

FOLDER holds the test sets, such as gsm8k_test.jsonl; generated test problems are in the package.
"""

import json
import sys
from pathlib import Path

from ..question import read_questions
from .contamination import DIGESTS, digests

SETS = ("aime24", "aime25", "gsm8k_test", "gsm_hard", "math500", "multiarith", "svamp")
"""Test sets: nothing is trained or tuned on them."""
SHIPPED = ("arith_test", "arith_hard_test")


def read_sets(folder: Path) -> dict[str, list[str]]:
    """Return the questions of every test set, from a folder and from the package."""
    package = DIGESTS.parents[1] / "arith"
    files = {name: folder / f"{name}.jsonl" for name in SETS}
    files |= {name: package / f"{name}.jsonl" for name in SHIPPED}
    return {
        name: [question.text for question in read_questions(file, judge="text")]
        for name, file in files.items()
    }


def write_digests(folder: Path, target: Path = DIGESTS) -> None:
    """Write the file of digests anew."""
    made = {}
    for name, texts in read_sets(folder).items():
        exact, covered = digests(texts)
        made[name] = {"exact": "".join(exact), "masked": "".join(covered)}
    target.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_digests(Path(sys.argv[1]))
