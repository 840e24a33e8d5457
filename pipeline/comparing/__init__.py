"""What changed between two measurements, or two runs, beyond noise."""
