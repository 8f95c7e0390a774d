// EulerDiscreteScheduler: Algorithm 2 of Karras et al. (2206.00364) without its noise (s_churn = 0).
#include <utility>

#include "schedulers/elementwise.h"
#include "schedulers/factories.h"
#include "schedulers/sigma_table.h"

namespace reprise {

namespace {

class EulerSampler final : public Sampler {
  public:
    EulerSampler(SigmaTable table, PredictionType prediction)
        : Sampler(one_per_step(table.timesteps), std::move(table.sigmas), table.init_noise_sigma),
          prediction_(prediction) {}

  private:
    Tensor scaled(const Tensor& sample, std::size_t e) const override {
        return scale_by_sigma(sample, sigmas()[e]);
    }

    Tensor advance(const Tensor& model_output, std::size_t e, const Tensor& sample, Generator*) override {
        const float sigma = sigmas()[e];
        const float dt = sigmas()[e + 1] - sigma;
        return map(
            [&](float x, float output) {
                const float derivative = (x - predict_original(prediction_, sigma, x, output)) / sigma;
                return x + derivative * dt;
            },
            sample, model_output);
    }

    PredictionType prediction_;
};

class EulerScheduler final : public Scheduler {
  public:
    explicit EulerScheduler(const SchedulerConfig& config) : schedule_(read_noise_schedule(config, {})) {
        using enum PredictionType;
        prediction_ = config.choice<PredictionType>(
            "prediction_type", "epsilon",
            {{"epsilon", epsilon}, {"v_prediction", v_prediction}, {"sample", PredictionType::sample}});
        settings_.timestep_spacing = read_timestep_spacing(config, "linspace");
        settings_.steps_offset = read_steps_offset(config, schedule_);
        settings_.sigma_spacing = read_sigma_spacing(config);
        settings_.bounds = read_sigma_bounds(config);
        settings_.log_linear =
            config.choice<bool>("interpolation_type", "linear", {{"linear", false}, {"log_linear", true}});
        settings_.end_at_sigma_min =
            config.choice<bool>("final_sigmas_type", "zero", {{"zero", false}, {"sigma_min", true}});
        settings_.continuous_timesteps =
            config.choice<bool>("timestep_type", "discrete", {{"discrete", false}, {"continuous", true}}) &&
            prediction_ == v_prediction;  // as diffusers: other predictions keep discrete timesteps
        if (settings_.log_linear && settings_.sigma_spacing == SigmaSpacing::as_timesteps &&
            settings_.continuous_timesteps)
            config.refuse("interpolation_type", "not supported with continuous timesteps");
    }

    std::string_view name() const override { return "EulerDiscreteScheduler"; }
    PredictionType prediction_type() const override { return prediction_; }

  private:
    std::unique_ptr<Sampler> make_sampler(int num_inference_steps) const override {
        return std::make_unique<EulerSampler>(make_sigma_table(settings_, schedule_, num_inference_steps),
                                              prediction_);
    }

    NoiseSchedule schedule_;
    SigmaSettings settings_;
    PredictionType prediction_;
};

}  // namespace

std::unique_ptr<Scheduler> make_euler(const SchedulerConfig& config) {
    return std::make_unique<EulerScheduler>(config);
}

}  // namespace reprise
