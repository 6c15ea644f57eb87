"""Measures the detection of anomalies in tables; `scripts/anomalies` runs it."""
