// DPMSolverMultistepScheduler: DPM-Solver (2206.00927) and DPM-Solver++ (2211.01095), orders 1 to 3, and
// their stochastic variants, which draw noise of the sample's shape at every step.
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "reprise/error.h"
#include "schedulers/elementwise.h"
#include "schedulers/factories.h"
#include "schedulers/numeric.h"
#include "schedulers/sigma_table.h"
#include "schedulers/thresholding.h"

namespace reprise {

namespace {

enum class Algorithm { dpm, dpm_plus, sde_dpm, sde_dpm_plus };
enum class Spacing { as_timesteps, karras, exponential, lu };

struct DpmSettings {
    Algorithm algorithm = Algorithm::dpm_plus;
    int order = 2;
    bool heun = false;  ///< else midpoint
    bool lower_order_final = true;
    bool euler_at_final = false;
    bool end_at_zero = true;
    PredictionType prediction = PredictionType::epsilon;
    Thresholding thresholding;

    bool predicts_sample() const {
        return algorithm == Algorithm::dpm_plus || algorithm == Algorithm::sde_dpm_plus;
    }
    bool stochastic() const {
        return algorithm == Algorithm::sde_dpm || algorithm == Algorithm::sde_dpm_plus;
    }
};

/// A noise level in the paper's terms.
struct Level {
    explicit Level(float noise)
        : alpha(1.0F / std::sqrt(noise * noise + 1.0F)),
          sigma(noise * alpha),
          lambda(std::log(alpha) - std::log(sigma)) {}
    float alpha;
    float sigma;
    float lambda;  // infinite without noise
};

/// The next sample is a weighted sum of the sample, the outputs' finite differences, and noise.
struct Weights {
    float sample;
    std::array<float, 3> difference{};
    float noise = 0.0F;
};

Weights weights_of(const DpmSettings& settings, const Level& to, const Level& from, int order) {
    const float h = to.lambda - from.lambda;
    const bool heun = settings.heun || order == 3;
    Weights w{};
    switch (settings.algorithm) {
        case Algorithm::dpm_plus: {
            const float e = std::exp(-h) - 1.0F;
            w.sample = to.sigma / from.sigma;
            w.difference = {-(to.alpha * e), heun ? to.alpha * (e / h + 1.0F) : -0.5F * (to.alpha * e),
                            -(to.alpha * ((e + h) / (h * h) - 0.5F))};
            break;
        }
        case Algorithm::dpm: {
            const float e = std::exp(h) - 1.0F;
            w.sample = to.alpha / from.alpha;
            w.difference = {-(to.sigma * e), heun ? -(to.sigma * (e / h - 1.0F)) : -0.5F * (to.sigma * e),
                            -(to.sigma * ((e - h) / (h * h) - 0.5F))};
            break;
        }
        case Algorithm::sde_dpm_plus: {
            const float e = 1.0F - std::exp(-2.0F * h);
            const float h2 = 2.0F * h;
            w.sample = to.sigma / from.sigma * std::exp(-h);
            w.difference = {to.alpha * e, heun ? to.alpha * (e / -h2 + 1.0F) : 0.5F * (to.alpha * e),
                            to.alpha * ((e - h2) / (h2 * h2) - 0.5F)};
            w.noise = to.sigma * std::sqrt(e);
            break;
        }
        case Algorithm::sde_dpm: {
            const float e = std::exp(h) - 1.0F;
            w.sample = to.alpha / from.alpha;
            w.difference = {-2.0F * (to.sigma * e),
                            heun ? -2.0F * (to.sigma * (e / h - 1.0F)) : -(to.sigma * e), 0.0F};
            w.noise = to.sigma * std::sqrt(std::exp(2.0F * h) - 1.0F);
            break;
        }
    }
    return w;
}

class DpmSolverSampler final : public Sampler {
  public:
    DpmSolverSampler(const std::vector<float>& timesteps, std::vector<float> sigmas, DpmSettings settings)
        : Sampler(one_per_step(timesteps), std::move(sigmas), 1.0F), settings_(settings) {}

