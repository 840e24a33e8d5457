"""What retraining is worth."""
