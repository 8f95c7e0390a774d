#pragma once

#include <string_view>

#include "reprise/pipeline.h"

namespace reprise::pipelines {

// What a call is given beside its other options, by the names that C and Python have for it. Usage error with
// all names for another.

/// "image".
void attach(GenerateOptions& options, std::string_view name, Image image);
/// "latents", "start_latents", or one of a prompt's embeddings.
void attach(GenerateOptions& options, std::string_view name, Tensor tensor);

}  // namespace reprise::pipelines
