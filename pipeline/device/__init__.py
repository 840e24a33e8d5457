"""What runs on a device: names of targets, readings of the machine, engines, the measuring child.

In: a target's name and the files of a model, as JSON lines to the child; the machine's own files.
Out: times, answers, states and the fingerprint, as plain values.
Door: `target`, `fingerprint`, `model_files`, `runtimes`, `burst`, `machine_state`, `gpu`,
    `full_batches`, `trtexec`; `child` is a program
Never: another room than `pipeline.errors`, a package besides numpy and the engine, which is
    imported where it is used; what Python 3.9 does not have.
"""
