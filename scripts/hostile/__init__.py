"""Flags, files and archives that are broken, or mean harm: what becomes of them."""
