#pragma once

#include <cstddef>

#include "backends/queue.h"

namespace reprise::cachify {

/// What a decision looks at: what the run shows at this step, and what was remembered of earlier ones. Each
/// is of one half of a picture's guidance, or of its only pass.
enum class Seen {
    probe,            ///< what the plan's probe yielded
    sample,           ///< the denoiser's input
    prediction,       ///< what it gave for that
    kept_probe,       ///< of the step that is compared with, of the first half
    kept_probe_2,     ///< of the second half
    last_sample,      ///< of the last step that was decided
    full_sample,      ///< of the last full step
    full_prediction,  ///< likewise
};
inline constexpr std::size_t kNumSeen = 8;

/// Compares values where they are: a decision needs numbers alone. One picture's, used by one thread.
class Measure {
  public:
    Measure() = default;
    Measure(const Measure&) = default;
    Measure& operator=(const Measure&) = default;
    virtual ~Measure() = default;

    /// The mean of |a - b| over all elements, which are as many in both.
    virtual double difference(Seen a, Seen b) const = 0;
    /// The mean of |a|.
    virtual double magnitude(Seen a) const = 0;
    /// From now on `as` is what `what` is now, whatever becomes of that.
    virtual void remember(Seen what, Seen as) = 0;
};

/// Of a run's values: the numbers come to the host, the values do not.
class ValueMeasure final : public Measure {
  public:
    /// `queue`: the run's, of what is not in the host's memory. It outlives this.
    explicit ValueMeasure(backends::Queue& queue) : queue_(&queue) {}

    /// What the run has of this now, of any floating type. It stays as it is until it is shown again, or was
    /// remembered.
    void show(Seen what, backends::Value value);

    double difference(Seen a, Seen b) const override;
    double magnitude(Seen a) const override;
    void remember(Seen what, Seen as) override;

  private:
    const backends::Value& value(Seen seen) const { return values_[static_cast<std::size_t>(seen)]; }

    backends::Queue* queue_;
    backends::Value values_[kNumSeen];
};

}  // namespace reprise::cachify
