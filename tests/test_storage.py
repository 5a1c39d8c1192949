"""Files are written whole or not at all, and a checkpoint comes back bit for bit or is found to be damaged."""

import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made import with_damage

from aeda_core import checkpoints, storage

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool)


@st.composite
def tensors(draw):
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    bits = torch.randint(0, 256, (*shape, 8), generator=torch.Generator().manual_seed(draw(st.integers(0, 99))))
    tensor = bits.byte().view(torch.float64).squeeze(-1).to(draw(st.sampled_from(DTYPES)))
    return tensor.to(memory_format=torch.channels_last) if len(shape) == 4 and draw(st.booleans()) else tensor


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
keys = st.integers() | st.text()
states = st.recursive(
    plain | tensors(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=8,
)


def same(a, b):
    if isinstance(a, torch.Tensor):
        bits = lambda t: t.contiguous().view(-1).view(torch.uint8).tolist() if t.numel() else []  # noqa: E731
        return (a.dtype, a.shape, a.stride(), bits(a)) == (b.dtype, b.shape, b.stride(), bits(b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@given(states)
def test_a_state_comes_back_as_it_was(state):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "state")
        checkpoints.save(path, state)
        assert same(checkpoints.load(path), state)


def test_what_is_no_data_is_refused(tmp_path):
    with pytest.raises(TypeError, match="holds no function"):
        checkpoints.save(tmp_path / "state", {"run": lambda: None})
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def optimiser_state():
    """What a run really keeps: moments of an optimiser by integer, and a random state."""
    layer = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(2, 3, 8, 8)).sum().backward()
    optimiser.step()
    return {"optimiser": optimiser.state_dict(), "generator": torch.Generator().manual_seed(1).get_state()}


@given(st.data())
def test_damage_at_any_byte_is_found(optimiser_state, data):
    """A flipped bit or a lost end; where the file still says the same (a blank of its padding) it may be read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "state")
        checkpoints.save(path, optimiser_state)
        path.write_bytes(with_damage(data, path.read_bytes()))
        try:
            found = checkpoints.load(path)
        except checkpoints.Damaged:
            return
        assert same(found, optimiser_state)


def test_a_failed_writer_changes_nothing(tmp_path):
    path = tmp_path / "kept"
    storage.write(path, "before")
    with pytest.raises(ZeroDivisionError), storage.writing(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
