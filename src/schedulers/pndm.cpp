// PNDMScheduler: pseudo numerical methods (2202.09778). With skip_prk_steps (PLMS, what Stable Diffusion
// uses) the second evaluation corrects the first step; else three Runge-Kutta steps of four evaluations
// each come first.
#include <cmath>
#include <utility>

#include "reprise/error.h"
#include "schedulers/alpha_table.h"
#include "schedulers/elementwise.h"
#include "schedulers/factories.h"

namespace reprise {

namespace {

constexpr std::size_t kPrkSteps = 3;
constexpr std::size_t kPrkEvaluations = 4 * kPrkSteps;

/// One evaluation: where it is made, and between which timesteps its update leads.
struct Move {
    int step;
    int at;
    int from;
    int to;
};

std::vector<Move> plms_moves(const std::vector<int>& timesteps, int stride) {
    std::vector<Move> moves{{0, timesteps[0], timesteps[0], timesteps[0] - stride}};
    if (timesteps.size() > 1) moves.push_back({0, timesteps[1], timesteps[1] + stride, timesteps[1]});
    for (std::size_t i = 1; i < timesteps.size(); ++i)
        moves.push_back({static_cast<int>(i), timesteps[i], timesteps[i], timesteps[i] - stride});
    return moves;
}

/// The Runge-Kutta steps evaluate at the start, twice half way, and at the end.
std::vector<Move> prk_moves(const std::vector<int>& timesteps, int stride) {
    std::vector<Move> moves;
    const int half = stride / 2;
    for (std::size_t i = 0; i < kPrkSteps; ++i) {
        const int step = static_cast<int>(i);
        const int start = timesteps[i];
        const int middle = timesteps[i + 1] + half;
        const int end = timesteps[i + 1];
        moves.push_back({step, start, start, start - half});
        moves.push_back({step, middle, start, middle});
        moves.push_back({step, middle, start, middle - half});
        moves.push_back({step, end, start, end});
    }
    for (std::size_t i = kPrkSteps; i < timesteps.size(); ++i)
        moves.push_back({static_cast<int>(i), timesteps[i], timesteps[i], timesteps[i] - stride});
    return moves;
}

std::vector<Evaluation> evaluations_of(const std::vector<Move>& moves) {
    std::vector<Evaluation> evaluations;
    for (const auto& move : moves) evaluations.push_back({move.step, static_cast<float>(move.at)});
    return evaluations;
}

std::vector<float> sigmas_of(const AlphaTable& alphas, const std::vector<Move>& moves) {
    std::vector<int> timesteps;
    for (const auto& move : moves) timesteps.push_back(move.at);
    return alphas.sigmas(timesteps);
}

class PndmSampler final : public Sampler {
  public:
    PndmSampler(const AlphaTable& alphas, const std::vector<Move>& moves, bool skip_prk_steps,
                PredictionType prediction)
        : Sampler(evaluations_of(moves), sigmas_of(alphas, moves), 1.0F),
          skip_prk_steps_(skip_prk_steps),
          prediction_(prediction) {
        for (const auto& move : moves) updates_.push_back({alphas.at(move.from), alphas.at(move.to)});
    }

  private:
    struct Update {
        float from;
        float to;
    };

    Tensor advance(const Tensor& model_output, std::size_t e, const Tensor& sample, Generator*) override {
        const bool prk = !skip_prk_steps_ && e < kPrkEvaluations;
        const bool starts_step = prk ? e % 4 == 0 : e == 0;
        if (starts_step) sample_ = sample;
        const Tensor output = prk ? runge_kutta(model_output, e % 4) : multistep(model_output, e);
        const bool from_start = prk || (skip_prk_steps_ && e == 1);
        return update(from_start ? sample_ : sample, output, updates_[e]);
    }

