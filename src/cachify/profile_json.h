#pragma once

#include <string>
#include <string_view>

#include "files/json.h"
#include "reprise/profile.h"

namespace reprise::cachify {

/// What files say of the denoiser and the run that they were made with. `origin` names them in errors
/// (usage).
std::string to_json_text(const DenoiserIdentity& model);
std::string to_json_text(const MeasuredRun& run);
DenoiserIdentity identity_from_json(const Json& json, std::string_view origin);
MeasuredRun run_from_json(const Json& json, std::string_view origin);
/// The value of a key, which has to be a list.
Json list_from_json(const Json& json, std::string_view key, std::string_view origin);

}  // namespace reprise::cachify
