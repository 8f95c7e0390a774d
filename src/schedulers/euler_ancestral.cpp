// EulerAncestralDiscreteScheduler: k-diffusion's ancestral sampling; a draw of the sample's shape per step.
#include <cmath>
#include <utility>

#include "reprise/error.h"
#include "schedulers/elementwise.h"
#include "schedulers/factories.h"
#include "schedulers/sigma_table.h"

namespace reprise {

namespace {

class EulerAncestralSampler final : public Sampler {
  public:
    EulerAncestralSampler(SigmaTable table, PredictionType prediction)
        : Sampler(one_per_step(table.timesteps), std::move(table.sigmas), table.init_noise_sigma),
          prediction_(prediction) {}

  private:
    Tensor scaled(const Tensor& sample, std::size_t e) const override {
        return scale_by_sigma(sample, sigmas()[e]);
    }

    Tensor advance(const Tensor& model_output, std::size_t e, const Tensor& sample,
                   Generator* generator) override {
        if (generator == nullptr) failure("EulerAncestralDiscreteScheduler: no generator was given");
        const float from = sigmas()[e];
        const float to = sigmas()[e + 1];
        const float up = std::sqrt(to * to * (from * from - to * to) / (from * from));
        const float down = std::sqrt(to * to - up * up);
        const float dt = down - from;
        return map(
            [&](float x, float output, float noise) {
                const float derivative = (x - predict_original(prediction_, from, x, output)) / from;
                return x + derivative * dt + noise * up;
            },
            sample, model_output, generator->randn(sample.shape()));
    }

    PredictionType prediction_;
};

class EulerAncestralScheduler final : public Scheduler {
  public:
    explicit EulerAncestralScheduler(const SchedulerConfig& config)
        : schedule_(read_noise_schedule(config, {})) {
        using enum PredictionType;
        prediction_ = config.choice<PredictionType>("prediction_type", "epsilon",
                                                    {{"epsilon", epsilon}, {"v_prediction", v_prediction}});
        settings_.timestep_spacing = read_timestep_spacing(config, "linspace");
        settings_.steps_offset = read_steps_offset(config, schedule_);
    }

    std::string_view name() const override { return "EulerAncestralDiscreteScheduler"; }
    PredictionType prediction_type() const override { return prediction_; }
    bool stochastic() const override { return true; }

  private:
    std::unique_ptr<Sampler> make_sampler(int num_inference_steps) const override {
        return std::make_unique<EulerAncestralSampler>(
            make_sigma_table(settings_, schedule_, num_inference_steps), prediction_);
    }

    NoiseSchedule schedule_;
    SigmaSettings settings_;
    PredictionType prediction_;
};

}  // namespace

std::unique_ptr<Scheduler> make_euler_ancestral(const SchedulerConfig& config) {
    return std::make_unique<EulerAncestralScheduler>(config);
}

}  // namespace reprise
