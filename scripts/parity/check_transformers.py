#!/usr/bin/python3
"""Holds the committed fixtures against Hugging Face's own GPT2LMHeadModel: the same logits, loss and gradients.

usage: PYTHONPATH=FOLDER check_transformers.py [FIXTURE..]

Needs the packages `transformers` and `safetensors` (README.md says how to get them); the fixtures do not depend on them.
"""

import json
import pathlib
import sys

import torch
from safetensors import safe_open
from transformers import GPT2Config, GPT2LMHeadModel


def check(path):
    """Largest error of logits, loss and gradients, each relative to its tensor's largest value."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        shape = json.loads(file.metadata()["shape"])
    config = GPT2Config(
        vocab_size=shape["vocab_size"],
        n_positions=shape["context"],
        n_embd=shape["d_model"],
        n_head=shape["heads"],
        n_layer=shape["layers"],
        n_inner=shape["d_ff"],
        tie_word_embeddings=shape["tied"],
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    model = GPT2LMHeadModel(config).double()
    parameters = dict(model.named_parameters())
    for name, parameter in parameters.items():
        parameter.data.copy_(tensors[name.removeprefix("transformer.")])
    logits = model(tensors["inputs"].long()).logits
    # The model's own `labels` would shift the targets by one; the fixture's targets are already those of each position.
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tensors["targets"].long().flatten())
    loss.backward()
    found = {"logits": logits, "losses": loss} | {"grad." + name.removeprefix("transformer."): p.grad for name, p in parameters.items()}
    worst = 0.0
    for name, value in found.items():
        want = tensors[name].double()
        want = want[0] if name == "losses" else want
        worst = max(worst, ((value.detach() - want).abs().max() / want.abs().max()).item())
    print(f"{path.name}: {len(found)} tensors, largest relative error {worst:.1e}")
    return worst < 1e-6


if __name__ == "__main__":
    folder = pathlib.Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "parity"
    fixtures = [pathlib.Path(name) for name in sys.argv[1:]] or sorted(folder.glob("*.safetensors"))
    results = [check(path) for path in fixtures]
    sys.exit(0 if all(results) else 1)
