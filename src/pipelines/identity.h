#pragma once

#include <string>

#include "files/model_source.h"
#include "reprise/profile.h"

namespace reprise::pipelines {

/// Of a pipeline's denoiser, which is the component `name`: a few values of each of a few weights are read.
/// `weights` is empty where the source has none that can be read.
cachify::DenoiserIdentity denoiser_identity(const ModelSource& source, const std::string& name);

}  // namespace reprise::pipelines
