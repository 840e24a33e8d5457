"""Networks of PyTorch: the operators, one network, the hypernetwork, their weights.

In: an `Architecture` or a `SearchSpace`, a seed, checkpoints.
Out: modules, and checkpoints that say what they are of.
Door: `operators`, `network`, `supernet`, `weights`, `timm_networks`
Never: images, training, measuring.
"""
