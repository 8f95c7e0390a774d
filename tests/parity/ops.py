"""Writes tests/fixtures/backends/ops.json: single operations with inputs, attributes and PyTorch's results.

Run with a Python that has torch: python tests/parity/ops.py
"""

import json
import pathlib

import torch
import torch.nn.functional as F

OUT = pathlib.Path(__file__).parent.parent / "fixtures" / "backends" / "ops.json"
generator = torch.Generator().manual_seed(7)
cases = []


def rand(*shape, scale=1.0):
    return torch.randn(*shape, generator=generator) * scale


def numbers(tensor):
    values = tensor.reshape(-1).tolist()
    return values if tensor.dtype == torch.int64 else [float(f"{v:.9g}") for v in values]


def case(name, op, inputs, result, **attributes):
    def entry(tensor):
        return {"shape": list(tensor.shape), "data": numbers(tensor), "integers": tensor.dtype == torch.int64}

    cases.append(
        {"name": name, "op": op, "attributes": attributes, "inputs": [entry(t) for t in inputs], "output": entry(result)}
    )


def convolution(name, x, weight, bias, stride, begin, end, groups=1):
    spatial = x.dim() - 2
    pads = [p for d in reversed(range(spatial)) for p in (begin[d], end[d])]
    function = F.conv2d if spatial == 2 else F.conv3d
    result = function(F.pad(x, pads), weight, bias, stride=stride, groups=groups)
    inputs = [x, weight] + ([] if bias is None else [bias])
    case(name, "convolution", inputs, result, stride=stride, begin=begin, end=end, groups=groups)


convolution("conv", rand(2, 3, 5, 6), rand(4, 3, 3, 3), rand(4), [1, 1], [1, 1], [1, 1])
convolution("conv_stride", rand(1, 2, 7, 6), rand(3, 2, 3, 3), None, [2, 2], [1, 1], [1, 1])
convolution("conv_asymmetric", rand(1, 2, 6, 6), rand(3, 2, 3, 3), rand(3), [2, 2], [0, 0], [1, 1])
convolution("conv_groups", rand(1, 4, 5, 5), rand(6, 2, 3, 3), rand(6), [1, 1], [1, 1], [1, 1], groups=2)
convolution("conv_depthwise", rand(1, 4, 5, 5), rand(4, 1, 3, 3), rand(4), [1, 1], [1, 1], [1, 1], groups=4)
convolution("conv_uneven", rand(1, 2, 5, 7), rand(3, 2, 1, 3), rand(3), [1, 2], [0, 1], [0, 1])
convolution("conv3d_time", rand(1, 2, 4, 3, 3), rand(3, 2, 3, 1, 1), rand(3), [1, 1, 1], [1, 0, 0], [1, 0, 0])
convolution("conv3d", rand(1, 2, 4, 3, 5), rand(3, 2, 3, 3, 3), rand(3), [1, 1, 2], [1, 1, 1], [1, 1, 1])

x, w, b = rand(2, 3, 7), rand(5, 7), rand(5)
case("linear", "linear", [x, w, b], F.linear(x, w, b))
case("linear_no_bias", "linear", [x, w], F.linear(x, w))

x, w, b = rand(2, 6, 3, 4), rand(6), rand(6)
case("group_norm", "group_norm", [x, w, b], F.group_norm(x, 3, w, b, 1e-5), groups=3, epsilon=1e-5)
case("group_norm_epsilon", "group_norm", [x * 1e-2, w, b], F.group_norm(x * 1e-2, 2, w, b, 1e-3), groups=2, epsilon=1e-3)
x, w, b = rand(2, 3, 8), rand(8), rand(8)
case("layer_norm", "layer_norm", [x, w, b], F.layer_norm(x, (8,), w, b, 1e-6), epsilon=1e-6)
case("layer_norm_plain", "layer_norm", [x + 3], F.layer_norm(x + 3, (8,), eps=1e-5), epsilon=1e-5)
case("rms_norm", "rms_norm", [x, w], F.rms_norm(x, (8,), w, 1e-6), epsilon=1e-6)
case("rms_norm_plain", "rms_norm", [x], F.rms_norm(x, (8,), eps=1e-6), epsilon=1e-6)