  private:
    Tensor advance(const Tensor& model_output, std::size_t e, const Tensor& sample,
                   Generator* generator) override {
        if (settings_.stochastic() && generator == nullptr)
            failure("DPMSolverMultistepScheduler: no generator was given");
        history_.insert(history_.begin(), convert(model_output, Level(sigmas()[e]), sample));
        if (history_.size() > static_cast<std::size_t>(settings_.order)) history_.pop_back();
        const Tensor noise = settings_.stochastic() ? generator->randn(sample.shape()) : Tensor();

        const int order = order_at(e);
        const Weights w = weights_of(settings_, Level(sigmas()[e + 1]), Level(sigmas()[e]), order);
        const auto differences = finite_differences(e, order);
        Tensor next =
            map([&](float x, float d) { return w.sample * x + w.difference[0] * d; }, sample, differences[0]);
        for (std::size_t k = 1; k < differences.size(); ++k)
            next = map([&](float x, float d) { return x + w.difference[k] * d; }, next, differences[k]);
        if (noise.defined()) next = map([&](float x, float n) { return x + w.noise * n; }, next, noise);
        return next;
    }

    /// The output as the algorithm integrates it: the clean sample, or the noise.
    Tensor convert(const Tensor& output, const Level& level, const Tensor& sample) const {
        const float alpha = level.alpha;
        const float sigma = level.sigma;
        const auto original_of_noise = [=](float x, float m) { return (x - sigma * m) / alpha; };
        const auto noise_of_original = [=](float x, float m) { return (x - alpha * m) / sigma; };
        const auto& prediction = settings_.prediction;
        if (settings_.predicts_sample()) {
            if (prediction == PredictionType::epsilon)
                return settings_.thresholding.apply(map(original_of_noise, sample, output));
            if (prediction == PredictionType::v_prediction)
                return settings_.thresholding.apply(
                    map([=](float x, float m) { return alpha * x - sigma * m; }, sample, output));
            return settings_.thresholding.apply(output);
        }
        Tensor noise = output;
        if (prediction == PredictionType::sample) noise = map(noise_of_original, sample, output);
        if (prediction == PredictionType::v_prediction)
            noise = map([=](float x, float m) { return alpha * m + sigma * x; }, sample, output);
        if (!settings_.thresholding.dynamic) return noise;
        return map(noise_of_original, sample,
                   settings_.thresholding.apply(map(original_of_noise, sample, noise)));
    }

    int order_at(std::size_t e) const {
        const std::size_t count = evaluations().size();
        const bool few = settings_.lower_order_final && count < 15;
        if (e + 1 == count && (settings_.euler_at_final || few || settings_.end_at_zero)) return 1;
        const int known = static_cast<int>(history_.size());
        return e + 2 == count && few ? std::min(known, 2) : known;
    }

    /// Of the outputs over lambda, scaled by this step: as many as the order.
    std::vector<Tensor> finite_differences(std::size_t e, int order) const {
        std::vector<Tensor> differences{history_[0]};
        if (order == 1) return differences;
        const auto lambda = [&](std::size_t i) { return Level(sigmas()[i]).lambda; };
        const float h = lambda(e + 1) - lambda(e);
        const float r0 = (lambda(e) - lambda(e - 1)) / h;
        const auto scaled_difference = [](float r) {
            return [factor = 1.0F / r](float a, float b) { return factor * (a - b); };
        };
        const Tensor first = map(scaled_difference(r0), history_[0], history_[1]);
        if (order == 2) {
            differences.push_back(first);
            return differences;
        }
        const float r1 = (lambda(e - 1) - lambda(e - 2)) / h;
        const Tensor second = map(scaled_difference(r1), history_[1], history_[2]);
        const float share = r0 / (r0 + r1);
        const float curvature = 1.0F / (r0 + r1);
        differences.push_back(map([&](float a, float b) { return a + share * (a - b); }, first, second));
        differences.push_back(map([&](float a, float b) { return curvature * (a - b); }, first, second));
        return differences;
    }

