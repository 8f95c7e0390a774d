#include <fmt/ranges.h>

#include "backends/factories.h"
#include "reprise/error.h"

namespace reprise::backends {

bool has_openvino() {
    return false;
}

std::shared_ptr<Backend> create_openvino() {
    usage_error(
        "the backend 'openvino' was not built; configure with -DREPRISE_BACKEND_OPENVINO=ON, or use {}",
        fmt::join(available(), ", "));
}

}  // namespace reprise::backends
