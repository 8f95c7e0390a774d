#pragma once

#include <functional>
#include <string>

#include "capi/handles.h"

namespace reprise::capi {

/// Generates, reusing what the options say. Reuse is a state of the pipeline, so calls of one pipeline run
/// one after another. `go_on` is called again and again while the call waits for its turn; what it throws
/// ends the call. `say` hears what "auto" chose.
GenerateOutput generate(SharedPipeline& shared, const CallOptions& options,
                        const std::function<void()>& go_on,
                        const std::function<void(const std::string& line)>& say);

}  // namespace reprise::capi