    DpmSettings settings_;
    std::vector<Tensor> history_;  // converted outputs, the newest first; at most `order`
};

class DpmSolverScheduler final : public Scheduler {
  public:
    explicit DpmSolverScheduler(const SchedulerConfig& config)
        : where_(config.where()), schedule_(read_noise_schedule(config, {})) {
        config.refuse_flags({"use_beta_sigmas", "use_flow_sigmas", "use_dynamic_shifting"});
        using enum PredictionType;
        solver_.prediction = config.choice<PredictionType>(
            "prediction_type", "epsilon",
            {{"epsilon", epsilon}, {"v_prediction", v_prediction}, {"sample", PredictionType::sample}});
        solver_.algorithm = config.choice<Algorithm>("algorithm_type", "dpmsolver++",
                                                     {{"dpmsolver++", Algorithm::dpm_plus},
                                                      {"dpmsolver", Algorithm::dpm},
                                                      {"sde-dpmsolver++", Algorithm::sde_dpm_plus},
                                                      {"sde-dpmsolver", Algorithm::sde_dpm},
                                                      {"deis", Algorithm::dpm_plus}});  // DEIS's
        solver_.order = config.integer("solver_order", 2, 1, 3);
        if (solver_.order == 3 && solver_.algorithm == Algorithm::sde_dpm)
            config.refuse("solver_order", "algorithm_type sde-dpmsolver has orders 1 and 2");
        solver_.heun = config.choice<bool>("solver_type", "midpoint",
                                           {{"midpoint", false},
                                            {"heun", true},
                                            {"logrho", false},
                                            {"bh1", false},
                                            {"bh2", false}});  // UniPC's
        solver_.lower_order_final = config.flag("lower_order_final", true);
        solver_.euler_at_final = config.flag("euler_at_final", false);
        solver_.end_at_zero =
            config.choice<bool>("final_sigmas_type", "zero", {{"zero", true}, {"sigma_min", false}});
        const bool needs_least =
            !solver_.predicts_sample() || config.optional_text("algorithm_type") == "deis";
        if (solver_.end_at_zero && needs_least)
            config.refuse("final_sigmas_type",
                          "algorithm_type dpmsolver, sde-dpmsolver and deis need sigma_min");
        solver_.thresholding = read_thresholding(config);
        refuse_learned_variance(config);
        spacing_ = read_spacing(config);
        bounds_ = read_sigma_bounds(config);
        timestep_spacing_ = read_timestep_spacing(config, "linspace");
        steps_offset_ = read_steps_offset(config, schedule_);
        last_timestep_ = clipped_length(config);
        round_timesteps_ = config.optional_text("beta_schedule") != "squaredcos_cap_v2";
    }

    std::string_view name() const override { return "DPMSolverMultistepScheduler"; }
    PredictionType prediction_type() const override { return solver_.prediction; }
    bool stochastic() const override { return solver_.stochastic(); }

  private:
    /// Other variances are DDPMScheduler's and mean nothing here.
    void refuse_learned_variance(const SchedulerConfig& config) const {
        const auto* variance = config.find("variance_type");
        const bool learned = variance != nullptr && (*variance == "learned" || *variance == "learned_range");
        if (learned && solver_.prediction == PredictionType::epsilon)
            config.refuse("variance_type", "models that predict a variance are not supported; expected null");
    }

    static Spacing read_spacing(const SchedulerConfig& config) {
        const auto sigma_spacing = read_sigma_spacing(config);
        if (sigma_spacing == SigmaSpacing::karras) return Spacing::karras;
        if (config.flag("use_lu_lambdas", false)) return Spacing::lu;  // diffusers' order of precedence
        return sigma_spacing == SigmaSpacing::exponential ? Spacing::exponential : Spacing::as_timesteps;
    }

