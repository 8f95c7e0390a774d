#pragma once

#include <string>

#include "files/model_folder.h"
#include "reprise/profile.h"

namespace reprise::pipelines {

/// Of a denoiser in a pipeline's folder, which is the component `name`: a few values of each of a few weights
/// are read. `weights` is empty where the folder has none that can be read.
cachify::DenoiserIdentity denoiser_identity(const ModelFolder& folder, const std::string& name,
                                            const std::string& variant);

}  // namespace reprise::pipelines
