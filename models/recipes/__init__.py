"""Recipes that train the backbones."""
