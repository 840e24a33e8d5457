"""Data sets: opened by name or path, split once, and given as batches of tensors.

In: a data set's name or path, the seed of its splits, an input size, an `Epoch`.
Out: `ImageData`: its `DatasetRecord`, augmented training batches, and every split in a fixed order.
Door: `datasets`, `image_data`, `epoch`, `randomness`, `rand_augment`
Never: networks, and choices made on `test`.
"""
