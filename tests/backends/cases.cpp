#include "backends/cases.h"

#include "backends/support.h"

namespace reprise::test {

namespace {

using graph::Binary;
using graph::Builder;
using graph::Op;
using graph::Unary;
using graph::Value;
using Cases = std::vector<Case>;

Case convolution(std::string name, Shape shape, Builder::Convolution options) {
    return described(std::move(name), [=](Builder& b) {
        b.output("y", b.convolution(b.real_input("x", shape), "conv", options));
    });
}

/// With attributes that the builder's layers do not set.
Case raw_convolution(std::string name, Shape shape, Shape weight, graph::ConvolutionAttrs attrs) {
    return {std::move(name), [=](DType precision) {
                RawGraph raw;
                const auto x = raw.real_input(shape, precision);
                const auto w = raw.constant(weight, precision);
                const auto bias = raw.constant({weight[0]}, precision);
                raw.output(raw.add(Op::convolution, {x, w, bias}, attrs));
                return raw.graph;
            }};
}

void add_convolutions(Cases& cases) {
    cases.push_back(convolution("conv_3x3", {2, 4, 9, 7}, {8, {3, 3}, {}, {1, 1}, true}));
    cases.push_back(convolution("conv_1x1", {1, 6, 5, 5}, {4, {1, 1}, {}, {}, true}));
    cases.push_back(convolution("conv_stride_2", {1, 3, 9, 8}, {5, {3, 3}, {2, 2}, {1, 1}, true}));
    cases.push_back(convolution("conv_no_bias", {1, 3, 6, 6}, {5, {3, 3}, {}, {1, 1}, false}));
    cases.push_back(convolution("conv_one_pixel", {1, 3, 1, 1}, {2, {3, 3}, {}, {1, 1}, true}));
    cases.push_back(convolution("conv_patches", {1, 3, 12, 8}, {10, {4, 4}, {4, 4}, {}, true}));
    cases.push_back(convolution("conv_one_channel", {1, 1, 5, 6}, {1, {3, 3}, {}, {1, 1}, true}));
    cases.push_back(convolution("conv_uneven_kernel", {1, 3, 5, 6}, {4, {1, 3}, {1, 2}, {0, 1}, true}));
    cases.push_back(convolution("conv_many_channels", {1, 64, 8, 8}, {32, {3, 3}, {}, {1, 1}, true}));
    cases.push_back(convolution("conv3d_time", {1, 4, 5, 3, 3}, {6, {3, 1, 1}, {}, {1, 0, 0}, true}));
    cases.push_back(convolution("conv3d_full", {2, 3, 4, 5, 6}, {4, {3, 3, 3}, {1, 2, 1}, {1, 1, 1}, true}));
    cases.push_back(raw_convolution("conv_groups", {1, 6, 7, 7}, {4, 3, 3, 3}, {{1, 1}, {1, 1}, {1, 1}, 2}));
    cases.push_back(
        raw_convolution("conv_depthwise", {2, 8, 7, 7}, {8, 1, 3, 3}, {{1, 1}, {1, 1}, {1, 1}, 8}));
    cases.push_back(
        raw_convolution("conv_asymmetric_pads", {1, 3, 6, 6}, {4, 3, 3, 3}, {{2, 2}, {0, 0}, {1, 1}, 1}));
    cases.push_back(
        raw_convolution("conv_uneven_pads", {1, 3, 6, 5}, {4, 3, 3, 3}, {{1, 1}, {2, 0}, {0, 1}, 1}));
}

void add_products(Cases& cases) {
    const auto linear = [&](std::string name, Shape shape, std::int64_t out, bool bias) {
        cases.push_back(described(std::move(name), [=](Builder& b) {
            b.output("y", b.linear(b.real_input("x", shape), "fc", out, bias));
        }));
    };
    linear("linear", {2, 7, 12}, 5, true);
    linear("linear_no_bias", {2, 7, 12}, 5, false);
    linear("linear_rows", {3, 16}, 8, true);
    linear("linear_vector", {16}, 8, true);
    linear("linear_4d", {2, 3, 4, 8}, 6, true);
    linear("linear_one_column", {1, 3, 1}, 4, true);
    linear("linear_to_one", {2, 3, 8}, 1, true);
    linear("linear_wide", {1, 33, 320}, 200, true);
    cases.push_back({"linear_of_values", [](DType precision) {  // weight and bias are computed
                         RawGraph raw;
                         const auto x = raw.real_input({2, 3, 8}, precision);
                         const auto weight = raw.real_input({5, 8}, precision);
                         const auto bias = raw.real_input({5}, precision);
                         raw.output(raw.add(Op::linear, {x, weight, bias}));
                         return raw.graph;
                     }});
    cases.push_back(described("linear_chain_fused", [](Builder& b) {
        const Value x = b.real_input("x", {2, 6, 16});
        b.output("y", x + b.linear(b.gelu(b.linear(x, "a", 24)), "b", 16));
    }));
}

void add_norms(Cases& cases) {
    const auto group = [&](std::string name, Shape shape, std::int64_t groups, float epsilon) {
        cases.push_back(described(std::move(name), [=](Builder& b) {
            b.output("y", b.group_norm(b.real_input("x", shape), "norm", groups, epsilon));
        }));
    };
    group("group_norm", {2, 8, 5, 6}, 4, 1e-5F);
    group("group_norm_one_group", {1, 6, 4, 4}, 1, 1e-6F);
    group("group_norm_group_per_channel", {1, 6, 4, 4}, 6, 1e-6F);
    group("group_norm_3d", {1, 8, 3, 4, 5}, 2, 1e-5F);
    group("group_norm_sequence", {2, 8, 7}, 2, 1e-5F);
    group("group_norm_flat", {3, 8}, 2, 1e-3F);
    group("group_norm_one_pixel", {1, 8, 1, 1}, 2, 1e-3F);
    group("group_norm_large", {1, 64, 32, 32}, 32, 1e-5F);
    cases.push_back(described("group_norm_silu_conv", [](Builder& b) {
        const Value x = b.real_input("x", {2, 16, 8, 8});
        b.output("y", b.conv2d(b.silu(b.group_norm(x, "norm", 4, 1e-5F)), "conv", 16, 3));
    }));

    const auto normed = [&](std::string name, Shape shape, bool affine, bool rms) {
        cases.push_back(described(std::move(name), [=](Builder& b) {
            const Value x = b.real_input("x", shape);
            b.output("y",
                     rms ? b.rms_norm(x, "norm", 1e-6F, affine) : b.layer_norm(x, "norm", 1e-5F, affine));
        }));
    };
    normed("layer_norm", {2, 5, 24}, true, false);
    normed("layer_norm_wide", {2, 5, 48}, true, false);
    normed("layer_norm_plain", {2, 5, 32}, false, false);
    normed("layer_norm_rows", {7, 10}, true, false);
    normed("layer_norm_4d", {2, 3, 4, 9}, true, false);
    normed("rms_norm", {2, 5, 24}, true, true);
    normed("rms_norm_plain", {2, 5, 24}, false, true);
    normed("rms_norm_rows", {7, 33}, true, true);
    cases.push_back(described("layer_norm_modulated", [](Builder& b) {  // as transformers do it
        const Value x = b.layer_norm(b.real_input("x", {2, 5, 32}), "norm", 1e-6F, false);
        const Value scale = b.real_input("scale", {2, 1, 32}), shift = b.real_input("shift", {2, 1, 32});
        b.output("y", x * (scale + 1.0F) + shift);
    }));
}

void add_elementwise(Cases& cases) {
    const auto unary = [&](std::string name, Unary function) {
        cases.push_back(described(std::move(name), [=](Builder& b) {
            b.output("y", b.unary(b.real_input("x", {3, 5, 7}) * 6.0F, function));
        }));
    };
    unary("silu", Unary::silu);
    unary("gelu", Unary::gelu);
    unary("gelu_tanh", Unary::gelu_tanh);
    unary("quick_gelu", Unary::quick_gelu);
    unary("sigmoid", Unary::sigmoid);
    unary("tanh", Unary::tanh);
    unary("relu", Unary::relu);

    const auto binary = [&](std::string name, Shape shape_a, Shape shape_b, Binary function) {
        cases.push_back(described(std::move(name), [=](Builder& b) {
            Value right = b.real_input("b", shape_b);
            if (function == Binary::divide) right = b.affine(b.unary(right, Unary::sigmoid), 1, 0.5F);
            b.output("y", b.binary(b.real_input("a", shape_a), right, function));
        }));
    };
    binary("add", {2, 3, 4}, {2, 3, 4}, Binary::add);
    binary("subtract", {2, 3, 4}, {2, 3, 4}, Binary::subtract);
    binary("multiply", {2, 3, 4}, {2, 3, 4}, Binary::multiply);
    binary("divide", {2, 3, 4}, {2, 3, 4}, Binary::divide);
    binary("add_broadcast_channel", {2, 6, 4, 5}, {2, 6, 1, 1}, Binary::add);
    binary("add_broadcast_both", {2, 1, 4}, {1, 3, 1}, Binary::add);
    binary("subtract_broadcast_rank", {4}, {2, 3, 4}, Binary::subtract);
    binary("multiply_broadcast_row", {2, 3, 8}, {8}, Binary::multiply);
    binary("divide_broadcast_one", {2, 3, 8}, {1}, Binary::divide);
    binary("multiply_scalar_shape", {2, 3}, {}, Binary::multiply);

    const auto affine = [&](std::string name, float scale, float shift) {
        cases.push_back(described(std::move(name), [=](Builder& b) {
            b.output("y", b.affine(b.real_input("x", {2, 3, 4}), scale, shift));
        }));
    };
    affine("affine", 0.18215F, -1.25F);
    affine("affine_scale", 3, 0);
    affine("affine_shift", 1, 2.5F);
    affine("affine_nothing", 1, 0);
    cases.push_back(described("value_read_twice", [](Builder& b) {
        const Value x = b.real_input("x", {2, 3, 4});
        b.output("y", x * x - x);
    }));
    cases.push_back({"convert_there_and_back", [](DType) {
                         RawGraph raw;
                         const auto ids = raw.input({2, 5}, DType::i64);
                         const auto real = raw.add(Op::convert, {ids}, graph::ConvertAttrs{DType::f32});
                         const auto half = raw.add(Op::affine, {real}, graph::AffineAttrs{1, 0.5F});
                         raw.output(raw.add(Op::convert, {half}, graph::ConvertAttrs{DType::i64}));
                         raw.output(half);
                         return raw.graph;
                     }});
    cases.push_back(described("convert_to_f32", [](Builder& b) {
        b.output("y", b.convert(b.silu(b.real_input("x", {3, 4})), DType::f32));
    }));
}

void add_attention(Cases& cases) {
    struct Sizes {
        std::int64_t batch, heads, queries, keys, width, value_width;
    };
    const auto attention = [&](std::string name, Sizes s, Shape bias, bool causal,
                               std::optional<float> scale = std::nullopt) {
        cases.push_back(described(std::move(name), [=](Builder& b) {
            const Value q = b.real_input("q", {s.batch, s.queries, s.heads * s.width});
            const Value k = b.real_input("k", {s.batch, s.keys, s.heads * s.width});
            const Value v = b.real_input("v", {s.batch, s.keys, s.heads * s.value_width});
            Value mask;
            if (!bias.empty()) mask = b.real_input("bias", bias) * 4.0F;
            b.output("y", b.attention(q, k, v, {s.heads, scale, causal, mask}));
        }));
    };
    attention("attention_self", {2, 4, 9, 9, 8, 8}, {}, false);
    attention("attention_cross", {2, 2, 16, 5, 16, 16}, {}, false);
    attention("attention_one_head", {1, 1, 7, 7, 24, 24}, {}, false);
    attention("attention_one_query", {1, 2, 1, 6, 8, 8}, {}, false);
    attention("attention_one_key", {1, 2, 6, 1, 8, 8}, {}, false);
    attention("attention_width_40", {1, 8, 64, 77, 40, 40}, {}, false);
    attention("attention_width_64", {1, 5, 64, 64, 64, 64}, {}, false);
    attention("attention_causal", {2, 3, 11, 11, 8, 8}, {}, true);
    attention("attention_causal_more_keys", {1, 2, 4, 7, 8, 8}, {}, true);
    attention("attention_value_width", {1, 3, 6, 5, 8, 12}, {}, false);
    attention("attention_scale", {1, 3, 6, 5, 8, 8}, {}, false, 1.0F);
    attention("attention_bias_full", {2, 3, 6, 5, 8, 8}, {2, 3, 6, 5}, false);
    attention("attention_bias_heads", {2, 3, 6, 6, 8, 8}, {1, 3, 6, 6}, false, 1.0F);
    attention("attention_bias_keys", {2, 3, 6, 5, 8, 8}, {2, 1, 1, 5}, false);
    attention("attention_bias_one", {2, 3, 6, 5, 8, 8}, {1, 1, 1, 1}, false);
    cases.push_back(described("attention_layer", [](Builder& b) {
        const Value x = b.real_input("x", {2, 16, 32}), text = b.real_input("text", {2, 7, 24});
        const Value y = b.attention(b.linear(x, "to_q", 32, false), b.linear(text, "to_k", 32, false),
                                    b.linear(text, "to_v", 32, false), {4, {}, false, {}});
        b.output("y", x + b.linear(y, "to_out.0", 32));
    }));

    const auto softmax = [&](std::string name, Shape shape, std::int64_t axis) {
        cases.push_back(described(std::move(name), [=](Builder& b) {
            b.output("y", b.softmax(b.real_input("x", shape) * 5.0F, axis));
        }));
    };
    softmax("softmax_last", {2, 3, 9}, -1);
    softmax("softmax_middle", {2, 5, 4}, 1);
    softmax("softmax_first", {6, 4}, 0);
    softmax("softmax_of_one", {4, 1}, 1);
}

void add_movement(Cases& cases) {
    cases.push_back(described("concat_channels", [](Builder& b) {
        const Value x = b.real_input("x", {2, 3, 4, 4}), y = b.real_input("y", {2, 5, 4, 4});
        b.output("z", b.concat({x, y}, 1));
    }));
    cases.push_back(described("concat_last_of_three", [](Builder& b) {
        const Value x = b.real_input("x", {2, 3}), y = b.real_input("y", {2, 1});
        b.output("z", b.concat({x, y, x}, -1));
    }));
    cases.push_back(described("concat_of_one", [](Builder& b) {
        b.output("z", b.concat({b.real_input("x", {2, 3})}, 0));
    }));
    const auto slice = [&](std::string name, Shape shape, std::int64_t axis, std::int64_t begin,
                           std::int64_t end) {
        cases.push_back(described(std::move(name), [=](Builder& b) {
            b.output("y", b.slice(b.real_input("x", shape), axis, begin, end));
        }));
    };
    slice("slice_first", {5, 4}, 0, 1, 3);
    slice("slice_middle", {2, 6, 3}, 1, 2, 6);
    slice("slice_last", {2, 3, 7}, -1, 0, 1);
    slice("slice_all", {2, 3}, 1, 0, 3);
    cases.push_back(described("split_three", [](Builder& b) {
        const auto parts = b.split(b.linear(b.real_input("x", {2, 4, 8}), "fc", 18), 3, -1);
        b.output("y", parts[0] * b.silu(parts[1]) + parts[2]);
        b.output("part", parts[1]);
    }));
    cases.push_back(described("geglu", [](Builder& b) {
        const auto parts = b.split(b.linear(b.real_input("x", {2, 9, 16}), "proj", 64), 2, -1);
        b.output("y", b.linear(parts[0] * b.gelu(parts[1]), "out", 16));
    }));
    cases.push_back(described("slices_that_overlap", [](Builder& b) {
        const Value y = b.linear(b.real_input("x", {2, 3, 8}), "fc", 10);
        b.output("y", b.slice(y, -1, 0, 6) + b.slice(y, -1, 4, 10));
    }));
    const auto repeat = [&](std::string name, Shape shape, std::int64_t axis, std::int64_t times) {
        cases.push_back(described(std::move(name), [=](Builder& b) {
            b.output("y", b.repeat(b.real_input("x", shape), axis, times));
        }));
    };
    repeat("repeat_first", {2, 3}, 0, 4);
    repeat("repeat_middle", {2, 3, 4}, 1, 2);
    repeat("repeat_last", {2, 3}, 1, 3);
    repeat("repeat_rows", {1, 1, 4}, 0, 5);
    const auto reshape = [&](std::string name, Shape shape, Shape to) {
        cases.push_back(described(
            std::move(name), [=](Builder& b) { b.output("y", b.reshape(b.real_input("x", shape), to)); }));
    };
    reshape("reshape", {2, 3, 4}, {4, 6});
    reshape("reshape_nothing", {2, 3}, {2, 3});
    reshape("reshape_inferred", {2, 3, 4}, {2, -1});
    reshape("reshape_to_vector", {2, 1, 3}, {6});
    reshape("reshape_from_one", {1}, {1, 1, 1});
    reshape("reshape_to_scalar", {1, 1}, {});
    const auto transpose = [&](std::string name, Shape shape, std::vector<std::int64_t> permutation) {
        cases.push_back(described(std::move(name), [=](Builder& b) {
            b.output("y", b.transpose(b.real_input("x", shape), permutation));
        }));
    };
    transpose("transpose", {3, 5}, {1, 0});
    transpose("transpose_to_tokens", {2, 4, 3, 5}, {0, 2, 3, 1});
    transpose("transpose_frames", {2, 3, 4, 2, 3}, {0, 2, 1, 3, 4});
    transpose("transpose_nothing", {2, 3, 4}, {0, 1, 2});
    transpose("transpose_patches", {1, 4, 3, 2, 2, 5}, {0, 5, 1, 3, 2, 4});
    const auto pad = [&](std::string name, Shape shape, std::vector<std::int64_t> begin,
                         std::vector<std::int64_t> end) {
        cases.push_back(described(std::move(name), [=](Builder& b) {
            b.output("y", b.pad(b.real_input("x", shape), begin, end));
        }));
    };
    pad("pad_picture", {1, 2, 3, 4}, {0, 0, 1, 0}, {0, 0, 2, 3});
    pad("pad_rows", {3, 4}, {2, 0}, {0, 0});
    pad("pad_nothing", {3, 4}, {0, 0}, {0, 0});
    cases.push_back(described("pad_then_conv", [](Builder& b) {  // the autoencoder's way down
        const Value x = b.pad(b.real_input("x", {1, 4, 8, 8}), {0, 0, 0, 0}, {0, 0, 1, 1});
        b.output("y", b.conv2d(x, "conv", 4, 3, 2, 0));
    }));
    const auto upsample = [&](std::string name, Shape shape, std::int64_t height, std::int64_t width) {
        cases.push_back(described(std::move(name), [=](Builder& b) {
            b.output("y", b.upsample_nearest(b.real_input("x", shape), height, width));
        }));
    };
    upsample("upsample_twice", {2, 3, 4, 5}, 8, 10);
    upsample("upsample_odd", {1, 3, 4, 5}, 7, 9);
    upsample("upsample_thrice", {1, 2, 5, 3}, 15, 9);
    upsample("upsample_unevenly", {1, 2, 7, 10}, 41, 14);
    upsample("upsample_one_pixel", {1, 2, 1, 1}, 3, 5);
    upsample("upsample_nothing", {1, 2, 3, 4}, 3, 4);
    upsample("upsample_down", {1, 2, 9, 8}, 4, 3);
    upsample("upsample_3d", {1, 2, 3, 4, 5}, 8, 10);
    upsample("upsample_planes", {3, 4, 5}, 8, 10);
    cases.push_back(described("upsample_any_size", [](Builder& b) {
        for (const std::int64_t in : {1, 2, 3, 5, 6, 7, 9, 10, 12, 15})
            for (const std::int64_t out : {1, 2, 3, 4, 5, 7, 8, 11, 13, 14, 19, 21, 24, 29, 30, 41}) {
                const Value x = b.real_input(fmt::format("x{}_{}", in, out), {1, 1, in, 1});
                b.output("y", b.upsample_nearest(x, out, 1));
            }
    }));
    cases.push_back({"gather", [](DType precision) {
                         RawGraph raw;
                         const auto table = raw.constant({kRows, 6}, precision);
                         raw.output(raw.add(Op::gather, {table, raw.input({2, 5}, DType::i64)}));
                         return raw.graph;
                     }});
    cases.push_back({"gather_planes_of_values", [](DType precision) {
                         RawGraph raw;
                         const auto table = raw.real_input({kRows, 2, 3}, precision);
                         raw.output(raw.add(Op::gather, {table, raw.input({4}, DType::i64)}));
                         return raw.graph;
                     }});
}

}  // namespace

Cases operation_cases() {
    Cases cases;
    add_convolutions(cases);
    add_products(cases);
    add_norms(cases);
    add_elementwise(cases);
    add_attention(cases);
    add_movement(cases);
    return cases;
}

}  // namespace reprise::test
