// Policies without parameters, for people who want none. Chosen from what docs/policies.md measured.
#include "cachify/policies.h"
#include "reprise/error.h"

namespace reprise::cachify {

namespace {

struct Preset {
    std::string_view name;
    std::string_view unet, transformer, video;
};

constexpr Preset kPresets[] = {
    {"slow", "default", "deepcache:interval=2,branch=2", "default"},
    {"medium", "default+guidance", "deepcache:interval=2,branch=1+guidance", "deepcache:interval=2,branch=0"},
    {"fast", "deepcache:interval=3,branch=1+guidance", "deepcache:interval=3,branch=1+guidance",
     "deepcache:interval=3,branch=0"},
    {"ultra", "deepcache:interval=4,branch=1+guidance:interval=4",
     "deepcache:interval=4,branch=0+guidance:interval=4", "deepcache:interval=4,branch=0"},
};

}  // namespace

Config preset(const PolicyContext& context, std::string_view name) {
    for (const Preset& preset : kPresets) {
        if (preset.name != name) continue;
        if (context.denoiser_class == "UNetSpatioTemporalConditionModel")
            return make_policy(context, preset.video);
        return make_policy(context, count_modules(context.graph, "transformer_blocks") > 0
                                        ? preset.transformer
                                        : preset.unet);
    }
    failure("no preset {}", name);
}

}  // namespace reprise::cachify
