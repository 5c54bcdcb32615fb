"""Figures that are measured, never asserted: ``make bench``."""
