// The one list of backends.
#include <fmt/ranges.h>

#include "backends/factories.h"
#include "reprise/error.h"

namespace reprise::backends {

std::vector<std::string> available() {
    std::vector<std::string> names;
    if (has_openvino()) names.emplace_back("openvino");
    names.emplace_back("reference");
    return names;
}

std::shared_ptr<Backend> create(std::string_view name) {
    if (name.empty()) return create(available().front());
    if (name == "openvino") return create_openvino();
    if (name == "reference") return create_reference();
    usage_error("there is no backend '{}'; this build has {}", name, fmt::join(available(), ", "));
}

}  // namespace reprise::backends
