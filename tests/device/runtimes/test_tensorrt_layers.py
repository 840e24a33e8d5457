"""What engines tell of their layers is read in all the shapes it comes in."""

import json

import pytest

from pipeline.device.runtimes import REST
from pipeline.device.runtimes._blocks import attribute
from pipeline.device.runtimes._tensorrt_layers import layers_of_json, layers_of_log, precision_of
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


NEW = {
    "Layers": [
        {
            "Name": "__myl_CastConc_myl0_0",
            "LayerType": "kgen",
            "Inputs": [tensor_11("Float")],
            "Outputs": [tensor_11("Half")],
            "TacticName": "__myl_CastConc_0x0d47",
            "Metadata": nodes("graph_input_cast0", "conv_stem/Conv"),
        },
        {
            "Name": "__myl_CorrSilu_myl0_1",
            "LayerType": "runtime_fusion",
            "Inputs": [tensor_11("Half")],
            "Outputs": [tensor_11("Half")],
            "TacticName": "",
            "Metadata": nodes("conv_stem/Conv", "bn1.act/Sigmoid", "bn1.act/Mul"),
        },
        {
            "Name": "blocks.0.0.conv_dw/Conv_myl0_2",
            "LayerType": "correlation",
            "Inputs": [tensor_11("Half")],
            "Outputs": [tensor_11("Half")],
            "TacticName": "__myelin_CASK_STUB",
            "Metadata": nodes("blocks.0.0.conv_dw/Conv"),
        },
        {
            "Name": "__myl_SiluMean_myl0_3",
            "LayerType": "kgen",
            "Inputs": [tensor_11("Half")],
            "Outputs": [tensor_11("Half")],
            "TacticName": "__myl_SiluMean_0x9a",
            "Metadata": nodes("blocks.0.0.bn1.act/Mul", "blocks.1.0.se/ReduceMean"),
        },
        {
            "Name": "__myl_FcAdd_myl0_4",
            "LayerType": "runtime_fusion",
            "Inputs": [tensor_11("Half")],
            "Outputs": [tensor_11("Float")],
            "TacticName": "",
            "Metadata": nodes("classifier/Gemm"),
        },
        {
            "Name": "__myl_Move_myl0_5",
            "LayerType": "kgen",
            "Inputs": [tensor_11("Float")],
            "Outputs": [tensor_11("Float")],
            "TacticName": "__myl_Move_0x01",
            "Metadata": "",
        },
    ],
    "I/O Tensors": [{"Name": "input", "IOMode": "Input", "DataType": "Float"}],
}
OLD = {
    "Layers": [
        {
            "Name": "Reformatting CopyNode for Input Tensor 0 to conv_stem/Conv + bn1.act/Relu",
            "LayerType": "Reformat",
            "Inputs": [tensor_10("Row major linear FP32")],
            "Outputs": [tensor_10("Channel major FP16 format where channel % 8 == 0")],
            "TacticName": "",
            "Metadata": "",
        },
        {
            "Name": "conv_stem/Conv + bn1.act/Relu",
            "LayerType": "CaskConvolution",
            "ParameterType": "Convolution",
            "Inputs": [tensor_10("Channel major FP16 format where channel % 8 == 0")],
            "Outputs": [tensor_10("Channel major FP16 format where channel % 8 == 0")],
            "TacticName": "sm80_xmma_fprop_implicit_gemm_f16f16_f16f16_f16_nhwckrsc_nhwc",
            "Metadata": nodes("conv_stem/Conv", "bn1.act/Relu"),
        },
        {
            "Name": "PWN(PWN(blocks.0.0.act/Sigmoid), blocks.0.0.act/Mul)",
            "LayerType": "PointWiseV2",
            "Inputs": [tensor_10("Channel major FP16 format where channel % 8 == 0")],
            "Outputs": [tensor_10("Channel major FP16 format where channel % 8 == 0")],
            "TacticName": "generatedNativePointwise",
        },
    ],
    "Bindings": ["input", "logits"],
}


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
        layer = {"Name": "a", "LayerType": "CaskConvolution", "Inputs": [tensor], "Outputs": []}
        assert precision_of(layers_of_json(json.dumps({"Layers": [layer]}))) == precision


def test_an_fp32_kernel_on_tf32_cores_is_no_fp32() -> None:
    layer = {
        "Name": "conv",
        "LayerType": "CaskConvolution",
        "Inputs": [tensor_10("Row major linear FP32 format")],
        "TacticName": "sm80_xmma_fprop_implicit_gemm_tf32f32_tf32f32_f32_nhwckrsc_nhwc",
    }
    assert precision_of(layers_of_json(json.dumps({"Layers": [layer]}))) == "tf32"


def test_several_precisions_are_joined() -> None:
    layers = [
        {"Name": "a", "LayerType": "correlation", "Inputs": [tensor_11(kind)]}
        for kind in ("Int8", "Float", "Int8")
    ]
    assert precision_of(layers_of_json(json.dumps({"Layers": layers}))) == "fp32+int8"


def test_without_a_product_the_other_layers_tell() -> None:
    """But not those that only convert."""
    layers = [
        {"Name": "__myl_CastTran_myl0_0", "LayerType": "kgen", "Inputs": [tensor_11("Float")]},
        {"Name": "__myl_MulReluCast_myl0_1", "LayerType": "kgen", "Inputs": [tensor_11("Half")]},
    ]
    assert precision_of(layers_of_json(json.dumps({"Layers": layers}))) == "fp16"


def test_a_small_product_without_a_kernel_of_its_own_is_one() -> None:
    layers = [
        {"Name": "__myl_ReshMulSum_myl0_0", "LayerType": "kgen", "Inputs": [tensor_11("Half")]},
        {"Name": "__myl_Relu_myl0_1", "LayerType": "kgen", "Inputs": [tensor_11("Float")]},
    ]
    assert precision_of(layers_of_json(json.dumps({"Layers": layers}))) == "fp16"


@pytest.mark.parametrize("text", ["", "no json", "[]", "{}", "null"])
def test_what_is_no_list_of_layers_is_told(text: str) -> None:
    with pytest.raises(MeasurementError, match="does not list the engine's layers"):
        layers_of_json(text)


def test_names_without_details_are_told() -> None:
    with pytest.raises(MeasurementError, match="DETAILED"):
        layers_of_json(json.dumps({"Layers": ["conv_stem/Conv", "other"]}))


def test_an_engine_that_tells_no_type_is_told() -> None:
    layer = {"Name": "a", "LayerType": "kgen", "Inputs": [tensor_11("Int64")]}
    for layers in ([], [layer]):
        with pytest.raises(MeasurementError, match="does not tell what the engine computes in"):
            precision_of(layers_of_json(json.dumps({"Layers": layers})))


def test_a_line_of_the_builders_list_that_does_not_read_is_told() -> None:
    with pytest.raises(MeasurementError, match="does not read at"):
        layers_of_log("Layers:\nName: a, LayerType: kgen, and no more")