    /// The training timesteps whose lambda is not below lambda_min_clipped.
    int clipped_length(const SchedulerConfig& config) const {
        const auto least = static_cast<float>(config.number("lambda_min_clipped", -INFINITY));
        int count = 0;
        for (const float alpha_bar : schedule_.alphas_cumprod)
            if (std::log(std::sqrt(alpha_bar)) - std::log(std::sqrt(1.0F - alpha_bar)) >= least) ++count;
        if (count < 2) config.refuse("lambda_min_clipped", "it leaves no timesteps");
        return count;
    }

    /// Descending whole timesteps; unlike other schedulers' they leave out one at the end.
    std::vector<double> timesteps(int count) const {
        if (timestep_spacing_ == TimestepSpacing::trailing)
            return trailing_timesteps(schedule_.num_train_timesteps(), last_timestep_, count);
        std::vector<double> result;
        const int ratio = last_timestep_ / (count + 1);
        if (timestep_spacing_ == TimestepSpacing::linspace)
            for (const double t : linspace(0.0, last_timestep_ - 1.0, count + 1))
                result.push_back(std::nearbyint(t));
        else if (ratio == 0)
            refuse_step_count(count, last_timestep_ - 1);
        else
            for (int i = 0; i <= count; ++i) result.push_back(static_cast<double>(i) * ratio + steps_offset_);
        std::reverse(result.begin(), result.end());
        result.pop_back();
        return result;
    }

    std::unique_ptr<Sampler> make_sampler(int count) const override {
        auto times = timesteps(count);
        std::vector<double> sigmas;
        if (spacing_ == Spacing::as_timesteps) {
            for (const double t : times) sigmas.push_back(interpolate(t, schedule_.sigmas));
        } else {
            sigmas = rescaled_sigmas(count);
            const auto log_sigmas = schedule_.log_sigmas();
            const bool rounded = round_timesteps_ && spacing_ != Spacing::exponential;
            times.clear();
            for (const double sigma : sigmas) {
                const double t = sigma_to_timestep(sigma, log_sigmas);
                times.push_back(rounded ? std::nearbyint(t) : std::trunc(t));
            }
        }
        sigmas.push_back(solver_.end_at_zero ? 0.0 : static_cast<double>(schedule_.sigmas.front()));
        auto levels = to_floats(sigmas);
        for (std::size_t i = 1; i + 1 < levels.size(); ++i)
            if (!(levels[i] < levels[i - 1])) refuse_step_count(count, schedule_.num_train_timesteps());
        const bool ends_low = solver_.euler_at_final || (solver_.lower_order_final && count < 15);
        const bool stays = !(levels.back() < levels[levels.size() - 2]);
        if (stays && solver_.order == 3 && count >= 3 && !ends_low)
            usage_error(
                "{}: final_sigmas_type is sigma_min, where these noise levels end already: with solver_order "
                "3 "
                "the last step would divide by zero; set solver_order to 2",
                where_);
        return std::make_unique<DpmSolverSampler>(to_floats(times), std::move(levels), solver_);
    }

    /// Lu's spacing, uniform in lambda, has the exponential one's noise levels.
    std::vector<double> rescaled_sigmas(int count) const {
        const auto spacing = spacing_ == Spacing::karras ? SigmaSpacing::karras : SigmaSpacing::exponential;
        return spaced_sigmas(spacing, spacing_ == Spacing::lu ? SigmaBounds{} : bounds_,
                             schedule_.sigmas.front(), schedule_.sigmas.back(), count);
    }

    std::string where_;
    NoiseSchedule schedule_;
    DpmSettings solver_;
    Spacing spacing_;
    SigmaBounds bounds_;
    TimestepSpacing timestep_spacing_;
    int steps_offset_;
    int last_timestep_;
    bool round_timesteps_;
};

}  // namespace

std::unique_ptr<Scheduler> make_dpm_solver(const SchedulerConfig& config) {
    return std::make_unique<DpmSolverScheduler>(config);
}

}  // namespace reprise
