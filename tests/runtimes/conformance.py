"""What a runtime must do to be one; its test is a subclass that names it.

    class TestOnnxRuntime(RuntimeConformance):
        runtime = "onnxruntime"
        target = "host/onnxruntime-fp32-b{batch}-t1"
        package = "onnxruntime"

A runtime that cannot run on the machine at hand is skipped, with its own words for why.
"""

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from pipeline import runtimes
from pipeline.device import Target
from pipeline.errors import MeasurementError, UnavailableError
from pipeline.export_cache import cached_operator
from pipeline.operator_spec import parse_key
from pipeline.operators import build_operator, imitate_training, initialise, seeded
from pipeline.runtimes import Runtime, Session
from tests.runtimes.models import failing_model, images, small_model, written

ROOT = Path(__file__).resolve().parent.parent.parent
OPERATORS = {
    "cn": "cn_k3_s2_i3_o16_r32",
    "ds": "ds_k3_s1_i16_o16_r16_se0.25",
    "ir": "ir_k5_s1_e4_i24_o24_r8_se0.25",
    "res": "res_k3_s2_i24_o40_r8",
    "tail": "tail_k1_s1_i192_o320_r2_f64_c5",
}


class RuntimeConformance:
    """The tests.

    Attributes:
        runtime: The runtime's name, which is its file's.
        target: A target's name with a place for the batch.
        package: What must not be imported before it is used.
        unsupported: Precisions the runtime cannot run.
        max_rel: Largest difference from torch allowed, relative to the largest output.
    """

    runtime: ClassVar[str]
    target: ClassVar[str]
    package: ClassVar[str]
    unsupported: ClassVar[tuple[str, ...]] = ()
    max_rel: ClassVar[float] = 1e-4

    @pytest.fixture
    def engine(self) -> Runtime:
        found = runtimes.find(self.runtime)
        reason = found.unavailable()
        if reason:
            pytest.skip(reason)
        return found

    def target_of(self, batch: int = 1) -> Target:
        return Target.parse(self.target.format(batch=batch))

    @contextmanager
    def opened(
        self, engine: Runtime, model: Path, into: Path, *, batch: int = 1
    ) -> Iterator[Session]:
        target = self.target_of(batch)
        with engine.open(engine.build(model, target, into), target) as session:
            yield session

    # The same numbers.

    @pytest.mark.parametrize("kind", OPERATORS)
    @pytest.mark.parametrize("batch", [1, 2])
    @pytest.mark.usefixtures("bench_dir")
    def test_every_kind_of_operator_gives_what_torch_gives(
        self, engine: Runtime, tmp_path: Path, kind: str, batch: int
    ) -> None:
        spec = parse_key(OPERATORS[kind])
        with seeded(0):  # as the exporter does
            module = build_operator(spec)
            initialise(module)
            imitate_training(module)
        x = images(batch, spec.in_channels, spec.resolution, spec.resolution)
        with torch.inference_mode():
            expected = module.eval()(torch.from_numpy(x)).numpy()
        model = cached_operator(spec, batch=batch)
        with self.opened(engine, model, tmp_path, batch=batch) as session:
            assert session.inputs() == {"input": (x.shape, np.dtype(np.float32))}
            outputs = session.run({"input": x})
        assert list(outputs) == ["logits" if kind == "tail" else "output"]
        (found,) = outputs.values()
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= self.max_rel * np.abs(expected).max()

    @pytest.mark.parametrize("batch", [1, 2, 5])
    def test_a_free_batch_is_the_targets(self, engine: Runtime, tmp_path: Path, batch: int) -> None:
        model = small_model(tmp_path / "model")
        with self.opened(engine, model, tmp_path / "built", batch=batch) as session:
            assert session.inputs() == {"input": ((batch, 3, 4, 4), np.dtype(np.float32))}
            x = images(batch, 3, 4, 4)
            np.testing.assert_allclose(session.run({"input": x})["logits"], np.maximum(x, 0))

    def test_an_input_may_lie_in_memory_in_any_order(self, engine: Runtime, tmp_path: Path) -> None:
        x = images(4, 4, 3, 2).transpose()[::2]
        assert not x.flags.c_contiguous
        with self.opened(engine, small_model(tmp_path / "m"), tmp_path / "built") as session:
            np.testing.assert_allclose(session.run({"input": x})["logits"], np.maximum(x, 0))
            session.bind({"input": x})
            session.run_bound()

    def test_runs_and_bound_runs_can_be_mixed(self, engine: Runtime, tmp_path: Path) -> None:
        with self.opened(engine, small_model(tmp_path / "m"), tmp_path / "built") as session:
            for factor in (1, 2):
                session.bind({"input": images(1, 3, 4, 4)})
                session.run_bound()
                x = factor * images(1, 3, 4, 4)
                for _ in range(2):
                    session.run_bound()
                    found = session.run({"input": x})["logits"]
                    np.testing.assert_allclose(found, np.maximum(x, 0))

    def test_sessions_are_independent(self, engine: Runtime, tmp_path: Path) -> None:
        x = images(1, 3, 4, 4)
        relu, neg = small_model(tmp_path / "a"), small_model(tmp_path / "b", op="Neg")
        with (
            self.opened(engine, relu, tmp_path / "1") as one,
            self.opened(engine, neg, tmp_path / "2") as two,
        ):
            for _ in range(2):
                np.testing.assert_allclose(one.run({"input": x})["logits"], np.maximum(x, 0))
                np.testing.assert_allclose(two.run({"input": x})["logits"], -x)

    def test_the_precision_is_the_one_asked(self, engine: Runtime, tmp_path: Path) -> None:
        with self.opened(engine, small_model(tmp_path / "m"), tmp_path / "built") as session:
            assert session.precision_as_built == self.target_of().precision

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
        self,
        engine: Runtime,
        tmp_path: Path,
        feed: dict[str, NDArray[np.generic]],
        told: str,
    ) -> None:
        with self.opened(engine, small_model(tmp_path / "m"), tmp_path / "built") as session:
            for call in (session.run, session.bind):
                with pytest.raises(MeasurementError, match=told):
                    call(feed)
            x = images(1, 3, 4, 4)  # and the session goes on
            np.testing.assert_allclose(session.run({"input": x})["logits"], np.maximum(x, 0))

    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(lambda whole: whole[: len(whole) // 2], id="cut in the middle"),
            pytest.param(lambda whole: whole[:-1], id="cut by a byte"),
            pytest.param(lambda whole: b"", id="empty"),
            pytest.param(lambda whole: b"not a model", id="text"),
            pytest.param(lambda whole: bytes(range(256)) * 64, id="bytes"),
            pytest.param(lambda whole: whole.replace(b"Relu", b"Rely"), id="unknown operator"),
            pytest.param(lambda whole: whole.replace(b"input", b"inbut", 1), id="loose end"),
        ],
    )
    def test_a_file_that_is_no_model_is_refused(
        self, engine: Runtime, tmp_path: Path, content: Callable[[bytes], bytes]
    ) -> None:
        model = small_model(tmp_path / "hostile")
        file = model / "model.onnx"
        file.write_bytes(content(file.read_bytes()))
        with (
            pytest.raises(MeasurementError, match=r"hostile") as caught,
            self.opened(engine, model, tmp_path / "built"),
        ):
            pass
        assert len(caught.value.message) < 2000

    def test_weights_that_lie_elsewhere_are_refused(self, engine: Runtime, tmp_path: Path) -> None:
        """A model is one file; it may not reach for others on this machine."""
        (tmp_path / "secret").write_bytes(bytes(64))
        weights = helper.make_tensor("w", TensorProto.FLOAT, [4], np.zeros(4, np.float32))
        weights.ClearField("float_data")
        weights.data_location = TensorProto.EXTERNAL
        entry = weights.external_data.add()
        entry.key, entry.value = "location", "../secret"
        graph = helper.make_graph(
            [helper.make_node("Add", ["input", "w"], ["logits"])],
            "reaching",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 4, 4])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 3, 4, 4])],
            [weights],
        )
        model = written(graph, tmp_path / "reaching")
        with (
            pytest.raises(MeasurementError, match="reaching"),
            self.opened(engine, model, tmp_path / "built"),
        ):
            pass

    def test_a_model_that_cannot_run_is_told_at_the_latest_when_it_runs(
        self, engine: Runtime, tmp_path: Path
    ) -> None:
        model = failing_model(tmp_path / "failing")
        feed = {"input": images(1, 3, 4, 4)}

        def run() -> None:
            with self.opened(engine, model, tmp_path / "built") as session:
                session.run(feed)

        def run_bound() -> None:
            with self.opened(engine, model, tmp_path / "built") as session:
                session.bind(feed)
                session.run_bound()

        for call in (run, run_bound):
            with pytest.raises(MeasurementError, match="failing"):
                call()

    def test_a_missing_file_is_told(self, engine: Runtime, tmp_path: Path) -> None:
        (tmp_path / "none").mkdir()
        with (
            pytest.raises(MeasurementError, match="none"),
            self.opened(engine, tmp_path / "none", tmp_path / "built"),
        ):
            pass

    def test_only_the_batch_may_be_free(self, engine: Runtime, tmp_path: Path) -> None:
        model = small_model(tmp_path / "m", side="height")
        with (
            pytest.raises(MeasurementError, match=r"'input'.*free.*height"),
            self.opened(engine, model, tmp_path / "built") as session,
        ):
            session.inputs()

    def test_an_input_of_a_type_not_handled_is_told(self, engine: Runtime, tmp_path: Path) -> None:
        model = small_model(tmp_path / "m", op="Not", dtype=TensorProto.BOOL)
        with (
            pytest.raises(MeasurementError, match=r"'input'.*bool"),
            self.opened(engine, model, tmp_path / "built") as session,
        ):
            session.inputs()

    def test_a_precision_it_cannot_run_is_refused(self, engine: Runtime, tmp_path: Path) -> None:
        """Never another one in silence."""
        model = small_model(tmp_path / "m")
        for precision in self.unsupported:
            target = self.target_of().model_copy(update={"precision": precision})
            with pytest.raises(UnavailableError, match=precision) as caught:
                engine.build(model, target, tmp_path / "built")
            assert caught.value.hint
            Target.parse(caught.value.hint.split()[-1])

    # Resources.

    @pytest.mark.slow
    @pytest.mark.usefixtures("bench_dir")
    def test_opening_and_closing_again_and_again_keeps_no_memory(
        self, engine: Runtime, tmp_path: Path
    ) -> None:
        spec = parse_key(OPERATORS["tail"])
        model = cached_operator(spec, batch=1)
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
        assert resident_mib() - before < 4

    def test_an_error_between_opening_and_closing_passes_through(
        self, engine: Runtime, tmp_path: Path
    ) -> None:
        def fail() -> None:
            with self.opened(engine, small_model(tmp_path / "m"), tmp_path / "built"):
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            fail()

    # Known before it is used.

    def test_its_version_is_told(self, engine: Runtime) -> None:
        version = engine.version()
        assert version
        assert version[0].isdigit()

    def test_finding_it_imports_nothing(self) -> None:
        """Whether it can run here is asked on every command line, so it must cost nothing."""
        code = (
            "import sys\n"
            "from pipeline import runtimes\n"
            f"engine = runtimes.find({self.runtime!r})\n"
            "engine.unavailable(), engine.version()\n"
            f"sys.exit({self.package!r} in sys.modules)"
        )
        ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
        assert (ran.returncode, ran.stderr) == (0, "")

    def test_where_it_cannot_run_it_says_so_and_does_not_crash(self, tmp_path: Path) -> None:
        code = (
            "import sys\n"
            f"sys.modules[{self.package!r}] = None\n"  # as if it were not installed
            "from pathlib import Path\n"
            "from pipeline import runtimes\n"
            "from pipeline.device import Target\n"
            "from pipeline.errors import UnavailableError\n"
            f"engine = runtimes.find({self.runtime!r})\n"
            "reason = engine.unavailable()\n"
            "assert reason, 'it says that it can run'\n"
            "try:\n"
            f"    with engine.open(Path('x'), Target.parse({self.target_of().name!r})): pass\n"
            "except UnavailableError as error:\n"
            "    assert reason in error.message\n"
            "else:\n"
            "    sys.exit('opened')\n"
        )
        ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
        assert (ran.returncode, ran.stderr) == (0, "")


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20
