"""Latency tables: measured, read, calibrated, and used to predict."""
