"""Published sets of questions: where each lies, how it is read, and what papers report on it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .question import Golds

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Hub:
    """A data set on the Hugging Face hub.

    Attributes:
        path: its name.
        config: configuration, None for the only one.
        split: split, or several joined by `+`.
        read: makes question and answer of a row.
    """

    path: str
    split: str
    read: Callable[[Row], tuple[str, object]]
    config: str | None = None


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published set of questions.

    Attributes:
        title: as papers call it.
        files: names in a local folder, all of which are read; each is looked for as `.jsonl`, then
            as `.json`, then under `also`.
        size: how many questions it has.
        split: which part of the set that is.
        licence: of the set.
        paper: where it comes from.
        reported: which published numbers are on these very questions.
        hub: where it lies on the hub, None where it does not lie there in this selection.
        place: where it lies elsewhere.
        judge: what its answers are, as its task's metadata say.
        golds: what its gold answers must be beyond that the judge can read them.
        also: another name of a file, as other repositories have it.
    """

    title: str
    files: tuple[str, ...]
    size: int
    split: str
    licence: str
    paper: str
    reported: str
    hub: Hub | None
    place: str = "a local folder (data_dir)"
    also: Mapping[str, str] = field(default_factory=dict)
    judge: str = "number"
    golds: Golds | None = None

    @property
    def kind(self) -> str:
        """By which judge its gold answers are read; what math-verify cannot read, a task says."""
        return "number" if self.judge == "number" else "text"


def _of_aime(answer: str) -> str | None:
    """Return an answer of AIME without leading zeros."""
    return str(int(answer)) if re.fullmatch("[0-9]{1,3}", answer) else None


_LATENT_TTS, _COLAR = "LatentTTS (arXiv 2510.07745)", "CoLaR (arXiv 2505.16552)"

