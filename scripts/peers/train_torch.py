#!/usr/bin/env python3
"""What PyTorch reaches on this machine with the same training step: tokens per second, forward + backward + AdamW.

usage: train_torch.py --config configs/autoregressive_training.json [--threads N] [--steps 7] [--compile] [--json]

The model is that of the config (GPT-2: pre-LayerNorm, learned positions, tanh-GELU, tied head), float32, batch and length as in the
config, clipping by global norm 1.0. README.md beside this script says how to set PyTorch up and how to compare fairly.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """One transformer layer on (sequences, length, d_model)."""

    def __init__(self, d_model, heads, d_ff):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.c_attn, self.c_proj = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)
        self.c_fc, self.mlp_proj = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)

    def forward(self, x):
        sequences, length, d_model = x.shape
        parts = self.c_attn(self.ln_1(x)).split(d_model, dim=-1)
        query, key, value = (part.view(sequences, length, self.heads, -1).transpose(1, 2) for part in parts)
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.c_proj(attended.transpose(1, 2).reshape(sequences, length, d_model))
        return x + self.mlp_proj(functional.gelu(self.c_fc(self.ln_2(x)), approximate="tanh"))


class Gpt2(nn.Module):
    """The whole model; returns the mean cross-entropy of (sequences, length) inputs and targets."""

    def __init__(self, vocab_size, context, d_model, heads, layers, d_ff):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocab_size, d_model), nn.Embedding(context, d_model)
        self.blocks = nn.ModuleList(Block(d_model, heads, d_ff) for _ in range(layers))
        self.ln_f = nn.LayerNorm(d_model)
        for parameter in self.parameters():
            if parameter.dim() >= 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, inputs, targets):
        x = self.wte(inputs) + self.wpe.weight[: inputs.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = functional.linear(self.ln_f(x), self.wte.weight)
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def allocator():
    """The allocator that is preloaded: it decides how often PyTorch's buffers are faulted in anew."""
    return os.path.basename(os.environ.get("LD_PRELOAD", "")) or "the system's"


def measure(arguments):
    """Medians over the steps that follow two of warm-up."""
    with open(arguments.config) as file:
        config = json.load(file)
    model, training = config["model"], config["training"]
    sequences, length = training["batch_size"], training["max_length"]
    torch.manual_seed(training.get("seed", 1))
    torch.set_num_threads(arguments.threads)
    gpt2 = Gpt2(model["vocab_size"], length, model["d_model"], model["num_heads"], model["num_layers"], model["d_ff"])
    optimizer = torch.optim.AdamW(gpt2.parameters(), lr=6e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    step_model = torch.compile(gpt2) if arguments.compile else gpt2
    tokens = torch.randint(model["vocab_size"], (sequences, length + 1))
    inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
    seconds = []
    for _ in range(2 + arguments.steps):
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = step_model(inputs, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(gpt2.parameters(), 1.0)
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    steps = seconds[2:]
    return {
        "system": f"PyTorch {torch.__version__}{' compile' if arguments.compile else ''}",
        "allocator": allocator(),
        "config": os.path.basename(arguments.config),
        "threads": arguments.threads,
        "batch": [sequences, length],
        "step_seconds": statistics.median(steps),
        "step_seconds_range": [min(steps), max(steps)],
        "tokens_per_second": sequences * length / statistics.median(steps),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "loss": loss.item(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="a configs/*.json of loopos")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--steps", type=int, default=7, help="measured steps, after two of warm-up")
    parser.add_argument("--compile", action="store_true", help="torch.compile instead of eager")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if not hasattr(functional, "scaled_dot_product_attention"):
        sys.exit(f"PyTorch {torch.__version__} has no fused attention and would be measured below its best: 2.4 or newer is needed (README.md)")
    result = measure(arguments)
    if arguments.json:
        print(json.dumps(result))
        return
    low, high = result["step_seconds_range"]
    print(f"{result['system']}, allocator {result['allocator']}, {result['config']}, {result['threads']} threads, batch {sequences_by_length(result)}")
    print(f"{result['tokens_per_second']:.0f} tokens/s, step {result['step_seconds']:.3f} s ({low:.3f} to {high:.3f}), peak memory {result['peak_rss_bytes'] / 1e6:.0f} MB")


def sequences_by_length(result):
    return " x ".join(str(size) for size in result["batch"])


if __name__ == "__main__":
    main()
