#pragma once

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace reprise {

/// The values that were used most recently, at most so many. Thread-safe; nothing is made under its lock.
template <class Value>
class Recent {
  public:
    explicit Recent(std::size_t most) : most_(most) {}

    /// The value that `is` accepts. Where there is none, the one that `make` gives, unless another thread was
    /// faster: then that one's.
    template <class Is, class Make>
    Value get(const Is& is, const Make& make) {
        {
            const std::scoped_lock lock(mutex_);
            if (const auto known = find(is)) return *known;
        }
        Value made = make();
        const std::scoped_lock lock(mutex_);
        if (const auto known = find(is)) return *known;
        if (values_.size() == most_) values_.erase(values_.begin());
        return values_.emplace_back(std::move(made));
    }

  private:
    template <class Is>
    std::optional<Value> find(const Is& is) {
        const auto known = std::find_if(values_.begin(), values_.end(), is);
        if (known == values_.end()) return std::nullopt;
        std::rotate(known, known + 1, values_.end());
        return values_.back();
    }

    std::size_t most_;
    std::mutex mutex_;
    std::vector<Value> values_;  ///< the one used last at the end
};

}  // namespace reprise
