"""Hardware-aware deployment: from a device and a budget to a measured, exported model.

Importing this package loads neither torch nor any inference runtime.
"""

__version__ = "0.1.0"
