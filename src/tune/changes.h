#pragma once

#include <map>
#include <string>
#include <vector>

#include "pipelines/watch.h"
#include "reprise/profile.h"

namespace reprise::tune {

/// How one value changes from step to step, over runs. A step's evaluations are each compared with the last
/// one of the step before, which is what reuse would take; both halves of guidance count as one.
class Series {
  public:
    void begin_run();
    /// `values` are kept: f32, in memory of their own. Steps come in order.
    void see(int step, int branch, std::vector<Tensor> values);
    void end_run();

    /// [step], means over runs: sum |v - before| / sum |v|; 0 at step 0.
    std::vector<double> change() const;
    /// [step], means over runs: mean over tokens of |v| / |before|; 1 at step 0.
    std::vector<double> ratios() const;
    /// For each run and step from 1 on: sum |v - before| / sum |before|.
    const std::vector<double>& from_before() const { return from_before_; }

  private:
    struct Step {
        double difference = 0, size = 0, size_before = 0;  ///< sums of magnitudes
        double ratio = 0, tokens = 0;                      ///< sum of ratios, and of how many
    };
    struct Branch {
        int step = -1;
        std::vector<Tensor> before, latest;  ///< last of the step before, and of this one
    };
    std::map<int, Branch> branches_;
    std::vector<Step> steps_;  ///< of this run
    std::vector<double> change_, ratios_, from_before_;
    int runs_ = 0;
};

/// Gathers, over runs without reuse, what a Profile says of a denoiser.
class Changes {
  public:
    void begin_run();
    void see(const pipelines::Sight& sight);
    void end_run();
    /// Everything but model and run.
    cachify::Profile profile() const;

  private:
    struct Module {
        std::string name;
        graph::ModuleKind kind = graph::ModuleKind::block;
        bool residual = false;
        Series series;
    };
    void all(void (Series::*what)());

    std::vector<Module> modules_;
    Series blocks_, denoiser_, modulated_, prediction_;
};

}  // namespace reprise::tune
