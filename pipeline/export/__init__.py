"""Networks and operators as files: ONNX, exported programs, other precisions, all checked.

In: modules of `pipeline.network`, images for ranges and answers.
Out: folders of files whose nodes carry their block's place, with parity and accuracy; the cache
    of exports.
Door: `to_onnx`, `parity`, `artefacts`, `architectures`, `cache`, `classifier`
Never: training, latency.
"""
