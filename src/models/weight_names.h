#pragma once

#include <string_view>

#include "files/renamed_weights.h"

namespace reprise::models {

/// How the weights of a diffusers or transformers class are called in files of older and newer releases, and
/// which of these are no weights of the model: a row of the list in weight_names.cpp. Null: as its builder
/// calls them. Other shapes of the same weights, such as 1x1 convolutions for linear layers, are the
/// Builder's business.
NameRule name_rule(std::string_view class_name);

}  // namespace reprise::models
