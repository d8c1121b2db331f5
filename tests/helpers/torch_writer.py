"""PyTorch's files written by hand, without torch: both formats, and the names of any module."""

import io
import pickle
import zipfile
from collections import OrderedDict


class Storage:
    """Pickles as a reference to torch storage `key`."""

    def __init__(self, key, values, kind="FloatStorage"):
        self.key, self.values, self.kind = key, values, kind


class Global:
    """Pickles as the module attribute it names."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def __reduce__(self):
        return self.module + "." + self.name

    def __call__(self, *_):
        raise AssertionError("the reader called what it must not")


class Call:
    """Pickles as a call of the name it is given; what a reader must not make."""

    def __init__(self, module, name, *args):
        self.call = Global(module, name), args

    def __reduce__(self):
        return self.call


class Tensor:
    """Pickles as torch pickles a tensor."""

    def __init__(self, storage, offset, shape, strides):
        self.parts = storage, offset, shape, strides, False, OrderedDict()

    def __reduce__(self):
        return _rebuild_tensor_v2, self.parts


def _rebuild_tensor_v2(*_):
    raise AssertionError("the reader called the real function")


class Writer(pickle._Pickler):  # pyright: ignore[reportAttributeAccessIssue]
    """Writes the names torch would."""

    def persistent_id(self, obj):
        if isinstance(obj, Storage):
            return (
                "storage",
                Global("torch", obj.kind),
                obj.key,
                "cpu",
                len(obj.values),
                *self.end,
            )
        return None

    def save(self, obj, save_persistent_id=True):
        if obj is _rebuild_tensor_v2:
            return self.write(b"ctorch._utils\n_rebuild_tensor_v2\n")
        if isinstance(obj, Global):
            return self.write(f"c{obj.module}\n{obj.name}\n".encode())
        return super().save(obj, save_persistent_id)


def pickled(obj, end=()):
    stream = io.BytesIO()
    writer = Writer(stream, 2)
    writer.end = end
    writer.dump(obj)
    return stream.getvalue()


def legacy_file(path, tree, storages):
    head = [pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    tail = [pickle.dumps([s.key for s in storages], 2)]
    for s in storages:
        tail += [len(s.values).to_bytes(8, "little"), s.values.tobytes()]
    path.write_bytes(b"".join([*head, pickled(tree, (None,)), *tail]))


def zip_file(path, tree, storages):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(tree))
        for s in storages:
            archive.writestr(f"archive/data/{s.key}", s.values.tobytes())


def plain_file(path, tree):
    """A plain pickle, as `pickle.dump` writes modules of tensors."""
    path.write_bytes(pickled(tree))


def carried(values, path):
    """A tensor of a plain pickle, which brings its storage along; `path` is scratch."""
    storage = Storage("0", values.ravel())
    legacy_file(path, storage, [storage])
    strides = tuple(step // values.itemsize for step in values.strides)
    held = Call("torch.storage", "_load_from_bytes", path.read_bytes())
    return Call(
        "torch._utils", "_rebuild_tensor_v2", held, 0, values.shape, strides, False, OrderedDict()
    )


def persistent(name, parameters, buffers=(), modules=()):
    """A module as StyleGAN2's release pickles it: its source code beside its state."""
    state = {
        "training": False,
        "_parameters": OrderedDict(parameters),
        "_buffers": OrderedDict(buffers),
    }
    state["_modules"] = OrderedDict(modules)
    source = "raise AssertionError('the reader ran it')"
    meta = {"type": "class", "version": 6, "module_src": source, "class_name": name, "state": state}
    return Call("torch_utils.persistence", "_reconstruct_persistent_obj", meta)


def nested(state, path):
    """A state dict as a tree of persistent modules; some names are buffers."""
    parameters, buffers, parts = {}, {}, {}
    for key, value in state.items():
        head, _, rest = key.partition(".")
        if rest:
            parts.setdefault(head, {})[rest] = value
        else:
            own = buffers if head in ("w_avg", "noise_const", "resample_filter") else parameters
            own[head] = carried(value, path)
    modules = {name: nested(part, path) for name, part in parts.items()}
    return persistent("Module", parameters, buffers, modules)
