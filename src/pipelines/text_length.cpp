#include "pipelines/text_length.h"

#include <algorithm>

#include "reprise/error.h"

namespace reprise::pipelines {

TextLength TextLength::masked(std::vector<std::int64_t> buckets) {
    if (buckets.empty() || buckets.front() < 1 ||
        std::adjacent_find(buckets.begin(), buckets.end(), std::greater_equal<>()) != buckets.end())
        failure("the lengths of masked texts have to ascend from 1 on");
    const std::int64_t most = buckets.back();
    return {Rule::masked, most, 1, std::move(buckets)};
}

std::int64_t TextLength::of(std::int64_t tokens) const {
    tokens = std::clamp<std::int64_t>(tokens, 1, most);
    switch (rule) {
        case Rule::fixed:
            return most;
        case Rule::multiple:
            return std::min(most, (tokens + unit - 1) / unit * unit);
        case Rule::masked:
            return *std::lower_bound(buckets.begin(), buckets.end(), tokens);
    }
    return most;
}

}  // namespace reprise::pipelines
