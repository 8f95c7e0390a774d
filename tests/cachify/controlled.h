#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/generator.h"
#include "core/map_weights.h"
#include "graph/builder.h"
#include "models/denoiser.h"
#include "models/embeddings.h"
#include "reprise/module_kind.h"

namespace reprise::cachify::testing {

/// How a made-up control network's strength is multiplied in.
enum class Strength { activations, weights };

inline constexpr std::int64_t kControlledWidth = 16;

inline std::vector<graph::InputAttrs> controlled_inputs(const models::DenoiserShape& shape) {
    const auto shared = [](std::string name, Shape own) {
        graph::InputAttrs input = models::fixed_input(std::move(name), std::move(own));
        input.per_half = false;
        return input;
    };
    return {models::latents_input({shape.batch, 2, shape.height, shape.width}),
            models::timestep_input(kControlledWidth),
            models::fixed_input(models::kText, {shape.batch, shape.text_tokens, kControlledWidth}),
            shared("control_image", {1, 2, shape.height, shape.width}), shared("control_scale", {1})};
}

/// A small U with a part "control.0" like a ControlNet: down blocks and a middle of the same names, whose
/// outputs are multiplied by the input "control_scale" and added to the U's skips and middle. Of a batch of
/// one.
inline graph::Graph controlled_denoiser(const models::DenoiserShape& shape, const WeightSource* weights,
                                        const WeightSource* control,
                                        Strength strength = Strength::activations) {
    using graph::Value;
    constexpr auto kWidth = kControlledWidth;
    graph::Builder b("controlled", DType::f32, weights);
    const auto in = b.real_inputs(controlled_inputs(shape));
    const Value sample = in.at("sample"), scale = in.at("control_scale");
    const auto as_bias = [&](Value x) { return b.reshape(x, {1, kWidth, 1, 1}); };
    const auto block = [&](const std::string& name, Value x, Value more) {
        auto scope = b.module(name, ModuleKind::block);
        scope.takes({x});
        return scope.returns(x + b.silu(b.conv2d(x, "conv", kWidth, 3) + more));
    };
    const Value time = as_bias(b.linear(in.at("timestep_embedding"), "time", kWidth));

    std::vector<Value> added;
    {
        const auto part = b.part("control.0", control);
        // a sum of rows of a weight, which strengths may multiply before or after
        const auto out = [&](Value x, int i) {
            const auto layer = b.module("out." + std::to_string(i));
            const Value rows = b.reshape(b.weight("weight", {kWidth, kWidth}), {1, kWidth, kWidth});
            const bool early = strength == Strength::weights;
            const Value tokens = b.transpose(b.reshape(x, {1, kWidth, -1}), {0, 2, 1});
            const Value mixed = b.attention(tokens, rows, early ? rows * scale : rows, {});
            const Value result = b.reshape(b.transpose(mixed, {0, 2, 1}), x.shape());
            return early ? result : result * scale;
        };
        Value x = b.conv2d(sample, "conv_in", kWidth, 3);
        x = x + b.conv2d(in.at("control_image"), "embedding", kWidth, 3);
        for (int i = 0; i < 2; ++i) {
            x = block("down_blocks." + std::to_string(i), x, time);
            added.push_back(out(x, i));
        }
        x = block("mid_block", x, time);
        added.push_back(out(x, 2));
    }

    const Value text = in.at(models::kText);
    const Value seen = as_bias(b.slice(b.linear(text, "text", kWidth), 1, 0, 1));
    Value x = b.conv2d(sample, "conv_in", kWidth, 3);
    std::vector<Value> skips;
    for (int i = 0; i < 2; ++i) {
        x = block("down_blocks." + std::to_string(i), x, time);
        skips.push_back(x + added[static_cast<std::size_t>(i)]);
    }
    x = block("mid_block", x, seen) + added.back();
    for (int i = 0; i < 2; ++i) {
        x = block("up_blocks." + std::to_string(i), x, skips.back());
        skips.pop_back();
    }
    b.output("sample", b.conv2d(x, "conv_out", 2, 3));
    return b.finish();
}

/// Drawn weights of the denoiser's own and of its control network, under the names that each has in its
/// checkpoint.
struct ControlledWeights {
    ControlledWeights() : own(drawn("")), control(drawn("control.0")) {}

    MapWeights own, control;

  private:
    static MapWeights::Map drawn(const std::string& part) {
        const auto graph = controlled_denoiser({1, 2, 2, 3}, nullptr, nullptr);
        Generator generator(part.size());
        MapWeights::Map result;
        for (const graph::Node& node : graph.nodes) {
            if (node.op != graph::Op::constant) continue;
            if (graph.modules[static_cast<std::size_t>(node.module)].part != part) continue;
            Tensor weight = generator.randn(node.shape);
            for (float& value : weight.span<float>()) value *= 0.2F;
            const std::string& name = node.attrs<graph::ConstantAttrs>().name;
            result.emplace(part.empty() ? name : name.substr(part.size() + 1), std::move(weight));
        }
        return result;
    }
};

/// The same as a denoiser that a pipeline could have.
class ControlledDenoiser final : public models::Denoiser {
  public:
    models::DenoiserTraits traits() const override {
        models::DenoiserTraits traits;
        traits.in_channels = traits.out_channels = 2;
        return traits;
    }
    std::vector<graph::InputAttrs> inputs(const models::DenoiserShape& shape) const override {
        return controlled_inputs(shape);
    }
    graph::Graph build(const models::DenoiserShape& shape, DType /*precision*/,
                       const WeightSource* weights) const override {
        return controlled_denoiser(shape, weights == nullptr ? nullptr : &weights_.own,
                                   weights == nullptr ? nullptr : &weights_.control);
    }
    models::NamedTensors fixed_inputs(const models::Conditioning& conditioning) const override {
        ++fixed_inputs_made;
        models::NamedTensors result;
        for (const char* name : {models::kText, "control_image", "control_scale"})
            result[name] = models::given(conditioning, name);
        return result;
    }
    std::vector<Tensor> step_inputs(const Tensor& sample, float timestep) const override {
        ++step_inputs_made;
        return {sample, models::timestep_embedding(timestep, {kControlledWidth, true, 0})};
    }

    const ControlledWeights& weights() const { return weights_; }
    mutable int fixed_inputs_made = 0, step_inputs_made = 0;

  private:
    ControlledWeights weights_;
};

}  // namespace reprise::cachify::testing
