"""The hypernetwork's training: which path each step takes, and from whom it learns.

In: a space, limits on paths, images, `TrainSettings`.
Out: the shared weights of all paths, and the board of the best ones.
Door: `hypernetwork`, `path_sampling`
Never: the search, and accuracies on test.
"""