_GSM_HARD = Published(
    title="GSM-Hard",
    files=("gsm_hard",),
    size=1319,
    split="all",
    licence="MIT",
    paper="Gao et al. 2022 (PAL), arXiv 2211.10435",
    reported="PAL, with a tolerance of 0.001",
    hub=Hub(
        path="reasoning-machines/gsm-hard",
        split="train",  # the only split there; nobody trains on it
        read=lambda row: (row["input"], row["target"]),
    ),
)
_MULTIARITH = Published(
    title="MultiArith",
    files=("multiarith",),
    size=180,
    split="test",
    licence="none stated; a public research set",
    paper="Roy and Roth 2015, arXiv 1608.01413",
    reported="none of the latent reasoners': they evaluate 580 questions",
    hub=Hub(
        path="ChilleD/MultiArith",
        split="test",
        read=lambda row: (row["question"], row["final_ans"]),
    ),
)
_AIME_2024 = Published(
    title="AIME 2024, both tests",
    files=("aime24",),
    size=30,
    split="all",
    licence="none stated; problems of the Mathematical Association of America",
    paper="American Invitational Mathematics Examination 2024, I and II",
    reported="Latent-SFT (arXiv 2510.15522), RLTT (arXiv 2602.10520)",
    hub=Hub(
        path="HuggingFaceH4/aime_2024",
        split="train",  # the only split there
        read=lambda row: (row["problem"], row["answer"]),
    ),
    judge="math",
    golds=Golds(_of_aime, "a whole number from 0 to 999, as all answers of AIME are"),
)
PUBLISHED: dict[str, Published] = {
    "gsm8k": Published(
        title="GSM8K",
        files=("gsm8k_test",),
        also={"gsm8k_test": "gsm_test.json"},
        size=1319,
        split="test",
        licence="MIT",
        paper="Cobbe et al. 2021, arXiv 2110.14168",
        reported=f"COCONUT (arXiv 2412.06769): GPT-2 34.1; CODI (arXiv 2502.21074): GPT-2 43.7, "
        f"Llama-1B 55.6, all with 6 thoughts; {_COLAR}: Llama-1B 40.1; RoT (arXiv 2601.14750): "
        f"4B 37.8; {_LATENT_TTS}: COCONUT's majority vote 33.6",
        hub=Hub(
            path="openai/gsm8k",
            config="main",
            split="test",
            # The worked solution ends in '#### 1,200'.
            read=lambda row: (row["question"], row["answer"].rpartition("####")[2]),
        ),
    ),
    "gsm_hard": _GSM_HARD,
    "gsm_hard_1318": replace(
        _GSM_HARD,
        title="GSM-Hard, the selection of LatentTTS",
        size=1318,
        split="all but one",
        reported=f"{_LATENT_TTS}: COCONUT's majority vote 6.1; {_COLAR}: Llama-1B 9.1",
        hub=None,
    ),
    "multiarith": _MULTIARITH,
    "multiarith_580": replace(
        _MULTIARITH,
        title="MultiArith, the selection of LatentTTS",
        size=580,
        split="580 of all 600",
        reported=f"{_LATENT_TTS}, Latent-SFT in it: 1B 93.4; {_COLAR}: Llama-1B 91.3",
        hub=None,
    ),
    "svamp": Published(
        title="SVAMP",
        files=("svamp",),
        size=1000,
        split="all",
        licence="MIT",
        paper="Patel et al. 2021, arXiv 2103.07191",
        reported=f"{_COLAR}: Llama-1B 54.9; PAL (arXiv 2211.10435)",
        hub=Hub(
            path="ChilleD/SVAMP",
            split="train+test",
            read=lambda row: (row["question_concat"], row["Answer"]),
        ),
    ),
    "asdiv": Published(
        title="ASDiv, the questions whose answer is one number",
        files=("asdiv",),
        size=2096,
        split="all",
        licence="CC BY-NC 4.0",
        paper="Miao et al. 2020, arXiv 2106.15772",
        reported="PAL (arXiv 2211.10435)",
        hub=None,
    ),
    "mawps": Published(
        title="MAWPS: AddSub, SingleEq and SingleOp",
        files=("mawps_addsub", "mawps_singleeq", "mawps_singleop"),
        size=1465,
        split="all",
        licence="MIT",
        paper="Koncel-Kedziorski et al. 2016, NAACL N16-1136",
        reported="PAL (arXiv 2211.10435), each part by itself",
        hub=None,
    ),
    "math500": Published(
        title="MATH-500",
        files=("math500",),
        size=500,
        split="500 of MATH's test questions",
        licence="MIT, that of MATH",
        paper="Lightman et al. 2023, arXiv 2305.20050; MATH: Hendrycks et al. 2021, "
        "arXiv 2103.03874",
        reported="Latent-SFT (arXiv 2510.15522), RoT (arXiv 2601.14750)",
        hub=Hub(
            path="HuggingFaceH4/MATH-500",
            split="test",
            read=lambda row: (row["problem"], row["answer"]),
        ),
        judge="math",
    ),
    "aime24": _AIME_2024,
    "aime25": replace(
        _AIME_2024,
        title="AIME 2025, both tests",
        files=("aime25",),
        paper="American Invitational Mathematics Examination 2025, I and II",
        reported="LaTER (arXiv 2605.07315)",
        hub=Hub(
            path="math-ai/aime25",
            split="test",
            read=lambda row: (row["problem"], row["answer"]),
        ),
    ),
}
"""Benchmark -> its set; the name is the task's without `latent_tts_`."""

_ARITH = Published(
    title="arithmetic word problems of two to four steps",
    files=("arith",),
    size=500,
    split="test",
    licence="MIT, that of latent-tts",
    paper="this project: latent_tts.tasks.arith generates them",
    reported="those of the checkpoints that ship (docs/zoo.md); of no paper",
    hub=None,
    place="the package",
)
SHIPPED: dict[str, Published] = {
    "arith": _ARITH,
    "arith_hard": replace(_ARITH, title="the same of other structures and larger numbers"),
}
"""Benchmarks whose questions lie in the package."""
