// DDIMScheduler: denoising diffusion implicit models (2010.02502), eta = 0.
#include <cmath>
#include <utility>

#include "reprise/error.h"
#include "schedulers/alpha_table.h"
#include "schedulers/elementwise.h"
#include "schedulers/factories.h"
#include "schedulers/thresholding.h"

namespace reprise {

namespace {

struct DdimSettings {
    PredictionType prediction = PredictionType::epsilon;
    Thresholding thresholding;
};

class DdimSampler final : public Sampler {
  public:
    DdimSampler(const AlphaTable& alphas, const std::vector<int>& timesteps, int stride,
                DdimSettings settings)
        : Sampler(alphas.evaluations(timesteps), alphas.sigmas(timesteps), 1.0F), settings_(settings) {
        for (const int timestep : timesteps) {
            steps_.push_back({alphas.at(timestep), alphas.at(timestep - stride)});
            if (steps_.back().alpha_bar <= 0.0F && settings_.prediction == PredictionType::epsilon)
                usage_error(
                    "DDIMScheduler: with rescale_betas_zero_snr timestep {} has no signal, which a "
                    "model that predicts epsilon cannot start from; set timestep_spacing to leading",
                    timestep);
        }
    }

  private:
    Tensor advance(const Tensor& model_output, std::size_t e, const Tensor& sample, Generator*) override {
        const auto [alpha_bar, alpha_bar_next] = steps_[e];
        const float alpha = std::sqrt(alpha_bar);
        const float sigma = std::sqrt(1.0F - alpha_bar);
        const auto [original, noise] = split(alpha, sigma, sample, model_output);
        const float alpha_next = std::sqrt(alpha_bar_next);
        const float sigma_next = std::sqrt(1.0F - alpha_bar_next);
        return map([&](float x0, float eps) { return alpha_next * x0 + sigma_next * eps; },
                   settings_.thresholding.apply(original), noise);
    }

    /// The clean sample and the noise that the output means.
    std::pair<Tensor, Tensor> split(float alpha, float sigma, const Tensor& sample,
                                    const Tensor& output) const {
        switch (settings_.prediction) {
            case PredictionType::epsilon:
                return {map([&](float x, float m) { return (x - sigma * m) / alpha; }, sample, output),
                        output};
            case PredictionType::v_prediction:
                return {map([&](float x, float m) { return alpha * x - sigma * m; }, sample, output),
                        map([&](float x, float m) { return alpha * m + sigma * x; }, sample, output)};
            case PredictionType::sample:
            case PredictionType::flow:
                break;
        }
        return {output, map([&](float x, float m) { return (x - alpha * m) / sigma; }, sample, output)};
    }

    struct Step {
        float alpha_bar;
        float alpha_bar_next;
    };
    std::vector<Step> steps_;
    DdimSettings settings_;
};

class DdimScheduler final : public Scheduler {
  public:
    explicit DdimScheduler(const SchedulerConfig& config)
        : alphas_(config, {.sigma_of_zero_snr = false}, AlphaDefaults{.set_alpha_to_one = true}) {
        using enum PredictionType;
        settings_.prediction = config.choice<PredictionType>(
            "prediction_type", "epsilon",
            {{"epsilon", epsilon}, {"v_prediction", v_prediction}, {"sample", PredictionType::sample}});
        settings_.thresholding = read_thresholding(config);
        settings_.thresholding.clip = config.flag("clip_sample", true);
        settings_.thresholding.range = read_clip_range(config);
    }

    std::string_view name() const override { return "DDIMScheduler"; }
    PredictionType prediction_type() const override { return settings_.prediction; }

  private:
    std::unique_ptr<Sampler> make_sampler(int num_inference_steps) const override {
        return std::make_unique<DdimSampler>(alphas_, alphas_.timesteps(num_inference_steps),
                                             alphas_.stride(num_inference_steps), settings_);
    }

    AlphaTable alphas_;
    DdimSettings settings_;
};

}  // namespace

std::unique_ptr<Scheduler> make_ddim(const SchedulerConfig& config) {
    return std::make_unique<DdimScheduler>(config);
}

}  // namespace reprise
