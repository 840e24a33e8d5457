"""Machines made up: one of the oldest records, one with all that can be told, and any at all."""

from dataclasses import fields

from hypothesis import strategies as st

from pipeline.device.fingerprint import Environment
from pipeline.device.gpu import Gpu
from pipeline.files.record import checked

OLD_RECORD = {
    "device": "amd-epyc-9r14-2c",
    "cpu": "AMD EPYC 9R14",
    "cpu_flags": ["avx2", "avx512f"],
    "cores": 2,
    "memory_gib": 7.6,
    "governor": None,
    "os": "Linux 6.1",
    "python": "3.11.9",
    "packages": {"torch": "2.14.1", "onnxscript": "0.7.2", "onnxruntime": "1.31.0"},
}
H100 = Gpu(
    name="NVIDIA H100 80GB HBM3",
    driver="580.95.05",
    memory_mib=81559,
    clock_sm_mhz=345,
    clock_sm_max_mhz=1980,
    clock_sm_application_mhz=1980,
    clock_memory_mhz=2619,
    clock_memory_max_mhz=2619,
    clock_memory_application_mhz=2619,
    power_limit_w=700.0,
    persistence_mode=True,
    mig_mode=False,
)
MEASURED = checked(
    Environment,
    {
        **OLD_RECORD,
        "governor": "performance",
        "frequency_max_mhz": 3700.0,
        "huge_pages": "madvise",
        "virtual_machine": False,
        "gpu": H100,
    },
)

FIELDS = [field.name for field in fields(Environment)]
FIELDS_OF_GPU = [field.name for field in fields(Gpu)]
NUMBERS = st.floats(0, 1e6)
GPUS = st.builds(Gpu, **{**dict.fromkeys(FIELDS_OF_GPU, ...), "power_limit_w": st.none() | NUMBERS})
ENVIRONMENTS = st.builds(
    Environment,
    **{
        **dict.fromkeys(FIELDS, ...),
        "memory_gib": NUMBERS,
        "frequency_max_mhz": st.none() | NUMBERS,
        "packages": st.dictionaries(st.sampled_from(["torch", "onnxruntime", "numpy"]), st.text()),
        "gpu": st.none() | GPUS,
    },
)
