#include "tune/pipeline_runner.h"

#include <algorithm>
#include <cmath>

#include "cachify/combination.h"
#include "media/metrics.h"
#include "pipelines/sampling_loop.h"
#include "reprise/error.h"

namespace reprise::tune {

namespace {

/// A well-mixed number for each index (the finaliser of MurmurHash3).
std::uint64_t mixed(std::uint64_t x) {
    x ^= x >> 33U;
    x *= 0xff51afd7ed558ccdU;
    x ^= x >> 33U;
    x *= 0xc4ceb9fe1a85ec53U;
    return x ^ (x >> 33U);
}

/// (a - b) / |b| with its elements, under signs by chance, summed up in a few places: lengths are kept on
/// average, sums exactly (count sketch, Charikar et al. 2002).
std::vector<float> sketch(const Tensor& a, const Tensor& b) {
    constexpr std::size_t kSize = 128;
    std::vector<double> sums(kSize, 0);
    const auto x = a.span<float>();
    const auto y = b.span<float>();
    double squares = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const std::uint64_t hash = mixed(i + 1);
        const double difference = static_cast<double>(x[i]) - y[i];
        sums[hash % kSize] += (hash >> 63U) != 0 ? difference : -difference;
        squares += static_cast<double>(y[i]) * y[i];
    }
    std::vector<float> result;
    for (const double sum : sums) result.push_back(static_cast<float>(sum / std::sqrt(squares)));
    return result;
}

/// What is no number, or too large for one, is as far off as can be.
double at_most_farthest(double value) {
    return std::abs(value) <= kFarthest ? value : kFarthest;
}

}  // namespace

PipelineRunner::PipelineRunner(const pipelines::DiffusionPipeline& pipe,
                               const std::vector<GenerateOptions>& pairs)
    : pipe_(pipe) {
    for (const GenerateOptions& options : pairs) {
        pairs_.push_back({pipe.ingredients(options), {}, {}, nullptr});
        if (pairs_.back().ingredients.scheduler->stochastic())
            usage_error(
                "{} adds noise at every step, which no reuse follows well; tune for another scheduler",
                pairs_.back().ingredients.scheduler->name());
    }
    num_steps_ = static_cast<std::size_t>(pairs_.front().ingredients.ahead.num_steps());
}

void PipelineRunner::use(const std::vector<cachify::Config>& modes, GuidanceMode guidance,
                         std::size_t pairs) {
    release();
    for (std::size_t i = 0; i < std::min(pairs, pairs_.size()); ++i) {
        Pair& pair = pairs_[i];
        const auto& ingredients = pair.ingredients;
        GenerateOptions options = ingredients.options;
        options.reuse = Reuse();
        pipelines::RunRequest request = pipe_.request(options, ingredients.ahead);
        request.shape.mode = guidance;
        request.ways.modes = modes;
        pair.run = std::make_unique<pipelines::DenoiserRun>(
            pipe_.denoiser().start(std::move(request), ingredients.pictures));
    }
}

void PipelineRunner::release() {
    for (Pair& pair : pairs_) {
        pair.predictions.clear();
        pair.run.reset();
    }
}

Tensor PipelineRunner::go(Pair& pair, const Modes& modes, std::size_t from, std::vector<Tensor>* predictions,
                          const std::function<void(int, double)>& told) {
    auto& [ingredients, known, full, run] = pair;
    const GenerateOptions& options = ingredients.options;
    const auto sampler = ingredients.scheduler->start(*options.num_inference_steps);
    const pipelines::EvaluationRange range = ingredients.ahead.range();
    const auto evaluations = pipelines::own_evaluations(sampler->evaluations(), range);
    run->restart();
    run->choose([&](std::size_t, int step) { return modes[static_cast<std::size_t>(step)]; });
    auto begin = std::chrono::steady_clock::now();
    pipelines::SamplingHooks hooks;
    hooks.predict = [&, &known = known, &run = run, &ingredients = ingredients](std::size_t e,
                                                                                const Tensor& input) {
        Tensor prediction;
        if (static_cast<std::size_t>(evaluations[e - range.first].step) < from) {
            run->skip();
            prediction = known[e - range.first];
        } else {
            prediction = ingredients.guide(run->evaluate(input));
        }
        if (predictions != nullptr) predictions->push_back(prediction);
        return prediction;
    };
    hooks.after_step = [&](const pipelines::SampledStep& step, Tensor&) {
        if (told) told(evaluations[step.first - range.first].step, pipelines::seconds_since(begin));
        begin = std::chrono::steady_clock::now();
        StepInfo nothing;
        if (options.callback_on_step_end && !options.callback_on_step_end(nothing))
            throw Error(ErrorKind::cancelled, "stopped while tuning");
        return true;
    };
    return pipelines::sample(*sampler, ingredients.first_latents(*sampler), nullptr, hooks, range);
}

PipelineRunner::Pair& PipelineRunner::with_full(std::size_t index) {
    Pair& pair = pairs_.at(index);
    if (!pair.run) failure("pair {} was not made ready to run", index);
    if (pair.predictions.empty()) {
        std::vector<Tensor> predictions;
        pair.full = go(pair, Modes(num_steps_, 0), 0, &predictions);
        const auto values = pair.full.span<float>();
        if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }))
            usage_error("the full result has values that are no numbers: try another precision");
        pair.predictions = std::move(predictions);
    }
    return pair;
}

const Tensor& PipelineRunner::full_latents(std::size_t pair) {
    return with_full(pair).full;
}

Tensor PipelineRunner::latents(std::size_t index, const Modes& modes) {
    Pair& pair = with_full(index);
    const auto changed = std::find_if(modes.begin(), modes.end(), [](int mode) { return mode != 0; });
    if (changed == modes.end()) return pair.full;
    const auto first = static_cast<std::size_t>(changed - modes.begin());
    const auto back = static_cast<std::size_t>(cachify::look_back(pair.run->plan().schedule));
    return go(pair, modes, first > back ? first - back : 0, nullptr);
}

std::vector<float> PipelineRunner::deviation(std::size_t pair, const Modes& modes) {
    const Tensor moved = latents(pair, modes);
    auto vector = sketch(moved, pairs_[pair].full);
    for (float& value : vector) value = static_cast<float>(at_most_farthest(value));
    return vector;
}

double PipelineRunner::distance(std::size_t pair, const Modes& modes) {
    const Tensor moved = latents(pair, modes);
    return at_most_farthest(relative_error(moved, pairs_[pair].full));
}

void PipelineRunner::time(int mode, std::vector<double>& full, std::vector<double>& in_mode) {
    Modes modes(num_steps_, 0);
    for (std::size_t step = 1; step < num_steps_; step += 2) modes[step] = mode;
    go(pairs_.front(), modes, 0, nullptr, [&](int step, double seconds) {
        if (step > 1) (step % 2 == 0 ? full : in_mode).push_back(seconds);
    });
}

}  // namespace reprise::tune
