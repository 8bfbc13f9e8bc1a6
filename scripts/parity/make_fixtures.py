#!/usr/bin/python3
"""Writes tests/fixtures/parity/*.safetensors: what PyTorch says about three small GPT-2 models.

usage: make_fixtures.py [--float32] [--out DIR]

Each file holds one model's weights, a batch, and what must come out of it: logits, loss, the gradient of every weight,
and every weight after ten AdamW steps. README.md beside this script says how the numbers are made and how to repeat them.
"""

import argparse
import json
import math
import pathlib
import struct

import numpy
import torch
from torch.nn import functional

MODELS = {
    # Sizes that are no multiple of any vector width or tile: odd vocabulary and length, head sizes of 8, 20 and 7.
    "tied": dict(vocab_size=101, context=13, d_model=24, heads=3, layers=2, d_ff=96, tied=True, sequences=3, length=13, seed=1, ignored=0),
    "untied": dict(vocab_size=67, context=7, d_model=20, heads=1, layers=1, d_ff=52, tied=False, sequences=2, length=7, seed=2, ignored=0),
    # Shorter than its context, and with targets that do not count.
    "ignored": dict(vocab_size=131, context=41, d_model=35, heads=5, layers=3, d_ff=143, tied=True, sequences=2, length=37, seed=3, ignored=9),
}
STEPS, LR, BETAS, EPS, DECAY, CLIP = 10, 1e-3, (0.9, 0.95), 1e-8, 0.1, 1.0
LAYERNORM_EPS = 1e-5
IGNORED = -100


def initial_weights(shape, generator):
    """Weights large enough that attention and GELU leave their linear range; biases and gains away from 0 and 1."""

    def normal(*dims, std):
        return torch.randn(*dims, generator=generator, dtype=torch.float64) * std

    d, ff = shape["d_model"], shape["d_ff"]
    weights = {
        "wte.weight": normal(shape["vocab_size"], d, std=0.3),
        "wpe.weight": normal(shape["context"], d, std=0.2),
    }
    for layer in range(shape["layers"]):
        name = f"h.{layer}."
        for norm in ("ln_1", "ln_2"):
            weights[f"{name}{norm}.weight"] = 1.0 + normal(d, std=0.2)
            weights[f"{name}{norm}.bias"] = normal(d, std=0.2)
        for linear, rows, columns in (("attn.c_attn", d, 3 * d), ("attn.c_proj", d, d), ("mlp.c_fc", d, ff), ("mlp.c_proj", ff, d)):
            weights[f"{name}{linear}.weight"] = normal(rows, columns, std=1.0 / math.sqrt(rows))
            weights[f"{name}{linear}.bias"] = normal(columns, std=0.2)
    weights["ln_f.weight"] = 1.0 + normal(d, std=0.2)
    weights["ln_f.bias"] = normal(d, std=0.2)
    if not shape["tied"]:
        weights["lm_head.weight"] = normal(shape["vocab_size"], d, std=0.3)
    # The program under test starts from float32 values: round here, before anything is computed from them.
    return {name: weight.float() for name, weight in weights.items()}


