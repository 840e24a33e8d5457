"""The edge bundle: a folder that runs on a device with ONNX Runtime alone.

`infer.py` here is no part of the program: it is copied into every bundle, needs none of this
package, and keeps to Python 3.9.
"""
