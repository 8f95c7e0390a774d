// Policies without parameters, for people who want none: EasyCache at four thresholds. Of what
// docs/policies.md measured it lost least against fewer steps at every speed, and since it decides by how
// much changes, it suits models and numbers of steps that were not measured.
#include "cachify/policies.h"
#include "reprise/error.h"

namespace reprise::cachify {

namespace {

constexpr std::pair<std::string_view, double> kThresholds[] = {
    {"slow", 0.05}, {"medium", 0.1}, {"fast", 0.15}, {"ultra", 0.3}};

}  // namespace

Config preset(std::string_view name) {
    for (const auto& [known, threshold] : kThresholds)
        if (known == name) return easy_cache({{threshold, 2}, false});
    failure("no preset {}", name);
}

}  // namespace reprise::cachify
