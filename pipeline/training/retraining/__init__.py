"""Training of one network on its own: tried out for a while, or to the end.

In: an architecture or a network of timm, images, `RetrainSettings`; the hypernetwork to start from
    or be taught by.
Out: its weights, and its accuracy on search-validation and on test.
Door: `retraining`, `trying`, `alone`
Never: the choice of the network, and its export.
"""
