"""Trials that kill, stop, starve and damage real runs and check the promises about checkpoints."""
