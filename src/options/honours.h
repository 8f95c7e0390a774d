#pragma once

#include <functional>
#include <string_view>

#include "options/row.h"
#include "reprise/pipeline.h"

namespace reprise::options {

/// Whether a pipeline has what an option is about.
using Has = std::function<bool(About)>;

/// Usage error for the first option that is another than in `plain`, which are the pipeline's defaults, and
/// is about what the pipeline does not have. It names the option, its value, the pipeline's class and what is
/// missing.
void refuse_unhonoured(const GenerateOptions& options, const GenerateOptions& plain,
                       std::string_view class_name, const Has& has);

}  // namespace reprise::options
