#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reprise/tensor.h"

namespace reprise {

/// Where a model's weights come from: a checkpoint folder, its converted copy, a map in memory.
/// Const members may be called from several threads at once.
class WeightSource {
  public:
    WeightSource() = default;
    WeightSource(const WeightSource&) = delete;
    WeightSource& operator=(const WeightSource&) = delete;
    virtual ~WeightSource() = default;

    /// The tensor of that name, read-only and sharing the source's memory where it can; it stays valid
    /// after the source is gone. Nothing when there is none; an Error when there is one that cannot be
    /// used, such as an element type that Reprise does not know.
    virtual std::optional<Tensor> find(std::string_view name) const = 0;
    /// Its shape; sources whose tensors cost something to make answer without making one.
    virtual std::optional<Shape> shape(std::string_view name) const {
        const auto tensor = find(name);
        return tensor ? std::optional(tensor->shape()) : std::nullopt;
    }
    /// All names, sorted.
    virtual std::vector<std::string> names() const = 0;
    /// Lets the system take back the memory of mapped weights that were read. Tensors stay valid: reading
    /// them again reads the file again.
    virtual void release_pages() const = 0;
    /// What to call the source in messages, such as its folder.
    virtual std::string description() const = 0;
    /// True the first time: of a source, what is left over is said once.
    virtual bool is_first_look() const { return !looked_at_.exchange(true); }

  private:
    mutable std::atomic<bool> looked_at_ = false;
};

}  // namespace reprise
