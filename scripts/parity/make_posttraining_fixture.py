#!/usr/bin/python3
"""Writes tests/fixtures/parity/posttraining.json: what PyTorch's autograd says about the losses of post-training.

usage: make_posttraining_fixture.py [--out DIR]

Every loss is stated here in PyTorch's own functions and differentiated by autograd in float64.
"""

import argparse
import json
import pathlib

import torch
from torch.nn import functional


def grid(seed, count, scale):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, generator=generator, dtype=torch.float64) * scale


def differentiated(loss, leaf):
    (slope,) = torch.autograd.grad(loss.sum(), leaf)
    return {"loss": loss.tolist(), "slope": slope.tolist()}


def bradley_terry():
    chosen, rejected = grid(1, 40, 4.0).requires_grad_(), grid(2, 40, 4.0)
    case = {"chosen": chosen.tolist(), "rejected": rejected.tolist()}
    return case | differentiated(-functional.logsigmoid(chosen - rejected), chosen)


def dpo():
    margin, beta = grid(3, 40, 20.0).requires_grad_(), 0.3
    return {"margin": margin.tolist(), "beta": beta} | differentiated(-functional.logsigmoid(beta * margin), margin)


def policy():
    now, old, advantage, epsilon = grid(4, 80, 0.5).requires_grad_(), grid(5, 80, 0.2), grid(6, 80, 1.0), 0.2
    ratio = (now - old).exp()
    loss = -torch.min(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)
    case = {"now": now.tolist(), "old": old.tolist(), "advantage": advantage.tolist(), "epsilon": epsilon}
    return case | differentiated(loss, now)


def value():
    now, old, target, epsilon = grid(7, 80, 1.0).requires_grad_(), grid(8, 80, 1.0), grid(9, 80, 1.0), 0.3
    clipped = old + (now - old).clamp(-epsilon, epsilon)
    loss = 0.5 * torch.max((now - target) ** 2, (clipped - target) ** 2)
    case = {"now": now.tolist(), "old": old.tolist(), "target": target.tolist(), "epsilon": epsilon}
    return case | differentiated(loss, now)


def divergence():
    now, reference = grid(10, 40, 1.0).requires_grad_(), grid(11, 40, 1.0)
    difference = reference - now
    case = {"now": now.tolist(), "reference": reference.tolist()}
    return case | differentiated(difference.exp() - difference - 1, now)


def advantages():
    """The definition: a discounted sum of the surprises that follow, not a recursion."""
    rewards, values, gamma, share = grid(12, 9, 1.0), grid(13, 9, 1.0), 0.97, 0.9
    after = torch.cat([values[1:], torch.zeros(1, dtype=torch.float64)])
    surprise = rewards + gamma * after - values
    found = [sum((gamma * share) ** (k - t) * surprise[k].item() for k in range(t, 9)) for t in range(9)]
    return {"rewards": rewards.tolist(), "values": values.tolist(), "gamma": gamma, "lambda": share, "advantages": found}


def group_advantages():
    rewards, size = grid(14, 12, 2.0), 4
    rows = rewards.view(-1, size)
    variance = rows.var(dim=1, unbiased=False, keepdim=True)
    found = (rows - rows.mean(dim=1, keepdim=True)) / (variance + 1e-8).sqrt()
    return {"rewards": rewards.tolist(), "size": size, "advantages": found.flatten().tolist()}


def token():
    """Weighted log-probability plus weighted entropy of a row of logits, differentiated by the logits."""
    cases = []
    for seed, count, weight, entropy in [(20, 5, 0.7, 0.0), (21, 37, -1.3, 0.4), (22, 300, 0.2, -2.0), (23, 64, 0.0, 1.0)]:
        logits = (grid(seed, count, 3.0).float().double()).requires_grad_()
        target = count // 3
        rows = functional.log_softmax(logits, dim=0)
        h = -(rows.exp() * rows).sum()
        loss = -weight * rows[target] + entropy * h
        (slope,) = torch.autograd.grad(loss, logits)
        cases.append({
            "logits": logits.tolist(), "target": target, "weight": weight, "entropy_weight": entropy,
            "loss": -rows[target].item(), "entropy": h.item(), "slope": slope.tolist(),
        })
    return cases


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default=pathlib.Path(__file__).parents[2] / "tests/fixtures/parity", type=pathlib.Path)
    out = parser.parse_args().out
    cases = [bradley_terry, dpo, policy, value, divergence, advantages, group_advantages, token]
    fixture = {"pytorch": torch.__version__} | {case.__name__: case() for case in cases}
    (out / "posttraining.json").write_text(json.dumps(fixture) + "\n")


if __name__ == "__main__":
    main()
