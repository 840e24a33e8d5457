"""What engines tell of their layers is read in all the shapes it comes in."""

import json

import pytest

from pipeline.device.runtimes import REST
from pipeline.device.runtimes._blocks import attribute
from pipeline.device.runtimes._tensorrt_layers import (
    Layer,
    layers_of_json,
    layers_of_log,
    precision_of,
)
from pipeline.errors import MeasurementError


def nodes(*names: str) -> str:
    return "\x1f".join(f"[ONNX Layer: {name}]" for name in names)


def tensor_11(kind: str) -> dict[str, object]:
    return {
        "Name": "t",
        "Dimensions": [1, 16, 32, 32],
        "Strides": [16384, 1, 512, 16],
        "Datatype": kind,
        "Format": "(NHWC) Channel major format",
    }


def tensor_10(kind: str) -> dict[str, object]:
    return {"Name": "t", "Location": "Device", "Dimensions": [1, 16], "Format/Datatype": kind}


def layer(
    name: str,
    kind: str,
    takes: dict[str, object],
    gives: dict[str, object] | None = None,
    *of: str,
    tactic: str = "",
) -> dict[str, object]:
    """A layer of one input and one output, which came from some nodes."""
    return {
        "Name": name,
        "LayerType": kind,
        "Inputs": [takes],
        "Outputs": [gives or takes],
        "TacticName": tactic,
        "Metadata": nodes(*of),
    }


FLOAT, HALF = tensor_11("Float"), tensor_11("Half")
HALF_10 = tensor_10("Channel major FP16 format where channel % 8 == 0")
SILU = ("bn1.act/Sigmoid", "bn1.act/Mul")
MEAN = ("blocks.0.0.bn1.act/Mul", "blocks.1.0.se/ReduceMean")
NEW = {
    "Layers": [
        layer("__myl_CastConc_myl0_0", "kgen", FLOAT, HALF, "graph_input_cast0", "conv_stem/Conv"),
        layer("__myl_CorrSilu_myl0_1", "runtime_fusion", HALF, HALF, "conv_stem/Conv", *SILU),
        layer(
            "blocks.0.0.conv_dw/Conv_myl0_2",
            "correlation",
            HALF,
            HALF,
            "blocks.0.0.conv_dw/Conv",
            tactic="__myelin_CASK_STUB",
        ),
        layer("__myl_SiluMean_myl0_3", "kgen", HALF, HALF, *MEAN, tactic="__myl_SiluMean_0x9a"),
        layer("__myl_FcAdd_myl0_4", "runtime_fusion", HALF, FLOAT, "classifier/Gemm"),
        layer("__myl_Move_myl0_5", "kgen", FLOAT, tactic="__myl_Move_0x01"),
    ],
    "I/O Tensors": [{"Name": "input", "IOMode": "Input", "DataType": "Float"}],
}
OLD = {
    "Layers": [
        layer(
            "Reformatting CopyNode for Input Tensor 0 to conv_stem/Conv + bn1.act/Relu",
            "Reformat",
            tensor_10("Row major linear FP32"),
            HALF_10,
        ),
        {
            **layer(
                "conv_stem/Conv + bn1.act/Relu",
                "CaskConvolution",
                HALF_10,
                HALF_10,
                "conv_stem/Conv",
                "bn1.act/Relu",
                tactic="sm80_xmma_fprop_implicit_gemm_f16f16_f16f16_f16_nhwckrsc_nhwc",
            ),
            "ParameterType": "Convolution",
        },
        {
            "Name": "PWN(PWN(blocks.0.0.act/Sigmoid), blocks.0.0.act/Mul)",
            "LayerType": "PointWiseV2",
            "Inputs": [HALF_10],
            "Outputs": [HALF_10],
            "TacticName": "generatedNativePointwise",
        },
    ],
    "Bindings": ["input", "logits"],
}


def read(*layers: dict[str, object]) -> list[Layer]:
    return layers_of_json(json.dumps({"Layers": layers}))


def test_both_shapes_of_the_inspectors_json_tell_the_precision() -> None:
    for told in (NEW, OLD):
        found = layers_of_json(json.dumps(told))
        assert len(found) == len(told["Layers"])
        assert precision_of(found) == "fp16"


