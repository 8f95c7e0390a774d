#include "tune/pipeline_subject.h"

#include <algorithm>
#include <cmath>

#include "cachify/combination.h"
#include "media/metrics.h"
#include "pipelines/sampling_loop.h"
#include "reprise/error.h"
#include "tune/tuner.h"

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

PipelineSubject::PipelineSubject(pipelines::DiffusionPipeline& pipe, std::vector<GenerateOptions> pairs,
                                 std::string fingerprint)
    : pipe_(pipe),
      options_(std::move(pairs)),
      fingerprint_(std::move(fingerprint)),
      ahead_(pipe.outlook(options_.front())),
      structure_(pipe.denoiser().structure(ahead_.shape)),
      num_steps_(static_cast<std::size_t>(ahead_.num_steps())) {
    if (pipe.denoisers().size() > 1)
        usage_error("this pipeline has {} denoisers; only one can be tuned", pipe.denoisers().size());
    if (const auto scheduler = pipe.scheduler(options_.front()); scheduler->stochastic())
        usage_error("{} adds noise at every step, which no reuse follows well; tune for another scheduler",
                    scheduler->name());
    small_ = static_cast<double>(parameter_count(structure_, 0)) *
                 static_cast<double>(size_of(pipe.engine().options.precision)) <=
             pipe.engine().traits().cheap_bytes;
}

cachify::MeasuredRun PipelineSubject::run() const {
    const GenerateOptions first = pipe_.with_defaults(options_.front());
    cachify::MeasuredRun run{std::string(pipe_.scheduler(first)->name()),
                             ahead_.num_steps(),
                             static_cast<int>(ahead_.shape.width),
                             static_cast<int>(ahead_.shape.height),
                             *first.guidance_scale,
                             std::string(name_of(pipe_.engine().options.precision)),
                             {},
                             {}};
    for (std::size_t i = 0; i < num_pairs(); ++i) {
        run.prompts.push_back(options_[i].prompt);
        run.seeds.push_back(options_[i].seed);
    }
    return run;
}

void PipelineSubject::encode(Pairs which) {
    const std::size_t first = which == Pairs::tuned ? 0 : num_pairs();
    if (!pairs_.empty() && first_ == first) return;
    pairs_.clear();
    first_ = first;
    if (const auto& phase = options_.front().on_phase) phase("encode prompts");
    for (std::size_t i = first; i < (which == Pairs::tuned ? num_pairs() : options_.size()); ++i)
        pairs_.push_back({pipe_.ingredients(options_[i]), {}, {}, {}, nullptr});
}

void PipelineSubject::use(const std::vector<cachify::Config>& modes, GuidanceMode guidance, std::size_t pairs,
                          Pairs which) {
    release();
    encode(which);
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

void PipelineSubject::release() {
    for (Pair& pair : pairs_) {
        pair.predictions.clear();
        pair.pictures.clear();
        pair.run.reset();
    }
}

Tensor PipelineSubject::go(Pair& pair, const Modes& modes, std::size_t from, std::vector<Tensor>* predictions,
                           const std::function<void(int, double)>& told) {
    auto& [ingredients, known, full, pictures, run] = pair;
    const GenerateOptions& options = ingredients.options;
    const auto sampler = ingredients.scheduler->start(*options.num_inference_steps);
    const pipelines::EvaluationRange range = ingredients.ahead.range();
    const auto evaluations = pipelines::own_evaluations(sampler->evaluations(), range);
    run->restart();
    run->choose([&](std::size_t, int step) { return modes[static_cast<std::size_t>(step)]; });
    auto begin = std::chrono::steady_clock::now();
    pipelines::SamplingHooks hooks;
    hooks.predict = [&](std::size_t e, const Tensor& input) {
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

PipelineSubject::Pair& PipelineSubject::with_full(std::size_t index) {
    Pair& pair = pairs_.at(index - first_);
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

const Tensor& PipelineSubject::full_latents(std::size_t pair) {
    return with_full(pair).full;
}

Tensor PipelineSubject::latents(std::size_t index, const Modes& modes) {
    Pair& pair = with_full(index);
    const auto changed = std::find_if(modes.begin(), modes.end(), [](int mode) { return mode != 0; });
    if (changed == modes.end()) return pair.full;
    const auto first = static_cast<std::size_t>(changed - modes.begin());
    const auto back = static_cast<std::size_t>(cachify::look_back(pair.run->plan().schedule));
    return go(pair, modes, first > back ? first - back : 0, nullptr);
}

std::vector<float> PipelineSubject::deviation(std::size_t pair, const Modes& modes) {
    const Tensor moved = latents(pair, modes);
    auto vector = sketch(moved, full_latents(pair));
    for (float& value : vector) value = static_cast<float>(at_most_farthest(value));
    return vector;
}

double PipelineSubject::distance(std::size_t pair, const Modes& modes) {
    const Tensor moved = latents(pair, modes);
    return at_most_farthest(relative_error(moved, full_latents(pair)));
}

void PipelineSubject::seconds(int mode, std::vector<double>& full, std::vector<double>& in_mode) {
    Modes modes(num_steps_, 0);
    for (std::size_t step = 1; step < num_steps_; step += 2) modes[step] = mode;
    go(pairs_.front(), modes, 0, nullptr, [&](int step, double seconds) {
        if (step > 1) (step % 2 == 0 ? full : in_mode).push_back(seconds);
    });
}

Likeness PipelineSubject::likeness(std::size_t index, const Modes& modes) {
    const Tensor wanted = full_latents(index);
    const Tensor latents = this->latents(index, modes);
    auto& full = pairs_[index - first_].pictures;
    const GenerateOptions& options = options_[index];
    if (full.empty()) full = pipe_.decode(wanted, options);
    const auto reused = pipe_.decode(latents, options);
    Likeness result{relative_error(latents, wanted), 0, 0};
    const auto share = 1 / static_cast<double>(reused.size());
    for (std::size_t frame = 0; frame < reused.size(); ++frame) {
        result.ssim += share * ssim(reused[frame], full[frame]);
        result.psnr += share * std::min(kEqual, psnr(reused[frame], full[frame]));
    }
    return result;
}

double PipelineSubject::speedup(const cachify::Config& config) {
    constexpr int kRuns = 4;
    GenerateOptions as_full = options_.front(), as_reused = options_.front();
    as_full.reuse = Reuse();
    as_reused.reuse = Reuse(config);
    if (!small_) {  // the full run goes over the same pieces, so that weights are compiled once
        as_full.reuse = Reuse(config);
        as_full.reuse->in_full = true;
    }
    std::vector<double> full, reused;
    for (int run = 0; run <= kRuns; ++run) {
        if (const auto& phase = options_.front().on_phase) phase("measure speed");
        const double a = pipe_(as_full).report.denoise_seconds;
        const double b = pipe_(as_reused).report.denoise_seconds;
        if (run == 0) continue;  // compiles
        full.push_back(a);
        reused.push_back(b);
    }
    return *std::min_element(full.begin(), full.end()) / *std::min_element(reused.begin(), reused.end());
}

}  // namespace reprise::tune
