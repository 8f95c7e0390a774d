#pragma once

#include <string>
#include <vector>

#include "reprise/pipeline.h"

namespace reprise::capi {

/// The names of the options that the pipeline does not refuse, those that are attached included. Each option
/// is tried: it is what a call would say. Error (usage) where the pipeline can run with no options at all.
std::vector<std::string> honoured_options(const Pipeline& pipe);

/// Error (usage) for options that the pipeline refuses, as a call with them gives.
void check_options(const Pipeline& pipe, const GenerateOptions& options);

}  // namespace reprise::capi
