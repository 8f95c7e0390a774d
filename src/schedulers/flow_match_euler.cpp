// FlowMatchEulerDiscreteScheduler: Euler's method along the straight paths of rectified flow (2403.03206).
#include <cmath>
#include <optional>
#include <utility>

#include "reprise/error.h"
#include "schedulers/elementwise.h"
#include "schedulers/factories.h"
#include "schedulers/numeric.h"
#include "schedulers/sigma_table.h"

namespace reprise {

namespace {

class FlowMatchEulerSampler final : public Sampler {
  public:
    FlowMatchEulerSampler(const std::vector<float>& timesteps, std::vector<float> sigmas, bool stochastic)
        : Sampler(one_per_step(timesteps), std::move(sigmas), 1.0F), stochastic_(stochastic) {}

  private:
    Tensor advance(const Tensor& model_output, std::size_t e, const Tensor& sample,
                   Generator* generator) override {
        const float sigma = sigmas()[e];
        const float next = sigmas()[e + 1];
        if (!stochastic_) {
            const float dt = next - sigma;
            return map([=](float x, float m) { return x + dt * m; }, sample, model_output);
        }
        if (generator == nullptr) failure("FlowMatchEulerDiscreteScheduler: no generator was given");
        const float keep = 1.0F - next;
        return map([=](float x, float m, float noise) { return keep * (x - sigma * m) + next * noise; },
                   sample, model_output, generator->randn(sample.shape()));
    }

    bool stochastic_;
};

class FlowMatchEulerScheduler final : public Scheduler {
  public:
    explicit FlowMatchEulerScheduler(const SchedulerConfig& config)
        : num_train_timesteps_(config.integer("num_train_timesteps", 1000, 1, 1'000'000)),
          shift_(config.number("shift", 1.0)),
          shift_terminal_(config.optional_number("shift_terminal")),
          spacing_(read_sigma_spacing(config)),
          bounds_(read_sigma_bounds(config)),
          stochastic_(config.flag("stochastic_sampling", false)) {
        config.refuse_flags({"use_dynamic_shifting", "invert_sigmas"});
        // It is that of dynamic shifting, but diffusers checks it always.
        config.choice<bool>("time_shift_type", "exponential", {{"exponential", true}, {"linear", true}});
        if (!(shift_ > 0.0 && shift_ < 1e6)) config.refuse("shift", "expected a number above 0");
        if (shift_terminal_ && !(*shift_terminal_ >= 0.0 && *shift_terminal_ < 1.0))
            config.refuse("shift_terminal", "expected a number from 0 to below 1, or null");
    }

    std::string_view name() const override { return "FlowMatchEulerDiscreteScheduler"; }
    PredictionType prediction_type() const override { return PredictionType::flow; }
    bool stochastic() const override { return stochastic_; }

  private:
    template <class T>
    T shifted(T sigma) const {
        const auto shift = static_cast<T>(shift_);
        return shift * sigma / (T{1} + static_cast<T>(shift_ - 1.0) * sigma);
    }

    std::unique_ptr<Sampler> make_sampler(int count) const override {
        // As in diffusers, the ends are shifted once in f32, and then all between again.
        const auto train = static_cast<float>(num_train_timesteps_);
        const double most = static_cast<double>(shifted(train / train)) * num_train_timesteps_;
        const double least = static_cast<double>(shifted(1.0F / train)) * num_train_timesteps_;
        auto levels = linspace(most, least, count);
        for (auto& sigma : levels) sigma = shifted(sigma / num_train_timesteps_);
        if (shift_terminal_.value_or(0.0) > 0.0) {
            const double factor = (1.0 - levels.back()) / (1.0 - *shift_terminal_);
            if (!(factor > 0.0)) usage_error("{}: shift_terminal needs at least 2 steps", name());
            for (auto& sigma : levels) sigma = 1.0 - (1.0 - sigma) / factor;
        }
        if (spacing_ != SigmaSpacing::as_timesteps)
            levels = spaced_sigmas(spacing_, bounds_, levels.back(), levels.front(), count);
        auto sigmas = to_floats(levels);
        auto timesteps = sigmas;
        for (auto& timestep : timesteps) timestep *= train;
        sigmas.push_back(0.0F);
        return std::make_unique<FlowMatchEulerSampler>(timesteps, std::move(sigmas), stochastic_);
    }

    int num_train_timesteps_;
    double shift_;
    std::optional<double> shift_terminal_;
    SigmaSpacing spacing_;
    SigmaBounds bounds_;
    bool stochastic_;
};

}  // namespace

std::unique_ptr<Scheduler> make_flow_match_euler(const SchedulerConfig& config) {
    return std::make_unique<FlowMatchEulerScheduler>(config);
}

}  // namespace reprise
