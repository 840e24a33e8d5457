"""Images, the hypernetwork's training and scoring, and retraining of what the search chose."""
