#include "pipelines/component.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/finite.h"
#include "reprise/error.h"

namespace reprise::pipelines {

using backends::Compiled;

namespace {

/// The first output that is not finite, or null.
const Tensor* not_finite(const std::vector<std::vector<Tensor>>& results) {
    for (const auto& outputs : results)
        for (const Tensor& output : outputs)
            if (!is_finite(output)) return &output;
    return nullptr;
}

}  // namespace

Component::Component(std::shared_ptr<const ModelSource> source, std::string name, Engine engine,
                     Options options)
    : source_(std::move(source)),
      name_(std::move(name)),
      engine_(std::move(engine)),
      options_(std::move(options)) {}

std::string Component::stage() const {
    return options_.does.empty() ? name_ : fmt::format("{} with {}", options_.does, where());
}

std::shared_ptr<const WeightSource> Component::weights(DType precision) const {
    const std::lock_guard lock(opened_->mutex);
    auto& weights = opened_->weights[precision];
    if (!weights) weights = in_precision(source_->weights(name_), precision);
    return weights;
}

std::shared_ptr<const Compiled> Component::compiled(const Piece& piece, DType precision,
                                                    const Caller& caller) const {
    caller.check_stop();
    Engine engine = engine_;
    engine.options.precision = precision;
    const auto order = [&] {
        auto source = weights(precision);
        auto graph = std::make_shared<const graph::Graph>(piece.build(precision, *source));
        source->release_pages();  // what had to be converted was read, and is held by the graph
        return backends::order_of(std::move(graph), std::move(source), engine);
    };
    return store_.get<Compiled>(fmt::format("{} {}", piece.key, name_of(precision)), order,
                                {caller.stop, {}});
}

std::vector<std::vector<Tensor>> Component::run(const std::vector<Piece>& parts,
                                                std::vector<std::vector<Tensor>> inputs, DType precision,
                                                const Caller& caller) const {
    std::vector<std::vector<Tensor>> results(inputs.size());
    for (const Piece& part : parts) {
        {
            const auto made = compiled(part, precision, caller);
            for (std::size_t i = 0; i < inputs.size(); ++i) {
                results[i] = Compiled::run(made, inputs[i]);
                inputs[i].front() = results[i].front();
            }
        }
        if (parts.size() > 1) store_.drop_idle();
    }
    return results;
}

std::vector<std::vector<Tensor>> Component::operator()(const std::vector<Piece>& parts,
                                                       std::vector<std::vector<Tensor>> inputs,
                                                       const Caller& caller) const {
    auto results = run(parts, inputs, precision(), caller);
    if (not_finite(results) != nullptr && options_.again_in_f32 && precision() != DType::f32) {
        caller.warn(fmt::format("{} in {} makes values that are not finite: it is done again in f32", stage(),
                                name_of(precision())));
        results = run(parts, std::move(inputs), DType::f32, caller);
    }
    if (const Tensor* output = not_finite(results))
        check_finite(*output, (options_.does.empty() ? "the result of " : "what comes of ") + stage());
    return results;
}

std::vector<Tensor> Component::operator()(const Piece& piece, const std::vector<Tensor>& inputs,
                                          const Caller& caller) const {
    return (*this)(std::vector{piece}, {inputs}, caller).front();
}

void check_finite(const Tensor& tensor, std::string_view stage) {
    if (is_finite(tensor)) return;
    failure("{} is not finite: it has {}", stage, has_nan(tensor) ? "NaN" : "infinity");
}

void need_for_prompts(const ModelSource& source, std::string_view name) {
    if (!source.has(name))
        usage_error("{}: this folder has no {}; Reprise needs it to encode prompts", source.description(),
                    name);
}

}  // namespace reprise::pipelines
