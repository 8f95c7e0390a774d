#include "bout.h"

#include <fmt/format.h>

#include <algorithm>

#include "graph/graph.h"
#include "pipelines/diffusion_pipeline.h"
#include "report/baseline.h"
#include "report/plan_view.h"
#include "reprise/error.h"

namespace reprise::app {

namespace {

/// Beyond this the full way runs over the pieces of a reused one, so that weights are compiled once.
constexpr double kTwiceCompiledBytes = 1e9;
/// Runs of each way by which the numbers of fewer steps are chosen.
constexpr std::size_t kTrials = 6;

/// The latents of one picture: a row for each frame.
Tensor latents_of(const Tensor& latents, std::size_t picture) {
    const auto row = static_cast<std::int64_t>(picture);
    const Tensor one = latents.rows(row, row + 1);
    const Shape& shape = one.shape();
    return shape.size() == 5 ? one.reshaped({shape[1], shape[2], shape[3], shape[4]}) : one;
}

}  // namespace

Bout::Bout(Context& context, Session& session, BoutOptions options)
    : context_(context), session_(session), o_(std::move(options)) {
    auto& pipe = session_.pipe.implementation();
    const auto graph = pipe.denoiser().structure(pipe.outlook(o_.base).shape);
    const double bytes = static_cast<double>(parameter_count(graph, 0)) *
                         static_cast<double>(size_of(pipe.engine().options.precision));
    one_cut_ = bytes > kTwiceCompiledBytes;
    per_call_ = static_cast<std::size_t>(o_.base.num_images_per_prompt);
    for (const std::uint64_t seed : o_.seeds)
        for (const std::string& prompt : o_.prompts)
            for (std::size_t image = 0; image < per_call_; ++image)
                result_.pairs.push_back({prompt, seed, static_cast<int>(image)});
    result_.full.name = "full";
    result_.full.num_steps = *o_.base.num_inference_steps;
    result_.full.calls_pictures = static_cast<int>(per_call_);
    result_.full.made.resize(result_.pairs.size());
    for (const auto& contestant : o_.contestants) {
        report::Way& way = result_.cached.emplace_back(result_.full);
        way.kind = report::Way::Kind::cached;
        way.name = contestant.name;
        way.cache = describe(contestant.config);
        way.reused = reused_by_step(contestant);  // also says what is wrong with it, before anything runs
    }
}

GenerateOptions Bout::options(std::size_t call, bool decode) const {
    GenerateOptions options = o_.base;
    const std::size_t which = call % o_.prompts.size();
    if (o_.pictures.empty())
        options.prompt = o_.prompts[which];
    else
        options.image = o_.pictures[which];
    options.seed = o_.seeds[call / o_.prompts.size()];
    options.decode = decode;
    return options;
}

GenerateOutput Bout::full_run(const Contestant& beside, GenerateOptions options, const std::string& label) {
    auto& denoiser = session_.pipe.implementation().denoiser();
    if (one_cut_)
        denoiser.preparation = pipelines::Preparation{beside.config, o_.count, false};
    else
        denoiser.preparation.reset();
    session_.config.reset();
    return session_.run(context_, std::move(options), label);
}

GenerateOutput Bout::reused_run(const Contestant& contestant, GenerateOptions options,
                                const std::string& label) {
    session_.pipe.implementation().denoiser().preparation =
        pipelines::Preparation{contestant.config, o_.count, true};
    session_.config = contestant.config;
    return session_.run(context_, std::move(options), label);
}

double Bout::evaluations(int steps) const {
    GenerateOptions options = o_.base;
    options.num_inference_steps = steps;
    return static_cast<double>(session_.pipe.implementation().outlook(options).evaluations.size());
}

std::vector<std::string> Bout::reused_by_step(const Contestant& contestant) {
    auto& pipe = session_.pipe.implementation();
    const auto ahead = pipe.outlook(o_.base);
    pipe.denoiser().preparation = pipelines::Preparation{contestant.config, o_.count, true};
    const auto view = report::view_of(*pipe.denoiser().plan(ahead.shape, ahead.evaluations, true));
    std::vector<std::string> names(static_cast<std::size_t>(view.num_steps));
    for (const auto& execution : view.executions)
        if (auto& here = names.at(static_cast<std::size_t>(execution.step)); here.empty())
            here = report::joined_names(execution.reused);
    return names;
}

/// Compiles.
void Bout::warm_up(const Contestant& contestant) {
    const GenerateOptions one = options(0, false);
    full_run(contestant, one, "full, warming up");
    reused_run(contestant, one, contestant.name + ", warming up");
}

Bout::Times Bout::time(const Contestant& contestant) {
    std::vector<double> full, reused;
    for (std::size_t i = 0; i < kTrials; ++i) {
        const GenerateOptions one = options(i % num_calls(), false);
        full.push_back(full_run(contestant, one, "full, trial").report.denoise_seconds);
        reused.push_back(reused_run(contestant, one, contestant.name + ", trial").report.denoise_seconds);
    }
    return {report::spread_of(full).median, report::spread_of(reused).median};
}

void Bout::choose_steps(const std::vector<double>& relative_times) {
    const auto baseline = report::choose_baseline(*o_.base.num_inference_steps, relative_times,
                                                  [&](int steps) { return evaluations(steps); });
    std::vector<int> counts = o_.fewer.empty() ? baseline.counts : o_.fewer;
    std::sort(counts.begin(), counts.end());
    for (const int steps : counts) {
        report::Way& way = result_.fewer.emplace_back();
        way.kind = report::Way::Kind::fewer;
        way.name = steps == 1 ? "1 step" : fmt::format("{} steps", steps);
        way.num_steps = steps;
        way.calls_pictures = static_cast<int>(per_call_);
        way.made.resize(result_.pairs.size());
    }
    for (std::size_t i = 0; i < result_.cached.size(); ++i) {
        // of the counts that were run, the fewest that take no less time; without one the most
        const auto beside = std::lower_bound(counts.begin(), counts.end(), baseline.equal[i]);
        if (beside != counts.end())
            result_.cached[i].equal_steps = *beside;
        else if (!counts.empty())
            result_.cached[i].equal_steps = counts.back();
    }
}

double Bout::keep(report::Way& way, double full_seconds, GenerateOutput output, std::size_t call) {
    const double seconds = output.report.denoise_seconds;
    way.summary = output.report.summary;
    for (std::size_t p = 0; p < per_call_ && !output.images.empty(); ++p) {
        auto& made = way.made[call * per_call_ + p];
        const auto frames = static_cast<std::ptrdiff_t>(output.images.size() / per_call_);
        const auto first = output.images.begin() + static_cast<std::ptrdiff_t>(p) * frames;
        if (!made.frames.empty()) continue;
        made.frames.assign(std::make_move_iterator(first), std::make_move_iterator(first + frames));
        made.latents = latents_of(output.latents, p).clone();
    }
    way.turns.push_back(
        {std::move(output.report), way.kind == report::Way::Kind::full ? seconds : full_seconds});
    return seconds;
}

void Bout::take_turns(const std::vector<std::size_t>& cached, bool fewer) {
    const Contestant& first = o_.contestants[cached.front()];
    for (int r = 1; r <= o_.runs; ++r)
        for (std::size_t c = 0; c < num_calls(); ++c) {
            const auto label = [&](const std::string& name) {
                return name + (num_calls() > 1 ? fmt::format(", {} of {}", c + 1, num_calls()) : "") +
                       (o_.runs > 1 ? fmt::format(", run {} of {}", r, o_.runs) : "");
            };
            const auto pictures = [&](const report::Way& way) {
                return way.made[c * per_call_].frames.empty();
            };
            const double full =
                keep(result_.full, 0, full_run(first, options(c, pictures(result_.full)), label("full")), c);
            for (const std::size_t i : cached) {
                report::Way& way = result_.cached[i];
                keep(way, full, reused_run(o_.contestants[i], options(c, pictures(way)), label(way.name)), c);
            }
            for (auto& way : result_.fewer) {
                if (!fewer) break;
                GenerateOptions options = this->options(c, pictures(way));
                options.num_inference_steps = way.num_steps;
                keep(way, full, full_run(first, std::move(options), label(way.name)), c);
            }
        }
}

report::Comparison Bout::run() {
    std::vector<double> relative;
    if (one_cut_) {  // pieces are compiled anew for each configuration: one after the other
        for (std::size_t i = 0; i < o_.contestants.size(); ++i) {
            warm_up(o_.contestants[i]);
            const bool last = i + 1 == o_.contestants.size();
            // the numbers of steps need a time of every way: of the last one a run more
            if (last) {
                for (std::size_t c = 0; c < i; ++c)
                    relative.push_back(1 / result_.cached[c].speedup().median);
                const Times times = time(o_.contestants[i]);
                relative.push_back(times.reused / times.full);
                choose_steps(relative);
                for (auto& way : result_.fewer) {
                    GenerateOptions one = options(0, false);
                    one.num_inference_steps = way.num_steps;
                    full_run(o_.contestants[i], one, way.name + ", warming up");
                }
            }
            take_turns({i}, last);
        }
    } else {
        std::vector<std::size_t> all;
        for (const auto& contestant : o_.contestants) {
            all.push_back(all.size());
            warm_up(contestant);
            const Times times = time(contestant);
            relative.push_back(times.reused / times.full);
        }
        choose_steps(relative);
        take_turns(all, true);
    }
    result_.measure();
    return std::move(result_);
}

}  // namespace reprise::app
