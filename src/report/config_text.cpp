#include "report/config_text.h"

#include <fmt/format.h>

namespace reprise::report {

std::string describe(const cachify::Config& config) {
    std::string text;
    for (const auto& entry : config) {
        text += text.empty() ? "" : "; ";
        text += fmt::format("{} at {}", entry.wildcard_or_filter_func.text(),
                            entry.select_cache_step_func.text());
        if (entry.store != cachify::Store{}) text += fmt::format(" ({})", to_string(entry.store));
        if (entry.decide)
            text += fmt::format(", decided by {} below {}", name_of(entry.decide->probe),
                                entry.decide->threshold);
    }
    return text;
}

}  // namespace reprise::report
