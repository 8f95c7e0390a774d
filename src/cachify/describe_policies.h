#pragma once

#include "files/json.h"

namespace reprise::cachify {

/// All policies as JSON: a list of {"name", "source", "parameters"}, where a parameter has "name", "type"
/// ("number", "whole", "yes", "text"), "default" (null of a text), "least" (of whole numbers, else null),
/// "required" and "meaning". The parameters of all policies are in each.
nlohmann::ordered_json describe_policies();

}  // namespace reprise::cachify
