#pragma once

#include <string>
#include <vector>

#include "reprise/pipeline.h"

namespace reprise::capi {

/// The names of the options that the pipeline does not refuse, those that are attached included.
std::vector<std::string> honoured_options(const Pipeline& pipe);

/// Error (usage) for options that the pipeline refuses, as a call with them gives.
void check_options(const Pipeline& pipe, const GenerateOptions& options);

}  // namespace reprise::capi
