#include "pipelines/caller.h"

#include <algorithm>

namespace reprise::pipelines {

void Messages::add(const Message& message) {
    if (std::find(all_.begin(), all_.end(), message) != all_.end()) return;
    all_.push_back(message);
    hears_(message);
}

}  // namespace reprise::pipelines
