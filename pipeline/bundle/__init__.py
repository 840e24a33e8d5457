"""The edge bundle: a folder that runs on a device with ONNX Runtime alone.

`infer.py` here is no part of the program: it is copied into every bundle, needs none of this
package, and keeps to Python 3.9.

In: the records of a run, its exported files and weights, its images.
Out: the folder: model files, `infer.py`, test vectors, README.md, and `model.json`, a `Bundle`.
Door: `making`, `folder`
Never: a name of this machine's places, a latency that was not measured, a bundle that fails its
    own self-test.
"""
