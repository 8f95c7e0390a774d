#include "pipelines/policy_view.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "cachify/remembered.h"
#include "reprise/error.h"

namespace reprise::pipelines {

PolicyView::PolicyView(const DiffusionPipeline& pipe, const GenerateOptions& options, std::size_t denoiser)
    : context_{pipe.denoiser(denoiser).class_name(), pipe.structure(denoiser),
               [&pipe, denoiser] { return pipe.identity(denoiser); }, pipe.source()->folder()} {
    context_.on_message = options.on_message;
    const GenerateOptions asked = pipe.with_defaults(options);
    cachify::MeasuredRun& run = context_.run;
    run.num_inference_steps = *asked.num_inference_steps;
    run.guidance_scale = *asked.guidance_scale;
    run.precision = name_of(pipe.engine().options.precision);
    try {  // the folder's own may be unknown or not supported; the call may name another
        const auto shape = pipe.shape(asked);
        run.width = static_cast<int>(shape.width);
        run.height = static_cast<int>(shape.height);
        const auto scheduler = pipe.scheduler(asked);
        run.scheduler = scheduler->name();
        context_.adds_noise = scheduler->stochastic();
    } catch (const Error&) {  // then policies do without what it would have said
        context_.run.scheduler.clear();
    }
}

namespace {

/// What is said for one of a pipeline's denoisers. Usage error for names of none.
const Reuse& reuse_of(const Reuse& all, std::span<const NamedDenoiser> denoisers, std::size_t denoiser) {
    for (const auto& [name, own] : all.of) {
        std::vector<std::string_view> names;
        for (const NamedDenoiser& each : denoisers) names.push_back(each.name);
        if (std::find(names.begin(), names.end(), name) == names.end())
            usage_error("reuse is given for a denoiser '{}'; this pipeline has {}", name,
                        fmt::join(names, ", "));
        if (!own.of.empty())
            usage_error("reuse of '{}' is given by denoiser once more; expected what it reuses", name);
    }
    const auto found = all.of.find(denoisers[denoiser].name);
    return found == all.of.end() ? all : found->second;
}

}  // namespace

Ways ways_of(const DiffusionPipeline& pipe, const GenerateOptions& options, std::size_t denoiser) {
    const auto prepared = options.reuse ? nullptr : pipe.default_reuse();
    if (!options.reuse && !prepared) return {};
    const Reuse& all = options.reuse ? *options.reuse : *prepared;
    const Reuse& reuse = reuse_of(all, pipe.denoisers(), denoiser);
    Ways ways;
    ways.count = reuse.count;
    ways.in_full = all.in_full || reuse.in_full;
    if (reuse.is_off()) return ways;
    if (const auto* config = std::get_if<cachify::Config>(&reuse.what)) {
        ways.config = cachify::remembered(*config);
        return ways;
    }
    const auto& policy = std::get<std::string>(reuse.what);
    auto config = cachify::make_policy(PolicyView(pipe, options, denoiser).context(), policy);
    // "auto" that chose to reuse nothing has said so.
    if (!config.empty()) ways.config = std::move(config);
    return ways;
}

}  // namespace reprise::pipelines
