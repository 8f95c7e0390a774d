#pragma once

#include <string_view>

#include "reprise/pipeline.h"

namespace reprise::capi {

/// Sets what the JSON of a call's options has. Error (usage) that names the option which there is not or
/// which has another type.
void add_call_options(GenerateOptions& options, std::string_view json);
/// Reads the JSON of the options of opening a folder. Errors as above.
LoadOptions parse_load_options(std::string_view json);

}  // namespace reprise::capi
