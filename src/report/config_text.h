#pragma once

#include <string>

#include "reprise/cachify.h"

namespace reprise::report {

/// A configuration on one line, for people: its entries in their JSON form.
std::string describe(const cachify::Config& config);

}  // namespace reprise::report
