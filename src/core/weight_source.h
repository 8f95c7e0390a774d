#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/weight.h"

namespace reprise {

/// Where a model's weights come from: the files of a component, a map in memory, another source that is
/// altered. Names are those that the model's builder asks for. Const members may be called from several
/// threads at once.
class WeightSource {
  public:
    WeightSource() = default;
    WeightSource(const WeightSource&) = delete;
    WeightSource& operator=(const WeightSource&) = delete;
    virtual ~WeightSource() = default;

    /// The weight of that name; its tensors are read-only, share the source's memory where they can, and stay
    /// valid after the source is gone. Nothing when there is none; an Error when there is one that cannot be
    /// used, such as an element type that Reprise does not know.
    virtual std::optional<Weight> weight(std::string_view name) const = 0;
    /// The same as a tensor; usage error for a weight that is not plain.
    std::optional<Tensor> find(std::string_view name) const;
    /// Its shape; sources whose tensors cost something to make answer without making one.
    virtual std::optional<Shape> shape(std::string_view name) const;
    /// All names, sorted.
    virtual std::vector<std::string> names() const = 0;
    /// What a weight that is there is called where it is stored, for messages.
    virtual std::string stored_name(std::string_view name) const { return std::string(name); }
    /// Tells the weight of that name from those of other sources: what has the same name and identity has the
    /// same values. Nothing is read for it beyond what opening the source read.
    virtual std::string identity(std::string_view name) const = 0;
    /// The same of all weights together.
    std::string identity() const;
    /// The same weights with floating ones in this precision, where keeping a copy of them pays; null: as
    /// they are, and the builder converts what it reads.
    virtual std::shared_ptr<const WeightSource> converted(DType /*precision*/) const { return nullptr; }
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

/// A source's weights in a precision.
std::shared_ptr<const WeightSource> in_precision(std::shared_ptr<const WeightSource> weights,
                                                 DType precision);

/// A weight's name for messages, with the one that it has where it is stored if that is another:
/// "'a.to_q.weight' (in the file: 'a.query.weight')".
std::string quoted(const WeightSource& weights, std::string_view name);

}  // namespace reprise
