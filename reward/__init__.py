"""LatentRM: the model that scores latent thoughts, its labels, losses and training."""
