"""What a runtime must do to be one; its test is a subclass that names it.

    class TestOnnxRuntime(RuntimeConformance):
        runtime = "onnxruntime"
        threads = 1

Each further precision has a subclass of `PrecisionConformance`; models are made in the file that
the runtime reads for it. A runtime that cannot run on the machine at hand is skipped, with its own
words for why.
"""

import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.device import runtimes
from pipeline.device.runtimes import Runtime, Session
from pipeline.device.target import Target
from pipeline.errors import MeasurementError
from pipeline.space.architecture_file import published
from pipeline.space.operator_spec import parse_key
from tests.device.runtimes.models import Models, OnnxModels, images, network_module, operator_module
from tests.device.runtimes.suite import OPERATORS, RuntimeSuite

SMALL = published("cream-14", resolution=64)


class PrecisionConformance(RuntimeSuite):
    """The same numbers, in one precision."""

    @pytest.mark.usefixtures("bench_dir")
    def test_every_operator_gives_what_the_reference_gives(
        self, engine: Runtime, tmp_path: Path, operator: tuple[str, int]
    ) -> None:
        kind, batch = operator
        spec = parse_key(OPERATORS[kind])
        x = images(batch, spec.in_channels, spec.resolution, spec.resolution)
        models = self.models()
        model = models.operator(spec, batch)
        expected = self.reference(model, operator_module(spec), x)
        with self.opened(engine, model, tmp_path, batch=batch) as session:
            assert session.inputs() == {"input": (x.shape, np.dtype(np.float32))}
            outputs = session.run({"input": x})
        assert list(outputs) == [models.output("logits" if kind == "tail" else "output")]
        (found,) = outputs.values()
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= self.max_rel * np.abs(expected).max()

    @pytest.mark.usefixtures("bench_dir")
    def test_a_network_gives_what_torch_gives(
        self, engine: Runtime, tmp_path: Path, network: tuple[int | None, int]
    ) -> None:
        exported, batch = network
        x = images(batch, 3, 64, 64)
        with torch.inference_mode():
            expected = network_module(SMALL)(torch.from_numpy(x)).numpy()
        model = self.models().network(SMALL, exported)
        with self.opened(engine, model, tmp_path, batch=batch) as session:
            (found,) = session.run({"input": x}).values()
            assert self.precision in session.precision_as_built
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= self.max_rel_network * np.abs(expected).max()

    def test_a_free_batch_is_the_targets(
        self, engine: Runtime, tmp_path: Path, free_batch: int
    ) -> None:
        batch = free_batch
        model = self.models().small(tmp_path / "model")
        with self.opened(engine, model, tmp_path / "built", batch=batch) as session:
            assert session.inputs() == {"input": ((batch, 3, 4, 4), np.dtype(np.float32))}
            x = images(batch, 3, 4, 4)
            self.check(session.run({"input": x}), np.maximum(x, 0))

    def test_the_precision_is_the_one_asked(self, relu: Session) -> None:
        assert relu.precision_as_built == self.precision


