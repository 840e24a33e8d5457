"""Every image in a call, in order, and every call full."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.device.full_batches import full_batches


@given(st.integers(1, 200), st.integers(1, 70))
def test_every_image_is_asked_for_in_order_and_no_call_is_empty(count: int, batch: int) -> None:
    calls = full_batches(count, batch)
    assert calls.shape[1] == batch
    assert calls.ravel()[:count].tolist() == list(range(count))
    assert set(calls.ravel()[count:].tolist()) <= {count - 1}
    assert 0 <= calls.size - count < batch
