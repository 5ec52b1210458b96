"""Hostile and damaged .pth files: an error of one kind, little memory, and nothing else changed."""

import collections
import io
import pickletools
import random
import struct
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch

from pix2pix_jax.pytorch import pickle_reader, state_dicts
from pix2pix_jax.pytorch.pth_file import read_pth

MIB = 2**20
GLOBALS = [
    b"ccollections\nOrderedDict\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ctorch._utils\n_rebuild_parameter\n",
    b"ctorch\nFloatStorage\n",
]
FLOAT_STORAGE = (
    b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
)


def saved(tensors, legacy=False):
    """What torch.save writes."""
    stream = io.BytesIO()
    torch.save(tensors, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


def archive(pickle, storage=b"\x00\x00\x80?" * 4, **settings):
    """A zip .pth of this pickle, with one storage."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", **settings) as file:
        file.writestr("archive/data.pkl", pickle)
        file.writestr("archive/data/0", storage)
        file.writestr("archive/version", "3\n")
    return stream.getvalue()


def one_tensor(offset=b"K\x00", shape=b"K\x04\x85", strides=b"K\x01\x85", size=b"K\x04"):
    """The pickle of {"a": tensor}, of a storage of four elements."""
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + FLOAT_STORAGE + size + b"tQ"
    tensor += offset + shape + strides + b"\x89" + GLOBALS[0] + b")RtR"
    return b"\x80\x02}X\x01\x00\x00\x00a" + tensor + b"s."


def parts(pickle):
    """The opcodes of a pickle, each with its argument."""
    starts = [position for *_, position in pickletools.genops(pickle)]
    return [pickle[a:b] for a, b in zip(starts, [*starts[1:], len(pickle)], strict=True)]


def read(content, folder):
    path = folder / "a.pth"
    path.write_bytes(content)
    return read_pth(path)


def peak_of(function):
    """Bytes that a call allocates at most."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def attributes():
    """All attributes of the reader's classes and functions."""
    modules = [m for name, m in sys.modules.items() if name.startswith("pix2pix_jax.pytorch")]
    objects = [value for module in modules for value in vars(module).values()]
    return [(vars(x).copy(), x) for x in objects if isinstance(x, type) or callable(x)]


def test_the_pickles_made_here_are_sound(tmp_path):
    np.testing.assert_array_equal(read(archive(one_tensor()), tmp_path)["a"], np.ones(4))
    assert torch.equal(torch.load(tmp_path / "a.pth")["a"], torch.ones(4))


@pytest.mark.parametrize(
    "target", [*GLOBALS, GLOBALS[0] + b")R", b"]", b"K\x01", FLOAT_STORAGE + b"K\x04tQ"]
)
@pytest.mark.parametrize("state", [b"N}U\x05shapeNs\x86", b"}U\x05shapeNs", b"}U\x05arrayNs"])
def test_files_set_no_attributes(target, state, tmp_path):
    before = attributes()
    with pytest.raises(ValueError, match="is refused"):
        read(archive(b"\x80\x02" + target + state + b"b."), tmp_path)
    assert attributes() == before


@pytest.mark.parametrize("function", GLOBALS)
@pytest.mark.parametrize(
    "arguments", [b"K\x01", b"K\x01\x85", b"N]\x86", b"(NNNNt", b"]K\x01a\x85"]
)
def test_calls_with_odd_arguments(function, arguments, tmp_path):
    with pytest.raises(ValueError, match=r"a\.pth"):
        read(archive(b"\x80\x02" + function + arguments + b"R."), tmp_path)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_tensor_is_no_larger_than_its_storage(legacy, tmp_path):
    content = saved({"a": torch.ones(1).expand(2**13, 2**12)}, legacy)  # 128 MiB of one number

    def refused():
        with pytest.raises(ValueError, match="more elements than its storage"):
            read(content, tmp_path)

    assert peak_of(refused) < MIB


@pytest.mark.parametrize(
    "content",
    [
        archive(one_tensor(), bytes(64 * MIB), compression=zipfile.ZIP_DEFLATED, compresslevel=1),
        archive(b"\x80\x02Nr" + struct.pack("<I", 2**22) + b"."),  # the index of a memo
        archive(b"\x80\x02\x8a" + b"X" + struct.pack("<I", 2**32 - 1) + b"."),
        archive(b"\x80\x05\x96" + struct.pack("<Q", 2**26) + b"."),  # a bytearray
        b"\x80\x02X" + struct.pack("<I", 2**27) + b".",
    ],
    ids=["zip bomb", "memo", "number", "bytearray", "legacy text"],
)
def test_small_files_take_little_memory(content, tmp_path):
    def refused():
        with pytest.raises(ValueError, match=r"a\.pth"):
            read(content, tmp_path)

    assert peak_of(refused) < 2 * MIB


def with_field(content, offset, value):
    """The archive with 16 bits changed in each entry of its directory."""
    content = bytearray(content)
    at = content.find(b"PK\x01\x02")
    while at >= 0:
        content[at + offset : at + offset + 2] = struct.pack("<H", value)
        at = content.find(b"PK\x01\x02", at + 1)
    return bytes(content)


HUGE = b"\x8a\x09" + (2**64).to_bytes(9, "little")
DAMAGED = {
    "encrypted": with_field(archive(one_tensor()), 8, 1),
    "unknown compression": with_field(archive(one_tensor()), 10, 77),
    "huge stride": archive(one_tensor(strides=HUGE + b"\x85")),
    "huge offset": archive(one_tensor(offset=HUGE)),
    "huge shape": archive(one_tensor(shape=HUGE + b"\x85")),
    "huge storage": archive(one_tensor(size=HUGE)),
    "short storage": archive(one_tensor(size=b"K\x05")),
    "beyond the storage": archive(one_tensor(offset=b"K\x01")),
    "negative stride": archive(one_tensor(strides=b"J\xff\xff\xff\xff\x85")),
    "negative offset": archive(one_tensor(offset=b"J\xff\xff\xff\xff")),
    "deep key": archive(b"\x80\x02}K\x01" + b"\x85" * 30_000 + b"Ns."),
    "deep value": archive(b"\x80\x02}U\x01aK\x01" + b"\x85" * 30_000 + b"s."),
    "deep storage": archive(
        FLOAT_STORAGE.replace(b"X\x01\x00\x00\x000", b"K\x01" + b"\x85" * 30_000) + b"K\x04tQ."
    ),
    "a dict of itself": archive(b"\x80\x02}q\x00U\x01ah\x00s."),
    "one storage of two types": archive(
        one_tensor()[:-2] + b"U\x01b" + FLOAT_STORAGE.replace(b"Float", b"Int") + b"K\x04tQs."
    ),
    "two of a name": saved({"module.a": torch.ones(1), "a": torch.ones(1)}),
    "a whole training": saved({"model": {"a": torch.ones(1)}, "optimizer": {"state": {0: 1}}}),
    "legacy of huge size": saved({"a": torch.ones(3)}, True)
    .replace(b"K\x03N", b"\x8a\x08" + struct.pack("<q", 2**60) + b"N")
    .replace(struct.pack("<q", 3), struct.pack("<q", 2**60)),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_any_damage_is_a_value_error(kind, tmp_path):
    with pytest.raises(ValueError, match=r"a\.pth is not an intact PyTorch state_dict|refused"):
        read(DAMAGED[kind], tmp_path)


def test_a_lack_of_memory_is_no_damage(tmp_path, monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(pickle_reader, "read", fail)
    with pytest.raises(OSError, match=r"not enough memory to read .*a\.pth"):
        read(archive(one_tensor()), tmp_path)


class StateDictOfPython2(dict):
    """Pickles as an OrderedDict did in Python 2, in which the first published models are."""

    def __reduce_ex__(self, protocol):
        items = [[name, tensor] for name, tensor in self.items()]
        return collections.OrderedDict, (items,), {"_metadata": collections.OrderedDict()}


@pytest.mark.parametrize("protocol", [1, 2, 4])
@pytest.mark.parametrize("legacy", [False, True])
def test_sound_files_of_other_pickles(protocol, legacy, tmp_path):
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 4), torch.nn.BatchNorm2d(3))
    for state in (net.state_dict(), StateDictOfPython2(net.state_dict())):
        settings = {"pickle_protocol": protocol, "_use_new_zipfile_serialization": not legacy}
        torch.save(state, tmp_path / "a.pth", **settings)
        found = read_pth(tmp_path / "a.pth")
        for name, tensor in net.state_dict().items():
            np.testing.assert_array_equal(found[name], tensor.numpy())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_weights_are_finite(value):
    state = {"conv.weight": np.ones((2, 2, 1, 1)), "conv.bias": np.array([0, value])}
    with pytest.raises(ValueError, match=r"conv\.bias.* NaN or infinite"):
        state_dicts.to_flax(state, {"conv": ("conv",)})


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
def test_weights_are_no_integers(dtype):
    state = {"conv.weight": np.ones((2, 2, 1, 1), dtype)}
    with pytest.raises(ValueError, match=r"conv\.weight.* holds (int64|uint8|bool) values"):
        state_dicts.to_flax(state, {"conv": ("conv",)})


@pytest.mark.parametrize("name", ["weight", "conv.weight_g", "norm.weight"])
def test_arrays_without_a_place(name):
    with pytest.raises(ValueError, match=f"no place for '{name}'"):
        state_dicts.to_flax({name: np.ones(3)}, {"conv": ("conv",)})


def of_bytes(generator, content):
    """`content` with a few bytes changed, its end cut off, or a piece removed or repeated."""
    a, b = sorted(generator.choices(range(len(content)), k=2))
    kind = generator.randrange(4)
    if kind == 0:
        content = bytearray(content)
        for _ in range(generator.randint(1, 5)):
            content[generator.randrange(len(content))] = generator.randrange(256)
        return bytes(content)
    return [content[:a], content[:a] + content[b:], content[:b] + content[a:]][kind - 1]


def of_opcodes(generator, pickle):
    """`pickle` with opcodes removed, repeated, exchanged or added."""
    opcodes = parts(pickle)
    added = [*GLOBALS, HUGE, b"q\xff", b"h\x00", b"r\xff\xff\xff\xff", b"j\x01\x00\x00\x00"]
    added += [b"J\xff\xff\xff\xff", b"K\x00", b"U\x01a"]
    added += [bytes([opcode]) for opcode in b".()}]RbstutQa\x85\x86\x87\x81\x93\x94N0"]
    for _ in range(generator.randint(1, 4)):
        i, j = (generator.randrange(len(opcodes)) for _ in range(2))
        kind = generator.randrange(4)
        if kind == 0 and len(opcodes) > 1:
            del opcodes[i]
        elif kind == 1:
            opcodes.insert(i, opcodes[j])
        elif kind == 2:
            opcodes[i], opcodes[j] = opcodes[j], opcodes[i]
        else:
            opcodes.insert(i, generator.choice(added))
    return b"".join(opcodes)


def zip_mutant(generator, content):
    """The archive with another pickle and right checksums."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w") as new:
        for name in old.namelist():
            entry = old.read(name)
            is_pickle = name.endswith("data.pkl")
            new.writestr(name, of_opcodes(generator, entry) if is_pickle else entry)
    return stream.getvalue()


def legacy_mutant(generator, content):
    """The file with another one of its five pickles."""
    stream, pickles = io.BytesIO(content), []
    for _ in range(5):
        start = stream.tell()
        collections.deque(pickletools.genops(stream), maxlen=0)
        pickles.append(content[start : stream.tell()])
    chosen = generator.choice([0, 2, 3, 3, 3, 3, 4])
    pickles[chosen] = of_opcodes(generator, pickles[chosen])
    return b"".join([*pickles, stream.read()])


@pytest.mark.parametrize("legacy", [False, True])
def test_mutants_are_read_or_refused(legacy, tmp_path):
    generator = random.Random(0)
    names = {"a": torch.ones(2, 3), "b": torch.arange(4), "c": torch.ones(3).half()}
    content = saved(collections.OrderedDict(names), legacy)
    of_pickle = legacy_mutant if legacy else zip_mutant
    before, refused = attributes(), 0

    def run():
        nonlocal refused
        for number in range(250):
            mutant = (of_bytes if number % 2 else of_pickle)(generator, content)
            try:
                state = read(mutant, tmp_path)
            except ValueError as error:
                assert "a.pth" in str(error)
                refused += 1
                continue
            assert all(array.nbytes <= 2 * len(mutant) for array in state.values())

    assert peak_of(run) < 2 * MIB
    assert attributes() == before
    assert 125 < refused < 250  # some changes do no harm
