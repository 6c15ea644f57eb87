"""Trials with random flags, and with broken or malicious files."""
