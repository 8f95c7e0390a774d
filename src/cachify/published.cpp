// What is known of a class of denoiser, as configurations: the original's defaults.
#include <algorithm>
#include <cmath>

#include "cachify/policies.h"
#include "models/facts.h"
#include "reprise/error.h"

namespace reprise::cachify {

const Config SDXL_DEFAULT_CONFIG = parse_config(models::kSdxlDefault, "SDXL_DEFAULT_CONFIG");
const Config PIXART_DEFAULT_CONFIG = parse_config(models::kPixArtDefault, "PIXART_DEFAULT_CONFIG");
const Config PIXART_ORIGINAL_EXAMPLE_CONFIG =
    parse_config(models::kPixArtAsWritten, "PIXART_ORIGINAL_EXAMPLE_CONFIG");
const Config SVD_DEFAULT_CONFIG = parse_config(models::kSvdDefault, "SVD_DEFAULT_CONFIG");
const Config SD3_DEFAULT_CONFIG = parse_config(models::kSd3Default, "SD3_DEFAULT_CONFIG");

Config default_config(const PolicyContext& context) {
    const models::DenoiserFacts* facts = models::facts_of(context.denoiser_class);
    if (facts == nullptr)
        usage_error("there is no default cache configuration for a {}; give one", context.denoiser_class);
    const auto& published = facts->published;
    const graph::Outline outline = outline_of(context);
    const std::size_t depth = last_stack_size(outline);
    if (depth == published.depth || depth == 0) return parse_config(published.config, context.denoiser_class);
    const auto runs = std::max(1L, std::lround(static_cast<double>(depth) * published.runs));
    auto names = names_of(outline);
    names.resize(std::max(std::size_t{1}, names.size() - static_cast<std::size_t>(runs)));
    return {of_names(names, std::string(published.steps), {ModuleKind::block})};
}

Config original_example(const PolicyContext& context) {
    const models::DenoiserFacts* facts = models::facts_of(context.denoiser_class);
    if (facts == nullptr || facts->published.as_written.empty())
        usage_error("the original's example is for PixArt; this model's denoiser is a {}",
                    context.denoiser_class);
    return parse_config(facts->published.as_written, context.denoiser_class);
}

std::span<const Preset> presets_of(std::string_view denoiser_class) {
    const models::DenoiserFacts* facts = models::facts_of(denoiser_class);
    return facts == nullptr ? std::span<const Preset>{} : facts->presets;
}

graph::Outline outline_of(const PolicyContext& context) {
    return models::outline_of(context.denoiser_class, context.graph);
}

}  // namespace reprise::cachify
