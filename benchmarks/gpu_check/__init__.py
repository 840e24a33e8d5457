"""What works on a machine with a GPU."""
