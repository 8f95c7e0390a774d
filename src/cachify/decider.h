#pragma once

#include <optional>
#include <vector>

#include "cachify/measure.h"
#include "reprise/decision.h"

namespace reprise::cachify {

/// Decides step by step, for one picture and generation, whether to reuse: a measured change, added up or
/// not, against a threshold, within limits. It gets numbers from a measure, wherever the values are.
class Decider {
  public:
    /// `picture`: which of a record's it is.
    Decider(const Decision& decision, int num_steps, std::size_t picture);

    /// Whether the step is reused. `allowed`: whether the schedule lets it. Called once for every step, in
    /// order. `seen`: the same at each step, which shows the probe, where the decision has one, of this half
    /// of guidance, and the sample. A probe is compared with the same half's.
    bool reuses(int step, bool allowed, Measure& seen, std::size_t branch = 0);
    /// Called once after each step; `seen` shows what the denoiser gave for that sample.
    void gave(Measure& seen);

    /// The steps that were reused.
    const std::vector<int>& reused() const { return reused_; }

  private:
    bool is_recorded(int step, bool allowed) const;
    bool is_small_enough(int step, bool allowed, Measure& seen);
    double change(int step, const Measure& seen);
    double change_of_latents(const Measure& seen) const;
    double accumulated(double change) const;
    double budget() const;
    bool within_limits(int step) const;
    void remember(bool reuse, Measure& seen);
    Seen kept_probe() const { return branch_ == 0 ? Seen::kept_probe : Seen::kept_probe_2; }

    Decision decision_;
    int num_steps_;
    std::optional<std::vector<int>> record_;
    std::vector<int> reused_;

    double gathered_ = 0;  ///< since the last full step
    double ratio_ = 1;     ///< of magnitudes since then
    int in_a_row_ = 0;
    bool reusing_ = false, allowed_ = false;  ///< this step
    std::size_t branch_ = 0;                  ///< whose probe this step's is
    bool has_probe_[2] = {};                  ///< by branch, whether one is kept
    // How the denoiser's output followed its input.
    double output_magnitude_ = 0, rate_ = 0, output_change_ = 0;
    int computed_ = 0;  ///< full steps that were looked at
};

}  // namespace reprise::cachify
