"""A transformer made of PyTorch's own modules, with the weights of one of ours: the reference of the tests."""

import numpy as np

from rgflow.network.transformer import BLOCKS


def model(net, weights):
    """A ``torch.nn.Module`` of a Transformer; ``weights`` by place ("stem", 0, 1, ..., "head") and group, as arrays."""
    import torch
    from torch import nn
    from torch.nn import functional

    sigma = {"gelu": functional.gelu, "tanh": torch.tanh, "relu": functional.relu}[net.activation.name]

    def linear(array, bias=None):
        made = nn.Linear(array.shape[1], array.shape[0], bias=bias is not None, dtype=torch.float64)
        made.weight.data = torch.tensor(array)
        if bias is not None:
            made.bias.data = torch.tensor(bias)
        return made

    class Attention(nn.Module):
        def __init__(self, place):
            super().__init__()
            self.Q, self.K, self.V, self.U = (linear(weights[place, group]) for group in "QKVU")

        def forward(self, s):
            q, k, v = (layer(s).unflatten(-1, (net.heads, -1)).transpose(-3, -2) for layer in (self.Q, self.K, self.V))
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=net.mask == "causal")
            return self.U(y.transpose(-3, -2).flatten(-2))

    class Perceptron(nn.Module):
        def __init__(self, place):
            super().__init__()
            self.W, self.X = (linear(weights[place, group]) for group in "WX")

        def forward(self, s):
            return self.X(sigma(self.W(s)))

    class Reference(nn.Module):
        def __init__(self):
            super().__init__()
            if net.stem == "patch":
                self.patch = linear(weights["stem", "patch"])
            else:
                self.WE = nn.Embedding.from_pretrained(torch.tensor(weights["stem", "WE"].T), freeze=False)
            self.PE = nn.Parameter(torch.tensor(weights["stem", "PE"].T))
            made = {"attention": Attention, "mlp": Perceptron}
            self.blocks = nn.ModuleList(made[kind](place) for place, kind in enumerate(net.blocks))
            assert set(made) == set(BLOCKS)
            self.norm = nn.LayerNorm(net.width, eps=net.eps, elementwise_affine=False, dtype=torch.float64)
            if not net.tied:
                self.head = linear(weights["head", "head"], weights["head", "bhead"])

        def forward(self, x):
            z = (self.patch if net.stem == "patch" else self.WE)(x) + self.PE[: x.shape[1]]
            streams = [z]
            for block in self.blocks:
                z = z + block(self.norm(z))
                streams.append(z)
            s = self.norm(z)
            return streams, s @ self.WE.weight.T / net.width**0.5 if net.tied else self.head(s)

    return Reference()


def group_of(name):
    """The parameter group of a parameter's name in the module."""
    if name.startswith("head"):
        return "bhead" if name.endswith("bias") else "head"
    return next(part for part in reversed(name.split(".")) if part not in ("weight", "bias"))


def measured(net, weights, inputs, outputs, neurons=1):
    """K of every block (blocks, A, A) and the NTK of the head by group (groups, A, A), of one network."""
    import torch

    reference = model(net, weights)
    streams, out = reference(torch.tensor(inputs))
    rows = [z.detach().numpy().reshape(-1, z.shape[-1]) for z in (*streams, out[..., list(outputs)])]
    kernels = np.array([z @ z.T / z.shape[1] for z in rows])
    names, parameters = zip(*reference.named_parameters(), strict=True)
    theta = 0.0
    for output in list(outputs)[:neurons]:
        gradients = [
            torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
            for value in out[..., output].reshape(-1)
        ]
        found = np.zeros((len(net.groups), len(gradients), len(gradients)))
        for i, name in enumerate(names):
            group = group_of(name)
            flat = torch.stack(
                [(torch.zeros_like(parameters[i]) if g[i] is None else g[i]).reshape(-1) for g in gradients]
            )
            rate = net.value(f"Lambda_{group}") / net.fan_in(group)
            found[net.groups.index(group)] += rate * (flat @ flat.T).numpy()
        theta = theta + found / neurons
    return kernels, theta
