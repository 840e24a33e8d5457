"""Search under limits: costs and accuracies come in as callables, nothing here needs torch."""