class RuntimeConformance(PrecisionConformance):
    """All that a runtime must do, in its first precision."""

    def test_an_input_may_lie_in_memory_in_any_order(self, relu: Session) -> None:
        x = images(4, 4, 3, 2).transpose()[::2]
        assert not x.flags.c_contiguous
        self.check(relu.run({"input": x}), np.maximum(x, 0))
        relu.bind({"input": x})
        relu.run_bound()

    def test_runs_and_bound_runs_can_be_mixed(self, relu: Session) -> None:
        for factor in (1, 2):
            relu.bind({"input": images(1, 3, 4, 4)})
            relu.run_bound()
            x = images(1, 3, 4, 4) / factor
            for _ in range(2):
                relu.run_bound()
                self.check(relu.run({"input": x}), np.maximum(x, 0))

    def test_sessions_are_independent(self, engine: Runtime, tmp_path: Path) -> None:
        x = images(1, 3, 4, 4)
        relu, neg = (
            self.models().small(tmp_path / "a"),
            self.models().small(tmp_path / "b", op="Neg"),
        )
        with (
            self.opened(engine, relu, tmp_path / "1") as one,
            self.opened(engine, neg, tmp_path / "2") as two,
        ):
            for _ in range(2):
                self.check(one.run({"input": x}), np.maximum(x, 0))
                self.check(two.run({"input": x}), -x)

    # Errors as data.

    @pytest.mark.parametrize(
        ("feed", "told"),
        [
            pytest.param(
                {"input": images(1, 3, 5, 4)},
                r"'input'.*\(1, 3, 5, 4\) float32.*expected \(1, 3, 4, 4\) float32",
                id="shape",
            ),
            pytest.param({"input": images(2, 3, 4, 4)}, r"'input'.*\(2, 3, 4, 4\)", id="batch"),
            pytest.param({"input": images(3, 4, 4)}, r"'input'.*\(3, 4, 4\)", id="rank"),
            pytest.param(
                {"input": images(1, 3, 4, 4).astype(np.float64)},
                r"'input'.*float64.*expected .* float32",
                id="type",
            ),
            pytest.param(
                {"inputs": images(1, 3, 4, 4)}, r"\['inputs'\].*expected \['input'\]", id="name"
            ),
            pytest.param(
                {"input": images(1, 3, 4, 4), "mask": images(1)},
                r"\['input', 'mask'\].*expected \['input'\]",
                id="one too many",
            ),
            pytest.param({}, r"\[\].*expected \['input'\]", id="none"),
        ],
    )
    def test_a_feed_that_does_not_fit_is_told(
        self, relu: Session, feed: dict[str, NDArray[np.generic]], told: str
    ) -> None:
        for call in (relu.run, relu.bind):
            with pytest.raises(MeasurementError, match=told):
                call(feed)
        x = images(1, 3, 4, 4)  # and the session goes on
        self.check(relu.run({"input": x}), np.maximum(x, 0))

    def test_a_file_that_is_no_model_is_refused(
        self, engine: Runtime, tmp_path: Path, hostile: Callable[[bytes], bytes]
    ) -> None:
        models = self.models()
        model = models.small(tmp_path / "hostile")
        file = model / models.file
        whole = file.read_bytes()
        assert hostile(whole) != whole
        file.write_bytes(hostile(whole))
        with (
            pytest.raises(MeasurementError, match=r"hostile") as caught,
            self.opened(engine, model, tmp_path / "built"),
        ):
            pass
        assert len(caught.value.message) < 2000

    def test_a_model_may_not_reach_beyond_its_file(self, engine: Runtime, tmp_path: Path) -> None:
        """Neither for other files of this machine, nor by code of its own."""
        model = self.models().reaching(tmp_path / "reaching", tmp_path / "touched")
        with (
            pytest.raises(MeasurementError, match="reaching"),
            self.opened(engine, model, tmp_path / "built"),
        ):
            pass
        assert not (tmp_path / "touched").exists()

    def test_a_model_that_cannot_run_is_told_at_the_latest_when_it_runs(
        self, engine: Runtime, tmp_path: Path
    ) -> None:
        model = self.models().failing(tmp_path / "failing")
        feed = {"input": images(1, 3, 4, 4)}

        def run_bound(session: Session) -> None:
            session.bind(feed)
            session.run_bound()

        for call in (lambda session: session.run(feed), run_bound):
            with (
                pytest.raises(MeasurementError, match="failing"),
                self.opened(engine, model, tmp_path / "built") as session,
            ):
                call(session)

    def test_a_missing_file_is_told(self, engine: Runtime, tmp_path: Path) -> None:
        (tmp_path / "none").mkdir()
        with (
            pytest.raises(MeasurementError, match="none"),
            self.opened(engine, tmp_path / "none", tmp_path / "built"),
        ):
            pass

    @pytest.mark.parametrize(
        ("model", "told"),
        [
            pytest.param(
                lambda models, folder: models.small(folder, free_side=True),
                lambda models: rf"'input'.*free.*{models.free_side}",
                id="a free side",
            ),
            pytest.param(
                lambda models, folder: models.of_booleans(folder),
                lambda models: "'input'.*bool",
                id="booleans",
            ),
        ],
    )
    def test_an_input_it_does_not_take_is_told(
        self,
        engine: Runtime,
        tmp_path: Path,
        model: Callable[[Models, Path], Path],
        told: Callable[[Models], str],
    ) -> None:
        """Only the batch may be free, and not all types are handled."""
        models = self.models()
        with (
            pytest.raises(MeasurementError, match=told(models)),
            self.opened(engine, model(models, tmp_path / "m"), tmp_path / "built") as session,
        ):
            session.inputs()

    # Resources.

    @pytest.mark.slow
    @pytest.mark.usefixtures("bench_dir")
    def test_opening_and_closing_again_and_again_keeps_no_memory(
        self, engine: Runtime, tmp_path: Path
    ) -> None:
        spec = parse_key(OPERATORS["tail"])
        model = self.models().operator(spec, 1)
        x = images(1, spec.in_channels, spec.resolution, spec.resolution)

        def cycle() -> None:
            with self.opened(engine, model, tmp_path / "built") as session:
                session.bind({"input": x})
                session.run_bound()

        for _ in range(20):
            cycle()
        before = resident_mib()
        for _ in range(100):
            cycle()
        assert resident_mib() - before < self.kept_mib

    def test_another_engine_may_run_in_the_same_process(
        self, engine: Runtime, tmp_path: Path
    ) -> None:
        other = Target.parse("host/onnxruntime-fp32-b1-t1")
        second = runtimes.find(other.runtime)
        model = second.build(OnnxModels().small(tmp_path / "other", op="Neg"), other, tmp_path)
        x = images(1, 3, 4, 4)
        with (
            self.opened(engine, self.models().small(tmp_path / "m"), tmp_path / "built") as mine,
            second.open(model, other) as theirs,
        ):
            for _ in range(3):
                self.check(mine.run({"input": x}), np.maximum(x, 0))
                np.testing.assert_allclose(theirs.run({"input": x})["logits"], -x)

    def test_an_error_between_opening_and_closing_passes_through(
        self, engine: Runtime, tmp_path: Path
    ) -> None:
        def fail() -> None:
            with self.opened(engine, self.models().small(tmp_path / "m"), tmp_path / "built"):
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            fail()

    def test_its_version_is_told(self, engine: Runtime) -> None:
        version = engine.version()
        assert version
        assert version[0].isdigit()


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20
