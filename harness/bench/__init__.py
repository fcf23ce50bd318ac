"""What `latent-tts bench` measures: the engine, two ways without it, and the published code."""
