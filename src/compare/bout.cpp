#include "compare/bout.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "backends/backend.h"
#include "compare/baseline.h"
#include "graph/graph.h"
#include "options/names.h"
#include "pipelines/diffusion_pipeline.h"
#include "report/config_text.h"
#include "report/plan_view.h"
#include "report/run.h"
#include "reprise/error.h"

namespace reprise::report {

namespace {

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

bool is_reserved(std::string_view name) {
    const std::size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
    const std::string_view rest = name.substr(digits);
    return name == "full" || (digits > 0 && (rest == " step" || rest == " steps"));
}

Bout::Bout(Pipeline& pipe, BoutOptions options, Call call)
    : pipe_(pipe.implementation()), o_(std::move(options)), call_(std::move(call)) {
    o_.base = pipe_.with_defaults(o_.base);
    check();
    const auto ahead = pipe_.outlook(this->options(0, true));  // refuses what cannot be run
    const auto graph = pipe_.denoiser().structure(ahead.shape);
    const double bytes = static_cast<double>(parameter_count(graph, 0)) *
                         static_cast<double>(size_of(pipe_.engine().options.precision));
    // The full way then runs over the pieces of a reused one, so that weights are held once.
    one_cut_ = bytes > pipe_.engine().traits().held_twice_bytes;
    per_call_ = static_cast<std::size_t>(o_.base.num_images_per_prompt);
    runs_ = o_.runs.value_or(std::max(1, 4 - static_cast<int>(std::min<std::size_t>(4, num_calls()))));
    for (const std::uint64_t seed : o_.seeds)
        for (const std::string& prompt : o_.prompts)
            for (std::size_t image = 0; image < per_call_; ++image)
                result_.pairs.push_back({prompt, seed, static_cast<int>(image)});
    result_.full.name = "full";
    result_.full.num_steps = *o_.base.num_inference_steps;
    result_.full.calls_pictures = static_cast<int>(per_call_);
    result_.full.made.resize(result_.pairs.size());
    for (const auto& contestant : o_.contestants) {
        Way& way = result_.cached.emplace_back(result_.full);
        way.kind = Way::Kind::cached;
        way.name = contestant.name;
        way.cache = describe(contestant.config);
        way.reused = reused_by_step(contestant);  // also says what is wrong with it, before anything runs
    }
}

void Bout::check() const {
    if (!o_.base.decode) usage_error("pictures are compared: decode is off, but it has to be on");
    if (o_.prompts.empty()) usage_error("no prompts to draw or pictures to animate; expected at least one");
    if (!o_.pictures.empty() && o_.pictures.size() != o_.prompts.size())
        failure("{} pictures have {} names", o_.pictures.size(), o_.prompts.size());
    if (o_.contestants.empty())
        usage_error("no way of reuse to compare with the full run; expected at least one");
    std::set<std::string_view> names;
    for (const auto& contestant : o_.contestants) {
        if (contestant.name.empty() || is_reserved(contestant.name))
            usage_error("a way of reuse is called '{}'; expected another name than 'full' or '12 steps'",
                        contestant.name);
        if (!names.insert(contestant.name).second)
            usage_error("two ways of reuse are called '{}'", contestant.name);
    }
    if (o_.seeds.empty()) usage_error("no seeds to draw with; expected at least one");
    std::set<std::uint64_t> seeds;
    for (const std::uint64_t seed : o_.seeds)
        if (!seeds.insert(seed).second) usage_error("seed {} is given twice", seed);
    if (o_.runs && *o_.runs < 1) usage_error("{} runs of each way; expected at least 1", *o_.runs);
    const int steps = *o_.base.num_inference_steps;
    for (const int fewer : o_.fewer.value_or(std::vector<int>{}))
        if (fewer < 1 || fewer >= steps)
            usage_error("{} as a number of fewer steps; expected 1 to {}, one less than in full", fewer,
                        steps - 1);
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
    options.reuse = one_cut_ ? Reuse(beside.config, o_.count) : Reuse();
    options.reuse->in_full = one_cut_;
    return call_(options, label);
}

GenerateOutput Bout::reused_run(const Contestant& contestant, GenerateOptions options,
                                const std::string& label) {
    options.reuse = Reuse(contestant.config, o_.count);
    return call_(options, label);
}

double Bout::evaluations(int steps) const {
    GenerateOptions options = this->options(0, true);
    options.num_inference_steps = steps;
    return static_cast<double>(pipe_.outlook(options).range().size());
}

std::vector<std::string> Bout::reused_by_step(const Contestant& contestant) {
    GenerateOptions options = this->options(0, true);
    options.reuse = Reuse(contestant.config, o_.count);
    const auto ahead = pipe_.outlook(options);
    std::vector<std::string> names(static_cast<std::size_t>(ahead.num_steps()));
    for (std::size_t s = 0; s < ahead.stages.size(); ++s) {
        const auto& [denoiser, range] = ahead.stages[s];
        const int first = ahead.evaluations[range.first].step - ahead.evaluations[ahead.range().first].step;
        const auto view = view_of(*pipe_.denoiser(denoiser).plan(pipe_.request(options, ahead, s)));
        for (const auto& execution : view.executions)
            if (auto& here = names.at(static_cast<std::size_t>(first + execution.step)); here.empty())
                here = joined_names(execution.reused);
    }
    return names;
}

/// Compiles.
void Bout::warm_up(const Contestant& contestant) {
    const GenerateOptions one = options(0, false);
    full_run(contestant, one, "full, warming up");
    reused_run(contestant, one, contestant.name + ", warming up");
}

Bout::Times Bout::time(const Contestant& contestant) {
    Comparison trial;
    trial.cached.emplace_back();
    for (std::size_t i = 0; i < kTrials; ++i) {
        const GenerateOptions one = options(i % num_calls(), false);
        trial.full.turns.push_back({full_run(contestant, one, "full, trial").report});
        trial.cached[0].turns.push_back({reused_run(contestant, one, contestant.name + ", trial").report});
    }
    trial.choose_clock();
    return {trial.full.denoise().median, trial.cached[0].denoise().median};
}

void Bout::choose_steps(const std::vector<double>& relative_times) {
    const auto baseline = choose_baseline(*o_.base.num_inference_steps, relative_times,
                                          [&](int steps) { return evaluations(steps); });
    std::vector<int> counts = o_.fewer.value_or(baseline.counts);
    std::sort(counts.begin(), counts.end());
    counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
    for (const int steps : counts) {
        Way& way = result_.fewer.emplace_back();
        way.kind = Way::Kind::fewer;
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

void Bout::keep(Way& way, const Turn* full, GenerateOutput output, std::size_t call) {
    way.summary = output.report.summary;
    for (std::size_t p = 0; p < per_call_ && !output.images.empty(); ++p) {
        auto& made = way.made[call * per_call_ + p];
        const auto frames = static_cast<std::ptrdiff_t>(output.images.size() / per_call_);
        const auto first = output.images.begin() + static_cast<std::ptrdiff_t>(p) * frames;
        if (!made.frames.empty()) continue;
        made.frames.assign(std::make_move_iterator(first), std::make_move_iterator(first + frames));
        made.latents = latents_of(output.latents, p).clone();
    }
    Turn& turn = way.turns.emplace_back(Turn{std::move(output.report)});
    const RunReport& beside = full != nullptr ? full->report : turn.report;
    turn.full_seconds = beside.denoise_seconds;
    turn.full_cpu_seconds = beside.denoise_cpu_seconds;
}

void Bout::take_turns(const std::vector<std::size_t>& cached, bool fewer) {
    const Contestant& first = o_.contestants[cached.front()];
    for (int r = 1; r <= runs_; ++r)
        for (std::size_t c = 0; c < num_calls(); ++c) {
            const auto label = [&](const std::string& name) {
                return name + (num_calls() > 1 ? fmt::format(", {} of {}", c + 1, num_calls()) : "") +
                       (runs_ > 1 ? fmt::format(", run {} of {}", r, runs_) : "");
            };
            const auto pictures = [&](const Way& way) { return way.made[c * per_call_].frames.empty(); };
            keep(result_.full, nullptr, full_run(first, options(c, pictures(result_.full)), label("full")),
                 c);
            const Turn full = result_.full.turns.back();
            for (const std::size_t i : cached) {
                Way& way = result_.cached[i];
                keep(way, &full, reused_run(o_.contestants[i], options(c, pictures(way)), label(way.name)),
                     c);
            }
            for (auto& way : result_.fewer) {
                if (!fewer) break;
                GenerateOptions options = this->options(c, pictures(way));
                options.num_inference_steps = way.num_steps;
                keep(way, &full, full_run(first, options, label(way.name)), c);
            }
        }
}

Comparison Bout::run() {
    std::vector<double> relative;
    if (one_cut_) {  // pieces are compiled anew for each configuration: one after the other
        for (std::size_t i = 0; i < o_.contestants.size(); ++i) {
            warm_up(o_.contestants[i]);
            const bool last = i + 1 == o_.contestants.size();
            // the numbers of steps need a time of every way: of the last one a run more
            if (last) {
                result_.choose_clock();
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
    result_.choose_clock();
    add_settings();
    return std::move(result_);
}

void Bout::add_settings() {
    const RunReport& report = result_.full.turns.back().report;
    const Image& first = result_.full.made.front().frames.front();
    std::error_code error;
    const std::filesystem::path source = pipe_.source()->description();
    const auto folder = std::filesystem::canonical(source, error);
    const std::string model = (error ? source : folder).filename().string();
    const bool video = !o_.pictures.empty();
    const AnimateOptions& animation = o_.base.video;
    const std::string guidance =
        video ? fmt::format("{} to {}", animation.min_guidance_scale, animation.max_guidance_scale)
              : fmt::format("{}", *o_.base.guidance_scale);
    const auto& engine = pipe_.engine();
    const int threads = engine.options.threads;
    result_.title =
        model + ": " +
        (o_.prompts.size() == 1 ? o_.prompts.front()
                                : fmt::format("{} {}", o_.prompts.size(), video ? "pictures" : "prompts"));
    result_.settings = {
        {"model", model},
        {"steps", fmt::format("{}", result_.full.num_steps)},
        {"seeds", fmt::format("{}", fmt::join(o_.seeds, ", "))},
        {"size", fmt::format("{}x{}", first.width(), first.height())},
        {"scheduler", report.scheduler},
        {"precision", report.precision},
        {"guidance", fmt::format("{}, {}", guidance, options::name_of(report.guidance_mode))},
        {"engine", fmt::format("{} on {}, {} threads", engine.backend->name(), engine.options.device,
                               threads == 0 ? "all" : fmt::format("{}", threads))},
        {"times", clock_text(result_)},
        {"runs", fmt::format("{} of each way, prompt and seed, by turns, after one to warm up", runs_)}};
}

}  // namespace reprise::report
