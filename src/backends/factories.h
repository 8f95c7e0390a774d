#pragma once

#include <memory>

#include "backends/backend.h"

namespace reprise::backends {

// What each backend's folder offers to registry.cpp. A backend that was not built has a folder too,
// no_<name>/, whose `has` is false and whose `create` is an Error (usage) that says so.

bool has_openvino();
std::shared_ptr<Backend> create_openvino();

std::shared_ptr<Backend> create_reference();

}  // namespace reprise::backends
