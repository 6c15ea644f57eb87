"""Storms: real runs are killed, stopped and started twice again and again, and what is claimed of them is counted."""
