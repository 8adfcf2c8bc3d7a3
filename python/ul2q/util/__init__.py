"""Helpers of no one subject: output files, tables, figures, locks, signals, progress."""
