#pragma once

#include "files/json.h"
#include "reprise/decision.h"

namespace reprise::cachify {

/// The JSON form of what an entry's "decide" is, and back; `origin` names the entry in errors. Error (usage).
Json to_json(const Decision& decision);
Decision decision_from(const Json& json, const std::string& origin);

}  // namespace reprise::cachify
