"""Prompts and answers of each backbone."""

import pytest
import torch

from latent_tts.models import BACKBONES, LatentBackbone

PROMPTS = {
    "coconut": "2 + 2?\n<|start-latent|>",
    "codi": "2 + 2?<|start-latent|>",
    "colar": "Question: 2 + 2? Let's think step by step:(Thinking speed: 2)###",
}


def test_prompts_are_those_of_the_released_scripts(backbone):
    ids = backbone.model.encode_prompt(backbone.tokenizer, "2 + 2?")
    assert backbone.tokenizer.decode(ids) == PROMPTS[backbone.kind]
    marker = backbone.tokenizer.convert_tokens_to_ids(backbone.model.start_marker)
    assert ids.count(marker) == 1
    assert ids[-1] == marker


@pytest.mark.parametrize(
    ("kind", "text", "answer"),
    [
        ("coconut", "### 18", "18"),
        ("coconut", "### 1,234.5", "1,234.5"),
        ("coconut", "### 7 # 8", "8"),
        ("coconut", "18", None),
        ("coconut", "### ", None),
        ("coconut", "", None),
        ("codi", "The answer is: 18", "18"),
        ("codi", "3 of 1,200,000.50.", "1,200,000.50"),
        ("codi", "-7", "-7"),
        ("codi", "9 -.5", "-.5"),
        ("codi", "none", None),
        ("codi", "1, 2 and 3,000", "3,000"),
        ("codi", "The answer is: \u22125", "\u22125"),
        ("codi", "The answer is: - 5", "- 5"),
        ("codi", "The answer is: 1.5e3", "1.5e3"),
        ("codi", "The answer is: 1,00,000", "1,00,000"),
        ("codi", "The answer is: 1.234,50", "1.234,50"),
        ("codi", "3-2", "2"),
        ("codi", "", None),
        ("colar", "Answer: 18", "18"),
        ("colar", "Answer:1 Answer:\\frac{1}{2}###", "\\frac{1}{2}"),
        ("colar", "Answer: ###", None),
        ("colar", "18", None),
    ],
)
def test_answers_are_read_out_of_the_text(backbones, kind, text, answer):
    assert backbones[kind].model.read_answer(text) == answer


def test_the_table_names_every_backbone():
    assert list(BACKBONES) == [
        *("coconut", "codi", "colar", "explicit", "latent_sft", "rot", "soft_thinking")
    ]
    for name, kind in BACKBONES.items():
        assert kind.backbone == name
        assert issubclass(kind, LatentBackbone)


def test_a_backbone_must_say_how_it_reads_and_answers():
    plain = LatentBackbone()
    with pytest.raises(NotImplementedError):
        plain.format_prompt("?")
    with pytest.raises(NotImplementedError):
        plain.read_answer("?")
    hidden = torch.ones(2, 3)
    assert plain.next_thought(hidden) is hidden


def test_the_next_thought_is_the_references(backbone):
    hidden = torch.randn(5, 48, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([backbone.reference.next_thought(row) for row in hidden])
    with torch.no_grad():
        torch.testing.assert_close(backbone.model.next_thought(hidden), expected)
