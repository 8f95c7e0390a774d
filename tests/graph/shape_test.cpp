// The shape rule of every operation: what it gives, and what it says of inputs that do not fit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "graph/raw_graph.h"

namespace reprise::test {

namespace {

using graph::Attributes;
using graph::Op;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

struct Right {
    std::string name;
    Op op;
    std::vector<Shape> inputs;
    Attributes attributes;
    Shape result;
};

struct Wrong {
    std::string name;
    Op op;
    std::vector<Shape> inputs;
    Attributes attributes;
    std::string complaint;  ///< part of the message
};

graph::NodeId add(RawGraph& raw, Op op, const std::vector<Shape>& inputs, const Attributes& attributes) {
    std::vector<graph::NodeId> ids;
    for (const Shape& shape : inputs) {
        const bool are_ids = op == Op::gather && !ids.empty();
        ids.push_back(raw.input(shape, are_ids ? DType::i64 : DType::f32));
    }
    return raw.add(op, ids, attributes);
}

using graph::AttentionAttrs;
using graph::AxisAttrs;
using graph::BinaryAttrs;
using graph::ConvolutionAttrs;
using graph::NormAttrs;
using graph::PadAttrs;
using graph::RepeatAttrs;
using graph::ShapeAttrs;
using graph::SliceAttrs;
using graph::TransposeAttrs;
using graph::UpsampleAttrs;

const std::vector<Right>& right() {
    static const std::vector<Right> kCases = {
        {"convolution",
         Op::convolution,
         {{2, 3, 8, 9}, {4, 3, 3, 3}, {4}},
         ConvolutionAttrs{{1, 1}, {1, 1}, {1, 1}, 1},
         {2, 4, 8, 9}},
        {"convolution_stride",
         Op::convolution,
         {{1, 3, 8, 9}, {4, 3, 3, 3}},
         ConvolutionAttrs{{2, 2}, {1, 1}, {1, 1}, 1},
         {1, 4, 4, 5}},
        {"convolution_asymmetric",
         Op::convolution,
         {{1, 3, 8, 8}, {4, 3, 3, 3}},
         ConvolutionAttrs{{2, 2}, {0, 0}, {1, 1}, 1},
         {1, 4, 4, 4}},
        {"convolution_groups",
         Op::convolution,
         {{1, 6, 5, 5}, {6, 1, 3, 3}},
         ConvolutionAttrs{{1, 1}, {0, 0}, {0, 0}, 6},
         {1, 6, 3, 3}},
        {"convolution_3d",
         Op::convolution,
         {{1, 2, 4, 5, 6}, {3, 2, 3, 1, 1}},
         ConvolutionAttrs{{1, 1, 1}, {1, 0, 0}, {1, 0, 0}, 1},
         {1, 3, 4, 5, 6}},
        {"linear", Op::linear, {{2, 3, 4, 8}, {5, 8}, {5}}, {}, {2, 3, 4, 5}},
        {"linear_vector", Op::linear, {{8}, {5, 8}}, {}, {5}},
        {"group_norm", Op::group_norm, {{2, 6, 3}, {6}, {6}}, NormAttrs{3, 1e-5F}, {2, 6, 3}},
        {"layer_norm", Op::layer_norm, {{2, 3, 6}, {6}, {6}}, NormAttrs{}, {2, 3, 6}},
        {"layer_norm_plain", Op::layer_norm, {{2, 3, 6}}, NormAttrs{}, {2, 3, 6}},
        {"rms_norm", Op::rms_norm, {{2, 3, 6}, {6}}, NormAttrs{}, {2, 3, 6}},
        {"unary", Op::unary, {{2, 3}}, graph::UnaryAttrs{}, {2, 3}},
        {"affine", Op::affine, {{2, 3}}, graph::AffineAttrs{}, {2, 3}},
        {"binary_broadcast", Op::binary, {{2, 1, 4}, {3, 1}}, BinaryAttrs{}, {2, 3, 4}},
        {"binary_scalar", Op::binary, {{2, 3}, {}}, BinaryAttrs{}, {2, 3}},
        {"binary_empty", Op::binary, {{0, 3}, {1, 3}}, BinaryAttrs{}, {0, 3}},
        {"attention",
         Op::attention,
         {{2, 5, 12}, {2, 7, 12}, {2, 7, 18}},
         AttentionAttrs{3, 1, false},
         {2, 5, 18}},
        {"attention_bias",
         Op::attention,
         {{2, 5, 12}, {2, 7, 12}, {2, 7, 12}, {1, 3, 1, 7}},
         AttentionAttrs{3, 1, false},
         {2, 5, 12}},
        {"softmax", Op::softmax, {{2, 3}}, AxisAttrs{1}, {2, 3}},
        {"concat", Op::concat, {{2, 3, 4}, {2, 1, 4}, {2, 5, 4}}, AxisAttrs{1}, {2, 9, 4}},
        {"slice", Op::slice, {{2, 6, 4}}, SliceAttrs{1, 2, 6}, {2, 4, 4}},
        {"repeat", Op::repeat, {{2, 3}}, RepeatAttrs{0, 5}, {10, 3}},
        {"reshape", Op::reshape, {{2, 6}}, ShapeAttrs{{3, 4}}, {3, 4}},
        {"transpose", Op::transpose, {{2, 3, 4}}, TransposeAttrs{{2, 0, 1}}, {4, 2, 3}},
        {"pad", Op::pad, {{2, 3}}, PadAttrs{{1, 0}, {0, 4}}, {3, 7}},
        {"upsample", Op::upsample_nearest, {{1, 2, 3, 4}}, UpsampleAttrs{5, 7}, {1, 2, 5, 7}},
        {"gather", Op::gather, {{10, 4}, {2, 3}}, {}, {2, 3, 4}},
        {"module_output", Op::module_output, {{2, 3}}, graph::ModuleOutputAttrs{}, {2, 3}},
        {"convert", Op::convert, {{2, 3}}, graph::ConvertAttrs{DType::bf16}, {2, 3}},
    };
    return kCases;
}

const std::vector<Wrong>& wrong() {
    static const std::vector<Wrong> kCases = {
        {"convolution_channels",
         Op::convolution,
         {{1, 4, 8, 8}, {4, 3, 3, 3}},
         ConvolutionAttrs{{1, 1}, {0, 0}, {0, 0}, 1},
         "other input channels than its weight"},
        {"convolution_rank",
         Op::convolution,
         {{1, 3, 8}, {4, 3, 3, 3}},
         ConvolutionAttrs{{1, 1}, {0, 0}, {0, 0}, 1},
         "wrong number of dimensions"},
        {"convolution_bias",
         Op::convolution,
         {{1, 3, 8, 8}, {4, 3, 3, 3}, {3}},
         ConvolutionAttrs{{1, 1}, {0, 0}, {0, 0}, 1},
         "misshapen bias"},
        {"convolution_kernel",
         Op::convolution,
         {{1, 3, 2, 8}, {4, 3, 3, 3}},
         ConvolutionAttrs{{1, 1}, {0, 0}, {0, 0}, 1},
         "kernel larger than its input"},
        {"linear_width", Op::linear, {{2, 7}, {5, 8}}, {}, "another input width than its weight"},
        {"linear_scalar", Op::linear, {{}, {5, 8}}, {}, "another input width"},
        {"linear_bias", Op::linear, {{2, 8}, {5, 8}, {8}}, {}, "misshapen bias"},
        {"group_norm_groups",
         Op::group_norm,
         {{2, 6, 3}, {6}, {6}},
         NormAttrs{4, 1e-5F},
         "channels that do not divide by groups"},
        {"group_norm_weight",
         Op::group_norm,
         {{2, 6, 3}, {3}, {6}},
         NormAttrs{3, 1e-5F},
         "misshapen weight or bias"},
        {"layer_norm_weight", Op::layer_norm, {{2, 6}, {2}}, NormAttrs{}, "misshapen weight or bias"},
        {"rms_norm_scalar", Op::rms_norm, {{}}, NormAttrs{}, "needs a dimension"},
        {"binary", Op::binary, {{2, 3}, {2, 4}}, BinaryAttrs{}, "cannot broadcast"},
        {"attention_rank",
         Op::attention,
         {{2, 5, 2, 6}, {2, 7, 12}, {2, 7, 12}},
         AttentionAttrs{3, 1, false},
         "needs (batch, length, width)"},
        {"attention_batches",
         Op::attention,
         {{2, 5, 12}, {1, 7, 12}, {1, 7, 12}},
         AttentionAttrs{3, 1, false},
         "different batches"},
        {"attention_keys",
         Op::attention,
         {{2, 5, 12}, {2, 7, 12}, {2, 6, 12}},
         AttentionAttrs{3, 1, false},
         "keys that do not fit"},
        {"attention_heads",
         Op::attention,
         {{2, 5, 12}, {2, 7, 12}, {2, 7, 12}},
         AttentionAttrs{5, 1, false},
         "does not divide by heads"},
        {"attention_bias",
         Op::attention,
         {{2, 5, 12}, {2, 7, 12}, {2, 7, 12}, {2, 3, 5, 6}},
         AttentionAttrs{3, 1, false},
         "misshapen bias"},
        {"attention_bias_rank",
         Op::attention,
         {{2, 5, 12}, {2, 7, 12}, {2, 7, 12}, {5, 7}},
         AttentionAttrs{3, 1, false},
         "bias with four dimensions"},
        {"softmax", Op::softmax, {{2, 3}}, AxisAttrs{2}, "axis out of range"},
        {"softmax_negative", Op::softmax, {{2, 3}}, AxisAttrs{-1}, "axis out of range"},
        {"concat", Op::concat, {{2, 3}, {3, 3}}, AxisAttrs{1}, "differ outside its axis"},
        {"concat_rank", Op::concat, {{2, 3}, {2, 3, 1}}, AxisAttrs{1}, "different rank"},
        {"slice_end", Op::slice, {{2, 6}}, SliceAttrs{1, 2, 7}, "out of range"},
        {"slice_empty", Op::slice, {{2, 6}}, SliceAttrs{1, 2, 2}, "out of range"},
        {"repeat", Op::repeat, {{2, 6}}, RepeatAttrs{1, 0}, "repeats less than once"},
        {"reshape", Op::reshape, {{2, 6}}, ShapeAttrs{{3, 5}}, "cannot give (3, 5)"},
        {"transpose_count", Op::transpose, {{2, 6}}, TransposeAttrs{{0}}, "another number of axes"},
        {"transpose_twice", Op::transpose, {{2, 6}}, TransposeAttrs{{1, 1}}, "names an axis twice"},
        {"pad_axes", Op::pad, {{2, 6}}, PadAttrs{{1}, {1}}, "pads other axes"},
        {"pad_negative", Op::pad, {{2, 6}}, PadAttrs{{0, -1}, {0, 0}}, "less than nothing"},
        {"upsample", Op::upsample_nearest, {{2, 6}}, UpsampleAttrs{4, 4}, "needs a picture and a size"},
        {"upsample_size", Op::upsample_nearest, {{1, 2, 6, 6}}, UpsampleAttrs{0, 4}, "a size"},
        {"gather", Op::gather, {{}, {2}}, {}, "needs a table"},
    };
    return kCases;
}

TEST(Shapes, AreInferred) {
    std::set<Op> covered = {Op::input, Op::constant};
    for (const Right& entry : right()) {
        SCOPED_TRACE(entry.name);
        RawGraph raw("blocks.0");
        const auto id = add(raw, entry.op, entry.inputs, entry.attributes);
        EXPECT_EQ(raw.graph[id].shape, entry.result);
        covered.insert(entry.op);
    }
    EXPECT_EQ(covered.size(), static_cast<std::size_t>(Op::module_output) + 1) << "an operation has no case";
}

TEST(Shapes, ErrorsNameOperationModuleAndInputs) {
    for (const Wrong& entry : wrong()) {
        SCOPED_TRACE(entry.name);
        RawGraph raw("blocks.0");
        try {
            add(raw, entry.op, entry.inputs, entry.attributes);
            ADD_FAILURE() << "no Error was thrown";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::failure);
            EXPECT_THAT(error.what(), AllOf(HasSubstr(entry.complaint), HasSubstr(name_of(entry.op)),
                                            HasSubstr("raw"), HasSubstr("'blocks.0'"),
                                            HasSubstr(to_string(entry.inputs[0])), Not(HasSubstr("\n"))));
        }
    }
}

TEST(Types, FollowTheInputs) {
    RawGraph raw;
    const auto x = raw.real_input({2, 3}, DType::bf16);
    EXPECT_EQ(raw.graph[raw.add(Op::unary, {x}, graph::UnaryAttrs{})].type, DType::bf16);
    EXPECT_EQ(raw.graph[raw.add(Op::convert, {x}, graph::ConvertAttrs{DType::f32})].type, DType::f32);
    const auto table = raw.constant({4, 3}, DType::bf16);
    EXPECT_EQ(raw.graph[raw.add(Op::gather, {table, raw.input({2}, DType::i64)})].type, DType::bf16);
    EXPECT_EQ(raw.graph[raw.input({2}, DType::i64)].type, DType::i64);
}

TEST(Types, ThatMixAreAnError) {
    RawGraph raw("blocks.0");
    const auto x = raw.input({2, 3});
    const auto y = raw.real_input({2, 3}, DType::bf16);
    try {
        raw.add(Op::binary, {x, y}, BinaryAttrs{});
        FAIL() << "no Error was thrown";
    } catch (const Error& error) {
        EXPECT_THAT(error.what(),
                    AllOf(HasSubstr("binary"), HasSubstr("'blocks.0'"), HasSubstr("f32"), HasSubstr("bf16")));
    }
    EXPECT_THROW(raw.add(Op::gather, {x, x}), Error);  // ids must be i64
}

}  // namespace

}  // namespace reprise::test
