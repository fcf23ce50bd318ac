"""Benchmark harness for parallel test-time scaling of latent reasoning models."""

from importlib.metadata import version

__version__ = version("latent-tts")
