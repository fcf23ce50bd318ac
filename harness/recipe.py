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
        probe_weight: weight of the loss of the probe that reads steps' results from thoughts; 0 is
            COCONUT's own loss.
        explicit_updates: optimizer steps of the first stage, without thoughts.
        stage_updates: of each stage between; 0 leaves them out.
        final_updates: of the last stage.
        batch_size: problems in an optimizer step.
        learning_rate: peak of the first stage; later stages take three quarters of it.
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
    probe_weight: float = 1.0
    explicit_updates: int = 2000
    stage_updates: int = 0
    final_updates: int = 3600
    batch_size: int = 64
    learning_rate: float = 2e-3
    seed: int = 0
    latent_do_sample_by: str = "noise"
    dropout_p: float = 0.05
    noise_std: float = 0.6
    num_return_sequences: int = 16

    def stages(self) -> list[Stage]:
        """Return the curriculum: all steps written, then more and more of them thought."""
        stages = [self._stage("explicit", 0, updates=self.explicit_updates)]
        for replaced in range(1, -(-self.latent_length // self.thoughts_per_step)):
            name = f"replace-{replaced}"
            if self.stage_updates:
                stages.append(self._stage(name, replaced, updates=self.stage_updates))
        return [*stages, self._stage("latent", None, updates=self.final_updates)]

    def _stage(self, name: str, replaced: int | None, *, updates: int) -> Stage:
        thoughts = self.latent_length if replaced is None else replaced * self.thoughts_per_step
        return Stage(
            name=name,
            replaced=replaced,
            thoughts=thoughts,
            thoughts_per_step=self.thoughts_per_step,
            probe_weight=self.probe_weight,
            updates=updates,
            learning_rate=self.learning_rate * (0.75 if thoughts else 1),
        )
