"""Checkpoints that are committed, verified, and resumed from: `manifest` knows them, `store` writes and restores."""