x = torch.linspace(-8, 8, 41)
for name, function in {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda v: F.gelu(v, approximate="tanh"),
    "quick_gelu": lambda v: v * torch.sigmoid(1.702 * v),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
}.items():
    case(name, "unary", [x], function(x), function=name)

a, b = rand(2, 1, 4), rand(3, 1)
for name, function in {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "divide": torch.div,
}.items():
    case(name, "binary", [a, b], function(a, b), function=name)
x = rand(2, 5)
case("affine", "affine", [x], x * 0.13025 - 1.5, scale=0.13025, shift=-1.5)

q, k, v = rand(2, 5, 12), rand(2, 4, 12), rand(2, 4, 18)


def attention(name, q, k, v, heads, bias=None, causal=False, scale=None):
    def split(t):
        return t.unflatten(2, (heads, -1)).transpose(1, 2)

    mask = bias
    if causal:
        mask = torch.ones(q.shape[1], k.shape[1], dtype=torch.bool).tril()
    result = F.scaled_dot_product_attention(split(q), split(k), split(v), attn_mask=mask, scale=scale)
    used = scale if scale is not None else (q.shape[2] / heads) ** -0.5
    inputs = [q, k, v] + ([] if bias is None else [bias])
    case(name, "attention", inputs, result.transpose(1, 2).flatten(2), heads=heads, scale=used, causal=causal)


attention("attention", q, k, v, 3)
attention("attention_scale", q, k, v, 2, scale=1.0)
attention("attention_bias", q, k, v, 3, bias=rand(2, 3, 5, 4))
attention("attention_bias_broadcast", q, k, v, 3, bias=rand(1, 3, 1, 4), scale=1.0)
attention("attention_causal", q, q, rand(2, 5, 12), 2, causal=True)
attention("attention_causal_more_keys", k, q, rand(2, 5, 12), 2, causal=True)

x = rand(2, 3, 4, scale=3.0)
case("softmax", "softmax", [x], F.softmax(x, 2), axis=2)
case("softmax_middle", "softmax", [x], F.softmax(x, 1), axis=1)
a, b = rand(2, 3, 2), rand(2, 1, 2)
case("concat", "concat", [a, b, a], torch.cat([a, b, a], 1), axis=1)
x = rand(2, 5, 3)
case("slice", "slice", [x], x[:, 1:4], axis=1, begin=1, end=4)
case("repeat", "repeat", [x], x.repeat_interleave(3, 1), axis=1, times=3)
case("repeat_first", "repeat", [x], x.repeat_interleave(2, 0), axis=0, times=2)
case("reshape", "reshape", [x], x.reshape(3, 10), shape=[3, 10])
case("transpose", "transpose", [x], x.permute(2, 0, 1), permutation=[2, 0, 1])
case("pad", "pad", [x], F.pad(x, (0, 2, 1, 0)), begin=[0, 1, 0], end=[0, 0, 2])
for height, width, out_height, out_width in [(3, 4, 6, 8), (3, 4, 5, 7), (2, 3, 6, 9), (7, 10, 41, 14), (6, 5, 4, 3)]:
    x = rand(1, 2, height, width) if out_height < 20 else rand(1, 1, height, width)
    y = F.interpolate(x, size=(out_height, out_width), mode="nearest")
    case(f"upsample_{out_height}x{out_width}", "upsample_nearest", [x], y, height=out_height, width=out_width)
table, ids = rand(7, 3), torch.tensor([[0, 6, 2], [2, 5, 1]])
case("gather", "gather", [table, ids], F.embedding(ids, table))

OUT.parent.mkdir(parents=True, exist_ok=True)
OUT.write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")
print(f"{OUT.name}: {len(cases)} cases, {OUT.stat().st_size} bytes")
