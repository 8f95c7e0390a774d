#include "cachify/measure.h"

#include <utility>

#include "backends/host_queue.h"

namespace reprise::cachify {

void ValueMeasure::show(Seen what, backends::Value value) {
    values_[static_cast<std::size_t>(what)] = std::move(value);
}

double ValueMeasure::difference(Seen a, Seen b) const {
    const auto &x = value(a), &y = value(b);
    return x.is_on_host() ? backends::host::difference(x.host(), y.host()) : queue_->difference(x, y);
}

double ValueMeasure::magnitude(Seen a) const {
    const auto& x = value(a);
    return x.is_on_host() ? backends::host::magnitude(x.host()) : queue_->magnitude(x);
}

void ValueMeasure::remember(Seen what, Seen as) {
    const auto& x = value(what);
    show(as, x.is_on_host() ? backends::Value(x.host().clone()) : queue_->copy(x));
}

}  // namespace reprise::cachify
