// HeunDiscreteScheduler: the second-order method of Karras et al. (2206.00364) without its noise. Every step
// but the last evaluates the denoiser twice: where it stands, and where Euler's step would lead.
#include <algorithm>
#include <utility>

#include "schedulers/elementwise.h"
#include "schedulers/factories.h"
#include "schedulers/sigma_table.h"
#include "schedulers/thresholding.h"

namespace reprise {

namespace {

struct HeunSettings {
    PredictionType prediction = PredictionType::epsilon;
    bool clip_sample = false;
    float clip_sample_range = 1.0F;
};

std::vector<Evaluation> two_per_step(const std::vector<float>& timesteps) {
    std::vector<Evaluation> evaluations;
    for (std::size_t e = 0; e + 1 < 2 * timesteps.size(); ++e)
        evaluations.push_back({static_cast<int>(e / 2), timesteps[(e + 1) / 2]});
    return evaluations;
}

/// The noise level of each evaluation, then the last.
std::vector<float> two_per_step(std::vector<float> sigmas, std::size_t evaluations) {
    std::vector<float> result;
    for (std::size_t e = 0; e < evaluations; ++e) result.push_back(sigmas[(e + 1) / 2]);
    result.push_back(sigmas.back());
    return result;
}

class HeunSampler final : public Sampler {
  public:
    HeunSampler(const SigmaTable& table, const HeunSettings& settings)
        : Sampler(two_per_step(table.timesteps), two_per_step(table.sigmas, 2 * table.timesteps.size() - 1),
                  table.init_noise_sigma),
          settings_(settings) {}

  private:
    Tensor scaled(const Tensor& sample, std::size_t e) const override {
        return scale_by_sigma(sample, sigmas()[e]);
    }

    Tensor advance(const Tensor& model_output, std::size_t e, const Tensor& sample, Generator*) override {
        const float sigma = sigmas()[e];
        Tensor derivative = map(
            [&](float x, float output) {
                float original = predict_original(settings_.prediction, sigma, x, output);
                if (settings_.clip_sample)
                    original =
                        std::clamp(original, -settings_.clip_sample_range, settings_.clip_sample_range);
                return (x - original) / sigma;
            },
            sample, model_output);
        if (e % 2 == 0) {
            const float dt = sigmas()[e + 1] - sigma;
            sample_ = sample;
            derivative_ = derivative;
            return map([dt](float x, float d) { return x + d * dt; }, sample, derivative);
        }
        const float dt = sigma - sigmas()[e - 1];
        return map([dt](float x, float d1, float d2) { return x + (d1 + d2) / 2.0F * dt; }, sample_,
                   derivative_, derivative);
    }

    HeunSettings settings_;
    Tensor sample_;  // where the step began
    Tensor derivative_;
};

class HeunScheduler final : public Scheduler {
  public:
    explicit HeunScheduler(const SchedulerConfig& config)
        : schedule_(read_noise_schedule(
              config, {.beta_start = 0.00085, .beta_end = 0.012, .zero_snr = false, .exponential = true})) {
        using enum PredictionType;
        heun_.prediction = config.choice<PredictionType>(
            "prediction_type", "epsilon",
            {{"epsilon", epsilon}, {"v_prediction", v_prediction}, {"sample", PredictionType::sample}});
        heun_.clip_sample = config.flag("clip_sample", false);
        heun_.clip_sample_range = read_clip_range(config);
        settings_.timestep_spacing = read_timestep_spacing(config, "linspace");
        settings_.steps_offset = read_steps_offset(config, schedule_);
        settings_.sigma_spacing = read_sigma_spacing(config);
        settings_.bounds = read_sigma_bounds(config);
    }

    std::string_view name() const override { return "HeunDiscreteScheduler"; }
    PredictionType prediction_type() const override { return heun_.prediction; }

  private:
    std::unique_ptr<Sampler> make_sampler(int num_inference_steps) const override {
        return std::make_unique<HeunSampler>(make_sigma_table(settings_, schedule_, num_inference_steps),
                                             heun_);
    }

    NoiseSchedule schedule_;
    SigmaSettings settings_;
    HeunSettings heun_;
};

}  // namespace

std::unique_ptr<Scheduler> make_heun(const SchedulerConfig& config) {
    return std::make_unique<HeunScheduler>(config);
}

}  // namespace reprise