def gpt2(weights, shape, tokens):
    """Logits (sequences, length, vocab_size) of GPT-2 in training mode without dropout."""
    sequences, length = tokens.shape
    d, heads = shape["d_model"], shape["heads"]

    def layernorm(x, name):
        return functional.layer_norm(x, (d,), weights[name + ".weight"], weights[name + ".bias"], LAYERNORM_EPS)

    def linear(x, name):  # the weight is (inputs, outputs), as Hugging Face stores GPT-2's
        return x @ weights[name + ".weight"] + weights[name + ".bias"]

    def gelu(x):
        return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))

    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    x = weights["wte.weight"][tokens] + weights["wpe.weight"][:length]
    for layer in range(shape["layers"]):
        name = f"h.{layer}."
        parts = linear(layernorm(x, name + "ln_1"), name + "attn.c_attn").split(d, dim=-1)
        query, key, value = (part.view(sequences, length, heads, d // heads).transpose(1, 2) for part in parts)
        scores = (query @ key.transpose(-1, -2)) / math.sqrt(d // heads)
        attended = scores.masked_fill(future, -math.inf).softmax(dim=-1) @ value
        x = x + linear(attended.transpose(1, 2).reshape(sequences, length, d), name + "attn.c_proj")
        x = x + linear(gelu(linear(layernorm(x, name + "ln_2"), name + "mlp.c_fc")), name + "mlp.c_proj")
    return layernorm(x, "ln_f") @ weights["wte.weight" if shape["tied"] else "lm_head.weight"].T


def batch(shape, generator):
    """Random inputs and targets (sequences, length); the last of the targets' shuffled places are ignored."""
    dims = (shape["sequences"], shape["length"])
    inputs = torch.randint(shape["vocab_size"], dims, generator=generator)
    targets = torch.randint(shape["vocab_size"], dims, generator=generator)
    places = torch.randperm(targets.numel(), generator=generator)[: shape["ignored"]]
    targets.view(-1)[places] = IGNORED
    return inputs, targets


def loss_of(weights, shape, inputs, targets):
    """Logits and the mean cross-entropy over the targets that count."""
    logits = gpt2(weights, shape, inputs)
    return logits, functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


def reference(shape, dtype):
    """Every tensor of one fixture file, computed in `dtype`."""
    generator = torch.Generator().manual_seed(shape["seed"])
    initial = initial_weights(shape, generator)
    inputs, targets = batch(shape, generator)
    weights = {name: weight.to(dtype).clone().requires_grad_() for name, weight in initial.items()}
    optimizer = torch.optim.AdamW(
        [
            {"params": [weight for weight in weights.values() if weight.dim() >= 2], "weight_decay": DECAY},
            {"params": [weight for weight in weights.values() if weight.dim() < 2], "weight_decay": 0.0},
        ],
        lr=LR,
        betas=BETAS,
        eps=EPS,
    )
    tensors = dict(initial) | {"inputs": inputs.int(), "targets": targets.int()}
    losses, norms = [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        logits, loss = loss_of(weights, shape, inputs, targets)
        loss.backward()
        if step == 0:
            tensors |= {"logits": logits.detach()} | {"grad." + name: weight.grad.clone() for name, weight in weights.items()}
        losses.append(loss.detach())
        norms.append(torch.nn.utils.clip_grad_norm_(list(weights.values()), CLIP))
        optimizer.step()
    tensors |= {"after10." + name: weight.detach() for name, weight in weights.items()}
    # The loss of each of the ten steps, before its update, and the gradient's norm before clipping.
    return tensors | {"losses": torch.stack(losses), "grad_norms": torch.stack(norms)}


def write_safetensors(path, tensors, metadata):
    """The format's whole writer: header length, JSON header, raw little-endian data in the header's order."""
    header, chunks, offset = {"__metadata__": metadata}, [], 0
    for name, tensor in tensors.items():
        array = tensor.numpy()
        if array.dtype != numpy.int32:
            array = array.astype("<f4")
        data = array.tobytes()
        kind = "I32" if array.dtype == numpy.int32 else "F32"
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
        chunks.append(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(chunks))


def main():
    default = pathlib.Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "parity"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--float32", action="store_true", help="write nothing: show how far PyTorch's own float32 is from the float64 values")
    parser.add_argument("--out", type=pathlib.Path, default=default)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, shape in MODELS.items():
        tensors = reference(shape, torch.float64)
        if arguments.float32:
            compare(name, shape, tensors)
            continue
        hyper = dict(steps=STEPS, lr=LR, beta1=BETAS[0], beta2=BETAS[1], eps=EPS, weight_decay=DECAY, clip=CLIP, layernorm_eps=LAYERNORM_EPS)
        metadata = {"shape": json.dumps(shape), "optimizer": json.dumps(hyper), "computed_in": "float64", "torch": torch.__version__}
        path = arguments.out / f"{name}.safetensors"
        write_safetensors(path, tensors, metadata)
        print(f"{path.name}: {len(tensors)} tensors, {path.stat().st_size} bytes, loss {tensors['losses'][0]:.6f} to {tensors['losses'][-1]:.6f}, gradient norm {tensors['grad_norms'][0]:.4f}")


def compare(name, shape, exact):
    """Largest error of each tensor in float32, relative to the tensor's largest value."""
    for tensor, value in reference(shape, torch.float32).items():
        if value.dtype.is_floating_point:
            want = exact[tensor].double()
            error = (value.double() - want).abs().max() / want.abs().max()
            print(f"{name:8} {tensor:34} {error:.2e}")


if __name__ == "__main__":
    main()
