"""Weights: reading files, putting them into a network, finding and fetching published ones."""

from __future__ import annotations

import hashlib
import json
import pickle
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch
from torch import nn

from lensmith.errors import UsageError, WeightsError
from lensmith.zoo import catalogue
from lensmith.zoo.build import build
from lensmith.zoo.contract import Contract, Published
from lensmith.zoo.cut import base
from lensmith.zoo.download import Unreachable, fetch
from lensmith.zoo.names import NetworkName, resolve
from lensmith.zoo.pretrained import find_weights, load_tensors, load_weights, read_tensors


def small() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 7))


def state(network: nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy().copy() for name, tensor in network.state_dict().items()}


BASE = ("0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked")


# --------------------------------------------------------------------------------------------------------- reading


def test_tensors_come_as_they_are_stored_and_bfloat16_as_float32(tmp_path: Path) -> None:
    stored = {"a": torch.tensor([1.5, -3e38]).bfloat16(), "b": torch.arange(6).reshape(2, 3), "c": torch.ones(2).half()}
    save_torch(stored, tmp_path / "w.safetensors")
    torch.save(stored, tmp_path / "w.pth")
    for kind in ("w.safetensors", "w.pth"):
        there = read_tensors(tmp_path / kind)
        assert {name: str(tensor.dtype) for name, tensor in there.items()} == {
            "a": "float32",
            "b": "int64",
            "c": "float16",
        }
        for name, tensor in stored.items():
            assert np.array_equal(there[name], tensor.float().numpy())


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_ema"])
def test_what_training_code_wraps_around_a_state_is_taken_off(wrapper: str, tmp_path: Path) -> None:
    inner = {f"module.{name}": tensor for name, tensor in small().state_dict().items()}
    torch.save({wrapper: inner, "epoch": 3}, tmp_path / "w.pth")
    assert sorted(read_tensors(tmp_path / "w.pth")) == sorted(small().state_dict())


class Trap:
    """Unpickling this writes a file: the sign that code of a weights file was run."""

    def __init__(self, sign: Path) -> None:
        self.sign = sign

    def __reduce__(self) -> Any:
        return Path.touch, (self.sign,)


@pytest.mark.parametrize("how", ["torch", "plain", "among tensors"])
def test_code_in_a_weights_file_is_refused_and_not_run(how: str, tmp_path: Path) -> None:
    sign, file = tmp_path / "sign", tmp_path / "w.pth"
    if how == "torch":
        torch.save(Trap(sign), file)
    elif how == "plain":
        file.write_bytes(pickle.dumps(Trap(sign)))
    else:
        torch.save({"a": torch.ones(2), "b": Trap(sign)}, file)
    with pytest.raises(WeightsError, match="holds more than tensors, perhaps code; nothing of it was run"):
        read_tensors(file)
    assert not sign.exists()
    pickle.loads(pickle.dumps(Trap(sign)))
    assert sign.exists(), "the trap itself does not work"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("w.safetensors", b"", "damaged"),
        ("w.safetensors", b"\xff" * 64, "damaged"),
        ("w.pth", b"", "damaged"),
        ("w.pth", b"PK\x03\x04 not really", "damaged"),
        ("w.h5", b"x", "allowed are .safetensors, .pth, .pt, .bin"),
    ],
)
def test_a_file_that_is_no_weights_is_named(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=said) as error:
        read_tensors(tmp_path / name)
    assert name in str(error.value)