    Tensor runge_kutta(const Tensor& output, std::size_t stage) {
        if (stage == 0) remember(output);
        const float weight =
            stage == 0 || stage == 3 ? static_cast<float>(1.0 / 6.0) : static_cast<float>(1.0 / 3.0);
        sum_ = stage == 0 ? map([=](float m) { return weight * m; }, output)
                          : map([=](float s, float m) { return s + weight * m; }, sum_, output);
        return stage == 3 ? sum_ : output;
    }

    Tensor multistep(const Tensor& output, std::size_t e) {
        if (skip_prk_steps_ && e == 1)
            return map([](float a, float b) { return (a + b) / 2.0F; }, output, history_[0]);
        remember(output);
        const auto& h = history_;
        switch (h.size()) {
            case 1:
                return output;
            case 2:
                return map([](float a, float b) { return (3.0F * a - b) / 2.0F; }, h[0], h[1]);
            case 3:
                return map(
                    [](float a, float b, float c) { return (23.0F * a - 16.0F * b + 5.0F * c) / 12.0F; },
                    h[0], h[1], h[2]);
            default:
                return map(
                    [](float a, float b, float c, float d) {
                        return static_cast<float>(1.0 / 24.0) *
                               (55.0F * a - 59.0F * b + 37.0F * c - 9.0F * d);
                    },
                    h[0], h[1], h[2], h[3]);
        }
    }

    void remember(const Tensor& output) {
        history_.insert(history_.begin(), output);
        if (history_.size() > 4) history_.pop_back();
    }

    /// Formula (9) of the paper.
    Tensor update(const Tensor& sample, const Tensor& output, const Update& u) const {
        const float beta_from = 1.0F - u.from;
        const float beta_to = 1.0F - u.to;
        const float of_sample = std::sqrt(u.to / u.from);
        const float change = u.to - u.from;
        const float divisor = u.from * std::sqrt(beta_to) + std::sqrt(u.from * beta_from * u.to);
        const bool velocity = prediction_ == PredictionType::v_prediction;
        const float alpha = std::sqrt(u.from);
        const float sigma = std::sqrt(beta_from);
        return map(
            [=](float x, float m) {
                const float noise = velocity ? alpha * m + sigma * x : m;
                return of_sample * x - change * noise / divisor;
            },
            sample, output);
    }

    std::vector<Update> updates_;
    bool skip_prk_steps_;
    PredictionType prediction_;
    std::vector<Tensor> history_;  // the newest first, at most 4
    Tensor sample_;                // where the first or Runge-Kutta step began
    Tensor sum_;
};

class PndmScheduler final : public Scheduler {
  public:
    explicit PndmScheduler(const SchedulerConfig& config)
        : alphas_(config, {.zero_snr = false}, AlphaDefaults{.set_alpha_to_one = false}),
          skip_prk_steps_(config.flag("skip_prk_steps", false)) {
        using enum PredictionType;
        prediction_ = config.choice<PredictionType>("prediction_type", "epsilon",
                                                    {{"epsilon", epsilon}, {"v_prediction", v_prediction}});
    }

    std::string_view name() const override { return "PNDMScheduler"; }
    PredictionType prediction_type() const override { return prediction_; }
    bool starts_later() const override { return false; }  // its first step is made of several evaluations

  private:
    std::unique_ptr<Sampler> make_sampler(int num_inference_steps) const override {
        if (!skip_prk_steps_ && num_inference_steps < 4)
            usage_error("PNDMScheduler: {} steps are too few; it needs 4, or skip_prk_steps set to true",
                        num_inference_steps);
        const auto timesteps = alphas_.timesteps(num_inference_steps);
        const int stride = alphas_.stride(num_inference_steps);
        const auto moves = skip_prk_steps_ ? plms_moves(timesteps, stride) : prk_moves(timesteps, stride);
        return std::make_unique<PndmSampler>(alphas_, moves, skip_prk_steps_, prediction_);
    }

    AlphaTable alphas_;
    bool skip_prk_steps_;
    PredictionType prediction_;
};

}  // namespace

std::unique_ptr<Scheduler> make_pndm(const SchedulerConfig& config) {
    return std::make_unique<PndmScheduler>(config);
}

}  // namespace reprise
