#pragma once

#include <nlohmann/json.hpp>

#include "reprise/pipeline.h"

namespace reprise::report {

/// Everything a run reported: steps with variant ("full", "reused"), seconds and share of a full step's
/// FLOPs; times by phase; work and memory.
nlohmann::ordered_json to_json(const RunReport& report);

}  // namespace reprise::report
