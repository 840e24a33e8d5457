"""Benchmarks for real, on networks so small that they take seconds."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.device.gpu_state import GpuState
from pipeline.device.machine_state import MachineState
from pipeline.device.model_files import INT8
from pipeline.device.runtimes import REST, LayerTimes, TransferTime
from pipeline.device.target import Target
from pipeline.errors import MeasurementError, UnknownNameError, UsageError
from pipeline.export.cache import cached_operator
from pipeline.export.classifier import reference_classifier
from pipeline.measure.campaign import Campaign
from pipeline.measure.journal import read_journal
from pipeline.measure.measuring_process import MeasuringProcess
from pipeline.measure.statistics import Visit, reduce_visits
from pipeline.records.benchmark import BenchmarkRecord
from pipeline.records.candidates import LatencyPrediction
from pipeline.space.architecture import Architecture
from pipeline.space.architecture_file import published, published_models
from pipeline.space.cost import architecture_cost
from pipeline.space.operator_spec import parse_key
from pipeline.space.search_space import get_space
from pipeline.trials.benchmark import (
    RANDOM,
    BenchmarkSubject,
    _device_timing,
    _write_for_trtexec,
    benchmark,
    nearest_published,
    random_subject,
    reference_subject,
)
from pipeline.trials.engine_answers import Exam
from tests.measure.tiny import CLASSES, QUICK, RESOLUTION, TARGET, networks

pytestmark = pytest.mark.usefixtures("bench_dir")

FOLDER = Path("benchmark")
JOURNAL = FOLDER / f"visits-{TARGET.setting}.jsonl"
PREDICTED = LatencyPrediction(typical=0.1, std=0.01)


def an_operator(name: str) -> BenchmarkSubject:
    """Something that takes microseconds and is of no search space."""
    folder = cached_operator(parse_key("cn_k1_s1_i8_o8_r8"), batch=1)
    return BenchmarkSubject(name, folder, RANDOM, None)


def a_broken_model() -> BenchmarkSubject:
    folder = Path("broken")
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"not a model")
    return BenchmarkSubject("broken", folder, RANDOM, None)


def run(*subjects: BenchmarkSubject) -> BenchmarkRecord:
    return benchmark({TARGET: subjects}, protocol=QUICK, folder=FOLDER)


def test_models_are_timed_and_described() -> None:
    network = networks()[0]
    record = run(random_subject(network, TARGET, predicted=PREDICTED), an_operator("one"))
    first, second = record.results
    cost = architecture_cost(network)
    assert (first.name, second.name) == (network.label, "one")
    assert (first.architecture, first.macs, first.params) == (network, cost.macs, cost.params)
    assert (second.architecture, second.macs, second.params) == (None, None, None)
    assert (first.predicted_ms, second.predicted_ms) == (PREDICTED, None)
    for result in record.results:
        assert (result.target, result.weights) == (TARGET.name, "random (seed 0)")
        assert (result.precision_as_built, result.error) == ("fp32", None)
        assert result.latency_ms is not None
        assert result.latency_ms.typical > 0
        assert result.n == result.latency_ms.n == QUICK.sweeps * QUICK.runs
        assert len(result.samples_ms) == result.n
        assert min(result.samples_ms) == result.latency_ms.min
    assert record.protocol == QUICK


def test_models_are_visited_in_turn() -> None:
    run(an_operator("one"), an_operator("two"))
    visits = read_journal(JOURNAL)[1]
    for sweep in range(QUICK.sweeps):
        assert {v.key for v in visits if v.sweep == sweep} == {"one", "two"}
    assert [visit.sweep for visit in visits] == [0, 0, 1, 1, 2, 2]


def test_a_benchmark_goes_on_with_its_journal() -> None:
    first = run(an_operator("one"))
    both = run(an_operator("one"), an_operator("two"))
    assert both.results[0].samples_ms == first.results[0].samples_ms
    assert run(an_operator("one"), an_operator("two")).results == both.results


def test_a_refused_model_is_a_row_with_its_reason() -> None:
    record = run(a_broken_model(), an_operator("one"))
    broken, one = record.results
    assert broken.name == "broken"
    assert "model.onnx: ONNX Runtime refuses it" in (broken.error or "")
    assert (broken.latency_ms, broken.n, broken.samples_ms) == (None, 0, ())
    assert broken.precision_as_built is None
    assert one.error is None
    assert one.n == QUICK.sweeps * QUICK.runs


def test_where_every_model_is_refused_there_is_no_benchmark() -> None:
    with pytest.raises(MeasurementError, match="ONNX Runtime refuses it"):
        run(a_broken_model())


def test_names_must_tell_results_apart() -> None:
    with pytest.raises(UsageError, match="two models are called 'one'"):
        run(an_operator("one"), an_operator("two"), an_operator("one"))
    assert not JOURNAL.exists()


# What to compare with.


@pytest.mark.parametrize("name", published_models())
def test_a_published_model_is_nearest_to_itself(name: str) -> None:
    model = published(name)
    assert nearest_published(model).name == name


def test_the_nearest_published_model_has_the_same_input_and_classes() -> None:
    network = Architecture(
        space="cream", resolution=RESOLUTION, num_classes=CLASSES, stages=(("mb4_3x3",),) * 5
    )
    nearest = nearest_published(network)
    assert (nearest.resolution, nearest.num_classes) == (RESOLUTION, CLASSES)
    distances = [
        abs(architecture_cost(model).macs - architecture_cost(network).macs)
        for model in (
            published(name, resolution=RESOLUTION, num_classes=CLASSES)
            for name in published_models()
        )
    ]
    own = abs(architecture_cost(nearest).macs - architecture_cost(network).macs)
    assert own == min(distances)
    largest = Architecture(
        space="cream", resolution=224, stages=(("mb6_7x7",) * get_space("cream").max_depth,) * 5
    )
    assert nearest_published(largest).name == "cream-604"


def test_a_reference_is_a_published_model() -> None:
    subject = reference_subject("cream-14", RESOLUTION, CLASSES, TARGET)
    assert subject.is_reference
    assert subject.name == "cream-14"
    assert subject.architecture == published("cream-14", resolution=RESOLUTION, num_classes=CLASSES)
    assert (subject.model / "model.onnx").is_file()


@pytest.mark.slow
def test_a_reference_is_else_one_of_timms() -> None:
    subject = reference_subject("lcnet_050", RESOLUTION, CLASSES, TARGET)
    (result,) = run(subject).results
    assert (result.name, result.is_reference, result.architecture) == ("lcnet_050", True, None)
    assert result.n == QUICK.sweeps * QUICK.runs


def test_an_unknown_reference_is_told() -> None:
    with pytest.raises(UnknownNameError, match="cream-15"):
        reference_subject("cream-15", RESOLUTION, CLASSES, TARGET)


# Devices with a clock of their own.

GPU_TARGET = Target.parse("host/tensorrt-fp16-b1")


def visits_on_a_gpu() -> list[Visit]:
    """Three visits of two runs; the host takes a third longer than the device."""
    states = [GpuState(clock_sm_mhz=mhz, slowdown_reasons=("power limit",)) for mhz in (1900, 1980)]
    return [
        Visit(
            sweep=sweep,
            key="net",
            samples_ms=(0.4, 0.5),
            control_before_ms=(1.0,),
            control_after_ms=(1.0,),
            at=f"2026-01-01T00:00:0{sweep}+00:00",
            precision="fp16",
            state=MachineState(gpu=states[sweep % 2]),
            device_ms=(0.3, 0.31 + 0.01 * sweep),
            enqueue_ms=(0.28, 0.29),
        )
        for sweep in range(3)
    ]


def test_what_a_device_tells_of_its_runs_is_kept_apart_from_the_hosts() -> None:
    timing = _device_timing(visits_on_a_gpu(), TransferTime(0.05, 0.01))
    assert timing is not None
    assert timing.compute_ms.typical == 0.3
    assert timing.compute_ms.n == 6
    assert timing.enqueue_ms == pytest.approx(0.285)
    assert (timing.to_device_ms, timing.to_host_ms) == (0.05, 0.01)
    assert timing.clock_sm_mhz == (1900, 1980)
    assert timing.temperature_c is None
    assert timing.slowdown_reasons == ("power limit",)
    assert any("the host may be what limits it" in words for words in timing.warnings)
    plain = [visit.model_copy(update={"device_ms": ()}) for visit in visits_on_a_gpu()]
    assert _device_timing(plain, None) is None


def test_a_gpus_times_and_layers_are_written_as_trtexec_does(tmp_path: Path) -> None:
    visits = visits_on_a_gpu()
    campaign = Campaign(
        stats={"net/a": reduce_visits(visits)},
        visits={"net/a": visits},
        failed={},
        precision={"net/a": "fp16"},
        control=None,
        steadiness=None,
        measured=3,
        reused=0,
        opening_s={},
    )
    layers = {"net/a": LayerTimes(0.3, {"conv_stem": 0.3}, {"one": (0.1, 0.1), "two": (0.2, 0.2)})}
    _write_for_trtexec(tmp_path, GPU_TARGET, campaign, layers)
    times = json.loads((tmp_path / "tensorrt-fp16-b1.net_a.times.json").read_text())
    assert [run["computeMs"] for run in times] == [0.3, 0.31, 0.3, 0.32, 0.3, 0.33]
    count, one, two = json.loads((tmp_path / "tensorrt-fp16-b1.net_a.profile.json").read_text())
    assert count == {"count": 2}
    assert (one["name"], two["name"]) == ("one", "two")
    assert two["percentage"] == pytest.approx(200 / 3)


# Several targets, for real.


def test_one_model_on_several_targets_is_timed_in_turn() -> None:
    int8 = replace(TARGET, precision="int8")
    elsewhere = Target.parse("another-board/onnxruntime-fp32-b1-t1")
    network = networks()[0]
    record = benchmark(
        {target: [random_subject(network, target)] for target in (TARGET, int8, elsewhere)},
        protocol=QUICK,
        folder=FOLDER,
    )
    fp32, quantised, away = record.results
    assert record.targets == (TARGET.name, int8.name, elsewhere.name)
    assert fp32.precision_as_built == "fp32"
    assert "int8" in (quantised.precision_as_built or "").split("+")
    assert fp32.images_per_second == pytest.approx(1e3 / fp32.latency_ms.typical)
    assert set(record.others) == {int8.name}
    places = [placed.place for placed in network.operators()]
    for result in (fp32, quantised):
        assert list(result.layers_ms) == [*places, REST]
        assert all(result.layers_ms[place] > 0 for place in places)
    assert away.latency_ms is None
    assert "is on another-board" in (away.error or "")
    assert not list(FOLDER.glob("*.json"))  # a CPU has no clock of its own


def test_an_engine_that_answers_wrongly_is_a_row_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = MeasuringProcess.answers

    def answers(
        process: MeasuringProcess, key: str, images: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """In int8 as of a machine that loses what a register held."""
        found = real(process, key, images)
        return -found if process.target.precision == "int8" else found

    monkeypatch.setattr(MeasuringProcess, "answers", answers)
    int8 = replace(TARGET, precision="int8")
    network = networks()[0]
    images = np.random.default_rng(0).standard_normal((24, 3, RESOLUTION, RESOLUTION))
    subject = random_subject(network, int8)
    labels = reference_classifier(subject.model / INT8)(images.astype(np.float32)).argmax(axis=1)
    record = benchmark(
        {
            TARGET: [
                random_subject(network, TARGET),
                reference_subject("cream-14", RESOLUTION, CLASSES, TARGET),
            ],
            int8: [subject],
        },
        protocol=QUICK,
        folder=FOLDER,
        exam=Exam(images.astype(np.float32), labels, 20.0),
    )
    fp32, reference, wrong = record.results
    assert fp32.answers is not None
    assert (fp32.error, fp32.answers.images, fp32.answers.agreement) == (None, 24, 1.0)
    assert (reference.error, reference.answers) == (None, None)
    assert wrong.answers is not None
    assert wrong.answers.wrong
    assert (wrong.latency_ms, wrong.n, wrong.samples_ms, wrong.layers_ms) == (None, 0, (), {})
    assert wrong.error == (
        f"onnxruntime computes it wrongly on this machine: {wrong.answers.accuracy_percent:.1f} % "
        "top-1 where its file says 100.0 % (24 images of search-validation)"
    )


def test_one_target_under_two_names_is_refused() -> None:
    same = replace(TARGET, device=TARGET.device_slug)
    with pytest.raises(UsageError, match="are the same; name each once"):
        benchmark(
            {target: [an_operator("one")] for target in (TARGET, same)},
            protocol=QUICK,
            folder=FOLDER,
        )