def test_a_missing_file_and_one_without_tensors(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no weights file"):
        read_tensors(tmp_path / "w.pth")
    torch.save([1, 2], tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="no named tensors"):
        read_tensors(tmp_path / "w.pth")


def test_safetensors_are_read_without_torch(tmp_path: Path) -> None:
    save_file(state(small()), tmp_path / "w.safetensors")
    program = f"""
    import sys
    sys.modules["torch"] = None
    from pathlib import Path
    from lensmith.zoo.pretrained import read_tensors
    print(len(read_tensors(Path({str(tmp_path / "w.safetensors")!r}))))
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "9", ran.stderr


def test_the_old_names_of_densenet_are_read_as_the_present_ones(tmp_path: Path) -> None:
    old = "features.denseblock1.denselayer2.norm.1.running_mean"
    save_file({old: np.zeros(3, "f4"), "features.norm0.weight": np.zeros(3, "f4")}, tmp_path / "w.safetensors")
    present = old.replace("norm.1", "norm1")
    assert sorted(read_tensors(tmp_path / "w.safetensors")) == [present, "features.norm0.weight"]
    assert present in build(NetworkName("torchvision", "densenet121")).state_dict()


# --------------------------------------------------------------------------------------------------------- loading


def test_float16_becomes_float32_and_only_what_is_needed_is_taken(tmp_path: Path) -> None:
    torch.manual_seed(1)
    given = state(small())
    halves = {name: tensor.astype("f2") if tensor.dtype == "f4" else tensor for name, tensor in given.items()}
    halves["3.weight"] = np.zeros((1000, 3), "f2")
    save_file(halves, tmp_path / "w.safetensors")
    network = small()
    classes = network[3].weight.detach().clone()
    load_weights(network, tmp_path / "w.safetensors", BASE)
    for name in BASE:
        now = network.state_dict()[name]
        assert now.dtype == (torch.int64 if "batches" in name else torch.float32)
        assert np.array_equal(now.numpy(), halves[name].astype(now.numpy().dtype))
    assert torch.equal(network[3].weight, classes)


def test_old_files_without_the_count_of_batches_load(tmp_path: Path) -> None:
    given = {name: tensor for name, tensor in state(small()).items() if "batches" not in name}
    save_file(given, tmp_path / "w.safetensors")
    load_weights(small(), tmp_path / "w.safetensors", BASE)
    load_tensors(small(), given)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"0.weight": None}, "1 missing (0.weight)"),
        ({"0.weight": np.zeros((4, 1, 3, 3), "f4")}, "0.weight is (4, 1, 3, 3), not (4, 3, 3, 3)"),
        (dict.fromkeys(BASE), "6 missing (0.weight, 0.bias, 1.weight, 1.bias, 1.running_mean, ...)"),
        ({"0.0.weight": np.zeros(3, "f4")}, "1 too many (0.0.weight)"),
    ],
)
def test_tensors_that_do_not_fit_are_named_and_nothing_is_changed(
    change: dict[str, np.ndarray | None], said: str, tmp_path: Path
) -> None:
    changed = {name: tensor for name, tensor in (state(small()) | change).items() if tensor is not None}
    save_file({**changed, "zero": np.zeros(1, "f4")}, tmp_path / "w.safetensors")
    network = small()
    before = state(network)
    with pytest.raises(WeightsError) as error:
        load_weights(network, tmp_path / "w.safetensors", BASE)
    assert said in str(error.value)
    assert "w.safetensors" in str(error.value)
    assert all(np.array_equal(before[name], tensor) for name, tensor in state(network).items())


def test_the_weights_of_a_deeper_network_of_the_same_kind_are_refused(tmp_path: Path) -> None:
    """ResNet-34 has every tensor of ResNet-18 in the right shape, and more in between."""
    deeper, network = (build(NetworkName("torchvision", name)) for name in ("resnet34", "resnet18"))
    save_file(state(deeper), tmp_path / "w.safetensors")
    cut_off, _ = base(network, None, 64)
    for module in (network, cut_off):
        with pytest.raises(WeightsError, match=r"70 too many \(layer1.2.bn1.bias, "):
            load_weights(module, tmp_path / "w.safetensors", cut_off.state_dict())


def test_an_early_base_loads_from_the_file_of_the_whole_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = build(NetworkName("torchvision", "squeezenet1_0"))
    save_file(state(whole), tmp_path / "w.safetensors")
    cut_off, _ = base(build(NetworkName("torchvision", "squeezenet1_0")), "features.5", 64)
    load_weights(cut_off, tmp_path / "w.safetensors", cut_off.state_dict())
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(cut_off(images), whole.get_submodule("features")[:6](images))


def test_stored_tensors_must_be_exactly_those_of_the_base() -> None:
    network, given = small(), state(small())
    load_tensors(network, given)
    assert all(np.array_equal(given[name], tensor) for name, tensor in state(network).items())
    with pytest.raises(WeightsError, match=r"1 missing \(0.bias\); 1 too many \(more\)"):
        load_tensors(network, {**{name: given[name] for name in given if name != "0.bias"}, "more": given["0.bias"]})


# --------------------------------------------------------------------------------------------------------- finding

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PROMISED = f"small-{SHA256[:8]}.pth"


class Server(ThreadingHTTPServer):
    """A server on this machine that holds a few files and remembers what was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.asked: list[str] = []
        self.address = f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    """/broken promises more bytes than it sends; /absent is absent; everything else is CONTENT."""

    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.asked.append(self.path)
        if "absent" in self.path:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT) * (2 if "broken" in self.path else 1)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide what torch and Hugging Face may have kept on this machine, and allow downloads."""
    import huggingface_hub.constants

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("LENSMITH_OFFLINE", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def list_one(cache: Path, library: str, network: str, *known: Published) -> NetworkName:
    """Write a list with one network into a cache, as lensmith keeps it for the installed library."""
    file = catalogue.catalogue_file(library, cache)
    file.parent.mkdir(parents=True)
    networks = {network: [entry.as_dict() for entry in known]}
    file.write_text(json.dumps({"format": catalogue.FORMAT, "networks": networks}))
    return resolve(f"{library}/{network}", cache)


def small_net(cache: Path, address: str) -> NetworkName:
    """A torchvision network with one file of weights at an address, and older ones without."""
    contract = Contract(image_size=32, crop=0.5, licence="MIT")
    first = Published("V2", contract, url=f"{address}/{PROMISED}")
    return list_one(cache, "torchvision", "small_net", first, Published("V1", Contract(image_size=16)))


@pytest.mark.usefixtures("alone")
def test_no_network_is_touched_for_none_and_for_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("a network call")

    name = small_net(tmp_path, "http://127.0.0.1:9")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    file = tmp_path / "mine.safetensors"
    save_file({"a": np.zeros(1, "f4")}, file)
    none, given = find_weights(name, "none", tmp_path), find_weights(name, str(file), tmp_path)
    assert (none.file, none.label, none.licence) == (None, "none", None)
    assert (given.file, given.label, given.licence, given.contract.crop) == (file, "mine.safetensors", None, 1.0)


@pytest.mark.usefixtures("alone")
def test_a_download_is_announced_checked_kept_and_not_repeated(tmp_path: Path, server: Server) -> None:
    name, lines = small_net(tmp_path, server.address), list[str]()
    found = find_weights(name, "auto", tmp_path, say=lines.append)
    assert lines == [f"Downloading {PROMISED}: 0.0 MB from 127.0.0.1, licence MIT."]
    assert found.file == tmp_path / "weights" / PROMISED
    assert found.file.read_bytes() == CONTENT
    assert (found.label, found.licence, found.contract.image_size) == ("V2", "MIT", 32)
    assert [file.name for file in found.file.parent.iterdir()] == [PROMISED]
    assert find_weights(name, "V2", tmp_path, say=lines.append).file == found.file
    assert (len(server.asked), len(lines)) == (1, 1)


@pytest.mark.usefixtures("alone")
def test_weights_that_torch_has_fetched_before_are_used(tmp_path: Path) -> None:
    name = small_net(tmp_path, "http://127.0.0.1:9")
    there = tmp_path / "torch" / "hub" / "checkpoints" / PROMISED
    there.parent.mkdir(parents=True)
    there.touch()
    assert find_weights(name, "auto", tmp_path).file == there


@pytest.mark.usefixtures("alone")
def test_weights_that_hugging_face_has_fetched_before_are_used(tmp_path: Path) -> None:
    entry = Published("a1", Contract(image_size=32, licence="apache-2.0"), hub="timm/small_net.a1")
    name = list_one(tmp_path, "timm", "small_net", entry)
    repository = tmp_path / "hub" / "models--timm--small_net.a1"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    (repository / "snapshots" / "abc").mkdir(parents=True)
    there = repository / "snapshots" / "abc" / "model.safetensors"
    there.touch()
    assert find_weights(name, "auto", tmp_path).file == there


@pytest.mark.usefixtures("alone")
def test_weights_come_from_the_hub_by_its_address(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    entry = Published("a1", Contract(image_size=32, licence="apache-2.0"), hub="timm/small_net.a1")
    name = list_one(tmp_path, "timm", "small_net", entry)
    found = find_weights(name, "a1", tmp_path, say=lambda line: None)
    assert found.file == tmp_path / "weights" / "small_net.a1.safetensors"
    assert server.asked == ["/timm/small_net.a1/resolve/main/model.safetensors"]


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("variable", ["LENSMITH_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_says_which_file_goes_where(
    variable: str, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = small_net(tmp_path, server.address)
    monkeypatch.setenv(variable, "1")
    found = find_weights(name, "auto", tmp_path)
    assert (found.file, found.licence) == (None, None)
    assert f"Put {PROMISED} from {server.address}/{PROMISED} into {tmp_path / 'weights'}" in found.sentence
    with pytest.raises(WeightsError, match="weights V2 were asked for, but lensmith is offline"):
        find_weights(name, "V2", tmp_path)
    assert server.asked == []


@pytest.mark.usefixtures("alone")
def test_no_network_is_the_same_with_the_reason(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    found = find_weights(small_net(tmp_path, f"http://127.0.0.1:{port}"), "auto", tmp_path)
    assert found.file is None
    assert "the download failed" in found.sentence
    assert "--weights PATH" in found.sentence


@pytest.mark.usefixtures("alone")
def test_unknown_weights_are_a_usage_error_with_the_names_there_are(tmp_path: Path) -> None:
    name = small_net(tmp_path, "http://127.0.0.1:9")
    with pytest.raises(
        UsageError, match=r"'V3', which is neither a file nor weights of torchvision/small_net; allowed"
    ):
        find_weights(name, "V3", tmp_path)
    assert find_weights(resolve("lenet5"), "auto", tmp_path).sentence == (
        "no weights are published for lensmith/lenet5."
    )
    with pytest.raises(WeightsError, match="weights V1 were asked for, but no weights are published"):
        find_weights(name, "V1", tmp_path)


@pytest.mark.parametrize(
    ("path", "prefix", "error", "said"),
    [
        ("/absent", "", Unreachable, "Not Found"),
        ("/broken", "", Unreachable, f"the line broke after {len(CONTENT)} of {2 * len(CONTENT)} bytes"),
        ("/whole", "00000000", WeightsError, f"begins {SHA256[:8]}, it should begin 00000000"),
    ],
)
def test_a_failed_download_leaves_nothing(
    path: str, prefix: str, error: type[Exception], said: str, tmp_path: Path, server: Server
) -> None:
    with pytest.raises(error, match=said):
        fetch(server.address + path, tmp_path / "weights" / "w.pth", lambda size: None, prefix)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


# ------------------------------------------------------------------------------------------------------- real data


@pytest.mark.parametrize(
    ("network", "tensor", "shape"),
    [
        ("mobilenet_v2", "features.18.0.weight", (1280, 7, 7)),
        ("squeezenet1_0", "features.12.squeeze.weight", (512, 13, 13)),
    ],
)
def test_real_weights_load_into_the_base(network: str, tensor: str, shape: tuple[int, ...], data: Path) -> None:
    file = data / "weights" / f"{network}.safetensors"
    cut_off, cut = base(build(resolve(f"torchvision/{network}")), None, 224)
    assert (cut.name, cut.shape) == ("features", shape)
    load_weights(cut_off, file, cut_off.state_dict())
    stored = read_tensors(file)
    assert stored[tensor].dtype == np.float16
    assert np.array_equal(cut_off.state_dict()[tensor].numpy(), stored[tensor].astype("f4"))
    assert not any(name.startswith("classifier") for name in cut_off.state_dict())


def test_real_weights_of_another_network_are_refused(data: Path) -> None:
    cut_off, _ = base(build(resolve("torchvision/mobilenet_v3_small")), None, 64)
    with pytest.raises(WeightsError, match="does not fit the network: of its tensors"):
        load_weights(cut_off, data / "weights" / "mobilenet_v2.safetensors", cut_off.state_dict())