def test_only_convolutions_and_matrix_products_tell_it() -> None:
    found = layers_of_json(json.dumps(NEW))
    assert [layer.multiplies for layer in found] == [False, True, True, False, True, False]
    assert [layer.precision for layer in found] == [None, "fp16", "fp16", "fp16", "fp16", None]
    old = layers_of_json(json.dumps(OLD))
    assert [layer.multiplies for layer in old] == [False, True, False]
    assert [layer.precision for layer in old] == [None, "fp16", "fp16"]


def test_layers_find_their_modules() -> None:
    """A layer of several blocks is of the first; one without names of none."""
    assert [layer.module for layer in layers_of_json(json.dumps(NEW))] == [
        "conv_stem",
        "conv_stem",
        "blocks.0.0.conv_dw",
        "blocks.0.0.bn1.act",
        "classifier",
        None,
    ]
    assert [layer.module for layer in layers_of_json(json.dumps(OLD))] == [
        "conv_stem",
        "conv_stem",
        "blocks.0.0.act",
    ]


def test_the_times_of_layers_add_up_by_block() -> None:
    layers = layers_of_json(json.dumps(NEW))
    times = [(layer.module, float(2**place)) for place, layer in enumerate(layers)]
    found = attribute([*times, ("blocks.7.0.conv", 64.0)], 200.0, "model")
    assert found.by_place_ms == {"conv_stem": 3.0, "blocks.0.0": 12.0, "tail": 112.0, REST: 73.0}


@pytest.mark.parametrize(
    ("words", "precision"),
    [
        ("Float", "fp32"),
        ("Half", "fp16"),
        ("BFloat16", "bf16"),
        ("Int8", "int8"),
        ("FP8", "fp8"),
        ("Row major linear FP32 format", "fp32"),
        ("Row major linear BF16 format", "bf16"),
        ("Two wide channel vectorized row major FP16 format", "fp16"),
        ("Thirty-two wide channel vectorized row major Int8 format", "int8"),
        ("Channel major INT8 format where channel % 16 == 0", "int8"),
    ],
)
def test_types_are_known_in_either_majors_words(words: str, precision: str) -> None:
    for tensor in (tensor_10(words), tensor_11(words)):
        assert precision_of(read(layer("a", "CaskConvolution", tensor))) == precision


TF32 = "sm80_xmma_fprop_implicit_gemm_tf32f32_tf32f32_f32_nhwckrsc_nhwc"
ROW_MAJOR = tensor_10("Row major linear FP32 format")


@pytest.mark.parametrize(
    ("layers", "precision"),
    [
        pytest.param([layer("conv", "CaskConvolution", ROW_MAJOR, tactic=TF32)], "tf32", id="tf32"),
        pytest.param(
            [layer("a", "correlation", tensor_11(kind)) for kind in ("Int8", "Float", "Int8")],
            "fp32+int8",
            id="several are joined",
        ),
        pytest.param(
            [
                layer("__myl_CastTran_myl0_0", "kgen", FLOAT),
                layer("__myl_MulReluCast_myl0_1", "kgen", HALF),
            ],
            "fp16",
            id="without a product the others tell, but not those that only convert",
        ),
        pytest.param(
            [
                layer("__myl_ReshMulSum_myl0_0", "kgen", HALF),
                layer("__myl_Relu_myl0_1", "kgen", FLOAT),
            ],
            "fp16",
            id="a small product without a kernel of its own",
        ),
    ],
)
def test_products_tell_the_precision(layers: list[dict[str, object]], precision: str) -> None:
    assert precision_of(read(*layers)) == precision


@pytest.mark.parametrize("text", ["", "no json", "[]", "{}", "null"])
def test_what_is_no_list_of_layers_is_told(text: str) -> None:
    with pytest.raises(MeasurementError, match="does not list the engine's layers"):
        layers_of_json(text)


def test_names_without_details_are_told() -> None:
    with pytest.raises(MeasurementError, match="DETAILED"):
        layers_of_json(json.dumps({"Layers": ["conv_stem/Conv", "other"]}))


@pytest.mark.parametrize("layers", [[], [layer("a", "kgen", tensor_11("Int64"))]])
def test_an_engine_that_tells_no_type_is_told(layers: list[dict[str, object]]) -> None:
    with pytest.raises(MeasurementError, match="does not tell what the engine computes in"):
        precision_of(read(*layers))


def test_a_line_of_the_builders_list_that_does_not_read_is_told() -> None:
    with pytest.raises(MeasurementError, match="does not read at"):
        layers_of_log("Layers:\nName: a, LayerType: kgen, and no more")
