#!/usr/bin/python3
"""Holds loopos' import, export and generation against Hugging Face's GPT2LMHeadModel, on random models of odd shapes.

usage: PYTHONPATH=FOLDER check_layout.py [LOOPOS]

Models are saved by transformers (whole, in shards, without the head, in half precision), evaluated and continued by loopos,
exported by it and loaded by transformers again. Needs the packages that README.md lists, and writes to a temporary folder.
"""

import pathlib
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file
from transformers import GPT2Config, GPT2LMHeadModel

SHAPES = [
    dict(vocab_size=101, n_positions=13, n_embd=35, n_head=5, n_layer=3),
    dict(vocab_size=307, n_positions=77, n_embd=66, n_head=11, n_layer=2, n_inner=149),
    dict(vocab_size=67, n_positions=9, n_embd=20, n_head=1, n_layer=1, n_inner=52, tie_word_embeddings=False),
]
TOLERANCE = 1e-4
LOOPOS = sys.argv[1] if len(sys.argv) > 1 else str(pathlib.Path(__file__).resolve().parents[2] / "target/release/loopos")


def loopos(*arguments):
    """What loopos says on stdout; an error ends the check with its message."""
    done = subprocess.run([LOOPOS, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"loopos {' '.join(map(str, arguments))}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def numbers(ids):
    return ",".join(str(int(id)) for id in ids)


def random_model(shape):
    """Weights large enough that attention and GELU leave their linear range."""
    model = GPT2LMHeadModel(GPT2Config(**shape, initializer_range=0.2)).eval()
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data.add_(torch.randn_like(parameter) * 0.2)
    return model


def check(shape, work):
    """The largest error of the logits, each way."""
    model = random_model(shape)
    ids = torch.randint(shape["vocab_size"], (shape["n_positions"],))
    logits_file = work / "logits.safetensors"

    def logits_of(model):
        return model(ids[None]).logits[0].detach()

    def ours(folder):
        loopos("eval", "--model", folder, "--tokens", numbers(ids), "--logits", logits_file)
        return load_file(logits_file)["logits"]

    def error(found, wanted):
        return (found - wanted).abs().max().item()

    errors = {}
    model.save_pretrained(work / "whole")
    errors["import"] = error(ours(work / "whole"), logits_of(model))
    model.save_pretrained(work / "shards", max_shard_size="20KB")
    errors["shards"] = error(ours(work / "shards"), logits_of(model))
    if model.config.tie_word_embeddings:
        model.transformer.save_pretrained(work / "headless")
        errors["without prefix"] = error(ours(work / "headless"), logits_of(model))
    half = GPT2LMHeadModel.from_pretrained(work / "whole").half()
    half.save_pretrained(work / "half")
    errors["float16"] = error(ours(work / "half"), logits_of(half.float()))
    loopos("export", "--model", work / "whole", "--out", work / "out")
    exported, loading = GPT2LMHeadModel.from_pretrained(work / "out", output_loading_info=True)
    if any(loading.values()):
        sys.exit(f"an exported model is loaded with remarks: {loading}")
    errors["export"] = error(logits_of(exported.eval()), logits_of(model))
    for penalty in (1.0, 1.5):
        options = dict(max_new_tokens=5, do_sample=False, repetition_penalty=penalty, pad_token_id=0, eos_token_id=None)
        wanted = model.generate(ids[None, :4], **options)[0]
        arguments = ["--tokens", numbers(ids[:4]), "--max-tokens", 5, "--temperature", 0, "--repetition-penalty", penalty]
        if loopos("generate", "--model", work / "whole", *arguments).strip() != numbers(wanted):
            sys.exit(f"other tokens than transformers' at repetition penalty {penalty}")
    figures = ", ".join(f"{name} {value:.1e}" for name, value in errors.items())
    print(f"{shape}: largest errors of logits up to {logits_of(model).abs().max():.1f}: {figures}")
    return max(errors.values()) < TOLERANCE


if __name__ == "__main__":
    torch.manual_seed(0)
    results = []
    for shape in SHAPES:
        with tempfile.TemporaryDirectory() as folder:
            results.append(check(shape, pathlib.Path(folder)))
    sys.exit(0 if all(results) else 1)
