#pragma once

#include <optional>
#include <vector>

#include "reprise/decision.h"
#include "reprise/tensor.h"

namespace reprise::cachify {

/// Decides step by step, for one picture and generation, whether to reuse: a measured change, added up or
/// not, against a threshold, within limits. Tensors are of one half of a picture's guidance, or of its only
/// pass.
class Decider {
  public:
    /// `picture`: which of a record's it is.
    Decider(const Decision& decision, int num_steps, std::size_t picture);

    /// Whether the step is reused. `allowed`: whether the schedule lets it. Called once for every step, in
    /// order. `probe`: what the plan's probe yielded, undefined where the decision has none, in that half of
    /// guidance; it is compared with the same half's. `sample`: the denoiser's input.
    bool reuses(int step, bool allowed, const Tensor& probe, const Tensor& sample, std::size_t branch = 0);
    /// Told once after each step what the denoiser gave for that sample.
    void gave(const Tensor& prediction);

    /// The steps that were reused.
    const std::vector<int>& reused() const { return reused_; }

  private:
    bool is_recorded(int step, bool allowed) const;
    bool is_small_enough(int step, bool allowed, const Tensor& probe, const Tensor& sample);
    double change(int step, const Tensor& probe, const Tensor& sample);
    double change_of_latents(const Tensor& sample) const;
    double accumulated(double change) const;
    double budget() const;
    bool within_limits(int step) const;
    void remember(bool reuse, const Tensor& probe, const Tensor& sample);

    Decision decision_;
    int num_steps_;
    std::optional<std::vector<int>> record_;
    std::vector<int> reused_;

    double gathered_ = 0;  ///< since the last full step
    double ratio_ = 1;     ///< of magnitudes since then
    int in_a_row_ = 0;
    bool reusing_ = false, allowed_ = false;  ///< this step
    std::size_t branch_ = 0;                  ///< whose probe this step's is
    std::vector<float> seen_[2];              ///< by branch, what the probe is compared with
    // How the denoiser's output followed its input.
    std::vector<float> sample_;                    ///< of this step
    std::vector<float> full_sample_, prediction_;  ///< of the last full step
    double output_magnitude_ = 0, rate_ = 0, output_change_ = 0;
    int computed_ = 0;  ///< full steps that were looked at
};

}  // namespace reprise::cachify
