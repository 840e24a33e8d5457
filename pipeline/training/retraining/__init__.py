"""Training of one network on its own: what the search chose.

In: an architecture, images, `RetrainSettings`; the hypernetwork to start from or be taught by.
Out: its weights, and its accuracy on search-validation and on test.
Door: `retraining`
Never: the choice of the network, and its export.
"""
