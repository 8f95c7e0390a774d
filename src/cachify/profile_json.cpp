#include "cachify/profile_json.h"

#include "reprise/error.h"

namespace reprise::cachify {

namespace {

constexpr int kMostSteps = 100'000;

}  // namespace

std::string to_json_text(const DenoiserIdentity& model) {
    return text_of({{"class", model.class_name}, {"config", model.config}, {"weights", model.weights}});
}

std::string to_json_text(const MeasuredRun& run) {
    Json seeds = Json::array();
    for (const auto seed : run.seeds) seeds.push_back(static_cast<std::int64_t>(seed));
    return text_of({{"scheduler", run.scheduler},
                    {"steps", run.num_inference_steps},
                    {"width", run.width},
                    {"height", run.height},
                    {"guidance_scale", run.guidance_scale},
                    {"precision", run.precision},
                    {"prompts", run.prompts},
                    {"seeds", seeds}});
}

DenoiserIdentity identity_from_json(const Json& json, std::string_view origin) {
    return {require<std::string>(json, "class", origin), require<std::string>(json, "config", origin),
            require<std::string>(json, "weights", origin)};
}

MeasuredRun run_from_json(const Json& json, std::string_view origin) {
    MeasuredRun run;
    run.scheduler = require<std::string>(json, "scheduler", origin);
    run.num_inference_steps = require<int>(json, "steps", origin);
    if (run.num_inference_steps < 1 || run.num_inference_steps > kMostSteps)
        usage_error("{}: {} steps; expected 1 to {}", origin, run.num_inference_steps, kMostSteps);
    run.width = require<int>(json, "width", origin);
    run.height = require<int>(json, "height", origin);
    run.guidance_scale = require<double>(json, "guidance_scale", origin);
    run.precision = require<std::string>(json, "precision", origin);
    run.prompts = require<std::vector<std::string>>(json, "prompts", origin);
    for (const auto seed : require<std::vector<std::int64_t>>(json, "seeds", origin))
        run.seeds.push_back(static_cast<std::uint64_t>(seed));
    return run;
}

Json list_from_json(const Json& json, std::string_view key, std::string_view origin) {
    Json list = require<Json>(json, key, origin);
    if (!list.is_array()) usage_error("{}: {} is {}; expected a list", origin, key, list.type_name());
    return list;
}

}  // namespace reprise::cachify
