"""What determines a checkpoint that this project trains."""

from dataclasses import dataclass

from ..models.recipes.coconut import Stage

# Fields that only the published generation_config.json depends on, not the training.
PUBLISHED = ("latent_do_sample_by", "dropout_p", "noise_std", "num_return_sequences")


@dataclass(frozen=True)
class Recipe:
    """Everything that determines a tiny COCONUT; the defaults made `tiny-coconut`.

    Attributes:
        problems: training problems, generated from `seed`.
        hard_share: share of them with large numbers.
        validation: validation problems that accuracy is measured on.
        vocab_size: most tokens of the tokenizer, which is trained on a part of the problems.
        width: hidden size.
        layers: transformer blocks.
        heads: attention heads of a block.
        positions: longest prompt with thoughts and answer, in tokens.
        dropout: on the residual branches while training.
        thoughts_per_step: thoughts that replace one step.
        latent_length: thoughts of the last stage, where all steps are replaced.
        explicit_updates: optimizer steps of the first stage, without thoughts.
        stage_updates: of each stage between.
        final_updates: of the last stage.
        batch_size: problems in an optimizer step.
        learning_rate: peak of the first stage; later stages take half of it.
        seed: of problems, weights and batches.
        latent_do_sample_by: the published checkpoint's own sampler, chosen by `latent-tts sweep`.
        dropout_p: its strength of dropout.
        noise_std: its strength of noise.
        num_return_sequences: its own N.
    """

    problems: int = 200_000
    hard_share: float = 0.1
    validation: int = 500
    vocab_size: int = 1280
    width: int = 128
    layers: int = 4
    heads: int = 4
    positions: int = 512
    dropout: float = 0.05
    thoughts_per_step: int = 2
    latent_length: int = 6
    explicit_updates: int = 2000
    stage_updates: int = 500
    final_updates: int = 4500
    batch_size: int = 64
    learning_rate: float = 2e-3
    seed: int = 0
    latent_do_sample_by: str = "noise"
    dropout_p: float = 0.1
    noise_std: float = 0.6
    num_return_sequences: int = 16

    def stages(self) -> list[Stage]:
        """Return the curriculum."""
        stages = [Stage("explicit", 0, 0, self.explicit_updates, self.learning_rate)]
        replaced = 1
        while replaced * self.thoughts_per_step < self.latent_length:
            thoughts = replaced * self.thoughts_per_step
            name = f"replace-{replaced}"
            stages.append(
                Stage(name, replaced, thoughts, self.stage_updates, self.learning_rate / 2)
            )
            replaced += 1
        final = Stage(
            "latent", None, self.latent_length, self.final_updates, self.learning_rate / 2
        )
        return [*stages, final]
