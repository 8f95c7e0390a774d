#include "pipelines/component.h"

#include <fmt/format.h>

#include "core/finite.h"
#include "files/weight_cache.h"
#include "reprise/error.h"

namespace reprise::pipelines {

std::shared_ptr<const backends::Compiled> CompiledGraphs::get(const std::string& key, const Engine& engine,
                                                              const std::function<Built()>& build,
                                                              const Caller& caller) const {
    using backends::Compiled;
    caller.check_stop();
    const auto order = [&] {
        auto built = std::make_shared<const Built>(build());
        const auto footprint = engine.backend->footprint(built->graph);
        return backends::Store::Order<Compiled>{footprint,
                                                [built = std::move(built), engine] {
                                                    auto compiled = std::make_shared<const Compiled>(
                                                        built->graph, engine);
                                                    if (built->weights) built->weights->release_pages();
                                                    return compiled;
                                                },
                                                engine.traits().compiles_at_once};
    };
    return store_.get<Compiled>(key, order, {caller.stop, {}});
}

AutoencoderHalf::AutoencoderHalf(std::string what, std::filesystem::path folder, std::string variant,
                                 Engine engine, Build build)
    : what_(std::move(what)),
      folder_(std::move(folder)),
      variant_(std::move(variant)),
      engine_(std::move(engine)),
      build_(std::move(build)) {}

Tensor AutoencoderHalf::run(const Tensor& input, DType precision, const Caller& caller) const {
    Engine engine = engine_;
    engine.options.precision = precision;
    const auto compiled = compiled_.get(
        fmt::format("{} {}", to_string(input.shape()), name_of(precision)), engine,
        [&] {
            auto weights = open_weights(folder_, variant_, precision);
            auto graph = build_(input.shape(), precision, weights.get());
            return CompiledGraphs::Built{std::move(graph), std::move(weights)};
        },
        caller);
    return backends::Compiled::run(compiled, {input}).front();
}

Tensor AutoencoderHalf::operator()(const Tensor& input, const Caller& caller) const {
    const std::string stage = fmt::format("{} with {}", what_, folder_.string());
    Tensor output = run(input, precision(), caller);
    if (is_finite(output)) return output;
    if (precision() != DType::f32) {
        caller.warn(fmt::format("{} in {} makes values that are not finite: it is done again in f32", stage,
                                name_of(precision())));
        output = run(input, DType::f32, caller);
    }
    check_finite(output, "what comes of " + stage);
    return output;
}

void check_finite(const Tensor& tensor, std::string_view stage) {
    if (is_finite(tensor)) return;
    failure("{} is not finite: it has {}", stage, has_nan(tensor) ? "NaN" : "infinity");
}

std::shared_ptr<const WeightSource> open_weights(const std::filesystem::path& folder,
                                                 const std::string& variant, DType precision,
                                                 Library library) {
    return WeightCache().open(std::make_shared<const Checkpoint>(folder, CheckpointOptions{variant, library}),
                              precision);
}

}  // namespace reprise::pipelines
